/* Happy path: a login reads its sources; a look every few seconds compares what they hold with what
 * was seen last, by keyed digest, so that nothing secret is kept for it.
 *
 * Failure paths: what can't be read fails the login, which is tried again, and counts as unchanged
 * here: it acts when it can be read again and holds something else. */
#include "source.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

static bool can_change(const struct plugin_source *source)
{
    return source->text[0] != '\0' && strncmp(source->text, "env:", strlen("env:")) != 0;
}

bool vault_source_can_change(const struct leased_instance *vault)
{
    for (int id = 0; id < VAULT_SOURCE_COUNT; id++) {
        if (can_change(&vault->config.sources[id])) {
            return true;
        }
    }
    return false;
}

/* Returns whether it is another text than the one seen last, and remembers it. */
static bool see(struct leased_instance *vault, enum vault_source_id id, struct leased_str text)
{
    struct vault_seen *seen = &vault->seen[id];
    unsigned char digest[sizeof(seen->digest)];
    bool is_new;

    if (HMAC(EVP_sha256(), vault->seen_key, sizeof(vault->seen_key),
             (const unsigned char *)text.ptr, text.len, digest, NULL) == NULL) {
        return false; /* out of memory: the next look will tell */
    }
    is_new = !seen->is_set || CRYPTO_memcmp(digest, seen->digest, sizeof(digest)) != 0;
    memcpy(seen->digest, digest, sizeof(digest));
    seen->is_set = true;
    return is_new;
}

/* The bytes (secret_free) through `ret_bytes`; their number, or -1 with the reason. */
static int64_t read_bytes(struct leased_instance *vault, enum vault_source_id id, char **ret_bytes,
                          struct plugin_text *detail)
{
    const char *source = vault->config.sources[id].text;
    struct leased_str why = {0};
    int64_t len = vault->host->secret_read(vault->context, plugin_str(source), ret_bytes, &why);

    if (len < 0) {
        plugin_text_set(detail, "%.*s", (int)why.len, why.ptr != NULL ? why.ptr : "");
        return -1;
    }
    return len;
}

char *vault_source_read(struct leased_instance *vault, enum vault_source_id id,
                        struct plugin_text *detail)
{
    char *bytes = NULL;
    char *text = NULL;
    int64_t len = read_bytes(vault, id, &bytes, detail);

    if (len < 0) {
        return NULL;
    }
    (void)see(vault, id, (struct leased_str){bytes, (size_t)len});
    if (memchr(bytes, '\0', (size_t)len) != NULL) {
        plugin_text_set(detail, "%.300s holds a zero byte", vault->config.sources[id].text);
    } else {
        text = plugin_secret_dup(vault->host, (struct leased_str){bytes, (size_t)len});
        if (text == NULL) {
            plugin_text_set(detail, "out of memory");
        }
    }
    vault->host->secret_free(bytes);
    return text;
}

static void changed(struct leased_instance *vault, enum vault_source_id id)
{
    uint64_t now_ms = vault->host->now_ms(vault->context);
    bool is_wrapped = vault_config_has(&vault->config, VAULT_SOURCE_WRAPPING);

    vault->login_refusals = 0;
    vault_log(vault, LEASED_LOG_INFO, "vault.source.changed", vault->config.sources[id].text);
    if (id == VAULT_SOURCE_WRAPPING) {
        vault->is_wrapping_new = true;
        vault->is_unwrap_doubted = false;
        vault->unwrap_at_ms = now_ms;
    } else if (vault->config.method == VAULT_AUTH_TOKEN ||
               (vault->login_failures > 0 && (!is_wrapped || vault->secret_id != NULL))) {
        vault->login_at_ms = now_ms;
    }
}

/* Sees what each source holds now; what has changed acts if it may. */
static void look(struct leased_instance *vault, bool acts)
{
    for (int i = 0; i < VAULT_SOURCE_COUNT; i++) {
        enum vault_source_id id = (enum vault_source_id)i;
        struct plugin_text detail = {{0}};
        char *bytes = NULL;
        int64_t len;

        if (!can_change(&vault->config.sources[id])) {
            continue;
        }
        len = read_bytes(vault, id, &bytes, &detail);
        if (len >= 0 && see(vault, id, (struct leased_str){bytes, (size_t)len}) && acts) {
            changed(vault, id);
        }
        vault->host->secret_free(len >= 0 ? bytes : NULL);
    }
}

void vault_source_look(struct leased_instance *vault)
{
    look(vault, true);
}

void vault_source_note(struct leased_instance *vault)
{
    look(vault, false);
}
