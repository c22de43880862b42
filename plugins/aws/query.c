/* Values that templates may have filled are made to fit AWS's rules here; every value is
 * percent-encoded, so none can add a parameter. */
#include "query.h"

#include "charset.h"
#include "common/dump.h"
#include "moment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SESSION_NAME_MAX 64U
#define FEDERATION_NAME_MAX 32U
#define TAG_VALUE_MAX 256U
#define LEAST_S 900U
#define ROLE_MOST_S 43200U
#define CHAINED_MOST_S 3600U
#define SESSION_MOST_S 129600U
/* The name that the console gives it, too: one role has one, with the last moment in it. */
#define DENY_POLICY "AWSRevokeOlderSessions"

static const char *const actions[] = {
    [AWS_ACTION_ASSUME_ROLE] = "AssumeRole",
    [AWS_ACTION_WEB_IDENTITY] = "AssumeRoleWithWebIdentity",
    [AWS_ACTION_SESSION_TOKEN] = "GetSessionToken",
    [AWS_ACTION_FEDERATION_TOKEN] = "GetFederationToken",
};

static void begin(struct plugin_form *form, const char *action, const char *version)
{
    plugin_form_pair(form, "Action", plugin_str(action));
    plugin_form_pair(form, "Version", plugin_str(version));
}

static struct leased_str text_of(const json_t *value)
{
    return (struct leased_str){json_string_value(value), json_string_length(value)};
}

/* "Tags.member.1.Key" */
static void add_member(struct plugin_form *form, const char *list, size_t index, const char *part,
                       struct leased_str value)
{
    char key[64];

    (void)snprintf(key, sizeof(key), "%s.member.%zu%s", list, index, part);
    plugin_form_pair(form, key, value);
}

/* Names of sessions and source identities have at least two characters. */
static void add_name(struct plugin_form *form, const char *key, struct leased_str text, size_t max)
{
    char name[SESSION_NAME_MAX + 2];
    size_t len = aws_text_clean(text, AWS_NAME, max, name);

    while (len < 2) {
        name[len++] = '-';
        name[len] = '\0';
    }
    plugin_form_pair(form, key, (struct leased_str){name, len});
}

static void add_tags(struct plugin_form *form, json_t *tags, json_t *transitive)
{
    const char *key;
    json_t *value;
    size_t i = 0;

    json_object_foreach (tags, key, value) {
        char text[TAG_VALUE_MAX + 1];
        size_t len = aws_text_clean(text_of(value), AWS_TAG, TAG_VALUE_MAX, text);

        i++;
        add_member(form, "Tags", i, ".Key", plugin_str(key));
        add_member(form, "Tags", i, ".Value", (struct leased_str){text, len});
    }
    json_array_foreach (transitive, i, value) {
        add_member(form, "TransitiveTagKeys", i + 1, "", text_of(value));
    }
}

static void add_policies(struct plugin_form *form, json_t *policy, json_t *arns)
{
    json_t *arn;
    size_t i;

    if (json_is_string(policy)) {
        plugin_form_pair(form, "Policy", text_of(policy));
    } else if (policy != NULL) {
        size_t len = 0;
        char *text = plugin_dump(form->host, policy, &len);

        form->is_failed = form->is_failed || text == NULL;
        plugin_form_pair(form, "Policy", (struct leased_str){text, len});
        form->host->secret_free(text);
    }
    json_array_foreach (arns, i, arn) {
        add_member(form, "PolicyArns", i + 1, ".arn", text_of(arn));
    }
}

void aws_query_begin(struct plugin_form *form, const struct aws_params *params,
                     struct leased_str default_name)
{
    json_t *root = params->root;
    json_t *name = json_object_get(root, "session_name");
    json_t *source_identity = json_object_get(root, "source_identity");
    struct leased_str session = name != NULL ? text_of(name) : default_name;

    begin(form, actions[params->action], AWS_STS_VERSION);
    if (params->action == AWS_ACTION_FEDERATION_TOKEN) {
        add_name(form, "Name", session, FEDERATION_NAME_MAX);
    } else if (params->role_arn != NULL) {
        plugin_form_pair(form, "RoleArn", plugin_str(params->role_arn));
        add_name(form, "RoleSessionName", session, SESSION_NAME_MAX);
    }
    plugin_form_pair_if(form, "ExternalId", text_of(json_object_get(root, "external_id")));
    if (source_identity != NULL) {
        add_name(form, "SourceIdentity", text_of(source_identity), SESSION_NAME_MAX);
    }
    add_tags(form, json_object_get(root, "tags"), json_object_get(root, "transitive_tags"));
    add_policies(form, json_object_get(root, "policy"), json_object_get(root, "policy_arns"));
}

void aws_query_role(struct plugin_form *form, const char *action, const struct aws_role *role)
{
    begin(form, action, AWS_STS_VERSION);
    plugin_form_pair(form, "RoleArn", plugin_str(role->arn));
    plugin_form_pair(form, "RoleSessionName", plugin_str(role->session_name));
    plugin_form_pair_if(form, "ExternalId", plugin_str(role->external_id));
}

uint64_t aws_query_duration_s(enum aws_action action, uint64_t ttl_ms, bool is_chained)
{
    uint64_t ttl_s = ttl_ms / 1000 + (ttl_ms % 1000 != 0 ? 1 : 0);
    bool is_role = action == AWS_ACTION_ASSUME_ROLE || action == AWS_ACTION_WEB_IDENTITY;
    uint64_t most_s = !is_role                                         ? SESSION_MOST_S
                      : action == AWS_ACTION_ASSUME_ROLE && is_chained ? CHAINED_MOST_S
                                                                       : ROLE_MOST_S;

    if (ttl_s == 0) {
        return 0;
    }
    ttl_s = ttl_s < LEAST_S ? LEAST_S : ttl_s;
    return ttl_s > most_s ? most_s : ttl_s;
}

void aws_query_number(struct plugin_form *form, const char *key, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    plugin_form_pair(form, key, plugin_str(text));
}

void aws_query_deny(struct plugin_form *form, const char *role_arn, int64_t before_s)
{
    char before[AWS_MOMENT_ISO_BYTES];
    char policy[320];

    aws_moment_iso(before_s, before);
    (void)snprintf(policy, sizeof(policy),
                   "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Action\":"
                   "[\"*\"],\"Resource\":[\"*\"],\"Condition\":{\"DateLessThan\":"
                   "{\"aws:TokenIssueTime\":\"%s\"}}}]}",
                   before);
    begin(form, "PutRolePolicy", AWS_IAM_VERSION);
    plugin_form_pair(form, "RoleName", plugin_str(strrchr(role_arn, '/') + 1));
    plugin_form_pair(form, "PolicyName", PLUGIN_STR(DENY_POLICY));
    plugin_form_pair(form, "PolicyDocument", plugin_str(policy));
}
