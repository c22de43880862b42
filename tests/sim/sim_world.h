/* The daemon's parts, put together on the simulated env as daemon/ does it on the real one: audit
 * trail, lease core, plugins in their backends, policy, API. Everything goes through public
 * headers. The model issuers are the other end of the network. */
#ifndef LEASED_TESTS_SIM_WORLD_H
#define LEASED_TESTS_SIM_WORLD_H

#include "sim_request.h"
#include "sim_vault.h"

#include "backend/registry.h"
#include "backend/verifier.h"
#include "serve/api.h"
#include "support/fake_ledger.h"

#define SIM_WORLD_ADDRESS "https://vault-1.example:8200" /* the preferred one of two */
#define SIM_WORLD_ROLES_MAX 8
#define SIM_WORLD_PARAMS_MAX_BYTES 400
#define SIM_WORLD_BACKENDS_MAX (SIM_WORLD_ROLES_MAX + 1)
#define SIM_WORLD_BANNED_UID 1001U /* by the other policy */
#define SIM_WORLD_TWIN "-twin"     /* a role's other path at the issuer */
#define SIM_AUDIT_PATH "/var/log/leased/audit.jsonl"

struct sim_check;
struct sim_apply;

/* A role, at both ends. */
struct sim_role {
    const char *name;
    const struct sim_issuer_kind *kind; /* whose credentials it gives; NULL: Vault's */
    /* At Vault. */
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
    uint64_t spread_ms;         /* what its credentials are for knows a new one so late, at most */
    uint64_t verify_timeout_ms; /* > 0: they are tried out there */
};

struct sim_world_options {
    const struct sim_role *roles;
    size_t role_count;
    const char *policy;       /* YAML; NULL: everybody may have everything */
    const char *other_policy; /* what operators may change it to; NULL: there is none */
    bool uses_token;          /* a periodic token instead of AppRole */
    uint64_t token_period_ms; /* of that; 0: an hour */
    bool isolates;            /* the issuer lets the daemon make child tokens … */
    bool has_token_role;      /* … that are orphans */
    uint32_t in_flight;       /* 0: the default */
    bool has_ledger;
    bool is_guarded;  /* approvals can be asked for, and policies applied (sim_rules.h) */
    uint32_t variant; /* of the issuers but Vault's */
    struct lease_core_options limits; /* env, audit and ledger are the world's */
};

/* What is at a backend's other end. */
struct sim_backend {
    struct sim_world *world;
    struct sim_issuer *issuer; /* outlives the daemon */
};

struct sim_world {
    struct sim sim;
    struct sim_vault vault;
    struct sim_check *check; /* may be NULL */
    struct audit *audit;
    struct lease_core *core;
    struct fake_ledger ledger;      /* on the disk: it outlives the daemon */
    struct sim_event committing;    /* its next commit */
    bool ledger_was_failing;        /* when the last daemon ended */
    bool commit_was_late;           /* the last one of the ledger's */
    struct lease_recovery recovery; /* what the last start found in it */
    struct backend_registry *registry;
    struct sim_backend backends[SIM_WORLD_BACKENDS_MAX];  /* the first is Vault's */
    struct backend *backend_list[SIM_WORLD_BACKENDS_MAX]; /* in the same order */
    size_t backend_count;
    struct backend_verifier verifier;
    struct access_policy *policies[2]; /* the first, and what operators change it to */
    size_t policy_index;
    bool is_guarded;
    struct requests *requests; /* NULL: nobody can approve anything */
    struct sim_apply *apply;   /* the policy that is being applied; NULL: none */
    struct serve *serve;
    struct serve_listener api;
    struct serve_listener metrics_api;
    struct sim_listener listener;
    struct sim_listener metrics;
    struct lease_role roles[SIM_WORLD_ROLES_MAX];
    struct sim_backend *role_backends[SIM_WORLD_ROLES_MAX];
    char params[SIM_WORLD_ROLES_MAX][SIM_WORLD_PARAMS_MAX_BYTES];
    bool is_removed[SIM_WORLD_ROLES_MAX];
    bool is_twin[SIM_WORLD_ROLES_MAX];           /* its path at the issuer is the other one */
    uint64_t life_least_ms[SIM_WORLD_ROLES_MAX]; /* the shortest limit of a life that it has had */
    struct lease_core_options limits;
    uint32_t in_flight;
    size_t role_count;
    size_t memory_before_bytes;
    struct lease_wait drained;
    int drain_status;
    bool is_drained;
    bool is_up; /* consumers can connect */
    uint64_t started_ms;
    uint64_t start_count;
    bool is_closed; /* the part that is being closed has said so */
};

/* --- sim_ledger.c --- */

void sim_ledger_init(struct sim_world *world);
/* Or so late that records which nobody waits for pass by it. */
bool sim_ledger_is_failing(const struct sim_world *world);

/* --- sim_backends.c --- */

void sim_backends_init(struct sim_world *world);
void sim_backends_fini(struct sim_world *world);
/* Opens those that the roles need; the models of the last daemon's are there still. */
void sim_backends_start(struct sim_world *world, const struct sim_world_options *options);
struct lease_issuer *sim_backends_named(struct sim_world *world, const char *name);
/* Whose this request is; NULL: nobody's. */
struct sim_issuer *sim_world_issuer_at(const struct sim_world *world, const struct sim_call *call);
/* Fails the run, and says why, if `status` isn't 0. */
void sim_world_must(struct sim_world *world, int status, const struct err *e, const char *what);

/* --- sim_world.c --- */

/* Clock, network, processes and the model Vault; faults may be set after it. */
void sim_world_init(struct sim_world *world, uint64_t seed);

/* A part of that: connects network and log to the model issuer and the checkers. */
void sim_outside_listen(struct sim_world *world);

/* Starts the daemon's parts; fails the run when one of them can't. After sim_world_crash it is the
 * next daemon, on the same disk. */
void sim_world_start(struct sim_world *world, const struct sim_world_options *options);

/* A policy for the world's roles; access_policy_free it. Fails the run on a mistake. */
struct access_policy *sim_world_parse_policy(struct sim_world *world, const char *text);

/* The role's name at the issuer: its own, or that of its twin. */
const char *sim_world_issuer_role(const struct sim_world *world, size_t index);
/* The index of the role with this name, or with this name at the issuer; role_count: none. */
size_t sim_world_role_index(const struct sim_world *world, struct str name);
/* Writes the params for the path that is in force. */
void sim_world_set_path(struct sim_world *world, size_t index);
/* The role's limits are as they are now, too. */
void sim_world_note_limits(struct sim_world *world, size_t index);

/* As SIGTERM: no new acquires, everything revoked, or `patience_ms` over; returns the drain's
 * status. */
int sim_world_drain(struct sim_world *world, uint64_t patience_ms);

/* Closes everything in order; connections end first. With `logout` the issuer's tokens are revoked.
 */
void sim_world_stop(struct sim_world *world, bool logout);

/* SIGKILL: what isn't committed is lost, connections break, and of the calls under way nobody
 * learns how they end. The next is sim_world_start. */
void sim_world_crash(struct sim_world *world);

/* Demands that nothing is left. */
void sim_world_fini(struct sim_world *world);

#endif
