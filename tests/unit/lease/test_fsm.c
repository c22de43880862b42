/* The state tables: every move that is allowed, and that no other is. */
#include "lease/fsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    enum lease_state from;
    enum lease_state to;
} lease_moves[] = {
    {LEASE_STATE_REQUESTED, LEASE_STATE_ACTIVE},    {LEASE_STATE_REQUESTED, LEASE_STATE_FAILED},
    {LEASE_STATE_ACTIVE, LEASE_STATE_RENEWING},     {LEASE_STATE_ACTIVE, LEASE_STATE_SUPERSEDED},
    {LEASE_STATE_ACTIVE, LEASE_STATE_REVOKING},     {LEASE_STATE_ACTIVE, LEASE_STATE_EXPIRED},
    {LEASE_STATE_RENEWING, LEASE_STATE_ACTIVE},     {LEASE_STATE_RENEWING, LEASE_STATE_SUPERSEDED},
    {LEASE_STATE_RENEWING, LEASE_STATE_REVOKING},   {LEASE_STATE_RENEWING, LEASE_STATE_EXPIRED},
    {LEASE_STATE_SUPERSEDED, LEASE_STATE_REVOKING}, {LEASE_STATE_SUPERSEDED, LEASE_STATE_EXPIRED},
    {LEASE_STATE_REVOKING, LEASE_STATE_REVOKED},    {LEASE_STATE_REVOKING, LEASE_STATE_UNCONFIRMED},
};

static void test_a_lease_makes_the_listed_moves_and_no_other(void **state)
{
    size_t allowed = 0;
    size_t i;
    int from;
    int to;

    (void)state;
    for (i = 0; i < ARRAY_LEN(lease_moves); i++) {
        assert_true(fsm_lease_may(lease_moves[i].from, lease_moves[i].to));
    }
    for (from = 0; from < LEASE_STATE_COUNT; from++) {
        for (to = 0; to < LEASE_STATE_COUNT; to++) {
            allowed += fsm_lease_may((enum lease_state)from, (enum lease_state)to);
        }
    }
    assert_int_equal(allowed, ARRAY_LEN(lease_moves));
}

static void test_a_grant_that_has_ended_stays_so(void **state)
{
    (void)state;
    assert_true(fsm_grant_may(GRANT_STATE_PENDING, GRANT_STATE_HELD));
    assert_true(fsm_grant_may(GRANT_STATE_PENDING, GRANT_STATE_ENDED));
    assert_true(fsm_grant_may(GRANT_STATE_HELD, GRANT_STATE_ENDED));
    assert_false(fsm_grant_may(GRANT_STATE_HELD, GRANT_STATE_PENDING));
    assert_false(fsm_grant_may(GRANT_STATE_ENDED, GRANT_STATE_HELD));
    assert_false(fsm_grant_may(GRANT_STATE_ENDED, GRANT_STATE_PENDING));
}

static void test_states_tell_whether_a_credential_can_be_used(void **state)
{
    (void)state;
    assert_true(fsm_lease_is_live(LEASE_STATE_SUPERSEDED));
    assert_false(fsm_lease_is_live(LEASE_STATE_REQUESTED));
    assert_false(fsm_lease_is_live(LEASE_STATE_REVOKING));
    assert_true(fsm_lease_is_over(LEASE_STATE_REVOKED));
    assert_true(fsm_lease_is_over(LEASE_STATE_EXPIRED));
    assert_true(fsm_lease_is_over(LEASE_STATE_UNCONFIRMED));
    assert_true(fsm_lease_is_over(LEASE_STATE_FAILED));
    assert_false(fsm_lease_is_over(LEASE_STATE_REVOKING));
}

static void test_each_state_has_a_name(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < LEASE_STATE_COUNT; i++) {
        assert_true(strlen(lease_state_str((enum lease_state)i)) > 0);
    }
    for (i = 0; i < GRANT_STATE_COUNT; i++) {
        assert_true(strlen(grant_state_str((enum grant_state)i)) > 0);
    }
    for (i = 0; i <= GRANT_END_FAILED; i++) {
        assert_true(strlen(grant_end_str((enum grant_end)i)) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lease_makes_the_listed_moves_and_no_other),
        cmocka_unit_test(test_a_grant_that_has_ended_stays_so),
        cmocka_unit_test(test_states_tell_whether_a_credential_can_be_used),
        cmocka_unit_test(test_each_state_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
