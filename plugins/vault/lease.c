/* Happy path: POST sys/leases/renew with the life that is wanted (a renewal without one asks for
 * the role's default and can shorten), POST sys/leases/revoke with sync, so that its answer proves
 * the death. Certificates without a lease are revoked by their serial number.
 *
 * Failure paths: a renewal that gives less than was asked is at its maximum (Vault goes on saying
 * "renewable"); one that gives nothing is refused. A revocation that failed at the engine is tried
 * again, because the lease lives on. One that is only accepted (202), whose answer was lost or came
 * from something in between, is followed by look-ups: only "invalid lease" proves the death, else
 * it is tried again. */
#include "lease.h"

#include "engine.h"
#include "token.h"

#include <stdio.h>
#include <string.h>

/* How long a token may be dead without our knowing it. */
#define VERIFY_INTERVAL_MS 10000U
/* Look-ups after a revocation that was only accepted: at once, and 0.2, 0.6, 1.4 and 3 s later. */
#define LOOKS_MAX 5U
#define LOOK_FIRST_MS 100U

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

static bool is_certificate(struct leased_str ref)
{
    size_t len = strlen(VAULT_REF_CERTIFICATE);

    return ref.len > len && memcmp(ref.ptr, VAULT_REF_CERTIFICATE, len) == 0;
}

int32_t vault_renew(struct leased_instance *vault, const struct leased_lease_ref *lease,
                    leased_op *handle)
{
    struct vault_op *op = vault_op_new(vault, handle, VAULT_CALL_RENEW);
    json_t *body;

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    if (is_certificate(lease->issuer_ref)) {
        vault_op_free(op);
        return -LEASED_DENIED;
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

/* "#cert MOUNT SERIAL", as engine.c makes it. NULL when it isn't one, or out of memory. */
static json_t *certificate_body(struct leased_str ref, char *path, size_t path_size)
{
    const char *mount = ref.ptr + strlen(VAULT_REF_CERTIFICATE);
    const char *end = ref.ptr + ref.len;
    const char *blank = memchr(mount, ' ', (size_t)(end - mount));
    int used;

    if (blank == NULL) {
        return NULL;
    }
    used = snprintf(path, path_size, "%.*s/revoke", (int)(blank - mount), mount);
    if (used < 0 || (size_t)used >= path_size) {
        return NULL;
    }
    return json_pack("{s:s%}", "serial_number", blank + 1, (size_t)(end - blank - 1));
}

int32_t vault_revoke(struct leased_instance *vault, const struct leased_lease_ref *lease,
                     leased_op *handle)
{
    struct vault_op *op = vault_op_new(vault, handle, VAULT_CALL_REVOKE);
    struct leased_str ref = lease->issuer_ref;
    char path[VAULT_PATH_MAX_BYTES + 16];

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    op->is_certificate = is_certificate(ref);
    if (op->is_certificate) {
        return begin(op, lease, path, certificate_body(ref, path, sizeof(path)));
    }
    return begin(op, lease, "sys/leases/revoke",
                 json_pack("{s:s%, s:b}", "lease_id", ref.ptr, ref.len, "sync", 1));
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
    struct vault_text detail = {{0}};
    struct leased_result result = {.size = sizeof(result)};
    int64_t life_s;

    if (vault_reply_parse(http, &reply, &detail) != 0) {
        vault_op_fail(op, LEASED_RETRY, detail.bytes);
        return;
    }
    life_s = vault_aged_s(reply.lease_duration_s, vault_header_age_s(http));
    if (!is_asked(op, reply.lease_id)) {
        vault_op_fail(op, LEASED_RETRY, "the renewal's answer is of another lease");
    } else if (life_s == 0 && reply.lease_duration_s > 0) {
        vault_op_fail(op, LEASED_RETRY, "the renewal's answer is an old one");
    } else if (life_s == 0) {
        vault_op_fail(op, LEASED_DENIED, "the renewal gives no more life");
    } else {
        result.lifetime_ms = (uint64_t)life_s * 1000U;
        result.asked_ms = op->sent_ms;
        result.flags = reply.is_renewable ? LEASED_RESULT_RENEWABLE : 0;
        if (vault_reply_is_capped(&reply) || result.lifetime_ms < op->ttl_ms) {
            result.flags |= LEASED_RESULT_CAPPED;
        }
        vault_op_end(op, LEASED_OK, &result);
    }
    vault_reply_fini(&reply);
}

/* --- revoked? --------------------------------------------------------------------------------- */

/* Asks whether the lease is there. False when that can't be asked. */
static bool look(struct vault_op *op)
{
    struct leased_instance *vault = op->vault;
    struct vault_request request;
    json_t *body;

    if (op->is_certificate || vault->is_closing || !vault_token_is_usable(vault)) {
        return false;
    }
    body = json_pack("{s:s}", "lease_id", op->lease_id);
    if (body == NULL || vault_request_init(vault->host, "sys/leases/lookup", body, &request) != 0) {
        return false;
    }
    op->look_count++;
    return vault_op_send(op, VAULT_OP_LOOKING, &request) == 0;
}

static void unproved(struct vault_op *op)
{
    vault_op_fail(op, LEASED_RETRY, op->failure.detail.bytes);
}

/* The failure stands if nothing better is heard. */
static void doubt(struct vault_op *op, unsigned look_max, const char *why)
{
    op->failure = (struct vault_failure){.status = LEASED_RETRY};
    vault_text_set(&op->failure.detail, "%s", why);
    op->look_max = look_max;
    if (!look(op)) {
        unproved(op);
    }
}

bool vault_revoke_in_doubt(struct vault_op *op, const struct leased_http_reply *http)
{
    struct vault_text why = op->failure.detail;
    bool is_doubtful = http->transport == LEASED_HTTP_LOST;

    if (http->transport == LEASED_HTTP_OK) {
        /* What isn't Vault's own word says nothing about the lease. */
        is_doubtful = http->status == 404 || http->status == 408 || http->status == 504 ||
                      ((http->status == 500 || http->status == 502) && !vault_status_is_own(http));
    }
    if (!is_doubtful || op->is_certificate) {
        return false;
    }
    doubt(op, 1, why.bytes);
    return true;
}

static void look_again(void *user)
{
    struct vault_op *op = user;

    op->timer = NULL;
    if (!look(op)) {
        unproved(op);
    }
}

void vault_revoke_looked(struct vault_op *op, const struct leased_http_reply *http)
{
    struct leased_instance *vault = op->vault;
    struct vault_failure failure = {0};
    uint64_t delay_ms = (uint64_t)LOOK_FIRST_MS << op->look_count;

    if (!vault_status_is_success(http)) {
        vault_status_classify(VAULT_CALL_REVOKE, http, &failure);
        if (failure.status == LEASED_GONE) {
            vault_op_end(op, LEASED_OK, NULL);
        } else {
            unproved(op);
        }
        return;
    }
    if (op->look_count < op->look_max && !vault->is_closing) {
        op->timer = vault->host->timer_start(vault->context, delay_ms, look_again, op);
    }
    if (op->timer == NULL) {
        unproved(op);
    }
}

static void certificate_revoked(struct vault_op *op, const struct vault_reply *reply)
{
    if (json_integer_value(json_object_get(reply->data, "revocation_time")) > 0) {
        vault_op_end(op, LEASED_OK, NULL);
    } else {
        vault_op_fail(op, LEASED_RETRY, "the answer doesn't say that the certificate is revoked");
    }
}

void vault_revoke_answered(struct vault_op *op, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct vault_text detail = {{0}};

    if (http->status != 200 && http->status != 204) {
        doubt(op, LOOKS_MAX, "the revocation was accepted but isn't confirmed yet");
    } else if (vault_reply_parse(http, &reply, &detail) != 0) {
        doubt(op, 1, detail.bytes);
    } else if (op->is_certificate) {
        certificate_revoked(op, &reply);
    } else if (http->status == 200 && !vault_reply_is_envelope(&reply)) {
        doubt(op, 1, "the revocation's answer isn't Vault's");
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
