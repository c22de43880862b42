/* Reads the configuration. Each failure names the key and what was expected. */
#include "config.h"

#include "charset.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define METADATA_ADDRESS "http://169.254.169.254"
#define DEFAULT_SESSION "leased"

static const char *const top_keys[] = {"region",       "fips",   "endpoint",
                                       "iam_endpoint", "source", "assume_role"};
static const char *const role_keys[] = {"role_arn", "session_name", "external_id"};

/* Every source's keys, so that a wrong one can be told from an unknown one. */
static const struct {
    const char *name;
    const char *keys[8];
} sources[] = {
    [AWS_SOURCE_FILE] = {"file",
                         {"type", "credentials_file", "credentials_env", "credentials_credential",
                          "profile"}},
    [AWS_SOURCE_ENVIRONMENT] = {"environment", {"type"}},
    [AWS_SOURCE_WEB_IDENTITY] = {"web_identity",
                                 {"type", "token_file", "token_env", "token_credential", "role_arn",
                                  "session_name"}},
    [AWS_SOURCE_CONTAINER] = {"container",
                              {"type", "uri", "authorization_token_file", "authorization_token_env",
                               "authorization_token_credential"}},
    [AWS_SOURCE_INSTANCE_METADATA] = {"instance_metadata", {"type", "endpoint"}},
    [AWS_SOURCE_ROLE] = {"role", {"type", "role"}},
};

/* --- roles ------------------------------------------------------------------------------------ */

bool aws_arn_is_role(struct leased_str arn)
{
    struct leased_str rest = arn;
    struct leased_str parts[5] = {{0}};

    for (size_t i = 0; i < COUNT(parts); i++) {
        const char *colon = rest.len > 0 ? memchr(rest.ptr, ':', rest.len) : NULL;

        if (colon == NULL) {
            return false;
        }
        parts[i] = (struct leased_str){rest.ptr, (size_t)(colon - rest.ptr)};
        rest = (struct leased_str){colon + 1, rest.len - parts[i].len - 1};
    }
    return arn.len < AWS_ARN_MAX_BYTES && plugin_str_eq(parts[0], "arn") && parts[1].len >= 3 &&
           strncmp(parts[1].ptr, "aws", 3) == 0 && plugin_str_eq(parts[2], "iam") &&
           parts[3].len == 0 && parts[4].len == 12 && aws_text_is_of(parts[4], AWS_DIGITS) &&
           rest.len > 5 && memcmp(rest.ptr, "role/", 5) == 0 && rest.ptr[rest.len - 1] != '/' &&
           aws_text_is_of(arn, AWS_WORD ":/+=,.@-");
}

/* The keys of `object`, with `where` before them in errors. */
static int read_role(json_t *object, const char *where, struct aws_role *role,
                     struct plugin_text *detail)
{
    struct plugin_text inner = {{0}};

    (void)snprintf(role->session_name, sizeof(role->session_name), DEFAULT_SESSION);
    if (plugin_config_text(object, "role_arn", role->arn, sizeof(role->arn), &inner) != 0 ||
        plugin_config_text(object, "session_name", role->session_name, sizeof(role->session_name),
                           &inner) != 0 ||
        plugin_config_text(object, "external_id", role->external_id, sizeof(role->external_id),
                           &inner) != 0) {
        plugin_text_set(detail, "%s%.300s", where, inner.bytes);
        return -1;
    }
    if (role->arn[0] != '\0' && !aws_arn_is_role(plugin_str(role->arn))) {
        plugin_text_set(detail,
                        "%srole_arn: a role's ARN is expected, such as "
                        "arn:aws:iam::123456789012:role/deploy",
                        where);
        return -1;
    }
    if (!aws_text_fits(plugin_str(role->session_name), AWS_NAME, 2, 64)) {
        plugin_text_set(detail, "%ssession_name: 2 to 64 letters, digits and _+=,.@- are expected",
                        where);
        return -1;
    }
    if (role->external_id[0] != '\0' &&
        !aws_text_fits(plugin_str(role->external_id), AWS_NAME ":/", 2, 1224)) {
        plugin_text_set(detail,
                        "%sexternal_id: 2 to 1224 letters, digits and _+=,.@:/- are expected",
                        where);
        return -1;
    }
    return 0;
}

static int read_chain(json_t *chain, struct aws_config *config, struct plugin_text *detail)
{
    if (chain == NULL) {
        return 0;
    }
    if (!json_is_object(chain)) {
        plugin_text_set(detail, "assume_role: an object with role_arn is expected");
        return -1;
    }
    if (plugin_config_check_keys(chain, role_keys, COUNT(role_keys), "assume_role.", detail) != 0 ||
        read_role(chain, "assume_role.", &config->chain, detail) != 0) {
        return -1;
    }
    if (config->chain.arn[0] == '\0') {
        plugin_text_set(detail, "assume_role.role_arn: a role's ARN is expected");
        return -1;
    }
    return 0;
}

/* --- the source ------------------------------------------------------------------------------- */

/* Its type, or -1. */
static int source_type(const json_t *source)
{
    const char *name = json_string_value(json_object_get(source, "type"));

    for (size_t i = 0; name != NULL && i < COUNT(sources); i++) {
        if (strcmp(name, sources[i].name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int check_metadata(struct aws_config *config, struct plugin_text *detail)
{
    struct aws_place place;
    const char *problem = "";

    if (config->metadata[0] == '\0') {
        (void)snprintf(config->metadata, sizeof(config->metadata), METADATA_ADDRESS);
        return 0;
    }
    if (strcmp(config->metadata, METADATA_ADDRESS) == 0 ||
        strcmp(config->metadata, "http://[fd00:ec2::254]") == 0) {
        return 0;
    }
    if (aws_place_named(config->metadata, "", &place, &problem) != 0) {
        plugin_text_set(detail, "endpoint: %s, or " METADATA_ADDRESS ", or http://[fd00:ec2::254]",
                        problem);
        return -1;
    }
    memcpy(config->metadata, place.address, sizeof(config->metadata));
    return 0;
}

/* Which one it is is the host's to know. */
static int check_role(const json_t *source, struct plugin_text *detail)
{
    if (json_string_length(json_object_get(source, "role")) == 0) {
        plugin_text_set(detail, "role: the name of a role is expected, which gives AWS keys");
        return -1;
    }
    return 0;
}

static int read_by_type(json_t *source, struct aws_config *config, struct plugin_text *detail)
{
    switch (config->source) {
    case AWS_SOURCE_FILE:
        (void)snprintf(config->profile, sizeof(config->profile), "default");
        if (plugin_config_source(source, "credentials", "file", &config->credentials, detail) !=
                0 ||
            plugin_config_text(source, "profile", config->profile, sizeof(config->profile),
                               detail) != 0) {
            return -1;
        }
        if (config->credentials.text[0] == '\0') {
            plugin_text_set(detail, "credentials_file: the path of an AWS credentials file is "
                                    "expected (or credentials_credential, credentials_env)");
            return -1;
        }
        return 0;
    case AWS_SOURCE_WEB_IDENTITY:
        if (plugin_config_source(source, "token", "shared-file", &config->token, detail) != 0) {
            return -1;
        }
        if (config->token.text[0] == '\0') {
            plugin_text_set(detail, "token_file: the path of a web identity token is expected (or "
                                    "token_credential, token_env)");
            return -1;
        }
        return read_role(source, "", &config->web_role, detail);
    case AWS_SOURCE_CONTAINER:
        return plugin_config_text(source, "uri", config->uri, sizeof(config->uri), detail) != 0
                   ? -1
                   : plugin_config_source(source, "authorization_token", "shared-file",
                                          &config->token, detail);
    case AWS_SOURCE_INSTANCE_METADATA:
        if (plugin_config_text(source, "endpoint", config->metadata, sizeof(config->metadata) - 1,
                               detail) != 0) {
            return -1;
        }
        return check_metadata(config, detail);
    case AWS_SOURCE_ROLE:
        return check_role(source, detail);
    case AWS_SOURCE_ENVIRONMENT:
    default:
        return 0;
    }
}

static int read_source(json_t *source, struct aws_config *config, struct plugin_text *detail)
{
    int type = source_type(source);
    struct plugin_text inner = {{0}};
    size_t count = 0;

    if (type < 0) {
        plugin_text_set(detail,
                        "source%s: one of file, environment, web_identity, container, "
                        "instance_metadata, role is expected",
                        json_is_object(source) ? ".type" : "");
        return -1;
    }
    while (count < COUNT(sources[0].keys) && sources[type].keys[count] != NULL) {
        count++;
    }
    if (plugin_config_check_keys(source, sources[type].keys, count, "source.", detail) != 0) {
        return -1;
    }
    config->source = (enum aws_source)type;
    if (read_by_type(source, config, &inner) != 0) {
        plugin_text_set(detail, "source.%.380s", inner.bytes);
        return -1;
    }
    return 0;
}

/* --- places ----------------------------------------------------------------------------------- */

/* An address of its own, or else the region's. */
static int read_place(json_t *root, const char *key, const char *region, struct aws_place *place,
                      struct plugin_text *detail)
{
    char address[AWS_ADDRESS_MAX_BYTES - 8] = "";
    const char *problem = "";

    if (plugin_config_text(root, key, address, sizeof(address), detail) != 0) {
        return -1;
    }
    if (address[0] != '\0' && aws_place_named(address, region, place, &problem) != 0) {
        plugin_text_set(detail, "%s: %s", key, problem);
        return -1;
    }
    return 0;
}

static int read_places(json_t *root, struct aws_config *config, struct plugin_text *detail)
{
    json_t *fips = json_object_get(root, "fips");
    char region[AWS_REGION_MAX_BYTES] = "";

    if (plugin_config_text(root, "region", region, sizeof(region), detail) != 0) {
        return -1;
    }
    if (!aws_text_fits(plugin_str(region), AWS_LOWER AWS_DIGITS "-", 5, AWS_REGION_MAX_BYTES)) {
        plugin_text_set(detail, "region: the name of a region is expected, such as eu-west-1");
        return -1;
    }
    if (fips != NULL && !json_is_boolean(fips)) {
        plugin_text_set(detail, "fips: true or false is expected");
        return -1;
    }
    if (aws_place_sts(region, json_is_true(fips), &config->sts) != 0 ||
        aws_place_iam(region, json_is_true(fips), &config->iam) != 0) {
        plugin_text_set(detail, "fips: there is no such endpoint in the partition of %s", region);
        return -1;
    }
    return read_place(root, "endpoint", region, &config->sts, detail) != 0
               ? -1
               : read_place(root, "iam_endpoint", config->iam.region, &config->iam, detail);
}

int aws_config_parse(struct leased_str json, struct aws_config *ret_config,
                     struct plugin_text *ret_detail)
{
    json_error_t problem;
    json_t *root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &problem);
    int rc = -1;

    *ret_config = (struct aws_config){0};
    if (!json_is_object(root)) {
        plugin_text_set(ret_detail, "the configuration is not a JSON object");
    } else if (plugin_config_check_keys(root, top_keys, COUNT(top_keys), "", ret_detail) == 0 &&
               read_places(root, ret_config, ret_detail) == 0 &&
               read_source(json_object_get(root, "source"), ret_config, ret_detail) == 0) {
        rc = read_chain(json_object_get(root, "assume_role"), ret_config, ret_detail);
    }
    json_decref(root);
    return rc;
}
