/* The plugin for HashiCorp Vault and OpenBao: its table, and the beginning and end of an instance.
 *
 * Happy path: open parses the configuration and begins the login; close ends every operation and
 * exchange, then (LEASED_CLOSE_LOGOUT) revokes the tokens that logins made, then frees. A
 * configured token isn't ours to revoke. A login that is under way then is let end, within five
 * seconds, because its token would be left behind; so is a token's revocation. A host that doesn't
 * wait for as long cancels the close, which ends it at once. */
#include "issue.h"
#include "kept.h"
#include "lease.h"
#include "own.h"
#include "params.h"
#include "pass.h"
#include "source.h"
#include "token.h"

#include <string.h>

#define BACKOFF_FIRST_MS 1000U
#define BACKOFF_MAX_MS 60000U
#define BACKOFF_LEAST_MS 100U

/* The one place that the ABI gives for a reason: valid until the next call of the plugin. */
static struct plugin_text last_detail;

/* --- shared by the other files ---------------------------------------------------------------- */

uint64_t vault_random(struct leased_instance *vault, uint64_t below)
{
    uint64_t value;

    vault->host->random(vault->context, &value, sizeof(value));
    return below > 0 ? value % below : 0;
}

uint64_t vault_backoff_ms(struct leased_instance *vault, uint32_t failures)
{
    uint64_t most_ms = BACKOFF_FIRST_MS << (failures < 8 ? failures : 8);

    most_ms = most_ms < BACKOFF_MAX_MS ? most_ms : BACKOFF_MAX_MS;
    return BACKOFF_LEAST_MS + vault_random(vault, most_ms);
}

void vault_log(struct leased_instance *vault, uint32_t level, const char *event, const char *detail)
{
    const struct leased_kv field = {.key = PLUGIN_STR("detail"), .value = plugin_str(detail)};

    vault->host->log(vault->context, level, plugin_str(event), &field, detail[0] != '\0' ? 1 : 0);
}

void vault_warn(struct leased_instance *vault, const char *key, const char *text)
{
    if (LEASED_HAS(vault->host, warning)) {
        vault->host->warning(vault->context, plugin_str(key), plugin_str(text));
    }
}

/* --- open ------------------------------------------------------------------------------------- */

static void begin(struct leased_instance *vault)
{
    uint64_t now_ms = vault->host->now_ms(vault->context);
    bool is_wrapped = vault_config_has(&vault->config, VAULT_SOURCE_WRAPPING);

    vault->host->random(vault->context, vault->seen_key, sizeof(vault->seen_key));
    vault->renew_at_ms = VAULT_NEVER;
    vault->retell_at_ms = VAULT_NEVER;
    vault->rights.at_ms = VAULT_NEVER;
    vault->login_at_ms = is_wrapped ? VAULT_NEVER : now_ms;
    vault->unwrap_at_ms = is_wrapped ? now_ms : VAULT_NEVER;
    vault_kept_restore(vault);
    if (vault->token.bytes != NULL) {
        vault_source_note(vault); /* they were used before */
    }
    if (vault->token.bytes != NULL && !vault_config_makes_tokens(&vault->config)) {
        vault->login_at_ms = now_ms; /* its source may hold another one by now */
    } else if (vault->token.bytes != NULL && is_wrapped) {
        vault->unwrap_at_ms = VAULT_NEVER; /* it is used up */
    }
    vault->watch_at_ms = VAULT_NEVER;
    if (vault_source_can_change(vault)) {
        vault->watch_at_ms = now_ms + VAULT_WATCH_MS;
    }
    vault_token_step(vault);
}

static int32_t vault_open(const struct leased_host *host, leased_host_context *context,
                          struct leased_str config, leased_instance **ret_instance,
                          struct leased_str *ret_detail)
{
    struct leased_instance *vault = plugin_alloc(host, sizeof(*vault));

    if (vault == NULL) {
        plugin_text_set(&last_detail, "out of memory");
        (void)plugin_refuse(&last_detail, ret_detail);
        return -LEASED_RETRY;
    }
    vault->host = host;
    vault->context = context;
    if (vault_config_parse(config, &vault->config, &last_detail) != 0) {
        host->secret_free(vault);
        return plugin_refuse(&last_detail, ret_detail);
    }
    begin(vault);
    *ret_instance = vault;
    return 0;
}

static int32_t vault_check_config(struct leased_str config, struct leased_str *ret_detail)
{
    struct vault_config parsed;

    if (vault_config_parse(config, &parsed, &last_detail) != 0) {
        return plugin_refuse(&last_detail, ret_detail);
    }
    return parsed.method == VAULT_AUTH_CERT ? LEASED_NEEDS_CLIENT_CERTIFICATE : 0;
}

static int32_t vault_check_params(struct leased_str params, struct leased_str *ret_detail)
{
    struct vault_params parsed;

    if (vault_params_parse(params, &parsed, &last_detail) != 0) {
        return plugin_refuse(&last_detail, ret_detail);
    }
    vault_params_fini(&parsed);
    return 0;
}

/* --- close ------------------------------------------------------------------------------------ */

static void vault_free(struct leased_instance *vault)
{
    const struct leased_host *host = vault->host;

    while (vault->ops != NULL) {
        vault_op_free(vault->ops);
    }
    if (vault->timer != NULL) {
        host->timer_stop(vault->context, vault->timer);
    }
    vault_token_free_all(vault);
    host->secret_free(vault->candidate);
    host->secret_free(vault->secret_id);
    host->secret_free(vault->unwanted);
    host->secret_free(vault);
}

/* Takes the next token to be revoked, and begins that. False when there is none left. */
static bool logout_next(struct leased_instance *vault)
{
    while ((vault->close_flags & LEASED_CLOSE_LOGOUT) != 0 &&
           vault_config_makes_tokens(&vault->config)) {
        char *token = vault->token.bytes;
        bool is_sent;

        if (vault->unwanted != NULL) {
            token = vault->unwanted;
            vault->unwanted = NULL;
        } else if (token != NULL) {
            vault->token.bytes = NULL;
        } else if (vault->old_count > 0) {
            token = vault->old[--vault->old_count].bytes;
        } else {
            return false;
        }
        is_sent = vault_own_logout(vault, token);
        vault->host->secret_free(token);
        if (is_sent) {
            return true;
        }
    }
    return false;
}

static void close_end(struct leased_instance *vault, int32_t status)
{
    const struct leased_host *host = vault->host;
    leased_host_context *context = vault->context;
    leased_op *op = vault->close_op;

    vault_free(vault);
    host->op_done(context, op, status, NULL);
}

void vault_close_step(struct leased_instance *vault)
{
    if (vault->op_count == 0 && vault->own == VAULT_OWN_NONE && vault->timer == NULL &&
        vault->rights.http == NULL && !logout_next(vault)) {
        close_end(vault, LEASED_OK);
    }
}

static void close_ran(void *user)
{
    struct leased_instance *vault = user;

    vault->timer = NULL;
    if (vault->own_http != NULL && vault->own != VAULT_OWN_NONE) {
        vault->host->http_cancel(vault->context, vault->own_http);
    }
    if (vault->rights.http != NULL) {
        vault->host->http_cancel(vault->context, vault->rights.http);
    }
    vault_close_step(vault); /* vault may be gone */
}

/* Would a token be left behind if the login's exchange were cut off? */
static bool leaves_token(const struct leased_instance *vault)
{
    return vault->own_http != NULL && (vault->close_flags & LEASED_CLOSE_LOGOUT) != 0 &&
           vault_config_makes_tokens(&vault->config) &&
           (vault->own == VAULT_OWN_LOGIN || vault->own == VAULT_OWN_LOGOUT);
}

static int32_t vault_close(leased_instance *vault, uint32_t flags, leased_op *op)
{
    vault->is_closing = true;
    vault->close_flags = flags;
    vault->close_op = op;
    if (vault->timer != NULL) {
        vault->host->timer_stop(vault->context, vault->timer);
    }
    vault_ops_cancel_all(vault);
    if ((flags & LEASED_CLOSE_LOGOUT) != 0) {
        vault_kept_remove(vault);
    } else {
        vault_kept_step(vault);
    }
    /* Nothing may be left to wait for, and close can't end from inside itself. */
    vault->timer =
        vault->host->timer_start(vault->context, leaves_token(vault) ? VAULT_LOGOUT_TIMEOUT_MS : 0,
                                 close_ran, vault);
    if (vault->timer == NULL) {
        vault_free(vault);
        return -LEASED_RETRY;
    }
    return 0;
}

/* --- table ------------------------------------------------------------------------------------ */

/* What is still out when a close is cancelled is the host's to end. */
static void vault_cancel(leased_instance *vault, leased_op *op)
{
    if (vault->is_closing && op == vault->close_op) {
        close_end(vault, LEASED_CANCELED);
    } else {
        vault_op_cancel(vault, op);
    }
}

static int32_t vault_holds_anchor(leased_instance *vault, uint64_t anchor)
{
    const struct vault_token *token = vault_token_find(vault, anchor);

    return token != NULL && token->expires_ms > vault->host->now_ms(vault->context) ? 1 : 0;
}

static const struct leased_backend_ops ops = {
    .size = sizeof(ops),
    .open = vault_open,
    .check_params = vault_check_params,
    .check_config = vault_check_config,
    .close = vault_close,
    .issue = vault_issue,
    .renew = vault_renew,
    .revoke = vault_revoke,
    .health = vault_health,
    .cancel = vault_cancel,
    .call = vault_pass,
    .holds_anchor = vault_holds_anchor,
};

static const struct leased_plugin plugin = {
    .size = sizeof(plugin),
    .abi_major = LEASED_ABI_MAJOR,
    .kind = LEASED_KIND_BACKEND,
    .name = {"vault", sizeof("vault") - 1},
    .version = {"0.1.0", sizeof("0.1.0") - 1},
    .ops = &ops,
};

__attribute__((visibility("default"))) int32_t leased_plugin_entry(
    const struct leased_host *host, const struct leased_plugin **ret_plugin);

int32_t leased_plugin_entry(const struct leased_host *host, const struct leased_plugin **ret_plugin)
{
    /* Everything up to `call_done` is used. */
    if (host->abi_major != LEASED_ABI_MAJOR || !LEASED_HAS(host, call_done)) {
        return -1;
    }
    *ret_plugin = &plugin;
    return 0;
}
