/* Pass-through: a client's request reaches the plugin as it is, and ends exactly once. */
#include "backend/call.h"
#include "script_plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

struct passed {
    struct backend_call call;
    size_t end_count;
    enum lease_outcome outcome;
    uint64_t retry_after_ms;
    uint32_t status;
    char detail[512];
    char headers[256];
    char body[256];
};

static void ended(struct backend_call *call, const struct backend_call_result *result)
{
    struct passed *passed = call->user;

    passed->end_count++;
    passed->outcome = result->outcome;
    passed->retry_after_ms = result->retry_after_ms;
    passed->status = result->status;
    (void)snprintf(passed->detail, sizeof(passed->detail), "%s",
                   result->detail != NULL ? result->detail : "");
    (void)snprintf(passed->body, sizeof(passed->body), "%.*s", STR_ARG(result->body));
    for (size_t i = 0; i < result->header_count; i++) {
        size_t used = strlen(passed->headers);

        (void)snprintf(passed->headers + used, sizeof(passed->headers) - used, "%.*s=%.*s,",
                       STR_ARG(result->headers[i].name), STR_ARG(result->headers[i].value));
    }
}

static int start(struct script *script, struct passed *passed)
{
    static const struct env_http_header header = {{"x-vault-wrap-ttl", 16}, {"60s", 3}};

    *passed = (struct passed){.call = {.method = "POST",
                                       .path = "/v1/a?b=c",
                                       .headers = &header,
                                       .header_count = 1,
                                       .body = STR("{}"),
                                       .fn = ended}};
    passed->call.user = passed;
    return backend_call_start(script->backend, &passed->call);
}

static void begin(struct script *script, struct passed *passed)
{
    assert_int_equal(start(script, passed), 0);
    fake_env_run(&script->fake);
}

static void answer(struct script *script, size_t index, const struct leased_call_reply *reply)
{
    script->host->call_done(script->context, script_op(script, index)->op, reply);
}

static void answer_ok(struct script *script, size_t index)
{
    const struct leased_http_header header = {script_str("content-type"), script_str("text/x")};
    const struct leased_call_reply reply = {.size = sizeof(reply),
                                            .status = 404,
                                            .headers = &header,
                                            .header_count = 1,
                                            .body = script_str("{\"errors\":[]}")};

    answer(script, index, &reply);
}

static struct backend_status status_of(const struct script *script)
{
    struct backend_status status;

    backend_status(script->backend, &status);
    return status;
}

static void test_a_request_and_its_answer_pass_as_they_are(void **state)
{
    struct script script;
    struct passed passed;

    (void)state;
    script_open(&script, NULL);
    assert_int_equal(start(&script, &passed), 0);
    assert_int_equal(script.seen_count, 0); /* never from inside start */
    fake_env_run(&script.fake);
    assert_int_equal(script_op(&script, 0)->what, 'p');
    assert_string_equal(script_op(&script, 0)->params, "POST /v1/a?b=c {}");
    assert_string_equal(script_op(&script, 0)->callers, "x-vault-wrap-ttl=60s,");
    assert_int_equal(script_op(&script, 0)->ttl_ms, 0);
    answer_ok(&script, 0);
    assert_int_equal(passed.end_count, 1);
    assert_int_equal(passed.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(passed.status, 404); /* the issuer's own error is an answer */
    assert_string_equal(passed.headers, "content-type=text/x,");
    assert_string_equal(passed.body, "{\"errors\":[]}");
    answer_ok(&script, 0);
    assert_int_equal(passed.end_count, 1);
    assert_int_equal(status_of(&script).op_late_total, 1);
    script_close(&script);
    script_fini(&script);
}

static void test_a_request_that_creates_nothing_is_told_as_repeatable(void **state)
{
    struct script script;
    struct passed passed = {
        .call = {.method = "GET", .path = "/x", .is_repeatable = true, .fn = ended}};

    (void)state;
    script_open(&script, NULL);
    passed.call.user = &passed;
    assert_int_equal(backend_call_start(script.backend, &passed.call), 0);
    fake_env_run(&script.fake);
    assert_int_equal(script_op(&script, 0)->ttl_ms, LEASED_CALL_REPEATABLE);
    answer_ok(&script, 0);
    script_close(&script);
    script_fini(&script);
}

static void test_the_plugins_errors_end_it_with_their_class(void **state)
{
    static const struct {
        int32_t status;
        enum lease_outcome outcome;
    } cases[] = {
        {LEASED_RETRY_AFTER, LEASE_OUTCOME_RETRY},
        {LEASED_DENIED, LEASE_OUTCOME_DENIED},
        {LEASED_INVALID, LEASE_OUTCOME_INVALID},
        {LEASED_GONE, LEASE_OUTCOME_INVALID},
        {LEASED_LOST, LEASE_OUTCOME_LOST},
        {LEASED_SEALED, LEASE_OUTCOME_SEALED},
        {LEASED_OK, LEASE_OUTCOME_LOST}, /* its good end is call_done */
        {99, LEASE_OUTCOME_LOST},
    };
    struct script script;

    (void)state;
    script_open(&script, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct leased_result why = {.size = sizeof(why),
                                          .detail = script_str("why"),
                                          .retry_after_ms = 7};
        struct passed passed;

        begin(&script, &passed);
        script_answer(&script, i, cases[i].status, &why);
        assert_int_equal(passed.end_count, 1);
        assert_int_equal(passed.outcome, cases[i].outcome);
        assert_int_equal(passed.retry_after_ms,
                         cases[i].status == LEASED_RETRY_AFTER || cases[i].status == LEASED_SEALED
                             ? 7
                             : 0);
        assert_int_equal(passed.status, 0);
    }
    assert_int_equal(script.seen_count, ARRAY_LEN(cases)); /* nothing is revoked for it */
    script_close(&script);
    script_fini(&script);
}

static void test_an_answer_that_breaks_a_rule_is_refused(void **state)
{
    static char huge[BACKEND_CALL_BODY_MAX_BYTES + 1];
    static const struct leased_http_header bad[] = {{{"a b", 3}, {"x", 1}},
                                                    {{"x", 1}, {"a\r\nb", 4}},
                                                    {{"content-length", 14}, {"5", 1}}};
    const struct leased_http_header many[BACKEND_CALL_REPLY_HEADERS_MAX + 1] = {{{"x", 1}, {0}}};
    const struct leased_call_reply cases[] = {
        {.size = sizeof(cases[0]), .status = 199},
        {.size = sizeof(cases[0]), .status = 600},
        {.size = 8, .status = 200},
        {.size = sizeof(cases[0]), .status = 200, .body = {huge, sizeof(huge)}},
        {.size = sizeof(cases[0]), .status = 200, .headers = &bad[0], .header_count = 1},
        {.size = sizeof(cases[0]), .status = 200, .headers = &bad[1], .header_count = 1},
        {.size = sizeof(cases[0]), .status = 200, .headers = &bad[2], .header_count = 1},
        {.size = sizeof(cases[0]), .status = 200, .headers = many, .header_count = ARRAY_LEN(many)},
    };
    struct script script;
    struct passed passed;

    (void)state;
    script_open(&script, NULL);
    for (size_t i = 0; i <= ARRAY_LEN(cases); i++) {
        begin(&script, &passed);
        answer(&script, i, i < ARRAY_LEN(cases) ? &cases[i] : NULL);
        assert_int_equal(passed.end_count, 1);
        assert_int_equal(passed.outcome, LEASE_OUTCOME_LOST);
        assert_int_equal(passed.body[0], '\0');
    }
    script_close(&script);
    script_fini(&script);
}

static void test_a_deadline_ends_it_as_lost_and_a_late_answer_is_dropped(void **state)
{
    struct script script;
    struct passed passed;

    (void)state;
    script_open(&script, &(struct backend_options){.limits = {.timeout_ms = 1000}});
    begin(&script, &passed);
    fake_env_advance(&script.fake, 2999);
    assert_int_equal(passed.end_count, 0);
    fake_env_advance(&script.fake, 1);
    assert_int_equal(passed.outcome, LEASE_OUTCOME_LOST);
    assert_int_equal(script.cancel_count, 1);
    answer_ok(&script, 0);
    assert_int_equal(passed.end_count, 1);
    assert_int_equal(status_of(&script).op_late_total, 1);
    /* One that is cancelled before the plugin has it never gets there. */
    assert_int_equal(start(&script, &passed), 0);
    backend_call_cancel(&passed.call);
    fake_env_run(&script.fake);
    assert_int_equal(passed.outcome, LEASE_OUTCOME_CANCELED);
    assert_int_equal(script.seen_count, 1);
    script_close(&script);
    script_fini(&script);
}

static void test_a_call_may_have_a_deadline_of_its_own(void **state)
{
    struct script script;
    struct passed passed = {.call = {.method = "GET", .path = "/x", .timeout_ms = 50, .fn = ended}};

    (void)state;
    script_open(&script, NULL);
    passed.call.user = &passed;
    assert_int_equal(backend_call_start(script.backend, &passed.call), 0);
    fake_env_advance(&script.fake, 49);
    assert_int_equal(passed.end_count, 0);
    fake_env_advance(&script.fake, 1);
    assert_int_equal(passed.outcome, LEASE_OUTCOME_LOST);
    script_close(&script);
    script_fini(&script);
}

static void test_a_cancel_is_asked_of_the_plugin(void **state)
{
    struct script script;
    struct passed passed;

    (void)state;
    script_open(&script, NULL);
    script.answers_on_cancel = true;
    begin(&script, &passed);
    backend_call_cancel(&passed.call);
    assert_int_equal(passed.end_count, 0);
    fake_env_run(&script.fake);
    assert_int_equal(passed.outcome, LEASE_OUTCOME_CANCELED);
    backend_call_cancel(&passed.call); /* it has ended */
    fake_env_run(&script.fake);
    assert_int_equal(script.cancel_count, 1);
    script_close(&script);
    script_fini(&script);
}

static void test_closing_ends_it(void **state)
{
    struct script script;
    struct passed passed;
    struct passed late;

    (void)state;
    script_open(&script, NULL);
    begin(&script, &passed);
    script_close(&script);
    assert_int_equal(passed.end_count, 1);
    assert_int_equal(passed.outcome, LEASE_OUTCOME_CANCELED);
    script_fini(&script);
    script_open(&script, NULL);
    backend_close(script.backend, false, NULL, NULL);
    assert_int_equal(start(&script, &late), ERR_CLOSED);
    fake_env_run(&script.fake);
    script_answer(&script, 0, LEASED_OK, NULL);
    fake_env_run(&script.fake);
    fake_env_fini(&script.fake);
}

static void test_leases_go_first(void **state)
{
    struct script script;
    struct script_call calls[4];
    struct passed passed[3];

    (void)state;
    script_open(&script, NULL); /* in_flight 4: two calls at once */
    begin(&script, &passed[0]);
    begin(&script, &passed[1]);
    assert_int_equal(start(&script, &passed[2]), ERR_LIMIT);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        script_call(&script, &calls[i], LEASE_CALL_RENEW, "{}");
    }
    fake_env_run(&script.fake);
    answer_ok(&script, 0);
    assert_int_equal(start(&script, &passed[2]), ERR_LIMIT); /* four leases are under way */
    script_answer(&script, 2, LEASED_GONE, NULL);
    script_answer(&script, 3, LEASED_GONE, NULL);
    begin(&script, &passed[2]);
    script_close(&script);
    script_fini(&script);
}

static void test_what_is_too_large_does_not_start(void **state)
{
    static char huge[BACKEND_CALL_BODY_MAX_BYTES + 2];
    struct passed passed = {.call = {.method = "POST", .path = "/x", .fn = ended}};
    struct script script;

    (void)state;
    script_open(&script, NULL);
    memset(huge, 'x', sizeof(huge) - 1);
    passed.call.user = &passed;
    passed.call.body = (struct str){huge, BACKEND_CALL_BODY_MAX_BYTES + 1};
    assert_int_equal(backend_call_start(script.backend, &passed.call), ERR_TOO_LARGE);
    passed.call.body = (struct str){0};
    passed.call.path = huge;
    assert_int_equal(backend_call_start(script.backend, &passed.call), ERR_TOO_LARGE);
    passed.call.path = "/x";
    passed.call.header_count = BACKEND_CALL_HEADERS_MAX + 1;
    assert_int_equal(backend_call_start(script.backend, &passed.call), ERR_TOO_LARGE);
    assert_int_equal(passed.end_count, 0);
    script_close(&script);
    script_fini(&script);
}

static void test_a_plugin_of_version_1_0_refuses_calls(void **state)
{
    struct script script;
    struct passed passed;

    (void)state;
    script_open(&script, NULL);
    script.ops.size = offsetof(struct leased_backend_ops, call);
    begin(&script, &passed);
    assert_int_equal(passed.outcome, LEASE_OUTCOME_INVALID);
    assert_string_equal(passed.detail, "the plugin can't pass requests on");
    script_close(&script);
    script_fini(&script);
}

static void test_an_issue_cannot_end_by_call_done(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    script_open(&script, NULL);
    script_call(&script, &call, LEASE_CALL_ISSUE, "{}");
    fake_env_run(&script.fake);
    answer_ok(&script, 0);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_LOST);
    script_close(&script);
    script_fini(&script);
}

static void test_an_answer_from_inside_the_start_is_lost(void **state)
{
    struct script script;
    struct passed passed;

    (void)state;
    script_open(&script, NULL);
    script.answers_at_once = true;
    begin(&script, &passed);
    assert_int_equal(passed.end_count, 1);
    assert_int_equal(passed.outcome, LEASE_OUTCOME_LOST);
    script.answers_at_once = false;
    script_close(&script);
    script_fini(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_and_its_answer_pass_as_they_are),
        cmocka_unit_test(test_a_request_that_creates_nothing_is_told_as_repeatable),
        cmocka_unit_test(test_the_plugins_errors_end_it_with_their_class),
        cmocka_unit_test(test_an_answer_that_breaks_a_rule_is_refused),
        cmocka_unit_test(test_a_deadline_ends_it_as_lost_and_a_late_answer_is_dropped),
        cmocka_unit_test(test_a_call_may_have_a_deadline_of_its_own),
        cmocka_unit_test(test_a_cancel_is_asked_of_the_plugin),
        cmocka_unit_test(test_closing_ends_it),
        cmocka_unit_test(test_leases_go_first),
        cmocka_unit_test(test_what_is_too_large_does_not_start),
        cmocka_unit_test(test_a_plugin_of_version_1_0_refuses_calls),
        cmocka_unit_test(test_an_issue_cannot_end_by_call_done),
        cmocka_unit_test(test_an_answer_from_inside_the_start_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
