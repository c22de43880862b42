/* `lease requests`: what an approver sees before he says something to it. */
#include "fake_daemon.h"

#include "base/check.h"
#include "cli/cli.h"
#include "cli/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define REQUEST(id, state)                                                                         \
    "{\"id\":\"" id "\",\"state\":\"" state "\",\"role\":\"prod\",\"requester\":{\"user\":"        \
    "\"ann\"},\"duration\":1800,\"reason\":\"fix\",\"ticket\":null,\"review\":null,"               \
    "\"created_at\":null,\"decide_by\":\"2020-01-01T00:00:00Z\","                                  \
    "\"use_by\":\"2020-01-01T00:00:00Z\"}"

static void test_the_list_says_for_how_long_and_only_times_that_matter(void **state)
{
    static const struct fake_route routes[] = {
        {"GET /leased/v1/requests?limit=", 200, NULL,
         "{\"items\":[" REQUEST("q-1", "pending") "," REQUEST("q-2", "approved") "," REQUEST(
             "q-3", "used") "],\"next\":null}",
         0}};
    const struct lease_result *result;
    struct fake_daemon daemon;
    const char *line;

    (void)state;
    fake_daemon_start(&daemon, routes, ARRAY_LEN(routes));
    result = RUN_LEASE(&daemon, "requests");
    assert_int_equal(result->exit_code, CLI_OK);
    line = strstr(result->out, "\nq-1 ");
    assert_non_null(line);
    assert_non_null(strstr(line, "ann   30m  fix"));
    assert_null(strstr(strstr(result->out, "\nq-3 "), " ago"));
    assert_non_null(strstr(line, " ago"));
    result = RUN_LEASE(&daemon, "requests", "-o", "json");
    assert_null(strstr(result->out, "\"for\""));
    assert_non_null(strstr(strstr(result->out, "q-3"), "\"use_by\": \"2020"));
    fake_daemon_stop(&daemon);
}

static int setup(void **state)
{
    (void)state;
    return client_global_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_list_says_for_how_long_and_only_times_that_matter),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
