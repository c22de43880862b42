/* Happy path: POST sys/leases/renew with the life that is wanted (a renewal without one asks for
 * the role's default and can shorten), POST sys/leases/revoke with sync, so that its answer proves
 * the death. Certificates without a lease are revoked by their serial number. What was issued under
 * a child token is followed by the child (child.c); what an intent names is ended as a whole
 * (intent.c).
 *
 * Failure paths: a renewal that gives less than was asked is at its maximum (Vault goes on saying
 * "renewable"); one that gives nothing is refused. A revocation that failed at the engine is tried
 * again, because the lease lives on. One that is only accepted (202), whose answer was lost or came
 * from something in between, is followed by look-ups: only "invalid lease" proves the death, else
 * it is tried again. */
#include "lease.h"

#include "child.h"
#include "engine.h"
#include "intent.h"
#include "token.h"

#include <stdio.h>
#include <string.h>

/* How long a token may be dead without our knowing it. */
#define VERIFY_INTERVAL_MS 10000U
/* Look-ups after a revocation that was only accepted: at once, and 0.2, 0.6, 1.4 and 3 s later. */
#define LOOKS_MAX 5U
#define LOOK_FIRST_MS 100U

/* Takes `ref` apart and begins with this request; `body` is taken. */
static int32_t begin(struct vault_op *op, const struct vault_ref *ref, const char *path,
                     json_t *body)
{
    struct leased_instance *vault = op->vault;
    bool is_started = body != NULL;

    op->ref_kind = ref->kind;
    op->lease_id = plugin_strdup(vault->host, ref->name);
    if (ref->accessor.len > 0) {
        op->accessor = plugin_strdup(vault->host, ref->accessor);
    }
    if (is_started) {
        is_started = vault_request_init(vault->host, path, body, &op->request) == 0;
    }
    if (!is_started || op->lease_id == NULL || (ref->accessor.len > 0 && op->accessor == NULL)) {
        vault_op_free(op);
        return -LEASED_RETRY;
    }
    return vault_op_begin(op);
}

int32_t vault_renew(struct leased_instance *vault, const struct leased_lease_ref *lease,
                    leased_op *handle)
{
    struct vault_op *op = vault_op_new(vault, handle, VAULT_CALL_RENEW);
    struct vault_ref ref = vault_ref_parse(lease->issuer_ref);
    json_t *body;

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    if (ref.kind != VAULT_REF_KIND_LEASE) {
        vault_op_free(op);
        return -LEASED_DENIED;
    }
    op->ttl_ms = lease->ttl_ms;
    body = json_pack("{s:s%}", "lease_id", ref.name.ptr, ref.name.len);
    if (lease->ttl_ms > 0 && body != NULL) {
        uint64_t seconds = (lease->ttl_ms - 1U) / 1000U + 1U;

        if (json_object_set_new(body, "increment", json_integer((json_int_t)seconds)) != 0) {
            json_decref(body);
            body = NULL;
        }
    }
    return begin(op, &ref, "sys/leases/renew", body);
}

/* "MOUNT SERIAL", as engine.c makes it. NULL when it isn't one, or out of memory. */
static json_t *certificate_body(struct leased_str name, char *path, size_t path_size)
{
    const char *end = name.ptr + name.len;
    const char *blank = memchr(name.ptr, ' ', name.len);
    int used;

    if (blank == NULL) {
        return NULL;
    }
    used = snprintf(path, path_size, "%.*s/revoke", (int)(blank - name.ptr), name.ptr);
    if (used < 0 || (size_t)used >= path_size) {
        return NULL;
    }
    return json_pack("{s:s%}", "serial_number", blank + 1, (size_t)(end - blank - 1));
}

int32_t vault_revoke(struct leased_instance *vault, const struct leased_lease_ref *lease,
                     leased_op *handle)
{
    struct vault_op *op = vault_op_new(vault, handle, VAULT_CALL_REVOKE);
    struct vault_ref ref = vault_ref_parse(lease->issuer_ref);
    char path[VAULT_PATH_MAX_BYTES + 16];

    if (op == NULL) {
        return -LEASED_RETRY;
    }
    switch (ref.kind) {
    case VAULT_REF_KIND_CERTIFICATE:
        return begin(op, &ref, path, certificate_body(ref.name, path, sizeof(path)));
    case VAULT_REF_KIND_CHILD:
    case VAULT_REF_KIND_LOGIN:
        return vault_intent_revoke(op, &ref);
    case VAULT_REF_KIND_LEASE:
    default:
        return begin(op, &ref, "sys/leases/revoke",
                     json_pack("{s:s%, s:b}", "lease_id", ref.name.ptr, ref.name.len, "sync", 1));
    }
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

static void renewed(struct vault_op *op, int64_t life_s, bool is_renewable, bool is_capped)
{
    struct leased_result result = {.size = sizeof(result)};

    result.lifetime_ms = (uint64_t)life_s * 1000U;
    result.asked_ms = op->sent_ms;
    result.flags = is_renewable ? LEASED_RESULT_RENEWABLE : 0;
    if (is_capped || result.lifetime_ms < op->ttl_ms) {
        result.flags |= LEASED_RESULT_CAPPED;
    }
    if (op->accessor == NULL) {
        vault_op_end(op, LEASED_OK, &result);
        return;
    }
    op->renewed_s = life_s;
    op->renewed_flags = result.flags;
    op->renewed_ms = op->sent_ms;
    vault_child_renew(op);
}

void vault_renew_answered(struct vault_op *op, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct plugin_text detail = {{0}};
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
        renewed(op, life_s, reply.is_renewable, vault_reply_is_capped(&reply));
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

    if (op->ref_kind != VAULT_REF_KIND_LEASE || vault->is_closing ||
        !vault_token_is_usable(vault)) {
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
    plugin_text_set(&op->failure.detail, "%s", why);
    op->look_max = look_max;
    if (!look(op)) {
        unproved(op);
    }
}

void vault_revoked(struct vault_op *op, int32_t status)
{
    if (op->accessor == NULL) {
        vault_op_end(op, status, NULL);
        return;
    }
    op->revoked_status = status;
    vault_child_end(op);
}

bool vault_revoke_in_doubt(struct vault_op *op, const struct leased_http_reply *http)
{
    struct plugin_text why = op->failure.detail;
    bool is_doubtful = http->transport == LEASED_HTTP_LOST;

    if (op->ref_kind == VAULT_REF_KIND_CHILD || op->ref_kind == VAULT_REF_KIND_LOGIN) {
        return vault_intent_in_doubt(op, http);
    }
    if (http->transport == LEASED_HTTP_OK) {
        /* What isn't Vault's own word says nothing about the lease. */
        is_doubtful = http->status == 404 || http->status == 408 || http->status == 504 ||
                      ((http->status == 500 || http->status == 502) && !vault_status_is_own(http));
    }
    if (!is_doubtful || op->ref_kind != VAULT_REF_KIND_LEASE) {
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

    if (op->ref_kind != VAULT_REF_KIND_LEASE) {
        vault_intent_looked(op, http);
        return;
    }
    if (!vault_status_is_success(http)) {
        vault_status_classify(VAULT_CALL_REVOKE, http, &failure);
        if (failure.status == LEASED_GONE) {
            vault_revoked(op, LEASED_OK);
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
    struct plugin_text detail = {{0}};

    if (op->ref_kind == VAULT_REF_KIND_CHILD || op->ref_kind == VAULT_REF_KIND_LOGIN) {
        vault_intent_answered(op, http);
        return;
    }
    if (http->status != 200 && http->status != 204) {
        doubt(op, LOOKS_MAX, "the revocation was accepted but isn't confirmed yet");
    } else if (vault_reply_parse(http, &reply, &detail) != 0) {
        doubt(op, 1, detail.bytes);
    } else if (op->ref_kind == VAULT_REF_KIND_CERTIFICATE) {
        certificate_revoked(op, &reply);
    } else if (http->status == 200 && !vault_reply_is_envelope(&reply)) {
        doubt(op, 1, "the revocation's answer isn't Vault's");
    } else {
        vault_revoked(op, LEASED_OK);
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
