/* Passing a request on, under the backend's own login.
 *
 * Happy path: policy allows path and verb → path.called is on record → the backend's call → the
 * answer, which creates nothing that somebody would have to end, goes to the client as it is.
 *
 * A wrapped answer hides what is in it. So what reads is asked for once without, looked at, and
 * then asked for again to be wrapped; what writes is wrapped only where it can't create a lease.
 *
 * Failure paths: denied (on record, nothing reaches the issuer); no record; the backend can't take
 * it now; no answer. An answer with a lease or a token in it is nobody's: it is ended at the issuer
 * and refused, with the role that would have to be defined. The client may go away: the call is
 * given up, and what it brings all the same is ended. */
#include "serve/vault_pass.h"

#include "base/log.h"
#include "base/mem.h"
#include "serve/decide.h"
#include "wire/json_bounds.h"

#include <stdio.h>
#include <string.h>

#define PASS_MAGIC 0x70617373U
#define END_TRIES_MAX 3
#define ANSWER_DEPTH_MAX 32
#define ANSWER_VALUES_MAX 20000
#define CONTENT_TYPE_MAX_BYTES 128
#define TARGET_MAX_BYTES BACKEND_CALL_PATH_MAX_BYTES

/* What the client is told in place of an answer that would have handed out something that nobody
 * ends. */
static const char lease_hint[] =
    "define a role with this path, so that leased renews the credential and revokes it at its end";

struct pass {
    uint32_t magic;
    struct exchange *x;
    struct backend *backend;
    struct audit_write write;
    struct backend_call call;
    struct env_http_header headers[VAULT_PASS_HEADERS_MAX];
    size_t header_count;
    struct vault_pass_request request; /* texts are the pass's own */
    bool is_probe;                     /* the answer is looked at, then asked for again, wrapped */
    bool is_gone;                      /* nobody waits for the answer any more */
    bool is_calling;
    /* While something is being ended that an answer has brought. */
    char *end_target;
    char *end_body;
    uint32_t end_count;
};

static void pass_free(struct pass *pass)
{
    size_t i;

    for (i = 0; i < pass->header_count; i++) {
        mem_free((char *)(uintptr_t)pass->headers[i].value.ptr);
    }
    serve_vault_pass_request_fini(&pass->request);
    mem_free(pass->end_target);
    mem_free(pass->end_body);
    mem_free(pass);
}

/* Answers with a problem, unless the client has gone; the pass is over. */
static void pass_fail(struct pass *pass, const struct exchange_problem *problem)
{
    struct exchange *x = pass->x;

    if (pass->is_gone) {
        exchange_release(x);
    } else {
        x->request->finished = NULL;
        exchange_fail(x, problem);
    }
    pass_free(pass);
}

/* --- what an answer has brought ----------------------------------------------------------------
 */

static void pass_end(struct pass *pass);

/* The client, and its listener, may have gone. */
static void leak_log(const struct pass *pass, const char *detail)
{
    log_event(LOG_LEVEL_ERROR, "vault.pass.unrevoked", "backend",
              backend_issuer(pass->backend)->name, "request", pass->x->request_id, "detail", detail,
              "hint", "it lives to the end of its own ttl; revoke it at the issuer", NULL);
}

static void pass_refuse_lease(struct pass *pass)
{
    pass_fail(pass, &(struct exchange_problem){
                        .status = 403,
                        .code = "denied",
                        .detail = "the answer brought a lease or a token, which nobody would end; "
                                  "leased has ended it",
                        .hint = lease_hint});
}

static void pass_ended(struct backend_call *call, const struct backend_call_result *result)
{
    struct pass *pass = OBJ_CAST(call->user, struct pass, PASS_MAGIC);
    bool is_ended = result->outcome == LEASE_OUTCOME_OK && result->status < 300;

    pass->is_calling = false;
    if (!is_ended && ++pass->end_count < END_TRIES_MAX &&
        result->outcome != LEASE_OUTCOME_CANCELED) {
        pass_end(pass); /* self may be gone */
        return;
    }
    if (!is_ended) {
        leak_log(pass, result->detail);
    }
    pass_refuse_lease(pass);
}

static void pass_end(struct pass *pass)
{
    int r;

    pass->call = (struct backend_call){.method = "POST",
                                       .path = pass->end_target,
                                       .body = str_of(pass->end_body),
                                       .is_repeatable = true,
                                       .fn = pass_ended,
                                       .user = pass};
    r = backend_call_start(pass->backend, &pass->call);
    pass->is_calling = r == 0;
    if (r != 0) {
        leak_log(pass, err_str(r));
        pass_refuse_lease(pass);
    }
}

/* Ends what `key` of the answer names, in the namespace that it was made in. */
static void pass_end_begin(struct pass *pass, const char *path, const char *key, const char *value)
{
    struct str space = str_of(pass->request.namespace_path);
    size_t size = space.len + strlen(path) + 8;
    json_t *body = json_pack("{s:s}", key, value);

    pass->end_target = mem_calloc(1, size);
    pass->end_body = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (pass->end_target == NULL || pass->end_body == NULL) {
        leak_log(pass, err_str(ERR_NOMEM));
        pass_refuse_lease(pass);
        return;
    }
    (void)snprintf(pass->end_target, size, "/v1/%s%s", space.ptr, path);
    pass_end(pass);
}

/* --- the answer --------------------------------------------------------------------------------
 */

static void pass_send(struct pass *pass, const struct backend_call_result *result)
{
    struct exchange *x = pass->x;
    char type[CONTENT_TYPE_MAX_BYTES] = "";
    struct env_reply reply = {.status = result->status, .body = result->body};
    size_t i;

    for (i = 0; i < result->header_count && reply.header_count < ARRAY_LEN(reply.headers); i++) {
        const struct env_http_header *header = &result->headers[i];

        if (str_eq_c(header->name, "content-type")) {
            (void)snprintf(type, sizeof(type), "%.*s", STR_ARG(header->value));
            reply.content_type = type;
        } else if (!str_eq_c(header->name, "x-vault-namespace")) {
            reply.headers[reply.header_count++] =
                (struct env_request_header){.name = header->name, .value = header->value};
        }
    }
    if (pass->is_gone) {
        exchange_release(x);
    } else {
        x->request->finished = NULL;
        exchange_count(x, reply.status);
        env_request_reply(x->request, &reply);
        exchange_release(x);
    }
    pass_free(pass);
}

static bool is_json(const struct backend_call_result *result)
{
    size_t i;

    for (i = 0; i < result->header_count; i++) {
        if (str_eq_c(result->headers[i].name, "content-type")) {
            return str_starts_with(result->headers[i].value, "application/json");
        }
    }
    return false;
}

/* 0 with the answer's tree (NULL: it has none); ERR_INVALID: it says that it is JSON, and can't be
 * read. */
static int read_answer(const struct backend_call_result *result, json_t **ret_root)
{
    json_t *root;

    *ret_root = NULL;
    if (result->body.len == 0 || !is_json(result)) {
        return 0;
    }
    if (!json_bounds_hold(result->body, ANSWER_DEPTH_MAX, ANSWER_VALUES_MAX)) {
        return ERR_INVALID;
    }
    root = json_loadb(result->body.ptr, result->body.len,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    *ret_root = root;
    return root != NULL ? 0 : ERR_INVALID;
}

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* What was wrapped elsewhere is somebody's already. True: the pass goes on to end what the answer
 * has brought. */
static bool pass_has_lease(struct pass *pass, json_t *root)
{
    const char *lease_id = text_of(root, "lease_id");
    const char *token = text_of(json_object_get(root, "auth"), "client_token");

    if (pass->request.is_unwrap) {
        return false;
    }
    if (lease_id[0] != '\0') {
        pass_end_begin(pass, "sys/leases/revoke", "lease_id", lease_id);
        return true;
    }
    if (token[0] != '\0') {
        pass_end_begin(pass, "auth/token/revoke", "token", token);
        return true;
    }
    return false;
}

static void pass_call(struct pass *pass);

static void pass_answered(struct pass *pass, const struct backend_call_result *result)
{
    json_t *root;
    bool is_being_ended = false;
    int r = result->status < 300 ? read_answer(result, &root) : 0;

    if (r != 0) {
        pass_fail(pass, &(struct exchange_problem){
                            .status = 502,
                            .code = "issuer_unavailable",
                            .detail = "the issuer's answer can't be read, so it isn't passed on"});
        return;
    }
    if (result->status < 300) {
        is_being_ended = pass_has_lease(pass, root); /* self may be gone */
        json_decref(root);
    }
    if (is_being_ended) {
        return;
    }
    if (pass->is_probe && result->status < 300 && !pass->is_gone) {
        pass->is_probe = false;
        pass_call(pass);
    } else {
        pass_send(pass, result);
    }
}

static const struct exchange_failure no_answer[] = {
    {LEASE_OUTCOME_DENIED, 502, "issuer_unavailable",
     "the issuer refuses leased itself: its policy there must allow the path"},
    {LEASE_OUTCOME_GONE, 404, "not_found", NULL},
    {LEASE_OUTCOME_INVALID, 400, "invalid", NULL},
    {LEASE_OUTCOME_LOST, 502, "issuer_unavailable", "whether it was done isn't known"},
    {LEASE_OUTCOME_CANCELED, 503, "degraded", "leased is stopping"},
    {0, 503, "issuer_unavailable", "try again later"},
};

static void pass_unanswered(struct pass *pass, const struct backend_call_result *result)
{
    const struct exchange_failure *table = no_answer;
    struct exchange_problem problem;

    while (table->status != 0 && table->status != (int)result->outcome) {
        table++;
    }
    problem = (struct exchange_problem){.status = table->http_status,
                                        .code = table->code,
                                        .detail = result->detail,
                                        .hint = table->hint};
    if (table->http_status == 503) {
        problem.retry_after_ms = result->retry_after_ms > 0 ? result->retry_after_ms : 1000;
    }
    pass_fail(pass, &problem);
}

static void pass_called(struct backend_call *call, const struct backend_call_result *result)
{
    struct pass *pass = OBJ_CAST(call->user, struct pass, PASS_MAGIC);

    pass->is_calling = false;
    if (result->outcome == LEASE_OUTCOME_OK) {
        pass_answered(pass, result);
    } else {
        pass_unanswered(pass, result);
    }
}

/* --- sending -----------------------------------------------------------------------------------
 */

static void pass_call(struct pass *pass)
{
    int r;

    pass->call = (struct backend_call){
        .method = pass->request.method,
        .path = pass->request.target,
        .headers = pass->headers,
        /* The header that wraps is the last one. */
        .header_count = pass->header_count - (pass->is_probe ? 1 : 0),
        .body = pass->request.body,
        .is_repeatable = pass->request.is_read,
        .fn = pass_called,
        .user = pass,
    };
    r = backend_call_start(pass->backend, &pass->call);
    pass->is_calling = r == 0;
    if (r == ERR_TOO_LARGE) {
        pass_fail(pass, &(struct exchange_problem){.status = 413,
                                                   .code = "invalid",
                                                   .detail = "the request is too large"});
    } else if (r != 0) {
        pass_fail(pass, &(struct exchange_problem){.status = 503,
                                                   .code = "busy",
                                                   .detail = "too many requests are under way",
                                                   .hint = "those for leases go first: try again",
                                                   .retry_after_ms = 1000});
    }
}

/* The backend is looked for now: a reload may have replaced it while the record was written. From
 * here on it stays, because its end ends the call first. */
static void pass_begin(struct pass *pass)
{
    pass->backend = serve_vault_backend(pass->x);
    if (pass->backend != NULL) {
        pass_call(pass);
    } else {
        pass_fail(pass, &(struct exchange_problem){.status = 503,
                                                   .code = "issuer_unavailable",
                                                   .detail = "the backend isn't there"});
    }
}

static void pass_recorded(struct audit_write *write, int status)
{
    struct pass *pass = OBJ_CAST(write->user, struct pass, PASS_MAGIC);

    if (status != 0) {
        pass_fail(pass, &(struct exchange_problem){
                            .status = 503,
                            .code = "degraded",
                            .detail = "no record, no call: the ledger, or a required sink, fails",
                            .retry_after_ms = 1000});
    } else if (pass->is_gone) {
        exchange_release(pass->x);
        pass_free(pass);
    } else {
        pass_begin(pass);
    }
}

static void pass_finished(struct env_request *request, bool delivered)
{
    struct exchange *x = OBJ_CAST(request->user, struct exchange, EXCHANGE_MAGIC);
    struct pass *pass = x->pass;

    (void)delivered;
    x->request = NULL;
    pass->is_gone = true;
    if (pass->is_calling && pass->end_target == NULL) {
        backend_call_cancel(&pass->call);
    }
}

/* --- the beginning -----------------------------------------------------------------------------
 */

/* Copies the headers that count; the one that wraps goes last. */
static int headers_copy(struct pass *pass, const struct env_request *request)
{
    static const char *const names[VAULT_PASS_HEADERS_MAX] = {"content-type", "x-vault-index",
                                                              "x-vault-inconsistent",
                                                              "x-vault-wrap-ttl"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(names); i++) {
        struct str value = env_request_header(request, names[i]);
        char *copy;

        if (value.ptr == NULL) {
            continue;
        }
        copy = mem_dup(value.len > 0 ? value.ptr : "", value.len + (value.len == 0));
        if (copy == NULL) {
            return ERR_NOMEM;
        }
        pass->headers[pass->header_count++] =
            (struct env_http_header){.name = str_of(names[i]),
                                     .value = {.ptr = copy, .len = value.len}};
    }
    return 0;
}

static int pass_record(struct pass *pass, const struct access_decision *decision)
{
    struct audit *audit = pass->x->serve->options.audit;
    char ref[AUDIT_REF_MAX_BYTES];
    struct audit_record record;

    serve_vault_record_fill(&record, pass->x, &pass->request, decision);
    record.issuer_ref = audit_ref(audit, str_of(pass->request.path), ref);
    pass->write = (struct audit_write){.fn = pass_recorded, .user = pass};
    return audit_record_write(audit, &record, &pass->write);
}

/* `request` is taken (even on error). */
static void pass_start(struct exchange *x, struct vault_pass_request *request,
                       const struct access_decision *decision)
{
    struct pass *pass = mem_calloc(1, sizeof(*pass));
    int r = ERR_NOMEM;

    if (pass == NULL) {
        serve_vault_pass_request_fini(request);
        exchange_fail_nomem(x);
        return;
    }
    pass->magic = PASS_MAGIC;
    pass->x = x;
    pass->request = *request;
    r = headers_copy(pass, x->request);
    pass->is_probe = request->wraps && request->is_read;
    x->pass = pass;
    exchange_keep(x, pass_finished);
    if (r == 0) {
        r = pass_record(pass, decision);
    }
    if (r != 0) {
        x->request->finished = NULL;
        pass_free(pass);
        exchange_fail_status(x, (const struct exchange_failure[]){{0, 503, "degraded", NULL}}, r,
                             &(const struct err){.code = 0}, 0);
    }
}

void serve_vault_pass(struct vault_request *v, bool needs_rule)
{
    struct exchange *x = v->x;
    struct access_decision decision = {.outcome = ACCESS_ALLOW};
    struct vault_pass_request request;
    struct err e = {0};
    int r = serve_vault_pass_request_init(v, &request, &e);

    if (r != 0) {
        if (r == ERR_NOMEM) {
            exchange_fail_nomem(x);
        } else {
            serve_vault_fail(x,
                             r == ERR_UNSUPPORTED ? 405
                             : r == ERR_DENIED    ? 403
                                                  : 400,
                             e.text, r == ERR_DENIED ? lease_hint : NULL);
        }
        return;
    }
    if (needs_rule) {
        decide_path(x,
                    &(struct decide_path){
                        .path = str_of(request.path), .needs = request.needs, .verb = request.verb},
                    &decision);
    }
    if (decision.outcome != ACCESS_ALLOW) {
        serve_vault_pass_deny(x, &request, &decision);
        serve_vault_pass_request_fini(&request);
    } else {
        pass_start(x, &request, &decision);
    }
}
