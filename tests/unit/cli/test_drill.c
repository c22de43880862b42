/* `revoke` with whom it is about, `block`, `blocks`, `unblock`: what is asked, printed and
 * returned.
 */
#include "fake_daemon.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define ROUTES(...)                                                                                \
    static const struct fake_route routes[] = {__VA_ARGS__};                                       \
    struct fake_daemon daemon;                                                                     \
    (void)state;                                                                                   \
    fake_daemon_start(&daemon, routes, sizeof(routes) / sizeof(routes[0]))

#define FOUND "{\"event\":\"found\",\"drill\":\"d-1\",\"block\":null,\"until\":null,\"leases\":2}\n"
#define REVOKED                                                                                    \
    "\n{\"event\":\"revoked\",\"lease\":\"l-1\",\"role\":\"db\",\"backend\":\"vault\"}\n"
#define SUMMARY(rest)                                                                              \
    "{\"event\":\"summary\",\"drill\":\"d-1\",\"leases\":2,\"grants\":1,\"revoked\":1," rest "}\n"
#define BLOCK                                                                                      \
    "{\"id\":\"b-1\",\"match\":{\"subject\":{\"user\":\"alice\"}},"                                \
    "\"until\":\"2026-11-23T20:35:00.000Z\",\"reason\":\"leak\",\"by\":\"root\","                  \
    "\"created\":\"2026-11-22T20:35:00.000Z\"}"

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" isn't in: %s", part, text);
    }
}

static void test_a_drill_says_what_it_is_about_and_prints_each_lease(void **state)
{
    const struct lease_result *result;
    ROUTES({"POST /leased/v1/revoke?wait=30", 200, NULL,
            FOUND REVOKED SUMMARY("\"pending\":0,\"unrevocable\":0,\"unconfirmed\":0"), 0});

    result = RUN_LEASE(&daemon, "revoke", "--subject", "person=alice", "--subject", "uid=7",
                       "--role", "db*", "--block", "24h", "--reason", "leak");
    assert_int_equal(result->exit_code, 0);
    has(result->out, "2 leases to revoke\n");
    has(result->out, "revoked      l-1  db  vault\n");
    has(result->out, "1 revoked\n");
    has(daemon.log,
        "{\"match\":{\"subject\":{\"person\":\"alice\",\"uid\":\"7\"},\"role\":\"db*\"},"
        "\"block\":86400,\"reason\":\"leak\"}");
    fake_daemon_stop(&daemon);
}

static void test_what_lives_on_is_8(void **state)
{
    const struct lease_result *result;
    ROUTES({"POST", 200, NULL,
            FOUND "{\"event\":\"pending\",\"lease\":\"l-1\",\"role\":\"db\",\"backend\":\"vault\","
                  "\"expires_at\":null,\"error\":\"down\"}\n"
                  "{\"event\":\"expires_at\",\"lease\":\"l-2\",\"role\":\"ci\",\"backend\":\"aws\","
                  "\"expires_at\":\"2026-11-23T20:35:00.000Z\"}\n" SUMMARY(
                      "\"pending\":1,\"unrevocable\":1,\"unconfirmed\":0,\"expires_at\":"
                      "\"2026-11-23T20:35:00.000Z\""),
            0});

    result = RUN_LEASE(&daemon, "revoke", "--identifier", "v-user-1");
    assert_int_equal(result->exit_code, 8);
    has(result->out, "pending      l-1  db  vault  down\n");
    has(result->out, "unrevocable  l-2  ci  aws  lives until 2026-11-23T20:35:00.000Z\n");
    has(result->out, "1 pending: leased goes on trying, 1 can't be revoked and live until 2026");
    fake_daemon_stop(&daemon);
}

static void test_json_is_passed_through(void **state)
{
    const struct lease_result *result;
    ROUTES({"POST", 200, NULL, FOUND REVOKED SUMMARY("\"pending\":0"), 0});

    result = RUN_LEASE(&daemon, "revoke", "--all", "--yes", "-o", "json");
    assert_int_equal(result->exit_code, 0);
    assert_memory_equal(result->out, FOUND "{\"event\":\"revoked\"", sizeof(FOUND "{") - 1);
    fake_daemon_stop(&daemon);
}

static void test_an_answer_that_breaks_off_is_no_success(void **state)
{
    const struct lease_result *result;
    ROUTES({"POST", 200, NULL, FOUND, 0});

    result = RUN_LEASE(&daemon, "revoke", "--role", "db");
    assert_int_equal(result->exit_code, 8);
    has(result->err, "leased goes on with it");
    fake_daemon_stop(&daemon);
}

static void test_a_refusal_is_the_exit_code(void **state)
{
    const struct lease_result *result;
    ROUTES({"POST", 403, "Content-Type: application/problem+json\r\n",
            "{\"status\":403,\"code\":\"denied\",\"detail\":\"only an admin\"}", 0});

    result = RUN_LEASE(&daemon, "revoke", "--role", "db");
    assert_int_equal(result->exit_code, 3);
    has(result->err, "only an admin");
    fake_daemon_stop(&daemon);
}

static void test_garbage_is_a_failure(void **state)
{
    ROUTES({"POST", 200, NULL, "{\"event\n", 0});

    assert_int_equal(RUN_LEASE(&daemon, "revoke", "--role", "db")->exit_code, 1);
    fake_daemon_stop(&daemon);
}

static void test_mistakes_ask_nobody(void **state)
{
    ROUTES({"POST", 500, NULL, "", 0});

    assert_int_equal(RUN_LEASE(&daemon, "revoke")->exit_code, 64);
    assert_int_equal(RUN_LEASE(&daemon, "revoke", "l-1", "--role", "db")->exit_code, 64);
    assert_int_equal(RUN_LEASE(&daemon, "revoke", "--subject", "alice")->exit_code, 64);
    assert_int_equal(
        RUN_LEASE(&daemon, "revoke", "--subject", "a=b", "--subject", "a=c")->exit_code, 64);
    assert_int_equal(RUN_LEASE(&daemon, "revoke", "--role", "db", "--block", "soon")->exit_code,
                     64);
    assert_int_equal(RUN_LEASE(&daemon, "block", "1h")->exit_code, 64);
    assert_int_equal(fake_daemon_count(&daemon, "POST"), 0);
    fake_daemon_stop(&daemon);
}

static void test_blocks_are_made_listed_and_ended(void **state)
{
    const struct lease_result *result;
    ROUTES({"POST /leased/v1/blocks", 201, NULL, BLOCK, 0},
           {"GET /leased/v1/blocks", 200, NULL, "{\"items\":[" BLOCK "],\"next\":null}", 0},
           {"DELETE /leased/v1/blocks/b-1", 200, NULL, BLOCK, 0});

    result = RUN_LEASE(&daemon, "block", "24h", "--subject", "user=alice");
    assert_int_equal(result->exit_code, 0);
    assert_string_equal(result->out, "b-1 blocked until 2026-11-23T20:35:00.000Z\n");
    has(daemon.log, "\"block\":86400");
    result = RUN_LEASE(&daemon, "blocks");
    has(result->out, "WHO OR WHAT");
    has(result->out, "{\"subject\":{\"user\":\"alice\"}}");
    result = RUN_LEASE(&daemon, "unblock", "b-1");
    assert_string_equal(result->out, "b-1 ended\n");
    fake_daemon_stop(&daemon);
}

static void test_who_says_nothing_hears_what_may_be_said(void **state)
{
    const struct lease_result *result = RUN_LEASE(NULL, "block", "24h");

    (void)state;
    assert_int_equal(result->exit_code, 64);
    has(result->err, "--role ROLE, --backend NAME or --all");
    result = RUN_LEASE(NULL, "revoke", "--block", "24h");
    assert_int_equal(result->exit_code, 64);
    has(result->err, "--role ROLE, --identifier NAME, --backend NAME or --all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_says_nothing_hears_what_may_be_said),
        cmocka_unit_test(test_a_drill_says_what_it_is_about_and_prints_each_lease),
        cmocka_unit_test(test_what_lives_on_is_8),
        cmocka_unit_test(test_json_is_passed_through),
        cmocka_unit_test(test_an_answer_that_breaks_off_is_no_success),
        cmocka_unit_test(test_a_refusal_is_the_exit_code),
        cmocka_unit_test(test_garbage_is_a_failure),
        cmocka_unit_test(test_mistakes_ask_nobody),
        cmocka_unit_test(test_blocks_are_made_listed_and_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
