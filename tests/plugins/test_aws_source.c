/* Where the credentials come from that requests are signed with. */
#include "plugins/aws_world.h"

#include <string.h>

#define CONFIG(source) "{\"region\":\"eu-west-1\",\"source\":{" source "}}"
#define METADATA "http://169.254.169.254/latest/"
#define ROLES METADATA "meta-data/iam/security-credentials/"
#define KEYS_UNTIL(when)                                                                           \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIABASE\",\"SecretAccessKey\":\"SECRET-base\","      \
    "\"Token\":\"SECRET-base-token-0123456789\",\"Expiration\":\"" when "\"}"

static void init(struct plugin_world *world)
{
    plugin_world_init(world, leased_plugin_entry_aws, "aws");
}

static void finish(struct plugin_world *world, struct plugin_call *call)
{
    aws_answer_session(world, "AssumeRole");
    assert_int_equal(call->end_count, 1);
    assert_int_equal(call->outcome, LEASE_OUTCOME_OK);
}

/* The file has another text. */
static void rewrite(struct plugin_world *world, const char *text)
{
    world->fake.secrets[0].value = text;
}

static void test_a_changed_file_counts_at_once(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    init(&world);
    fake_env_add_secret(&world.fake, "file:/f",
                        "[a]\naws_access_key_id=AKIA1\n[b]\n"
                        "aws_access_key_id=AKIA2\n"
                        "aws_secret_access_key=SECRET\n");
    plugin_world_open(&world, NULL,
                      CONFIG("\"type\":\"file\",\"credentials_file\":\"/f\",\"profile\":\"b\""));
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_assert_signed_by(&world, "AKIA2");
    finish(&world, &call);
    rewrite(&world, "[b]\naws_access_key_id=AKIA3\n"
                    "aws_secret_access_key=SECRET\n"
                    "aws_session_token=SECRET-session\n");
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_assert_signed_by(&world, "AKIA3");
    assert_string_equal(plugin_world_header(&world, "x-amz-security-token"), "SECRET-session");
    assert_non_null(strstr(plugin_world_header(&world, "authorization"),
                           "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,"));
    finish(&world, &call);
    rewrite(&world, "[c]\n");
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_non_null(strstr(call.detail, "the credentials file has no profile \"b\""));
    rewrite(&world, "[b]\naws_access_key_id=AKIA3\n");
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    assert_non_null(strstr(call.detail, "source: the secret access key is missing"));
    plugin_world_fini(&world);
}

static void test_a_missing_file_is_a_passing_fault(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    init(&world);
    plugin_world_open(&world, NULL, AWS_FILE_CONFIG);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_memory_equal(call.detail, "source: ", 8);
    plugin_world_fini(&world);
}

static void test_the_environment(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    init(&world);
    fake_env_add_secret(&world.fake, "env:AWS_ACCESS_KEY_ID", "AKIAENV");
    fake_env_add_secret(&world.fake, "env:AWS_SECRET_ACCESS_KEY", "SECRET");
    plugin_world_open(&world, NULL, CONFIG("\"type\":\"environment\""));
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_assert_signed_by(&world, "AKIAENV");
    finish(&world, &call);
    plugin_world_fini(&world);
}

static void test_instance_metadata_is_asked_in_three_steps_and_kept(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    init(&world);
    plugin_world_open(&world, NULL, CONFIG("\"type\":\"instance_metadata\""));
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 7200000);
    aws_assert_url(&world, "PUT", METADATA "api/token");
    assert_true((plugin_world_http(&world)->flags & (uint32_t)ENV_HTTP_METADATA) != 0);
    assert_string_equal(plugin_world_header(&world, "x-aws-ec2-metadata-token-ttl-seconds"),
                        "21600");
    plugin_world_answer(&world, 200, "SECRET-imds");
    aws_assert_url(&world, "GET", ROLES);
    assert_string_equal(plugin_world_header(&world, "x-aws-ec2-metadata-token"), "SECRET-imds");
    plugin_world_answer(&world, 200, "builder\n");
    aws_assert_url(&world, "GET", ROLES "builder");
    plugin_world_answer(&world, 200, KEYS_UNTIL("2026-01-01T06:00:00Z"));
    aws_assert_signed_by(&world, "ASIABASE");
    /* A role's session assumes another: for an hour at most. */
    assert_non_null(strstr(plugin_world_body(&world), "&DurationSeconds=3600"));
    finish(&world, &call);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_assert_signed_by(&world, "ASIABASE");
    finish(&world, &call);
    /* Near its end it is asked again. */
    fake_env_advance(&world.fake, UINT64_C(6) * 3600 * 1000 - 299000);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_assert_url(&world, "PUT", METADATA "api/token");
    plugin_world_fail(&world, ERR_CONNECT);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    plugin_world_fini(&world);
}

static void test_instance_metadata_that_is_of_no_use_is_told(void **state)
{
    static const struct {
        uint32_t status[3];
        const char *body[3];
        const char *detail;
    } cases[] = {
        {{403}, {"no"}, "instance metadata (version 2) answered 403"},
        {{200}, {""}, "instance metadata gave no token"},
        {{200, 404}, {"t", ""}, "the instance has no role"},
        {{200, 200}, {"t", "../x"}, "instance metadata named no role"},
        {{200, 200, 200}, {"t", "r", "[]"}, "answer can't be used: it is not a JSON object"},
        {{200, 200, 200}, {"t", "r", "{\"Code\":\"Failed\"}"}, "the access key id is missing"},
        {{200, 200, 500}, {"t", "r", "x"}, "instance metadata answered 500"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct plugin_world world;
        struct plugin_call call;

        init(&world);
        plugin_world_open(&world, NULL, CONFIG("\"type\":\"instance_metadata\""));
        plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
        for (size_t j = 0; j < 3 && cases[i].status[j] != 0; j++) {
            plugin_world_answer(&world, cases[i].status[j], cases[i].body[j]);
        }
        assert_int_equal(call.end_count, 1);
        assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
        assert_non_null(strstr(call.detail, cases[i].detail));
        plugin_world_fini(&world);
    }
}

static void test_a_container_is_asked_as_its_environment_says(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    init(&world);
    fake_env_add_secret(&world.fake, "env:AWS_CONTAINER_CREDENTIALS_FULL_URI",
                        "http://169.254.170.23/v1/credentials");
    fake_env_add_secret(&world.fake, "env:AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/eks");
    fake_env_add_secret(&world.fake, "shared-file:/eks", "SECRET-eks");
    plugin_world_open(&world, NULL, CONFIG("\"type\":\"container\""));
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_assert_url(&world, "GET", "http://169.254.170.23/v1/credentials");
    assert_string_equal(plugin_world_header(&world, "authorization"), "SECRET-eks");
    plugin_world_answer(&world, 200, KEYS_UNTIL("2026-01-01T01:00:00Z"));
    finish(&world, &call);
    /* The relative one wins. */
    fake_env_add_secret(&world.fake, "env:AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/creds/1");
    fake_env_advance(&world.fake, 3600000);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_assert_url(&world, "GET", "http://169.254.170.2/v2/creds/1");
    plugin_world_answer(&world, 404, "");
    assert_non_null(strstr(call.detail, "the container's endpoint answered 404"));
    plugin_world_fini(&world);
}

static void test_a_container_is_asked_as_configured(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    init(&world);
    fake_env_add_secret(&world.fake, "credential:ct", "SECRET-ct");
    plugin_world_open(&world, NULL,
                      CONFIG("\"type\":\"container\",\"uri\":\"http://127.0.0.1:99/x?y=1\","
                             "\"authorization_token_credential\":\"ct\""));
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_assert_url(&world, "GET", "http://127.0.0.1:99/x?y=1");
    assert_string_equal(plugin_world_header(&world, "authorization"), "SECRET-ct");
    plugin_world_answer(&world, 200, KEYS_UNTIL("2026-01-01T01:00:00Z"));
    finish(&world, &call);
    plugin_world_fini(&world);
}

static void test_a_container_is_asked_in_the_clear_here_only(void **state)
{
    static const char *const uris[] = {"http://example.org/x", "http://169.254.169.254/x",
                                       "http://127.0.0.1.example.org/", "ftp://127.0.0.1/"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(uris); i++) {
        struct plugin_world world;
        struct plugin_call call;

        init(&world);
        fake_env_add_secret(&world.fake, "env:AWS_CONTAINER_CREDENTIALS_FULL_URI", uris[i]);
        plugin_world_open(&world, NULL, CONFIG("\"type\":\"container\""));
        plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
        assert_true(plugin_world_is_idle(&world));
        assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
        plugin_world_fini(&world);
    }
}

static void test_without_a_word_of_a_container_nothing_is_asked(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    init(&world);
    plugin_world_open(&world, NULL, CONFIG("\"type\":\"container\""));
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_non_null(strstr(call.detail, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
    plugin_world_fini(&world);
}

static void test_a_web_identity_and_a_role_on_top(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    init(&world);
    fake_env_add_secret(&world.fake, "shared-file:/t", "SECRET.jwt.0123456789");
    plugin_world_open(&world, NULL,
                      "{\"region\":\"eu-west-1\",\"source\":{\"type\":\"web_identity\","
                      "\"token_file\":\"/t\",\"role_arn\":\"arn:aws:iam::123456789012:role/base\"},"
                      "\"assume_role\":{\"role_arn\":\"arn:aws:iam::123456789012:role/hop\","
                      "\"session_name\":\"hop-1\",\"external_id\":\"e1\"}}");
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    assert_string_equal(plugin_world_body(&world),
                        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3A"
                        "iam%3A%3A123456789012%3Arole%2Fbase&RoleSessionName=leased"
                        "&WebIdentityToken=SECRET.jwt.0123456789");
    assert_string_equal(plugin_world_header(&world, "authorization"), "");
    aws_answer_session(&world, "AssumeRoleWithWebIdentity");
    assert_string_equal(plugin_world_body(&world),
                        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A"
                        "123456789012%3Arole%2Fhop&RoleSessionName=hop-1&ExternalId=e1");
    aws_assert_signed_by(&world, "ASIAEXAMPLE");
    assert_string_equal(plugin_world_header(&world, "x-amz-security-token"), AWS_TOKEN);
    aws_answer_session(&world, "AssumeRole");
    assert_non_null(strstr(plugin_world_body(&world), "role%2Fdemo"));
    finish(&world, &call);
    /* Both are kept. */
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    assert_non_null(strstr(plugin_world_body(&world), "role%2Fdemo"));
    finish(&world, &call);
    plugin_world_fini(&world);
}

/* The container is asked once more when AWS refuses what it gave, and not a third time. */
static void expect_asked_once_more(const char *code, enum lease_outcome outcome, const char *detail)
{
    struct plugin_world world;
    struct plugin_call call;

    init(&world);
    plugin_world_open(&world, NULL, CONFIG("\"type\":\"container\",\"uri\":\"/c\""));
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    plugin_world_answer(&world, 200, KEYS_UNTIL("2026-01-01T01:00:00Z"));
    aws_answer_error(&world, 403, code, "no");
    aws_assert_url(&world, "GET", "http://169.254.170.2/c");
    plugin_world_answer(&world, 200, KEYS_UNTIL("2026-01-01T02:00:00Z"));
    aws_answer_error(&world, 403, code, "no");
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, outcome);
    assert_non_null(strstr(call.detail, detail));
    plugin_world_fini(&world);
}

static void test_an_expired_source_is_read_again_once(void **state)
{
    (void)state;
    expect_asked_once_more("ExpiredToken", LEASE_OUTCOME_RETRY,
                           "the source's credential has expired");
}

/* Somebody ended it before its time. */
static void test_a_kept_source_that_is_not_known_any_more_is_read_again_once(void **state)
{
    (void)state;
    expect_asked_once_more("InvalidClientTokenId", LEASE_OUTCOME_DENIED,
                           "the source's access key is unknown there");
}

static void test_a_web_identity_without_a_role_cannot_deny_older_sessions(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    init(&world);
    plugin_world_open(&world, NULL, CONFIG("\"type\":\"web_identity\",\"token_file\":\"/t\""));
    plugin_world_issue(&world, &call,
                       "{\"action\":\"assume_role_with_web_identity\",\"role_arn\":\"" AWS_ROLE_ARN
                       "\",\"revoke\":\"deny-older\"}",
                       0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "needs a backend with source.role_arn"));
    plugin_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_changed_file_counts_at_once),
        cmocka_unit_test(test_a_missing_file_is_a_passing_fault),
        cmocka_unit_test(test_the_environment),
        cmocka_unit_test(test_instance_metadata_is_asked_in_three_steps_and_kept),
        cmocka_unit_test(test_instance_metadata_that_is_of_no_use_is_told),
        cmocka_unit_test(test_a_container_is_asked_as_its_environment_says),
        cmocka_unit_test(test_a_container_is_asked_as_configured),
        cmocka_unit_test(test_a_container_is_asked_in_the_clear_here_only),
        cmocka_unit_test(test_without_a_word_of_a_container_nothing_is_asked),
        cmocka_unit_test(test_a_web_identity_and_a_role_on_top),
        cmocka_unit_test(test_an_expired_source_is_read_again_once),
        cmocka_unit_test(test_a_kept_source_that_is_not_known_any_more_is_read_again_once),
        cmocka_unit_test(test_a_web_identity_without_a_role_cannot_deny_older_sessions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
