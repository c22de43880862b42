/* Watching: who hears of what, where a stream goes on that was cut, and how moving over is said. */
#include <stdlib.h>
#include <string.h>

#include "unit/serve/fixture.h"

#define DB API "/credentials/db"
#define SHARED API "/credentials/db-shared"
#define WATCH API "/watch"

static int setup(void **state)
{
    call_refuse_streams(0);
    call_limit_streams(0);
    return fixture_setup(state);
}

#define watch_test(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

static struct call *watch_from(enum who who, const char *target, const char *last_id)
{
    char header[96];
    const char *const headers[] = {header, NULL};
    struct call *call;

    (void)snprintf(header, sizeof(header), "Last-Event-ID: %s", last_id);
    call = fixture_send_message(
        who, (struct message){.method = "GET", .target = target, .headers = headers});
    fixture_run();
    return call;
}

static struct call *watch(enum who who, const char *target)
{
    struct call *call = fixture_send(who, "GET", target, NULL);

    fixture_run();
    assert_int_equal(call->status, 200);
    assert_true(call->is_stream);
    return call;
}

static struct call *lease_post(enum who who, const char *format, const char *lease)
{
    return fixture_call(who, "POST", fixture_path(format, lease), NULL);
}

static void rotate(enum who who, const char *lease)
{
    assert_int_equal(lease_post(who, API "/leases/%s/rotate", lease)->status, 200);
}

/* "credential credential gone", as they stand in the stream. */
static const char *events(const struct call *call)
{
    static char names[4096];
    struct str rest = str_of(call->body);

    names[0] = '\0';
    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');

        if (str_starts_with(line, "event: ")) {
            size_t used = strlen(names);

            (void)snprintf(names + used, sizeof(names) - used, "%s%.*s", used > 0 ? " " : "",
                           (int)line.len - 7, line.ptr + 7);
        }
    }
    return names;
}

/* The last id in the stream. Static until the next call. */
static const char *last_id(const struct call *call)
{
    static char id[64];
    struct str rest = str_of(call->body);

    id[0] = '\0';
    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');

        if (str_starts_with(line, "id: ")) {
            (void)snprintf(id, sizeof(id), "%.*s", (int)line.len - 4, line.ptr + 4);
        }
    }
    return id;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;

    for (text = strstr(text, part); text != NULL; text = strstr(text + 1, part)) {
        n++;
    }
    return n;
}

static void test_a_watch_begins_with_what_the_caller_holds(void **state)
{
    const char *lease;
    struct call *call;

    (void)state;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    call = watch(ALICE, WATCH);
    assert_string_equal(call->content_type, "text/event-stream");
    assert_string_equal(events(call), "credential");
    assert_non_null(strstr(call->body, lease));
    assert_non_null(strstr(call->body,
                           "\"role\":\"db\",\"version\":1,\"expires_at\":\"2026-01-01T00:"
                           "59:58.000Z\",\"reason\":null}\n"));
    assert_non_null(strstr(call->body, "retry: "));
    assert_string_not_equal(last_id(call), "");
    call_hang_up(call);
}

static void test_a_rotation_is_heard_when_the_successor_is_there(void **state)
{
    const char *lease;
    struct call *call;

    (void)state;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    call = watch(ALICE, WATCH);
    rotate(ALICE, lease);
    assert_string_equal(events(call), "credential credential superseded");
    assert_non_null(strstr(call->body, "\"version\":2"));
    assert_non_null(strstr(call->body, "\"reason\":\"asked_for\"}"));
    call_hang_up(call);
}

static void test_a_watch_is_of_ones_own_grants(void **state)
{
    struct call *bobs;
    struct call *adas;

    (void)state;
    bobs = watch(BOB, WATCH);
    adas = watch(ADA, WATCH); /* what an admin may look at is in the lists */
    (void)fixture_get(ALICE, DB);
    (void)fixture_get(ALICE, SHARED);
    assert_string_equal(events(bobs), "");
    assert_string_equal(events(adas), "");
    (void)fixture_get(BOB, SHARED);
    assert_string_equal(events(bobs), "credential");
    call_hang_up(bobs);
    call_hang_up(adas);
}

static void test_a_watch_may_be_of_one_role(void **state)
{
    struct call *call;

    (void)state;
    call = watch(ALICE, WATCH "?role=db");
    (void)fixture_get(ALICE, SHARED);
    assert_string_equal(events(call), "");
    (void)fixture_get(ALICE, DB);
    assert_string_equal(events(call), "credential");
    call_hang_up(call);
    fixture_expect(fixture_get(ALICE, WATCH "?role=dbx"), 404, "unknown_role");
    fixture_expect(fixture_get(ALICE, WATCH "?rule=db"), 400, "invalid");
}

static void test_a_watch_needs_the_guard_and_an_identity(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_send_message(
        ALICE, (struct message){.method = "GET", .target = WATCH, .has_no_default_headers = true});
    fixture_expect(call, 403, "denied");
    f.connections[CAROL].peer.state = ENV_PEER_UNKNOWN;
    f.connections[CAROL].peer.problem = "it can't be established";
    fixture_expect(fixture_get(CAROL, WATCH), 403, "denied");
}

static void test_the_end_of_a_grant_is_heard_with_its_reason(void **state)
{
    struct call *call;

    (void)state;
    call = watch(ALICE, WATCH);
    (void)fixture_call(ALICE, "DELETE",
                       fixture_path(API "/grants/%s", call_text(fixture_get(ALICE, DB), "grant")),
                       NULL);
    assert_string_equal(events(call), "credential gone");
    assert_non_null(strstr(call->body, "\"expires_at\":null,\"reason\":\"released\"}"));
    (void)fixture_get(ALICE, DB);
    lease_core_remove_role(f.core, STR("db"));
    fixture_run();
    assert_string_equal(events(call), "credential gone credential gone");
    assert_non_null(strstr(call->body, "\"reason\":\"policy\"}"));
    (void)fixture_get(ALICE, SHARED); /* the stream goes on */
    assert_string_equal(events(call), "credential gone credential gone credential");
    call_hang_up(call);
    call =
        watch_from(ALICE, WATCH "?role=db", "0-0"); /* who had one hears of it, though it is gone */
    assert_string_equal(events(call), "gone gone");
    call_hang_up(call);
    call = watch(ALICE, WATCH "?role=db");
    assert_string_equal(events(call), "");
    call_hang_up(call);
    fixture_expect(fixture_get(BOB, WATCH "?role=db"), 404, "unknown_role");
}

/* --- coming back --- */

static void test_who_comes_back_hears_what_has_changed(void **state)
{
    char id[64];
    const char *lease;
    struct call *call;

    (void)state;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    (void)fixture_get(ALICE, SHARED);
    call = watch(ALICE, WATCH);
    assert_string_equal(events(call), "credential credential");
    (void)snprintf(id, sizeof(id), "%s", last_id(call));
    call_hang_up(call);
    call = watch_from(ALICE, WATCH, id);
    assert_string_equal(events(call), "");
    assert_string_equal(last_id(call), id);
    call_hang_up(call);
    rotate(ALICE, lease);
    call = watch_from(ALICE, WATCH, id);
    assert_string_equal(events(call), "credential superseded");
    call_hang_up(call);
    (void)fixture_call(ALICE, "DELETE", fixture_path(API "/leases/%s", lease), NULL);
    call = watch_from(ALICE, WATCH, id);
    assert_string_equal(events(call), "gone");
    call_hang_up(call);
}

static void test_who_comes_from_elsewhere_hears_all_that_it_holds(void **state)
{
    static const char *const ids[] = {"", "1", "deadbeef-1", "x-y", "-", "00000000-99999999999"};
    char id[64];
    struct call *call;
    size_t i;

    (void)state;
    (void)fixture_get(ALICE, DB);
    for (i = 0; i < ARRAY_LEN(ids); i++) {
        call = watch_from(ALICE, WATCH, ids[i]);
        assert_string_equal(events(call), "credential");
        call_hang_up(call);
    }
    call = watch(ALICE, WATCH);
    (void)snprintf(id, sizeof(id), "%s9", last_id(call)); /* ours, and later than now */
    call_hang_up(call);
    call = watch_from(ALICE, WATCH, id);
    assert_string_equal(events(call), "credential");
    call_hang_up(call);
}

/* Both grants hear of one rotation; cut off after the first, the second is told again. */
static void test_an_id_never_stands_behind_what_was_not_sent(void **state)
{
    char before[64];
    const char *lease;
    struct call *call;
    const char *first;

    (void)state;
    lease = call_text(fixture_get(ALICE, SHARED), "lease");
    (void)fixture_call(ALICE, "POST", API "/leases", "{\"role\":\"db-shared\"}");
    call = watch(ALICE, WATCH);
    (void)snprintf(before, sizeof(before), "%s", last_id(call));
    rotate(ALICE, lease);
    assert_string_equal(events(call),
                        "credential credential credential superseded credential superseded");
    first = strstr(call->body, "\"version\":2");
    assert_non_null(first);
    assert_non_null(strstr(first, before)); /* the first of them still has the old id */
    assert_string_not_equal(last_id(call), before);
    call_hang_up(call);
}

static void test_a_stream_that_falls_behind_catches_up(void **state)
{
    struct call *call;
    size_t i;

    (void)state;
    f.grants_per_uid = (struct units_rate){.count = 0};
    for (i = 0; i < 3; i++) {
        (void)fixture_call(ALICE, "POST", API "/leases", "{\"role\":\"db-shared\"}");
    }
    call_limit_streams(2300); /* two events at a time */
    call = watch(ALICE, WATCH);
    assert_in_range(count(call->body, "event: "), 1, 2);
    rotate(ALICE, call_text(fixture_get(ALICE, SHARED), "lease"));
    for (i = 0; i < 30; i++) {
        call_drain(call);
        fixture_run();
    }
    assert_false(call->is_stream_dropped);
    assert_true(count(call->body, "\"version\":2") >= 3);
    assert_int_equal(count(call->body, "event: gone"), 0);
    i = strlen(call->body);
    call_drain(call);
    assert_int_equal(strlen(call->body), i); /* it has */
    call_hang_up(call);
}

/* --- ends of streams --- */

static void test_a_reload_ends_the_streams_with_a_comment(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    call = watch(ALICE, WATCH);
    serve_set(f.serve, &(struct serve_settings){.policy = f.policy});
    assert_false(call->is_stream_ended);
    fixture_run();
    assert_true(call->is_stream_ended);
    assert_true(
        str_ends_with(str_of(call->body), ": leased has other settings now: come again\n\n"));
    call_deliver(call);
    call = watch(ALICE, WATCH);
    assert_false(call->is_stream_ended);
    call_hang_up(call);
}

static void stopped(struct lease_wait *wait, int status)
{
    (void)wait;
    assert_int_equal(status, 0);
}

static void test_the_stop_tells_of_the_ends_before_it_ends_the_streams(void **state)
{
    static struct lease_wait wait = {.fn = stopped};
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    call = watch(ALICE, WATCH);
    lease_core_drain(f.core, f.fake.now_ms + HOUR_MS, false, &wait);
    serve_end_streams(f.serve);
    fixture_run();
    assert_string_equal(events(call), "credential gone");
    assert_non_null(strstr(call->body, "\"reason\":\"stopping\"}"));
    assert_true(str_ends_with(str_of(call->body), ": leased is stopping\n\n"));
    assert_true(call->is_stream_ended);
    call_deliver(call);
}

static void test_where_no_stream_can_begin_the_answer_says_why(void **state)
{
    (void)state;
    call_refuse_streams(ERR_LIMIT);
    fixture_expect(fixture_get(ALICE, WATCH), 503, "busy");
    call_refuse_streams(ERR_CLOSED);
    fixture_expect(fixture_get(ALICE, WATCH), 503, "busy");
    call_refuse_streams(ERR_UNSUPPORTED);
    fixture_expect(fixture_get(ALICE, WATCH), 501, "invalid");
    call_refuse_streams(0);
    call_hang_up(watch(ALICE, WATCH));
}

/* --- moving over --- */

static void test_a_watcher_keeps_the_old_credential_until_it_acknowledges(void **state)
{
    char old[64];
    const char *lease;
    struct call *stream;
    struct call *call;

    (void)state;
    stream = watch(ALICE, WATCH "?role=db");
    (void)snprintf(old, sizeof(old), "%s", call_text(fixture_get(ALICE, DB), "lease"));
    rotate(ALICE, old);
    call = lease_post(ALICE, API "/leases/%s/ack", old);
    fixture_expect(call, 409, "invalid");
    lease = call_text(fixture_get(ALICE, DB), "lease");
    assert_string_not_equal(lease, old);
    fixture_run();
    call = fixture_get(ALICE, fixture_path(API "/leases/%s", old));
    assert_string_equal(call_text(call, "state"), "superseded");
    call = lease_post(ALICE, API "/leases/%s/ack", lease);
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "id"), lease);
    fixture_run();
    call = fixture_get(ALICE, fixture_path(API "/leases/%s", old));
    assert_string_equal(call_text(call, "state"), "revoked");
    assert_int_equal(lease_post(ALICE, API "/leases/%s/ack", lease)->status, 200);
    assert_int_equal(lease_post(ALICE, API "/leases/%s/ack", old)->status, 200);
    call_hang_up(stream);
}

static void test_an_acknowledgement_is_of_ones_own_grant(void **state)
{
    const char *lease;
    struct call *call;

    (void)state;
    lease = call_text(fixture_get(ALICE, DB), "lease");
    fixture_expect(lease_post(BOB, API "/leases/%s/ack", lease), 404, "not_found");
    fixture_expect(lease_post(ADA, API "/leases/%s/ack", lease), 403, "denied");
    fixture_expect(lease_post(ALICE, API "/leases/%s/ack", "l-0"), 404, "not_found");
    call = lease_post(ALICE, API "/leases/%s/ack?grant=g-0", lease);
    fixture_expect(call, 403, "denied");
    assert_int_equal(lease_post(ALICE, API "/leases/%s/ack", lease)->status, 200);
}

static void test_who_does_not_watch_has_moved_over_with_the_read(void **state)
{
    char old[64];
    struct call *call;

    (void)state;
    (void)snprintf(old, sizeof(old), "%s", call_text(fixture_get(ALICE, DB), "lease"));
    rotate(ALICE, old);
    (void)fixture_get(ALICE, DB);
    fixture_run();
    call = fixture_get(ALICE, fixture_path(API "/leases/%s", old));
    assert_string_equal(call_text(call, "state"), "revoked");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        watch_test(test_a_watch_begins_with_what_the_caller_holds),
        watch_test(test_a_rotation_is_heard_when_the_successor_is_there),
        watch_test(test_a_watch_is_of_ones_own_grants),
        watch_test(test_a_watch_may_be_of_one_role),
        watch_test(test_a_watch_needs_the_guard_and_an_identity),
        watch_test(test_the_end_of_a_grant_is_heard_with_its_reason),
        watch_test(test_who_comes_back_hears_what_has_changed),
        watch_test(test_who_comes_from_elsewhere_hears_all_that_it_holds),
        watch_test(test_an_id_never_stands_behind_what_was_not_sent),
        watch_test(test_a_stream_that_falls_behind_catches_up),
        watch_test(test_a_reload_ends_the_streams_with_a_comment),
        watch_test(test_the_stop_tells_of_the_ends_before_it_ends_the_streams),
        watch_test(test_where_no_stream_can_begin_the_answer_says_why),
        watch_test(test_a_watcher_keeps_the_old_credential_until_it_acknowledges),
        watch_test(test_an_acknowledgement_is_of_ones_own_grant),
        watch_test(test_who_does_not_watch_has_moved_over_with_the_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
