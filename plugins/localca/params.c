/* Reads a role's keys. Each name is judged here, so what issues needn't. */
#include "params.h"

#include "common/config.h"
#include "names.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KEY_ID_MAX_BYTES 256
#define COMMAND_MAX_BYTES 1024
#define SOURCES_MAX_BYTES 1024

static const char *const x509_keys[] = {"type", "common_name", "dns",       "ip",
                                        "uri",  "usage",       "wildcards", "key"};
static const char *const ssh_keys[] = {"type",       "principals", "critical_options",
                                       "extensions", "key_id",     "public_key"};
static const char *const option_keys[] = {"force-command", "source-address"};

/* In the order in which a certificate has them. */
static const char *const known_extensions[] = {"no-touch-required",
                                               "permit-X11-forwarding",
                                               "permit-agent-forwarding",
                                               "permit-port-forwarding",
                                               "permit-pty",
                                               "permit-user-rc"};

static struct leased_str str_of(const json_t *string)
{
    return (struct leased_str){json_string_value(string), json_string_length(string)};
}

/* --- names ------------------------------------------------------------------------------------ */

static const char *name_problem(const struct localca_params *params, enum localca_name_kind kind,
                                struct leased_str text)
{
    unsigned char address[16];

    switch (kind) {
    case LOCALCA_DNS:
        return localca_dns_problem(text, params->allows_wildcard);
    case LOCALCA_IP:
        return localca_ip_parse(text, address) > 0 ? NULL : "it is not an IP address";
    case LOCALCA_URI:
        return localca_uri_problem(text);
    case LOCALCA_PRINCIPAL:
    default:
        return localca_principal_problem(text);
    }
}

static int add_name(struct localca_params *params, const char *key, enum localca_name_kind kind,
                    const json_t *value, struct plugin_text *detail)
{
    const char *problem;

    if (!json_is_string(value)) {
        plugin_text_set(detail, "%s: a text or a list of texts is expected", key);
        return -1;
    }
    if (params->name_count == LOCALCA_NAMES_MAX) {
        plugin_text_set(detail, "%s: there are more than %d names", key, LOCALCA_NAMES_MAX);
        return -1;
    }
    problem = name_problem(params, kind, str_of(value));
    if (problem != NULL) {
        plugin_text_set(detail, "%s: \"%.80s\" can't stand in a certificate: %s", key,
                        json_string_value(value), problem);
        return -1;
    }
    params->names[params->name_count++] =
        (struct localca_name){.kind = kind, .text = str_of(value)};
    return 0;
}

/* One text, or a list of them. */
static int parse_names(struct localca_params *params, const char *key, enum localca_name_kind kind,
                       struct plugin_text *detail)
{
    const json_t *value = json_object_get(params->root, key);
    const json_t *item;
    size_t index;

    if (value == NULL) {
        return 0;
    }
    if (!json_is_array(value)) {
        return add_name(params, key, kind, value, detail);
    }
    json_array_foreach (value, index, item) {
        if (add_name(params, key, kind, item, detail) != 0) {
            return -1;
        }
    }
    return 0;
}

static int parse_line(json_t *object, const char *key, size_t most, struct leased_str *out,
                      struct plugin_text *detail)
{
    const json_t *value = json_object_get(object, key);

    if (value == NULL) {
        return 0;
    }
    if (!json_is_string(value) || json_string_length(value) > most ||
        localca_line_problem(str_of(value)) != NULL) {
        plugin_text_set(detail, "%s: one line of 1 to %zu bytes is expected", key, most);
        return -1;
    }
    *out = str_of(value);
    return 0;
}

/* --- X.509 ------------------------------------------------------------------------------------ */

static int parse_usage(struct localca_params *params, struct plugin_text *detail)
{
    const json_t *value = json_object_get(params->root, "usage");
    size_t count = json_is_array(value) ? json_array_size(value) : 1;

    params->usage = value == NULL ? LOCALCA_USAGE_CLIENT : 0;
    for (size_t i = 0; value != NULL && i < count; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;

        if (json_is_string(item) && plugin_str_eq(str_of(item), "client")) {
            params->usage |= LOCALCA_USAGE_CLIENT;
        } else if (json_is_string(item) && plugin_str_eq(str_of(item), "server")) {
            params->usage |= LOCALCA_USAGE_SERVER;
        } else {
            params->usage = 0;
            break;
        }
    }
    if (params->usage == 0) {
        plugin_text_set(detail, "usage: client, server or a list of both is expected");
        return -1;
    }
    return 0;
}

static int parse_key(struct localca_params *params, struct plugin_text *detail)
{
    const json_t *value = json_object_get(params->root, "key");

    if (value == NULL || (json_is_string(value) && plugin_str_eq(str_of(value), "p256"))) {
        return 0;
    }
    if (!json_is_string(value) || !plugin_str_eq(str_of(value), "ed25519")) {
        plugin_text_set(detail, "key: p256 or ed25519 is expected (making an RSA key would hold "
                                "everybody else up)");
        return -1;
    }
    params->wants_ed25519 = true;
    return 0;
}

static int parse_x509(struct localca_params *params, struct plugin_text *detail)
{
    const json_t *wildcards = json_object_get(params->root, "wildcards");
    const char *problem;

    if (plugin_config_check_keys(params->root, x509_keys, COUNT(x509_keys), "", detail) != 0) {
        return -1;
    }
    if (wildcards != NULL && !json_is_boolean(wildcards)) {
        plugin_text_set(detail, "wildcards: true or false is expected");
        return -1;
    }
    params->allows_wildcard = json_is_true(wildcards);
    if (parse_line(params->root, "common_name", LOCALCA_COMMON_NAME_MAX_BYTES, &params->common_name,
                   detail) != 0 ||
        parse_names(params, "dns", LOCALCA_DNS, detail) != 0 ||
        parse_names(params, "ip", LOCALCA_IP, detail) != 0 ||
        parse_names(params, "uri", LOCALCA_URI, detail) != 0 || parse_usage(params, detail) != 0 ||
        parse_key(params, detail) != 0) {
        return -1;
    }
    problem = params->common_name.len > 0 ? localca_common_name_problem(params->common_name) : NULL;
    if (problem != NULL) {
        plugin_text_set(detail, "common_name: \"%.80s\" can't stand in a certificate: %s",
                        params->common_name.ptr, problem);
        return -1;
    }
    if (params->common_name.len == 0 && params->name_count == 0) {
        plugin_text_set(detail, "one of common_name, dns, ip and uri is missing: a certificate has "
                                "to name somebody");
        return -1;
    }
    return 0;
}

/* --- SSH -------------------------------------------------------------------------------------- */

static int parse_options(struct localca_params *params, struct plugin_text *detail)
{
    json_t *options = json_object_get(params->root, "critical_options");
    const char *problem = NULL;

    if (options == NULL) {
        return 0;
    }
    if (!json_is_object(options)) {
        plugin_text_set(detail, "critical_options: force-command and source-address are expected");
        return -1;
    }
    if (plugin_config_check_keys(options, option_keys, COUNT(option_keys), "critical_options.",
                                 detail) != 0 ||
        parse_line(options, "force-command", COMMAND_MAX_BYTES, &params->force_command, detail) !=
            0 ||
        parse_line(options, "source-address", SOURCES_MAX_BYTES, &params->source_address, detail) !=
            0) {
        return -1;
    }
    if (params->source_address.len > 0) {
        problem = localca_source_address_problem(params->source_address);
    }
    if (problem != NULL) {
        plugin_text_set(detail, "critical_options.source-address: %s", problem);
        return -1;
    }
    return 0;
}

/* Ours, or one of somebody's own, "name@domain". */
static bool is_extension(struct leased_str name)
{
    for (size_t i = 0; i < COUNT(known_extensions); i++) {
        if (plugin_str_eq(name, known_extensions[i])) {
            return true;
        }
    }
    return localca_principal_problem(name) == NULL && memchr(name.ptr, '@', name.len) != NULL;
}

static int compare(const void *a, const void *b)
{
    const struct leased_str *one = a;
    const struct leased_str *other = b;

    return strcmp(one->ptr, other->ptr); /* jansson's strings end with NUL, ours too */
}

static int parse_extensions(struct localca_params *params, struct plugin_text *detail)
{
    const json_t *value = json_object_get(params->root, "extensions");
    const json_t *item;
    size_t index;

    if (value == NULL) {
        params->extensions[params->extension_count++] = PLUGIN_STR("permit-pty");
        return 0;
    }
    if (!json_is_array(value) || json_array_size(value) > LOCALCA_EXTENSIONS_MAX) {
        plugin_text_set(detail, "extensions: a list of at most %d is expected",
                        LOCALCA_EXTENSIONS_MAX);
        return -1;
    }
    json_array_foreach (value, index, item) {
        if (!json_is_string(item) || !is_extension(str_of(item))) {
            const char *close = json_is_string(item)
                                    ? plugin_suggest(json_string_value(item), known_extensions,
                                                     COUNT(known_extensions))
                                    : NULL;

            plugin_text_set(detail,
                            "extensions: permit-pty, permit-port-forwarding, "
                            "permit-agent-forwarding, permit-X11-forwarding, "
                            "permit-user-rc, no-touch-required or name@domain is "
                            "expected%s%s%s",
                            close != NULL ? "; did you mean \"" : "", close != NULL ? close : "",
                            close != NULL ? "\"?" : "");
            return -1;
        }
        params->extensions[params->extension_count++] = str_of(item);
    }
    qsort(params->extensions, params->extension_count, sizeof(params->extensions[0]), compare);
    for (size_t i = 1; i < params->extension_count; i++) {
        if (strcmp(params->extensions[i - 1].ptr, params->extensions[i].ptr) == 0) {
            plugin_text_set(detail, "extensions: %.80s stands there twice",
                            params->extensions[i].ptr);
            return -1;
        }
    }
    return 0;
}

static int parse_public_key(struct localca_params *params, struct plugin_text *detail)
{
    const json_t *value = json_object_get(params->root, "public_key");
    struct plugin_text why;

    if (value == NULL) {
        return 0;
    }
    if (!json_is_string(value)) {
        plugin_text_set(detail, "public_key: a line like \"ssh-ed25519 AAAA…\" is expected");
        return -1;
    }
    if (localca_sshkey_parse(str_of(value), &params->public_key, &why) != 0) {
        plugin_text_set(detail, "public_key: %s", why.bytes);
        return -1;
    }
    return 0;
}

static int parse_ssh(struct localca_params *params, struct plugin_text *detail)
{
    params->type = LOCALCA_SSH;
    if (plugin_config_check_keys(params->root, ssh_keys, COUNT(ssh_keys), "", detail) != 0 ||
        parse_names(params, "principals", LOCALCA_PRINCIPAL, detail) != 0 ||
        parse_line(params->root, "key_id", KEY_ID_MAX_BYTES, &params->key_id, detail) != 0 ||
        parse_options(params, detail) != 0 || parse_extensions(params, detail) != 0 ||
        parse_public_key(params, detail) != 0) {
        return -1;
    }
    if (params->name_count == 0) {
        /* Without one, sshd takes a certificate for every user, where it takes it at all. */
        plugin_text_set(detail, "principals is missing: the names that may be logged in by");
        return -1;
    }
    return 0;
}

/* --- both ------------------------------------------------------------------------------------- */

static int parse(struct localca_params *params, struct plugin_text *detail)
{
    const json_t *type = json_object_get(params->root, "type");

    if (json_is_string(type) && plugin_str_eq(str_of(type), "x509")) {
        return parse_x509(params, detail);
    }
    if (json_is_string(type) && plugin_str_eq(str_of(type), "ssh")) {
        return parse_ssh(params, detail);
    }
    plugin_text_set(detail, "%s",
                    type != NULL ? "type: x509 or ssh is expected"
                                 : "type is missing: x509 or ssh");
    return -1;
}

int localca_params_parse(struct leased_str json, struct localca_params *ret_params,
                         struct plugin_text *detail)
{
    struct localca_params params = {
        .root = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL)};

    if (!json_is_object(params.root)) {
        plugin_text_set(detail, "the parameters are not a JSON object");
        json_decref(params.root);
        return -1;
    }
    if (parse(&params, detail) != 0) {
        json_decref(params.root);
        return -1;
    }
    *ret_params = params;
    return 0;
}

void localca_params_fini(struct localca_params *params)
{
    json_decref(params->root);
    params->root = NULL;
}
