/* An issuer that can't serve is left alone, and found again. */
#include "script_plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static const char *const address[] = {"https://a.example"};

static void ignore_reply(void *user, const struct leased_http_reply *reply)
{
    (void)user;
    (void)reply;
}

/* One exchange of the plugin that ends like this. */
static void exchange(struct script *script, int status, uint32_t http_status,
                     const char *retry_after)
{
    const struct leased_http_request request = {.size = sizeof(request),
                                                .method = {"GET", 3},
                                                .path = {"/v1/x", 5}};
    struct env_http_reply reply = {.status = http_status};

    if (retry_after != NULL) {
        reply.headers[reply.header_count++] =
            (struct env_http_header){STR("retry-after"), str_of(retry_after)};
        reply.headers[reply.header_count++] =
            (struct env_http_header){STR("date"), STR("Wed, 21 Oct 2026 07:27:30 GMT")};
    }
    assert_non_null(script->host->http_start(script->context, &request, ignore_reply, NULL));
    fake_env_http_finish(&script->fake, fake_env_http_first(&script->fake), status,
                         status == 0 ? &reply : NULL, status == 0 ? NULL : "connection refused");
    fake_env_run(&script->fake);
}

static void exchanges(struct script *script, size_t count, int status, uint32_t http_status)
{
    for (size_t i = 0; i < count; i++) {
        exchange(script, status, http_status, NULL);
    }
}

static struct backend_status status_of(const struct script *script)
{
    struct backend_status status;

    backend_status(script->backend, &status);
    return status;
}

static void open_one(struct script *script)
{
    script_open(script, &(struct backend_options){.addresses = address, .address_count = 1});
}

/* The issuer has gone: the breaker is open. */
static void open_broken(struct script *script)
{
    open_one(script);
    exchanges(script, 5, ERR_CONNECT, 0);
    assert_string_equal(status_of(script).breaker, "open");
}

static void end(struct script *script)
{
    script_close(script);
    script_fini(script);
}

/* A call that isn't sent: it ends in this turn, with when to come back. */
static void expect_refused(struct script *script, enum lease_call_kind kind,
                           enum lease_outcome outcome)
{
    struct script_call call;
    size_t before = script->seen_count;

    script_call(script, &call, kind, "{}");
    fake_env_run(&script->fake);
    assert_int_equal(script->seen_count, before);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, outcome);
    assert_true(call.result.retry_after_ms > 0);
    assert_non_null(strstr(call.detail, "connection refused"));
}

static uint64_t closed_ms(const struct script *script, struct err *e)
{
    struct lease_issuer *issuer = backend_issuer(script->backend);

    return issuer->ops->closed_ms(issuer, e);
}

static void test_while_it_is_open_no_call_reaches_the_plugin(void **state)
{
    static const enum lease_call_kind kinds[] = {LEASE_CALL_ISSUE, LEASE_CALL_RENEW,
                                                 LEASE_CALL_REVOKE};
    struct err e = {0};
    struct script script;

    (void)state;
    open_broken(&script);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        expect_refused(&script, kinds[i], LEASE_OUTCOME_SEALED);
    }
    assert_int_equal(status_of(&script).refused_total, 3);
    assert_false(status_of(&script).is_up);
    assert_true(closed_ms(&script, &e) > 0);
    assert_non_null(strstr(e.text, "connection refused"));
    end(&script);
}

static void test_one_probe_at_a_time_and_its_success_lets_calls_through(void **state)
{
    struct err e = {0};
    struct script_call call;
    struct script script;

    (void)state;
    open_broken(&script);
    script.health_asks = true;
    fake_env_advance(&script.fake, 1000);
    assert_string_equal(status_of(&script).breaker, "half_open");
    assert_int_equal(script.seen_count, 1);
    fake_env_advance(&script.fake, 4000);
    assert_int_equal(script.seen_count, 1);
    expect_refused(&script, LEASE_CALL_ISSUE, LEASE_OUTCOME_SEALED);
    fake_env_http_finish(&script.fake, fake_env_http_first(&script.fake), 0,
                         &(struct env_http_reply){.status = 200}, NULL);
    fake_env_run(&script.fake);
    assert_string_equal(status_of(&script).breaker, "closed");
    assert_true(status_of(&script).is_up);
    assert_int_equal(closed_ms(&script, &e), 0);
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    script_answer_issue(&script, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    end(&script);
}

static void test_a_dead_issuer_gets_few_probes_and_nothing_else(void **state)
{
    struct script script;
    uint32_t before;

    (void)state;
    open_broken(&script);
    script.health_asks = true;
    before = script.fake.http_start_count;
    for (size_t i = 0; i < 3000; i++) {
        struct script_call call;

        script_call(&script, &call, i % 2 == 0 ? LEASE_CALL_ISSUE : LEASE_CALL_RENEW, "{}");
        fake_env_advance(&script.fake, 100);
        assert_int_equal(call.end_count, 1);
        if (fake_env_http_first(&script.fake) != NULL) {
            fake_env_http_finish(&script.fake, fake_env_http_first(&script.fake), ERR_CONNECT, NULL,
                                 NULL);
            fake_env_run(&script.fake);
        }
    }
    /* 300 s: one each 7.75 s in the mean, a few more at first. */
    assert_in_range(script.fake.http_start_count - before, 20, 60);
    end(&script);
}

static void test_refused_calls_are_told_to_come_back_one_after_the_other(void **state)
{
    uint64_t least_ms = UINT64_MAX;
    uint64_t most_ms = 0;
    uint64_t wait_ms;
    struct script script;

    (void)state;
    open_one(&script);
    for (size_t i = 0; i < 5; i++) {
        exchange(&script, 0, 503, "60");
    }
    wait_ms = status_of(&script).probe_at_ms - script.fake.now_ms;
    assert_int_equal(wait_ms, 60000);
    for (size_t i = 0; i < 1000; i++) {
        struct script_call call;

        script_call(&script, &call, LEASE_CALL_RENEW, "{}");
        fake_env_run(&script.fake);
        assert_true(call.result.retry_after_ms > wait_ms);
        least_ms = call.result.retry_after_ms < least_ms ? call.result.retry_after_ms : least_ms;
        most_ms = call.result.retry_after_ms > most_ms ? call.result.retry_after_ms : most_ms;
    }
    assert_true(most_ms - least_ms > wait_ms / 5);
    end(&script);
}

static void test_a_500_of_one_path_shows_nothing_as_down(void **state)
{
    struct script script;

    (void)state;
    open_one(&script);
    script.health_asks = true;
    for (size_t i = 0; i < 20; i++) {
        exchanges(&script, 5, 0, 500);
        fake_env_advance(&script.fake, 1000);
        if (fake_env_http_first(&script.fake) != NULL) {
            fake_env_http_finish(&script.fake, fake_env_http_first(&script.fake), 0,
                                 &(struct env_http_reply){.status = 200}, NULL);
            fake_env_run(&script.fake);
        }
        assert_string_equal(status_of(&script).breaker, "closed");
        assert_true(status_of(&script).is_up);
    }
    assert_in_range(script.seen_count, 1, 20); /* probes, at most one a second */
    end(&script);
}

static void test_500s_open_it_when_the_issuer_is_unwell_as_a_whole(void **state)
{
    struct script script;

    (void)state;
    open_one(&script);
    script.health_asks = true;
    exchanges(&script, 5, 0, 500);
    fake_env_advance(&script.fake, 0);
    fake_env_http_finish(&script.fake, fake_env_http_first(&script.fake), 0,
                         &(struct env_http_reply){.status = 500}, NULL);
    fake_env_run(&script.fake);
    assert_string_equal(status_of(&script).breaker, "open");
    assert_false(status_of(&script).is_up);
    end(&script);
}

static void test_refusals_are_service(void **state)
{
    static const uint32_t statuses[] = {400, 403, 404, 405, 412};
    struct script script;

    (void)state;
    open_one(&script);
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        exchanges(&script, 4, ERR_CONNECT, 0);
        exchange(&script, 0, statuses[i], NULL);
        assert_string_equal(status_of(&script).breaker, "closed");
        assert_true(status_of(&script).is_up);
    }
    end(&script);
}

static void test_operations_without_an_end_count_as_failures(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, &(struct backend_options){.limits = {.timeout_ms = 1000}});
    for (size_t i = 0; i < 5; i++) {
        script_call(&script, &call, LEASE_CALL_RENEW, "{}");
        fake_env_advance(&script.fake, 3000);
        assert_int_equal(call.end_count, 1);
    }
    fake_env_run(&script.fake);
    assert_int_equal(script_op(&script, script.seen_count - 1)->what, 'h');
    fake_env_advance(&script.fake, 3000); /* health gets no end either */
    assert_string_equal(status_of(&script).breaker, "open");
    end(&script);
}

/* --- 429 -------------------------------------------------------------------------------------- */

static void test_a_rate_limit_pauses_the_whole_backend_for_as_long_as_it_says(void **state)
{
    struct err e = {0};
    struct script_call call;
    struct script script;

    (void)state;
    open_one(&script);
    exchange(&script, 0, 429, "4");
    assert_true(status_of(&script).is_up);
    assert_int_equal(status_of(&script).pause_until_ms, script.fake.now_ms + 4000);
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    assert_int_equal(script.seen_count, 0);
    /* Worth waiting for: the lease layer may try again for whoever waits. */
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_in_range(call.result.retry_after_ms, 4000, 5000);
    assert_int_equal(closed_ms(&script, &e), 0);
    fake_env_advance(&script.fake, 4000);
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    assert_int_equal(script.seen_count, 1);
    script_answer_issue(&script, 0);
    end(&script);
}

static void test_a_pause_may_be_a_date_by_the_issuers_clock(void **state)
{
    struct script script;

    (void)state;
    open_one(&script);
    exchange(&script, 0, 429, "Wed, 21 Oct 2026 07:27:00 GMT"); /* over: as if it said nothing */
    assert_in_range(status_of(&script).pause_until_ms, 1, script.fake.now_ms + 3000);
    exchange(&script, 0, 429, "Wed, 21 Oct 2026 07:28:00 GMT");
    assert_int_equal(status_of(&script).pause_until_ms, script.fake.now_ms + 30000);
    end(&script);
}

static void test_a_long_pause_is_not_waited_for_and_has_a_maximum(void **state)
{
    struct err e = {0};
    struct script script;

    (void)state;
    open_one(&script);
    exchange(&script, 0, 429, "60");
    assert_int_equal(closed_ms(&script, &e), 60000);
    exchange(&script, 0, 429, "999999");
    assert_int_equal(closed_ms(&script, &e), 300000);
    end(&script);
}

static void test_limits_without_a_time_back_off(void **state)
{
    static const char *const texts[] = {NULL, "soon", "0", "99999999999999999999",
                                        "Wed, 21 Oct 2026 07:27:30 GMT"};
    struct script script;
    uint64_t pause_ms;

    (void)state;
    open_one(&script);
    for (size_t i = 0; i < 20; i++) {
        exchange(&script, 0, 429, texts[i % ARRAY_LEN(texts)]);
        pause_ms = status_of(&script).pause_until_ms - script.fake.now_ms;
        assert_in_range(pause_ms, 500, 15000);
        fake_env_advance(&script.fake, pause_ms);
    }
    end(&script);
}

/* --- plugins that are different --------------------------------------------------------------- */

static void test_without_a_health_call_one_call_is_the_probe(void **state)
{
    struct script script;
    struct script_call probe;

    (void)state;
    script_open_without_health(&script,
                               &(struct backend_options){.addresses = address, .address_count = 1});
    exchanges(&script, 5, ERR_CONNECT, 0);
    expect_refused(&script, LEASE_CALL_ISSUE, LEASE_OUTCOME_SEALED);
    for (size_t i = 0; i < 3; i++) {
        fake_env_advance(&script.fake, 15000);
        script_call(&script, &probe, LEASE_CALL_ISSUE, "{}");
        fake_env_run(&script.fake);
        assert_int_equal(script.seen_count, i + 1);
        expect_refused(&script, LEASE_CALL_ISSUE, LEASE_OUTCOME_SEALED);
        if (i < 2) {
            script_answer(&script, i, LEASED_RETRY,
                          &(struct leased_result){.size = sizeof(struct leased_result),
                                                  .detail = script_str("connection refused")});
            assert_string_equal(status_of(&script).breaker, "open");
        } else {
            script_answer_issue(&script, i);
        }
        assert_int_equal(probe.end_count, 1);
    }
    assert_string_equal(status_of(&script).breaker, "closed");
    end(&script);
}

static void test_a_probing_call_that_is_cancelled_leaves_room_for_another(void **state)
{
    struct script script;
    struct script_call probe;
    struct lease_issuer *issuer;

    (void)state;
    script_open_without_health(&script,
                               &(struct backend_options){.addresses = address, .address_count = 1});
    exchanges(&script, 5, ERR_CONNECT, 0);
    issuer = backend_issuer(script.backend);
    script.answers_on_cancel = true;
    fake_env_advance(&script.fake, 1000);
    script_call(&script, &probe, LEASE_CALL_RENEW, "{}");
    fake_env_run(&script.fake);
    issuer->ops->call_cancel(issuer, &probe.call);
    fake_env_run(&script.fake);
    assert_int_equal(probe.outcome, LEASE_OUTCOME_CANCELED);
    assert_string_equal(status_of(&script).breaker, "open");
    fake_env_advance(&script.fake, 1000);
    script_call(&script, &probe, LEASE_CALL_RENEW, "{}");
    fake_env_run(&script.fake);
    assert_int_equal(script.seen_count, 2);
    script_answer(&script, 1, LEASED_GONE, NULL);
    assert_string_equal(status_of(&script).breaker, "closed");
    end(&script);
}

static void test_a_plugin_without_exchanges_is_taken_at_its_word(void **state)
{
    static const char *const none[] = {""};
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, &(struct backend_options){.addresses = none, .address_count = 0});
    for (size_t i = 0; i < 5; i++) {
        script_call(&script, &call, LEASE_CALL_RENEW, "{}");
        fake_env_run(&script.fake);
        script_answer(&script, i, LEASED_SEALED,
                      &(struct leased_result){.size = sizeof(struct leased_result),
                                              .detail = script_str("connection refused")});
    }
    expect_refused(&script, LEASE_CALL_RENEW, LEASE_OUTCOME_SEALED);
    end(&script);
}

static void test_while_it_is_open_health_is_asked_by_its_probes_alone(void **state)
{
    struct script script;

    (void)state;
    script_open(&script, &(struct backend_options){
                             .addresses = address, .address_count = 1, .health_interval_ms = 1000});
    for (size_t i = 0; i < 5; i++) {
        exchange(&script, 0, 503, "60");
    }
    fake_env_advance(&script.fake, 59999);
    assert_int_equal(script.seen_count, 0);
    fake_env_advance(&script.fake, 1);
    assert_int_equal(script.seen_count, 1);
    script_answer(&script, 0, LEASED_OK, NULL);
    fake_env_advance(&script.fake, 1000);
    assert_int_equal(script.seen_count, 2);
    end(&script);
}

static void test_closing_while_it_is_open_or_probing_leaves_nothing_behind(void **state)
{
    struct script script;

    (void)state;
    open_broken(&script);
    end(&script);
    open_broken(&script);
    script.health_asks = true;
    fake_env_advance(&script.fake, 1000);
    assert_string_equal(status_of(&script).breaker, "half_open");
    end(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_while_it_is_open_no_call_reaches_the_plugin),
        cmocka_unit_test(test_one_probe_at_a_time_and_its_success_lets_calls_through),
        cmocka_unit_test(test_a_dead_issuer_gets_few_probes_and_nothing_else),
        cmocka_unit_test(test_refused_calls_are_told_to_come_back_one_after_the_other),
        cmocka_unit_test(test_a_500_of_one_path_shows_nothing_as_down),
        cmocka_unit_test(test_500s_open_it_when_the_issuer_is_unwell_as_a_whole),
        cmocka_unit_test(test_refusals_are_service),
        cmocka_unit_test(test_operations_without_an_end_count_as_failures),
        cmocka_unit_test(test_a_rate_limit_pauses_the_whole_backend_for_as_long_as_it_says),
        cmocka_unit_test(test_a_pause_may_be_a_date_by_the_issuers_clock),
        cmocka_unit_test(test_a_long_pause_is_not_waited_for_and_has_a_maximum),
        cmocka_unit_test(test_limits_without_a_time_back_off),
        cmocka_unit_test(test_without_a_health_call_one_call_is_the_probe),
        cmocka_unit_test(test_a_probing_call_that_is_cancelled_leaves_room_for_another),
        cmocka_unit_test(test_a_plugin_without_exchanges_is_taken_at_its_word),
        cmocka_unit_test(test_while_it_is_open_health_is_asked_by_its_probes_alone),
        cmocka_unit_test(test_closing_while_it_is_open_or_probing_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
