/* Callers over TCP: what they are told, what they may bind to, and how the trail names them. */
#include <string.h>

#include "unit/serve/fixture.h"

#define DB API "/credentials/db"

/* From now on CAROL comes with this certificate. */
static void carol_shows(const char *sans)
{
    fixture_open();
    f.connections[CAROL].peer = (struct env_peer){
        .kind = ENV_PEER_TLS, .state = ENV_PEER_OK, .uid = ENV_NO_ID, .sans = sans};
}

/* … and `who` by loopback TCP. */
static void comes_by_loopback(enum who who)
{
    fixture_open();
    f.connections[who].peer.kind = ENV_PEER_LOOPBACK;
    f.connections[who].peer.pid = 0;
    f.connections[who].peer.cgroup[0] = '\0';
}

static struct call *with_headers(const char *host, const char *origin)
{
    const char *const headers[] = {"X-Leased-Request: 1", host, origin, NULL};

    return fixture_send_message(CAROL, (struct message){.method = "GET",
                                                        .target = API "/status",
                                                        .headers = headers,
                                                        .has_no_default_headers = true});
}

static void test_over_tcp_there_is_no_process_to_bind_to(void **state)
{
    struct call *call;

    (void)state;
    comes_by_loopback(ALICE);
    call = fixture_get(ALICE, DB);
    fixture_expect(call, 409, "binding_unavailable");
    assert_non_null(strstr(call_text(call, "hint"), "binding=connection"));
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 0);
    fixture_expect(fixture_get(ALICE, DB "?binding=parent"), 409, "binding_unavailable");
    assert_int_equal(fixture_get(ALICE, DB "?binding=connection")->status, 200);
    assert_int_equal(fixture_get(ALICE, DB "?binding=none")->status, 200);
    assert_int_equal(fixture_trail_has("\"pid\""), 0);
}

static void test_an_admin_is_an_ordinary_user_over_loopback_tcp(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_get(ALICE, DB);
    assert_int_equal(call->status, 200);
    comes_by_loopback(ADA);
    fixture_expect(fixture_get(ADA, fixture_path(API "/leases/%s", call_text(call, "lease"))), 404,
                   "not_found");
}

static void test_a_certificate_stands_in_the_trail_by_its_names(void **state)
{
    struct call *call;

    (void)state;
    carol_shows("spiffe://acme/ci ci.example");
    call = fixture_get(CAROL, DB "?binding=connection");
    assert_int_equal(call->status, 200);
    assert_true(fixture_trail_has("\"identity\":{\"san\":\"spiffe://acme/ci ci.example\"}") >= 2);
    assert_int_equal(fixture_trail_has("4294967295"), 0);
    call = fixture_get(CAROL, fixture_path(API "/grants/%s", call_text(call, "grant")));
    assert_int_equal(call->status, 200);
    assert_non_null(strstr(call->body, "\"identity\":{\"uid\":null,\"user\":null,\"pid\":null,"
                                       "\"unit\":null,\"san\":\"spiffe://acme/ci ci.example\"}"));
}

static void test_a_certificate_that_no_rule_names_is_denied(void **state)
{
    struct call *call;

    (void)state;
    carol_shows("spiffe://other/ci");
    call = fixture_get(CAROL, DB);
    fixture_expect(call, 403, "denied");
    assert_non_null(strstr(call_text(call, "detail"), "spiffe://other/ci"));
    assert_int_equal(fixture_trail_has("\"identity\":{\"san\":\"spiffe://other/ci\"}"), 1);
}

static void test_who_was_not_identified_is_nobody_in_the_trail(void **state)
{
    (void)state;
    fixture_open();
    f.connections[CAROL].peer = (struct env_peer){.kind = ENV_PEER_LOOPBACK,
                                                  .state = ENV_PEER_GONE,
                                                  .problem = "its end is closed",
                                                  .uid = ENV_NO_ID};
    fixture_expect(fixture_get(CAROL, DB), 403, "denied");
    assert_int_equal(fixture_trail_has("\"identity\":{}"), 1);
}

static void test_with_a_certificate_our_own_page_is_where_the_request_went(void **state)
{
    (void)state;
    carol_shows("spiffe://acme/ci");
    assert_int_equal(
        with_headers("Host: db.example:9912", "Origin: https://db.example:9912")->status, 200);
    fixture_expect(with_headers("Host: db.example:9912", "Origin: https://db.example"), 403,
                   "denied");
    fixture_expect(with_headers("Host: db.example:9912", "Origin: http://db.example:9912"), 403,
                   "denied");
    fixture_expect(with_headers("Host: db.example:9912", "Origin: http://localhost:9912"), 403,
                   "denied");
    fixture_expect(with_headers("Host:", "Origin: https://"), 403, "denied");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_over_tcp_there_is_no_process_to_bind_to),
        fixture_test(test_an_admin_is_an_ordinary_user_over_loopback_tcp),
        fixture_test(test_a_certificate_stands_in_the_trail_by_its_names),
        fixture_test(test_a_certificate_that_no_rule_names_is_denied),
        fixture_test(test_who_was_not_identified_is_nobody_in_the_trail),
        fixture_test(test_with_a_certificate_our_own_page_is_where_the_request_went),
    };

    return cmocka_run_group_tests_name("remote callers", tests, NULL, NULL);
}
