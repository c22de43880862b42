/* What becomes of a child token whose lease is renewed, revoked or lost, and what the own token has
 * to be allowed for it. */
#include "isolated.h"

#include <string.h>

/* --- renewed ---------------------------------------------------------------------------------- */

static void test_a_renewal_has_the_child_outlive_the_lease(void **state)
{
    static const struct {
        const char *body;
        uint64_t lifetime_ms;
        uint32_t flags;
    } cases[] = {
        {EXTENDED("3660"), 3600000, LEASED_RESULT_RENEWABLE},
        {EXTENDED("1000"), 1000000, LEASED_RESULT_RENEWABLE | LEASED_RESULT_CAPPED},
    };
    struct leased_host_context *host = open_with(ROLE_CONFIG);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fake_op *op = host_renew(host, REF, 0);

        assert_string_equal(host_last(host)->body, "{\"lease_id\":\"database/creds/orders/x1\"}");
        step(host, FIT, 200, LEASE("3600"));
        assert_string_equal(host_last(host)->body, "{\"accessor\":\"acc1\",\"increment\":3660}");
        step(host, EXTEND, 200, cases[i].body);
        assert_int_equal(op->status, LEASED_OK);
        assert_int_equal(op->lifetime_ms, cases[i].lifetime_ms);
        assert_int_equal(op->flags, cases[i].flags);
    }
    host_close(host, 0);
}

static void test_a_lease_whose_child_is_gone_is_gone(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);
    struct fake_op *op = host_renew(host, REF, 3600000);

    (void)state;
    step(host, FIT, 400, "{\"errors\":[\"lease not found\"]}");
    assert_int_equal(op->status, LEASED_GONE);
    op = host_renew(host, REF, 3600000);
    step(host, FIT, 200, LEASE("3600"));
    step(host, EXTEND, 400, UNKNOWN);
    assert_int_equal(op->status, LEASED_GONE);
    op = host_renew(host, REF, 3600000);
    step(host, FIT, 200, LEASE("3600"));
    step(host, EXTEND, 403, POLICY);
    assert_int_equal(op->status, LEASED_DENIED);
    assert_non_null(strstr(op->detail, "auth/token/renew-accessor"));
    op = host_renew(host, REF, 3600000);
    step(host, FIT, 200, LEASE("3600"));
    step(host, EXTEND, 400, HALF_ENDED);
    assert_int_equal(op->status, LEASED_GONE);
    assert_int_equal(host_renew(host, "#child acc1", 0)->status, LEASED_DENIED);
    assert_int_equal(host_renew(host, "#login own1", 0)->status, LEASED_DENIED);
    host_close(host, 0);
}

/* --- revoked ---------------------------------------------------------------------------------- */

static void test_a_revocation_ends_the_lease_and_then_its_child(void **state)
{
    static const struct {
        uint32_t lease_status;
        const char *lease_body;
        uint32_t child_status;
        const char *child_body;
        int32_t want;
    } cases[] = {
        {204, "", 204, "", LEASED_OK},
        {204, "", 200, "{\"warnings\":[\"No token found with this accessor\"]}", LEASED_OK},
        {204, "", 400, UNKNOWN, LEASED_OK},
        {204, "", 400, HALF_ENDED, LEASED_OK},
        {400, "{\"errors\":[\"invalid lease\"]}", 204, "", LEASED_GONE},
        {204, "", 403, POLICY, LEASED_OK}, /* it has nothing to show any more */
        {204, "", 500, "{\"errors\":[\"storage\"]}", LEASED_RETRY},
        {400, "{\"errors\":[\"failed to revoke entry: no route\"]}", 0, NULL, LEASED_RETRY},
    };
    struct leased_host_context *host = open_with(ROLE_CONFIG);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fake_op *op = host_revoke(host, REF);

        assert_string_equal(host_last(host)->body,
                            "{\"lease_id\":\"database/creds/orders/x1\",\"sync\":true}");
        step(host, REVOKE, cases[i].lease_status, cases[i].lease_body);
        if (cases[i].child_body != NULL) {
            assert_string_equal(host_last(host)->body, "{\"accessor\":\"acc1\"}");
            step(host, REVOKE_CHILD, cases[i].child_status, cases[i].child_body);
        }
        assert_false(op->is_open);
        assert_int_equal(op->status, cases[i].want);
    }
    host_close(host, 0);
}

static void test_a_lost_issue_is_revoked_by_its_child_and_proved(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        uint32_t look_status; /* 0: none */
        const char *look_body;
        int32_t want;
    } cases[] = {
        {204, "", 400, UNKNOWN, LEASED_OK},
        {204, "", 403, UNKNOWN, LEASED_OK}, /* as other versions answer */
        {204, "", 403, POLICY, LEASED_OK},
        {204, "", 200, "{\"data\":{\"accessor\":\"acc1\"}}", LEASED_RETRY},
        {204, "", 500, "{\"errors\":[\"x\"]}", LEASED_RETRY},
        {200, "{\"request_id\":\"r\",\"warnings\":[\"No token found with this accessor\"]}", 0,
         NULL, LEASED_GONE},
        {400, UNKNOWN, 0, NULL, LEASED_GONE},
        {500, "{\"errors\":[\"storage\"]}", 0, NULL, LEASED_RETRY},
    };
    struct leased_host_context *host = open_with(ROLE_CONFIG);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fake_op *op = host_revoke(host, "#child acc1");

        assert_string_equal(host_last(host)->body, "{\"accessor\":\"acc1\"}");
        step(host, REVOKE_CHILD, cases[i].status, cases[i].body);
        if (cases[i].look_status != 0) {
            step(host, LOOKUP_CHILD, cases[i].look_status, cases[i].look_body);
        }
        assert_false(op->is_open);
        assert_int_equal(op->status, cases[i].want);
    }
    host_close(host, 0);
}

/* As OpenBao answers after a SIGKILL in the middle of the token's end (seen): for ever, unless it
 * is looked up. */
static void test_a_child_that_is_half_ended_is_looked_up_so_that_it_ends(void **state)
{
    static const struct {
        uint32_t look_status;
        const char *look_body;
        uint32_t status;
        const char *body;
        int32_t want;
    } cases[] = {
        {403, POLICY, 200,
         "{\"request_id\":\"r\",\"warnings\":[\"No token found with this accessor\"]}",
         LEASED_GONE},
        {200, "{\"data\":{\"accessor\":\"acc1\"}}", 400, HALF_ENDED, LEASED_RETRY},
        {500, "{\"errors\":[\"x\"]}", 400, HALF_ENDED, LEASED_RETRY},
        {400, UNKNOWN, 0, NULL, LEASED_OK},
    };
    struct leased_host_context *host = open_with(ROLE_CONFIG);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fake_op *op = host_revoke(host, "#child acc1");

        step(host, REVOKE_CHILD, 400, HALF_ENDED);
        step(host, LOOKUP_CHILD, cases[i].look_status, cases[i].look_body);
        if (cases[i].status != 0) {
            assert_string_equal(host_last(host)->body, "{\"accessor\":\"acc1\"}");
            step(host, REVOKE_CHILD, cases[i].status, cases[i].body);
        }
        assert_false(op->is_open);
        assert_int_equal(op->status, cases[i].want);
    }
    host_close(host, 0);
}

static void test_a_login_in_use_is_waited_for_and_not_ended(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);
    struct fake_op *op = host_revoke(host, "#login own1");

    (void)state;
    host_run(host);
    assert_int_equal(op->status, LEASED_RETRY_AFTER);
    assert_int_equal(op->retry_after_ms, 300000);
    assert_non_null(strstr(op->detail, "ends with leased's login"));
    assert_int_equal(host_open_https(host), 0);
    /* Of an earlier run, and nobody's: nothing hangs on it. */
    op = host_revoke(host, "#login own0");
    step(host, REVOKE_CHILD, 204, "");
    step(host, LOOKUP_CHILD, 400, UNKNOWN);
    assert_int_equal(op->status, LEASED_OK);
    /* Without an accessor only the clock tells. */
    op = host_revoke(host, "#login @1700000100");
    host_run(host);
    assert_int_equal(op->status, LEASED_RETRY_AFTER);
    assert_int_equal(op->retry_after_ms, 100000);
    op = host_revoke(host, "#login @1699999999");
    host_run(host);
    assert_int_equal(op->status, LEASED_GONE);
    host_close(host, 0);
}

static void test_a_configured_token_is_not_ours_to_end(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_revoke(host, "#login other");

    (void)state;
    step(host, LOOKUP_CHILD, 200, "{\"data\":{\"accessor\":\"other\"}}");
    assert_int_equal(op->status, LEASED_RETRY_AFTER);
    assert_int_equal(op->retry_after_ms, 300000);
    op = host_revoke(host, "#login other");
    step(host, LOOKUP_CHILD, 400, UNKNOWN);
    assert_int_equal(op->status, LEASED_GONE);
    host_close(host, 0);
}

/* --- rights ----------------------------------------------------------------------------------- */

#define RIGHTS(create)                                                                             \
    "{\"data\":{\"sys/leases/revoke\":[\"update\"],\"sys/leases/renew\":[\"create\",\"update\"],"  \
    "\"auth/token/create/leased\":[" create "],\"auth/token/renew-accessor\":[\"update\"],"        \
    "\"auth/token/revoke-accessor\":[\"sudo\",\"update\"]}}"

static void test_what_the_login_may_not_do_is_told_and_taken_back(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);

    (void)state;
    assert_string_equal(host->rights.token, "s.SECRET-1");
    assert_string_equal(host->rights.body,
                        "{\"paths\":[\"sys/leases/revoke\",\"sys/leases/renew\","
                        "\"auth/token/create/leased\",\"auth/token/renew-accessor\","
                        "\"auth/token/revoke-accessor\"]}");
    host_answer_rights(host, 200, RIGHTS("\"deny\""));
    assert_int_equal(host->warn_count, 1);
    assert_string_equal(host->last_warning, "vault.isolate.off");
    assert_non_null(strstr(host_warning(host, "isolate"), "update on auth/token/create/leased:"));
    assert_null(host_warning(host, "sys/leases/revoke"));
    (void)host_issue(host, ISSUE, 0);
    expect(host, CREDS, "s.SECRET-1"); /* isn't tried */
    assert_int_equal(host->rights_count, 1);
    host_advance(host, 600000);
    assert_int_equal(host->rights_count, 2);
    host_answer_rights(host, 200, RIGHTS("\"update\""));
    assert_null(host_warning(host, "isolate"));
    (void)host_issue(host, ISSUE, 0);
    expect(host, CREATE, "s.SECRET-1");
    host_close(host, 0);
}

static void test_each_right_that_is_missing_is_logged_once(void **state)
{
    static const char none[] =
        "{\"data\":{\"sys/leases/revoke\":[\"deny\"],\"sys/leases/renew\":[\"read\"],"
        "\"auth/token/create/leased\":[\"deny\"],\"auth/token/renew-accessor\":[],"
        "\"auth/token/revoke-accessor\":[\"deny\"]}}";
    struct leased_host_context *host = open_with(ROLE_CONFIG);

    (void)state;
    for (int i = 0; i < 3; i++) {
        host_answer_rights(host, 200, none);
        assert_int_equal(host->warn_count, 3); /* isolation is one */
        assert_non_null(strstr(host_warning(host, "sys/leases/revoke"), "can't be revoked"));
        assert_non_null(strstr(host_warning(host, "sys/leases/renew"), "can't be renewed"));
        assert_non_null(strstr(host_warning(host, "isolate"),
                               "auth/token/create/leased, auth/token/renew-accessor, "
                               "auth/token/revoke-accessor"));
        host_advance(host, 600000);
    }
    host_close(host, 0);
}

static void test_rights_that_cannot_be_asked_for_are_not_missing(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        bool is_asked_again;
    } cases[] = {
        {403, POLICY, false},    {404, "<html>", true},         {503, "", true},
        {200, "nonsense", true}, {200, "{\"data\":{}}", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct leased_host_context *host = open_with(ROLE_CONFIG);

        host_answer_rights(host, cases[i].status, cases[i].body);
        assert_int_equal(host->warn_count, 0);
        (void)host_issue(host, ISSUE, 0);
        expect(host, CREATE, "s.SECRET-1");
        host_advance(host, 60000);
        assert_int_equal(host->rights_count, cases[i].is_asked_again ? 2 : 1);
        host_close(host, 0);
    }
}

static void test_children_of_a_periodic_login_are_not_warned_of(void **state)
{
    struct leased_host_context *host = open_with(APPROLE_CONFIG);

    (void)state;
    host_answer_rights(host, 200, "{\"data\":{}}");
    step(host, "/v1/auth/token/lookup-self", 200,
         "{\"data\":{\"ttl\":3600,\"period\":3600,\"renewable\":true}}");
    (void)host_issue(host, ISSUE, 0);
    step(host, "/v1/auth/token/create", 200, CHILD("2", "true", "false"));
    assert_null(host_warning(host, "children"));
    host_close(host, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_renewal_has_the_child_outlive_the_lease),
        cmocka_unit_test(test_a_lease_whose_child_is_gone_is_gone),
        cmocka_unit_test(test_a_revocation_ends_the_lease_and_then_its_child),
        cmocka_unit_test(test_a_lost_issue_is_revoked_by_its_child_and_proved),
        cmocka_unit_test(test_a_child_that_is_half_ended_is_looked_up_so_that_it_ends),
        cmocka_unit_test(test_a_login_in_use_is_waited_for_and_not_ended),
        cmocka_unit_test(test_a_configured_token_is_not_ours_to_end),
        cmocka_unit_test(test_what_the_login_may_not_do_is_told_and_taken_back),
        cmocka_unit_test(test_each_right_that_is_missing_is_logged_once),
        cmocka_unit_test(test_rights_that_cannot_be_asked_for_are_not_missing),
        cmocka_unit_test(test_children_of_a_periodic_login_are_not_warned_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
