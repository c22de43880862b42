/* The kubernetes plugin: what goes wrong, and what becomes of it. */
#include "plugins/plugin_world.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

int32_t leased_plugin_entry_kubernetes(const struct leased_host *host,
                                       const struct leased_plugin **ret_plugin);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PARAMS "{\"namespace\":\"team-a\",\"service_account\":\"runner\"}"
#define REVOCABLE                                                                                  \
    "{\"namespace\":\"team-a\",\"service_account\":\"runner\",\"revoke\":\"bound-secret\"}"
#define GRANTED                                                                                    \
    "{\"status\":{\"token\":\"a.SECRET.c\",\"expirationTimestamp\":\"2026-01-01T01:00:00Z\"}}"
#define MADE "{\"metadata\":{\"uid\":\"u-1\"}}"
#define STATUS(reason, message)                                                                    \
    "{\"kind\":\"Status\",\"message\":\"" message "\",\"reason\":\"" reason "\"}"

static void world_init(struct plugin_world *world)
{
    plugin_world_init(world, leased_plugin_entry_kubernetes, "kubernetes");
    fake_env_add_secret(&world->fake, "file:/t", "own-SECRET");
    plugin_world_open(world, NULL, "{\"token_file\":\"/t\"}");
}

static void test_each_error_has_its_class(void **state)
{
    static const struct {
        uint32_t status;
        const char *retry_after;
        const char *body;
        enum lease_outcome outcome;
        uint64_t retry_after_ms;
        const char *text;
    } cases[] = {
        {401, "", STATUS("Unauthorized", "Unauthorized"), LEASE_OUTCOME_DENIED, 0,
         "the API server answered 401 Unauthorized: Unauthorized (it doesn't accept leased's own "
         "token or certificate)"},
        {403, "", STATUS("Forbidden", "cannot create \\u001b[0m"), LEASE_OUTCOME_DENIED, 0,
         "answered 403 Forbidden: cannot create  [0m (no role"},
        {404, "", STATUS("NotFound", "serviceaccounts \\\"runner\\\" not found"),
         LEASE_OUTCOME_INVALID, 0, "serviceaccounts \"runner\" not found"},
        {409, "", STATUS("Conflict", "the UID in the bound object reference"),
         LEASE_OUTCOME_INVALID, 0, "the UID"},
        {422, "", STATUS("Invalid", "may not specify a duration"), LEASE_OUTCOME_INVALID, 0,
         "may not specify"},
        {403, "", "<html>a firewall</html>", LEASE_OUTCOME_RETRY, 0, "something in between"},
        {404, "", "404 page not found", LEASE_OUTCOME_RETRY, 0, "something in between"},
        {429, "7", STATUS("TooManyRequests", "later"), LEASE_OUTCOME_RETRY, 7000,
         "too many requests"},
        {429, "", "", LEASE_OUTCOME_RETRY, 1000, "too many requests"},
        {503, "5", STATUS("ServiceUnavailable", "x"), LEASE_OUTCOME_RETRY, 5000, "answered 503"},
        {500, "", STATUS("InternalError", "x"), LEASE_OUTCOME_RETRY, 0,
         "answered 500 InternalError: x"},
        {504, "", "", LEASE_OUTCOME_RETRY, 0, "answered 504"},
        {201, "", "", LEASE_OUTCOME_RETRY, 0, "holds no token"},
        {201, "", "{\"status\":[]}", LEASE_OUTCOME_RETRY, 0, "holds no token"},
        {201, "", "{\"status\":{\"token\":\"a b\"}}", LEASE_OUTCOME_RETRY, 0, "holds no token"},
        {201, "", "{\"status\":{\"token\":\"a\",\"expirationTimestamp\":null}}",
         LEASE_OUTCOME_RETRY, 0, "when it expires"},
        {204, "", "", LEASE_OUTCOME_RETRY, 0, "answered 204"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct plugin_world world;
        struct plugin_call call;

        world_init(&world);
        plugin_world_issue(&world, &call, PARAMS, 0);
        plugin_world_answer_with(&world, cases[i].status,
                                 &(struct env_http_header){STR("retry-after"),
                                                           str_of(cases[i].retry_after)},
                                 cases[i].body);
        assert_int_equal(call.end_count, 1);
        assert_int_equal(call.outcome, cases[i].outcome);
        assert_int_equal(call.retry_after_ms, cases[i].retry_after_ms);
        assert_non_null(strstr(call.detail, cases[i].text));
        assert_true(strlen(call.detail) < 400);
        assert_string_equal(call.orphan, "");
        plugin_world_fini(&world);
    }
}

static void test_answers_that_are_too_deep_or_too_long_are_no_tokens(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    char *body = calloc(1, 20000);

    (void)state;
    assert_non_null(body);
    memset(body, '[', 19000);
    world_init(&world);
    plugin_world_issue(&world, &call, PARAMS, 0);
    plugin_world_answer(&world, 201, body);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    memset(body, 'm', 19000);
    memcpy(body, "{\"status\":{\"token\":\"", 20);
    memcpy(body + 18900, "\"}}\0", 4);
    plugin_world_issue(&world, &call, PARAMS, 0);
    plugin_world_answer(&world, 201, body);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    plugin_world_fini(&world);
    free(body);
}

static void test_a_token_whose_answer_is_lost_is_asked_for_again(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    world_init(&world);
    plugin_world_issue(&world, &call, PARAMS, 0);
    plugin_world_fail(&world, ERR_LOST);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    plugin_world_issue(&world, &call, PARAMS, 0);
    plugin_world_fail(&world, ERR_CONNECT);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_string_equal(call.detail, "no route");
    plugin_world_fini(&world);
}

static void test_what_is_given_up_ends(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    struct lease_issuer *issuer;

    (void)state;
    world_init(&world);
    issuer = backend_issuer(world.backend);
    plugin_world_issue(&world, &call, PARAMS, 0);
    issuer->ops->call_cancel(issuer, &call.call);
    fake_env_run(&world.fake);
    assert_int_equal(call.end_count, 1);
    assert_true(plugin_world_is_idle(&world));
    plugin_world_issue(&world, &call, REVOCABLE, 0);
    plugin_world_answer(&world, 201, MADE);
    issuer->ops->call_cancel(issuer, &call.call);
    fake_env_run(&world.fake);
    assert_int_equal(call.end_count, 1);
    plugin_world_fini(&world);
}

static void test_closing_ends_what_is_under_way(void **state)
{
    struct plugin_world world;
    struct plugin_call issue;
    struct plugin_call bound;
    struct plugin_call revoke;

    (void)state;
    world_init(&world);
    plugin_world_issue(&world, &issue, PARAMS, 0);
    plugin_world_issue(&world, &bound, REVOCABLE, 0);
    plugin_world_revoke(&world, &revoke, REVOCABLE, "team-a/secrets/leased-0");
    plugin_world_fini(&world);
    assert_int_equal(issue.end_count, 1);
    assert_int_equal(bound.end_count, 1);
    assert_int_equal(revoke.end_count, 1);
}

/* --- configuration ---------------------------------------------------------------------------- */

static void test_what_a_configuration_lacks_is_said(void **state)
{
    static const struct {
        const char *json;
        const char *text;
    } cases[] = {
        {"{}", ""},
        {"{\"token_env\":\"T\"}", ""},
        {"{\"auth\":\"token\",\"token_file\":\"/run/secrets/x\"}", ""},
        {"{\"auth\":\"certificate\"}", ""},
        {"{\"auth\":\"certificate\",\"token_env\":\"T\"}", "auth: with certificate no token"},
        {"{\"auth\":\"basic\"}", "auth: token or certificate"},
        {"{\"auth\":{}}", "auth: "},
        {"{\"token\":\"t\"}", "token: a secret is never written"},
        {"{\"token_file\":7}", "token_file: "},
        {"{\"kubeconfig_file\":\"/k\"}", "kubeconfig_file: kubeconfigs aren't read"},
        {"{\"token_fil\":\"/k\"}", "did you mean \"token_file\""},
        {"[]", "not a JSON object"},
    };
    struct plugin_world world;

    (void)state;
    world_init(&world);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *error = plugin_world_config_error(&world, cases[i].json);

        assert_non_null(strstr(error, cases[i].text));
        assert_int_equal(error[0] == '\0', cases[i].text[0] == '\0');
    }
    plugin_world_fini(&world);
}

#define WITH(more) "{\"namespace\":\"a\",\"service_account\":\"b\"," more "}"

static void test_what_a_role_lacks_is_said(void **state)
{
    static const struct {
        const char *json;
        const char *text;
    } cases[] = {
        {PARAMS, ""},
        {REVOCABLE, ""},
        {"{\"namespace\":\"${identity.user}\",\"service_account\":\"a.b-c\"}", ""},
        {WITH("\"audiences\":[\"https://vault.example\"]"), ""},
        {WITH("\"bound_object\":{\"kind\":\"Node\",\"name\":\"n\"}"), ""},
        {"{\"service_account\":\"b\"}", "`namespace` is missing"},
        {"{\"namespace\":\"a\"}", "`service_account` is missing"},
        {"{\"namespace\":\"A\",\"service_account\":\"b\"}", "namespace: a name as Kubernetes"},
        {"{\"namespace\":\"a\",\"service_account\":\"b/c\"}", "service_account: a name as"},
        {"{\"namespace\":\"a\",\"service_account\":\"..\"}", "service_account: a name as"},
        {"{\"namespace\":\"a\",\"service_account\":\"b-\"}", "service_account: a name as"},
        {"{\"namespace\":\"a\",\"service_account\":7}", "service_account: a text"},
        {WITH("\"audiences\":[]"), "audiences: a list of 1 to 32"},
        {WITH("\"audiences\":\"x\""), "audiences: a list of 1 to 32"},
        {WITH("\"audiences\":[7]"), "audiences: texts of 1 to 512"},
        {WITH("\"bound_object\":\"x\""), "bound_object: kind"},
        {WITH("\"bound_object\":{\"kind\":\"Job\",\"name\":\"n\"}"), "bound_object: kind"},
        {WITH("\"bound_object\":{\"kind\":\"Pod\"}"), "bound_object: kind"},
        {WITH("\"bound_object\":{\"kind\":\"Pod\",\"nam\":\"n\"}"), "bound_object.nam: unknown"},
        {WITH("\"revoke\":\"yes\""), "revoke: bound-secret"},
        {WITH("\"revoke\":\"bound-secret\",\"bound_object\":{\"kind\":\"Pod\",\"name\":\"n\"}"),
         "revoke: bound-secret binds"},
        {WITH("\"audience\":[]"), "did you mean \"audiences\""},
    };
    struct plugin_world world;

    (void)state;
    world_init(&world);
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
    world_init(&world);
    /* "deploy 7" */
    plugin_world_issue(&world, &call,
                       "{\"namespace\":\"team-a\",\"service_account\":\"${reason}\"}", 0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "service_account: "));
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
    bool is_good;

    world_init(&world);
    mem_set_fail_hook(fails_at > 0 ? fail_nth : NULL);
    plugin_world_issue(&world, &issue, REVOCABLE, 0);
    if (!plugin_world_is_idle(&world)) {
        plugin_world_answer(&world, 201, MADE);
    }
    if (!plugin_world_is_idle(&world)) {
        plugin_world_answer(&world, 201, GRANTED);
    }
    plugin_world_revoke(&world, &revoke, REVOCABLE, "team-a/secrets/leased-0");
    if (!plugin_world_is_idle(&world)) {
        plugin_world_answer(&world, 200, "{\"kind\":\"Status\",\"status\":\"Success\"}");
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
        cmocka_unit_test(test_a_token_whose_answer_is_lost_is_asked_for_again),
        cmocka_unit_test(test_what_is_given_up_ends),
        cmocka_unit_test(test_closing_ends_what_is_under_way),
        cmocka_unit_test(test_what_a_configuration_lacks_is_said),
        cmocka_unit_test(test_what_a_role_lacks_is_said),
        cmocka_unit_test(test_a_callers_name_that_is_no_name_is_refused_unsent),
        cmocka_unit_test(test_each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
