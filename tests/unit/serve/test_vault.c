/* Vault's API: which request goes where, and in which words it is answered. What is passed on
 * stands in test_vault_pass.c. */
#include <string.h>

#include "lease/token.h"
#include "serve/vault_path.h"
#include "unit/serve/fixture.h"

static const char *const no_headers[] = {NULL};

static void setup_paths(void)
{
    fixture_open();
    f.listener.apis |= SERVE_API_VAULT;
    (void)snprintf(f.listener.vault.backend, sizeof(f.listener.vault.backend), "%s",
                   f.issuer.issuer.name);
}

static int setup(void **state)
{
    int r = fixture_setup(state);

    f.roles[0].params_json = "{\"path\":\"database/creds/orders\",\"params\":{\"a\":\"1\"}}";
    f.roles[1].params_json = "{\"path\":\"database/creds/orders\"}";
    f.roles[2].params_json = "{\"path\":\"kv/data/own\"}";
    return r;
}

static struct call *ask_sending(enum who who, const char *method, const char *target,
                                const char *body, const char *const *headers)
{
    struct call *call;

    setup_paths();
    call = fixture_send_message(who, (struct message){.method = method,
                                                      .target = target,
                                                      .body = body,
                                                      .headers = headers,
                                                      .has_no_default_headers = true});
    fixture_run();
    if (call->status != 0) {
        call_deliver(call);
        fixture_run();
    }
    return call;
}

static struct call *ask(enum who who, const char *method, const char *target, const char *body)
{
    return ask_sending(who, method, target, body, no_headers);
}

static const char *first_error(struct call *call)
{
    const char *text = json_string_value(json_array_get(call_member(call, "errors"), 0));

    assert_non_null(text);
    assert_string_equal(call->content_type, "application/json");
    return text;
}

#define DB "/v1/database/creds/orders"

static void test_a_path_of_a_role_is_leased(void **state)
{
    struct call *first;
    struct call *second;

    (void)state;
    first = ask(ALICE, "GET", DB, NULL);
    assert_int_equal(first->status, 200);
    assert_int_equal(strncmp(call_text(first, "lease_id"), "l-", 2), 0);
    assert_true(json_is_true(call_member(first, "renewable")));
    assert_int_equal(json_integer_value(call_member(first, "lease_duration")), 3598);
    assert_string_equal(call_text(first, "data.username"), "v-orders");
    assert_true(json_is_null(call_member(first, "auth")));
    assert_true(json_is_null(call_member(first, "warnings")));
    assert_true(json_is_null(call_member(first, "wrap_info")));
    second = ask(ALICE, "GET", DB, NULL);
    assert_string_equal(call_text(second, "lease_id"), call_text(first, "lease_id"));
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 1);
    assert_true(fixture_trail_has("\"api\":\"vault\"") >= 2);
}

static void test_both_apis_lead_to_one_grant_in_their_own_words(void **state)
{
    struct call *call;
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        call = ask(ALICE, "GET", DB, NULL);
        assert_non_null(call_member(call, "lease_id"));
        call = fixture_get(ALICE, API "/credentials/db");
        assert_non_null(call_member(call, "lease"));
    }
    assert_int_equal(fixture_records("grant.created"), 1);
}

/* mallory is denied db by name, and db-shared as well; bob may both. */
static void test_of_several_roles_the_first_allowed_one_answers(void **state)
{
    struct call *call;

    (void)state;
    call = ask(CAROL, "GET", DB, NULL);
    assert_int_equal(call->status, 403);
    assert_int_equal(strncmp(first_error(call), "permission denied: ", 19), 0);
    (void)ask(BOB, "GET", DB, NULL);
    assert_int_equal(fixture_trail_has("\"role\":\"db\"") > 0, 1);
    assert_int_equal(fixture_trail_has("\"role\":\"db-shared\""), 0);
}

static void test_of_several_roles_the_one_of_the_grant_token_answers(void **state)
{
    char token[LEASE_TOKEN_BYTES + sizeof("X-Vault-Token: ")];
    const char *const headers[] = {token, NULL};
    struct call *own;

    (void)state;
    own = fixture_call(ALICE, "POST", API "/leases", "{\"role\":\"db-shared\",\"token\":true}");
    assert_int_equal(own->status, 201);
    (void)snprintf(token, sizeof(token), "X-Vault-Token: %s", call_text(own, "token"));
    assert_string_equal(call_text(ask_sending(ALICE, "GET", DB, NULL, headers), "lease_id"),
                        call_text(own, "lease"));
    assert_int_equal(fixture_trail_has("\"role\":\"db\""), 0);
}

static void test_parameters_must_be_the_roles(void **state)
{
    struct call *call;

    (void)state;
    call = ask(ALICE, "POST", DB, "{\"a\":\"1\"}");
    assert_int_equal(call->status, 200);
    call = ask(ALICE, "PUT", DB, "{\"ttl\":\"5m\"}");
    assert_int_equal(call->status, 400);
    assert_non_null(strstr(first_error(call), "ttl can't be chosen"));
    call = ask(ALICE, "POST", DB, "[1]");
    assert_int_equal(call->status, 400);
    call = ask(ALICE, "POST", DB, "{\"a\":");
    assert_int_equal(call->status, 400);
    call = ask(ALICE, "GET", DB "?x=1", NULL);
    assert_int_equal(call->status, 400);
}

/* --- leases --- */

static const char *lease_body(struct call *read)
{
    static char body[128];

    (void)snprintf(body, sizeof(body), "{\"lease_id\":\"%s\"}", call_text(read, "lease_id"));
    return body;
}

static void test_a_lease_is_looked_up_renewed_and_revoked_by_its_holder(void **state)
{
    struct call *read;
    struct call *call;

    (void)state;
    read = ask(ALICE, "GET", DB, NULL);
    call = ask(ALICE, "PUT", "/v1/sys/leases/lookup", lease_body(read));
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "data.path"), "database/creds/orders");
    assert_int_equal(json_integer_value(call_member(call, "data.ttl")), 3598);
    call = ask(ALICE, "POST", "/v1/sys/leases/renew", lease_body(read));
    assert_int_equal(call->status, 200);
    assert_true(json_is_null(call_member(call, "data")));
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_RENEW], 0); /* fresh */
    fixture_advance(25 * MINUTE_MS);
    call = ask(ALICE, "PUT", "/v1/sys/renew", lease_body(read));
    assert_int_equal(call->status, 200);
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_RENEW], 1);
    assert_true(json_integer_value(call_member(call, "lease_duration")) > 3500);
    call = ask(ALICE, "PUT", "/v1/sys/leases/revoke", lease_body(read));
    assert_int_equal(call->status, 204);
    assert_string_equal(call->body, "");
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    call = ask(ALICE, "PUT", "/v1/sys/leases/renew", lease_body(read));
    assert_int_equal(call->status, 400);
    assert_string_equal(first_error(call), "lease not found");
    call = ask(ALICE, "PUT", "/v1/sys/leases/revoke", lease_body(read));
    assert_int_equal(call->status, 204);
}

static void test_the_old_forms_take_the_id_in_the_path(void **state)
{
    struct call *read;
    char target[128];

    (void)state;
    read = ask(ALICE, "GET", DB, NULL);
    (void)snprintf(target, sizeof(target), "/v1/sys/renew/%s", call_text(read, "lease_id"));
    assert_int_equal(ask(ALICE, "PUT", target, NULL)->status, 200);
    (void)snprintf(target, sizeof(target), "/v1/sys/leases/revoke/%s", call_text(read, "lease_id"));
    assert_int_equal(ask(ALICE, "PUT", target, "{\"sync\":false}")->status, 202);
    fixture_advance(SECOND_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
}

static void test_another_callers_lease_is_refused_but_not_to_an_admin(void **state)
{
    static const char *const targets[] = {"/v1/sys/leases/lookup", "/v1/sys/leases/renew",
                                          "/v1/sys/leases/revoke"};
    struct call *read;
    struct call *call;
    size_t i;

    (void)state;
    read = ask(ALICE, "GET", DB, NULL);
    for (i = 0; i < 3; i++) {
        call = ask(BOB, "PUT", targets[i], lease_body(read));
        assert_int_equal(call->status, 403);
        assert_string_equal(first_error(call), "permission denied: the lease is another caller's");
    }
    assert_int_equal(ask(RITA, "PUT", targets[0], lease_body(read))->status, 200);
    assert_int_equal(ask(RITA, "PUT", targets[2], lease_body(read))->status, 403);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    assert_int_equal(ask(ADA, "PUT", targets[2], lease_body(read))->status, 204);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
}

static void test_unknown_leases_are_answered_as_vault_does(void **state)
{
    struct call *call;

    (void)state;
    call = ask(ALICE, "PUT", "/v1/sys/leases/lookup", "{\"lease_id\":\"database/creds/x/y\"}");
    assert_int_equal(call->status, 400);
    assert_string_equal(first_error(call), "invalid lease");
    call = ask(ALICE, "PUT", "/v1/sys/leases/lookup", NULL);
    assert_int_equal(call->status, 400);
    assert_int_equal(ask(ALICE, "GET", "/v1/sys/leases/lookup", NULL)->status, 405);
    assert_int_equal(ask(ALICE, "PUT", "/v1/sys/leases/revoke", "{\"lease_id\":\"x\"}")->status,
                     204);
}

/* --- tokens --- */

static void test_any_login_is_answered_with_a_token_that_means_nothing(void **state)
{
    static const char *const targets[] = {"/v1/auth/approle/login", "/v1/auth/team/jwt/login",
                                          "/v1/auth/userpass/login/alice"};
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        struct call *call = ask(CAROL, "POST", targets[i], "{\"password\":\"x\"}");

        assert_int_equal(call->status, 200);
        assert_string_equal(call_text(call, "auth.client_token"), "leased");
        assert_true(json_is_null(call_member(call, "data")));
    }
}

static void test_the_own_token_is_looked_up_and_renewed(void **state)
{
    struct call *call;

    (void)state;
    call = ask(ALICE, "GET", "/v1/auth/token/lookup-self", NULL);
    assert_string_equal(call_text(call, "data.meta.caller"), "alice");
    call = ask(ALICE, "PUT", "/v1/auth/token/renew-self", "{\"increment\":60}");
    assert_int_equal(json_integer_value(call_member(call, "auth.lease_duration")), 2764800);
}

static void test_revoking_the_own_token_ends_what_the_process_holds(void **state)
{
    (void)state;
    (void)ask(ALICE, "GET", DB, NULL);
    (void)ask(ALICE_AGAIN, "GET", DB, NULL);
    assert_int_equal(scripted_live_count(&f.issuer), 2);
    assert_int_equal(ask(ALICE, "POST", "/v1/auth/token/revoke-self", NULL)->status, 204);
    fixture_advance(SECOND_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
}

/* --- itself --- */

static void test_it_is_as_healthy_as_its_backend(void **state)
{
    struct idle_backend *idle;
    struct call *call;

    (void)state;
    idle = fixture_add_backend(f.issuer.issuer.name);
    call = ask(ALICE, "GET", "/v1/sys/health", NULL);
    assert_int_equal(call->status, 503);
    assert_true(json_is_true(call_member(call, "sealed")));
    assert_int_equal(ask(ALICE, "GET", "/v1/sys/health?sealedcode=299", NULL)->status, 299);
    idle_backend_login(idle, UINT64_MAX);
    fixture_run();
    assert_int_equal(ask(ALICE, "HEAD", "/v1/sys/health", NULL)->status, 200);
    assert_int_equal(ask(ALICE, "GET", "/v1/sys/health?activecode=204", NULL)->status, 204);
    assert_int_equal(ask(ALICE, "GET", "/v1/sys/health?activecode=99", NULL)->status, 200);
    call = ask(ALICE, "GET", "/v1/sys/seal-status", NULL);
    assert_true(json_is_false(call_member(call, "sealed")));
    assert_int_equal(ask(ALICE, "GET", "/v1/sys/leader", NULL)->status, 200);
    assert_int_equal(ask(ALICE, "GET", "/v1/sys/init", NULL)->status, 200);
}

static void test_a_mount_that_a_role_tells_is_known(void **state)
{
    struct call *call;

    (void)state;
    call = ask(ALICE, "GET", "/v1/sys/internal/ui/mounts/kv/own", NULL);
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "data.path"), "kv/");
    assert_string_equal(call_text(call, "data.options.version"), "2");
    assert_int_equal(ask(ALICE, "GET", "/v1/sys/internal/ui/mounts/kvx/own", NULL)->status, 403);
}

static void test_capabilities_are_those_of_our_policy(void **state)
{
    struct call *call;

    (void)state;
    call = ask(ALICE, "POST", "/v1/sys/capabilities-self",
               "{\"paths\":[\"database/creds/orders\",\"a\\\"b\"]}");
    assert_int_equal(call->status, 200);
    assert_string_equal(json_string_value(
                            json_array_get(call_member(call, "data.database/creds/orders"), 0)),
                        "read");
    assert_string_equal(json_string_value(json_array_get(call_member(call, "data.a\"b"), 0)),
                        "deny");
    assert_int_equal(ask(ALICE, "POST", "/v1/sys/capabilities-self", "{\"paths\":[1]}")->status,
                     400);
}

/* --- guards --- */

static struct call *ask_with(const char *header)
{
    const char *headers[] = {header, NULL};

    setup_paths();
    f.listener.vault.needs_header = true;
    return fixture_send_message(ALICE, (struct message){.method = "GET",
                                                        .target = "/v1/sys/health",
                                                        .headers = headers,
                                                        .has_no_default_headers = true});
}

static void test_the_header_of_vaults_clients_is_asked_for_where_it_is_configured(void **state)
{
    struct call *call;

    (void)state;
    call = ask_with("X-Vault-Request: 1");
    assert_int_equal(call->status, 412);
    assert_string_equal(first_error(call), "missing \"X-Vault-Request\" header");
    assert_int_equal(ask_with("X-Vault-Request: true")->status, 503);
}

static void test_foreign_pages_and_proxies_are_refused(void **state)
{
    static const char *const headers[] = {"Origin: https://evil.example",
                                          "X-Forwarded-For: 10.0.0.1"};
    size_t i;

    (void)state;
    setup_paths();
    for (i = 0; i < 2; i++) {
        const char *list[] = {headers[i], NULL};
        struct call *call =
            fixture_send_message(ALICE,
                                 (struct message){.method = "GET", .target = DB, .headers = list});

        assert_int_equal(call->status, 403);
        assert_true(call->is_closing);
    }
}

static void test_a_listener_without_vault_has_no_such_paths(void **state)
{
    (void)state;
    fixture_expect(fixture_get(ALICE, DB), 404, "not_found");
}

/* --- paths --- */

static void test_paths_are_decoded_once_and_ambiguous_ones_refused(void **state)
{
    static const struct {
        const char *raw;
        const char *space; /* NULL: none */
        const char *full;  /* NULL: refused */
    } cases[] = {
        {"/v1/a/b", NULL, "a/b"},  {"/v1/a/b/", NULL, "a/b/"},  {"/v1/a%20b", NULL, "a b"},
        {"/v1/a%2fb", NULL, NULL}, {"/v1/a%2Eb", NULL, NULL},   {"/v1/%25", NULL, NULL},
        {"/v1/a%0ab", NULL, NULL}, {"/v1/a%", NULL, NULL},      {"/v1/a%4", NULL, NULL},
        {"/v1/a\\b", NULL, NULL},  {"/v1//a", NULL, NULL},      {"/v1/a/../b", NULL, NULL},
        {"/v1/a/.", NULL, NULL},   {"/v1/a", "team", "team/a"}, {"/v1/a", "/team/x/", "team/x/a"},
        {"/v1/a", "own", "a"},     {"/v1/a", "own/", "a"},      {"/v1/a", "root", "a"},
        {"/v1/a", "", "a"},        {"/v1/a", "..", NULL},       {"/v1/a", "a//b", NULL},
        {"/v1/a", "a%2fb", NULL},
    };
    struct vault_path path;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        struct str space = {.ptr = cases[i].space,
                            .len = cases[i].space != NULL ? strlen(cases[i].space) : 0};
        struct err e = {0};
        int r = serve_vault_path_parse(str_of(cases[i].raw), space, "own/", &path, &e);

        if ((r == 0) != (cases[i].full != NULL) ||
            (r == 0 && !str_eq_c(serve_vault_path_full(&path), cases[i].full))) {
            fail_msg("%s in %s", cases[i].raw, cases[i].space);
        }
    }
}

#define vault_test(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        vault_test(test_a_path_of_a_role_is_leased),
        vault_test(test_both_apis_lead_to_one_grant_in_their_own_words),
        vault_test(test_of_several_roles_the_first_allowed_one_answers),
        vault_test(test_of_several_roles_the_one_of_the_grant_token_answers),
        vault_test(test_parameters_must_be_the_roles),
        vault_test(test_a_lease_is_looked_up_renewed_and_revoked_by_its_holder),
        vault_test(test_the_old_forms_take_the_id_in_the_path),
        vault_test(test_another_callers_lease_is_refused_but_not_to_an_admin),
        vault_test(test_unknown_leases_are_answered_as_vault_does),
        vault_test(test_any_login_is_answered_with_a_token_that_means_nothing),
        vault_test(test_the_own_token_is_looked_up_and_renewed),
        vault_test(test_revoking_the_own_token_ends_what_the_process_holds),
        vault_test(test_it_is_as_healthy_as_its_backend),
        vault_test(test_a_mount_that_a_role_tells_is_known),
        vault_test(test_capabilities_are_those_of_our_policy),
        vault_test(test_the_header_of_vaults_clients_is_asked_for_where_it_is_configured),
        vault_test(test_foreign_pages_and_proxies_are_refused),
        vault_test(test_a_listener_without_vault_has_no_such_paths),
        vault_test(test_paths_are_decoded_once_and_ambiguous_ones_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
