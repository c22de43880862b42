/* OpenSSL and jansson are asked directly, so that the plugins' own helpers are checked by others.
 */
#include "plugins/token_world.h"

#include "base/mem.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#define PAIRS 2U
#define FAILURES_MAX 5000U

static struct token_pair pairs[PAIRS];
static EVP_PKEY *keys[PAIRS];

/* --- keys ------------------------------------------------------------------------------------- */

static void take_pem(BIO *bio, char *out, size_t size)
{
    int len = BIO_read(bio, out, (int)size - 1);

    assert_true(len > 0);
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
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *certificate = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char digest[32];

    assert_non_null(key);
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    take_pem(bio, pair->key_pem, sizeof(pair->key_pem));
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1 + (long)number);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    (void)X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    take_pem(bio, pair->certificate_pem, sizeof(pair->certificate_pem));
    assert_int_equal(X509_digest(certificate, EVP_sha256(), digest, NULL), 1);
    (void)EVP_EncodeBlock((unsigned char *)pair->thumbprint, digest, sizeof(digest));
    to_url(pair->thumbprint);
    X509_free(certificate);
    keys[number] = key;
}

const struct token_pair *token_pair(size_t number)
{
    assert_true(number < PAIRS);
    if (keys[number] == NULL) {
        make_pair(number);
    }
    return &pairs[number];
}

void token_set_secret(struct plugin_world *world, const char *source, const char *value)
{
    for (size_t i = 0; i < world->fake.secret_count; i++) {
        if (strcmp(world->fake.secrets[i].source, source) == 0) {
            world->fake.secrets[i].value = value;
            world->fake.secrets[i].source = value != NULL ? source : "file:/gone";
            return;
        }
    }
    fake_env_add_secret(&world->fake, source, value);
}

/* --- what was sent ---------------------------------------------------------------------------- */

static int hex_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c - 'A' + 10;
}

const char *token_form_field(struct plugin_world *world, const char *name)
{
    static char value[16384];
    const char *at = plugin_world_body(world);
    size_t len = strlen(name);
    size_t used = 0;

    while (at != NULL && (strncmp(at, name, len) != 0 || at[len] != '=')) {
        at = strchr(at, '&');
        at = at != NULL ? at + 1 : NULL;
    }
    for (at = at != NULL ? at + len + 1 : ""; *at != '\0' && *at != '&'; at++) {
        if (*at == '%') {
            value[used++] = (char)(hex_of(at[1]) << 4 | hex_of(at[2]));
            at += 2;
        } else {
            value[used++] = *at;
        }
    }
    value[used] = '\0';
    return value;
}

/* --- JWTs ------------------------------------------------------------------------------------- */

static size_t decode(const char *text, size_t len, unsigned char *out, size_t size)
{
    char padded[16384] = "";

    assert_true(len + 4 < sizeof(padded) && len <= size);
    memcpy(padded, text, len);
    for (size_t i = 0; i < len; i++) {
        padded[i] = (char)(padded[i] == '-' ? '+' : padded[i] == '_' ? '/' : padded[i]);
    }
    while (strlen(padded) % 4 != 0) {
        padded[strlen(padded)] = '=';
    }
    assert_true(EVP_DecodeBlock(out, (unsigned char *)padded, (int)strlen(padded)) >= 0);
    return len * 3 / 4;
}

static json_t *part(const char *text, size_t len)
{
    unsigned char plain[8192];
    json_t *root = json_loadb((char *)plain, decode(text, len, plain, sizeof(plain)), 0, NULL);

    assert_non_null(root);
    return root;
}

void token_verify(const char *jwt, const char *alg, const struct token_pair *pair,
                  json_t **ret_header, json_t **ret_claims)
{
    const char *first = strchr(jwt, '.');
    const char *last = strrchr(jwt, '.');
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_context = NULL;
    unsigned char signature[1024];
    size_t size;

    assert_true(first != NULL && last > first);
    size = decode(last + 1, strlen(last + 1), signature, sizeof(signature));
    assert_int_equal(
        EVP_DigestVerifyInit(context, &key_context, EVP_sha256(), NULL, keys[pair - pairs]), 1);
    if (strcmp(alg, "PS256") == 0) {
        (void)EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING);
        (void)EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, 32);
    }
    assert_int_equal(EVP_DigestVerify(context, signature, size, (const unsigned char *)jwt,
                                      (size_t)(last - jwt)),
                     1);
    EVP_MD_CTX_free(context);
    *ret_header = part(jwt, (size_t)(first - jwt));
    *ret_claims = part(first + 1, (size_t)(last - first) - 1);
    assert_string_equal(json_string_value(json_object_get(*ret_header, "alg")), alg);
    assert_string_equal(json_string_value(json_object_get(*ret_header, "typ")), "JWT");
}

const char *token_jwt(int64_t exp_s)
{
    static char jwt[256];
    char claims[64];
    char encoded[128];

    (void)snprintf(claims, sizeof(claims), "{\"exp\":%lld}", (long long)exp_s);
    (void)EVP_EncodeBlock((unsigned char *)encoded, (unsigned char *)claims, (int)strlen(claims));
    to_url(encoded);
    (void)snprintf(jwt, sizeof(jwt), "e30.%s.c2ln", encoded);
    return jwt;
}

/* --- allocations that fail -------------------------------------------------------------------- */

static size_t failing; /* the how manieth */
static size_t counted;
static bool is_counting;

static int fail_one(size_t size)
{
    (void)size;
    if (!is_counting) {
        return 0;
    }
    counted++;
    return counted == failing;
}

void token_fail_begin(void)
{
    is_counting = true;
}

void token_fail_end(void)
{
    is_counting = false;
}

void token_fail_each(void (*live)(void))
{
    /* jansson 2.14 reads past the end of a text whose buffer couldn't grow: its memory is there. */
    mem_set_fail_hook(fail_one);
    for (failing = 1; failing < FAILURES_MAX; failing++) {
        size_t before = mem_in_use_bytes();

        counted = 0;
        live();
        is_counting = false;
        assert_int_equal(mem_in_use_bytes(), before);
        if (counted < failing) {
            break;
        }
    }
    mem_set_fail_hook(NULL);
    assert_true(failing > 10 && failing < FAILURES_MAX);
}
