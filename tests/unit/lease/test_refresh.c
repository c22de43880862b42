/* Credentials that are read again rather than renewed: static passwords, secrets, one-time codes.
 */
#include "unit/lease/fixture.h"

static void be_static(uint64_t lifetime_ms, uint64_t refresh_ms)
{
    fixture_open();
    f.model.is_renewable = false;
    f.model.is_revocable = false;
    f.model.lifetime_ms = lifetime_ms;
    f.model.refresh_ms = refresh_ms;
    f.role.ttl_ms = f.shared.ttl_ms = 0;
    f.role.max_ttl_ms = f.shared.max_ttl_ms = 0;
}

static void test_it_is_read_again_when_its_issuer_may_have_another_and_not_before(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    be_static(61 * MINUTE_MS, HOUR_MS);
    f.role.min_remaining_ms = 30 * MINUTE_MS;
    fixture_get(client, &f.role);
    fixture_advance(59 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 1);
    fixture_advance(MINUTE_MS);
    assert_int_equal(f.model.lease_count, 2);
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-1");
}

static void test_while_the_issuer_is_down_it_is_served_on_to_its_end(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    be_static(24 * HOUR_MS, 5 * MINUTE_MS);
    fixture_get(client, &f.role);
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_RETRY;
    fixture_advance(10 * HOUR_MS);
    assert_in_range(f.model.call_counts[LEASE_CALL_ISSUE], 100, 400); /* backed off */
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_string_equal(client->password, "MARKER-password-0");
    f.model.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_advance(5 * MINUTE_MS);
    fixture_get(client, &f.role);
    assert_string_equal(client->password, "MARKER-password-1");
}

static void test_an_unheld_one_is_kept_only_until_there_may_be_another(void **state)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    (void)state;
    be_static(24 * HOUR_MS, 5 * MINUTE_MS);
    fixture_get(a, &f.shared);
    lease_end_grant(f.core, a->grant, GRANT_END_RELEASED, NULL);
    fixture_advance(4 * MINUTE_MS);
    fixture_get(b, &f.shared);
    assert_string_equal(b->password, "MARKER-password-0");
    lease_end_grant(f.core, b->grant, GRANT_END_RELEASED, NULL);
    fixture_advance(2 * MINUTE_MS);
    fixture_get(a, &f.shared);
    assert_string_equal(a->password, "MARKER-password-1");
}

static void test_a_limit_of_the_role_comes_before_the_issuers_word(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    be_static(24 * HOUR_MS, 5 * HOUR_MS);
    f.role.ttl_ms = HOUR_MS;
    fixture_get(client, &f.role);
    fixture_advance(55 * MINUTE_MS);
    assert_int_equal(f.model.lease_count, 2);
}

static void test_what_is_made_on_demand_is_made_anew_only_for_who_asks(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    be_static(30 * SECOND_MS, UINT64_MAX);
    fixture_get(client, &f.role);
    fixture_advance(HOUR_MS);
    assert_int_equal(f.model.lease_count, 1);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_string_equal(client->password, "MARKER-password-1");
    assert_int_equal(f.model.lease_count, 2);
    assert_int_equal(fixture_records("grant.created"), 1);
}

static void test_a_short_one_is_asked_for_once_a_second_at_most(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    be_static(MINUTE_MS, 1);
    fixture_get(client, &f.role);
    fixture_advance(10 * SECOND_MS);
    assert_in_range(f.model.lease_count, 5, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_it_is_read_again_when_its_issuer_may_have_another_and_not_before),
        fixture_test(test_while_the_issuer_is_down_it_is_served_on_to_its_end),
        fixture_test(test_an_unheld_one_is_kept_only_until_there_may_be_another),
        fixture_test(test_a_limit_of_the_role_comes_before_the_issuers_word),
        fixture_test(test_what_is_made_on_demand_is_made_anew_only_for_who_asks),
        fixture_test(test_a_short_one_is_asked_for_once_a_second_at_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
