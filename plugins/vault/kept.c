/* Happy path: each change of a token is put to the host as one JSON text; the next run reads it and
 * goes on with the same tokens and generations, so that it makes no login and its leases' anchors
 * hold.
 *
 * Failure paths: another version of the text, or none that can be read → as if there were none. The
 * configuration logs in otherwise now → the token isn't in use, but kept for the leases that hang
 * on it. A token whose time is up by the clock is left out. One that is dead meanwhile is found out
 * by the look-up that follows (own.c). Where the host can't keep anything it is only not kept.
 *
 * Times are unix times, because the host's clock may begin anew: a moment that a clock moved by is
 * set right by the look-up, too. */
#include "kept.h"

#include "common/dump.h"
#include "login.h"
#include "reply.h"
#include "token.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define VERSION 1
#define DIGEST_BYTES 32

/* --- whose login it is ------------------------------------------------------------------------ */

struct login_name {
    char hex[2 * DIGEST_BYTES + 1];
};

/* Of what decides who we are after a login. Where the server is doesn't. False: out of memory. */
static bool name_login(const struct leased_instance *vault, struct login_name *ret_name)
{
    const struct vault_config *config = &vault->config;
    unsigned char digest[DIGEST_BYTES];
    size_t len = 0;
    json_t *parts = json_pack("[s, s, s, s, s, s, s, s]", config->method_name, config->mount,
                              config->namespace_path, config->name, config->role_id,
                              config->sources[VAULT_SOURCE_CREDENTIAL].text,
                              config->sources[VAULT_SOURCE_ROLE_ID].text,
                              config->sources[VAULT_SOURCE_WRAPPING].text);
    char *text = parts != NULL ? plugin_dump(vault->host, parts, &len) : NULL;
    bool is_done = text != NULL && EVP_Digest(text, len, digest, NULL, EVP_sha256(), NULL) == 1;

    for (size_t i = 0; is_done && i < sizeof(digest); i++) {
        (void)snprintf(ret_name->hex + 2 * i, 3, "%02x", digest[i]);
    }
    json_decref(parts);
    vault->host->secret_free(text);
    return is_done;
}

/* --- keeping ---------------------------------------------------------------------------------- */

static json_t *pack_token(struct leased_instance *vault, const struct vault_token *token)
{
    int64_t left_ms = (int64_t)(token->expires_ms - vault->host->now_ms(vault->context));
    int64_t ends_ms =
        token->expires_ms == VAULT_NEVER ? 0 : vault->host->wall_ms(vault->context) + left_ms;

    /* A generation has 64 bits without a sign, which JSON's numbers here have not. */
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:b, s:b, s:b, s:b}", "token", token->bytes,
                     "accessor", token->accessor, "generation", (json_int_t)token->generation,
                     "ends_ms", (json_int_t)ends_ms, "life_s", (json_int_t)token->life_s,
                     "renewable", (int)token->is_renewable, "periodic", (int)token->is_periodic,
                     "bounded", (int)token->is_bounded, "given_up", (int)token->is_given_up);
}

/* NULL when out of memory. */
static json_t *pack(struct leased_instance *vault)
{
    struct login_name name;
    json_t *root = json_object();
    json_t *old = json_array();
    bool is_good = root != NULL && old != NULL && name_login(vault, &name);

    for (size_t i = 0; is_good && i < vault->old_count; i++) {
        is_good = json_array_append_new(old, pack_token(vault, &vault->old[i])) == 0;
    }
    is_good = is_good && json_object_set_new(root, "version", json_integer(VERSION)) == 0 &&
              json_object_set_new(root, "login", json_string(name.hex)) == 0 &&
              json_object_set(root, "old", old) == 0;
    if (is_good && vault->token.bytes != NULL) {
        is_good = json_object_set_new(root, "current", pack_token(vault, &vault->token)) == 0;
    }
    json_decref(old);
    if (!is_good) {
        json_decref(root);
        return NULL;
    }
    return root;
}

void vault_kept_step(struct leased_instance *vault)
{
    size_t len = 0;
    json_t *root;
    char *text = NULL;

    if (!vault->is_unkept || !LEASED_HAS(vault->host, state_put)) {
        return;
    }
    if (vault->token.bytes == NULL && vault->old_count == 0) {
        vault_kept_remove(vault);
        return;
    }
    root = pack(vault);
    if (root != NULL) {
        text = plugin_dump(vault->host, root, &len);
    }
    json_decref(root);
    if (text == NULL) {
        return; /* the next step tries again */
    }
    vault->is_unkept = false;
    (void)vault->host->state_put(vault->context, (struct leased_str){text, len});
    vault->host->secret_free(text);
}

void vault_kept_remove(struct leased_instance *vault)
{
    vault->is_unkept = false;
    if (LEASED_HAS(vault->host, state_put)) {
        (void)vault->host->state_put(vault->context, (struct leased_str){0});
    }
}

/* --- taking over ------------------------------------------------------------------------------ */

static bool flag(json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static int64_t number(json_t *object, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(object, key));
}

/* False: it is none, or over. */
static bool unpack_token(struct leased_instance *vault, json_t *object, struct vault_token *token)
{
    int64_t left_ms = number(object, "ends_ms") - vault->host->wall_ms(vault->context);
    struct leased_str bytes = vault_reply_text(object, "token");
    struct leased_str accessor = vault_reply_text(object, "accessor");

    *token = (struct vault_token){
        .generation = (uint64_t)number(object, "generation"),
        .expires_ms = VAULT_NEVER,
        .life_s = number(object, "life_s"),
        .is_renewable = flag(object, "renewable"),
        .is_periodic = flag(object, "periodic"),
        .is_bounded = flag(object, "bounded"),
        .is_given_up = flag(object, "given_up"),
    };
    if (token->generation == 0 || !vault_is_token(bytes.ptr, bytes.len) ||
        accessor.len >= sizeof(token->accessor) || token->life_s < 0 ||
        token->life_s > VAULT_SECONDS_MAX) {
        return false;
    }
    if (number(object, "ends_ms") != 0) {
        if (left_ms <= 0 || left_ms > VAULT_SECONDS_MAX * 1000) {
            return false;
        }
        token->expires_ms = vault->host->now_ms(vault->context) + (uint64_t)left_ms;
    }
    if (accessor.len > 0) {
        memcpy(token->accessor, accessor.ptr, accessor.len);
    }
    token->bytes = plugin_secret_dup(vault->host, bytes);
    return token->bytes != NULL;
}

static void take_over(struct leased_instance *vault, json_t *root)
{
    json_t *current = json_object_get(root, "current");
    struct login_name name;
    struct vault_token token;
    json_t *old;
    size_t index;
    bool is_same =
        name_login(vault, &name) && plugin_str_eq(vault_reply_text(root, "login"), name.hex);

    json_array_foreach (json_object_get(root, "old"), index, old) {
        if (vault->old_count < VAULT_OLD_TOKENS_MAX && unpack_token(vault, old, &token)) {
            vault_token_restore(vault, &token, false);
        }
    }
    /* One that isn't in use any more takes a place among the old ones, like any that is replaced.
     */
    if (current != NULL && (is_same || vault->old_count < VAULT_OLD_TOKENS_MAX) &&
        unpack_token(vault, current, &token)) {
        token.is_bounded = token.is_bounded || (!is_same && token.expires_ms != VAULT_NEVER);
        vault_token_restore(vault, &token, is_same);
    }
    vault->is_unkept = true;
}

void vault_kept_restore(struct leased_instance *vault)
{
    char *bytes = NULL;
    int64_t len = 0;
    json_t *root;

    if (LEASED_HAS(vault->host, state_get)) {
        len = vault->host->state_get(vault->context, &bytes);
    }
    if (len <= 0) {
        return;
    }
    root = json_loadb(bytes, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
    vault->host->secret_free(bytes);
    if (number(root, "version") == VERSION) {
        take_over(vault, root);
    }
    json_decref(root);
}
