/* What holders hear of their grants, and how those that listen say that they have moved over. */
#include "unit/lease/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lease/observe.h"

/* Writes down what it hears: "credential/2 superseded/1(asked_for) ". */
static struct {
    struct lease_observer observer;
    char text[4096];
    size_t count;
    size_t told_count;
    uint64_t position; /* all up to here was told */
    int64_t when_wall_ms;
    bool follows;
} heard;

static void on_event(struct lease_observer *observer, const struct lease_event *event)
{
    size_t used = strlen(heard.text);
    struct lease_view view;

    assert_ptr_equal(observer, &heard.observer);
    lease_view(event->lease, &view);
    (void)snprintf(heard.text + used, sizeof(heard.text) - used, "%s/%u%s%s%s ",
                   lease_event_str(event->kind), (unsigned)view.version,
                   event->reason != NULL ? "(" : "", event->reason != NULL ? event->reason : "",
                   event->reason != NULL ? ")" : "");
    heard.count++;
    heard.when_wall_ms = event->when_wall_ms;
    assert_true(event->position <= lease_core_position(f.core));
}

static void on_told(struct lease_observer *observer, uint64_t position)
{
    assert_ptr_equal(observer, &heard.observer);
    assert_true(position > heard.position);
    heard.position = position;
    heard.told_count++;
}

static bool follows(struct lease_observer *observer, const struct grant *grant)
{
    (void)observer;
    (void)grant;
    return heard.follows;
}

static void observe(void)
{
    memset(&heard, 0, sizeof(heard));
    heard.observer = (struct lease_observer){.event = on_event, .told = on_told};
    heard.observer.follows = follows;
    fixture_open();
    lease_observe(f.core, &heard.observer);
}

static void expect(const char *text)
{
    assert_string_equal(heard.text, text);
    heard.text[0] = '\0';
}

/* What somebody hears who comes back after `position`. */
static void expect_since(struct grant *grant, uint64_t position, const char *text)
{
    heard.text[0] = '\0';
    lease_grant_events(grant, position, &heard.observer);
    expect(text);
}

static void rotate(struct client *client)
{
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
}

static int ack(const struct client *client, struct lease *lease)
{
    int r = lease_core_ack(f.core, lease, &client->identity, (struct str){.ptr = NULL});

    fixture_run();
    return r;
}

/* --- events --- */

static void test_a_new_grant_and_its_end_are_heard(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    observe();
    fixture_get(client, &f.role);
    expect("credential/1 ");
    fixture_get(client, &f.role);
    expect("");
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    expect("gone/1(released) ");
}

static void test_a_successor_is_heard_of_when_it_is_durable(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    observe();
    f.trail->is_held = true;
    rotate(client);
    expect("");
    f.trail->is_held = false;
    fixture_run();
    expect("credential/2 superseded/1(asked_for) ");
    assert_int_equal(heard.when_wall_ms, env_wall_ms(&f.fake.env) + (int64_t)f.role.overlap_ms);
}

static void test_every_holder_of_a_shared_lease_hears(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(11);

    (void)state;
    fixture_get(a, &f.shared);
    fixture_get(b, &f.shared);
    observe();
    rotate(a);
    expect("credential/2 superseded/1(asked_for) credential/2 superseded/1(asked_for) ");
    fixture_get(a, &f.shared);
    rotate(a); /* b is still on the first one */
    expect("credential/3 superseded/2(asked_for) credential/3 ");
}

static void test_a_renewal_is_no_event(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    observe();
    fixture_advance(2 * HOUR_MS);
    assert_true(f.model.call_counts[LEASE_CALL_RENEW] > 1);
    expect("");
}

static void test_a_failed_successor_is_no_event(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    observe();
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    rotate(client);
    assert_int_equal(f.wait_status, ERR_UNAVAILABLE);
    expect("");
    assert_true(model_is_live(&f.model, 0));
}

static void test_a_lease_that_can_be_neither_renewed_nor_replaced_will_end(void **state)
{
    struct client *client = fixture_client(0);
    struct lease_view view;

    (void)state;
    f.model.is_renewable = false;
    fixture_get(client, &f.role);
    observe();
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    fixture_advance(58 * MINUTE_MS);
    expect("ending/1(not_replaced) "); /* once, however often it is tried */
    lease_view(fixture_lease(client), &view);
    assert_int_equal(heard.when_wall_ms, view.expires_wall_ms);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_advance(MINUTE_MS + 30 * SECOND_MS);
    expect("credential/2 superseded/1(planned) ");
}

static void test_the_end_of_a_duration_is_heard_before_it_comes(void **state)
{
    struct client *client = fixture_client(0);
    int64_t until_wall_ms;

    (void)state;
    client->decision.duration_ms = HOUR_MS;
    observe();
    fixture_get(client, &f.role);
    until_wall_ms = env_wall_ms(&f.fake.env) + (int64_t)HOUR_MS;
    fixture_advance(54 * MINUTE_MS);
    expect("credential/1 ");
    fixture_advance(2 * MINUTE_MS);
    expect("ending/1(duration) ");
    assert_int_equal(heard.when_wall_ms, until_wall_ms);
    fixture_advance(5 * MINUTE_MS);
    expect("gone/1(duration) ");
    assert_int_equal(fixture_records("grant.ended"), 1);
}

static void test_a_short_duration_is_announced_in_its_last_quarter(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->decision.duration_ms = 4 * MINUTE_MS;
    fixture_get(client, &f.role);
    observe();
    fixture_advance(2 * MINUTE_MS);
    expect("");
    fixture_advance(MINUTE_MS + 1);
    expect("ending/1(duration) ");
}

static void test_ends_say_why(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    observe();
    fixture_get(client, &f.role);
    fake_env_end_process(&f.fake, client->identity.pid);
    fixture_run();
    expect("credential/1 gone/1(binding) ");
    fixture_get(fixture_client(41), &f.role);
    lease_core_remove_role(f.core, str_of(f.role.name));
    f.role.name = NULL;
    fixture_run();
    expect("credential/1 gone/1(policy) ");
}

static void test_a_grant_that_nobody_got_is_not_heard_of(void **state)
{
    (void)state;
    observe();
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    fixture_get(fixture_client(0), &f.role);
    expect("");
}

static void test_changes_of_one_turn_are_told_once(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    observe();
    fixture_get(client, &f.role);
    heard.told_count = 0;
    heard.text[0] = '\0';
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    assert_int_equal(heard.told_count, 1);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    expect("credential/2 superseded/1(asked_for) gone/1(released) ");
}

/* --- coming back --- */

static void test_who_was_away_hears_the_state_as_it_is_now(void **state)
{
    struct client *client = fixture_client(0);
    struct grant *grant;
    uint64_t position;

    (void)state;
    fixture_get(client, &f.role);
    grant = client->grant;
    position = lease_core_position(f.core);
    observe();
    lease_unobserve(&heard.observer);
    expect_since(grant, position, "");
    expect_since(grant, 0, "credential/1 ");
    rotate(client);
    expect_since(grant, position, "credential/2 superseded/1(asked_for) ");
    fixture_get(client, &f.role);
    rotate(client);
    assert_int_equal(heard.told_count, 0);
    expect_since(grant, position, "credential/3 superseded/2(asked_for) ");
    expect_since(grant, lease_core_position(f.core), "");
    position = lease_core_position(f.core);
    lease_end_grant(f.core, grant, GRANT_END_POLICY, NULL);
    fixture_run();
    expect_since(grant, position, "gone/2(policy) "); /* it never had the third */
    expect_since(grant, lease_core_position(f.core), "");
}

/* --- moving over --- */

static void test_who_follows_keeps_the_old_credential_until_he_says_so(void **state)
{
    struct client *client = fixture_client(0);
    struct lease *old;

    (void)state;
    observe();
    heard.follows = true;
    fixture_get(client, &f.role);
    old = fixture_lease(client);
    rotate(client);
    assert_int_equal(ack(client, old), ERR_BUSY); /* it hasn't read the successor */
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-1");
    assert_true(model_is_live(&f.model, 0));
    assert_int_equal(ack(client, old), 0); /* either of the two may be named */
    assert_false(model_is_live(&f.model, 0));
    assert_int_equal(ack(client, old), 0);
    assert_int_equal(ack(client, fixture_lease(client)), 0);
    assert_true(model_is_live(&f.model, 1));
}

static void test_nobody_moves_over_for_somebody_else(void **state)
{
    struct client *client = fixture_client(0);
    struct client *stranger = fixture_client(41);

    (void)state;
    observe();
    heard.follows = true;
    fixture_get(client, &f.role);
    rotate(client);
    fixture_get(client, &f.role);
    assert_int_equal(ack(stranger, fixture_lease(client)), ERR_NOT_FOUND);
    fixture_get(stranger, &f.role);
    assert_int_equal(ack(stranger, fixture_lease(client)), ERR_NOT_FOUND);
    assert_true(model_is_live(&f.model, 0));
}

static void test_the_last_one_to_move_over_ends_the_old_lease(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(11);

    (void)state;
    observe();
    heard.follows = true;
    fixture_get(a, &f.shared);
    fixture_get(b, &f.shared);
    rotate(a);
    fixture_get(a, &f.shared);
    fixture_get(b, &f.shared);
    assert_int_equal(ack(a, fixture_lease(a)), 0);
    assert_true(model_is_live(&f.model, 0));
    assert_int_equal(ack(b, fixture_lease(b)), 0);
    assert_false(model_is_live(&f.model, 0));
}

static void test_one_of_several_grants_can_be_named(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1); /* another process of the same identity */
    struct grant_view view;

    (void)state;
    observe();
    heard.follows = true;
    fixture_get(a, &f.personal);
    fixture_get(b, &f.personal);
    rotate(a);
    fixture_get(a, &f.personal);
    fixture_get(b, &f.personal);
    grant_view(a->grant, &view);
    assert_int_equal(lease_core_ack(f.core, fixture_lease(a), &a->identity, str_of(view.id)), 0);
    fixture_run();
    assert_true(model_is_live(&f.model, 0));
    assert_int_equal(lease_core_ack(f.core, fixture_lease(a), &a->identity, STR("g-0")),
                     ERR_NOT_FOUND);
    assert_int_equal(ack(b, fixture_lease(b)), 0);
    assert_false(model_is_live(&f.model, 0));
}

static void test_who_says_nothing_has_the_overlap(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    observe();
    heard.follows = true;
    fixture_get(client, &f.role);
    rotate(client);
    fixture_get(client, &f.role);
    fixture_advance(f.role.overlap_ms - MINUTE_MS);
    assert_true(model_is_live(&f.model, 0));
    fixture_advance(2 * MINUTE_MS);
    assert_false(model_is_live(&f.model, 0));
}

static void test_after_a_planned_rotation_too(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_renewable = false;
    f.role.overlap_ms = 2 * MINUTE_MS;
    observe();
    heard.follows = true;
    fixture_get(client, &f.role);
    fixture_advance(52 * MINUTE_MS);
    expect("credential/1 credential/2 superseded/1(planned) ");
    fixture_get(client, &f.role);
    expect("superseded/1(planned) "); /* now it is known when */
    assert_int_equal(heard.when_wall_ms, env_wall_ms(&f.fake.env) + (int64_t)f.role.overlap_ms);
    fixture_advance(MINUTE_MS);
    assert_true(model_is_live(&f.model, 0));
    fixture_get(client, &f.role); /* which gives no more time */
    assert_non_null(fixture_cached(client, &f.role));
    expect("");
    fixture_advance(MINUTE_MS + 1);
    assert_false(model_is_live(&f.model, 0));
    assert_int_equal(fixture_records("lease.revoked"), 1);
}

static void test_without_an_overlap_a_read_is_enough(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_renewable = false;
    f.role.overlap_ms = 0;
    observe();
    heard.follows = true;
    fixture_get(client, &f.role);
    fixture_advance(52 * MINUTE_MS);
    fixture_get(client, &f.role);
    fixture_run();
    assert_false(model_is_live(&f.model, 0));
}

static void test_the_end_of_a_grant_does_not_wait_for_its_word(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    observe();
    heard.follows = true;
    fixture_get(client, &f.role);
    rotate(client);
    fixture_get(client, &f.role);
    fake_env_end_process(&f.fake, client->identity.pid);
    fixture_run();
    assert_false(model_is_live(&f.model, 0));
    assert_false(model_is_live(&f.model, 1));
}

static void test_who_does_not_follow_has_moved_over_with_the_read(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    observe();
    fixture_get(client, &f.role);
    rotate(client);
    fixture_get(client, &f.role);
    fixture_run();
    assert_false(model_is_live(&f.model, 0));
    assert_int_equal(ack(client, fixture_lease(client)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_new_grant_and_its_end_are_heard),
        fixture_test(test_a_successor_is_heard_of_when_it_is_durable),
        fixture_test(test_every_holder_of_a_shared_lease_hears),
        fixture_test(test_a_renewal_is_no_event),
        fixture_test(test_a_failed_successor_is_no_event),
        fixture_test(test_a_lease_that_can_be_neither_renewed_nor_replaced_will_end),
        fixture_test(test_the_end_of_a_duration_is_heard_before_it_comes),
        fixture_test(test_a_short_duration_is_announced_in_its_last_quarter),
        fixture_test(test_ends_say_why),
        fixture_test(test_a_grant_that_nobody_got_is_not_heard_of),
        fixture_test(test_changes_of_one_turn_are_told_once),
        fixture_test(test_who_was_away_hears_the_state_as_it_is_now),
        fixture_test(test_who_follows_keeps_the_old_credential_until_he_says_so),
        fixture_test(test_nobody_moves_over_for_somebody_else),
        fixture_test(test_the_last_one_to_move_over_ends_the_old_lease),
        fixture_test(test_one_of_several_grants_can_be_named),
        fixture_test(test_who_says_nothing_has_the_overlap),
        fixture_test(test_after_a_planned_rotation_too),
        fixture_test(test_without_an_overlap_a_read_is_enough),
        fixture_test(test_the_end_of_a_grant_does_not_wait_for_its_word),
        fixture_test(test_who_does_not_follow_has_moved_over_with_the_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
