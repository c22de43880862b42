/* Policies from the disk to what can be asked, as the daemon does it. */
#include "cli/policy_set.h"

#include "base/mem.h"
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ZONES_FOLDER "/usr/share/zoneinfo"

static int zone_read(void *user, const char *name, struct buf *out)
{
    struct err e = {0};
    BUF_AUTO path;

    (void)user;
    buf_init(&path, POLICY_FOLDER_PATH_MAX_BYTES);
    buf_printf(&path, ZONES_FOLDER "/%s", name);
    return buf_status(&path) == 0 ? policy_file_read(buf_str(&path).ptr, out, &e)
                                  : buf_status(&path);
}

/* --- what may be named --- */

/* The configuration that is meant; NULL: none that can be read. */
static const char *config_find(const struct cli *cli)
{
    const char *path = options_get(&cli->options, OPTION_CONFIG);
    const char *variable = getenv("LEASED_CONFIG");

    if (path != NULL) {
        return path;
    }
    path = variable != NULL && variable[0] != '\0' ? variable
                                                   : LEASED_SYSCONFDIR "/leased/leased.yaml";
    return access(path, R_OK) == 0 ? path : NULL;
}

/* Names in the policy and in its tests, whose mistakes are told by who reads them. */
static int names_collect(struct policy_set *set)
{
    const struct access_nodes *policy = set->tree != NULL ? access_tree_nodes(set->tree) : NULL;
    size_t policy_count = policy != NULL ? policy->count : 0;
    const struct policy_bundle *tests = set->folder.tests;
    struct yaml_document **documents = mem_calloc(tests->file_count + 1, sizeof(*documents));
    const struct yaml_node **nodes =
        mem_calloc(policy_count + tests->file_count + 1, sizeof(*nodes));
    size_t count = 0;
    size_t i;
    int r = documents != NULL && nodes != NULL ? 0 : ERR_NOMEM;

    for (i = 0; r == 0 && i < policy_count; i++) {
        nodes[count++] = policy->items[i];
    }
    for (i = 0; r == 0 && i < tests->file_count; i++) {
        struct yaml_errors ignored;

        yaml_errors_init(&ignored);
        r = yaml_parse("", tests->files[i].text, &documents[i], &ignored);
        r = r == ERR_NOMEM ? r : 0;
        yaml_errors_fini(&ignored);
        if (documents[i] != NULL) {
            nodes[count++] = yaml_root(documents[i]);
        }
    }
    if (r == 0) {
        r = policy_known_collect(nodes, count, &set->known);
    }
    for (i = 0; documents != NULL && i < tests->file_count; i++) {
        yaml_free(documents[i]);
    }
    mem_free((void *)documents);
    mem_free((void *)nodes);
    return r;
}

static int known_find(struct cli *cli, struct policy_set *set)
{
    const char *path = config_find(cli);
    struct err e = {0};

    if (path != NULL) {
        int r = policy_known_read(path, &set->known, &set->errors, &e);
        if (r != 0 && e.text[0] != '\0') {
            cli_message(cli, "%s", e.text);
        }
        return r;
    }
    cli_message(cli, "the roles and issuers of leased aren't known, so their names aren't checked: "
                     "name its configuration, --config leased.yaml");
    return names_collect(set);
}

/* --- compiling --- */

static int tree_read(struct policy_set *set)
{
    const struct policy_bundle *bundle = set->folder.policy;
    const struct access_source source = {
        .folder = policy_folder_is_here(&set->folder) ? NULL : set->folder.path,
        .main = str_or_null(bundle->main),
        .files = bundle->files,
        .file_count = bundle->file_count,
    };
    int r = access_tree_new(&source, &set->tree, &set->errors);

    return r == ERR_NOMEM ? r : 0;
}

static int policy_compile(struct policy_set *set)
{
    const struct access_known known = {
        .roles = (const char *const *)set->known.role_names,
        .issuers = (const char *const *)set->known.issuer_names,
        .zone_read = zone_read,
    };
    struct access_policy *policy = NULL;
    int r;

    if (set->tree == NULL) {
        return 0;
    }
    r = access_policy_parse(access_tree_nodes(set->tree), &known, NULL, &policy, &set->errors);
    if (r == 0 && set->errors.count == 0) {
        set->policy = policy;
        return 0;
    }
    access_policy_free(policy);
    return r == ERR_NOMEM ? r : 0;
}

int policy_set_load(struct cli *cli, const char *path, struct policy_set *ret_set)
{
    struct policy_set set = {.tree = NULL};
    struct err e = {0};
    int r = policy_folder_read(path, &set.folder, &e);

    if (r != 0) {
        cli_message(cli, "%s", e.text);
        return CLI_FAILED;
    }
    yaml_errors_init(&set.errors);
    r = tree_read(&set);
    if (r == 0) {
        r = known_find(cli, &set);
    }
    if (r == 0) {
        r = policy_compile(&set);
    }
    if (r != 0) {
        cli_message(cli, "%.*s%s", STR_ARG(buf_str(&set.errors.text)),
                    r == ERR_NOMEM ? err_str(r) : "the configuration can't be read");
        policy_set_fini(&set);
        return CLI_FAILED;
    }
    *ret_set = set;
    return CLI_OK;
}

void policy_set_fini(struct policy_set *set)
{
    access_policy_free(set->policy);
    access_tree_free(set->tree);
    policy_known_fini(&set->known);
    policy_folder_fini(&set->folder);
    yaml_errors_fini(&set->errors);
}

int policy_set_read_cases(struct policy_set *set, size_t index, struct access_cases **ret_cases)
{
    const struct policy_file *file = &set->folder.tests->files[index];
    char path[POLICY_FOLDER_PATH_MAX_BYTES];

    return access_cases_read(
        &(struct access_cases_source){.file = policy_folder_place(&set->folder, file->name, path),
                                      .text = file->text,
                                      .roles = &set->known.roles,
                                      .policy = set->policy},
        ret_cases, &set->errors);
}
