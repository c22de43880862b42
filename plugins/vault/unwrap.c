/* Happy path: the wrapping token is looked up, which doesn't use it up and needs no login; it was
 * made where secret_ids of our AppRole are made; it is unwrapped, with itself in the header; the
 * secret_id is kept in memory for this login and later ones.
 *
 * Failure paths: a token that was made elsewhere was put in place of ours; one that isn't valid may
 * have been unwrapped by somebody else, or by an earlier start of ours, which has left nothing that
 * would tell. A refusal is believed when the source holds the same token a second later, because a
 * file may be read while it is written. Either is told under a name of its own, never tried again
 * before the source holds another token, and leaves an earlier secret_id in use. Everything else
 * (nothing to read, no connection, sealed) is tried again after a back-off. An answer that is lost
 * may have used the token up: then the next look-up says that it isn't valid, and we say why that
 * may be. */
#include "unwrap.h"

#include "login.h"
#include "own.h"
#include "reply.h"
#include "source.h"
#include "token.h"

#include <string.h>

#define EVENT_FAILED "vault.login.failed"
#define EVENT_REFUSED "vault.unwrap.refused"
#define EVENT_SUBSTITUTED "vault.unwrap.substituted"
#define NEXT_STEP "revoke that secret_id and put a new wrapping token in place"
#define SETTLE_MS 1000U

/* --- failing ---------------------------------------------------------------------------------- */

static void failed(struct leased_instance *vault, const char *text)
{
    vault->unwrap_at_ms = vault_login_failed_text(vault, EVENT_FAILED, text);
}

/* Not before the source holds another one. */
static void given_up(struct leased_instance *vault, const char *event, const char *text)
{
    vault->unwrap_at_ms = VAULT_NEVER;
    vault->is_unwrap_lost = false;
    vault->is_unwrap_doubted = false;
    (void)vault_login_failed_text(vault, event, text);
}

/* Who may have used it up. */
static const char *suspicion(const struct leased_instance *vault, bool was_valid)
{
    if (vault->is_unwrap_lost) {
        return "The answer to our own unwrapping was lost; " NEXT_STEP;
    }
    if (was_valid) {
        return "It was valid just before: somebody else has unwrapped it; " NEXT_STEP;
    }
    if (!vault->is_wrapping_new) {
        return "It was unwrapped already, perhaps by an earlier start of leased: deliver a new one. "
               "If leased never had it, somebody else may have unwrapped it";
    }
    return "Somebody else may have unwrapped it; " NEXT_STEP;
}

static void refused(struct leased_instance *vault, bool was_valid, const char *reason)
{
    const char *source = vault->config.sources[VAULT_SOURCE_WRAPPING].text;
    struct plugin_text text = {{0}};

    plugin_text_set(&text, "the wrapping token in %.80s is refused: %.90s. %s", source, reason,
                    suspicion(vault, was_valid));
    given_up(vault, EVENT_REFUSED, text.bytes);
}

/* Vault's own: a firewall's says nothing about the token. */
static bool is_refusal(const struct leased_http_reply *http)
{
    return http->transport == LEASED_HTTP_OK && (http->status == 400 || http->status == 403) &&
           vault_status_is_own(http);
}

static void not_answered(struct leased_instance *vault, bool was_valid,
                         const struct leased_http_reply *http)
{
    struct vault_failure failure;

    vault_status_classify(VAULT_CALL_LOGIN, http, &failure);
    if (is_refusal(http)) {
        refused(vault, was_valid, failure.detail.bytes);
    } else {
        vault->unwrap_at_ms = vault_login_failed(vault, EVENT_FAILED, &failure);
    }
}

/* --- steps ------------------------------------------------------------------------------------ */

void vault_unwrap_start(struct leased_instance *vault)
{
    struct vault_request request;
    struct plugin_text detail = {{0}};
    json_t *body;

    vault->unwrap_at_ms = VAULT_NEVER;
    vault->host->secret_free(vault->candidate);
    vault->candidate = vault_source_read(vault, VAULT_SOURCE_WRAPPING, &detail);
    if (vault->candidate == NULL) {
        failed(vault, detail.bytes);
        return;
    }
    if (!vault_is_token(vault->candidate, strlen(vault->candidate))) {
        plugin_text_set(&detail, "what %.200s holds is not a token",
                        vault->config.sources[VAULT_SOURCE_WRAPPING].text);
        failed(vault, detail.bytes);
        return;
    }
    body = json_pack("{s:s}", "token", vault->candidate);
    if (body == NULL ||
        vault_request_init(vault->host, "sys/wrapping/lookup", body, &request) != 0 ||
        !vault_own_send(vault, VAULT_OWN_WRAP_LOOKUP, &request, NULL)) {
        failed(vault, "the request could not be started");
    }
}

bool vault_unwrap_path_fits(struct leased_str path, const char *pattern)
{
    const char *end = path.ptr + path.len;
    const char *at = path.ptr;

    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '*') {
            const char *start = at;

            while (at < end && *at != '/') {
                at++;
            }
            if (at == start) {
                return false;
            }
        } else if (at < end && *at == *pattern) {
            at++;
        } else {
            return false;
        }
    }
    return at == end;
}

/* OpenBao leaves the namespace out of the path; others may put it before. */
static bool is_ours(const struct vault_config *config, struct leased_str path)
{
    size_t len = strlen(config->namespace_path);

    if (len > 0 && path.len > len && path.ptr[len] == '/' &&
        memcmp(path.ptr, config->namespace_path, len) == 0) {
        path.ptr += len + 1;
        path.len -= len + 1;
    }
    return vault_unwrap_path_fits(path, config->wrapping_path);
}

void vault_unwrap_looked_up(struct leased_instance *vault, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct vault_request request;
    struct plugin_text detail = {{0}};
    const char *path;

    if (is_refusal(http) && !vault->is_unwrap_doubted) {
        vault->is_unwrap_doubted = true;
        vault->unwrap_at_ms = vault->host->now_ms(vault->context) + SETTLE_MS;
        return;
    }
    if (!vault_status_is_success(http)) {
        not_answered(vault, false, http);
        return;
    }
    if (vault_reply_parse(http, &reply, &detail) != 0) {
        failed(vault, detail.bytes);
        return;
    }
    path = json_string_value(json_object_get(reply.data, "creation_path"));
    if (path == NULL || !is_ours(&vault->config, plugin_str(path))) {
        plugin_text_set(
            &detail,
            "the wrapping token in %.80s was made at %.80s instead of %.80s: it was not "
            "unwrapped. Find out who put it there",
            vault->config.sources[VAULT_SOURCE_WRAPPING].text,
            path != NULL ? path : "an unknown path", vault->config.wrapping_path);
        given_up(vault, EVENT_SUBSTITUTED, detail.bytes);
    } else if (vault_request_init(vault->host, "sys/wrapping/unwrap", NULL, &request) != 0) {
        failed(vault, "out of memory");
    } else {
        request.method = PLUGIN_STR("POST");
        request.creates = true; /* never sent twice: the second would be refused */
        if (!vault_own_send(vault, VAULT_OWN_UNWRAP, &request, vault->candidate)) {
            failed(vault, "the request could not be started");
        }
    }
    vault_reply_fini(&reply);
}

/* Keeps it, and logs in with it if a login is wanted. */
static void unwrapped(struct leased_instance *vault, char *secret_id)
{
    vault->host->secret_free(vault->secret_id);
    vault->secret_id = secret_id;
    vault->host->secret_free(vault->candidate);
    vault->candidate = NULL;
    vault->is_unwrap_lost = false;
    vault->is_unwrap_doubted = false;
    vault->login_refusals = 0;
    vault_log(vault, LEASED_LOG_INFO, "vault.unwrap.done", "");
    if (!vault_token_is_usable(vault) || vault->login_failures > 0 || vault->is_login_awaited) {
        vault->is_login_awaited = false;
        vault->login_at_ms = vault->host->now_ms(vault->context);
    }
}

void vault_unwrap_answered(struct leased_instance *vault, const struct leased_http_reply *http)
{
    struct vault_reply reply = {0};
    struct plugin_text detail = {{0}};
    json_t *found;
    char *secret_id = NULL;

    if (!vault_status_is_success(http)) {
        if (http->transport != LEASED_HTTP_NOT_SENT && !is_refusal(http)) {
            vault->is_unwrap_lost = true;
        }
        not_answered(vault, true, http);
        return;
    }
    if (vault_reply_parse(http, &reply, &detail) != 0 || reply.root == NULL) {
        /* Vault's answer, damaged, or somebody else's: the next look-up will tell. */
        vault->is_unwrap_lost = true;
        failed(vault, detail.bytes[0] != '\0' ? detail.bytes : "the answer is empty");
        return;
    }
    /* It is used up, whatever it held. */
    found = json_object_get(reply.data, "secret_id");
    if (json_string_length(found) > 0) {
        secret_id = plugin_secret_dup(vault->host, (struct leased_str){json_string_value(found),
                                                                       json_string_length(found)});
    }
    if (secret_id != NULL) {
        unwrapped(vault, secret_id);
    } else {
        given_up(vault, EVENT_FAILED,
                 "what was unwrapped holds no secret_id, or memory is short; " NEXT_STEP);
    }
    vault_reply_fini(&reply);
}
