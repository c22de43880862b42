#include "lists.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define CRL_VERSION_2 1
#define SKEW_S 60 /* clocks differ */

static bool add_entry(X509_CRL *crl, const struct localca_entry *entry)
{
    X509_REVOKED *revoked = X509_REVOKED_new();
    BIGNUM *number = BN_bin2bn(entry->serial.bytes, LOCALCA_SERIAL_BYTES, NULL);
    ASN1_INTEGER *serial = number != NULL ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    ASN1_TIME *when = ASN1_TIME_set(NULL, (time_t)entry->revoked_s);
    bool is_fine = revoked != NULL && serial != NULL && when != NULL &&
                   X509_REVOKED_set_serialNumber(revoked, serial) > 0 &&
                   X509_REVOKED_set_revocationDate(revoked, when) > 0 &&
                   X509_CRL_add0_revoked(crl, revoked) > 0;

    if (!is_fine) {
        X509_REVOKED_free(revoked);
    }
    ASN1_TIME_free(when);
    ASN1_INTEGER_free(serial);
    BN_free(number);
    return is_fine;
}

static bool set_times(X509_CRL *crl, int64_t now_s, uint64_t lifetime_s)
{
    ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)(now_s - SKEW_S));
    ASN1_TIME *until = ASN1_TIME_set(NULL, (time_t)(now_s + (int64_t)lifetime_s));
    bool is_fine = from != NULL && until != NULL && X509_CRL_set1_lastUpdate(crl, from) > 0 &&
                   X509_CRL_set1_nextUpdate(crl, until) > 0;

    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return is_fine;
}

static bool add_number(X509_CRL *crl, uint64_t value)
{
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    bool is_fine = number != NULL && ASN1_INTEGER_set_uint64(number, value) > 0 &&
                   X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, X509V3_ADD_DEFAULT) > 0;

    ASN1_INTEGER_free(number);
    return is_fine;
}

static bool add_authority(X509_CRL *crl, X509 *ca)
{
    X509_EXTENSION *extension;
    X509V3_CTX context;
    bool is_fine;

    if (X509_get0_subject_key_id(ca) == NULL) {
        return true; /* then the key can't be named */
    }
    X509V3_set_ctx(&context, ca, NULL, NULL, crl, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, NID_authority_key_identifier, "keyid");
    is_fine = extension != NULL && X509_CRL_add_ext(crl, extension, -1) > 0;
    X509_EXTENSION_free(extension);
    return is_fine;
}

static bool fill(X509_CRL *crl, const struct localca_ca *ca, const struct localca_revoked *revoked)
{
    bool is_fine = X509_CRL_set_version(crl, CRL_VERSION_2) > 0 &&
                   X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->certificate)) > 0;

    for (size_t i = 0; is_fine && i < revoked->count; i++) {
        is_fine = revoked->entries[i].type != LOCALCA_X509 || add_entry(crl, &revoked->entries[i]);
    }
    return is_fine && X509_CRL_sort(crl) > 0 && add_authority(crl, ca->certificate) &&
           add_number(crl, revoked->number);
}

int localca_crl_make(const struct localca_ca *ca, const struct localca_revoked *revoked,
                     int64_t now_s, uint64_t lifetime_s, struct plugin_form *out)
{
    X509_CRL *crl = X509_CRL_new();
    BIO *bio = BIO_new(BIO_s_mem());
    const EVP_MD *digest = localca_ca_digest(ca->key);
    char *bytes = NULL;
    long len = 0;

    if (crl != NULL && bio != NULL && fill(crl, ca, revoked) && set_times(crl, now_s, lifetime_s) &&
        X509_CRL_sign(crl, ca->key, digest) > 0 && PEM_write_bio_X509_CRL(bio, crl) > 0) {
        len = BIO_get_mem_data(bio, &bytes);
    }
    if (len > 0) {
        plugin_form_add(out, (struct leased_str){bytes, (size_t)len});
    }
    BIO_free(bio);
    X509_CRL_free(crl);
    return len > 0 && !out->is_failed ? 0 : -1;
}
