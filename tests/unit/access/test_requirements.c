/* What rules ask beside a reason: tickets, approvals, open windows, and that the glass is broken;
 * rules that are only observed; and the people that a policy speaks of. */
#include "policy_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

/* 2026-01-01, a thursday, 00:00 UTC. */
#define THURSDAY_MS INT64_C(1767225600000)
#define HOURS_MS(hours) ((int64_t)(hours)*INT64_C(3600000))

#define RULE(name, more) "- {name: " name ", subjects: [{user: alice}], roles: orders-db" more "}\n"
#define APPROVAL ", require: {approval: {from: [{group: wheel}], count: 2}}"
#define GLASS                                                                                      \
    ", break_glass: true, limits: {duration: 10m}, require: {approval: {from: [{group: wheel}]}}"
#define LONG_REASON                                                                                \
    ", break_glass: true, limits: {duration: 10m}, require: {reason: \"^.{9}\", approval: {from: " \
    "[{group: wheel}]}}"

static int setup(void **state)
{
    static struct fixture fixture;

    fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    return 0;
}

static void expect_refusal(const struct fixture *f, const char *rule, const char *limit,
                           const char *detail)
{
    assert_string_equal(f->decision.rule, rule);
    if (limit == NULL) {
        assert_null(f->decision.limit);
    } else {
        assert_string_equal(f->decision.limit, limit);
    }
    assert_string_equal(f->decision.detail, detail);
}

/* --- tickets --- */

static void test_a_ticket_is_asked_for_and_must_match(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n" RULE("t", ", require: {ticket: \"^OPS-[0-9]+$\"}"));
    assert_int_equal(fixture_decide(f), ACCESS_REASON_REQUIRED);
    expect_refusal(f, "t", "ticket", "rule t requires a ticket that matches ^OPS-[0-9]+$");
    f->request.ticket = "OPS-x";
    assert_int_equal(fixture_decide(f), ACCESS_REASON_REQUIRED);
    expect_refusal(f, "t", "ticket",
                   "the ticket doesn't match ^OPS-[0-9]+$, which rule t requires");
    f->request.ticket = "OPS-1";
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    f->request.ticket = NULL;
    f->request.reason = "OPS-1";
    assert_int_equal(fixture_decide(f), ACCESS_REASON_REQUIRED);
}

/* --- approvals --- */

static void test_an_approval_is_asked_for_when_all_else_fits(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n" RULE("a", ", limits: {duration: 2h}" APPROVAL));
    f->request.duration_ms = 3 * FIXTURE_HOUR_MS;
    assert_int_equal(fixture_decide(f), ACCESS_LIMIT_EXCEEDED);
    f->request.duration_ms = FIXTURE_HOUR_MS;
    assert_int_equal(fixture_decide(f), ACCESS_APPROVAL_REQUIRED);
    expect_refusal(f, "a", NULL, "rule a requires that others have approved");
    assert_int_equal(f->decision.approval->count, 2);
    assert_int_equal(f->decision.approval->decide_within_ms, 1800000);
    assert_int_equal(f->decision.approval->use_within_ms, 900000);
    assert_int_equal(f->decision.duration_ms, FIXTURE_HOUR_MS);
}

static void test_an_approval_is_good_for_its_rule_alone(void **state)
{
    struct fixture *f = *state;
    char digest[80];

    fixture_policy(f, "rules:\n" RULE("a", APPROVAL));
    (void)fixture_decide(f);
    (void)snprintf(digest, sizeof(digest), "%s", f->decision.rule_digest);
    assert_int_equal(strlen(digest), 64);
    f->request.approved_rule = digest;
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    fixture_policy(f, "rules:\n" RULE("a", ", limits: {duration: 2h}" APPROVAL));
    assert_int_equal(fixture_decide(f), ACCESS_APPROVAL_REQUIRED);
    assert_false(access_policy_has_rule(f->policy, digest));
}

static void test_rules_without_approval_come_first(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n" RULE("ask", APPROVAL) RULE("plain", ", limits: {duration: 1h}"));
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_string_equal(f->decision.rule, "plain");
    assert_null(f->decision.approval);
    /* What the plain one refuses, others may approve. */
    f->request.duration_ms = 2 * FIXTURE_HOUR_MS;
    assert_int_equal(fixture_decide(f), ACCESS_APPROVAL_REQUIRED);
    assert_string_equal(f->decision.rule, "ask");
}

static void test_an_approval_overcomes_no_denial(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n" RULE("ask", APPROVAL) RULE("no", ", effect: deny"));
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    assert_string_equal(f->decision.rule, "no");
    assert_non_null(f->decision.rule_digest);
}

static void test_who_may_approve(void **state)
{
    struct fixture *f = *state;
    struct access_identity boss = f->identity;

    fixture_policy(f, "rules:\n" RULE("ask", APPROVAL));
    (void)fixture_decide(f);
    boss.groups[0] = 51;
    assert_true(access_policy_may_approve(f->policy, f->decision.rule_digest, &boss));
    assert_false(access_policy_may_approve(f->policy, f->decision.rule_digest, &f->identity));
    assert_false(access_policy_may_approve(f->policy, "0123", &boss));
    assert_false(access_policy_may_approve(f->policy, NULL, &boss));
    assert_true(access_policy_has_rule(f->policy, f->decision.rule_digest));
}

/* --- broken glass --- */

static void test_the_glass_is_broken_only_when_asked_for(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n" RULE("glass", GLASS) RULE("ask", APPROVAL));
    assert_int_equal(fixture_decide(f), ACCESS_APPROVAL_REQUIRED);
    assert_string_equal(f->decision.rule, "ask");
    f->request.is_break_glass = true;
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_string_equal(f->decision.rule, "glass");
    assert_true(f->decision.is_break_glass);
    assert_int_equal(f->decision.approval->count, 1);
    assert_int_equal(f->decision.duration_ms, 600000);
}

static void test_the_glass_stays_whole_where_a_plain_rule_will_do(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n" RULE("glass", GLASS) RULE("plain", ""));
    f->request.is_break_glass = true;
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_string_equal(f->decision.rule, "plain");
    assert_false(f->decision.is_break_glass);
}

static void test_who_breaks_the_glass_hears_what_that_needs(void **state)
{
    struct fixture *f = *state;
    static const char rules[] = "rules:\n" RULE("ticket", ", require: {ticket: \"^OPS-\"}")
        RULE("long", LONG_REASON) RULE("longer", LONG_REASON);

    fixture_policy(f, rules);
    assert_int_equal(fixture_decide(f), ACCESS_REASON_REQUIRED);
    expect_refusal(f, "ticket", "ticket", "rule ticket requires a ticket that matches ^OPS-");
    f->request.is_break_glass = true;
    assert_int_equal(fixture_decide(f), ACCESS_REASON_REQUIRED);
    expect_refusal(f, "long", NULL, "rule long requires a reason that matches ^.{9}");
    assert_false(f->decision.is_break_glass);
    f->request.reason = "it burns, now";
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_string_equal(f->decision.rule, "long");
}

static void test_an_approval_that_is_missing_is_told_rather_than_broken_glass(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n" RULE("ask", APPROVAL) RULE("long", LONG_REASON));
    f->request.is_break_glass = true;
    assert_int_equal(fixture_decide(f), ACCESS_APPROVAL_REQUIRED);
    assert_string_equal(f->decision.rule, "ask");
}

static void test_who_is_only_meant_by_broken_glass_has_no_rule(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n" RULE("glass", GLASS));
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    assert_null(f->decision.rule);
    assert_string_equal(f->decision.glass_rule, "glass");
}

static void test_of_broken_glass_hears_whom_it_would_help(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n- {name: others, subjects: [{user: bob}], roles: orders-db" GLASS
                      "}\n" RULE("observed", ", mode: observe" GLASS) RULE("glass", GLASS));
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    assert_string_equal(f->decision.glass_rule, "glass");
    f->request.is_break_glass = true;
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_null(f->decision.glass_rule);
    f->request.is_break_glass = false;
    fixture_policy(f, "rules:\n" RULE("glass", GLASS) RULE("never", ", effect: deny"));
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    assert_null(f->decision.glass_rule);
    fixture_policy(f, "rules:\n" RULE("glass", GLASS) RULE("ask", APPROVAL));
    assert_int_equal(fixture_decide(f), ACCESS_APPROVAL_REQUIRED);
    assert_null(f->decision.glass_rule);
}

/* --- windows --- */

static void test_a_closed_window_says_when_it_opens(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n" RULE("w", ", require: {window: {days: [mon-fri], hours: "
                                           "\"08:00-19:00\"}}"));
    f->request.wall_ms = THURSDAY_MS + HOURS_MS(7);
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    expect_refusal(f, "w", "window",
                   "the window of rule w is closed; it opens at 2026-01-01T08:00:00.000Z");
    assert_int_equal(f->decision.opens_wall_ms, THURSDAY_MS + HOURS_MS(8));
    f->request.wall_ms = THURSDAY_MS + HOURS_MS(8);
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_int_equal(f->decision.until_wall_ms, THURSDAY_MS + HOURS_MS(19));
    f->request.wall_ms = THURSDAY_MS + HOURS_MS(24 + 19);
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    assert_int_equal(f->decision.opens_wall_ms, THURSDAY_MS + HOURS_MS(4 * 24 + 8));
}

static void test_a_window_that_is_over_never_opens(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n" RULE("w", ", require: {window: {dates: [\"2025-12-24\"]}}"));
    f->request.wall_ms = THURSDAY_MS;
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    expect_refusal(f, "w", "window", "the window of rule w is closed and doesn't open again");
    assert_int_equal(f->decision.opens_wall_ms, 0);
}

/* --- observed --- */

static void test_an_observed_rule_decides_nothing(void **state)
{
    struct fixture *f = *state;

    fixture_policies(f, "rules:\n" RULE("no", ", effect: deny, mode: observe") RULE("yes", ""),
                     "mode: observe\nrules:\n" RULE("more", ""));
    assert_true(access_policy_has_observed(f->policy));
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_string_equal(f->decision.rule, "yes");
    fixture_policy(f, "mode: observe\nrules:\n" RULE("yes", ""));
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    assert_null(f->decision.rule);
}

static void test_observed_rules_count_where_that_is_asked_for(void **state)
{
    static const char text[] =
        "rules:\n" RULE("no", ", effect: deny, mode: observe") RULE("yes", "");
    static const char *const roles[] = {"orders-db", NULL};
    const struct access_policy_options options = {.counts_observed = true};
    struct fixture *f = *state;
    struct yaml_document *document = NULL;
    const struct yaml_node *node;
    char digest[80];

    fixture_policy(f, text);
    (void)snprintf(digest, sizeof(digest), "%s", access_policy_digest(f->policy));
    access_policy_free(f->policy);
    f->policy = NULL;
    assert_int_equal(yaml_parse("p.yaml", STR(text), &document, &f->errors), 0);
    node = yaml_root(document);
    assert_int_equal(access_policy_parse(&(struct access_nodes){.items = &node, .count = 1},
                                         &(struct access_known){.roles = roles}, &options,
                                         &f->policy, &f->errors),
                     0);
    yaml_free(document);
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    assert_string_equal(f->decision.rule, "no");
    assert_string_equal(access_policy_digest(f->policy), digest);
}

/* --- limits and subjects --- */

static void test_limits_are_passed_on(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules:\n" RULE("l", ", limits: {issue: 20/h, min_remaining: 10m}"));
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    assert_int_equal(f->decision.issue.count, 20);
    assert_int_equal(f->decision.issue.per_ms, FIXTURE_HOUR_MS);
    assert_int_equal(f->decision.min_remaining_ms, 600000);
}

static void test_ranges_of_uids_and_gids(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{uid: 1000-1999, gid: \"50-59\"}], roles: \"*\"}]");
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    f->identity.uid = 1999;
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    f->identity.uid = 2000;
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    f->identity.uid = 1000;
    f->identity.groups[0] = 60;
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    f->identity.gid = 59;
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
}

static void test_an_image_narrows_and_names_the_container(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: alice, image: \"reg/app:*\"}], roles: \"*\"}]");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    memcpy(f->identity.image, "reg/app:1", sizeof("reg/app:1"));
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    f->identity.is_foreign = true;
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    memcpy(f->identity.image, "reg/web:1", sizeof("reg/web:1"));
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
}

/* --- people --- */

static void test_who_is_behind_an_identity(void **state)
{
    struct fixture *f = *state;
    const struct access_claims claims = {.issuer = "gitlab", .person = "Alice A."};

    fixture_policies(f, "persons: {bob: {user: bob}, alice: [{user: alice-adm}, {user: alice}]}\n",
                     "persons: {other: {user: \"*\"}}\n");
    assert_string_equal(access_policy_person(f->policy, &f->identity), "alice");
    f->identity.claims = &claims;
    assert_string_equal(access_policy_person(f->policy, &f->identity), "Alice A.");
    f->identity.claims = NULL;
    f->identity.user[0] = '\0';
    assert_null(access_policy_person(f->policy, &f->identity));
}

/* A certificate with more names than there are keys to follow: all rules are looked at then. */
static void test_a_caller_with_very_many_keys_loses_no_rule(void **state)
{
    struct fixture *f = *state;
    size_t used = 0;
    BUF_AUTO text;
    int i;

    buf_init(&text, 65536);
    buf_add_c(&text, "rules:\n");
    for (i = 0; i < 120; i++) {
        buf_printf(&text,
                   "- {name: r%d, subjects: [{tls: {san: n%d}}], roles: orders-db, "
                   "limits: {duration: 1s}}\n",
                   i, i);
        used += (size_t)snprintf(f->identity.sans + used, sizeof(f->identity.sans) - used, "%sn%d",
                                 i > 0 ? " " : "", i);
    }
    assert_true(used < sizeof(f->identity.sans));
    buf_add_c(&text, "- {name: no, subjects: [{tls: {san: n119}}], roles: \"*\", effect: deny}\n");
    assert_int_equal(buf_status(&text), 0);
    f->identity.kind = ENV_PEER_TLS;
    f->identity.uid = f->identity.gid = ENV_NO_ID;
    f->identity.group_count = 0;
    f->identity.user[0] = '\0';
    fixture_policy(f, buf_str(&text).ptr);
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    assert_string_equal(f->decision.rule, "no");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_ticket_is_asked_for_and_must_match),
        TEST(test_an_approval_is_asked_for_when_all_else_fits),
        TEST(test_an_approval_is_good_for_its_rule_alone),
        TEST(test_rules_without_approval_come_first),
        TEST(test_an_approval_overcomes_no_denial),
        TEST(test_who_may_approve),
        TEST(test_the_glass_is_broken_only_when_asked_for),
        TEST(test_the_glass_stays_whole_where_a_plain_rule_will_do),
        TEST(test_who_breaks_the_glass_hears_what_that_needs),
        TEST(test_an_approval_that_is_missing_is_told_rather_than_broken_glass),
        TEST(test_who_is_only_meant_by_broken_glass_has_no_rule),
        TEST(test_of_broken_glass_hears_whom_it_would_help),
        TEST(test_a_closed_window_says_when_it_opens),
        TEST(test_a_window_that_is_over_never_opens),
        TEST(test_an_observed_rule_decides_nothing),
        TEST(test_observed_rules_count_where_that_is_asked_for),
        TEST(test_limits_are_passed_on),
        TEST(test_ranges_of_uids_and_gids),
        TEST(test_an_image_narrows_and_names_the_container),
        TEST(test_who_is_behind_an_identity),
        TEST(test_a_caller_with_very_many_keys_loses_no_rule),
    };

    return cmocka_run_group_tests_name("requirements", tests, NULL, NULL);
}
