/* A token's form isn't GitHub's promise (it has changed before): it is taken if a header can hold
 * it. */
#include "token.h"

#include "common/answer.h"
#include "common/reply.h"
#include "common/when.h"

#define LIFE_MAX_S 3600 /* GitHub's promise */
#define TOKEN_MAX_BYTES 4096U

bool github_is_token(struct leased_str text)
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

    if (!github_is_token(token.text)) {
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
