/* PS256 goes with the SHA-256 thumbprint (x5t#S256); RS256 with a SHA-1 one is the older
 * generation, which is not made here. */
#include "assertion.h"

#include "common/base64.h"
#include "common/jwt.h"
#include "common/oauth.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#define LIFE_S 600 /* at most, says Microsoft */
#define JTI_BYTES 16

/* The first certificate of a PEM file; X509_free. */
static X509 *read_certificate(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, (int)strlen(pem));
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    return certificate;
}

static json_t *header_of(const X509 *certificate)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[PLUGIN_BASE64_ROOM(EVP_MAX_MD_SIZE)];
    unsigned size = 0;

    if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1) {
        return NULL;
    }
    (void)plugin_base64url(digest, size, text);
    return json_pack("{s:s}", "x5t#S256", text);
}

static json_t *claims_of(struct leased_instance *entra, const char *audience)
{
    const struct plugin_works *works = &entra->works;
    json_int_t now_s = works->host->wall_ms(works->context) / 1000 + entra->skew_s;
    json_int_t end_s = now_s + LIFE_S;
    const char *who = entra->config.client_id;
    unsigned char id[JTI_BYTES];
    char text[PLUGIN_BASE64_ROOM(JTI_BYTES)];

    works->host->random(works->context, id, sizeof(id));
    (void)plugin_base64url(id, sizeof(id), text);
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "aud", audience, "iss", who, "sub", who,
                     "jti", text, "iat", now_s, "nbf", now_s, "exp", end_s);
}

static char *sign(struct leased_instance *entra, const char *audience, const X509 *certificate,
                  EVP_PKEY *key, struct entra_failure *failure)
{
    json_t *header = header_of(certificate);
    json_t *claims = claims_of(entra, audience);
    const struct plugin_jwt jwt = {
        .alg = PLUGIN_JWT_PS256, .key = key, .header = header, .claims = claims};
    char *text = NULL;

    failure->status = LEASED_RETRY;
    plugin_text_set(&failure->detail, "out of memory");
    if (header != NULL && claims != NULL) {
        struct plugin_text why;

        text = plugin_jwt_sign(entra->works.host, &jwt, &why);
        if (text == NULL) {
            failure->status = LEASED_INVALID;
            plugin_text_set(&failure->detail, "%.300s: %.90s",
                            entra->config.sources[ENTRA_SOURCE_PROOF].text, why.bytes);
        }
    }
    json_decref(header);
    json_decref(claims);
    return text;
}

/* Both are read each time, so that a renewed pair counts at once. */
static char *make(struct leased_instance *entra, const char *audience, const char *key_pem,
                  const char *certificate_pem, struct entra_failure *failure)
{
    const struct plugin_source *sources = entra->config.sources;
    struct plugin_text why;
    EVP_PKEY *key = plugin_key_read(plugin_str(key_pem), &why);
    X509 *certificate = read_certificate(certificate_pem);
    char *text = NULL;

    failure->status = LEASED_INVALID;
    if (key == NULL) {
        plugin_text_set(&failure->detail, "%.250s: %.140s", sources[ENTRA_SOURCE_PROOF].text,
                        why.bytes);
    } else if (certificate == NULL) {
        plugin_text_set(&failure->detail, "%.300s: it holds no certificate in PEM",
                        sources[ENTRA_SOURCE_CERTIFICATE].text);
    } else if (X509_check_private_key(certificate, key) != 1) {
        plugin_text_set(&failure->detail, "%.300s: the certificate is not of the key",
                        sources[ENTRA_SOURCE_CERTIFICATE].text);
    } else {
        text = sign(entra, audience, certificate, key, failure);
    }
    EVP_PKEY_free(key);
    X509_free(certificate);
    ERR_clear_error(); /* the queue is everybody's */
    return text;
}

char *entra_assertion(struct leased_instance *entra, const char *audience,
                      struct entra_failure *failure)
{
    const struct plugin_source *sources = entra->config.sources;
    char *key = plugin_oauth_secret(&entra->works, &sources[ENTRA_SOURCE_PROOF], &failure->detail);
    char *certificate = NULL;
    char *text = NULL;

    failure->status = LEASED_RETRY;
    if (key != NULL) {
        certificate = plugin_oauth_secret(&entra->works, &sources[ENTRA_SOURCE_CERTIFICATE],
                                          &failure->detail);
    }
    if (certificate != NULL) {
        text = make(entra, audience, key, certificate, failure);
    }
    entra->works.host->secret_free(key);
    entra->works.host->secret_free(certificate);
    return text;
}
