/* What blocks and drills are about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "access/match.h"
#include "support/fake_env.h"
#include "unit/access/policy_fixture.h"

static struct fake_env fake;
static struct access_identity alice;
static struct access_claims claims;

static int setup(void **state)
{
    (void)state;
    fake_env_init(&fake, 1000, 1);
    fake_env_add_group(&fake, 50, "dba");
    fake_env_add_group(&fake, 100, "users");
    claims = (struct access_claims){.id = "gitlab+0",
                                    .issuer = "gitlab",
                                    .iss = "https://gitlab.example",
                                    .sub = "project_path:acme/shop",
                                    .session = "17",
                                    .person = "alice.smith"};
    alice = (struct access_identity){.kind = ENV_PEER_UNIX,
                                     .listener = "local",
                                     .uid = 1001,
                                     .gid = 100,
                                     .groups = {50},
                                     .group_count = 1,
                                     .user = "alice",
                                     .unit = "shell.service",
                                     .env = &fake.env};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_env_fini(&fake);
    return 0;
}

static int parse(const char *json, struct access_match **ret_match, struct err *e)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    int r = access_match_new(value, ret_match, e);

    json_decref(value);
    return r;
}

static bool fits(const char *subject)
{
    struct access_match *match = NULL;
    char json[256];
    struct err e = {0};
    bool is_meant;

    (void)snprintf(json, sizeof(json), "{\"subject\":%s}", subject);
    if (parse(json, &match, &e) != 0) {
        fail_msg("%s", e.text);
    }
    is_meant = access_match_fits_identity(match, &alice, NULL);
    access_match_free(match);
    return is_meant;
}

static void test_each_part_of_a_subject_must_hold(void **state)
{
    (void)state;
    assert_true(fits("{\"user\":\"alice\"}"));
    assert_true(fits("{\"user\":\"al*\"}"));
    assert_false(fits("{\"user\":\"bob\"}"));
    assert_true(fits("{\"uid\":1001}"));
    assert_true(fits("{\"uid\":\"1001\"}"));
    assert_false(fits("{\"uid\":1002,\"user\":\"alice\"}"));
    assert_true(fits("{\"unit\":\"shell.*\",\"listener\":\"local\"}"));
    assert_false(fits("{\"container\":\"*\"}"));
    assert_false(fits("{\"san\":\"*\"}"));
    assert_true(fits("{\"group\":\"dba\"}"));
    assert_true(fits("{\"group\":\"users\"}"));
    assert_false(fits("{\"group\":\"wheel\"}"));
}

static void test_a_token_names_job_and_person(void **state)
{
    (void)state;
    assert_false(fits("{\"person\":\"alice.smith\"}"));
    alice.claims = &claims;
    assert_true(fits("{\"person\":\"alice.smith\"}"));
    assert_true(fits("{\"issuer\":\"gitlab\",\"sub\":\"project_path:acme/*\",\"session\":\"17\"}"));
    assert_false(fits("{\"session\":\"18\"}"));
}

static void test_a_token_makes_nobody_another_person(void **state)
{
    struct access_match *match = NULL;
    struct fixture fixture;

    (void)state;
    fixture_init(&fixture);
    fixture_policy(&fixture, "persons:\n  ann: {user: alice}\n"
                             "rules:\n"
                             "  - {name: r, subjects: [{user: alice}], roles: [orders-db]}\n");
    assert_int_equal(parse("{\"subject\":{\"person\":\"ann\"}}", &match, NULL), 0);
    assert_true(access_match_fits_identity(match, &alice, fixture.policy));
    alice.claims = &claims; /* whose person is alice.smith */
    assert_true(access_match_fits_identity(match, &alice, fixture.policy));
    (void)snprintf(alice.user, sizeof(alice.user), "bob");
    assert_false(access_match_fits_identity(match, &alice, fixture.policy));
    access_match_free(match);
    fixture_fini(&fixture);
}

static void test_names_of_a_certificate_fit_one_by_one(void **state)
{
    (void)state;
    (void)snprintf(alice.sans, sizeof(alice.sans), "spiffe://a/b host.example");
    assert_true(fits("{\"san\":\"host.example\"}"));
    assert_true(fits("{\"san\":\"spiffe://a/*\"}"));
    assert_false(fits("{\"san\":\"host\"}"));
}

static void test_a_group_that_cannot_be_looked_up_may_be_the_one(void **state)
{
    (void)state;
    fake.name_status = ERR_UNAVAILABLE;
    assert_true(fits("{\"group\":\"wheel\"}"));
}

static void test_unknown_groups_are_those_of_the_user_database(void **state)
{
    (void)state;
    alice.gid = ENV_NO_ID;
    alice.group_count = 0;
    fake_env_set_groups(&fake, 1001, 100, 50);
    assert_true(fits("{\"group\":\"dba\"}"));
    assert_false(fits("{\"group\":\"wheel\"}"));
}

static void test_role_and_backend_must_both_hold(void **state)
{
    struct access_match *match = NULL;

    (void)state;
    assert_int_equal(parse("{\"role\":\"orders-*\",\"backend\":\"vault\"}", &match, NULL), 0);
    assert_true(access_match_fits_role(match, "orders-db", "vault"));
    assert_false(access_match_fits_role(match, "orders-db", "aws"));
    assert_false(access_match_fits_role(match, "billing-db", "vault"));
    assert_false(access_match_fits_role(match, NULL, "vault")); /* a path has no role */
    assert_true(access_match_fits_identity(match, &alice, NULL));
    access_match_free(match);
}

static void test_its_text_reads_as_the_same(void **state)
{
    struct access_match *match = NULL;

    (void)state;
    assert_int_equal(parse("{\"subject\": {\"user\": \"alice\"}, \"role\": \"db\"}", &match, NULL),
                     0);
    assert_string_equal(access_match_text(match),
                        "{\"role\":\"db\",\"subject\":{\"user\":\"alice\"}}");
    access_match_free(match);
    assert_int_equal(parse("{\"all\": true}", &match, NULL), 0);
    assert_string_equal(access_match_text(match), "{\"all\":true}");
    assert_true(access_match_fits_role(match, NULL, "x"));
    access_match_free(match);
}

static void test_an_identifier_is_kept_as_its_hash(void **state)
{
    struct access_match *match = NULL;

    (void)state;
    assert_int_equal(parse("{\"identifier\":\"v-orders-1\"}", &match, NULL), 0);
    assert_false(access_match_is_of_callers(match));
    assert_int_equal(access_match_set_identifier(match, "hmac:00"), 0);
    assert_string_equal(access_match_text(match), "{\"identifier\":\"hmac:00\"}");
    assert_string_equal(access_match_identifier(match), "hmac:00");
    access_match_free(match);
}

static void test_mistakes_name_their_place(void **state)
{
    static const struct {
        const char *json;
        const char *text;
    } cases[] = {
        {"[]", "match must be an object"},
        {"{}", "match must be an object"},
        {"{\"user\":\"a\"}", "match has no member \"user\"; did you mean \"subject.user\"?"},
        {"{\"rol\":\"x\"}", "match has no member \"rol\"; did you mean \"role\"?"},
        {"{\"role\":\"\"}", "match.role must be a text, and not empty"},
        {"{\"role\":7}", "match.role must be a text"},
        {"{\"role\":\"a\\u0007\"}", "match.role has a control character"},
        {"{\"all\":false}", "match.all is true"},
        {"{\"all\":true,\"role\":\"x\"}", "match.all stands alone"},
        {"{\"subject\":{}}", "match.subject must be an object that names somebody"},
        {"{\"subject\":\"alice\"}", "match.subject must be an object"},
        {"{\"subject\":{\"usr\":\"a\"}}", "match.subject has no member \"usr\"; did you mean"},
        {"{\"subject\":{\"uid\":-1}}", "match.subject.uid must be a number"},
        {"{\"subject\":{\"uid\":4294967295}}", "match.subject.uid must be a number"},
        {"{\"subject\":{\"uid\":\"x\"}}", "match.subject.uid must be a number"},
        {"{\"subject\":{\"san\":\"a\",\"user\":\"b\"}}", "no caller is both"},
        {"{\"identifier\":null}", "match.identifier must be a text"},
    };
    struct access_match *match = NULL;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = {0};

        assert_int_equal(parse(cases[i].json, &match, &e), ERR_INVALID);
        if (strstr(e.text, cases[i].text) == NULL) {
            fail_msg("%s: %s", cases[i].json, e.text);
        }
        assert_null(match);
    }
}

#define match_test(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        match_test(test_each_part_of_a_subject_must_hold),
        match_test(test_a_token_names_job_and_person),
        match_test(test_a_token_makes_nobody_another_person),
        match_test(test_names_of_a_certificate_fit_one_by_one),
        match_test(test_a_group_that_cannot_be_looked_up_may_be_the_one),
        match_test(test_unknown_groups_are_those_of_the_user_database),
        match_test(test_role_and_backend_must_both_hold),
        match_test(test_its_text_reads_as_the_same),
        match_test(test_an_identifier_is_kept_as_its_hash),
        match_test(test_mistakes_name_their_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
