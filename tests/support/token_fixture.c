#include "support/token_fixture.h"

#include "base/check.h"
#include "support/rsa_key.h"

#include <jose/b64.h>
#include <jose/jwk.h>
#include <jose/jws.h>
#include <jose/openssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *token_key(const char *terms)
{
    json_t *key = json_loads(terms, 0, NULL);

    CHECK(key != NULL && jose_jwk_gen(NULL, key));
    return key;
}

json_t *token_rsa_key(void)
{
    EVP_PKEY *rsa = rsa_key(RSA_KEY_2048);
    json_t *key = jose_openssl_jwk_from_EVP_PKEY(NULL, rsa);

    CHECK(key != NULL);
    EVP_PKEY_free(rsa);
    return key;
}

/* The caller's to free(), whatever jansson allocates with; taken. */
static char *plain(char *text)
{
    char *copy = strdup(text);
    json_malloc_t allocate;
    json_free_t release;

    json_get_alloc_funcs(&allocate, &release);
    release(text);
    return copy;
}

char *token_jwks(const json_t *one, const json_t *two)
{
    json_t *keys = json_array();
    json_t *set;
    char *text;

    (void)json_array_append_new(keys, json_deep_copy(one));
    if (two != NULL) {
        (void)json_array_append_new(keys, json_deep_copy(two));
    }
    set = json_pack("{s:o}", "keys", keys);
    CHECK(jose_jwk_pub(NULL, set));
    text = json_dumps(set, JSON_COMPACT);
    json_decref(set);
    return plain(text);
}

static char *base64url(const char *text)
{
    json_t *encoded = jose_b64_enc(text, strlen(text));
    char *copy = strdup(json_string_value(encoded));

    json_decref(encoded);
    return copy;
}

char *token_forge(const char *header, const char *claims, const char *signature)
{
    char *first = base64url(header);
    char *second = base64url(claims);
    char *text = NULL;

    CHECK(asprintf(&text, "%s.%s.%s", first, second, signature) > 0);
    free(first);
    free(second);
    return text;
}

char *token_sign(const json_t *key, const char *header, const char *claims)
{
    char *payload = base64url(claims);
    char *protected_part = base64url(header);
    json_t *jws = json_pack("{s:s}", "payload", payload);
    json_t *terms = json_pack("{s:s}", "protected", protected_part);
    char *text = NULL;

    CHECK(jose_jws_sig(NULL, jws, terms, key));
    CHECK(asprintf(&text, "%s.%s.%s", protected_part, payload,
                   json_string_value(json_object_get(jws, "signature"))) > 0);
    json_decref(terms);
    json_decref(jws);
    free(payload);
    free(protected_part);
    return text;
}
