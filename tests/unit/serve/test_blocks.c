/* Blocks and drills whose record a start can't read. */
#include <string.h>

#include "support/fake_ledger.h"
#include "unit/serve/fixture.h"

#define DB API "/credentials/db"
#define BLOCKS API "/blocks"

static struct fake_ledger ledger;

static int setup(void **state)
{
    int r = fixture_setup(state);

    fake_ledger_init(&ledger, &f.fake.env);
    f.options.ledger = &ledger.ledger;
    return r;
}

static int teardown(void **state)
{
    int r = fixture_teardown(state);

    fake_ledger_fini(&ledger);
    return r;
}

static bool says(const struct call *call, const char *text)
{
    return strstr(call->body, text) != NULL;
}

/* The next daemon. */
static void serve_again(void)
{
    serve_free(f.serve);
    fixture_run();
    assert_int_equal(serve_new(&f.options, &f.serve, NULL), 0);
    serve_set_ready(f.serve, true);
    f.listener.serve = f.serve;
    fixture_run();
}

/* A record that nobody can read. */
static void damage(const char *id)
{
    fixture_open();
    assert_int_equal(env_ledger_put(&ledger.ledger, ENV_LEDGER_BLOCK, str_of(id), STR("x")), 0);
    fake_ledger_run(&ledger);
}

static void test_a_block_that_cannot_be_read_refuses_everybody(void **state)
{
    struct call *call;

    (void)state;
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    damage("b-1");
    serve_again();
    assert_non_null(strstr(f.log, "it refuses everybody, and ends nothing that lives"));
    call = fixture_get(ALICE, DB);
    fixture_expect(call, 403, "blocked");
    assert_non_null(strstr(call_text(call, "detail"), "block b-1 can't be read any more"));
    fixture_expect(fixture_get(BOB, DB), 403, "blocked");
    assert_int_equal(scripted_live_count(&f.issuer), 1); /* what lives goes on */
    assert_int_equal(fixture_records("grant.ended"), 0);
    fixture_advance(30 * 24 * HOUR_MS);
    fixture_expect(fixture_get(BOB, DB), 403, "blocked");
}

static void test_an_admin_sees_and_ends_what_cannot_be_read(void **state)
{
    struct call *call;

    (void)state;
    damage("b-1");
    assert_int_equal(fixture_call(ADA, "POST", BLOCKS,
                                  "{\"match\":{\"subject\":{\"user\":\"bob\"}},\"block\":3600}")
                         ->status,
                     201);
    serve_again();
    assert_true(
        says(fixture_get(ADA, BLOCKS), "\"id\":\"b-1\",\"match\":{\"all\":true},\"until\":null"));
    call = fixture_get(ADA, API "/status");
    assert_string_equal(call_text(call, "status"), "degraded");
    assert_true(says(call, "block b-1 can't be read in the ledger, so it refuses everybody"));
    assert_false(says(fixture_get(ALICE, API "/status"), "b-1"));
    assert_int_equal(fixture_call(ADA, "DELETE", BLOCKS "/b-1", NULL)->status, 200);
    fake_ledger_run(&ledger);
    serve_again();
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    fixture_expect(fixture_get(BOB, DB), 403, "blocked");
    assert_string_equal(call_text(fixture_get(ADA, API "/status"), "status"), "ok");
}

static void test_one_that_can_be_read_ends_what_lives_beside_it(void **state)
{
    (void)state;
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    damage("b-1");
    ledger.is_held = true;
    call_hang_up(fixture_send(
        ADA, "POST", BLOCKS,
        "{\"match\":{\"subject\":{\"user\":\"alice\"}},\"block\":3600,\"reason\":\"leak\"}"));
    fixture_run();
    fake_ledger_run(&ledger); /* and the daemon dies before it does anything */
    ledger.is_held = false;
    serve_again();
    assert_int_equal(scripted_live_count(&f.issuer), 0);
}

static void test_a_drill_that_cannot_be_read_is_told(void **state)
{
    (void)state;
    damage("d-1");
    serve_again();
    assert_non_null(strstr(f.log, "nothing is revoked by it"));
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
}

#define blocks_test(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        blocks_test(test_a_block_that_cannot_be_read_refuses_everybody),
        blocks_test(test_an_admin_sees_and_ends_what_cannot_be_read),
        blocks_test(test_one_that_can_be_read_ends_what_lives_beside_it),
        blocks_test(test_a_drill_that_cannot_be_read_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
