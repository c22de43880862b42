/* What an issue left behind is revoked until the issuer confirms, or it has ended by itself. */
#include "script_plugin.h"

#include "backend/sweep.h"
#include "base/log.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define HOUR_MS 3600000U

static struct backend_status status_of(const struct script *script)
{
    struct backend_status status;

    backend_status(script->backend, &status);
    return status;
}

static const struct leased_result left = {.size = sizeof(left), .issuer_ref = {"left", 4}};

/* Lets an issue miss its deadline: it is operation `index`. */
static void be_late(struct script *script, size_t index)
{
    struct script_call call;

    script_call(script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_advance(&script->fake, 30000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_LOST);
    assert_int_equal(script_op(script, index)->what, 'i');
}

/* A late issue that names what it has made: it becomes operation `index`. */
static void leave_behind(struct script *script, size_t index)
{
    be_late(script, index);
    script_answer(script, index, LEASED_INVALID, &left);
    fake_env_run(&script->fake);
}

/* Whoever waits for the issue learns of it, and sees to it. */
static void test_what_an_issue_leaves_to_who_waits_for_it_is_not_swept(void **state)
{
    static const int32_t statuses[] = {LEASED_INVALID, LEASED_LOST,     LEASED_RETRY,
                                       LEASED_SEALED,  LEASED_CANCELED, LEASED_OK};
    struct script script;

    (void)state;
    script_open(&script, NULL);
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        struct script_call call;

        script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
        fake_env_run(&script.fake);
        script_answer(&script, i, statuses[i], &left); /* an OK without a life is refused */
        assert_int_equal(call.end_count, 1);
        assert_string_equal(call.orphan, "left");
        assert_string_equal(call.ref, "");
        fake_env_run(&script.fake);
        assert_int_equal(script.seen_count, i + 1);
    }
    assert_int_equal(status_of(&script).sweep_total, 0);
    script.seen_count = 0;
    script_close(&script);
    script_fini(&script);
}

static void end(struct script *script)
{
    script_close(script);
    script_fini(script);
}

static void test_a_revocation_that_fails_is_tried_again_with_back_off(void **state)
{
    static const int32_t failures[] = {LEASED_RETRY, LEASED_SEALED, LEASED_DENIED, LEASED_LOST};
    struct script script;

    (void)state;
    script_open(&script, NULL);
    leave_behind(&script, 0);
    assert_int_equal(status_of(&script).sweep_count, 1);
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        assert_int_equal(script.seen_count, i + 2);
        assert_int_equal(script_op(&script, i + 1)->what, 'v');
        assert_string_equal(script_op(&script, i + 1)->ref, "left");
        script_answer(&script, i + 1, failures[i], NULL);
        fake_env_advance(&script.fake, 999);
        assert_int_equal(script.seen_count, i + 2);
        while (script.seen_count == i + 2) {
            fake_env_advance(&script.fake, 100);
        }
    }
    assert_true(status_of(&script).sweep_oldest_ms >= 4 * 1000U);
    script_answer(&script, ARRAY_LEN(failures) + 1, LEASED_OK, NULL);
    assert_int_equal(status_of(&script).sweep_count, 0);
    assert_int_equal(status_of(&script).sweep_oldest_ms, 0);
    assert_int_equal(status_of(&script).sweep_total, 1);
    assert_int_equal(status_of(&script).sweep_forgotten_total, 0);
    fake_env_advance(&script.fake, HOUR_MS);
    assert_int_equal(script.seen_count, ARRAY_LEN(failures) + 2);
    end(&script);
}

static void test_what_the_issuer_does_not_know_any_more_is_done(void **state)
{
    struct script script;

    (void)state;
    script_open(&script, NULL);
    leave_behind(&script, 0);
    script_answer(&script, 1, LEASED_GONE, NULL);
    assert_int_equal(status_of(&script).sweep_count, 0);
    end(&script);
}

static void test_it_waits_while_the_issuer_cannot_serve(void **state)
{
    static const char *const address[] = {""};
    struct script_call call;
    struct script script;

    (void)state;
    script_open(&script, &(struct backend_options){.addresses = address, .address_count = 0});
    leave_behind(&script, 0);
    /* The deadline that passed counts, too. */
    for (size_t i = 2; i < 6; i++) {
        script_call(&script, &call, LEASE_CALL_RENEW, "{}");
        fake_env_run(&script.fake);
        script_answer(&script, i, LEASED_SEALED, NULL);
    }
    assert_string_equal(status_of(&script).breaker, "open");
    script_answer(&script, 1, LEASED_RETRY, NULL);
    for (size_t i = 0; i < 600 && script.seen_count == 6; i++) {
        fake_env_advance(&script.fake, 100);
    }
    assert_int_equal(script_op(&script, 6)->what, 'h');
    script_answer(&script, 6, LEASED_OK, NULL);
    fake_env_advance(&script.fake, 30000);
    assert_int_equal(script.seen_count, 8);
    assert_int_equal(script_op(&script, 7)->what, 'v');
    script_answer(&script, 7, LEASED_OK, NULL);
    assert_int_equal(status_of(&script).sweep_count, 0);
    end(&script);
}

static void test_a_late_credential_is_given_up_an_hour_after_its_own_end(void **state)
{
    struct script script;
    struct script_call call;
    size_t tries = 0;

    (void)state;
    script_open(&script, &(struct backend_options){.limits = {.timeout_ms = 1000}});
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_advance(&script.fake, 3000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_LOST);
    script_answer_issue(&script, 0); /* an hour's life */
    for (uint64_t second = 0; second < 2 * 3600; second++) {
        if (script.seen_count > tries + 1) {
            tries++;
            script_answer(&script, tries, LEASED_RETRY, NULL);
        }
        assert_int_equal(status_of(&script).sweep_count, 1);
        fake_env_advance(&script.fake, 1000);
    }
    fake_env_advance(&script.fake, 300000);
    assert_int_equal(status_of(&script).sweep_count, 0);
    assert_int_equal(status_of(&script).sweep_forgotten_total, 1);
    assert_in_range(tries, 15, 100);
    end(&script);
}

static void test_its_number_is_bounded_and_few_run_at_once(void **state)
{
    struct script script;

    (void)state;
    script_open(&script, NULL);
    script.answers_at_once = true; /* a bug of the plugin's, whose fruits nobody hears of */
    for (size_t i = 0; i < SWEEPS_MAX + 10; i++) {
        struct script_call call;

        script.seen_count = 0;
        script.start_status = i < SWEEPS_RUNNING_MAX ? 0 : -LEASED_RETRY;
        script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
        fake_env_run(&script.fake);
        assert_true(status_of(&script).in_flight <= SWEEPS_RUNNING_MAX);
    }
    assert_int_equal(status_of(&script).sweep_count, SWEEPS_MAX);
    assert_int_equal(status_of(&script).sweep_forgotten_total, 10);
    script.seen_count = 0;
    end(&script);
}

/* Every place of the pool is overdue; the answer of one of them needs a place for its sweep. */
static void test_a_late_answer_finds_room_for_its_sweep(void **state)
{
    struct script_call calls[4];
    struct script script;

    (void)state;
    script_open_without_health(&script, &(struct backend_options){.limits = {.timeout_ms = 1000}});
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < 4; i++) {
            script_call(&script, &calls[i], LEASE_CALL_ISSUE, "{}");
        }
        fake_env_advance(&script.fake, 60000);
        assert_int_equal(calls[3].end_count, 1);
    }
    for (size_t i = 0; i < script.seen_count && script_op(&script, i)->what == 'i'; i++) {
        script_answer_issue(&script, i);
        fake_env_run(&script.fake);
    }
    assert_true(status_of(&script).sweep_count > 0);
    assert_true(status_of(&script).op_late_total > 0);
    end(&script);
}

/* --- memory that runs short ------------------------------------------------------------------- */

static size_t allocations_left;

static int fail_when_none_is_left(size_t size)
{
    (void)size;
    if (allocations_left == 0) {
        return 1;
    }
    allocations_left--;
    return 0;
}

static void test_what_there_is_no_memory_for_is_counted_as_forgotten(void **state)
{
    struct backend_status status;
    struct script script;
    size_t held_bytes;

    (void)state;
    script_open(&script, NULL);
    leave_behind(&script, 0); /* from now on the pool and the handles have room */
    script_answer(&script, 1, LEASED_OK, NULL);
    held_bytes = mem_in_use_bytes();
    for (size_t i = 0; i < 2; i++) {
        be_late(&script, script.seen_count);
        allocations_left = i;
        mem_set_fail_hook(fail_when_none_is_left);
        script_answer(&script, script.seen_count - 1, LEASED_INVALID, &left);
        mem_set_fail_hook(NULL);
        fake_env_run(&script.fake);
        assert_int_equal(mem_in_use_bytes(), held_bytes);
    }
    status = status_of(&script);
    assert_int_equal(status.sweep_count, 0);
    assert_int_equal(status.sweep_forgotten_total, 2);
    end(&script);
}

/* --- log -------------------------------------------------------------------------------------- */

struct lines {
    size_t warnings;
    size_t forgotten;
    char last[512];
};

static void count_line(void *user, enum log_level level, const char *event,
                       const struct log_field *fields, size_t field_count)
{
    struct lines *lines = user;

    lines->forgotten += strcmp(event, "backend.sweep.forgotten") == 0;
    if (strcmp(event, "issuer.warning") == 0) {
        assert_int_equal(level, LOG_LEVEL_WARN);
        lines->warnings++;
        (void)snprintf(lines->last, sizeof(lines->last), "%.*s",
                       STR_ARG(fields[field_count - 1].value));
    }
}

static void issue_with_warning(struct script *script, const char *text)
{
    const struct leased_str warning = script_str(text);
    const struct leased_result result = {
        .size = sizeof(result), .lifetime_ms = HOUR_MS, .warnings = &warning, .warning_count = 1};
    struct script_call call;

    script->seen_count = 0;
    script_call(script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script->fake);
    script_answer(script, 0, LEASED_OK, &result);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
}

static void test_an_issuers_warning_is_logged_once_an_hour(void **state)
{
    struct lines lines = {0};
    struct script script;

    (void)state;
    script_open(&script, NULL);
    log_set_sink(count_line, &lines, LOG_LEVEL_WARN);
    for (size_t i = 0; i < 100; i++) {
        issue_with_warning(&script, "TTL\nwas cut");
    }
    assert_int_equal(lines.warnings, 1);
    assert_string_equal(lines.last, "TTL was cut");
    issue_with_warning(&script, "another");
    assert_int_equal(lines.warnings, 2);
    fake_env_advance(&script.fake, HOUR_MS);
    issue_with_warning(&script, "another");
    assert_int_equal(lines.warnings, 3);
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    script.seen_count = 0;
    end(&script);
}

static void test_an_issuer_cannot_flood_the_log_with_warnings(void **state)
{
    struct lines lines = {0};
    struct script script;
    char text[32];

    (void)state;
    script_open(&script, NULL);
    log_set_sink(count_line, &lines, LOG_LEVEL_WARN);
    for (size_t i = 0; i < 1000; i++) {
        (void)snprintf(text, sizeof(text), "warning %zu", i);
        issue_with_warning(&script, text);
        fake_env_advance(&script.fake, 120);
    }
    assert_in_range(lines.warnings, 20, 30); /* two minutes, ten each */
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    script.seen_count = 0;
    end(&script);
}

static void test_what_is_left_at_close_is_logged(void **state)
{
    struct lines lines = {0};
    struct script script;

    (void)state;
    script_open(&script, NULL);
    leave_behind(&script, 0);
    script_answer(&script, 1, LEASED_RETRY, NULL);
    log_set_sink(count_line, &lines, LOG_LEVEL_WARN);
    end(&script);
    assert_int_equal(lines.forgotten, 1);
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_an_issue_leaves_to_who_waits_for_it_is_not_swept),
        cmocka_unit_test(test_a_revocation_that_fails_is_tried_again_with_back_off),
        cmocka_unit_test(test_what_the_issuer_does_not_know_any_more_is_done),
        cmocka_unit_test(test_it_waits_while_the_issuer_cannot_serve),
        cmocka_unit_test(test_a_late_credential_is_given_up_an_hour_after_its_own_end),
        cmocka_unit_test(test_its_number_is_bounded_and_few_run_at_once),
        cmocka_unit_test(test_a_late_answer_finds_room_for_its_sweep),
        cmocka_unit_test(test_what_there_is_no_memory_for_is_counted_as_forgotten),
        cmocka_unit_test(test_an_issuers_warning_is_logged_once_an_hour),
        cmocka_unit_test(test_an_issuer_cannot_flood_the_log_with_warnings),
        cmocka_unit_test(test_what_is_left_at_close_is_logged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
