/* Roles are added, changed and removed while leases live. */
#include "base/mem.h"
#include "unit/lease/fixture.h"

#include <string.h>

static struct lease_issuer *second_issuer(struct model_issuer *second)
{
    model_init(second, &f.fake);
    return &second->issuer;
}

static void next_read(struct client *client)
{
    struct lease_role role = f.role;

    assert_null(fixture_cached(client, &role));
    fixture_get(client, &role);
    assert_int_equal(client->status, 0);
}

static void test_a_role_is_copied_whole(void **state)
{
    char name[] = "copied";
    char params[] = "{\"path\":\"a\"}";
    char field[] = "host";
    char value[] = "db.example";
    const struct lease_field attribute = {.name = {.ptr = field, .len = 4},
                                          .value = {.ptr = value, .len = 10}};
    struct lease_role role = f.role;
    const struct lease_role *known;

    (void)state;
    fixture_open();
    role.name = name;
    role.params_json = params;
    role.attributes = role.env_names = &attribute;
    role.attribute_count = role.env_name_count = 1;
    assert_int_equal(lease_core_set_role(f.core, &role), 0);
    memset(name, 'x', 6);
    memset(params, 'x', 12);
    memset(field, 'x', 4);
    memset(value, 'x', 10);
    known = lease_core_role(f.core, STR("copied"));
    assert_non_null(known);
    assert_string_equal(known->name, "copied");
    assert_string_equal(known->params_json, "{\"path\":\"a\"}");
    assert_true(str_eq_c(known->attributes[0].name, "host"));
    assert_true(str_eq_c(known->env_names[0].value, "db.example"));
}

static void test_the_same_role_again_changes_nothing(void **state)
{
    struct client *client = fixture_client(0);
    size_t allocated;

    (void)state;
    fixture_get(client, &f.role);
    allocated = mem_in_use_bytes();
    assert_int_equal(lease_core_set_role(f.core, &f.role), 0);
    assert_int_equal(mem_in_use_bytes(), allocated);
    assert_non_null(fixture_cached(client, &f.role));
}

static void test_changed_timing_mints_nothing(void **state)
{
    struct client *client = fixture_client(0);
    const struct lease *lease;

    (void)state;
    fixture_get(client, &f.role);
    lease = fixture_lease(client);
    f.role.renew_at_percent = 80;
    f.role.max_ttl_ms = 48 * HOUR_MS;
    f.role.min_remaining_ms = MINUTE_MS;
    f.role.overlap_ms = MINUTE_MS;
    fixture_advance(40 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 0);
    assert_non_null(fixture_cached(client, &f.role));
    fixture_advance(15 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 1);
    assert_ptr_equal(fixture_lease(client), lease);
    assert_int_equal(f.model.lease_count, 1);
}

static void test_a_shorter_ttl_counts_from_the_next_renewal(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.honours_ttl = true;
    fixture_get(client, &f.role);
    f.role.ttl_ms = 10 * MINUTE_MS;
    f.role.min_remaining_ms = MINUTE_MS;
    fixture_advance(20 * MINUTE_MS);
    assert_int_equal(fixture_state(client), LEASE_STATE_ACTIVE);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 0);
    fixture_advance(11 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 1);
    assert_int_equal(f.model.last_ttl_ms, 10 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 1);
}

static void test_a_max_ttl_that_has_passed_lets_the_present_life_end(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    fixture_advance(40 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 1);
    f.role.max_ttl_ms = 20 * MINUTE_MS;
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 1);
    assert_int_equal(fixture_state(client), LEASE_STATE_ACTIVE);
    fixture_advance(32 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 1);
    assert_int_equal(f.model.lease_count, 2);
}

static void test_what_a_change_makes_overdue_is_spread(void **state)
{
    size_t i;

    (void)state;
    f.role.renew_at_percent = 90;
    for (i = 40; i < 340; i++) {
        fixture_get(fixture_client(i), &f.role);
    }
    fixture_advance(40 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 0);
    f.role.renew_at_percent = 50;
    fixture_advance(SECOND_MS);
    assert_true(f.model.call_counts[LEASE_CALL_RENEW] < 30);
    fixture_advance(30 * SECOND_MS);
    assert_true(f.model.call_counts[LEASE_CALL_RENEW] > 100);
    assert_true(f.model.call_counts[LEASE_CALL_RENEW] < 200);
    fixture_advance(30 * SECOND_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 300);
}

static void test_a_shorter_linger_counts_for_what_is_kept(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.role.linger_ms = HOUR_MS;
    fixture_get(client, &f.role);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 1);
    f.role.linger_ms = 0;
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_another_sharing_keeps_what_is_held(void **state)
{
    struct client *one = fixture_client(0);
    struct client *two = fixture_client(10);

    (void)state;
    fixture_get(one, &f.shared);
    fixture_get(two, &f.shared);
    assert_int_equal(f.model.lease_count, 1);
    f.shared.share = LEASE_SHARE_NONE;
    fixture_run();
    assert_non_null(fixture_cached(one, &f.shared));
    assert_non_null(fixture_cached(two, &f.shared));
    fixture_get(fixture_client(20), &f.shared);
    assert_int_equal(f.model.lease_count, 2);
    f.shared.share = LEASE_SHARE_ROLE;
    fixture_run();
    fixture_get(fixture_client(30), &f.shared);
    assert_int_equal(f.model.lease_count, 2);
    assert_string_equal(f.clients[30].password, one->password);
}

static void test_other_params_mint_at_the_next_read(void **state)
{
    struct client *client = fixture_client(0);
    struct lease *before;
    char password[64];

    (void)state;
    fixture_get(client, &f.role);
    before = fixture_lease(client);
    memcpy(password, client->password, sizeof(password));
    f.role.params_json = "{\"path\":\"other\"}";
    fixture_run();
    assert_int_equal(f.model.lease_count, 1);
    next_read(client);
    assert_int_equal(f.model.lease_count, 2);
    assert_string_not_equal(client->password, password);
    assert_string_equal(f.model.last_params, "{\"path\":\"other\"}");
    assert_int_equal(before->state, LEASE_STATE_REVOKED);
    assert_int_equal(fixture_records("lease.superseded"), 1);
    assert_non_null(fixture_cached(client, &f.role));
}

static void test_what_is_held_and_not_read_is_replaced_within_a_while(void **state)
{
    size_t i;

    (void)state;
    for (i = 40; i < 240; i++) {
        fixture_get(fixture_client(i), &f.role);
    }
    fixture_advance(2 * SECOND_MS);
    f.role.params_json = "{\"path\":\"other\"}";
    fixture_advance(SECOND_MS);
    assert_true(f.model.lease_count < 220);
    fixture_advance(5 * MINUTE_MS);
    assert_true(f.model.lease_count > 260);
    assert_true(f.model.lease_count < 340);
    fixture_advance(5 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 400);
    /* Planned: the old ones live until their holders have read the new ones. */
    assert_int_equal(model_live_count(&f.model), 400);
}

static void test_a_changed_role_keeps_serving_while_its_successor_cannot_be_issued(void **state)
{
    struct client *client = fixture_client(0);
    char password[64];

    (void)state;
    fixture_get(client, &f.role);
    memcpy(password, client->password, sizeof(password));
    fixture_advance(2 * SECOND_MS);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    f.role.params_json = "{\"path\":\"wrong\"}";
    fixture_run();
    next_read(client);
    assert_string_equal(client->password, password);
    fixture_advance(3 * HOUR_MS); /* it is renewed all the while */
    next_read(client);
    assert_string_equal(client->password, password);
    assert_int_equal(model_live_count(&f.model), 1);
    assert_true(f.model.call_counts[LEASE_CALL_ISSUE] < 120);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_advance(10 * MINUTE_MS);
    next_read(client);
    assert_string_not_equal(client->password, password);
}

static void test_nobody_new_gets_what_a_changed_role_issued_before(void **state)
{
    struct client *one = fixture_client(0);
    struct client *two = fixture_client(10);

    (void)state;
    fixture_get(one, &f.shared);
    fixture_advance(2 * SECOND_MS);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_SEALED;
    f.shared.params_json = "{\"path\":\"wrong\"}";
    fixture_get(two, &f.shared);
    assert_int_equal(two->status, ERR_UNAVAILABLE);
    fixture_get(one, &f.shared);
    assert_int_equal(one->status, 0);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_advance(5 * MINUTE_MS);
    fixture_get(two, &f.shared);
    assert_int_equal(two->status, 0);
    assert_int_equal(f.model.lease_count, 2);
}

static void test_what_was_kept_is_revoked_when_its_role_changes(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.role.linger_ms = HOUR_MS;
    fixture_get(client, &f.role);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    f.role.params_json = "{\"path\":\"other\"}";
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
}

static void test_an_issue_that_waits_is_sent_as_the_role_is_now(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_ask(client, &f.role);
    f.role.params_json = "{\"path\":\"other\"}";
    fixture_run();
    assert_int_equal(client->status, 0);
    assert_int_equal(f.model.lease_count, 1);
    assert_string_equal(f.model.last_params, "{\"path\":\"other\"}");
}

static void test_an_issue_under_way_is_replaced_before_it_is_handed_out(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(client, &f.role);
    f.role.params_json = "{\"path\":\"other\"}";
    fixture_run();
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(client->status, 0);
    assert_int_equal(f.model.lease_count, 2);
    assert_string_equal(f.model.last_params, "{\"path\":\"other\"}");
}

static void test_leases_are_renewed_and_revoked_by_the_issuer_they_came_from(void **state)
{
    static struct model_issuer second;
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.role.issuer = second_issuer(&second);
    second.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_SEALED;
    fixture_advance(40 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_RENEW], 1);
    assert_int_equal(second.call_counts[LEASE_CALL_RENEW], 0);
    assert_true(lease_core_issuer_leases(f.core, &f.model.issuer) > 0);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 1);
    assert_int_equal(lease_core_issuer_leases(f.core, &f.model.issuer), 0);
    f.role.issuer = &f.model.issuer;
    f.role.params_json = "{}";
    fixture_run();
    assert_int_equal(lease_core_issuer_leases(f.core, &second.issuer), 0);
    lease_core_forget_issuer(f.core, &second.issuer);
    assert_null(second.issuer.core_state);
    model_fini(&second);
}

static void test_an_issuer_can_be_forgotten_while_its_ended_leases_are_looked_at(void **state)
{
    static struct model_issuer second;
    struct client *client = fixture_client(0);
    struct lease_view view;
    struct lease *lease;

    (void)state;
    f.personal.issuer = second_issuer(&second);
    second.issuer.name = "second";
    fixture_get(client, &f.personal);
    lease = fixture_lease(client);
    lease_core_remove_role(f.core, STR("db-personal"));
    f.personal.name = NULL;
    fixture_run();
    assert_int_equal(lease_core_issuer_leases(f.core, &second.issuer), 0);
    lease_core_forget_issuer(f.core, &second.issuer);
    model_fini(&second);
    memset(&second, 0xff, sizeof(second));
    lease_view(lease, &view);
    assert_int_equal(view.state, LEASE_STATE_REVOKED);
    assert_string_equal(view.backend, "second");
    assert_string_equal(view.role->name, "db-personal");
}

static void test_rates_hold_over_a_change(void **state)
{
    size_t i;

    (void)state;
    f.role.issue_rate = (struct units_rate){.count = 10, .per_ms = MINUTE_MS};
    for (i = 0; i < 10; i++) {
        fixture_get(fixture_client(i), &f.role);
        assert_int_equal(f.clients[i].status, 0);
    }
    f.role.params_json = "{\"path\":\"other\"}";
    fixture_advance(2 * SECOND_MS);
    for (i = 0; i < 10; i++) {
        fixture_ask(&f.clients[i], &f.role);
    }
    fixture_advance(SECOND_MS);
    assert_true(f.model.call_counts[LEASE_CALL_ISSUE] <= 11);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 20);
}

static void test_other_limits_count_at_once(void **state)
{
    size_t i;

    (void)state;
    f.model.issuer.limits.in_flight = 1;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    for (i = 0; i < 4; i++) {
        fixture_get(fixture_client(i), &f.role);
    }
    assert_int_equal(f.model.in_flight, 1);
    f.model.issuer.limits.in_flight = 3;
    assert_int_equal(lease_core_set_limits(f.core, &f.model.issuer), 0);
    fixture_run();
    assert_int_equal(f.model.in_flight, 3);
}

static void test_a_removed_role_ends_its_grants_and_revokes(void **state)
{
    struct client *held = fixture_client(0);
    struct client *waiting = fixture_client(1);

    (void)state;
    f.shared.linger_ms = HOUR_MS;
    fixture_get(held, &f.shared);
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(waiting, &f.role);
    lease_core_remove_role(f.core, STR("db-shared"));
    lease_core_remove_role(f.core, STR("db"));
    lease_core_remove_role(f.core, STR("never-known"));
    f.role.name = f.shared.name = NULL;
    fixture_run();
    assert_int_equal(held->grant->end, GRANT_END_POLICY);
    assert_int_equal(waiting->status, ERR_POLICY);
    assert_null(lease_core_role(f.core, STR("db")));
    assert_int_equal(fixture_trail_has("\"outcome\":\"policy\""), 1);
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_removed_role_can_come_back(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_RETRY;
    lease_core_remove_role(f.core, STR("db"));
    assert_null(lease_core_role(f.core, STR("db")));
    fixture_get(client, &f.role); /* the fixture gives it anew */
    assert_int_equal(client->status, 0);
    assert_int_equal(f.model.lease_count, 2);
}

static void test_a_role_without_leases_is_gone_at_once(void **state)
{
    size_t before;

    (void)state;
    fixture_open();
    before = map_count(&f.core->roles);
    lease_core_remove_role(f.core, STR("db"));
    f.role.name = NULL;
    assert_int_equal(map_count(&f.core->roles), before - 1);
    assert_string_equal(lease_core_next_role(f.core, NULL)->name, "db-shared");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_role_is_copied_whole),
        fixture_test(test_the_same_role_again_changes_nothing),
        fixture_test(test_changed_timing_mints_nothing),
        fixture_test(test_a_shorter_ttl_counts_from_the_next_renewal),
        fixture_test(test_a_max_ttl_that_has_passed_lets_the_present_life_end),
        fixture_test(test_what_a_change_makes_overdue_is_spread),
        fixture_test(test_a_shorter_linger_counts_for_what_is_kept),
        fixture_test(test_another_sharing_keeps_what_is_held),
        fixture_test(test_other_params_mint_at_the_next_read),
        fixture_test(test_what_is_held_and_not_read_is_replaced_within_a_while),
        fixture_test(test_a_changed_role_keeps_serving_while_its_successor_cannot_be_issued),
        fixture_test(test_nobody_new_gets_what_a_changed_role_issued_before),
        fixture_test(test_what_was_kept_is_revoked_when_its_role_changes),
        fixture_test(test_an_issue_that_waits_is_sent_as_the_role_is_now),
        fixture_test(test_an_issue_under_way_is_replaced_before_it_is_handed_out),
        fixture_test(test_leases_are_renewed_and_revoked_by_the_issuer_they_came_from),
        fixture_test(test_an_issuer_can_be_forgotten_while_its_ended_leases_are_looked_at),
        fixture_test(test_rates_hold_over_a_change),
        fixture_test(test_other_limits_count_at_once),
        fixture_test(test_a_removed_role_ends_its_grants_and_revokes),
        fixture_test(test_a_removed_role_can_come_back),
        fixture_test(test_a_role_without_leases_is_gone_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
