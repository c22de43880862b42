/* The grant object: one consumer's hold on a lease. */
#ifndef LEASED_LEASE_GRANT_H
#define LEASED_LEASE_GRANT_H

#include "lease/binding.h"
#include "lease/index.h"
#include "lease/wheel.h"

#define GRANT_MAGIC 0x6772616eU

struct handout;
struct holder;
struct text;

/* What can be said about one; what is stands behind its bindings. */
enum grant_text {
    GRANT_TEXT_REASON,
    GRANT_TEXT_TICKET,
    GRANT_TEXT_BINDINGS,
    GRANT_TEXT_APPROVAL,
};
#define GRANT_TEXTS (GRANT_TEXT_APPROVAL + 1)

struct grant {
    uint32_t magic;
    enum grant_state state : 8; /* grant_set_state alone */
    enum grant_end end : 7;
    bool is_ending : 1; /* the end of its duration comes near: `due` is that end */
    char id[LEASE_ID_BYTES + 1];
    bool is_keyed : 1;         /* a caller that asks again gets this one */
    bool is_created : 1;       /* grant.created is queued: grant.ended must follow */
    bool is_read : 1;          /* the first read of `lease` is on record */
    bool is_read_counted : 1;  /* … and the hand-out that it stands for has happened */
    bool has_connection : 1;   /* bound to a connection, too: it stands behind `bindings` */
    bool is_delivered : 1;     /* an answer reached its client */
    bool awaits_ack : 1;       /* one with the successor has, too: it leaves when it says so */
    bool is_durable : 1;       /* it is in the ledger, or on its way there */
    uint8_t binding_count : 4; /* length of `bindings` */
    uint8_t watched_count : 4; /* how many of them are watched */
    uint8_t texts;             /* a bit for each enum grant_text that isn't empty */
    uint32_t acquire_count;    /* acquires that will be called back */
    int32_t pid;
    uint32_t unrecorded_reads;
    struct holder *holder;
    struct lease *lease;
    struct lease *leaving;   /* the lease before, until the successor was delivered */
    struct handout *handout; /* records being written; else NULL */
    struct text *basis; /* what it was decided on: policy and rule as C strings, what the rule wants
                           left as a uint64_t, then the caller's gid and groups when it asked, each
                           a uint32_t */
    struct index_entry by_id;
    struct list by_age;
    struct list by_holder;
    struct index_entry by_key;
    struct list by_state;
    struct list by_lease;
    struct list by_reads;
    struct grant *next_changed; /* of the core's, that have changed in this turn; the last one
                                   points to itself; NULL: not one of them */
    struct list waiting;        /* acquires */
    struct wheel_entry due;     /* the end of its duration comes near, or is there */
    uint64_t duration_ms;       /* with its window; 0: no limit */
    uint64_t event_position;    /* observe.h: it was handed out, or has ended; 0: neither */
    uint64_t ending_position;   /* its end comes near */
    int64_t created_wall_ms;
    int64_t window_wall_ms; /* it ends then, too, window.c; 0: no window */
    uint64_t own_until_ms;  /* … and this is the end of what its rule gives without it, once it is
                               created; UINT64_MAX: no limit */
    uint64_t read_count;
    uint32_t delivery_count; /* hand-outs whose delivery isn't known yet */
    uint32_t older_count;    /* … of which so many may be of a lease before this one */
    struct binding bindings[];
};

struct grant_making {
    struct lease *lease;
    struct holder *holder;
    const struct lease_acquire *acquire; /* who asks for what, and why */
    const struct binding_found *found;
    const char *id;       /* NULL: a new one */
    const char *approval; /* as the ledger has it; NULL: a new one, which has that of `acquire` */
};

/* Its memory with the texts of `making`, and room for its bindings. NULL: out of memory. */
struct grant *grant_alloc(const struct grant_making *making);

/* A pending grant; its bindings are watched from now on. ERR_NOMEM, ERR_LIMIT, or what
 * binding_start gives. */
int grant_new(const struct grant_making *making, struct grant **ret_grant) ATTR_MUST_USE;

/* The hashes by which the core's indexes know it: by its id, and by its holder and bindings. */
uint64_t grant_id_hash(const struct index *index, struct index_entry *entry);
uint64_t grant_key_hash(const struct index *index, struct index_entry *entry);

/* "" if none. */
const char *grant_reason(const struct grant *grant);
const char *grant_ticket(const struct grant *grant);
/* What it is bound to, as it was asked for: "process,pid:1234". */
const char *grant_bindings_text(const struct grant *grant);
/* What it stands on, as the ledger has it: the id, and the rule's digest or "break-glass"; "" if
 * nothing had to be approved. */
const char *grant_approval(const struct grant *grant);
/* The digest of the rule for which it was approved; NULL: none was. */
const char *grant_approved_rule(const struct grant *grant);
bool grant_is_break_glass(const struct grant *grant);
/* The policy's digest and the rule's name. */
const char *grant_policy(const struct grant *grant);
const char *grant_rule(const struct grant *grant);
/* What a credential that is read by it must have left, by its rule; 0: the role's own. Not in the
 * ledger: a start decides anew. */
uint64_t grant_min_remaining_ms(const struct grant *grant);
/* The decision's rule (NULL: none) and this policy stand behind it from now on. */
void grant_set_rule(struct grant *grant, const struct access_decision *decision,
                    const char *policy_digest);
/* The end of its duration; 0: none, or it hasn't begun. */
int64_t grant_until_wall_ms(const struct grant *grant);
/* NULL if it isn't bound to one. */
struct binding_connection *grant_connection(struct grant *grant);

/* The one function that changes a state. */
void grant_set_state(struct grant *grant, enum grant_state state);
void grant_check(const struct grant *grant);

/* The grant that this holder has for these bindings; NULL if none. */
struct grant *grant_find(const struct lease_core *core, struct holder *holder,
                         const struct binding_set *set);

/* Ends it (idempotent): its bindings, its waiting acquires, its hold on the lease, which may end
 * with it. */
void grant_end(struct grant *grant, enum grant_end end);

/* What it is bound to isn't watched any more, and nobody who asks gets it: that is in its key. */
void grant_unbind(struct grant *grant);

/* Moves a live grant to another lease; `is_read` is unset. With `is_sure` the old lease is left for
 * good, otherwise when the answer was delivered. */
void grant_move(struct grant *grant, struct lease *lease, bool is_sure);

/* The old lease is needed until then, too. */
void grant_set_leaving(struct grant *grant, struct lease *lease);

/* The old lease isn't needed any more; fine when there is none. */
void grant_leave(struct grant *grant);

/* The end of its duration; 0: none, or it hasn't begun. */
uint64_t grant_until_ms(const struct grant *grant);
/* Its duration ends then; is told a while before. */
void grant_set_until(struct grant *grant, uint64_t until_ms);
/* Its duration is over, or will be soon. */
void grant_due(struct grant *grant);

/* Frees an ended grant that nobody is to be told about; false when somebody is. */
bool grant_try_free(struct grant *grant);
void grant_free(struct grant *grant);

/* --- handout.c --- */

/* Writes the records that must be durable before the grant's holder may read `lease`, unless they
 * are being written. When they are, the grant is on that lease and its acquires are looked at
 * again. `asked` names the request. ERR_NOMEM, ERR_IO when the trail refuses, or ERR_GONE: what it
 * asks by isn't approved any more. */
int handout_start(struct grant *grant, struct lease *lease,
                  const struct lease_acquire *asked) ATTR_MUST_USE;
/* Stops waiting for the records. */
void handout_forget(struct grant *grant);
/* A hand-out of the lease that the grant is on is being put on record. */
bool handout_is_of_own_lease(const struct grant *grant);

#endif
