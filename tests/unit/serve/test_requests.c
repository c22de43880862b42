/* Requests for approvals over the API: asked for, approved by somebody else, used once. */
#include "unit/serve/fixture.h"

#include <stdio.h>
#include <string.h>

#define GET_DB API "/credentials/db?reason=OPS-1"
#define POST_DB "{\"role\":\"db\",\"reason\":\"OPS-1\",\"ticket\":\"T-1\"}"

/* alice may db for 10m if bob or ada approves (two of them for db-own); db-shared by breaking the
 * glass, which bob reviews. */
static const char rules[] =
    "rules:\n"
    "  - name: approved\n"
    "    subjects: [{user: alice}]\n"
    "    roles: [db]\n"
    "    limits: {duration: 10m, binding: [connection, none]}\n"
    "    require: {reason: '^OPS-[0-9]+', approval: {from: [{user: bob}, {user: ada}], count: 1,\n"
    "      decide_within: 30m, use_within: 15m}}\n"
    "  - name: two\n"
    "    subjects: [{user: alice}]\n"
    "    roles: [db-own]\n"
    "    require: {approval: {from: [{user: bob}, {user: ada}], count: 2, decide_within: 30m,\n"
    "      use_within: 15m}}\n"
    "  - name: glass\n"
    "    subjects: [{user: alice}]\n"
    "    roles: [db-shared]\n"
    "    break_glass: true\n"
    "    limits: {duration: 10m}\n"
    "    require: {approval: {from: [{user: bob}], count: 1, decide_within: 30m,\n"
    "      use_within: 15m}}\n"
    "  - {name: free, subjects: [{user: alice}], roles: [db-reason]}\n"
    "admins:\n"
    "  - {user: ada}\n"
    "  - {subjects: [{user: rita}], may: [read]}\n";

static char id[64];

static int setup(void **state)
{
    int r = fixture_setup(state);

    f.policy_text = rules;
    return r;
}

#define request_test(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

static struct call *post(enum who who, const char *path, const char *body)
{
    return fixture_call(who, "POST", path, body);
}

static struct call *say(enum who who, const char *verb)
{
    char path[256];

    (void)snprintf(path, sizeof(path), API "/requests/%s/%s", id, verb);
    return post(who, path, NULL);
}

static void remember(struct call *call)
{
    (void)snprintf(id, sizeof(id), "%s", call_text(call, "id"));
}

/* --- the way of one --- */

static void test_who_asks_too_fast_is_told_to_wait(void **state)
{
    struct call *call;

    (void)state;
    f.grants_per_uid = (struct units_rate){.count = 1, .per_ms = 3600000};
    assert_int_equal(fixture_get(ALICE, API "/credentials/db-reason")->status, 200);
    (void)post(ALICE, API "/leases", POST_DB);
    call = post(ALICE, API "/leases", "{\"role\":\"db-own\",\"ticket\":\"T-2\"}");
    fixture_expect(call, 429, "limit_exceeded");
    assert_non_null(strstr(call_text(call, "hint"), "with time"));
    assert_non_null(call_header(call, "Retry-After"));
}

static void test_who_withdraws_and_holds_nothing_is_told_to_wait_too(void **state)
{
    int i;

    (void)state;
    f.grants_per_uid = (struct units_rate){.count = 1, .per_ms = 3600000};
    for (i = 0; i < 2; i++) {
        remember(post(ALICE, API "/leases", POST_DB));
        assert_int_equal(say(ALICE, "withdraw")->status, 200);
    }
    fixture_expect(post(ALICE, API "/leases", POST_DB), 429, "limit_exceeded");
}

static void test_it_is_asked_for_approved_and_used_once(void **state)
{
    struct call *call = post(ALICE, API "/leases", POST_DB);

    (void)state;
    assert_int_equal(call->status, 202);
    assert_string_equal(call_text(call, "state"), "approval_pending");
    remember(call);
    assert_non_null(strstr(call->headers, "Location: /leased/v1/requests/q-"));
    fixture_expect(fixture_get(ALICE, GET_DB), 403, "approval_pending");
    assert_string_equal(call_text(post(ALICE, API "/leases", POST_DB), "id"), id); /* the same */
    fixture_expect(say(ALICE_AGAIN, "approve"), 403, "denied");
    assert_int_equal(say(BOB, "approve")->status, 200);
    call = fixture_get(ALICE, GET_DB);
    assert_int_equal(call->status, 200);
    assert_int_equal(fixture_records("grant.created"), 1);
    assert_int_equal(
        fixture_trail_has("\"ticket\":\"T-1\",\"approvers\":[\"bob\"],\"approval\":\"q-"), 1);
    assert_int_equal(fixture_get(ALICE, API "/credentials/db")->status, 200); /* while it lives */
    /* Another process of hers would get another grant. */
    fixture_expect(fixture_get(ALICE_AGAIN, GET_DB), 403, "approval_pending");
    fixture_advance(11 * MINUTE_MS);
    fixture_expect(fixture_get(ALICE, GET_DB), 403, "approval_pending");
    assert_int_equal(fixture_records("grant.created"), 1);
}

static void test_who_is_blocked_approves_nothing(void **state)
{
    struct call *call;

    (void)state;
    remember(post(ALICE, API "/leases", POST_DB));
    call = post(ADA, API "/blocks", "{\"match\":{\"subject\":{\"user\":\"bob\"}},\"block\":60}");
    assert_int_equal(call->status, 201);
    fixture_expect(say(BOB, "approve"), 403, "denied");
    fixture_expect(fixture_get(ALICE, GET_DB), 403, "approval_pending");
    fixture_advance(61 * SECOND_MS);
    assert_int_equal(say(BOB, "approve")->status, 200);
    assert_int_equal(fixture_get(ALICE, GET_DB)->status, 200);
    fixture_advance(11 * MINUTE_MS);
}

static void test_a_mere_read_asks_for_nothing(void **state)
{
    (void)state;
    fixture_expect(fixture_get(ALICE, GET_DB), 403, "approval_pending");
    assert_null(requests_next(f.requests, NULL));
    fixture_expect(fixture_get(ALICE, API "/credentials/db"), 403, "reason_required");
    fixture_expect(fixture_get(BOB, API "/credentials/db"), 403, "denied");
}

/* Who has asked with a reason, and comes again without. */
static void test_what_is_left_unsaid_is_what_was_asked(void **state)
{
    struct call *call;

    (void)state;
    remember(post(ALICE, API "/leases", POST_DB));
    call = fixture_get(ALICE, API "/credentials/db");
    fixture_expect(call, 403, "approval_pending");
    assert_string_equal(call_text(call, "approval"), id);
    assert_non_null(strstr(call_text(call, "detail"), id));
    assert_non_null(strstr(call_text(call, "hint"), "lease requests"));
    call = post(ALICE, API "/requests", "{\"role\":\"db\"}");
    assert_int_equal(call->status, 202);
    assert_string_equal(call_text(call, "id"), id);
    fixture_expect(fixture_get(BOB, API "/credentials/db"), 403, "denied");
    assert_int_equal(say(BOB, "approve")->status, 200);
    assert_int_equal(fixture_get(ALICE, API "/credentials/db")->status, 200);
}

/* Another reason than the one that was approved, or another duration: neither the one nor a riddle.
 */
static void test_who_asks_for_something_else_is_told_what_was_asked(void **state)
{
    const char *other = API "/credentials/db?reason=OPS-2&duration=1m&binding=none";
    struct call *call;

    (void)state;
    remember(post(ALICE, API "/leases", POST_DB));
    call = fixture_get(ALICE, other);
    fixture_expect(call, 403, "approval_pending");
    assert_string_equal(call_text(call, "approval"), id);
    assert_non_null(strstr(call_text(call, "hint"), "waits for an approval"));
    assert_int_equal(say(BOB, "approve")->status, 200);
    call = fixture_get(ALICE, other);
    fixture_expect(call, 403, "approval_pending");
    assert_string_equal(call_text(call, "approval"), id);
    assert_non_null(strstr(call_text(call, "hint"), "is approved"));
    assert_non_null(strstr(call_text(call, "hint"), "--for 10m --reason \"OPS-1\" --bind "));
    assert_null(strstr(call_text(call, "hint"), "--ticket"));
    call = fixture_get(ALICE, API "/credentials/db?reason=none");
    fixture_expect(call, 403, "reason_required");
    assert_string_equal(call_text(call, "approval"), id);
    assert_null(call_member(fixture_get(ALICE, API "/credentials/db-own"), "approval"));
}

static void test_who_waits_gets_it_when_it_is_approved(void **state)
{
    struct call *call = fixture_send(ALICE, "GET", GET_DB "&wait=5m", NULL);
    struct request_view view;

    (void)state;
    fixture_run();
    assert_int_equal(call->status, 0);
    request_view(requests_next(f.requests, NULL), &view);
    (void)snprintf(id, sizeof(id), "%s", view.id);
    fixture_advance(MINUTE_MS);
    assert_int_equal(say(BOB, "approve")->status, 200);
    fixture_run();
    assert_int_equal(call->status, 200);
    call_deliver(call);
    assert_int_equal(fixture_records("grant.created"), 1);
}

static void test_a_wait_ends(void **state)
{
    struct call *get = fixture_send(ALICE, "GET", GET_DB "&wait=5m", NULL);
    struct call *made = fixture_send(ALICE, "POST", API "/leases?wait=5m", POST_DB);

    (void)state;
    fixture_run();
    assert_int_equal(get->status, 0);
    fixture_advance(6 * MINUTE_MS);
    fixture_expect(get, 403, "approval_pending");
    assert_int_equal(made->status, 202);
}

/* Of the policy that was there when the wait began nothing is left when it ends. */
static void test_a_wait_outlives_its_policy(void **state)
{
    struct call *call = fixture_send(ALICE, "GET", GET_DB "&wait=5m", NULL);
    struct access_policy *before = f.policy;

    (void)state;
    fixture_run();
    f.policy = fixture_parse_policy();
    serve_set_policy(f.serve, f.policy, NULL, NULL);
    access_policy_free(before);
    fixture_advance(6 * MINUTE_MS);
    fixture_expect(call, 403, "approval_pending");
    assert_string_equal(call_text(call, "rule"), "approved");
}

static void test_who_waits_hears_that_it_is_denied(void **state)
{
    struct call *call = fixture_send(ALICE, "POST", API "/leases?wait=5m", POST_DB);
    struct request_view view;

    (void)state;
    fixture_run();
    request_view(requests_next(f.requests, NULL), &view);
    (void)snprintf(id, sizeof(id), "%s", view.id);
    assert_int_equal(say(ADA, "deny")->status, 200);
    fixture_run();
    fixture_expect(call, 403, "denied");
}

static void test_who_goes_away_leaves_the_request(void **state)
{
    struct call *call = fixture_send(ALICE, "GET", GET_DB "&wait=5m", NULL);

    (void)state;
    fixture_run();
    call_hang_up(call);
    fixture_run();
    assert_int_equal(requests_pending_count(f.requests), 1);
}

static void test_an_answer_that_is_lost_gives_it_back(void **state)
{
    struct call *call;

    (void)state;
    remember(post(ALICE, API "/leases", POST_DB));
    assert_int_equal(say(BOB, "approve")->status, 200);
    call = fixture_send(ALICE, "GET", GET_DB, NULL);
    fixture_run();
    assert_int_equal(call->status, 200);
    call_hang_up(call);
    fixture_run();
    assert_int_equal(fixture_records("grant.ended"), 1);
    assert_int_equal(fixture_get(ALICE, GET_DB)->status, 200);
    assert_int_equal(fixture_records("grant.created"), 2);
}

static void test_of_two_that_would_use_it_one_is_denied(void **state)
{
    struct call *calls[2];
    size_t i;

    (void)state;
    remember(post(ALICE, API "/leases", POST_DB));
    assert_int_equal(say(BOB, "approve")->status, 200);
    for (i = 0; i < ARRAY_LEN(calls); i++) {
        calls[i] = fixture_send(ALICE, "POST", API "/leases", POST_DB);
    }
    fixture_run();
    assert_int_equal(calls[0]->status, 201);
    call_deliver(calls[0]);
    fixture_expect(calls[1], 403, "denied");
    assert_int_equal(fixture_records("grant.created"), 1);
}

static void test_two_have_to_approve(void **state)
{
    (void)state;
    remember(post(ALICE, API "/requests", "{\"role\":\"db-own\"}"));
    assert_int_equal(say(BOB, "approve")->status, 200);
    assert_int_equal(say(BOB, "approve")->status, 200);
    fixture_expect(fixture_get(ALICE, API "/credentials/db-own"), 403, "approval_pending");
    assert_int_equal(say(ADA, "approve")->status, 200);
    assert_int_equal(fixture_get(ALICE, API "/credentials/db-own")->status, 200);
}

/* --- asking for an approval alone --- */

static void test_where_none_is_needed_that_is_said(void **state)
{
    struct call *call = post(ALICE, API "/requests", "{\"role\":\"db-reason\"}");

    (void)state;
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "state"), "not_needed");
    fixture_expect(post(BOB, API "/requests", "{\"role\":\"db\"}"), 403, "denied");
    fixture_expect(post(ALICE, API "/requests", "{\"role\":\"db\"}"), 403, "reason_required");
    fixture_expect(post(ALICE, API "/requests", "{\"role\":\"none\"}"), 404, "unknown_role");
    assert_null(requests_next(f.requests, NULL));
}

static void test_a_withdrawn_one_gives_nothing(void **state)
{
    (void)state;
    remember(post(ALICE, API "/requests", POST_DB));
    fixture_expect(say(BOB, "withdraw"), 403, "denied");
    assert_int_equal(say(ALICE, "withdraw")->status, 200);
    fixture_expect(say(BOB, "approve"), 409, "invalid");
    fixture_expect(fixture_get(ALICE, GET_DB), 403, "approval_pending");
}

static void test_everybody_sees_what_is_theirs(void **state)
{
    (void)state;
    remember(post(ALICE, API "/requests", POST_DB));
    assert_non_null(
        strstr(fixture_get(ALICE, API "/requests")->body, "\"own\":true,\"may_approve\":false"));
    assert_non_null(
        strstr(fixture_get(BOB, API "/requests?state=pending")->body, "\"may_approve\":true"));
    assert_non_null(strstr(fixture_get(RITA, API "/requests")->body, id));
    assert_null(strstr(fixture_get(CAROL, API "/requests")->body, id));
    assert_null(strstr(fixture_get(ALICE, API "/requests?state=approved")->body, id));
    fixture_expect(fixture_get(CAROL, fixture_path(API "/requests/%s", id)), 404, "not_found");
    fixture_expect(say(CAROL, "approve"), 403, "denied");
    assert_int_equal(fixture_records("request.refused"), 1);
    fixture_expect(say(RITA, "approve"), 403, "denied");
    fixture_expect(fixture_get(ALICE, API "/requests?state=maybe"), 400, "invalid");
    assert_non_null(strstr(fixture_get(RITA, "/metrics")->body, "leased_requests_pending 1\n"));
}

/* --- breaking the glass --- */

static void test_who_may_break_the_glass_is_told_so(void **state)
{
    struct call *call = fixture_get(ALICE, API "/credentials/db-shared");

    (void)state;
    fixture_expect(call, 403, "denied");
    assert_non_null(strstr(call_text(call, "hint"), "lease get db-shared --break-glass"));
    assert_non_null(strstr(call_text(call, "hint"), "rule glass"));
    call = fixture_get(CAROL, API "/credentials/db-shared");
    fixture_expect(call, 403, "denied");
    assert_null(strstr(call->body, "glass"));
    call = post(ALICE, API "/policy/explain", "{\"role\":\"db-shared\"}");
    assert_non_null(strstr(call_text(call, "hint"), "lease get db-shared --break-glass"));
    call = post(CAROL, API "/policy/explain", "{\"role\":\"db-shared\"}");
    assert_true(json_is_null(call_member(call, "hint")));
    assert_true(json_is_null(call_member(post(ALICE, API "/policy/explain", POST_DB), "hint")));
}

static void test_broken_glass_is_loud_and_reviewed(void **state)
{
    struct call *call;

    (void)state;
    fixture_expect(fixture_get(ALICE, API "/credentials/db-shared"), 403, "denied");
    call = fixture_get(ALICE, API "/credentials/db-shared?break_glass=true");
    assert_int_equal(call->status, 200);
    assert_int_equal(fixture_trail_has("\"event\":\"request.created\",\"outcome\":\"break-glass\""),
                     1);
    assert_int_equal(fixture_get(ALICE, API "/credentials/db-shared")->status, 200);
    assert_int_equal(fixture_records("request.created"), 1);
    assert_int_equal(fixture_trail_has("\"comment\":\"break-glass\""), 1);
    assert_non_null(strstr(f.log, "lease requests --review"));
    call = fixture_get(BOB, API "/requests?review=true");
    assert_non_null(strstr(call->body, "\"review\":\"pending\""));
    (void)snprintf(id, sizeof(id), "%.34s", strstr(call->body, "q-"));
    assert_int_equal(say(BOB, "deny")->status, 200);
    assert_int_equal(fixture_records("grant.ended"), 1);
    fixture_expect(fixture_get(ALICE, API "/credentials/db-shared"), 403, "denied");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        request_test(test_who_asks_too_fast_is_told_to_wait),
        request_test(test_who_withdraws_and_holds_nothing_is_told_to_wait_too),
        request_test(test_it_is_asked_for_approved_and_used_once),
        request_test(test_who_is_blocked_approves_nothing),
        request_test(test_a_mere_read_asks_for_nothing),
        request_test(test_what_is_left_unsaid_is_what_was_asked),
        request_test(test_who_asks_for_something_else_is_told_what_was_asked),
        request_test(test_who_waits_gets_it_when_it_is_approved),
        request_test(test_a_wait_ends),
        request_test(test_a_wait_outlives_its_policy),
        request_test(test_who_waits_hears_that_it_is_denied),
        request_test(test_who_goes_away_leaves_the_request),
        request_test(test_an_answer_that_is_lost_gives_it_back),
        request_test(test_of_two_that_would_use_it_one_is_denied),
        request_test(test_two_have_to_approve),
        request_test(test_where_none_is_needed_that_is_said),
        request_test(test_a_withdrawn_one_gives_nothing),
        request_test(test_everybody_sees_what_is_theirs),
        request_test(test_who_may_break_the_glass_is_told_so),
        request_test(test_broken_glass_is_loud_and_reviewed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
