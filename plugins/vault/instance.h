/* One backend: its configuration, its login, its operations.
 *
 * Two things run beside each other. The login (token.c decides when; login.c, unwrap.c and own.c do
 * it; kept.c carries it over restarts) has one exchange at a time: log in, renew the own token, or
 * check whether it is still alive; what the token may do is asked beside (rights.c). Operations
 * (op.c, issue.c, isolate.c, lease.c) each have their own; they need a token to be sent and wait in
 * a queue while a first login is under way. */
#ifndef VAULT_INSTANCE_H
#define VAULT_INSTANCE_H

#include "config.h"
#include "issued.h"
#include "request.h"
#include "status.h"
#include "common/text.h"

#define VAULT_NEVER UINT64_MAX
#define VAULT_QUEUE_MAX 256U
#define VAULT_WATCH_MS 10000U    /* between looks for changed sources */
#define VAULT_OLD_TOKENS_MAX 24U /* with the one in use fewer than the host remembers ends of */
#define VAULT_TOKEN_MAX_BYTES 16384U
#define VAULT_ACCESSOR_MAX_BYTES 128U
#define VAULT_LOGOUT_TIMEOUT_MS 5000U /* the daemon's own end doesn't wait for long */

struct vault_op;

/* A token of our own. Leases hang on it: when it dies, they die. */
struct vault_token {
    uint64_t generation; /* the anchor of its leases, drawn at random; 0: no token */
    char *bytes;         /* owned, secret */
    char accessor[VAULT_ACCESSOR_MAX_BYTES]; /* "": it has none, or isn't known */
    uint64_t expires_ms;                     /* VAULT_NEVER: never */
    int64_t life_s;                          /* what its renewals ask for */
    bool is_renewable;                       /* and renewals still give the whole life */
    bool is_periodic;                        /* known to have no last end */
    bool is_bounded;                         /* its end has been announced */
    bool is_given_up;                        /* an early one, to make room; it is ended then */
};

/* What a source held when it was last read: a digest, so that a change is noticed. */
struct vault_seen {
    unsigned char digest[32];
    bool is_set;
};

/* What the own token may do, as far as it was asked (rights.c). */
struct vault_rights {
    leased_http *http;
    uint64_t at_ms;           /* when to ask; VAULT_NEVER: not before the next login */
    uint64_t generation;      /* of the token that it is about */
    uint32_t missing;         /* by number in the table of rights.c */
    bool is_lookup;           /* the exchange looks the token up */
    bool is_isolation_denied; /* it may not make children, or not look after them */
    bool is_told_unisolated;  /* and the log says what follows */
};

/* The login's exchange. */
enum vault_own {
    VAULT_OWN_NONE,
    VAULT_OWN_WRAP_LOOKUP,
    VAULT_OWN_UNWRAP,
    VAULT_OWN_LOGIN,
    VAULT_OWN_RENEW,
    VAULT_OWN_VERIFY,
    VAULT_OWN_LOGOUT,
};

struct leased_instance {
    const struct leased_host *host;
    leased_host_context *context;
    struct vault_config config;

    struct vault_token token; /* the one in use */
    struct vault_token
        old[VAULT_OLD_TOKENS_MAX]; /* not in use any more, alive while leases hang on them */
    size_t old_count;
    bool is_unkept;        /* what is kept across restarts is an older state (kept.c) */
    bool is_kept_unproved; /* the token is from an earlier run, and wasn't looked up yet */
    uint64_t retell_at_ms; /* when to announce again the ends of tokens from an earlier run */
    struct vault_rights rights;

    enum vault_own own;
    leased_http *own_http;
    uint64_t own_sent_ms;
    bool is_own_movable; /* it was sent so that a redirect proves that it wasn't executed */
    char *candidate;     /* owned; a configured or a wrapping token while it is looked up */
    char *secret_id;     /* owned; what was unwrapped */
    char *unwanted;      /* owned; a token of ours that is to be revoked */
    leased_timer *timer; /* the next of the moments below */
    uint64_t login_at_ms;
    uint64_t renew_at_ms;
    uint64_t unwrap_at_ms;
    uint64_t watch_at_ms;   /* when to look for changed sources */
    bool is_unwrap_lost;    /* the answer to an unwrapping of ours */
    bool is_unwrap_doubted; /* it was refused once: a half-written file? */
    bool is_wrapping_new;   /* the token came after our start */
    bool is_login_awaited;  /* a login waits for the unwrapping */
    struct vault_seen seen[VAULT_SOURCE_COUNT];
    unsigned char seen_key[32]; /* of the digests */
    uint32_t login_failures;    /* in a row */
    uint32_t login_refusals;    /* of these, by Vault, of what the sources hold now */
    uint32_t renew_failures;
    bool is_verify_wanted;
    bool is_renew_denied;               /* the verification is to tell why */
    uint64_t verified_ms;               /* when a look-up last found the token alive; 0: never */
    struct vault_failure login_failure; /* the last; status 0: none since the last success */

    struct vault_issued issued; /* lately */
    struct vault_kinds kinds;
    struct vault_op *ops; /* all; doubly linked */
    size_t op_count;
    size_t queued_count;

    /* What creates something goes through standbys: the active node can't be reached from here. */
    bool needs_forwarding;

    bool is_closing;
    uint32_t close_flags;
    leased_op *close_op;
};

/* A number in [0, below). */
uint64_t vault_random(struct leased_instance *vault, uint64_t below);

/* Full jitter: [100 ms, 100 ms + 1 s · 2^failures), at most a minute. */
uint64_t vault_backoff_ms(struct leased_instance *vault, uint32_t failures);

/* A standing warning in the host's status; an empty text takes it back. */
void vault_warn(struct leased_instance *vault, const char *key, const char *text);

void vault_log(struct leased_instance *vault, uint32_t level, const char *event,
               const char *detail);

/* Goes on with closing once nothing is under way (vault.c). */
void vault_close_step(struct leased_instance *vault);

#endif
