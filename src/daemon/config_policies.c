/* The policy that the configuration has in itself, or names: one file, or a folder whose *.yaml may
 * include what lies in folders below it. */
#include "access/source.h"
#include "base/mem.h"
#include "base/zonefile.h"
#include "daemon/config_internal.h"
#include "wire/policy_bundle.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_MAX_BYTES 4096
#define FOLDERS_DEPTH_MAX 8

/* ---- reading ---------------------------------------------------------------- */

struct reading {
    const char *top;
    struct policy_bundle *bundle;
    struct yaml_errors *errors;
    unsigned depth;
    int first_failure; /* the others' mistakes are reported, too */
};

static int folder_read(struct reading *it, const char *below);

/* `name`: below the top. */
static int file_read(struct reading *it, const char *name)
{
    char path[PATH_MAX_BYTES];
    struct err e = {0};
    BUF_AUTO bytes;
    int r;

    (void)snprintf(path, sizeof(path), "%s/%s", it->top, name);
    buf_init(&bytes, CONFIG_FILE_MAX_BYTES);
    r = config_file_read(path, &bytes, it->errors);
    if (r != 0) {
        it->first_failure = it->first_failure != 0 ? it->first_failure : r;
        return r == ERR_NOMEM ? r : 0;
    }
    r = policy_bundle_add(it->bundle, str_of(name), buf_str(&bytes), &e);
    if (r != 0 && r != ERR_NOMEM) {
        yaml_error_in(it->errors, path, 0, 0, "%s", e.text);
    }
    return r;
}

static int entry_read(struct reading *it, const char *folder, const char *below, const char *name)
{
    char path[PATH_MAX_BYTES];
    char place[PATH_MAX_BYTES];
    struct stat facts;

    (void)snprintf(path, sizeof(path), "%.3800s/%.255s", folder, name);
    (void)snprintf(place, sizeof(place), "%.2000s%s%.255s", below, below[0] != '\0' ? "/" : "",
                   name);
    if (name[0] == '.') {
        return 0;
    }
    if (str_ends_with(str_of(name), ".yml")) {
        config_report_yml(folder, name, it->errors);
        return ERR_INVALID;
    }
    if (config_file_is_wanted(str_of(name))) {
        return file_read(it, place);
    }
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode) ? folder_read(it, place) : 0;
}

static int folder_read(struct reading *it, const char *below)
{
    char path[PATH_MAX_BYTES];
    const struct dirent *entry;
    struct stat facts;
    DIR *folder;
    int r;

    (void)snprintf(path, sizeof(path), "%s%s%s", it->top, below[0] != '\0' ? "/" : "", below);
    if (it->depth == FOLDERS_DEPTH_MAX) {
        yaml_error_in(it->errors, path, 0, 0, "lies more than %d folders deep", FOLDERS_DEPTH_MAX);
        return ERR_INVALID;
    }
    folder = opendir(path);
    if (folder == NULL || fstat(dirfd(folder), &facts) != 0) {
        r = config_report_unread(path, errno, it->errors);
        goto out;
    }
    r = config_check_place(path, &facts, it->errors);
    it->depth++;
    for (errno = 0; r == 0 && (entry = readdir(folder)) != NULL; errno = 0) {
        r = entry_read(it, path, below, entry->d_name);
    }
    it->depth--;
    if (r == 0 && errno != 0) {
        r = config_report_unread(path, errno, it->errors);
    }

out:
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return r;
}

/* The folder of a path, and the name within it. */
static const char *path_split(const char *path, char folder[PATH_MAX_BYTES])
{
    const char *slash = strrchr(path, '/');

    (void)snprintf(folder, PATH_MAX_BYTES, "%.*s", slash != NULL ? (int)(slash - path) : 1,
                   slash != NULL ? path : ".");
    return slash != NULL ? slash + 1 : path;
}

/* 0, or a failure; all but ERR_NOMEM are reported. `ret_main`: NULL, or the one file. */
static int files_read(const char *path, char folder[PATH_MAX_BYTES], struct policy_bundle *bundle,
                      const char **ret_main, struct yaml_errors *errors)
{
    struct reading it = {.top = folder, .bundle = bundle, .errors = errors};
    struct stat facts;
    int r;

    if (strlen(path) >= PATH_MAX_BYTES / 2 || stat(path, &facts) != 0) {
        return config_report_unread(path, strlen(path) >= PATH_MAX_BYTES / 2 ? ENAMETOOLONG : errno,
                                    errors);
    }
    if (!S_ISDIR(facts.st_mode)) {
        *ret_main = path_split(path, folder);
        r = file_read(&it, *ret_main);
    } else {
        (void)snprintf(folder, PATH_MAX_BYTES, "%s", path);
        r = folder_read(&it, "");
        if (r == 0 && bundle->file_count == 0 && it.first_failure == 0) {
            yaml_error_in(errors, path, 0, 0, "holds no *.yaml file");
            r = ERR_NOT_FOUND;
        }
    }
    return r != 0 ? r : it.first_failure;
}

/* ---- compiling -------------------------------------------------------------- */

static int policy_parse(struct config *config, const struct access_nodes *nodes,
                        struct yaml_errors *warnings, struct yaml_errors *errors)
{
    const char **roles = config_names(&config->settings.roles, sizeof(struct config_role));
    const char **issuers = config_names(&config->settings.issuers, sizeof(struct config_issuer));
    const struct access_known known = {.roles = roles,
                                       .issuers = issuers,
                                       .zone_read = zonefile_read};
    size_t i;
    int r = ERR_NOMEM;

    if (roles == NULL || issuers == NULL) {
        goto out;
    }
    for (i = 0; i < nodes->count; i++) {
        config_check_shared_ttl(&config->settings, nodes->items[i], errors);
    }
    r = access_policy_parse(nodes, &known, NULL, &config->policy, errors);
    for (i = 0; warnings != NULL && errors->count == 0 && i < nodes->count; i++) {
        config_check_subjects(nodes->items[i], warnings);
    }
out:
    mem_free((void *)roles);
    mem_free((void *)issuers);
    return r == ERR_NOMEM ? r : 0;
}

static int bundle_parse(struct config *config, const struct access_source *source,
                        struct yaml_errors *warnings, struct yaml_errors *errors)
{
    struct access_tree *tree = NULL;
    int r = access_tree_new(source, &tree, errors);

    if (r == 0) {
        r = policy_parse(config, access_tree_nodes(tree), warnings, errors);
    }
    access_tree_free(tree);
    return r == ERR_NOMEM ? r : 0;
}

static int files_parse(struct config *config, struct yaml_errors *warnings,
                       struct yaml_errors *errors)
{
    struct access_file files[POLICY_BUNDLE_FILES_MAX];
    char folder[PATH_MAX_BYTES];
    struct access_source source = {.folder = folder, .files = files};
    struct policy_bundle *bundle = policy_bundle_new();
    size_t i;
    int r;

    config->policy_files = bundle;
    if (bundle == NULL) {
        return ERR_NOMEM;
    }
    r = files_read(config->settings.policies.path, folder, bundle, &source.main, errors);
    if (r != 0) {
        return r == ERR_NOMEM ? r : 0;
    }
    for (i = 0; i < bundle->file_count; i++) {
        files[i] =
            (struct access_file){.name = bundle->files[i].name, .text = bundle->files[i].text};
    }
    source.file_count = bundle->file_count;
    return bundle_parse(config, &source, warnings, errors);
}

int config_load_policy(struct config *config, struct yaml_errors *warnings,
                       struct yaml_errors *errors)
{
    static const char *const keys[] = {"rules", "admins", "persons", "mode", NULL};
    const struct config_policies *policies = &config->settings.policies;
    bool is_inline = policies->node != NULL && policies->node->type == YAML_MAPPING;
    const struct yaml_node *child;
    size_t i;

    if (policies->path != NULL) {
        return files_parse(config, warnings, errors);
    }
    /* Other keys were reported by our own table. */
    for (child = is_inline ? policies->node->first : NULL; child != NULL; child = child->next) {
        for (i = 0; keys[i] != NULL && !str_eq_c(child->key, keys[i]); i++) {
        }
        if (keys[i] == NULL) {
            yaml_refuse(config->document, child);
        }
    }
    return policy_parse(
        config, &(struct access_nodes){.items = &policies->node, .count = is_inline ? 1 : 0},
        warnings, errors);
}
