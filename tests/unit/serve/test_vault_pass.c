/* Requests of Vault's API that are passed on: what needs which rule, what reaches the backend, and
 * what comes back. */
#include <string.h>

#include "base/mem.h"
#include "leased/plugin.h"
#include "unit/serve/fixture.h"

static struct idle_backend *idle;

static const char policy_text[] =
    "rules:\n"
    "- name: kv\n"
    "  subjects: [{user: alice}]\n"
    "  paths:\n"
    "  - {path: 'kv/*', capabilities: [read, update, delete, list, patch]}\n"
    "  - {path: 'team/kv/*', capabilities: [read]}\n"
    "  - {path: 'sys/*', capabilities: [update]}\n"
    "  - {path: 'auth/*', capabilities: [update]}\n"
    "  - {path: 'db/creds/x', capabilities: [read]}\n"
    "- {name: all, subjects: [{user: bob}], paths: [{path: '*', capabilities: [read, sudo]}]}\n"
    "admins: [{user: ada}]\n";

static struct access_policy *policy_of(const char *text)
{
    f.policy_text = text;
    return fixture_parse_policy();
}

static int compile(void *user, const struct policy_bundle *bundle,
                   struct access_policy **ret_policy, struct yaml_errors *mistakes)
{
    (void)user;
    (void)mistakes;
    *ret_policy = policy_of(bundle->files[0].text.ptr);
    return 0;
}

static int setup(void **state)
{
    int r = fixture_setup(state);

    f.options.policy_compile = compile;
    idle = fixture_add_backend("vault-a");
    f.policy_text = policy_text;
    fixture_open();
    idle_backend_login(idle, UINT64_MAX);
    f.listener.apis |= SERVE_API_VAULT;
    (void)snprintf(f.listener.vault.backend, sizeof(f.listener.vault.backend), "vault-a");
    fixture_run();
    return r;
}

static struct call *send_with(enum who who, const char *method, const char *target,
                              const char *const *headers, const char *body)
{
    struct call *call = fixture_send_message(who, (struct message){.method = method,
                                                                   .target = target,
                                                                   .headers = headers,
                                                                   .body = body,
                                                                   .has_no_default_headers = true});

    fixture_run();
    return call;
}

static struct call *send_plain(enum who who, const char *method, const char *target,
                               const char *body)
{
    return send_with(who, method, target, NULL, body);
}

static void answer(struct call *call, uint32_t status, const char *type, const char *body)
{
    idle_backend_answer(idle, status, type, body);
    fixture_run();
    if (call->status != 0) {
        call_deliver(call);
        fixture_run();
    }
}

#define JSON "application/json"

static void test_an_allowed_request_goes_out_and_its_answer_comes_back(void **state)
{
    static const char *const headers[] = {"Content-Type: application/merge-patch+json",
                                          "X-Vault-Token: mine", "X-Other: x", NULL};
    struct call *call;

    (void)state;
    call = send_with(ALICE, "PATCH", "/v1/kv/data/a?x=1", headers, "{\"b\":1}");
    assert_string_equal(idle->call.method, "PATCH");
    assert_string_equal(idle->call.path, "/v1/kv/data/a?x=1");
    assert_string_equal(idle->call.headers, "content-type=application/merge-patch+json,");
    assert_string_equal(idle->call.body, "{\"b\":1}");
    assert_int_equal(call->status, 0);
    answer(call, 404, JSON, "{\"errors\":[]}");
    assert_int_equal(call->status, 404);
    assert_string_equal(call->content_type, JSON);
    assert_string_equal(call->body, "{\"errors\":[]}");
    assert_string_equal(call_header(call, "x-vault-index"), "7");
    assert_int_equal(fixture_records("path.called"), 1);
    assert_int_equal(fixture_trail_has("kv/data/a"), 0);
    assert_int_equal(fixture_trail_has("\"reason\":\"patch\""), 1);
    assert_int_equal(fixture_trail_has("\"rule\":\"kv\""), 1);
}

static void test_bytes_that_are_no_json_pass(void **state)
{
    struct call *call;

    (void)state;
    call = send_plain(ALICE, "GET", "/v1/kv/raw", NULL);
    answer(call, 200, "application/pkix-cert", "\x30\x82 lease_id");
    assert_int_equal(call->status, 200);
    assert_string_equal(call->body, "\x30\x82 lease_id");
    call = send_plain(ALICE, "DELETE", "/v1/kv/a", NULL);
    answer(call, 204, NULL, "");
    assert_int_equal(call->status, 204);
}

static void test_json_that_cannot_be_read_does_not_pass(void **state)
{
    struct call *call;

    (void)state;
    call = send_plain(ALICE, "GET", "/v1/kv/a", NULL);
    answer(call, 200, JSON, "{\"lease_id\":\"\",\"lease_id\":\"x\"}");
    assert_int_equal(call->status, 502);
}

static void test_the_method_says_which_capability_is_needed(void **state)
{
    static const struct {
        const char *method;
        const char *target;
        uint32_t status; /* 0: passed on */
    } cases[] = {
        {"GET", "/v1/kv/a", 0},
        {"LIST", "/v1/kv/a", 0},
        {"GET", "/v1/kv/a?list=true", 0},
        {"PUT", "/v1/kv/a", 0},
        {"GET", "/v1/team/kv/a", 0},
        {"LIST", "/v1/team/kv/a", 403},
        {"GET", "/v1/team/kv/a?list=true", 403},
        {"GET", "/v1/team/kv/a?list=false", 0},
        {"GET", "/v1/team/kv/a?list=1", 400},
        {"GET", "/v1/team/kv/a?list=false&list=true", 400},
        {"GET", "/v1/team/kv/a?l%69st=true", 400},
        {"POST", "/v1/team/kv/a", 403},
        {"SCAN", "/v1/kv/", 403},
        {"OPTIONS", "/v1/kv/a", 405},
        {"HEAD", "/v1/kv/a", 405},
        {"GET", "/v1/other", 403},
        {"POST", "/v1/sys/seal", 403}, /* wants sudo */
        {"POST", "/v1/sys/tools/random", 0},
        {"GET", "/v1/db/creds/x", 403}, /* whatever a rule says */
        {"POST", "/v1/auth/token/create", 403},
        {"GET", "/v1/kv/../other", 400},
        {"GET", "/v1/kv%2fa", 400},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        size_t before = idle->call.count;
        struct call *call = send_plain(ALICE, cases[i].method, cases[i].target, NULL);

        if (idle->call.op != NULL) {
            answer(call, 204, NULL, "");
        }
        if ((idle->call.count > before) != (cases[i].status == 0) ||
            (cases[i].status != 0 && call->status != cases[i].status)) {
            fail_msg("%s %s: %u", cases[i].method, cases[i].target, call->status);
        }
    }
}

static void test_a_denial_is_on_record_and_says_what_to_do(void **state)
{
    struct call *call;

    (void)state;
    call = send_plain(CAROL, "PUT", "/v1/kv/a", NULL);
    assert_int_equal(call->status, 403);
    assert_non_null(strstr(call->body, "permission denied: no rule allows it by its paths"));
    assert_non_null(strstr(call->body, "`paths` and update"));
    assert_int_equal(fixture_records("path.called"), 1);
    assert_int_equal(fixture_trail_has("\"outcome\":\"denied\""), 1);
    assert_int_equal(idle->call.count, 0);
}

static void test_a_namespace_goes_before_the_path(void **state)
{
    static const char *const headers[] = {"X-Vault-Namespace: team/", NULL};
    struct call *call;

    (void)state;
    call = send_with(ALICE, "GET", "/v1/kv/a", headers, NULL);
    assert_string_equal(idle->call.path, "/v1/team/kv/a");
    answer(call, 204, NULL, "");
    call = send_with(ALICE, "PUT", "/v1/kv/a", headers, NULL);
    assert_int_equal(call->status, 403);
}

/* --- leases --- */

static void test_a_lease_in_an_answer_is_ended_and_refused(void **state)
{
    static const char *const headers[] = {"X-Vault-Namespace: team", NULL};
    struct call *call;

    (void)state;
    call = send_with(ALICE, "GET", "/v1/kv/a", headers, NULL);
    answer(call, 200, JSON, "{\"lease_id\":\"kv/a/1\",\"data\":{\"p\":\"" SCRIPTED_MARKER "\"}}");
    assert_int_equal(call->status, 0);
    assert_string_equal(idle->call.method, "POST");
    assert_string_equal(idle->call.path, "/v1/team/sys/leases/revoke");
    assert_string_equal(idle->call.body, "{\"lease_id\":\"kv/a/1\"}");
    answer(call, 204, NULL, "");
    assert_int_equal(call->status, 403);
    assert_non_null(strstr(call->body, "define a role with this path"));
}

static void test_a_token_in_an_answer_is_ended_and_refused(void **state)
{
    struct call *call;

    (void)state;
    call = send_plain(ALICE, "POST", "/v1/auth/x/mint", NULL);
    answer(call, 200, JSON, "{\"auth\":{\"client_token\":\"" SCRIPTED_MARKER "\"}}");
    assert_string_equal(idle->call.path, "/v1/auth/token/revoke");
    answer(call, 400, JSON, "{}");
    assert_string_equal(idle->call.path, "/v1/auth/token/revoke"); /* once more */
    answer(call, 204, NULL, "");
    assert_int_equal(call->status, 403);
}

static void test_what_cannot_be_ended_is_logged(void **state)
{
    struct call *call;
    int i;

    (void)state;
    call = send_plain(ALICE, "GET", "/v1/kv/a", NULL);
    answer(call, 200, JSON, "{\"lease_id\":\"kv/a/1\"}");
    for (i = 0; i < 3; i++) {
        answer(call, 500, JSON, "{}");
    }
    assert_int_equal(call->status, 403);
    assert_non_null(strstr(f.log, "revoke it at the issuer"));
}

static void test_a_lease_is_ended_though_the_client_has_gone(void **state)
{
    struct call *call;

    (void)state;
    call = send_plain(ALICE, "GET", "/v1/kv/a", NULL);
    answer(call, 200, JSON, "{\"lease_id\":\"kv/a/1\"}");
    call_hang_up(call);
    fixture_run();
    assert_non_null(idle->call.op); /* the revocation isn't given up */
    answer(call, 204, NULL, "");
    assert_int_equal(call->status, 0);
}

static void test_a_client_that_goes_away_gives_the_call_up(void **state)
{
    struct call *call;

    (void)state;
    call = send_plain(ALICE, "GET", "/v1/kv/a", NULL);
    assert_non_null(idle->call.op);
    call_hang_up(call);
    fixture_run();
    assert_null(idle->call.op);
}

/* --- wrapping --- */

static const char *const wraps[] = {"X-Vault-Wrap-TTL: 60s", NULL};

static void test_a_read_is_looked_at_before_it_is_wrapped(void **state)
{
    struct call *call;

    (void)state;
    call = send_with(ALICE, "GET", "/v1/kv/a", wraps, NULL);
    assert_string_equal(idle->call.headers, "");
    answer(call, 200, JSON, "{\"lease_id\":\"\",\"data\":{\"p\":\"" SCRIPTED_MARKER "\"}}");
    assert_int_equal(call->status, 0);
    assert_string_equal(idle->call.headers, "x-vault-wrap-ttl=60s,");
    answer(call, 200, JSON, "{\"wrap_info\":{\"token\":\"w\"}}");
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "wrap_info.token"), "w");
}

static void test_a_wrapped_lease_is_never_made(void **state)
{
    struct call *call;

    (void)state;
    call = send_with(ALICE, "GET", "/v1/kv/a", wraps, NULL);
    answer(call, 200, JSON, "{\"lease_id\":\"kv/a/1\"}");
    assert_string_equal(idle->call.path, "/v1/sys/leases/revoke");
    answer(call, 204, NULL, "");
    assert_int_equal(call->status, 403);
    assert_int_equal(idle->call.count, 2);
    call = send_with(ALICE, "POST", "/v1/kv/a", wraps, NULL);
    assert_int_equal(call->status, 400);
    assert_int_equal(idle->call.count, 2);
}

static void test_a_wrapping_token_in_the_header_moves_to_the_body(void **state)
{
    static const char *const headers[] = {"X-Vault-Token: s.W\"1", NULL};
    struct call *call;

    (void)state;
    call = send_with(ALICE, "PUT", "/v1/sys/wrapping/unwrap", headers, NULL);
    assert_string_equal(idle->call.body, "{\"token\":\"s.W\\\"1\"}");
    answer(call, 200, JSON, "{\"lease_id\":\"x\",\"data\":{}}"); /* somebody's already */
    assert_int_equal(call->status, 200);
    call = send_with(ALICE, "PUT", "/v1/sys/wrapping/unwrap", headers, "{\"token\":\"s.2\"}");
    assert_string_equal(idle->call.body, "{\"token\":\"s.2\"}");
    answer(call, 204, NULL, "");
}

/* --- failures --- */

static void test_failures_of_the_call_are_told_apart(void **state)
{
    static const struct {
        int32_t status;
        uint32_t http;
    } cases[] = {
        {LEASED_RETRY, 503}, {LEASED_SEALED, 503},  {LEASED_DENIED, 502},
        {LEASED_LOST, 502},  {LEASED_INVALID, 400},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        struct call *call = send_plain(ALICE, "DELETE", "/v1/kv/a", NULL);

        idle_backend_fail(idle, cases[i].status);
        fixture_run();
        assert_int_equal(call->status, cases[i].http);
        assert_true((call_header(call, "retry-after") != NULL) == (cases[i].http == 503));
        call_deliver(call);
    }
}

static void test_nothing_is_called_without_a_record(void **state)
{
    struct call *call;

    (void)state;
    f.trail->is_held = true;
    call = send_plain(ALICE, "GET", "/v1/kv/a", NULL);
    assert_int_equal(idle->call.count, 0);
    fixture_advance(3 * SECOND_MS);
    assert_int_equal(call->status, 503);
    assert_int_equal(idle->call.count, 0);
    f.trail->is_held = false;
    fixture_run();
}

static void test_a_backend_that_went_before_the_record_was_there_is_not_called(void **state)
{
    struct call *call;

    (void)state;
    f.trail->is_held = true;
    call = send_plain(ALICE, "GET", "/v1/kv/a", NULL);
    serve_set(f.serve, &(struct serve_settings){.policy = f.policy});
    f.trail->is_held = false;
    fixture_run();
    assert_int_equal(idle->call.count, 0);
    assert_int_equal(call->status, 503);
}

static void test_a_mount_is_asked_for_by_who_may_do_something_there(void **state)
{
    struct call *call;

    (void)state;
    call = send_plain(ALICE, "GET", "/v1/sys/internal/ui/mounts/kv/a", NULL);
    assert_string_equal(idle->call.path, "/v1/sys/internal/ui/mounts/kv/a");
    answer(call, 200, JSON, "{\"data\":{}}");
    assert_int_equal(call->status, 200);
    call = send_plain(ALICE, "GET", "/v1/sys/internal/ui/mounts/pki", NULL);
    assert_int_equal(call->status, 403);
    call = send_plain(BOB, "GET", "/v1/sys/internal/ui/mounts/pki", NULL);
    answer(call, 204, NULL, "");
}

/* alice may read what the observed policy would keep from her, and is refused what it would give.
 */
static void test_an_observed_policy_is_tried_on_paths_and_changes_nothing(void **state)
{
    struct access_policy *observed =
        policy_of("{rules: [{name: less, subjects: [{user: alice}],\n"
                  "  paths: [{path: 'kv/b', capabilities: [read]}, {path: 'other', capabilities: "
                  "[read]}]}]}");
    size_t i;

    (void)state;
    serve_set_policy(f.serve, f.policy, observed, NULL);
    for (i = 0; i < 2; i++) {
        struct call *call = send_plain(ALICE, "GET", "/v1/kv/a", NULL);

        answer(call, 200, JSON, "{\"data\":{}}");
        assert_int_equal(call->status, 200);
        call = send_plain(ALICE, "GET", "/v1/kv/b", NULL);
        answer(call, 200, JSON, "{\"data\":{}}");
        assert_int_equal(send_plain(ALICE, "GET", "/v1/other", NULL)->status, 403);
        assert_int_equal(send_plain(CAROL, "GET", "/v1/kv/a", NULL)->status, 403);
    }
    assert_int_equal(fixture_records("observe.differs"), 2);
    assert_int_equal(fixture_trail_has("\"rule\":\"kv\"},\"observed\":{\"outcome\":\"denied\""), 1);
    assert_int_equal(fixture_trail_has("\"observed\":{\"outcome\":\"allow\""), 1);
    assert_int_equal(fixture_trail_has("kv/a"), 0);
    serve_set_policy(f.serve, f.policy, NULL, NULL);
    access_policy_free(observed);
}

static void test_a_plan_tries_the_paths_that_were_called(void **state)
{
    struct call *call = send_plain(ALICE, "GET", "/v1/kv/a", NULL);
    char *paths;

    (void)state;
    answer(call, 200, JSON, "{\"data\":{}}");
    assert_int_equal(send_plain(CAROL, "LIST", "/v1/kv/b/", NULL)->status, 403);
    call = fixture_call(
        ADA, "POST", API "/policy/plan",
        "{\"files\":[{\"name\":\"a.yaml\",\"text\":\"{rules: [{name: new, subjects: [{user: "
        "carol}], paths: [{path: 'kv/+', capabilities: [read, list]}]}], admins: [{user: "
        "ada}]}\"}]}");
    assert_int_equal(call->status, 200);
    assert_int_equal(json_integer_value(call_member(call, "paths_tried")), 2);
    assert_int_equal(json_array_size(call_member(call, "paths")), 2);
    paths = json_dumps(call_member(call, "paths"), JSON_COMPACT);
    assert_non_null(strstr(paths,
                           "\"name\":\"carol\",\"backend\":\"vault-a\",\"path\":\"kv/b/\","
                           "\"capabilities\":[\"list\"],\"before\":{\"decision\":\"denied\""));
    assert_non_null(strstr(paths, "\"after\":{\"decision\":\"allow\",\"rule\":\"new\""));
    assert_non_null(strstr(paths, "\"name\":\"alice\",\"backend\":\"vault-a\",\"path\":\"kv/a\""));
    mem_free(paths);
}

#define pass_test(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        pass_test(test_an_allowed_request_goes_out_and_its_answer_comes_back),
        pass_test(test_bytes_that_are_no_json_pass),
        pass_test(test_json_that_cannot_be_read_does_not_pass),
        pass_test(test_the_method_says_which_capability_is_needed),
        pass_test(test_a_denial_is_on_record_and_says_what_to_do),
        pass_test(test_a_namespace_goes_before_the_path),
        pass_test(test_a_lease_in_an_answer_is_ended_and_refused),
        pass_test(test_a_token_in_an_answer_is_ended_and_refused),
        pass_test(test_what_cannot_be_ended_is_logged),
        pass_test(test_a_lease_is_ended_though_the_client_has_gone),
        pass_test(test_a_client_that_goes_away_gives_the_call_up),
        pass_test(test_a_read_is_looked_at_before_it_is_wrapped),
        pass_test(test_a_wrapped_lease_is_never_made),
        pass_test(test_a_wrapping_token_in_the_header_moves_to_the_body),
        pass_test(test_failures_of_the_call_are_told_apart),
        pass_test(test_nothing_is_called_without_a_record),
        pass_test(test_a_backend_that_went_before_the_record_was_there_is_not_called),
        pass_test(test_an_observed_policy_is_tried_on_paths_and_changes_nothing),
        pass_test(test_a_plan_tries_the_paths_that_were_called),
        pass_test(test_a_mount_is_asked_for_by_who_may_do_something_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
