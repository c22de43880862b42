/* Operations: what the host asks for and waits on. */
#ifndef VAULT_OP_H
#define VAULT_OP_H

#include "engine_life.h"
#include "instance.h"
#include "ref.h"

enum vault_op_state {
    VAULT_OP_QUEUED,    /* waits for a login that is under way */
    VAULT_OP_CHILD,     /* asks for the token that it will be issued under */
    VAULT_OP_INTENDING, /* waits for what to revoke to be on durable record */
    VAULT_OP_SENT,
    VAULT_OP_EXTENDING,    /* issued or renewed; the child's life is being set to the lease's */
    VAULT_OP_FITTING,      /* issued; its life is being set to what was asked */
    VAULT_OP_LOOKING,      /* revoked, perhaps; is being looked up, or waits for the next look-up */
    VAULT_OP_ENDING_CHILD, /* revoked; its child token is being revoked, too */
    VAULT_OP_VERIFYING,    /* answered with 403; waits to hear whether the token is alive */
    VAULT_OP_ENDING,       /* new; or has failed before it could begin, and ends by its timer */
};

struct vault_op {
    struct vault_op *next;
    struct vault_op *previous;
    struct leased_instance *vault;
    leased_op *handle;
    enum vault_call call;
    enum vault_op_state state;
    struct vault_request request;
    uint64_t ttl_ms;
    struct vault_shape shape; /* issue; and the next three */
    int64_t refresh_s;        /* 0: not said */
    bool is_unrevoked;
    bool is_post;
    bool is_creating;    /* what was sent last */
    bool is_movable;     /* and a redirect proves that it wasn't executed */
    char *lease_id;      /* owned; renew, revoke */
    char *path;          /* owned; issue: what the lease's id must begin with */
    uint64_t generation; /* of the token that it was sent with */
    uint64_t sent_ms;
    leased_http *http;
    leased_timer *timer;
    bool is_given_up;             /* nobody waits for it any more: nothing further is sent for it */
    bool is_login_bound;          /* revoke: it ends with the login that it was asked for under */
    struct vault_failure failure; /* verifying, ending, looking */
    char *kept_body;              /* owned; pass: of a 403, while the token is looked up */
    size_t kept_body_len;
    enum vault_ref_kind ref_kind; /* renew, revoke */
    bool is_look_only;            /* revoke, of an intent: only asks whether it is gone */
    bool is_half_ended;           /* revoke, of an intent: Vault was killed in the middle of it */
    unsigned look_count;          /* revoke: look-ups so far, and at most */
    unsigned look_max;
    /* Issue: what came, while it is seen to. */
    struct vault_reply issued;
    struct vault_life life;
    uint64_t issued_under; /* generation of the own token then */
    char *made; /* owned; what revoke is to be given for it; NULL: nothing is known to exist */
    /* Isolation, and intents (isolate.c). */
    enum vault_isolate isolate;
    struct vault_request child_request; /* asks for a child */
    char *child_token;                  /* owned, secret; until the issue is sent */
    char *accessor;                     /* owned; of the child; NULL: there is none */
    bool is_orphan;                     /* the child doesn't die with the own token */
    bool is_child_asked;                /* the request that is out asks for a child */
    uint64_t child_ends_ms;
    int64_t extended_s;   /* what its last renewal asked for … */
    bool is_child_capped; /* … and didn't get: it is near its maximum */
    uint64_t parent;      /* generation of the token that has made it */
    uint64_t intended;    /* generation of the token that the intent names; 0: none */
    unsigned extend_count;
    void (*recorded)(struct vault_op *op, int32_t status); /* goes on when the intent is */
    /* Renew: what it has given so far. */
    int64_t renewed_s;
    uint32_t renewed_flags;
    uint64_t renewed_ms; /* when it was asked */
    /* Revoke: LEASED_OK or LEASED_GONE of the lease. */
    int32_t revoked_status;
};

/* What a look-up said about the token. */
enum vault_verdict {
    VAULT_TOKEN_ALIVE,
    VAULT_TOKEN_DEAD,
    VAULT_TOKEN_UNKNOWN,
};

/* ttl_ms in whole seconds, rounded up; 0: no wish. */
uint64_t vault_op_wanted_s(const struct vault_op *op);

/* Does this issue create nothing? */
bool vault_op_is_read(const struct vault_op *op);

/* NULL when out of memory. */
struct vault_op *vault_op_new(struct leased_instance *vault, leased_op *handle,
                              enum vault_call call);
void vault_op_free(struct vault_op *op);

/* Sends op->request, or lets it wait for a login, or end soon with why there is no token. Returns
 * what the start function returns; when that is < 0 the operation is gone. */
int32_t vault_op_begin(struct vault_op *op);

/* Its first request, once there is a token to send it with. 0, or -1. */
int vault_op_go(struct vault_op *op);

/* Answered with 403: looks the own token up, and ends it by what that says. */
void vault_op_denied(struct vault_op *op, const struct leased_http_reply *http);

/* Ends it with this failure, from the loop. Returns what the start function returns. */
int32_t vault_op_end_soon(struct vault_op *op, const struct vault_failure *failure);

/* Sends another request for the same operation; takes `request`. 0, or -1. */
int vault_op_send(struct vault_op *op, enum vault_op_state state, struct vault_request *request);

/* What an answer that isn't a success means to it. */
void vault_op_classify(struct vault_op *op, const struct leased_http_reply *http,
                       struct vault_failure *ret_failure);

/* Ends it; the operation is gone. `result` may be NULL. */
void vault_op_end(struct vault_op *op, int32_t status, const struct leased_result *result);
void vault_op_fail(struct vault_op *op, int32_t status, const char *detail);

/* The host's cancel. A call that creates something runs on: its answer says what to revoke. */
void vault_op_cancel(struct leased_instance *vault, const leased_op *handle);

/* For close: ends what isn't sent, cancels what is. */
void vault_ops_cancel_all(struct leased_instance *vault);

/* A login has succeeded or failed: sends or ends what waited for it. */
void vault_ops_login_ended(struct leased_instance *vault);
void vault_ops_verified(struct leased_instance *vault, enum vault_verdict verdict);

#endif
