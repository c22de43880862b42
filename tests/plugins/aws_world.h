/* What tests of the aws plugin share: configurations, and answers as STS and IAM give them. */
#ifndef LEASED_TESTS_PLUGINS_AWS_WORLD_H
#define LEASED_TESTS_PLUGINS_AWS_WORLD_H

#include "plugins/plugin_world.h"

#define AWS_ROLE_ARN "arn:aws:iam::123456789012:role/demo"
#define AWS_FILE_CONFIG                                                                            \
    "{\"region\":\"eu-west-1\",\"source\":{\"type\":\"file\",\"credentials_file\":\"/aws\"}}"
#define AWS_FILE                                                                                   \
    "[default]\naws_access_key_id = AKIDEXAMPLE\n"                                                 \
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n"
#define AWS_SIMPLE_ROLE "{\"role_arn\":\"" AWS_ROLE_ARN "\"}"
#define AWS_TOKEN "SECRET-token/+==0123456789"

/* A world with a credentials file, and a backend that uses it (config NULL: AWS_FILE_CONFIG). */
void aws_world_open(struct plugin_world *world, const char *config);

/* Credentials that end at `expiration`, as `action` answers them. Valid until the next call. */
const char *aws_session(const char *action, const char *expiration);

/* Answers what waits with such a session, ending at 01:00, or with an error. */
void aws_answer_session(struct plugin_world *world, const char *action);
void aws_answer_error(struct plugin_world *world, uint32_t status, const char *code,
                      const char *message);
void aws_answer_identity(struct plugin_world *world, const char *account);
void aws_answer_put(struct plugin_world *world);

/* Fails the test unless the exchange that waits is to this URL. */
void aws_assert_url(struct plugin_world *world, const char *method, const char *url);

/* Fails the test unless it was signed with this access key. */
void aws_assert_signed_by(struct plugin_world *world, const char *id);

int32_t leased_plugin_entry_aws(const struct leased_host *host,
                                const struct leased_plugin **ret_plugin);

#endif
