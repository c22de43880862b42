/* leased-plugin-check: the conformance suite of leased/plugin.h for one plugin, behind the real
 * host and on a virtual clock. One line a check, a summary, and exit code 0 when none has failed.
 */
#include "backend/load.h"
#include "backend/registry.h"
#include "base/mem.h"
#include "checks.h"
#include "daemon/builtins.h"
#include "spy.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2

static const char usage[] =
    "usage: leased-plugin-check [OPTION]... PLUGIN\n"
    "\n"
    "Checks a plugin against the contract of leased/plugin.h: PLUGIN is the path of its file\n"
    "(./NAME.so), or the name of one that is built in.\n"
    "\n"
    "  --config JSON     the keys of its backend or sink that are the plugin's own [{}]\n"
    "  --params JSON     the keys of a role that are the plugin's own [{}]\n"
    "  --secret S=VALUE  what the host reads at the source S (file:/path, env:NAME); may be repeated\n"
    "  --lend F=VALUE    a field of what the role gives that it borrows from; may be repeated\n"
    "  --answers FILE    what its server says when all is well, so that what follows is checked too:\n"
    "                    [{\"path\": \"/v1/login\", \"status\": 200, \"body\": …}, …], the first whose path\n"
    "                    is the beginning of the request's; a body that is no text is sent as JSON\n"
    "  --slowdown N      what calls take is divided by N (valgrind, sanitizers) [1]\n"
    "  --builtin         prints the names of those that are built in\n"
    "  --help            this text\n"
    "\n"
    "Exit code: 0 all passed, 1 a check has failed, 2 it couldn't be run.\n";

static int unusable(const char *what)
{
    (void)fprintf(stderr, "leased-plugin-check: %s\n", what);
    return EXIT_USAGE;
}

/* "dir/NAME.so" */
static int load_file(const char *path, leased_plugin_entry_fn *ret_entry, struct err *e)
{
    char directory[4096];
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;

    (void)snprintf(directory, sizeof(directory), "%.*s",
                   slash != NULL ? (int)(slash - path + 1) : 2, slash != NULL ? path : "./");
    return load_plugin(directory, (struct str){.ptr = name, .len = strlen(name) - 3}, ret_entry, e);
}

static int builtin_find(const char *name, leased_plugin_entry_fn *ret_entry, struct err *e)
{
    *ret_entry = builtins_entry(str_of(name));
    return *ret_entry != NULL
               ? 0
               : err_set(e, ERR_NOT_FOUND, "%s is neither a file NAME.so nor built in", name);
}

static int secret_add(struct world_setup *setup, char *text)
{
    char *value = strchr(text, '=');

    if (value == NULL || setup->secret_count == WORLD_SECRETS_MAX) {
        return -1;
    }
    *value = '\0';
    setup->secrets[setup->secret_count++] =
        (struct fake_secret){.source = text, .value = value + 1};
    return 0;
}

static int lent_add(struct world_setup *setup, const char *text)
{
    struct str value = str_of(text);
    struct str name = str_cut(&value, '=');

    if (value.ptr == NULL || setup->lent_count == FAKE_LENDER_FIELDS_MAX) {
        return -1;
    }
    setup->lent[setup->lent_count++] =
        (struct lease_field){.name = name, .value = value, .is_secret = true};
    return 0;
}

/* The entry's body as a text. */
static const char *body_text(json_t *entry)
{
    const json_t *body = json_object_get(entry, "body");
    char *dumped;

    if (body == NULL) {
        return "";
    }
    if (!json_is_string(body)) {
        dumped = json_dumps(body, JSON_ENCODE_ANY);
        (void)json_object_set_new(entry, "body", json_string(dumped != NULL ? dumped : ""));
        free(dumped);
    }
    return json_string_value(json_object_get(entry, "body"));
}

/* Kept until the process ends. */
static int answers_read(struct world_setup *setup, const char *path)
{
    static json_t *root;
    size_t index;
    json_t *entry;

    root = json_load_file(path, 0, NULL);
    if (!json_is_array(root) || json_array_size(root) > WORLD_ANSWERS_MAX) {
        return -1;
    }
    json_array_foreach (root, index, entry) {
        struct world_answer *answer = &setup->given[setup->given_count++];
        json_int_t status = json_integer_value(json_object_get(entry, "status"));

        answer->path = json_string_value(json_object_get(entry, "path"));
        answer->status = (uint32_t)status;
        answer->body = str_of(body_text(entry));
        if (answer->path == NULL || status < 200 || status > 599) {
            return -1;
        }
    }
    return 0;
}

static void builtins_print(void)
{
#define NAME(name) #name,
    static const char *const names[] = {BUILTINS_TABLE(NAME)};
#undef NAME

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)puts(names[i]);
    }
}

/* 0; EXIT_USAGE; or -1 when there is nothing more to do. */
static int options_parse(int argc, char **argv, struct world_setup *setup)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"params", required_argument, NULL, 'p'},
                                            {"secret", required_argument, NULL, 's'},
                                            {"answers", required_argument, NULL, 'a'},
                                            {"slowdown", required_argument, NULL, 'd'},
                                            {"builtin", no_argument, NULL, 'b'},
                                            {"lend", required_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'c') {
            setup->config_json = optarg;
        } else if (option == 'p') {
            setup->params_json = optarg;
        } else if (option == 'd') {
            if (str_parse_u64(str_of(optarg), &setup->slowdown) != 0 || setup->slowdown == 0) {
                return unusable("--slowdown: expected a number from 1 on");
            }
        } else if (option == 'a') {
            if (answers_read(setup, optarg) != 0) {
                return unusable("--answers: expected a file with a list of at most 32 answers");
            }
        } else if (option == 's') {
            if (secret_add(setup, optarg) != 0) {
                return unusable("--secret: expected SOURCE=VALUE, at most 16 times");
            }
        } else if (option == 'l') {
            if (lent_add(setup, optarg) != 0) {
                return unusable("--lend: expected FIELD=VALUE, at most 4 times");
            }
        } else if (option == 'b') {
            builtins_print();
            return -1;
        } else if (option == 'h') {
            (void)fputs(usage, stdout);
            return -1;
        } else {
            return EXIT_USAGE;
        }
    }
    return optind == argc - 1 ? 0 : unusable("expected one plugin; see --help");
}

/* By the plugin's own name, whichever that is. */
static int plugin_take(struct backend_registry *registry, const char *what,
                       const struct leased_plugin **ret_plugin, struct err *e)
{
    leased_plugin_entry_fn entry;
    size_t len = strlen(what);
    bool is_file = len > 3 && strcmp(what + len - 3, ".so") == 0;
    int r = is_file ? load_file(what, &entry, e) : builtin_find(what, &entry, e);

    if (r == 0) {
        spy_set_entry(entry);
        r = backend_registry_add_builtin(registry, spy_entry, e);
    }
    if (r == 0) {
        *ret_plugin = backend_registry_at(registry, 0);
    }
    return r;
}

int main(int argc, char **argv)
{
    struct world_setup setup = {.config_json = "{}", .params_json = "{}", .slowdown = 1};
    struct report report = {.passed_count = 0};
    struct backend_registry *registry = NULL;
    struct err e = {0};
    int r = options_parse(argc, argv, &setup);

    if (r != 0) {
        return r < 0 ? 0 : r;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    checks_catch_crashes();
    world_watch_log();
    if (backend_registry_new(&registry) != 0) {
        return unusable("out of memory");
    }
    if (plugin_take(registry, argv[optind], &setup.plugin, &e) != 0) {
        report_failed(&report, "load", e.text);
    } else {
        report_passed(&report, "load", "its table passes the host's checks");
        checks_run(&setup, &report);
    }
    backend_registry_free(registry);
    (void)printf("%zu passed, %zu failed\n", report.passed_count, report.failed_count);
    return report.failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
