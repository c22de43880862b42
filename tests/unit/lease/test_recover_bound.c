/* The next daemon, and a replacement that was asked for, or that access was taken away for: it
 * bounds the old credential, whoever dies meanwhile. */
#include "unit/lease/ledger_fixture.h"

#include "lease/observe.h"

#define CALLS(kind) f.model.call_counts[LEASE_CALL_##kind]

static const char *reason; /* of the last superseded */

static void on_event(struct lease_observer *observer, const struct lease_event *event)
{
    (void)observer;
    if (event->kind == LEASE_EVENT_SUPERSEDED) {
        reason = event->reason;
    }
}

static void on_told(struct lease_observer *observer, uint64_t position)
{
    (void)observer;
    (void)position;
}

/* Of the oldest grant. */
static const char *superseded_reason(void)
{
    struct lease_observer observer = {.event = on_event, .told = on_told};

    reason = "";
    lease_grant_events(lease_core_next_grant(f.core, NULL), 0, &observer);
    return reason;
}

static void rotate(const struct client *client)
{
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(model_live_count(&f.model), 2);
}

/* Its holder doesn't ask, so that nothing but the bound ends it. */
static void expect_the_end_after(uint64_t ms)
{
    assert_true(ms > MINUTE_MS);
    fixture_advance(ms - MINUTE_MS);
    assert_true(model_is_live(&f.model, 0));
    fixture_advance(2 * MINUTE_MS);
    assert_false(model_is_live(&f.model, 0));
    assert_int_equal(model_live_count(&f.model), 1);
    assert_int_equal(CALLS(ISSUE), 2);
}

static void test_the_bound_of_a_rotation_outlives_a_kill(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    rotate(&f.clients[0]);
    fixture_advance(2 * MINUTE_MS);
    ledger_kill();
    ledger_start();
    ledger_kill();
    ledger_start(); /* and once more */
    expect_the_end_after(f.role.overlap_ms - 2 * MINUTE_MS);
}

static void test_the_bound_of_a_rotation_outlives_a_stop(void **state)
{
    (void)state;
    f.role.is_kept_on_stop = true;
    fixture_get(fixture_client(0), &f.role);
    rotate(&f.clients[0]);
    ledger_stop(); /* which takes a minute */
    ledger_start();
    expect_the_end_after(f.role.overlap_ms - MINUTE_MS);
}

static void test_a_bound_that_has_passed_meanwhile_ends_it_at_once(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    rotate(&f.clients[0]);
    ledger_kill();
    f.fake.now_ms += f.role.overlap_ms + 1;
    f.fake.wall_ms += (int64_t)f.role.overlap_ms + 1;
    ledger_start();
    fixture_advance(1000);
    assert_false(model_is_live(&f.model, 0));
    assert_int_equal(model_live_count(&f.model), 1);
    assert_int_equal(CALLS(ISSUE), 2);
}

static void test_its_holder_hears_that_it_was_asked_for(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.shared);
    fixture_get(fixture_client(1), &f.shared);
    rotate(&f.clients[0]);
    ledger_kill();
    ledger_start();
    assert_string_equal(superseded_reason(), "asked_for");
}

/* A planned one leaves it alone, before and after. */
static void test_a_planned_replacement_has_no_bound(void **state)
{
    (void)state;
    f.model.is_renewable = false;
    fixture_get(fixture_client(0), &f.role);
    while (CALLS(ISSUE) < 2) {
        fixture_advance(MINUTE_MS);
    }
    assert_true(model_is_live(&f.model, 0));
    ledger_kill();
    ledger_start();
    assert_string_equal(superseded_reason(), "planned");
}

static void take_away(const struct client *client)
{
    lease_end_grant(f.core, client->grant, GRANT_END_POLICY, NULL);
    fixture_run();
}

static void test_access_that_was_taken_away_stays_bounded(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.shared);
    fixture_get(fixture_client(1), &f.shared);
    take_away(&f.clients[0]);
    assert_int_equal(model_live_count(&f.model), 2);
    ledger_kill();
    ledger_start();
    expect_the_end_after(f.shared.overlap_ms);
}

/* The replacement was planned, and is bounded only then. */
static void test_access_that_was_taken_from_what_was_replaced_stays_bounded(void **state)
{
    (void)state;
    f.model.is_renewable = false;
    fixture_get(fixture_client(0), &f.shared);
    fixture_get(fixture_client(1), &f.shared);
    while (CALLS(ISSUE) < 2) {
        fixture_advance(1000);
    }
    f.model.is_renewable = true;
    assert_true(model_is_live(&f.model, 0));
    take_away(&f.clients[0]);
    ledger_kill();
    ledger_start();
    fixture_advance(f.shared.overlap_ms + 1000);
    assert_false(model_is_live(&f.model, 0));
}

/* The daemon dies between the question and the answer. */
static void test_a_replacement_that_was_asked_for_is_made_by_the_next(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.shared);
    fixture_get(fixture_client(1), &f.shared);
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    take_away(&f.clients[0]);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_RETRY;
    ledger_kill();
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    ledger_start();
    fixture_advance(f.shared.overlap_ms + MINUTE_MS);
    assert_false(model_is_live(&f.model, 0));
    assert_int_equal(model_live_count(&f.model), 1);
    fixture_get(&f.clients[1], &f.shared);
    assert_int_equal(f.clients[1].status, 0);
    assert_int_equal(model_live_count(&f.model), 1);
}

/* The policy of the next daemon takes access from one who is still on what was replaced. */
static void test_access_that_a_start_takes_away_bounds_what_was_replaced(void **state)
{
    struct grant *grant;

    (void)state;
    f.model.is_renewable = false;
    fixture_get(fixture_client(0), &f.shared);
    fixture_get(fixture_client(1), &f.shared);
    while (CALLS(ISSUE) < 2) {
        fixture_advance(1000);
    }
    f.model.is_renewable = true;
    ledger_kill();
    ledger_start_reading();
    grant = lease_core_next_grant(f.core, NULL);
    lease_end_grant(f.core, grant, GRANT_END_POLICY, NULL);
    ledger_start_going_on();
    assert_int_equal(CALLS(ISSUE), 2); /* the others have where to go */
    fixture_advance(f.shared.overlap_ms + 1000);
    assert_false(model_is_live(&f.model, 0));
    assert_int_equal(model_live_count(&f.model), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ledger_test(test_the_bound_of_a_rotation_outlives_a_kill),
        ledger_test(test_the_bound_of_a_rotation_outlives_a_stop),
        ledger_test(test_a_bound_that_has_passed_meanwhile_ends_it_at_once),
        ledger_test(test_its_holder_hears_that_it_was_asked_for),
        ledger_test(test_a_planned_replacement_has_no_bound),
        ledger_test(test_access_that_was_taken_away_stays_bounded),
        ledger_test(test_access_that_was_taken_from_what_was_replaced_stays_bounded),
        ledger_test(test_access_that_a_start_takes_away_bounds_what_was_replaced),
        ledger_test(test_a_replacement_that_was_asked_for_is_made_by_the_next),
    };

    return cmocka_run_group_tests_name("recover bound", tests, NULL, NULL);
}
