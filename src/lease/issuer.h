/* What the lease layer needs of whoever issues credentials. backend/ implements it over plugins;
 * tests over a model. */
#ifndef LEASED_LEASE_ISSUER_H
#define LEASED_LEASE_ISSUER_H

#include "base/str.h"
#include "base/units.h"
#include "env/env.h"

#define LEASE_ISSUER_REF_MAX_BYTES 1024
#define LEASE_FIELDS_MAX 32

enum lease_call_kind {
    LEASE_CALL_ISSUE,
    LEASE_CALL_RENEW,
    LEASE_CALL_REVOKE,
};

/* How a call ended; the classes of the plugin ABI. */
enum lease_outcome {
    LEASE_OUTCOME_OK,
    LEASE_OUTCOME_RETRY,   /* passing fault, nothing was created; retry_after_ms may say when */
    LEASE_OUTCOME_DENIED,  /* the issuer refuses */
    LEASE_OUTCOME_GONE,    /* the issuer doesn't know the lease any more */
    LEASE_OUTCOME_INVALID, /* wrong request or configuration */
    LEASE_OUTCOME_SEALED,  /* up, but can't serve now */
    LEASE_OUTCOME_LOST,    /* may have been executed, the answer was lost */
    LEASE_OUTCOME_CANCELED,
};

struct lease_field {
    struct str name;
    struct str value;
    bool is_secret;
};

/* Borrowed until the callback returns. */
struct lease_result {
    enum lease_outcome outcome;
    uint64_t retry_after_ms;
    const char *detail;   /* for people, no secret; NULL when OK */
    uint64_t lifetime_ms; /* issue, renew: from `answered_ms`; > 0 when OK */
    uint64_t answered_ms; /* env clock: when the request was sent (the safe side) */
    bool is_renewable;
    bool is_revocable;
    bool is_login_bound; /* revoke, with another outcome than OK: only the end of our login ends it
                          */
    bool is_capped;      /* shorter than asked because a maximum is near */
    uint64_t refresh_ms; /* issue: when to issue anew what is held, from `answered_ms`; 0: by its
                            life;   UINT64_MAX: only for who asks after its end */
    uint64_t anchor;     /* issue: what the lease hangs on; 0: nothing */
    struct str
        issuer_ref; /* issue; what follows its first line feed, if any, is no part of its name */
    struct str orphan_ref; /* issue, with another outcome than OK: what was created all the same;
                              from here on it is the lease layer's to revoke */
    const struct lease_field *fields; /* issue */
    size_t field_count;
};

/* Who the credential is for, for the issuer's own audit and for templates in params. Borrowed until
 * the callback. */
struct lease_caller {
    const char *user;
    const char *unit;
    const char *reason;
    const char *sans; /* names in its certificate; "" if none */
    uint32_t uid;     /* ENV_NO_ID: none */
};

struct lease_issuer;

/* A wait for what must be durable before the issuer is asked; embedded in whoever waits, lives
 * until `fn` has run or lease_intent_forget. Zero-initialise. */
struct lease_intent {
    /* 0: it is on stable storage. Else a negated errno or ERR_*: nothing (more) may be created. */
    void (*fn)(struct lease_intent *intent, int status);
    void *user;
    void *impl; /* the lease layer's; NULL: nothing is waited for */
};

/* Fine when nothing is waited for. */
void lease_intent_forget(struct lease_intent *intent);

/* One call; the lease layer has as many as may be in flight. */
struct lease_call {
    enum lease_call_kind kind;
    /* Borrowed until the callback. */
    const char *role;
    const char *params_json;
    struct str issuer_ref;      /* renew, revoke */
    struct lease_caller caller; /* issue */
    uint64_t ttl_ms;            /* issue, renew: the life wanted; 0: the issuer's default */
    /* issue: puts on durable record what a revocation will be given if the answer is lost or the
     * daemon dies; again: in place of what was recorded. `ref` is copied. By the rules of env.h.
     * NULL: nothing is kept durable here, go on without. ERR_NOMEM, ERR_LIMIT, ERR_IO. */
    int (*intend)(struct lease_call *call, struct str ref, struct lease_intent *intent);
    void (*fn)(struct lease_call *call, const struct lease_result *result);
    void *user;
    /* The issuer's. */
    void *impl;
};

struct lease_issuer_ops {
    /* By the rules of env.h. ERR_LIMIT, ERR_NOMEM, ERR_CLOSED. */
    int (*call_start)(struct lease_issuer *issuer, struct lease_call *call);
    void (*call_cancel)(struct lease_issuer *issuer, struct lease_call *call);
    /* How long issues would be refused, because the issuer is known not to serve, and why; 0: not
     * at all. Whoever asks for a credential meanwhile is told so at once. May be NULL. */
    uint64_t (*closed_ms)(struct lease_issuer *issuer, struct err *e);
    /* Is this anchor of an earlier run still something that its leases can hang on? May be NULL:
     * none is. */
    bool (*holds_anchor)(struct lease_issuer *issuer, uint64_t anchor);
};

/* Limits that the lease layer keeps for this issuer, all calls together. */
struct lease_issuer_limits {
    uint32_t in_flight; /* calls at once */
    struct units_rate issue_rate;
    struct units_rate renew_rate;
    struct units_rate revoke_rate;
};

/* Embedded in what implements it (backend/backend.c). */
struct lease_issuer {
    const char *name;
    const char *borrows; /* the role whose credential it works with (lend.h); NULL: none */
    const struct lease_issuer_ops *ops;
    struct lease_issuer_limits limits;
    void *core_state; /* the lease layer's queue for this issuer */
};

#endif
