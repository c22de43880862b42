/* POST /reload: who may, what is answered, and what a changed policy means for who waits. */
#include <string.h>

#include "unit/serve/fixture.h"

#define RELOAD API "/reload"

static int reload_status;
static int reload_count;
static const char *reload_mistakes;

static int reload(void *user, struct serve_reload *asked)
{
    (void)user;
    reload_count++;
    assert_string_equal(asked->identity->user, "ada");
    if (reload_mistakes != NULL) {
        yaml_error_in(asked->mistakes, "c.yaml", 3, 7, "%s", reload_mistakes);
        yaml_error_in(asked->mistakes, "c.yaml", 4, 1, "another \"one\"");
    }
    if (reload_status == 0) {
        buf_add_c(asked->changes, "{\"roles\":{\"added\":[\"db\"]}}");
    }
    return reload_status;
}

static void open_with(int status, const char *mistakes)
{
    reload_status = status;
    reload_mistakes = mistakes;
    reload_count = 0;
    f.options.reload = reload;
}

static void test_what_has_changed_is_the_answer(void **state)
{
    struct call *call;

    (void)state;
    open_with(0, NULL);
    call = fixture_call(ADA, "POST", RELOAD, NULL);
    assert_int_equal(call->status, 200);
    assert_string_equal(call->body, "{\"roles\":{\"added\":[\"db\"]}}\n");
}

static void test_only_who_may_reload_is_heard(void **state)
{
    (void)state;
    open_with(0, NULL);
    fixture_expect(fixture_call(ALICE, "POST", RELOAD, NULL), 403, "denied");
    fixture_expect(fixture_call(RITA, "POST", RELOAD, NULL), 403, "denied");
    assert_int_equal(reload_count, 0);
}

static void test_all_mistakes_are_in_the_answer(void **state)
{
    struct call *call;
    const json_t *errors;

    (void)state;
    open_with(ERR_INVALID, "no `such`");
    call = fixture_call(ADA, "POST", RELOAD, NULL);
    fixture_expect(call, 422, "invalid");
    assert_string_equal(call_text(call, "detail"),
                        "the configuration has 2 mistakes; leased goes on with the one before");
    errors = call_member(call, "errors");
    assert_int_equal(json_array_size(errors), 2);
    assert_string_equal(json_string_value(json_array_get(errors, 0)), "c.yaml:3:7: no `such`");
    assert_string_equal(json_string_value(json_array_get(errors, 1)),
                        "c.yaml:4:1: another \"one\"");
}

static void test_while_it_stops_or_memory_is_short_it_says_try_again(void **state)
{
    struct call *call;

    (void)state;
    open_with(ERR_CLOSED, NULL);
    call = fixture_call(ADA, "POST", RELOAD, NULL);
    fixture_expect(call, 503, "degraded");
    assert_non_null(call_header(call, "Retry-After"));
    reload_status = ERR_NOMEM;
    fixture_expect(fixture_call(ADA, "POST", RELOAD, NULL), 503, "busy");
}

/* The policy's memory is gone before the issuer answers, as after a reload. */
static void test_who_waits_needs_the_old_policy_no_more(void **state)
{
    struct call *call;
    struct access_policy *old;
    struct serve_settings settings = {0};

    (void)state;
    fixture_open();
    f.issuer.is_held[LEASE_CALL_ISSUE] = true;
    call = fixture_send(ALICE, "GET", API "/credentials/db", NULL);
    fixture_run();
    old = f.policy;
    f.policy = fixture_parse_policy();
    settings.policy = f.policy;
    serve_set(f.serve, &settings);
    access_policy_free(old);
    scripted_release(&f.issuer);
    fixture_run();
    assert_int_equal(call->status, 200);
    call_deliver(call);
    fixture_run();
    assert_true(fixture_trail_has("\"rule\":\"alice-db\"") > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_what_has_changed_is_the_answer),
        fixture_test(test_only_who_may_reload_is_heard),
        fixture_test(test_all_mistakes_are_in_the_answer),
        fixture_test(test_while_it_stops_or_memory_is_short_it_says_try_again),
        fixture_test(test_who_waits_needs_the_old_policy_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
