/* Reads a role's parameters, their templates filled in. What templates may have put into names and
 * tags is made to fit later (query.c); all else must fit as it is. */
#include "params.h"

#include "charset.h"
#include "common/config.h"
#include "config.h"

#include <string.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TAGS_MAX 50U
#define TAG_KEY_MAX 128U
#define POLICY_MAX_BYTES 2048U
#define POLICY_ARNS_MAX 10U
#define DENIED_ARN_MAX 800U /* it is a part of the lease's reference */
#define DUMP_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY)

static const char *const actions[] = {
    [AWS_ACTION_ASSUME_ROLE] = "assume_role",
    [AWS_ACTION_WEB_IDENTITY] = "assume_role_with_web_identity",
    [AWS_ACTION_SESSION_TOKEN] = "get_session_token",
    [AWS_ACTION_FEDERATION_TOKEN] = "get_federation_token",
};

#define ONLY(action) (1U << (action))
#define ALL 15U
#define ROLES (ONLY(AWS_ACTION_ASSUME_ROLE) | ONLY(AWS_ACTION_WEB_IDENTITY))

/* Which action takes which key. */
static const struct {
    const char *key;
    unsigned actions;
} takes[] = {
    {"action", ALL},
    {"role_arn", ROLES},
    {"session_name", ROLES | ONLY(AWS_ACTION_FEDERATION_TOKEN)},
    {"external_id", ONLY(AWS_ACTION_ASSUME_ROLE)},
    {"source_identity", ONLY(AWS_ACTION_ASSUME_ROLE)},
    {"tags", ONLY(AWS_ACTION_ASSUME_ROLE) | ONLY(AWS_ACTION_FEDERATION_TOKEN)},
    {"transitive_tags", ONLY(AWS_ACTION_ASSUME_ROLE)},
    {"policy", ROLES | ONLY(AWS_ACTION_FEDERATION_TOKEN)},
    {"policy_arns", ROLES | ONLY(AWS_ACTION_FEDERATION_TOKEN)},
    {"revoke", ROLES},
};

static int check_keys(json_t *root, struct plugin_text *detail)
{
    const char *known[COUNT(takes)];

    for (size_t i = 0; i < COUNT(takes); i++) {
        known[i] = takes[i].key;
    }
    return plugin_config_check_keys(root, known, COUNT(known), "", detail);
}

static int check_taken(const struct aws_params *params, struct plugin_text *detail)
{
    for (size_t i = 0; i < COUNT(takes); i++) {
        if ((takes[i].actions & ONLY(params->action)) == 0 &&
            json_object_get(params->root, takes[i].key) != NULL) {
            plugin_text_set(detail, "%s: %s takes none", takes[i].key, actions[params->action]);
            return -1;
        }
    }
    return 0;
}

/* Without one, a role_arn says it. */
static int read_action(struct aws_params *params, struct plugin_text *detail)
{
    json_t *action = json_object_get(params->root, "action");
    const char *name = json_string_value(action);

    if (action == NULL && json_object_get(params->root, "role_arn") != NULL) {
        params->action = AWS_ACTION_ASSUME_ROLE;
        return 0;
    }
    for (size_t i = 0; name != NULL && i < COUNT(actions); i++) {
        if (strcmp(name, actions[i]) == 0) {
            params->action = (enum aws_action)i;
            return 0;
        }
    }
    plugin_text_set(detail, "action: one of assume_role, assume_role_with_web_identity, "
                            "get_session_token, get_federation_token is expected, or role_arn");
    return -1;
}

static int read_role_arn(struct aws_params *params, struct plugin_text *detail)
{
    params->role_arn = json_string_value(json_object_get(params->root, "role_arn"));
    if ((ONLY(params->action) & ROLES) != 0 &&
        (params->role_arn == NULL || !aws_arn_is_role(plugin_str(params->role_arn)))) {
        plugin_text_set(detail, "role_arn: a role's ARN is expected, such as "
                                "arn:aws:iam::123456789012:role/deploy");
        return -1;
    }
    return 0;
}

/* A text that isn't empty; absent is fine. */
static int check_text(const struct aws_params *params, const char *key, struct plugin_text *detail)
{
    json_t *value = json_object_get(params->root, key);

    if (value != NULL && json_string_length(value) == 0) {
        plugin_text_set(detail, "%s: a text is expected", key);
        return -1;
    }
    return 0;
}

static int check_texts(const struct aws_params *params, struct plugin_text *detail)
{
    json_t *external_id = json_object_get(params->root, "external_id");

    if (check_text(params, "session_name", detail) != 0 ||
        check_text(params, "source_identity", detail) != 0 ||
        check_text(params, "external_id", detail) != 0) {
        return -1;
    }
    if (external_id != NULL && !aws_text_fits((struct leased_str){json_string_value(external_id),
                                                                  json_string_length(external_id)},
                                              AWS_NAME ":/", 2, 1224)) {
        plugin_text_set(detail,
                        "external_id: 2 to 1224 letters, digits and _+=,.@:/- are expected");
        return -1;
    }
    return 0;
}

/* --- tags ------------------------------------------------------------------------------------- */

/* Is there another key that differs in capitals alone? */
static bool is_twice(json_t *tags, const char *key)
{
    const char *other;
    json_t *value;

    json_object_foreach (tags, other, value) {
        if (other != key && strcmp(other, key) != 0 && strcasecmp(other, key) == 0) {
            return true;
        }
    }
    return false;
}

static int check_tags(json_t *tags, struct plugin_text *detail)
{
    const char *key;
    json_t *value;

    if (tags != NULL && (!json_is_object(tags) || json_object_size(tags) > TAGS_MAX)) {
        plugin_text_set(detail, "tags: an object of at most %u keys and texts is expected",
                        TAGS_MAX);
        return -1;
    }
    json_object_foreach (tags, key, value) {
        if (!aws_text_fits(plugin_str(key), AWS_TAG, 1, TAG_KEY_MAX) ||
            strncasecmp(key, "aws:", 4) == 0) {
            plugin_text_set(detail,
                            "tags: \"%.64s\" is no key of a tag (1 to 128 letters, digits, blanks "
                            "and _.:/=+-@, and not aws:…)",
                            aws_text_is_of(plugin_str(key), AWS_TAG) ? key : "…");
            return -1;
        }
        if (is_twice(tags, key)) {
            plugin_text_set(detail, "tags: AWS takes \"%.64s\" once, whatever its capitals", key);
            return -1;
        }
        if (!json_is_string(value)) {
            plugin_text_set(detail, "tags.%.64s: a text is expected", key);
            return -1;
        }
    }
    return 0;
}

static int check_transitive(json_t *tags, json_t *transitive, struct plugin_text *detail)
{
    json_t *key;
    size_t i;

    if (transitive != NULL && !json_is_array(transitive)) {
        plugin_text_set(detail, "transitive_tags: a list of keys of tags is expected");
        return -1;
    }
    json_array_foreach (transitive, i, key) {
        if (!json_is_string(key) || json_object_get(tags, json_string_value(key)) == NULL) {
            plugin_text_set(detail, "transitive_tags: each must be a key of tags");
            return -1;
        }
    }
    return 0;
}

/* --- policies --------------------------------------------------------------------------------- */

/* An object, or a text that holds one. */
static int check_policy(json_t *policy, struct plugin_text *detail)
{
    json_error_t problem;
    json_t *parsed;
    size_t size;

    if (policy == NULL) {
        return 0;
    }
    parsed = json_is_string(policy)
                 ? json_loadb(json_string_value(policy), json_string_length(policy),
                              JSON_REJECT_DUPLICATES, &problem)
                 : json_incref(policy);
    size = json_is_string(policy) ? json_string_length(policy)
                                  : json_dumpb(policy, NULL, 0, DUMP_FLAGS);
    if (!json_is_object(parsed) || size == 0 || size > POLICY_MAX_BYTES) {
        json_decref(parsed);
        plugin_text_set(detail,
                        "policy: a policy document (an object, or its JSON as text) of at most %u "
                        "bytes is expected",
                        POLICY_MAX_BYTES);
        return -1;
    }
    json_decref(parsed);
    return 0;
}

static int check_policy_arns(json_t *arns, struct plugin_text *detail)
{
    json_t *arn;
    size_t i;

    if (arns != NULL && (!json_is_array(arns) || json_array_size(arns) > POLICY_ARNS_MAX)) {
        plugin_text_set(detail, "policy_arns: a list of at most %u ARNs is expected",
                        POLICY_ARNS_MAX);
        return -1;
    }
    json_array_foreach (arns, i, arn) {
        struct leased_str text = {json_string_value(arn), json_string_length(arn)};

        if (!aws_text_fits(text, AWS_NAME ":/", 20, 2048) || memcmp(text.ptr, "arn:", 4) != 0) {
            plugin_text_set(detail, "policy_arns: an ARN is expected, such as "
                                    "arn:aws:iam::aws:policy/ReadOnlyAccess");
            return -1;
        }
    }
    return 0;
}

static int read_revoke(struct aws_params *params, struct plugin_text *detail)
{
    json_t *revoke = json_object_get(params->root, "revoke");

    params->denies_older =
        json_is_string(revoke) && strcmp(json_string_value(revoke), "deny-older") == 0;
    if (params->denies_older && strlen(params->role_arn) > DENIED_ARN_MAX) {
        plugin_text_set(detail, "role_arn: with revoke at most %u bytes are taken", DENIED_ARN_MAX);
        return -1;
    }
    if (revoke != NULL && !params->denies_older && !json_is_false(revoke)) {
        plugin_text_set(detail, "revoke: deny-older is expected, or false: AWS can't take a single "
                                "session back");
        return -1;
    }
    return 0;
}

int aws_params_parse(struct leased_str json, struct aws_params *ret_params,
                     struct plugin_text *ret_detail)
{
    struct aws_params params = {0};
    json_error_t problem = {0}; /* without memory jansson may leave it as it was */
    json_t *tags;
    int rc = -LEASED_INVALID;

    params.root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &problem);
    tags = json_object_get(params.root, "tags");
    if (params.root == NULL && json_error_code(&problem) == json_error_out_of_memory) {
        plugin_text_set(ret_detail, "out of memory");
        rc = -LEASED_RETRY;
    } else if (!json_is_object(params.root)) {
        plugin_text_set(ret_detail, "the parameters are not a JSON object");
    } else if (check_keys(params.root, ret_detail) == 0 && read_action(&params, ret_detail) == 0 &&
               check_taken(&params, ret_detail) == 0 && read_role_arn(&params, ret_detail) == 0 &&
               check_texts(&params, ret_detail) == 0 && check_tags(tags, ret_detail) == 0 &&
               check_transitive(tags, json_object_get(params.root, "transitive_tags"),
                                ret_detail) == 0 &&
               check_policy(json_object_get(params.root, "policy"), ret_detail) == 0 &&
               check_policy_arns(json_object_get(params.root, "policy_arns"), ret_detail) == 0 &&
               read_revoke(&params, ret_detail) == 0) {
        *ret_params = params;
        return 0;
    }
    aws_params_fini(&params);
    return rc;
}

void aws_params_fini(struct aws_params *params)
{
    json_decref(params->root);
    *params = (struct aws_params){0};
}
