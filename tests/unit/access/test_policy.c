/* Decisions: who matches, what wins, and what limits say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy_fixture.h"

static int setup(void **state)
{
    struct fixture *fixture = malloc(sizeof(*fixture));

    if (fixture == NULL) {
        return -1;
    }
    fixture_init(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return mem_in_use_bytes() == 0 ? 0 : -1;
}

/* A policy of one rule that allows `subject` orders-db, and whether it allows the caller. */
static bool subject_allows(struct fixture *fixture, const char *subject)
{
    char text[512];

    (void)snprintf(text, sizeof(text), "rules: [{subjects: [%s], roles: orders-db}]", subject);
    fixture_policy(fixture, text);
    return fixture_decide(fixture) == ACCESS_ALLOW;
}

static void test_nothing_is_allowed_by_default(void **state)
{
    struct fixture *f = *state;

    fixture_policies(f, NULL, NULL);
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    assert_null(f->decision.rule);
    fixture_policy(f, "rules: []\nadmins: []\n");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    f->identity.uid = 0;
    (void)snprintf(f->identity.user, sizeof(f->identity.user), "root");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    assert_int_equal(access_policy_admin(f->policy, &f->identity), 0);
}

static void test_each_attribute_of_a_subject_is_compared(void **state)
{
    struct fixture *f = *state;

    assert_true(subject_allows(f, "{user: alice}"));
    assert_true(subject_allows(f, "{user: \"al*\"}"));
    assert_true(subject_allows(f, "{user: \"*\"}"));
    assert_false(subject_allows(f, "{user: alic}"));
    assert_false(subject_allows(f, "{user: alicee}"));
    assert_false(subject_allows(f, "{user: ALICE}"));
    assert_true(subject_allows(f, "{uid: 1000}"));
    assert_false(subject_allows(f, "{uid: 0}"));
    assert_true(subject_allows(f, "{gid: 50}"));
    assert_true(subject_allows(f, "{gid: 1000}"));
    assert_false(subject_allows(f, "{gid: 0}"));
    assert_true(subject_allows(f, "{group: dba}"));
    assert_true(subject_allows(f, "{group: \"d*\"}"));
    assert_false(subject_allows(f, "{group: wheel}"));
    assert_true(subject_allows(f, "{listener: local}"));
    assert_false(subject_allows(f, "{listener: other}"));
}

static void test_all_attributes_of_one_subject_must_match_and_any_subject_will_do(void **state)
{
    struct fixture *f = *state;

    assert_false(subject_allows(f, "{user: alice, group: wheel}"));
    assert_true(subject_allows(f, "{user: alice, group: dba}"));
    assert_false(subject_allows(f, "{user: alice, unit: orders.service}"));
    (void)snprintf(f->identity.unit, sizeof(f->identity.unit), "orders.service");
    assert_true(subject_allows(f, "{user: alice, unit: orders.service}"));
    assert_true(subject_allows(f, "{user: alice, unit: \"orders*\"}"));
    assert_true(subject_allows(f, "{user: bob}, {user: alice, uid: 0}, {group: dba}"));
    assert_false(subject_allows(f, "{user: bob}, {user: alice, uid: 0}, {group: wheel}"));
}

static void test_what_is_not_known_matches_nothing(void **state)
{
    struct fixture *f = *state;

    f->identity.user[0] = '\0';
    f->identity.group_count = 0;
    f->identity.listener = NULL;
    assert_false(subject_allows(f, "{user: \"*\"}"));
    assert_false(subject_allows(f, "{uid: 1000, user: \"*\"}"));
    assert_false(subject_allows(f, "{uid: 1000, unit: \"*\"}"));
    assert_false(subject_allows(f, "{uid: 1000, container: \"*\"}"));
    assert_false(subject_allows(f, "{group: \"*\"}")); /* gid 1000 has no name */
    assert_false(subject_allows(f, "{uid: 1000, listener: \"*\"}"));
    assert_true(subject_allows(f, "{uid: 1000}"));
}

static void test_a_foreign_caller_matches_only_where_its_container_is_named(void **state)
{
    struct fixture *f = *state;

    f->identity.is_foreign = true;
    (void)snprintf(f->identity.container, sizeof(f->identity.container), "4f2a");
    assert_false(subject_allows(f, "{user: alice}"));
    assert_non_null(strstr(f->decision.detail, "container"));
    assert_false(subject_allows(f, "{uid: 1000}"));
    assert_true(subject_allows(f, "{user: alice, container: 4f2a}"));
    assert_true(subject_allows(f, "{user: alice, container: \"4f*\"}"));
    assert_false(subject_allows(f, "{user: alice, container: beef}"));
    /* Another pid namespace without a container that could be named. */
    f->identity.container[0] = '\0';
    assert_false(subject_allows(f, "{user: alice, container: \"*\"}"));
    fixture_policy(f, "admins: [{user: alice}]");
    assert_int_equal(access_policy_admin(f->policy, &f->identity), 0);
}

static void test_a_listener_for_foreign_callers_is_named_for_them(void **state)
{
    struct fixture *f = *state;

    f->identity.is_foreign = true;
    f->identity.listener = "pod";
    /* Any other listener's name says nothing about where its callers run. */
    assert_false(subject_allows(f, "{uid: 1000, listener: pod}"));
    f->identity.kind = ENV_PEER_FOREIGN;
    assert_true(subject_allows(f, "{uid: 1000, listener: pod}"));
    assert_false(subject_allows(f, "{uid: 1000, listener: local}"));
    assert_false(subject_allows(f, "{uid: 1000}"));
    assert_non_null(strstr(f->decision.detail, "a rule must name its listener"));
    fixture_policy(f, "admins: [{uid: 1000}]");
    assert_int_equal(access_policy_admin(f->policy, &f->identity), 0);
    fixture_policy(f, "admins: [{uid: 1000, listener: pod}]");
    assert_int_not_equal(access_policy_admin(f->policy, &f->identity), 0);
    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db, effect: deny},\n"
                      "        {subjects: [{listener: pod}], roles: orders-db}]");
    access_policy_decide(f->policy, &f->identity, &f->request, &f->decision);
    assert_int_equal(f->decision.outcome, ACCESS_DENY);
}

static void test_uid_0_is_nothing_special(void **state)
{
    struct fixture *f = *state;

    f->identity.uid = 0;
    (void)snprintf(f->identity.user, sizeof(f->identity.user), "root");
    assert_false(subject_allows(f, "{user: alice}"));
    assert_true(subject_allows(f, "{user: root}"));
}

static void test_a_deny_wins_wherever_it_stands(void **state)
{
    struct fixture *f = *state;

    fixture_policies(f, "rules: [{name: all, subjects: [{user: \"*\"}], roles: \"*\"}]",
                     "rules: [{name: not-alice, subjects: [{user: alice}], roles: \"orders-*\",\n"
                     "         effect: deny}]");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    assert_string_equal(f->decision.rule, "not-alice");
    f->request.role = "staging-a";
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_string_equal(f->decision.rule, "all");
}

/* Going into a container must not shake off a deny. */
static void test_a_deny_holds_for_foreign_callers_too(void **state)
{
    struct fixture *f = *state;

    f->identity.is_foreign = true;
    (void)snprintf(f->identity.container, sizeof(f->identity.container), "4f2a");
    fixture_policy(f, "rules:\n"
                      "- {subjects: [{user: \"*\", container: \"*\"}], roles: \"*\"}\n"
                      "- {subjects: [{user: alice}], roles: orders-db, effect: deny}\n");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    assert_string_equal(f->decision.rule, "rule-2");
}

/* Nor may a directory service that is down. */
static void test_a_deny_holds_when_groups_can_not_be_looked_up(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n"
                      "- {subjects: [{user: alice}], roles: orders-db}\n"
                      "- {subjects: [{group: dba}], roles: orders-db, effect: deny}\n");
    f->fake.name_status = ERR_UNAVAILABLE;
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    fixture_policy(f, "rules:\n- {subjects: [{group: dba}], roles: orders-db}\n");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    f->fake.name_status = 0;
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
}

static void test_roles_are_matched_by_name_and_glob(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: [orders-db, \"staging-*\"]}]");
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    f->request.role = "staging-b";
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    f->request.role = "orders-ro";
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    f->request.role = "staging-unknown";
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    f->request.role = "";
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
}

static void test_duration_is_the_maximum_unless_less_is_asked(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{name: ci-migrations, subjects: [{user: alice}], roles: orders-db,\n"
                      "         limits: {duration: 30m, ttl: 1h}}]");
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_int_equal(f->decision.duration_ms, FIXTURE_HOUR_MS / 2);
    assert_int_equal(f->decision.ttl_ms, FIXTURE_HOUR_MS);
    f->request.duration_ms = 60000;
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_int_equal(f->decision.duration_ms, 60000);
    f->request.duration_ms = FIXTURE_HOUR_MS / 2;
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    f->request.duration_ms = FIXTURE_HOUR_MS / 2 + 1;
    assert_int_equal(fixture_decide(f), ACCESS_LIMIT_EXCEEDED);
    f->request.duration_ms = 2 * FIXTURE_HOUR_MS;
    assert_int_equal(fixture_decide(f), ACCESS_LIMIT_EXCEEDED);
    assert_string_equal(f->decision.detail,
                        "duration 2h is more than the 30m that rule ci-migrations allows");
    assert_string_equal(f->decision.rule, "ci-migrations");
}

static void test_without_a_limit_the_duration_is_the_roles_max_ttl(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db}]");
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_int_equal(f->decision.duration_ms, 24 * FIXTURE_HOUR_MS);
    assert_int_equal(f->decision.ttl_ms, 0);
    f->request.duration_ms = 25 * FIXTURE_HOUR_MS;
    assert_int_equal(fixture_decide(f), ACCESS_LIMIT_EXCEEDED);
    assert_string_equal(f->decision.detail,
                        "duration 1d1h is more than 1d, the max_ttl of role orders-db");
}

static void test_the_number_of_live_grants_is_limited(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db, limits: {live: 3}}]");
    f->request.live_count = 2;
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    f->request.live_count = 3;
    assert_int_equal(fixture_decide(f), ACCESS_LIMIT_EXCEEDED);
    assert_string_equal(f->decision.detail,
                        "3 grants for role orders-db are live; rule rule-1 allows 3");
}

static void test_a_reason_is_required_and_must_match(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db,\n"
                      "         require: {reason: \"^[A-Z]+-[0-9]+\"}}]");
    assert_int_equal(fixture_decide(f), ACCESS_REASON_REQUIRED);
    assert_string_equal(f->decision.detail,
                        "rule rule-1 requires a reason that matches ^[A-Z]+-[0-9]+");
    f->request.reason = "";
    assert_int_equal(fixture_decide(f), ACCESS_REASON_REQUIRED);
    f->request.reason = "because";
    assert_int_equal(fixture_decide(f), ACCESS_REASON_REQUIRED);
    f->request.reason = "\xff\xfe";
    assert_int_equal(fixture_decide(f), ACCESS_REASON_REQUIRED);
    f->request.reason = "OPS-17 migration";
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
}

/* An expression that takes exponential time on this text is given up, and the answer is no. */
static void test_a_reason_cannot_stop_the_daemon(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db,\n"
                      "         require: {reason: \"^(a|aa)+$\"}}]");
    f->request.reason =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
    assert_int_equal(fixture_decide(f), ACCESS_REASON_REQUIRED);
    f->request.reason = "aaaa";
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
}

/* Limits don't add up: what one rule refuses another may allow, and if none does, the first says
 * why. */
static void test_each_rule_is_judged_whole_in_file_order(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n"
                      "- {name: short, subjects: [{user: alice}], roles: \"*\",\n"
                      "   limits: {duration: 30m}}\n"
                      "- {name: other, subjects: [{user: bob}], roles: \"*\"}\n"
                      "- {name: long, subjects: [{group: dba}], roles: orders-db,\n"
                      "   limits: {duration: 8h, ttl: 5m}, require: {reason: OPS}}\n");
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_string_equal(f->decision.rule, "short");
    f->request.duration_ms = 2 * FIXTURE_HOUR_MS;
    f->request.reason = "OPS-1";
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_string_equal(f->decision.rule, "long");
    assert_int_equal(f->decision.duration_ms, 2 * FIXTURE_HOUR_MS);
    assert_int_equal(f->decision.ttl_ms, 300000);
    f->request.reason = NULL;
    assert_int_equal(fixture_decide(f), ACCESS_LIMIT_EXCEEDED);
    assert_string_equal(f->decision.rule, "short");
    f->identity.user[0] = 'x';
    assert_int_equal(fixture_decide(f), ACCESS_REASON_REQUIRED);
    assert_string_equal(f->decision.rule, "long");
}

static void test_admins_may_what_is_listed(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "admins:\n"
                      "- {subjects: [{user: alice}], may: [read]}\n"
                      "- {subjects: [{group: dba}], may: revoke}\n"
                      "- {group: wheel}\n"
                      "- subjects: [{uid: 7}]\n");
    assert_int_equal(access_policy_admin(f->policy, &f->identity),
                     ACCESS_ADMIN_READ | ACCESS_ADMIN_REVOKE);
    f->identity.groups[0] = 51;
    assert_int_equal(access_policy_admin(f->policy, &f->identity), 15);
    f->identity.groups[0] = 52;
    (void)snprintf(f->identity.user, sizeof(f->identity.user), "bob");
    assert_int_equal(access_policy_admin(f->policy, &f->identity), 0);
    f->identity.uid = 7;
    assert_int_equal(access_policy_admin(f->policy, &f->identity), 15);
}

static void test_deciding_allocates_nothing(void **state)
{
    struct fixture *f = *state;
    size_t before;

    fixture_policy(f, "rules: [{subjects: [{group: dba}], roles: orders-db,\n"
                      "         require: {reason: \"^[A-Z]+-[0-9]+$\"}}]");
    before = mem_in_use_bytes();
    f->request.reason = "OPS-12345678901234567890";
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    f->request.reason = "no";
    assert_int_equal(fixture_decide(f), ACCESS_REASON_REQUIRED);
    assert_int_equal(mem_in_use_bytes(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_allowed_by_default),
        TEST(test_each_attribute_of_a_subject_is_compared),
        TEST(test_all_attributes_of_one_subject_must_match_and_any_subject_will_do),
        TEST(test_what_is_not_known_matches_nothing),
        TEST(test_a_foreign_caller_matches_only_where_its_container_is_named),
        TEST(test_a_listener_for_foreign_callers_is_named_for_them),
        TEST(test_uid_0_is_nothing_special),
        TEST(test_a_deny_wins_wherever_it_stands),
        TEST(test_a_deny_holds_for_foreign_callers_too),
        TEST(test_a_deny_holds_when_groups_can_not_be_looked_up),
        TEST(test_roles_are_matched_by_name_and_glob),
        TEST(test_duration_is_the_maximum_unless_less_is_asked),
        TEST(test_without_a_limit_the_duration_is_the_roles_max_ttl),
        TEST(test_the_number_of_live_grants_is_limited),
        TEST(test_a_reason_is_required_and_must_match),
        TEST(test_a_reason_cannot_stop_the_daemon),
        TEST(test_each_rule_is_judged_whole_in_file_order),
        TEST(test_admins_may_what_is_listed),
        TEST(test_deciding_allocates_nothing),
    };

    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
