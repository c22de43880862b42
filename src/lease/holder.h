/* One identity at one role, under the name that its uid had: whose grants and leases they are, how
 * many, and what it may be given again. Exists while a grant or a lease names it. */
#ifndef LEASED_LEASE_HOLDER_H
#define LEASED_LEASE_HOLDER_H

#include "lease/core.h"
#include "lease/index.h"

struct account;
struct refusal;
struct role;

struct holder {
    struct index_entry entry; /* by identity, role and user */
    uint64_t hash;            /* of these */
    struct role *role;
    struct account *account; /* of its uid, or the names in its certificate */
    struct list by_account;
    struct list by_role;
    struct refusal *refusal; /* NULL: none */
    uint32_t user_count;     /* grants and leases that name it, ended ones too */
    uint32_t grant_count;    /* grants that haven't ended */
    struct lease *shared;    /* share: identity: the lease that its next grant gets */
    struct list leases;      /* issued for it, ended ones too, in order of creation */
    struct list grants;      /* ended ones too, in order of creation */
    struct list idle;        /* share: none: leases that nobody holds, kept for its next grant */
    enum env_peer_kind kind;
    uint32_t uid;
    bool is_foreign;
    bool is_renamed;     /* these three belong to the recheck of that number */
    uint32_t kept_count; /* grants that it has left alone so far */
    uint32_t recheck_run;
    const char *user; /* these point behind the key */
    const char *unit;
    const char *container;
    const char *image;
    const char *listener;
    const char *sans;
    struct access_claims *claims; /* owned; NULL: no issuer vouches for it */
    char *claims_text;            /* the same as the ledger has it, owned; NULL likewise */
    char key[];                   /* the identity's */
};

/* The hash by which the core's index knows it. */
uint64_t holder_hash(const struct index *index, struct index_entry *entry);

/* NULL when this identity has nothing of this role. */
struct holder *holder_find(const struct lease_core *core, const struct role *role,
                           const struct access_identity *identity);

/* Finds or makes it, with one more user. NULL when out of memory. */
struct holder *holder_get(struct lease_core *core, struct role *role,
                          const struct access_identity *identity);

/* The identity as far as it is known: without its process and its groups. Borrowed from the holder.
 */
void holder_identity(const struct holder *holder, struct access_identity *ret_identity);

/* One more user of one that is known. */
struct holder *holder_again(struct holder *holder);

/* One user less; the last one frees it. NULL is fine. */
void holder_put(struct lease_core *core, struct holder *holder);

#endif
