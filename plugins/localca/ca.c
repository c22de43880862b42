/* Happy path: read the key → read the certificate → they belong together, it is one of a CA, and it
 * hasn't ended. */
#include "ca.h"

#include "common/jwt.h"
#include "sshkey.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#define RSA_LEAST_BITS 2048
#define RSA_MOST_BITS 4096 /* signing with more takes too long */

/* The text of a source, to be freed by secret_free; NULL with the reason. */
static char *read_source(const struct leased_host *host, leased_host_context *context,
                         const char *source, size_t *ret_len, struct plugin_text *detail)
{
    struct leased_str why = {"", 0};
    char *text = NULL;
    int64_t len = host->secret_read(context, plugin_str(source), &text, &why);

    if (len < 0) {
        plugin_text_set(detail, "%.*s", (int)why.len, why.ptr);
        return NULL;
    }
    *ret_len = (size_t)len;
    return text;
}

static int32_t wrong(const char *key, const struct plugin_text *why, struct plugin_text *detail)
{
    plugin_text_set(detail, "%s: %s", key, why->bytes);
    return LEASED_INVALID;
}

static bool is_fit(EVP_PKEY *key, struct plugin_text *why)
{
    int bits = EVP_PKEY_get_bits(key);

    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_EC:
    case EVP_PKEY_ED25519:
        return true;
    case EVP_PKEY_RSA:
        if (bits >= RSA_LEAST_BITS && bits <= RSA_MOST_BITS) {
            return true;
        }
        break;
    default:
        break;
    }
    plugin_text_set(why,
                    "a key on an elliptic curve, Ed25519, or RSA with %d to %d bits is "
                    "expected",
                    RSA_LEAST_BITS, RSA_MOST_BITS);
    return false;
}

static int64_t end_of(const X509 *certificate)
{
    struct tm tm = {0};

    return ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) > 0 ? (int64_t)timegm(&tm) : 0;
}

static int32_t read_certificate(struct localca_ca *ca, int64_t now_s, struct plugin_text *detail)
{
    BIO *bio = BIO_new_mem_buf(ca->chain, (int)ca->chain_len);

    ca->certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (ca->certificate == NULL) {
        plugin_text_set(detail, "ca_cert_file: it holds no certificate in PEM");
        return LEASED_INVALID;
    }
    ca->not_after_s = end_of(ca->certificate);
    if (X509_check_private_key(ca->certificate, ca->key) != 1) {
        plugin_text_set(detail, "ca_cert_file: its first certificate isn't that of ca_key_file's "
                                "key");
        return LEASED_INVALID;
    }
    if (X509_check_ca(ca->certificate) != 1) {
        plugin_text_set(detail, "ca_cert_file: its first certificate isn't one of a CA "
                                "(basicConstraints: CA:TRUE, and keyUsage with keyCertSign)");
        return LEASED_INVALID;
    }
    if (ca->not_after_s <= now_s) {
        plugin_text_set(detail, "ca_cert_file: the CA's certificate has expired");
        return LEASED_INVALID;
    }
    return LEASED_OK;
}

int32_t localca_ca_read(const struct leased_host *host, leased_host_context *context,
                        const struct localca_config *config, struct localca_ca *ret_ca,
                        struct plugin_text *detail)
{
    struct localca_ca ca = {.key = NULL};
    struct plugin_text why = {""};
    size_t len = 0;
    char *text;
    int32_t status;

    if (config->ca_key.text[0] == '\0') {
        plugin_text_set(detail,
                        "the backend has no ca_key_file: it can't issue X.509 certificates");
        return LEASED_INVALID;
    }
    text = read_source(host, context, config->ca_key.text, &len, detail);
    if (text == NULL) {
        return LEASED_RETRY;
    }
    ca.key = plugin_key_read((struct leased_str){text, len}, &why);
    host->secret_free(text);
    if (ca.key == NULL || !is_fit(ca.key, &why)) {
        status = wrong("ca_key_file", &why, detail);
        goto err;
    }
    ca.chain = read_source(host, context, config->ca_cert.text, &ca.chain_len, detail);
    if (ca.chain == NULL) {
        status = LEASED_RETRY;
        goto err;
    }
    status = read_certificate(&ca, host->wall_ms(context) / 1000, detail);
    if (status != LEASED_OK) {
        goto err;
    }
    *ret_ca = ca;
    return LEASED_OK;

err:
    localca_ca_fini(host, &ca);
    return status;
}

int32_t localca_ca_read_ssh(const struct leased_host *host, leased_host_context *context,
                            const struct localca_config *config, struct localca_ca *ret_ca,
                            struct plugin_text *detail)
{
    struct localca_ca ca = {.key = NULL};
    struct plugin_text why = {""};
    size_t len = 0;
    char *text;

    if (config->ssh_ca_key.text[0] == '\0') {
        plugin_text_set(detail,
                        "the backend has no ssh_ca_key_file: it can't issue SSH certificates");
        return LEASED_INVALID;
    }
    text = read_source(host, context, config->ssh_ca_key.text, &len, detail);
    if (text == NULL) {
        return LEASED_RETRY;
    }
    ca.key = localca_sshkey_read(host, (struct leased_str){text, len}, &why);
    host->secret_free(text);
    if (ca.key == NULL) {
        return wrong("ssh_ca_key_file", &why, detail);
    }
    *ret_ca = ca;
    return LEASED_OK;
}

const EVP_MD *localca_ca_digest(EVP_PKEY *key)
{
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) {
        return NULL;
    }
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_bits(key) > 256 ? EVP_sha384()
                                                                                    : EVP_sha256();
}

void localca_ca_fini(const struct leased_host *host, struct localca_ca *ca)
{
    EVP_PKEY_free(ca->key);
    X509_free(ca->certificate);
    host->secret_free(ca->chain);
    *ca = (struct localca_ca){.key = NULL};
}
