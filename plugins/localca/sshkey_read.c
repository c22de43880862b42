/* Private keys from ssh-keygen's own format (PROTOCOL.key) or from PEM.
 *
 * Happy path: the armour is taken off → the outer part says that nothing is encrypted → the inner
 * part has the key → OpenSSL makes one of it. Everything before the last step is wiped. */
#include "common/base64.h"
#include "common/jwt.h"
#include "sshkey_internal.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <string.h>

#define RSA_LEAST_BITS 2048
#define RSA_MOST_BITS 4096

/* --- numbers to keys -------------------------------------------------------------------------- */

static EVP_PKEY *key_of(const char *kind, OSSL_PARAM_BLD *build)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    EVP_PKEY *key = NULL;

    if (params != NULL && context != NULL && EVP_PKEY_fromdata_init(context) > 0) {
        (void)EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params);
    }
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *read_ed25519(struct localca_reader *reader)
{
    struct leased_str public_key = localca_get_string(reader);
    struct leased_str both = localca_get_string(reader);
    EVP_PKEY *key = NULL;

    if (!reader->is_failed && public_key.len == 32 && both.len == 64 &&
        memcmp(both.ptr + 32, public_key.ptr, 32) == 0) {
        key = localca_sshkey_ed25519((const unsigned char *)both.ptr);
    }
    return key;
}

static EVP_PKEY *read_ec(struct localca_reader *reader, const struct localca_ssh_curve *curve)
{
    struct leased_str name = localca_get_string(reader);
    struct leased_str point = localca_get_string(reader);
    BIGNUM *number = localca_get_mpint(reader);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;

    if (number != NULL && build != NULL && plugin_str_eq(name, curve->name) &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) > 0 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.ptr, point.len) >
            0 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number) > 0) {
        key = key_of("EC", build);
    }
    OSSL_PARAM_BLD_free(build);
    BN_clear_free(number);
    return key;
}

/* ssh keeps no exponents of the primes: without them OpenSSL would sign the slow way. */
static bool add_exponents(OSSL_PARAM_BLD *build, const BIGNUM *d, BIGNUM *const primes[2],
                          BIGNUM *exponents[2])
{
    static const char *const names[] = {OSSL_PKEY_PARAM_RSA_EXPONENT1,
                                        OSSL_PKEY_PARAM_RSA_EXPONENT2};
    BN_CTX *context = BN_CTX_new();
    BIGNUM *less = BN_new();
    bool is_fine = context != NULL && less != NULL;

    for (int i = 0; is_fine && i < 2; i++) {
        exponents[i] = BN_new();
        is_fine = exponents[i] != NULL && BN_sub(less, primes[i], BN_value_one()) > 0 &&
                  !BN_is_zero(less) && BN_mod(exponents[i], d, less, context) > 0 &&
                  OSSL_PARAM_BLD_push_BN(build, names[i], exponents[i]) > 0;
    }
    BN_clear_free(less);
    BN_CTX_free(context);
    return is_fine;
}

static EVP_PKEY *read_rsa(struct localca_reader *reader)
{
    static const char *const names[] = {
        OSSL_PKEY_PARAM_RSA_N,       OSSL_PKEY_PARAM_RSA_E,
        OSSL_PKEY_PARAM_RSA_D,       OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
        OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2};
    BIGNUM *numbers[6] = {NULL};
    BIGNUM *exponents[2] = {NULL};
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    bool is_fine = build != NULL;

    for (size_t i = 0; i < 6; i++) {
        numbers[i] = localca_get_mpint(reader);
        is_fine = is_fine && numbers[i] != NULL && BN_num_bits(numbers[i]) <= RSA_MOST_BITS &&
                  OSSL_PARAM_BLD_push_BN(build, names[i], numbers[i]) > 0;
    }
    if (is_fine && add_exponents(build, numbers[2], numbers + 4, exponents)) {
        key = key_of("RSA", build);
    }
    OSSL_PARAM_BLD_free(build);
    for (size_t i = 0; i < 6; i++) {
        BN_clear_free(numbers[i]);
    }
    BN_clear_free(exponents[0]);
    BN_clear_free(exponents[1]);
    return key;
}

/* --- ssh's format ----------------------------------------------------------------------------- */

static EVP_PKEY *read_inner(struct leased_str bytes)
{
    struct localca_reader reader = localca_reader_of(bytes);
    uint32_t check = localca_get_u32(&reader);
    bool is_same = check == localca_get_u32(&reader);
    struct leased_str type = localca_get_string(&reader);
    const struct localca_ssh_curve *curve = localca_ssh_curve_find(type);

    if (!is_same || reader.is_failed) {
        return NULL;
    }
    if (curve != NULL) {
        return read_ec(&reader, curve);
    }
    if (plugin_str_eq(type, "ssh-rsa")) {
        return read_rsa(&reader);
    }
    return plugin_str_eq(type, "ssh-ed25519") ? read_ed25519(&reader) : NULL;
}

static EVP_PKEY *read_outer(struct leased_str bytes, struct plugin_text *detail)
{
    struct localca_reader reader = localca_reader_of(bytes);
    struct leased_str magic = localca_get_bytes(&reader, sizeof(LOCALCA_SSH_MAGIC));
    struct leased_str cipher = localca_get_string(&reader);
    struct leased_str kdf = localca_get_string(&reader);
    uint32_t count;
    struct leased_str inner;
    EVP_PKEY *key;

    (void)localca_get_string(&reader); /* the kdf's options */
    count = localca_get_u32(&reader);
    (void)localca_get_string(&reader); /* the public key; the inner part has it, too */
    inner = localca_get_string(&reader);
    if (reader.is_failed || memcmp(magic.ptr, LOCALCA_SSH_MAGIC, magic.len) != 0 || count != 1) {
        plugin_text_set(detail, "it is not a whole private key of OpenSSH's");
        return NULL;
    }
    if (!plugin_str_eq(cipher, "none") || !plugin_str_eq(kdf, "none")) {
        plugin_text_set(detail, "it is encrypted; nobody is there to be asked for the passphrase "
                                "(ssh-keygen -p takes it away)");
        return NULL;
    }
    key = read_inner(inner);
    if (key == NULL) {
        plugin_text_set(detail, "it holds no Ed25519, ECDSA or RSA key that can be used");
    }
    return key;
}

static EVP_PKEY *read_armoured(const struct leased_host *host, struct leased_str text,
                               struct plugin_text *detail)
{
    size_t begin = sizeof(LOCALCA_SSH_BEGIN) - 1;
    const char *end = memmem(text.ptr, text.len, LOCALCA_SSH_END, sizeof(LOCALCA_SSH_END) - 1);
    struct leased_str body;
    EVP_PKEY *key = NULL;
    char *bytes;
    int64_t len;

    if (end == NULL || end < text.ptr + begin) {
        plugin_text_set(detail, "its last line (%s) is missing", LOCALCA_SSH_END);
        return NULL;
    }
    body = (struct leased_str){text.ptr + begin, (size_t)(end - text.ptr) - begin};
    bytes = host->secret_alloc(body.len + 1);
    if (bytes == NULL) {
        plugin_text_set(detail, "out of memory");
        return NULL;
    }
    len = plugin_base64_decode(body, bytes, body.len);
    if (len < 0) {
        plugin_text_set(detail, "it is not base64");
    } else {
        key = read_outer((struct leased_str){bytes, (size_t)len}, detail);
    }
    host->secret_free(bytes);
    return key;
}

/* --- either ----------------------------------------------------------------------------------- */

static bool is_usable(EVP_PKEY *key, struct plugin_text *detail)
{
    int bits = EVP_PKEY_get_bits(key);

    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_ED25519:
        return true;
    case EVP_PKEY_EC:
        if (localca_ssh_curve_of(key) != NULL) {
            return true;
        }
        break;
    case EVP_PKEY_RSA:
        if (bits >= RSA_LEAST_BITS && bits <= RSA_MOST_BITS) {
            return true;
        }
        break;
    default:
        break;
    }
    plugin_text_set(detail,
                    "Ed25519, ECDSA on P-256, P-384 or P-521, or RSA with %d to %d bits is "
                    "expected",
                    RSA_LEAST_BITS, RSA_MOST_BITS);
    return false;
}

EVP_PKEY *localca_sshkey_read(const struct leased_host *host, struct leased_str text,
                              struct plugin_text *detail)
{
    size_t begin = sizeof(LOCALCA_SSH_BEGIN) - 1;
    bool is_armoured = text.len > begin && memcmp(text.ptr, LOCALCA_SSH_BEGIN, begin) == 0;
    EVP_PKEY *key = is_armoured ? read_armoured(host, text, detail) : plugin_key_read(text, detail);

    if (key != NULL && !is_usable(key, detail)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}
