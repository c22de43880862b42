/* Happy path: begin → sent → the answer goes to the call's own handler (issue.c, lease.c), which
 * ends it.
 *
 * Failure paths: no token yet → queued, or ended with the login's last failure; an answer that
 * isn't a success → ended with its class; a 403 → waits for the look-up of the token: alive means
 * denied, dead means that it can be tried again under a new one. */
#include "op.h"

#include "child.h"
#include "engine.h"
#include "isolate.h"
#include "issue.h"
#include "lease.h"
#include "pass.h"
#include "token.h"

/* A policy's denial this soon after a look-up isn't looked up again. */
#define VERIFIED_FRESH_MS 1000U

static void answered(void *user, const struct leased_http_reply *http);

struct vault_op *vault_op_new(struct leased_instance *vault, leased_op *handle,
                              enum vault_call call)
{
    struct vault_op *op = plugin_alloc(vault->host, sizeof(*op));

    if (op == NULL) {
        return NULL;
    }
    op->vault = vault;
    op->handle = handle;
    op->call = call;
    op->state = VAULT_OP_ENDING;
    op->next = vault->ops;
    if (op->next != NULL) {
        op->next->previous = op;
    }
    vault->ops = op;
    vault->op_count++;
    return op;
}

void vault_op_free(struct vault_op *op)
{
    struct leased_instance *vault = op->vault;

    if (op->next != NULL) {
        op->next->previous = op->previous;
    }
    if (op->previous != NULL) {
        op->previous->next = op->next;
    } else {
        vault->ops = op->next;
    }
    vault->op_count--;
    if (op->state == VAULT_OP_QUEUED && vault->queued_count > 0) {
        vault->queued_count--;
    }
    if (op->timer != NULL) {
        vault->host->timer_stop(vault->context, op->timer);
    }
    vault_request_fini(vault->host, &op->request);
    vault_request_fini(vault->host, &op->child_request);
    vault_reply_fini(&op->issued);
    vault->host->secret_free(op->child_token);
    vault->host->secret_free(op->accessor);
    vault->host->secret_free(op->made);
    vault->host->secret_free(op->lease_id);
    vault->host->secret_free(op->path);
    vault->host->secret_free(op->kept_body);
    vault->host->secret_free(op);
}

void vault_op_end(struct vault_op *op, int32_t status, const struct leased_result *result)
{
    struct leased_instance *vault = op->vault;

    vault->host->op_done(vault->context, op->handle, status, result);
    vault_op_free(op);
}

void vault_op_fail(struct vault_op *op, int32_t status, const char *detail)
{
    const struct leased_result result = {
        .size = sizeof(result),
        .flags = op->is_login_bound ? LEASED_RESULT_LOGIN_BOUND : 0,
        .issuer_ref = plugin_str(op->made),
        .detail = plugin_str(detail),
        .retry_after_ms = op->failure.retry_after_ms,
    };

    vault_op_end(op, status, &result);
}

uint64_t vault_op_wanted_s(const struct vault_op *op)
{
    uint64_t seconds = op->ttl_ms / 1000U + (op->ttl_ms % 1000U != 0 ? 1U : 0U);

    return seconds < (uint64_t)VAULT_SECONDS_MAX ? seconds : (uint64_t)VAULT_SECONDS_MAX;
}

/* --- begin ------------------------------------------------------------------------------------ */

int vault_op_send(struct vault_op *op, enum vault_op_state state, struct vault_request *request)
{
    struct leased_instance *vault = op->vault;
    const char *token = op->call == VAULT_CALL_HEALTH ? NULL : vault->token.bytes;

    if (op->is_given_up) {
        vault_request_fini(vault->host, request);
        return -1;
    }
    if (state == VAULT_OP_SENT && op->child_token != NULL) {
        token = op->child_token;
    }
    op->is_creating = request->creates;
    op->is_movable = vault_request_is_movable(vault, request);
    op->http = vault_request_send(vault, request, token, answered, op);
    vault_request_fini(vault->host, request);
    if (op->http == NULL) {
        return -1;
    }
    if (state == VAULT_OP_SENT) {
        vault->host->secret_free(op->child_token);
        op->child_token = NULL;
    }
    op->state = state;
    op->generation = vault->token.generation;
    op->sent_ms = vault->host->now_ms(vault->context);
    return 0;
}

int vault_op_go(struct vault_op *op)
{
    return op->call == VAULT_CALL_ISSUE ? vault_isolate_go(op)
                                        : vault_op_send(op, VAULT_OP_SENT, &op->request);
}

static void ending_ran(void *user)
{
    struct vault_op *op = user;

    op->timer = NULL;
    vault_op_fail(op, op->failure.status, op->failure.detail.bytes);
}

int32_t vault_op_end_soon(struct vault_op *op, const struct vault_failure *failure)
{
    struct leased_instance *vault = op->vault;

    op->state = VAULT_OP_ENDING;
    op->failure = *failure;
    op->timer = vault->host->timer_start(vault->context, 0, ending_ran, op);
    if (op->timer == NULL) {
        vault_op_free(op);
        return -failure->status;
    }
    return 0;
}

static bool is_login_under_way(const struct leased_instance *vault)
{
    return (vault->own >= VAULT_OWN_WRAP_LOOKUP && vault->own <= VAULT_OWN_LOGIN) ||
           vault->login_failures == 0;
}

int32_t vault_op_begin(struct vault_op *op)
{
    struct leased_instance *vault = op->vault;
    struct vault_failure failure = {.status = LEASED_RETRY};

    if (vault->timer == NULL && vault->own == VAULT_OWN_NONE) {
        /* It couldn't be armed, for want of memory; or there is nothing to wait for. */
        vault_token_step(vault);
    }
    if (op->call == VAULT_CALL_HEALTH || vault_token_is_usable(vault)) {
        if (vault_op_go(op) == 0) {
            return 0;
        }
        plugin_text_set(&failure.detail, "the request could not be started");
        return vault_op_end_soon(op, &failure);
    }
    if (!is_login_under_way(vault)) {
        return vault_op_end_soon(op, &vault->login_failure);
    }
    if (vault->queued_count >= VAULT_QUEUE_MAX) {
        plugin_text_set(&failure.detail, "too many wait for the login");
        return vault_op_end_soon(op, &failure);
    }
    op->state = VAULT_OP_QUEUED;
    vault->queued_count++;
    return 0;
}

void vault_ops_login_ended(struct leased_instance *vault)
{
    struct vault_op *following;

    for (struct vault_op *op = vault->ops; op != NULL; op = following) {
        following = op->next;
        if (op->state != VAULT_OP_QUEUED) {
            continue;
        }
        if (!vault_token_is_usable(vault)) {
            op->failure = vault->login_failure;
            vault_op_fail(op, op->failure.status, op->failure.detail.bytes);
            continue;
        }
        if (vault_op_go(op) == 0) {
            vault->queued_count--;
        } else {
            vault_op_fail(op, LEASED_RETRY, "the request could not be started");
        }
    }
}

/* --- answers ---------------------------------------------------------------------------------- */

/* The token is alive, so it is its policy. */
static void refused(struct vault_op *op)
{
    /* An earlier login that may not be ended ends by itself, and what hangs on it too. */
    op->is_login_bound = op->call == VAULT_CALL_REVOKE && op->ref_kind == VAULT_REF_KIND_LOGIN;
    if (op->call == VAULT_CALL_PASS) {
        vault_pass_denied(op);
    } else if (op->is_child_asked) {
        vault_child_denied(op);
    } else {
        vault_op_fail(op, LEASED_DENIED, op->failure.detail.bytes);
    }
}

void vault_op_denied(struct vault_op *op, const struct leased_http_reply *http)
{
    struct leased_instance *vault = op->vault;
    uint64_t now_ms = vault->host->now_ms(vault->context);

    if (vault->is_closing || op->generation != vault->token.generation) {
        vault_op_fail(op, LEASED_RETRY, "the login was replaced meanwhile");
    } else if (!vault_status_is_dead_token(http) && vault->verified_ms != 0 &&
               now_ms - vault->verified_ms < VERIFIED_FRESH_MS) {
        refused(op);
    } else {
        op->state = VAULT_OP_VERIFYING;
        /* One look-up answers all who wait. */
        if (vault->own != VAULT_OWN_VERIFY) {
            vault->is_verify_wanted = true;
            vault_token_step(vault);
        }
    }
}

void vault_ops_verified(struct leased_instance *vault, enum vault_verdict verdict)
{
    struct vault_op *following;

    for (struct vault_op *op = vault->ops; op != NULL; op = following) {
        following = op->next;
        if (op->state != VAULT_OP_VERIFYING) {
            continue;
        }
        if (verdict == VAULT_TOKEN_ALIVE && op->generation == vault->token.generation) {
            refused(op);
        } else if (verdict == VAULT_TOKEN_UNKNOWN) {
            vault_op_fail(op, LEASED_RETRY, "denied, and the login could not be checked");
        } else {
            vault_op_fail(op, LEASED_RETRY, "the login was dead; logging in again");
        }
    }
}

bool vault_op_is_read(const struct vault_op *op)
{
    return op->call == VAULT_CALL_ISSUE && op->shape.is_read && !op->is_post;
}

void vault_op_classify(struct vault_op *op, const struct leased_http_reply *http,
                       struct vault_failure *ret_failure)
{
    vault_status_classify(op->call, http, ret_failure);
    if (vault_op_is_read(op) && ret_failure->status == LEASED_LOST) {
        ret_failure->status = LEASED_RETRY;
    }
    if (vault_status_is_redirect(http) && (op->is_movable || !op->is_creating)) {
        ret_failure->status = LEASED_RETRY;
        /* To nowhere that is configured: the next one may go through this node. */
        op->vault->needs_forwarding = op->vault->needs_forwarding || op->is_movable;
    }
}

static void failed(struct vault_op *op, const struct leased_http_reply *http)
{
    vault_op_classify(op, http, &op->failure);
    vault_engine_explain(op, http, &op->failure);
#if defined(MUTANT) && MUTANT == 20 /* see src/base/mutant.h */
    if (op->call == VAULT_CALL_REVOKE && http->status >= 500) {
        vault_op_end(op, LEASED_OK, NULL);
        return;
    }
#endif
    if (op->call == VAULT_CALL_REVOKE && vault_revoke_in_doubt(op, http)) {
        return;
    }
    if (op->call == VAULT_CALL_ISSUE && vault_child_refused(op, http)) {
        return;
    }
    if (op->call == VAULT_CALL_REVOKE && op->failure.status == LEASED_GONE) {
        vault_revoked(op, LEASED_GONE);
    } else if (op->failure.status == VAULT_STATUS_CHECK_TOKEN) {
        vault_op_denied(op, http);
    } else {
        vault_op_fail(op, op->failure.status, op->failure.detail.bytes);
    }
}

/* An answer that belongs to one step of an operation. False: it has no such step. */
static bool step_answered(struct vault_op *op, const struct leased_http_reply *http)
{
    switch (op->state) {
    case VAULT_OP_CHILD:
        vault_child_created(op, http);
        return true;
    case VAULT_OP_EXTENDING:
        vault_child_extended(op, http);
        return true;
    case VAULT_OP_ENDING_CHILD:
        vault_child_ended(op, http);
        return true;
    case VAULT_OP_FITTING:
        vault_issue_fitted(op, http);
        return true;
    case VAULT_OP_LOOKING:
        vault_revoke_looked(op, http);
        return true;
    case VAULT_OP_QUEUED:
    case VAULT_OP_INTENDING:
    case VAULT_OP_SENT:
    case VAULT_OP_VERIFYING:
    case VAULT_OP_ENDING:
    default:
        return false;
    }
}

static void succeeded(struct vault_op *op, const struct leased_http_reply *http)
{
    switch (op->call) {
    case VAULT_CALL_ISSUE:
        vault_issue_answered(op, http);
        break;
    case VAULT_CALL_RENEW:
        vault_renew_answered(op, http);
        break;
    case VAULT_CALL_REVOKE:
        vault_revoke_answered(op, http);
        break;
    case VAULT_CALL_HEALTH:
    case VAULT_CALL_LOGIN:
    case VAULT_CALL_PASS:
    default:
        vault_health_answered(op);
        break;
    }
}

static void call_answered(struct vault_op *op, const struct leased_http_reply *http)
{
    if (op->call == VAULT_CALL_PASS) {
        if (!vault_pass_answered(op, http)) {
            vault_op_denied(op, http);
        }
    } else if (vault_status_is_success(http)) {
        succeeded(op, http);
    } else {
        failed(op, http);
    }
}

static void answered(void *user, const struct leased_http_reply *http)
{
    struct vault_op *op = user;
    struct leased_instance *vault = op->vault;

    op->http = NULL;
    if (!step_answered(op, http)) { /* op may be gone */
        call_answered(op, http);
    }
    if (vault->is_closing) {
        vault_close_step(vault); /* vault may be gone */
    }
}

/* --- cancel ----------------------------------------------------------------------------------- */

/* What creates something runs on until its answer says what to revoke, and no further. */
static void cancel(struct vault_op *op)
{
    op->is_given_up = true;
    if (op->http == NULL) {
        vault_op_fail(op, LEASED_CANCELED, "");
    } else if (op->call != VAULT_CALL_ISSUE || op->state != VAULT_OP_SENT ||
               op->vault->is_closing) {
        op->vault->host->http_cancel(op->vault->context, op->http);
    }
}

void vault_op_cancel(struct leased_instance *vault, const leased_op *handle)
{
    for (struct vault_op *op = vault->ops; op != NULL; op = op->next) {
        if (op->handle == handle) {
            cancel(op); /* op may be gone */
            return;
        }
    }
}

void vault_ops_cancel_all(struct leased_instance *vault)
{
    struct vault_op *following;

    for (struct vault_op *op = vault->ops; op != NULL; op = following) {
        following = op->next;
        cancel(op);
    }
}
