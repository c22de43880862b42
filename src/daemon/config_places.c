/* Where the secrets and files of sinks, backends and listeners are: each secret in one place, files
 * by absolute paths (a daemon's working directory is nobody's business), variables by names that
 * can be. */
#include "daemon/config_internal.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static const char *const place_suffixes[] = {"_file", "_env", "_credential"};

/* The part before the suffix that says what kind of place it is; len 0 when the key names none. */
static struct str secret_of(struct str key)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(place_suffixes); i++) {
        if (str_ends_with(key, place_suffixes[i])) {
            return (struct str){.ptr = key.ptr, .len = key.len - strlen(place_suffixes[i])};
        }
    }
    return (struct str){.ptr = key.ptr, .len = 0};
}

/* An earlier key that names another place of the same secret. */
static const struct yaml_node *rival_find(const struct yaml_node *mapping,
                                          const struct yaml_node *child)
{
    struct str secret = secret_of(child->key);
    const struct yaml_node *other;

    for (other = mapping->first; secret.len > 0 && other != child; other = other->next) {
        if (str_eq(secret_of(other->key), secret)) {
            return other;
        }
    }
    return NULL;
}

/* Lists that a plugin publishes. */
bool config_key_is_written(struct str key)
{
    return str_eq_c(key, "crl_file") || str_eq_c(key, "krl_file");
}

static void file_check(const struct yaml_node *node, struct yaml_errors *warnings,
                       struct yaml_errors *errors)
{
    struct stat facts;

    if (!str_starts_with(node->text, "/")) {
        yaml_error_at(errors, node, "expected an absolute path, found `%.*s`", STR_ARG(node->text));
    } else if (warnings != NULL && !config_key_is_written(node->key) &&
               stat(node->text.ptr, &facts) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        yaml_error_at(warnings, node,
                      "warning: there is no file `%.*s` (yet): what needs it fails until it is "
                      "there",
                      STR_ARG(node->text));
    }
}

/* Recursion is bounded by YAML_DEPTH_MAX. */
void config_check_places(struct config *config, const struct yaml_node *node,
                         struct yaml_errors *warnings, struct yaml_errors *errors)
{
    const struct yaml_node *child;

    for (child = node->first; child != NULL; child = child->next) {
        const struct yaml_node *rival = node->type == YAML_MAPPING ? rival_find(node, child) : NULL;

        if (rival != NULL) {
            yaml_error_at_key(errors, child, "give `%.*s` or `%.*s`, not both", STR_ARG(rival->key),
                              STR_ARG(child->key));
            /* So that the plugin doesn't say it again. */
            yaml_refuse(config->document, child);
        } else if (child->type == YAML_SCALAR && str_ends_with(child->key, "_file")) {
            file_check(child, warnings, errors);
        }
        config_check_places(config, child, warnings, errors);
    }
}

/* Counts the variables below `node`, and collects them when `names` isn't NULL. */
static size_t env_walk(const struct yaml_node *node, const char **names)
{
    const struct yaml_node *child;
    size_t count = 0;

    for (child = node->first; child != NULL; child = child->next) {
        if (child->type == YAML_SCALAR && str_ends_with(child->key, "_env")) {
            if (names != NULL) {
                names[count] = child->text.ptr;
            }
            count++;
        }
        count += env_walk(child, names != NULL ? names + count : NULL);
    }
    return count;
}

int config_collect_env(struct config *config)
{
    static const char *const owners[] = {"audit", "backends", "notify"};
    size_t count = 0;
    size_t i;

    for (i = 0; i < ARRAY_LEN(owners); i++) {
        const struct yaml_node *node = yaml_get(config->settings.node, owners[i]);

        count += node != NULL ? env_walk(node, NULL) : 0;
    }
    config->env_names = mem_calloc(count + 1, sizeof(*config->env_names));
    if (config->env_names == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < ARRAY_LEN(owners); i++) {
        const struct yaml_node *node = yaml_get(config->settings.node, owners[i]);

        if (node != NULL) {
            config->env_name_count += env_walk(node, config->env_names + config->env_name_count);
        }
    }
    return 0;
}
