/* Three ways to issue, by what a lost answer would leave behind:
 *
 *   alone       nothing that could be revoked: a read (static roles, KV version 2, cubbyhole), a
 *               one-time code, a data key, a certificate whose private key was in the answer, and
 *               what was seen to answer without a lease before. No record, no child.
 *   under the   a record of the own token's accessor: what the answer would have named ends with
 *   login       that login at the latest, and revoke says so until it has.
 *   isolated    a child token of its own, recorded before anything is issued under it (child.c): a
 *               lost answer is revoked through it, and dies with it within a minute if nobody does.
 *
 * What answers with a lease, by its path or because it did, is isolated unless the role says
 * otherwise or the own token may not make children. What may or may not (a mount of an engine that
 * isn't known, the first time) is asked for under the login. */
#include "isolate.h"

#include "child.h"
#include "common/dump.h"
#include "rights.h"
#include "token.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define META_KEYS_MAX 8U

enum way {
    WAY_ALONE,
    WAY_LOGIN,
    WAY_CHILD,
};

/* --- preparing -------------------------------------------------------------------------------- */

/* NULL when out of memory. Vault's own audit shows it with every request of the child. */
static json_t *pack_meta(const struct leased_issue *request)
{
    json_t *meta = json_object();

    for (size_t i = 0; meta != NULL && i < request->caller_count && i < META_KEYS_MAX; i++) {
        const struct leased_kv *kv = &request->caller[i];
        char key[32];

        if (kv->key.len == 0 || kv->key.len >= sizeof(key)) {
            continue;
        }
        memcpy(key, kv->key.ptr, kv->key.len);
        key[kv->key.len] = '\0';
        /* What isn't UTF-8 is left out. */
        (void)json_object_set_new(meta, key, json_stringn(kv->value.ptr, kv->value.len));
    }
    return meta;
}

int vault_isolate_prepare(struct vault_op *op, const struct leased_issue *request)
{
    struct leased_instance *vault = op->vault;
    char path[VAULT_CREATE_PATH_MAX_BYTES];
    char life[16];
    json_t *meta;
    json_t *body;

    if (op->isolate == VAULT_ISOLATE_NEVER || vault_op_is_read(op)) {
        return 0;
    }
    (void)snprintf(life, sizeof(life), "%us", VAULT_CHILD_LIFE_S);
    meta = pack_meta(request);
    body = meta != NULL ? json_pack("{s:s, s:i, s:b, s:o}", "ttl", life, "num_uses",
                                    VAULT_CHILD_USES, "renewable", 1, "meta", meta)
                        : NULL;
    vault_rights_create_path(&vault->config, path);
    if (body == NULL || vault_request_init(vault->host, path, body, &op->child_request) != 0) {
        return -1;
    }
    op->child_request.creates = true;
    op->child_request.is_repeatable = true; /* a bare token dies soon, and has nothing */
    return 0;
}

/* --- intents ---------------------------------------------------------------------------------- */

static void intended(void *user, int32_t status)
{
    struct vault_op *op = user;
    void (*recorded)(struct vault_op * op, int32_t status) = op->recorded;

    op->recorded = NULL;
    recorded(op, status); /* op may be gone */
}

/* An older host records nothing. */
static void unasked(void *user)
{
    struct vault_op *op = user;

    op->timer = NULL;
    intended(op, 0); /* op may be gone */
}

int vault_isolate_intend(struct vault_op *op, const char *ref,
                         void (*recorded)(struct vault_op *op, int32_t status))
{
    const struct leased_host *host = op->vault->host;

    op->recorded = recorded;
    if (!LEASED_HAS(host, intent)) {
        op->timer = host->timer_start(op->vault->context, 0, unasked, op);
        if (op->timer == NULL) {
            return -1;
        }
    } else if (host->intent(op->vault->context, op->handle, plugin_str(ref), intended, op) < 0) {
        return -1;
    }
    op->state = VAULT_OP_INTENDING;
    return 0;
}

void vault_isolate_unrecorded(struct vault_op *op, int32_t status)
{
    if (status == -LEASED_CANCELED) {
        vault_op_fail(op, LEASED_CANCELED, "");
    } else {
        vault_op_fail(op, LEASED_RETRY,
                      "what to revoke if the answer is lost could not be recorded");
    }
}

/* --- under the login -------------------------------------------------------------------------- */

static void login_intended(struct vault_op *op, int32_t status)
{
    struct leased_instance *vault = op->vault;
    bool is_sent = true;

    if (status < 0) {
        vault_isolate_unrecorded(op, status);
        return;
    }
    if (!vault_token_is_usable(vault)) {
        vault_op_fail(op, LEASED_RETRY, "the login ended meanwhile");
        return;
    }
    /* The record must name the token that it is asked for with. */
    is_sent = op->intended == vault->token.generation
                  ? vault_op_send(op, VAULT_OP_SENT, &op->request) == 0
                  : vault_isolate_go(op) == 0;
    if (!is_sent) {
        vault_op_fail(op, LEASED_RETRY, "the request could not be started");
    }
}

static int intend_login(struct vault_op *op)
{
    struct leased_instance *vault = op->vault;
    const struct vault_token *token = &vault->token;
    char ref[sizeof(VAULT_REF_LOGIN) + VAULT_ACCESSOR_MAX_BYTES + 32];
    int64_t left_ms = (int64_t)(token->expires_ms - vault->host->now_ms(vault->context));

    if (token->accessor[0] != '\0') {
        (void)snprintf(ref, sizeof(ref), VAULT_REF_LOGIN "%s", token->accessor);
    } else {
        /* Rounded up. One that has neither accessor nor end (an old look-up) is left to its
         * engine's own limits. */
        int64_t ends_s = token->expires_ms == VAULT_NEVER
                             ? 0
                             : (vault->host->wall_ms(vault->context) + left_ms) / 1000 + 1;

        (void)snprintf(ref, sizeof(ref), VAULT_REF_LOGIN "@%" PRId64, ends_s);
    }
    op->intended = token->generation;
    return vault_isolate_intend(op, ref, login_intended);
}

/* --- which way -------------------------------------------------------------------------------- */

static enum way way_of(const struct vault_op *op)
{
    enum vault_kind kind = vault_kinds_find(&op->vault->kinds, plugin_str(op->path));

    if (vault_op_is_read(op)) {
        return WAY_ALONE;
    }
    if (op->isolate == VAULT_ISOLATE_ALWAYS) {
        return WAY_CHILD;
    }
    if (kind == VAULT_KIND_BARE) {
        return WAY_ALONE;
    }
    if (kind == VAULT_KIND_LEASED || op->shape.kind == VAULT_SHAPE_LEASED) {
        bool is_child = op->isolate == VAULT_ISOLATE_AUTO && !op->vault->rights.is_isolation_denied;

        return is_child ? WAY_CHILD : WAY_LOGIN;
    }
    return op->shape.kind == VAULT_SHAPE_OTHER ? WAY_LOGIN : WAY_ALONE;
}

int vault_isolate_go(struct vault_op *op)
{
    switch (way_of(op)) {
    case WAY_CHILD:
        return vault_child_create(op);
    case WAY_LOGIN:
        return intend_login(op);
    case WAY_ALONE:
    default:
        return vault_op_send(op, VAULT_OP_SENT, &op->request);
    }
}
