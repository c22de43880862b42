/* What no single entry of a table can tell: names that must exist, values that contradict each
 * other, addresses. Each check reports and goes on. */
#include "daemon/config_internal.h"

#include "base/host.h"

#include "base/mem.h"
#include "wire/client_match.h"

#include <string.h>

const char **config_names(const struct schema_list *list, size_t item_size)
{
    const char **names = mem_calloc(list->count + 1, sizeof(*names));
    size_t i;

    for (i = 0; names != NULL && i < list->count; i++) {
        /* Items of a SCHEMA_MAP begin with their node and their name. */
        const char *item = (const char *)list->items + i * item_size;

        memcpy(&names[i], item + sizeof(struct yaml_node *), sizeof(names[i]));
    }
    return names;
}

void config_check_reference(const struct yaml_node *node, const char *what,
                            const char *const *names, struct yaml_errors *errors)
{
    const char *close;
    size_t i;

    for (i = 0; names[i] != NULL; i++) {
        if (str_eq_c(node->text, names[i])) {
            return;
        }
    }
    close = schema_suggest(node->text, names);
    if (close != NULL) {
        yaml_error_at(errors, node, "there is no %s `%.*s`: did you mean `%s`?", what,
                      STR_ARG(node->text), close);
    } else {
        yaml_error_at(errors, node, "there is no %s `%.*s`", what, STR_ARG(node->text));
    }
}

/* ---- backends --------------------------------------------------------------- */

static void address_check(const struct yaml_node *node, struct yaml_errors *errors)
{
    struct str rest = node->text;
    struct str host;

    if (str_starts_with(rest, "unix:///") || str_starts_with(rest, "https://")) {
        return;
    }
    if (str_eq_c(rest, "env")) {
        yaml_error_at(errors, node, "`env` is not supported by this version: write the address");
        return;
    }
    if (!str_starts_with(rest, "http://")) {
        yaml_error_at(errors, node,
                      "expected an address such as https://vault.example:8200 or "
                      "unix:///run/agent.sock, found `%.*s`",
                      STR_ARG(rest));
        return;
    }
    rest.ptr += strlen("http://");
    rest.len -= strlen("http://");
    host = str_cut(&rest, '/');
    if (!str_starts_with(host, "[")) {
        host = str_cut(&host, ':');
    } else if (str_starts_with(host, "[::1]")) {
        host.len = strlen("[::1]");
    }
    if (!host_is_loopback(host)) {
        yaml_error_at(errors, node, "plain http goes to loopback only: use https");
    }
}

static void backend_check(const struct config_backend *backend, struct yaml_errors *errors)
{
    const struct yaml_node *address = yaml_get(backend->node, "address");
    const struct yaml_node *child = address;

    if (address != NULL && address->type == YAML_SEQUENCE) {
        child = address->first;
        if (backend->addresses.count > BACKEND_ADDRESSES_MAX) {
            yaml_error_at(errors, address, "at most %d addresses", BACKEND_ADDRESSES_MAX);
        }
    }
    for (; child != NULL && child->type == YAML_SCALAR && child->text.len > 0;
         child = child == address ? NULL : child->next) {
        address_check(child, errors);
    }
    if (config_is_given(backend->node, "cert_file") != config_is_given(backend->node, "key_file")) {
        yaml_error_at(errors,
                      config_place_of(backend->node,
                                      backend->key_file != NULL ? "key_file" : "cert_file"),
                      "`cert_file` and `key_file` need each other");
    }
}

/* ---- roles ------------------------------------------------------------------ */

static void backend_reference_check(const struct config_settings *settings,
                                    const struct config_role *role, struct yaml_errors *errors)
{
    const char **names = config_names(&settings->backends, sizeof(struct config_backend));
    const struct yaml_node *node = yaml_get(role->node, "backend");

    if (names != NULL && role->backend != NULL && node != NULL) {
        config_check_reference(node, "backend", names, errors);
    }
    mem_free((void *)names);
}

static void clients_check(const struct config_settings *settings, const char *client,
                          const struct schema_pairs *pairs, struct yaml_errors *errors)
{
    const char **roles = config_names(&settings->roles, sizeof(struct config_role));
    size_t i;

    for (i = 0; roles != NULL && i < pairs->count; i++) {
        const char *pattern = pairs->items[i].name;
        const struct yaml_node *place =
            config_place_of(yaml_get(settings->clients.node, client), pattern);

        if (!client_pattern_is_valid(str_of(pattern)) ||
            (strcmp(client, "docker") == 0 && strchr(pattern, '/') != NULL)) {
            yaml_error_at_key(errors, place, "expected %s in lower case, found `%s`",
                              strcmp(client, "docker") == 0 ? "a registry such as ghcr.io"
                                                            : "a place such as github.com/acme/*",
                              pattern);
        }
        config_check_reference(place, "role", roles, errors);
    }
    mem_free((void *)roles);
}

static void role_check(const struct config_role *role, struct yaml_errors *errors)
{
    char low[UNITS_DURATION_MAX_BYTES];
    char high[UNITS_DURATION_MAX_BYTES];

    if (role->ttl_ms > role->max_ttl_ms) {
        yaml_error_at(errors, config_place_of(role->node, "ttl"),
                      "`ttl` (%s) is longer than `max_ttl` (%s)",
                      units_format_duration(role->ttl_ms, low),
                      units_format_duration(role->max_ttl_ms, high));
    }
    if (config_is_given(role->node, "min_remaining") && role->ttl_ms != 0 &&
        role->min_remaining_ms > role->ttl_ms / 2) {
        yaml_error_at(errors, config_place_of(role->node, "min_remaining"),
                      "`min_remaining` (%s) is more than half of `ttl` (%s)",
                      units_format_duration(role->min_remaining_ms, low),
                      units_format_duration(role->ttl_ms, high));
    }
}

static bool is_variable_name(const char *name)
{
    const char *c = name;

    for (; *c != '\0'; c++) {
        bool is_digit = *c >= '0' && *c <= '9';
        bool is_letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_';

        if (!is_letter && (!is_digit || c == name)) {
            return false;
        }
    }
    return c != name;
}

static void env_check(const struct config_role *role, struct yaml_errors *errors)
{
    const struct yaml_node *node = config_place_of(role->node, "env");
    size_t i;

    if (role->env.count > LEASE_FIELDS_MAX) {
        yaml_error_at(errors, node, "at most %d variables", LEASE_FIELDS_MAX);
    }
    if (role->attributes.count > LEASE_FIELDS_MAX) {
        yaml_error_at(errors, config_place_of(role->node, "attributes"), "at most %d attributes",
                      LEASE_FIELDS_MAX);
    }
    for (i = 0; i < role->env.count; i++) {
        if (!is_variable_name(role->env.items[i].value)) {
            yaml_error_at(errors, config_place_of(node, role->env.items[i].name),
                          "expected the name of an environment variable, found `%s`",
                          role->env.items[i].value);
        }
    }
}

/* ---- the rest --------------------------------------------------------------- */

static void policies_check(const struct config_policies *policies, struct yaml_errors *errors)
{
    static const char *const others[] = {"rules", "admins", "persons", "mode"};
    size_t i;

    for (i = 0; policies->path != NULL && i < ARRAY_LEN(others); i++) {
        if (config_is_given(policies->node, others[i])) {
            yaml_error_at_key(errors, yaml_get(policies->node, "path"),
                              "give `path` or `%s`, not both", others[i]);
            return;
        }
    }
}

static void state_check(const struct config_state *state, struct yaml_errors *errors)
{
    const char *path = state->ledger.sqlite;

    if (path != NULL && (path[0] != '/' || path[strlen(path) - 1] == '/')) {
        yaml_error_at(errors, yaml_get(state->ledger.node, "sqlite"),
                      "expected the absolute path of a file, found `%s`", path);
    }
    if (state->seal_key_file != NULL && state->seal_key_file[0] != '/') {
        yaml_error_at(errors, yaml_get(state->node, "seal_key_file"),
                      "expected the absolute path of a file, found `%s`", state->seal_key_file);
    }
    if (state->seal_key_file != NULL && state->seal_key_credential != NULL) {
        yaml_error_at_key(errors, yaml_get(state->node, "seal_key_credential"),
                          "give `seal_key_file` or `seal_key_credential`, not both");
    }
}

void config_check_settings(const struct config_settings *settings, struct yaml_errors *errors)
{
    const struct config_backend *backends = settings->backends.items;
    const struct config_role *roles = settings->roles.items;
    size_t i;

    config_check_listeners(settings, errors);
    for (i = 0; i < settings->backends.count; i++) {
        backend_check(&backends[i], errors);
    }
    for (i = 0; i < settings->roles.count; i++) {
        backend_reference_check(settings, &roles[i], errors);
        role_check(&roles[i], errors);
        env_check(&roles[i], errors);
    }
    config_check_deliveries(settings, errors);
    config_check_issuers(settings, errors);
    config_check_containers(settings, errors);
    clients_check(settings, "git", &settings->clients.git, errors);
    clients_check(settings, "docker", &settings->clients.docker, errors);
    policies_check(&settings->policies, errors);
    state_check(&settings->state, errors);
}

/* ---- rules and roles -------------------------------------------------------- */

static bool pattern_is_shared(const struct config_settings *settings, struct str pattern)
{
    const struct config_role *roles = settings->roles.items;
    size_t i;

    for (i = 0; i < settings->roles.count; i++) {
        if (roles[i].share != LEASE_SHARE_NONE && str_glob(pattern, str_of(roles[i].name))) {
            return true;
        }
    }
    return false;
}

static bool rule_is_shared(const struct config_settings *settings, const struct yaml_node *patterns)
{
    const struct yaml_node *child;

    if (patterns != NULL && patterns->type == YAML_SCALAR) {
        return pattern_is_shared(settings, patterns->text);
    }
    for (child = patterns != NULL ? patterns->first : NULL; child != NULL; child = child->next) {
        if (child->type == YAML_SCALAR && pattern_is_shared(settings, child->text)) {
            return true;
        }
    }
    return false;
}

void config_check_shared_ttl(const struct config_settings *settings,
                             const struct yaml_node *policies, struct yaml_errors *errors)
{
    const struct yaml_node *rules = yaml_get(policies, "rules");
    const struct yaml_node *rule = rules != NULL ? rules->first : NULL;

    for (; rule != NULL; rule = rule->next) {
        const struct yaml_node *limits = yaml_get(rule, "limits");
        const struct yaml_node *ttl = limits != NULL ? yaml_get(limits, "ttl") : NULL;

        if (ttl != NULL && rule_is_shared(settings, yaml_get(rule, "roles"))) {
            yaml_error_at_key(errors, ttl,
                              "`ttl` limits a role that is shared: its other holders would get the "
                              "shorter life too; set the role's `ttl`, or `share: none`");
        }
    }
}
