/* Rules on what a caller's job token says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "policy_fixture.h"

#include <stdio.h>
#include <string.h>

#define RULE(jwt) "rules:\n  - subjects: [{user: alice, jwt: " jwt "}]\n    roles: [orders-db]\n"
#define CLAIMS                                                                                     \
    "{\"project_path\":\"acme/shop\",\"ref_protected\":\"true\",\"runner_id\":7,\"fork\":false,"   \
    "\"groups\":[\"dev\",\"dba\"],\"kubernetes.io\":{\"namespace\":\"prod\","                      \
    "\"serviceaccount\":{\"name\":\"app\"}},\"empty\":\"\"}"

static struct fixture f;
static struct access_claims claims;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    claims = (struct access_claims){.id = "gitlab+0",
                                    .issuer = "gitlab",
                                    .iss = "https://gitlab.example"};
    claims.all = json_loads(CLAIMS, 0, NULL);
    f.identity.claims = &claims;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&f);
    json_decref(claims.all);
    return 0;
}

static enum access_outcome decide(const char *policy)
{
    fixture_policy(&f, policy);
    return fixture_decide(&f);
}

static void test_an_issuer_and_its_claims_must_fit(void **state)
{
    static const struct {
        const char *policy;
        enum access_outcome outcome;
    } cases[] = {
        {RULE("{issuer: gitlab}"), ACCESS_ALLOW},
        {RULE("{issuer: \"git*\"}"), ACCESS_ALLOW},
        {RULE("{issuer: github}"), ACCESS_DENY},
        {RULE("{issuer: gitlab, claims: {project_path: \"acme/*\", ref_protected: \"true\"}}"),
         ACCESS_ALLOW},
        {RULE("{issuer: gitlab, claims: {project_path: \"acme/*\", ref_protected: \"false\"}}"),
         ACCESS_DENY},
        {RULE("{issuer: gitlab, claims: {project_path: acme}}"), ACCESS_DENY},
        {RULE("{issuer: gitlab, claims: {project_path: [other/x, acme/shop]}}"), ACCESS_ALLOW},
        {RULE("{issuer: gitlab, claims: {runner_id: 7, fork: false}}"), ACCESS_ALLOW},
        {RULE("{issuer: gitlab, claims: {fork: true}}"), ACCESS_DENY},
        {RULE("{issuer: gitlab, claims: {groups: dba}}"), ACCESS_ALLOW},
        {RULE("{issuer: gitlab, claims: {groups: admin}}"), ACCESS_DENY},
        {RULE("{issuer: gitlab, claims: {missing: \"*\"}}"), ACCESS_DENY},
        {RULE("{issuer: gitlab, claims: {empty: \"*\"}}"), ACCESS_DENY},
        {RULE("{issuer: gitlab, claims: {kubernetes.io: \"*\"}}"), ACCESS_DENY},
        {RULE("{issuer: gitlab, claims: {/kubernetes.io/namespace: prod}}"), ACCESS_ALLOW},
        {RULE("{issuer: gitlab, claims: {/kubernetes.io/serviceaccount/name: \"a*\"}}"),
         ACCESS_ALLOW},
        {RULE("{issuer: gitlab, claims: {/kubernetes.io/serviceaccount/uid: \"*\"}}"), ACCESS_DENY},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        if (decide(cases[i].policy) != cases[i].outcome) {
            fail_msg("decided otherwise: %s", cases[i].policy);
        }
    }
}

static void test_without_a_token_no_rule_on_tokens_fits(void **state)
{
    (void)state;
    f.identity.claims = NULL;
    assert_int_equal(decide(RULE("{issuer: \"*\"}")), ACCESS_DENY);
}

static void test_a_token_narrows_a_user_and_may_stand_alone(void **state)
{
    (void)state;
    assert_int_equal(decide("rules:\n  - subjects: [{jwt: {issuer: gitlab}}]\n"
                            "    roles: [orders-db]\n"),
                     ACCESS_ALLOW);
    assert_int_equal(decide("rules:\n  - subjects: [{user: orders, jwt: {issuer: gitlab}}]\n"
                            "    roles: [orders-db]\n"),
                     ACCESS_DENY);
}

static void test_a_denial_by_its_claims_wins(void **state)
{
    (void)state;
    assert_int_equal(decide("rules:\n"
                            "  - {subjects: [{user: alice}], roles: [orders-db]}\n"
                            "  - subjects: [{jwt: {issuer: gitlab, claims: {fork: false}}}]\n"
                            "    roles: [orders-db]\n"
                            "    effect: deny\n"),
                     ACCESS_DENY);
}

static void test_the_digest_tells_claims_apart(void **state)
{
    char digest[65];

    (void)state;
    fixture_policy(&f, RULE("{issuer: gitlab, claims: {project_path: acme}}"));
    (void)snprintf(digest, sizeof(digest), "%s", access_policy_digest(f.policy));
    fixture_policy(&f, RULE("{issuer: gitlab, claims: {project_path: acme2}}"));
    assert_string_not_equal(digest, access_policy_digest(f.policy));
}

static void test_mistakes_are_named_with_their_place(void **state)
{
    static const struct {
        const char *policy;
        const char *why;
    } cases[] = {
        {RULE("{claims: {a: b}}"), "issuer"},
        {RULE("{issuer: gitlab, claims: [a]}"), "expected a mapping"},
        {RULE("{issuer: gitlab, claims: {a: {b: c}}}"), "expected a text"},
        {RULE("{issuer: gitlab, claims: {a: []}}"), "expected a text"},
        {RULE("{issuer: gitlab, claim: {a: b}}"), "did you mean `claims`"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        fixture_mistakes(&f, cases[i].policy);
        if (f.errors.count == 0 || strstr(buf_str(&f.errors.text).ptr, cases[i].why) == NULL) {
            fail_msg("expected \"%s\" for %s", cases[i].why, cases[i].policy);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_an_issuer_and_its_claims_must_fit),
        TEST(test_without_a_token_no_rule_on_tokens_fits),
        TEST(test_a_token_narrows_a_user_and_may_stand_alone),
        TEST(test_a_denial_by_its_claims_wins),
        TEST(test_the_digest_tells_claims_apart),
        TEST(test_mistakes_are_named_with_their_place),
    };

    return cmocka_run_group_tests_name("token rules", tests, NULL, NULL);
}
