#include "support/token.h"

#include "base/check.h"
#include "support/rsa_key.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#define PAIRS 2U
#define PART_MAX_BYTES 8192U

static struct token_pair pairs[PAIRS];
static EVP_PKEY *keys[PAIRS];

/* --- keys ------------------------------------------------------------------------------------- */

static void take_pem(BIO *bio, char *out, size_t size)
{
    int len = BIO_read(bio, out, (int)size - 1);

    CHECK(len > 0);
    out[len] = '\0';
    BIO_free(bio);
}

static void to_url(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (char)(*text == '+' ? '-' : *text == '/' ? '_' : *text == '=' ? '\0' : *text);
    }
}

static void make_pair(size_t number)
{
    struct token_pair *pair = &pairs[number];
    EVP_PKEY *key = rsa_key(number == 0 ? RSA_KEY_2048 : RSA_KEY_2048_OTHER);
    X509 *certificate = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char digest[32];

    CHECK(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    take_pem(bio, pair->key_pem, sizeof(pair->key_pem));
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1 + (long)number);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    (void)X509_set_pubkey(certificate, key);
    CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
    bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509(bio, certificate) == 1);
    take_pem(bio, pair->certificate_pem, sizeof(pair->certificate_pem));
    CHECK(X509_digest(certificate, EVP_sha256(), digest, NULL) == 1);
    (void)EVP_EncodeBlock((unsigned char *)pair->thumbprint, digest, sizeof(digest));
    to_url(pair->thumbprint);
    X509_free(certificate);
    keys[number] = key;
}

const struct token_pair *token_pair(size_t number)
{
    CHECK(number < PAIRS);
    if (keys[number] == NULL) {
        make_pair(number);
    }
    return &pairs[number];
}

/* --- forms ------------------------------------------------------------------------------------ */

static int hex_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Decodes what stands before `end`. */
static bool decode_value(const char *at, const char *end, char *out, size_t out_size)
{
    size_t used = 0;

    for (; at < end; at++) {
        if (used + 1 >= out_size) {
            out[0] = '\0';
            return false;
        }
        if (*at == '%' && end - at > 2) {
            out[used++] = (char)(hex_of(at[1]) << 4 | hex_of(at[2]));
            at += 2;
        } else {
            out[used++] = *at == '+' ? ' ' : *at;
        }
    }
    out[used] = '\0';
    return true;
}

bool token_form_value(struct str form, const char *name, char *out, size_t out_size)
{
    size_t len = strlen(name);

    out[0] = '\0';
    while (form.len > 0) {
        struct str pair = str_cut(&form, '&');

        if (pair.len > len && pair.ptr[len] == '=' && memcmp(pair.ptr, name, len) == 0) {
            return decode_value(pair.ptr + len + 1, pair.ptr + pair.len, out, out_size);
        }
    }
    return false;
}

/* --- JWTs ------------------------------------------------------------------------------------- */

/* base64url; 0: it is none, or too long. */
static size_t decode(const char *text, size_t len, unsigned char *out)
{
    char padded[PART_MAX_BYTES + 4] = "";

    if (len == 0 || len > PART_MAX_BYTES) {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        padded[i] = (char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    }
    while (len % 4 != 0 && strlen(padded) % 4 != 0) {
        padded[strlen(padded)] = '=';
    }
    return EVP_DecodeBlock(out, (unsigned char *)padded, (int)strlen(padded)) >= 0 ? len * 3 / 4
                                                                                   : 0;
}

static json_t *part(const char *text, size_t len)
{
    unsigned char plain[PART_MAX_BYTES];
    size_t size = decode(text, len, plain);

    return size > 0 ? json_loadb((char *)plain, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static bool is_signed(const char *jwt, size_t len, const char *alg, const struct token_pair *pair)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_context = NULL;
    unsigned char signature[PART_MAX_BYTES];
    size_t size = decode(jwt + len + 1, strlen(jwt + len + 1), signature);
    bool is_fine = size > 0 && EVP_DigestVerifyInit(context, &key_context, EVP_sha256(), NULL,
                                                    keys[pair - pairs]) == 1;

    if (is_fine && strcmp(alg, "PS256") == 0) {
        is_fine = EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) > 0 &&
                  EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, 32) > 0;
    }
    is_fine =
        is_fine && EVP_DigestVerify(context, signature, size, (const unsigned char *)jwt, len) == 1;
    EVP_MD_CTX_free(context);
    return is_fine;
}

static bool has_text(const json_t *root, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(root, key));

    return text != NULL && strcmp(text, wanted) == 0;
}

int token_open(const char *jwt, const char *alg, const struct token_pair *pair, json_t **ret_header,
               json_t **ret_claims)
{
    const char *first = strchr(jwt, '.');
    const char *last = strrchr(jwt, '.');
    json_t *header;
    json_t *claims;

    if (first == NULL || last == first || !is_signed(jwt, (size_t)(last - jwt), alg, pair)) {
        return -1;
    }
    header = part(jwt, (size_t)(first - jwt));
    claims = part(first + 1, (size_t)(last - first) - 1);
    if (claims == NULL || !has_text(header, "alg", alg) || !has_text(header, "typ", "JWT")) {
        json_decref(header);
        json_decref(claims);
        return -1;
    }
    *ret_header = header;
    *ret_claims = claims;
    return 0;
}
