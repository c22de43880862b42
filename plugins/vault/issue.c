/* Happy path: the role's path answers with a lease; if its life isn't what was asked and it is
 * renewable, one renewal sets it (fitting); then the credential is handed over.
 *
 * What has no lease lives by its engine's rule (engine.c). Failure paths: an answer that names no
 * lease that can be read, one of another path, or one that was issued before is LOST, and nothing
 * is revoked for it, because that may be somebody else's; a lease in an answer that can't be used
 * otherwise is handed to the host to be revoked; a fitting that fails leaves the lease as it was
 * issued, unless it says that the lease is gone. */
#include "issue.h"

#include "child.h"
#include "engine.h"
#include "fields.h"
#include "isolate.h"
#include "token.h"

#include <stdio.h>
#include <string.h>

#define WARNINGS_MAX 8U

int32_t vault_issue(struct leased_instance *vault, const struct leased_issue *request,
                    leased_op *handle)
{
    struct vault_op *op = vault_op_new(vault, handle, VAULT_CALL_ISSUE);
    struct vault_params params;
    struct vault_failure failure = {.status = LEASED_INVALID};
    int rc;

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    if (vault_params_parse(request->params, &params, &failure.detail) != 0) {
        return vault_op_end_soon(op, &failure); /* only this way it comes with a reason */
    }
    op->ttl_ms = request->ttl_ms;
    op->path = plugin_strdup(vault->host, plugin_str(params.path));
    op->shape = params.shape;
    op->refresh_s = params.refresh_s;
    op->is_unrevoked = params.is_unrevoked;
    op->is_post = params.is_post;
    op->isolate = params.isolate;
    rc = vault_params_want_ttl(&params, vault_op_wanted_s(op));
    if (rc == 0) {
        rc = vault_request_init_params(vault->host, &params, &op->request);
    }
    if (rc == 0) {
        rc = vault_isolate_prepare(op, request);
    }
    vault_params_fini(&params);
    if (rc != 0 || op->path == NULL) {
        vault_op_free(op);
        return -LEASED_RETRY;
    }
    return vault_op_begin(op);
}

/* --- the answer's checks ---------------------------------------------------------------------- */

/* A lease's id is its path and a random part. One from another path is somebody else's. */
static bool is_of_path(struct leased_str lease_id, const char *path)
{
    size_t path_len = strlen(path);
    size_t len = lease_id.len;

    while (len > 0 && lease_id.ptr[len - 1] != '/') {
        len--;
    }
    if (len < 2) {
        return false;
    }
    len--;
    /* The configured path may begin with namespaces, which the id leaves out. */
    return path_len >= len && memcmp(path + path_len - len, lease_id.ptr, len) == 0 &&
           (path_len == len || path[path_len - len - 1] == '/');
}

/* --- handing over ----------------------------------------------------------------------------- */

/* NULL, or why the lease isn't believed. */
static const char *check_lease(struct vault_op *op, struct leased_str lease_id)
{
    if (!is_of_path(lease_id, op->path)) {
        return "the answer's lease is not of the path that was asked";
    }
    if (!vault_issued_add(&op->vault->issued, lease_id)) {
        return "the answer's lease was issued before: it is somebody else's, or the answer is an "
               "old one";
    }
    return NULL;
}

/* Leases die with the token that they were issued under; and with its parent, if it has one. */
static void cut_to_token(const struct vault_op *op, struct vault_life *life, uint64_t *lifetime_ms)
{
    uint64_t generation = op->accessor != NULL ? op->parent : op->generation;
    const struct vault_token *token = vault_token_find(op->vault, generation);
    uint64_t ends_ms = VAULT_NEVER;
    bool is_last = true;

    if (token != NULL && token->is_bounded && !op->is_orphan) {
        ends_ms = token->expires_ms;
    }
    if (op->accessor != NULL && op->child_ends_ms < ends_ms) {
        ends_ms = op->child_ends_ms;
        is_last = op->is_child_capped;
    }
    if (ends_ms != VAULT_NEVER && life->asked_ms + *lifetime_ms >= ends_ms) {
        *lifetime_ms = ends_ms > life->asked_ms ? ends_ms - life->asked_ms : 0;
        life->is_renewable = life->is_renewable && !is_last;
        life->is_capped = life->is_capped || is_last;
    }
}

/* What such a lease hangs on. */
static uint64_t anchor_of(const struct vault_op *op)
{
    if (op->accessor == NULL) {
        return op->issued_under;
    }
    return op->is_orphan ? 0 : op->parent;
}

static size_t read_warnings(const struct vault_reply *reply, const struct vault_life *life,
                            struct leased_str texts[WARNINGS_MAX])
{
    json_t *warning;
    size_t index;
    size_t count = 0;

    if (life->warning != NULL) {
        texts[count++] = plugin_str(life->warning);
    }
    json_array_foreach (reply->warnings, index, warning) {
        if (count < WARNINGS_MAX) {
            texts[count++] = plugin_str(json_string_value(warning));
        }
    }
    return count;
}

static void hand_over(struct vault_op *op)
{
    const struct vault_reply *reply = &op->issued;
    struct vault_life *life = &op->life;
    struct leased_str warnings[WARNINGS_MAX];
    struct leased_result result = {.size = sizeof(result)};
    struct vault_fields fields;
    struct plugin_text detail = {{0}};
    uint64_t lifetime_ms = (uint64_t)life->seconds * 1000U;
    bool is_lease = reply->lease_id.len > 0;
    int32_t status;

    if (is_lease) {
        cut_to_token(op, life, &lifetime_ms);
    }
    result.issuer_ref = is_lease ? plugin_str(op->made) : plugin_str(life->ref);
    status = vault_fields_read(op->vault->host, life->fields, life->metadata, &fields, &detail);
    if (status != LEASED_OK) {
        result.detail = plugin_str(detail.bytes);
    } else if (lifetime_ms == 0) {
        status = LEASED_RETRY;
        result.detail = PLUGIN_STR("the login that it hangs on ended meanwhile");
    } else {
        result.flags = (life->is_renewable ? LEASED_RESULT_RENEWABLE : 0) |
                       (life->is_revocable ? LEASED_RESULT_REVOCABLE : 0) |
                       (life->is_capped ? LEASED_RESULT_CAPPED : 0);
        result.lifetime_ms = lifetime_ms;
        result.anchor = is_lease ? anchor_of(op) : 0;
        result.refresh_ms = life->refresh_ms;
        result.fields = fields.items;
        result.field_count = fields.count;
        result.warnings = warnings;
        result.warning_count = read_warnings(reply, life, warnings);
        result.asked_ms = life->asked_ms;
    }
    op->vault->host->op_done(op->vault->context, op->handle, status, &result);
    vault_fields_fini(&fields);
    vault_op_free(op);
}

/* --- fitting ---------------------------------------------------------------------------------- */

/* Asks for the life that is wanted. False: hand over as it is. */
static bool start_fitting(struct vault_op *op)
{
    const struct vault_reply *reply = &op->issued;
    struct vault_request request;
    json_t *body;

    if (op->ttl_ms == 0 || !reply->is_renewable || reply->lease_id.len == 0 ||
        reply->lease_duration_s == (int64_t)vault_op_wanted_s(op) || op->vault->is_closing ||
        op->generation != op->vault->token.generation) {
        return false;
    }
    body = json_pack("{s:s%, s:I}", "lease_id", reply->lease_id.ptr, reply->lease_id.len,
                     "increment", (json_int_t)vault_op_wanted_s(op));
    return body != NULL &&
           vault_request_init(op->vault->host, "sys/leases/renew", body, &request) == 0 &&
           vault_op_send(op, VAULT_OP_FITTING, &request) == 0;
}

void vault_issue_fit(struct vault_op *op)
{
    if (!start_fitting(op)) {
        hand_over(op);
    }
}

/* --- the answer ------------------------------------------------------------------------------- */

/* Refuses what came, but names what was created so that it gets revoked. */
static void refuse(struct vault_op *op, int32_t status, const struct vault_life *life,
                   const char *detail)
{
    const struct leased_result result = {
        .size = sizeof(result),
        .issuer_ref = plugin_str(op->made != NULL ? op->made : life->ref),
        .detail = plugin_str(detail),
        .retry_after_ms = life->retry_after_ms,
    };

    vault_op_end(op, status, &result);
}

/* Does the renewal say that there is no such lease? */
static bool is_gone(const struct leased_http_reply *http)
{
    struct vault_failure failure;

    if (vault_status_is_success(http)) {
        return false;
    }
    vault_status_classify(VAULT_CALL_RENEW, http, &failure);
    return failure.status == LEASED_GONE;
}

void vault_issue_fitted(struct vault_op *op, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct plugin_text detail = {{0}};
    struct vault_life *life = &op->life;
    int64_t age_s = vault_header_age_s(http);

    if (is_gone(http)) {
        refuse(op, LEASED_RETRY, life, "the lease was gone as soon as it was issued");
        return;
    }
    if (vault_status_is_success(http) && vault_reply_parse(http, &reply, &detail) == 0 &&
        reply.lease_duration_s > age_s && reply.lease_id.len == op->issued.lease_id.len &&
        memcmp(reply.lease_id.ptr, op->issued.lease_id.ptr, reply.lease_id.len) == 0) {
        life->seconds = vault_aged_s(reply.lease_duration_s, age_s);
        life->asked_ms = op->sent_ms;
        life->is_renewable = reply.is_renewable;
        life->is_capped = vault_reply_is_capped(&reply) ||
                          reply.lease_duration_s < (int64_t)vault_op_wanted_s(op);
    }
    /* Else it may have been executed or not. The host counts no more than the life that it wants,
     * and must hear of a longer one, so that it ends what lives on. */
    vault_reply_fini(&reply);
    hand_over(op);
}

/* What is in op->issued becomes a credential, or not. */
static void decide(struct vault_op *op, const struct leased_http_reply *http)
{
    const struct vault_answer answer = {.op = op,
                                        .reply = &op->issued,
                                        .age_s = vault_header_age_s(http),
                                        .now_s = vault_engine_now_s(op->vault, http)};
    struct plugin_text detail = {{0}};
    int32_t status;

    if (op->issued.data == NULL) {
        refuse(op, LEASED_INVALID, &op->life, "the answer has no data");
        return;
    }
    status = vault_engine_decide(&answer, &op->life, &detail);
    if (status == LEASED_OK || op->issued.lease_id.len > 0) {
        /* An answer that isn't one of its engine's says nothing about that. */
        vault_kinds_learn(&op->vault->kinds, plugin_str(op->path),
                          op->issued.lease_id.len > 0 ? VAULT_KIND_LEASED : VAULT_KIND_BARE);
    }
    if (status != LEASED_OK) {
        refuse(op, status, &op->life, detail.bytes);
    } else if (op->made != NULL && op->accessor != NULL) {
        vault_child_keep(op);
    } else {
        vault_issue_fit(op);
    }
}

/* From now on it is to be revoked, whatever happens. False when out of memory. */
static bool note_made(struct vault_op *op, struct leased_str lease_id)
{
    const struct leased_host *host = op->vault->host;
    size_t size = lease_id.len + 2 + (op->accessor != NULL ? strlen(op->accessor) : 0);

    op->issued_under = op->generation;
    op->made = plugin_alloc(host, size);
    if (op->made != NULL) {
        (void)snprintf(op->made, size, "%.*s%s%s", (int)lease_id.len, lease_id.ptr,
                       op->accessor != NULL ? "\n" : "", op->accessor != NULL ? op->accessor : "");
    }
    return op->made != NULL;
}

/* NULL, or why the lease that the answer names is left alone. */
static const char *check_foreign(struct vault_op *op, const struct leased_http_reply *http,
                                 const struct vault_reply *reply, int32_t *ret_status)
{
    if (reply->lease_id.len == 0) {
        return NULL;
    }
    if (plugin_str_has(plugin_header(http, "x-cache"), "HIT")) {
        *ret_status = LEASED_INVALID;
        return "the lease was made for somebody else, and a cache has answered with it: let "
               "nothing in between cache (an Agent or Proxy: no `cache`)";
    }
    *ret_status = LEASED_LOST;
    return check_lease(op, reply->lease_id);
}

/* Notes the lease that `reply` names, if it names one. Without memory for that it is to be revoked,
 * and the operation is gone. */
static bool take_lease(struct vault_op *op, const struct vault_reply *reply)
{
    const struct leased_result result = {.size = sizeof(result),
                                         .issuer_ref = reply->lease_id,
                                         .detail = PLUGIN_STR("out of memory")};

    if (reply->lease_id.len == 0 || note_made(op, reply->lease_id)) {
        return true;
    }
    vault_op_end(op, LEASED_RETRY, &result);
    return false;
}

void vault_issue_answered(struct vault_op *op, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct plugin_text detail = {{0}};
    const struct vault_life none = {0};
    const char *problem;
    int32_t status = LEASED_LOST;
    bool is_usable = vault_reply_parse(http, &reply, &detail) == 0;

    if (!is_usable && (vault_op_is_read(op) || vault_reply_salvage(http, &reply) != 0)) {
        vault_op_fail(op, vault_op_is_read(op) ? LEASED_INVALID : LEASED_LOST, detail.bytes);
        return;
    }
    problem = check_foreign(op, http, &reply, &status);
    if (problem != NULL) {
        vault_log(op->vault, LEASED_LOG_ERROR, "vault.issue.foreign", problem);
        vault_op_fail(op, status, problem);
    } else if (take_lease(op, &reply)) {
        if (is_usable) {
            op->issued = reply;
            reply = (struct vault_reply){0};
            decide(op, http); /* op may be gone */
        } else {
            refuse(op, LEASED_INVALID, &none, detail.bytes);
        }
    }
    vault_reply_fini(&reply);
}
