/* The file is as Google's console makes it. Where it sends the assertion is believed only as far as
 * a configured address is: https, or this machine. */
#include "key.h"

#include "common/jwt.h"
#include "common/reply.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define LIFE_S 3600 /* at most, says Google */
#define TOKEN_URL "https://oauth2.googleapis.com/token"

static int take_text(const json_t *root, const char *key, char *out, size_t out_size,
                     struct plugin_text *detail)
{
    const char *text = json_string_value(json_object_get(root, key));

    if (text == NULL) {
        return 0;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7f) {
            plugin_text_set(detail, "its %s holds blanks or control characters", key);
            return -1;
        }
    }
    if (strlen(text) >= out_size) {
        plugin_text_set(detail, "its %s is too long", key);
        return -1;
    }
    (void)snprintf(out, out_size, "%s", text);
    return 0;
}

static int read(const json_t *root, struct gcp_key *key, struct plugin_text *detail)
{
    const char *type = json_string_value(json_object_get(root, "type"));
    const json_t *pem = json_object_get(root, "private_key");
    const char *problem;

    if (type == NULL || strcmp(type, "service_account") != 0) {
        plugin_text_set(detail, "its type is not service_account");
        return -1;
    }
    (void)snprintf(key->token_url, sizeof(key->token_url), TOKEN_URL);
    if (take_text(root, "client_email", key->email, sizeof(key->email), detail) != 0 ||
        take_text(root, "private_key_id", key->id, sizeof(key->id), detail) != 0 ||
        take_text(root, "token_uri", key->token_url, sizeof(key->token_url), detail) != 0) {
        return -1;
    }
    if (key->email[0] == '\0' || !json_is_string(pem)) {
        plugin_text_set(detail, "it has no client_email or no private_key");
        return -1;
    }
    problem = plugin_endpoint_parse(plugin_str(key->token_url), 0, &key->token);
    if (problem != NULL) {
        plugin_text_set(detail, "its token_uri: %s", problem);
        return -1;
    }
    key->key = plugin_key_read((struct leased_str){json_string_value(pem), json_string_length(pem)},
                               detail);
    ERR_clear_error(); /* the queue is everybody's */
    return key->key != NULL ? 0 : -1;
}

int gcp_key_parse(struct leased_str json, struct gcp_key *ret_key, struct plugin_text *ret_detail)
{
    const struct leased_http_reply file = {.size = sizeof(file), .body = json};
    struct gcp_key key = {0};
    const char *problem = NULL;
    json_t *root = plugin_reply_json(&file, 0, &problem);
    int rc = -1;

    if (root == NULL) {
        plugin_text_set(ret_detail, "%s", problem);
    } else {
        rc = read(root, &key, ret_detail);
    }
    json_decref(root);
    if (rc == 0) {
        *ret_key = key;
    }
    return rc;
}

void gcp_key_fini(struct gcp_key *key)
{
    EVP_PKEY_free(key->key);
    key->key = NULL;
}

json_t *gcp_key_claims(const struct gcp_key *key, const struct gcp_params *params,
                       const char *scope, const char *subject, int64_t now_s)
{
    bool is_id = params->is_id && params->impersonate == NULL;
    json_int_t end_s = now_s + LIFE_S;
    json_t *claims =
        json_pack("{s:s, s:s, s:I, s:I, s:s}", "iss", key->email, "aud", key->token_url, "iat",
                  (json_int_t)now_s, "exp", end_s, is_id ? "target_audience" : "scope",
                  is_id ? params->audience : scope);

    if (claims != NULL && subject[0] != '\0' &&
        json_object_set_new(claims, "sub", json_string(subject)) != 0) {
        json_decref(claims);
        return NULL;
    }
    return claims;
}
