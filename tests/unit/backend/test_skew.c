/* The issuer's clock beside ours. */
#include "script_plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/units.h"

static const char *const address[] = {"https://a.example"};

static void ignore_reply(void *user, const struct leased_http_reply *reply)
{
    (void)user;
    (void)reply;
}

static struct backend_status after_date(struct script *script, const char *date)
{
    const struct leased_http_request request = {.size = sizeof(request),
                                                .method = {"GET", 3},
                                                .path = {"/v1/x", 5}};
    struct env_http_reply reply = {.status = 200};
    struct backend_status status;

    reply.headers[reply.header_count++] = (struct env_http_header){STR("date"), str_of(date)};
    assert_non_null(script->host->http_start(script->context, &request, ignore_reply, NULL));
    fake_env_http_finish(&script->fake, fake_env_http_first(&script->fake), 0, &reply, NULL);
    fake_env_run(&script->fake);
    backend_status(script->backend, &status);
    return status;
}

static void test_a_clock_that_differs_is_told_until_it_agrees(void **state)
{
    struct script script;
    struct backend_status status;

    (void)state;
    script_open(&script, &(struct backend_options){.addresses = address, .address_count = 1});
    backend_status(script.backend, &status);
    assert_false(status.is_skew_known);
    assert_int_equal(units_parse_time(STR("2026-10-21T07:28:00Z"), &script.fake.wall_ms), 0);
    status = after_date(&script, "Wed, 21 Oct 2026 07:28:00 GMT");
    assert_true(status.is_skew_known);
    assert_false(status.is_skew_large);
    status = after_date(&script, "Wed, 21 Oct 2026 07:38:00 GMT");
    assert_true(status.is_skew_large);
    assert_int_equal(status.clock_skew_ms / 1000, 600);
    status = after_date(&script, "Wed, 21 Oct 2026 07:18:00 GMT");
    assert_true(status.is_skew_large);
    assert_int_equal((status.clock_skew_ms - 999) / 1000, -600);
    status = after_date(&script, "no date");
    assert_true(status.is_skew_large);
    status = after_date(&script, "Wed, 21 Oct 2026 07:28:01 GMT");
    assert_false(status.is_skew_large);
    script_close(&script);
    script_fini(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_clock_that_differs_is_told_until_it_agrees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
