/* Asking for a credential: what a good answer is, and when it comes. */
#include <string.h>

#include "unit/serve/fixture.h"

#define DB API "/credentials/db"

static size_t issues(void)
{
    return f.issuer.call_counts[LEASE_CALL_ISSUE];
}

static void test_a_cold_credential_is_issued_and_answered_whole(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_get(ALICE, DB "?reason=OPS-1&ticket=T-9&duration=30m");
    assert_int_equal(call->status, 200);
    assert_string_equal(call->content_type, "application/json");
    assert_string_equal(call_text(call, "role"), "db");
    assert_int_equal(strncmp(call_text(call, "lease"), "l-", 2), 0);
    assert_int_equal(strncmp(call_text(call, "grant"), "g-", 2), 0);
    assert_int_equal(json_integer_value(call_member(call, "version")), 1);
    assert_string_equal(call_text(call, "issued_at"), "2026-01-01T00:00:00.000Z");
    assert_string_equal(call_text(call, "expires_at"), "2026-01-01T00:59:58.000Z");
    assert_string_equal(call_text(call, "until"), "2026-01-01T00:30:00.000Z");
    assert_true(json_is_true(call_member(call, "renewable")));
    assert_true(json_is_true(call_member(call, "revocable")));
    assert_string_equal(call_text(call, "credential.username"), "v-orders");
    assert_string_equal(call_text(call, "credential.password"), SCRIPTED_MARKER "0");
    assert_int_equal(issues(), 1);
    assert_string_equal(f.issuer.last_reason, "OPS-1");
    assert_true(fixture_trail_has("\"ticket\":\"T-9\"") > 0);
}

static void test_attributes_and_names_of_variables_come_along(void **state)
{
    const struct lease_field attributes[] = {{STR("host"), STR("db.example"), false}};
    const struct lease_field names[] = {{STR("password"), STR("PGPASSWORD"), false}};
    struct call *call;

    (void)state;
    f.roles[0].attributes = attributes;
    f.roles[0].attribute_count = 1;
    f.roles[0].env_names = names;
    f.roles[0].env_name_count = 1;
    call = fixture_get(ALICE, DB);
    assert_string_equal(call_text(call, "credential.host"), "db.example");
    assert_string_equal(call_text(call, "env.password"), "PGPASSWORD");
}

/* What an issuer puts into a credential can neither end our answer nor begin another one. */
static void test_a_credential_cannot_leave_its_text(void **state)
{
    static const char end[] =
        "\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n\r\n\"},\"lease\":\"l-x\x7f\xe2\x80\xae";
    struct call *call;
    size_t i;

    (void)state;
    f.issuer.password_end = end;
    call = fixture_get(ALICE, DB);
    assert_int_equal(call->status, 200);
    for (i = 0; call->body[i + 1] != '\0'; i++) {
        assert_true((unsigned char)call->body[i] >= 0x20 && call->body[i] != 0x7f);
    }
    assert_null(strstr(call->body, "\xe2\x80\xae"));
    assert_int_equal(strncmp(call_text(call, "lease"), "l-", 2), 0);
    assert_string_not_equal(call_text(call, "lease"), "l-x");
    assert_int_equal(strncmp(call_text(call, "credential.password"), SCRIPTED_MARKER "0", 8), 0);
    assert_string_equal(call_text(call, "credential.password") + 8, end);
}

static void test_nothing_is_answered_before_it_is_on_record(void **state)
{
    struct call *call;

    (void)state;
    fixture_open();
    f.trail->is_held = true;
    call = fixture_send(ALICE, "GET", DB, NULL);
    fixture_run();
    assert_int_equal(issues(), 1);
    assert_int_equal(call->status, 0);
    assert_int_equal(fixture_records("lease.issued"), 0);
    f.trail->is_held = false;
    fixture_run();
    assert_int_equal(call->status, 200);
    assert_int_equal(fixture_records("lease.issued"), 1);
    assert_int_equal(fixture_records("grant.created"), 1);
    assert_int_equal(fixture_records("credential.read"), 1);
    call_deliver(call);
}

static void test_a_second_read_is_answered_from_inside_the_handler(void **state)
{
    struct call *first;
    struct call *second;

    (void)state;
    first = fixture_get(ALICE, DB);
    second = fixture_send(ALICE, "GET", DB, NULL);
    assert_int_equal(second->status, 200);
    assert_null(second->request); /* over: nothing is kept for it */
    assert_string_equal(second->body, first->body);
    assert_int_equal(issues(), 1);
}

static void test_reads_are_counted_on_record(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 5; i++) {
        (void)fixture_get(ALICE, DB);
    }
    assert_int_equal(fixture_records("credential.read"), 1);
    fixture_advance(MINUTE_MS);
    assert_int_equal(fixture_records("credential.read"), 2);
    assert_int_equal(fixture_trail_has("\"count\":4"), 1);
}

static void test_what_the_client_has_is_not_sent_again(void **state)
{
    char header[128];
    const char *headers[] = {header, NULL};
    const char *etag;
    struct call *call;

    (void)state;
    etag = call_header(fixture_get(ALICE, DB), "ETag");
    assert_non_null(etag);
    (void)snprintf(header, sizeof(header), "If-None-Match: %s", etag);
    call =
        fixture_send_message(ALICE,
                             (struct message){.method = "GET", .target = DB, .headers = headers});
    assert_int_equal(call->status, 304);
    assert_string_equal(call->body, "");
    assert_string_equal(call_header(call, "ETag"), call_header(call, "etag"));
    headers[0] = "If-None-Match: \"another\"";
    call =
        fixture_send_message(ALICE,
                             (struct message){.method = "GET", .target = DB, .headers = headers});
    assert_int_equal(call->status, 200);
}

static struct call *get_if_none_match(const char *header)
{
    const char *const headers[] = {header, NULL};
    struct call *call =
        fixture_send_message(ALICE,
                             (struct message){.method = "GET", .target = DB, .headers = headers});

    fixture_run();
    return call;
}

/* "*" stands for any version, and a caller that has none yet would go away with nothing. */
static void test_a_credential_that_was_never_delivered_is_sent_in_full(void **state)
{
    struct call *call;

    (void)state;
    call = get_if_none_match("If-None-Match: *");
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "credential.password"), SCRIPTED_MARKER "0");
    call_deliver(call);
    assert_int_equal(get_if_none_match("If-None-Match: *")->status, 304);
    (void)fixture_call(ALICE, "POST",
                       fixture_path(API "/leases/%s/rotate", call_text(call, "lease")), NULL);
    call = get_if_none_match("If-None-Match: *");
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "credential.password"), SCRIPTED_MARKER "1");
    call_deliver(call);
}

static void test_the_etag_changes_with_the_credential(void **state)
{
    char before[128];
    struct call *call;

    (void)state;
    call = fixture_get(ALICE, DB);
    (void)snprintf(before, sizeof(before), "%s", call_header(call, "ETag"));
    (void)fixture_call(ALICE, "POST",
                       fixture_path(API "/leases/%s/rotate", call_text(call, "lease")), NULL);
    call = fixture_get(ALICE, DB);
    assert_int_equal(json_integer_value(call_member(call, "version")), 2);
    assert_string_equal(call_text(call, "credential.password"), SCRIPTED_MARKER "1");
    assert_string_not_equal(call_header(call, "ETag"), before);
}

static void test_a_post_makes_another_grant(void **state)
{
    struct call *get;
    struct call *post;

    (void)state;
    get = fixture_get(ALICE, DB);
    post = fixture_call(ALICE, "POST", API "/leases",
                        "{\"role\":\"db\",\"duration\":1800,\"reason\":\"x\",\"ticket\":\"T\"}");
    assert_int_equal(post->status, 201);
    assert_string_not_equal(call_text(get, "grant"), call_text(post, "grant"));
    assert_string_not_equal(call_text(get, "lease"), call_text(post, "lease"));
    assert_string_equal(call_text(post, "until"), "2026-01-01T00:30:00.000Z");
    assert_string_equal(call_text(post, "credential.password"), SCRIPTED_MARKER "1");
    assert_int_equal(issues(), 2);
}

static void test_a_post_is_never_answered_with_not_modified(void **state)
{
    char header[128];
    const char *const headers[] = {header, NULL};
    struct call *call;

    (void)state;
    call = fixture_get(ALICE, API "/credentials/db-shared");
    (void)snprintf(header, sizeof(header), "If-None-Match: %s", call_header(call, "ETag"));
    call = fixture_send_message(ALICE, (struct message){.method = "POST",
                                                        .target = API "/leases",
                                                        .body = "{\"role\":\"db-shared\"}",
                                                        .headers = headers});
    fixture_run();
    assert_int_equal(call->status,
                     201); /* the same credential, but a grant that nobody knows yet */
    assert_string_equal(call_text(call, "credential.password"), SCRIPTED_MARKER "0");
    call_deliver(call);
}

static void test_many_askers_of_a_cold_shared_role_cause_one_issue(void **state)
{
    enum who who[] = {ALICE, ALICE_AGAIN, BOB};
    struct call *calls[ARRAY_LEN(who)];
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(who); i++) {
        calls[i] = fixture_send(who[i], "GET", API "/credentials/db-shared", NULL);
    }
    fixture_run();
    for (i = 0; i < ARRAY_LEN(who); i++) {
        assert_int_equal(calls[i]->status, 200);
        assert_string_equal(call_text(calls[i], "lease"), call_text(calls[0], "lease"));
        call_deliver(calls[i]);
    }
    assert_string_not_equal(call_text(calls[0], "grant"), call_text(calls[2], "grant"));
    assert_int_equal(issues(), 1);
}

static void test_a_connection_binding_ends_with_the_connection(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_get(ALICE, DB "?binding=connection");
    assert_int_equal(call->status, 200);
    connection_end(&f.connections[ALICE]);
    fixture_run();
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    call = fixture_get(ALICE, fixture_path(API "/grants/%s", call_text(call, "grant")));
    assert_string_equal(call_text(call, "ended_by"), "binding");
}

static void test_a_wish_for_more_life_renews_first(void **state)
{
    struct call *call;

    (void)state;
    f.roles[0].renew_at_percent = 90;
    (void)fixture_get(ALICE, DB);
    fixture_advance(40 * MINUTE_MS);
    call = fixture_get(ALICE, DB "?min_remaining=15m");
    assert_string_equal(call_text(call, "expires_at"), "2026-01-01T00:59:58.000Z");
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_RENEW], 0);
    call = fixture_get(ALICE, DB "?min_remaining=25m");
    assert_string_equal(call_text(call, "expires_at"), "2026-01-01T01:39:58.000Z");
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_RENEW], 1);
    assert_int_equal(issues(), 1);
}

static void test_nothing_of_a_request_stays_for_the_next(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_call(ALICE, "POST", API "/leases",
                       "{\"role\":\"db\",\"duration\":60,\"reason\":\"hers\",\"ticket\":\"T\","
                       "\"binding\":[\"process\",\"connection\"]}");
    call = fixture_get(BOB, DB);
    assert_string_equal(call_text(call, "until"), "2026-01-02T00:00:00.000Z");
    call = fixture_get(BOB, fixture_path(API "/grants/%s", call_text(call, "grant")));
    assert_true(json_is_null(call_member(call, "reason")));
    assert_true(json_is_null(call_member(call, "ticket")));
    assert_null(strstr(call_text(call, "binding"), "connection"));
    assert_string_equal(call_text(call, "identity.user"), "bob");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_cold_credential_is_issued_and_answered_whole),
        fixture_test(test_attributes_and_names_of_variables_come_along),
        fixture_test(test_a_credential_cannot_leave_its_text),
        fixture_test(test_nothing_is_answered_before_it_is_on_record),
        fixture_test(test_a_second_read_is_answered_from_inside_the_handler),
        fixture_test(test_reads_are_counted_on_record),
        fixture_test(test_what_the_client_has_is_not_sent_again),
        fixture_test(test_a_credential_that_was_never_delivered_is_sent_in_full),
        fixture_test(test_the_etag_changes_with_the_credential),
        fixture_test(test_a_post_makes_another_grant),
        fixture_test(test_a_post_is_never_answered_with_not_modified),
        fixture_test(test_many_askers_of_a_cold_shared_role_cause_one_issue),
        fixture_test(test_a_connection_binding_ends_with_the_connection),
        fixture_test(test_a_wish_for_more_life_renews_first),
        fixture_test(test_nothing_of_a_request_stays_for_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
