/* From a request to a credential. */
#include "unit/lease/fixture.h"

#include <stdio.h>
#include <string.h>

static void test_a_first_request_issues_and_hands_out(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_string_equal(client->password, "MARKER-password-0");
    assert_int_equal(fixture_state(client), LEASE_STATE_ACTIVE);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 1);
    assert_int_equal(f.model.last_ttl_ms, HOUR_MS);
    assert_string_equal(f.model.last_user, "user500");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_first_request_issues_and_hands_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
