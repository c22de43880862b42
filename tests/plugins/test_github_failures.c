/* The github plugin: what goes wrong, and what becomes of it. */
#include "plugins/github_world.h"

#include "base/err.h"
#include "base/mem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define PARAMS "{\"installation_id\":42}"
#define BY_OWNER "{\"owner\":\"acme\"}"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- errors of GitHub ------------------------------------------------------------------------- */

static const struct {
    uint32_t status;
    const char *headers[7];
    const char *body;
    enum lease_outcome outcome;
    uint64_t retry_after_ms;
    const char *text;
} errors[] = {
    {401,
     {NULL},
     "{\"message\":\"Bad\\r\\n\\u001b[0m\"}",
     LEASE_OUTCOME_DENIED,
     0,
     "GitHub answered 401: Bad   [0m (is the private key"},
    {403,
     {NULL},
     "{\"message\":\"Resource not accessible by integration\"}",
     LEASE_OUTCOME_DENIED,
     0,
     "Resource not accessible"},
    {404, {NULL}, "{\"message\":\"Not Found\"}", LEASE_OUTCOME_INVALID, 0, "Not Found"},
    {422,
     {NULL},
     "{\"message\":\"There is at least one repository that does not exist\"}",
     LEASE_OUTCOME_INVALID,
     0,
     "at least one repository"},
    {403, {NULL}, "<html>a firewall</html>", LEASE_OUTCOME_RETRY, 0, "something in between"},
    {302, {NULL}, "", LEASE_OUTCOME_RETRY, 0, "something in between"},
    {403,
     {"retry-after", "7"},
     "{\"message\":\"You have exceeded a secondary rate limit\"}",
     LEASE_OUTCOME_RETRY,
     7000,
     "too many requests"},
    {403,
     {NULL},
     "{\"message\":\"API rate limit exceeded for installation\"}",
     LEASE_OUTCOME_RETRY,
     60000,
     "too many requests"},
    {403,
     {"x-ratelimit-remaining", "0", "x-ratelimit-reset", "1767225690", "date", GITHUB_DATE},
     "{\"message\":\"no more\"}",
     LEASE_OUTCOME_RETRY,
     90000,
     "too many requests"},
    {403,
     {"x-ratelimit-remaining", "0", "x-ratelimit-reset", "99999999999", "date", GITHUB_DATE},
     "{\"message\":\"no more\"}",
     LEASE_OUTCOME_RETRY,
     3600000,
     "too many requests"},
    {429,
     {"x-ratelimit-remaining", "0", "x-ratelimit-reset", "soon"},
     "",
     LEASE_OUTCOME_RETRY,
     60000,
     "too many requests"},
    {429, {NULL}, "", LEASE_OUTCOME_RETRY, 60000, "too many requests"},
    {503, {"retry-after", "5"}, "", LEASE_OUTCOME_RETRY, 5000, "can't serve now"},
    {500, {NULL}, "", LEASE_OUTCOME_LOST, 0, "GitHub answered 500"},
    {408, {NULL}, "", LEASE_OUTCOME_LOST, 0, "GitHub answered 408"},
    {502, {NULL}, "{\"message\":\"Server Error\"}", LEASE_OUTCOME_LOST, 0, "Server Error"},
    {201, {NULL}, "", LEASE_OUTCOME_LOST, 0, "holds no token"},
    {201, {NULL}, "{\"token\":\"a\"", LEASE_OUTCOME_LOST, 0, "holds no token"},
    {201, {NULL}, "{\"token\":7}", LEASE_OUTCOME_LOST, 0, "holds no token"},
    {201, {NULL}, "{\"token\":\"a b\"}", LEASE_OUTCOME_LOST, 0, "holds no token"},
    {201, {NULL}, "{\"token\":\"a\\u0000b\"}", LEASE_OUTCOME_LOST, 0, "holds no token"},
    {200, {NULL}, "{}", LEASE_OUTCOME_LOST, 0, "GitHub answered 200"},
};

static void test_each_error_has_its_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(errors); i++) {
        struct plugin_world world;
        struct plugin_call call;

        github_world_init(&world, NULL);
        plugin_world_issue(&world, &call, PARAMS, 0);
        github_world_answer(&world, errors[i].status, errors[i].headers, errors[i].body);
        assert_int_equal(call.end_count, 1);
        assert_int_equal(call.outcome, errors[i].outcome);
        assert_int_equal(call.retry_after_ms, errors[i].retry_after_ms);
        assert_non_null(strstr(call.detail, errors[i].text));
        assert_true(strlen(call.detail) < 400);
        assert_string_equal(call.orphan, "");
        plugin_world_fini(&world);
    }
}

static void test_answers_that_are_too_deep_or_too_long_are_no_tokens(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    char *body = calloc(1, 8192);

    (void)state;
    assert_non_null(body);
    memset(body, '[', 8000);
    github_world_init(&world, NULL);
    plugin_world_issue(&world, &call, PARAMS, 0);
    plugin_world_answer(&world, 201, body);
    assert_int_equal(call.outcome, LEASE_OUTCOME_LOST);
    memset(body, 'm', 8000);
    memcpy(body, "{\"message\":\"", 12);
    memcpy(body + 7998, "\"}", 2);
    plugin_world_issue(&world, &call, PARAMS, 0);
    plugin_world_answer(&world, 422, body);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_true(strlen(call.detail) < 400);
    plugin_world_fini(&world);
    free(body);
}

static void test_a_token_that_can_not_be_used_is_revoked(void **state)
{
    static const char *const bodies[] = {
        "{\"token\":\"" GITHUB_TOKEN "\"}",
        "{\"token\":\"" GITHUB_TOKEN "\",\"expires_at\":\"tomorrow\"}",
        "{\"token\":\"" GITHUB_TOKEN "\",\"expires_at\":\"2025-12-31T23:59:59Z\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct plugin_world world;
        struct plugin_call call;

        github_world_init(&world, NULL);
        plugin_world_issue(&world, &call, PARAMS, 0);
        github_world_answer(&world, 201, (const char *const[]){"date", GITHUB_DATE, NULL},
                            bodies[i]);
        assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
        assert_string_equal(call.fields, "");
        assert_memory_equal(call.orphan, GITHUB_NAME "\n", strlen(GITHUB_NAME) + 1);
        assert_null(strstr(call.detail, GITHUB_TOKEN));
        plugin_world_fini(&world);
    }
}

static void test_no_life_is_longer_than_githubs_hour(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    github_world_init(&world, NULL);
    plugin_world_issue(&world, &call, PARAMS, 0);
    plugin_world_answer(&world, 201, "{\"token\":\"t\",\"expires_at\":\"2036-01-01T01:00:00Z\"}");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(call.lifetime_ms, 3600000);
    plugin_world_fini(&world);
}

/* --- no answer -------------------------------------------------------------------------------- */

static void test_an_answer_that_is_lost_may_have_made_a_token(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    github_world_init(&world, NULL);
    plugin_world_issue(&world, &call, PARAMS, 0);
    plugin_world_fail(&world, ERR_LOST);
    assert_int_equal(call.outcome, LEASE_OUTCOME_LOST);
    plugin_world_issue(&world, &call, PARAMS, 0);
    plugin_world_fail(&world, ERR_CONNECT);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    plugin_world_issue(&world, &call, BY_OWNER, 0);
    plugin_world_fail(&world, ERR_LOST);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    plugin_world_revoke(&world, &call, PARAMS, github_world_ref(&world));
    plugin_world_fail(&world, ERR_LOST);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    plugin_world_fini(&world);
}

static void test_a_token_that_comes_too_late_is_revoked(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    github_world_init(&world, NULL);
    plugin_world_issue(&world, &call, PARAMS, 0);
    plugin_world_time_out(&world);
    assert_int_equal(call.end_count, 1);
    assert_int_not_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_false(plugin_world_is_idle(&world));
    github_world_mint(&world);
    fake_env_advance(&world.fake, 60000);
    assert_string_equal(plugin_world_http(&world)->method, "DELETE");
    assert_string_equal(plugin_world_header(&world, "Authorization"), "Bearer " GITHUB_TOKEN);
    plugin_world_answer(&world, 204, "");
    plugin_world_fini(&world);
}

static void test_what_is_given_up_asks_for_nothing_more(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    struct lease_issuer *issuer;

    (void)state;
    github_world_init(&world, NULL);
    issuer = backend_issuer(world.backend);
    plugin_world_issue(&world, &call, BY_OWNER, 0);
    issuer->ops->call_cancel(issuer, &call.call);
    fake_env_run(&world.fake);
    assert_int_equal(call.end_count, 1);
    assert_true(plugin_world_is_idle(&world));
    plugin_world_issue(&world, &call, PARAMS, 0);
    issuer->ops->call_cancel(issuer, &call.call);
    fake_env_run(&world.fake);
    /* Refused for its time, but nobody wants it any more. */
    github_world_answer(&world, 401,
                        (const char *const[]){"date", "Thu, 01 Jan 2026 00:10:00 GMT", NULL},
                        "{\"message\":\"exp\"}");
    assert_int_equal(call.end_count, 1);
    assert_true(plugin_world_is_idle(&world));
    plugin_world_fini(&world);
}

static void test_closing_ends_what_is_under_way(void **state)
{
    struct plugin_world world;
    struct plugin_call issue;
    struct plugin_call lookup;
    struct plugin_call revoke;
    const char *ref;

    (void)state;
    github_world_init(&world, NULL);
    ref = github_world_ref(&world);
    plugin_world_issue(&world, &issue, PARAMS, 0);
    plugin_world_issue(&world, &lookup, BY_OWNER, 0);
    plugin_world_revoke(&world, &revoke, PARAMS, ref);
    plugin_world_fini(&world);
    assert_int_equal(issue.end_count, 1);
    assert_int_equal(lookup.end_count, 1);
    assert_int_equal(revoke.end_count, 1);
}

/* --- the key ---------------------------------------------------------------------------------- */

static void test_a_key_that_can_not_be_used_is_named(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    const char *ref;

    (void)state;
    github_world_init(&world, NULL);
    ref = github_world_ref(&world);
    world.fake.secrets[0].value = "no key";
    plugin_world_issue(&world, &call, PARAMS, 0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "private key (file:/key.pem) can't be used"));
    world.fake.secret_count = 0;
    plugin_world_issue(&world, &call, PARAMS, 0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "private key can't be read"));
    /* Read again at each use. */
    world.fake.secret_count = 1;
    world.fake.secrets[0].value = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n";
    plugin_world_issue(&world, &call, PARAMS, 0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    /* A revocation needs none. */
    plugin_world_revoke(&world, &call, PARAMS, ref);
    plugin_world_answer(&world, 204, "");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

/* --- configuration ---------------------------------------------------------------------------- */

static void test_what_a_configuration_lacks_is_said(void **state)
{
    static const struct {
        const char *json;
        const char *text;
    } cases[] = {
        {GITHUB_CONFIG, ""},
        {"{\"app_id\":\"Iv23li.x\",\"private_key_env\":\"K\"}", ""},
        {"{\"app_id\":\"7\",\"private_key_credential\":\"k\"}", ""},
        {"{\"private_key_file\":\"/k\"}", "`app_id` is missing"},
        {"{\"app_id\":0,\"private_key_file\":\"/k\"}", "app_id: "},
        {"{\"app_id\":\"a b\",\"private_key_file\":\"/k\"}", "app_id: "},
        {"{\"app_id\":\"\",\"private_key_file\":\"/k\"}", "app_id: "},
        {"{\"app_id\":7}", "one of `private_key_file`"},
        {"{\"app_id\":7,\"private_key\":\"x\"}", "private_key: a secret is never written"},
        {"{\"app_id\":7,\"private_key_file\":\"/a\",\"private_key_env\":\"B\"}",
         "private_key_env: only one of"},
        {"{\"app_id\":7,\"private_key_fil\":\"/k\"}", "did you mean \"private_key_file\""},
        {"[]", "not a JSON object"},
    };
    struct plugin_world world;

    (void)state;
    github_world_init(&world, NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *error = plugin_world_config_error(&world, cases[i].json);

        assert_non_null(strstr(error, cases[i].text));
        assert_int_equal(error[0] == '\0', cases[i].text[0] == '\0');
    }
    plugin_world_fini(&world);
}

static void test_what_a_role_lacks_is_said(void **state)
{
    static const struct {
        const char *json;
        const char *text;
    } cases[] = {
        {"{\"owner\":\"acme\"}", ""},
        {"{\"owner\":\"${identity.user}/x.y_z-1\"}", ""},
        {"{\"installation_id\":7,\"repositories\":[\"${identity.user}\"]}", ""},
        {"{\"installation_id\":7,\"permissions\":{\"pull_requests\":\"write\"}}", ""},
        {"{}", "one of `owner` and `installation_id` is missing"},
        {"{\"owner\":\"a\",\"installation_id\":7}", "owner: "},
        {"{\"owner\":\"a/b/c\"}", "owner: "},
        {"{\"owner\":\"../x\"}", "owner: "},
        {"{\"owner\":\"a/..\"}", "owner: "},
        {"{\"owner\":\"a?b\"}", "owner: "},
        {"{\"owner\":\"a/\"}", "owner: "},
        {"{\"owner\":7}", "owner: "},
        {"{\"installation_id\":-7}", "installation_id: "},
        {"{\"installation_id\":\"7/..\"}", "installation_id: "},
        {"{\"owner\":\"a\",\"repositories\":[]}", "repositories: a list of 1 to 500"},
        {"{\"owner\":\"a\",\"repositories\":\"x\"}", "repositories: a list of 1 to 500"},
        {"{\"owner\":\"a\",\"repositories\":[\"a/x\"]}", "repositories: names without their owner"},
        {"{\"owner\":\"a\",\"repositories\":[\"x y\"]}", "repositories: a list of names"},
        {"{\"owner\":\"a\",\"repository_ids\":[\"x\"]}", "repository_ids: a list of numbers"},
        {"{\"owner\":\"a\",\"permissions\":{}}", "permissions: names with"},
        {"{\"owner\":\"a\",\"permissions\":{\"contents\":\"rw\"}}", "permissions.contents: "},
        {"{\"owner\":\"a\",\"permissions\":{\"Contents\":\"read\"}}", "permissions.Contents: "},
        {"{\"owner\":\"a\",\"repository\":[\"x\"]}", "repository: unknown key"},
    };
    struct plugin_world world;

    (void)state;
    github_world_init(&world, NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *error = plugin_world_params_error(&world, cases[i].json);

        assert_non_null(strstr(error, cases[i].text));
        assert_int_equal(error[0] == '\0', cases[i].text[0] == '\0');
    }
    plugin_world_fini(&world);
}

static void test_a_callers_name_that_is_no_name_is_refused_unsent(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    github_world_init(&world, NULL);
    /* "deploy 7" */
    plugin_world_issue(&world, &call, "{\"owner\":\"${reason}\"}", 0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "owner: "));
    assert_true(plugin_world_is_idle(&world));
    plugin_world_fini(&world);
}

/* --- memory ----------------------------------------------------------------------------------- */

static size_t fails_at; /* 0: never */
static size_t allocation;

static int fail_nth(size_t size)
{
    (void)size;
    return ++allocation == fails_at ? 1 : 0;
}

/* One life; whatever fails, each operation ends once. */
static bool live(void)
{
    struct plugin_world world;
    struct plugin_call issue;
    struct plugin_call revoke;
    const char *ref;
    bool is_good;

    github_world_init(&world, NULL);
    ref = github_world_ref(&world);
    mem_set_fail_hook(fails_at > 0 ? fail_nth : NULL);
    plugin_world_issue(&world, &issue, BY_OWNER, 0);
    if (!plugin_world_is_idle(&world)) {
        plugin_world_answer(&world, 200, "{\"id\":42}");
    }
    if (!plugin_world_is_idle(&world)) {
        github_world_mint(&world);
    }
    plugin_world_revoke(&world, &revoke, PARAMS, ref);
    if (!plugin_world_is_idle(&world)) {
        plugin_world_answer(&world, 204, "");
    }
    mem_set_fail_hook(NULL);
    is_good = issue.outcome == LEASE_OUTCOME_OK && revoke.outcome == LEASE_OUTCOME_OK;
    assert_int_equal(issue.end_count, 1);
    assert_int_equal(revoke.end_count, 1);
    plugin_world_fini(&world);
    return is_good;
}

static void test_each_allocation_may_fail(void **state)
{
    size_t failed = 0;

    (void)state;
    fails_at = 0;
    assert_true(live());
    do {
        allocation = 0;
        fails_at++;
        failed += live() ? 0 : 1;
    } while (allocation >= fails_at);
    assert_true(failed > 10);
    fails_at = 0;
    assert_true(live());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_error_has_its_class),
        cmocka_unit_test(test_answers_that_are_too_deep_or_too_long_are_no_tokens),
        cmocka_unit_test(test_a_token_that_can_not_be_used_is_revoked),
        cmocka_unit_test(test_no_life_is_longer_than_githubs_hour),
        cmocka_unit_test(test_an_answer_that_is_lost_may_have_made_a_token),
        cmocka_unit_test(test_a_token_that_comes_too_late_is_revoked),
        cmocka_unit_test(test_what_is_given_up_asks_for_nothing_more),
        cmocka_unit_test(test_closing_ends_what_is_under_way),
        cmocka_unit_test(test_a_key_that_can_not_be_used_is_named),
        cmocka_unit_test(test_what_a_configuration_lacks_is_said),
        cmocka_unit_test(test_what_a_role_lacks_is_said),
        cmocka_unit_test(test_a_callers_name_that_is_no_name_is_refused_unsent),
        cmocka_unit_test(test_each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
