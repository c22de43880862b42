/* What becomes of requests: who may approve them, what they stand for, how they end. */
#include "unit/request/fixture.h"

#include <stdio.h>
#include <string.h>

/* --- who approves --- */

static void test_one_that_the_rule_names_approves(void **state)
{
    struct request *request = fixture_request(ALICE, "db");
    struct request_view view;

    (void)state;
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
    assert_int_equal(requests_pending_count(f.requests), 1);
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    view = fixture_view(request);
    assert_int_equal(view.state, REQUEST_APPROVED);
    assert_int_equal(view.approval_count, 1);
    assert_string_equal(view.approvals[0].who, "bob");
    assert_string_equal(view.approvals[0].comment, "seen");
    assert_int_equal(view.duration_ms, 30 * MINUTE_MS);
    assert_int_equal(requests_pending_count(f.requests), 0);
    assert_int_equal(fixture_trail("\"event\":\"request.created\""), 1);
    assert_int_equal(fixture_trail("\"event\":\"request.approved\",\"outcome\":\"ok\""), 1);
    assert_int_equal(fixture_trail("\"approvers\":[\"bob\"],\"comment\":\"seen\""), 1);
}

static void test_nobody_approves_its_own(void **state)
{
    struct request *request = fixture_request(ALICE, "db");

    (void)state;
    assert_int_equal(fixture_say(request, ALICE, REQUEST_APPROVE), ERR_DENIED);
    f.who[ALICE].listener = "other"; /* another identity, the same user */
    assert_int_equal(fixture_say(request, ALICE, REQUEST_APPROVE), ERR_DENIED);
    assert_int_equal(fixture_say(request, ALICE, REQUEST_DENY), ERR_DENIED);
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
}

static void test_another_user_of_the_same_person_is_the_same(void **state)
{
    struct request *request = fixture_request(ALICE, "db");

    (void)state;
    assert_int_equal(fixture_say(request, ALICE_ADM, REQUEST_APPROVE), ERR_DENIED);
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
}

static void test_who_isnt_named_approves_nothing(void **state)
{
    struct request *request = fixture_request(ALICE, "db");

    (void)state;
    assert_int_equal(fixture_say(request, EVE, REQUEST_APPROVE), ERR_DENIED);
    assert_int_equal(fixture_say(request, ROOT, REQUEST_APPROVE), ERR_DENIED);
    f.who[BOB].kind = ENV_PEER_LOOPBACK;
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), ERR_DENIED);
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
}

static void test_two_are_two_people(void **state)
{
    struct request *request = fixture_request(ALICE, "db2");

    (void)state;
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_say(request, BOB2, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_view(request).approval_count, 1);
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
    assert_int_equal(fixture_say(request, DANA, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_state(request), REQUEST_APPROVED);
    assert_int_equal(fixture_trail("\"approvers\":[\"bob\",\"dana\"]"), 1);
    assert_int_equal(fixture_trail("\"event\":\"request.approved\",\"outcome\":\"pending\""), 1);
}

/* `who` shows a token of this person (NULL: of nobody known), which has to be freed. */
static struct access_claims *show_token(enum who who, const char *person)
{
    json_t *all = json_pack("{s:s, s:s, s:s?}", "iss", "https://ci", "sub", "job", "email", person);
    const struct access_claims_source source = {.issuer = "ci",
                                                .person = person != NULL ? "email" : NULL,
                                                .all = all};
    struct access_claims *claims = NULL;

    assert_int_equal(access_claims_new(&source, &claims, NULL), 0);
    json_decref(all);
    f.who[who].claims = claims;
    return claims;
}

static void put_away(enum who who, struct access_claims *claims)
{
    f.who[who].claims = NULL;
    access_claims_free(claims);
}

static void test_a_token_makes_nobody_two(void **state)
{
    struct request *request = fixture_request(ALICE, "db2");
    struct access_claims *token = show_token(DANA, "dana@acme");

    (void)state;
    assert_int_equal(fixture_say(request, DANA, REQUEST_APPROVE), 0);
    put_away(DANA, token);
    assert_int_equal(fixture_say(request, DANA, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_view(request).approval_count, 1);
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
    token = show_token(BOB, "dana@acme"); /* the same person as another user */
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
    put_away(BOB, token);
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_state(request), REQUEST_APPROVED);
}

static void test_who_is_known_is_told_apart_from_others_of_the_same_project(void **state)
{
    struct access_claims *tokens[] = {show_token(ALICE, "alice@acme"), show_token(BOB, "bob@acme"),
                                      show_token(DANA, "alice@acme")};
    struct request *request = fixture_request(ALICE, "db2");

    (void)state;
    assert_int_equal(fixture_say(request, DANA, REQUEST_APPROVE), ERR_DENIED);
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    put_away(DANA, tokens[2]);
    tokens[2] = show_token(DANA, "dana@acme");
    assert_int_equal(fixture_say(request, DANA, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_state(request), REQUEST_APPROVED);
    put_away(ALICE, tokens[0]);
    put_away(BOB, tokens[1]);
    put_away(DANA, tokens[2]);
}

static void test_nobody_known_is_not_told_apart_by_the_project(void **state)
{
    struct access_claims *tokens[] = {show_token(DANA, NULL), show_token(BOB, NULL)};
    struct request *request = fixture_request(ALICE, "db2");

    (void)state;
    assert_int_equal(fixture_say(request, DANA, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_view(request).approval_count, 1);
    put_away(DANA, tokens[0]);
    put_away(BOB, tokens[1]);
}

static void test_a_token_makes_nobody_another_person(void **state)
{
    struct request *request = fixture_request(ALICE, "db2");
    struct access_claims *token;

    (void)state;
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    token = show_token(BOB2, "robert@acme");
    assert_int_equal(fixture_say(request, BOB2, REQUEST_APPROVE), 0);
    put_away(BOB2, token);
    assert_int_equal(fixture_view(request).approval_count, 1);
    request = fixture_request(ALICE, "db");
    token = show_token(ALICE_ADM, "someone@acme");
    assert_int_equal(fixture_say(request, ALICE_ADM, REQUEST_APPROVE), ERR_DENIED);
    put_away(ALICE_ADM, token);
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
}

static void test_nobody_approves_what_its_certificate_has_asked(void **state)
{
    static const char *const who[] = {"spiffe://acme/ops", "spiffe://acme/dev"};
    struct access_claims *token;
    struct request *request;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(who); i++) {
        struct access_identity *identity = &f.who[i == 0 ? ALICE : BOB];

        identity->kind = ENV_PEER_TLS;
        identity->uid = identity->gid = ENV_NO_ID;
        identity->user[0] = '\0';
        (void)snprintf(identity->sans, sizeof(identity->sans), "%s", who[i]);
    }
    request = fixture_request(ALICE, "db");
    f.who[ALICE].listener = "other";
    assert_int_equal(fixture_say(request, ALICE, REQUEST_APPROVE), ERR_DENIED);
    f.who[ALICE].listener = "local";
    token = show_token(ALICE, "alice@acme");
    assert_int_equal(fixture_say(request, ALICE, REQUEST_APPROVE), ERR_DENIED);
    put_away(ALICE, token);
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_state(request), REQUEST_APPROVED);
}

static void test_a_single_denial_ends_it(void **state)
{
    struct request *request = fixture_request(ALICE, "db2");

    (void)state;
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_say(request, DANA, REQUEST_DENY), 0);
    assert_int_equal(fixture_state(request), REQUEST_DENIED);
    assert_string_equal(fixture_view(request).why, "denied by dana: seen");
    assert_int_equal(fixture_say(request, DANA, REQUEST_DENY), 0); /* its answer was lost */
    assert_int_equal(fixture_say(request, DANA, REQUEST_APPROVE), ERR_EXISTS);
    assert_int_equal(fixture_trail("\"event\":\"request.denied\""), 1);
}

static void test_only_who_has_asked_withdraws(void **state)
{
    struct request *request = fixture_request(ALICE, "db");

    (void)state;
    assert_int_equal(fixture_say(request, BOB, REQUEST_WITHDRAW), ERR_DENIED);
    assert_int_equal(fixture_say(request, ALICE, REQUEST_WITHDRAW), 0);
    assert_int_equal(fixture_state(request), REQUEST_WITHDRAWN);
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), ERR_EXISTS);
}

/* --- what it stands for --- */

static void test_it_stands_for_what_was_asked_and_nothing_else(void **state)
{
    struct request *request = fixture_request(ALICE, "db");
    struct request_ask ask = fixture_ask(ALICE, "db", "fixing it");

    (void)state;
    assert_ptr_equal(requests_find(f.requests, &ask), request);
    ask.reason = NULL; /* left unsaid */
    assert_ptr_equal(requests_find(f.requests, &ask), request);
    ask.duration_ms = 30 * MINUTE_MS;
    assert_ptr_equal(requests_find(f.requests, &ask), request);
    ask.duration_ms = 10 * MINUTE_MS;
    assert_null(requests_find(f.requests, &ask));
    ask = fixture_ask(ALICE, "db", "something else");
    assert_null(requests_find(f.requests, &ask));
    ask = fixture_ask(ALICE, "db", "fixing it");
    ask.ticket = "T-1";
    assert_null(requests_find(f.requests, &ask));
    ask.ticket = NULL;
    (void)snprintf(f.who[ALICE].user, sizeof(f.who[ALICE].user),
                   "mallory"); /* has alice's uid now */
    assert_null(requests_find(f.requests, &ask));
    (void)snprintf(f.who[ALICE].user, sizeof(f.who[ALICE].user), "alice");
    ask = fixture_ask(ALICE, "db2", "fixing it");
    assert_null(requests_find(f.requests, &ask));
    ask = fixture_ask(ALICE_ADM, "db", "fixing it");
    assert_null(requests_find(f.requests, &ask));
    ask = fixture_ask(ALICE, "db", "fixing it");
    ask.binding_count = 1;
    ask.bindings[0].kind = ACCESS_BINDING_PARENT; /* as long as the role's own */
    assert_ptr_equal(requests_find(f.requests, &ask), request);
    ask.bindings[0].kind = ACCESS_BINDING_NONE; /* longer: the rule allows it, nobody approved it */
    assert_null(requests_find(f.requests, &ask));
}

static void test_it_stands_for_the_bindings_that_were_asked(void **state)
{
    struct request_ask ask = fixture_ask(ALICE, "db", "fixing it");
    struct request *request = NULL;

    (void)state;
    ask.bindings[0].kind = ACCESS_BINDING_PROCESS;
    ask.bindings[1].kind = ACCESS_BINDING_CONNECTION;
    ask.binding_count = 2;
    assert_int_equal(fixture_make(&ask, &request), 0);
    fake_env_run(&f.fake);
    assert_ptr_equal(requests_find(f.requests, &ask), request);
    ask.binding_count = 1; /* it would outlive the connection */
    assert_null(requests_find(f.requests, &ask));
    ask.binding_count = 0;
    assert_null(requests_find(f.requests, &ask));
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_null(requests_find(f.requests, &ask));
    assert_int_equal(request_use(request, "g-1"), 0);
    f.live_grant = "g-1"; /* which hangs on both: who reads again need not say so */
    assert_ptr_equal(requests_find(f.requests, &ask), request);
}

static void test_an_approval_is_used_once(void **state)
{
    struct request *request = fixture_request(ALICE, "db");
    struct request_ask ask = fixture_ask(ALICE, "db", NULL);

    (void)state;
    assert_int_equal(request_use(request, "g-1"), ERR_GONE); /* not approved yet */
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_int_equal(request_use(request, "g-1"), 0);
    assert_int_equal(request_use(request, "g-2"), ERR_GONE);
    assert_int_equal(fixture_state(request), REQUEST_USED);
    f.live_grant = "g-1";
    assert_ptr_equal(requests_find(f.requests, &ask), request);
    f.live_grant = NULL;
    assert_null(requests_find(f.requests, &ask));
    fake_env_advance(&f.fake, 25 * HOUR_MS);
    assert_null(requests_next(f.requests, NULL));
}

static void test_a_use_in_vain_is_given_back(void **state)
{
    struct request *request = fixture_request(ALICE, "db");

    (void)state;
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_int_equal(request_use(request, "g-1"), 0);
    request_give_back(request, "g-other");
    assert_int_equal(fixture_state(request), REQUEST_USED);
    request_give_back(request, "g-1");
    assert_int_equal(fixture_state(request), REQUEST_APPROVED);
    assert_int_equal(request_use(request, "g-2"), 0);
    fake_env_advance(&f.fake, 16 * MINUTE_MS);
    request_give_back(request, "g-2");
    fake_env_advance(&f.fake, 0);
    assert_int_equal(fixture_state(request), REQUEST_EXPIRED);
}

static void test_a_changed_rule_makes_it_stale(void **state)
{
    struct request *pending = fixture_request(ALICE, "db");
    struct request *approved = fixture_request(ALICE_ADM, "db");
    struct request *other = fixture_request(ALICE, "db2");
    struct err e = {0};

    (void)state;
    assert_int_equal(fixture_say(approved, BOB, REQUEST_APPROVE), 0);
    fixture_change_policy();
    assert_int_equal(fixture_state(pending), REQUEST_STALE);
    assert_int_equal(fixture_state(approved), REQUEST_STALE);
    assert_int_equal(fixture_state(other), REQUEST_PENDING);
    assert_int_equal(fixture_say(pending, BOB, REQUEST_APPROVE), ERR_DENIED);
    assert_true(request_may_decide(pending, &f.who[BOB], &e) != 0 && strstr(e.text, "changed or"));
    assert_int_equal(fixture_trail("\"event\":\"request.expired\",\"outcome\":\"stale\""), 2);
}

/* --- time --- */

static void test_it_is_decided_in_time_or_not_at_all(void **state)
{
    struct request *request = fixture_request(ALICE, "db");

    (void)state;
    f.fake.wall_ms += (int64_t)HOUR_MS; /* the clock of the wall says nothing */
    fake_env_advance(&f.fake, 29 * MINUTE_MS);
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
    fake_env_advance(&f.fake, 2 * MINUTE_MS);
    assert_int_equal(fixture_state(request), REQUEST_EXPIRED);
    assert_string_equal(fixture_view(request).why, "nobody decided in time");
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), ERR_EXISTS);
    assert_int_equal(fixture_trail("\"event\":\"request.expired\",\"outcome\":\"ok\""), 1);
}

static void test_it_is_used_in_time_or_not_at_all(void **state)
{
    struct request *request = fixture_request(ALICE, "db");

    (void)state;
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    fake_env_advance(&f.fake, 14 * MINUTE_MS);
    assert_int_equal(fixture_state(request), REQUEST_APPROVED);
    fake_env_advance(&f.fake, 2 * MINUTE_MS);
    assert_int_equal(fixture_state(request), REQUEST_EXPIRED);
    assert_int_equal(request_use(request, "g-1"), ERR_GONE);
}

static void count_wait(struct request_wait *wait, int status)
{
    (void)status;
    ++*(int *)wait->user;
}

static void test_who_waits_hears_of_the_decision(void **state)
{
    struct request *request = fixture_request(ALICE, "db2");
    int count = 0;
    struct request_wait wait = {.fn = count_wait, .user = &count, .is_for_decision = true};

    (void)state;
    assert_true(request_wait_start(request, &wait));
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_int_equal(count, 0);
    fake_env_advance(&f.fake, 31 * MINUTE_MS);
    assert_int_equal(count, 1);
    assert_false(request_wait_start(request, &wait));
}

/* --- limits --- */

static void test_one_user_has_so_many_and_no_more(void **state)
{
    struct request *request = NULL;
    struct request_ask ask = fixture_ask(ALICE, "db", "one more");
    uint32_t i;

    (void)state;
    for (i = 0; i < REQUESTS_OPEN_MAX; i++) {
        assert_int_equal(fixture_make(&ask, &request), 0);
    }
    assert_int_equal(fixture_make(&ask, &request), ERR_LIMIT);
    fake_env_run(&f.fake);
    (void)fixture_request(ALICE_ADM, "db");
    assert_int_equal(fixture_say(request, ALICE, REQUEST_WITHDRAW), 0);
    assert_int_equal(fixture_make(&ask, &request), 0);
    fake_env_run(&f.fake);
}

static void requests_fill(uint32_t uid, uint32_t count, int expected)
{
    struct request *request = NULL;
    struct request_ask ask = fixture_ask(ALICE, "db", "one more");
    uint32_t i;

    f.who[ALICE].uid = uid;
    for (i = 0; i < count; i++) {
        assert_int_equal(fixture_make(&ask, &request), expected);
    }
    fake_env_run(&f.fake);
}

static void test_users_with_many_leave_room_for_those_with_few(void **state)
{
    const uint32_t many = (REQUESTS_MAX - REQUESTS_RESERVE) / REQUESTS_OPEN_MAX;
    uint32_t uid = 5000;

    (void)state;
    while (uid < 5000 + many) {
        requests_fill(uid++, REQUESTS_OPEN_MAX, 0);
    }
    requests_fill(uid, REQUESTS_OPEN_FEW, 0);
    requests_fill(uid, 1, ERR_LIMIT);
    requests_fill(uid + 1, REQUESTS_OPEN_FEW, 0);
    fake_env_advance(&f.fake, 31 * MINUTE_MS); /* they are over, and still to be looked at */
    requests_fill(uid, REQUESTS_OPEN_MAX, 0);
}

static void test_what_is_over_makes_room(void **state)
{
    struct request_ask ask = fixture_ask(ALICE, "db", "again and again");
    struct request *request = NULL;
    size_t i;

    (void)state;
    for (i = 0; i < REQUESTS_MAX + 10U; i++) {
        assert_int_equal(fixture_make(&ask, &request), 0);
        fake_env_run(&f.fake);
        assert_int_equal(fixture_say(request, ALICE, REQUEST_WITHDRAW), 0);
    }
    assert_int_equal(fake_ledger_count(&f.ledger, ENV_LEDGER_REQUEST), REQUESTS_MAX);
}

/* A grant that has ended leaves nothing that its approval would stand for. */
static void test_what_is_used_up_makes_room(void **state)
{
    struct request *request = NULL;
    char grant[32] = "";
    size_t i;

    (void)state;
    for (i = 0; i < REQUESTS_MAX + 10U; i++) {
        request = fixture_request(ALICE, "db");
        assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
        (void)snprintf(grant, sizeof(grant), "g-%zu", i);
        assert_int_equal(request_use(request, grant), 0);
        f.live_grant = i == 0 ? "g-0" : f.live_grant;
    }
    assert_int_equal(fake_ledger_count(&f.ledger, ENV_LEDGER_REQUEST), REQUESTS_MAX);
    assert_string_equal(fixture_view(requests_next(f.requests, NULL)).grant, "g-0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_one_that_the_rule_names_approves),
        fixture_test(test_nobody_approves_its_own),
        fixture_test(test_another_user_of_the_same_person_is_the_same),
        fixture_test(test_who_isnt_named_approves_nothing),
        fixture_test(test_two_are_two_people),
        fixture_test(test_a_token_makes_nobody_two),
        fixture_test(test_who_is_known_is_told_apart_from_others_of_the_same_project),
        fixture_test(test_nobody_known_is_not_told_apart_by_the_project),
        fixture_test(test_a_token_makes_nobody_another_person),
        fixture_test(test_nobody_approves_what_its_certificate_has_asked),
        fixture_test(test_a_single_denial_ends_it),
        fixture_test(test_only_who_has_asked_withdraws),
        fixture_test(test_it_stands_for_what_was_asked_and_nothing_else),
        fixture_test(test_it_stands_for_the_bindings_that_were_asked),
        fixture_test(test_an_approval_is_used_once),
        fixture_test(test_a_use_in_vain_is_given_back),
        fixture_test(test_a_changed_rule_makes_it_stale),
        fixture_test(test_it_is_decided_in_time_or_not_at_all),
        fixture_test(test_it_is_used_in_time_or_not_at_all),
        fixture_test(test_who_waits_hears_of_the_decision),
        fixture_test(test_one_user_has_so_many_and_no_more),
        fixture_test(test_users_with_many_leave_room_for_those_with_few),
        fixture_test(test_what_is_over_makes_room),
        fixture_test(test_what_is_used_up_makes_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
