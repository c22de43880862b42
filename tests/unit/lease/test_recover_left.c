/* A start that can't go on with a lease (its backend isn't configured, its record can't be read),
 * and the one after that, which can. */
#include "unit/lease/ledger_fixture.h"

#include "wire/ledger_grant.h"

#include <string.h>

#define CALLS(kind) f.model.call_counts[LEASE_CALL_##kind]

static int leave_lease(void *user, struct str id, struct str body)
{
    (void)user;
    (void)body;
    lease_core_recover_left(f.core, id);
    return 0;
}

static int try_grant(void *user, struct str id, struct str body)
{
    struct ledger_grant record;

    assert_int_equal(ledger_grant_read(body, &record, NULL), 0);
    assert_int_equal(lease_core_recover_grant(f.core, id, &record), *(const int *)user);
    return 0;
}

static void start_without_leases(bool are_left)
{
    int status = are_left ? ERR_UNAVAILABLE : ERR_NOT_FOUND;

    fixture_open();
    if (are_left) {
        assert_int_equal(env_ledger_each(&ledger.ledger, ENV_LEDGER_LEASE, leave_lease, NULL, NULL),
                         0);
    }
    assert_int_equal(env_ledger_each(&ledger.ledger, ENV_LEDGER_GRANT, try_grant, &status, NULL),
                     0);
    lease_core_recovered(f.core, &recovery);
    fixture_run();
}

static void test_grants_of_a_lease_that_was_left_are_left(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.shared);
    fixture_get(fixture_client(1), &f.shared);
    ledger_kill();
    start_without_leases(true);
    assert_int_equal(recovery.grant_count + recovery.ended_count, 0);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_GRANT), 2);
    ledger_kill();
    ledger_start();
    assert_int_equal(recovery.adopted_count, 1);
    assert_int_equal(recovery.grant_count, 2);
    assert_non_null(fixture_cached(&f.clients[0], &f.shared));
    assert_non_null(fixture_cached(&f.clients[1], &f.shared));
    assert_int_equal(CALLS(REVOKE), 0);
}

/* Meanwhile its holder got another one. */
static void test_a_holder_of_both_goes_on_with_both(void **state)
{
    (void)state;
    fixture_get(fixture_client(0), &f.role);
    ledger_kill();
    start_without_leases(true);
    f.clients[0].grant = NULL;
    fixture_get(&f.clients[0], &f.role);
    assert_int_equal(f.clients[0].status, 0);
    assert_int_equal(CALLS(ISSUE), 2);
    ledger_kill();
    ledger_start();
    assert_int_equal(recovery.grant_count, 2);
    assert_int_equal(model_live_count(&f.model), 2);
    fake_env_end_process(&f.fake, f.clients[0].identity.pid);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_grant_whose_lease_the_ledger_does_not_have_is_removed(void **state)
{
    char body[2048];
    char id[LEASE_ID_BYTES + 1];
    struct str found;

    (void)state;
    fixture_get(fixture_client(0), &f.role);
    memcpy(id, f.clients[0].grant->id, sizeof(id));
    found = fake_ledger_body(&ledger, ENV_LEDGER_GRANT, id);
    assert_in_range(found.len, 1, sizeof(body));
    memcpy(body, found.ptr, found.len);
    fake_env_end_process(&f.fake, f.clients[0].identity.pid);
    fixture_run();
    assert_int_equal(ledger.record_count, 0);
    found.ptr = body;
    assert_int_equal(env_ledger_put(&ledger.ledger, ENV_LEDGER_GRANT, str_of(id), found), 0);
    fake_ledger_run(&ledger);
    ledger_kill();
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_GRANT), 1);
    start_without_leases(false);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_GRANT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ledger_test(test_grants_of_a_lease_that_was_left_are_left),
        ledger_test(test_a_holder_of_both_goes_on_with_both),
        ledger_test(test_a_grant_whose_lease_the_ledger_does_not_have_is_removed),
    };

    return cmocka_run_group_tests_name("recover left", tests, NULL, NULL);
}
