/* `lease explain`: what an explanation looks like to people, and its exit code. */
#include "fake_daemon.h"

#include "base/err.h"
#include "base/mem.h"
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EXPLAIN "POST /leased/v1/policy/explain"
#define RULES                                                                                      \
    "\"rules\":[{\"rule\":\"ops\",\"effect\":\"allow\",\"verdict\":\"no_match\",\"condition\":"    \
    "\"subjects\",\"detail\":\"the caller's user doesn't match\"},{\"rule\":\"ci\",\"effect\":"    \
    "\"allow\",\"verdict\":\"decides\",\"condition\":null,\"detail\":null}],"                      \
    "\"rules_for_other_roles\":2"
#define ALLOWED                                                                                    \
    "{\"role\":\"orders-db\",\"identity\":\"local/1000\"," RULES ",\"decision\":\"allow\","        \
    "\"rule\":\"ci\",\"limit\":null,\"detail\":null,\"grant\":{\"duration\":1800,\"binding\":"     \
    "[\"parent\",\"comm:a\\u001b[2J\"],\"live\":0},\"issue\":{\"backend\":\"bao\",\"params\":"     \
    "{\"path\":\"database/creds/orders\"},\"ttl\":null,\"max_ttl\":86400,"                         \
    "\"renew_at_percent\":50,\"min_remaining\":300,\"share\":\"none\",\"linger\":0},"              \
    "\"backend\":{\"name\":\"bao\",\"up\":true}}"
#define DENIED                                                                                     \
    "{\"role\":\"orders-db\",\"rules\":[],\"rules_for_other_roles\":2,\"decision\":\"denied\","    \
    "\"rule\":null,\"limit\":null,\"detail\":\"no rule allows user bob role orders-db\","          \
    "\"hint\":\"rule glass allows it\"}"
#define WITH_DAEMON(...)                                                                           \
    struct fake_daemon daemon;                                                                     \
    const struct fake_route routes[] = {__VA_ARGS__};                                              \
    const struct lease_result *result;                                                             \
    (void)state;                                                                                   \
    fake_daemon_start(&daemon, routes, ARRAY_LEN(routes))

static int setup(void **state)
{
    (void)state;
    return client_global_init();
}

static void test_what_is_allowed_is_told_with_its_limits_and_rules(void **state)
{
    WITH_DAEMON({EXPLAIN " ", 200, NULL, ALLOWED, 0});

    result = RUN_LEASE(&daemon, "explain", "orders-db");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_string_equal(
        result->out,
        "orders-db: allowed by rule ci\n"
        "  you would hold it for 30m, bound to parent, comm:a\\x1b[2J\n"
        "  issued by backend bao (up): {\"path\":\"database/creds/orders\"}\n"
        "  ttl the issuer's own, max_ttl 1d, never handed out with less than 5m; renewed at 50%; "
        "shared with: none\n"
        "\n"
        "RULE  EFFECT  VERDICT   WHY\n"
        "ops   allow   no_match  the caller's user doesn't match\n"
        "ci    allow   decides   -\n");
    fake_daemon_stop(&daemon);
}

static void test_a_window_s_end_is_told_and_a_ticket_is_sent(void **state)
{
    WITH_DAEMON(
        {EXPLAIN " ", 200, NULL,
         "{\"role\":\"db\",\"decision\":\"allow\",\"rule\":\"ci\",\"grant\":{\"duration\":1800,"
         "\"until\":\"2026-11-30T19:00:00.000Z\",\"binding\":[\"parent\"]}}",
         0});

    result = RUN_LEASE(&daemon, "explain", "db", "--ticket", "OPS-1");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_non_null(strstr(result->out, "  you would hold it for 30m, at most until its window "
                                        "closes at 2026-11-30T19:00:00.000Z, bound to parent\n"));
    assert_int_equal(fake_daemon_count(&daemon, "\"ticket\":\"OPS-1\""), 1);
    fake_daemon_stop(&daemon);
}

static void test_what_would_be_denied_exits_with_3(void **state)
{
    WITH_DAEMON({EXPLAIN " ", 200, NULL, DENIED, 0});

    result = RUN_LEASE(&daemon, "explain", "orders-db");
    assert_int_equal(result->exit_code, CLI_DENIED);
    assert_string_equal(result->out, "orders-db: denied: no rule allows user bob role orders-db\n"
                                     "  hint: rule glass allows it\n"
                                     "  no rule is about this role (2 about others)\n");
    result = RUN_LEASE(&daemon, "explain", "orders-db", "-o", "json");
    assert_int_equal(result->exit_code, CLI_DENIED);
    assert_non_null(strstr(result->out, "\"decision\": \"denied\""));
    fake_daemon_stop(&daemon);
}

static void test_an_unknown_role_exits_with_4(void **state)
{
    WITH_DAEMON({EXPLAIN " ", 404, NULL,
                 "{\"status\":404,\"code\":\"unknown_role\",\"detail\":\"there is no role\"}", 0});

    result = RUN_LEASE(&daemon, "explain", "nope");
    assert_int_equal(result->exit_code, CLI_NOT_FOUND);
    fake_daemon_stop(&daemon);
}

static void test_a_subject_s_token_may_be_named_as_policies_do(void **state)
{
    WITH_DAEMON({EXPLAIN " ", 200, NULL, ALLOWED, 0});

    result = RUN_LEASE(&daemon, "policy", "explain", "orders-db", "--subject", "user=bob",
                       "--subject", "jwt.issuer=gitlab", "--subject", "jwt.claims.ref=a",
                       "--subject", "claims.ref=b");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_int_equal(
        fake_daemon_count(&daemon, "\"subject\":{\"user\":\"bob\",\"jwt\":{\"issuer\":\"gitlab\","
                                   "\"claims\":{\"ref\":[\"a\",\"b\"]}}}"),
        1);
    fake_daemon_stop(&daemon);
}

static void test_a_bad_duration_is_told_before_anybody_is_asked(void **state)
{
    (void)state;
    assert_int_equal(RUN_LEASE(NULL, "explain", "db", "--for", "soon")->exit_code, CLI_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_allowed_is_told_with_its_limits_and_rules),
        cmocka_unit_test(test_a_window_s_end_is_told_and_a_ticket_is_sent),
        cmocka_unit_test(test_what_would_be_denied_exits_with_3),
        cmocka_unit_test(test_an_unknown_role_exits_with_4),
        cmocka_unit_test(test_a_subject_s_token_may_be_named_as_policies_do),
        cmocka_unit_test(test_a_bad_duration_is_told_before_anybody_is_asked),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
