/* The leak drill and blocks over the API: who may, what is refused, what is told, what survives. */
#include <string.h>

#include "support/fake_ledger.h"
#include "unit/serve/fixture.h"

#define DB API "/credentials/db"
#define SHARED API "/credentials/db-shared"
#define REVOKE API "/revoke"
#define BLOCKS API "/blocks"
#define ALICES "{\"subject\":{\"user\":\"alice\"}}"

static struct fake_ledger ledger;

static int setup(void **state)
{
    int r = fixture_setup(state);

    call_refuse_streams(0);
    call_limit_streams(0);
    fake_ledger_init(&ledger, &f.fake.env);
    f.options.ledger = &ledger.ledger;
    return r;
}

static int teardown(void **state)
{
    int r = fixture_teardown(state);

    fake_ledger_fini(&ledger);
    return r;
}

#define revoke_test(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static struct call *post(enum who who, const char *target, const char *body)
{
    struct call *call = fixture_send(who, "POST", target, body);

    fixture_run();
    if (call->status != 0 && !call->is_stream) {
        call_deliver(call);
        fixture_run();
    }
    return call;
}

/* A drill whose stream has ended. */
static struct call *drill(const char *body)
{
    struct call *call = post(ADA, REVOKE, body);

    assert_int_equal(call->status, 200);
    assert_true(call->is_stream);
    assert_string_equal(call->content_type, "application/x-ndjson");
    return call;
}

static bool says(const struct call *call, const char *text)
{
    return strstr(call->body, text) != NULL;
}

static struct call *block(const char *match)
{
    char body[256];

    (void)snprintf(body, sizeof(body), "{\"match\":%s,\"block\":3600,\"reason\":\"leak\"}", match);
    return post(ADA, BLOCKS, body);
}

/* As the next daemon's serve would begin, on the same core. */
static void serve_again(void)
{
    serve_free(f.serve);
    fixture_run();
    assert_int_equal(serve_new(&f.options, &f.serve, NULL), 0);
    f.listener.serve = f.serve;
    fixture_run();
}

static void test_only_an_admin_that_may_revoke_can(void **state)
{
    (void)state;
    fixture_expect(post(ALICE, REVOKE, "{\"match\":" ALICES "}"), 403, "denied");
    fixture_expect(post(RITA, REVOKE, "{\"match\":" ALICES "}"), 403, "denied");
    fixture_expect(post(RITA, BLOCKS, "{\"match\":" ALICES ",\"block\":60}"), 403, "denied");
    fixture_expect(fixture_get(ALICE, BLOCKS), 403, "denied");
    assert_int_equal(fixture_get(RITA, BLOCKS)->status, 200);
    fixture_expect(fixture_call(RITA, "DELETE", BLOCKS "/b-0", NULL), 403, "denied");
    fixture_expect(fixture_call(ADA, "DELETE", BLOCKS "/b-0", NULL), 404, "not_found");
}

/* Who is behind a user is the policy's to say, also when it comes later. */
static void test_a_policy_that_names_a_person_brings_his_block(void **state)
{
    static const char rules[] = "rules:\n  - {subjects: [{user: alice}], roles: [db]}\n"
                                "admins: [{user: ada}]\n";
    char named[256];
    struct access_policy *before;

    (void)state;
    f.policy_text = rules;
    assert_int_equal(block("{\"subject\":{\"person\":\"ann\"}}")->status, 201);
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    (void)snprintf(named, sizeof(named), "%spersons: {ann: {user: alice}}\n", rules);
    f.policy_text = named;
    before = f.policy;
    f.policy = fixture_parse_policy();
    serve_set_policy(f.serve, f.policy, NULL, NULL);
    access_policy_free(before);
    fixture_run();
    assert_int_equal(fixture_records("grant.ended"), 1);
    fixture_expect(fixture_get(ALICE, DB), 403, "blocked");
}

static void test_who_is_refused_for_a_while_is_told_for_how_long(void **state)
{
    struct call *call;

    (void)state;
    f.policy_text = "rules:\n  - {subjects: [{user: alice}], roles: [db]}\n"
                    "  - {subjects: [{user: bob}], roles: [db], require: {window: {dates: "
                    "'2030-01-01'}}}\nadmins: [{user: ada}]\n";
    assert_int_equal(block("{\"subject\":{\"user\":\"alice\"}}")->status, 201);
    call = fixture_get(ALICE, DB);
    fixture_expect(call, 403, "blocked");
    assert_string_equal(call_header(call, "Retry-After"), "3600");
    call = fixture_get(BOB, DB);
    fixture_expect(call, 403, "denied");
    assert_non_null(call_header(call, "Retry-After"));
    assert_non_null(strstr(call_text(call, "hint"), "when it opens"));
}

static void test_mistakes_are_told(void **state)
{
    (void)state;
    fixture_expect(post(ADA, REVOKE, "{}"), 400, "invalid");
    fixture_expect(post(ADA, REVOKE, "{\"match\":{}}"), 400, "invalid");
    fixture_expect(post(ADA, REVOKE, "{\"match\":\"all\"}"), 400, "invalid");
    fixture_expect(post(ADA, REVOKE, "{\"match\":{\"all\":true},\"blok\":1}"), 400, "invalid");
    fixture_expect(post(ADA, REVOKE, "{\"match\":{\"identifier\":\"x\"},\"block\":60}"), 400,
                   "invalid");
    fixture_expect(post(ADA, REVOKE, "{\"match\":{\"all\":true},\"block\":\"400d\"}"), 400,
                   "invalid");
    fixture_expect(post(ADA, BLOCKS, "{\"match\":{\"all\":true}}"), 400, "invalid");
    fixture_expect(post(ADA, REVOKE, "{\"match\":{\"role\":\"ordrs-db\"}}"), 404, "unknown_role");
    fixture_expect(post(ADA, BLOCKS, "{\"match\":{\"role\":\"ordrs-db\"},\"block\":60}"), 404,
                   "unknown_role");
    assert_int_equal(fixture_records("revoke.requested"), 0);
}

static void test_a_drill_tells_each_lease_and_a_summary(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    (void)fixture_get(BOB, DB);
    call = drill("{\"match\":" ALICES ",\"reason\":\"laptop lost\"}");
    assert_true(says(call, "{\"event\":\"found\",\"drill\":\"d-"));
    assert_true(says(call, "\"leases\":1}\n"));
    assert_true(says(call, "{\"event\":\"revoked\",\"lease\":\"l-"));
    assert_true(says(call, "{\"event\":\"summary\""));
    assert_true(says(call, "\"revoked\":1,\"pending\":0,\"unrevocable\":0"));
    assert_true(call->is_stream_ended);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    assert_int_equal(fixture_records("revoke.requested"), 1);
    assert_int_equal(fixture_trail_has("\"reason\":\"laptop lost\",\"drill\":\"d-"), 1);
    assert_int_equal(fixture_trail_has("\"match\":" ALICES), 1);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_BLOCK), 0);
}

static void test_the_ledger_has_drill_and_block_before_anything_ends(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    ledger.is_held = true;
    call = post(ADA, REVOKE, "{\"match\":" ALICES ",\"block\":3600}");
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    fixture_expect(fixture_get(ALICE, DB), 403, "blocked"); /* from the first moment */
    ledger.is_held = false;
    fake_ledger_run(&ledger);
    fixture_run();
    assert_true(call->is_stream);
}

static void test_who_is_blocked_gets_nothing_until_it_ends(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    call = block(ALICES);
    assert_int_equal(call->status, 201);
    assert_string_equal(call_text(call, "by"), "ada");
    assert_string_equal(call_text(call, "match.subject.user"), "alice");
    assert_int_equal(scripted_live_count(&f.issuer), 0); /* what lived has ended */
    call = fixture_get(ALICE, DB);
    fixture_expect(call, 403, "blocked");
    assert_non_null(call_text(call, "until"));
    assert_int_equal(fixture_get(BOB, DB)->status, 200);
    assert_int_equal(fixture_trail_has("\"error\":\"b-"), 1);
    fixture_advance(HOUR_MS + SECOND_MS);
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    assert_int_equal(fixture_records("block.created"), 1);
    assert_int_equal(fixture_records("block.ended"), 1);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_BLOCK), 0);
}

static void test_an_admin_ends_a_block(void **state)
{
    struct call *call;
    const char *id;

    (void)state;
    call = block(ALICES);
    id = call_text(call, "id");
    assert_true(says(fixture_get(RITA, BLOCKS), id));
    assert_int_equal(fixture_call(ADA, "DELETE", fixture_path(BLOCKS "/%s", id), NULL)->status,
                     200);
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    assert_false(says(fixture_get(RITA, BLOCKS), "b-"));
}

static void test_blocks_are_listed_page_by_page(void **state)
{
    char first[64];
    struct call *call;

    (void)state;
    (void)block(ALICES);
    (void)block("{\"role\":\"db\"}");
    call = fixture_get(RITA, BLOCKS "?limit=1");
    assert_true(says(call, ALICES) && !says(call, "{\"role\":\"db\"}"));
    (void)snprintf(first, sizeof(first), "%s", call_text(call, "next"));
    call = fixture_get(RITA, fixture_path(BLOCKS "?limit=1&cursor=%s", first));
    assert_true(says(call, "{\"role\":\"db\"}") && !says(call, ALICES));
    assert_true(json_is_null(call_member(call, "next")));
    fixture_expect(fixture_get(RITA, BLOCKS "?cursor=b-0"), 400, "invalid");
}

static void test_a_block_takes_no_admins_rights(void **state)
{
    struct call *call;

    (void)state;
    call = block("{\"all\":true}");
    assert_int_equal(call->status, 201);
    fixture_expect(fixture_get(ADA, DB), 403, "blocked");
    assert_int_equal(fixture_call(ADA, "DELETE", fixture_path(BLOCKS "/%s", call_text(call, "id")),
                                  NULL)
                         ->status,
                     200);
    assert_int_equal(fixture_get(ADA, DB)->status, 200);
}

static void test_explain_says_so(void **state)
{
    struct call *call;

    (void)state;
    (void)block(ALICES);
    call = fixture_call(ALICE, "POST", API "/policy/explain", "{\"role\":\"db\"}");
    assert_string_equal(call_text(call, "decision"), "blocked");
    assert_non_null(strstr(call_text(call, "detail"), "blocked until 2026"));
}

static void test_others_on_a_shared_lease_go_on_with_a_successor(void **state)
{
    struct call *before;
    struct call *after;

    (void)state;
    (void)fixture_get(ALICE, SHARED);
    before = fixture_get(BOB, SHARED);
    (void)drill("{\"match\":" ALICES ",\"block\":3600}");
    after = fixture_get(BOB, SHARED);
    assert_int_equal(after->status, 200);
    assert_string_equal(call_text(before, "grant"), call_text(after, "grant"));
    assert_string_not_equal(call_text(before, "lease"), call_text(after, "lease"));
    assert_true(f.issuer.is_revoked[0]);
    assert_false(f.issuer.is_revoked[1]);
}

static void test_what_is_pending_is_told_and_goes_on(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    f.issuer.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_SEALED;
    call = post(ADA, REVOKE "?wait=20", "{\"match\":{\"role\":\"db\"}}");
    assert_true(says(call, "{\"event\":\"pending\""));
    fixture_advance(20 * SECOND_MS);
    assert_true(says(call, "\"revoked\":0,\"pending\":1"));
    assert_true(call->is_stream_ended);
    f.issuer.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_OK;
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_BLOCK), 0);
}

static void test_it_goes_on_without_its_client(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    f.issuer.is_held[LEASE_CALL_REVOKE] = true;
    call = drill("{\"match\":" ALICES "}");
    call_hang_up(call);
    fixture_run();
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_BLOCK), 1);
    scripted_release(&f.issuer);
    fixture_run();
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_BLOCK), 0);
}

static void test_without_a_stream_it_begins_all_the_same(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    call_refuse_streams(ERR_LIMIT);
    call = post(ADA, REVOKE, "{\"match\":" ALICES "}");
    assert_int_equal(call->status, 202);
    assert_string_equal(call_text(call, "event"), "begun");
    assert_int_equal(scripted_live_count(&f.issuer), 0);
}

static void test_a_slow_client_hears_of_each_lease(void **state)
{
    struct call *call;
    size_t count = 0;
    const char *at;

    (void)state;
    (void)fixture_get(ALICE, DB);
    (void)fixture_get(ALICE, SHARED);
    (void)fixture_get(ALICE_AGAIN, DB);
    (void)fixture_get(ALICE, API "/credentials/db-own");
    call_limit_streams(4200); /* one line at a time */
    call = drill("{\"match\":{\"all\":true}}");
    fixture_run();
    while (!call->is_stream_ended && count++ < 20) {
        call_drain(call);
        fixture_run();
    }
    count = 0;
    for (at = call->body; (at = strstr(at, "\"event\":\"revoked\"")) != NULL; at++) {
        count++;
    }
    assert_int_equal(count, 4);
    assert_true(says(call, "\"revoked\":4"));
}

/* --- what survives ---------------------------------------------------------------------------- */

static void test_blocks_survive(void **state)
{
    (void)state;
    (void)block(ALICES);
    serve_again();
    fixture_expect(fixture_get(ALICE, DB), 403, "blocked");
    assert_true(says(fixture_get(ADA, BLOCKS), "\"reason\":\"leak\",\"by\":\"ada\""));
    fixture_advance(HOUR_MS + SECOND_MS);
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
}

static void test_a_drill_is_begun_again(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    ledger.is_held = true;
    call = post(ADA, REVOKE, "{\"match\":" ALICES "}");
    fake_ledger_run(&ledger); /* the record is there, and the daemon dies before it does anything */
    call_hang_up(call);
    serve_again();
    ledger.is_held = false;
    fake_ledger_run(&ledger);
    fixture_run();
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    assert_int_equal(fake_ledger_count(&ledger, ENV_LEDGER_BLOCK), 0);
}

static void test_a_ledger_that_takes_nothing_makes_no_block(void **state)
{
    (void)state;
    (void)fixture_get(ALICE, DB);
    ledger.put_status = ERR_LIMIT;
    fixture_expect(block(ALICES), 503, "degraded");
    fixture_expect(post(ADA, REVOKE, "{\"match\":" ALICES "}"), 503, "degraded");
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    ledger.put_status = 0;
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
}

static void test_a_disk_that_fails_keeps_no_drill_back(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    ledger.fail_status = ERR_IO;
    fixture_expect(block("{\"subject\":{\"user\":\"bob\"}}"), 503, "degraded");
    call = drill("{\"match\":" ALICES "}");
    assert_true(says(call, "\"revoked\":1"));
    fixture_expect(fixture_get(BOB, DB), 403, "blocked"); /* it counts */
    ledger.fail_status = 0;
}

static void test_blocks_have_a_limit(void **state)
{
    char body[96];
    int i;

    (void)state;
    for (i = 0; i < 200; i++) {
        (void)snprintf(body, sizeof(body), "{\"subject\":{\"user\":\"user-%d\"}}", i);
        assert_int_equal(block(body)->status, 201);
    }
    fixture_expect(block("{\"subject\":{\"user\":\"one-more\"}}"), 429, "limit_exceeded");
    assert_int_equal(fixture_get(ADA, BLOCKS)->status, 200);
}

static void test_a_block_ends_what_lives_though_no_drill_can_begin(void **state)
{
    int i;

    (void)state;
    (void)fixture_get(BOB, DB);
    f.issuer.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_SEALED;
    for (i = 0; i < 16; i++) {
        assert_true(
            says(post(ADA, REVOKE "?wait=1", "{\"match\":{\"role\":\"db\"}}"), "\"pending\""));
    }
    (void)fixture_get(ALICE, DB);
    assert_int_equal(fixture_records("grant.ended"), 1);
    fixture_expect(post(ADA, REVOKE, "{\"match\":" ALICES ",\"block\":3600}"), 503, "busy");
    assert_int_equal(fixture_records("block.created"), 1);
    assert_int_equal(fixture_records("grant.ended"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        revoke_test(test_only_an_admin_that_may_revoke_can),
        revoke_test(test_a_policy_that_names_a_person_brings_his_block),
        revoke_test(test_who_is_refused_for_a_while_is_told_for_how_long),
        revoke_test(test_mistakes_are_told),
        revoke_test(test_a_drill_tells_each_lease_and_a_summary),
        revoke_test(test_the_ledger_has_drill_and_block_before_anything_ends),
        revoke_test(test_who_is_blocked_gets_nothing_until_it_ends),
        revoke_test(test_an_admin_ends_a_block),
        revoke_test(test_blocks_are_listed_page_by_page),
        revoke_test(test_a_block_takes_no_admins_rights),
        revoke_test(test_explain_says_so),
        revoke_test(test_others_on_a_shared_lease_go_on_with_a_successor),
        revoke_test(test_what_is_pending_is_told_and_goes_on),
        revoke_test(test_it_goes_on_without_its_client),
        revoke_test(test_without_a_stream_it_begins_all_the_same),
        revoke_test(test_a_slow_client_hears_of_each_lease),
        revoke_test(test_blocks_survive),
        revoke_test(test_a_drill_is_begun_again),
        revoke_test(test_a_ledger_that_takes_nothing_makes_no_block),
        revoke_test(test_a_disk_that_fails_keeps_no_drill_back),
        revoke_test(test_blocks_have_a_limit),
        revoke_test(test_a_block_ends_what_lives_though_no_drill_can_begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
