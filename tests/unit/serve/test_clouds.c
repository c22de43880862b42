/* The clouds' credential APIs: their guards, which role answers, and their clients' words. */
#include <stdio.h>
#include <string.h>

#include "lease/token.h"
#include "unit/serve/fixture.h"

#define AWS "/aws/credentials/db"
#define ACCOUNTS "/computeMetadata/v1/instance/service-accounts/"
#define AZURE "/azure/token/db?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net"
#define IMDS                                                                                       \
    "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net/"

static const char authorization[] = "Authorization: leased";
static const char flavor[] = "Metadata-Flavor: Google";
static const char identity[] = "X-IDENTITY-HEADER: leased";
static const char metadata[] = "Metadata: true";

/* Fields beside the issuer's own; no role of the fixture has any. */
static struct lease_field fields[4];

static void role_gives(size_t index, const char *name, const char *value)
{
    size_t at = f.roles[index].attribute_count++;

    assert_true(at < ARRAY_LEN(fields));
    fields[at] = (struct lease_field){.name = str_of(name), .value = str_of(value)};
    f.roles[index].attributes = fields;
}

static void role_gives_aws(void)
{
    role_gives(0, "access_key_id", "ASIAEXAMPLE");
    role_gives(0, "secret_access_key", "key/+=");
    role_gives(0, "session_token", "token==");
}

/* Everything is served, by a backend of this plugin, and roles need no process. */
static void serve_all(const char *plugin)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(f.roles); i++) {
        f.roles[i].binding = ACCESS_BINDING_NONE;
    }
    idle_backend_name_plugin(plugin);
    (void)fixture_add_backend("vault-prod");
    fixture_open();
    f.listener.apis |= SERVE_API_AWS | SERVE_API_GCP | SERVE_API_AZURE;
}

static void comes_by_loopback(enum who who)
{
    f.connections[who].peer.kind = ENV_PEER_LOOPBACK;
    f.connections[who].peer.pid = 0;
    f.connections[who].peer.cgroup[0] = '\0';
}

static struct call *get(enum who who, const char *target, const char *header, const char *more)
{
    const char *const headers[] = {"Host: localhost", header, more, NULL};
    struct call *call = fixture_send_message(who, (struct message){.method = "GET",
                                                                   .target = target,
                                                                   .headers = headers,
                                                                   .has_no_default_headers = true});

    fixture_run();
    if (call->status != 0) {
        call_deliver(call);
        fixture_run();
    }
    return call;
}

/* --- AWS --- */

static void test_aws_gets_its_own_words(void **state)
{
    struct call *call;

    (void)state;
    role_gives_aws();
    serve_all("aws");
    call = get(ALICE, AWS, authorization, NULL);
    assert_int_equal(call->status, 200);
    assert_string_equal(call->content_type, "application/json");
    assert_string_equal(call_text(call, "AccessKeyId"), "ASIAEXAMPLE");
    assert_string_equal(call_text(call, "SecretAccessKey"), "key/+=");
    assert_string_equal(call_text(call, "Token"), "token==");
    assert_string_equal(call_text(call, "Expiration"), "2026-01-01T00:59:58Z");
    assert_int_equal(json_object_size(call_json(call)), 4);
    assert_string_equal(get(ALICE, AWS, authorization, NULL)->body, call->body);
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 1);
}

static void test_aws_is_told_when_the_grant_ends_before_the_session(void **state)
{
    (void)state;
    role_gives_aws();
    f.roles[0].ttl_ms = 6 * HOUR_MS;
    serve_all("aws");
    assert_string_equal(call_text(get(ALICE, AWS, authorization, NULL), "Expiration"),
                        "2026-01-01T00:59:58Z");
    fixture_advance(59 * MINUTE_MS);
    /* Renewed meanwhile; but the rule's 2 h end it. */
    assert_string_equal(call_text(get(ALICE, AWS, authorization, NULL), "Expiration"),
                        "2026-01-01T01:29:47Z");
    fixture_advance(58 * MINUTE_MS);
    assert_string_equal(call_text(get(ALICE, AWS, authorization, NULL), "Expiration"),
                        "2026-01-01T02:00:00Z");
}

static void test_aws_reads_vaults_engine_too(void **state)
{
    struct call *call;

    (void)state;
    role_gives(0, "access_key", "AKIAEXAMPLE");
    role_gives(0, "secret_key", "key");
    serve_all("vault");
    call = get(ALICE, AWS, authorization, NULL);
    assert_string_equal(call_text(call, "AccessKeyId"), "AKIAEXAMPLE");
    assert_string_equal(call_text(call, "Token"), "");
}

static void test_aws_gets_nothing_of_another_kind(void **state)
{
    struct call *call;

    (void)state;
    serve_all("vault");
    call = get(ALICE, AWS, authorization, NULL);
    assert_int_equal(call->status, 422);
    assert_string_equal(call_text(call, "code"), "invalid");
    assert_null(strstr(call->body, SCRIPTED_MARKER));
}

static void test_problems_are_worded_as_the_clients_read_them(void **state)
{
    struct call *call;

    (void)state;
    serve_all("aws");
    call = get(CAROL, AWS, authorization, NULL);
    assert_int_equal(call->status, 403);
    assert_string_equal(call_text(call, "code"), "denied");
    assert_non_null(strstr(call_text(call, "message"), "operator"));
    assert_true(fixture_trail_has("\"api\":\"aws\"") > 0);
    assert_int_equal(get(ALICE, "/aws/credentials/none", authorization, NULL)->status, 404);
    call = get(CAROL, "/gcp/token/db", flavor, NULL);
    assert_int_equal(call->status, 403);
    assert_string_equal(call_text(call, "error"), "denied");
    assert_string_equal(call_header(call, "Metadata-Flavor"), "Google");
    call = get(CAROL, AZURE, identity, NULL);
    assert_int_equal(call->status, 403);
    assert_int_equal(json_integer_value(call_member(call, "statusCode")), 403);
    assert_non_null(call_text(call, "message"));
    assert_non_null(call_text(call, "error_description"));
}

static void test_a_grant_token_stands_where_clients_have_a_secret(void **state)
{
    char header[LEASE_TOKEN_BYTES + 32];
    struct call *call;

    (void)state;
    role_gives_aws();
    serve_all("aws");
    call = fixture_call(ALICE, "POST", API "/leases",
                        "{\"role\":\"db\",\"binding\":\"process\",\"token\":true}");
    assert_int_equal(call->status, 201);
    comes_by_loopback(ALICE_AGAIN);
    (void)snprintf(header, sizeof(header), "Authorization: %s", call_text(call, "token"));
    assert_int_equal(get(ALICE_AGAIN, AWS, header, NULL)->status, 200);
    assert_int_equal(fixture_records("grant.created"), 1);
    comes_by_loopback(BOB);
    assert_int_equal(get(BOB, AWS, header, NULL)->status, 403);
    header[strlen(header) - 1] ^= 1;
    assert_int_equal(get(ALICE_AGAIN, AWS, header, NULL)->status, 403);
}

/* --- guards --- */

static void test_each_api_has_its_guards(void **state)
{
    static const struct {
        const char *target;
        const char *header;
        uint32_t without;
    } apis[] = {
        {AWS, authorization, 401}, {"/gcp/token/db", flavor, 403},
        {"/", flavor, 403},        {ACCOUNTS "default/token", flavor, 403},
        {AZURE, identity, 401},    {IMDS, metadata, 400},
    };
    static const char *const foreign[] = {"Origin: https://evil.example",
                                          "X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1"};
    size_t i;
    size_t j;

    (void)state;
    serve_all("aws");
    for (i = 0; i < ARRAY_LEN(apis); i++) {
        assert_int_equal(get(ALICE, apis[i].target, NULL, NULL)->status, apis[i].without);
        for (j = 0; j < ARRAY_LEN(foreign); j++) {
            assert_int_equal(get(ALICE, apis[i].target, apis[i].header, foreign[j])->status, 403);
        }
    }
    assert_int_equal(get(ALICE, AWS, "Authorization: Basic bGVhc2Vk", NULL)->status, 401);
    assert_int_equal(get(ALICE, "/", "Metadata-Flavor: google", NULL)->status, 403);
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 0);
    assert_int_equal(fixture_records("grant.created"), 0);
}

static void test_what_a_listener_does_not_serve_is_not_there(void **state)
{
    (void)state;
    fixture_open();
    assert_int_equal(get(ALICE, AWS, authorization, NULL)->status, 404);
    assert_int_equal(get(ALICE, ACCOUNTS "default/token", flavor, NULL)->status, 404);
    assert_int_equal(get(ALICE, AZURE, identity, NULL)->status, 404);
}

/* --- GCP --- */

static void role_gives_gcp(void)
{
    f.roles[0].params_json = "{\"impersonate\":\"ci@acme.iam.gserviceaccount.com\","
                             "\"scopes\":[\"https://a\",\"https://b\"]}";
    role_gives(0, "access_token", "ya29.access");
    f.roles[2].params_json = "{\"type\":\"id_token\",\"audience\":\"https://run.example\"}";
}

static void test_gcp_asks_for_a_token_as_of_a_machine(void **state)
{
    struct call *call;

    (void)state;
    role_gives_gcp();
    serve_all("gcp");
    call = get(ALICE, "/", flavor, NULL);
    assert_int_equal(call->status, 200);
    assert_string_equal(call_header(call, "Metadata-Flavor"), "Google");
    call = get(ALICE, ACCOUNTS "default/?recursive=true", flavor, NULL);
    assert_string_equal(call_text(call, "email"), "ci@acme.iam.gserviceaccount.com");
    assert_int_equal(json_array_size(call_member(call, "scopes")), 2);
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 0);
    call = get(ALICE, ACCOUNTS "default/token?scopes=https%3A%2F%2Fa", flavor, NULL);
    assert_int_equal(call->status, 200);
    assert_string_equal(call->content_type, "application/json");
    assert_string_equal(call_header(call, "Metadata-Flavor"), "Google");
    assert_string_equal(call_text(call, "access_token"), "ya29.access");
    assert_string_equal(call_text(call, "token_type"), "Bearer");
    assert_int_equal(json_integer_value(call_member(call, "expires_in")), 3598);
    assert_int_equal(
        get(ALICE, ACCOUNTS "ci@acme.iam.gserviceaccount.com/token", flavor, NULL)->status, 200);
    assert_int_equal(get(ALICE, ACCOUNTS "other@acme.example/token", flavor, NULL)->status, 404);
    assert_string_equal(get(ALICE, ACCOUNTS "default/email", flavor, NULL)->body,
                        "ci@acme.iam.gserviceaccount.com");
    assert_string_equal(get(ALICE, ACCOUNTS "default/scopes", flavor, NULL)->body,
                        "https://a\nhttps://b\n");
}

static void test_gcp_gets_an_identity_for_its_audience(void **state)
{
    struct call *call;

    (void)state;
    role_gives_gcp();
    fields[1] = (struct lease_field){.name = STR("id_token"), .value = STR("eyJ.eyJ.sig")};
    f.roles[2].attributes = &fields[1];
    f.roles[2].attribute_count = 1;
    serve_all("gcp");
    call = get(ALICE, ACCOUNTS "default/identity?audience=https%3A%2F%2Frun.example&format=full",
               flavor, NULL);
    assert_int_equal(call->status, 200);
    assert_string_equal(call->body, "eyJ.eyJ.sig");
    assert_int_equal(
        get(ALICE, ACCOUNTS "default/identity?audience=https://other", flavor, NULL)->status, 403);
    assert_int_equal(get(ALICE, ACCOUNTS "default/identity", flavor, NULL)->status, 400);
}

static void test_gcp_takes_the_listeners_role(void **state)
{
    (void)state;
    role_gives_gcp();
    serve_all("vault");
    assert_int_equal(get(ALICE, ACCOUNTS "default/token", flavor, NULL)->status, 403);
    (void)snprintf(f.listener.gcp_role, sizeof(f.listener.gcp_role), "db");
    assert_int_equal(get(ALICE, ACCOUNTS "default/token", flavor, NULL)->status, 200);
    assert_int_equal(get(CAROL, ACCOUNTS "default/token", flavor, NULL)->status, 403);
}

static void test_gcp_gets_tokens_by_url(void **state)
{
    struct call *call;

    (void)state;
    role_gives(0, "token", "eyJhbGciOi.eyJ.sig");
    serve_all("vault");
    call = get(ALICE, "/gcp/token/db", flavor, NULL);
    assert_string_equal(call_text(call, "id_token"), "eyJhbGciOi.eyJ.sig");
    call = get(ALICE, "/gcp/token/db?format=text", "X-Leased-Request: 1", NULL);
    assert_string_equal(call->content_type, "text/plain");
    assert_string_equal(call->body, "eyJhbGciOi.eyJ.sig");
    assert_int_equal(get(ALICE, "/gcp/token/db-shared", flavor, NULL)->status, 422);
}

/* --- Azure --- */

static void role_gives_azure(void)
{
    f.roles[0].params_json = "{\"scope\":\"https://vault.azure.net/.default\"}";
    role_gives(0, "access_token", "eyJ.azure");
    f.roles[1].params_json = "{\"resource\":\"https://graph.microsoft.com\"}";
}

static void test_azure_gets_both_kinds_of_end(void **state)
{
    struct call *call;

    (void)state;
    role_gives_azure();
    serve_all("entra");
    call = get(ALICE, AZURE, identity, NULL);
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "access_token"), "eyJ.azure");
    assert_string_equal(call_text(call, "expires_in"), "3598");
    assert_string_equal(call_text(call, "expires_on"), "1767229198");
    assert_string_equal(call_text(call, "resource"), "https://vault.azure.net");
    assert_string_equal(call_text(call, "token_type"), "Bearer");
}

static void test_azure_finds_the_role_by_its_resource(void **state)
{
    (void)state;
    role_gives_azure();
    serve_all("entra");
    assert_int_equal(get(ALICE, IMDS, metadata, NULL)->status, 200);
    assert_int_equal(get(ALICE,
                         "/azure/token?api-version=2019-08-01&resource=https://vault.azure.net",
                         identity, NULL)
                         ->status,
                     200);
    assert_int_equal(get(ALICE, "/azure/token?api-version=2019-08-01&resource=https://none",
                         identity, NULL)
                         ->status,
                     403);
    assert_int_equal(get(ALICE, "/azure/token/db?api-version=2019-08-01&resource=https://none",
                         identity, NULL)
                         ->status,
                     400);
    assert_int_equal(get(ALICE, "/azure/token/db?api-version=2019-08-01", identity, NULL)->status,
                     400);
    assert_int_equal(get(ALICE, "/azure/token/db?resource=x", identity, NULL)->status, 400);
    assert_int_equal(
        get(ALICE, "/azure/token/db?api-version=2019-08-01&resource=%zz", identity, NULL)->status,
        400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_aws_gets_its_own_words),
        fixture_test(test_aws_is_told_when_the_grant_ends_before_the_session),
        fixture_test(test_aws_reads_vaults_engine_too),
        fixture_test(test_aws_gets_nothing_of_another_kind),
        fixture_test(test_problems_are_worded_as_the_clients_read_them),
        fixture_test(test_a_grant_token_stands_where_clients_have_a_secret),
        fixture_test(test_each_api_has_its_guards),
        fixture_test(test_what_a_listener_does_not_serve_is_not_there),
        fixture_test(test_gcp_asks_for_a_token_as_of_a_machine),
        fixture_test(test_gcp_gets_an_identity_for_its_audience),
        fixture_test(test_gcp_takes_the_listeners_role),
        fixture_test(test_gcp_gets_tokens_by_url),
        fixture_test(test_azure_gets_both_kinds_of_end),
        fixture_test(test_azure_finds_the_role_by_its_resource),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
