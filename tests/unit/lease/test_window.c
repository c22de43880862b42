/* What a rule gives beside a duration: an end with its window, and what a credential must have
 * left. */
#include "lease/recheck.h"
#include "unit/lease/ledger_fixture.h"

#include <string.h>

static struct access_decision judged;

static void judge(void *user, const struct access_identity *identity,
                  const struct access_request *request, struct access_decision *ret_decision)
{
    (void)user;
    (void)identity;
    assert_int_equal(request->wall_ms, f.fake.wall_ms);
    *ret_decision = judged;
}

static void recheck(void)
{
    (void)lease_core_recheck(f.core, &(struct lease_recheck){.policy_digest = "digest-two",
                                                             .judge = judge});
    fixture_run();
}

static int64_t wall_in(uint64_t ms)
{
    return f.fake.wall_ms + (int64_t)ms;
}

/* A client whose window closes then, and who may have it for a day. */
static struct client *client_until(size_t index, uint64_t ms)
{
    struct client *client = fixture_client(index);

    fake_env_add_user(&f.fake, 500, "user500");
    client->decision.duration_ms = 24 * HOUR_MS;
    client->decision.until_wall_ms = wall_in(ms);
    judged = client->decision;
    judged.outcome = ACCESS_ALLOW;
    judged.rule = "rule-two";
    return client;
}

static void test_a_grant_ends_with_its_window(void **state)
{
    struct client *client;
    struct grant_view view;

    (void)state;
    fixture_open();
    client = client_until(0, HOUR_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    grant_view(client->grant, &view);
    assert_in_range(view.until_wall_ms, client->decision.until_wall_ms - 100,
                    client->decision.until_wall_ms + 100);
    fixture_advance(HOUR_MS - MINUTE_MS);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(client->grant->end, GRANT_END_DURATION);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_duration_that_is_over_before_counts(void **state)
{
    struct client *client;

    (void)state;
    fixture_open();
    client = client_until(0, HOUR_MS);
    client->decision.duration_ms = 10 * MINUTE_MS;
    fixture_get(client, &f.role);
    fixture_advance(11 * MINUTE_MS);
    assert_int_equal(client->grant->end, GRANT_END_DURATION);
}

static void test_a_grant_without_duration_ends_with_its_window(void **state)
{
    struct client *client;

    (void)state;
    fixture_open();
    client = client_until(0, HOUR_MS);
    client->decision.duration_ms = 0;
    fixture_get(client, &f.role);
    fixture_advance(HOUR_MS + MINUTE_MS);
    assert_int_equal(client->grant->end, GRANT_END_DURATION);
}

static void test_the_window_is_kept_by_the_next_daemon(void **state)
{
    struct client *client;
    char id[LEASE_ID_BYTES + 1];

    (void)state;
    fixture_open();
    client = client_until(0, HOUR_MS);
    fixture_get(client, &f.role);
    memcpy(id, client->grant->id, sizeof(id));
    fixture_advance(30 * MINUTE_MS);
    ledger_kill();
    ledger_start();
    assert_int_equal(recovery.grant_count, 1);
    recheck();
    fixture_advance(29 * MINUTE_MS);
    assert_int_equal(lease_core_find_grant(f.core, str_of(id))->state, GRANT_STATE_HELD);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_window_that_closes_earlier_reduces(void **state)
{
    struct client *client;

    (void)state;
    fixture_open();
    client = client_until(0, 3 * HOUR_MS);
    fixture_get(client, &f.role);
    fixture_advance(HOUR_MS);
    judged.until_wall_ms = wall_in(HOUR_MS);
    recheck();
    assert_int_equal(fixture_records("grant.reduced"), 1);
    recheck();
    assert_int_equal(fixture_records("grant.reduced"), 1);
    fixture_advance(59 * MINUTE_MS);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(client->grant->end, GRANT_END_DURATION);
}

static void test_a_window_never_prolongs(void **state)
{
    struct client *client;

    (void)state;
    fixture_open();
    client = client_until(0, HOUR_MS);
    fixture_get(client, &f.role);
    judged.until_wall_ms = wall_in(5 * HOUR_MS);
    recheck();
    judged.until_wall_ms = 0;
    recheck();
    assert_int_equal(fixture_records("grant.reduced"), 0);
    fixture_advance(HOUR_MS + MINUTE_MS);
    assert_int_equal(client->grant->end, GRANT_END_DURATION);
}

static void test_a_closed_window_ends_the_grant_of_a_new_policy(void **state)
{
    struct client *client;

    (void)state;
    fixture_open();
    client = client_until(0, HOUR_MS);
    fixture_get(client, &f.role);
    judged = (struct access_decision){.outcome = ACCESS_DENY, .rule = "office", .limit = "window"};
    recheck();
    assert_int_equal(client->grant->end, GRANT_END_POLICY);
}

static void test_nothing_is_handed_out_when_the_window_has_closed_meanwhile(void **state)
{
    struct client *client;

    (void)state;
    fixture_open();
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    client = client_until(0, 5 * SECOND_MS);
    fixture_ask(client, &f.role);
    fixture_advance(10 * SECOND_MS);
    model_answer(&f.model);
    fixture_run();
    assert_int_equal(client->status, ERR_POLICY);
    assert_int_equal(fixture_records("grant.created"), 0);
    assert_int_equal(model_live_count(&f.model), 0);
}

/* --- the wall clock is set --- */

static void set_clock(int64_t step_ms)
{
    f.fake.wall_ms += step_ms;
}

/* A grant whose window closes in an hour, and half of that has passed. */
static struct client *halfway(uint64_t duration_ms)
{
    struct client *client;

    fixture_open();
    client = client_until(0, HOUR_MS);
    client->decision.duration_ms = duration_ms;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    fixture_advance(30 * MINUTE_MS);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    return client;
}

static void assert_ends_in(const struct client *client, uint64_t ms)
{
    fixture_advance(ms - 2 * SECOND_MS);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    fixture_advance(4 * SECOND_MS);
    assert_int_equal(client->grant->end, GRANT_END_DURATION);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_clock_that_is_put_over_the_end_ends_it_in_a_second_or_so(void **state)
{
    struct client *client = halfway(24 * HOUR_MS);

    (void)state;
    set_clock(31 * (int64_t)MINUTE_MS);
    fixture_advance(SECOND_MS + 100);
    assert_int_equal(client->grant->end, GRANT_END_DURATION);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_clock_that_is_put_forward_brings_the_end_nearer(void **state)
{
    struct client *client = halfway(24 * HOUR_MS);
    struct grant_view view;

    (void)state;
    set_clock(20 * (int64_t)MINUTE_MS);
    fixture_advance(2 * SECOND_MS);
    grant_view(client->grant, &view);
    assert_int_equal(view.until_wall_ms, client->decision.until_wall_ms);
    assert_ends_in(client, 10 * MINUTE_MS - 2 * SECOND_MS);
}

static void test_a_clock_that_is_put_back_ends_it_no_earlier(void **state)
{
    struct client *client = halfway(24 * HOUR_MS);

    (void)state;
    set_clock(-2 * (int64_t)HOUR_MS);
    assert_ends_in(client, 2 * HOUR_MS + 30 * MINUTE_MS);
}

static void test_one_that_is_put_back_and_forth_changes_nothing(void **state)
{
    struct client *client = halfway(24 * HOUR_MS);

    (void)state;
    set_clock(-2 * (int64_t)HOUR_MS);
    fixture_advance(10 * MINUTE_MS);
    set_clock(2 * (int64_t)HOUR_MS);
    assert_ends_in(client, 20 * MINUTE_MS);
}

static void test_a_clock_that_is_put_back_gives_no_more_than_the_duration(void **state)
{
    struct client *client = halfway(70 * MINUTE_MS);

    (void)state;
    set_clock(-2 * (int64_t)HOUR_MS);
    assert_ends_in(client, 40 * MINUTE_MS);
}

static void test_without_duration_the_wall_clock_alone_counts(void **state)
{
    struct client *client = halfway(0);

    (void)state;
    set_clock(-2 * (int64_t)HOUR_MS);
    assert_ends_in(client, 2 * HOUR_MS + 30 * MINUTE_MS);
}

static void test_a_clock_that_is_put_back_right_before_the_end_is_seen(void **state)
{
    struct client *client = halfway(24 * HOUR_MS);

    (void)state;
    fixture_advance(30 * MINUTE_MS - 200);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    set_clock(-(int64_t)HOUR_MS);
    fixture_advance(300);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    assert_ends_in(client, HOUR_MS);
}

static void test_one_that_is_put_back_before_the_beginning_ends_nothing(void **state)
{
    struct client *client = halfway(24 * HOUR_MS);

    (void)state;
    set_clock(-20 * (int64_t)HOUR_MS);
    fixture_advance(MINUTE_MS);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    assert_ends_in(client, 20 * HOUR_MS + 29 * MINUTE_MS);
}

static void test_what_has_no_window_takes_no_notice(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->decision.duration_ms = HOUR_MS;
    fixture_get(client, &f.role);
    assert_int_equal(f.core->window_count, 0);
    set_clock(5 * (int64_t)HOUR_MS);
    assert_ends_in(client, HOUR_MS);
}

/* --- … while no daemon is there --- */

static const struct grant *again(struct client *client, int64_t step_ms)
{
    static char id[LEASE_ID_BYTES + 1];

    memcpy(id, client->grant->id, sizeof(id));
    ledger_kill();
    set_clock(step_ms);
    ledger_start();
    return lease_core_find_grant(f.core, str_of(id));
}

static void test_a_start_behind_the_end_ends_it(void **state)
{
    (void)state;
    (void)again(halfway(24 * HOUR_MS), 31 * (int64_t)MINUTE_MS);
    assert_int_equal(recovery.ended_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_start_with_a_clock_that_was_put_back_goes_on(void **state)
{
    const struct grant *grant = again(halfway(24 * HOUR_MS), -2 * (int64_t)HOUR_MS);

    (void)state;
    recheck();
    fixture_advance(2 * HOUR_MS + 29 * MINUTE_MS);
    assert_int_equal(grant->state, GRANT_STATE_HELD);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_start_gives_no_more_than_the_duration(void **state)
{
    const struct grant *grant = again(halfway(70 * MINUTE_MS), -2 * (int64_t)HOUR_MS);

    (void)state;
    fixture_advance(39 * MINUTE_MS);
    assert_int_equal(grant->state, GRANT_STATE_HELD);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_after_a_start_the_clock_is_looked_at_too(void **state)
{
    (void)state;
    (void)again(halfway(24 * HOUR_MS), 0);
    assert_int_equal(recovery.grant_count, 1);
    set_clock(31 * (int64_t)MINUTE_MS);
    fixture_advance(2 * SECOND_MS);
    assert_int_equal(model_live_count(&f.model), 0);
}

/* --- … and policies --- */

static void test_a_duration_that_a_policy_cuts_holds_when_the_clock_is_put_back(void **state)
{
    struct client *client = halfway(24 * HOUR_MS);

    (void)state;
    judged.duration_ms = 90 * MINUTE_MS; /* its window closes before */
    recheck();
    assert_int_equal(fixture_records("grant.reduced"), 0);
    set_clock(-10 * (int64_t)HOUR_MS);
    assert_ends_in(client, HOUR_MS);
}

static void test_a_window_that_comes_with_a_policy_holds_by_the_wall_clock(void **state)
{
    struct client *client;

    (void)state;
    fixture_open();
    client = client_until(0, 5 * HOUR_MS);
    judged.until_wall_ms = wall_in(3 * HOUR_MS);
    client->decision.until_wall_ms = 0;
    fixture_get(client, &f.role);
    recheck();
    assert_int_equal(fixture_records("grant.reduced"), 1);
    set_clock(2 * (int64_t)HOUR_MS);
    assert_ends_in(client, HOUR_MS);
}

/* --- … after a reboot, behind which a grant has begun --- */

/* One that nothing but its duration ends, of which an hour is left. */
static void reboot_before_the_end(void)
{
    struct client *client = client_until(45, 30 * HOUR_MS);

    fake_env_add_user(&f.fake, client->identity.uid, client->identity.user);
    fixture_get(client, &f.role);
    fixture_advance(23 * HOUR_MS);
    ledger_kill();
    memcpy(f.fake.boot_id, "boot-2", sizeof("boot-2"));
    f.fake.now_ms = MINUTE_MS;
    ledger_start();
    assert_int_equal(recovery.grant_count, 1);
}

static void test_a_window_never_prolongs_after_a_reboot(void **state)
{
    (void)state;
    reboot_before_the_end();
    recheck();
    assert_int_equal(fixture_records("grant.reduced"), 0);
    fixture_advance(59 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 1);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_duration_that_is_cut_after_a_reboot_counts_from_before_it(void **state)
{
    (void)state;
    reboot_before_the_end();
    judged.until_wall_ms = 0;
    judged.duration_ms = 23 * HOUR_MS + 30 * MINUTE_MS;
    recheck();
    fixture_advance(29 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 1);
    judged.duration_ms = 12 * HOUR_MS;
    recheck();
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_what_drains_after_a_reboot_has_no_more_time_than_it_had(void **state)
{
    (void)state;
    reboot_before_the_end();
    judged = (struct access_decision){.outcome = ACCESS_DENY, .rule = "rule-two"};
    (void)lease_core_recheck(f.core, &(struct lease_recheck){.policy_digest = "digest-three",
                                                             .judge = judge,
                                                             .drain_ms = 3 * HOUR_MS});
    fixture_advance(61 * MINUTE_MS);
    assert_int_equal(model_live_count(&f.model), 0);
}

/* --- what must be left --- */

static void test_a_rule_wants_more_left_than_the_role(void **state)
{
    struct client *client = fixture_client(0);
    struct client *other = fixture_client(1);

    (void)state;
    f.model.is_renewable = false;
    f.model.lifetime_ms = f.shared.ttl_ms = HOUR_MS;
    f.shared.min_remaining_ms = MINUTE_MS;
    fixture_get(client, &f.shared);
    fixture_advance(35 * MINUTE_MS);
    other->decision.min_remaining_ms = 29 * MINUTE_MS;
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    fixture_get(other, &f.shared);
    assert_int_equal(other->status, 0);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ledger_test(test_a_grant_ends_with_its_window),
        ledger_test(test_a_duration_that_is_over_before_counts),
        ledger_test(test_a_grant_without_duration_ends_with_its_window),
        ledger_test(test_the_window_is_kept_by_the_next_daemon),
        ledger_test(test_a_window_that_closes_earlier_reduces),
        ledger_test(test_a_window_never_prolongs),
        ledger_test(test_a_closed_window_ends_the_grant_of_a_new_policy),
        ledger_test(test_nothing_is_handed_out_when_the_window_has_closed_meanwhile),
        ledger_test(test_a_clock_that_is_put_over_the_end_ends_it_in_a_second_or_so),
        ledger_test(test_a_clock_that_is_put_forward_brings_the_end_nearer),
        ledger_test(test_a_clock_that_is_put_back_ends_it_no_earlier),
        ledger_test(test_one_that_is_put_back_and_forth_changes_nothing),
        ledger_test(test_a_clock_that_is_put_back_gives_no_more_than_the_duration),
        ledger_test(test_without_duration_the_wall_clock_alone_counts),
        ledger_test(test_a_clock_that_is_put_back_right_before_the_end_is_seen),
        ledger_test(test_one_that_is_put_back_before_the_beginning_ends_nothing),
        ledger_test(test_what_has_no_window_takes_no_notice),
        ledger_test(test_a_start_behind_the_end_ends_it),
        ledger_test(test_a_start_with_a_clock_that_was_put_back_goes_on),
        ledger_test(test_a_start_gives_no_more_than_the_duration),
        ledger_test(test_after_a_start_the_clock_is_looked_at_too),
        ledger_test(test_a_duration_that_a_policy_cuts_holds_when_the_clock_is_put_back),
        ledger_test(test_a_window_that_comes_with_a_policy_holds_by_the_wall_clock),
        ledger_test(test_a_window_never_prolongs_after_a_reboot),
        ledger_test(test_a_duration_that_is_cut_after_a_reboot_counts_from_before_it),
        ledger_test(test_what_drains_after_a_reboot_has_no_more_time_than_it_had),
        ledger_test(test_a_rule_wants_more_left_than_the_role),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
