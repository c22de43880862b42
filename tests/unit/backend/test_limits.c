/* Limits that change while calls are under way. */
#include "script_plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_limits_change_for_the_calls_that_come(void **state)
{
    const struct backend_limits fewer = {.in_flight = 1, .timeout_ms = 2000};
    const struct backend_limits more = {.in_flight = 5};
    struct script script;
    struct script_call calls[2];
    struct script_call refused = {.call = {.kind = LEASE_CALL_RENEW, .params_json = "{}"}};
    struct lease_issuer *issuer;

    (void)state;
    script_open(&script, NULL);
    issuer = backend_issuer(script.backend);
    assert_int_equal(backend_set_limits(script.backend, &more, 0), ERR_LIMIT);
    assert_int_equal(issuer->limits.in_flight, 4);
    script_call(&script, &calls[0], LEASE_CALL_RENEW, "{}");
    script_call(&script, &calls[1], LEASE_CALL_RENEW, "{}");
    assert_int_equal(backend_set_limits(script.backend, &fewer, 0), 0);
    assert_int_equal(issuer->limits.in_flight, 1);
    assert_int_equal(issuer->ops->call_start(issuer, &refused.call), ERR_LIMIT);
    fake_env_run(&script.fake);
    script_answer(&script, 0, LEASED_OK,
                  &(struct leased_result){.size = sizeof(struct leased_result),
                                          .lifetime_ms = 1000});
    script_answer(&script, 1, LEASED_OK,
                  &(struct leased_result){.size = sizeof(struct leased_result),
                                          .lifetime_ms = 1000});
    assert_int_equal(calls[1].end_count, 1);
    script_call(&script, &calls[0], LEASE_CALL_RENEW, "{}");
    fake_env_run(&script.fake);
    fake_env_advance(&script.fake, 5999);
    assert_int_equal(calls[0].end_count, 0);
    fake_env_advance(&script.fake, 1);
    assert_int_equal(calls[0].end_count, 1);
    script_answer(&script, 2, LEASED_OK, NULL);
    script_close(&script);
    script_fini(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_change_for_the_calls_that_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
