/* Job tokens over the native API. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "support/token_fixture.h"
#include "unit/serve/fixture.h"

#define DB API "/credentials/db"
#define URL "https://ci.example"
#define PROD "\"env\":\"prod\",\"job\":\"17\",\"who\":\"ann\""

static const char *const audiences[] = {"leased"};
static const struct access_issuer_config issuer = {
    .name = "ci",
    .url = URL,
    .audiences = audiences,
    .audience_count = 1,
    .algorithms = 64, /* ES256 */
    .jwks_url = URL "/keys",
    .leeway_ms = MINUTE_MS,
    .session = "job",
    .person = "who",
};

static json_t *key;
static char *jwks;

static int setup(void **state)
{
    int r;

    json_set_alloc_funcs(mem_alloc, mem_free); /* as the fixture does */
    key = token_key("{\"alg\":\"ES256\",\"kid\":\"k1\"}");
    jwks = token_jwks(key, NULL);
    r = fixture_setup(state);
    f.options.issuers = &issuer;
    f.options.issuer_count = 1;
    return r;
}

static int teardown(void **state)
{
    int r = fixture_teardown(state);

    json_decref(key);
    free(jwks);
    return r;
}

/* A GET with a token that has these claims; nothing of it is waited for. */
static struct call *ask(enum who who, const char *claims)
{
    char text[512];
    char header[2048];
    const char *const headers[] = {header, NULL};
    char *token;

    fixture_open();
    (void)snprintf(text, sizeof(text),
                   "{\"iss\":\"" URL "\",\"sub\":\"shop\",\"aud\":\"leased\",\"exp\":%lld,%s}",
                   (long long)(f.fake.wall_ms / 1000 + 300), claims);
    token = token_sign(key, "{\"alg\":\"ES256\",\"kid\":\"k1\"}", text);
    (void)snprintf(header, sizeof(header), "Authorization: Bearer %s", token);
    free(token);
    return fixture_send_message(
        who, (struct message){.method = "GET", .target = DB, .headers = headers});
}

static void keys_come(uint32_t status)
{
    const struct env_http_reply reply = {.status = status, .body = str_of(jwks)};
    struct env_http *http = fake_env_http_first(&f.fake);

    assert_non_null(http);
    fake_env_http_finish(&f.fake, http, 0, &reply, "");
    fixture_run();
}

static struct call *ask_with_keys(enum who who, const char *claims)
{
    struct call *call = ask(who, claims);

    if (call->status == 0 && fake_env_http_first(&f.fake) != NULL) {
        keys_come(200);
    }
    fixture_run();
    if (call->status == 200) {
        call_deliver(call);
    }
    return call;
}

static void test_a_rule_on_the_job_lets_it_in_and_the_trail_names_it(void **state)
{
    (void)state;
    fixture_expect(fixture_get(CAROL, DB), 403, "denied");
    assert_int_equal(ask_with_keys(CAROL, PROD)->status, 200);
    assert_int_equal(fixture_trail_has("\"jwt\":{\"iss\":\"" URL "\",\"sub\":\"shop\","
                                       "\"session\":\"17\",\"person\":\"ann\"}") > 0,
                     1);
}

static void test_another_job_of_the_user_is_somebody_else(void **state)
{
    (void)state;
    assert_int_equal(ask_with_keys(CAROL, PROD)->status, 200);
    assert_int_equal(
        ask_with_keys(CAROL, "\"env\":\"prod\",\"job\":\"18\",\"who\":\"ann\"")->status, 200);
    assert_int_equal(fixture_records("grant.created"), 2);
    assert_int_equal(ask_with_keys(CAROL, PROD)->status, 200);
    assert_int_equal(fixture_records("grant.created"), 2);
}

static void test_a_job_that_the_rule_does_not_mean_is_denied(void **state)
{
    (void)state;
    fixture_expect(ask_with_keys(CAROL, "\"env\":\"test\",\"job\":\"17\",\"who\":\"ann\""), 403,
                   "denied");
    assert_int_equal(fixture_trail_has("\"person\":\"ann\"") > 0, 1);
}

/* Alice may without a token what her token loses her. */
static void test_a_bad_token_denies_even_who_may(void **state)
{
    struct call *call;

    (void)state;
    call = ask_with_keys(ALICE, "\"env\":\"prod\",\"job\":\"17\"");
    fixture_expect(call, 403, "denied");
    assert_non_null(strstr(call_text(call, "detail"), "who"));
    assert_int_equal(fixture_trail_has("the job token is refused") > 0, 1);
    assert_int_equal(ask_with_keys(ALICE, PROD)->status, 200);
}

static void test_keys_that_can_not_be_had_are_temporary(void **state)
{
    struct call *call;

    (void)state;
    call = ask(CAROL, PROD);
    assert_int_equal(call->status, 0);
    keys_come(500);
    fixture_expect(call, 503, "issuer_unavailable");
}

static void test_a_client_may_go_away_while_it_waits(void **state)
{
    struct call *call;

    (void)state;
    call = ask(CAROL, PROD);
    assert_int_equal(call->status, 0);
    call_hang_up(call);
    keys_come(200);
    assert_int_equal(fixture_records("grant.created"), 0);
}

static void test_a_reload_has_who_waits_asked_anew(void **state)
{
    struct access_policy *policy;
    struct call *call;

    (void)state;
    call = ask(CAROL, PROD);
    policy = fixture_parse_policy();
    serve_set(f.serve, &(struct serve_settings){.policy = policy,
                                                .backends = f.options.backends,
                                                .backend_count = f.options.backend_count});
    fixture_run();
    fixture_expect(call, 403, "denied"); /* the issuer isn't configured any more */
    access_policy_free(f.policy);
    f.policy = policy;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_rule_on_the_job_lets_it_in_and_the_trail_names_it),
        TEST(test_another_job_of_the_user_is_somebody_else),
        TEST(test_a_job_that_the_rule_does_not_mean_is_denied),
        TEST(test_a_bad_token_denies_even_who_may),
        TEST(test_keys_that_can_not_be_had_are_temporary),
        TEST(test_a_client_may_go_away_while_it_waits),
        TEST(test_a_reload_has_who_waits_asked_anew),
    };

    return cmocka_run_group_tests_name("job tokens", tests, NULL, NULL);
}
