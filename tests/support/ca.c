#include "support/ca.h"

#include "base/check.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <time.h>

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX context;

    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    CHECK(extension != NULL);
    CHECK(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void read_bio(BIO *bio, char *out, size_t size)
{
    int len = BIO_read(bio, out, (int)size - 1);

    CHECK(len > 0 && (size_t)len < size - 1);
    out[len] = '\0';
    BIO_free(bio);
}

static void write_pems(struct test_ca *ca)
{
    BIO *bio = BIO_new(BIO_s_mem());

    CHECK(PEM_write_bio_X509(bio, ca->certificate) == 1);
    read_bio(bio, ca->pem, sizeof(ca->pem));
    bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_PKCS8PrivateKey(bio, ca->key, NULL, NULL, 0, NULL, NULL) == 1);
    read_bio(bio, ca->key_pem, sizeof(ca->key_pem));
}

void test_ca_make(struct test_ca *ca, EVP_PKEY *key, const char *usage, int64_t begins_s,
                  int64_t ends_s)
{
    X509_NAME *name = X509_NAME_new();
    X509 *certificate = X509_new();
    bool is_pure = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519; /* it has its own digest */

    ca->key = key;
    ca->certificate = certificate;
    (void)X509_set_version(certificate, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"Test CA",
                                     -1, -1, 0);
    (void)X509_set_subject_name(certificate, name);
    (void)X509_set_issuer_name(certificate, name);
    X509_NAME_free(name);
    (void)ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)begins_s);
    (void)ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)ends_s);
    (void)X509_set_pubkey(certificate, key);
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, NID_key_usage, usage);
    add_extension(certificate, NID_subject_key_identifier, "hash");
    CHECK(X509_sign(certificate, key, is_pure ? NULL : EVP_sha256()) > 0);
    write_pems(ca);
}

void test_ca_fini(struct test_ca *ca)
{
    X509_free(ca->certificate);
    EVP_PKEY_free(ca->key);
    *ca = (struct test_ca){.key = NULL};
}
