/* Tokens taken apart, and their signatures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "access/jwt.h"
#include "support/token_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLAIMS "{\"iss\":\"https://ci.example\",\"sub\":\"job\"}"

struct world {
    json_t *key;
    struct access_jwks *jwks;
};

static struct access_jwks *set_of(const json_t *one, const json_t *two)
{
    struct access_jwks *jwks = NULL;
    char *text = token_jwks(one, two);

    assert_int_equal(access_jwks_parse(str_of(text), &jwks, NULL), 0);
    free(text);
    return jwks;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    world->key = token_key("{\"alg\":\"ES256\",\"kid\":\"k1\"}");
    world->jwks = set_of(world->key, NULL);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    json_decref(world->key);
    access_jwks_free(world->jwks);
    free(world);
    return 0;
}

/* Parses and verifies; the token is freed. */
static int outcome(const struct access_jwks *jwks, char *token, struct err *e)
{
    struct access_jwt jwt;
    int r = access_jwt_parse(str_of(token), &jwt, e);

    if (r == 0) {
        r = access_jwks_verify(jwks, &jwt, e);
        access_jwt_fini(&jwt);
    }
    free(token);
    return r;
}

static void assert_refused(const struct world *world, char *token, int expected, const char *why)
{
    struct err e = {.code = 0};

    assert_int_equal(outcome(world->jwks, token, &e), expected);
    if (strstr(e.text, why) == NULL) {
        fail_msg("expected \"%s\" in \"%s\"", why, e.text);
    }
}

static void test_a_token_is_taken_apart(void **state)
{
    struct world *world = *state;
    char *token = token_sign(world->key, "{\"alg\":\"ES256\",\"kid\":\"k1\"}", CLAIMS);
    struct access_jwt jwt;

    assert_int_equal(access_jwt_parse(str_of(token), &jwt, NULL), 0);
    assert_int_equal(jwt.algorithm, ACCESS_JWT_ES256);
    assert_string_equal(jwt.kid, "k1");
    assert_string_equal(json_string_value(json_object_get(jwt.claims, "sub")), "job");
    access_jwt_fini(&jwt);
    free(token);
}

static void test_each_algorithm_verifies_what_its_key_has_signed(void **state)
{
    static const char *const algorithms[] = {"RS256", "RS384", "RS512", "PS256", "PS384",
                                             "PS512", "ES256", "ES384", "ES512"};
    json_t *rsa = token_rsa_key();
    char terms[64];
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(algorithms); i++) {
        json_t *key;
        struct access_jwks *jwks;

        (void)snprintf(terms, sizeof(terms), "{\"alg\":\"%s\"}", algorithms[i]);
        key = algorithms[i][0] == 'E' ? token_key(terms) : json_incref(rsa);
        jwks = set_of(key, NULL);
        assert_int_equal(outcome(jwks, token_sign(key, terms, CLAIMS), NULL), 0);
        access_jwks_free(jwks);
        json_decref(key);
    }
    json_decref(rsa);
}

static void test_what_is_no_token_is_refused(void **state)
{
    static const char *const tokens[] = {
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "e30.e30.",
        "e30=.e30.c2ln",
        "e3 0.e30.c2ln",
        "W10.e30.c2ln",
        "e30.W10.c2ln",
        "bm8.e30.c2ln",
    };
    struct access_jwt jwt;
    struct err e;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(tokens); i++) {
        assert_int_equal(access_jwt_parse(str_of(tokens[i]), &jwt, &e), ERR_DENIED);
    }
}

static void test_no_algorithm_and_secret_ones_are_refused(void **state)
{
    struct world *world = *state;
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"HS256\",\"kid\":\"k1\"}",
        "{\"alg\":\"EdDSA\"}",
        "{\"alg\":\"\"}",
        "{\"alg\":256}",
        "{}",
    };
    size_t i;

    for (i = 0; i < ARRAY_LEN(headers); i++) {
        assert_refused(world, token_forge(headers[i], CLAIMS, "c2ln"), ERR_DENIED, "algorithm");
        assert_refused(world, token_forge(headers[i], CLAIMS, ""), ERR_DENIED, "algorithm");
    }
}

/* The oldest trick: the public key, which everybody has, taken for a secret. */
static void test_a_mac_under_the_public_key_is_refused(void **state)
{
    struct world *world = *state;
    char *set = token_jwks(world->key, NULL);
    json_t *encoded = json_pack("{s:s, s:s, s:s}", "kty", "oct", "alg", "HS256", "k",
                                "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA");
    char *token = token_sign(encoded, "{\"alg\":\"HS256\",\"kid\":\"k1\"}", CLAIMS);

    assert_refused(world, token, ERR_DENIED, "algorithm");
    json_decref(encoded);
    free(set);
}

/* Also where it is the issuer's: no CI sends one, and whoever does tries something. */
static void test_a_token_that_brings_a_key_along_is_refused(void **state)
{
    static const char *const members[] = {"\"jwk\":{\"kty\":\"EC\"}",
                                          "\"jku\":\"http://127.0.0.1/keys\"",
                                          "\"x5u\":\"http://127.0.0.1/chain\"",
                                          "\"x5c\":[\"AA==\"]"};
    struct world *world = *state;
    char header[256];
    size_t i;

    for (i = 0; i < ARRAY_LEN(members); i++) {
        (void)snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"k1\",%s}", members[i]);
        assert_refused(world, token_sign(world->key, header, CLAIMS), ERR_DENIED,
                       "a key of its own");
    }
}

static void test_a_wrong_kid_and_a_changed_payload_are_refused(void **state)
{
    struct world *world = *state;
    char *token = token_sign(world->key, "{\"alg\":\"ES256\",\"kid\":\"k1\"}", CLAIMS);
    char *forged =
        token_forge("{\"alg\":\"ES256\",\"kid\":\"k1\"}",
                    "{\"iss\":\"https://ci.example\",\"sub\":\"admin\"}", strrchr(token, '.') + 1);

    assert_refused(world, forged, ERR_DENIED, "signature");
    free(token);
    token = token_sign(world->key, "{\"alg\":\"ES256\",\"kid\":\"k2\"}", CLAIMS);
    assert_refused(world, token, ERR_NOT_FOUND, "no key");
}

/* An EC key signs ES256 only, and an RSA key nothing that it doesn't say. */
static void test_a_key_verifies_only_its_own_algorithms(void **state)
{
    json_t *key = token_rsa_key();
    struct access_jwks *jwks;
    struct err e = {.code = 0};

    (void)state;
    (void)json_object_set_new(key, "kid", json_string("k1"));
    (void)json_object_set_new(key, "alg", json_string("RS256"));
    jwks = set_of(key, NULL);
    (void)json_object_del(key, "alg");
    assert_int_equal(outcome(jwks, token_sign(key, "{\"alg\":\"PS256\",\"kid\":\"k1\"}", CLAIMS),
                             &e),
                     ERR_NOT_FOUND);
    access_jwks_free(jwks);
    json_decref(key);
}

static void test_a_token_without_a_kid_may_be_any_keys(void **state)
{
    struct world *world = *state;
    json_t *other = token_key("{\"alg\":\"ES256\",\"kid\":\"k2\"}");
    struct access_jwks *jwks = set_of(other, world->key);

    assert_int_equal(outcome(jwks, token_sign(world->key, "{\"alg\":\"ES256\"}", CLAIMS), NULL), 0);
    access_jwks_free(jwks);
    json_decref(other);
}

static void test_doubled_members_are_refused(void **state)
{
    struct world *world = *state;

    assert_refused(world,
                   token_sign(world->key, "{\"alg\":\"ES256\"}", "{\"sub\":\"a\",\"sub\":\"b\"}"),
                   ERR_DENIED, "names a member twice");
    assert_refused(world, token_forge("{\"alg\":\"none\",\"alg\":\"ES256\"}", CLAIMS, "c2ln"),
                   ERR_DENIED, "names a member twice");
}

static void test_critical_extensions_are_refused(void **state)
{
    struct world *world = *state;

    assert_refused(world,
                   token_sign(world->key, "{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}",
                              CLAIMS),
                   ERR_DENIED, "critical");
}

static void test_huge_and_deep_tokens_are_refused(void **state)
{
    struct world *world = *state;
    char *huge = malloc(ACCESS_JWT_MAX_BYTES + 2);
    char deep[256];

    memset(huge, 'A', ACCESS_JWT_MAX_BYTES + 1);
    huge[ACCESS_JWT_MAX_BYTES + 1] = '\0';
    assert_refused(world, huge, ERR_DENIED, "longer than");
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = '\0';
    assert_refused(world, token_forge("{\"alg\":\"ES256\"}", deep, "c2ln"), ERR_DENIED, "nested");
}

static void test_keys_that_can_not_verify_are_passed_over(void **state)
{
    static const char *const sets[] = {
        "",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":[]}",
        "{\"keys\":[7]}",
        /* a secret, another use, a curve that no algorithm has, RSA of 512 bits */
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":\"HS256\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\",\"use\":\"enc\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQ\"}]}",
    };
    struct access_jwks *jwks = NULL;
    struct err e;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(sets); i++) {
        assert_int_equal(access_jwks_parse(str_of(sets[i]), &jwks, &e), ERR_INVALID);
    }
    assert_null(jwks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_token_is_taken_apart, setup, teardown),
        cmocka_unit_test(test_each_algorithm_verifies_what_its_key_has_signed),
        cmocka_unit_test(test_what_is_no_token_is_refused),
        cmocka_unit_test_setup_teardown(test_no_algorithm_and_secret_ones_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_mac_under_the_public_key_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_token_that_brings_a_key_along_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_wrong_kid_and_a_changed_payload_are_refused, setup,
                                        teardown),
        cmocka_unit_test(test_a_key_verifies_only_its_own_algorithms),
        cmocka_unit_test_setup_teardown(test_a_token_without_a_kid_may_be_any_keys, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_doubled_members_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_critical_extensions_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_huge_and_deep_tokens_are_refused, setup, teardown),
        cmocka_unit_test(test_keys_that_can_not_verify_are_passed_over),
    };

    return cmocka_run_group_tests_name("jwt", tests, NULL, NULL);
}
