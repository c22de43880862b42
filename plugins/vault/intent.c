/* Happy path: the token is revoked by its accessor, and everything with it; a look-up proves it
 * gone. (By accessor Vault says yes though a database refused to drop its role; what has a lease id
 * on record is therefore revoked by that.)
 *
 * A login that is in use, or that other leases hang on, isn't ended for the sake of one answer that
 * was lost: what may have been created ends with it, and until then it is waited for. Nor is a
 * configured token, which isn't ours. A login of an earlier run that nobody knows any more is ended
 * like a child.
 *
 * Failure path: Vault was killed in the middle of the token's end. Then it can't be used, nor
 * revoked again ("token not found"), and what was issued under it may live on; looking it up has
 * Vault find that, and go on with it. */
#include "intent.h"

#include "token.h"

#include <string.h>

#define LOGIN_PAUSE_MS 300000U
#define LOGIN_PAUSE_LEAST_MS 1000U

/* --- what is only waited for ------------------------------------------------------------------ */

static void wait_text(struct vault_failure *failure)
{
    plugin_text_set(&failure->detail,
                    "what an issue may have created whose answer was lost ends with leased's login "
                    "under which it was asked for");
}

static int32_t wait_for(struct vault_op *op, uint64_t left_ms)
{
    struct vault_failure failure = {.status = LEASED_RETRY_AFTER};

    failure.retry_after_ms = left_ms < LOGIN_PAUSE_MS ? left_ms : LOGIN_PAUSE_MS;
    if (failure.retry_after_ms < LOGIN_PAUSE_LEAST_MS) {
        failure.retry_after_ms = LOGIN_PAUSE_LEAST_MS;
    }
    op->is_login_bound = true;
    wait_text(&failure);
    return vault_op_end_soon(op, &failure);
}

/* "@SECONDS": a token without an accessor. 0: it never ends, or isn't one. */
static int64_t end_of(struct leased_str name)
{
    int64_t seconds = 0;

    for (size_t i = 1; i < name.len; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9' || name.len > 16) {
            return 0;
        }
        seconds = seconds * 10 + (name.ptr[i] - '0');
    }
    return seconds;
}

static int32_t revoke_nameless(struct vault_op *op, struct leased_str name)
{
    int64_t left_ms = end_of(name) * 1000 - op->vault->host->wall_ms(op->vault->context);
    const struct vault_failure gone = {.status = LEASED_GONE};

    return left_ms > 0 ? wait_for(op, (uint64_t)left_ms) : vault_op_end_soon(op, &gone);
}

/* --- what is ended ---------------------------------------------------------------------------- */

int32_t vault_intent_revoke(struct vault_op *op, const struct vault_ref *ref)
{
    struct leased_instance *vault = op->vault;
    bool is_login = ref->kind == VAULT_REF_KIND_LOGIN;
    const struct vault_token *known = vault_token_find_accessor(vault, ref->name);
    const char *path = VAULT_REVOKE_ACCESSOR;

    op->ref_kind = ref->kind;
    if (is_login && ref->name.ptr[0] == '@') {
        return revoke_nameless(op, ref->name);
    }
    if (is_login && known != NULL) {
        return wait_for(op, known->expires_ms - vault->host->now_ms(vault->context));
    }
    if (is_login && !vault_config_makes_tokens(&vault->config)) {
        path = VAULT_LOOKUP_ACCESSOR;
        op->is_look_only = true;
    }
    op->lease_id = plugin_strdup(vault->host, ref->name);
    if (op->lease_id == NULL ||
        vault_request_init_about(vault->host, path, op->lease_id, 0, &op->request) != 0) {
        vault_op_free(op);
        return -LEASED_RETRY;
    }
    return vault_op_begin(op);
}

/* Is it Vault's warning that there was no such token? */
static bool was_unknown(const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct plugin_text unused = {{0}};
    json_t *warning;
    size_t index;
    bool is_unknown = false;

    if (vault_reply_parse(http, &reply, &unused) == 0) {
        json_array_foreach (reply.warnings, index, warning) {
            is_unknown = is_unknown || plugin_str_has(plugin_str(json_string_value(warning)),
                                                      "No token found with this accessor");
        }
    }
    vault_reply_fini(&reply);
    return is_unknown;
}

/* Asks something about its token. False when it can't be asked. */
static bool ask(struct vault_op *op, enum vault_op_state state, const char *path)
{
    struct vault_request request;

    return !op->vault->is_closing && vault_token_is_usable(op->vault) &&
           vault_request_init_about(op->vault->host, path, op->lease_id, 0, &request) == 0 &&
           vault_op_send(op, state, &request) == 0;
}

static void half_ended(struct vault_op *op)
{
    vault_op_fail(op, LEASED_RETRY,
                  "Vault has only half ended the token that it was asked for with");
}

bool vault_intent_in_doubt(struct vault_op *op, const struct leased_http_reply *http)
{
    bool is_repeated = op->is_half_ended;

    if (op->is_look_only || !vault_status_is_half_ended(http)) {
        return false;
    }
    op->is_half_ended = true;
    if (is_repeated || !ask(op, VAULT_OP_LOOKING, VAULT_LOOKUP_ACCESSOR)) {
        half_ended(op);
    }
    return true;
}

/* The look-up is only meant to have Vault go on, whatever it says; then the revocation tells. */
static void revoke_again(struct vault_op *op)
{
    if (!ask(op, VAULT_OP_SENT, VAULT_REVOKE_ACCESSOR)) {
        half_ended(op);
    }
}

void vault_intent_answered(struct vault_op *op, const struct leased_http_reply *http)
{
    op->is_half_ended = false;
    if (op->is_look_only) {
        op->failure.retry_after_ms = LOGIN_PAUSE_MS;
        wait_text(&op->failure);
        op->is_login_bound = true;
        vault_op_fail(op, LEASED_RETRY_AFTER, op->failure.detail.bytes);
    } else if (was_unknown(http)) {
        vault_op_end(op, LEASED_GONE, NULL);
    } else if (http->status != 204 && http->status != 200) {
        vault_op_fail(op, LEASED_RETRY, "the revocation was accepted but isn't confirmed yet");
    } else if (!ask(op, VAULT_OP_LOOKING, VAULT_LOOKUP_ACCESSOR)) {
        vault_op_fail(op, LEASED_RETRY, "the revocation could not be checked");
    }
}

void vault_intent_looked(struct vault_op *op, const struct leased_http_reply *http)
{
    if (vault_status_is_unknown_accessor(http)) {
        vault_op_end(op, LEASED_OK, NULL);
    } else if (op->is_half_ended) {
        revoke_again(op);
    } else if (http->transport == LEASED_HTTP_OK && http->status == 403 &&
               vault_status_is_own(http) && !vault_status_is_dead_token(http)) {
        vault_op_end(op, LEASED_OK, NULL); /* not ours to see; it did answer the revocation */
    } else {
        vault_op_fail(op, LEASED_RETRY,
                      vault_status_is_success(http)
                          ? "the token that it was issued under is still alive"
                          : "the revocation could not be checked");
    }
}
