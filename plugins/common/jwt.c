/* Happy path: header and claims as compact JSON → base64url, joined by a dot → signed → the
 * signature as base64url behind another dot. */
#include "jwt.h"

#include "base64.h"
#include "dump.h"
#include "form.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#define SIGNATURE_MAX_BYTES 1024 /* RSA with 8192 bits */
#define RSA_LEAST_BITS 2048
#define ES256_BYTES 32

const char *plugin_jwt_alg_name(enum plugin_jwt_alg alg)
{
    switch (alg) {
    case PLUGIN_JWT_PS256:
        return "PS256";
    case PLUGIN_JWT_ES256:
        return "ES256";
    case PLUGIN_JWT_RS256:
    default:
        return "RS256";
    }
}

/* Nobody is there to be asked for a password. */
static int no_password(char *buffer, int size, int is_writing, void *user)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)user;
    return -1;
}

EVP_PKEY *plugin_key_read(struct leased_str pem, struct plugin_text *detail)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;

    BIO_free(bio);
    if (key == NULL) {
        plugin_text_set(detail, "it holds no private key in PEM (one that is encrypted can't be "
                                "used)");
    }
    return key;
}

static bool fits(enum plugin_jwt_alg alg, EVP_PKEY *key, struct plugin_text *detail)
{
    bool is_rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;

    if (alg == PLUGIN_JWT_ES256) {
        if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_bits(key) != 256) {
            plugin_text_set(detail, "ES256 needs a key on the curve P-256");
            return false;
        }
    } else if (!is_rsa || EVP_PKEY_get_bits(key) < RSA_LEAST_BITS) {
        plugin_text_set(detail, "%s needs an RSA key of at least %d bits", plugin_jwt_alg_name(alg),
                        RSA_LEAST_BITS);
        return false;
    }
    return true;
}

/* DER's two numbers as 32 bytes each. Returns the length; 0: it is no such signature. */
static size_t flatten(unsigned char *signature, size_t size)
{
    const unsigned char *at = signature;
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &at, (long)size);
    const BIGNUM *r = NULL;
    const BIGNUM *s = NULL;
    bool is_fine = false;

    if (parts != NULL) {
        ECDSA_SIG_get0(parts, &r, &s);
        is_fine = BN_bn2binpad(r, signature, ES256_BYTES) == ES256_BYTES &&
                  BN_bn2binpad(s, signature + ES256_BYTES, ES256_BYTES) == ES256_BYTES;
    }
    ECDSA_SIG_free(parts);
    return is_fine ? (size_t)2 * ES256_BYTES : 0;
}

static bool set_padding(EVP_PKEY_CTX *key_context, enum plugin_jwt_alg alg)
{
    return alg != PLUGIN_JWT_PS256 ||
           (EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) > 0 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) > 0);
}

/* Returns the signature's length; 0: it can't be made. */
static size_t sign(enum plugin_jwt_alg alg, EVP_PKEY *key, struct leased_str text,
                   unsigned char signature[SIGNATURE_MAX_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_context = NULL;
    size_t size = SIGNATURE_MAX_BYTES;
    bool is_fine =
        context != NULL && EVP_DigestSignInit(context, &key_context, EVP_sha256(), NULL, key) > 0 &&
        set_padding(key_context, alg) &&
        EVP_DigestSign(context, signature, &size, (const unsigned char *)text.ptr, text.len) > 0;

    EVP_MD_CTX_free(context);
    if (!is_fine) {
        return 0;
    }
    return alg == PLUGIN_JWT_ES256 ? flatten(signature, size) : size;
}

static void add_json(struct plugin_form *out, const json_t *value)
{
    size_t len = 0;
    char *text = plugin_dump(out->host, value, &len);
    char *encoded = text != NULL ? plugin_alloc(out->host, PLUGIN_BASE64_ROOM(len)) : NULL;

    if (encoded != NULL) {
        len = plugin_base64url(text, len, encoded);
        plugin_form_add(out, (struct leased_str){encoded, len});
    } else {
        out->is_failed = true;
    }
    out->host->secret_free(text);
    out->host->secret_free(encoded);
}

static json_t *header_of(enum plugin_jwt_alg alg, const json_t *more)
{
    json_t *header = json_pack("{s:s, s:s}", "alg", plugin_jwt_alg_name(alg), "typ", "JWT");

    if (header != NULL && more != NULL &&
        json_object_update(header, (json_t *)(uintptr_t)more) != 0) {
        json_decref(header);
        header = NULL;
    }
    return header;
}

char *plugin_jwt_sign(const struct leased_host *host, const struct plugin_jwt *jwt,
                      struct plugin_text *detail)
{
    struct plugin_form out = {.host = host};
    unsigned char signature[SIGNATURE_MAX_BYTES];
    char encoded[PLUGIN_BASE64_ROOM(SIGNATURE_MAX_BYTES)];
    json_t *whole;
    bool has_header;
    size_t size = 0;

    if (!fits(jwt->alg, jwt->key, detail)) {
        return NULL;
    }
    whole = header_of(jwt->alg, jwt->header);
    has_header = whole != NULL;
    if (has_header) {
        add_json(&out, whole);
        plugin_form_add(&out, PLUGIN_STR("."));
        add_json(&out, jwt->claims);
    }
    json_decref(whole);
    if (has_header && !out.is_failed) {
        size = sign(jwt->alg, jwt->key, plugin_form_str(&out), signature);
    }
    if (size > 0) {
        plugin_form_add(&out, PLUGIN_STR("."));
        plugin_form_add(&out,
                        (struct leased_str){encoded, plugin_base64url(signature, size, encoded)});
    }
    if (size == 0 || out.is_failed) {
        plugin_text_set(detail, "the assertion could not be signed");
        plugin_form_fini(&out);
        return NULL;
    }
    return out.bytes;
}
