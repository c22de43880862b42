/* What consumers see over HTTP: the native API, health and metrics. Parses a request, asks access/
 * whether its caller may, lets lease/ do it, and answers. */
#ifndef LEASED_SERVE_API_H
#define LEASED_SERVE_API_H

#include "access/policy.h"
#include "backend/backend.h"
#include "lease/core.h"

struct serve;

struct serve_options {
    struct env *env; /* all of these are borrowed and outlive the serve */
    struct lease_core *core;
    struct audit *audit;
    const struct access_policy *policy;
    struct backend *const *backends;
    size_t backend_count;
    const char *own_cgroup; /* path of the daemon's own cgroup */
    const char *node;
    const char *version;
    uint32_t exchanges_max; /* [4096] requests under way at once */
};

int serve_new(const struct serve_options *options, struct serve **ret_serve,
              struct err *e) ATTR_MUST_USE;

/* Requests under way must have finished (the listeners are closed). */
void serve_free(struct serve *serve);

/* Shown by /readyz: false until everything is up, and again while stopping. */
void serve_set_ready(struct serve *serve, bool is_ready);

enum serve_api {
    SERVE_API_NATIVE = 1,
    SERVE_API_METRICS = 2,
};

/* What one listener serves; embedded in the listener's owner, outlives the listener. */
struct serve_listener {
    struct serve *serve;
    const char *name;
    uint32_t apis; /* SERVE_API_* */
};

/* The env_request_fn of a listener; `user` is its struct serve_listener. */
void serve_request(void *user, struct env_request *request);

#endif
