/* Roles and issuers. Of a configuration only what matters for policies is looked at: `leased
 * --check` is for the rest. */
#include "cli/policy_known.h"

#include "base/mem.h"
#include "base/units.h"
#include "cli/policy_folder.h"

#include <string.h>

/* As in the daemon's table. */
#define MAX_TTL_DEFAULT_MS (24ULL * 3600 * 1000)
#define NAMES_MAX 65536U

/* --- lists of names --- */

struct names {
    char **items; /* ended by NULL */
    size_t count;
    size_t cap;
};

static bool names_have(const struct names *names, struct str name)
{
    size_t i;

    for (i = 0; i < names->count; i++) {
        if (str_eq_c(name, names->items[i])) {
            return true;
        }
    }
    return false;
}

static int names_add(struct names *names, struct str name)
{
    char *copy;

    if (name.len == 0 || names->count == NAMES_MAX || names_have(names, name)) {
        return 0;
    }
    if (names->count + 1 >= names->cap) {
        size_t cap = names->cap > 0 ? 2 * names->cap : 32;
        char **items = mem_realloc((void *)names->items, cap * sizeof(*items));

        if (items == NULL) {
            return ERR_NOMEM;
        }
        names->items = items;
        names->cap = cap;
    }
    copy = mem_strndup(name.ptr, name.len);
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    names->items[names->count++] = copy;
    names->items[names->count] = NULL;
    return 0;
}

static void names_free(char **items)
{
    size_t i;

    for (i = 0; items != NULL && items[i] != NULL; i++) {
        mem_free(items[i]);
    }
    mem_free((void *)items);
}

/* The keys of a mapping. */
static int names_of(const struct yaml_node *mapping, struct names *names)
{
    const struct yaml_node *child;
    int r = 0;

    for (child = mapping != NULL ? mapping->first : NULL; r == 0 && child != NULL;
         child = child->next) {
        r = names_add(names, child->key);
    }
    return r;
}

/* --- from a configuration --- */

static enum access_binding binding_of(const struct yaml_node *role)
{
    const struct yaml_node *node = yaml_get(role, "binding");
    struct access_binding_spec spec;

    return node != NULL && node->type == YAML_SCALAR && access_binding_parse(node->text, &spec) == 0
               ? spec.kind
               : ACCESS_BINDING_PROCESS;
}

static struct access_role_facts role_facts(const char *name, const struct yaml_node *role)
{
    const struct yaml_node *ttl = yaml_get(role, "max_ttl");
    const struct yaml_node *share = yaml_get(role, "share");
    struct access_role_facts facts = {
        .name = name, .binding = binding_of(role), .max_ttl_ms = MAX_TTL_DEFAULT_MS, .node = role};

    if (ttl != NULL && ttl->type == YAML_SCALAR &&
        units_parse_duration(ttl->text, &facts.max_ttl_ms) != 0) {
        facts.max_ttl_ms = 0; /* `leased --check` will say so */
    }
    facts.is_shared = share != NULL && share->type == YAML_SCALAR && !str_eq_c(share->text, "none");
    return facts;
}

static int facts_fill(struct policy_known *known, const struct yaml_node *roles)
{
    size_t count = 0;
    size_t i;

    while (known->role_names != NULL && known->role_names[count] != NULL) {
        count++;
    }
    known->role_items = mem_calloc(count + 1, sizeof(*known->role_items));
    if (known->role_items == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < count; i++) {
        const char *name = known->role_names[i];
        const struct yaml_node *role = roles != NULL ? yaml_get(roles, name) : NULL;

        known->role_items[i] =
            role != NULL
                ? role_facts(name, role)
                : (struct access_role_facts){.name = name, .binding = ACCESS_BINDING_PROCESS};
    }
    known->roles.items = known->role_items;
    known->roles.count = count;
    return 0;
}

static int take_names(struct policy_known *known, struct names *roles, struct names *issuers, int r)
{
    known->role_names = roles->items;
    known->issuer_names = issuers->items;
    return r;
}

static int known_fill(struct policy_known *known)
{
    const struct yaml_node *root = yaml_root(known->document);
    const struct yaml_node *roles = yaml_get(root, "roles");
    struct names role_names = {0};
    struct names issuer_names = {0};
    int r = names_of(roles, &role_names);

    if (r == 0) {
        r = names_of(yaml_get(root, "issuers"), &issuer_names);
    }
    r = take_names(known, &role_names, &issuer_names, r);
    if (r == 0) {
        r = facts_fill(known, roles);
    }
    known->roles.are_known = true;
    return r;
}

/* One file of the configuration more. */
static int document_add(struct policy_known *known, const char *path, struct str text,
                        struct yaml_errors *errors)
{
    struct yaml_document *document = NULL;
    int r = yaml_parse(path, text, &document, errors);

    if (r == 0 && known->document != NULL) {
        r = yaml_merge(known->document, document, errors);
        if (r != 0) {
            yaml_free(document);
        }
    } else if (r == 0) {
        known->document = document;
    }
    return r;
}

static int folder_add(struct policy_known *known, const struct policy_folder *folder,
                      struct yaml_errors *errors)
{
    size_t i;
    int r = 0;

    for (i = 0; r == 0 && i < folder->policy->file_count; i++) {
        const struct policy_file *file = &folder->policy->files[i];
        BUF_AUTO path;

        buf_init(&path, POLICY_FOLDER_PATH_MAX_BYTES);
        buf_printf(&path, "%s/%s", folder->path, file->name);
        r = buf_status(&path);
        if (r == 0 && strchr(file->name, '/') == NULL) {
            r = document_add(known, buf_str(&path).ptr, file->text, errors);
        }
    }
    return r;
}

int policy_known_read(const char *path, struct policy_known *ret_known, struct yaml_errors *errors,
                      struct err *e)
{
    struct policy_known known = {.document = NULL};
    struct policy_folder folder = {.path = NULL};
    BUF_AUTO text;
    int r;

    buf_init(&text, YAML_INPUT_MAX_BYTES);
    if (policy_folder_is_one(path)) {
        r = policy_folder_read(path, &folder, e);
        r = r == 0 ? folder_add(&known, &folder, errors) : r;
    } else {
        r = policy_file_read(path, &text, e);
        r = r == 0 ? document_add(&known, path, buf_str(&text), errors) : r;
    }
    policy_folder_fini(&folder);
    if (r == 0 && known.document == NULL) {
        r = err_set(e, ERR_NOT_FOUND, "%s: holds no *.yaml file", path);
    }
    if (r == 0) {
        r = known_fill(&known);
    }
    if (r != 0) {
        policy_known_fini(&known);
        return r;
    }
    *ret_known = known;
    return 0;
}

/* --- without one --- */

static bool names_a_role(struct str key)
{
    return str_eq_c(key, "role") || str_eq_c(key, "roles");
}

static int collect(const struct yaml_node *node, struct str key, struct names *roles,
                   struct names *issuers)
{
    const struct yaml_node *child;
    int r = 0;

    if (node->type == YAML_SCALAR && names_a_role(key)) {
        return names_add(roles, node->text);
    }
    if (node->type == YAML_SCALAR && str_eq_c(key, "issuer")) {
        return names_add(issuers, node->text);
    }
    for (child = node->first; r == 0 && child != NULL; child = child->next) {
        r = collect(child, node->type == YAML_MAPPING ? child->key : key, roles, issuers);
    }
    return r;
}

int policy_known_collect(const struct yaml_node *const *nodes, size_t node_count,
                         struct policy_known *ret_known)
{
    struct policy_known known = {.document = NULL};
    struct names roles = {0};
    struct names issuers = {0};
    size_t i;
    int r = 0;

    for (i = 0; r == 0 && i < node_count; i++) {
        r = collect(nodes[i], (struct str){.ptr = NULL, .len = 0}, &roles, &issuers);
    }
    r = take_names(&known, &roles, &issuers, r);
    if (r == 0) {
        r = facts_fill(&known, NULL);
    }
    if (r != 0) {
        policy_known_fini(&known);
        return r;
    }
    *ret_known = known;
    return 0;
}

void policy_known_fini(struct policy_known *known)
{
    names_free(known->role_names);
    names_free(known->issuer_names);
    mem_free(known->role_items);
    yaml_free(known->document);
    *known = (struct policy_known){.document = NULL};
}
