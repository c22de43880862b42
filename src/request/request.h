/* Requests for access that takes an approval: from being asked for until used, or ended.
 *
 * An approval is bound to exactly what was asked: role, duration, reason, ticket, kinds of binding,
 * identity, and the rule by its digest. It is used once, for one grant. A break-glass request is
 * approved by itself, and stands to be reviewed until somebody who may approve has looked at it.
 *
 * What changes is put into the ledger and the trail first, and counts when it is there; meanwhile
 * the request is `is_writing`. What runs out of time ends at once. */
#ifndef LEASED_REQUEST_REQUEST_H
#define LEASED_REQUEST_REQUEST_H

#include "access/policy.h"
#include "audit/audit.h"

#define REQUEST_ID_BYTES 34 /* "q-" and 32 hex digits */
#define REQUEST_REASON_MAX_BYTES 256
#define REQUEST_TICKET_MAX_BYTES 128
#define REQUEST_COMMENT_MAX_BYTES 256
#define REQUEST_WHO_MAX_BYTES 80
#define REQUEST_APPROVALS_MAX 8
#define REQUEST_BINDINGS_MAX_BYTES (ACCESS_BINDINGS_MAX * (ACCESS_BINDING_TEXT_MAX_BYTES + 1))

/* In all: those that are over are kept for a day to be looked at, and go before that where there is
 * no room. Of one user (a uid, or a certificate): that wait to be decided, used or reviewed. The
 * last of all places are for users who have few, so that some who take all they may don't keep the
 * others out. */
#define REQUESTS_MAX 1024U
#define REQUESTS_RESERVE 256U
#define REQUESTS_OPEN_MAX 32U
#define REQUESTS_OPEN_FEW 4U
#define REQUESTS_KEPT_MS (24ULL * 3600 * 1000)

enum request_state {
    REQUEST_PENDING,
    REQUEST_APPROVED, /* and not used yet */
    REQUEST_USED,     /* for a grant */
    REQUEST_DENIED,
    REQUEST_WITHDRAWN,
    REQUEST_EXPIRED, /* not decided, or not used, in time */
    REQUEST_STALE,   /* the rule that asked for the approval isn't the policy's any more */
};

/* Of a break-glass request, by those who could have approved it. */
enum request_review {
    REQUEST_REVIEW_NONE, /* it isn't one */
    REQUEST_REVIEW_PENDING,
    REQUEST_REVIEW_APPROVED,
    REQUEST_REVIEW_DENIED,
};

const char *request_state_str(enum request_state state);
const char *request_review_str(enum request_review review); /* "" for none */

struct request;
struct requests;

struct requests_options {
    struct env *env; /* all of these are borrowed and outlive it */
    struct audit *audit;
    struct env_ledger *ledger; /* NULL: they end with the daemon */
    const struct access_policy *policy;
    /* Does this grant live? Is it to be ended now: its break-glass request was denied. Not called
     * before requests_recovered. */
    bool (*grant_lives)(void *user, const char *grant);
    void (*grant_end)(void *user, const char *grant);
    void *user;
};

int requests_new(const struct requests_options *options, struct requests **ret_requests,
                 struct err *e) ATTR_MUST_USE;

/* Who waits is forgotten; the ledger keeps what is there. */
void requests_free(struct requests *requests);

/* What an earlier daemon has left: for each record of ENV_LEDGER_REQUEST, then once the second,
 * with the policy of now, when its grants are known. ERR_INVALID with a text (the record stays),
 * ERR_NOMEM, ERR_LIMIT. */
int requests_recover(struct requests *requests, struct str id, struct str body,
                     struct err *e) ATTR_MUST_USE;
void requests_recovered(struct requests *requests, const struct access_policy *policy);

/* From now on this policy says who may approve; requests whose rule it doesn't have end. */
void requests_set_policy(struct requests *requests, const struct access_policy *policy);

/* Those that wait to be decided, and those that wait to be reviewed. */
uint32_t requests_pending_count(const struct requests *requests);
uint32_t requests_review_count(const struct requests *requests);

/* --- asking --- */

/* What is asked for; borrowed until the call returns. */
struct request_ask {
    const struct access_identity *identity;
    const char *role;
    enum access_binding role_binding;
    uint64_t duration_ms; /* 0: not said; these four fit whatever was asked then */
    const char *reason;   /* NULL: not said */
    const char *ticket;
    struct access_binding_spec bindings[ACCESS_BINDINGS_MAX];
    size_t binding_count;
    bool is_break_glass;
};

/* What a new one is made from. */
struct request_making {
    const struct request_ask *ask;
    const char *backend;
    /* What the policy has said: its rule, what that asks, how long the grant may last. */
    const struct access_decision *decision;
    const char *policy_digest;
    const char *listener; /* where it came by, for the trail */
    const char *api;
};

/* The one that this caller has for it: approved or used by a grant that lives, else pending. NULL:
 * none. A break-glass one is found whether it is asked for so or not. */
struct request *requests_find(const struct requests *requests, const struct request_ask *ask);

/* Of what may be asked for with a role. */
enum request_part {
    REQUEST_PART_DURATION = 1,
    REQUEST_PART_REASON = 2,
    REQUEST_PART_TICKET = 4,
    REQUEST_PART_BINDINGS = 8,
};

/* One that this caller has for the role, but for something else: approved and not used, else
 * pending. `ret_parts`: in what it is another, bits of enum request_part. NULL: none. */
struct request *requests_find_other(const struct requests *requests, const struct request_ask *ask,
                                    uint32_t *ret_parts);

/* Makes one; it is there when it has been written (request_wait_start). ERR_LIMIT (with a text),
 * ERR_NOMEM, ERR_IO: the trail or the ledger doesn't take it. */
int requests_make(struct requests *requests, const struct request_making *making,
                  struct request **ret_request, struct err *e) ATTR_MUST_USE;

/* --- waiting --- */

/* Embedded in its owner. `status` 0: it has come, and the request is there; else what was being
 * written isn't on disk (ERR_IO), or the request is gone. Runs from the loop, once. */
struct request_wait {
    void (*fn)(struct request_wait *wait, int status);
    void *user;
    bool is_for_decision; /* until it isn't pending; else until nothing is being written */
    struct list node;
};

/* False: there is nothing to wait for; `fn` won't run. */
bool request_wait_start(struct request *request, struct request_wait *wait) ATTR_MUST_USE;
/* `fn` won't run; fine on one that doesn't wait. */
void request_wait_stop(struct request_wait *wait);

/* --- deciding --- */

enum request_verb {
    REQUEST_APPROVE, /* of a break-glass one: it has been reviewed */
    REQUEST_DENY,    /* … its grant ends with it */
    REQUEST_WITHDRAW,
};

/* Who says it, and how; borrowed until the call returns. */
struct request_voice {
    enum request_verb verb;
    const struct access_identity *identity;
    const char *comment; /* NULL: none */
    const char *listener;
    const char *api;
};

/* May this caller approve and deny it, now? ERR_DENIED with a text that says why not. */
int request_may_decide(const struct request *request, const struct access_identity *identity,
                       struct err *e) ATTR_MUST_USE;

/* Is it this caller's own? */
bool request_is_own(const struct request *request, const struct access_identity *identity);

/* 0: it is being written, or has been said before by the same; wait for it with
 * request_wait_start. With a text: ERR_DENIED (who may not), ERR_EXISTS (it has been decided
 * otherwise, or is over), ERR_BUSY (something else is being written), ERR_NOMEM, ERR_IO. */
int request_say(struct request *request, const struct request_voice *voice,
                struct err *e) ATTR_MUST_USE;

/* --- using --- */

/* The approval is used by this grant, which is put on record in the same turn of the loop.
 * ERR_GONE: it isn't there any more; ERR_BUSY, or what the ledger says. */
int request_use(struct request *request, const char *grant) ATTR_MUST_USE;

/* The grant has come to nothing: it may be used again, if its time isn't over. Fine when it was
 * another grant that has used it. */
void request_give_back(struct request *request, const char *grant);

/* --- looking --- */

struct request_approval {
    const char *who;
    const char *comment; /* "" if none */
    int64_t at_wall_ms;
};

/* Borrowed until the loop turns. "" and 0: none. Times are unix ms. */
struct request_view {
    const char *id;
    enum request_state state;
    enum request_review review;
    bool is_writing; /* it isn't there yet */
    bool is_break_glass;
    const struct access_identity *identity; /* who asked */
    const char *key;                        /* access_identity_key */
    const char *person;                     /* NULL: not known */
    const char *role;
    const char *backend;
    uint64_t duration_ms; /* of the grant; 0: no limit */
    const char *reason;
    const char *ticket;
    const char *bindings;
    const char *rule;
    const char *rule_digest;
    const char *why; /* it has ended so */
    const char *grant;
    uint32_t needed_count;
    int64_t created_wall_ms;
    int64_t decide_by_wall_ms;
    int64_t use_by_wall_ms;
    int64_t ended_wall_ms;
    struct request_approval approvals[REQUEST_APPROVALS_MAX];
    size_t approval_count;
};

void request_view(const struct request *request, struct request_view *ret_view);

/* Names of those who have approved, for the trail; borrowed from the request. */
size_t request_approvers(const struct request *request,
                         const char *ret_names[REQUEST_APPROVALS_MAX]);

/* NULL when unknown. */
struct request *requests_get(const struct requests *requests, struct str id);

/* In order of creation; NULL starts. */
struct request *requests_next(const struct requests *requests, const struct request *after);

#endif
