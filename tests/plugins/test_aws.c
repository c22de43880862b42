/* What is asked of STS, byte for byte, and what becomes of its answers. */
#include "plugins/aws_world.h"

#include <stdio.h>
#include <string.h>

static void test_a_role_is_assumed(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_assert_url(&world, "POST", "https://sts.eu-west-1.amazonaws.com/");
    assert_string_equal(plugin_world_body(&world),
                        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A"
                        "123456789012%3Arole%2Fdemo&RoleSessionName=joe");
    assert_string_equal(plugin_world_header(&world, "content-type"),
                        "application/x-www-form-urlencoded; charset=utf-8");
    assert_string_equal(plugin_world_header(&world, "x-amz-date"), "20260101T000000Z");
    assert_string_equal(plugin_world_header(&world, "x-amz-security-token"), "");
    /* Made with botocore. */
    assert_string_equal(
        plugin_world_header(&world, "authorization"),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/sts/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=cf7ea4e5c7e08847a235ff04efc8716b29daa42454fc1183bc724d46a5376173");
    aws_answer_session(&world, "AssumeRole");
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_string_equal(call.fields,
                        "access_key_id=ASIAEXAMPLE\nsecret_access_key*=SECRET-key/+\n"
                        "session_token*=" AWS_TOKEN "\nexpiration=2026-01-01T01:00:00Z\n");
    assert_int_equal(call.lifetime_ms, 3600000);
    assert_false(call.is_renewable);
    assert_false(call.is_revocable);
    assert_string_equal(call.ref, "ASIAEXAMPLE");
    assert_string_equal(call.intents, "");
    plugin_world_fini(&world);
}

static void test_all_that_a_role_may_say_is_sent(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_issue(
        &world, &call,
        "{\"role_arn\":\"" AWS_ROLE_ARN "\",\"session_name\":\"${identity.user}-${reason}\","
        "\"external_id\":\"ex:1/2\",\"source_identity\":\"${identity.user}\",\"tags\":{\"user\":"
        "\"${identity.user}\",\"why\":\"${reason}\"},\"transitive_tags\":[\"user\"],\"policy\":{"
        "\"Version\":\"2012-10-17\"},\"policy_arns\":[\"arn:aws:iam::aws:policy/ReadOnly\"]}",
        1800000);
    assert_string_equal(
        plugin_world_body(&world),
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2F"
        "demo&RoleSessionName=joe-deploy-7&ExternalId=ex%3A1%2F2&SourceIdentity=joe"
        "&Tags.member.1.Key=user&Tags.member.1.Value=joe&Tags.member.2.Key=why"
        "&Tags.member.2.Value=deploy+7&TransitiveTagKeys.member.1=user"
        "&Policy=%7B%22Version%22%3A%222012-10-17%22%7D"
        "&PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnly"
        "&DurationSeconds=1800");
    aws_answer_session(&world, "AssumeRole");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(call.lifetime_ms, 1800000); /* no more than was asked for */
    plugin_world_fini(&world);
}

/* The body that an issue for user joe with this reason has. */
static const char *body_for(struct plugin_world *world, const char *reason, const char *params)
{
    static char body[16384];
    struct plugin_call call = {.call = {.kind = LEASE_CALL_ISSUE,
                                        .params_json = params,
                                        .caller = {.user = "joe", .reason = reason, .sans = ""}}};

    plugin_world_call(world, &call);
    (void)snprintf(body, sizeof(body), "%s", plugin_world_body(world));
    aws_answer_session(world, "AssumeRole");
    assert_int_equal(call.end_count, 1);
    return body;
}

static void test_no_caller_can_inject_into_a_field(void **state)
{
    static const char params[] =
        "{\"role_arn\":\"" AWS_ROLE_ARN "\",\"session_name\":\"${reason}\",\"source_identity\":"
        "\"${reason}\",\"tags\":{\"why\":\"${reason}\"}}";
    struct plugin_world world;
    char long_reason[400];
    const char *body;

    (void)state;
    aws_world_open(&world, NULL);
    body = body_for(&world, "x&Policy={}\n*=%41", params);
    assert_non_null(strstr(body, "&RoleSessionName=x-Policy%3D----%3D-41&"));
    assert_non_null(strstr(body, "&SourceIdentity=x-Policy%3D----%3D-41&"));
    assert_non_null(strstr(body, "&Tags.member.1.Value=x-Policy%3D--+-%3D-41"));
    assert_null(strstr(body, "&Policy="));
    /* A character of several bytes is one. */
    body = body_for(&world, "J\xc3\xb6rg \xe2\x82\xac", params);
    assert_non_null(strstr(body, "&RoleSessionName=J-rg--&"));
    body = body_for(&world, "x", params);
    assert_non_null(strstr(body, "&RoleSessionName=x-&"));
    memset(long_reason, 'a', sizeof(long_reason) - 1);
    long_reason[sizeof(long_reason) - 1] = '\0';
    body = body_for(&world, long_reason, params);
    body = strstr(body, "&RoleSessionName=") + strlen("&RoleSessionName=");
    assert_int_equal(strspn(body, "a"), 64);
    body = strstr(body, "Value=") + strlen("Value=");
    assert_int_equal(strspn(body, "a"), 256);
    plugin_world_fini(&world);
}

static void test_tokens_of_users_are_asked_for(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_issue(&world, &call, "{\"action\":\"get_session_token\"}", 60000);
    assert_string_equal(plugin_world_body(&world),
                        "Action=GetSessionToken&Version=2011-06-15&DurationSeconds=900");
    aws_answer_session(&world, "GetSessionToken");
    assert_int_equal(call.lifetime_ms, 900000);
    plugin_world_issue(&world, &call,
                       "{\"action\":\"get_federation_token\",\"session_name\":"
                       "\"0123456789012345678901234567890123\",\"policy\":\"{}\"}",
                       UINT64_C(400) * 3600 * 1000);
    assert_string_equal(plugin_world_body(&world),
                        "Action=GetFederationToken&Version=2011-06-15&Name="
                        "01234567890123456789012345678901&Policy=%7B%7D&DurationSeconds=129600");
    aws_answer_session(&world, "GetFederationToken");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_a_web_identity_is_exchanged_unsigned(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    plugin_world_init(&world, leased_plugin_entry_aws, "aws");
    fake_env_add_secret(&world.fake, "shared-file:/token", "SECRET.jwt.abc");
    plugin_world_open(&world, NULL,
                      "{\"region\":\"cn-north-1\",\"source\":{\"type\":\"web_identity\","
                      "\"token_file\":\"/token\"}}");
    plugin_world_issue(&world, &call,
                       "{\"action\":\"assume_role_with_web_identity\",\"role_arn\":"
                       "\"arn:aws-cn:iam::123456789012:role/team/demo\"}",
                       3600000);
    aws_assert_url(&world, "POST", "https://sts.cn-north-1.amazonaws.com.cn/");
    assert_string_equal(plugin_world_body(&world),
                        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws-cn"
                        "%3Aiam%3A%3A123456789012%3Arole%2Fteam%2Fdemo&RoleSessionName=joe"
                        "&DurationSeconds=3600&WebIdentityToken=SECRET.jwt.abc");
    assert_string_equal(plugin_world_header(&world, "authorization"), "");
    aws_answer_session(&world, "AssumeRoleWithWebIdentity");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    /* What such a token can't do. */
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "source.role_arn: without a role"));
    plugin_world_fini(&world);
}

static void test_a_web_identity_action_needs_such_a_source(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_issue(&world, &call,
                       "{\"action\":\"assume_role_with_web_identity\",\"role_arn\":\"" AWS_ROLE_ARN
                       "\"}",
                       0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "needs a backend with source.type web_identity"));
    plugin_world_fini(&world);
}

static void test_health_asks_who_we_are(void **state)
{
    struct plugin_world world;

    (void)state;
    plugin_world_init(&world, leased_plugin_entry_aws, "aws");
    fake_env_add_secret(&world.fake, "file:/aws", AWS_FILE);
    world.health_interval_ms = 1000;
    plugin_world_open(&world, NULL, AWS_FILE_CONFIG);
    fake_env_advance(&world.fake, 1000);
    assert_string_equal(plugin_world_body(&world), "Action=GetCallerIdentity&Version=2011-06-15");
    aws_assert_signed_by(&world, "AKIDEXAMPLE");
    aws_answer_identity(&world, "123456789012");
    plugin_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_role_is_assumed),
        cmocka_unit_test(test_all_that_a_role_may_say_is_sent),
        cmocka_unit_test(test_no_caller_can_inject_into_a_field),
        cmocka_unit_test(test_tokens_of_users_are_asked_for),
        cmocka_unit_test(test_a_web_identity_is_exchanged_unsigned),
        cmocka_unit_test(test_a_web_identity_action_needs_such_a_source),
        cmocka_unit_test(test_health_asks_who_we_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
