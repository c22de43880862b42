/* A real backend over a plugin that does nothing by itself: the test says when it is logged in. */
#ifndef LEASED_TESTS_UNIT_SERVE_IDLE_BACKEND_H
#define LEASED_TESTS_UNIT_SERVE_IDLE_BACKEND_H

#include "backend/backend.h"

struct leased_host;
struct leased_host_context;

#define IDLE_TEXT_MAX_BYTES 512

/* The request that was passed on last. */
struct idle_call {
    size_t count; /* ever */
    char method[16];
    char path[IDLE_TEXT_MAX_BYTES];
    char headers[IDLE_TEXT_MAX_BYTES]; /* "name=value," each */
    char body[IDLE_TEXT_MAX_BYTES];
    void *op; /* NULL: it has its answer */
};

struct idle_backend {
    struct idle_call call;
    struct backend *backend;
    const struct leased_host *host;
    struct leased_host_context *context;
};

/* What the plugin of the next ones is called; at first "idle". */
void idle_backend_name_plugin(const char *name);

/* Not logged in at first. */
void idle_backend_open(struct idle_backend *idle, struct env *env, const char *name);
void idle_backend_login(struct idle_backend *idle, uint64_t until_ms);

/* Answers the request that was passed on. `type` NULL: without a content type. */
void idle_backend_answer(struct idle_backend *idle, uint32_t status, const char *type,
                         const char *body);
/* … or ends it without an answer; LEASED_*. */
void idle_backend_fail(struct idle_backend *idle, int32_t status);

/* The plugin adds to a counter of its own. */
void idle_backend_count(struct idle_backend *idle, const char *event, uint64_t delta);

/* The plugin asks its issuer something; the test ends the exchange (fake_env_http_first). */
void idle_backend_ask(struct idle_backend *idle);

#endif
