/* The built-in plugins behind the real host, on the fake env: what the ABI promises to both sides
 * holds for them together, from the first login to the last revocation. */
#include "backend/call.h"
#include "base/mem.h"
#include "builtin_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void test_a_lease_lives_from_login_to_revocation(void **state)
{
    struct backend_status status;
    struct ended ended;
    struct world world;

    (void)state;
    world_open(&world);
    backend_status(world.backend, &status);
    assert_false(status.is_up);
    log_in(&world);
    backend_status(world.backend, &status);
    assert_true(status.is_up);
    assert_int_equal(status.login_expires_ms, 5000 + 7200000);
    call(&world, &ended, LEASE_CALL_ISSUE, "{\"path\":\"database/creds/${identity.user}\"}");
    assert_string_equal(fake_env_http_first(&world.fake)->url,
                        "https://vault.example/v1/database/creds/joe");
    answer(&world, 200,
           "{\"lease_id\":\"database/creds/joe/1\",\"lease_duration\":3600,\"renewable\":true,"
           "\"data\":{\"username\":\"u\",\"password\":\"p\"}}");
    assert_int_equal(ended.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(ended.lifetime_ms, 3600000);
    assert_string_equal(ended.ref, "database/creds/joe/1");
    assert_string_equal(ended.secret, "p");
    call(&world, &ended, LEASE_CALL_RENEW, "{}");
    answer(&world, 200,
           "{\"lease_id\":\"database/creds/joe/1\",\"lease_duration\":3600,\"renewable\":true}");
    assert_int_equal(ended.outcome, LEASE_OUTCOME_OK);
    call(&world, &ended, LEASE_CALL_REVOKE, "{}");
    answer(&world, 204, "");
    assert_int_equal(ended.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(ended.count, 1);
    world_close(&world);
}

static void test_a_template_cannot_reach_another_path(void **state)
{
    struct ended ended;
    struct world world;

    (void)state;
    world_open(&world);
    log_in(&world);
    call(&world, &ended, LEASE_CALL_ISSUE, "{\"path\":\"database/creds/${identity.unit}\"}");
    assert_int_equal(ended.outcome, LEASE_OUTCOME_INVALID);
    assert_int_equal(world.fake.http_start_count, 2);
    world_close(&world);
}

/* Whatever a caller is called and says, it stays where the role put it. */
static void test_hostile_names_and_reasons_stay_where_they_stand(void **state)
{
    static const struct {
        const char *user;
        const char *reason;
        const char *params;
        const char *url; /* NULL: refused, and nothing is sent */
        const char *body;
    } cases[] = {
        {"..", "", "{\"path\":\"kv/${identity.user}\"}", NULL, NULL},
        {".", "", "{\"path\":\"kv/.${identity.user}/x\"}", NULL, NULL},
        {"a/../../sys/raw", "", "{\"path\":\"kv/${identity.user}\"}", NULL, NULL},
        {"a%2f..", "", "{\"path\":\"kv/${identity.user}\"}", NULL, NULL},
        {"a?x=y", "", "{\"path\":\"kv/${identity.user}\"}", NULL, NULL},
        {"a#b", "", "{\"path\":\"kv/${identity.user}\"}", NULL, NULL},
        {"a\r\nX-Vault-Token: t", "", "{\"path\":\"kv/${identity.user}\"}", NULL, NULL},
        {"", "", "{\"path\":\"kv/${identity.user}\"}", NULL, NULL},
        {"joe", "../x", "{\"path\":\"kv/${reason}\"}", NULL, NULL},
        {"joe,root", "", "{\"path\":\"kv/a\",\"params\":{\"p\":\"${identity.user}\"}}", NULL, NULL},
        {"a&b=c#d/../%00", "", "{\"path\":\"kv/a\",\"params\":{\"u\":\"${identity.user}\"}}",
         "https://vault.example/v1/kv/a?u=a%26b%3Dc%23d%2F..%2F%2500", ""},
        {"joe", "x\r\nHost: y\"},{\"", "{\"path\":\"kv/a\",\"params\":{\"r\":\"${reason}\"}}",
         "https://vault.example/v1/kv/a?r=x%20%20Host%3A%20y%22%7D%20%7B%22", ""},
        {"joe", "x\",\"ttl\":\"9999h",
         "{\"path\":\"kv/a\",\"method\":\"post\",\"params\":{\"r\":\"${reason}\",\"u\":\"${identity.user}"
         "\"}}",
         "https://vault.example/v1/kv/a", "{\"r\":\"x\\\" \\\"ttl\\\":\\\"9999h\",\"u\":\"joe\"}"},
        {"joe", "${identity.user}", "{\"path\":\"kv/a\",\"params\":{\"r\":\"${reason}\"}}",
         "https://vault.example/v1/kv/a?r=%24%7Bidentity.user%7D", ""},
    };
    struct world world;

    (void)state;
    world_open(&world);
    log_in(&world);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t sent = world.fake.http_start_count;
        struct ended ended;

        call_for(&world, &ended, cases[i].user, cases[i].reason, cases[i].params);
        if (cases[i].url == NULL) {
            assert_int_equal(ended.outcome, LEASE_OUTCOME_INVALID);
            assert_int_equal(world.fake.http_start_count, sent);
            continue;
        }
        assert_string_equal(fake_env_http_first(&world.fake)->url, cases[i].url);
        assert_true(str_eq_c(fake_env_http_first(&world.fake)->body, cases[i].body));
        answer(&world, 200, "{\"data\":{\"k\":\"v\"}}");
        assert_int_equal(ended.outcome, LEASE_OUTCOME_OK);
    }
    world_close(&world);
}

static void test_what_an_unusable_answer_created_is_named(void **state)
{
    struct ended ended;
    struct world world;

    (void)state;
    world_open(&world);
    log_in(&world);
    call(&world, &ended, LEASE_CALL_ISSUE, "{\"path\":\"database/creds/joe\"}");
    answer(&world, 200,
           "{\"lease_id\":\"database/creds/joe/9\",\"lease_duration\":60,\"renewable\":false,"
           "\"data\":{\"a b\":\"no name of a field\"}}");
    assert_int_equal(ended.outcome, LEASE_OUTCOME_INVALID);
    assert_string_equal(ended.orphan, "database/creds/joe/9");
    world_close(&world);
}

static void test_a_deadline_passes_and_the_late_lease_is_revoked(void **state)
{
    struct backend_status status;
    struct ended ended;
    struct world world;

    (void)state;
    world_open(&world);
    log_in(&world);
    call(&world, &ended, LEASE_CALL_ISSUE, "{\"path\":\"database/creds/joe\"}");
    fake_env_advance(&world.fake, 30000);
    assert_int_equal(ended.outcome, LEASE_OUTCOME_LOST);
    answer(&world, 200,
           "{\"lease_id\":\"database/creds/joe/9\",\"lease_duration\":3600,\"renewable\":true,"
           "\"data\":{\"password\":\"p\"}}");
    assert_string_equal(fake_env_http_first(&world.fake)->url,
                        "https://vault.example/v1/sys/leases/revoke");
    answer(&world, 204, "");
    assert_int_equal(ended.count, 1);
    backend_status(world.backend, &status);
    assert_int_equal(status.op_late_total, 1);
    world_close(&world);
}

static void test_a_backend_that_is_down_opens_answers_and_closes(void **state)
{
    struct backend_status status;
    struct ended ended;
    struct world world;

    (void)state;
    world_open(&world);
    call(&world, &ended, LEASE_CALL_ISSUE, "{\"path\":\"database/creds/joe\"}");
    assert_int_equal(ended.count, 0);
    fake_env_http_finish(&world.fake, fake_env_http_first(&world.fake), ERR_CONNECT, NULL,
                         "connection refused");
    fake_env_run(&world.fake);
    assert_int_equal(ended.outcome, LEASE_OUTCOME_RETRY);
    assert_non_null(strstr(ended.detail, "connection refused"));
    backend_status(world.backend, &status);
    assert_false(status.is_up);
    assert_non_null(strstr(status.last_error, "connection refused"));
    world_close(&world);
}

static void test_the_death_of_the_token_is_told_for_its_leases(void **state)
{
    struct ended ended;
    struct world world;

    (void)state;
    world_open(&world);
    log_in(&world);
    fake_env_advance(&world.fake, 60000);
    call(&world, &ended, LEASE_CALL_RENEW, "{}");
    answer(&world, 403, "{\"errors\":[\"permission denied\"]}");
    answer(&world, 403, "{\"errors\":[\"permission denied\"]}"); /* the look-up */
    assert_int_equal(ended.outcome, LEASE_OUTCOME_RETRY);
    assert_int_equal(world.anchor_count, 1);
    assert_int_equal(world.anchor_when_ms, 0);
    log_in(&world);
    world_close(&world);
}

struct passed {
    struct backend_call call;
    size_t count;
    enum lease_outcome outcome;
    uint32_t status;
    char detail[256];
    char body[64];
};

static void passed_ended(struct backend_call *call, const struct backend_call_result *result)
{
    struct passed *passed = call->user;

    passed->count++;
    passed->outcome = result->outcome;
    passed->status = result->status;
    (void)snprintf(passed->detail, sizeof(passed->detail), "%s",
                   result->detail != NULL ? result->detail : "");
    (void)snprintf(passed->body, sizeof(passed->body), "%.*s", STR_ARG(result->body));
}

static void pass(struct world *world, struct passed *passed, const char *path)
{
    *passed = (struct passed){.call = {.method = "GET", .path = path, .fn = passed_ended}};
    passed->call.user = passed;
    assert_int_equal(backend_call_start(world->backend, &passed->call), 0);
    fake_env_run(&world->fake);
}

static void test_a_clients_request_passes_through_under_the_backends_login(void **state)
{
    const struct env_http *http;
    struct passed passed;
    struct world world;
    bool has_token = false;

    (void)state;
    world_open(&world);
    log_in(&world);
    pass(&world, &passed, "/v1/kv/a?version=1");
    http = fake_env_http_first(&world.fake);
    assert_string_equal(http->url, "https://vault.example/v1/kv/a?version=1");
    for (size_t i = 0; i < http->header_count; i++) {
        has_token = has_token || (str_eq_c(http->headers[i].name, "X-Vault-Token") &&
                                  str_eq_c(http->headers[i].value, "s.1"));
    }
    assert_true(has_token);
    answer(&world, 404, "{\"errors\":[]}");
    assert_int_equal(passed.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(passed.status, 404);
    assert_string_equal(passed.body, "{\"errors\":[]}");
    pass(&world, &passed, "/v1/kv/../sys/raw");
    fake_env_advance(&world.fake, 0);
    assert_int_equal(passed.outcome, LEASE_OUTCOME_INVALID);
    assert_int_equal(passed.count, 1);
    /* One that is under way when the backend closes ends, too. */
    pass(&world, &passed, "/v1/kv/a");
    world_close(&world);
    assert_int_equal(passed.count, 1);
}

static void test_roles_are_checked_without_a_network(void **state)
{
    struct world world;
    struct err e = {0};

    (void)state;
    world_open(&world);
    assert_int_equal(backend_check_config(world.plugin, CONFIG, &e), 0);
    assert_int_equal(backend_check_config(world.plugin, "{\"auht\":{}}", &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "did you mean \"auth\""));
    assert_int_equal(
        backend_check_params(world.plugin, "{\"path\":\"a/${identity.user}-${role}\"}", &e), 0);
    assert_int_equal(backend_check_params(world.plugin, "{\"path\":\"a/${identity.nam}\"}", &e),
                     ERR_INVALID);
    assert_int_equal(backend_check_params(world.plugin, "{\"path\":\"a/../${role}\"}", &e),
                     ERR_INVALID);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lease_lives_from_login_to_revocation),
        cmocka_unit_test(test_a_template_cannot_reach_another_path),
        cmocka_unit_test(test_hostile_names_and_reasons_stay_where_they_stand),
        cmocka_unit_test(test_what_an_unusable_answer_created_is_named),
        cmocka_unit_test(test_a_deadline_passes_and_the_late_lease_is_revoked),
        cmocka_unit_test(test_a_backend_that_is_down_opens_answers_and_closes),
        cmocka_unit_test(test_the_death_of_the_token_is_told_for_its_leases),
        cmocka_unit_test(test_a_clients_request_passes_through_under_the_backends_login),
        cmocka_unit_test(test_roles_are_checked_without_a_network),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
