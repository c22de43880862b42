/* The kubernetes plugin: how tokens are asked for, and how the ones bound to a Secret end. */
#include "plugins/plugin_world.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>

int32_t leased_plugin_entry_kubernetes(const struct leased_host *host,
                                       const struct leased_plugin **ret_plugin);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define POD_TOKEN "shared-file:/var/run/secrets/kubernetes.io/serviceaccount/token"
#define PARAMS "{\"namespace\":\"team-a\",\"service_account\":\"runner\"}"
#define REVOCABLE                                                                                  \
    "{\"namespace\":\"team-a\",\"service_account\":\"runner\",\"revoke\":\"bound-secret\"}"
#define BASE "https://kubernetes.default.svc/api/v1/namespaces/team-a"
#define TOKEN_URL BASE "/serviceaccounts/runner/token"
#define GRANTED                                                                                    \
    "{\"kind\":\"TokenRequest\",\"apiVersion\":\"authentication.k8s.io/v1\",\"status\":{"          \
    "\"token\":\"a.SECRET.c\",\"expirationTimestamp\":\"2026-01-01T01:00:00Z\"}}"
#define MADE "{\"kind\":\"Secret\",\"metadata\":{\"name\":\"x\",\"uid\":\"u-1\"}}"
#define STATUS(reason, message)                                                                    \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"" message     \
    "\",\"reason\":\"" reason "\"}"
#define DATE ((struct env_http_header){STR("date"), STR("Thu, 01 Jan 2026 00:00:00 GMT")})

static void world_init(struct plugin_world *world, const char *address, const char *config)
{
    plugin_world_init(world, leased_plugin_entry_kubernetes, "kubernetes");
    fake_env_add_secret(&world->fake, POD_TOKEN, "own-SECRET");
    plugin_world_open(world, address, config);
}

static void grant(struct plugin_world *world)
{
    const struct env_http_header date = DATE;

    plugin_world_answer_with(world, 201, &date, GRANTED);
}

/* --- tokens ----------------------------------------------------------------------------------- */

static void test_a_token_is_asked_for_and_handed_over(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    const struct env_http *http;

    (void)state;
    world_init(&world, NULL, "{}");
    plugin_world_issue(&world, &call,
                       "{\"namespace\":\"team-a\",\"service_account\":\"runner\","
                       "\"audiences\":[\"vault\",\"${identity.user}\"],\"bound_object\":{"
                       "\"kind\":\"Pod\",\"name\":\"p-0\",\"uid\":\"u\"}}",
                       900000);
    http = plugin_world_http(&world);
    assert_string_equal(http->method, "POST");
    assert_string_equal(http->url, TOKEN_URL);
    assert_int_equal(http->flags, 0);
    assert_string_equal(plugin_world_header(&world, "Authorization"), "Bearer own-SECRET");
    assert_string_equal(plugin_world_header(&world, "Accept"), "application/json");
    assert_string_equal(plugin_world_header(&world, "Content-Type"), "application/json");
    assert_string_equal(plugin_world_body(&world),
                        "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\","
                        "\"spec\":{\"audiences\":[\"vault\",\"joe\"],\"expirationSeconds\":900,"
                        "\"boundObjectRef\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\","
                        "\"name\":\"p-0\",\"uid\":\"u\"}}}");
    grant(&world);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_string_equal(call.fields, "token*=a.SECRET.c\n"
                                     "expires_at=2026-01-01T01:00:00Z\n"
                                     "namespace=team-a\n"
                                     "service_account=runner\n");
    assert_int_equal(call.lifetime_ms, 3600000);
    assert_false(call.is_revocable);
    assert_false(call.is_renewable);
    assert_string_equal(call.ref, "");
    plugin_world_fini(&world);
}

static void test_a_life_is_asked_for_within_what_kubernetes_takes(void **state)
{
    static const struct {
        uint64_t ttl_ms;
        const char *spec;
    } cases[] = {
        {0, "\"spec\":{\"audiences\":[]}}"},
        {1000, "\"expirationSeconds\":600}"},
        {600001, "\"expirationSeconds\":601}"},
        {3607000, "\"expirationSeconds\":3606}"},
        {UINT64_MAX, "\"expirationSeconds\":4294967295}"},
    };
    struct plugin_world world;

    (void)state;
    world_init(&world, "https://api.example:6443", "{}");
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct plugin_call call;

        plugin_world_issue(&world, &call, PARAMS, cases[i].ttl_ms);
        assert_string_equal(
            plugin_world_http(&world)->url,
            "https://api.example:6443/api/v1/namespaces/team-a/serviceaccounts/runner/token");
        assert_non_null(strstr(plugin_world_body(&world), cases[i].spec));
        grant(&world);
        assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    }
    plugin_world_fini(&world);
}

static void test_lives_are_counted_by_the_api_servers_clock(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    world_init(&world, NULL, "{}");
    plugin_world_issue(&world, &call, PARAMS, 0);
    plugin_world_answer_with(
        &world, 201, &(struct env_http_header){STR("date"), STR("Thu, 01 Jan 2026 00:10:00 GMT")},
        GRANTED);
    assert_int_equal(call.lifetime_ms, 3000000);
    plugin_world_issue(&world, &call, PARAMS, 0);
    plugin_world_answer_with(
        &world, 201, &(struct env_http_header){STR("date"), STR("Thu, 01 Jan 2026 01:00:00 GMT")},
        GRANTED);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "expired already"));
    plugin_world_fini(&world);
}

/* --- who leased is ---------------------------------------------------------------------------- */

static void test_the_own_token_is_read_each_time(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    world_init(&world, NULL, "{}");
    plugin_world_issue(&world, &call, PARAMS, 0);
    grant(&world);
    world.fake.secrets[0].value = "next";
    plugin_world_issue(&world, &call, PARAMS, 0);
    assert_string_equal(plugin_world_header(&world, "Authorization"), "Bearer next");
    grant(&world);
    world.fake.secrets[0].value = "two words";
    plugin_world_issue(&world, &call, PARAMS, 0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "it holds no token"));
    world.fake.secret_count = 0;
    plugin_world_issue(&world, &call, PARAMS, 0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "can't be read"));
    plugin_world_fini(&world);
}

static void test_with_a_certificate_no_token_is_sent(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    world_init(&world, "https://api.example:6443", "{\"auth\":\"certificate\"}");
    plugin_world_issue(&world, &call, PARAMS, 0);
    assert_string_equal(plugin_world_header(&world, "Authorization"), "");
    grant(&world);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

/* --- bound to a Secret ------------------------------------------------------------------------ */

/* Answers the Secret's making; the name that was on record is in call->intents. */
static void make_secret(struct plugin_world *world, const struct plugin_call *call)
{
    char name[64];

    assert_memory_equal(call->intents, "team-a/secrets/leased-", 22);
    assert_int_equal(strlen(call->intents), strlen("team-a/secrets/leased-0123456789abcdef\n"));
    (void)snprintf(name, sizeof(name), "\"name\":\"%.23s\"", call->intents + 15);
    assert_string_equal(plugin_world_http(world)->url, BASE "/secrets");
    assert_int_equal(plugin_world_http(world)->flags, ENV_HTTP_CREATES);
    assert_non_null(strstr(plugin_world_body(world), name));
    plugin_world_answer(world, 201, MADE);
    assert_string_equal(plugin_world_http(world)->url, TOKEN_URL);
    assert_non_null(strstr(plugin_world_body(world), "\"boundObjectRef\":{\"kind\":\"Secret\","
                                                     "\"apiVersion\":\"v1\",\"name\":\"leased-"));
    assert_non_null(strstr(plugin_world_body(world), "\"uid\":\"u-1\"}"));
}

static void test_a_token_may_be_bound_to_a_secret_of_its_own(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    struct plugin_call revoke;
    char url[256];

    (void)state;
    world_init(&world, NULL, "{}");
    plugin_world_issue(&world, &call, REVOCABLE, 900000);
    assert_non_null(strstr(plugin_world_body(&world),
                           "\"labels\":{\"app.kubernetes.io/managed-by\":\"leased\"},"
                           "\"annotations\":{\"leased/user\":\"joe\",\"leased/uid\":\"1000\","
                           "\"leased/role\":\"the-role\",\"leased/reason\":\"deploy 7\"}"));
    make_secret(&world, &call);
    grant(&world);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_true(call.is_revocable);
    assert_int_equal(strlen(call.ref) + 1, strlen(call.intents));
    assert_memory_equal(call.ref, call.intents, strlen(call.ref));
    plugin_world_revoke(&world, &revoke, REVOCABLE, call.ref);
    assert_string_equal(plugin_world_http(&world)->method, "DELETE");
    (void)snprintf(url, sizeof(url), "https://kubernetes.default.svc/api/v1/namespaces/%s",
                   call.ref);
    assert_string_equal(plugin_world_http(&world)->url, url);
    plugin_world_answer(&world, 200, "{\"kind\":\"Status\",\"status\":\"Success\"}");
    assert_int_equal(revoke.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_a_secret_without_a_token_is_named(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        enum lease_outcome outcome;
    } cases[] = {
        {403, STATUS("Forbidden", "no"), LEASE_OUTCOME_DENIED},
        {404, STATUS("NotFound", "no"), LEASE_OUTCOME_INVALID},
        {201, "{}", LEASE_OUTCOME_RETRY},
        {201, "{\"status\":{\"token\":\"t\",\"expirationTimestamp\":\"2020-01-01T01:00:00Z\"}}",
         LEASE_OUTCOME_INVALID},
        {500, "", LEASE_OUTCOME_RETRY},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct plugin_world world;
        struct plugin_call call;

        world_init(&world, NULL, "{}");
        plugin_world_issue(&world, &call, REVOCABLE, 0);
        make_secret(&world, &call);
        plugin_world_answer(&world, cases[i].status, cases[i].body);
        assert_int_equal(call.outcome, cases[i].outcome);
        assert_int_equal(strlen(call.orphan) + 1, strlen(call.intents));
        assert_memory_equal(call.orphan, call.intents, strlen(call.orphan));
        plugin_world_fini(&world);
    }
}

static void test_a_secret_that_was_not_made_is_not_named(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    world_init(&world, NULL, "{}");
    plugin_world_issue(&world, &call, REVOCABLE, 0);
    plugin_world_answer(&world, 403, STATUS("Forbidden", "exceeded quota"));
    assert_int_equal(call.outcome, LEASE_OUTCOME_DENIED);
    assert_string_equal(call.orphan, "");
    plugin_world_issue(&world, &call, REVOCABLE, 0);
    plugin_world_fail(&world, ERR_CONNECT);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_string_equal(call.orphan, "");
    plugin_world_fini(&world);
}

static void test_a_secret_that_may_have_been_made_is_named(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    world_init(&world, NULL, "{}");
    plugin_world_issue(&world, &call, REVOCABLE, 0);
    plugin_world_fail(&world, ERR_LOST);
    assert_int_equal(call.outcome, LEASE_OUTCOME_LOST);
    assert_memory_equal(call.orphan, call.intents, strlen(call.orphan));
    assert_true(strlen(call.orphan) > 0);
    plugin_world_issue(&world, &call, REVOCABLE, 0);
    plugin_world_answer(&world, 504, STATUS("Timeout", "too slow"));
    assert_int_equal(call.outcome, LEASE_OUTCOME_LOST);
    assert_true(strlen(call.orphan) > 0);
    /* Names are of chance, so it is ours: something in between has sent the request twice. */
    plugin_world_issue(&world, &call, REVOCABLE, 0);
    plugin_world_answer(&world, 409, STATUS("AlreadyExists", "it is there"));
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_true(strlen(call.orphan) > 0);
    plugin_world_issue(&world, &call, REVOCABLE, 0);
    plugin_world_answer(&world, 408, "<html>");
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_true(strlen(call.orphan) > 0);
    plugin_world_issue(&world, &call, REVOCABLE, 0);
    plugin_world_answer(&world, 201, "{\"metadata\":{}}");
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_true(strlen(call.orphan) > 0);
    plugin_world_fini(&world);
}

/* The first of two that something in between has sent may have been taken. */
static void test_a_secret_that_is_one_too_many_is_named(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    world_init(&world, NULL, "{}");
    plugin_world_issue(&world, &call, REVOCABLE, 0);
    plugin_world_answer(&world, 429, STATUS("TooManyRequests", "later"));
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_true(strlen(call.orphan) > 0);
    plugin_world_fini(&world);
}

static void test_a_secret_that_comes_too_late_is_deleted(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    world_init(&world, NULL, "{}");
    plugin_world_issue(&world, &call, REVOCABLE, 0);
    plugin_world_time_out(&world);
    assert_int_equal(call.end_count, 1);
    plugin_world_answer(&world, 201, MADE);
    fake_env_advance(&world.fake, 60000);
    assert_string_equal(plugin_world_http(&world)->method, "DELETE");
    plugin_world_answer(&world, 200, "{\"kind\":\"Status\",\"status\":\"Success\"}");
    assert_true(plugin_world_is_idle(&world));
    plugin_world_fini(&world);
}

static void test_what_a_revocation_is_told(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        enum lease_outcome outcome;
    } cases[] = {
        {202, "{\"kind\":\"Secret\",\"metadata\":{\"deletionTimestamp\":\"x\"}}", LEASE_OUTCOME_OK},
        {200, "{\"kind\":\"Status\",\"status\":\"Success\"}", LEASE_OUTCOME_OK},
        /* What something in between says proves nothing. */
        {200, "{}", LEASE_OUTCOME_RETRY},
        {200, "<html>the hotel's network</html>", LEASE_OUTCOME_RETRY},
        {200, STATUS("Forbidden", "no"), LEASE_OUTCOME_RETRY},
        {404, STATUS("NotFound", "secrets \\\"leased-0\\\" not found"), LEASE_OUTCOME_GONE},
        {404, "404 page not found", LEASE_OUTCOME_RETRY},
        {403, STATUS("Forbidden", "secrets is forbidden"), LEASE_OUTCOME_DENIED},
        {500, "", LEASE_OUTCOME_RETRY},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct plugin_world world;
        struct plugin_call call;

        world_init(&world, NULL, "{}");
        plugin_world_revoke(&world, &call, REVOCABLE, "team-a/secrets/leased-0");
        plugin_world_answer(&world, cases[i].status, cases[i].body);
        assert_int_equal(call.outcome, cases[i].outcome);
        plugin_world_fini(&world);
    }
}

static void test_nothing_but_an_own_secret_is_deleted(void **state)
{
    static const char *const refs[] = {
        "team-a/secrets/other",       "team-a/secrets/leased-",   "team-a/pods/leased-0",
        "a/b/secrets/leased-0",       "team-a/secrets/leased-0?", "team-a/secrets/leased-0/x",
        "team-a/secrets/leased-0\nx", "/secrets/leased-0",        "team-a",
    };
    struct plugin_world world;

    (void)state;
    world_init(&world, NULL, "{}");
    for (size_t i = 0; i < COUNT(refs); i++) {
        struct plugin_call call;

        plugin_world_revoke(&world, &call, REVOCABLE, refs[i]);
        assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
        assert_true(plugin_world_is_idle(&world));
    }
    plugin_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_is_asked_for_and_handed_over),
        cmocka_unit_test(test_a_life_is_asked_for_within_what_kubernetes_takes),
        cmocka_unit_test(test_lives_are_counted_by_the_api_servers_clock),
        cmocka_unit_test(test_the_own_token_is_read_each_time),
        cmocka_unit_test(test_with_a_certificate_no_token_is_sent),
        cmocka_unit_test(test_a_token_may_be_bound_to_a_secret_of_its_own),
        cmocka_unit_test(test_a_secret_without_a_token_is_named),
        cmocka_unit_test(test_a_secret_that_was_not_made_is_not_named),
        cmocka_unit_test(test_a_secret_that_may_have_been_made_is_named),
        cmocka_unit_test(test_a_secret_that_is_one_too_many_is_named),
        cmocka_unit_test(test_a_secret_that_comes_too_late_is_deleted),
        cmocka_unit_test(test_what_a_revocation_is_told),
        cmocka_unit_test(test_nothing_but_an_own_secret_is_deleted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
