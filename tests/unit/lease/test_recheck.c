/* New policies and the grants that live under them. */
#include "unit/lease/fixture.h"

#include "lease/recheck.h"

#include <stdio.h>
#include <string.h>

/* The new policy, by script. */
static struct {
    uint32_t denied_uid;
    uint32_t denied_group;
    uint32_t live_max;
    uint64_t duration_ms;
    uint64_t drain_ms;
    uint32_t call_count;
    struct access_request request;
    struct access_identity identity;
} policy;

static bool has_group(const struct access_identity *identity, uint32_t gid)
{
    size_t i;

    for (i = 0; i < identity->group_count; i++) {
        if (identity->groups[i] == gid) {
            return true;
        }
    }
    return identity->gid == gid;
}

static void judge(void *user, const struct access_identity *identity,
                  const struct access_request *request, struct access_decision *ret_decision)
{
    assert_ptr_equal(user, &policy);
    policy.call_count++;
    policy.request = *request;
    policy.identity = *identity;
    *ret_decision = (struct access_decision){.outcome = ACCESS_ALLOW,
                                             .rule = "rule-two",
                                             .duration_ms = policy.duration_ms};
    if (identity->uid == policy.denied_uid || has_group(identity, policy.denied_group)) {
        ret_decision->outcome = ACCESS_DENY;
        ret_decision->rule = "no-more";
    } else if (policy.live_max > 0 && request->live_count >= policy.live_max) {
        ret_decision->outcome = ACCESS_LIMIT_EXCEEDED;
    }
}

static int setup(void **state)
{
    int r = fixture_setup(state);

    memset(&policy, 0, sizeof(policy));
    policy.denied_uid = policy.denied_group = UINT32_MAX;
    policy.duration_ms = 24 * HOUR_MS;
    fake_env_add_user(&f.fake, 500, "user500");
    fake_env_add_user(&f.fake, 501, "user501");
    return r;
}

#define recheck_test(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

static uint32_t recheck(void)
{
    struct lease_recheck asked = {.policy_digest = "digest-two",
                                  .judge = judge,
                                  .user = &policy,
                                  .drain_ms = policy.drain_ms};
    uint32_t ended = lease_core_recheck(f.core, &asked);

    fixture_run();
    return ended;
}

static void test_what_is_forbidden_now_ends_on_record(void **state)
{
    struct client *one = fixture_client(0);
    struct client *two = fixture_client(10);

    (void)state;
    fixture_get(one, &f.role);
    fixture_get(two, &f.role);
    policy.denied_uid = 500;
    assert_int_equal(recheck(), 1);
    assert_int_equal(one->grant->end, GRANT_END_POLICY);
    assert_int_equal(two->grant->state, GRANT_STATE_HELD);
    assert_int_equal(model_live_count(&f.model), 1);
    assert_null(fixture_cached(one, &f.role));
    assert_int_equal(fixture_trail_has("\"outcome\":\"policy\""), 1);
    assert_int_equal(fixture_trail_has("\"rule\":\"no-more\""), 1);
    assert_int_equal(fixture_trail_has("digest-two"), 1);
}

static void test_what_is_allowed_goes_on_under_its_new_rule(void **state)
{
    struct client *client = fixture_client(0);
    struct grant_view view;

    (void)state;
    fixture_get(client, &f.role);
    assert_int_equal(recheck(), 0);
    grant_view(client->grant, &view);
    assert_string_equal(view.rule, "rule-two");
    assert_non_null(fixture_cached(client, &f.role));
    assert_int_equal(fixture_records("grant.reduced"), 0);
}

static void test_a_grant_is_judged_as_it_was_asked_for(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->identity.group_count = 2;
    client->identity.groups[0] = 77;
    client->identity.groups[1] = 78;
    (void)snprintf(client->identity.unit, sizeof(client->identity.unit), "orders.service");
    client->acquire.reason = "OPS-7";
    client->decision.binding_count = 2;
    client->decision.bindings[1] = (struct access_binding_spec){.kind = ACCESS_BINDING_NONE};
    fixture_get(client, &f.role);
    (void)recheck();
    assert_int_equal(policy.call_count, 1);
    assert_int_equal(policy.identity.uid, 500);
    assert_int_equal(policy.identity.gid, 500);
    assert_int_equal(policy.identity.group_count, 2);
    assert_int_equal(policy.identity.groups[1], 78);
    assert_string_equal(policy.identity.user, "user500");
    assert_string_equal(policy.identity.unit, "orders.service");
    assert_string_equal(policy.identity.listener, "local");
    assert_ptr_equal(policy.identity.env, &f.fake.env);
    assert_string_equal(policy.request.role, "db");
    assert_int_equal(policy.request.role_binding, ACCESS_BINDING_PROCESS);
    assert_int_equal(policy.request.binding_count, 2);
    assert_int_equal(policy.request.bindings[0].kind, ACCESS_BINDING_PROCESS);
    assert_int_equal(policy.request.bindings[1].kind, ACCESS_BINDING_NONE);
    assert_string_equal(policy.request.reason, "OPS-7");
}

static void test_groups_are_those_of_each_grant(void **state)
{
    struct client *one = fixture_client(0);
    struct client *two = fixture_client(1);

    (void)state;
    two->identity.group_count = 1;
    two->identity.groups[0] = 77;
    fixture_get(one, &f.role);
    fixture_get(two, &f.role);
    policy.denied_group = 77;
    assert_int_equal(recheck(), 1);
    assert_int_equal(one->grant->state, GRANT_STATE_HELD);
    assert_int_equal(two->grant->end, GRANT_END_POLICY);
}

static void test_the_youngest_go_when_fewer_may_live(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < 4; i++) {
        fixture_get(fixture_client(i), &f.role);
    }
    fixture_get(fixture_client(10), &f.role);
    policy.live_max = 2;
    assert_int_equal(recheck(), 2);
    assert_int_equal(f.clients[0].grant->state, GRANT_STATE_HELD);
    assert_int_equal(f.clients[1].grant->state, GRANT_STATE_HELD);
    assert_int_equal(f.clients[2].grant->state, GRANT_STATE_ENDED);
    assert_int_equal(f.clients[3].grant->state, GRANT_STATE_ENDED);
    assert_int_equal(f.clients[10].grant->state, GRANT_STATE_HELD);
}

static void test_a_shorter_duration_counts_from_the_beginning(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    fixture_advance(30 * MINUTE_MS);
    policy.duration_ms = HOUR_MS;
    assert_int_equal(recheck(), 0);
    assert_int_equal(fixture_records("grant.reduced"), 1);
    fixture_advance(29 * MINUTE_MS);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(client->grant->end, GRANT_END_DURATION);
    policy.duration_ms = MINUTE_MS;
    assert_int_equal(recheck(), 0);
}

static void test_a_grant_without_end_gets_one(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->decision.duration_ms = 0;
    fixture_get(client, &f.role);
    fixture_advance(30 * MINUTE_MS);
    policy.duration_ms = 20 * MINUTE_MS;
    assert_int_equal(recheck(), 0);
    fixture_advance(SECOND_MS);
    assert_int_equal(client->grant->end, GRANT_END_DURATION);
}

static void test_another_name_behind_the_uid_ends_the_grant(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    (void)snprintf(f.fake.names[0].name, sizeof(f.fake.names[0].name), "somebody-else");
    assert_int_equal(recheck(), 1);
    assert_int_equal(policy.call_count, 0);
    assert_int_equal(client->grant->end, GRANT_END_POLICY);
}

static void test_another_name_behind_the_uid_is_another_holder(void **state)
{
    struct client *one = fixture_client(0);
    struct client *two = fixture_client(1);

    (void)state;
    (void)snprintf(two->identity.user, sizeof(two->identity.user), "somebody-else");
    fixture_get(one, &f.personal);
    fixture_get(two, &f.personal);
    assert_string_not_equal(one->password, two->password);
}

static void test_a_shared_credential_is_replaced_when_one_loses_it(void **state)
{
    struct client *one = fixture_client(0);
    struct client *two = fixture_client(10);
    char password[64];

    (void)state;
    fixture_get(one, &f.shared);
    fixture_get(two, &f.shared);
    memcpy(password, two->password, sizeof(password));
    policy.denied_uid = 500;
    assert_int_equal(recheck(), 1);
    fixture_get(two, &f.shared);
    assert_int_equal(two->status, 0);
    assert_string_not_equal(two->password, password);
}

/* Some holders are on the old credential still: who loses it there knows no other. */
static void test_what_is_replaced_already_is_not_replaced_twice(void **state)
{
    struct client *one = fixture_client(0);
    struct client *two = fixture_client(10);
    struct client *three = fixture_client(20);
    struct lease *old;

    (void)state;
    fake_env_add_user(&f.fake, 502, "user502");
    fixture_get(one, &f.shared);
    fixture_get(two, &f.shared);
    fixture_get(three, &f.shared);
    old = fixture_lease(one);
    assert_int_equal(lease_rotate_start(f.core, old, fixture_wait()), 0);
    old->is_forced = false; /* as if it had been planned */
    fixture_run();
    fixture_get(three, &f.shared);
    assert_int_equal(old->state, LEASE_STATE_SUPERSEDED);
    assert_int_equal(old->grant_count, 2);
    policy.denied_uid = 500;
    assert_int_equal(recheck(), 1);
    assert_int_equal(f.model.lease_count, 2);
    assert_int_equal(old->state, LEASE_STATE_SUPERSEDED);
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(old->state, LEASE_STATE_REVOKED);
    assert_int_equal(two->grant->state, GRANT_STATE_HELD);
    assert_int_equal(f.model.lease_count, 2);
}

static void test_who_waits_is_told_that_policy_denies(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(client, &f.role);
    policy.denied_uid = 500;
    assert_int_equal(recheck(), 1);
    assert_int_equal(client->status, ERR_POLICY);
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
}

/* It had all that it waited for, and would have been told so at the end of the turn. */
static void test_who_is_about_to_get_a_credential_is_told_too(void **state)
{
    struct client *client = fixture_client(0);
    struct grant *grant;

    (void)state;
    fixture_get(client, &f.role);
    grant = client->grant;
    fixture_ask(client, &f.role);
    lease_end_grant(f.core, grant, GRANT_END_POLICY, NULL);
    fixture_run();
    assert_int_equal(client->status, ERR_POLICY);
}

static void test_what_drains_lives_for_that_long_and_no_longer(void **state)
{
    struct client *one = fixture_client(0);
    struct client *two = fixture_client(10);

    (void)state;
    fixture_get(one, &f.role);
    fixture_get(two, &f.role);
    policy.denied_uid = 500;
    policy.drain_ms = 10 * MINUTE_MS;
    assert_int_equal(recheck(), 0);
    assert_int_equal(fixture_records("grant.reduced"), 1);
    assert_int_equal(fixture_trail_has("\"rule\":\"no-more\""), 1);
    fixture_advance(9 * MINUTE_MS);
    assert_int_equal(one->grant->state, GRANT_STATE_HELD);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(one->grant->end, GRANT_END_DURATION);
    assert_int_equal(two->grant->state, GRANT_STATE_HELD);
}

/* After a reload, or a restart. */
static void test_what_drains_keeps_its_time_under_the_same_policy_alone(void **state)
{
    struct client *client = fixture_client(0);
    struct lease_recheck other = {.policy_digest = "digest-three", .judge = judge, .user = &policy};

    (void)state;
    fixture_get(client, &f.role);
    policy.denied_uid = 500;
    policy.drain_ms = 10 * MINUTE_MS;
    assert_int_equal(recheck(), 0);
    policy.drain_ms = 0;
    assert_int_equal(recheck(), 0);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    assert_int_equal(fixture_records("grant.reduced"), 1);
    assert_int_equal(lease_core_recheck(f.core, &other), 1);
    assert_int_equal(client->grant->end, GRANT_END_POLICY);
}

static void test_who_waits_for_a_credential_is_not_drained(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(client, &f.role);
    policy.denied_uid = 500;
    policy.drain_ms = 10 * MINUTE_MS;
    assert_int_equal(recheck(), 1);
    assert_int_equal(client->status, ERR_POLICY);
    model_answer_all(&f.model);
    fixture_run();
}

static struct lease_preview previews[8];
static size_t preview_count;

static void preview_note(void *user, const struct lease_preview *preview)
{
    assert_null(user);
    previews[preview_count++] = *preview;
}

static void test_a_preview_tells_and_changes_nothing(void **state)
{
    const struct lease_recheck asked = {.policy_digest = "digest-two",
                                        .judge = judge,
                                        .user = &policy};
    struct client *one = fixture_client(0);
    struct client *two = fixture_client(10);
    struct grant_view view;

    (void)state;
    fixture_get(one, &f.role);
    fixture_get(two, &f.role);
    preview_count = 0;
    lease_core_preview(f.core, &asked, preview_note, NULL);
    assert_int_equal(preview_count, 0);
    policy.denied_uid = 500;
    policy.duration_ms = MINUTE_MS;
    lease_core_preview(f.core, &asked, preview_note, NULL);
    assert_int_equal(preview_count, 2);
    assert_ptr_equal(previews[0].grant, one->grant);
    assert_true(previews[0].ends);
    assert_ptr_equal(previews[1].grant, two->grant);
    assert_false(previews[1].ends);
    grant_view(two->grant, &view);
    assert_int_equal(previews[1].until_wall_ms, view.created_wall_ms + (int64_t)MINUTE_MS);
    assert_int_equal(one->grant->state, GRANT_STATE_HELD);
    assert_true(view.until_wall_ms > previews[1].until_wall_ms);
    assert_int_equal(fixture_records("grant.reduced"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        recheck_test(test_what_is_forbidden_now_ends_on_record),
        recheck_test(test_what_is_allowed_goes_on_under_its_new_rule),
        recheck_test(test_a_grant_is_judged_as_it_was_asked_for),
        recheck_test(test_groups_are_those_of_each_grant),
        recheck_test(test_the_youngest_go_when_fewer_may_live),
        recheck_test(test_a_shorter_duration_counts_from_the_beginning),
        recheck_test(test_a_grant_without_end_gets_one),
        recheck_test(test_another_name_behind_the_uid_ends_the_grant),
        recheck_test(test_another_name_behind_the_uid_is_another_holder),
        recheck_test(test_a_shared_credential_is_replaced_when_one_loses_it),
        recheck_test(test_what_is_replaced_already_is_not_replaced_twice),
        recheck_test(test_who_waits_is_told_that_policy_denies),
        recheck_test(test_what_drains_lives_for_that_long_and_no_longer),
        recheck_test(test_what_drains_keeps_its_time_under_the_same_policy_alone),
        recheck_test(test_who_waits_for_a_credential_is_not_drained),
        recheck_test(test_a_preview_tells_and_changes_nothing),
        recheck_test(test_who_is_about_to_get_a_credential_is_told_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
