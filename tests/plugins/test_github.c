/* The github plugin: how a token is asked for, handed over and revoked. */
#include "plugins/github_world.h"

#include <stdio.h>
#include <string.h>

#define SCOPED                                                                                     \
    "{\"installation_id\":42,\"repositories\":[\"app\",\"lib\"],\"repository_ids\":[5],"           \
    "\"permissions\":{\"contents\":\"read\"}}"
#define BY_OWNER "{\"owner\":\"acme\"}"
#define MINT_URL "https://api.github.com/app/installations/42/access_tokens"
#define NOT_FOUND "{\"message\":\"Not Found\",\"status\":\"404\"}"

static void test_a_token_is_asked_for_by_a_jwt_and_handed_over(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    const struct env_http *http;

    (void)state;
    github_world_init(&world, NULL);
    plugin_world_issue(&world, &call, SCOPED, 600000);
    http = plugin_world_http(&world);
    assert_string_equal(http->method, "POST");
    assert_string_equal(http->url, MINT_URL);
    assert_int_equal(http->flags, ENV_HTTP_CREATES);
    assert_string_equal(plugin_world_header(&world, "Accept"), "application/vnd.github+json");
    assert_string_equal(plugin_world_header(&world, "X-GitHub-Api-Version"), "2022-11-28");
    assert_string_equal(plugin_world_header(&world, "User-Agent"), "leased");
    assert_string_equal(plugin_world_header(&world, "Content-Type"), "application/json");
    assert_string_equal(plugin_world_body(&world),
                        "{\"repositories\":[\"app\",\"lib\"],\"repository_ids\":[5],"
                        "\"permissions\":{\"contents\":\"read\"}}");
    assert_int_equal(github_world_claim(&world, "iat"), GITHUB_START_S - 60);
    assert_int_equal(github_world_claim(&world, "exp"), GITHUB_START_S + 540);
    github_world_mint(&world);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_string_equal(call.fields, "token*=" GITHUB_TOKEN "\n"
                                     "expires_at=2026-01-01T01:00:00Z\n"
                                     "username=x-access-token\n");
    assert_int_equal(call.lifetime_ms, 3600000);
    assert_true(call.is_revocable);
    assert_false(call.is_renewable);
    assert_memory_equal(call.ref, GITHUB_NAME "\n", strlen(GITHUB_NAME) + 1);
    assert_string_equal(call.intents, "");
    plugin_world_fini(&world);
}

static void test_without_a_scope_it_is_for_all_of_the_installation(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    github_world_init(&world, NULL);
    plugin_world_issue(&world, &call, "{\"installation_id\":\"42\"}", 0);
    assert_string_equal(plugin_world_http(&world)->url, MINT_URL);
    assert_string_equal(plugin_world_body(&world), "{}");
    github_world_mint(&world);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_an_enterprise_has_its_own_address(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    github_world_init(&world, "https://ghe.example/api/v3");
    plugin_world_issue(&world, &call, SCOPED, 0);
    assert_string_equal(plugin_world_http(&world)->url,
                        "https://ghe.example/api/v3/app/installations/42/access_tokens");
    github_world_mint(&world);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_an_owners_installation_is_looked_up_once(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    github_world_init(&world, NULL);
    plugin_world_issue(&world, &call, BY_OWNER, 0);
    assert_string_equal(plugin_world_http(&world)->method, "GET");
    assert_string_equal(plugin_world_http(&world)->url,
                        "https://api.github.com/users/acme/installation");
    (void)github_world_claim(&world, "iat");
    plugin_world_answer(&world, 200, "{\"id\":42,\"suspended_at\":null}");
    for (int i = 0; i < 3; i++) {
        assert_string_equal(plugin_world_http(&world)->url, MINT_URL);
        github_world_mint(&world);
        assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
        plugin_world_issue(&world, &call, BY_OWNER, 0);
    }
    github_world_mint(&world);
    plugin_world_issue(&world, &call, "{\"owner\":\"acme/app\"}", 0);
    assert_string_equal(plugin_world_http(&world)->url,
                        "https://api.github.com/repos/acme/app/installation");
    plugin_world_answer(&world, 200, "{\"id\":43}");
    assert_string_equal(plugin_world_http(&world)->url,
                        "https://api.github.com/app/installations/43/access_tokens");
    github_world_mint(&world);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_more_owners_than_are_remembered_are_looked_up_again(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    char params[64];

    (void)state;
    github_world_init(&world, NULL);
    for (int i = 0; i <= 64; i++) {
        (void)snprintf(params, sizeof(params), "{\"owner\":\"o%d\"}", i);
        plugin_world_issue(&world, &call, params, 0);
        plugin_world_answer(&world, 200, "{\"id\":42}");
        github_world_mint(&world);
    }
    plugin_world_issue(&world, &call, "{\"owner\":\"o64\"}", 0);
    assert_string_equal(plugin_world_http(&world)->url, MINT_URL);
    github_world_mint(&world);
    plugin_world_issue(&world, &call, "{\"owner\":\"o0\"}", 0);
    assert_string_equal(plugin_world_http(&world)->url,
                        "https://api.github.com/users/o0/installation");
    plugin_world_answer(&world, 404, NOT_FOUND);
    plugin_world_fini(&world);
}

static void test_an_app_that_was_installed_anew_is_found_again(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    github_world_init(&world, NULL);
    plugin_world_issue(&world, &call, BY_OWNER, 0);
    plugin_world_answer(&world, 200, "{\"id\":41}");
    github_world_mint(&world);
    plugin_world_issue(&world, &call, BY_OWNER, 0);
    plugin_world_answer(&world, 404, NOT_FOUND);
    assert_string_equal(plugin_world_http(&world)->url,
                        "https://api.github.com/users/acme/installation");
    plugin_world_answer(&world, 200, "{\"id\":42}");
    assert_string_equal(plugin_world_http(&world)->url, MINT_URL);
    /* Once. */
    plugin_world_answer(&world, 404, NOT_FOUND);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    plugin_world_fini(&world);
}

static void test_a_lookup_that_finds_nothing_says_so(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        enum lease_outcome outcome;
        const char *text;
    } cases[] = {
        {404, NOT_FOUND, LEASE_OUTCOME_INVALID, "is the app installed there"},
        {301, "{\"message\":\"Moved Permanently\"}", LEASE_OUTCOME_INVALID, "renamed or moved"},
        {200, "{\"id\":42,\"suspended_at\":\"2026-01-01T00:00:00Z\"}", LEASE_OUTCOME_DENIED,
         "suspended"},
        {200, "{\"id\":0}", LEASE_OUTCOME_RETRY, "names no installation"},
        {200, "{\"id\":\"../x\"}", LEASE_OUTCOME_RETRY, "names no installation"},
        {200, "<html>", LEASE_OUTCOME_RETRY, "names no installation"},
        {500, "", LEASE_OUTCOME_RETRY, "GitHub answered 500"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct plugin_world world;
        struct plugin_call call;

        github_world_init(&world, NULL);
        plugin_world_issue(&world, &call, BY_OWNER, 0);
        plugin_world_answer(&world, cases[i].status, cases[i].body);
        assert_int_equal(call.end_count, 1);
        assert_int_equal(call.outcome, cases[i].outcome);
        assert_non_null(strstr(call.detail, cases[i].text));
        plugin_world_fini(&world);
    }
}

/* --- clocks ----------------------------------------------------------------------------------- */

static const char *const ten_minutes_on[] = {"date", "Thu, 01 Jan 2026 00:10:00 GMT", NULL};
static const char too_early[] =
    "{\"message\":\"'Expiration time' claim ('exp') must be a numeric value representing the "
    "future time at which the assertion expires\"}";

static void test_a_clock_that_is_off_is_corrected_by_githubs(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    github_world_init(&world, NULL);
    plugin_world_issue(&world, &call, SCOPED, 0);
    github_world_answer(&world, 401, ten_minutes_on, too_early);
    assert_string_equal(plugin_world_http(&world)->url, MINT_URL);
    assert_int_equal(github_world_claim(&world, "iat"), GITHUB_START_S + 600 - 60);
    assert_int_equal(github_world_claim(&world, "exp"), GITHUB_START_S + 600 + 540);
    github_world_answer(&world, 201, ten_minutes_on,
                        "{\"token\":\"t\",\"expires_at\":\"2026-01-01T01:10:00Z\"}");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(call.lifetime_ms, 3600000);
    /* It counts for what comes. */
    plugin_world_issue(&world, &call, SCOPED, 0);
    assert_int_equal(github_world_claim(&world, "iat"), GITHUB_START_S + 600 - 60);
    github_world_answer(&world, 401, (const char *const[]){"date", GITHUB_DATE, NULL}, too_early);
    assert_int_equal(github_world_claim(&world, "iat"), GITHUB_START_S - 60);
    github_world_mint(&world);
    plugin_world_fini(&world);
}

static void test_what_is_refused_by_a_right_clock_stays_refused(void **state)
{
    static const char bad[] = "{\"message\":\"A JSON web token could not be decoded\"}";
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    github_world_init(&world, NULL);
    plugin_world_issue(&world, &call, SCOPED, 0);
    github_world_answer(&world, 401, (const char *const[]){"date", GITHUB_DATE, NULL}, bad);
    assert_int_equal(call.outcome, LEASE_OUTCOME_DENIED);
    assert_string_equal(call.detail,
                        "GitHub answered 401: A JSON web token could not be decoded (is the "
                        "private key one of this app_id's app?)");
    /* Once is enough, too. */
    plugin_world_issue(&world, &call, SCOPED, 0);
    github_world_answer(&world, 401, ten_minutes_on, bad);
    github_world_answer(&world, 401, (const char *const[]){"date", GITHUB_DATE, NULL}, bad);
    assert_int_equal(call.outcome, LEASE_OUTCOME_DENIED);
    assert_true(plugin_world_is_idle(&world));
    plugin_world_fini(&world);
}

static void test_two_at_once_correct_the_clock_once(void **state)
{
    struct plugin_world world;
    struct plugin_call first;
    struct plugin_call second;

    (void)state;
    github_world_init(&world, NULL);
    plugin_world_issue(&world, &first, SCOPED, 0);
    plugin_world_issue(&world, &second, SCOPED, 0);
    /* The first one's answer, then the second's: it was made by the old clock as well. */
    github_world_answer(&world, 401, ten_minutes_on, too_early);
    github_world_answer(&world, 401, ten_minutes_on, too_early);
    github_world_answer(&world, 201, ten_minutes_on, GITHUB_MINTED);
    github_world_answer(&world, 201, ten_minutes_on, GITHUB_MINTED);
    assert_int_equal(first.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(second.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(first.lifetime_ms, 3000000);
    plugin_world_fini(&world);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void test_a_token_revokes_itself(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    github_world_init(&world, NULL);
    plugin_world_revoke(&world, &call, SCOPED, github_world_ref(&world));
    assert_string_equal(plugin_world_http(&world)->method, "DELETE");
    assert_string_equal(plugin_world_http(&world)->url,
                        "https://api.github.com/installation/token");
    assert_string_equal(plugin_world_header(&world, "Authorization"), "Bearer " GITHUB_TOKEN);
    assert_string_equal(plugin_world_body(&world), "");
    plugin_world_answer(&world, 204, "");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_what_a_revocation_is_told(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        enum lease_outcome outcome;
    } cases[] = {
        {401, "{\"message\":\"Bad credentials\"}", LEASE_OUTCOME_GONE},
        {401, "<html>log in first</html>", LEASE_OUTCOME_RETRY},
        {403, "{\"message\":\"This installation has been suspended\"}", LEASE_OUTCOME_DENIED},
        {502, "", LEASE_OUTCOME_RETRY},
        {200, "{}", LEASE_OUTCOME_RETRY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct plugin_world world;
        struct plugin_call call;

        github_world_init(&world, NULL);
        plugin_world_revoke(&world, &call, SCOPED, github_world_ref(&world));
        plugin_world_answer_with(&world, cases[i].status,
                                 &(struct env_http_header){STR("date"),
                                                           STR("Thu, 01 Jan 2026 05:00:00 GMT")},
                                 cases[i].body);
        assert_int_equal(call.end_count, 1);
        assert_int_equal(call.outcome, cases[i].outcome);
        assert_null(strstr(call.detail, GITHUB_TOKEN));
        plugin_world_fini(&world);
    }
}

/* A ledger keeps references as they are. */
static void test_a_reference_holds_its_token_sealed(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    char first[1100];
    char text[1100];
    size_t len;

    (void)state;
    github_world_init(&world, NULL);
    (void)snprintf(first, sizeof(first), "%s", github_world_ref(&world));
    assert_null(strstr(first, GITHUB_TOKEN));
    assert_string_not_equal(first, github_world_ref(&world)); /* each with a nonce of its own */
    len = strlen(first);
    for (size_t i = 0; i < len; i += i < strlen(GITHUB_NAME) ? 13 : 1) {
        (void)snprintf(text, sizeof(text), "%s", first);
        text[i] = text[i] == 'A' ? 'B' : 'A';
        plugin_world_revoke(&world, &call, SCOPED, text);
        if (plugin_world_is_idle(&world)) {
            assert_true(call.outcome == LEASE_OUTCOME_DENIED ||
                        call.outcome == LEASE_OUTCOME_INVALID);
        } else {
            assert_int_equal(i, len - 1); /* base64's last letter has bits that say nothing */
            plugin_world_answer(&world, 204, "");
        }
    }
    plugin_world_fini(&world);
}

static void test_a_reference_without_a_token_is_refused(void **state)
{
    static const char *const refs[] = {"#github 42/x", "#github 42/x\n", "#github 42/x\na b",
                                       "x\nAAAA"};

    (void)state;
    for (size_t i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
        struct plugin_world world;
        struct plugin_call call;

        github_world_init(&world, NULL);
        plugin_world_revoke(&world, &call, SCOPED, refs[i]);
        assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
        plugin_world_fini(&world);
    }
}

static void test_a_token_that_no_reference_can_hold_lives_to_its_end(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    char body[1300];
    char token[1001];

    (void)state;
    memset(token, 'x', sizeof(token) - 1);
    token[sizeof(token) - 1] = '\0';
    (void)snprintf(body, sizeof(body), "{\"token\":\"%s\",\"expires_at\":\"2026-01-01T01:00:00Z\"}",
                   token);
    github_world_init(&world, NULL);
    plugin_world_issue(&world, &call, SCOPED, 0);
    plugin_world_answer(&world, 201, body);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_string_equal(plugin_call_field(&call, "token"), token);
    assert_false(call.is_revocable);
    assert_string_equal(call.ref, "");
    plugin_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_is_asked_for_by_a_jwt_and_handed_over),
        cmocka_unit_test(test_without_a_scope_it_is_for_all_of_the_installation),
        cmocka_unit_test(test_an_enterprise_has_its_own_address),
        cmocka_unit_test(test_an_owners_installation_is_looked_up_once),
        cmocka_unit_test(test_more_owners_than_are_remembered_are_looked_up_again),
        cmocka_unit_test(test_an_app_that_was_installed_anew_is_found_again),
        cmocka_unit_test(test_a_lookup_that_finds_nothing_says_so),
        cmocka_unit_test(test_a_clock_that_is_off_is_corrected_by_githubs),
        cmocka_unit_test(test_what_is_refused_by_a_right_clock_stays_refused),
        cmocka_unit_test(test_two_at_once_correct_the_clock_once),
        cmocka_unit_test(test_a_token_revokes_itself),
        cmocka_unit_test(test_what_a_revocation_is_told),
        cmocka_unit_test(test_a_reference_holds_its_token_sealed),
        cmocka_unit_test(test_a_reference_without_a_token_is_refused),
        cmocka_unit_test(test_a_token_that_no_reference_can_hold_lives_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
