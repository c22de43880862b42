/* AES-256-GCM under a key of the backend's own, which the host keeps sealed across restarts. The
 * name is authenticated with it, so that no reference passes for another.
 *
 * The key is made of the app's private key: whoever has that could have the tokens made for
 * himself. So a backend that a reload puts in this one's place, which isn't given what was kept,
 * has the same one, and so has a run whose host has kept nothing. What is kept goes first: the
 * private key may have been exchanged meanwhile. */
#include "ref.h"

#include "token.h"
#include "common/base64.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES GITHUB_KEY_BYTES
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define SHA256_BYTES 32U
#define STATE_VERSION 1
#define SEALED_MAX_BYTES 768 /* as base64 just what fits beside a name */
#define NAME_MAX_BYTES 96

/* --- the key ---------------------------------------------------------------------------------- */

/* 1, 0: there is none, or -1: out of memory. */
static int take_over(struct leased_instance *github)
{
    const struct leased_host *host = github->works.host;
    char *state = NULL;
    int64_t len = host->state_get(github->works.context, &state);
    bool is_ours = len == KEY_BYTES + 1 && state[0] == STATE_VERSION;

    if (is_ours) {
        memcpy(github->key, state + 1, KEY_BYTES);
    }
    if (len > 0) {
        host->secret_free(state);
    }
    return len < 0 ? -1 : is_ours;
}

/* Of the app's private key; where it can't be read yet, of chance. */
static void make_key(struct leased_instance *github)
{
    static const unsigned char label[] = "leased: references to GitHub's tokens";
    const struct leased_host *host = github->works.host;
    struct leased_str problem;
    char *pem = NULL;
    int64_t len = host->secret_read(github->works.context, plugin_str(github->config.key.text),
                                    &pem, &problem);

    if (len <= 0 ||
        HMAC(EVP_sha256(), pem, (int)len, label, sizeof(label) - 1, github->key, NULL) == NULL) {
        host->random(github->works.context, github->key, KEY_BYTES);
    }
    host->secret_free(pem);
}

int github_ref_open(struct leased_instance *github)
{
    const struct leased_host *host = github->works.host;
    char *state = host->secret_alloc(KEY_BYTES + 1);
    int had;

    github->key = host->secret_alloc(KEY_BYTES);
    had = github->key != NULL && state != NULL ? take_over(github) : -1;
    if (had < 0) {
        host->secret_free(state);
        return -1;
    }
    if (had == 0) {
        make_key(github);
        state[0] = STATE_VERSION;
        memcpy(state + 1, github->key, KEY_BYTES);
        (void)host->state_put(github->works.context, (struct leased_str){state, KEY_BYTES + 1});
    }
    host->secret_free(state);
    return 0;
}

/* --- sealing ---------------------------------------------------------------------------------- */

/* What both ways have in common: the key, the nonce and the name. */
static bool begin(EVP_CIPHER_CTX *context, const struct leased_instance *github,
                  const unsigned char *nonce, struct leased_str name, int is_sealing)
{
    int len;

    return context != NULL &&
           EVP_CipherInit_ex2(context, EVP_aes_256_gcm(), github->key, nonce, is_sealing, NULL) ==
               1 &&
           EVP_CipherUpdate(context, NULL, &len, (const unsigned char *)name.ptr, (int)name.len) ==
               1;
}

/* Nonce, text, tag. Returns the length; 0: it can't be done. */
static size_t seal(struct leased_instance *github, struct leased_str name, struct leased_str token,
                   unsigned char out[SEALED_MAX_BYTES])
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    unsigned char *text = out + NONCE_BYTES;
    bool is_fine;
    int len;

    if (token.len + NONCE_BYTES + TAG_BYTES > SEALED_MAX_BYTES) {
        EVP_CIPHER_CTX_free(context);
        return 0;
    }
    github->works.host->random(github->works.context, out, NONCE_BYTES);
    is_fine = begin(context, github, out, name, 1) &&
              EVP_CipherUpdate(context, text, &len, (const unsigned char *)token.ptr,
                               (int)token.len) == 1 &&
              EVP_CipherFinal_ex(context, text + token.len, &len) == 1 &&
              EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, text + token.len) == 1;
    EVP_CIPHER_CTX_free(context);
    return is_fine ? NONCE_BYTES + token.len + TAG_BYTES : 0;
}

/* Into `token`, NUL-terminated: it has size - NONCE_BYTES - TAG_BYTES + 1 bytes. */
static bool unseal(const struct leased_instance *github, struct leased_str name,
                   unsigned char *sealed, size_t size, char *token)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    size_t token_len = size - NONCE_BYTES - TAG_BYTES;
    int len;
    bool is_fine = begin(context, github, sealed, name, 0) &&
                   EVP_CipherUpdate(context, (unsigned char *)token, &len, sealed + NONCE_BYTES,
                                    (int)token_len) == 1 &&
                   EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES,
                                       sealed + NONCE_BYTES + token_len) == 1 &&
                   EVP_CipherFinal_ex(context, (unsigned char *)token + token_len, &len) == 1;

    EVP_CIPHER_CTX_free(context);
    token[token_len] = '\0';
    return is_fine;
}

/* --- references ------------------------------------------------------------------------------- */

/* "#": whoever reads a ledger takes it for none of Vault's. 0: it can't be made. */
static size_t write_name(const char *installation, struct leased_str token,
                         char name[NAME_MAX_BYTES])
{
    unsigned char hash[SHA256_BYTES];
    char encoded[PLUGIN_BASE64_ROOM(SHA256_BYTES)];
    int len;

    if (EVP_Digest(token.ptr, token.len, hash, NULL, EVP_sha256(), NULL) != 1) {
        return 0;
    }
    (void)plugin_base64(hash, sizeof(hash), encoded);
    len = snprintf(name, NAME_MAX_BYTES, "#github %s/%s", installation, encoded);
    return len > 0 && len < NAME_MAX_BYTES ? (size_t)len : 0;
}

size_t github_ref_write(struct leased_instance *github, const char *installation,
                        struct leased_str token, char ref[GITHUB_REF_MAX_BYTES])
{
    unsigned char sealed[SEALED_MAX_BYTES];
    char name[NAME_MAX_BYTES];
    size_t name_len = write_name(installation, token, name);
    size_t size =
        name_len > 0 ? seal(github, (struct leased_str){name, name_len}, token, sealed) : 0;

    if (size == 0 || name_len + 1 + PLUGIN_BASE64_ROOM(size) > GITHUB_REF_MAX_BYTES) {
        return 0;
    }
    memcpy(ref, name, name_len);
    ref[name_len] = '\n';
    return name_len + 1 + plugin_base64url(sealed, size, ref + name_len + 1);
}

int32_t github_ref_read(const struct leased_instance *github, struct leased_str ref,
                        char **ret_token, const char **ret_problem)
{
    const struct leased_host *host = github->works.host;
    const char *line = ref.len > 0 ? memchr(ref.ptr, '\n', ref.len) : NULL;
    size_t name_len = line != NULL ? (size_t)(line - ref.ptr) : 0;
    unsigned char sealed[SEALED_MAX_BYTES];
    int64_t size = -1;
    char *token;

    if (line != NULL) {
        size = plugin_base64_decode((struct leased_str){line + 1, ref.len - name_len - 1}, sealed,
                                    sizeof(sealed));
    }
    if (size <= NONCE_BYTES + TAG_BYTES) {
        *ret_problem = "it isn't known which token is meant";
        return LEASED_INVALID;
    }
    token = host->secret_alloc((size_t)size);
    if (token == NULL) {
        *ret_problem = "out of memory";
        return LEASED_RETRY;
    }
    if (!unseal(github, (struct leased_str){ref.ptr, name_len}, sealed, (size_t)size, token) ||
        !github_is_token(plugin_str(token))) {
        *ret_problem = "the token was sealed with a key that isn't there any more: it ends by "
                       "itself, within an hour of its making";
        host->secret_free(token);
        return LEASED_DENIED;
    }
    *ret_token = token;
    return 0;
}
