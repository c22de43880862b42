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
        ledger_test(test_a_rule_wants_more_left_than_the_role),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
