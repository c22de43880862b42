#include "daemon/dev_ca.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#define DAY_S 86400
#define LIFE_DAYS 30
#define SERIAL_BITS 120
#define COMMON_NAME "leased --dev"

/* Frees `bio`. */
static int take(BIO *bio, bool is_written, struct buf *out)
{
    char *bytes = NULL;
    long len = is_written ? BIO_get_mem_data(bio, &bytes) : 0;

    if (len > 0) {
        buf_add(out, bytes, (size_t)len);
        OPENSSL_cleanse(bytes, (size_t)len);
    }
    BIO_free(bio);
    return len > 0 ? buf_status(out) : ERR_NOMEM;
}

static int key_write(EVP_PKEY *key, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());

    return take(bio,
                bio != NULL &&
                    PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) > 0,
                out);
}

int dev_key_make(struct buf *ret_key)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    int r = key != NULL ? key_write(key, ret_key) : ERR_NOMEM;

    EVP_PKEY_free(key);
    return r;
}

static bool name_set(X509 *certificate)
{
    X509_NAME *name = X509_NAME_new();
    bool is_fine = name != NULL &&
                   X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                              (const unsigned char *)COMMON_NAME, -1, -1, 0) > 0 &&
                   X509_set_subject_name(certificate, name) > 0 &&
                   X509_set_issuer_name(certificate, name) > 0;

    X509_NAME_free(name);
    return is_fine;
}

static bool serial_set(X509 *certificate)
{
    BIGNUM *number = BN_new();
    bool is_fine = number != NULL &&
                   BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) > 0 &&
                   BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;

    BN_free(number);
    return is_fine;
}

static bool extensions_add(X509 *certificate)
{
    static const struct {
        int nid;
        const char *value;
    } all[] = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
               {NID_key_usage, "critical,keyCertSign,cRLSign"},
               {NID_subject_key_identifier, "hash"}};
    X509V3_CTX context;
    bool is_fine = true;

    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    for (size_t i = 0; is_fine && i < ARRAY_LEN(all); i++) {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, all[i].nid, all[i].value);

        is_fine = extension != NULL && X509_add_ext(certificate, extension, -1) > 0;
        X509_EXTENSION_free(extension);
    }
    return is_fine;
}

static X509 *certify(EVP_PKEY *key, int64_t now_s)
{
    X509 *certificate = X509_new();

    if (certificate != NULL && X509_set_version(certificate, X509_VERSION_3) > 0 &&
        serial_set(certificate) && name_set(certificate) &&
        ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)now_s - DAY_S) != NULL &&
        ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)now_s + LIFE_DAYS * DAY_S) != NULL &&
        X509_set_pubkey(certificate, key) > 0 && extensions_add(certificate) &&
        X509_sign(certificate, key, EVP_sha256()) > 0) {
        return certificate;
    }
    X509_free(certificate);
    return NULL;
}

int dev_ca_make(int64_t now_s, struct buf *ret_key, struct buf *ret_certificate)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = key != NULL ? certify(key, now_s) : NULL;
    BIO *bio = NULL;
    int r = certificate != NULL ? key_write(key, ret_key) : ERR_NOMEM;

    if (r == 0) {
        bio = BIO_new(BIO_s_mem());
        r = take(bio, bio != NULL && PEM_write_bio_X509(bio, certificate) > 0, ret_certificate);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return r;
}

/* A key under a passphrase is of no use here: nobody is asked for it. */
static int no_passphrase(char *buf, int size, int is_writing, void *user)
{
    (void)buf;
    (void)size;
    (void)is_writing;
    (void)user;
    return -1;
}

/* As key_write has written it; NULL: it is another, or none. */
static EVP_PKEY *key_read(struct str text)
{
    BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

    BIO_free(bio);
    if (key != NULL && !EVP_PKEY_is_a(key, "EC")) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

bool dev_key_is_good(struct str text)
{
    EVP_PKEY *key = key_read(text);

    EVP_PKEY_free(key);
    return key != NULL;
}

bool dev_ca_is_good(struct str key_text, struct str text, int64_t now_s)
{
    EVP_PKEY *key = key_read(key_text);
    BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    time_t tomorrow = (time_t)now_s + DAY_S;
    bool is_good = key != NULL && certificate != NULL &&
                   X509_check_private_key(certificate, key) == 1 &&
                   X509_cmp_time(X509_get0_notAfter(certificate), &tomorrow) > 0;

    X509_free(certificate);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return is_good;
}
