/* X.509 certificates (RFC 5280) of a fresh key. Every name is put in as the value of its own kind,
 * so no text is ever parsed again on its way into the certificate. */
#include "issued.h"

#include "names.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define P256_BYTES 32

/* --- the key ---------------------------------------------------------------------------------- */

/* A number from 1 to the order less one, of 48 random bytes: sixteen more than needed, so that none
 * is likelier than another (FIPS 186-5, A.2.1). */
static BIGNUM *scalar_of(const EC_GROUP *group, const unsigned char seed[48])
{
    BN_CTX *context = BN_CTX_new();
    BIGNUM *number = BN_secure_new();
    BIGNUM *most = BN_dup(EC_GROUP_get0_order(group));
    bool is_fine = context != NULL && number != NULL && most != NULL &&
                   BN_bin2bn(seed, 48, number) != NULL && BN_sub_word(most, 1) > 0 &&
                   BN_mod(number, number, most, context) > 0 && BN_add_word(number, 1) > 0;

    BN_CTX_free(context);
    BN_free(most);
    if (!is_fine) {
        BN_clear_free(number);
        return NULL;
    }
    BN_set_flags(number, BN_FLG_CONSTTIME);
    return number;
}

static EVP_PKEY *p256_of(const BIGNUM *number, const unsigned char *point, size_t len)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *key = NULL;

    if (build != NULL && context != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) > 0 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, len) > 0 &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number) > 0) {
        params = OSSL_PARAM_BLD_to_param(build);
    }
    if (params != NULL && EVP_PKEY_fromdata_init(context) > 0) {
        (void)EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params);
    }
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(context);
    return key;
}

/* From the host's randomness, so that runs can be repeated. */
static EVP_PKEY *p256_make(const unsigned char seed[48])
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    BIGNUM *number = group != NULL ? scalar_of(group, seed) : NULL;
    EC_POINT *point = group != NULL ? EC_POINT_new(group) : NULL;
    unsigned char bytes[2 * P256_BYTES + 1];
    EVP_PKEY *key = NULL;

    if (number != NULL && point != NULL &&
        EC_POINT_mul(group, point, number, NULL, NULL, NULL) > 0 &&
        EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, bytes, sizeof(bytes),
                           NULL) == sizeof(bytes)) {
        key = p256_of(number, bytes, sizeof(bytes));
    }
    EC_POINT_free(point);
    BN_clear_free(number);
    EC_GROUP_free(group);
    return key;
}

/* --- names ------------------------------------------------------------------------------------ */

static ASN1_STRING *string_of(int type, const void *bytes, size_t len)
{
    ASN1_STRING *string = ASN1_STRING_type_new(type);

    if (string != NULL && ASN1_STRING_set(string, bytes, (int)len) <= 0) {
        ASN1_STRING_free(string);
        return NULL;
    }
    return string;
}

static GENERAL_NAME *name_of(const struct localca_name *from)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    unsigned char address[16];
    ASN1_STRING *value;
    int type;

    if (from->kind == LOCALCA_IP) {
        type = GEN_IPADD;
        value = string_of(V_ASN1_OCTET_STRING, address, localca_ip_parse(from->text, address));
    } else {
        type = from->kind == LOCALCA_DNS ? GEN_DNS : GEN_URI;
        value = string_of(V_ASN1_IA5STRING, from->text.ptr, from->text.len);
    }
    if (name == NULL || value == NULL) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, type, value);
    return name;
}

static bool add_alternative_names(X509 *certificate, const struct localca_params *params)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool is_fine = names != NULL;
    /* RFC 5280, 4.2.1.6: with an empty subject it is critical. */
    int is_critical = params->common_name.len == 0 ? 1 : 0;

    for (size_t i = 0; is_fine && i < params->name_count; i++) {
        GENERAL_NAME *name = name_of(&params->names[i]);

        is_fine = name != NULL && sk_GENERAL_NAME_push(names, name) > 0;
        if (!is_fine) {
            GENERAL_NAME_free(name);
        }
    }
    is_fine = is_fine && (params->name_count == 0 ||
                          X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, is_critical,
                                            X509V3_ADD_DEFAULT) > 0);
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return is_fine;
}

static bool set_subject(X509 *certificate, struct leased_str common_name)
{
    X509_NAME *subject = X509_NAME_new();
    bool is_fine =
        subject != NULL &&
        (common_name.len == 0 || X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                                            (const unsigned char *)common_name.ptr,
                                                            (int)common_name.len, -1, 0) > 0) &&
        X509_set_subject_name(certificate, subject) > 0;

    X509_NAME_free(subject);
    return is_fine;
}

/* --- extensions ------------------------------------------------------------------------------- */

/* These texts are ours. */
static bool add_extension(X509 *certificate, X509V3_CTX *context, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
    bool is_fine = extension != NULL && X509_add_ext(certificate, extension, -1) > 0;

    X509_EXTENSION_free(extension);
    return is_fine;
}

static bool add_extensions(X509 *certificate, X509 *ca, const struct localca_params *params)
{
    static const char *const usages[] = {[LOCALCA_USAGE_CLIENT] = "clientAuth",
                                         [LOCALCA_USAGE_SERVER] = "serverAuth",
                                         [LOCALCA_USAGE_CLIENT | LOCALCA_USAGE_SERVER] =
                                             "serverAuth,clientAuth"};
    X509V3_CTX context;

    X509V3_set_ctx(&context, ca, certificate, NULL, NULL, 0);
    return add_extension(certificate, &context, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, &context, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, &context, NID_ext_key_usage, usages[params->usage]) &&
           add_extension(certificate, &context, NID_subject_key_identifier, "hash") &&
           (X509_get0_subject_key_id(ca) == NULL || /* then it can't be named */
            add_extension(certificate, &context, NID_authority_key_identifier, "keyid")) &&
           add_alternative_names(certificate, params);
}

/* --- the certificate -------------------------------------------------------------------------- */

/* Positive, and as long as it is (RFC 5280, 4.1.2.2). */
static void fit_serial(struct localca_serial *serial)
{
    serial->bytes[0] = (unsigned char)((serial->bytes[0] & 0x7fU) | 0x40U);
}

static bool set_serial(X509 *certificate, const struct localca_serial *serial)
{
    BIGNUM *number = BN_bin2bn(serial->bytes, LOCALCA_SERIAL_BYTES, NULL);
    bool is_fine =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;

    BN_free(number);
    return is_fine;
}

static X509 *certify(const struct localca_order *order, EVP_PKEY *key)
{
    X509 *ca = order->ca->certificate;
    X509 *certificate = X509_new();

    if (certificate != NULL && X509_set_version(certificate, X509_VERSION_3) > 0 &&
        set_serial(certificate, &order->serial) &&
        X509_set_issuer_name(certificate, X509_get_subject_name(ca)) > 0 &&
        set_subject(certificate, order->params->common_name) &&
        ASN1_TIME_set(X509_getm_notBefore(certificate), order->now_s - LOCALCA_SKEW_S) != NULL &&
        ASN1_TIME_set(X509_getm_notAfter(certificate), order->end_s) != NULL &&
        X509_set_pubkey(certificate, key) > 0 && add_extensions(certificate, ca, order->params) &&
        X509_sign(certificate, order->ca->key, localca_ca_digest(order->ca->key)) > 0) {
        return certificate;
    }
    X509_free(certificate);
    return NULL;
}

static void take(struct plugin_form *out, BIO *bio, bool is_written)
{
    char *bytes = NULL;
    long len = is_written ? BIO_get_mem_data(bio, &bytes) : 0;

    if (len > 0) {
        plugin_form_add(out, (struct leased_str){bytes, (size_t)len});
        OPENSSL_cleanse(bytes, (size_t)len);
    } else {
        out->is_failed = true;
    }
    BIO_free(bio);
}

static void write_both(struct localca_issued *issued, X509 *certificate, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());

    take(&issued->certificate, bio, bio != NULL && PEM_write_bio_X509(bio, certificate) > 0);
    bio = BIO_new(BIO_s_mem());
    take(&issued->private_key, bio,
         bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) > 0);
}

int localca_x509_make(struct localca_order *order, struct localca_issued *ret_issued,
                      struct plugin_text *detail)
{
    EVP_PKEY *key =
        order->params->wants_ed25519 ? localca_sshkey_ed25519(order->seed) : p256_make(order->seed);
    X509 *certificate;

    *ret_issued = (struct localca_issued){.certificate = {.host = order->host},
                                          .private_key = {.host = order->host}};
    ret_issued->public_key.host = order->host;
    fit_serial(&order->serial);
    localca_serial_text(LOCALCA_X509, &order->serial, ret_issued->serial);
    certificate = key != NULL ? certify(order, key) : NULL;
    if (certificate != NULL) {
        write_both(ret_issued, certificate, key);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    if (certificate == NULL || ret_issued->certificate.is_failed ||
        ret_issued->private_key.is_failed) {
        plugin_text_set(detail, "the certificate could not be made: out of memory");
        return -1;
    }
    return 0;
}
