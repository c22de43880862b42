/* One request on its way through serve/: who asks, what for, and the answer. Internal to this
 * folder. */
#ifndef LEASED_SERVE_EXCHANGE_H
#define LEASED_SERVE_EXCHANGE_H

#include "base/histogram.h"
#include "base/map.h"
#include "lease/approval.h"
#include "serve/answers.h"
#include "serve/api.h"
#include "serve/blocks.h"
#include "serve/denied.h"
#include "serve/drills.h"
#include "serve/files.h"
#include "serve/observed.h"
#include "serve/params.h"
#include "serve/seen.h"
#include "serve/vault_roles.h"
#include "serve/units.h"
#include "serve/idempotency.h"
#include "serve/watch.h"
#include "wire/json_out.h"

struct idempotent;
struct pass;
struct serve_form;
struct serve_wait;

#define EXCHANGE_MAGIC 0x65786368U
#define SERVE_RULE_MAX_BYTES 64          /* of a rule's name, as the policy's schema has it */
#define SERVE_DIGEST_BYTES 64            /* of a policy */
#define EXCHANGE_REQUEST_ID_MAX_BYTES 32 /* the prefix and a number */

struct exchange {
    uint32_t magic;
    struct serve *serve;
    const struct serve_listener *listener;
    struct env_request *request; /* NULL once the client has gone */
    uint64_t started_us;         /* env_stopwatch_us */
    enum serve_api api;          /* what it is counted as */
    const struct serve_form *form;
    struct str path_arg; /* the `{}` segment of the route, raw */
    struct access_identity identity;
    struct access_claims *claims; /* owned; what the identity borrows; NULL: none */
    struct access_issuer_wait token_wait;
    char key[ACCESS_KEY_MAX_BYTES]; /* access_identity_key */
    uint32_t admin;                 /* ACCESS_ADMIN_* */
    char request_id[EXCHANGE_REQUEST_ID_MAX_BYTES];
    struct serve_params params;
    char role[PARAMS_ROLE_MAX_BYTES + 1]; /* that is being acquired */
    struct grant *named; /* by the caller's grant token, in this turn of the loop; NULL: none */
    struct access_decision decision;
    /* What the decision and the acquire borrow from the policy, which a reload may exchange. */
    char rule[SERVE_RULE_MAX_BYTES + 1];
    char policy_digest[SERVE_DIGEST_BYTES + 1];
    struct lease_acquire acquire;
    bool is_acquiring;
    struct lease_wait wait;
    const struct serve_wait *waited; /* how it ends */
    struct env_timer wait_timer;
    bool is_waiting;
    /* What the new grant stands on, where it was approved; see approval.h. */
    struct lease_approval approval;
    bool is_approved;
    bool is_approval_used;            /* … before, by the grant that the caller holds */
    char used_by[LEASE_ID_BYTES + 1]; /* the grant that has used it; "": none */
    struct request_wait request_wait; /* for a decision */
    void (*decided)(struct exchange *x, int status);
    uint64_t decide_until_ms; /* it is waited for; 0: it isn't, or without end */
    bool is_deciding;
    bool wants_new_grant;
    struct pass *pass;           /* a request that is passed on */
    struct serve_apply *apply;   /* a policy that is being applied; NULL: none */
    struct idempotent *keyed;    /* what its Idempotency-Key stands for; NULL: it has none */
    bool is_repeated;            /* … and `named` is the grant that it has made before */
    char id[LEASE_ID_BYTES + 1]; /* of the lease or grant that the answer is about */
    struct list node;
};

/* Counts of denials for one rule, for the metrics. */
struct serve_denials {
    struct map_entry entry;
    uint64_t count;
    char rule[SERVE_RULE_MAX_BYTES + 1];
};

#define SERVE_STATUS_MAX 600
#define SERVE_API_COUNT 7
#define SERVE_REPLY_DEFAULT_BYTES (1024U * 1024U)
/* A list ends its page where one more item may not fit; the largest are leases with many grants. */
#define SERVE_ITEM_MAX_BYTES (32U * 1024U)

struct serve {
    struct serve_options options;
    bool is_ready;
    uint64_t started_ms;
    int64_t started_wall_ms;
    char request_prefix[12]; /* of the ids of this start's requests */
    uint64_t request_count;
    uint32_t exchange_count;
    struct list idle; /* exchanges for reuse */
    struct buf body;  /* the answer being written; one at a time */
    struct serve_endpoints endpoints;
    uint64_t status_counts[SERVE_API_COUNT][SERVE_STATUS_MAX]; /* answers, by API */
    struct histogram request_us;                               /* how long answers took */
    struct map denials;                                        /* rule → struct serve_denials */
    struct answers answers;
    struct denied denied;
    struct seen seen;
    struct observed observed;       /* roles */
    struct observed observed_paths; /* of which a caller can think of many */
    struct watches watches;
    struct blocks blocks;
    struct drills drills;
    struct idempotency idempotency;
    struct files files;
    struct vault_roles vault_roles;
    struct units units;
    struct access_issuers *issuers;       /* NULL: out of memory */
    struct access_containers *containers; /* NULL likewise */
};

/* A problem document (RFC 9457). Texts are borrowed until the call returns; NULL leaves a member
 * out. */
struct exchange_problem {
    uint32_t status;
    const char *code;
    const char *detail;
    const char *rule;
    const char *limit;
    const char *hint;
    int64_t until_wall_ms;   /* 0: left out */
    const char *approval;    /* id of the request that it is about */
    struct str errors;       /* several, one a line */
    uint64_t retry_after_ms; /* 0: no Retry-After */
    struct str allow;        /* methods, for 405 */
    bool close;
};

/* Number of the API's counts. */
static inline size_t serve_api_index(enum serve_api api)
{
    size_t index = 0;

    while ((1U << index) != (unsigned)api) {
        index++;
        CHECK(index < SERVE_API_COUNT);
    }
    return index;
}

/* What is wrong with a request before it is read, and what to do. */
struct serve_guard {
    uint32_t status;
    const char *problem;
    const char *hint;
};

/* NULL when exchanges_max are under way or memory is short: then the request has been answered. */
struct exchange *exchange_new(const struct serve_listener *listener, struct env_request *request);

/* Gives it back; nothing of it may be pending. */
void exchange_release(struct exchange *x);

/* Starts the JSON body of an answer. */
void exchange_json(struct exchange *x, struct json_out *json);

/* Sends the body written since exchange_json, with headers of one's own; the exchange lives on. A
 * body that memory was too short for, or that is larger than an answer may be, becomes a problem
 * instead. */
void exchange_send(struct exchange *x, struct env_reply *reply);

/* The answer went out by another way. */
void exchange_count(struct exchange *x, uint32_t status);

/* Ends the JSON body with a line, sends it and gives the exchange back. */
void exchange_reply(struct exchange *x, uint32_t status);

/* How the native API words problems; for struct serve_form. */
void exchange_problem_write(struct exchange *x, const struct exchange_problem *problem,
                            struct env_reply *reply);
extern const struct serve_form serve_native_form;

/* Begins a record of the trail about the request: who asks, where, by which API and policy. Texts
 * are borrowed from the exchange and the policy. */
void exchange_record(const struct exchange *x, const char *event, const char *outcome,
                     struct audit_record *ret_record);

/* Answers with a problem, in the words of x->form, and gives the exchange back. */
void exchange_fail(struct exchange *x, const struct exchange_problem *problem);
void exchange_fail_nomem(struct exchange *x);

/* What a status of the core means for the client. Tables of these end with status 0, which stands
 * for every other status. */
struct exchange_failure {
    int status;
    uint32_t http_status;
    const char *code;
    const char *hint;
};

/* For people, of what is blocked. */
#define EXCHANGE_BLOCKED_HINT "an operator has blocked it, and can end that (lease unblock)"

/* Where nothing but time is missing, whatever the status. */
extern const struct exchange_failure exchange_rate_failures[];

/* Answers with the problem that the table has for `status`; `why` may be empty. Where waiting helps
 * the client is told to come again after `retry_after_ms` (0: soon). */
void exchange_fail_status(struct exchange *x, const struct exchange_failure *table, int status,
                          const struct err *why, uint64_t retry_after_ms);

/* Before answering later: `finished` runs as env/server.h says, with request->user = x. */
void exchange_keep(struct exchange *x,
                   void (*finished)(struct env_request *request, bool delivered));

/* The routes one by one, to hold the API's description (config/openapi.yaml) against. False: there
 * is no such index. */
struct serve_route {
    const char *method;
    const char *path; /* "{}" stands for one segment */
    uint32_t query;   /* PARAM_* */
    uint32_t body;
};
bool serve_route_at(size_t index, struct serve_route *ret_route);

/* Handlers of the routes (see router.c): each answers, now or later. */
void serve_credentials_get(struct exchange *x);
void serve_leases_create(struct exchange *x);
void serve_leases_list(struct exchange *x);
void serve_leases_show(struct exchange *x);
void serve_leases_renew(struct exchange *x);
void serve_leases_rotate(struct exchange *x);
void serve_leases_ack(struct exchange *x);
void serve_watch(struct exchange *x);
void serve_requests_create(struct exchange *x);
void serve_requests_list(struct exchange *x);
void serve_requests_show(struct exchange *x);
void serve_requests_approve(struct exchange *x);
void serve_requests_deny(struct exchange *x);
void serve_requests_withdraw(struct exchange *x);
void serve_leases_delete(struct exchange *x);
void serve_grants_list(struct exchange *x);
void serve_grants_show(struct exchange *x);
void serve_grants_delete(struct exchange *x);
void serve_status(struct exchange *x);
void serve_livez(struct exchange *x);
void serve_readyz(struct exchange *x);
void serve_metrics(struct exchange *x);

void serve_clients_find(struct exchange *x);
void serve_aws_credentials(struct exchange *x);
void serve_gcp_token(struct exchange *x);
void serve_gcp_access(struct exchange *x);
void serve_gcp_identity(struct exchange *x);
void serve_gcp_email(struct exchange *x);
void serve_gcp_scopes(struct exchange *x);
void serve_gcp_account(struct exchange *x);
void serve_gcp_ping(struct exchange *x);
void serve_azure_role_token(struct exchange *x);
void serve_azure_token(struct exchange *x);

/* What of a question to serve_policy_explain may be said. */
#define PARAMS_OF_EXPLAIN                                                                          \
    (PARAM_SUBJECT | PARAM_ROLE | PARAM_DURATION | PARAM_REASON | PARAM_TICKET | PARAM_BINDING)
void serve_policy_explain(struct exchange *x);
void serve_policy_show(struct exchange *x);
void serve_policy_export(struct exchange *x);
void serve_policy_plan(struct exchange *x);
void serve_policy_apply(struct exchange *x);
void serve_reload(struct exchange *x);
void serve_revoke(struct exchange *x);
void serve_blocks_list(struct exchange *x);
void serve_blocks_create(struct exchange *x);
void serve_blocks_delete(struct exchange *x);

/* Where the policy comes from: members of an open object; and what is to be said about it. */
void policy_write_source(const struct serve_options *options, struct json_out *json);
void policy_warn(const struct serve_options *options, struct json_out *json);

/* There is no role of this name. */
void serve_role_unknown(struct exchange *x, struct str name);

/* The role that the body names. NULL: there is none, and the exchange has been answered. */
const struct lease_role *serve_role_of_body(struct exchange *x);

/* May the caller have the lease renewed or replaced: does it hold a grant on it, or may it revoke
 * everybody's? */
bool serve_lease_is_held(const struct exchange *x, const struct lease *lease);

/* May it end the lease, or what it holds of it? Then this does so; `wait` may be NULL. */
bool serve_lease_may_end(const struct exchange *x, const struct lease *lease);
void serve_lease_end(struct exchange *x, struct lease *lease, struct lease_wait *wait);

/* Establishes who asks. False when it has answered already, or serve_request_go_on will be called.
 */
bool serve_identify(struct exchange *x);

/* From its beginning, a second time, when what it has waited for is there. */
void serve_request_go_on(struct exchange *x);

/* Objects of the API, shared by several handlers. */
void view_write_lease(const struct exchange *x, struct json_out *json, const struct lease *lease);
void view_write_grant(struct json_out *json, const struct grant *grant);
/* `state` instead of its own; NULL: its own. */
void view_write_request(const struct exchange *x, struct json_out *json,
                        const struct request *request, const char *state);
/* The members of the object that a credential is for its consumer. What lease_credential_open or
 * the buffer says. */
int view_write_credential(struct json_out *json, struct lease_core *core,
                          const struct grant *grant) ATTR_MUST_USE;
bool view_may_see_grant(const struct exchange *x, const struct grant *grant);
bool view_may_see_lease(const struct exchange *x, const struct lease *lease);

/* Counts a denial for leased_denied_total{rule}. `rule` NULL: no rule matched. */
void metrics_count_denial(struct serve *serve, const char *rule);

#endif
