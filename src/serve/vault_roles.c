/* A map from path to the names of its roles. Names, not roles: these may go at any moment. */
#include "serve/vault_roles.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct path_roles {
    struct map_entry entry;
    struct list names; /* struct role_name */
    char path[VAULT_ROLE_PATH_MAX_BYTES];
};

struct role_name {
    struct list node;
    char name[];
};

void serve_vault_roles_init(struct vault_roles *roles, uint64_t seed)
{
    roles->seed = seed;
    roles->is_made = false;
    map_init(&roles->paths, seed);
}

void serve_vault_roles_clear(struct vault_roles *roles)
{
    struct map_entry *entry;
    struct list *node;

    while ((entry = map_first(&roles->paths)) != NULL) {
        struct path_roles *path = MAP_ENTRY(entry, struct path_roles, entry);

        map_remove(&roles->paths, entry);
        while ((node = list_pop_front(&path->names)) != NULL) {
            mem_free(LIST_ENTRY(node, struct role_name, node));
        }
        mem_free(path);
    }
    map_fini(&roles->paths);
    serve_vault_roles_init(roles, roles->seed);
}

const char *serve_vault_role_path(const struct lease_role *role,
                                  char out[VAULT_ROLE_PATH_MAX_BYTES])
{
    json_t *params = json_loads(role->params_json, 0, NULL);
    const char *path = json_string_value(json_object_get(params, "path"));

    (void)snprintf(out, VAULT_ROLE_PATH_MAX_BYTES, "%s", path != NULL ? path : "");
    json_decref(params);
    return out;
}

static struct path_roles *path_add(struct vault_roles *roles, const char *text)
{
    struct map_entry *entry = map_find(&roles->paths, str_of(text));
    struct path_roles *path;

    if (entry != NULL) {
        return MAP_ENTRY(entry, struct path_roles, entry);
    }
    path = mem_calloc(1, sizeof(*path));
    if (path == NULL) {
        return NULL;
    }
    list_init(&path->names);
    (void)snprintf(path->path, sizeof(path->path), "%s", text);
    if (map_add(&roles->paths, &path->entry, str_of(path->path)) != 0) {
        mem_free(path);
        return NULL;
    }
    return path;
}

static int role_add(struct vault_roles *roles, const struct lease_role *role)
{
    char text[VAULT_ROLE_PATH_MAX_BYTES];
    size_t len = strlen(role->name);
    struct path_roles *path;
    struct role_name *name;

    (void)serve_vault_role_path(role, text);
    if (text[0] == '\0' || strstr(text, "${") != NULL) {
        return 0;
    }
    path = path_add(roles, text);
    name = path != NULL ? mem_calloc(1, sizeof(*name) + len + 1) : NULL;
    if (name == NULL) {
        return ERR_NOMEM;
    }
    memcpy(name->name, role->name, len);
    list_push_back(&path->names, &name->node);
    return 0;
}

/* Without memory the next request tries again, and this one finds nothing. */
static void make(struct vault_roles *roles, struct lease_core *core)
{
    const struct lease_role *role = NULL;
    int r = 0;

    if (roles->is_made) {
        return;
    }
    while (r == 0 && (role = lease_core_next_role(core, role)) != NULL) {
        r = role_add(roles, role);
    }
    if (r != 0) {
        serve_vault_roles_clear(roles);
    }
    roles->is_made = r == 0;
}

const struct lease_role *serve_vault_roles_next(struct vault_roles *roles, struct lease_core *core,
                                                const char *backend, struct str path, size_t *at)
{
    struct map_entry *entry;
    struct list *node;
    struct list *following;
    size_t index = 0;

    make(roles, core);
    entry = map_find(&roles->paths, path);
    if (entry == NULL) {
        return NULL;
    }
    LIST_EACH (&MAP_ENTRY(entry, struct path_roles, entry)->names, node, following) {
        const struct role_name *name = LIST_ENTRY(node, struct role_name, node);
        const struct lease_role *role =
            index >= *at ? lease_core_role(core, str_of(name->name)) : NULL;

        index++;
        if (role != NULL && strcmp(role->issuer->name, backend) == 0) {
            *at = index;
            return role;
        }
    }
    return NULL;
}

/* Where "data" is a segment of its own: the mount is before it. */
static size_t versioned_mount(struct str path)
{
    size_t i;

    for (i = 1; i + 6 <= path.len; i++) {
        if (memcmp(path.ptr + i, "/data/", 6) == 0) {
            return i + 1;
        }
    }
    return 0;
}

bool serve_vault_roles_find_mount(struct vault_roles *roles, struct lease_core *core,
                                  struct str path, size_t *ret_mount_len)
{
    const struct map_entry *entry;

    make(roles, core);
    for (entry = map_first(&roles->paths); entry != NULL; entry = map_next(&roles->paths, entry)) {
        size_t mount_len = versioned_mount(entry->key);

        if (mount_len > 0 && path.len + 1 >= mount_len &&
            memcmp(path.ptr, entry->key.ptr, mount_len - 1) == 0 &&
            (path.len == mount_len - 1 || path.ptr[mount_len - 1] == '/')) {
            *ret_mount_len = mount_len;
            return true;
        }
    }
    return false;
}
