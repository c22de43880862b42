/* Happy path of an issue: a child token for a minute and two uses is made → its accessor is
 * recorded → the credential is issued under it → the child's life is set to the lease's, by the own
 * token and the accessor → fitted and handed over as others are; the host records the lease then,
 * with its id and the accessor, in the child's place. Until that is written the child's record
 * stands: whoever finds it ends the child, extended or not, and the lease with it. A renewal
 * extends the lease, then the child; a revocation ends the lease, whose answer proves more, then
 * the child.
 *
 * Failure paths: the child's answer is lost → it dies within a minute and has nothing: try again.
 * It may not be made → not isolated, if the role doesn't insist. The issue's answer is lost → what
 * it made hangs on a child that is on record. The issue was sent twice, by curl on a connection
 * that had died or by something in between → the second takes the child's last use, which Vault
 * refuses and ends the child for; and we end it, too. The child can't be kept alive → what was
 * issued is named to be revoked. At the end only the lease's death counts: a child that is left has
 * one use and nothing to show. */
#include "child.h"

#include "isolate.h"
#include "issue.h"
#include "lease.h"
#include "login.h"
#include "rights.h"
#include "token.h"

#include <stdio.h>
#include <string.h>

#define EXTENSIONS_MAX 2U
#define CHILD_REF_MAX_BYTES (sizeof(VAULT_REF_CHILD) + VAULT_ACCESSOR_MAX_BYTES)

/* --- made ------------------------------------------------------------------------------------- */

int vault_child_create(struct vault_op *op)
{
    if (op->child_request.path == NULL ||
        vault_op_send(op, VAULT_OP_CHILD, &op->child_request) != 0) {
        return -1;
    }
    op->is_child_asked = true;
    op->parent = op->generation;
    return 0;
}

void vault_child_denied(struct vault_op *op)
{
    struct leased_instance *vault = op->vault;
    char path[VAULT_CREATE_PATH_MAX_BYTES];
    struct plugin_text detail = {{0}};

    vault_rights_create_path(&vault->config, path);
    op->is_child_asked = false;
    if (op->isolate == VAULT_ISOLATE_ALWAYS) {
        plugin_text_set(
            &detail,
            "`isolate: true` needs the capability \"update\" on %.280s, which the policy "
            "of leased's token lacks",
            path);
        vault_op_fail(op, LEASED_DENIED, detail.bytes);
        return;
    }
    vault_rights_isolation_denied(vault, path);
    if (vault_isolate_go(op) != 0) {
        vault_op_fail(op, LEASED_RETRY, "the request could not be started");
    }
}

/* NULL, or what is wrong with it. */
static const char *check_child(json_t *auth)
{
    json_t *uses = json_object_get(auth, "num_uses");

    if (vault_reply_text(auth, "accessor").len == 0) {
        return "makes batch tokens, which can't be revoked: let its token_type be service";
    }
    if (vault_reply_text(auth, "accessor").len >= VAULT_ACCESSOR_MAX_BYTES) {
        return "makes tokens whose accessor is too long";
    }
    if (!json_is_true(json_object_get(auth, "renewable"))) {
        return "makes tokens that can't be renewed: let it be renewable";
    }
    if (json_is_integer(uses) && json_integer_value(uses) == 1) {
        return "makes tokens of a single use, under which nothing can be issued: let its "
               "token_num_uses be 0";
    }
    return NULL;
}

/* The token's bytes and accessor. False when out of memory. */
static bool take_child(struct vault_op *op, json_t *auth, int64_t life_s)
{
    const struct leased_host *host = op->vault->host;

    op->child_token = plugin_secret_dup(host, vault_reply_text(auth, "client_token"));
    op->accessor = plugin_strdup(host, vault_reply_text(auth, "accessor"));
    op->is_orphan = json_is_true(json_object_get(auth, "orphan"));
    /* Under one of more uses a second issue would be another credential. */
    op->request.is_repeatable =
        json_integer_value(json_object_get(auth, "num_uses")) == VAULT_CHILD_USES;
    op->child_ends_ms = op->sent_ms + (uint64_t)life_s * 1000U;
    return op->child_token != NULL && op->accessor != NULL;
}

static void child_intended(struct vault_op *op, int32_t status)
{
    uint64_t now_ms = op->vault->host->now_ms(op->vault->context);

    if (status < 0) {
        vault_isolate_unrecorded(op, status);
    } else if (op->child_ends_ms <= now_ms) {
        vault_op_fail(op, LEASED_RETRY,
                      "recording what to revoke took longer than its token lives");
    } else if (vault_op_send(op, VAULT_OP_SENT, &op->request) != 0) {
        vault_op_fail(op, LEASED_RETRY, "the request could not be started");
    }
}

static const char *child_ref(const struct vault_op *op, char ref[CHILD_REF_MAX_BYTES])
{
    (void)snprintf(ref, CHILD_REF_MAX_BYTES, VAULT_REF_CHILD "%s", op->accessor);
    return ref;
}

static void intend_child(struct vault_op *op)
{
    char ref[CHILD_REF_MAX_BYTES];

    (void)child_ref(op, ref);
    if (vault_isolate_intend(op, ref, child_intended) != 0) {
        vault_isolate_unrecorded(op, -LEASED_RETRY);
    }
}

/* `reply` is of a success. */
static void take_answer(struct vault_op *op, const struct leased_http_reply *http,
                        const struct vault_reply *reply)
{
    struct leased_str token = vault_reply_text(reply->auth, "client_token");
    struct plugin_text detail = {{0}};
    const char *problem = check_child(reply->auth);
    int64_t life_s = 0;

    if (!vault_is_token(token.ptr, token.len) ||
        vault_reply_seconds(reply->auth, "lease_duration", &life_s) <= 0 || life_s == 0) {
        vault_op_fail(op, LEASED_RETRY, "the answer holds no child token");
        return;
    }
    life_s = vault_aged_s(life_s, vault_header_age_s(http));
    if (problem != NULL) {
        plugin_text_set(&detail, "the token role %.200s %.160s",
                        op->vault->config.token_role[0] != '\0' ? op->vault->config.token_role
                                                                : "(none)",
                        problem);
        vault_op_fail(op, LEASED_INVALID, detail.bytes);
    } else if (!take_child(op, reply->auth, life_s)) {
        vault_op_fail(op, LEASED_RETRY, "out of memory");
    } else {
        if (!op->is_orphan) {
            vault_rights_child_depends(op->vault);
        }
        intend_child(op); /* op may be gone */
    }
}

void vault_child_created(struct vault_op *op, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct plugin_text detail = {{0}};

    if (!vault_status_is_success(http)) {
        vault_op_classify(op, http, &op->failure);
        if (op->failure.status == VAULT_STATUS_CHECK_TOKEN) {
            vault_op_denied(op, http);
            return;
        }
        if (op->failure.status == LEASED_LOST) {
            op->failure.status = LEASED_RETRY; /* a bare token dies soon, and has nothing */
        }
        plugin_text_set(&detail, "could not make a child token: %.370s", op->failure.detail.bytes);
        vault_op_fail(op, op->failure.status, detail.bytes);
        return;
    }
    op->is_child_asked = false;
    if (vault_reply_parse(http, &reply, &detail) != 0) {
        vault_op_fail(op, LEASED_RETRY, detail.bytes);
        return;
    }
    take_answer(op, http, &reply); /* op may be gone */
    vault_reply_fini(&reply);
}

/* --- issued under it -------------------------------------------------------------------------- */

/* An issue that was sent again found the child used up, or ended for that, and with it what the
 * first one made: Vault says so, and we make sure. */
static void resent(struct vault_op *op, const char *detail)
{
    char ref[CHILD_REF_MAX_BYTES];
    const struct leased_result result = {
        .size = sizeof(result),
        .issuer_ref = plugin_str(child_ref(op, ref)),
        .detail = plugin_str(detail),
        .retry_after_ms = op->failure.retry_after_ms,
    };

    vault_op_end(op, LEASED_RETRY, &result);
}

bool vault_child_refused(struct vault_op *op, const struct leased_http_reply *http)
{
    struct leased_instance *vault = op->vault;
    struct plugin_text detail = {{0}};

    if (op->accessor == NULL) {
        return false;
    }
    if (op->failure.status == VAULT_STATUS_CHECK_TOKEN && vault_status_is_dead_token(http)) {
        resent(op, "the child token had ended");
    } else if (op->failure.status == VAULT_STATUS_CHECK_TOKEN) {
        plugin_text_set(&detail,
                        vault->config.token_role[0] != '\0'
                            ? "the policies that the token role %.200s gives don't allow it: %.120s"
                            : "the policies of leased's token%.0s don't allow it: %.120s",
                        vault->config.token_role, op->path);
        vault_op_fail(op, LEASED_DENIED, detail.bytes);
    } else if (plugin_str_has(plugin_str(op->failure.detail.bytes), "one use left")) {
        resent(op, "the issue was sent twice, and Vault has refused that");
    } else {
        return false;
    }
    return true;
}

/* --- kept alive ------------------------------------------------------------------------------- */

/* The life that the lease is going to have. */
static int64_t lease_seconds(const struct vault_op *op)
{
    int64_t wanted_s = (int64_t)vault_op_wanted_s(op);

    return wanted_s > 0 && op->issued.is_renewable ? wanted_s : op->life.seconds;
}

/* A request about the child, under the own token. False when it can't be sent. */
static bool send_about(struct vault_op *op, const char *path, enum vault_op_state state,
                       int64_t increment_s)
{
    struct vault_request request;

    return vault_token_is_usable(op->vault) &&
           vault_request_init_about(op->vault->host, path, op->accessor, increment_s, &request) ==
               0 &&
           vault_op_send(op, state, &request) == 0;
}

static void extend(struct vault_op *op, int64_t lease_s)
{
    op->extend_count++;
    op->extended_s = lease_s + VAULT_CHILD_LIFE_S;
    if (!send_about(op, VAULT_RENEW_ACCESSOR, VAULT_OP_EXTENDING, op->extended_s)) {
        vault_op_fail(op, LEASED_RETRY, "the child token's renewal could not be started");
    }
}

void vault_child_keep(struct vault_op *op)
{
    extend(op, lease_seconds(op)); /* op may be gone */
}

static void renew_done(struct vault_op *op)
{
    struct leased_result result = {.size = sizeof(result)};
    uint64_t ends_ms = op->renewed_ms + (uint64_t)op->renewed_s * 1000U;

    result.flags = op->renewed_flags;
    if (ends_ms > op->child_ends_ms) {
        ends_ms = op->child_ends_ms;
        result.flags |= LEASED_RESULT_CAPPED;
    }
    if (ends_ms <= op->renewed_ms) {
        vault_op_fail(op, LEASED_DENIED, "the renewal gives the lease's own token no more life");
        return;
    }
    result.lifetime_ms = ends_ms - op->renewed_ms;
    result.asked_ms = op->renewed_ms;
    vault_op_end(op, LEASED_OK, &result);
}

void vault_child_renew(struct vault_op *op)
{
    extend(op, op->renewed_s); /* op may be gone */
}

/* The own token may not do it. */
static void extension_denied(struct vault_op *op)
{
    bool falls_back = op->call == VAULT_CALL_ISSUE && op->isolate == VAULT_ISOLATE_AUTO;

    if (op->call == VAULT_CALL_ISSUE) {
        vault_rights_isolation_denied(op->vault, VAULT_RENEW_ACCESSOR);
    }
    vault_op_fail(op, falls_back ? LEASED_RETRY : LEASED_DENIED,
                  "isolation needs the capability \"update\" on " VAULT_RENEW_ACCESSOR
                  ", which the policy of leased's token lacks");
}

static void extension_failed(struct vault_op *op, const struct leased_http_reply *http)
{
    bool is_renewal = op->call == VAULT_CALL_RENEW;
    struct plugin_text detail = {{0}};

    vault_status_classify(VAULT_CALL_RENEW, http, &op->failure);
    if (vault_status_is_unknown_accessor(http) || vault_status_is_half_ended(http)) {
        vault_op_fail(op, is_renewal ? LEASED_GONE : LEASED_RETRY,
                      "the token that it was issued under is gone");
    } else if (op->failure.status == VAULT_STATUS_CHECK_TOKEN &&
               !vault_status_is_dead_token(http)) {
        extension_denied(op);
    } else if (op->extend_count < EXTENSIONS_MAX && !op->vault->is_closing) {
        extend(op, is_renewal ? op->renewed_s : lease_seconds(op)); /* op may be gone */
    } else {
        plugin_text_set(&detail, "the token that it was issued under could not be renewed: %.330s",
                        op->failure.detail.bytes);
        vault_op_fail(op, LEASED_RETRY, detail.bytes);
    }
}

void vault_child_extended(struct vault_op *op, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct plugin_text detail = {{0}};
    int64_t life_s = 0;
    bool is_read;

    if (!vault_status_is_success(http)) {
        extension_failed(op, http);
        return;
    }
    is_read = vault_reply_parse(http, &reply, &detail) == 0 &&
              vault_reply_seconds(reply.auth, "lease_duration", &life_s) == 1;
    vault_reply_fini(&reply);
    if (!is_read) {
        vault_op_fail(op, LEASED_RETRY, "the answer to the child token's renewal can't be used");
        return;
    }
    op->is_child_capped = life_s < op->extended_s;
    life_s = vault_aged_s(life_s, vault_header_age_s(http));
    op->child_ends_ms = op->sent_ms + (uint64_t)life_s * 1000U;
    if (op->call == VAULT_CALL_RENEW) {
        renew_done(op);
    } else {
        vault_issue_fit(op);
    }
}

/* --- ended ------------------------------------------------------------------------------------ */

void vault_child_end(struct vault_op *op)
{
    if (op->vault->is_closing || !send_about(op, VAULT_REVOKE_ACCESSOR, VAULT_OP_ENDING_CHILD, 0)) {
        vault_op_fail(op, LEASED_RETRY,
                      "the lease is revoked; its token's revocation could not be "
                      "started");
    }
}

void vault_child_ended(struct vault_op *op, const struct leased_http_reply *http)
{
    struct plugin_text detail = {{0}};

    if (vault_status_is_success(http) || vault_status_is_unknown_accessor(http) ||
        vault_status_is_half_ended(http)) {
        vault_op_end(op, op->revoked_status, NULL);
        return;
    }
    vault_status_classify(VAULT_CALL_REVOKE, http, &op->failure);
    if (op->failure.status == VAULT_STATUS_CHECK_TOKEN && !vault_status_is_dead_token(http)) {
        /* It ends by itself, with nothing to show. rights.c tells. */
        vault_op_end(op, op->revoked_status, NULL);
        return;
    }
    plugin_text_set(&detail,
                    "the lease is revoked, but not the token that it was issued under: %.330s",
                    op->failure.detail.bytes);
    vault_op_fail(op, LEASED_RETRY, detail.bytes);
}
