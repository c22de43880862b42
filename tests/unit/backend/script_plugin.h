/* A plugin that does what the test says, and a backend that uses it on the fake env. */
#ifndef LEASED_TESTS_UNIT_BACKEND_SCRIPT_PLUGIN_H
#define LEASED_TESTS_UNIT_BACKEND_SCRIPT_PLUGIN_H

#include "backend/backend.h"
#include "leased/plugin.h"
#include "support/fake_env.h"

#define SCRIPT_OPS_MAX 128

/* One call of the lease layer, and how it ended. */
struct script_call {
    struct lease_call call;
    size_t end_count;
    enum lease_outcome outcome;
    struct lease_result result; /* its slices are dead; what is kept of them is below */
    char detail[512];
    char ref[1100];
    char orphan[1100];
    char first_name[65];
    char first_value[256];
    bool first_is_secret;
};

/* One operation that the plugin got. */
struct script_op {
    struct script *script;
    leased_op *op;
    char what; /* i, r, v, h, c; p: call */
    char params[1024];
    char ref[1100];
    char callers[256]; /* key=value,… */
    uint64_t ttl_ms;   /* c, p: the flags */
};

struct script {
    struct fake_env fake;
    struct env_ops env_ops; /* the fake's, with a stopwatch */
    uint64_t stopwatch_us;
    struct leased_backend_ops ops;
    struct leased_plugin plugin;
    struct backend *backend;
    const struct leased_host *host;
    leased_host_context *context;
    struct script_op seen[SCRIPT_OPS_MAX];
    size_t seen_count;
    size_t cancel_count;
    leased_op *canceled;
    int32_t start_status;   /* what start functions return */
    bool answers_at_once;   /* they call op_done, which they must not */
    bool answers_on_cancel; /* cancel calls op_done with LEASED_CANCELED */
    bool close_hangs;
    bool health_asks; /* health sends GET /health, whose answer decides */
    uint64_t call_takes_us;
    size_t closed_count;
    size_t anchor_count;
    uint64_t anchor;
    uint64_t anchor_when_ms;
    char anchor_reason[256];
    char restored[64]; /* what state_get gave inside open */
    uint64_t held_anchor;
};

/* Opens a backend with an address and limits.in_flight 4; more can be set in `options`, which may
 * be NULL. */
void script_open(struct script *script, const struct backend_options *options);

/* The same with a plugin that has no health call. */
void script_open_without_health(struct script *script, const struct backend_options *options);

/* Closes it, runs the loop and checks that nothing is left of it. */
void script_close(struct script *script);
void script_fini(struct script *script);

/* Starts a call; its start must succeed. */
void script_call(struct script *script, struct script_call *call, enum lease_call_kind kind,
                 const char *params);

/* The operation that the plugin got as number `index`. */
struct script_op *script_op(struct script *script, size_t index);

/* Ends it well with a lifetime of an hour, reference "ref" and one secret field password=hunter2.
 */
void script_answer_issue(struct script *script, size_t index);
void script_answer(struct script *script, size_t index, int32_t status,
                   const struct leased_result *result);

struct leased_str script_str(const char *text);

#endif
