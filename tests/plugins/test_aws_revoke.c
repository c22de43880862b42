/* revoke: deny-older. */
#include "plugins/aws_world.h"

#include <string.h>

#define DENYING "{\"role_arn\":\"" AWS_ROLE_ARN "\",\"revoke\":\"deny-older\"}"
#define OTHER_ROLE "arn:aws:iam::123456789012:role/path/other"
#define PUT_AT(second)                                                                             \
    "Action=PutRolePolicy&Version=2010-05-08&RoleName=demo&PolicyName=AWSRevokeOlderSessions&"     \
    "PolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%"   \
    "3A%22Deny%22%2C%22Action%22%3A%5B%22%2A%22%5D%2C%22Resource%22%3A%5B%22%2A%22%5D%2C%"         \
    "22Condition%22%3A%7B%22DateLessThan%22%3A%7B%22aws%3ATokenIssueTime%22%3A%222026-01-01T00%"   \
    "3A00%3A" second "Z%22%7D%7D%7D%5D%7D"

/* Issues one, and says its reference. */
static void issue(struct plugin_world *world, struct plugin_call *call)
{
    plugin_world_issue(world, call, DENYING, 0);
    aws_answer_session(world, "AssumeRole");
    assert_int_equal(call->outcome, LEASE_OUTCOME_OK);
}

static void test_sessions_issued_before_now_are_denied(void **state)
{
    struct plugin_world world;
    struct plugin_call lease;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    issue(&world, &lease);
    assert_true(lease.is_revocable);
    assert_string_equal(lease.ref, "ASIAEXAMPLE\n" AWS_ROLE_ARN " 1767225600");
    fake_env_advance(&world.fake, 5000);
    plugin_world_revoke(&world, &call, DENYING, lease.ref);
    assert_string_equal(plugin_world_body(&world), "Action=GetCallerIdentity&Version=2011-06-15");
    aws_answer_identity(&world, "123456789012");
    aws_assert_url(&world, "POST", "https://iam.amazonaws.com/");
    /* The second in which this happens is denied, too. */
    assert_string_equal(plugin_world_body(&world), PUT_AT("06"));
    assert_non_null(strstr(plugin_world_header(&world, "authorization"),
                           "/20260101/us-east-1/iam/aws4_request, "));
    assert_string_equal(world.anchor_ends, "");
    aws_answer_put(&world);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_string_equal(world.anchor_ends, "now the role's older sessions are denied\n"
                                           "never newer sessions aren't denied\n");
    plugin_world_fini(&world);
}

static void test_one_denial_covers_all_that_are_older(void **state)
{
    struct plugin_world world;
    struct plugin_call lease;
    struct plugin_call first;
    struct plugin_call second;
    struct plugin_call third;

    (void)state;
    aws_world_open(&world, NULL);
    issue(&world, &lease);
    plugin_world_revoke(&world, &first, DENYING, lease.ref);
    plugin_world_revoke(&world, &second, DENYING, lease.ref);
    aws_answer_identity(&world, "123456789012");
    assert_string_equal(plugin_world_body(&world), PUT_AT("01"));
    aws_answer_put(&world);
    assert_int_equal(first.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(second.end_count, 0); /* waits, so that the moment never goes back */
    fake_env_advance(&world.fake, 100);
    assert_int_equal(second.end_count, 1);
    assert_int_equal(second.outcome, LEASE_OUTCOME_OK);
    plugin_world_revoke(&world, &third, DENYING, lease.ref);
    assert_int_equal(third.outcome, LEASE_OUTCOME_OK);
    assert_true(plugin_world_is_idle(&world));
    plugin_world_fini(&world);
}

static void test_nothing_is_issued_in_the_second_that_is_denied(void **state)
{
    struct plugin_world world;
    struct plugin_call lease;
    struct plugin_call call;
    struct plugin_call late;

    (void)state;
    aws_world_open(&world, NULL);
    issue(&world, &lease);
    plugin_world_revoke(&world, &call, DENYING, lease.ref);
    aws_answer_identity(&world, "123456789012");
    aws_answer_put(&world);
    plugin_world_issue(&world, &late, DENYING, 0);
    assert_true(plugin_world_is_idle(&world));
    fake_env_advance(&world.fake, 1000);
    assert_string_equal(plugin_world_header(&world, "x-amz-date"), "20260101T000001Z");
    aws_answer_session(&world, "AssumeRole");
    assert_int_equal(late.outcome, LEASE_OUTCOME_OK);
    assert_string_equal(late.ref, "ASIAEXAMPLE\n" AWS_ROLE_ARN " 1767225601");
    /* It is younger than what was denied. */
    plugin_world_revoke(&world, &call, DENYING, late.ref);
    assert_false(plugin_world_is_idle(&world));
    plugin_world_fini(&world);
}

static void test_what_was_issued_meanwhile_is_given_to_nobody(void **state)
{
    struct plugin_world world;
    struct plugin_call lease;
    struct plugin_call call;
    struct plugin_call meanwhile;

    (void)state;
    aws_world_open(&world, NULL);
    issue(&world, &lease);
    plugin_world_revoke(&world, &call, DENYING, lease.ref);
    aws_answer_identity(&world, "123456789012");
    aws_answer_put(&world);
    plugin_world_issue(&world, &meanwhile, DENYING, 0);
    fake_env_advance(&world.fake, 1000);
    /* AWS says that it was issued before. */
    plugin_world_answer_with(&world, 200,
                             &(struct env_http_header){.name = STR("date"),
                                                       .value =
                                                           STR("Thu, 01 Jan 2026 00:00:00 GMT")},
                             aws_session("AssumeRole", "2026-01-01T01:00:00Z"));
    assert_int_equal(meanwhile.outcome, LEASE_OUTCOME_RETRY);
    assert_string_equal(meanwhile.fields, "");
    plugin_world_fini(&world);
}

/* They would be told dead with the older ones. */
static void test_while_it_is_being_put_nothing_is_issued(void **state)
{
    struct plugin_world world;
    struct plugin_call lease;
    struct plugin_call call;
    struct plugin_call late;

    (void)state;
    aws_world_open(&world, NULL);
    issue(&world, &lease);
    plugin_world_revoke(&world, &call, DENYING, lease.ref);
    aws_answer_identity(&world, "123456789012");
    fake_env_advance(&world.fake, 3000); /* IAM takes its time */
    plugin_world_issue(&world, &late, DENYING, 0);
    fake_env_advance(&world.fake, 1000);
    assert_string_equal(plugin_world_body(&world), PUT_AT("01"));
    aws_answer_put(&world);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    fake_env_advance(&world.fake, 100);
    aws_answer_session(&world, "AssumeRole");
    assert_int_equal(late.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

/* Whatever its Date says: that can be of the second after. */
static void test_what_was_asked_for_before_a_denial_is_given_to_nobody(void **state)
{
    struct plugin_world world;
    struct plugin_call lease;
    struct plugin_call call;
    struct plugin_call early;

    (void)state;
    aws_world_open(&world, NULL);
    issue(&world, &lease);
    plugin_world_issue(&world, &early, DENYING, 0);
    plugin_world_revoke(&world, &call, DENYING, lease.ref);
    fake_env_advance(&world.fake, 2000);
    aws_answer_session(&world, "AssumeRole");
    assert_int_equal(early.outcome, LEASE_OUTCOME_RETRY);
    assert_string_equal(early.fields, "");
    plugin_world_fini(&world);
}

static void test_a_role_of_another_account_is_left_alone(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_revoke(&world, &call, DENYING, "A\n" AWS_ROLE_ARN " 1767225600");
    aws_answer_identity(&world, "999999999999");
    assert_int_equal(call.outcome, LEASE_OUTCOME_DENIED);
    assert_non_null(strstr(call.detail, "own account 123456789012, not in 999999999999"));
    plugin_world_fini(&world);
}

static void test_how_a_denial_may_fail(void **state)
{
    static const struct {
        uint32_t status;
        const char *code;
        enum lease_outcome outcome;
    } cases[] = {
        {403, "AccessDenied", LEASE_OUTCOME_DENIED},
        {404, "NoSuchEntity", LEASE_OUTCOME_GONE},
        {400, "UnmodifiableEntity", LEASE_OUTCOME_DENIED},
        {409, "LimitExceeded", LEASE_OUTCOME_DENIED},
        {409, "ConcurrentModification", LEASE_OUTCOME_RETRY},
        {400, "Throttling", LEASE_OUTCOME_RETRY},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct plugin_world world;
        struct plugin_call call;

        aws_world_open(&world, NULL);
        plugin_world_revoke(&world, &call, DENYING, "A\n" OTHER_ROLE " 1767225600");
        aws_answer_identity(&world, "123456789012");
        assert_non_null(strstr(plugin_world_body(&world), "&RoleName=other&"));
        aws_answer_error(&world, cases[i].status, cases[i].code, "no");
        assert_int_equal(call.end_count, 1);
        assert_int_equal(call.outcome, cases[i].outcome);
        assert_string_equal(world.anchor_ends, "");
        /* Whatever it was, the next one isn't kept waiting. */
        plugin_world_revoke(&world, &call, DENYING, "A\n" OTHER_ROLE " 1767225600");
        assert_false(plugin_world_is_idle(&world));
        plugin_world_fini(&world);
    }
}

static void test_a_denial_whose_answer_is_lost_is_put_again(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_revoke(&world, &call, DENYING, "A\n" AWS_ROLE_ARN " 1767225600");
    aws_answer_identity(&world, "123456789012");
    plugin_world_fail(&world, ERR_LOST);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    plugin_world_revoke(&world, &call, DENYING, "A\n" AWS_ROLE_ARN " 1767225600");
    aws_answer_identity(&world, "123456789012");
    assert_string_equal(plugin_world_body(&world), PUT_AT("01"));
    aws_answer_put(&world);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

#define TOLD                                                                                       \
    "now the role's older sessions are denied, or may be\n"                                        \
    "never newer sessions aren't denied\n"

/* Else what is dead would be handed out until it is put again. */
static void test_what_a_denial_may_have_ended_is_told_dead(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        aws_world_open(&world, NULL);
        plugin_world_revoke(&world, &call, DENYING, "A\n" AWS_ROLE_ARN " 1767225600");
        aws_answer_identity(&world, "123456789012");
        if (i == 0) {
            plugin_world_fail(&world, ERR_LOST);
        } else if (i == 1) {
            plugin_world_answer(&world, 200, "<html>the hotel's network</html>");
        } else if (i == 2) {
            aws_answer_error(&world, 500, "InternalFailure", "no");
        } else {
            plugin_world_time_out(&world);
        }
        assert_string_equal(world.anchor_ends, TOLD);
        plugin_world_fini(&world);
    }
}

static void test_a_denial_that_was_not_sent_ends_nothing(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_revoke(&world, &call, DENYING, "A\n" AWS_ROLE_ARN " 1767225600");
    aws_answer_identity(&world, "123456789012");
    plugin_world_fail(&world, ERR_CONNECT);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_string_equal(world.anchor_ends, "");
    plugin_world_fini(&world);
}

/* What has been issued since lives on. */
static void test_it_is_put_again_with_the_same_moment(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_revoke(&world, &call, DENYING, "A\n" AWS_ROLE_ARN " 1767225600");
    aws_answer_identity(&world, "123456789012");
    plugin_world_fail(&world, ERR_LOST);
    fake_env_advance(&world.fake, 30000);
    plugin_world_revoke(&world, &call, DENYING, "A\n" AWS_ROLE_ARN " 1767225600");
    aws_answer_identity(&world, "123456789012");
    assert_string_equal(plugin_world_body(&world), PUT_AT("01"));
    aws_answer_put(&world);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_other_leases_and_wrong_references_are_refused(void **state)
{
    static const char *const refs[] = {"ASIAEXAMPLE", "A\n" AWS_ROLE_ARN, "A\nrole 5",
                                       "A\n" AWS_ROLE_ARN " x", "A\n"};
    struct plugin_world world;

    (void)state;
    aws_world_open(&world, NULL);
    for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
        struct plugin_call call;

        plugin_world_revoke(&world, &call, DENYING, refs[i]);
        assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
        assert_true(plugin_world_is_idle(&world));
    }
    plugin_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions_issued_before_now_are_denied),
        cmocka_unit_test(test_one_denial_covers_all_that_are_older),
        cmocka_unit_test(test_nothing_is_issued_in_the_second_that_is_denied),
        cmocka_unit_test(test_what_was_issued_meanwhile_is_given_to_nobody),
        cmocka_unit_test(test_while_it_is_being_put_nothing_is_issued),
        cmocka_unit_test(test_what_was_asked_for_before_a_denial_is_given_to_nobody),
        cmocka_unit_test(test_a_role_of_another_account_is_left_alone),
        cmocka_unit_test(test_how_a_denial_may_fail),
        cmocka_unit_test(test_a_denial_whose_answer_is_lost_is_put_again),
        cmocka_unit_test(test_what_a_denial_may_have_ended_is_told_dead),
        cmocka_unit_test(test_a_denial_that_was_not_sent_ends_nothing),
        cmocka_unit_test(test_it_is_put_again_with_the_same_moment),
        cmocka_unit_test(test_other_leases_and_wrong_references_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
