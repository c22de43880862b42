/* Reads, what the trail says of it all, and what the API shows. */
#include "base/mem.h"
#include "unit/lease/fixture.h"

#include <string.h>

/* --- reads --- */

static void test_reads_of_a_held_credential_need_nothing_but_a_look_up(void **state)
{
    struct client *client = fixture_client(0);
    size_t mem_before;
    size_t i;

    (void)state;
    assert_null(fixture_cached(client, &f.role));
    fixture_get(client, &f.role);
    (void)fixture_cached(client, &f.role);
    mem_before = mem_in_use_bytes();
    for (i = 0; i < 9; i++) {
        assert_ptr_equal(fixture_cached(client, &f.role), client->grant);
    }
    assert_int_equal(mem_in_use_bytes(), mem_before);
    assert_int_equal(client->grant->read_count, 11);
    assert_int_equal(fixture_records("credential.read"), 1);
}

static void test_counted_reads_go_on_record_after_a_minute(void **state)
{
    struct client *client = fixture_client(0);
    size_t i;

    (void)state;
    fixture_get(client, &f.role);
    for (i = 0; i < 10; i++) {
        (void)fixture_cached(client, &f.role);
    }
    fixture_advance(61 * SECOND_MS);
    assert_int_equal(fixture_records("credential.read"), 2);
    assert_int_equal(fixture_trail_has("\"count\":10"), 1);
    fixture_advance(5 * MINUTE_MS);
    assert_int_equal(fixture_records("credential.read"), 2);
}

static void test_counted_reads_go_on_record_before_the_end(void **state)
{
    struct client *client = fixture_client(0);
    const char *read;

    (void)state;
    fixture_get(client, &f.role);
    (void)fixture_cached(client, &f.role);
    (void)fixture_cached(client, &f.role);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    read = strstr(f.trail->bytes, "\"count\":2");
    assert_non_null(read);
    assert_true(read < strstr(f.trail->bytes, "grant.ended"));
}

static void test_a_failing_trail_stops_reads_too(void **state)
{
    struct client *client = fixture_client(0);
    struct client *other = fixture_client(1);

    (void)state;
    fixture_get(client, &f.role);
    f.trail->fail_status = -5;
    fixture_get(other, &f.role);
    assert_int_equal(other->status, ERR_IO);
    assert_null(fixture_cached(client, &f.role));
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_IO);
    f.trail->fail_status = 0;
    fixture_advance(10 * SECOND_MS);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

static void test_renewals_and_revocations_go_on_while_the_trail_fails(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    f.trail->fail_status = -28;
    fixture_advance(31 * MINUTE_MS);
    assert_int_equal(f.model.leases[0].renew_count, 1);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, fixture_wait());
    fixture_run();
    assert_int_equal(f.wait_status, 0);
    assert_int_equal(model_live_count(&f.model), 0);
    f.trail->fail_status = 0;
    fixture_advance(MINUTE_MS);
    assert_int_equal(fixture_records("lease.revoked"), 1);
}

static void test_the_trail_tells_the_story_in_order(void **state)
{
    static const char *const story[] = {"lease.issued",  "grant.created", "credential.read",
                                        "lease.renewed", "grant.ended",   "lease.revoking",
                                        "lease.revoked"};
    struct client *client = fixture_client(0);
    const char *at;
    size_t i;

    (void)state;
    fixture_get(client, &f.role);
    fixture_advance(31 * MINUTE_MS);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    at = f.trail->bytes;
    for (i = 0; i < ARRAY_LEN(story); i++) {
        assert_int_equal(fixture_records(story[i]), 1);
        at = strstr(at, story[i]);
        assert_non_null(at);
    }
}

static void test_records_name_who_why_and_under_which_rule(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->acquire.reason = "OPS-7";
    client->acquire.ticket = "T-9";
    fixture_get(client, &f.role);
    assert_int_equal(fixture_trail_has("\"reason\":\"OPS-7\""), 2);
    assert_int_equal(fixture_trail_has("\"ticket\":\"T-9\""), 2);
    assert_int_equal(fixture_trail_has("rule-one"), 2);
    assert_int_equal(fixture_trail_has("digest-one"), 2);
    assert_true(fixture_trail_has("user500") >= 2);
    assert_true(fixture_trail_has("\"identifier_ref\":\"hmac:") >= 2);
}

/* --- looking --- */

static void test_views_show_what_there_is(void **state)
{
    struct client *client = fixture_client(0);
    struct lease_view lease;
    struct grant_view grant;

    (void)state;
    client->acquire.reason = "OPS-7";
    fixture_get(client, &f.role);
    lease_view(fixture_lease(client), &lease);
    grant_view(client->grant, &grant);
    assert_ptr_equal(lease_core_find_lease(f.core, str_of(lease.id)), fixture_lease(client));
    assert_ptr_equal(lease_core_find_grant(f.core, str_of(grant.id)), client->grant);
    assert_string_equal(grant.lease, lease.id);
    assert_ptr_equal(lease.role, lease_core_role(f.core, STR("db")));
    assert_int_equal(lease.grant_count, 1);
    assert_int_equal(lease.expires_wall_ms, f.fake.wall_ms + (int64_t)HOUR_MS - 2000);
    assert_string_equal(grant.reason, "OPS-7");
    assert_string_equal(grant.bindings, "process");
    assert_string_equal(grant.rule, "rule-one");
    assert_int_equal(grant.uid, 500);
    assert_int_equal(grant.until_wall_ms, f.fake.wall_ms + (int64_t)(12 * HOUR_MS));
}

static void test_lists_are_in_the_order_of_creation(void **state)
{
    struct grant *grant = NULL;
    struct lease *lease = NULL;
    size_t i;

    (void)state;
    for (i = 0; i < 5; i++) {
        fixture_get(fixture_client(i), &f.role);
    }
    for (i = 0; i < 5; i++) {
        lease = lease_core_next_lease(f.core, lease);
        grant = lease_core_next_grant(f.core, grant);
        assert_ptr_equal(grant, f.clients[i].grant);
        assert_ptr_equal(lease, fixture_lease(&f.clients[i]));
    }
    assert_null(lease_core_next_lease(f.core, lease));
    assert_null(lease_core_next_grant(f.core, grant));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_reads_of_a_held_credential_need_nothing_but_a_look_up),
        fixture_test(test_counted_reads_go_on_record_after_a_minute),
        fixture_test(test_counted_reads_go_on_record_before_the_end),
        fixture_test(test_a_failing_trail_stops_reads_too),
        fixture_test(test_renewals_and_revocations_go_on_while_the_trail_fails),
        fixture_test(test_the_trail_tells_the_story_in_order),
        fixture_test(test_records_name_who_why_and_under_which_rule),
        fixture_test(test_views_show_what_there_is),
        fixture_test(test_lists_are_in_the_order_of_creation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
