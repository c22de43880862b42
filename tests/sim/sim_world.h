/* The daemon's parts, put together on the simulated env as daemon/ does it on the real one: audit
 * trail, lease core, the Vault plugin in its backend, policy, API. Everything goes through public
 * headers. The model Vault is the other end of the network. */
#ifndef LEASED_TESTS_SIM_WORLD_H
#define LEASED_TESTS_SIM_WORLD_H

#include "sim_request.h"
#include "sim_vault.h"

#include "backend/registry.h"
#include "serve/api.h"

#define SIM_WORLD_ROLES_MAX 8
#define SIM_AUDIT_PATH "/var/log/leased/audit.jsonl"

struct sim_check;

/* A role, at both ends. */
struct sim_role {
    const char *name;
    /* At the issuer. */
    uint64_t issuer_ttl_ms;
    uint64_t issuer_max_ttl_ms;
    bool is_renewable;
    /* In the configuration; zero: the defaults of `sim_world_start`. */
    enum lease_share share;
    enum access_binding binding;
    uint64_t ttl_ms;
    uint64_t max_ttl_ms;
    uint32_t renew_at_percent;
    uint64_t min_remaining_ms;
    uint64_t overlap_ms;
    uint64_t linger_ms;
    uint32_t live_max;
};

struct sim_world_options {
    const struct sim_role *roles;
    size_t role_count;
    const char *policy; /* YAML; NULL: everybody may have everything */
    bool uses_token;    /* a periodic token instead of AppRole */
    uint32_t in_flight; /* 0: the default */
};

struct sim_world {
    struct sim sim;
    struct sim_vault vault;
    struct sim_check *check; /* may be NULL */
    struct audit *audit;
    struct lease_core *core;
    struct backend_registry *registry;
    struct backend *backend;
    struct access_policy *policy;
    struct serve *serve;
    struct serve_listener api;
    struct serve_listener metrics_api;
    struct sim_listener listener;
    struct sim_listener metrics;
    struct lease_role roles[SIM_WORLD_ROLES_MAX];
    char params[SIM_WORLD_ROLES_MAX][80];
    size_t role_count;
    size_t memory_before_bytes;
    struct lease_wait drained;
    int drain_status;
    bool is_drained;
    bool is_closed; /* the part that is being closed has said so */
};

/* Clock, network, processes and the model Vault; faults may be set after it. */
void sim_world_init(struct sim_world *world, uint64_t seed);

/* Starts the daemon's parts; fails the run when one of them can't. */
void sim_world_start(struct sim_world *world, const struct sim_world_options *options);

/* As SIGTERM: no new acquires, everything revoked, or `patience_ms` over; returns the drain's
 * status. */
int sim_world_drain(struct sim_world *world, uint64_t patience_ms);

/* Closes everything in order; connections end first. With `logout` the issuer's tokens are revoked.
 */
void sim_world_stop(struct sim_world *world, bool logout);

/* Demands that nothing is left. */
void sim_world_fini(struct sim_world *world);

#endif
