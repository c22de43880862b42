/* What Vault says about itself and its caller's rights, answered for the caller: whether it is up
 * is whether our backend is, and rights are those of our policy. */
#include "serve/vault.h"

#include "serve/decide.h"
#include "wire/query.h"

#include <stdio.h>
#include <string.h>

#define CAPABILITY_PATHS_MAX 64

struct backend *serve_vault_backend(const struct exchange *x)
{
    const struct serve_options *options = &x->serve->options;
    struct backend_status status;
    size_t i;

    for (i = 0; i < options->backend_count; i++) {
        backend_status(options->backends[i], &status);
        if (strcmp(status.name, x->listener->vault.backend) == 0) {
            return options->backends[i];
        }
    }
    return NULL;
}

static bool is_up(const struct exchange *x)
{
    struct backend_status status = {.is_up = false};
    const struct backend *backend = serve_vault_backend(x);

    if (backend != NULL) {
        backend_status(backend, &status);
    }
    return status.is_up;
}

/* --- health ------------------------------------------------------------------------------------
 */

/* `?activecode=` and the like: what a probe wants to see instead of the usual status. */
static uint32_t code_of(struct str query, const char *name, uint32_t usual)
{
    struct str key;
    struct str value;
    uint64_t code;

    while (query_next(&query, &key, &value)) {
        if (str_eq_c(key, name) && str_parse_u64(value, &code) == 0 && code >= 200 && code <= 599) {
            return (uint32_t)code;
        }
    }
    return usual;
}

/* A backend that can't be reached, or is sealed, looks sealed: clients wait for it, and it may be
 * that what they have leased is served all the same. */
void serve_vault_health(struct vault_request *v)
{
    struct exchange *x = v->x;
    bool is_sealed = !is_up(x);
    struct str query = x->request->query;
    struct json_out json;

    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_bool(&json, "initialized", true);
    json_out_bool(&json, "sealed", is_sealed);
    json_out_bool(&json, "standby", is_sealed);
    json_out_bool(&json, "performance_standby", false);
    json_out_string_c(&json, "replication_performance_mode", "disabled");
    json_out_string_c(&json, "replication_dr_mode", "disabled");
    json_out_i64(&json, "server_time_utc", env_wall_ms(x->serve->options.env) / 1000);
    json_out_string_c(&json, "version", VAULT_VERSION);
    json_out_string_c(&json, "cluster_name", x->listener->vault.backend);
    json_out_object_close(&json);
    exchange_reply(x, is_sealed ? code_of(query, "sealedcode", 503)
                                : code_of(query, "activecode", 200));
}

void serve_vault_seal_status(struct vault_request *v)
{
    struct exchange *x = v->x;
    struct json_out json;

    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_string_c(&json, "type", "shamir");
    json_out_bool(&json, "initialized", true);
    json_out_bool(&json, "sealed", !is_up(x));
    json_out_u64(&json, "t", 1);
    json_out_u64(&json, "n", 1);
    json_out_u64(&json, "progress", 0);
    json_out_string_c(&json, "nonce", "");
    json_out_string_c(&json, "version", VAULT_VERSION);
    json_out_string_c(&json, "build_date", "");
    json_out_bool(&json, "migration", false);
    json_out_string_c(&json, "cluster_name", x->listener->vault.backend);
    json_out_string_c(&json, "cluster_id", "");
    json_out_bool(&json, "recovery_seal", false);
    json_out_string_c(&json, "storage_type", "leased");
    json_out_object_close(&json);
    exchange_reply(x, 200);
}

void serve_vault_leader(struct vault_request *v)
{
    struct exchange *x = v->x;
    struct json_out json;

    exchange_json(x, &json);
    json_out_object_open(&json, NULL);
    json_out_bool(&json, "ha_enabled", false);
    json_out_bool(&json, "is_self", true);
    json_out_string_c(&json, "leader_address", "");
    json_out_string_c(&json, "leader_cluster_address", "");
    json_out_bool(&json, "performance_standby", false);
    json_out_object_close(&json);
    exchange_reply(x, 200);
}

void serve_vault_init(struct vault_request *v)
{
    struct json_out json;

    exchange_json(v->x, &json);
    json_out_object_open(&json, NULL);
    json_out_bool(&json, "initialized", true);
    json_out_object_close(&json);
    exchange_reply(v->x, 200);
}

/* --- mounts ------------------------------------------------------------------------------------
 */

static void mount_write(struct exchange *x, struct str mount)
{
    char path[VAULT_PATH_MAX_BYTES + 2];
    static const struct vault_head none = {.lease_id = NULL};
    struct json_out json;

    exchange_json(x, &json);
    serve_vault_reply_open(x, &json, &none);
    json_out_object_open(&json, "data");
    (void)snprintf(path, sizeof(path), "%.*s/", STR_ARG(mount));
    json_out_string_c(&json, "path", path);
    json_out_string_c(&json, "type", "kv");
    json_out_object_open(&json, "options");
    json_out_string_c(&json, "version", "2");
    json_out_object_close(&json);
    json_out_object_close(&json);
    serve_vault_reply_close(&json, NULL);
    exchange_reply(x, 200);
}

/* Clients ask before they read a secret, to know which version of KV it is. Of a mount that a role
 * tells, leased knows; others are asked for, by whoever may do something there. */
void serve_vault_mounts(struct vault_request *v)
{
    struct exchange *x = v->x;
    struct lease_core *core = x->serve->options.core;
    size_t mount_len;

    if (v->path->namespace_len == 0 &&
        serve_vault_roles_find_mount(&x->serve->vault_roles, core, v->arg, &mount_len)) {
        mount_write(x, (struct str){.ptr = v->arg.ptr, .len = mount_len - 1});
    } else if (access_policy_touches(x->serve->options.policy, &x->identity,
                                     x->listener->vault.backend, v->arg)) {
        serve_vault_pass(v, false);
    } else {
        serve_vault_fail(x, 403, "no rule allows anything at this mount", NULL);
    }
}

/* --- rights ------------------------------------------------------------------------------------
 */

static bool has_role(const struct exchange *x, struct str path)
{
    const struct lease_role *role;
    size_t at = 0;

    while ((role = serve_vault_roles_next(&x->serve->vault_roles, x->serve->options.core,
                                          x->listener->vault.backend, path, &at)) != NULL) {
        if (decide_may_have(x, role)) {
            return true;
        }
    }
    return false;
}

/* A path comes from outside: its quotes and all that is escaped. */
static void capabilities_write(struct exchange *x, struct json_out *json, struct str key,
                               struct str path)
{
    const struct access_path_request asked = {.backend = x->listener->vault.backend,
                                              .path = path,
                                              .wall_ms = env_wall_ms(x->serve->options.env)};
    uint32_t may = access_policy_capabilities(x->serve->options.policy, &x->identity, &asked);
    BUF_AUTO quoted;
    struct str name;
    uint32_t bit;

    buf_init(&quoted, VAULT_PATH_MAX_BYTES * 6 + 3);
    json_out_add_quoted(&quoted, key);
    name = buf_str(&quoted);
    may = blocks_find(&x->serve->blocks, &x->identity, NULL, x->listener->vault.backend) == NULL
              ? may
              : 0;
    may |= has_role(x, path) ? (uint32_t)ACCESS_CAN_READ : 0;
    json_out_open_at(json, (struct str){.ptr = name.ptr + 1, .len = name.len - 2}, '[');
    for (bit = 1; bit <= ACCESS_CAN_SCAN; bit <<= 1) {
        if ((may & bit) != 0) {
            json_out_string_c(json, NULL, access_capability_word(bit));
        }
    }
    if (may == 0) {
        json_out_string_c(json, NULL, "deny");
    }
    json_out_array_close(json);
}

/* The paths that are asked about; NULL: they are no list of paths. Borrowed from `root`. */
static const json_t *paths_of(json_t *root, size_t *ret_count)
{
    const json_t *paths = json_object_get(root, "paths");
    size_t i;

    paths = paths != NULL ? paths : json_object_get(root, "path");
    *ret_count = json_is_string(paths) ? 1 : json_array_size(paths);
    for (i = 0; json_is_array(paths) && i < *ret_count; i++) {
        if (json_string_length(json_array_get(paths, i)) > VAULT_PATH_MAX_BYTES ||
            !json_is_string(json_array_get(paths, i))) {
            return NULL;
        }
    }
    return *ret_count > 0 && *ret_count <= CAPABILITY_PATHS_MAX &&
                   json_string_length(paths) <= VAULT_PATH_MAX_BYTES
               ? paths
               : NULL;
}

void serve_vault_capabilities(struct vault_request *v)
{
    static const struct vault_head none = {.lease_id = NULL};
    struct exchange *x = v->x;
    json_t *root = serve_vault_body(x);
    const json_t *paths;
    struct json_out json;
    struct str path;
    size_t count;
    size_t i;

    if (root == NULL) {
        return;
    }
    paths = paths_of(root, &count);
    if (paths == NULL) {
        json_decref(root);
        serve_vault_fail(x, 400, "`paths` is no list of 1 to 64 paths", NULL);
        return;
    }
    exchange_json(x, &json);
    serve_vault_reply_open(x, &json, &none);
    json_out_object_open(&json, "data");
    for (i = 0; i < count; i++) {
        path = str_of(json_string_value(json_is_string(paths) ? paths : json_array_get(paths, i)));
        capabilities_write(x, &json, path, path);
    }
    if (count == 1) {
        capabilities_write(x, &json, STR("capabilities"), path);
    }
    json_out_object_close(&json);
    serve_vault_reply_close(&json, NULL);
    json_decref(root);
    exchange_reply(x, 200);
}
