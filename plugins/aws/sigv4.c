/* Happy path: hash of the body → hash of the canonical request → string to sign → HMAC under a key
 * that is derived for the day, the region and the service. */
#include "sigv4.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define HASH_BYTES 32U
#define HEX_BYTES (2 * HASH_BYTES + 1)
#define DAY_BYTES 8
#define KEY_MAX_BYTES 256

static void to_hex(const unsigned char hash[HASH_BYTES], char out[HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < HASH_BYTES; i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15U];
    }
    out[2 * (size_t)HASH_BYTES] = '\0';
}

/* Of the parts one after the other, in hexadecimal. */
static int hash_of(const struct leased_str *parts, size_t count, char out[HEX_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char hash[HASH_BYTES];
    bool is_fine = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;

    for (size_t i = 0; is_fine && i < count; i++) {
        is_fine = EVP_DigestUpdate(context, parts[i].ptr, parts[i].len) == 1;
    }
    is_fine = is_fine && EVP_DigestFinal_ex(context, hash, NULL) == 1;
    EVP_MD_CTX_free(context);
    if (is_fine) {
        to_hex(hash, out);
    }
    return is_fine ? 0 : -1;
}

static int hmac(const void *key, size_t key_size, const char *text, unsigned char out[HASH_BYTES])
{
    return HMAC(EVP_sha256(), key, (int)key_size, (const unsigned char *)text, strlen(text), out,
                NULL) != NULL
               ? 0
               : -1;
}

/* secret → day → region → service → "aws4_request" → signature. */
static int sign(const struct aws_to_sign *request, const char *day, const char *text,
                char out[HEX_BYTES])
{
    const char *const steps[] = {day, request->region, request->service, "aws4_request", text};
    unsigned char hash[HASH_BYTES];
    char key[KEY_MAX_BYTES];
    int length = snprintf(key, sizeof(key), "AWS4%s", request->keys->secret);
    int rc =
        length > 0 && (size_t)length < sizeof(key) ? hmac(key, (size_t)length, steps[0], hash) : -1;

    for (size_t i = 1; rc == 0 && i < sizeof(steps) / sizeof(steps[0]); i++) {
        unsigned char next[HASH_BYTES];

        rc = hmac(hash, sizeof(hash), steps[i], next);
        memcpy(hash, next, sizeof(hash));
    }
    if (rc == 0) {
        to_hex(hash, out);
    }
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(hash, sizeof(hash));
    return rc;
}

static int hash_canonical(const struct aws_to_sign *request, const char *date, const char *names,
                          char out[HEX_BYTES])
{
    bool has_token = request->keys->token[0] != '\0';
    char body[HEX_BYTES];
    const struct leased_str parts[] = {
        PLUGIN_STR("POST\n/\n\ncontent-type:" AWS_CONTENT_TYPE "\nhost:"),
        plugin_str(request->host),
        PLUGIN_STR("\nx-amz-date:"),
        plugin_str(date),
        plugin_str(has_token ? "\nx-amz-security-token:" : ""),
        plugin_str(request->keys->token),
        PLUGIN_STR("\n\n"),
        plugin_str(names),
        PLUGIN_STR("\n"),
        {body, sizeof(body) - 1},
    };

    return hash_of(&request->body, 1, body) == 0
               ? hash_of(parts, sizeof(parts) / sizeof(parts[0]), out)
               : -1;
}

int aws_sign(const struct aws_to_sign *request, struct aws_signature *ret_signature)
{
    const char *names = request->keys->token[0] != '\0'
                            ? "content-type;host;x-amz-date;x-amz-security-token"
                            : "content-type;host;x-amz-date";
    struct aws_signature made;
    char day[DAY_BYTES + 1] = "";
    char scope[128];
    char canonical[HEX_BYTES];
    char text[256];
    char signature[HEX_BYTES];

    aws_moment_basic(request->when_s, made.date);
    memcpy(day, made.date, DAY_BYTES);
    if (hash_canonical(request, made.date, names, canonical) != 0) {
        return -1;
    }
    (void)snprintf(scope, sizeof(scope), "%s/%s/%s/aws4_request", day, request->region,
                   request->service);
    (void)snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%s\n%s", made.date, scope, canonical);
    if (sign(request, day, text, signature) != 0) {
        return -1;
    }
    (void)snprintf(made.authorization, sizeof(made.authorization),
                   "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                   request->keys->id, scope, names, signature);
    *ret_signature = made;
    return 0;
}
