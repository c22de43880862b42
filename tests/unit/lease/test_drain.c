/* Stopping and closing, and a clock that jumps. */
#include "base/log.h"
#include "unit/lease/fixture.h"

#include <stdio.h>
#include <string.h>

static void test_a_drain_revokes_everything(void **state)
{
    size_t i;

    (void)state;
    f.role.linger_ms = HOUR_MS;
    for (i = 0; i < 10; i++) {
        fixture_get(fixture_client(i), &f.role);
        fixture_get(fixture_client(i), &f.shared);
    }
    lease_end_grant(f.core, f.clients[0].grant, GRANT_END_RELEASED, NULL);
    lease_core_drain(f.core, f.fake.now_ms + 20 * SECOND_MS, false, fixture_wait());
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(fixture_trail_has("\"outcome\":\"stopping\""), 19);
}

static void test_a_drain_takes_no_new_requests_and_cancels_the_waiting(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(client, &f.role);
    lease_core_drain(f.core, f.fake.now_ms + 20 * SECOND_MS, false, fixture_wait());
    fixture_run();
    assert_int_equal(client->status, ERR_CANCELED);
    assert_int_equal(lease_acquire_start(f.core, &client->acquire), ERR_CLOSED);
    assert_null(lease_core_cached(f.core, &client->acquire.ask));
    assert_int_equal(f.wait_status, 1);
    model_answer(&f.model);
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_drain_ends_at_its_deadline_and_says_what_is_left(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_RETRY;
    lease_core_drain(f.core, f.fake.now_ms + 20 * SECOND_MS, false, fixture_wait());
    fixture_advance(19 * SECOND_MS);
    assert_int_equal(f.wait_status, 1);
    assert_true(f.model.call_counts[LEASE_CALL_REVOKE] > 5);
    fixture_advance(SECOND_MS);
    assert_int_equal(f.wait_status, ERR_TIMEOUT);
    assert_int_equal(fixture_trail_has("the daemon stopped before the issuer confirmed"), 1);
}

static void keep_error(void *user, enum log_level level, const char *event,
                       const struct log_field *fields, size_t count)
{
    size_t i;

    (void)level;
    for (i = 0; strcmp(event, "lease.drain.left") == 0 && i < count; i++) {
        if (strcmp(fields[i].key, "err") == 0) {
            (void)snprintf(user, 64, "%.*s", (int)fields[i].value.len, fields[i].value.ptr);
        }
    }
}

static void test_an_issuer_that_never_answers_is_told_as_what_holds_up_a_drain(void **state)
{
    char error[64] = "";

    (void)state;
    fixture_get(fixture_client(0), &f.role);
    f.model.is_held[LEASE_CALL_REVOKE] = true;
    lease_core_drain(f.core, f.fake.now_ms + 20 * SECOND_MS, false, fixture_wait());
    log_set_sink(keep_error, error, LOG_LEVEL_ERROR);
    fixture_advance(20 * SECOND_MS);
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    assert_int_equal(f.wait_status, ERR_TIMEOUT);
    assert_string_equal(error, "the issuer has not answered");
    model_answer(&f.model);
    fixture_run();
}

static void test_a_drain_does_not_wait_out_what_its_issuer_asks_for(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_RETRY;
    f.model.retry_after_ms = 60 * SECOND_MS;
    lease_core_drain(f.core, f.fake.now_ms + 20 * SECOND_MS, false, fixture_wait());
    fixture_advance(10 * SECOND_MS);
    assert_true(f.model.call_counts[LEASE_CALL_REVOKE] >= 4);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_OK;
    fixture_advance(2 * SECOND_MS);
    assert_int_equal(f.wait_status, 0);
}

static void test_a_drain_of_nothing_ends_at_once(void **state)
{
    (void)state;
    fixture_open();
    lease_core_drain(f.core, f.fake.now_ms + 20 * SECOND_MS, false, fixture_wait());
    assert_int_equal(f.wait_count, 0);
    fixture_run();
    assert_int_equal(f.wait_status, 0);
}

static void test_what_cannot_be_revoked_does_not_hold_up_a_drain(void **state)
{
    (void)state;
    f.model.is_revocable = false;
    fixture_get(fixture_client(0), &f.role);
    lease_core_drain(f.core, f.fake.now_ms + 20 * SECOND_MS, false, fixture_wait());
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 0);
}

static void closed_in_the_middle(void *user)
{
    *(bool *)user = true;
}

static void test_a_close_in_the_middle_of_everything_leaves_nothing_behind(void **state)
{
    struct client *client = fixture_client(0);
    struct lease_core *core;
    bool is_closed = false;

    (void)state;
    fixture_get(client, &f.role);
    fixture_get(fixture_client(1), &f.shared);
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(fixture_client(2), &f.role);
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    f.trail->is_held = true;
    fixture_ask(fixture_client(3), &f.shared);
    lease_core_close(f.core, closed_in_the_middle, &is_closed);
    assert_false(is_closed);
    f.trail->is_held = false;
    fake_env_run(&f.fake);
    assert_true(is_closed);
    assert_int_equal(f.clients[2].status, ERR_CANCELED);
    assert_int_equal(f.clients[3].status, ERR_CANCELED);
    assert_int_equal(f.wait_status, ERR_CANCELED);
    assert_int_equal(fake_env_timer_count(&f.fake), 0);
    assert_int_equal(lease_core_new(&f.options, &core, NULL), 0);
    f.core = core;
    f.trail = fake_env_file(&f.fake, "/trail-of-nothing");
}

static void test_the_clock_may_start_near_its_end(void **state)
{
    struct client *client;

    (void)state;
    f.fake.now_ms = UINT64_MAX - 20 * HOUR_MS;
    client = fixture_client(0);
    fixture_get(client, &f.role);
    fixture_advance(5 * HOUR_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_true(f.model.leases[0].renew_count > 5);
}

static void test_a_long_sleep_of_the_host_is_made_up_for(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    fixture_get(fixture_client(1), &f.role);
    f.clients[1].grant->duration_ms = 0;
    f.fake.now_ms += 9 * HOUR_MS;
    f.fake.wall_ms += (int64_t)(9 * HOUR_MS);
    fixture_advance(0);
    assert_true(lease_is_ending(fixture_lease(client)));
    fixture_advance(5 * SECOND_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_true(model_is_live(&f.model, 2));
}

/* Two clocks are never read at the same moment. */
static void test_the_times_of_a_lease_stay_until_the_clock_is_set(void **state)
{
    struct client *client = fixture_client(0);
    struct lease_view first;
    struct lease_view view;
    int i;

    (void)state;
    fixture_get(client, &f.role);
    lease_view(fixture_lease(client), &first);
    for (i = -3; i <= 3; i++) {
        f.fake.wall_ms += i;
        lease_view(fixture_lease(client), &view);
        assert_int_equal(view.issued_wall_ms, first.issued_wall_ms);
        assert_int_equal(view.expires_wall_ms, first.expires_wall_ms);
        f.fake.wall_ms -= i;
    }
    f.fake.wall_ms -= 1000;
    lease_view(fixture_lease(client), &view);
    assert_int_equal(view.expires_wall_ms, first.expires_wall_ms - 1000);
}

static void test_a_drain_asks_again_at_once(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_RETRY;
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    while (fixture_lease(client)->next_ms < f.fake.now_ms + MINUTE_MS) {
        fixture_advance(10 * SECOND_MS);
    }
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_OK;
    lease_core_drain(f.core, f.fake.now_ms + 20 * SECOND_MS, false, fixture_wait());
    fixture_advance(SECOND_MS);
    assert_int_equal(f.wait_status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_drain_revokes_everything),
        fixture_test(test_a_drain_takes_no_new_requests_and_cancels_the_waiting),
        fixture_test(test_a_drain_ends_at_its_deadline_and_says_what_is_left),
        fixture_test(test_an_issuer_that_never_answers_is_told_as_what_holds_up_a_drain),
        fixture_test(test_a_drain_does_not_wait_out_what_its_issuer_asks_for),
        fixture_test(test_a_drain_of_nothing_ends_at_once),
        fixture_test(test_what_cannot_be_revoked_does_not_hold_up_a_drain),
        fixture_test(test_a_close_in_the_middle_of_everything_leaves_nothing_behind),
        fixture_test(test_the_clock_may_start_near_its_end),
        fixture_test(test_a_long_sleep_of_the_host_is_made_up_for),
        fixture_test(test_the_times_of_a_lease_stay_until_the_clock_is_set),
        fixture_test(test_a_drain_asks_again_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
