/* Job tokens, over all APIs. */
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

/* A token that has these claims; free(). */
static char *token_of(const char *claims)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{\"iss\":\"" URL "\",\"sub\":\"shop\",\"aud\":\"leased\",\"exp\":%lld,%s}",
                   (long long)(f.fake.wall_ms / 1000 + 300), claims);
    return token_sign(key, "{\"alg\":\"ES256\",\"kid\":\"k1\"}", text);
}

/* A GET with a token that has these claims; nothing of it is waited for. */
static struct call *ask(enum who who, const char *claims)
{
    char header[2048];
    const char *const headers[] = {header, NULL};
    char *token;

    fixture_open();
    token = token_of(claims);
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

static struct call *finished(struct call *call)
{
    if (call->status == 0 && fake_env_http_first(&f.fake) != NULL) {
        keys_come(200);
    }
    fixture_run();
    if (call->status == 200) {
        call_deliver(call);
        fixture_run();
    }
    return call;
}

static struct call *ask_with_keys(enum who who, const char *claims)
{
    return finished(ask(who, claims));
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
    assert_true(fixture_trail_has("the keys of issuer ci aren't to be had") > 0);
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

/* --- other APIs --- */

static void serve_others(const char *plugin)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(f.roles); i++) {
        f.roles[i].binding = ACCESS_BINDING_NONE;
    }
    f.roles[0].params_json = "{\"path\":\"database/creds/orders\"}";
    idle_backend_name_plugin(plugin);
    (void)fixture_add_backend("vault-prod");
    fixture_open();
    f.listener.apis |= SERVE_API_VAULT | SERVE_API_AWS | SERVE_API_GCP | SERVE_API_AZURE;
    (void)snprintf(f.listener.vault.backend, sizeof(f.listener.vault.backend), "%s",
                   f.issuer.issuer.name);
}

/* A `header` that ends in a blank gets the token; `more` (NULL: none) is sent beside it. */
static struct call *get(enum who who, const char *target, const char *header, const char *more)
{
    char *token = token_of(PROD);
    char text[2048];
    const char *const headers[] = {"Host: localhost", text, more, NULL};
    struct call *call;

    (void)snprintf(text, sizeof(text), "%s%s", header,
                   str_ends_with(str_of(header), " ") ? token : "");
    free(token);
    call = fixture_send_message(who, (struct message){.method = "GET",
                                                      .target = target,
                                                      .headers = headers,
                                                      .has_no_default_headers = true});
    return finished(call);
}

/* A variable of the job was empty, say: that isn't the same as sending none. */
static void test_an_empty_token_is_a_bad_one(void **state)
{
    static const char *const headers[] = {"Authorization: Bearer", NULL};
    struct call *call;

    (void)state;
    fixture_open();
    call =
        fixture_send_message(ALICE,
                             (struct message){.method = "GET", .target = DB, .headers = headers});
    fixture_expect(call, 403, "denied");
    assert_non_null(strstr(call_text(call, "detail"), "the job token is refused"));
}

#define PATH "/v1/database/creds/orders"
#define BAD "eyJhbGciOiJub25lIn0.e30."

static void test_vaults_clients_send_it_as_their_token(void **state)
{
    (void)state;
    serve_others("vault");
    assert_int_equal(get(CAROL, PATH, "X-Vault-Token: other", NULL)->status, 403);
    assert_int_equal(get(CAROL, PATH, "X-Vault-Token: ", NULL)->status, 200);
    assert_true(fixture_trail_has("\"person\":\"ann\"") > 0);
    assert_int_equal(get(CAROL, PATH, "Authorization: Bearer ", NULL)->status, 200);
    assert_int_equal(fixture_records("grant.created"), 1);
    /* A bad one loses her what she may without. */
    assert_int_equal(get(ALICE, PATH, "X-Vault-Token: " BAD "", NULL)->status, 403);
    assert_true(fixture_trail_has("the job token is refused") > 0);
    assert_int_equal(get(ALICE, PATH, "X-Vault-Token: s.other", NULL)->status, 200);
    assert_int_equal(get(ALICE, PATH, "Authorization: Bearer hvs.other", NULL)->status, 200);
}

static void test_of_two_tokens_none_counts(void **state)
{
    (void)state;
    serve_others("vault");
    assert_int_equal(get(CAROL, PATH, "X-Vault-Token: ", "Authorization: Bearer " BAD)->status,
                     403);
    assert_true(fixture_trail_has("two job tokens") > 0);
}

static struct call *log_in(enum who who, const char *token, const char *header)
{
    char body[2048];
    const char *const headers[] = {"Host: localhost", header, NULL};

    (void)snprintf(body, sizeof(body), "{\"role\":\"ci\",\"jwt\":\"%s\"}", token);
    return finished(fixture_send_message(who, (struct message){.method = "POST",
                                                               .target = "/v1/auth/jwt/login",
                                                               .body = body,
                                                               .headers = headers,
                                                               .has_no_default_headers = true}));
}

static void test_a_login_at_vaults_api_checks_it_and_gives_it_back(void **state)
{
    struct call *call;
    char *token;

    (void)state;
    serve_others("vault");
    token = token_of(PROD);
    call = log_in(CAROL, token, NULL);
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "auth.client_token"), token);
    assert_int_equal(json_integer_value(call_member(call, "auth.lease_duration")), 300);
    assert_true(json_is_false(call_member(call, "auth.renewable")));
    /* What the client has left from before is no matter. */
    assert_int_equal(log_in(CAROL, token, "X-Vault-Token: " BAD)->status, 200);
    assert_int_equal(log_in(CAROL, BAD, NULL)->status, 403);
    assert_true(fixture_trail_has("the job token is refused") > 0);
    assert_int_equal(log_in(CAROL, "nothing", NULL)->status, 403);
    free(token);
}

static void test_a_job_token_is_what_lookup_self_shows(void **state)
{
    struct call *call;
    char *token;

    (void)state;
    serve_others("vault");
    token = token_of(PROD);
    call = get(CAROL, "/v1/auth/token/lookup-self", "X-Vault-Token: ", NULL);
    assert_int_equal(call->status, 200);
    assert_int_equal(strncmp(call_text(call, "data.id"), token, 20), 0);
    assert_string_equal(call_text(call, "data.meta.sub"), "shop");
    assert_string_equal(call_text(call, "data.meta.person"), "ann");
    assert_int_equal(json_integer_value(call_member(call, "data.ttl")), 300);
    call = get(CAROL, "/v1/auth/token/lookup-self", "X-Vault-Token: x", NULL);
    assert_string_equal(call_text(call, "data.id"), "leased");
    free(token);
}

static void test_without_issuers_a_jwt_is_a_word_as_any_other(void **state)
{
    (void)state;
    f.options.issuer_count = 0;
    serve_others("vault");
    assert_int_equal(get(ALICE, PATH, "X-Vault-Token: " BAD "", NULL)->status, 200);
    assert_string_equal(call_text(log_in(ALICE, BAD, NULL), "auth.client_token"), "leased");
}

static struct lease_field fields[3];

static void role_gives(const char *name, const char *value)
{
    fields[f.roles[0].attribute_count++] =
        (struct lease_field){.name = str_of(name), .value = str_of(value)};
    f.roles[0].attributes = fields;
}

static void test_the_clouds_sdks_send_it_where_they_have_a_place(void **state)
{
    static const char aws[] = "/aws/credentials/db";
    static const char gcp[] = "/gcp/token/db";
    static const char azure[] = "/azure/token/db?api-version=1&resource=a";

    (void)state;
    role_gives("access_key_id", "id");
    role_gives("secret_access_key", "key");
    role_gives("access_token", "token");
    f.roles[0].params_json = "{\"resource\":\"a\"}";
    serve_others("aws");
    assert_int_equal(get(CAROL, aws, "Authorization: word", NULL)->status, 403);
    assert_int_equal(get(CAROL, aws, "Authorization: ", NULL)->status, 200);
    assert_int_equal(get(CAROL, aws, "Authorization: Bearer ", NULL)->status, 200);
    assert_int_equal(get(ALICE, aws, "Authorization: " BAD "", NULL)->status, 403);
    assert_int_equal(get(ALICE, aws, "Authorization: word", NULL)->status, 200);
    assert_int_equal(get(CAROL, gcp, "Authorization: Bearer ", "Metadata-Flavor: Google")->status,
                     200);
    assert_int_equal(
        get(ALICE, gcp, "Authorization: Bearer word", "Metadata-Flavor: Google")->status, 403);
    assert_int_equal(get(CAROL, azure, "X-IDENTITY-HEADER: ", NULL)->status, 200);
    assert_int_equal(get(CAROL, azure, "Authorization: Bearer ", "X-IDENTITY-HEADER: word")->status,
                     200);
    assert_int_equal(get(ALICE, azure, "X-IDENTITY-HEADER: " BAD "", NULL)->status, 403);
    assert_int_equal(fixture_records("grant.created"), 2);
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
        TEST(test_an_empty_token_is_a_bad_one),
        TEST(test_vaults_clients_send_it_as_their_token),
        TEST(test_of_two_tokens_none_counts),
        TEST(test_a_login_at_vaults_api_checks_it_and_gives_it_back),
        TEST(test_a_job_token_is_what_lookup_self_shows),
        TEST(test_without_issuers_a_jwt_is_a_word_as_any_other),
        TEST(test_the_clouds_sdks_send_it_where_they_have_a_place),
    };

    return cmocka_run_group_tests_name("job tokens", tests, NULL, NULL);
}
