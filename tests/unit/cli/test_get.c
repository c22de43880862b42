/* `lease get`: what is asked of the daemon, what is printed, what a refusal looks like. */
#include "fake_daemon.h"

#include "base/mem.h"
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CREDENTIAL                                                                                 \
    "{\"role\":\"orders-db\",\"lease\":\"l-1\",\"grant\":\"g-1\",\"version\":1,"                   \
    "\"credential\":{\"username\":\"bob\",\"password\":\"s3cret\"}}"
#define GET "GET /leased/v1/credentials/orders-db"
#define WITH_DAEMON(...)                                                                           \
    struct fake_daemon daemon;                                                                     \
    const struct fake_route routes[] = {__VA_ARGS__};                                              \
    const struct lease_result *result;                                                             \
    (void)state;                                                                                   \
    fake_daemon_start(&daemon, routes, ARRAY_LEN(routes))

static void test_get_binds_to_the_parent_and_carries_the_guard(void **state)
{
    WITH_DAEMON({GET, 200, NULL, CREDENTIAL, 0});

    result = RUN_LEASE(&daemon, "get", "orders-db", "-o", "field=password");
    assert_string_equal(result->err, "");
    assert_string_equal(result->out, "s3cret");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_int_equal(fake_daemon_count(&daemon, GET "?binding=parent HTTP/1.1"), 1);
    assert_int_equal(fake_daemon_count(&daemon, "X-Leased-Request: 1\r\n"), 1);
    assert_int_equal(fake_daemon_count(&daemon, "Host: localhost\r\n"), 1);
    fake_daemon_stop(&daemon);
}

static void test_get_asks_for_what_the_options_say(void **state)
{
    WITH_DAEMON({GET, 200, NULL, CREDENTIAL, 0});

    result =
        RUN_LEASE(&daemon, "get", "--for=30m", "orders-db", "--reason", "fix it & go", "--ticket",
                  "OPS-1", "--bind", "comm:Runner.Worker", "--bind", "pid:12", "-ojson");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_int_equal(fake_daemon_count(&daemon, "?duration=30m&reason=fix%20it%20%26%20go"
                                                "&ticket=OPS-1&binding=comm%3ARunner.Worker"
                                                "&binding=pid%3A12 HTTP"),
                     1);
    fake_daemon_stop(&daemon);
}

static void test_the_reason_defaults_to_the_environment_then_the_ci_job(void **state)
{
    WITH_DAEMON({GET, 200, NULL, CREDENTIAL, 0});

    assert_int_equal(setenv("CI_JOB_URL", "https://ci/1", 1), 0);
    (void)RUN_LEASE(&daemon, "get", "orders-db");
    assert_int_equal(fake_daemon_count(&daemon, "reason=https%3A%2F%2Fci%2F1&"), 1);
    assert_int_equal(setenv("LEASED_REASON", "mine", 1), 0);
    result = RUN_LEASE(&daemon, "get", "orders-db");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_int_equal(fake_daemon_count(&daemon, "reason=mine&"), 1);
    (void)unsetenv("CI_JOB_URL");
    (void)unsetenv("LEASED_REASON");
    fake_daemon_stop(&daemon);
}

static void test_a_reason_that_nobody_gave_is_made_fit(void **state)
{
    char text[320];
    char wanted[512];

    WITH_DAEMON({GET, 200, NULL, CREDENTIAL, 0});
    memset(text, 'x', sizeof(text));
    memcpy(text, "a\nb\xff", 4);
    memcpy(text + 255, "\xc3\xa9", 3);
    assert_int_equal(setenv("BUILD_URL", text, 1), 0);
    result = RUN_LEASE(&daemon, "get", "orders-db");
    assert_int_equal(result->exit_code, CLI_OK);
    (void)snprintf(wanted, sizeof(wanted), "reason=a%%20b%%3F%.251s&binding", text + 4);
    assert_int_equal(fake_daemon_count(&daemon, wanted), 1);
    text[255] = 'y';
    text[256] = 'z';
    assert_int_equal(setenv("LEASED_REASON", text, 1), 0);
    (void)RUN_LEASE(&daemon, "get", "orders-db");
    assert_int_equal(fake_daemon_count(&daemon, "xy&binding"), 1);
    (void)RUN_LEASE(&daemon, "get", "orders-db", "--reason", "a\nb");
    assert_int_equal(fake_daemon_count(&daemon, "reason=a%0Ab&binding"), 1);
    (void)unsetenv("LEASED_REASON");
    (void)unsetenv("BUILD_URL");
    fake_daemon_stop(&daemon);
}

static void test_a_role_name_cannot_leave_its_path_segment(void **state)
{
    WITH_DAEMON({"GET ", 404, NULL, "{\"code\":\"unknown_role\",\"detail\":\"no\"}", 0});

    result = RUN_LEASE(&daemon, "get", "../leases?x=1 y");
    assert_int_equal(result->exit_code, CLI_NOT_FOUND);
    assert_int_equal(fake_daemon_count(&daemon, "credentials/..%2Fleases%3Fx%3D1%20y?"), 1);
    fake_daemon_stop(&daemon);
}

static void test_formats_name_variables_and_maps_rename_them(void **state)
{
    WITH_DAEMON({GET, 200, NULL, CREDENTIAL, 0});

    result = RUN_LEASE(&daemon, "get", "orders-db", "-o", "env", "--map", "password=PGPASSWORD");
    assert_string_equal(result->out, "ORDERS_DB_USERNAME=bob\nPGPASSWORD=s3cret\n");
    result = RUN_LEASE(&daemon, "get", "orders-db", "-o", "shell");
    assert_string_equal(result->out,
                        "export ORDERS_DB_USERNAME='bob'\nexport ORDERS_DB_PASSWORD='s3cret'\n");
    result = RUN_LEASE(&daemon, "get", "orders-db", "-o", "env", "--map", "pass=A");
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_string_equal(result->out, "");
    assert_non_null(strstr(result->err, "--map pass=A: there is no such field"));
    fake_daemon_stop(&daemon);
}

static void test_a_template_leases_what_it_names(void **state)
{
    char path[128];
    char word[160];
    FILE *file;

    WITH_DAEMON({GET, 200, NULL, CREDENTIAL, 0},
                {"GET /leased/v1/credentials/gh", 200, NULL,
                 "{\"role\":\"gh\",\"lease\":\"l-2\",\"credential\":{\"token\":\"t0\"}}", 0});
    (void)snprintf(path, sizeof(path), "%s/template", daemon.folder);
    (void)snprintf(word, sizeof(word), "template=%s", path);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("${username|json} $${x} ${gh.token}\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    result = RUN_LEASE(&daemon, "get", "orders-db", "-o", word);
    assert_string_equal(result->err, "");
    assert_string_equal(result->out, "\"bob\" ${x} t0\n");
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs("${password}\n ${nobody}", file) >= 0);
    assert_int_equal(fclose(file), 0);
    result = RUN_LEASE(&daemon, "get", "orders-db", "-o", word);
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_string_equal(result->out, "");
    assert_non_null(strstr(result->err, "/template:2:2: there is no 'nobody'"));
    (void)unlink(path);
    fake_daemon_stop(&daemon);
}

static void test_an_unknown_field_prints_nothing_and_is_not_found(void **state)
{
    WITH_DAEMON({GET, 200, NULL, CREDENTIAL, 0});

    result = RUN_LEASE(&daemon, "get", "orders-db", "-o", "field=token");
    assert_int_equal(result->exit_code, CLI_NOT_FOUND);
    assert_string_equal(result->out, "");
    assert_non_null(strstr(result->err, "there are: username, password"));
    fake_daemon_stop(&daemon);
}

static void test_a_refusal_tells_reason_rule_and_hint(void **state)
{
    WITH_DAEMON({GET, 403, "Content-Type: application/problem+json\r\n",
                 "{\"status\":403,\"code\":\"denied\",\"detail\":\"no rule allows user bob this "
                 "role\",\"rule\":\"nobody\",\"hint\":\"ask an \\u001b[31moperator\"}",
                 0});

    result = RUN_LEASE(&daemon, "get", "orders-db");
    assert_int_equal(result->exit_code, CLI_DENIED);
    assert_string_equal(result->err,
                        "lease: could not get orders-db: denied: no rule allows user bob this role "
                        "(rule nobody)\nlease: hint: ask an \\x1b[31moperator\n");
    fake_daemon_stop(&daemon);
}

static void test_codes_of_problems_become_exit_codes(void **state)
{
    static const struct {
        unsigned status;
        const char *body;
        int exit_code;
    } cases[] = {
        {403, "{\"code\":\"limit_exceeded\"}", CLI_DENIED},
        {403, "{\"code\":\"reason_required\"}", CLI_DENIED},
        {403, "{\"code\":\"blocked\"}", CLI_DENIED},
        {404, "{\"code\":\"unknown_role\"}", CLI_NOT_FOUND},
        {409, "{\"code\":\"binding_unavailable\"}", CLI_FAILED},
        {400, "{\"code\":\"invalid\"}", CLI_FAILED},
        {429, "{\"code\":\"limit_exceeded\"}", CLI_TEMPORARY},
        {502, "{\"code\":\"issuer_unavailable\"}", CLI_TEMPORARY},
        {503, "{\"code\":\"busy\"}", CLI_TEMPORARY},
        {503, "{\"code\":\"degraded\"}", CLI_TEMPORARY},
        {503, "<html>", CLI_TEMPORARY},
        {302, "", CLI_FAILED},
        {202, "{\"code\":\"approval_pending\"}", CLI_PENDING},
        {200, "not JSON", CLI_FAILED},
        {0, NULL, CLI_UNREACHABLE},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        struct fake_route route = {GET, cases[i].status, NULL, cases[i].body, 0};
        struct fake_daemon daemon;

        fake_daemon_start(&daemon, &route, 1);
        assert_int_equal(RUN_LEASE(&daemon, "get", "orders-db")->exit_code, cases[i].exit_code);
        fake_daemon_stop(&daemon);
    }
}

static void test_a_token_that_is_too_long_is_told_as_that(void **state)
{
    const struct fake_route route = {GET, 431, NULL, "<html>Request too big</html>", 0};
    const struct lease_result *result;
    struct fake_daemon daemon;

    (void)state;
    fake_daemon_start(&daemon, &route, 1);
    result = RUN_LEASE(&daemon, "get", "orders-db");
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_non_null(strstr(result->err, "hint: the job token may be too long"));
    assert_null(strstr(result->err, "<html>"));
    fake_daemon_stop(&daemon);
}

static void test_a_missing_socket_is_unreachable_and_says_where(void **state)
{
    const struct lease_result *result;

    (void)state;
    result = RUN_LEASE(NULL, "--socket", "/nonexistent/leased.sock", "get", "orders-db");
    assert_int_equal(result->exit_code, CLI_UNREACHABLE);
    assert_non_null(strstr(result->err, "/nonexistent/leased.sock"));
    assert_non_null(strstr(result->err, "is leased running?"));
}

static void test_wait_retries_no_sooner_than_retry_after_says(void **state)
{
    uint64_t start_ms = fake_clock_now_ms;

    WITH_DAEMON({GET, 503, "Retry-After: 7\r\n", "{\"code\":\"issuer_unavailable\"}", 2},
                {GET, 200, NULL, CREDENTIAL, 0});

    result = RUN_LEASE(&daemon, "get", "orders-db", "--wait", "10m", "-o", "field=username");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_string_equal(result->out, "bob");
    assert_int_equal(fake_clock_now_ms - start_ms, 14000);
    assert_non_null(strstr(result->err, "issuer_unavailable; trying again for up to 10m"));
    fake_daemon_stop(&daemon);
}

static void test_who_is_refused_for_a_while_is_told_for_how_long(void **state)
{
    WITH_DAEMON({GET, 429, "Retry-After: 1039\r\n", "{\"code\":\"limit_exceeded\"}", 1});

    result = RUN_LEASE(&daemon, "get", "orders-db");
    assert_int_equal(result->exit_code, CLI_TEMPORARY);
    assert_non_null(strstr(result->err, "worth another try in 17m19s\n"));
    fake_daemon_stop(&daemon);
}

static void test_who_waits_for_ever_is_told_no_time(void **state)
{
    WITH_DAEMON({"GET /readyz", 503, NULL, "starting", 1}, {"GET /readyz", 200, NULL, "ok", 0});

    result = RUN_LEASE(&daemon, "wait");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_non_null(strstr(result->err, "; trying again until then"));
    fake_daemon_stop(&daemon);
}

static void test_wait_gives_up_when_its_time_is_over(void **state)
{
    uint64_t start_ms = fake_clock_now_ms;

    WITH_DAEMON({GET, 503, NULL, "{\"code\":\"degraded\"}", 0});

    result = RUN_LEASE(&daemon, "get", "orders-db", "--wait", "20s");
    assert_int_equal(result->exit_code, CLI_TEMPORARY);
    assert_in_range(fake_clock_now_ms - start_ms, 5000, 20000);
    fake_daemon_stop(&daemon);
}

static void test_wait_does_not_retry_a_refusal(void **state)
{
    WITH_DAEMON({GET, 403, NULL, "{\"code\":\"denied\"}", 0});

    result = RUN_LEASE(&daemon, "get", "orders-db", "--wait", "10m");
    assert_int_equal(result->exit_code, CLI_DENIED);
    assert_int_equal(fake_daemon_count(&daemon, GET), 1);
    fake_daemon_stop(&daemon);
}

static void test_an_answer_that_never_ends_is_refused(void **state)
{
    static char body[60000];

    WITH_DAEMON({GET, 200, "X-Pad: 1\r\n", body, 0});

    memset(body, 'x', sizeof(body) - 1);
    fake_daemon_stop(&daemon);
    fake_daemon_start(&daemon, routes, 1);
    result = RUN_LEASE(&daemon, "get", "orders-db");
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_null(strstr(result->err, "xxx"));
    fake_daemon_stop(&daemon);
}

static void test_nothing_secret_stays_allocated(void **state)
{
    WITH_DAEMON({GET, 200, NULL, CREDENTIAL, 0});

    result = RUN_LEASE(&daemon, "get", "orders-db");
    assert_int_equal(result->exit_code, CLI_OK);
    fake_daemon_stop(&daemon);
    client_global_fini();
    assert_int_equal(mem_in_use_bytes(), 0);
    assert_int_equal(client_global_init(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_binds_to_the_parent_and_carries_the_guard),
        cmocka_unit_test(test_get_asks_for_what_the_options_say),
        cmocka_unit_test(test_the_reason_defaults_to_the_environment_then_the_ci_job),
        cmocka_unit_test(test_a_reason_that_nobody_gave_is_made_fit),
        cmocka_unit_test(test_a_role_name_cannot_leave_its_path_segment),
        cmocka_unit_test(test_formats_name_variables_and_maps_rename_them),
        cmocka_unit_test(test_a_template_leases_what_it_names),
        cmocka_unit_test(test_an_unknown_field_prints_nothing_and_is_not_found),
        cmocka_unit_test(test_a_refusal_tells_reason_rule_and_hint),
        cmocka_unit_test(test_codes_of_problems_become_exit_codes),
        cmocka_unit_test(test_a_token_that_is_too_long_is_told_as_that),
        cmocka_unit_test(test_a_missing_socket_is_unreachable_and_says_where),
        cmocka_unit_test(test_wait_retries_no_sooner_than_retry_after_says),
        cmocka_unit_test(test_who_is_refused_for_a_while_is_told_for_how_long),
        cmocka_unit_test(test_who_waits_for_ever_is_told_no_time),
        cmocka_unit_test(test_wait_gives_up_when_its_time_is_over),
        cmocka_unit_test(test_wait_does_not_retry_a_refusal),
        cmocka_unit_test(test_an_answer_that_never_ends_is_refused),
        cmocka_unit_test(test_nothing_secret_stays_allocated),
    };

    (void)unsetenv("CI_JOB_URL");
    (void)unsetenv("GITHUB_RUN_ID");
    (void)unsetenv("BUILD_URL");
    (void)unsetenv("LEASED_REASON");
    if (client_global_init() != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
