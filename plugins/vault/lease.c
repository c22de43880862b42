/* Happy path: POST sys/leases/renew with the life that is wanted (a renewal without one asks for
 * the role's default and can shorten), POST sys/leases/revoke with sync, so that its answer proves
 * the death.
 *
 * Failure paths: a renewal that gives less than was asked is at its maximum (Vault goes on saying
 * "renewable"); one that gives nothing is refused; a revocation that is only accepted (202), failed
 * at the engine, or was answered with a page of something in between is tried again; a lease that
 * isn't known any more is gone. */
#include "lease.h"

#include "token.h"

#include <string.h>

/* How long a token may be dead without our knowing it. */
#define VERIFY_INTERVAL_MS 10000U

static int32_t begin(struct vault_op *op, const struct leased_lease_ref *lease, const char *path,
                     json_t *body)
{
    struct leased_instance *vault = op->vault;
    bool is_started = body != NULL;

    op->lease_id = vault_strdup(vault->host, lease->issuer_ref);
    op->ttl_ms = lease->ttl_ms;
    if (is_started) {
        is_started = vault_request_init(vault->host, path, body, &op->request) == 0;
    }
    if (!is_started || op->lease_id == NULL) {
        vault_op_free(op);
        return -LEASED_RETRY;
    }
    return vault_op_begin(op);
}

int32_t vault_renew(struct leased_instance *vault, const struct leased_lease_ref *lease,
                    leased_op *handle)
{
    struct vault_op *op = vault_op_new(vault, handle, VAULT_CALL_RENEW);
    json_t *body;

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    body = json_pack("{s:s%}", "lease_id", lease->issuer_ref.ptr, lease->issuer_ref.len);
    if (lease->ttl_ms > 0 && body != NULL) {
        uint64_t seconds = (lease->ttl_ms - 1U) / 1000U + 1U;

        if (json_object_set_new(body, "increment", json_integer((json_int_t)seconds)) != 0) {
            json_decref(body);
            body = NULL;
        }
    }
    return begin(op, lease, "sys/leases/renew", body);
}

int32_t vault_revoke(struct leased_instance *vault, const struct leased_lease_ref *lease,
                     leased_op *handle)
{
    struct vault_op *op = vault_op_new(vault, handle, VAULT_CALL_REVOKE);
    json_t *body;

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    body = json_pack("{s:s%, s:b}", "lease_id", lease->issuer_ref.ptr, lease->issuer_ref.len,
                     "sync", 1);
    return begin(op, lease, "sys/leases/revoke", body);
}

int32_t vault_health(struct leased_instance *vault, leased_op *handle)
{
    struct vault_op *op = vault_op_new(vault, handle, VAULT_CALL_HEALTH);

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    if (vault_request_init(vault->host, "sys/health?standbyok=true&perfstandbyok=true", NULL,
                           &op->request) != 0) {
        vault_op_free(op);
        return -LEASED_RETRY;
    }
    /* Namespaces don't have it. */
    op->request.is_root = true;
    return vault_op_begin(op);
}

static bool is_asked(const struct vault_op *op, struct leased_str lease_id)
{
    return lease_id.len == strlen(op->lease_id) &&
           memcmp(lease_id.ptr, op->lease_id, lease_id.len) == 0;
}

void vault_renew_answered(struct vault_op *op, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct vault_text detail;
    struct leased_result result = {.size = sizeof(result)};

    if (vault_reply_parse(http, &reply, &detail) != 0) {
        vault_op_fail(op, LEASED_RETRY, detail.bytes);
        return;
    }
    if (!is_asked(op, reply.lease_id)) {
        vault_op_fail(op, LEASED_RETRY, "the renewal's answer is of another lease");
    } else if (reply.lease_duration_s == 0) {
        vault_op_fail(op, LEASED_DENIED, "the renewal gives no more life");
    } else {
        result.lifetime_ms = (uint64_t)reply.lease_duration_s * 1000U;
        result.asked_ms = op->sent_ms;
        result.flags = reply.is_renewable ? LEASED_RESULT_RENEWABLE : 0;
        if (vault_reply_is_capped(&reply) || result.lifetime_ms < op->ttl_ms) {
            result.flags |= LEASED_RESULT_CAPPED;
        }
        vault_op_end(op, LEASED_OK, &result);
    }
    vault_reply_fini(&reply);
}

void vault_revoke_answered(struct vault_op *op, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct vault_text detail;

    if (http->status != 200 && http->status != 204) {
        vault_op_fail(op, LEASED_RETRY, "the revocation was accepted but isn't confirmed yet");
    } else if (vault_reply_parse(http, &reply, &detail) != 0) {
        vault_op_fail(op, LEASED_RETRY, detail.bytes);
    } else if (http->status == 200 && reply.root == NULL) {
        vault_op_fail(op, LEASED_RETRY, "the revocation's answer is empty");
    } else {
        vault_op_end(op, LEASED_OK, NULL);
    }
    vault_reply_fini(&reply);
}

void vault_health_answered(struct vault_op *op)
{
    struct leased_instance *vault = op->vault;
    uint64_t now_ms = vault->host->now_ms(vault->context);

    /* A token that was revoked over there is noticed here, and its leases replaced, before their
     * holders find out. */
    if (vault_token_is_usable(vault) && now_ms - vault->verified_ms >= VERIFY_INTERVAL_MS) {
        vault->is_verify_wanted = true;
        vault_token_step(vault);
    }
    /* A server that serves everybody but us is no use either. */
    if (!vault_token_is_usable(vault) && vault->login_failure.status != 0) {
        vault_op_fail(op, LEASED_RETRY, vault->login_failure.detail.bytes);
    } else {
        vault_op_end(op, LEASED_OK, NULL);
    }
}
