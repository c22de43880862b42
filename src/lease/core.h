/* The product: leases, the grants that hold them, and everything that happens to them by itself.
 *
 * A lease is one credential that an issuer issued. A grant is one consumer's hold on a lease. The
 * core issues when a grant needs a lease and none can be shared, renews and replaces leases that
 * are held, ends grants when what they are bound to ends, and revokes a lease when its last grant
 * has ended (after `linger`), again and again until the issuer confirms.
 *
 * Who may have what was decided before (access/); every state change is on record (audit/) before
 * it has an effect that a client can see. Everything here runs on the loop's thread; callbacks
 * follow the rules of env/env.h.
 *
 * Files, in the order of a credential's way: admit.c (asked for), binding.c (what ends it),
 * sharing.c (is there one?), acquire.c (waited for), issue.c, verify.c (does it work?), handout.c
 * (on record, then out),
 * window.c (when it ends), reads.c (again), plan.c (what next), renew.c, rotate.c, ack.c (moved
 * over), settle.c (nobody holds it), revoke.c. Who follows what becomes of grants: observe.h. Below
 * them: wheel.h, fsm.h (state tables), schedule.h (when), queue.h and calls.c (order, rates and
 * numbers of calls), turns.h (whose call is next), refusal.h (what isn't asked again), role.h,
 * lease.h, grant.h, holder.h, account.h (the objects), own.c (whose they are), record.h (what the
 * trail says), durable.h (what survives). What the daemon's own backends work with: lend.h. What an
 * operator changes: reload.c (roles), recheck.c (policies). */
#ifndef LEASED_LEASE_CORE_H
#define LEASED_LEASE_CORE_H

#include "access/policy.h"
#include "audit/audit.h"
#include "base/secret.h"
#include "lease/issuer.h"
#include "lease/verifier.h"

#define LEASE_ID_BYTES 34 /* "l-" and 32 hex digits; ids of grants: "g-" */
#define LEASE_REASON_MAX_BYTES 256
#define LEASE_TICKET_MAX_BYTES 128

enum lease_state {
    LEASE_STATE_REQUESTED,
    LEASE_STATE_ACTIVE,
    LEASE_STATE_RENEWING,
    LEASE_STATE_SUPERSEDED, /* a successor exists and holders are moving over */
    LEASE_STATE_REVOKING,
    LEASE_STATE_REVOKED, /* the issuer confirmed */
    LEASE_STATE_EXPIRED, /* its time is up, or it can't be revoked and nobody wants it */
    /* Should be over, but its issuer, whose word alone proves a death, has never confirmed it. */
    LEASE_STATE_UNCONFIRMED,
    LEASE_STATE_FAILED, /* was never issued */
};

enum grant_state {
    GRANT_STATE_PENDING, /* waits for its lease or its audit record */
    GRANT_STATE_HELD,
    GRANT_STATE_ENDED,
};

enum grant_end {
    GRANT_END_NONE,
    GRANT_END_RELEASED, /* its owner ended it */
    GRANT_END_REVOKED,  /* somebody else did */
    GRANT_END_DURATION,
    GRANT_END_BINDING,     /* the process, parent or connection has ended */
    GRANT_END_UNDELIVERED, /* the answer could not be delivered */
    GRANT_END_POLICY,      /* role removed, access taken away */
    GRANT_END_STOPPING,    /* the daemon stops */
    GRANT_END_FAILED,      /* its lease could not be issued or replaced */
};

const char *lease_state_str(enum lease_state state);
const char *grant_state_str(enum grant_state state);
const char *grant_end_str(enum grant_end end);

enum lease_share {
    LEASE_SHARE_NONE,
    LEASE_SHARE_IDENTITY,
    LEASE_SHARE_ROLE,
};

/* What a client may ask for. */
struct lease_role {
    const char *name;
    struct lease_issuer *issuer;
    const char *params_json; /* the plugin's keys (path, params, …) as a JSON object */
    const struct lease_field *attributes; /* not secret; part of the credential that clients see */
    size_t attribute_count;
    uint64_t ttl_ms;     /* 0: the issuer's default */
    uint64_t max_ttl_ms; /* total life across renewals */
    uint32_t renew_at_percent;
    uint64_t min_remaining_ms; /* at most half of the life that was granted counts */
    uint64_t overlap_ms;
    enum lease_share share;
    uint64_t linger_ms;
    enum access_binding binding;
    bool is_kept_on_stop;         /* its leases outlive the daemon, for the next one */
    const char *verify_json;      /* how its new credentials are tried out, in the verifier's words;
                                     NULL: they aren't */
    uint64_t verify_timeout_ms;   /* all tries together; > 0 where there are any */
    uint32_t live_max;            /* leases at once; 0: no limit but the core's */
    struct units_rate issue_rate; /* count 0: only the issuer's */
    struct units_rate renew_rate;
    struct units_rate revoke_rate;
    const struct lease_field
        *env_names; /* field → variable for `lease exec`; passed on to clients as it is */
    size_t env_name_count;
};

struct lease_approval;
struct lease_core;
struct lease;
struct grant;

struct lease_core_options {
    struct env *env;
    struct audit *audit;
    struct env_ledger *ledger;       /* borrowed until lease_core_close's callback; NULL: none */
    struct lease_verifier *verifier; /* the same; NULL: no role has a verify_json */
    uint32_t leases_max;             /* [100000] */
    uint32_t grants_max;             /* [200000] */
    /* [256] Requests that wait for one lease, or of one uid for anything. Where a lease has that
     * many, one more of each uid that waits for nothing else is taken, up to twice as many. */
    uint32_t waiting_max;
    uint64_t skew_ms;             /* [2000] taken off each lifetime */
    uint64_t acquire_timeout_ms;  /* [30000] after which who waits is told to come again */
    uint32_t leases_per_uid;      /* 0: no limit but leases_max */
    uint32_t grants_live_per_uid; /* 0: no limit but grants_max */
    /* New ones, twice as many at once; of a lease that is there ten times as many. Count 0: no
     * limit. */
    struct units_rate grants_per_uid;
};

int lease_core_new(const struct lease_core_options *options, struct lease_core **ret_core,
                   struct err *e) ATTR_MUST_USE;

/* Only when nothing is live or after a drain ran out of time; cancels calls, tells nobody, frees
 * everything. `closed` runs from the loop. */
void lease_core_close(struct lease_core *core, void (*closed)(void *user), void *user);

/* Other limits from now on; what lives already isn't cut. env and audit stay. */
void lease_core_set_options(struct lease_core *core, const struct lease_core_options *options);

/* --- what may be asked for --- */

/* NULL when there is none of this name. The pointer stays the role's while it is known; what it
 * points to changes with lease_core_set_role. */
const struct lease_role *lease_core_role(const struct lease_core *core, struct str name);

/* Adds a role, or replaces the one of that name. Everything is copied but the issuer, which lives
 * until lease_core_forget_issuer. ERR_NOMEM, ERR_INVALID (a name or attributes without end); then
 * nothing has changed.
 *
 * Another timing, sharing, budget, binding or other attributes count at once for the leases that
 * live: nothing is issued anew, and no life that has begun is cut. With another issuer or other
 * params the leases that live are renewed and revoked as they were issued. Those that are held are
 * replaced, spread over a while and within all rates, or at their holder's next read; until then,
 * and while the successor can't be issued, their holders keep them. Nobody new gets one. */
int lease_core_set_role(struct lease_core *core, const struct lease_role *role) ATTR_MUST_USE;

/* Nothing is issued for it any more; its grants end with GRANT_END_POLICY, its leases are revoked.
 * Fine when there is none. */
void lease_core_remove_role(struct lease_core *core, struct str name);

/* The issuer's limits have changed (struct lease_issuer's own); ERR_NOMEM: they count as before. */
int lease_core_set_limits(struct lease_core *core, const struct lease_issuer *issuer) ATTR_MUST_USE;

/* How many leases that aren't over, and calls, need this issuer. */
uint32_t lease_core_issuer_leases(const struct lease_core *core, const struct lease_issuer *issuer);

/* The issuer may go. Only when lease_core_issuer_leases is 0 and no role names it any more; fine
 * when the core has never heard of it. */
void lease_core_forget_issuer(struct lease_core *core, struct lease_issuer *issuer);

/* --- what an earlier daemon left in the ledger: first all leases, then all grants, then
 * lease_core_recovered, before anything is asked for --- */

struct ledger_grant;
struct ledger_lease;

/* A live lease whose credential can be opened goes on as it was, if its role is configured and its
 * issuer still holds its anchor. Every other one is shown without a holder and a credential, and is
 * revoked; its role needn't be configured any more. Everything is copied but the issuer. ERR_NOMEM;
 * ERR_INVALID when the id is known already or the record is none of ours. */
int lease_core_recover(struct lease_core *core, struct str id, const struct ledger_lease *record,
                       struct lease_issuer *issuer) ATTR_MUST_USE;

/* The lease of this id stays in the ledger as it is, for a later daemon that can go on with it; and
 * with it the grants on it. `id` is copied. */
void lease_core_recover_left(struct lease_core *core, struct str id);

/* A grant goes on if its lease does and everything that it is bound to is still there; else it
 * ends, which is on record. ERR_UNAVAILABLE: its lease was left, so the record is, too.
 * ERR_NOT_FOUND: the ledger has no such lease; the record is removed. ERR_NOMEM, ERR_INVALID as
 * above. */
int lease_core_recover_grant(struct lease_core *core, struct str id,
                             const struct ledger_grant *record) ATTR_MUST_USE;

/* What was left of a role's budget; at any moment before lease_core_recovered. A record of
 * ENV_LEDGER_SETTING that is something else is fine. ERR_INVALID: it can't be read. */
int lease_core_recover_budget(struct lease_core *core, struct str id,
                              struct str body) ATTR_MUST_USE;

/* What callers have used up of what rules give them (rates.h); at any moment before anything is
 * asked for. What has come back by now is removed. ERR_INVALID: it can't be read. ERR_NOMEM. */
int lease_core_recover_rate(struct lease_core *core, struct str id, struct str body) ATTR_MUST_USE;

/* Who has read a lease that was shared; any time after the leases, and before the grants. One whose
 * lease is over is removed. ERR_INVALID: it can't be read. ERR_NOMEM. */
int lease_core_recover_read(struct lease_core *core, struct str id, struct str body) ATTR_MUST_USE;

struct lease_recovery {
    uint64_t adopted_count; /* leases that go on */
    uint64_t revoked_count; /* … that are being ended */
    uint64_t grant_count;   /* grants that go on */
    uint64_t ended_count;   /* … that have ended */
};

/* What goes on is planned, offered and, where nobody holds it any more, ended. */
void lease_core_recovered(struct lease_core *core, struct lease_recovery *ret_recovery);

/* --- asking for a credential --- */

/* Who asks for what. Borrowed until the call returns, or where it is a part of lease_acquire until
 * the callback. */
struct lease_ask {
    const struct lease_role *role; /* as lease_core_role gives it */
    const struct access_identity *identity;
    const struct access_decision *decision; /* ACCESS_ALLOW */
    struct env_request *request; /* for a connection binding; NULL when there is no connection */
    /* The live grant that the caller's token names (token.h); NULL: none. If it is of this role it
     * is the one that is read, by what was decided for it. Else, or if a new one is asked for, a
     * caller of whom no process is known binds to the processes that it hangs on. */
    struct grant *named;
    uint64_t min_remaining_ms; /* 0: the role's */
    bool is_new_grant;         /* POST /leases: even if the caller holds one already */
};

/* One request; embedded in the caller's, lives until the callback has run. */
struct lease_acquire {
    /* Set by the caller; borrowed until the callback. */
    struct lease_ask ask;
    const char *policy_digest;
    const char *request_id;
    const char *api;    /* the interface that it came by, for the trail; static */
    const char *reason; /* NULL: none */
    const char *ticket;
    struct lease_approval *approval; /* approval.h; NULL: none is needed */
    /* status 0: `grant` and its lease are live, durable and on record, and lease_core_credential
     * gives the fields; the caller must then call lease_core_delivered. Else ERR_UNAVAILABLE (the
     * issuer can't serve, retry_after_ms says when to come again), ERR_DENIED (the issuer refuses),
     * ERR_POLICY (access was taken away meanwhile),
     * ERR_LIMIT (a budget or number is used up), ERR_BUSY (too many wait), ERR_INVALID (role or its
     * parameters are wrong), ERR_IO (no durable audit record), ERR_GONE (what it binds to has
     * ended), ERR_NOT_FOUND (there is nothing to bind to), ERR_CANCELED (stopping, or canceled). */
    void (*fn)(struct lease_acquire *acquire, int status, struct grant *grant);
    void *user;
    uint64_t retry_after_ms; /* out */
    struct err error;        /* out: for people */
    /* The core's. */
    struct list node;
    struct list by_age;
    uint64_t deadline_ms;
    struct lease_core *core;
    struct grant *grant;
    struct env_deferred deferred;
    int status;
    bool is_finishing;
    bool has_renewed;
    bool has_rotated;
};

/* May a credential leave now, one that is held already too? ERR_IO with a text when what must be on
 * disk first can't be: the trail, or the ledger. */
int lease_core_may_hand_out(const struct lease_core *core, struct err *e) ATTR_MUST_USE;

/* The fast path: the caller's own grant, if it holds one for this role (and bindings) whose
 * credential has enough life left, is first read already and audit is ready. Counts the read. NULL:
 * use lease_acquire_start. No allocation, nothing asynchronous. */
struct grant *lease_core_cached(struct lease_core *core, const struct lease_ask *ask);

/* Finds, shares or issues. ERR_CLOSED when stopping. */
int lease_acquire_start(struct lease_core *core, struct lease_acquire *acquire) ATTR_MUST_USE;

/* The client has gone; the callback still runs. A credential issued for it alone is revoked. */
void lease_acquire_cancel(struct lease_core *core, struct lease_acquire *acquire);

/* Did the answer of an acquire reach the kernel whole? `delivered` false ends a grant that was
 * never delivered before. */
void lease_core_delivered(struct lease_core *core, struct grant *grant, bool delivered);

/* A credential opened for one answer. Fields are borrowed until lease_credential_close, which
 * wipes. */
struct lease_credential {
    const struct lease_field *fields; /* the issuer's, then the role's attributes */
    size_t field_count;
    struct secret plain; /* the core's; in secret memory */
    struct lease_field storage[LEASE_FIELDS_MAX];
};

/* ERR_GONE: it isn't good any more. ERR_NOMEM: no room in secret memory. */
int lease_credential_open(struct lease_core *core, const struct lease *lease,
                          struct lease_credential *ret_credential) ATTR_MUST_USE;
void lease_credential_close(struct lease_credential *credential);

/* --- looking --- */

/* A view for the API; pointers are borrowed until the loop turns. Times are unix ms, 0: none. */
struct lease_view {
    const char *id;
    const struct lease_role *role;
    const char *backend; /* its issuer's name */
    enum lease_state state;
    uint64_t version; /* of the credential: counts up with each successor a holder gets */
    int64_t issued_wall_ms;
    int64_t expires_wall_ms;
    uint64_t expires_ms; /* the same in the env clock; 0: not issued */
    int64_t renewed_wall_ms;
    uint32_t renewal_count;
    uint32_t grant_count;
    uint64_t refresh_at_ms; /* env clock: when its issuer has the next value; 0: not known;
                               UINT64_MAX: when somebody asks */
    bool is_renewable;
    bool is_revocable;
    const char *last_error; /* "" if none */
    const char *successor;  /* id, or NULL */
    /* For whom it was issued; NULL and 0 where anybody whom the role's rules allow gets it. */
    const char *identity_key; /* access_identity_key */
    const char *user;
    const char *sans; /* names in its certificate; "" if none */
    uint32_t uid;     /* ENV_NO_ID: none */
};

struct grant_view {
    const char *id;
    const char *lease; /* id */
    const struct lease_role *role;
    enum grant_state state;
    enum grant_end end;
    uint32_t uid; /* ENV_NO_ID: none */
    const char *user;
    int32_t pid; /* 0: unknown */
    const char *unit;
    const char *container; /* its id, and what it was made from; "" if none */
    const char *image;
    const char *sans;                   /* names in its certificate; "" if none */
    const struct access_claims *claims; /* what an issuer vouches for; NULL: nothing */
    const char *identity_key; /* access_identity_key of its owner: who may see and end it */
    const char *reason;
    const char *ticket;
    struct str approval; /* id of what was approved; empty if nothing had to be */
    const char *rule;
    const char *bindings; /* as in the audit record */
    int64_t created_wall_ms;
    int64_t until_wall_ms;
    uint64_t read_count;
};

struct lease *grant_lease(const struct grant *grant);
void lease_view(const struct lease *lease, struct lease_view *ret_view);
void grant_view(const struct grant *grant, struct grant_view *ret_view);
/* Who asked, as far as it is known: without its process. Borrowed from the grant. */
void grant_identity(const struct grant *grant, struct access_identity *ret_identity);

/* NULL when unknown. Ended ones are kept for a while (a bounded number) so that clients can read
 * their end. */
struct lease *lease_core_find_lease(struct lease_core *core, struct str id);
struct grant *lease_core_find_grant(struct lease_core *core, struct str id);

/* Walk in order of creation; NULL starts. */
struct lease *lease_core_next_lease(struct lease_core *core, const struct lease *after);
struct grant *lease_core_next_grant(struct lease_core *core, const struct grant *after);
struct grant *lease_next_grant(const struct lease *lease, const struct grant *after);

/* What an identity may look at as its own: the leases that were issued for it alone or that it
 * holds a grant on, and its grants. By role, and of a role in order of creation. `after` (NULL
 * starts) is its own too. */
bool lease_is_own(const struct lease *lease, const struct access_identity *identity);
struct lease *lease_core_next_own_lease(const struct lease_core *core,
                                        const struct access_identity *identity,
                                        const struct lease *after);
struct grant *lease_core_next_own_grant(const struct lease_core *core,
                                        const struct access_identity *identity,
                                        const struct grant *after);
/* Its grants on one lease that haven't ended. */
struct grant *lease_next_own_grant(const struct lease *lease,
                                   const struct access_identity *identity,
                                   const struct grant *after);

/* The grant that lease_acquire_start would give it again, whatever became of its credential. NULL:
 * it would make a new one. */
const struct grant *lease_core_held(struct lease_core *core, const struct lease_ask *ask);

/* How many grants the identity holds for the role now, without the one that
 * lease_acquire_start would give it again (for the rules' `live` limit). */
uint32_t lease_core_live_count(struct lease_core *core, const struct lease_ask *ask);

struct lease_core_stats {
    uint64_t leases_by_state[LEASE_STATE_FAILED + 1];
    uint64_t grants_held;
    uint64_t revoke_login_bound; /* leases in revoking that end with their issuer's login alone */
    uint64_t revoke_pending;     /* leases in revoking */
    uint64_t revoke_oldest_ms;   /* how long the oldest has waited; 0: none */
    uint64_t unconfirmed_total;  /* leases that ended without their issuer's confirmation */
    uint64_t issue_total, issue_failed_total, renew_total, renew_failed_total, rotate_total,
        revoke_total, revoke_failed_total;
    uint64_t verify_total, verify_failed_total; /* credentials that were tried out */
    uint64_t sealed_bytes;                      /* credentials at rest */
};
void lease_core_stats(const struct lease_core *core, struct lease_core_stats *ret_stats);

/* Roles in the order in which they were added (NULL starts), and how many leases of one are in each
 * state. */
const struct lease_role *lease_core_next_role(const struct lease_core *core,
                                              const struct lease_role *after);
void lease_core_role_counts(const struct lease_core *core, const struct lease_role *role,
                            uint32_t ret_counts[LEASE_STATE_FAILED + 1]);

/* How long its credentials ride out an outage of the issuer, at the worst moment of their life, by
 * the last life that the issuer gave; UINT64_MAX: it gave none yet. */
uint64_t lease_core_role_tolerance_ms(const struct lease_role *role);

/* CHECKs every invariant of the core, its leases, grants and wheel. O(everything); for tests and
 * the simulator. */
void lease_core_check(const struct lease_core *core);

/* Leases of this issuer that a drain has left for the next daemon. */
uint32_t lease_core_left_count(const struct lease_core *core, const struct lease_issuer *issuer);

/* Calls queued or in flight at an issuer. */
uint32_t lease_core_issuer_load(const struct lease_core *core, const struct lease_issuer *issuer);

/* --- doing --- */

/* What a caller asks an issuer to do for a lease that it has costs it as much as a new grant:
 * renewals and replacements that it asks for are charged here, before they are started, and so are
 * requests for approvals. ERR_LIMIT when its rate of new grants is used up, with the time after
 * which it isn't; ERR_NOMEM. */
int lease_core_charge(struct lease_core *core, const struct access_identity *identity,
                      uint64_t *ret_retry_after_ms, struct err *e) ATTR_MUST_USE;

/* One operation on a lease or grant that somebody waits for; embedded, lives until the callback. */
struct lease_wait {
    void (*fn)(struct lease_wait *wait, int status);
    void *user;
    struct err error; /* out */
    /* The core's. */
    struct list node;
    struct lease *lease;
    int kind;
};

/* Renews now; what others wait for goes first. Callback: 0, or why not (ERR_DENIED,
 * ERR_UNAVAILABLE, ERR_GONE, ERR_UNSUPPORTED: not renewable). ERR_BUSY when a renewal runs. */
int lease_renew_start(struct lease_core *core, struct lease *lease,
                      struct lease_wait *wait) ATTR_MUST_USE;

/* Issues a successor now; holders get it at their next read, the old lease lives on for `overlap`.
 * Callback: 0, or why not (ERR_GONE: the lease isn't active or nobody holds it; ERR_LIMIT: twice as
 * many leases as its role or its caller may have are live; what the issue gives). */
int lease_rotate_start(struct lease_core *core, struct lease *lease,
                       struct lease_wait *wait) ATTR_MUST_USE;

/* Ends a grant (idempotent). When it was the last, its lease is revoked. `wait` (may be NULL) runs
 * with 0 when the issuer confirmed the revocation or other holders keep the lease. */
void lease_end_grant(struct lease_core *core, struct grant *grant, enum grant_end end,
                     struct lease_wait *wait);

/* Ends all grants of a lease and revokes it without linger. Where its issue is under way, what that
 * brings is revoked, and `wait` runs then. */
void lease_end(struct lease_core *core, struct lease *lease, enum grant_end end,
               struct lease_wait *wait);

/* Nobody waits any more; fn won't run. */
void lease_wait_forget(struct lease_wait *wait);

/* Leases of this issuer with this anchor can't live past when_ms (0: dead now; UINT64_MAX:
 * unbounded). */
void lease_core_anchor_ends(struct lease_core *core, struct lease_issuer *issuer, uint64_t anchor,
                            uint64_t when_ms, const char *reason);

/* No new acquires; ends all grants and revokes all leases, but with `is_kept` those that the next
 * daemon can go on with: of roles that say so, in the ledger, with a holder that isn't bound to a
 * connection. `wait` runs with 0 when nothing else is live, or ERR_TIMEOUT at the deadline, when
 * what is left is logged and noted. */
void lease_core_drain(struct lease_core *core, uint64_t deadline_ms, bool is_kept,
                      struct lease_wait *wait);

/* The drain isn't waited for any longer: what is left is logged and noted. Returns how many leases
 * that is. */
uint32_t lease_core_drain_now(struct lease_core *core);

#endif
