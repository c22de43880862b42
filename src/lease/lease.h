/* The lease object: one credential, its life, and who is on it. What is done with it stands in the
 * files that are named after the steps: issue.c, renew.c, rotate.c, revoke.c. */
#ifndef LEASED_LEASE_LEASE_H
#define LEASED_LEASE_LEASE_H

#include "lease/core.h"
#include "lease/credential.h"
#include "lease/index.h"
#include "lease/queue.h"
#include "lease/schedule.h"

#define LEASE_MAGIC 0x6c656173U

struct acquire_failure;
struct call;
struct holder;
struct readers;
struct role;
struct source;
struct verify;

/* What a lease does next by itself, at next_ms. */
enum lease_step {
    LEASE_STEP_NONE,
    LEASE_STEP_ISSUE, /* requested: ask again */
    LEASE_STEP_RENEW,
    LEASE_STEP_REPLACE, /* issue a successor */
    LEASE_STEP_DROP,    /* nobody holds it and nobody came for it */
    LEASE_STEP_MOVE,    /* superseded: the overlap is over */
    LEASE_STEP_LEAVE,   /* superseded: … for those that have read the successor */
    LEASE_STEP_REVOKE,  /* revoking: ask again */
};

/* A lease that is over at the issuer or being revoked can still have holders: then a successor is
 * on its way. If that fails for good, their grants end. */

/* Exists from the request until lease.issued is durable, and its place in the ledger, and the
 * credential has been tried out where its role wants that. */
#define ISSUING_MAGIC 0x69737375U

struct lease_issuing {
    uint32_t magic;
    uint32_t try_count;
    bool is_background; /* a successor: it goes on trying while it is wanted */
    bool is_late;       /* who waited for it was told to come again */
    const char *why;    /* … and why there is one; static */
    struct lease *lease;
    struct audit_write write;
    struct durable_wait *durable;          /* NULL: not waited for */
    struct verify *verify;                 /* NULL: it isn't being tried out */
    const struct acquire_failure *failure; /* while it is withdrawn: what those are told who wait */
    uint32_t unwritten_count; /* of `write` and `durable`, those that aren't on disk yet */
    char *ref; /* room for an issuer's usual reference from when the call is sent, in secret memory:
                  what comes can be revoked */
    size_t ref_room;
    size_t ref_len;    /* > 0: the credential couldn't be packed, this is all there is */
    size_t intent_len; /* > 0: what may have been made is on record under these bytes of `ref` */
    char *reason;      /* for the issuer's own audit; NULL: none */
};

struct lease {
    uint32_t magic;
    enum lease_state state : 4; /* lease_set_state alone */
    enum lease_step step : 4;
    char id[LEASE_ID_BYTES + 1];
    bool is_renewable : 1; /* as the issuer said last */
    bool is_refused : 1;   /* it refused a renewal: not asked again */
    bool is_capped : 1;    /* a maximum is near: a renewal gives less and less */
    bool is_revocable : 1;
    bool is_recorded : 1; /* lease.issued is durable, and what the ledger keeps of it */
    bool is_durable : 1;  /* it is in the ledger, or on its way there */
    bool is_forced : 1;   /* its replacement was asked for: the overlap bounds it */
    bool is_lost : 1;     /* failed: the issue may have made a credential */
    bool has_waits : 1;
    bool is_held_back : 1;   /* its revocation waits until the ledger knows of it */
    bool is_pinned : 1;      /* the ledger will tell it something */
    bool is_login_bound : 1; /* revoking: its issuer's login ends it, and nothing else */
    bool is_untold : 1;      /* adopted, which isn't on record yet */
    bool is_left : 1;        /* the daemon stops, and the next one goes on with it */
    bool is_unverified : 1;  /* issued, but not tried out yet: nobody gets it */
    bool is_drilled : 1;     /* somebody may have leaked it: no overlap; drill.h */
    /* In a row; these stay at UINT16_MAX. */
    uint16_t failure_count;        /* of the present step */
    uint16_t rotate_failure_count; /* of replacements */
    uint16_t early_death_count;    /* of its predecessors: they died before their time */
    struct role *role;
    struct source *source;   /* what it was issued from */
    struct holder *holder;   /* for whom it was issued */
    struct readers *readers; /* who else has read it, readers.h; NULL: nobody */
    struct lease_issuing *issuing;
    struct call *call; /* in flight; else NULL */
    struct index_entry by_id;
    struct list by_age;
    struct list by_holder;
    struct list by_state; /* kept for the next caller: its holder's idle leases; ending: the core's
                             leases of its state */
    struct list grants;   /* that haven't ended */
    struct wheel_entry due; /* its next deadline, whichever that is */
    struct queue_item item; /* its next call */
    struct lease *successor;
    struct lease *predecessor;
    struct credential credential; /* sealed; gone when the lease is over */
    char *last_error;             /* NULL: none */
    uint64_t anchor;
    uint64_t rule_ttl_ms; /* the rule's limit of its ttl; 0: none */
    uint64_t refresh_ms;  /* as the issuer said: its next value isn't there before; 0: not said */
    uint64_t answered_ms; /* when the present life began */
    uint64_t granted_ms;  /* the first life */
    uint64_t lifetime_ms; /* of the last answer */
    uint64_t own_end_ms;  /* of the present life, as it counts here, without its anchor */
    uint64_t expires_ms;  /* as it counts here, all limits applied */
    uint64_t ends_ms;     /* at the issuer, at the latest */
    uint64_t next_ms;     /* when `step` is due */
    uint64_t move_ms;     /* forced and superseded: when its holders are moved; else 0 */
    uint64_t rotate_after_ms; /* no replacement is issued before */
    uint64_t since_ms;        /* when the state was entered */
    uint64_t issued_ms;       /* when the issue was sent; 0: it isn't answered yet */
    uint64_t ready_position;  /* observe.h: it is there to be read */
    uint64_t event_position;  /* it was superseded, or can't be replaced; 0: neither */
    uint32_t version;
    uint32_t renewal_count;
    uint32_t grant_count;   /* length of `grants` */
    uint32_t leaving_count; /* grants that have moved on but not read the successor for sure */
    uint32_t waiting_count; /* acquires of its grants */
    uint32_t pin_count;     /* grants of any state that point here */
};

/* A lease in `requested`, with its place among the issuer's; `reason` is copied. NULL when out of
 * memory. */
struct lease *lease_new(struct role *role, struct holder *holder, const char *reason);
/* The same from a source that needn't be its role's present one, and with an id of LEASE_ID_BYTES
 * that isn't known yet; `id` NULL: a new one. */
struct lease *lease_new_from(struct source *source, struct holder *holder, const char *id,
                             const char *reason);

/* The hash by which the core's index knows it. */
uint64_t lease_id_hash(const struct index *index, struct index_entry *entry);

/* The one function that changes a state. Moves the lease between lists, counts, and checks the
 * invariants. */
void lease_set_state(struct lease *lease, enum lease_state state);

/* Is it being revoked, or over? Then it is nobody's to be given. */
static inline bool lease_is_ending(const struct lease *lease)
{
    return lease->state >= LEASE_STATE_REVOKING;
}

static inline void lease_count_up(uint16_t *count, uint16_t by)
{
    *count = (uint16_t)(*count > UINT16_MAX - by ? UINT16_MAX : *count + by);
}

/* CHECKs what must always hold. */
void lease_check(const struct lease *lease);

/* Frees a lease that is over and that nothing points to; false when something does. */
bool lease_try_free(struct lease *lease);
void lease_free(struct lease *lease);

/* The life to ask for, as role and rule have it: 0 is the issuer's default. */
uint64_t lease_ttl_ms(const struct lease *lease);

/* Takes the last answer's life over, all limits applied. Limits that change later don't cut it. */
void lease_set_life(struct lease *lease, const struct lease_result *result);

/* Applies the limits anew: the anchor's end has changed. */
void lease_limit_life(struct lease *lease);

/* The end of its life across all renewals; UINT64_MAX: none. */
uint64_t lease_max_until_ms(const struct lease *lease);

/* What a hand-out needs to be left, with a client's wish (0: none). */
uint64_t lease_needed_ms(const struct lease *lease, uint64_t wished_ms);
uint64_t lease_left_ms(const struct lease *lease);
struct schedule_life lease_life(const struct lease *lease);

/* The issuer's name. */
const char *lease_backend(const struct lease *lease);

/* Its role asks for something else now: it serves on until its successor is there. */
bool lease_is_outdated(const struct lease *lease);

/* A requested lease whose issue isn't sent yet goes over to its role's present source. */
void lease_take_source(struct lease *lease);

/* Keeps what the issuer gave, sealed. ERR_NOMEM, ERR_TOO_LARGE, ERR_LIMIT. */
int lease_seal(struct lease *lease, const struct lease_result *result) ATTR_MUST_USE;

/* Opens the packed credential (credential.h) into secret memory; empty where there is none. As
 * credential_open. */
int lease_open(const struct lease *lease, struct secret *ret_packed) ATTR_MUST_USE;

/* Sealed bytes are good for one lease alone: its id and what its role is called. */
#define LEASE_OWNER_MAX_BYTES (LEASE_ID_BYTES + 128)
struct str lease_owner(const struct lease *lease, char bytes[LEASE_OWNER_MAX_BYTES]);

/* The issuer's reference; borrowed from `packed`, or from the lease where there is nothing else. */
struct str lease_ref_of(const struct lease *lease, const struct secret *packed);

/* The issuer's reference, for a call. As lease_open. */
int lease_ref(const struct lease *lease, struct secret *ret_ref) ATTR_MUST_USE;

bool lease_can_renew(const struct lease *lease);

/* When its issuer may have another value; UINT64_MAX: it said nothing about that. */
uint64_t lease_refresh_at_ms(const struct lease *lease);
/* Issued anew only for who asks: a holder that doesn't may leave it dead. */
bool lease_is_on_demand(const struct lease *lease);
bool lease_is_shared(const struct lease *lease);

/* Somebody has it, waits for it, or will get it when it is ready. */
bool lease_is_wanted(struct lease *lease);

/* The lease that a holder of this one should get now: the newest in the chain of successors that is
 * ready and lives, whatever lies dead between; if none lives, the newest, whose successor is the
 * one to wait for. */
struct lease *lease_current(struct lease *lease);

void lease_set_error(struct lease *lease, const char *format, ...) ATTR_PRINTF(2, 3);
/* What it told is over. */
void lease_clear_error(struct lease *lease);
const char *lease_error(const struct lease *lease);

/* The step and its time, and the wheel with it; never before now + floor when it is a retry. */
void lease_set_step(struct lease *lease, enum lease_step step, uint64_t when_ms);

/* An active lease decides what comes next: renewal, replacement, or being dropped. */
void lease_plan(struct lease *lease);

/* The same after its role's settings have changed: what is overdue by that is spread. */
void lease_replan(struct lease *lease);

/* Arms the wheel for whatever comes first: the step, the expiry, the end of patience with a
 * revocation. */
void lease_arm(struct lease *lease);

/* Its wheel entry has fired. */
void lease_due(struct lease *lease);

/* --- settle.c --- */

/* A grant has left, for the reason `end`: if nobody wants the lease any more it is kept for the
 * next caller, or ended. */
void lease_settle(struct lease *lease, enum grant_end end);

/* Its role's settings have changed: one that is kept isn't kept for longer than they say. */
void settle_again(struct lease *lease);

/* Its issue was late and nobody waits any more: it is kept for those who were told to come again.
 */
void settle_late(struct lease *lease);

/* Somebody holds a lease that was kept. */
void lease_unsettle(struct lease *lease);

/* --- sharing.c --- */

/* The lease that a new grant of this holder gets without an issue; NULL: one must be issued. */
struct lease *sharing_find(struct role *role, struct holder *holder);
/* Where new grants go, when that is neither this lease nor its successor: then this one isn't
 * replaced and its holders join those, so that a shared credential isn't issued twice. NULL:
 * nowhere else. */
struct lease *sharing_elsewhere(const struct lease *lease, struct holder *holder);
/* From now on the next grants get this lease, if its role shares and they don't get another. */
void sharing_offer(struct lease *lease);
/* Nobody holds it, and the next grant may. */
void sharing_keep(struct lease *lease);
/* The next grants don't get it any more; fine if they wouldn't have. */
void sharing_withdraw(struct lease *lease);
/* The next grants get `successor` where they would have got `lease`. */
void sharing_replace(struct lease *lease, struct lease *successor);

/* --- issue.c --- */

/* May a request cause an issue now? ERR_LIMIT with a text when a number or a budget is used up;
 * what the issuer has said, when it has just refused. */
int issue_check(struct role *role, struct holder *holder, uint64_t *ret_retry_after_ms,
                struct err *e) ATTR_MUST_USE;
/* Is there room for a replacement? One is made at the limits, too, but when revocations fail for
 * long, or replacements are asked for again and again, those that are replaced pile up. */
bool issue_may_replace(const struct lease *lease);
/* Queues the issue of a requested lease; where the queue is full it is tried again soon. */
void issue_start(struct lease *lease);
/* Isn't it answered yet, or its credential not tried out? */
bool issue_is_under_way(const struct lease *lease);
/* The issuer couldn't serve, and the next try is some time away. */
bool issue_is_backing_off(const struct lease *lease);
/* ERR_NOMEM: it can't be sent now. */
int issue_fill(struct lease *lease, struct lease_call *call) ATTR_MUST_USE;
void issue_answered(struct lease *lease, const struct lease_result *result);
/* An issuer that refuses isn't asked again at once. One that can't serve is its backend's to watch,
 * unless it says when to come again; a backend that keeps calls back says when that is over. Puts
 * the time into `failure`. */
void issue_remember(struct lease *lease, struct acquire_failure *failure);

/* Nobody wants a requested lease any more. An issue that is in flight runs to its end; what it
 * brings is for who comes again after it was late, or revoked. */
void issue_drop(struct lease *lease);
/* Those who wait for this issue are told to come again. */
void issue_set_late(struct lease *lease);
/* It has been ended: what its issue brings is for nobody. */
void issue_forget_late(struct lease *lease);
void issue_forget(struct lease *lease);

/* --- issued.c --- */

/* The issuer gave a credential. */
void issue_accepted(struct lease *lease, const struct lease_result *result);
/* One of the two things that its credential waits for is on disk, or isn't (`status`). */
void issue_arrived(struct lease_issuing *issuing, int status);
/* Its credential works: the ledger is told, then holders may have it. */
void issue_verified(struct lease *lease);
/* It doesn't, and won't any more (lease_error says why): it is revoked. */
void issue_unverified(struct lease *lease);
/* Its lease, which isn't on record yet, has ended: who waits is told so, and its predecessor serves
 * on and tries again. */
void issue_overtaken(struct lease *lease, const char *why);

/* --- intent.c --- */

/* How long what its issue makes can live without being renewed. */
uint64_t intent_life_ms(const struct lease *lease);
/* Room for a reference of so many bytes, with what stands there. ERR_NOMEM: it is as it was. */
int intent_room(struct lease_issuing *issuing, size_t bytes);
/* The call's `intend`. */
int intent_start(struct lease_call *call, struct str ref, struct lease_intent *intent);
/* An issue has ended without a credential: what it may have made all the same, or has for sure
 * (`orphan_ref`), becomes a lease of its own, without a holder, that is revoked. */
void intent_left(struct lease *lease, const struct lease_result *result);

/* --- renew.c --- */

void renew_start(struct lease *lease, bool is_urgent);
/* As issue_fill. `ret_ref` holds the issuer's reference for as long as the call. */
int renew_fill(struct lease *lease, struct lease_call *call, struct secret *ret_ref) ATTR_MUST_USE;
void renew_answered(struct lease *lease, const struct lease_result *result, uint64_t asked_ms);

/* --- rotate.c --- */

/* Issues a successor, unless one is on its way, or its holders get another lease anyway. `why` goes
 * into the trail. Forced is the end of a live credential: of a dead one nobody needs to be rid.
 * ERR_NOMEM; ERR_BUSY before rotate_after_ms, unless it is forced; ERR_LIMIT when twice as many
 * leases live as may, of all, of its role or of its caller. */
int rotate_start(struct lease *lease, bool is_forced, const char *why) ATTR_MUST_USE;
/* The same; what can't be started now is tried again. */
void rotate_try(struct lease *lease, bool is_forced, const char *why);
/* A superseded lease is bounded by the overlap from now on, as if its replacement had been asked
 * for.
 */
void rotate_bound(struct lease *lease);
/* An earlier daemon's bound holds: of what is superseded, or is to be replaced. */
void rotate_recover(struct lease *lease);
/* Is a successor asked for, or issued and not yet on record? */
bool rotate_is_under_way(const struct lease *lease);
/* The successor's issue is durable. */
void rotate_done(struct lease *successor);
/* The successor's issue has failed for now and goes on trying. */
void rotate_delayed(struct lease *successor);
/* It has failed for good; `successor` is over. */
void rotate_failed(struct lease *successor);
/* It has ended before it was ready, though its issue was fine: where the old lease is dead, too,
 * its holders get another one. */
void rotate_overtaken(struct lease *successor);
/* A renewal has succeeded after all: a successor that isn't being issued yet isn't needed. */
void rotate_cancel(struct lease *lease);
/* The lease is dead or dying at its issuer and still has holders: they get a successor. */
void rotate_dead(struct lease *lease);
/* The holders that haven't read the successor are moved to it. */
void rotate_move_all(struct lease *lease);

/* --- revoke.c --- */

/* Ends a live lease at the issuer, or lets it go where that can't be. Nobody may hold it. */
void revoke_start(struct lease *lease, const char *why);
void revoke_push(struct lease *lease);
/* It isn't kept back for the ledger any longer. */
void revoke_go_on(struct lease *lease);
int revoke_fill(struct lease *lease, struct lease_call *call, struct secret *ret_ref) ATTR_MUST_USE;
void revoke_answered(struct lease *lease, const struct lease_result *result);
/* Its time is up, or the issuer has lost it. */
void lease_expire(struct lease *lease, const char *why);
/* When it isn't worth asking any longer. */
uint64_t revoke_gives_up_ms(const struct lease *lease);

#endif
