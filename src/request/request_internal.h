/* Between the files of request/. */
#ifndef LEASED_REQUEST_REQUEST_INTERNAL_H
#define LEASED_REQUEST_REQUEST_INTERNAL_H

#include "base/map.h"
#include "request/fsm.h"

#define REQUEST_MAGIC 0x72657175U
#define REQUEST_NAME_MAX_BYTES 64
#define REQUEST_DIGEST_MAX_BYTES 80
#define REQUEST_WHY_MAX_BYTES 160
#define REQUEST_MARK_MAX_BYTES 528
#define REQUEST_MARKS_MAX_BYTES (5 * (REQUEST_MARK_MAX_BYTES + 8))

/* One user's, whatever they are for: of a uid, or of a certificate or job without one. */
struct request_asker {
    struct map_entry entry;
    struct list requests; /* by_asker */
    uint32_t open_count;
    char key[];
};

/* What changes of a request. */
struct request_standing {
    enum request_state state;
    enum request_review review;
    size_t approval_count;
    uint64_t until_ms;  /* open: then it expires, in the env's clock; over: then it is forgotten */
    uint64_t use_by_ms; /* the same of the time to use it */
    int64_t use_by_wall_ms;
    int64_t ended_wall_ms;
    char grant[REQUEST_ID_BYTES + 1];
    char why[REQUEST_WHY_MAX_BYTES + 1];
};

struct request_vote {
    int64_t at_wall_ms;
    char who[REQUEST_WHO_MAX_BYTES + 1];
    char marks[REQUEST_MARKS_MAX_BYTES + 1]; /* who has one of these has voted, too */
    char comment[REQUEST_COMMENT_MAX_BYTES + 1];
};

struct request {
    uint32_t magic;
    struct requests *requests;
    struct map_entry by_id;
    struct list by_age;
    struct list by_asker;
    struct request_asker *asker;
    struct list waits;
    struct env_timer timer; /* standing.until_ms */
    struct access_identity identity;
    struct access_claims *claims; /* owned; what the identity borrows; NULL: none */
    char id[REQUEST_ID_BYTES + 1];
    char key[ACCESS_KEY_MAX_BYTES];
    char listener[REQUEST_NAME_MAX_BYTES + 1]; /* what the identity borrows */
    char role[REQUEST_NAME_MAX_BYTES + 1];
    char backend[REQUEST_NAME_MAX_BYTES + 1];
    char reason[REQUEST_REASON_MAX_BYTES + 1];
    char ticket[REQUEST_TICKET_MAX_BYTES + 1];
    char bindings[REQUEST_BINDINGS_MAX_BYTES + 1];
    char rule[REQUEST_NAME_MAX_BYTES + 1];
    char rule_digest[REQUEST_DIGEST_MAX_BYTES + 1];
    char policy[REQUEST_DIGEST_MAX_BYTES + 1];
    uint64_t duration_ms;
    uint64_t use_within_ms;
    uint32_t needed_count;
    bool is_break_glass;
    int64_t created_wall_ms;
    int64_t decide_by_wall_ms;
    struct request_vote *votes[REQUEST_APPROVALS_MAX]; /* owned; now.approval_count of them count */
    struct request_standing now;
    /* What is on its way to disk. */
    struct request_standing next;
    struct audit_write write;
    bool is_writing;
    bool is_written; /* it was there once: it is known by its id */
};

struct requests {
    struct requests_options options;
    struct map by_id; /* also the order of creation */
    struct list by_age;
    struct map askers;
};

/* What the ledger's record of a request and those who look at it have by its own names, as
 * initializers; borrowed from both. */
#define REQUEST_TOLD(request, standing)                                                            \
    .role = (request)->role, .backend = (request)->backend, .duration_ms = (request)->duration_ms, \
    .reason = (request)->reason, .ticket = (request)->ticket, .bindings = (request)->bindings,     \
    .rule = (request)->rule, .rule_digest = (request)->rule_digest,                                \
    .needed_count = (request)->needed_count, .is_break_glass = (request)->is_break_glass,          \
    .created_wall_ms = (request)->created_wall_ms,                                                 \
    .decide_by_wall_ms = (request)->decide_by_wall_ms, .why = (standing)->why,                     \
    .grant = (standing)->grant, .use_by_wall_ms = (standing)->use_by_wall_ms,                      \
    .ended_wall_ms = (standing)->ended_wall_ms, .approval_count = (standing)->approval_count

/* The same of one who has approved. */
#define REQUEST_VOTE_TOLD(vote)                                                                    \
    .who = (vote)->who, .comment = (vote)->comment, .at_wall_ms = (vote)->at_wall_ms

/* --- store.c --- */

/* An empty one in no state yet, linked nowhere; request_discard. NULL: out of memory. */
struct request *request_alloc(struct requests *requests);
void request_discard(struct request *request);

/* It is one of them from now on. ERR_NOMEM, ERR_EXISTS. */
int request_join(struct request *request) ATTR_MUST_USE;

/* It is gone, from the ledger too; who waits for it is told `status`. */
void request_forget(struct request *request, int status);

/* Whose number of open requests is limited: a job's token makes nobody more than one. Returns
 * `out`. */
const char *asker_key(const struct access_identity *identity, char out[ACCESS_KEY_MAX_BYTES]);

/* It takes a place of its asker's. */
bool request_is_open(const struct request_standing *standing);

/* It is over, or used by a grant that has ended, and nobody has to review it. */
bool request_is_done(const struct request *request);

/* Copies what `identity` says; the claims are shared. ERR_NOMEM. */
int request_set_identity(struct request *request,
                         const struct access_identity *identity) ATTR_MUST_USE;

/* Tells who waits for what is the case now; the request may be gone afterwards. */
void request_wake(struct request *request, int status);

/* --- change.c --- */

/* What is to be put on record about a change. */
struct request_event {
    const char *event; /* "request.approved" */
    const char *outcome;
    const struct access_identity *identity; /* whose doing it is; NULL: the requester's */
    const char *listener;
    const char *api;
    const char *comment; /* NULL: none */
};

/* Its `next` goes to disk, then it is `now`. ERR_BUSY, or what the ledger and the trail say: then
 * nothing changes. */
int change_start(struct request *request, const struct request_event *event) ATTR_MUST_USE;

/* Its `next` is `now` at once, and goes to disk as far as it can. */
void change_note(struct request *request, const struct request_event *event);

/* The same without a record of its own. */
void change_apply(struct request *request);

/* `next` becomes what is `now`, to be changed. */
void change_begin(struct request *request);

/* It ends so, in `next`. */
void change_end(struct request *request, enum request_state state, const char *why);

/* Arms the timer for what is `now`. */
void change_schedule(struct request *request);

/* --- durable.c --- */

/* Puts what `standing` says into the ledger. Fine where there is none. */
int durable_put_request(struct request *request,
                        const struct request_standing *standing) ATTR_MUST_USE;
/* The same where nobody waits for it. */
void durable_note_request(struct request *request);
void durable_remove_request(struct request *request);

/* --- decide.c --- */

/* Who it is, for people. Returns `out`. */
const char *decide_who(const struct access_identity *identity, char out[REQUEST_WHO_MAX_BYTES + 1]);

#endif
