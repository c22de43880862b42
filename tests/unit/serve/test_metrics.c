/* Metrics: Prometheus' text format, line by line, and what the numbers are. */
#include <stdlib.h>
#include <string.h>

#include "unit/serve/fixture.h"

#define DB API "/credentials/db"
#define LINES_MAX 2000

static struct call *scrape(void)
{
    struct call *call = fixture_get(CAROL, "/metrics");

    assert_int_equal(call->status, 200);
    assert_string_equal(call->content_type, "text/plain; version=0.0.4; charset=utf-8");
    return call;
}

/* The value of one series, written as it stands in the text; the test fails when it isn't there. */
static double value_of(const struct call *call, const char *series)
{
    struct str rest = str_of(call->body);

    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');

        if (str_starts_with(line, series) && line.ptr[strlen(series)] == ' ') {
            return strtod(line.ptr + strlen(series) + 1, NULL);
        }
    }
    fail_msg("no %s in:\n%s", series, call->body);
    return 0;
}

static bool has(const struct call *call, const char *series)
{
    return strstr(call->body, series) != NULL;
}

/* --- the format --- */

static bool is_metric_name(struct str name)
{
    size_t i;

    for (i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!(c >= 'a' && c <= 'z') && c != '_' && !(i > 0 && c >= '0' && c <= '9')) {
            return false;
        }
    }
    return name.len > 0;
}

static void check_labels(struct str labels)
{
    while (labels.len > 0) {
        struct str label = str_cut(&labels, ',');
        struct str name = str_cut(&label, '=');

        assert_true(is_metric_name(name));
        assert_true(label.len >= 2 && label.ptr[0] == '"' && label.ptr[label.len - 1] == '"');
        label = (struct str){.ptr = label.ptr + 1, .len = label.len - 2};
        assert_null(memchr(label.ptr, '"', label.len));
        assert_null(memchr(label.ptr, '\\', label.len));
    }
}

/* A histogram's samples are named after it. */
static bool is_part(struct str name, struct str family)
{
    static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
    size_t i;

    for (i = 0; i < ARRAY_LEN(suffixes); i++) {
        size_t len = strlen(suffixes[i]);

        if (str_ends_with(name, suffixes[i]) && name.len == family.len + len) {
            return str_eq((struct str){name.ptr, name.len - len}, family);
        }
    }
    return false;
}

/* A sample belongs to the family before it, and its value is a number. */
static void check_sample(struct str line, struct str family)
{
    struct str series = line;
    struct str value;
    struct str name;
    char number[64];
    char *end;

    assert_non_null(memchr(line.ptr, ' ', line.len));
    value = line;
    series = str_cut(&value, ' ');
    name = str_cut(&series, '{');
    assert_true(str_eq(name, family) || is_part(name, family));
    if (series.ptr != NULL) {
        assert_true(str_ends_with(series, "}"));
        check_labels((struct str){.ptr = series.ptr, .len = series.len - 1});
    }
    (void)snprintf(number, sizeof(number), "%.*s", STR_ARG(value));
    (void)strtod(number, &end);
    assert_true(number[0] != '\0' && *end == '\0');
}

static struct str check_family(struct str *rest, struct str help)
{
    struct str type = str_cut(rest, '\n');
    struct str name;

    help = (struct str){.ptr = help.ptr + 7, .len = help.len - 7};
    name = str_cut(&help, ' ');
    assert_true(is_metric_name(name) && help.len > 0);
    assert_true(str_starts_with(type, "# TYPE "));
    type = (struct str){.ptr = type.ptr + 7, .len = type.len - 7};
    assert_true(str_eq(str_cut(&type, ' '), name));
    assert_true(str_eq_c(type, "gauge") || str_eq_c(type, "counter") ||
                str_eq_c(type, "histogram"));
    assert_true(str_eq_c(type, "counter") == str_ends_with(name, "_total"));
    return name;
}

static void check_unique(struct str key, struct str *seen, size_t *count)
{
    size_t i;

    for (i = 0; i < *count; i++) {
        assert_false(str_eq(seen[i], key));
    }
    assert_true(*count < LINES_MAX);
    seen[(*count)++] = key;
}

static void check_format(const struct call *call)
{
    static struct str seen[LINES_MAX];
    struct str rest = str_of(call->body);
    struct str family = {.ptr = NULL, .len = 0};
    size_t count = 0;

    assert_true(str_ends_with(rest, "\n"));
    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');
        struct str series = line;

        if (str_starts_with(line, "# HELP ")) {
            family = check_family(&rest, line);
            check_unique(family, seen, &count);
        } else {
            check_sample(line, family);
            series = str_cut(&series, ' ');
            if (!str_eq(series, family)) {
                check_unique(series, seen, &count);
            }
        }
    }
    assert_true(count > 20);
}

static void test_every_line_is_well_formed_and_stands_once(void **state)
{
    struct idle_backend *backend;

    (void)state;
    backend = fixture_add_backend("vault-prod");
    (void)fixture_add_backend("vault-test");
    idle_backend_login(backend, UINT64_MAX);
    idle_backend_count(backend, "logins", 3);
    (void)fixture_get(ALICE, DB);
    (void)fixture_get(CAROL, DB);
    (void)fixture_get(MALLORY, DB);
    (void)fixture_get(ALICE, "/nothing");
    check_format(scrape());
}

/* --- the numbers --- */

static void test_leases_are_counted_by_backend_role_and_state(void **state)
{
    struct call *call;

    (void)state;
    call = fixture_get(ALICE, DB);
    (void)fixture_get(BOB, DB);
    assert_int_equal(value_of(scrape(),
                              "leased_leases{backend=\"vault-prod\",role=\"db\",state=\"active\"}"),
                     2);
    assert_int_equal(
        value_of(scrape(),
                 "leased_leases{backend=\"vault-prod\",role=\"db-shared\",state=\"active\"}"),
        0);
    assert_int_equal(value_of(scrape(), "leased_grants"), 2);
    assert_int_equal(value_of(scrape(), "leased_issue_total"), 2);
    f.issuer.is_held[LEASE_CALL_REVOKE] = true;
    (void)fixture_call(ALICE, "DELETE", fixture_path(API "/leases/%s", call_text(call, "lease")),
                       NULL);
    fixture_advance(1500);
    call = scrape();
    assert_int_equal(
        value_of(call, "leased_leases{backend=\"vault-prod\",role=\"db\",state=\"active\"}"), 1);
    assert_int_equal(
        value_of(call, "leased_leases{backend=\"vault-prod\",role=\"db\",state=\"revoking\"}"), 1);
    assert_int_equal(value_of(call, "leased_revoke_pending"), 1);
    assert_true(value_of(call, "leased_revoke_oldest_seconds") > 1.49);
    assert_int_equal(value_of(call, "leased_revoke_total"), 0);
    scripted_release(&f.issuer);
    fixture_run();
    call = scrape();
    assert_int_equal(value_of(call, "leased_revoke_total"), 1);
    assert_int_equal(value_of(call, "leased_revoke_pending"), 0);
}

static void test_attempts_are_counted_and_failures_among_them(void **state)
{
    struct call *call;

    (void)state;
    f.issuer.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_DENIED;
    (void)fixture_get(ALICE, DB);
    f.issuer.outcomes[LEASE_CALL_ISSUE] = LEASE_OUTCOME_OK;
    fixture_advance(1000); /* so long a refusal is remembered */
    (void)fixture_get(ALICE, DB);
    call = scrape();
    assert_int_equal(value_of(call, "leased_issue_total"), 2);
    assert_int_equal(value_of(call, "leased_issue_failed_total"), 1);
}

static void test_a_histogram_cumulates_and_ends_with_infinity(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    (void)fixture_get(ALICE, DB);
    call = scrape();
    /* The stopwatch of this world stands still. */
    assert_int_equal(value_of(call, "leased_request_seconds_bucket{le=\"0.00005\"}"), 2);
    assert_int_equal(value_of(call, "leased_request_seconds_bucket{le=\"60\"}"), 2);
    assert_int_equal(value_of(call, "leased_request_seconds_bucket{le=\"+Inf\"}"), 2);
    assert_int_equal(value_of(call, "leased_request_seconds_count"), 2);
    assert_int_equal(value_of(call, "leased_request_seconds_sum"), 0);
}

static void test_a_role_tells_how_long_an_outage_it_rides_out(void **state)
{
    (void)state;
    assert_false(has(scrape(), "leased_outage_tolerance_seconds{"));
    (void)fixture_get(ALICE, DB);
    assert_true(value_of(scrape(), "leased_outage_tolerance_seconds{role=\"db\"}") > 60);
    assert_false(has(scrape(), "leased_outage_tolerance_seconds{role=\"db-shared\"}"));
}

static void test_what_the_start_has_left_in_the_ledger_is_told(void **state)
{
    struct left left = {.total = 0};

    (void)state;
    left_add(&left, LEFT_UNCONFIGURED, "bao");
    f.options.left = &left;
    assert_int_equal(value_of(scrape(), "leased_ledger_left"), 1);
}

static void test_the_lag_of_each_sink_is_told(void **state)
{
    (void)state;
    (void)fixture_get(ALICE, DB);
    assert_true(has(scrape(), "leased_audit_lag_records{sink=\"file:/"));
    assert_true(has(scrape(), "process_start_time_seconds "));
}

static void test_a_backends_breaker_and_addresses_are_told(void **state)
{
    struct idle_backend *backend;
    struct call *call;

    (void)state;
    backend = fixture_add_backend("vault-prod");
    idle_backend_login(backend, UINT64_MAX);
    call = scrape();
    assert_int_equal(value_of(call, "leased_breaker_open{backend=\"vault-prod\"}"), 0);
    assert_int_equal(value_of(call, "leased_backend_address_up{backend=\"vault-prod\","
                                    "address=\"https://a.example\"}"),
                     1);
    assert_int_equal(
        value_of(call, "leased_issue_seconds_count{backend=\"vault-prod\",outcome=\"ok\"}"), 0);
    for (size_t i = 0; i < 10; i++) {
        if (i % 2 == 0) {
            idle_backend_ask(backend);
        }
        fake_env_http_finish(&f.fake, fake_env_http_first(&f.fake), ERR_CONNECT, NULL, NULL);
        fixture_run();
    }
    call = scrape();
    assert_int_equal(value_of(call, "leased_breaker_open{backend=\"vault-prod\"}"), 1);
    assert_int_equal(value_of(call, "leased_backend_up{backend=\"vault-prod\"}"), 0);
    check_format(call);
}

static void test_denials_are_counted_by_rule(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(CAROL, DB);
    (void)fixture_get(MALLORY, DB);
    (void)fixture_get(MALLORY, API "/credentials/db-shared");
    (void)fixture_get(EVE, DB);
    (void)fixture_get(EVE, DB);
    (void)fixture_get(EVE, DB);
    call = scrape();
    assert_int_equal(value_of(call, "leased_denied_total{rule=\"none\"}"), 1);
    assert_int_equal(value_of(call, "leased_denied_total{rule=\"no-mallory\"}"), 2);
    assert_int_equal(value_of(call, "leased_denied_total{rule=\"" LONGEST_RULE "\"}"), 3);
}

static void test_who_cannot_be_identified_counts_as_a_denial(void **state)
{
    (void)state;
    f.connections[ALICE].peer.state = ENV_PEER_UNKNOWN;
    (void)fixture_get(ALICE, DB);
    (void)fixture_get(ALICE, API "/status");
    assert_int_equal(value_of(scrape(), "leased_denied_total{rule=\"none\"}"), 2);
}

static void test_requests_are_counted_by_api_and_status(void **state)
{
    struct call *call;

    (void)state;
    (void)fixture_get(ALICE, DB);
    (void)fixture_get(ALICE, DB);
    (void)fixture_get(CAROL, DB);
    (void)fixture_get(CAROL, "/livez");
    (void)fixture_call(ALICE, "PUT", DB, NULL);
    call = scrape();
    assert_int_equal(value_of(call, "leased_requests_total{api=\"native\",code=\"200\"}"), 2);
    assert_int_equal(value_of(call, "leased_requests_total{api=\"native\",code=\"403\"}"), 1);
    assert_int_equal(value_of(call, "leased_requests_total{api=\"native\",code=\"405\"}"), 1);
    assert_int_equal(value_of(call, "leased_requests_total{api=\"metrics\",code=\"200\"}"), 1);
}

static void test_a_request_that_is_too_much_is_counted_too(void **state)
{
    (void)state;
    f.options.exchanges_max = 1;
    f.issuer.is_held[LEASE_CALL_ISSUE] = true;
    (void)fixture_send(ALICE, "GET", DB, NULL);
    (void)fixture_get(BOB, DB);
    call_hang_up(LIST_ENTRY(f.calls.next, struct call, node));
    scripted_release(&f.issuer);
    fixture_run();
    assert_int_equal(value_of(scrape(), "leased_requests_total{api=\"native\",code=\"503\"}"), 1);
}

static void test_backends_have_their_numbers(void **state)
{
    struct idle_backend *backend;
    struct call *call;

    (void)state;
    backend = fixture_add_backend("vault-prod");
    idle_backend_login(fixture_add_backend("vault-test"), UINT64_MAX);
    idle_backend_login(backend, f.fake.now_ms + 90500);
    idle_backend_count(backend, "logins", 3);
    call = scrape();
    assert_int_equal(value_of(call, "leased_backend_up{backend=\"vault-prod\"}"), 1);
    assert_true(value_of(call, "leased_backend_token_expires_seconds{backend=\"vault-prod\"}") ==
                90.5);
    assert_false(has(call, "leased_backend_token_expires_seconds{backend=\"vault-test\"}"));
    assert_int_equal(value_of(call, "leased_backend_in_flight{backend=\"vault-test\"}"), 0);
    assert_int_equal(
        value_of(call, "leased_plugin_events_total{backend=\"vault-prod\",event=\"logins\"}"), 3);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(value_of(scrape(), "leased_backend_up{backend=\"vault-prod\"}"), 0);
}

static void test_build_and_policy_are_named(void **state)
{
    char series[128];
    struct call *call;

    (void)state;
    call = scrape();
    assert_int_equal(value_of(call, "leased_build_info{version=\"1.2.3\"}"), 1);
    (void)snprintf(series, sizeof(series), "leased_policy_info{digest=\"%s\"}",
                   access_policy_digest(f.policy));
    assert_int_equal(value_of(call, series), 1);
    assert_int_equal(value_of(call, "leased_audit_ready"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_every_line_is_well_formed_and_stands_once),
        fixture_test(test_leases_are_counted_by_backend_role_and_state),
        fixture_test(test_attempts_are_counted_and_failures_among_them),
        fixture_test(test_a_histogram_cumulates_and_ends_with_infinity),
        fixture_test(test_a_role_tells_how_long_an_outage_it_rides_out),
        fixture_test(test_what_the_start_has_left_in_the_ledger_is_told),
        fixture_test(test_the_lag_of_each_sink_is_told),
        fixture_test(test_a_backends_breaker_and_addresses_are_told),
        fixture_test(test_denials_are_counted_by_rule),
        fixture_test(test_who_cannot_be_identified_counts_as_a_denial),
        fixture_test(test_requests_are_counted_by_api_and_status),
        fixture_test(test_a_request_that_is_too_much_is_counted_too),
        fixture_test(test_backends_have_their_numbers),
        fixture_test(test_build_and_policy_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
