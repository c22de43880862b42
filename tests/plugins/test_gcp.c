/* The gcp plugin behind the real host: what goes over the wire, and what comes of each answer. */
#include "plugins/token_world.h"

#include <stdio.h>
#include <string.h>

#define NOW_S 1767225600 /* 2026-01-01T00:00:00Z */
#define PROVIDER                                                                                   \
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q"
#define FEDERATED_CONFIG                                                                           \
    "{\"auth\":{\"method\":\"federated\",\"token_file\":\"/t\",\"audience\":\"" PROVIDER "\"}}"
#define KEY_CONFIG "{\"auth\":{\"method\":\"service_account_key\",\"key_file\":\"/k\"}}"
#define METADATA_CONFIG "{\"auth\":{\"method\":\"metadata\"}}"
#define SCOPED "{\"scopes\":[\"https://s/a\",\"b\"]}"
#define IMPERSONATED                                                                                \
    "{\"impersonate\":\"sa@p.iam.gserviceaccount.com\",\"scopes\":[\"https://s/a\"],\"delegates\":" \
    "[\"d1@p.iam.gserviceaccount.com\"]}"
#define ID_TOKEN "{\"type\":\"id_token\",\"audience\":\"https://svc.example/a b\"}"
#define GOOD "{\"access_token\":\"ya29.x\",\"expires_in\":3599,\"token_type\":\"Bearer\"}"

int32_t leased_plugin_entry_gcp(const struct leased_host *host,
                                const struct leased_plugin **ret_plugin);

static const struct env_http_header flavor = {.name = {"metadata-flavor", 15},
                                              .value = {"Google", 6}};
static struct plugin_world world;
static struct plugin_call call;
static char key_file[8192];

static void write_key_file(const char *token_uri)
{
    json_t *root = json_pack("{s:s, s:s, s:s, s:s}", "type", "service_account", "private_key_id",
                             "kid-1", "client_email", "me@p.iam.gserviceaccount.com", "private_key",
                             token_pair(0)->key_pem);
    size_t len;

    if (token_uri != NULL) {
        (void)json_object_set_new(root, "token_uri", json_string(token_uri));
    }
    len = json_dumpb(root, key_file, sizeof(key_file) - 1, 0);
    assert_true(len < sizeof(key_file));
    key_file[len] = '\0';
    json_decref(root);
}

static void open_world(const char *config)
{
    write_key_file("https://oauth2.googleapis.com/token");
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
    assert_false(call.is_renewable);
    assert_false(call.is_revocable);
}

/* --- federation ------------------------------------------------------------------------------- */

static void test_another_issuers_token_is_exchanged(void **state)
{
    (void)state;
    open_world(FEDERATED_CONFIG);
    plugin_world_issue(&world, &call, SCOPED, 0);
    assert_string_equal(plugin_world_http(&world)->method, "POST");
    assert_string_equal(plugin_world_http(&world)->url, "https://sts.googleapis.com/v1/token");
    assert_string_equal(plugin_world_header(&world, "content-type"),
                        "application/x-www-form-urlencoded");
    assert_string_equal(
        plugin_world_body(&world),
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
        "&audience=%2F%2Fiam.googleapis.com%2Fprojects%2F1%2Flocations%2Fglobal%2F"
        "workloadIdentityPools%2Fp%2Fproviders%2Fq&scope=https%3A%2F%2Fs%2Fa%20b"
        "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
        "&subject_token=subject.token.sig"
        "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt");
    plugin_world_answer(&world, 200,
                        "{\"access_token\":\"ya29.f\",\"issued_token_type\":\"urn:x\","
                        "\"token_type\":\"Bearer\",\"expires_in\":\"3600\"}");
    ended_with(LEASE_OUTCOME_OK, "");
    assert_int_equal(call.lifetime_ms, 3600000);
    assert_string_equal(call.fields,
                        "access_token*=ya29.f\ntoken_type=Bearer\nexpires_on=1767229200\n");
    plugin_world_fini(&world);
}

static void test_a_workforce_pool_is_told_who_pays(void **state)
{
    (void)state;
    open_world("{\"auth\":{\"method\":\"federated\",\"token_file\":\"/t\",\"token_type\":"
               "\"saml2\",\"user_project\":\"pay\",\"audience\":\"" PROVIDER "\"}}");
    plugin_world_issue(&world, &call, "{}", 0);
    assert_string_equal(token_form_field(&world, "options"), "{\"userProject\":\"pay\"}");
    assert_string_equal(token_form_field(&world, "subject_token_type"),
                        "urn:ietf:params:oauth:token-type:saml2");
    assert_string_equal(token_form_field(&world, "scope"),
                        "https://www.googleapis.com/auth/cloud-platform");
    plugin_world_answer(&world, 200, GOOD);
    ended_with(LEASE_OUTCOME_OK, "");
    plugin_world_fini(&world);
}

/* --- impersonation ---------------------------------------------------------------------------- */

static void test_a_service_account_is_impersonated(void **state)
{
    (void)state;
    open_world(FEDERATED_CONFIG);
    plugin_world_issue(&world, &call, IMPERSONATED, 900000);
    assert_string_equal(token_form_field(&world, "scope"), "https://www.googleapis.com/auth/iam");
    plugin_world_answer(&world, 200, GOOD);
    assert_int_equal(call.end_count, 0);
    assert_string_equal(plugin_world_http(&world)->url,
                        "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
                        "sa%40p.iam.gserviceaccount.com:generateAccessToken");
    assert_string_equal(plugin_world_header(&world, "authorization"), "Bearer ya29.x");
    assert_string_equal(plugin_world_header(&world, "content-type"), "application/json");
    assert_string_equal(plugin_world_body(&world),
                        "{\"delegates\":[\"projects/-/serviceAccounts/d1@p.iam.gserviceaccount."
                        "com\"],\"scope\":[\"https://s/a\"],\"lifetime\":\"900s\"}");
    plugin_world_answer(&world, 200,
                        "{\"accessToken\":\"ya29.i\",\"expireTime\":\"2026-01-01T00:15:00Z\"}");
    ended_with(LEASE_OUTCOME_OK, "");
    assert_int_equal(call.lifetime_ms, 900000);
    assert_string_equal(call.fields,
                        "access_token*=ya29.i\ntoken_type=Bearer\n"
                        "service_account=sa@p.iam.gserviceaccount.com\nexpires_on=1767226500\n");
    plugin_world_fini(&world);
}

static void test_the_wished_life_is_bounded_by_what_google_gives(void **state)
{
    static const struct {
        uint64_t ttl_ms;
        const char *body;
    } cases[] = {
        {0, "{\"delegates\":[],\"scope\":[\"https://www.googleapis.com/auth/cloud-platform\"]}"},
        {1500, "{\"delegates\":[],\"scope\":[\"https://www.googleapis.com/auth/cloud-platform\"],"
               "\"lifetime\":\"2s\"}"},
        {86400000,
         "{\"delegates\":[],\"scope\":[\"https://www.googleapis.com/auth/cloud-platform\"],"
         "\"lifetime\":\"43200s\"}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_world(FEDERATED_CONFIG);
        plugin_world_issue(&world, &call, "{\"impersonate\":\"sa@p\"}", cases[i].ttl_ms);
        plugin_world_answer(&world, 200, GOOD);
        assert_string_equal(plugin_world_body(&world), cases[i].body);
        plugin_world_answer(&world, 200,
                            "{\"accessToken\":\"y\",\"expireTime\":\"2026-01-01T01:00:00Z\"}");
        ended_with(LEASE_OUTCOME_OK, "");
        plugin_world_fini(&world);
    }
}

static void test_an_id_token_is_made_for_its_audience(void **state)
{
    char answer[400];

    (void)state;
    open_world(METADATA_CONFIG);
    plugin_world_issue(&world, &call,
                       "{\"type\":\"id_token\",\"audience\":\"https://svc\",\"impersonate\":"
                       "\"sa@p\"}",
                       900000);
    assert_string_equal(plugin_world_http(&world)->url,
                        "http://metadata.google.internal/computeMetadata/v1/instance/"
                        "service-accounts/default/token?scopes=https%3A%2F%2Fwww.googleapis.com"
                        "%2Fauth%2Fiam");
    plugin_world_answer_with(&world, 200, &flavor, GOOD);
    assert_non_null(
        strstr(plugin_world_http(&world)->url, "serviceAccounts/sa%40p:generateIdToken"));
    assert_string_equal(plugin_world_body(&world),
                        "{\"delegates\":[],\"audience\":\"https://svc\",\"includeEmail\":true}");
    (void)snprintf(answer, sizeof(answer), "{\"token\":\"%s\"}", token_jwt(NOW_S + 1800));
    plugin_world_answer(&world, 200, answer);
    ended_with(LEASE_OUTCOME_OK, "");
    assert_int_equal(call.lifetime_ms, 1800000);
    assert_string_equal(plugin_call_field(&call, "id_token"), token_jwt(NOW_S + 1800));
    assert_string_equal(plugin_call_field(&call, "service_account"), "sa@p");
    assert_null(strstr(call.fields, "token_type"));
    plugin_world_fini(&world);
}

/* --- keys ------------------------------------------------------------------------------------- */

static void check_assertion(const char *member, const char *value, int64_t now_s)
{
    json_t *header;
    json_t *claims;
    const struct {
        const char *name;
        const char *value;
    } texts[] = {{"iss", "me@p.iam.gserviceaccount.com"},
                 {"aud", "https://oauth2.googleapis.com/token"},
                 {member, value}};

    assert_string_equal(token_form_field(&world, "grant_type"),
                        "urn:ietf:params:oauth:grant-type:jwt-bearer");
    token_verify(token_form_field(&world, "assertion"), "RS256", token_pair(0), &header, &claims);
    assert_string_equal(json_string_value(json_object_get(header, "kid")), "kid-1");
    assert_int_equal(json_object_size(header), 3);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_string_equal(json_string_value(json_object_get(claims, texts[i].name)),
                            texts[i].value);
    }
    assert_int_equal(json_integer_value(json_object_get(claims, "iat")), now_s);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")), now_s + 3600);
    assert_int_equal(json_object_size(claims), 5);
    json_decref(header);
    json_decref(claims);
}

static void test_a_key_signs_an_assertion(void **state)
{
    (void)state;
    open_world(KEY_CONFIG);
    plugin_world_issue(&world, &call, SCOPED, 0);
    assert_string_equal(plugin_world_http(&world)->url, "https://oauth2.googleapis.com/token");
    check_assertion("scope", "https://s/a b", NOW_S);
    plugin_world_answer(&world, 200, GOOD);
    ended_with(LEASE_OUTCOME_OK, "");
    assert_string_equal(plugin_call_field(&call, "service_account"),
                        "me@p.iam.gserviceaccount.com");
    plugin_world_fini(&world);
}

static void test_a_key_gets_an_id_token(void **state)
{
    char answer[400];

    (void)state;
    open_world(KEY_CONFIG);
    plugin_world_issue(&world, &call, ID_TOKEN, 0);
    check_assertion("target_audience", "https://svc.example/a b", NOW_S);
    (void)snprintf(answer, sizeof(answer), "{\"id_token\":\"%s\"}", token_jwt(NOW_S + 3600));
    plugin_world_answer(&world, 200, answer);
    ended_with(LEASE_OUTCOME_OK, "");
    assert_int_equal(call.lifetime_ms, 3600000);
    plugin_world_fini(&world);
}

static void test_a_key_impersonates(void **state)
{
    (void)state;
    open_world(KEY_CONFIG);
    plugin_world_issue(&world, &call, IMPERSONATED, 0);
    check_assertion("scope", "https://www.googleapis.com/auth/iam", NOW_S);
    plugin_world_answer(&world, 200, GOOD);
    assert_string_equal(plugin_world_header(&world, "authorization"), "Bearer ya29.x");
    plugin_world_answer(&world, 200,
                        "{\"accessToken\":\"y\",\"expireTime\":\"2026-01-01T01:00:00Z\"}");
    ended_with(LEASE_OUTCOME_OK, "");
    assert_string_equal(plugin_call_field(&call, "service_account"),
                        "sa@p.iam.gserviceaccount.com");
    plugin_world_fini(&world);
}

static void test_a_domains_user_is_the_subject(void **state)
{
    json_t *header;
    json_t *claims;

    (void)state;
    open_world("{\"auth\":{\"method\":\"service_account_key\",\"key_file\":\"/k\",\"subject\":"
               "\"joe@example.com\"}}");
    plugin_world_issue(&world, &call, SCOPED, 0);
    token_verify(token_form_field(&world, "assertion"), "RS256", token_pair(0), &header, &claims);
    assert_string_equal(json_string_value(json_object_get(claims, "sub")), "joe@example.com");
    json_decref(header);
    json_decref(claims);
    plugin_world_answer(&world, 200, GOOD);
    plugin_world_fini(&world);
}

static void test_a_clock_that_is_off_is_corrected_once(void **state)
{
    const struct env_http_header date = {.name = STR("date"),
                                         .value = STR("Wed, 31 Dec 2025 23:50:00 GMT")};
    static const char refusal[] = "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid "
                                  "JWT: Token must be a short-lived token\"}";

    (void)state;
    open_world(KEY_CONFIG);
    plugin_world_issue(&world, &call, SCOPED, 0);
    plugin_world_answer_with(&world, 400, &date, refusal);
    assert_int_equal(call.end_count, 0);
    check_assertion("scope", "https://s/a b", NOW_S - 600);
    plugin_world_answer_with(&world, 400, &date, refusal);
    ended_with(LEASE_OUTCOME_DENIED, "invalid_grant: Invalid JWT");
    plugin_world_issue(&world, &call, SCOPED, 0);
    check_assertion("scope", "https://s/a b", NOW_S - 600);
    plugin_world_answer(&world, 200, GOOD);
    ended_with(LEASE_OUTCOME_OK, "");
    plugin_world_fini(&world);
}

static void test_endpoints_move_the_request_and_not_the_audience(void **state)
{
    (void)state;
    open_world("{\"auth\":{\"method\":\"service_account_key\",\"key_file\":\"/k\"},\"endpoints\":{"
               "\"token\":\"http://127.0.0.1:7\",\"iamcredentials\":\"https://iam.example\"}}");
    plugin_world_issue(&world, &call, IMPERSONATED, 0);
    assert_string_equal(plugin_world_http(&world)->url, "http://127.0.0.1:7/token");
    check_assertion("scope", "https://www.googleapis.com/auth/iam", NOW_S);
    plugin_world_answer(&world, 200, GOOD);
    assert_non_null(strstr(plugin_world_http(&world)->url, "https://iam.example/v1/projects/-/"));
    plugin_world_answer(&world, 200,
                        "{\"accessToken\":\"y\",\"expireTime\":\"2026-01-01T01:00:00Z\"}");
    plugin_world_fini(&world);
}

/* --- this machine ----------------------------------------------------------------------------- */

static void test_this_machines_token_is_asked_for(void **state)
{
    (void)state;
    open_world(METADATA_CONFIG);
    plugin_world_issue(&world, &call, "{}", 0);
    assert_string_equal(plugin_world_http(&world)->method, "GET");
    assert_string_equal(plugin_world_http(&world)->url,
                        "http://metadata.google.internal/computeMetadata/v1/instance/"
                        "service-accounts/default/token");
    assert_string_equal(plugin_world_header(&world, "metadata-flavor"), "Google");
    assert_true((plugin_world_http(&world)->flags & ENV_HTTP_METADATA) != 0);
    plugin_world_answer_with(&world, 200, &flavor, GOOD);
    ended_with(LEASE_OUTCOME_OK, "");
    plugin_world_issue(&world, &call, SCOPED, 0);
    assert_non_null(strstr(plugin_world_http(&world)->url, "token?scopes=https%3A%2F%2Fs%2Fa%2Cb"));
    /* Anybody could answer at this address. */
    plugin_world_answer(&world, 200, GOOD);
    ended_with(LEASE_OUTCOME_RETRY, "no header Metadata-Flavor");
    plugin_world_fini(&world);
}

static void test_this_machines_id_token_is_a_bare_text(void **state)
{
    (void)state;
    open_world(METADATA_CONFIG);
    plugin_world_issue(&world, &call, ID_TOKEN, 0);
    assert_string_equal(plugin_world_http(&world)->url,
                        "http://metadata.google.internal/computeMetadata/v1/instance/"
                        "service-accounts/default/identity?format=full&audience=https%3A%2F%2Fsvc."
                        "example%2Fa%20b");
    plugin_world_answer_with(&world, 200, &flavor, token_jwt(NOW_S + 60));
    ended_with(LEASE_OUTCOME_OK, "");
    assert_int_equal(call.lifetime_ms, 60000);
    plugin_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_issuers_token_is_exchanged),
        cmocka_unit_test(test_a_workforce_pool_is_told_who_pays),
        cmocka_unit_test(test_a_service_account_is_impersonated),
        cmocka_unit_test(test_the_wished_life_is_bounded_by_what_google_gives),
        cmocka_unit_test(test_an_id_token_is_made_for_its_audience),
        cmocka_unit_test(test_a_key_signs_an_assertion),
        cmocka_unit_test(test_a_key_gets_an_id_token),
        cmocka_unit_test(test_a_key_impersonates),
        cmocka_unit_test(test_a_domains_user_is_the_subject),
        cmocka_unit_test(test_a_clock_that_is_off_is_corrected_once),
        cmocka_unit_test(test_endpoints_move_the_request_and_not_the_audience),
        cmocka_unit_test(test_this_machines_token_is_asked_for),
        cmocka_unit_test(test_this_machines_id_token_is_a_bare_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
