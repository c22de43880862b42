/* Health: what people, tools and supervisors are told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "unit/serve/fixture.h"

#define STATUS API "/status"

static bool warns(struct call *call, const char *text)
{
    const json_t *warnings = call_member(call, "warnings");
    size_t i;

    assert_true(json_is_array(warnings));
    for (i = 0; i < json_array_size(warnings); i++) {
        if (strstr(json_string_value(json_array_get(warnings, i)), text) != NULL) {
            return true;
        }
    }
    return false;
}

static const json_t *backend_of(struct call *call, size_t index)
{
    return json_array_get(call_member(call, "backends"), index);
}

static void test_status_says_how_leased_is_and_who_asks(void **state)
{
    struct call *call;

    (void)state;
    fixture_open();
    fixture_advance(90 * SECOND_MS);
    call = fixture_get(ALICE, STATUS);
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "status"), "ok");
    assert_string_equal(call_text(call, "version"), "1.2.3");
    assert_string_equal(call_text(call, "node"), "test");
    assert_string_equal(call_text(call, "started_at"), "2026-01-01T00:00:00.000Z");
    assert_int_equal(json_integer_value(call_member(call, "uptime")), 90);
    assert_string_equal(call_text(call, "you.user"), "alice");
    assert_string_equal(call_text(call, "you.identity"), "local/1000");
    assert_true(json_is_false(call_member(call, "you.admin")));
    assert_string_equal(call_text(call, "policy.digest"), access_policy_digest(f.policy));
    assert_int_equal(json_integer_value(call_member(call, "policy.rules")), 6);
    assert_true(json_is_true(call_member(call, "audit.ready")));
    assert_int_equal(json_array_size(call_member(call, "backends")), 0);
    assert_int_equal(json_array_size(call_member(call, "warnings")), 0);
}

static void test_only_readers_see_how_many_leases_there_are(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, API "/credentials/db");
    call = fixture_get(ALICE, STATUS);
    assert_null(call_member(call, "leases"));
    assert_null(call_member(call, "grants"));
    assert_null(call_member(call, "revoke_debt"));
    call = fixture_get(RITA, STATUS);
    assert_true(json_is_true(call_member(call, "you.admin")));
    assert_int_equal(json_integer_value(call_member(call, "leases.active")), 1);
    assert_int_equal(json_integer_value(call_member(call, "leases.revoking")), 0);
    assert_int_equal(json_integer_value(call_member(call, "grants")), 1);
    assert_int_equal(json_integer_value(call_member(call, "revoke_debt.pending")), 0);
}

static void test_a_revocation_that_waits_is_a_debt_and_a_warning(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_get(ALICE, API "/credentials/db");
    f.issuer.outcomes[LEASE_CALL_REVOKE] = LEASE_OUTCOME_SEALED;
    (void)fixture_call(ALICE, "DELETE", fixture_path(API "/leases/%s", call_text(call, "lease")),
                       NULL);
    fixture_advance(2 * MINUTE_MS);
    call = fixture_get(RITA, STATUS);
    assert_int_equal(json_integer_value(call_member(call, "revoke_debt.pending")), 1);
    assert_int_equal(json_integer_value(call_member(call, "revoke_debt.oldest_seconds")), 120);
    assert_true(warns(call, "the oldest for 120 seconds"));
    assert_int_equal(json_array_size(call_member(fixture_get(ALICE, STATUS), "warnings")), 0);
}

static void test_a_failing_trail_is_degraded_and_not_ready(void **state)
{
    struct call *call;

    (void)state;
    fixture_open();
    assert_int_equal(fixture_get(ALICE, "/readyz")->status, 200);
    f.trail->fail_status = -ENOSPC;
    (void)fixture_get(CAROL, API "/credentials/db"); /* a denial is on record, or tries to be */
    fixture_advance(3 * SECOND_MS);
    call = fixture_get(ALICE, STATUS);
    assert_string_equal(call_text(call, "status"), "degraded");
    assert_true(json_is_false(call_member(call, "audit.ready")));
    assert_true(warns(call, "audit sink"));
    call = fixture_get(ALICE, "/readyz");
    assert_int_equal(call->status, 503);
    assert_non_null(strstr(call->body, "audit"));
    assert_int_equal(fixture_get(ALICE, "/livez")->status, 200);
    f.trail->fail_status = 0;
    fixture_advance(10 * SECOND_MS);
    assert_int_equal(fixture_get(ALICE, "/readyz")->status, 200);
    assert_string_equal(call_text(fixture_get(ALICE, STATUS), "status"), "ok");
}

static void test_what_starts_or_stops_is_alive_and_not_ready(void **state)
{
    struct call *call;

    (void)state;
    fixture_open();
    serve_set_ready(f.serve, false);
    call = fixture_get(ALICE, "/readyz");
    assert_int_equal(call->status, 503);
    assert_non_null(strstr(call->body, "stopping"));
    assert_int_equal(fixture_get(ALICE, "/livez")->status, 200);
    assert_string_equal(call_text(fixture_get(ALICE, STATUS), "status"), "stopping");
}

/* The exchange under way finds nobody. */
static void refuse_connection(void)
{
    fake_env_http_finish(&f.fake, fake_env_http_first(&f.fake), ERR_CONNECT, NULL,
                         "connection refused");
    fixture_run();
}

static void test_an_address_that_fails_is_shown_to_readers(void **state)
{
    struct idle_backend *backend;
    const json_t *addresses;
    struct call *call;

    (void)state;
    backend = fixture_add_backend("vault-prod");
    idle_backend_login(backend, UINT64_MAX);
    idle_backend_ask(backend);
    refuse_connection();
    fake_env_http_finish(&f.fake, fake_env_http_first(&f.fake), 0,
                         &(struct env_http_reply){.status = 200}, NULL);
    fixture_run();
    call = fixture_get(RITA, STATUS);
    assert_string_equal(call_text(call, "status"), "ok");
    assert_true(warns(call, "address https://a.example of backend vault-prod fails: connection"));
    addresses = json_object_get(backend_of(call, 0), "addresses");
    assert_true(json_is_false(json_object_get(json_array_get(addresses, 0), "up")));
    assert_true(json_is_string(json_object_get(json_array_get(addresses, 0), "next_probe_at")));
    assert_true(json_is_true(json_object_get(json_array_get(addresses, 1), "preferred")));
    call = fixture_get(ALICE, STATUS);
    assert_null(json_object_get(backend_of(call, 0), "addresses"));
    assert_int_equal(json_array_size(call_member(call, "warnings")), 0);
}

static void test_an_open_breaker_is_shown_with_its_next_probe(void **state)
{
    const json_t *breaker;
    struct idle_backend *backend;
    struct call *call;

    (void)state;
    backend = fixture_add_backend("vault-prod");
    idle_backend_login(backend, UINT64_MAX);
    for (size_t i = 0; i < 5; i++) {
        idle_backend_ask(backend);
        refuse_connection();
        refuse_connection();
    }
    call = fixture_get(ALICE, STATUS);
    assert_true(warns(call, "backend vault-prod is down"));
    breaker = json_object_get(backend_of(call, 0), "breaker");
    assert_string_equal(json_string_value(json_object_get(breaker, "state")), "open");
    assert_true(json_is_string(json_object_get(breaker, "next_probe_at")));
    assert_true(json_is_null(json_object_get(breaker, "paused_until")));
    assert_null(json_object_get(breaker, "refused"));
    breaker = json_object_get(backend_of(fixture_get(RITA, STATUS), 0), "breaker");
    assert_int_equal(json_integer_value(json_object_get(breaker, "opened")), 1);
}

static void test_a_backend_that_is_down_degrades_but_stays_ready(void **state)
{
    struct idle_backend *backend;
    struct call *call;

    (void)state;
    backend = fixture_add_backend("vault-prod");
    call = fixture_get(ALICE, STATUS);
    assert_string_equal(call_text(call, "status"), "degraded");
    assert_true(warns(call, "backend vault-prod is down"));
    assert_true(json_is_false(json_object_get(backend_of(call, 0), "up")));
    assert_int_equal(fixture_get(ALICE, "/readyz")->status, 200);
    idle_backend_login(backend, f.fake.now_ms + HOUR_MS);
    call = fixture_get(ALICE, STATUS);
    assert_string_equal(call_text(call, "status"), "ok");
    assert_int_equal(json_array_size(call_member(call, "warnings")), 0);
}

static void test_a_backend_shows_more_to_those_who_may_read(void **state)
{
    struct idle_backend *backend;
    const json_t *shown;

    (void)state;
    backend = fixture_add_backend("vault-prod");
    idle_backend_login(backend, f.fake.now_ms + HOUR_MS);
    shown = backend_of(fixture_get(ALICE, STATUS), 0);
    assert_string_equal(json_string_value(json_object_get(shown, "name")), "vault-prod");
    assert_string_equal(json_string_value(json_object_get(shown, "plugin")), "idle");
    assert_true(json_is_true(json_object_get(shown, "up")));
    assert_string_equal(json_string_value(json_object_get(shown, "login_expires_at")),
                        "2026-01-01T01:00:00.000Z");
    assert_null(json_object_get(shown, "in_flight"));
    assert_null(json_object_get(shown, "last_error"));
    shown = backend_of(fixture_get(RITA, STATUS), 0);
    assert_true(json_is_integer(json_object_get(shown, "in_flight")));
    assert_true(json_is_null(json_object_get(shown, "last_error")));
}

static void test_a_login_that_never_ends_has_no_end(void **state)
{
    struct idle_backend *backend;

    (void)state;
    backend = fixture_add_backend("vault-prod");
    idle_backend_login(backend, UINT64_MAX);
    assert_null(json_object_get(backend_of(fixture_get(ALICE, STATUS), 0), "login_expires_at"));
}

static const json_t *left_of(struct call *call)
{
    return call_member(call, "ledger.left");
}

static void test_what_the_start_has_left_is_told_to_readers_with_what_to_do(void **state)
{
    struct left left = {.total = 0};
    struct call *call;

    (void)state;
    left_add(&left, LEFT_UNCONFIGURED, "bao");
    left_add(&left, LEFT_UNCONFIGURED, "bao");
    left_add(&left, LEFT_UNREADABLE, "");
    f.options.left = &left;
    call = fixture_get(RITA, STATUS);
    assert_string_equal(call_text(call, "status"), "ok");
    assert_int_equal(json_integer_value(left_of(call)), 3);
    assert_int_equal(json_array_size(call_member(call, "warnings")), 2);
    assert_true(warns(call, "2 leases of backend bao left in the ledger, because it isn't "
                            "configured any more"));
    assert_true(warns(call, "configure it again and restart leased (a reload doesn't"));
    assert_true(warns(call, "stop leased and end them with `lease ledger sweep`"));
    assert_true(warns(call, "1 lease left in the ledger, and nobody revokes what can't be read"));
    call = fixture_get(ALICE, STATUS);
    assert_null(left_of(call));
    assert_int_equal(json_array_size(call_member(call, "warnings")), 0);
}

static void test_left_by_a_backend_that_is_back_it_takes_a_restart(void **state)
{
    struct left left = {.total = 0};
    struct call *call;

    (void)state;
    left_add(&left, LEFT_UNCONFIGURED, "vault-prod");
    left_add(&left, LEFT_REFUSED, "vault-prod");
    f.options.left = &left;
    idle_backend_login(fixture_add_backend("vault-prod"), UINT64_MAX);
    call = fixture_get(RITA, STATUS);
    assert_true(warns(call, "is configured again, but a reload doesn't take them up: restart"));
    assert_true(warns(call, "because they could not be taken up"));
    assert_false(warns(call, "sweep"));
}

static void test_without_anything_left_nothing_is_told(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_get(RITA, STATUS);
    assert_int_equal(json_integer_value(left_of(call)), 0);
    assert_int_equal(json_array_size(call_member(call, "warnings")), 0);
}

static void test_what_further_backends_left_is_counted_together(void **state)
{
    struct left left = {.total = 0};
    char text[LEFT_TEXT_MAX_BYTES];
    char name[LEFT_BACKEND_MAX_BYTES + 32];
    size_t i;

    (void)state;
    for (i = 0; i < 2 * LEFT_ENTRIES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "%02zu%0130d", i, 0);
        left_add(&left, LEFT_UNCONFIGURED, name);
    }
    left_add(&left, LEFT_UNCONFIGURED, name);
    assert_int_equal(left.total, 2 * LEFT_ENTRIES_MAX + 1);
    assert_int_equal(left.entry_count, LEFT_ENTRIES_MAX);
    assert_int_equal(strlen(left.entries[0].backend), LEFT_BACKEND_MAX_BYTES);
    left_text(&left.entries[0], false, text);
    assert_non_null(strstr(text, "sweep`"));
    left_text(&left.entries[LEFT_ENTRIES_MAX - 1], false, text);
    assert_non_null(strstr(text, "18 leases of several backends"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_status_says_how_leased_is_and_who_asks),
        fixture_test(test_only_readers_see_how_many_leases_there_are),
        fixture_test(test_a_revocation_that_waits_is_a_debt_and_a_warning),
        fixture_test(test_a_failing_trail_is_degraded_and_not_ready),
        fixture_test(test_what_starts_or_stops_is_alive_and_not_ready),
        fixture_test(test_an_address_that_fails_is_shown_to_readers),
        fixture_test(test_an_open_breaker_is_shown_with_its_next_probe),
        fixture_test(test_a_backend_that_is_down_degrades_but_stays_ready),
        fixture_test(test_a_backend_shows_more_to_those_who_may_read),
        fixture_test(test_a_login_that_never_ends_has_no_end),
        fixture_test(test_what_the_start_has_left_is_told_to_readers_with_what_to_do),
        fixture_test(test_left_by_a_backend_that_is_back_it_takes_a_restart),
        fixture_test(test_without_anything_left_nothing_is_told),
        cmocka_unit_test(test_what_further_backends_left_is_counted_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
