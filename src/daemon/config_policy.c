/* Policies: what the configuration says of them, and what was applied since.
 *
 * Nothing was ever applied: the files at policies.path, or the rules in the configuration itself,
 * count. Something was: the copy beside the ledger counts, whatever these say; where they say
 * something else, or have mistakes, that is a note. So is what the copy names and the configuration
 * doesn't have (any more): a role can go before the rules that name it, and leased starts. A copy
 * that is there and can't be read is a mistake: never does leased go back by itself to rules that
 * somebody has replaced. */
#include "daemon/config_internal.h"

#include "access/source.h"
#include "base/mem.h"
#include "base/zonefile.h"
#include "daemon/files_known.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_SUFFIX ".policy.json"
#define NEXT_SUFFIX ".policy-next.json"
#define ARCHIVE_SUFFIX ".policies/"
#define PATH_MAX_BYTES 4096U
#define NOTES_MAX_BYTES (64U * 1024U)
#define INLINE_NAME "leased.yaml"

/* ---- compiling ---------------------------------------------------------------- */

struct compiling {
    const struct config *config;
    struct yaml_errors *unknown;  /* NULL: what is unknown is a mistake */
    struct yaml_errors *warnings; /* NULL: nobody wants them */
    struct yaml_errors *errors;
};

/* Decides as if rules that are only observed counted, with `counts_observed`. */
static int nodes_parse(const struct compiling *it, const struct access_nodes *nodes,
                       bool counts_observed, struct access_policy **ret_policy)
{
    const struct config_settings *settings = &it->config->settings;
    const char **roles = config_names(&settings->roles, sizeof(struct config_role));
    const char **issuers = config_names(&settings->issuers, sizeof(struct config_issuer));
    const struct access_known known = {.roles = roles,
                                       .issuers = issuers,
                                       .zone_read = zonefile_read};
    const struct access_policy_options options = {.counts_observed = counts_observed,
                                                  .unknown = it->unknown};
    int r = roles != NULL && issuers != NULL
                ? access_policy_parse(nodes, &known, &options, ret_policy, it->errors)
                : ERR_NOMEM;

    mem_free((void *)roles);
    mem_free((void *)issuers);
    return r;
}

static int nodes_compile(const struct compiling *it, const struct access_nodes *nodes,
                         struct config_policy *access)
{
    struct compiling again = *it;
    struct yaml_errors told;
    size_t i;
    int r;

    for (i = 0; i < nodes->count; i++) {
        config_check_shared_ttl(&it->config->settings, nodes->items[i],
                                it->unknown != NULL ? it->unknown : it->errors);
    }
    r = nodes_parse(it, nodes, false, &access->policy);
    for (i = 0; it->warnings != NULL && it->errors->count == 0 && i < nodes->count; i++) {
        config_check_subjects(nodes->items[i], it->warnings);
    }
    if (r == 0 && access_policy_has_observed(access->policy)) {
        yaml_errors_init(&told); /* all of it was told before */
        again.unknown = again.unknown != NULL ? &told : NULL;
        r = nodes_parse(&again, nodes, true, &access->observed);
        yaml_errors_fini(&told);
    }
    return r;
}

struct left_out {
    const char *folder;
    struct yaml_errors *warnings;
};

static void left_out_warn(void *user, const char *name)
{
    const struct left_out *it = user;
    char place[PATH_MAX_BYTES];

    (void)snprintf(place, sizeof(place), "%s/%s", it->folder, name);
    yaml_error_in(it->warnings, place, 0, 0,
                  "warning: doesn't count: it lies in a folder below, and no `include` names it");
}

/* The one file that counts, with what it includes; NULL: all at the top. Rules in the configuration
 * and what is applied over the API may be a file of any name. */
static const char *main_of(const struct policy_bundle *bundle)
{
    bool is_alone = bundle->file_count == 1 && strchr(bundle->files[0].name, '/') == NULL;

    return is_alone ? bundle->files[0].name : str_or_null(bundle->main);
}

/* `folder` stands before the names of files in messages; NULL: nothing does. */
static int bundle_compile(const struct compiling *it, const struct policy_bundle *bundle,
                          const char *folder, struct config_policy *access)
{
    const struct access_source source = {.folder = folder,
                                         .main = main_of(bundle),
                                         .files = bundle->files,
                                         .file_count = bundle->file_count};
    size_t count_before = it->errors->count;
    struct access_tree *tree = NULL;
    int r;

    r = access_tree_new(&source, &tree, it->errors);
    if (r == 0) {
        r = nodes_compile(it, access_tree_nodes(tree), access);
    }
    if (r == 0 && it->warnings != NULL && folder != NULL) {
        access_tree_each_left_out(tree, left_out_warn, &(struct left_out){folder, it->warnings});
    }
    access_tree_free(tree);
    return r == 0 && it->errors->count > count_before ? ERR_INVALID : r;
}

/* What is observed as a whole stands in for rules that are. */
static int copy_compile(const struct compiling *it, const struct policy_copy *copy,
                        struct config_policy *access)
{
    struct config_policy observed = {.policy = NULL};
    int r = 0;

    if (copy->observed == NULL) {
        return 0;
    }
    r = bundle_compile(it, copy->observed, NULL, &observed);
    if (r == 0) {
        access_policy_free(access->observed);
        access->observed = observed.policy;
        observed.policy = NULL;
    }
    config_policy_fini(&observed);
    return r;
}

void config_policy_fini(struct config_policy *access)
{
    access_policy_free(access->policy);
    access_policy_free(access->observed);
    policy_copy_free(access->copy);
    mem_free(access->notes);
    *access = (struct config_policy){.policy = NULL};
}

int config_policy_make(const struct config *config, struct policy_copy *copy,
                       struct yaml_errors *unknown, struct config_policy *ret_access,
                       struct yaml_errors *errors)
{
    const struct compiling it = {.config = config, .unknown = unknown, .errors = errors};
    struct config_policy access = {.policy = NULL};
    int r = bundle_compile(&it, copy->bundle, NULL, &access);

    if (r == 0) {
        r = copy_compile(&it, copy, &access);
    }
    if (r != 0) {
        config_policy_fini(&access);
        return r;
    }
    access.copy = copy;
    *ret_access = access;
    return 0;
}

/* ---- what the configuration says ---------------------------------------------- */

/* The rules in the configuration as a file of policies. */
static int inline_bundle(const struct yaml_node *node, struct policy_bundle *bundle)
{
    static const char *const without[] = {"path", NULL};
    BUF_AUTO text;
    int r;

    buf_init(&text, POLICY_BUNDLE_TEXT_MAX_BYTES);
    if (node == NULL) {
        return 0;
    }
    r = yaml_to_json(node, without, &text);
    return r == 0 ? policy_bundle_add(bundle, STR(INLINE_NAME), buf_str(&text), NULL) : r;
}

static int inline_load(const struct compiling *it, struct config_policy *access)
{
    static const char *const keys[] = {"rules", "admins", "persons", "mode", NULL};
    const struct yaml_node *node = it->config->settings.policies.node;
    bool is_there = node != NULL && node->type == YAML_MAPPING;
    const struct access_nodes nodes = {.items = &node, .count = is_there ? 1 : 0};
    const struct yaml_node *child;
    size_t i;
    int r;

    /* Other keys were reported by our own table. */
    for (child = is_there ? node->first : NULL; child != NULL; child = child->next) {
        for (i = 0; keys[i] != NULL && !str_eq_c(child->key, keys[i]); i++) {
        }
        if (keys[i] == NULL) {
            yaml_refuse(it->config->document, child);
        }
    }
    r = nodes_compile(it, &nodes, access);
    return r == 0 ? inline_bundle(is_there ? node : NULL, access->copy->bundle) : r;
}

static int path_load(const struct compiling *it, struct config_policy *access)
{
    const struct yaml_node *node = yaml_get(it->config->settings.policies.node, "path");
    char *folder = NULL;
    int r = config_policy_files_read(node, access->copy->bundle, &folder, it->errors);

    if (r == 0) {
        r = bundle_compile(it, access->copy->bundle, folder, access);
    }
    mem_free(folder);
    return r;
}

static int seed_load(const struct compiling *it, struct config_policy *access)
{
    struct policy_bundle *bundle = policy_bundle_new();

    access->copy = bundle != NULL ? policy_copy_new(bundle) : NULL;
    if (access->copy == NULL) {
        policy_bundle_free(bundle);
        return ERR_NOMEM;
    }
    access->copy->is_seed = true;
    return it->config->settings.policies.path != NULL ? path_load(it, access)
                                                      : inline_load(it, access);
}

/* ---- what was applied ---------------------------------------------------------- */

/* NULL: there is no ledger, or no memory. */
static char *path_beside(const struct config *config, const char *suffix, const char *name)
{
    const char *ledger = config->settings.state.ledger.sqlite;
    BUF_AUTO path;

    buf_init(&path, PATH_MAX_BYTES);
    if (ledger == NULL) {
        return NULL;
    }
    buf_printf(&path, "%s%s%s", ledger, suffix, name);
    return buf_steal(&path);
}

char *config_policy_path(const struct config *config)
{
    return path_beside(config, COPY_SUFFIX, "");
}

char *config_policy_next_path(const struct config *config)
{
    return path_beside(config, NEXT_SUFFIX, "");
}

char *config_policy_archive_path(const struct config *config, const char *digest)
{
    char name[POLICY_BUNDLE_DIGEST_BYTES + 8];

    (void)snprintf(name, sizeof(name), "%s.json", digest);
    return path_beside(config, ARCHIVE_SUFFIX, name);
}

int config_policy_copy_read(const char *path, struct policy_copy **ret_copy, struct err *e)
{
    struct err why = {.code = 0};
    BUF_AUTO text;
    int r;

    buf_init(&text, POLICY_COPY_MAX_BYTES);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        return ERR_NOT_FOUND;
    }
    r = files_known_read(path, &text);
    if (r == 0) {
        r = policy_copy_read(buf_str(&text), ret_copy, &why);
    } else {
        (void)err_set(&why, r, "%s", err_str(r));
    }
    if (r == 0) {
        return 0;
    }
    return err_set(
        e, r == ERR_NOMEM ? r : ERR_INVALID,
        "the applied policy can't be used: %s. Put back a good copy of it (texts are in "
        "%s beside the ledger), or take it and that folder away to begin again with what "
        "the configuration says",
        why.text, "*" ARCHIVE_SUFFIX);
}

/* ---- both ---------------------------------------------------------------------- */

static void note_lines(struct buf *notes, const char *what, const struct yaml_errors *errors)
{
    struct str lines = buf_str(&errors->text);

    while (lines.len > 0) {
        struct str line = str_cut(&lines, '\n');

        buf_printf(notes, "%s: %.*s\n", what, STR_ARG(line));
    }
}

/* What an operator should know about the configuration's own rules when others count. */
static int seed_compare(const struct compiling *it, const struct config_policy *access,
                        struct buf *notes)
{
    struct config_policy seed = {.policy = NULL};
    struct yaml_errors mistakes;
    struct compiling again = *it;
    int r;

    yaml_errors_init(&mistakes);
    again.errors = &mistakes;
    r = seed_load(&again, &seed);
    if (r == 0 &&
        strcmp(access_policy_digest(seed.policy), access_policy_digest(access->policy)) != 0) {
        buf_add_c(notes,
                  "the policy that was applied differs from what `policies` says, which only "
                  "counts until the first apply\n");
    }
    if (it->warnings != NULL) {
        buf_add_str(&it->warnings->text, buf_str(&mistakes.text));
        it->warnings->count += mistakes.count;
    } else {
        note_lines(notes, "`policies`, which doesn't count, has a mistake", &mistakes);
    }
    yaml_errors_fini(&mistakes);
    config_policy_fini(&seed);
    return r == ERR_NOMEM ? r : 0;
}

static int applied_load(const struct compiling *it, struct policy_copy *copy,
                        struct config_policy *access, struct buf *notes)
{
    struct yaml_errors unknown;
    int r;

    yaml_errors_init(&unknown);
    r = config_policy_make(it->config, copy, &unknown, access, it->errors);
    if (r != 0) {
        policy_copy_free(copy);
    } else {
        note_lines(notes, "the applied policy", &unknown);
        r = seed_compare(it, access, notes);
    }
    yaml_errors_fini(&unknown);
    return r;
}

/* Only what is observed was applied: what the configuration says counts. */
static int observed_load(const struct compiling *it, struct policy_copy *copy,
                         struct config_policy *access, struct buf *notes)
{
    struct yaml_errors unknown;
    struct compiling again = *it;
    int r = seed_load(it, access);

    yaml_errors_init(&unknown);
    again.unknown = &unknown;
    if (r == 0) {
        r = copy_compile(&again, copy, access);
        note_lines(notes, "the observed policy", &unknown);
    }
    if (r == 0) {
        copy->bundle = access->copy->bundle;
        access->copy->bundle = NULL;
        policy_copy_free(access->copy);
        access->copy = copy;
    } else {
        policy_copy_free(copy);
    }
    yaml_errors_fini(&unknown);
    return r;
}

/* Whoever only has the configuration checked may not be allowed to look, or not be who leased runs
 * as, by whom the copy must be: root, say. */
static bool is_out_of_sight(const struct compiling *it, const char *path)
{
    struct stat status;

    return it->warnings != NULL && ((access(path, R_OK) != 0 && errno == EACCES) ||
                                    (stat(path, &status) == 0 && status.st_uid != geteuid()));
}

static int copy_load(const struct compiling *it, const char *path, struct buf *notes,
                     struct config_policy *access)
{
    struct policy_copy *copy = NULL;
    struct err e = {.code = 0};
    int r = path == NULL || is_out_of_sight(it, path) ? ERR_NOT_FOUND
                                                      : config_policy_copy_read(path, &copy, &e);

    if (r == ERR_NOT_FOUND) {
        return seed_load(it, access);
    }
    if (r != 0 || copy == NULL) {
        yaml_error_in(it->errors, path, 0, 0, "%s", e.text);
        return r;
    }
    return copy->is_seed ? observed_load(it, copy, access, notes)
                         : applied_load(it, copy, access, notes);
}

int config_policies_load(struct config *config, const struct config_options *options,
                         struct yaml_errors *errors)
{
    const struct compiling it = {.config = config, .warnings = options->warnings, .errors = errors};
    char *path = config_policy_path(config);
    BUF_AUTO notes;
    int r;

    buf_init(&notes, NOTES_MAX_BYTES);
    r = copy_load(&it, path, &notes, &config->access);
    mem_free(path);
    if (r == 0 && notes.len > 0) {
        config->access.notes = buf_steal(&notes);
    }
    return r == ERR_NOMEM ? r : 0;
}
