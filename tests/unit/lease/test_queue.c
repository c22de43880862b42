/* The order of an issuer's calls, its rates and its places. */
#include "base/err.h"
#include "lease/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ITEMS 12

struct item {
    struct queue_item item;
    struct queue_lane *lane;
    uint64_t caller;
    char name;
    bool is_running;
};

static struct {
    struct wheel wheel;
    struct queue queue;
    struct queue_rates rates;
    struct queue_rates other_rates;
    struct queue_lane lane;
    struct queue_lane other;
    struct item items[ITEMS];
    char order[64];
    size_t order_len;
    bool is_ending_at_once;
} t;

static void done(struct item *item)
{
    item->is_running = false;
    queue_done(item->lane, item->item.kind, item->caller);
}

static void run(struct queue *queue, struct queue_item *queued)
{
    struct item *item = (struct item *)(void *)queued;

    assert_ptr_equal(queue, &t.queue);
    assert_false(queue_item_is_queued(queued));
    t.order[t.order_len++] = item->name;
    item->is_running = true;
    if (t.is_ending_at_once) {
        done(item);
        queue_pump(queue, t.wheel.now_ms);
    }
}

static void fire(struct wheel *wheel, struct wheel_entry *entry)
{
    assert_ptr_equal(entry, &t.queue.refill);
    queue_pump(&t.queue, wheel->now_ms);
}

static void start(uint32_t in_flight, struct units_rate issuer_rate, struct units_rate role_rate)
{
    const struct lease_issuer_limits limits = {.in_flight = in_flight, .issue_rate = issuer_rate};
    size_t i;

    memset(&t, 0, sizeof(t));
    wheel_init(&t.wheel, 1000, fire);
    queue_init(&t.queue, &t.wheel, &limits, 7, run);
    queue_rates_init(&t.rates, t.wheel.now_ms);
    queue_rates_init(&t.other_rates, t.wheel.now_ms);
    queue_bucket_set(&t.rates.issues, role_rate, t.wheel.now_ms);
    queue_lane_init(&t.lane, &t.queue, &t.rates);
    queue_lane_init(&t.other, &t.queue, &t.other_rates);
    for (i = 0; i < ITEMS; i++) {
        t.items[i].name = (char)('a' + i);
    }
}

static void push_for(uint32_t uid, struct queue_lane *lane, size_t index, enum queue_class kind)
{
    t.items[index].lane = lane;
    t.items[index].caller = uid;
    assert_int_equal(queue_push(lane, &t.items[index].item, kind, uid), 0);
}

static void push(struct queue_lane *lane, size_t index, enum queue_class kind)
{
    push_for(0, lane, index, kind);
}

static int end(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < ITEMS; i++) {
        queue_remove(t.items[i].lane, &t.items[i].item, t.items[i].caller);
        if (t.items[i].is_running) {
            done(&t.items[i]);
        }
    }
    assert_int_equal(queue_load(&t.queue), 0);
    queue_fini(&t.queue);
    return 0;
}

static const struct units_rate NO_RATE = {.count = 0};

static void test_revocations_go_first_and_unhurried_renewals_last(void **state)
{
    (void)state;
    start(100, NO_RATE, NO_RATE);
    push(&t.lane, 0, QUEUE_RENEW);
    push(&t.lane, 1, QUEUE_ISSUE);
    push(&t.lane, 2, QUEUE_URGENT);
    push(&t.lane, 3, QUEUE_REVOKE);
    assert_int_equal(queue_load(&t.queue), 4);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "dcba");
    assert_int_equal(queue_load(&t.queue), 4);
}

static void test_no_more_calls_run_than_there_are_places(void **state)
{
    (void)state;
    start(2, NO_RATE, NO_RATE);
    push(&t.lane, 0, QUEUE_ISSUE);
    push(&t.lane, 1, QUEUE_ISSUE);
    push(&t.lane, 2, QUEUE_ISSUE);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "ab");
    done(&t.items[0]);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "abc");
}

static void test_revocations_leave_some_places_but_never_none_for_themselves(void **state)
{
    (void)state;
    start(4, NO_RATE, NO_RATE);
    push(&t.lane, 0, QUEUE_REVOKE);
    push(&t.lane, 1, QUEUE_REVOKE);
    push(&t.lane, 2, QUEUE_REVOKE);
    push(&t.lane, 3, QUEUE_REVOKE);
    push(&t.lane, 4, QUEUE_RENEW);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "abe");
    done(&t.items[0]);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "abec");
    start(1, NO_RATE, NO_RATE);
    push(&t.lane, 0, QUEUE_REVOKE);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "a");
}

static void test_roles_take_turns(void **state)
{
    (void)state;
    start(100, NO_RATE, NO_RATE);
    push(&t.lane, 0, QUEUE_ISSUE);
    push(&t.lane, 1, QUEUE_ISSUE);
    push(&t.lane, 2, QUEUE_ISSUE);
    push(&t.other, 3, QUEUE_ISSUE);
    push(&t.other, 4, QUEUE_ISSUE);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "adbec");
}

static void test_a_rate_spreads_what_exceeds_its_bucket(void **state)
{
    (void)state;
    start(100, (struct units_rate){.count = 2, .per_ms = 1000}, NO_RATE);
    push(&t.lane, 0, QUEUE_ISSUE);
    push(&t.lane, 1, QUEUE_ISSUE);
    push(&t.lane, 2, QUEUE_ISSUE);
    push(&t.lane, 3, QUEUE_ISSUE);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "ab");
    wheel_advance(&t.wheel, 1499);
    assert_string_equal(t.order, "ab");
    wheel_advance(&t.wheel, 1500);
    assert_string_equal(t.order, "abc");
    wheel_advance(&t.wheel, 2000);
    assert_string_equal(t.order, "abcd");
    assert_false(wheel_is_armed(&t.queue.refill));
}

static void test_a_role_without_budget_does_not_hold_up_another(void **state)
{
    (void)state;
    start(100, NO_RATE, (struct units_rate){.count = 1, .per_ms = 60000});
    push(&t.lane, 0, QUEUE_ISSUE);
    push(&t.lane, 1, QUEUE_ISSUE);
    push(&t.other, 2, QUEUE_ISSUE);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "ac");
    assert_int_equal(queue_issue_wait_ms(&t.lane, 0, 1000), 120000);
    assert_int_equal(queue_issue_wait_ms(&t.other, 0, 1000), 0);
    wheel_advance(&t.wheel, 61000);
    assert_string_equal(t.order, "acb");
}

static void test_a_removed_call_never_runs(void **state)
{
    (void)state;
    start(1, NO_RATE, NO_RATE);
    push(&t.lane, 0, QUEUE_ISSUE);
    push(&t.lane, 1, QUEUE_ISSUE);
    queue_remove(&t.lane, &t.items[0].item, 0);
    queue_remove(&t.lane, &t.items[0].item, 0);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "b");
    assert_int_equal(queue_load(&t.queue), 1);
}

static void test_calls_that_end_while_they_start_do_not_recurse(void **state)
{
    (void)state;
    start(1, NO_RATE, NO_RATE);
    t.is_ending_at_once = true;
    push(&t.lane, 0, QUEUE_ISSUE);
    push(&t.lane, 1, QUEUE_RENEW);
    push(&t.lane, 2, QUEUE_REVOKE);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "cab");
    assert_int_equal(queue_load(&t.queue), 0);
}

static void test_too_many_issues_are_refused_and_revocations_never(void **state)
{
    static struct queue_item many[QUEUE_ISSUES_MAX + 2];
    size_t i;

    (void)state;
    start(1, NO_RATE, NO_RATE);
    memset(many, 0, sizeof(many));
    for (i = 0; i < QUEUE_ISSUES_MAX; i++) {
        uint32_t uid = i < QUEUE_CALLER_ISSUES_MAX ? 1 : 2;

        assert_int_equal(queue_push(&t.lane, &many[i], QUEUE_ISSUE, uid), 0);
        if (i + 1 == QUEUE_CALLER_ISSUES_MAX) {
            assert_false(queue_has_room(&t.queue, 1));
            assert_int_equal(queue_push(&t.lane, &many[i + 1], QUEUE_ISSUE, 1), ERR_LIMIT);
        }
    }
    assert_int_equal(queue_push(&t.lane, &many[QUEUE_ISSUES_MAX], QUEUE_ISSUE, 3), ERR_LIMIT);
    assert_int_equal(queue_push(&t.lane, &many[QUEUE_ISSUES_MAX], QUEUE_REVOKE, 1), 0);
    for (i = 0; i <= QUEUE_ISSUES_MAX; i++) {
        queue_remove(&t.lane, &many[i], i < QUEUE_CALLER_ISSUES_MAX ? 1 : 2);
    }
}

static void test_uids_take_turns_whatever_they_ask_for(void **state)
{
    (void)state;
    start(100, NO_RATE, NO_RATE);
    push_for(1, &t.lane, 0, QUEUE_ISSUE);
    push_for(1, &t.other, 1, QUEUE_ISSUE);
    push_for(1, &t.lane, 2, QUEUE_ISSUE);
    push_for(1, &t.other, 3, QUEUE_ISSUE);
    push_for(2, &t.lane, 4, QUEUE_ISSUE);
    push_for(3, &t.other, 5, QUEUE_ISSUE);
    push_for(2, &t.lane, 6, QUEUE_ISSUE);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "aefbgcd");
}

/* Each may hang for as long as a call may. */
static void test_one_role_leaves_some_places_to_the_others(void **state)
{
    (void)state;
    start(4, NO_RATE, NO_RATE);
    push_for(1, &t.lane, 0, QUEUE_ISSUE);
    push_for(2, &t.lane, 1, QUEUE_URGENT);
    push_for(3, &t.lane, 2, QUEUE_RENEW);
    push_for(4, &t.lane, 3, QUEUE_ISSUE);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "bad");
    push_for(5, &t.other, 4, QUEUE_RENEW);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "bade");
    done(&t.items[1]);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "badec");
}

static void test_one_caller_leaves_some_places_to_the_others(void **state)
{
    (void)state;
    start(4, NO_RATE, NO_RATE);
    push_for(1, &t.lane, 0, QUEUE_ISSUE);
    push_for(1, &t.lane, 1, QUEUE_ISSUE);
    push_for(1, &t.other, 2, QUEUE_ISSUE);
    push_for(1, &t.other, 3, QUEUE_ISSUE);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "acb");
    push_for(2, &t.lane, 4, QUEUE_ISSUE);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "acbe");
    done(&t.items[4]);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "acbe");
    done(&t.items[0]);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "acbed");
}

static void test_a_newcomer_waits_for_one_of_each_uid(void **state)
{
    const struct units_rate rate = {.count = 1, .per_ms = 60000};

    (void)state;
    start(100, NO_RATE, rate);
    push_for(1, &t.lane, 0, QUEUE_ISSUE);
    queue_pump(&t.queue, 1000); /* takes the only token */
    push_for(1, &t.lane, 1, QUEUE_ISSUE);
    push_for(1, &t.lane, 2, QUEUE_ISSUE);
    push_for(1, &t.lane, 3, QUEUE_ISSUE);
    assert_int_equal(queue_issue_wait_ms(&t.lane, 1, 1000), 240000);
    assert_int_equal(queue_issue_wait_ms(&t.lane, 2, 1000), 120000);
}

static void test_a_uid_whose_role_has_no_tokens_does_not_hold_up_others(void **state)
{
    const struct units_rate rate = {.count = 1, .per_ms = 60000};

    (void)state;
    start(100, NO_RATE, rate);
    push_for(1, &t.lane, 0, QUEUE_ISSUE);
    push_for(1, &t.lane, 1, QUEUE_ISSUE);
    push_for(1, &t.other, 2, QUEUE_ISSUE);
    push_for(2, &t.lane, 3, QUEUE_ISSUE);
    push_for(2, &t.other, 4, QUEUE_ISSUE);
    queue_pump(&t.queue, 1000);
    assert_string_equal(t.order, "aec");
    wheel_advance(&t.wheel, 61000);
    assert_string_equal(t.order, "aecd");
}

static void test_a_changed_rate_forgives_nothing(void **state)
{
    struct queue_bucket bucket;

    (void)state;
    queue_bucket_init(&bucket, (struct units_rate){.count = 10, .per_ms = 60000}, 1000);
    queue_bucket_take(&bucket, 1, 1000);
    queue_bucket_set(&bucket, (struct units_rate){.count = 20, .per_ms = 60000}, 1000);
    assert_int_equal(queue_bucket_wait_ms(&bucket, 9, 1000), 0);
    assert_int_equal(queue_bucket_wait_ms(&bucket, 10, 1000), 3000);
    queue_bucket_set(&bucket, (struct units_rate){.count = 2, .per_ms = 60000}, 1000);
    assert_int_equal(queue_bucket_wait_ms(&bucket, 2, 1000), 0);
    assert_int_equal(queue_bucket_wait_ms(&bucket, 3, 1000), 30000);
}

static void test_a_bucket_fills_up_and_no_further(void **state)
{
    struct queue_bucket bucket;

    (void)state;
    queue_bucket_init(&bucket, (struct units_rate){.count = 3, .per_ms = 60000},
                      UINT64_MAX - 100000);
    queue_bucket_take(&bucket, 1, UINT64_MAX - 100000);
    queue_bucket_take(&bucket, 1, UINT64_MAX - 100000);
    queue_bucket_take(&bucket, 1, UINT64_MAX - 100000);
    assert_int_equal(queue_bucket_wait_ms(&bucket, 1, UINT64_MAX - 100000), 20000);
    assert_int_equal(queue_bucket_wait_ms(&bucket, 3, UINT64_MAX), 0);
    assert_int_equal(queue_bucket_wait_ms(&bucket, 4, UINT64_MAX), 20000);
}

static void test_the_same_rate_once_more_takes_nothing_away(void **state)
{
    const struct units_rate rate = {.count = 1, .per_ms = 60000};
    struct queue_bucket bucket;
    uint64_t now_ms;

    (void)state;
    queue_bucket_init(&bucket, rate, 1000);
    queue_bucket_take(&bucket, 1, 1000);
    for (now_ms = 11000; now_ms < 61000; now_ms += 10000) {
        queue_bucket_set(&bucket, rate, now_ms);
        assert_int_equal(queue_bucket_wait_ms(&bucket, 1, now_ms), 61000 - now_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_revocations_go_first_and_unhurried_renewals_last, end),
        cmocka_unit_test_teardown(test_no_more_calls_run_than_there_are_places, end),
        cmocka_unit_test_teardown(test_revocations_leave_some_places_but_never_none_for_themselves,
                                  end),
        cmocka_unit_test_teardown(test_roles_take_turns, end),
        cmocka_unit_test_teardown(test_a_rate_spreads_what_exceeds_its_bucket, end),
        cmocka_unit_test_teardown(test_a_role_without_budget_does_not_hold_up_another, end),
        cmocka_unit_test_teardown(test_a_removed_call_never_runs, end),
        cmocka_unit_test_teardown(test_calls_that_end_while_they_start_do_not_recurse, end),
        cmocka_unit_test_teardown(test_too_many_issues_are_refused_and_revocations_never, end),
        cmocka_unit_test(test_a_bucket_fills_up_and_no_further),
        cmocka_unit_test_teardown(test_uids_take_turns_whatever_they_ask_for, end),
        cmocka_unit_test_teardown(test_one_role_leaves_some_places_to_the_others, end),
        cmocka_unit_test_teardown(test_one_caller_leaves_some_places_to_the_others, end),
        cmocka_unit_test_teardown(test_a_newcomer_waits_for_one_of_each_uid, end),
        cmocka_unit_test_teardown(test_a_uid_whose_role_has_no_tokens_does_not_hold_up_others, end),
        cmocka_unit_test(test_a_changed_rate_forgives_nothing),
        cmocka_unit_test(test_the_same_rate_once_more_takes_nothing_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
