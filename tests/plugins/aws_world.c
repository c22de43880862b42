#include "plugins/aws_world.h"

#include <stdio.h>
#include <string.h>

void aws_world_open(struct plugin_world *world, const char *config)
{
    plugin_world_init(world, leased_plugin_entry_aws, "aws");
    fake_env_add_secret(&world->fake, "file:/aws", AWS_FILE);
    plugin_world_open(world, NULL, config != NULL ? config : AWS_FILE_CONFIG);
}

const char *aws_session(const char *action, const char *expiration)
{
    static char text[2048];

    (void)snprintf(
        text, sizeof(text),
        "<%sResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><%sResult><Credentials>"
        "<AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>SECRET-key/+</SecretAccessKey>"
        "<SessionToken>" AWS_TOKEN "</SessionToken><Expiration>%s</Expiration></Credentials>"
        "</%sResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></%sResponse>",
        action, action, expiration, action, action);
    return text;
}

void aws_answer_session(struct plugin_world *world, const char *action)
{
    plugin_world_answer(world, 200, aws_session(action, "2026-01-01T01:00:00Z"));
}

void aws_answer_error(struct plugin_world *world, uint32_t status, const char *code,
                      const char *message)
{
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>"
                   "<Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>"
                   "<RequestId>r</RequestId></ErrorResponse>",
                   code, message);
    plugin_world_answer(world, status, text);
}

void aws_answer_identity(struct plugin_world *world, const char *account)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>a</Arn><UserId>u"
                   "</UserId><Account>%s</Account></GetCallerIdentityResult>"
                   "</GetCallerIdentityResponse>",
                   account);
    plugin_world_answer(world, 200, text);
}

void aws_answer_put(struct plugin_world *world)
{
    plugin_world_answer(world, 200,
                        "<PutRolePolicyResponse><ResponseMetadata><RequestId>r</RequestId>"
                        "</ResponseMetadata></PutRolePolicyResponse>");
}

void aws_assert_url(struct plugin_world *world, const char *method, const char *url)
{
    assert_string_equal(plugin_world_http(world)->method, method);
    assert_string_equal(plugin_world_http(world)->url, url);
}

void aws_assert_signed_by(struct plugin_world *world, const char *id)
{
    char begin[128];

    (void)snprintf(begin, sizeof(begin), "AWS4-HMAC-SHA256 Credential=%s/", id);
    assert_memory_equal(plugin_world_header(world, "authorization"), begin, strlen(begin));
}
