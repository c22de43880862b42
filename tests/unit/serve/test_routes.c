/* Routes and their guards: what is answered where, and who is turned away before anybody is asked.
 */
#include <string.h>

#include "unit/serve/fixture.h"

#define ID "l-00000000000000000000000000000000"

static const struct {
    const char *method;
    const char *target;
    const char *allow; /* what a wrong method is told */
} natives[] = {
    {"GET", API "/credentials/db", "GET"},         {"POST", API "/leases", "POST, GET"},
    {"GET", API "/leases", "POST, GET"},           {"GET", API "/leases/" ID, "GET, DELETE"},
    {"DELETE", API "/leases/" ID, "GET, DELETE"},  {"POST", API "/leases/" ID "/renew", "POST"},
    {"POST", API "/leases/" ID "/rotate", "POST"}, {"GET", API "/grants", "GET"},
    {"GET", API "/grants/" ID, "GET, DELETE"},     {"DELETE", API "/grants/" ID, "GET, DELETE"},
    {"POST", API "/policy/explain", "POST"},       {"GET", API "/status", "GET"},
};

static const char *const open_targets[] = {"/livez", "/readyz", "/metrics"};

/* Sends to each native route with these headers and nothing else; each must refuse and close. */
static void refused_everywhere(const char *const *headers)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(natives); i++) {
        struct call *call =
            fixture_send_message(ALICE, (struct message){.method = natives[i].method,
                                                         .target = natives[i].target,
                                                         .body = "{\"role\":\"db\"}",
                                                         .headers = headers,
                                                         .has_no_default_headers = true});

        fixture_expect(call, 403, "denied");
        assert_null(strstr(call_text(call, "hint"), "README")); /* a stranger has none */
        assert_string_not_equal(call_text(call, "hint"), "");
        assert_true(call->is_closing);
    }
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 0);
}

static void answered_at_the_root(const char *const *headers, uint32_t status)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(open_targets); i++) {
        struct call *call =
            fixture_send_message(ALICE, (struct message){.method = "GET",
                                                         .target = open_targets[i],
                                                         .headers = headers,
                                                         .has_no_default_headers = true});

        assert_int_equal(call->status, status);
    }
}

/* `root_status`: of the paths that need no guard header. */
static void refused(const char *header, uint32_t root_status)
{
    const char *const headers[] = {"X-Leased-Request: 1", "Host: leased", header, NULL};

    refused_everywhere(headers);
    answered_at_the_root(headers, root_status);
}

static void refused_host(const char *header)
{
    const char *const headers[] = {"X-Leased-Request: 1", header, NULL};

    refused_everywhere(headers);
    answered_at_the_root(headers, 200);
}

static void test_native_routes_need_the_guard_header_and_the_root_does_not(void **state)
{
    static const char *const none[] = {"Host: leased", NULL};
    static const char *const other[] = {"Host: leased", "X-Leased-Request: yes", NULL};

    (void)state;
    refused_everywhere(none);
    refused_everywhere(other);
    answered_at_the_root(none, 200);
}

static void test_a_foreign_host_is_refused(void **state)
{
    (void)state;
    refused_host("Host: example.com");
    refused_host("Host: example.com:80");
    refused_host("Host: localhost.example.com");
    refused_host("Host: 127.0.0.1.x.io"); /* a name that its owner may let point to us */
    refused_host("Host: 127.x.io");
    refused_host("Host: [::1].x.io");
    refused_host("Host: [::2]");
}

static void test_a_foreign_origin_is_refused(void **state)
{
    (void)state;
    refused("Origin: http://example.com", 403);
    refused("Origin: null", 403);
    refused("Origin: ", 403);
    refused("Origin: http://localhost.example.com:8080", 403);
    refused("Origin: chrome-extension://localhost", 403);
}

static void test_a_forwarded_request_is_refused(void **state)
{
    (void)state;
    refused("X-Forwarded-For: 10.0.0.1", 200);
    refused("Forwarded: for=10.0.0.1", 200);
}

static void test_own_names_of_the_host_are_taken(void **state)
{
    static const char *const hosts[] = {"Host: leased",    "Host: localhost:9911",
                                        "Host: LocalHost", "Host: 127.0.0.1:9911",
                                        "Host: 127.1.2.3", "Host: [::1]:9911",
                                        "Host: [::1]",     "Host:"};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(hosts); i++) {
        const char *const headers[] = {"X-Leased-Request: 1", hosts[i],
                                       "Origin: http://localhost:9911", NULL};
        struct call *call =
            fixture_send_message(ALICE, (struct message){.method = "GET",
                                                         .target = API "/status",
                                                         .headers = headers,
                                                         .has_no_default_headers = true});

        assert_int_equal(call->status, 200);
    }
}

static void test_an_unknown_path_is_not_found(void **state)
{
    static const char *const targets[] = {
        "/",
        "",
        "/leased",
        "/leased/v1",
        "/leased/v2/status",
        API "/nothing",
        API "/status/more",
        API "/leases/" ID "/renew/more",
        API "/leases/" ID "/explode",
        API "/Status",
        "/livez/x",
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(targets); i++) {
        fixture_expect(fixture_send(ALICE, "GET", targets[i], NULL), 404, "not_found");
    }
}

static void test_tricks_with_paths_lead_nowhere(void **state)
{
    static const char *const targets[] = {
        "//leased/v1/status",
        "/leased//v1/status",
        API "/status/",
        API "//status",
        API "/./status",
        API "/x/../status",
        API "/%73tatus",
        API "/leases/",
        API "/leases//renew",
        API "/credentials/",
        API "/credentials//",
        API "/credentials/db/",
        API "/credentials/./db",
        API "/credentials/%64%62/",
        "/livez/",
        "/./livez",
        "/%6civez",
    };
    struct call *call;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(targets); i++) {
        fixture_expect(fixture_send(ALICE, "GET", targets[i], NULL), 404, "not_found");
    }
    /* Nothing is decoded or resolved, so these are only names that nobody has. */
    call = fixture_send(ALICE, "GET", API "/credentials/%64b", NULL);
    fixture_expect(call, 404, "unknown_role");
    assert_string_equal(call_text(call, "hint"), "names of roles aren't percent-encoded");
    fixture_expect(fixture_send(ALICE, "GET", API "/credentials/..", NULL), 404, "unknown_role");
    fixture_expect(fixture_send(ALICE, "GET", API "/leases/..", NULL), 404, "not_found");
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 0);
}

static void test_a_wrong_method_is_told_the_right_ones(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(natives); i++) {
        struct call *call = fixture_send(ALICE, "PUT", natives[i].target, NULL);

        fixture_expect(call, 405, "invalid");
        assert_string_equal(call_header(call, "Allow"), natives[i].allow);
    }
    fixture_expect(fixture_send(ALICE, "get", API "/status", NULL), 405, "invalid");
    fixture_expect(fixture_send(ALICE, "POST", "/livez", NULL), 405, "invalid");
}

static void test_a_listener_serves_only_its_apis(void **state)
{
    size_t i;
    struct call *call;

    (void)state;
    fixture_open();
    for (i = 0; i < ARRAY_LEN(natives); i++) {
        call = fixture_send_message(ALICE, (struct message){.method = natives[i].method,
                                                            .target = natives[i].target,
                                                            .handler_user = &f.only_metrics});
        fixture_expect(call, 404, "not_found");
    }
    for (i = 0; i < ARRAY_LEN(open_targets); i++) {
        call = fixture_send_message(ALICE, (struct message){.method = "GET",
                                                            .target = open_targets[i],
                                                            .handler_user = &f.only_metrics});
        assert_int_equal(call->status, 200);
        call = fixture_send_message(ALICE, (struct message){.method = "GET",
                                                            .target = open_targets[i],
                                                            .handler_user = &f.only_native});
        assert_int_equal(call->status, strcmp(open_targets[i], "/metrics") == 0 ? 404 : 200);
    }
}

static void test_parameters_that_a_route_does_not_know_are_refused(void **state)
{
    static const struct {
        const char *method;
        const char *target;
    } requests[] = {
        {"GET", API "/leases?role=db"},
        {"GET", API "/leases?wait=5"},
        {"GET", API "/grants?reason=x"},
        {"GET", API "/leases/" ID "?limit=5"},
        {"GET", API "/status?limit=5"},
        {"DELETE", API "/grants/" ID "?duration=5m"},
        {"POST", API "/leases/" ID "/renew?duration=5m"},
        {"GET", API "/credentials/db?role=db"},
        {"GET", API "/credentials/db?limit=5"},
        {"GET", API "/credentials/db?minremaining=5m"},
        {"POST", API "/leases?duration=5m"},
    };
    size_t i;
    struct call *call;

    (void)state;
    for (i = 0; i < ARRAY_LEN(requests); i++) {
        call = fixture_send(ALICE, requests[i].method, requests[i].target, "{\"role\":\"db\"}");
        fixture_expect(call, 400, "invalid");
    }
    call = fixture_send(ALICE, "POST", API "/leases", "{\"role\":\"db\",\"limit\":5}");
    fixture_expect(call, 400, "invalid");
    assert_non_null(strstr(call_text(call, "detail"), "limit"));
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 0);
}

static bool takes_body(const char *method, const char *target)
{
    return strcmp(method, "POST") == 0 &&
           (strcmp(target, API "/leases") == 0 || strcmp(target, API "/policy/explain") == 0);
}

static void test_a_route_that_takes_no_body_refuses_one_unparsed(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(natives); i++) {
        struct call *call;

        if (takes_body(natives[i].method, natives[i].target)) {
            continue;
        }
        call = fixture_call(ADA, natives[i].method, natives[i].target, "{}");
        fixture_expect(call, 400, "invalid");
        assert_non_null(strstr(call->body, "has no body"));
    }
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 0);
}

static void test_more_exchanges_than_the_limit_are_busy(void **state)
{
    struct call *call;

    (void)state;
    f.options.exchanges_max = 1;
    f.issuer.is_held[LEASE_CALL_ISSUE] = true;
    (void)fixture_send(ALICE, "GET", API "/credentials/db", NULL);
    call = fixture_get(BOB, API "/status");
    fixture_expect(call, 503, "busy");
    assert_string_equal(call_header(call, "Retry-After"), "1");
    scripted_release(&f.issuer);
    fixture_run();
    call_hang_up(LIST_ENTRY(f.calls.next, struct call, node));
    assert_int_equal(fixture_get(BOB, API "/status")->status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_native_routes_need_the_guard_header_and_the_root_does_not),
        fixture_test(test_a_foreign_host_is_refused),
        fixture_test(test_a_foreign_origin_is_refused),
        fixture_test(test_a_forwarded_request_is_refused),
        fixture_test(test_own_names_of_the_host_are_taken),
        fixture_test(test_an_unknown_path_is_not_found),
        fixture_test(test_tricks_with_paths_lead_nowhere),
        fixture_test(test_a_wrong_method_is_told_the_right_ones),
        fixture_test(test_a_listener_serves_only_its_apis),
        fixture_test(test_parameters_that_a_route_does_not_know_are_refused),
        fixture_test(test_a_route_that_takes_no_body_refuses_one_unparsed),
        fixture_test(test_more_exchanges_than_the_limit_are_busy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
