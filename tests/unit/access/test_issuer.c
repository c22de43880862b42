/* Who may vouch for a caller: the terms of issuers, and their keys over time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "access/issuer.h"
#include "support/fake_env.h"
#include "access/jwt.h"
#include "support/token_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_MS 1000ULL
#define HOUR_MS (3600 * SECOND_MS)
#define URL "https://ci.example"

static const char *const audiences[] = {"leased", "https://leased.example"};

struct world {
    struct fake_env fake;
    struct access_issuer_config config;
    struct access_issuers *issuers;
    json_t *key;
    json_t *next_key;
    char *jwks;
    struct access_issuer_wait wait;
    uint32_t woken_count;
    struct access_claims *claims;
    struct err e;
};

static void woken(struct access_issuer_wait *wait)
{
    struct world *world = wait->user;

    world->woken_count++;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    fake_env_init(&world->fake, 1000, 1);
    world->key = token_key("{\"alg\":\"ES256\",\"kid\":\"k1\"}");
    world->next_key = token_key("{\"alg\":\"ES256\",\"kid\":\"k2\"}");
    world->jwks = token_jwks(world->key, NULL);
    world->config = (struct access_issuer_config){
        .name = "ci",
        .url = URL,
        .audiences = audiences,
        .audience_count = 2,
        .algorithms = ACCESS_JWT_ES256,
        .jwks_url = URL "/keys",
        .leeway_ms = 60 * SECOND_MS,
        .session = "job_id",
        .person = "user_login",
    };
    world->wait = (struct access_issuer_wait){.fn = woken, .user = world};
    *state = world;
    return 0;
}

static void begin(struct world *world)
{
    assert_int_equal(access_issuers_new(&world->fake.env, &world->config, 1, NULL, &world->issuers),
                     0);
}

static int teardown(void **state)
{
    struct world *world = *state;

    access_claims_free(world->claims);
    access_issuers_free(world->issuers);
    fake_env_run(&world->fake);
    fake_env_fini(&world->fake);
    json_decref(world->key);
    json_decref(world->next_key);
    free(world->jwks);
    free(world);
    return 0;
}

/* Unix time of the fake's wall clock, in seconds. */
static long long now_s(const struct world *world)
{
    return (long long)(world->fake.wall_ms / 1000);
}

/* A good token's claims, with `more` behind them. */
static char *claims_with(const struct world *world, const char *more)
{
    char *text = NULL;

    assert_true(asprintf(&text,
                         "{\"iss\":\"" URL "\",\"sub\":\"project:1\",\"job_id\":4711,"
                         "\"user_login\":\"ann\",\"iat\":%lld%s}",
                         now_s(world), more) > 0);
    return text;
}

/* Checks a token that is signed with the key; the token and the claims are freed. */
static int check_signed(struct world *world, const json_t *key, char *claims)
{
    char header[64];
    char *token;
    int r;

    (void)snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"%s\"}",
                   json_string_value(json_object_get(key, "kid")));
    token = token_sign(key, header, claims);
    access_claims_free(world->claims);
    world->claims = NULL;
    world->e.text[0] = '\0';
    r = access_issuers_check(world->issuers, str_of(token), &world->wait, &world->claims,
                             &world->e);
    free(token);
    free(claims);
    return r;
}

static int check_good(struct world *world, const json_t *key)
{
    char more[96];

    (void)snprintf(more, sizeof(more), ",\"aud\":\"leased\",\"exp\":%lld", now_s(world) + 300);
    return check_signed(world, key, claims_with(world, more));
}

static void answer(struct world *world, uint32_t status, const char *body, const char *cache)
{
    struct env_http_reply reply = {.status = status, .body = str_of(body)};
    struct env_http *http = fake_env_http_first(&world->fake);

    if (cache != NULL) {
        reply.headers[0] =
            (struct env_http_header){.name = STR("cache-control"), .value = str_of(cache)};
        reply.header_count = 1;
    }
    assert_non_null(http);
    fake_env_http_finish(&world->fake, http, 0, &reply, "");
    fake_env_run(&world->fake);
}

/* The keys are here. */
static void begin_with_keys(struct world *world)
{
    begin(world);
    assert_int_equal(check_good(world, world->key), ERR_BUSY);
    answer(world, 200, world->jwks, NULL);
    assert_int_equal(world->woken_count, 1);
    world->wait.was_woken = false;
}

static void assert_refused(struct world *world, char *claims, const char *why)
{
    assert_int_equal(check_signed(world, world->key, claims), ERR_DENIED);
    if (strstr(world->e.text, why) == NULL) {
        fail_msg("expected \"%s\" in \"%s\"", why, world->e.text);
    }
}

static void test_a_good_token_says_who_it_is(void **state)
{
    struct world *world = *state;

    begin_with_keys(world);
    assert_int_equal(check_good(world, world->key), 0);
    assert_string_equal(world->claims->issuer, "ci");
    assert_string_equal(world->claims->iss, URL);
    assert_string_equal(world->claims->sub, "project:1");
    assert_string_equal(world->claims->session, "4711");
    assert_string_equal(world->claims->person, "ann");
    assert_int_equal(json_integer_value(json_object_get(world->claims->all, "job_id")), 4711);
}

static void test_claims_survive_being_written(void **state)
{
    struct world *world = *state;
    struct access_claims *again = NULL;
    struct buf text;

    begin_with_keys(world);
    assert_int_equal(check_good(world, world->key), 0);
    buf_init(&text, ACCESS_CLAIMS_TEXT_MAX_BYTES);
    assert_int_equal(access_claims_write(world->claims, &text), 0);
    assert_int_equal(access_claims_read(buf_str(&text), &again, NULL), 0);
    assert_string_equal(again->session, "4711");
    assert_string_equal(again->person, "ann");
    assert_true(json_equal(again->all, world->claims->all));
    assert_string_equal(again->id, world->claims->id);
    access_claims_free(again);
    buf_fini(&text);
    assert_int_equal(access_claims_read(STR("{\"issuer\":\"ci\"}"), &again, &world->e),
                     ERR_INVALID);
}

static void test_each_term_is_held(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *more;
        int exp_s; /* from now; 0: none */
        const char *why;
    } wrong[] = {
        {",\"aud\":\"other\"", 300, "aud"},
        {"", 300, "aud"},
        {",\"aud\":[\"other\",7]", 300, "aud"},
        {",\"aud\":\"leased\"", 0, "never expires"},
        {",\"aud\":\"leased\"", -61, "expired"},
        {",\"aud\":\"leased\"", 25 * 3600, "24 hours"},
        {",\"aud\":\"leased\",\"nbf\":4102444800", 300, "nbf"},
        {",\"aud\":\"leased\",\"nbf\":\"soon\"", 300, "no number"},
    };
    char more[128];
    size_t i;

    begin_with_keys(world);
    for (i = 0; i < ARRAY_LEN(wrong); i++) {
        (void)snprintf(more, sizeof(more), "%s", wrong[i].more);
        if (wrong[i].exp_s != 0) {
            (void)snprintf(more, sizeof(more), "%s,\"exp\":%lld", wrong[i].more,
                           now_s(world) + wrong[i].exp_s);
        }
        assert_refused(world, claims_with(world, more), wrong[i].why);
    }
}

static void test_leeway_and_lists_of_audiences_are_allowed_for(void **state)
{
    struct world *world = *state;
    char more[128];

    begin_with_keys(world);
    (void)snprintf(more, sizeof(more), ",\"aud\":[\"x\",\"https://leased.example\"],\"exp\":%lld.5",
                   now_s(world) - 58);
    assert_int_equal(check_signed(world, world->key, claims_with(world, more)), 0);
}

static void test_another_issuers_token_is_refused_without_asking_for_keys(void **state)
{
    struct world *world = *state;

    begin(world);
    assert_refused(world, strdup("{\"iss\":\"" URL "/\",\"sub\":\"a\"}"), "iss");
    assert_refused(world, strdup("{\"sub\":\"a\"}"), "iss");
    assert_int_equal(world->fake.http_start_count, 0);
}

static void test_an_algorithm_that_is_not_allowed_is_refused(void **state)
{
    struct world *world = *state;

    world->config.algorithms = 0; /* RS256 */
    begin(world);
    assert_int_equal(check_good(world, world->key), ERR_DENIED);
    assert_non_null(strstr(world->e.text, "algorithm"));
}

static void test_claims_that_name_nobody_are_refused(void **state)
{
    struct world *world = *state;
    char claims[256];

    begin_with_keys(world);
    (void)snprintf(claims, sizeof(claims),
                   "{\"iss\":\"" URL "\",\"sub\":\"a\",\"job_id\":true,\"user_login\":\"ann\","
                   "\"aud\":\"leased\",\"exp\":%lld}",
                   now_s(world) + 60);
    assert_refused(world, strdup(claims), "job_id");
    (void)snprintf(claims, sizeof(claims),
                   "{\"iss\":\"" URL "\",\"sub\":\"a b\",\"job_id\":1,\"user_login\":\"ann\","
                   "\"aud\":\"leased\",\"exp\":%lld}",
                   now_s(world) + 60);
    assert_refused(world, strdup(claims), "sub");
}

static void test_discovery_finds_the_keys(void **state)
{
    struct world *world = *state;

    world->config.jwks_url = NULL;
    begin(world);
    assert_int_equal(check_good(world, world->key), ERR_BUSY);
    assert_string_equal(fake_env_http_first(&world->fake)->url,
                        URL "/.well-known/openid-configuration");
    answer(world, 200, "{\"issuer\":\"" URL "\",\"jwks_uri\":\"" URL "/jwks\"}", NULL);
    assert_string_equal(fake_env_http_first(&world->fake)->url, URL "/jwks");
    assert_int_equal(world->woken_count, 0);
    answer(world, 200, world->jwks, NULL);
    assert_int_equal(world->woken_count, 1);
    assert_int_equal(check_good(world, world->key), 0);
}

static void test_a_discovery_document_of_somebody_else_is_refused(void **state)
{
    struct world *world = *state;

    world->config.jwks_url = NULL;
    begin(world);
    assert_int_equal(check_good(world, world->key), ERR_BUSY);
    answer(world, 200, "{\"issuer\":\"" URL "/\",\"jwks_uri\":\"" URL "/jwks\"}", NULL);
    assert_int_equal(world->woken_count, 1);
    assert_int_equal(check_good(world, world->key), ERR_UNAVAILABLE);
    assert_non_null(strstr(world->e.text, "isn't of the issuer"));
}

static void test_callers_that_come_together_make_one_fetch(void **state)
{
    struct world *world = *state;
    struct access_issuer_wait other = {.fn = woken, .user = world};
    char *claims = claims_with(world, ",\"aud\":\"leased\",\"exp\":1767226000");
    char *token = token_sign(world->key, "{\"alg\":\"ES256\",\"kid\":\"k1\"}", claims);

    begin(world);
    assert_int_equal(check_good(world, world->key), ERR_BUSY);
    assert_int_equal(access_issuers_check(world->issuers, str_of(token), &other, &world->claims,
                                          &world->e),
                     ERR_BUSY);
    access_issuer_unwait(&other);
    assert_int_equal(world->fake.http_start_count, 1);
    answer(world, 200, world->jwks, NULL);
    assert_int_equal(world->woken_count, 1);
    free(claims);
    free(token);
}

static void test_an_unknown_kid_has_the_keys_fetched_anew_but_not_again_and_again(void **state)
{
    struct world *world = *state;
    char *both = token_jwks(world->key, world->next_key);
    int i;

    begin_with_keys(world);
    for (i = 0; i < 100; i++) { /* right after a fetch: a flood makes none */
        assert_int_equal(check_good(world, world->next_key), ERR_DENIED);
    }
    assert_non_null(strstr(world->e.text, "no key for it"));
    assert_int_equal(world->fake.http_start_count, 1);
    fake_env_advance(&world->fake, 31 * SECOND_MS);
    assert_int_equal(check_good(world, world->next_key), ERR_BUSY);
    answer(world, 200, both, NULL);
    assert_int_equal(check_good(world, world->next_key), 0);
    assert_int_equal(check_good(world, world->key), 0);
    assert_int_equal(world->fake.http_start_count, 2);
    free(both);
}

static void test_keys_that_are_no_longer_fresh_are_used_while_new_ones_are_fetched(void **state)
{
    struct world *world = *state;

    begin(world);
    assert_int_equal(check_good(world, world->key), ERR_BUSY);
    answer(world, 200, world->jwks, "public, max-age=3600");
    fake_env_advance(&world->fake, HOUR_MS - 1);
    assert_int_equal(check_good(world, world->key), 0);
    assert_int_equal(world->fake.http_start_count, 1);
    fake_env_advance(&world->fake, 2);
    assert_int_equal(check_good(world, world->key), 0);
    assert_int_equal(world->fake.http_start_count, 2);
    answer(world, 200, world->jwks, "max-age=3600");
}

static void test_an_issuer_that_is_down_is_survived_for_a_day(void **state)
{
    struct world *world = *state;

    begin_with_keys(world);
    fake_env_advance(&world->fake, HOUR_MS);
    assert_int_equal(check_good(world, world->key), 0);
    answer(world, 503, "", NULL);
    fake_env_advance(&world->fake, 24 * HOUR_MS);
    assert_int_equal(check_good(world, world->key), ERR_BUSY);
    answer(world, 503, "", NULL);
    assert_int_equal(check_good(world, world->key), ERR_UNAVAILABLE);
    assert_non_null(strstr(world->e.text, "503"));
    assert_int_equal(world->fake.http_start_count, 3); /* nobody hammers what is down */
}

static void test_an_answer_that_is_no_key_set_changes_nothing(void **state)
{
    struct world *world = *state;

    begin_with_keys(world);
    fake_env_advance(&world->fake, 31 * SECOND_MS);
    assert_int_equal(check_good(world, world->next_key), ERR_BUSY);
    answer(world, 200, "<html>", NULL);
    assert_int_equal(check_good(world, world->next_key), ERR_DENIED);
    assert_int_equal(check_good(world, world->key), 0);
}

static void test_a_file_is_read_at_once_and_again_when_a_key_is_missing(void **state)
{
    struct world *world = *state;
    char *both = token_jwks(world->key, world->next_key);

    world->config.jwks_url = NULL;
    world->config.jwks_file = "/etc/leased/keys.json";
    begin(world);
    assert_int_equal(check_good(world, world->key), ERR_UNAVAILABLE);
    assert_non_null(strstr(world->e.text, "/etc/leased/keys.json"));
    fake_env_add_secret(&world->fake, "shared-file:/etc/leased/keys.json", world->jwks);
    fake_env_advance(&world->fake, 6 * SECOND_MS);
    assert_int_equal(check_good(world, world->key), 0);
    world->fake.secrets[0].value = both;
    fake_env_advance(&world->fake, 31 * SECOND_MS);
    assert_int_equal(check_good(world, world->next_key), 0);
    free(both);
}

static void test_keys_are_handed_on_by_a_reload(void **state)
{
    struct world *world = *state;
    struct access_issuers *old;

    begin_with_keys(world);
    old = world->issuers;
    assert_int_equal(access_issuers_new(&world->fake.env, &world->config, 1, old, &world->issuers),
                     0);
    access_issuers_free(old);
    assert_int_equal(check_good(world, world->key), 0);
    assert_int_equal(world->fake.http_start_count, 1);
}

static void test_who_waits_is_told_when_the_issuers_go(void **state)
{
    struct world *world = *state;

    begin(world);
    assert_int_equal(check_good(world, world->key), ERR_BUSY);
    access_issuers_free(world->issuers);
    world->issuers = NULL;
    assert_int_equal(world->woken_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_good_token_says_who_it_is),
        TEST(test_claims_survive_being_written),
        TEST(test_each_term_is_held),
        TEST(test_leeway_and_lists_of_audiences_are_allowed_for),
        TEST(test_another_issuers_token_is_refused_without_asking_for_keys),
        TEST(test_an_algorithm_that_is_not_allowed_is_refused),
        TEST(test_claims_that_name_nobody_are_refused),
        TEST(test_discovery_finds_the_keys),
        TEST(test_a_discovery_document_of_somebody_else_is_refused),
        TEST(test_callers_that_come_together_make_one_fetch),
        TEST(test_an_unknown_kid_has_the_keys_fetched_anew_but_not_again_and_again),
        TEST(test_keys_that_are_no_longer_fresh_are_used_while_new_ones_are_fetched),
        TEST(test_an_issuer_that_is_down_is_survived_for_a_day),
        TEST(test_an_answer_that_is_no_key_set_changes_nothing),
        TEST(test_a_file_is_read_at_once_and_again_when_a_key_is_missing),
        TEST(test_keys_are_handed_on_by_a_reload),
        TEST(test_who_waits_is_told_when_the_issuers_go),
    };

    return cmocka_run_group_tests_name("issuer", tests, NULL, NULL);
}
