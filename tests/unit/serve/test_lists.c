/* Looking at leases and grants: who sees what, page by page. */
#include <string.h>

#include "serve/exchange.h"
#include "unit/serve/fixture.h"

#define DB API "/credentials/db"

static json_t *items_of(struct call *call)
{
    assert_int_equal(call->status, 200);
    assert_true(json_is_array(call_member(call, "items")));
    return call_member(call, "items");
}

static size_t count_of(enum who who, const char *target)
{
    return json_array_size(items_of(fixture_get(who, target)));
}

static const char *item_text(const json_t *items, size_t index, const char *key)
{
    return json_string_value(json_object_get(json_array_get(items, index), key));
}

static void add_leases(void)
{
    (void)fixture_get(ALICE, DB);
    (void)fixture_get(BOB, DB);
    (void)fixture_call(ALICE, "POST", API "/leases", "{\"role\":\"db\",\"reason\":\"x\"}");
}

static void test_a_caller_sees_its_own_and_a_reader_sees_all(void **state)
{
    (void)state;
    add_leases();
    assert_int_equal(count_of(ALICE, API "/leases"), 2);
    assert_int_equal(count_of(ALICE, API "/grants"), 2);
    assert_int_equal(count_of(ALICE_AGAIN, API "/grants"), 2); /* the same identity */
    assert_int_equal(count_of(BOB, API "/leases"), 1);
    assert_int_equal(count_of(CAROL, API "/leases"), 0);
    assert_int_equal(count_of(CAROL, API "/grants"), 0);
    assert_int_equal(count_of(RITA, API "/leases"), 3);
    assert_int_equal(count_of(ADA, API "/grants"), 3);
}

static void test_what_is_not_ones_own_does_not_exist(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_get(ALICE, DB);
    fixture_expect(fixture_get(BOB, fixture_path(API "/leases/%s", call_text(call, "lease"))), 404,
                   "not_found");
    fixture_expect(fixture_get(BOB, fixture_path(API "/grants/%s", call_text(call, "grant"))), 404,
                   "not_found");
    assert_int_equal(
        fixture_get(RITA, fixture_path(API "/leases/%s", call_text(call, "lease")))->status, 200);
    /* An id of the other kind is none. */
    fixture_expect(fixture_get(ALICE, fixture_path(API "/grants/%s", call_text(call, "lease"))),
                   404, "not_found");
}

static void test_a_lease_is_shown_with_its_owner_and_its_times(void **state)
{
    struct call *credential;
    struct call *call;

    (void)state;
    credential = fixture_get(ALICE, DB);
    call = fixture_get(ALICE, fixture_path(API "/leases/%s", call_text(credential, "lease")));
    assert_string_equal(call_text(call, "id"), call_text(credential, "lease"));
    assert_string_equal(call_text(call, "role"), "db");
    assert_string_equal(call_text(call, "backend"), "vault-prod");
    assert_string_equal(call_text(call, "state"), "active");
    assert_string_equal(call_text(call, "owner.user"), "alice");
    assert_int_equal(json_integer_value(call_member(call, "owner.uid")), 1000);
    assert_int_equal(json_integer_value(call_member(call, "version")), 1);
    assert_string_equal(call_text(call, "issued_at"), "2026-01-01T00:00:00.000Z");
    assert_string_equal(call_text(call, "expires_at"), "2026-01-01T00:59:58.000Z");
    assert_true(json_is_null(call_member(call, "renewed_at")));
    assert_int_equal(json_integer_value(call_member(call, "renewals")), 0);
    assert_true(json_is_null(call_member(call, "last_error")));
    assert_true(json_is_null(call_member(call, "successor")));
    assert_int_equal(json_integer_value(call_member(call, "grant_count")), 1);
    assert_string_equal(json_string_value(json_array_get(call_member(call, "grants"), 0)),
                        call_text(credential, "grant"));
    assert_null(call_member(call, "credential"));
}

static void test_a_grant_is_shown_with_who_holds_it_and_why(void **state)
{
    struct call *credential;
    struct call *call;

    (void)state;
    credential = fixture_get(ALICE, DB "?reason=OPS-1&ticket=T-1");
    call = fixture_get(ALICE, fixture_path(API "/grants/%s", call_text(credential, "grant")));
    assert_string_equal(call_text(call, "lease"), call_text(credential, "lease"));
    assert_string_equal(call_text(call, "state"), "held");
    assert_string_equal(call_text(call, "identity.user"), "alice");
    assert_int_equal(json_integer_value(call_member(call, "identity.pid")), 4000);
    assert_string_equal(call_text(call, "rule"), "alice-db");
    assert_string_equal(call_text(call, "reason"), "OPS-1");
    assert_string_equal(call_text(call, "ticket"), "T-1");
    assert_non_null(strstr(call_text(call, "binding"), "process"));
    assert_string_equal(call_text(call, "until"), "2026-01-01T02:00:00.000Z");
    assert_int_equal(json_integer_value(call_member(call, "reads")), 1);
    assert_null(call_member(call, "ended_by"));
}

static void test_a_shared_lease_shows_each_holder_its_own_grants(void **state)
{
    struct call *alice;
    struct call *call;

    (void)state;
    alice = fixture_get(ALICE, API "/credentials/db-shared");
    (void)fixture_get(BOB, API "/credentials/db-shared");
    call = fixture_get(BOB, fixture_path(API "/leases/%s", call_text(alice, "lease")));
    assert_int_equal(call->status, 200);
    assert_true(json_is_null(call_member(call, "owner")));
    assert_int_equal(json_integer_value(call_member(call, "grant_count")), 2);
    assert_int_equal(json_array_size(call_member(call, "grants")), 1);
    assert_null(strstr(call->body, call_text(alice, "grant")));
    call = fixture_get(RITA, fixture_path(API "/leases/%s", call_text(alice, "lease")));
    assert_int_equal(json_array_size(call_member(call, "grants")), 2);
}

static void test_a_lease_that_many_share_shows_a_hundred_grants(void **state)
{
    struct call *call;
    int i;

    (void)state;
    for (i = 0; i < 101; i++) {
        call = fixture_call(BOB, "POST", API "/leases", "{\"role\":\"db-shared\"}");
        assert_int_equal(call->status, 201);
    }
    call = fixture_get(BOB, fixture_path(API "/leases/%s", call_text(call, "lease")));
    assert_int_equal(json_integer_value(call_member(call, "grant_count")), 101);
    assert_int_equal(json_array_size(call_member(call, "grants")), 100);
}

static void test_an_owner_can_read_how_its_lease_ended(void **state)
{
    struct call *credential;
    struct call *call;

    (void)state;
    credential = fixture_get(ALICE, DB);
    fake_env_end_process(&f.fake, f.connections[ALICE].peer.pid);
    fixture_run();
    call = fixture_get(ALICE_AGAIN, fixture_path(API "/leases/%s", call_text(credential, "lease")));
    assert_string_equal(call_text(call, "state"), "revoked");
    assert_int_equal(json_array_size(call_member(call, "grants")), 0);
    call = fixture_get(ALICE_AGAIN, fixture_path(API "/grants/%s", call_text(credential, "grant")));
    assert_string_equal(call_text(call, "state"), "ended");
    assert_string_equal(call_text(call, "ended_by"), "binding");
}

/* Walks a list by pages of two; every item must come once, in the order of creation. */
static void walk(const char *path, size_t expected)
{
    char target[256];
    char cursor[64] = "";
    char last[64] = "";
    size_t seen = 0;
    size_t pages = 0;

    do {
        struct call *call;
        json_t *items;
        size_t i;

        (void)snprintf(target, sizeof(target), "%s?limit=2%s%s", path,
                       cursor[0] != '\0' ? "&cursor=" : "", cursor);
        call = fixture_get(RITA, target);
        items = items_of(call);
        assert_true(json_array_size(items) <= 2);
        for (i = 0; i < json_array_size(items); i++) {
            assert_string_not_equal(item_text(items, i, "id"), last);
            (void)snprintf(last, sizeof(last), "%s", item_text(items, i, "id"));
            seen++;
        }
        cursor[0] = '\0';
        if (json_is_string(call_member(call, "next"))) {
            (void)snprintf(cursor, sizeof(cursor), "%s", call_text(call, "next"));
            assert_string_equal(cursor, last);
        }
        pages++;
    } while (cursor[0] != '\0' && pages < 100);
    assert_int_equal(seen, expected);
    assert_int_equal(pages, (expected + 1) / 2);
}

static void test_pages_follow_each_other_without_gap_or_repeat(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 5; i++) {
        (void)fixture_call(BOB, "POST", API "/leases", "{\"role\":\"db\"}");
    }
    walk(API "/leases", 5);
    walk(API "/grants", 5);
    (void)fixture_call(BOB, "POST", API "/leases", "{\"role\":\"db\"}");
    walk(API "/leases", 6); /* the last page is full: there is no empty one behind it */
}

static void test_a_page_has_a_hundred_items_unless_asked(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 105; i++) {
        (void)fixture_call(BOB, "POST", API "/leases", "{\"role\":\"db\"}");
    }
    assert_int_equal(count_of(BOB, API "/leases"), 100);
    assert_int_equal(count_of(BOB, API "/leases?limit=1000"), 105);
    assert_int_equal(count_of(BOB, API "/grants"), 100);
    fixture_expect(fixture_get(BOB, API "/leases?limit=1001"), 400, "invalid");
    fixture_expect(fixture_get(BOB, API "/leases?limit=0"), 400, "invalid");
}

/* limits.reply: a list that is longer ends its page, and the next one begins where it ended. */
static void test_a_page_ends_before_an_answer_is_too_large(void **state)
{
    char target[256] = API "/leases?limit=1000";
    size_t seen = 0;
    size_t pages = 0;
    bool has_more = true;
    int i;

    (void)state;
    f.options.reply_max_bytes = SERVE_ITEM_MAX_BYTES + 8192;
    for (i = 0; i < 50; i++) {
        (void)fixture_call(BOB, "POST", API "/leases", "{\"role\":\"db\"}");
    }
    while (has_more) {
        struct call *call = fixture_get(RITA, target);

        seen += json_array_size(items_of(call));
        pages++;
        assert_true(strlen(call->body) <= f.options.reply_max_bytes);
        has_more = json_is_string(call_member(call, "next"));
        if (has_more) {
            (void)snprintf(target, sizeof(target), API "/leases?limit=1000&cursor=%s",
                           call_text(call, "next"));
        }
    }
    assert_int_equal(seen, 50);
    assert_true(pages > 2);
}

static void test_what_cannot_be_cut_says_that_it_is_too_large(void **state)
{
    struct serve_settings settings = {0};
    struct call *call;

    (void)state;
    f.options.reply_max_bytes = 1024;
    call = fixture_get(RITA, "/metrics");
    assert_int_equal(call->status, 503);
    assert_non_null(strstr(call->body, "larger than limits.reply allows"));
    /* A reload gives room. */
    settings.policy = f.policy;
    settings.reply_max_bytes = SERVE_REPLY_MIN_BYTES;
    serve_set(f.serve, &settings);
    assert_int_equal(fixture_get(RITA, "/metrics")->status, 200);
}

static void test_an_unknown_cursor_is_an_error_and_no_empty_list(void **state)
{
    (void)state;
    fixture_expect(fixture_get(BOB, API "/leases?cursor=l-0"), 400, "invalid");
    fixture_expect(fixture_get(BOB, API "/grants?cursor=g-0"), 400, "invalid");
}

static void test_an_empty_list_is_a_list(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_get(CAROL, API "/leases");
    assert_int_equal(json_array_size(items_of(call)), 0);
    assert_true(json_is_null(call_member(call, "next")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_caller_sees_its_own_and_a_reader_sees_all),
        fixture_test(test_what_is_not_ones_own_does_not_exist),
        fixture_test(test_a_lease_is_shown_with_its_owner_and_its_times),
        fixture_test(test_a_grant_is_shown_with_who_holds_it_and_why),
        fixture_test(test_a_shared_lease_shows_each_holder_its_own_grants),
        fixture_test(test_a_lease_that_many_share_shows_a_hundred_grants),
        fixture_test(test_an_owner_can_read_how_its_lease_ended),
        fixture_test(test_pages_follow_each_other_without_gap_or_repeat),
        fixture_test(test_a_page_has_a_hundred_items_unless_asked),
        fixture_test(test_a_page_ends_before_an_answer_is_too_large),
        fixture_test(test_what_cannot_be_cut_says_that_it_is_too_large),
        fixture_test(test_an_unknown_cursor_is_an_error_and_no_empty_list),
        fixture_test(test_an_empty_list_is_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
