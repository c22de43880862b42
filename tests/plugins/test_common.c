/* What plugins share: base64, forms, signed JWTs. Signatures are checked by OpenSSL itself. */
#include "common/base64.h"
#include "common/form.h"
#include "common/jwt.h"

#include "base/mem.h"
#include "support/rsa_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

static const struct leased_host host = {
    .size = sizeof(host), .secret_alloc = mem_alloc, .secret_free = mem_free, .alloc = mem_alloc};

static void test_base64_comes_back(void **state)
{
    static const struct {
        const char *plain;
        const char *encoded;
        const char *url;
    } cases[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"\xfb\xff", "+/8=", "-_8"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[16];
        size_t len = strlen(cases[i].plain);

        assert_int_equal(plugin_base64(cases[i].plain, len, out), strlen(cases[i].encoded));
        assert_string_equal(out, cases[i].encoded);
        assert_int_equal(plugin_base64_decode(plugin_str(cases[i].encoded), out, sizeof(out)), len);
        assert_memory_equal(out, cases[i].plain, len);
        (void)plugin_base64url(cases[i].plain, len, out);
        assert_string_equal(out, cases[i].url);
        assert_int_equal(plugin_base64_decode(plugin_str(cases[i].url), out, sizeof(out)), len);
        assert_memory_equal(out, cases[i].plain, len);
    }
}

static void test_what_is_no_base64_is_refused(void **state)
{
    char out[4];

    (void)state;
    assert_int_equal(plugin_base64_decode(plugin_str("Z"), out, sizeof(out)), -1);
    assert_int_equal(plugin_base64_decode(plugin_str("Zg=Z"), out, sizeof(out)), -1);
    assert_int_equal(plugin_base64_decode(plugin_str("Z g="), out, sizeof(out)), -1);
    assert_int_equal(plugin_base64_decode(plugin_str("Zm9vYmFy"), out, sizeof(out)), -1);
    assert_int_equal(plugin_base64_decode(plugin_str("Zm\n8=\n"), out, sizeof(out)), 2);
}

static void test_forms_encode_all_but_what_is_unreserved(void **state)
{
    struct plugin_form form = {.host = &host};

    (void)state;
    plugin_form_pair(&form, "a b", plugin_str("x&y=z+\xc3\xa9~"));
    plugin_form_pair_if(&form, "none", plugin_str(""));
    plugin_form_pair(&form, "empty", plugin_str(""));
    assert_string_equal(plugin_form_str(&form).ptr, "a%20b=x%26y%3Dz%2B%C3%A9~&empty=");
    for (size_t i = 0; i < 2000; i++) {
        plugin_form_add(&form, plugin_str("0123456789"));
    }
    assert_false(form.is_failed);
    assert_int_equal(plugin_form_str(&form).len, 20000 + 32);
    plugin_form_fini(&form);
    assert_int_equal(mem_in_use_bytes(), 0);
}

/* --- JWTs ------------------------------------------------------------------------------------- */

static EVP_PKEY *make_key(enum plugin_jwt_alg alg)
{
    EVP_PKEY *key = alg == PLUGIN_JWT_ES256 ? EVP_EC_gen("P-256") : rsa_key(RSA_KEY_2048);

    assert_non_null(key);
    return key;
}

/* Does the signature of `jwt` fit? */
static bool verifies(enum plugin_jwt_alg alg, EVP_PKEY *key, const char *jwt)
{
    const char *dot = strrchr(jwt, '.');
    unsigned char signature[600];
    unsigned char der[600];
    const unsigned char *checked = signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_context = NULL;
    int64_t size = plugin_base64_decode(plugin_str(dot + 1), signature, sizeof(signature));
    bool is_fine;

    assert_true(size > 0);
    if (alg == PLUGIN_JWT_ES256) {
        ECDSA_SIG *parts = ECDSA_SIG_new();
        unsigned char *at = der;

        assert_int_equal(size, 64);
        (void)ECDSA_SIG_set0(parts, BN_bin2bn(signature, 32, NULL),
                             BN_bin2bn(signature + 32, 32, NULL));
        size = i2d_ECDSA_SIG(parts, &at);
        ECDSA_SIG_free(parts);
        checked = der;
    }
    assert_int_equal(EVP_DigestVerifyInit(context, &key_context, EVP_sha256(), NULL, key), 1);
    if (alg == PLUGIN_JWT_PS256) {
        (void)EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING);
        (void)EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, 32);
    }
    is_fine = EVP_DigestVerify(context, checked, (size_t)size, (const unsigned char *)jwt,
                               (size_t)(dot - jwt)) == 1;
    EVP_MD_CTX_free(context);
    return is_fine;
}

static void test_jwts_are_signed_as_their_header_says(void **state)
{
    static const enum plugin_jwt_alg algs[] = {PLUGIN_JWT_RS256, PLUGIN_JWT_PS256,
                                               PLUGIN_JWT_ES256};

    (void)state;
    for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
        json_t *header = json_pack("{s:s}", "kid", "k1");
        json_t *claims = json_pack("{s:s, s:i}", "iss", "me", "exp", 5);
        struct plugin_text detail = {{0}};
        EVP_PKEY *key = make_key(algs[i]);
        const struct plugin_jwt asked = {
            .alg = algs[i], .key = key, .header = header, .claims = claims};
        char *jwt = plugin_jwt_sign(&host, &asked, &detail);
        char plain[256] = "";

        assert_non_null(jwt);
        assert_true(plugin_base64_decode((struct leased_str){jwt, strcspn(jwt, ".")}, plain,
                                         sizeof(plain) - 1) > 0);
        assert_non_null(strstr(plain, plugin_jwt_alg_name(algs[i])));
        assert_non_null(strstr(plain, "\"kid\":\"k1\""));
        assert_true(verifies(algs[i], key, jwt));
        jwt[2] ^= 1;
        assert_false(verifies(algs[i], key, jwt));
        mem_free(jwt);
        EVP_PKEY_free(key);
        json_decref(header);
        json_decref(claims);
    }
}

static void test_a_key_that_does_not_fit_is_refused(void **state)
{
    EVP_PKEY *rsa = make_key(PLUGIN_JWT_RS256);
    EVP_PKEY *ec = make_key(PLUGIN_JWT_ES256);
    EVP_PKEY *weak = rsa_key(RSA_KEY_1024);
    json_t *claims = json_object();
    struct plugin_text detail;
    const struct {
        enum plugin_jwt_alg alg;
        EVP_PKEY *key;
        const char *text;
    } cases[] = {
        {PLUGIN_JWT_ES256, rsa, "ES256 needs a key on the curve P-256"},
        {PLUGIN_JWT_RS256, ec, "RS256 needs an RSA key of at least 2048 bits"},
        {PLUGIN_JWT_PS256, weak, "PS256 needs an RSA key of at least 2048 bits"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct plugin_jwt asked = {.alg = cases[i].alg,
                                         .key = cases[i].key,
                                         .claims = claims};

        assert_null(plugin_jwt_sign(&host, &asked, &detail));
        assert_string_equal(detail.bytes, cases[i].text);
    }
    assert_null(plugin_key_read(plugin_str("no key"), &detail));
    assert_non_null(strstr(detail.bytes, "no private key"));
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(weak);
    json_decref(claims);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_comes_back),
        cmocka_unit_test(test_what_is_no_base64_is_refused),
        cmocka_unit_test(test_forms_encode_all_but_what_is_unreserved),
        cmocka_unit_test(test_jwts_are_signed_as_their_header_says),
        cmocka_unit_test(test_a_key_that_does_not_fit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
