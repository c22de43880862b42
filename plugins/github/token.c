/* A token's form isn't GitHub's promise (it has changed before): it is taken if a header can hold
 * it. */
#include "token.h"

#include "common/answer.h"
#include "common/base64.h"
#include "common/reply.h"
#include "common/when.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define LIFE_MAX_S 3600 /* GitHub's promise */
#define TOKEN_MAX_BYTES 4096U
#define SHA256_BYTES 32U

static bool is_token(struct leased_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~') {
            return false;
        }
    }
    return text.len > 0 && text.len <= TOKEN_MAX_BYTES;
}

static struct leased_str text_of(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);

    return json_is_string(value)
               ? (struct leased_str){json_string_value(value), json_string_length(value)}
               : (struct leased_str){"", 0};
}

int github_token_read(const struct plugin_works *works, const struct leased_http_reply *reply,
                      struct github_token *ret_token)
{
    const char *problem;
    json_t *root = plugin_reply_json(reply, 0, &problem);
    struct github_token token = {.text = text_of(root, "token"),
                                 .expires_at = text_of(root, "expires_at"),
                                 .root = root};
    int64_t end_s = plugin_when_rfc3339(token.expires_at);

    if (!is_token(token.text)) {
        json_decref(root);
        return -1;
    }
    token.life_ms = plugin_life_ms(works, reply, end_s, LIFE_MAX_S);
    if (end_s < 0) {
        token.problem = "GitHub's answer doesn't say when the token expires";
    } else if (token.life_ms == 0) {
        token.problem = "the token that GitHub gave has expired already";
    }
    *ret_token = token;
    return 0;
}

void github_token_fini(struct github_token *token)
{
    json_decref(token->root);
    token->root = NULL;
}

size_t github_token_ref(struct leased_str token, const char *installation,
                        char ref[GITHUB_REF_MAX_BYTES])
{
    unsigned char hash[SHA256_BYTES];
    char encoded[PLUGIN_BASE64_ROOM(SHA256_BYTES)];
    int len;

    if (EVP_Digest(token.ptr, token.len, hash, NULL, EVP_sha256(), NULL) != 1) {
        return 0;
    }
    (void)plugin_base64(hash, sizeof(hash), encoded);
    len = snprintf(ref, GITHUB_REF_MAX_BYTES, "%s/%s\n%.*s", installation, encoded, (int)token.len,
                   token.ptr);
    return len > 0 && len < GITHUB_REF_MAX_BYTES ? (size_t)len : 0;
}

struct leased_str github_token_of_ref(struct leased_str ref)
{
    const char *line = ref.len > 0 ? memchr(ref.ptr, '\n', ref.len) : NULL;
    struct leased_str token = {"", 0};

    if (line != NULL) {
        token = (struct leased_str){line + 1, ref.len - (size_t)(line + 1 - ref.ptr)};
    }
    return is_token(token) ? token : (struct leased_str){"", 0};
}
