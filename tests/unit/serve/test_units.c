/* Credentials of systemd units: who may ask for them, what comes, and when they end. */
#include <string.h>

#include "unit/serve/fixture.h"

#define UNIT "orders.service"

static struct serve_listener listener;

/* Root, in whose name the rules of alice allow something. */
static int setup(void **state)
{
    int r = fixture_setup(state);

    listener = (struct serve_listener){.serve = NULL};
    f.connections[ALICE].peer.uid = 0;
    fake_env_add_user(&f.fake, 0, "alice");
    return r;
}

#define units_test(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

static struct call *ask_as(enum who who, const char *credential, uint32_t apis)
{
    const struct message message = {.method = "",
                                    .target = "/credentials/",
                                    .unit = UNIT,
                                    .credential = credential,
                                    .has_no_default_headers = true,
                                    .handler_user = &listener};
    struct call *call;

    fixture_open();
    if (listener.serve != f.serve) {
        serve_files_start(f.serve, STR(""));
    }
    listener = (struct serve_listener){.serve = f.serve, .name = "local", .apis = apis};
    call = fixture_send_message(who, message);
    fixture_run();
    if (call->status != 0) {
        call_deliver(call);
        fixture_run();
    }
    return call;
}

static struct call *ask(const char *credential)
{
    return ask_as(ALICE, credential, SERVE_API_NATIVE | SERVE_API_SYSTEMD);
}

static void test_a_field_comes_as_it_is(void **state)
{
    struct call *call = ask("db.password");

    (void)state;
    assert_int_equal(call->status, 200);
    assert_int_equal(strncmp(call->body, SCRIPTED_MARKER, strlen(SCRIPTED_MARKER)), 0);
    assert_true(fixture_trail_has("\"unit\":\"" UNIT "\"") > 0);
    assert_true(fixture_trail_has("\"binding\":\"file\"") > 0);
}

static void test_a_unit_that_does_not_start_has_it_for_a_while(void **state)
{
    (void)state;
    assert_int_equal(ask("db.password")->status, 200);
    fixture_advance(89 * SECOND_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    fixture_advance(2 * SECOND_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
}

static void test_it_ends_with_the_last_process_of_the_unit(void **state)
{
    (void)state;
    assert_int_equal(ask("db.password")->status, 200);
    f.fake.unit_is_running = 1;
    fixture_advance(HOUR_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    f.fake.unit_is_running = ERR_IO; /* what can't be found out changes nothing */
    fixture_advance(MINUTE_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    f.fake.unit_is_running = 0;
    fixture_advance(SECOND_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
}

static void test_only_root_may_name_a_unit(void **state)
{
    (void)state;
    assert_int_equal(ask_as(BOB, "db.password", SERVE_API_SYSTEMD)->status, 403);
    assert_int_equal(f.issuer.issued_count, 0);
    assert_int_equal(fixture_records("grant.denied"), 1);
    assert_true(fixture_trail_has("\"api\":\"systemd\"") > 0);
}

static void test_other_questions_are_refused(void **state)
{
    (void)state;
    assert_int_equal(ask("no-such.password")->status, 404);
    assert_int_equal(ask_as(ALICE, "db.password", SERVE_API_NATIVE)->status, 404);
    assert_int_equal(f.issuer.issued_count, 0);
    assert_int_equal(ask("db.nonsense")->status, 422);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        units_test(test_a_field_comes_as_it_is),
        units_test(test_a_unit_that_does_not_start_has_it_for_a_while),
        units_test(test_it_ends_with_the_last_process_of_the_unit),
        units_test(test_only_root_may_name_a_unit),
        units_test(test_other_questions_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
