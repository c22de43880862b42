/* The entra plugin when things go wrong: mistakes in the configuration, refusals, answers that
 * aren't any, and no memory. */
#include "plugins/token_world.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>

#define CONFIG(auth) "{\"tenant\":\"t1\",\"client_id\":\"app-1\",\"auth\":{" auth "}}"
#define SECRET_CONFIG CONFIG("\"method\":\"secret\",\"client_secret_file\":\"/s\"")
#define CERTIFICATE_CONFIG                                                                         \
    CONFIG("\"method\":\"certificate\",\"key_file\":\"/k\",\"certificate_file\":\"/c\"")
#define IMDS_CONFIG "{\"auth\":{\"method\":\"managed_identity\"}}"
#define APP_SERVICE_CONFIG                                                                         \
    "{\"auth\":{\"method\":\"managed_identity\",\"service\":\"app_service\",\"endpoint_env\":\"IDENTITY_ENDPOINT\",\"header_env\":\"IDENTITY_HEADER\"}}"
#define SCOPE "{\"scope\":\"https://vault.azure.net/.default\"}"
#define GOOD "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"eyJ.to-ken.x\"}"
#define SECRET "the-client-secret"

int32_t leased_plugin_entry_entra(const struct leased_host *host,
                                  const struct leased_plugin **ret_plugin);

static struct plugin_world world;
static struct plugin_call call;

static void open_world(const char *config)
{
    plugin_world_init(&world, leased_plugin_entry_entra, "entra");
    fake_env_add_secret(&world.fake, "file:/s", SECRET);
    fake_env_add_secret(&world.fake, "file:/k", token_pair(0)->key_pem);
    fake_env_add_secret(&world.fake, "shared-file:/c", token_pair(0)->certificate_pem);
    fake_env_add_secret(&world.fake, "env:IDENTITY_ENDPOINT", "http://127.0.0.1:9/msi/token");
    fake_env_add_secret(&world.fake, "env:IDENTITY_HEADER", "header-secret");
    plugin_world_open(&world, NULL, config);
}

static void ended_with(enum lease_outcome outcome, const char *text)
{
    assert_int_equal(call.end_count, 1);
    if (call.outcome != outcome || strstr(call.detail, text) == NULL) {
        fail_msg("it ended with %d: %s", (int)call.outcome, call.detail);
    }
    assert_null(strstr(call.detail, SECRET));
    assert_string_equal(call.fields, "");
}

/* --- configuration ---------------------------------------------------------------------------- */

static const struct {
    const char *config;
    const char *text;
} mistakes[] = {
    {"{}", "auth: an object is expected"},
    {"{\"tenent\":\"x\"}", "tenent: unknown key; did you mean \"tenant\"?"},
    {"{\"auth\":{}}", "auth.method: one of secret, certificate"},
    {"{\"auth\":{\"method\":\"password\"}}", "auth.method: one of secret, certificate"},
    {"{\"auth\":{\"method\":\"secret\"}}", "auth: method secret needs client_secret_file"},
    {"{\"auth\":{\"method\":\"secret\",\"client_secret\":\"x\"}}",
     "auth.client_secret: a secret is never written in the configuration"},
    {"{\"auth\":{\"method\":\"secret\",\"client_secret_file\":\"/a\",\"client_secret_env\":"
     "\"B\"}}",
     "auth.client_secret_env: only one of"},
    {"{\"auth\":{\"method\":\"secret\",\"key_file\":\"/a\"}}", "auth.key_file: unknown key"},
    {"{\"auth\":{\"method\":\"certificate\",\"key_file\":\"/a\"}}",
     "auth: method certificate needs certificate_file"},
    {"{\"auth\":{\"method\":\"federated\"}}", "auth: method federated needs token_file"},
    {"{\"auth\":{\"method\":\"federated\",\"token_file\":\"/t\"}}", "tenant: the directory's"},
    {"{\"tenant\":\"t\",\"auth\":{\"method\":\"federated\",\"token_file\":\"/t\"}}",
     "client_id: the application's"},
    {"{\"tenant\":\"../t\",\"client_id\":\"c\",\"auth\":{\"method\":\"federated\","
     "\"token_file\":\"/t\"}}",
     "tenant: letters, digits"},
    {"{\"tenant\":\"..\",\"client_id\":\"c\",\"auth\":{\"method\":\"federated\","
     "\"token_file\":\"/t\"}}",
     "tenant: letters, digits"},
    {"{\"tenant\":\"t\",\"client_id\":\"c\",\"cloud\":\"mars\",\"auth\":{\"method\":"
     "\"federated\",\"token_file\":\"/t\"}}",
     "cloud: one of public, usgov, china"},
    {"{\"tenant\":\"t\",\"client_id\":\"c\",\"cloud\":\"china\",\"authority\":\"https://a\","
     "\"auth\":{\"method\":\"federated\",\"token_file\":\"/t\"}}",
     "authority: stands instead of cloud"},
    {"{\"tenant\":\"t\",\"client_id\":\"c\",\"authority\":\"http://a.example\",\"auth\":{"
     "\"method\":\"federated\",\"token_file\":\"/t\"}}",
     "authority: plain http is for this machine only"},
    {"{\"tenant\":\"t\",\"client_id\":\"c\",\"authority\":\"https://a.example/x\",\"auth\":{"
     "\"method\":\"federated\",\"token_file\":\"/t\"}}",
     "authority: an address without a path"},
    {"{\"tenant\":\"t\",\"auth\":{\"method\":\"managed_identity\"}}",
     "tenant: a managed identity belongs to its machine's tenant"},
    {"{\"client_id\":\"c\",\"auth\":{\"method\":\"managed_identity\",\"object_id\":\"o\"}}",
     "auth: only one of client_id, auth.object_id and auth.resource_id"},
    {"{\"auth\":{\"method\":\"managed_identity\",\"service\":\"arc\"}}",
     "auth.service: one of imds, app_service"},
    {"{\"auth\":{\"method\":\"managed_identity\",\"service\":\"app_service\",\"endpoint_env\":\"IDENTITY_ENDPOINT\",\"header_env\":\"IDENTITY_HEADER\",\"endpoint\":"
     "\"http://127.0.0.1\"}}",
     "auth.endpoint: goes with service imds"},
    {"{\"auth\":{\"method\":\"managed_identity\",\"service\":\"app_service\",\"endpoint_env\":\"E\"}}",
     "auth: service app_service needs endpoint_env: IDENTITY_ENDPOINT and header_env"},
    {"{\"auth\":{\"method\":\"managed_identity\",\"header_env\":\"E\"}}",
     "auth.service: endpoint_env and header_env go with app_service"},
    {"{\"auth\":{\"method\":\"managed_identity\",\"header\":\"E\"}}",
     "auth.header: a secret is never written"},
    {"{\"auth\":{\"method\":\"managed_identity\",\"endpoint\":\"http://10.0.0.1\"}}",
     "auth.endpoint: plain http is for this machine only"},
    {"{\"auth\":{\"method\":\"managed_identity\",\"object_id\":5}}",
     "auth.object_id: a text of 1 to"},
};

static void test_mistakes_in_the_configuration_are_named_by_their_key(void **state)
{
    (void)state;
    plugin_world_init(&world, leased_plugin_entry_entra, "entra");
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        const char *said = plugin_world_config_error(&world, mistakes[i].config);

        if (strstr(said, mistakes[i].text) == NULL) {
            fail_msg("%s: %s", mistakes[i].config, said);
        }
    }
    assert_string_equal(plugin_world_config_error(&world, SECRET_CONFIG), "");
    assert_string_equal(plugin_world_config_error(&world, CERTIFICATE_CONFIG), "");
    assert_string_equal(plugin_world_config_error(&world, IMDS_CONFIG), "");
    plugin_world_fini(&world);
}

static void test_mistakes_in_the_parameters_are_named_by_their_key(void **state)
{
    static const struct {
        const char *params;
        const char *text;
    } cases[] = {
        {"{}", "scope: exactly one of"},
        {"{\"scope\":\"a/.default\",\"resource\":\"a\"}", "scope: exactly one of"},
        {"{\"scope\":\"https://a\"}", "scope: one resource and /.default"},
        {"{\"scope\":\"/.default\"}", "scope: one resource and /.default"},
        {"{\"scope\":\"a/.default b/.default\"}", "scope: one resource and /.default"},
        {"{\"resource\":\"a b\"}", "resource: one resource without blanks"},
        {"{\"scopes\":\"a\"}", "scopes: unknown key; did you mean \"scope\"?"},
        {"{\"scope\":5}", "scope: a text of 1 to"},
    };

    (void)state;
    plugin_world_init(&world, leased_plugin_entry_entra, "entra");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *said = plugin_world_params_error(&world, cases[i].params);

        if (strstr(said, cases[i].text) == NULL) {
            fail_msg("%s: %s", cases[i].params, said);
        }
    }
    assert_string_equal(plugin_world_params_error(&world, SCOPE), "");
    plugin_world_fini(&world);
}

static void test_no_caller_adds_a_scope_by_a_template(void **state)
{
    (void)state;
    open_world(SECRET_CONFIG);
    plugin_world_issue(&world, &call, "{\"scope\":\"${reason}/.default\"}", 0);
    ended_with(LEASE_OUTCOME_INVALID, "scope: one resource");
    assert_true(plugin_world_is_idle(&world));
    plugin_world_fini(&world);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void test_each_refusal_has_its_class(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        enum lease_outcome outcome;
        const char *text;
    } cases[] = {
        {401,
         "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client "
         "secret provided.\",\"error_codes\":[7000215]}",
         LEASE_OUTCOME_DENIED,
         "login.microsoftonline.com answered with HTTP status 401: invalid_client: AADSTS7000215: "
         "Invalid client secret provided. (the secret's value is needed, not its id)"},
        {401, "{\"error\":\"invalid_client\",\"error_codes\":[7000222]}", LEASE_OUTCOME_DENIED,
         "the secret has expired"},
        {400, "{\"error\":\"unauthorized_client\",\"error_codes\":[700016]}", LEASE_OUTCOME_DENIED,
         "isn't in this tenant"},
        {400, "{\"error\":\"invalid_scope\",\"error_codes\":[70011]}", LEASE_OUTCOME_INVALID,
         "see scope"},
        {400, "{\"error\":\"invalid_resource\",\"error_codes\":[500011]}", LEASE_OUTCOME_INVALID,
         "no such resource"},
        {400, "{\"error\":\"invalid_request\",\"error_codes\":[90002]}", LEASE_OUTCOME_INVALID,
         "no such tenant"},
        {400, "{\"error\":\"temporarily_unavailable\"}", LEASE_OUTCOME_RETRY, "temporarily"},
        {503, "", LEASE_OUTCOME_RETRY, "HTTP status 503"},
        {400, "{\"error\":\"x\",\"error_description\":\"you sent " SECRET "\"}",
         LEASE_OUTCOME_INVALID, "HTTP status 400"},
        {302, "", LEASE_OUTCOME_RETRY, "HTTP status 302"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_world(SECRET_CONFIG);
        plugin_world_issue(&world, &call, SCOPE, 0);
        plugin_world_answer(&world, cases[i].status, cases[i].body);
        ended_with(cases[i].outcome, cases[i].text);
        plugin_world_fini(&world);
    }
}

static void test_who_throttles_says_how_long(void **state)
{
    const struct env_http_header header = {.name = STR("retry-after"), .value = STR("17")};

    (void)state;
    open_world(SECRET_CONFIG);
    plugin_world_issue(&world, &call, SCOPE, 0);
    plugin_world_answer_with(&world, 429, &header, "{\"error\":\"throttled\"}");
    ended_with(LEASE_OUTCOME_RETRY, "HTTP status 429");
    assert_int_equal(call.retry_after_ms, 17000);
    plugin_world_fini(&world);
}

static void test_a_metadata_service_that_is_being_updated_is_asked_again(void **state)
{
    static const uint32_t statuses[] = {404, 410, 429, 500};

    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        open_world(IMDS_CONFIG);
        plugin_world_issue(&world, &call, SCOPE, 0);
        plugin_world_answer(&world, statuses[i], "");
        ended_with(LEASE_OUTCOME_RETRY, "the machine's metadata service answered");
        plugin_world_fini(&world);
    }
}

static void test_what_is_no_answer_is_tried_again(void **state)
{
    static char deep[300];
    static char huge[150000];
    const char *const bodies[] = {
        "",   "<html>sign in</html>",     "{\"access_token\":\"x\",\"expires_in\":36",
        "{}", "{\"access_token\":\"x\"}", deep,
        huge,
    };

    (void)state;
    memset(deep, '[', sizeof(deep) - 1);
    memset(huge, ',', sizeof(huge) - 1);
    huge[0] = '[';
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        open_world(SECRET_CONFIG);
        plugin_world_issue(&world, &call, SCOPE, 0);
        plugin_world_answer(&world, 200, bodies[i]);
        ended_with(LEASE_OUTCOME_RETRY, "the answer of login.microsoftonline.com can't be used");
        plugin_world_fini(&world);
    }
}

static void test_an_issuer_that_is_down_is_tried_again(void **state)
{
    static const int statuses[] = {ERR_CONNECT, ERR_TLS, ERR_LOST};

    (void)state;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        open_world(SECRET_CONFIG);
        plugin_world_issue(&world, &call, SCOPE, 0);
        plugin_world_fail(&world, statuses[i]);
        ended_with(LEASE_OUTCOME_RETRY, "no route");
        plugin_world_fini(&world);
    }
}

static void test_one_that_is_slow_is_given_up(void **state)
{
    (void)state;
    open_world(SECRET_CONFIG);
    plugin_world_issue(&world, &call, SCOPE, 0);
    plugin_world_time_out(&world);
    assert_int_equal(call.end_count, 1);
    assert_int_not_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_closing_ends_what_is_under_way(void **state)
{
    (void)state;
    open_world(SECRET_CONFIG);
    plugin_world_issue(&world, &call, SCOPE, 0);
    assert_false(plugin_world_is_idle(&world));
    plugin_world_fini(&world);
    assert_int_equal(call.end_count, 1);
}

/* --- proofs ----------------------------------------------------------------------------------- */

static void test_a_proof_that_cannot_be_used_is_named(void **state)
{
    static const struct {
        const char *config;
        const char *source;
        const char *value;
        enum lease_outcome outcome;
        const char *text;
    } cases[] = {
        {SECRET_CONFIG, "file:/s", NULL, LEASE_OUTCOME_RETRY, ""},
        {SECRET_CONFIG, "file:/s", "", LEASE_OUTCOME_RETRY, "file:/s is empty"},
        {CERTIFICATE_CONFIG, "file:/k", "no key", LEASE_OUTCOME_INVALID,
         "file:/k: it holds no private key in PEM"},
        {CERTIFICATE_CONFIG, "shared-file:/c", "no certificate", LEASE_OUTCOME_INVALID,
         "shared-file:/c: it holds no certificate in PEM"},
        {CERTIFICATE_CONFIG, "shared-file:/c", NULL, LEASE_OUTCOME_RETRY, ""},
        {APP_SERVICE_CONFIG, "env:IDENTITY_ENDPOINT", "http://10.0.0.1/x", LEASE_OUTCOME_INVALID,
         "env:IDENTITY_ENDPOINT: plain http"},
        {APP_SERVICE_CONFIG, "env:IDENTITY_ENDPOINT", NULL, LEASE_OUTCOME_RETRY, ""},
        {APP_SERVICE_CONFIG, "env:IDENTITY_HEADER", NULL, LEASE_OUTCOME_RETRY, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_world(cases[i].config);
        token_set_secret(&world, cases[i].source, cases[i].value);
        plugin_world_issue(&world, &call, SCOPE, 0);
        ended_with(cases[i].outcome, cases[i].text);
        assert_true(call.detail[0] != '\0');
        plugin_world_fini(&world);
    }
}

static void test_a_certificate_of_another_key_is_refused(void **state)
{
    (void)state;
    open_world(CERTIFICATE_CONFIG);
    token_set_secret(&world, "shared-file:/c", token_pair(1)->certificate_pem);
    plugin_world_issue(&world, &call, SCOPE, 0);
    ended_with(LEASE_OUTCOME_INVALID, "the certificate is not of the key");
    /* A pair that fits counts at once. */
    token_set_secret(&world, "file:/k", token_pair(1)->key_pem);
    plugin_world_issue(&world, &call, SCOPE, 0);
    assert_false(plugin_world_is_idle(&world));
    plugin_world_answer(&world, 200, GOOD);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_nothing_is_renewed_or_revoked(void **state)
{
    (void)state;
    open_world(SECRET_CONFIG);
    plugin_world_renew(&world, &call, SCOPE, "x");
    ended_with(LEASE_OUTCOME_DENIED, "can't");
    plugin_world_revoke(&world, &call, SCOPE, "x");
    ended_with(LEASE_OUTCOME_DENIED, "can't");
    assert_true(plugin_world_is_idle(&world));
    plugin_world_fini(&world);
}

/* --- memory ----------------------------------------------------------------------------------- */

static const char *live_config;

static void live(void)
{
    const struct env_http_header date = {.name = STR("date"),
                                         .value = STR("Thu, 01 Jan 2026 00:10:00 GMT")};

    open_world(live_config);
    plugin_world_issue(&world, &call, SCOPE, 0); /* so that the host has what it keeps */
    plugin_world_answer(&world, 200, GOOD);
    token_fail_begin();
    plugin_world_issue(&world, &call, SCOPE, 0);
    if (call.end_count == 0) {
        plugin_world_answer_with(&world, 401, &date, "{\"error\":\"invalid_client\"}");
    }
    if (call.end_count == 0) {
        plugin_world_answer(&world, 200, GOOD);
    }
    token_fail_end();
    assert_int_equal(call.end_count, 1);
    plugin_world_fini(&world);
}

static void test_without_memory_each_issue_still_ends_once(void **state)
{
    static const char *const configs[] = {SECRET_CONFIG, CERTIFICATE_CONFIG, APP_SERVICE_CONFIG};

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
        cmocka_unit_test(test_no_caller_adds_a_scope_by_a_template),
        cmocka_unit_test(test_each_refusal_has_its_class),
        cmocka_unit_test(test_who_throttles_says_how_long),
        cmocka_unit_test(test_a_metadata_service_that_is_being_updated_is_asked_again),
        cmocka_unit_test(test_what_is_no_answer_is_tried_again),
        cmocka_unit_test(test_an_issuer_that_is_down_is_tried_again),
        cmocka_unit_test(test_one_that_is_slow_is_given_up),
        cmocka_unit_test(test_closing_ends_what_is_under_way),
        cmocka_unit_test(test_a_proof_that_cannot_be_used_is_named),
        cmocka_unit_test(test_a_certificate_of_another_key_is_refused),
        cmocka_unit_test(test_nothing_is_renewed_or_revoked),
        cmocka_unit_test(test_without_memory_each_issue_still_ends_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
