/* The entra plugin behind the real host: what goes over the wire, and what comes of each answer. */
#include "plugins/token_world.h"

#include <stdio.h>
#include <string.h>

#define NOW_S 1767225600 /* 2026-01-01T00:00:00Z */
#define LATER "Thu, 01 Jan 2026 00:10:00 GMT"
#define CONFIG(auth) "{\"tenant\":\"t1\",\"client_id\":\"app-1\",\"auth\":{" auth "}}"
#define SECRET_CONFIG CONFIG("\"method\":\"secret\",\"client_secret_file\":\"/s\"")
#define CERTIFICATE_CONFIG                                                                         \
    CONFIG("\"method\":\"certificate\",\"key_file\":\"/k\",\"certificate_file\":\"/c\"")
#define FEDERATED_CONFIG CONFIG("\"method\":\"federated\",\"token_file\":\"/t\"")
#define IMDS_CONFIG "{\"auth\":{\"method\":\"managed_identity\"}}"
#define SCOPE "{\"scope\":\"https://vault.azure.net/.default\"}"
#define GOOD "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"eyJ.to-ken.x\"}"

int32_t leased_plugin_entry_entra(const struct leased_host *host,
                                  const struct leased_plugin **ret_plugin);

static struct plugin_world world;
static struct plugin_call call;

static void open_world(const char *config)
{
    plugin_world_init(&world, leased_plugin_entry_entra, "entra");
    fake_env_add_secret(&world.fake, "file:/s", "p&ss+wörd%");
    fake_env_add_secret(&world.fake, "file:/k", token_pair(0)->key_pem);
    fake_env_add_secret(&world.fake, "shared-file:/c", token_pair(0)->certificate_pem);
    fake_env_add_secret(&world.fake, "shared-file:/t", "head.claims.sig");
    fake_env_add_secret(&world.fake, "env:IDENTITY_ENDPOINT",
                        "http://169.254.129.3:8081/msi/token");
    fake_env_add_secret(&world.fake, "env:IDENTITY_HEADER", "header-secret");
    plugin_world_open(&world, NULL, config);
}

static void ended_with(enum lease_outcome outcome, const char *text)
{
    assert_int_equal(call.end_count, 1);
    if (call.outcome != outcome || strstr(call.detail, text) == NULL) {
        fail_msg("it ended with %d: %s", (int)call.outcome, call.detail);
    }
}

/* --- the wire --------------------------------------------------------------------------------- */

static void test_a_secret_is_exchanged_for_a_token(void **state)
{
    (void)state;
    open_world(SECRET_CONFIG);
    plugin_world_issue(&world, &call, SCOPE, 600000);
    assert_string_equal(plugin_world_http(&world)->method, "POST");
    assert_string_equal(plugin_world_http(&world)->url,
                        "https://login.microsoftonline.com/t1/oauth2/v2.0/token");
    assert_string_equal(plugin_world_header(&world, "content-type"),
                        "application/x-www-form-urlencoded");
    assert_string_equal(plugin_world_body(&world),
                        "grant_type=client_credentials&client_id=app-1&scope=https%3A%2F%2Fvault."
                        "azure.net%2F.default&client_secret=p%26ss%2Bw%C3%B6rd%25");
    plugin_world_answer(&world, 200, GOOD);
    ended_with(LEASE_OUTCOME_OK, "");
    assert_int_equal(call.lifetime_ms, 3599000);
    assert_false(call.is_renewable);
    assert_false(call.is_revocable);
    assert_string_equal(call.ref, "");
    assert_string_equal(call.fields, "access_token*=eyJ.to-ken.x\ntoken_type=Bearer\n"
                                     "expires_on=1767229199\n");
    plugin_world_fini(&world);
}

static void test_the_resource_names_its_default_scope(void **state)
{
    (void)state;
    open_world(SECRET_CONFIG);
    plugin_world_issue(&world, &call, "{\"resource\":\"https://graph.example/\"}", 0);
    assert_string_equal(token_form_field(&world, "scope"), "https://graph.example//.default");
    plugin_world_answer(&world, 200, GOOD);
    ended_with(LEASE_OUTCOME_OK, "");
    plugin_world_fini(&world);
}

static void check_assertion(int64_t now_s)
{
    json_t *header;
    json_t *claims;
    const struct {
        const char *name;
        const char *value;
    } texts[] = {{"aud", "https://login.microsoftonline.com/t1/oauth2/v2.0/token"},
                 {"iss", "app-1"},
                 {"sub", "app-1"}};

    assert_string_equal(token_form_field(&world, "client_assertion_type"),
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    token_verify(token_form_field(&world, "client_assertion"), "PS256", token_pair(0), &header,
                 &claims);
    assert_string_equal(json_string_value(json_object_get(header, "x5t#S256")),
                        token_pair(0)->thumbprint);
    assert_int_equal(json_object_size(header), 3);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_string_equal(json_string_value(json_object_get(claims, texts[i].name)),
                            texts[i].value);
    }
    assert_int_equal(json_integer_value(json_object_get(claims, "iat")), now_s);
    assert_int_equal(json_integer_value(json_object_get(claims, "nbf")), now_s);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")), now_s + 600);
    assert_int_equal(json_string_length(json_object_get(claims, "jti")), 22);
    json_decref(header);
    json_decref(claims);
}

static void test_a_certificate_signs_an_assertion(void **state)
{
    char first[4096];

    (void)state;
    open_world(CERTIFICATE_CONFIG);
    plugin_world_issue(&world, &call, SCOPE, 0);
    check_assertion(NOW_S);
    (void)snprintf(first, sizeof(first), "%s", token_form_field(&world, "client_assertion"));
    assert_string_equal(token_form_field(&world, "client_secret"), "");
    plugin_world_answer(&world, 200, GOOD);
    ended_with(LEASE_OUTCOME_OK, "");
    plugin_world_issue(&world, &call, SCOPE, 0);
    assert_string_not_equal(first, token_form_field(&world, "client_assertion"));
    plugin_world_answer(&world, 200, GOOD);
    plugin_world_fini(&world);
}

static void test_a_clock_that_is_off_is_corrected_once(void **state)
{
    const struct env_http_header date = {.name = STR("date"), .value = STR(LATER)};
    static const char refusal[] =
        "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS700024: not in its valid time "
        "range\",\"error_codes\":[700024]}";

    (void)state;
    open_world(CERTIFICATE_CONFIG);
    plugin_world_issue(&world, &call, SCOPE, 0);
    plugin_world_answer_with(&world, 401, &date, refusal);
    assert_int_equal(call.end_count, 0);
    check_assertion(NOW_S + 600);
    plugin_world_answer_with(&world, 401, &date, refusal);
    ended_with(LEASE_OUTCOME_DENIED, "this machine's clock");
    /* It is remembered. */
    plugin_world_issue(&world, &call, SCOPE, 0);
    check_assertion(NOW_S + 600);
    plugin_world_answer_with(&world, 200, &date, GOOD);
    ended_with(LEASE_OUTCOME_OK, "");
    assert_string_equal(plugin_call_field(&call, "expires_on"), "1767229799");
    plugin_world_fini(&world);
}

static void test_another_issuers_token_is_passed_on(void **state)
{
    (void)state;
    open_world(FEDERATED_CONFIG);
    plugin_world_issue(&world, &call, SCOPE, 0);
    assert_string_equal(token_form_field(&world, "client_assertion"), "head.claims.sig");
    assert_string_equal(token_form_field(&world, "client_assertion_type"),
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    plugin_world_answer(&world, 200, GOOD);
    ended_with(LEASE_OUTCOME_OK, "");
    /* A file that has changed counts at once. */
    token_set_secret(&world, "shared-file:/t", "new.claims.sig");
    plugin_world_issue(&world, &call, SCOPE, 0);
    assert_string_equal(token_form_field(&world, "client_assertion"), "new.claims.sig");
    plugin_world_answer(&world, 200, GOOD);
    plugin_world_fini(&world);
}

static void test_a_machines_identity_is_asked_for_at_its_metadata_service(void **state)
{
    static const char answer[] = "{\"access_token\":\"t\",\"expires_in\":\"3599\",\"expires_on\":"
                                 "\"1767226600\",\"resource\":\"r\",\"token_type\":\"Bearer\"}";

    (void)state;
    open_world(IMDS_CONFIG);
    plugin_world_issue(&world, &call, SCOPE, 0);
    assert_string_equal(plugin_world_http(&world)->method, "GET");
    assert_string_equal(plugin_world_http(&world)->url,
                        "http://169.254.169.254/metadata/identity/oauth2/token?api-version="
                        "2018-02-01&resource=https%3A%2F%2Fvault.azure.net");
    assert_string_equal(plugin_world_header(&world, "metadata"), "true");
    assert_true((plugin_world_http(&world)->flags & ENV_HTTP_METADATA) != 0);
    plugin_world_answer(&world, 200, answer);
    ended_with(LEASE_OUTCOME_OK, "");
    assert_int_equal(call.lifetime_ms, 1000000);
    plugin_world_fini(&world);
}

static void test_an_identity_is_named_in_the_query(void **state)
{
    static const struct {
        const char *config;
        const char *query;
    } cases[] = {
        {"{\"client_id\":\"c-1\",\"auth\":{\"method\":\"managed_identity\"}}", "&client_id=c-1"},
        {"{\"auth\":{\"method\":\"managed_identity\",\"object_id\":\"o-1\"}}", "&object_id=o-1"},
        {"{\"auth\":{\"method\":\"managed_identity\",\"resource_id\":\"/sub/x&y\"}}",
         "&msi_res_id=%2Fsub%2Fx%26y"},
        {"{\"auth\":{\"method\":\"managed_identity\",\"service\":\"app_service\",\"endpoint_env\":\"IDENTITY_ENDPOINT\",\"header_env\":\"IDENTITY_HEADER\",\"resource_id\":"
         "\"/s\"}}",
         "&mi_res_id=%2Fs"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_world(cases[i].config);
        plugin_world_issue(&world, &call, SCOPE, 0);
        assert_non_null(strstr(plugin_world_http(&world)->url, cases[i].query));
        plugin_world_answer(&world, 200, GOOD);
        plugin_world_fini(&world);
    }
}

static void test_app_service_says_where_and_wants_its_header(void **state)
{
    (void)state;
    open_world(
        "{\"auth\":{\"method\":\"managed_identity\",\"service\":\"app_service\",\"endpoint_env\":\"IDENTITY_ENDPOINT\",\"header_env\":\"IDENTITY_HEADER\"}}");
    plugin_world_issue(&world, &call, SCOPE, 0);
    assert_string_equal(plugin_world_http(&world)->url,
                        "http://169.254.129.3:8081/msi/token?api-version=2019-08-01&resource="
                        "https%3A%2F%2Fvault.azure.net");
    assert_string_equal(plugin_world_header(&world, "x-identity-header"), "header-secret");
    plugin_world_answer(&world, 200,
                        "{\"access_token\":\"t\",\"expires_on\":\"1767225700\",\"token_type\":"
                        "\"Bearer\"}");
    ended_with(LEASE_OUTCOME_OK, "");
    assert_int_equal(call.lifetime_ms, 100000);
    plugin_world_issue(&world, &call, SCOPE, 0);
    plugin_world_answer(&world, 401, "{\"statusCode\":401,\"message\":\"bad header-secret\"}");
    ended_with(LEASE_OUTCOME_DENIED,
               "App Service's identity endpoint answered with HTTP status 401");
    assert_null(strstr(call.detail, "header-secret"));
    plugin_world_fini(&world);
}

static void test_each_cloud_has_its_authority(void **state)
{
    static const struct {
        const char *key;
        const char *url;
    } cases[] = {
        {"\"cloud\":\"usgov\"", "https://login.microsoftonline.us/t/oauth2/v2.0/token"},
        {"\"cloud\":\"china\"", "https://login.partner.microsoftonline.cn/t/oauth2/v2.0/token"},
        {"\"authority\":\"https://adfs.example:8443/\"",
         "https://adfs.example:8443/t/oauth2/v2.0/token"},
        {"\"authority\":\"http://127.0.0.1:9\"", "http://127.0.0.1:9/t/oauth2/v2.0/token"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char config[512];

        (void)snprintf(config, sizeof(config),
                       "{\"tenant\":\"t\",\"client_id\":\"c\",%s,\"auth\":{\"method\":\"secret\","
                       "\"client_secret_file\":\"/s\"}}",
                       cases[i].key);
        open_world(config);
        plugin_world_issue(&world, &call, SCOPE, 0);
        assert_string_equal(plugin_world_http(&world)->url, cases[i].url);
        plugin_world_answer(&world, 200, GOOD);
        plugin_world_fini(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_secret_is_exchanged_for_a_token),
        cmocka_unit_test(test_the_resource_names_its_default_scope),
        cmocka_unit_test(test_a_certificate_signs_an_assertion),
        cmocka_unit_test(test_a_clock_that_is_off_is_corrected_once),
        cmocka_unit_test(test_another_issuers_token_is_passed_on),
        cmocka_unit_test(test_a_machines_identity_is_asked_for_at_its_metadata_service),
        cmocka_unit_test(test_an_identity_is_named_in_the_query),
        cmocka_unit_test(test_app_service_says_where_and_wants_its_header),
        cmocka_unit_test(test_each_cloud_has_its_authority),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
