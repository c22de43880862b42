/* Leases in the ledger: there before their credential leaves, gone when their issuer has confirmed
 * their end, and ended by the next daemon when this one dies. */
#include "unit/lease/ledger_fixture.h"

#include "wire/ledger_grant.h"
#include "wire/ledger_lease.h"

#include <string.h>

static const char *record_of(const struct client *client)
{
    return fake_ledger_find(&ledger, ENV_LEDGER_LEASE, fixture_lease(client)->id);
}

/* Borrowed from the ledger. */
static struct ledger_lease lease_in_ledger(const struct client *client)
{
    struct ledger_lease lease;
    struct str body = fake_ledger_body(&ledger, ENV_LEDGER_LEASE, fixture_lease(client)->id);

    assert_int_equal(ledger_lease_read(body, &lease, NULL), 0);
    return lease;
}

static void test_a_lease_is_in_the_ledger_while_it_lives(void **state)
{
    struct client *client = fixture_client(0);
    struct str body;

    (void)state;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_non_null(record_of(client));
    body = fake_ledger_body(&ledger, ENV_LEDGER_LEASE, fixture_lease(client)->id);
    assert_string_equal(lease_in_ledger(client).role, "db");
    assert_string_equal(lease_in_ledger(client).holder.user, "user500");
    assert_null(memmem(body.ptr, body.len, "MARKER", 6)); /* no secret */
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(ledger.record_count, 0);
}

static void test_no_credential_leaves_before_it_is_in_the_ledger(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    ledger.is_held = true;
    fixture_ask(client, &f.role);
    fixture_run();
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    assert_int_equal(client->call_count, 0);
    fake_ledger_run(&ledger);
    fixture_run();
    assert_int_equal(client->status, 0);
    assert_non_null(record_of(client));
}

static void test_what_is_not_in_the_ledger_is_revoked(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    ledger.fail_status = -28;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_IO);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    /* While it fails nothing is asked of the issuer, and nothing is read again. */
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_IO);
    assert_non_null(strstr(client->acquire.error.text, "ledger"));
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    ledger.fail_status = 0;
    fake_ledger_run(&ledger);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
}

static void test_a_ledger_that_takes_no_more_is_as_bad(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    ledger.put_status = ERR_LIMIT;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_IO);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_credential_nobody_waits_for_any_more_is_revoked_and_removed(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    ledger.is_held = true;
    fixture_ask(client, &f.role);
    fixture_run();
    lease_acquire_cancel(f.core, &client->acquire);
    fixture_run();
    ledger.is_held = false;
    fake_ledger_run(&ledger);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(ledger.record_count, 0);
}

/* So that the next daemon needn't ask for another. */
static void test_what_cannot_be_revoked_is_kept_too(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_revocable = false;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_non_null(record_of(client));
}

static void test_a_grant_is_there_before_its_credential_leaves_and_until_it_ends(void **state)
{
    struct client *client = fixture_client(0);
    struct ledger_grant grant;

    (void)state;
    fixture_get(client, &f.role);
    assert_int_equal(ledger_grant_read(fake_ledger_body(&ledger, ENV_LEDGER_GRANT,
                                                        client->grant->id),
                                       &grant, NULL),
                     0);
    assert_string_equal(grant.lease, fixture_lease(client)->id);
    assert_string_equal(grant.processes, "1000:7000");
    ledger.fail_status = -28;
    fixture_get(fixture_client(1), &f.role);
    assert_int_equal(f.clients[1].status, ERR_IO);
    ledger.fail_status = 0;
    fake_ledger_run(&ledger);
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(ledger.record_count, 0);
}

/* Otherwise the next daemon might hand out what this one has revoked. */
static void test_a_revocation_is_on_record_before_it_is_sent(void **state)
{
    struct client *client = fixture_client(0);
    char id[LEASE_ID_BYTES + 1];

    (void)state;
    fixture_get(client, &f.role);
    memcpy(id, fixture_lease(client)->id, sizeof(id));
    ledger.is_held = true;
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 0);
    fake_ledger_run(&ledger);
    fixture_run();
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 1);
}

/* The renewal comes back while the revocation is kept back. */
static void test_a_call_that_ends_meanwhile_changes_nothing(void **state)
{
    struct client *client = fixture_client(45);

    (void)state;
    fixture_get(client, &f.role);
    f.model.is_held[LEASE_CALL_RENEW] = true;
    fixture_advance(40 * MINUTE_MS);
    assert_int_equal(fixture_state(client), LEASE_STATE_RENEWING);
    ledger.is_held = true;
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    f.model.is_held[LEASE_CALL_RENEW] = false;
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 0);
    fixture_advance(2100);
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 1);
}

static void test_a_ledger_that_hangs_keeps_a_revocation_back_for_two_seconds(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    ledger.is_held = true;
    lease_end_grant(f.core, f.clients[0].grant, GRANT_END_RELEASED, NULL);
    fixture_advance(1900);
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 0);
    fixture_advance(200);
    assert_int_equal(f.model.call_counts[LEASE_CALL_REVOKE], 1);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_renewal_is_put_there_too(void **state)
{
    struct client *client = fixture_client(45);
    int64_t before_wall_ms;

    (void)state;
    fixture_get(client, &f.role);
    before_wall_ms = lease_in_ledger(client).expires_wall_ms;
    fixture_advance(40 * MINUTE_MS);
    assert_int_equal(fixture_lease(client)->renewal_count, 1);
    assert_true(lease_in_ledger(client).expires_wall_ms > before_wall_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) ledger_test(name)
        TEST(test_a_lease_is_in_the_ledger_while_it_lives),
        TEST(test_no_credential_leaves_before_it_is_in_the_ledger),
        TEST(test_what_is_not_in_the_ledger_is_revoked),
        TEST(test_a_ledger_that_takes_no_more_is_as_bad),
        TEST(test_a_credential_nobody_waits_for_any_more_is_revoked_and_removed),
        TEST(test_what_cannot_be_revoked_is_kept_too),
        TEST(test_a_grant_is_there_before_its_credential_leaves_and_until_it_ends),
        TEST(test_a_revocation_is_on_record_before_it_is_sent),
        TEST(test_a_call_that_ends_meanwhile_changes_nothing),
        TEST(test_a_ledger_that_hangs_keeps_a_revocation_back_for_two_seconds),
        TEST(test_a_renewal_is_put_there_too),
    };

    return cmocka_run_group_tests_name("durable", tests, NULL, NULL);
}
