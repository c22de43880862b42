/* The built-in plugin behind the real host, on the fake env: for the tests of both together. */
#ifndef LEASED_TESTS_ABI_BUILTIN_WORLD_H
#define LEASED_TESTS_ABI_BUILTIN_WORLD_H

#include "backend/backend.h"
#include "backend/registry.h"
#include "leased/plugin.h"
#include "support/fake_env.h"

#define CONFIG                                                                                     \
    "{\"auth\":{\"method\":\"approle\",\"role_id\":\"r\",\"secret_id_file\":\"/run/sid\"}}"

struct world {
    struct fake_env fake;
    struct backend_registry *registry;
    const struct leased_plugin *plugin;
    struct backend *backend;
    size_t closed_count;
    size_t anchor_count;
    uint64_t anchor_when_ms;
};

struct ended {
    struct lease_call call;
    size_t count;
    enum lease_outcome outcome;
    uint64_t lifetime_ms;
    char ref[128];
    char orphan[128];
    char secret[64];
    char detail[256];
};

void world_open(struct world *world);
void world_close(struct world *world);

/* Answers the first exchange that is open. */
void answer(struct world *world, uint32_t status, const char *body);

/* Where it goes, behind the issuer's address. */
const char *path_of(struct world *world);

/* Answers a login. Of what it asks for then, it may make no children. */
void log_in(struct world *world);

/* Starts a call of the lease layer. */
void call(struct world *world, struct ended *ended, enum lease_call_kind kind, const char *params);
void call_for(struct world *world, struct ended *ended, const char *user, const char *reason,
              const char *params);
void call_ended(struct lease_call *call, const struct lease_result *result);

#endif
