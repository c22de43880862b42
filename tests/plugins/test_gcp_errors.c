/* The gcp plugin when things go wrong: mistakes in the configuration, refusals, answers that aren't
 * any, key files that aren't, and no memory. */
#include "plugins/token_world.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>

#define PROVIDER "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p"
#define FEDERATED_CONFIG                                                                           \
    "{\"auth\":{\"method\":\"federated\",\"token_file\":\"/t\",\"audience\":\"" PROVIDER "\"}}"
#define KEY_CONFIG "{\"auth\":{\"method\":\"service_account_key\",\"key_file\":\"/k\"}}"
#define METADATA_CONFIG "{\"auth\":{\"method\":\"metadata\"}}"
#define IMPERSONATED "{\"impersonate\":\"sa@p\"}"
#define GOOD "{\"access_token\":\"ya29.secret\",\"expires_in\":3599,\"token_type\":\"Bearer\"}"
#define MADE "{\"accessToken\":\"ya29.i\",\"expireTime\":\"2026-01-01T00:15:00Z\"}"

int32_t leased_plugin_entry_gcp(const struct leased_host *host,
                                const struct leased_plugin **ret_plugin);

static struct plugin_world world;
static struct plugin_call call;
static char key_file[8192];

static void write_key_file(const char *key, json_t *value)
{
    json_t *root = json_pack("{s:s, s:s, s:s, s:s}", "type", "service_account", "private_key_id",
                             "kid-1", "client_email", "me@p.iam.gserviceaccount.com", "private_key",
                             token_pair(0)->key_pem);
    size_t len;

    (void)json_object_set_new(root, key, value);
    len = json_dumpb(root, key_file, sizeof(key_file) - 1, 0);
    assert_true(len < sizeof(key_file));
    key_file[len] = '\0';
    json_decref(root);
}

static void open_world(const char *config)
{
    write_key_file("token_uri", json_string("https://oauth2.googleapis.com/token"));
    plugin_world_init(&world, leased_plugin_entry_gcp, "gcp");
    fake_env_add_secret(&world.fake, "shared-file:/t", "subject.token.sig");
    fake_env_add_secret(&world.fake, "file:/k", key_file);
    plugin_world_open(&world, NULL, config);
}

static void ended_with(enum lease_outcome outcome, const char *text)
{
    assert_int_equal(call.end_count, 1);
    if (call.outcome != outcome || strstr(call.detail, text) == NULL) {
        fail_msg("it ended with %d: %s", (int)call.outcome, call.detail);
    }
    assert_null(strstr(call.detail, "subject.token.sig"));
    assert_null(strstr(call.detail, "ya29.secret"));
    assert_string_equal(call.fields, "");
}

/* --- configuration ---------------------------------------------------------------------------- */

static void test_mistakes_in_the_configuration_are_named_by_their_key(void **state)
{
    static const struct {
        const char *config;
        const char *text;
    } cases[] = {
        {"{}", "auth: an object is expected"},
        {"{\"project\":\"x\"}", "project: unknown key"},
        {"{\"auth\":{\"method\":\"key\"}}", "auth.method: one of federated"},
        {"{\"auth\":{\"method\":\"service_account_key\"}}",
         "auth: method service_account_key needs key_file"},
        {"{\"auth\":{\"method\":\"service_account_key\",\"key\":\"x\"}}",
         "auth.key: a secret is never written in the configuration"},
        {"{\"auth\":{\"method\":\"service_account_key\",\"key_file\":\"/k\",\"audience\":\"a\"}}",
         "auth.audience: unknown key"},
        {"{\"auth\":{\"method\":\"service_account_key\",\"key_file\":\"/k\",\"subject\":\"a b\"}}",
         "auth.subject: blanks"},
        {"{\"auth\":{\"method\":\"federated\",\"token_file\":\"/t\"}}",
         "auth.audience: the provider's full name"},
        {"{\"auth\":{\"method\":\"federated\",\"token_file\":\"/t\",\"audience\":\"https://iam\"}}",
         "auth.audience: the provider's full name"},
        {"{\"auth\":{\"method\":\"federated\",\"token_file\":\"/t\",\"audience\":\"" PROVIDER
         "\",\"token_type\":\"aws\"}}",
         "auth.token_type: one of jwt, id_token, saml2"},
        {"{\"auth\":{\"method\":\"metadata\",\"service_account\":\"a/../b\"}}",
         "auth.service_account: an email"},
        {"{\"auth\":{\"method\":\"metadata\"},\"endpoints\":5}", "endpoints: an object"},
        {"{\"auth\":{\"method\":\"metadata\"},\"endpoints\":{\"st\":\"x\"}}",
         "endpoints.st: unknown key; did you mean \"sts\"?"},
        {"{\"auth\":{\"method\":\"metadata\"},\"endpoints\":{\"sts\":\"http://a.example\"}}",
         "endpoints.sts: plain http is for this machine only"},
        {"{\"auth\":{\"method\":\"metadata\"},\"endpoints\":{\"sts\":\"https://a.example/x\"}}",
         "endpoints.sts: an address without a path"},
        {"{\"auth\":{\"method\":\"metadata\"},\"endpoints\":{\"metadata\":\"http://10.0.0.1\"}}",
         "endpoints.metadata: plain http is for this machine only"},
        {"{\"auth\":{\"method\":\"metadata\"},\"endpoints\":{\"token\":5}}",
         "endpoints.token: a text of 1 to"},
    };

    (void)state;
    plugin_world_init(&world, leased_plugin_entry_gcp, "gcp");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *said = plugin_world_config_error(&world, cases[i].config);

        if (strstr(said, cases[i].text) == NULL) {
            fail_msg("%s: %s", cases[i].config, said);
        }
    }
    assert_string_equal(plugin_world_config_error(&world, FEDERATED_CONFIG), "");
    assert_string_equal(plugin_world_config_error(&world, KEY_CONFIG), "");
    assert_string_equal(plugin_world_config_error(&world, METADATA_CONFIG), "");
    plugin_world_fini(&world);
}

static void test_mistakes_in_the_parameters_are_named_by_their_key(void **state)
{
    static const struct {
        const char *params;
        const char *text;
    } cases[] = {
        {"{\"type\":\"jwt\"}", "type: one of access_token, id_token"},
        {"{\"type\":5}", "type: one of access_token, id_token"},
        {"{\"scope\":\"a\"}", "scope: unknown key; did you mean \"scopes\"?"},
        {"{\"scopes\":\"a\"}", "scopes: a list of 1 to 32 scopes"},
        {"{\"scopes\":[]}", "scopes: a list of 1 to 32 scopes"},
        {"{\"scopes\":[\"a b\"]}", "scopes: a list of 1 to 32 scopes"},
        {"{\"scopes\":[\"a,b\"]}", "scopes: a list of 1 to 32 scopes"},
        {"{\"scopes\":[5]}", "scopes: a list of 1 to 32 scopes"},
        {"{\"impersonate\":\"a/b\"}", "impersonate: a service account's email"},
        {"{\"impersonate\":\"..\"}", "impersonate: a service account's email"},
        {"{\"impersonate\":\"a:generateIdToken\"}", "impersonate: a service account's email"},
        {"{\"impersonate\":5}", "impersonate: a service account's email"},
        {"{\"delegates\":[\"a@b\"]}", "delegates: goes with impersonate"},
        {"{\"impersonate\":\"a@b\",\"delegates\":[\"a/b\"]}", "delegates: a list of 1 to 32"},
        {"{\"audience\":\"a\"}", "audience: goes with type id_token"},
        {"{\"type\":\"id_token\"}", "audience: type id_token needs one"},
        {"{\"type\":\"id_token\",\"audience\":\"a\\nb\"}", "audience: control characters"},
        {"{\"type\":\"id_token\",\"audience\":\"a\",\"scopes\":[\"a\"]}",
         "scopes: goes with type access_token"},
    };

    (void)state;
    plugin_world_init(&world, leased_plugin_entry_gcp, "gcp");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *said = plugin_world_params_error(&world, cases[i].params);

        if (strstr(said, cases[i].text) == NULL) {
            fail_msg("%s: %s", cases[i].params, said);
        }
    }
    assert_string_equal(plugin_world_params_error(&world, "{}"), "");
    plugin_world_fini(&world);
}

static void test_a_federated_identity_has_no_id_token_of_its_own(void **state)
{
    (void)state;
    open_world(FEDERATED_CONFIG);
    plugin_world_issue(&world, &call, "{\"type\":\"id_token\",\"audience\":\"a\"}", 0);
    ended_with(LEASE_OUTCOME_INVALID, "impersonate: Google makes ID tokens for service accounts");
    assert_true(plugin_world_is_idle(&world));
    plugin_world_fini(&world);
}

static void test_no_caller_picks_another_account_by_a_template(void **state)
{
    (void)state;
    open_world(FEDERATED_CONFIG);
    plugin_world_issue(&world, &call, "{\"impersonate\":\"${reason}@p\"}", 0);
    ended_with(LEASE_OUTCOME_INVALID, "impersonate: a service account's email");
    plugin_world_fini(&world);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void test_each_refusal_of_the_exchange_has_its_class(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        enum lease_outcome outcome;
        const char *text;
    } cases[] = {
        {400,
         "{\"error\":\"invalid_grant\",\"error_description\":\"The given credential is expired.\"}",
         LEASE_OUTCOME_DENIED,
         "sts.googleapis.com answered with HTTP status 400: invalid_grant: The given credential is "
         "expired."},
        {400, "{\"error\":\"invalid_target\"}", LEASE_OUTCOME_INVALID, "invalid_target"},
        {400, "{\"error\":\"internal_failure\"}", LEASE_OUTCOME_RETRY, "internal_failure"},
        {400, "{\"error\":\"x\",\"error_description\":\"got subject.token.sig\"}",
         LEASE_OUTCOME_INVALID, "HTTP status 400"},
        {503, "<html>", LEASE_OUTCOME_RETRY, "HTTP status 503"},
        {200, "{\"access_token\":", LEASE_OUTCOME_RETRY, "can't be used: it is not a JSON object"},
        {200, "{}", LEASE_OUTCOME_RETRY, "can't be used: it holds no token"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_world(FEDERATED_CONFIG);
        plugin_world_issue(&world, &call, IMPERSONATED, 0);
        plugin_world_answer(&world, cases[i].status, cases[i].body);
        ended_with(cases[i].outcome, cases[i].text);
        assert_true(plugin_world_is_idle(&world));
        plugin_world_fini(&world);
    }
}

static void test_each_refusal_of_the_impersonation_has_its_class(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        enum lease_outcome outcome;
        const char *text;
    } cases[] = {
        {403, "{\"error\":{\"code\":403,\"message\":\"denied\",\"status\":\"PERMISSION_DENIED\"}}",
         LEASE_OUTCOME_DENIED,
         "iamcredentials.googleapis.com answered with HTTP status 403: PERMISSION_DENIED: denied (is "
         "roles/iam.serviceAccountTokenCreator granted on it?)"},
        {404, "{\"error\":{\"code\":404,\"message\":\"none\",\"status\":\"NOT_FOUND\"}}",
         LEASE_OUTCOME_INVALID, "NOT_FOUND"},
        {400, "{\"error\":{\"message\":\"lifetime\",\"status\":\"INVALID_ARGUMENT\"}}",
         LEASE_OUTCOME_INVALID, "lifetime"},
        {401, "{\"error\":{\"message\":\"bad ya29.secret\",\"status\":\"UNAUTHENTICATED\"}}",
         LEASE_OUTCOME_DENIED, "HTTP status 401"},
        {429, "{\"error\":{\"status\":\"RESOURCE_EXHAUSTED\"}}", LEASE_OUTCOME_RETRY, "429"},
        {200, "{\"accessToken\":\"x\",\"expireTime\":\"2025-01-01T00:00:00Z\"}",
         LEASE_OUTCOME_RETRY, "its token has ended already"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_world(FEDERATED_CONFIG);
        plugin_world_issue(&world, &call, IMPERSONATED, 0);
        plugin_world_answer(&world, 200, GOOD);
        plugin_world_answer(&world, cases[i].status, cases[i].body);
        ended_with(cases[i].outcome, cases[i].text);
        plugin_world_fini(&world);
    }
}

static void test_an_issuer_that_is_down_is_tried_again(void **state)
{
    static const int statuses[] = {ERR_CONNECT, ERR_TLS, ERR_LOST};

    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        open_world(FEDERATED_CONFIG);
        plugin_world_issue(&world, &call, IMPERSONATED, 0);
        plugin_world_fail(&world, statuses[i]);
        ended_with(LEASE_OUTCOME_RETRY, "no route");
        plugin_world_issue(&world, &call, IMPERSONATED, 0);
        plugin_world_answer(&world, 200, GOOD);
        plugin_world_fail(&world, statuses[i]);
        ended_with(LEASE_OUTCOME_RETRY, "no route");
        plugin_world_fini(&world);
    }
}

static void test_one_that_is_slow_is_given_up(void **state)
{
    (void)state;
    open_world(FEDERATED_CONFIG);
    plugin_world_issue(&world, &call, IMPERSONATED, 0);
    plugin_world_answer(&world, 200, GOOD);
    plugin_world_time_out(&world);
    assert_int_equal(call.end_count, 1);
    assert_int_not_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_closing_ends_what_is_under_way(void **state)
{
    (void)state;
    open_world(FEDERATED_CONFIG);
    plugin_world_issue(&world, &call, IMPERSONATED, 0);
    plugin_world_answer(&world, 200, GOOD);
    assert_false(plugin_world_is_idle(&world));
    plugin_world_fini(&world);
    assert_int_equal(call.end_count, 1);
}

/* --- key files -------------------------------------------------------------------------------- */

static void test_a_key_file_that_is_none_is_named(void **state)
{
    static const struct {
        const char *key;
        const char *value;
        const char *text;
    } cases[] = {
        {"type", "authorized_user", "file:/k: its type is not service_account"},
        {"private_key", "no key", "file:/k: it holds no private key in PEM"},
        {"client_email", "a b", "file:/k: its client_email holds blanks"},
        {"token_uri", "http://evil.example/token", "file:/k: its token_uri: plain http"},
        {"token_uri", "https://u@evil.example/token", "file:/k: its token_uri: https://host"},
        {"private_key_id", NULL, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_world(KEY_CONFIG);
        write_key_file(cases[i].key,
                       cases[i].value != NULL ? json_string(cases[i].value) : json_null());
        plugin_world_issue(&world, &call, "{}", 0);
        if (cases[i].value != NULL) {
            ended_with(LEASE_OUTCOME_INVALID, cases[i].text);
        } else {
            plugin_world_answer(&world, 200, GOOD); /* no id is fine */
            assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
        }
        plugin_world_fini(&world);
    }
    open_world(KEY_CONFIG);
    token_set_secret(&world, "file:/k", "{\"type\":\"service_account\"}");
    plugin_world_issue(&world, &call, "{}", 0);
    ended_with(LEASE_OUTCOME_INVALID, "file:/k: it has no client_email or no private_key");
    token_set_secret(&world, "file:/k", "{\"type\":");
    plugin_world_issue(&world, &call, "{}", 0);
    ended_with(LEASE_OUTCOME_INVALID, "file:/k: it is not a JSON object");
    token_set_secret(&world, "file:/k", NULL);
    plugin_world_issue(&world, &call, "{}", 0);
    ended_with(LEASE_OUTCOME_RETRY, "");
    plugin_world_fini(&world);
}

/* --- memory ----------------------------------------------------------------------------------- */

static const char *live_config;

static void live_once(void)
{
    const struct env_http_header flavor = {.name = STR("metadata-flavor"), .value = STR("Google")};

    plugin_world_issue(&world, &call, IMPERSONATED, 0);
    if (call.end_count == 0) {
        plugin_world_answer_with(&world, 200, &flavor, GOOD);
    }
    if (call.end_count == 0) {
        plugin_world_answer(&world, 200, MADE);
    }
    assert_int_equal(call.end_count, 1);
}

static void live(void)
{
    open_world(live_config);
    live_once(); /* so that the host has what it keeps */
    token_fail_begin();
    live_once();
    token_fail_end();
    plugin_world_fini(&world);
}

static void test_without_memory_each_issue_still_ends_once(void **state)
{
    static const char *const configs[] = {FEDERATED_CONFIG, KEY_CONFIG, METADATA_CONFIG};

    (void)state;
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        live_config = configs[i];
        token_fail_each(live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes_in_the_configuration_are_named_by_their_key),
        cmocka_unit_test(test_mistakes_in_the_parameters_are_named_by_their_key),
        cmocka_unit_test(test_a_federated_identity_has_no_id_token_of_its_own),
        cmocka_unit_test(test_no_caller_picks_another_account_by_a_template),
        cmocka_unit_test(test_each_refusal_of_the_exchange_has_its_class),
        cmocka_unit_test(test_each_refusal_of_the_impersonation_has_its_class),
        cmocka_unit_test(test_an_issuer_that_is_down_is_tried_again),
        cmocka_unit_test(test_one_that_is_slow_is_given_up),
        cmocka_unit_test(test_closing_ends_what_is_under_way),
        cmocka_unit_test(test_a_key_file_that_is_none_is_named),
        cmocka_unit_test(test_without_memory_each_issue_still_ends_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
