/* The backend's and the roles' keys: what is refused, and in which words. */
#include "plugins/aws_world.h"

#include <stdio.h>
#include <string.h>

#define FILE_SOURCE "\"source\":{\"type\":\"file\",\"credentials_file\":\"/f\"}"
#define REGION "\"region\":\"eu-west-1\""

static void test_mistakes_of_the_configuration_name_their_key(void **state)
{
    static const struct {
        const char *config;
        const char *error;
    } cases[] = {
        {"{" REGION "," FILE_SOURCE "}", ""},
        {"{" FILE_SOURCE "}", "region: the name of a region is expected"},
        {"{\"region\":\"EU West\"," FILE_SOURCE "}", "region: the name of a region"},
        {"{" REGION "}", "source: one of file, environment"},
        {"{" REGION ",\"source\":{\"type\":\"vault\"}}", "source.type: one of file, environment"},
        {"{" REGION ",\"source\":{\"type\":\"file\"}}", "source.credentials_file: the path"},
        {"{" REGION ",\"source\":{\"type\":\"file\",\"credentials\":\"AKIA\"}}",
         "source.credentials: a secret is never written in the configuration"},
        {"{" REGION ",\"source\":{\"type\":\"environment\",\"profile\":\"x\"}}",
         "source.profile: unknown key"},
        {"{" REGION ",\"source\":{\"type\":\"web_identity\"}}", "source.token_file: the path"},
        {"{" REGION ",\"source\":{\"type\":\"web_identity\",\"token_file\":\"/t\",\"role_arn\":"
         "\"x\"}}",
         "source.role_arn: a role's ARN is expected"},
        {"{" REGION ",\"source\":{\"type\":\"instance_metadata\",\"endpoint\":"
         "\"http://10.0.0.1\"}}",
         "source.endpoint: https://HOST[:PORT] is expected, or http:// to this machine"},
        {"{" REGION ",\"source\":{\"type\":\"instance_metadata\",\"endpoint\":"
         "\"http://127.0.0.1:80/\"}}",
         ""},
        {"{" REGION ",\"fips\":1," FILE_SOURCE "}", "fips: true or false"},
        {"{\"region\":\"cn-north-1\",\"fips\":true," FILE_SOURCE "}",
         "fips: there is no such endpoint in the partition of cn-north-1"},
        {"{" REGION ",\"endpoint\":\"http://sts.example.org\"," FILE_SOURCE "}",
         "endpoint: https://HOST[:PORT] is expected"},
        {"{" REGION ",\"endpoint\":\"https://sts.example.org/path\"," FILE_SOURCE "}",
         "endpoint: HOST[:PORT] alone is expected"},
        {"{" REGION ",\"endpoint\":\"https://u@sts.example.org\"," FILE_SOURCE "}",
         "endpoint: HOST[:PORT] alone is expected"},
        {"{" REGION ",\"iam_endpoint\":\"x\"," FILE_SOURCE "}", "iam_endpoint: https://"},
        {"{" REGION ",\"endpont\":\"x\"," FILE_SOURCE "}",
         "endpont: unknown key; did you mean \"endpoint\"?"},
        {"{" REGION "," FILE_SOURCE ",\"assume_role\":{}}", "assume_role.role_arn: a role's ARN"},
        {"{" REGION "," FILE_SOURCE ",\"assume_role\":[]}", "assume_role: an object"},
        {"{" REGION "," FILE_SOURCE ",\"assume_role\":{\"role_arn\":\"" AWS_ROLE_ARN
         "\",\"session_name\":\"a b\"}}",
         "assume_role.session_name: 2 to 64"},
        {"{" REGION "," FILE_SOURCE ",\"assume_role\":{\"role_arn\":\"" AWS_ROLE_ARN
         "\",\"external_id\":\"?\"}}",
         "assume_role.external_id: 2 to 1224"},
        {"{" REGION "," FILE_SOURCE ",\"assume_role\":{\"role\":\"x\"}}",
         "assume_role.role: unknown key"},
        {"[]", "not a JSON object"},
    };
    struct plugin_world world;

    (void)state;
    plugin_world_init(&world, leased_plugin_entry_aws, "aws");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *error = plugin_world_config_error(&world, cases[i].config);

        if (cases[i].error[0] == '\0' ? error[0] != '\0' : strstr(error, cases[i].error) == NULL) {
            fail_msg("%s\n gives: %s", cases[i].config, error);
        }
    }
    plugin_world_fini(&world);
}

#define ROLE "\"role_arn\":\"" AWS_ROLE_ARN "\""

static void test_mistakes_of_a_role_name_their_key(void **state)
{
    static const struct {
        const char *params;
        const char *error;
    } cases[] = {
        {"{" ROLE "}", ""},
        {"{\"role_arn\":\"arn:aws-us-gov:iam::123456789012:role/a/b\"}", ""},
        {"{\"role_arn\":\"arn:aws:iam::123456789012:role/${identity.user}\"}", ""},
        {"{}", "action: one of assume_role, assume_role_with_web_identity"},
        {"{\"action\":\"assume\"," ROLE "}", "action: one of"},
        {"{\"action\":\"assume_role\"}", "role_arn: a role's ARN is expected"},
        {"{\"role_arn\":\"arn:aws:iam::123456789012:user/x\"}", "role_arn: a role's ARN"},
        {"{\"role_arn\":\"arn:aws:iam::12345678901:role/x\"}", "role_arn: a role's ARN"},
        {"{\"role_arn\":\"arn:aws:iam::123456789012:role/x y\"}", "role_arn: a role's ARN"},
        {"{\"action\":\"get_session_token\"," ROLE "}", "role_arn: get_session_token takes none"},
        {"{\"action\":\"get_session_token\",\"tags\":{}}", "tags: get_session_token takes none"},
        {"{\"action\":\"assume_role_with_web_identity\"," ROLE ",\"external_id\":\"xx\"}",
         "external_id: assume_role_with_web_identity takes none"},
        {"{\"action\":\"get_federation_token\",\"revoke\":\"deny-older\"}",
         "revoke: get_federation_token takes none"},
        {"{" ROLE ",\"session_name\":\"\"}", "session_name: a text is expected"},
        {"{" ROLE ",\"session_name\":5}", "session_name: a text is expected"},
        {"{" ROLE ",\"external_id\":\"a b\"}", "external_id: 2 to 1224"},
        {"{" ROLE ",\"tags\":[]}", "tags: an object"},
        {"{" ROLE ",\"tags\":{\"a\":1}}", "tags.a: a text is expected"},
        {"{" ROLE ",\"tags\":{\"aws:x\":\"1\"}}", "tags: \"aws:x\" is no key of a tag"},
        {"{" ROLE ",\"tags\":{\"a\":\"1\",\"A\":\"2\"}}", "whatever its capitals"},
        {"{" ROLE ",\"tags\":{\"a\":\"1\"},\"transitive_tags\":[\"b\"]}",
         "transitive_tags: each must be a key of tags"},
        {"{" ROLE ",\"transitive_tags\":\"b\"}", "transitive_tags: a list"},
        {"{" ROLE ",\"policy\":\"{\"}", "policy: a policy document"},
        {"{" ROLE ",\"policy\":[]}", "policy: a policy document"},
        {"{" ROLE ",\"policy_arns\":[\"x\"]}", "policy_arns: an ARN is expected"},
        {"{" ROLE ",\"policy_arns\":\"x\"}", "policy_arns: a list of at most 10"},
        {"{" ROLE ",\"revoke\":true}", "revoke: deny-older is expected, or false"},
        {"{" ROLE ",\"revoke\":false}", ""},
        {"{" ROLE ",\"sesion_name\":\"x\"}",
         "sesion_name: unknown key; did you mean \"session_name\"?"},
    };
    struct plugin_world world;

    (void)state;
    plugin_world_init(&world, leased_plugin_entry_aws, "aws");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *error = plugin_world_params_error(&world, cases[i].params);

        if (cases[i].error[0] == '\0' ? error[0] != '\0' : strstr(error, cases[i].error) == NULL) {
            fail_msg("%s\n gives: %s", cases[i].params, error);
        }
    }
    plugin_world_fini(&world);
}

static void test_policies_and_arns_have_their_lengths(void **state)
{
    struct plugin_world world;
    char params[4096];
    char filler[2049];

    (void)state;
    plugin_world_init(&world, leased_plugin_entry_aws, "aws");
    memset(filler, 'a', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    (void)snprintf(params, sizeof(params), "{" ROLE ",\"policy\":{\"a\":\"%.2040s\"}}", filler);
    assert_string_equal(plugin_world_params_error(&world, params), "");
    (void)snprintf(params, sizeof(params), "{" ROLE ",\"policy\":{\"a\":\"%.2041s\"}}", filler);
    assert_non_null(strstr(plugin_world_params_error(&world, params), "at most 2048 bytes"));
    (void)snprintf(
        params, sizeof(params),
        "{\"revoke\":\"deny-older\",\"role_arn\":\"arn:aws:iam::123456789012:role/%.800s\"}",
        filler);
    assert_non_null(strstr(plugin_world_params_error(&world, params), "role_arn: with revoke at"));
    plugin_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes_of_the_configuration_name_their_key),
        cmocka_unit_test(test_mistakes_of_a_role_name_their_key),
        cmocka_unit_test(test_policies_and_arns_have_their_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
