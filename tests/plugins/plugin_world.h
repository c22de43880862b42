/* A built-in plugin behind the real host, on the fake env: what the lease layer asks for goes in at
 * one end, HTTP exchanges come out at the other, and the test answers them. */
#ifndef LEASED_TESTS_PLUGINS_PLUGIN_WORLD_H
#define LEASED_TESTS_PLUGINS_PLUGIN_WORLD_H

#include "backend/backend.h"
#include "backend/registry.h"
#include "env/http.h"
#include "leased/plugin.h"
#include "plugins/fake_lender.h"
#include "support/fake_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define WORLD_START_MS                                                                             \
    5000U /* of the env's clock; the wall clock begins at 2026-01-01T00:00:00Z                     \
           */

struct plugin_world {
    struct fake_env fake; /* secrets (fake_env_add_secret) may be added before the backend opens */
    struct backend_registry *registry;
    const struct leased_plugin *plugin;
    struct backend *backend;
    uint64_t health_interval_ms; /* may be set before the backend opens; 0: never asked */
    size_t closed_count;
    struct fake_lender lender; /* has fields before the backend opens: it borrows them */
    size_t bytes_before;
    char anchor_ends[512]; /* what the plugin said of anchors: when and why, one a line */
};

/* One call of the lease layer, and how it ended. */
struct plugin_call {
    struct lease_call call;
    size_t end_count;
    enum lease_outcome outcome;
    uint64_t lifetime_ms;
    uint64_t retry_after_ms;
    bool is_renewable;
    bool is_revocable;
    char ref[1100];
    char orphan[1100]; /* with another outcome than OK: what was created all the same */
    char fields[8192]; /* name=value, or name*=value where it is secret, one a line */
    char detail[512];
    char intents[1024]; /* what was put on record before something was created, one a line */
    struct lease_intent *pending; /* waits for that */
};

/* Registers the plugin; backends are opened by plugin_world_open. */
void plugin_world_init(struct plugin_world *world, leased_plugin_entry_fn entry, const char *name);
/* `address`: NULL where the plugin knows its own. Fails the test if the configuration is refused.
 */
void plugin_world_open(struct plugin_world *world, const char *address, const char *config_json);
/* Begins its close. */
void plugin_world_close(struct plugin_world *world);
/* Closes it, answers what still asks (204), and fails the test if anything is left behind. */
void plugin_world_fini(struct plugin_world *world);

/* What the plugin says of a configuration and of a role's params; "" if they are fine. Valid until
 * the next call. */
const char *plugin_world_config_error(const struct plugin_world *world, const char *config_json);
const char *plugin_world_params_error(const struct plugin_world *world, const char *params_json);

/* Starts an issue for user joe (uid 1000) with reason "deploy 7", and runs until it waits for
 * something. `ttl_ms` 0: none is asked for. Intents are on record at once. */
void plugin_world_issue(struct plugin_world *world, struct plugin_call *call,
                        const char *params_json, uint64_t ttl_ms);
void plugin_world_revoke(struct plugin_world *world, struct plugin_call *call,
                         const char *params_json, const char *ref);
void plugin_world_renew(struct plugin_world *world, struct plugin_call *call,
                        const char *params_json, const char *ref);
/* Starts a call that the test has filled in (kind, params, caller, …). One that couldn't be started
 * for want of memory has ended, as what may be tried again. */
void plugin_world_call(struct plugin_world *world, struct plugin_call *call);
/* The same where it may not start, for want of memory. 0, or an ERR_*. */
int plugin_world_try(struct plugin_world *world, struct plugin_call *call);
/* The deadline of the calls under way passes. */
void plugin_world_time_out(struct plugin_world *world);

/* The exchange that waits for an answer; fails the test if there is none. */
struct env_http *plugin_world_http(struct plugin_world *world);
/* One of its headers; "" if it isn't there. Valid until the next call. */
const char *plugin_world_header(struct plugin_world *world, const char *name);
/* Its body. Valid until the next call. */
const char *plugin_world_body(struct plugin_world *world);
bool plugin_world_is_idle(struct plugin_world *world);

/* Answers it. `header` NULL: none beside content-type. */
void plugin_world_answer(struct plugin_world *world, uint32_t status, const char *body);
void plugin_world_answer_with(struct plugin_world *world, uint32_t status,
                              const struct env_http_header *header, const char *body);
/* No answer: ERR_CONNECT (not sent), ERR_LOST. */
void plugin_world_fail(struct plugin_world *world, int status);

/* A field of an issue; fails the test if it isn't there. Valid until the next call. */
const char *plugin_call_field(const struct plugin_call *call, const char *name);

#endif
