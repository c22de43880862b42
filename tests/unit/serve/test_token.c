/* Grant tokens over the native API: who gets one, and what it is good for. */
#include <stdio.h>
#include <string.h>

#include "lease/token.h"
#include "unit/serve/fixture.h"

#define DB API "/credentials/db"
#define SHARED API "/credentials/db-shared"

static char header[LEASE_TOKEN_BYTES + 32];

static void comes_by_loopback(enum who who)
{
    fixture_open();
    f.connections[who].peer.kind = ENV_PEER_LOOPBACK;
    f.connections[who].peer.pid = 0;
    f.connections[who].peer.cgroup[0] = '\0';
}

static struct call *create(enum who who, const char *body)
{
    return fixture_call(who, "POST", API "/leases", body);
}

/* A grant of ALICE's for db, whose token is in `header`. */
static struct call *grant_with_token(void)
{
    struct call *call = create(ALICE, "{\"role\":\"db\",\"token\":true}");

    assert_int_equal(call->status, 201);
    (void)snprintf(header, sizeof(header), "X-Leased-Grant: %s", call_text(call, "token"));
    return call;
}

static struct call *get_with_token(enum who who, const char *target)
{
    const char *const headers[] = {header, NULL};
    struct call *call = fixture_send_message(
        who, (struct message){.method = "GET", .target = target, .headers = headers});

    fixture_run();
    if (call->status != 0) {
        call_deliver(call);
    }
    return call;
}

static void test_a_token_comes_to_who_asks_for_it(void **state)
{
    struct call *call;

    (void)state;
    call = grant_with_token();
    assert_true(lease_token_is_one(str_of(call_text(call, "token"))));
    assert_int_equal(json_object_size(call_member(call, "endpoints")), 0);
    call = create(ALICE, "{\"role\":\"db\"}");
    assert_null(json_object_get(call_json(call), "token"));
    assert_null(json_object_get(call_json(call), "endpoints"));
    call = create(ALICE, "{\"role\":\"db\",\"token\":false}");
    assert_null(json_object_get(call_json(call), "token"));
    fixture_expect(create(ALICE, "{\"role\":\"db\",\"token\":\"true\"}"), 400, "invalid");
    fixture_expect(create(ALICE, "{\"role\":true}"), 400, "invalid");
}

static void test_it_comes_with_where_the_other_apis_are(void **state)
{
    const struct serve_endpoints endpoints = {.aws = "http://127.0.0.1:9911",
                                              .azure = "http://127.0.0.1:9911",
                                              .vault = "http://[::1]:9912"};
    struct call *call;

    (void)state;
    fixture_open();
    serve_set_endpoints(f.serve, &endpoints);
    call = grant_with_token();
    assert_string_equal(call_text(call, "endpoints.aws"),
                        "http://127.0.0.1:9911/aws/credentials/db");
    assert_string_equal(call_text(call, "endpoints.azure"), "http://127.0.0.1:9911/azure/token/db");
    assert_string_equal(call_text(call, "endpoints.vault"), "http://[::1]:9912");
    assert_int_equal(json_object_size(call_member(call, "endpoints")), 3);
}

static void test_a_certificate_gets_none(void **state)
{
    (void)state;
    fixture_open();
    f.connections[CAROL].peer = (struct env_peer){
        .kind = ENV_PEER_TLS, .state = ENV_PEER_OK, .uid = ENV_NO_ID, .sans = "spiffe://acme/ci"};
    fixture_expect(create(CAROL, "{\"role\":\"db\",\"binding\":\"connection\",\"token\":true}"),
                   400, "invalid");
}

static void test_its_grant_is_read_with_it(void **state)
{
    char grant[LEASE_ID_BYTES + 1];
    char password[64];
    struct call *call;

    (void)state;
    call = grant_with_token();
    (void)snprintf(grant, sizeof(grant), "%s", call_text(call, "grant"));
    (void)snprintf(password, sizeof(password), "%s", call_text(call, "credential.password"));
    comes_by_loopback(ALICE_AGAIN);
    fixture_expect(fixture_get(ALICE_AGAIN, DB), 409, "binding_unavailable");
    call = get_with_token(ALICE_AGAIN, DB);
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "grant"), grant);
    assert_string_equal(call_text(call, "credential.password"), password);
    call_deliver(create(ALICE, "{\"role\":\"db\"}")); /* another grant of hers changes nothing */
    assert_string_equal(call_text(get_with_token(ALICE_AGAIN, DB), "grant"), grant);
}

static void test_its_processes_are_lent_to_another_role(void **state)
{
    char binding[96];
    struct call *call;

    (void)state;
    call = grant_with_token();
    (void)snprintf(binding, sizeof(binding), "\"binding\":\"process,grant:%s\"",
                   call_text(call, "grant"));
    comes_by_loopback(ALICE_AGAIN);
    fixture_expect(fixture_get(ALICE_AGAIN, SHARED), 409, "binding_unavailable");
    assert_int_equal(get_with_token(ALICE_AGAIN, SHARED)->status, 200);
    assert_true(fixture_trail_has(binding) > 0);
}

static void test_its_other_roles_are_judged_as_ever(void **state)
{
    char named[64];
    struct call *call;

    (void)state;
    call = grant_with_token();
    (void)snprintf(named, sizeof(named), "\"grant\":\"%s\"", call_text(call, "grant"));
    comes_by_loopback(ALICE_AGAIN);
    fixture_expect(get_with_token(ALICE_AGAIN, API "/credentials/db-reason"), 403,
                   "reason_required");
    assert_int_equal(fixture_records("grant.denied"), 1);
    assert_true(fixture_trail_has(named) > 1);
}

static void test_somebody_elses_is_refused(void **state)
{
    struct call *call;
    char named[64];

    (void)state;
    call = grant_with_token();
    (void)snprintf(named, sizeof(named), "\"grant\":\"%s\"", call_text(call, "grant"));
    call = get_with_token(BOB, DB);
    fixture_expect(call, 403, "denied");
    assert_non_null(strstr(call_text(call, "detail"), "another user"));
    assert_int_equal(fixture_records("grant.denied"), 1);
    assert_true(fixture_trail_has(named) > 1);
    assert_int_equal(fixture_trail_has(header + strlen("X-Leased-Grant: ")), 0);
}

static void test_that_of_an_ended_grant_is_refused(void **state)
{
    struct call *call;

    (void)state;
    call = grant_with_token();
    assert_int_equal(fixture_call(ALICE, "DELETE",
                                  fixture_path(API "/grants/%s", call_text(call, "grant")), NULL)
                         ->status,
                     202);
    fixture_expect(get_with_token(ALICE, DB), 403, "denied");
    (void)snprintf(header, sizeof(header), "X-Leased-Grant: hvs.something");
    fixture_expect(get_with_token(ALICE, DB), 403, "denied");
    (void)snprintf(header, sizeof(header), "X-Leased-Grant: ");
    fixture_expect(get_with_token(ALICE, DB), 403, "denied");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_token_comes_to_who_asks_for_it),
        fixture_test(test_it_comes_with_where_the_other_apis_are),
        fixture_test(test_a_certificate_gets_none),
        fixture_test(test_its_grant_is_read_with_it),
        fixture_test(test_its_processes_are_lent_to_another_role),
        fixture_test(test_its_other_roles_are_judged_as_ever),
        fixture_test(test_somebody_elses_is_refused),
        fixture_test(test_that_of_an_ended_grant_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
