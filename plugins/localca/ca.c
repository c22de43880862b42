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

/* What there is to know of one of the keys that certificates are signed with. */
struct signer {
    const struct plugin_source *source;
    const char *key;  /* of the configuration */
    const char *what; /* is signed with it */
    EVP_PKEY *(*parse)(const struct leased_host *host, struct leased_str text,
                       struct plugin_text *why);
};

static int32_t read_key(const struct leased_host *host, leased_host_context *context,
                        const struct signer *signer, EVP_PKEY **ret_key, struct plugin_text *detail)
{
    struct plugin_text why = {""};
    size_t len = 0;
    char *text;

    if (signer->source->text[0] == '\0') {
        plugin_text_set(detail, "the backend has no %s: it can't issue %s", signer->key,
                        signer->what);
        return LEASED_INVALID;
    }
    text = read_source(host, context, signer->source->text, &len, detail);
    if (text == NULL) {
        return LEASED_RETRY;
    }
    *ret_key = signer->parse(host, (struct leased_str){text, len}, &why);
    host->secret_free(text);
    if (*ret_key == NULL) {
        plugin_text_set(detail, "%s: %s", signer->key, why.bytes);
        return LEASED_INVALID;
    }
    return LEASED_OK;
}

static EVP_PKEY *parse_x509(const struct leased_host *host, struct leased_str text,
                            struct plugin_text *why)
{
    EVP_PKEY *key = plugin_key_read(text, why);

    (void)host;
    if (key != NULL && !is_fit(key, why)) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

int32_t localca_ca_read(const struct leased_host *host, leased_host_context *context,
                        const struct localca_config *config, struct localca_ca *ret_ca,
                        struct plugin_text *detail)
{
    const struct signer signer = {.source = &config->ca_key,
                                  .key = "ca_key_file",
                                  .what = "X.509 certificates",
                                  .parse = parse_x509};
    struct localca_ca ca = {.key = NULL};
    int32_t status = read_key(host, context, &signer, &ca.key, detail);

    if (status != LEASED_OK) {
        return status;
    }
    ca.chain = read_source(host, context, config->ca_cert.text, &ca.chain_len, detail);
    status = ca.chain != NULL ? read_certificate(&ca, host->wall_ms(context) / 1000, detail)
                              : LEASED_RETRY;
    if (status != LEASED_OK) {
        localca_ca_fini(host, &ca);
        return status;
    }
    *ret_ca = ca;
    return LEASED_OK;
}

int32_t localca_ca_read_ssh(const struct leased_host *host, leased_host_context *context,
                            const struct localca_config *config, struct localca_ca *ret_ca,
                            struct plugin_text *detail)
{
    const struct signer signer = {.source = &config->ssh_ca_key,
                                  .key = "ssh_ca_key_file",
                                  .what = "SSH certificates",
                                  .parse = localca_sshkey_read};
    struct localca_ca ca = {.key = NULL};
    int32_t status = read_key(host, context, &signer, &ca.key, detail);

    if (status == LEASED_OK) {
        *ret_ca = ca;
    }
    return status;
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
