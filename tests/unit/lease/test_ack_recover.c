/* The next daemon, and holders that were moving over to a successor. */
#include "unit/lease/ledger_fixture.h"

#include "lease/observe.h"

#define CALLS(kind) f.model.call_counts[LEASE_CALL_##kind]

static void on_event(struct lease_observer *observer, const struct lease_event *event)
{
    (void)observer;
    (void)event;
}

static void on_told(struct lease_observer *observer, uint64_t position)
{
    (void)observer;
    (void)position;
}

static bool follows(struct lease_observer *observer, const struct grant *grant)
{
    (void)observer;
    (void)grant;
    return true;
}

/* A crash between the read of a successor and the word that nothing uses the old one any more. */
static void test_who_was_moving_over_has_the_overlap_again(void **state)
{
    struct lease_observer observer = {.event = on_event, .told = on_told, .follows = follows};
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    lease_observe(f.core, &observer);
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    fixture_get(client, &f.role);
    lease_unobserve(&observer);
    ledger_kill();
    ledger_start();
    assert_int_equal(model_live_count(&f.model), 2);
    fixture_advance(f.role.overlap_ms - MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 2);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 1);
    assert_int_equal(CALLS(ISSUE), 2);
}

/* Whoever has said so before has nothing of it any more. */
static void test_who_had_moved_over_has_nothing_of_the_old_one(void **state)
{
    struct lease_observer observer = {.event = on_event, .told = on_told, .follows = follows};
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    lease_observe(f.core, &observer);
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    fixture_get(client, &f.role);
    assert_int_equal(lease_core_ack(f.core, fixture_lease(client), &client->identity,
                                    (struct str){.ptr = NULL}),
                     0);
    fixture_run();
    lease_unobserve(&observer);
    ledger_kill();
    ledger_start();
    assert_int_equal(model_live_count(&f.model), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ledger_test(test_who_was_moving_over_has_the_overlap_again),
        ledger_test(test_who_had_moved_over_has_nothing_of_the_old_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
