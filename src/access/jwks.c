/* Key sets, and signatures that their keys verify. What a key says about itself (alg, use, key_ops)
 * is judged here and once; then it is OpenSSL's.
 *
 * libjose would do this, but its start-up code initialises OpenSSL before main can give it the
 * allocator that wipes (seen with libjose 11: CRYPTO_set_mem_functions fails from then on). */
#include "access/jwt.h"

#include "access/base64url.h"
#include "base/mem.h"
#include "wire/json_bounds.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>

#define DEPTH_MAX 8U
#define VALUES_MAX 4096U
#define RSA_MIN_BYTES (2048U / 8U)
#define RSA_MAX_BYTES (8192U / 8U) /* more costs a verifier more than a caller */
#define EC_MAX_BYTES 66U           /* of a coordinate: P-521 */

#define RSA_ALGORITHMS                                                                             \
    (ACCESS_JWT_RS256 | ACCESS_JWT_RS384 | ACCESS_JWT_RS512 | ACCESS_JWT_PS256 |                   \
     ACCESS_JWT_PS384 | ACCESS_JWT_PS512)
#define PSS_ALGORITHMS (ACCESS_JWT_PS256 | ACCESS_JWT_PS384 | ACCESS_JWT_PS512)
#define EC_ALGORITHMS (ACCESS_JWT_ES256 | ACCESS_JWT_ES384 | ACCESS_JWT_ES512)

struct access_key {
    EVP_PKEY *key;           /* owned; public */
    char *kid;               /* owned; NULL: none */
    uint32_t algorithms;     /* what it may verify */
    size_t coordinate_bytes; /* EC: of each half of a signature */
};

struct access_jwks {
    struct access_key keys[ACCESS_JWKS_KEYS_MAX];
    size_t count;
};

/* Curves by their names here and at OpenSSL (RFC 7518, 6.2.1.1). */
static const struct curve {
    const char *name;
    const char *group;
    uint32_t algorithm;
    size_t coordinate_bytes;
} curves[] = {
    {"P-256", "prime256v1", ACCESS_JWT_ES256, 32},
    {"P-384", "secp384r1", ACCESS_JWT_ES384, 48},
    {"P-521", "secp521r1", ACCESS_JWT_ES512, EC_MAX_BYTES},
};

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static bool text_is(const json_t *object, const char *name, const char *expected)
{
    const char *text = text_of(object, name);

    return text != NULL && strcmp(text, expected) == 0;
}

/* The bytes of a member. False: it isn't there, isn't base64url, or is too long. */
static bool bytes_of(const json_t *object, const char *name, unsigned char *out, size_t size,
                     size_t *ret_len)
{
    const char *text = text_of(object, name);

    return text != NULL && base64url_decode(str_of(text), out, size, ret_len) == 0 && *ret_len > 0;
}

/* A key from its parameters. NULL: it is none. */
static EVP_PKEY *key_from(const char *type, OSSL_PARAM_BLD *builder)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (params == NULL || context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    return key;
}

static void rsa_read(const json_t *jwk, struct access_key *ret_key)
{
    unsigned char modulus[RSA_MAX_BYTES + 1];
    unsigned char exponent[8];
    size_t modulus_len;
    size_t exponent_len;
    OSSL_PARAM_BLD *builder;
    BIGNUM *n;
    BIGNUM *e;

    if (!bytes_of(jwk, "n", modulus, sizeof(modulus), &modulus_len) ||
        !bytes_of(jwk, "e", exponent, sizeof(exponent), &exponent_len)) {
        return;
    }
    builder = OSSL_PARAM_BLD_new();
    n = BN_bin2bn(modulus, (int)modulus_len, NULL);
    e = BN_bin2bn(exponent, (int)exponent_len, NULL);
    /* By the number, because some issuers put a zero before it. */
    if (builder != NULL && n != NULL && e != NULL && (size_t)BN_num_bytes(n) >= RSA_MIN_BYTES &&
        (size_t)BN_num_bytes(n) <= RSA_MAX_BYTES &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
        ret_key->key = key_from("RSA", builder);
        ret_key->algorithms = RSA_ALGORITHMS;
    }
    BN_free(n);
    BN_free(e);
    OSSL_PARAM_BLD_free(builder);
}

static const struct curve *curve_of(const json_t *jwk)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(curves); i++) {
        if (text_is(jwk, "crv", curves[i].name)) {
            return &curves[i];
        }
    }
    return NULL;
}

/* The point uncompressed (SEC 1, 2.3.3): 4, x, y. That it lies on the curve is checked by OpenSSL.
 */
static void ec_read(const json_t *jwk, struct access_key *ret_key)
{
    const struct curve *curve = curve_of(jwk);
    unsigned char point[1 + 2 * EC_MAX_BYTES] = {4};
    OSSL_PARAM_BLD *builder;
    size_t x_len;
    size_t y_len;

    if (curve == NULL || !bytes_of(jwk, "x", point + 1, curve->coordinate_bytes, &x_len) ||
        x_len != curve->coordinate_bytes ||
        !bytes_of(jwk, "y", point + 1 + x_len, curve->coordinate_bytes, &y_len) ||
        y_len != curve->coordinate_bytes) {
        return;
    }
    builder = OSSL_PARAM_BLD_new();
    if (builder != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) ==
            1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point,
                                         1 + x_len + y_len) == 1) {
        ret_key->key = key_from("EC", builder);
        ret_key->algorithms = curve->algorithm;
        ret_key->coordinate_bytes = curve->coordinate_bytes;
    }
    OSSL_PARAM_BLD_free(builder);
}

static bool verifies(const json_t *jwk)
{
    const json_t *operations = json_object_get(jwk, "key_ops");
    const json_t *operation;
    size_t i;

    if (json_object_get(jwk, "use") != NULL && !text_is(jwk, "use", "sig")) {
        return false;
    }
    json_array_foreach (operations, i, operation) {
        if (json_string_value(operation) != NULL &&
            strcmp(json_string_value(operation), "verify") == 0) {
            return true;
        }
    }
    return operations == NULL;
}

/* Reads one key, if it is of use; what it may verify is what its type and size allow, and no more
 * than it says itself. ERR_NOMEM. */
static int key_add(struct access_jwks *jwks, const json_t *jwk)
{
    struct access_key key = {.key = NULL};
    const char *own = text_of(jwk, "alg");
    const char *kid = text_of(jwk, "kid");

    if (verifies(jwk) && text_is(jwk, "kty", "RSA")) {
        rsa_read(jwk, &key);
    } else if (verifies(jwk) && text_is(jwk, "kty", "EC")) {
        ec_read(jwk, &key);
    }
    key.algorithms &= own != NULL ? access_jwt_algorithm(str_of(own)) : UINT32_MAX;
    if (key.key == NULL || key.algorithms == 0) {
        EVP_PKEY_free(key.key);
        return 0;
    }
    if (kid != NULL) {
        key.kid = mem_strdup(kid);
        if (key.kid == NULL) {
            EVP_PKEY_free(key.key);
            return ERR_NOMEM;
        }
    }
    jwks->keys[jwks->count++] = key;
    return 0;
}

static int keys_add(struct access_jwks *jwks, const json_t *keys, struct err *e)
{
    size_t i;

    if (!json_is_array(keys)) {
        return err_set(e, ERR_INVALID, "this is no key set: it has no list `keys`");
    }
    if (json_array_size(keys) > ACCESS_JWKS_KEYS_MAX) {
        return err_set(e, ERR_INVALID, "the key set has %zu keys; at most %u are possible",
                       json_array_size(keys), ACCESS_JWKS_KEYS_MAX);
    }
    for (i = 0; i < json_array_size(keys); i++) {
        if (key_add(jwks, json_array_get(keys, i)) != 0) {
            return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
        }
    }
    if (jwks->count == 0) {
        return err_set(
            e, ERR_INVALID,
            "the key set has no key that verifies signatures (RSA from 2048 bits, P-256, "
            "P-384, P-521)");
    }
    return 0;
}

static int document_parse(struct str text, json_t **ret_document, struct err *e)
{
    json_error_t why = {.text = ""};
    json_t *document;

    if (text.len == 0 || text.len > ACCESS_JWKS_MAX_BYTES ||
        !json_bounds_hold(text, DEPTH_MAX, VALUES_MAX)) {
        return err_set(e, ERR_INVALID, "this is no key set: it is empty, or too large");
    }
    document = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &why);
    if (document == NULL) {
        return json_error_code(&why) == json_error_out_of_memory
                   ? err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM))
                   : err_set(e, ERR_INVALID, "this is no key set: line %d: %s", why.line, why.text);
    }
    *ret_document = document;
    return 0;
}

int access_jwks_parse(struct str text, struct access_jwks **ret_jwks, struct err *e)
{
    struct access_jwks *jwks;
    json_t *document = NULL;
    int r = document_parse(text, &document, e);

    if (r != 0) {
        return r;
    }
    jwks = mem_calloc(1, sizeof(*jwks));
    r = jwks != NULL ? keys_add(jwks, json_object_get(document, "keys"), e)
                     : err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    json_decref(document);
    if (r != 0) {
        access_jwks_free(jwks);
        return r;
    }
    *ret_jwks = jwks;
    return 0;
}

void access_jwks_free(struct access_jwks *jwks)
{
    size_t i;

    for (i = 0; jwks != NULL && i < jwks->count; i++) {
        EVP_PKEY_free(jwks->keys[i].key);
        mem_free(jwks->keys[i].kid);
    }
    mem_free(jwks);
}

size_t access_jwks_count(const struct access_jwks *jwks)
{
    return jwks->count;
}

/* --- verification --- */

/* A token without a kid may be any key's; one with a kid is that key's alone. */
static bool is_for(const struct access_key *key, const struct access_jwt *jwt)
{
    return (key->algorithms & jwt->algorithm) != 0 &&
           (jwt->kid == NULL || (key->kid != NULL && strcmp(key->kid, jwt->kid) == 0));
}

static const EVP_MD *digest_of(uint32_t algorithm)
{
    if ((algorithm & (ACCESS_JWT_RS256 | ACCESS_JWT_PS256 | ACCESS_JWT_ES256)) != 0) {
        return EVP_sha256();
    }
    return (algorithm & (ACCESS_JWT_RS384 | ACCESS_JWT_PS384 | ACCESS_JWT_ES384)) != 0
               ? EVP_sha384()
               : EVP_sha512();
}

/* r and s side by side (RFC 7518, 3.4) as OpenSSL takes them, in DER. 0: they aren't. */
static size_t ec_signature(const struct access_key *key, const unsigned char *bytes, size_t len,
                           unsigned char **ret_der)
{
    size_t half = key->coordinate_bytes;
    ECDSA_SIG *signature = len == 2 * half ? ECDSA_SIG_new() : NULL;
    BIGNUM *r = signature != NULL ? BN_bin2bn(bytes, (int)half, NULL) : NULL;
    BIGNUM *s = signature != NULL ? BN_bin2bn(bytes + half, (int)half, NULL) : NULL;
    int der_len = 0;

    if (r != NULL && s != NULL && ECDSA_SIG_set0(signature, r, s) == 1) {
        der_len = i2d_ECDSA_SIG(signature, ret_der);
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(signature);
    return der_len > 0 ? (size_t)der_len : 0;
}

static bool digest_verify(const struct access_key *key, const struct access_jwt *jwt,
                          const unsigned char *signature, size_t len)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *terms = NULL;
    bool is_genuine =
        context != NULL &&
        EVP_DigestVerifyInit(context, &terms, digest_of(jwt->algorithm), NULL, key->key) == 1;

    /* RFC 7518, 3.5: the salt is as long as the digest. */
    if (is_genuine && (jwt->algorithm & PSS_ALGORITHMS) != 0) {
        is_genuine = EVP_PKEY_CTX_set_rsa_padding(terms, RSA_PKCS1_PSS_PADDING) == 1 &&
                     EVP_PKEY_CTX_set_rsa_pss_saltlen(terms, RSA_PSS_SALTLEN_DIGEST) == 1;
    }
    is_genuine = is_genuine && EVP_DigestVerify(context, signature, len,
                                                (const unsigned char *)jwt->signed_part.ptr,
                                                jwt->signed_part.len) == 1;
    EVP_MD_CTX_free(context);
    return is_genuine;
}

static bool has_signed(const struct access_key *key, const struct access_jwt *jwt)
{
    unsigned char bytes[RSA_MAX_BYTES];
    unsigned char *der = NULL;
    bool is_genuine;
    size_t len;

    if (base64url_decode(jwt->signature, bytes, sizeof(bytes), &len) != 0) {
        return false;
    }
    if ((jwt->algorithm & EC_ALGORITHMS) == 0) {
        return digest_verify(key, jwt, bytes, len);
    }
    len = ec_signature(key, bytes, len, &der);
    is_genuine = len > 0 && digest_verify(key, jwt, der, len);
    OPENSSL_free(der);
    return is_genuine;
}

int access_jwks_verify(const struct access_jwks *jwks, const struct access_jwt *jwt, struct err *e)
{
    bool is_known = false;
    size_t i;

    for (i = 0; i < jwks->count; i++) {
        if (is_for(&jwks->keys[i], jwt)) {
            is_known = true;
            if (has_signed(&jwks->keys[i], jwt)) {
                return 0;
            }
        }
    }
    return is_known ? err_set(e, ERR_DENIED, "its signature is wrong")
                    : err_set(e, ERR_NOT_FOUND, "its issuer has no key for it");
}
