/* What a client may ask for, as the core keeps it: a copy of the configuration, and the versions of
 * what is asked of the issuer.
 *
 * A role has one name for as long as it is known. Its timing and sharing may change at any moment
 * and count for all of its leases at once. Issuer and parameters are a source: when they change the
 * role gets a new one, and each lease keeps the source that it was issued from, because that is
 * where it can be renewed and revoked. */
#ifndef LEASED_LEASE_ROLE_H
#define LEASED_LEASE_ROLE_H

#include "base/map.h"
#include "lease/core.h"
#include "lease/queue.h"

#define ROLE_MAGIC 0x726f6c65U
#define ROLE_NAME_MAX_BYTES 128
#define ROLE_STATES (LEASE_STATE_FAILED + 1)

struct issuer;
struct refusal;
struct role;

struct source {
    struct list node; /* in its issuer's sources */
    struct role *role;
    struct issuer *issuer;   /* NULL when the issuer was forgotten: all its leases are over */
    const char *issuer_name; /* behind params_json */
    uint32_t user_count;     /* its role, while it is the present one, and each lease */
    uint64_t since_ms;
    struct queue_lane lane;
    char params_json[];
};

struct role {
    uint32_t magic;
    bool is_removed;          /* nothing is issued any more; it stays until nothing points here */
    struct map_entry entry;   /* by name */
    struct lease_role config; /* texts are the role's own */
    void *texts;
    struct source *source; /* the present one */
    struct queue_rates rates;
    struct refusal *refusal; /* NULL: none */
    struct lease_core *core;
    struct list holders;
    struct lease *shared;  /* share: role: the lease that the next grant gets */
    uint32_t lease_count;  /* leases that aren't over, without successors that aren't ready */
    uint32_t user_count;   /* leases and holders */
    uint64_t granted_ms;   /* the life that its issuer gave last; 0: none yet */
    uint64_t tolerance_ms; /* by the last life that an issuer gave; UINT64_MAX: none did yet */
    uint32_t state_counts[ROLE_STATES]; /* all of its leases, by state */
    char name[];
};

/* A copy of a configuration. */
struct role_texts {
    struct lease_role config; /* but for name and params_json */
    void *block;
};

/* ERR_NOMEM, or ERR_INVALID when a name or the attributes are too many. */
int role_texts_copy(const struct lease_role *config, struct role_texts *ret_texts) ATTR_MUST_USE;

/* Is anything different that a role's leases or clients would notice? Issuer and parameters are
 * the source's. */
bool role_is_configured(const struct role *role, const struct lease_role *config);

/* A role without source and configuration, in the core's map. NULL when out of memory. */
struct role *role_new(struct lease_core *core, const char *name);

/* `texts` is taken. */
void role_configure(struct role *role, const struct role_texts *texts);

/* A source with this issuer and these parameters, of the role of that name, also one that was
 * removed; where there is none, of one that is removed from the start. The caller is a user of
 * both, and gives back first the source, then the role. ERR_NOMEM. */
int role_recover(struct lease_core *core, const char *name, struct lease_issuer *issuer,
                 const char *params_json, struct source **ret_source) ATTR_MUST_USE;

/* NULL when there is none, or only one that was removed. */
struct role *role_find(const struct lease_core *core, struct str name);
/* The one that a configuration handed out belongs to. */
struct role *role_of(const struct lease_role *config);

void role_again(struct role *role);
/* One user less; the last one frees a role that was removed. */
void role_put(struct role *role);
/* Frees it whoever points to it; the core closes. */
void role_free(struct role *role);

/* With one user. NULL when out of memory. */
struct source *source_new(struct role *role, struct issuer *issuer, const char *params_json);
bool source_is(const struct source *source, const struct issuer *issuer, const char *params_json);
void source_put(struct source *source);

/* Makes it the role's present one. `source` is taken. */
void role_set_source(struct role *role, struct source *source);

#endif
