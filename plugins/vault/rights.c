/* Happy path: one POST to sys/capabilities-self names all that leased needs; what is missing is
 * logged with what follows from it, and stands in status until a later look finds it.
 *
 * Failure paths: an answer that doesn't tell → nothing is known, and nothing said; asked again
 * later unless Vault itself refused. Whatever it says, it is only a hint: a request that is refused
 * counts, and so does one that isn't. */
#include "rights.h"

#include "login.h"
#include "reply.h"
#include "token.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define AGAIN_MS 600000U /* while something is missing */
#define RETRY_MS 60000U
#define KEY_UNISOLATED "isolate"
#define KEY_CHILDREN "children"

static const struct {
    const char *path;    /* NULL: the one that makes children */
    const char *follows; /* NULL: credentials aren't isolated */
} needs[] = {
    {"sys/leases/revoke", "credentials can't be revoked, and live to their end at the issuer"},
    {"sys/leases/renew",
     "credentials can't be renewed, and are replaced at the end of their first life"},
    {NULL, NULL},
    {VAULT_RENEW_ACCESSOR, NULL},
    {VAULT_REVOKE_ACCESSOR, NULL},
};

void vault_rights_create_path(const struct vault_config *config,
                              char out[VAULT_CREATE_PATH_MAX_BYTES])
{
    (void)snprintf(out, VAULT_CREATE_PATH_MAX_BYTES, "auth/token/create%s%s",
                   config->token_role[0] != '\0' ? "/" : "", config->token_role);
}

/* --- what follows ----------------------------------------------------------------------------- */

/* `paths`: what is missing. */
static void unisolated(struct leased_instance *vault, const char *paths)
{
    struct plugin_text text = {{0}};

    vault->rights.is_isolation_denied = true;
    plugin_text_set(&text,
                    "credentials are not isolated, because the policy of leased's token lacks "
                    "update on %.250s: they end with leased's own login",
                    paths);
    vault_warn(vault, KEY_UNISOLATED, text.bytes);
    if (!vault->rights.is_told_unisolated) {
        vault->rights.is_told_unisolated = true;
        vault_log(vault, LEASED_LOG_WARN, "vault.isolate.off", text.bytes);
    }
}

static void isolated(struct leased_instance *vault)
{
    vault->rights.is_isolation_denied = false;
    vault->rights.is_told_unisolated = false;
    vault_warn(vault, KEY_UNISOLATED, "");
}

void vault_rights_isolation_denied(struct leased_instance *vault, const char *path)
{
    unisolated(vault, path);
    if (vault->rights.at_ms == VAULT_NEVER) {
        vault->rights.at_ms = vault->host->now_ms(vault->context) + AGAIN_MS;
    }
}

void vault_rights_child_depends(struct leased_instance *vault)
{
    if (vault->token.is_periodic || vault->token.expires_ms == VAULT_NEVER) {
        vault_warn(vault, KEY_CHILDREN, "");
        return;
    }
    vault_warn(vault, KEY_CHILDREN,
               "isolated credentials still end with leased's own login, whose life is bounded: "
               "give the backend a token_role that makes orphans, or the login a token_period");
}

/* --- the answer ------------------------------------------------------------------------------- */

/* May that path be updated, by what the answer lists? What isn't listed isn't known: it may. */
static bool may_update(json_t *data, const char *path)
{
    json_t *list = json_object_get(data, path);
    json_t *item;
    size_t index;

    json_array_foreach (list, index, item) {
        const char *word = json_string_value(item);

        if (word != NULL && (strcmp(word, "update") == 0 || strcmp(word, "root") == 0)) {
            return true;
        }
    }
    return !json_is_array(list);
}

/* Logged when it is new. */
static void missing(struct leased_instance *vault, size_t need)
{
    struct plugin_text text = {{0}};

    plugin_text_set(&text, "the policy of leased's token lacks update on %.280s: %s",
                    needs[need].path, needs[need].follows);
    vault_warn(vault, needs[need].path, text.bytes);
    if ((vault->rights.missing & 1U << need) == 0) {
        vault_log(vault, LEASED_LOG_WARN, "vault.right.missing", text.bytes);
    }
}

/* Returns whether nothing is missing. */
static bool read_rights(struct leased_instance *vault, json_t *data)
{
    char create[VAULT_CREATE_PATH_MAX_BYTES];
    struct plugin_text for_isolation = {{0}};
    uint32_t lacks = 0;

    vault_rights_create_path(&vault->config, create);
    for (size_t i = 0; i < COUNT(needs); i++) {
        const char *path = needs[i].path != NULL ? needs[i].path : create;
        bool is_there = may_update(data, path);

        lacks |= is_there ? 0 : 1U << i;
        if (needs[i].follows != NULL && is_there) {
            vault_warn(vault, path, "");
        } else if (needs[i].follows != NULL) {
            missing(vault, i);
        } else if (!is_there) {
            struct plugin_text before = for_isolation;

            plugin_text_set(&for_isolation, "%.200s%s%.120s", before.bytes,
                            before.bytes[0] != '\0' ? ", " : "", path);
        }
    }
    if (for_isolation.bytes[0] != '\0') {
        unisolated(vault, for_isolation.bytes);
    } else {
        isolated(vault);
    }
    vault->rights.missing = lacks;
    return lacks == 0;
}

/* Children of a periodic token never have to die with it; its login doesn't tell that it is one. */
static void read_lookup(struct leased_instance *vault, json_t *data)
{
    struct vault_token_facts facts = {0};

    if (vault_login_read_lookup(data, &facts) == NULL) {
        vault->is_unkept = vault->is_unkept || vault->token.is_periodic != facts.is_periodic;
        vault->token.is_periodic = facts.is_periodic;
    }
}

/* --- asking ----------------------------------------------------------------------------------- */

static void answered(void *user, const struct leased_http_reply *http);

/* Takes `request`. */
static bool ask(struct leased_instance *vault, struct vault_request *request, bool is_lookup)
{
    struct vault_rights *rights = &vault->rights;

    rights->http = vault_request_send(vault, request, vault->token.bytes, answered, vault);
    vault_request_fini(vault->host, request);
    rights->is_lookup = is_lookup;
    rights->generation = vault->token.generation;
    return rights->http != NULL;
}

static bool ask_lookup(struct leased_instance *vault)
{
    struct vault_request request;

    return vault->config.token_role[0] == '\0' && !vault->rights.is_isolation_denied &&
           !vault->token.is_periodic && vault->token.expires_ms != VAULT_NEVER &&
           vault_request_init(vault->host, "auth/token/lookup-self", NULL, &request) == 0 &&
           ask(vault, &request, true);
}

static bool ask_rights(struct leased_instance *vault)
{
    char create[VAULT_CREATE_PATH_MAX_BYTES];
    struct vault_request request;
    json_t *paths = json_array();
    json_t *body = NULL;

    vault_rights_create_path(&vault->config, create);
    for (size_t i = 0; i < COUNT(needs); i++) {
        (void)json_array_append_new(paths,
                                    json_string(needs[i].path != NULL ? needs[i].path : create));
    }
    if (paths != NULL) {
        body = json_pack("{s:o}", "paths", paths);
    }
    return body != NULL &&
           vault_request_init(vault->host, "sys/capabilities-self", body, &request) == 0 &&
           ask(vault, &request, false);
}

/* When to ask again. */
static uint64_t read_answer(struct leased_instance *vault, const struct leased_http_reply *http)
{
    uint64_t now_ms = vault->host->now_ms(vault->context);
    struct vault_reply reply = {0};
    struct plugin_text unused = {{0}};
    uint64_t at_ms = now_ms + RETRY_MS;

    if (http->transport == LEASED_HTTP_OK && http->status >= 400 && http->status < 429 &&
        vault_status_is_own(http)) {
        return VAULT_NEVER; /* it may not be asked */
    }
    if (!vault_status_is_success(http) || vault_reply_parse(http, &reply, &unused) != 0) {
        return at_ms;
    }
    if (vault->rights.is_lookup) {
        read_lookup(vault, reply.data);
        at_ms = vault->rights.at_ms;
    } else if (reply.data != NULL) {
        at_ms = read_rights(vault, reply.data) ? VAULT_NEVER : now_ms + AGAIN_MS;
        (void)ask_lookup(vault);
    }
    vault_reply_fini(&reply);
    return at_ms;
}

static void answered(void *user, const struct leased_http_reply *http)
{
    struct leased_instance *vault = user;
    struct vault_rights *rights = &vault->rights;

    rights->http = NULL;
    if (vault->is_closing) {
        vault_close_step(vault); /* vault may be gone */
        return;
    }
    if (vault->token.bytes != NULL && rights->generation == vault->token.generation) {
        rights->at_ms = read_answer(vault, http);
    }
    vault_token_step(vault);
}

void vault_rights_step(struct leased_instance *vault, uint64_t now_ms)
{
    struct vault_rights *rights = &vault->rights;

    if (rights->http != NULL || rights->at_ms > now_ms || !vault_token_is_usable(vault)) {
        return;
    }
    rights->at_ms = VAULT_NEVER;
    if (!ask_rights(vault)) {
        rights->at_ms = now_ms + RETRY_MS;
    }
}
