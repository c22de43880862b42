/* Plugins by name: what is taken, what is refused and why. The loadable ones are compiled here. */
#include "backend/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_BYTES 512

static struct leased_backend_ops ops;
static struct leased_plugin plugin;

static int32_t refuse_check(struct leased_str json, struct leased_str *ret_detail)
{
    if (memmem(json.ptr, json.len, "bad", 3) != NULL) {
        *ret_detail = (struct leased_str){"it is bad", 9};
        return -1;
    }
    return memmem(json.ptr, json.len, "cert", 4) != NULL ? LEASED_NEEDS_CLIENT_CERTIFICATE : 0;
}

static int32_t entry(const struct leased_host *host, const struct leased_plugin **ret_plugin)
{
    assert_int_equal(host->size, sizeof(struct leased_host));
    *ret_plugin = &plugin;
    return 0;
}

static int32_t refusing_entry(const struct leased_host *host,
                              const struct leased_plugin **ret_plugin)
{
    (void)host;
    (void)ret_plugin;
    return -1;
}

static int32_t on_open(const struct leased_host *host, leased_host_context *context,
                       struct leased_str config, leased_instance **ret_instance,
                       struct leased_str *ret_detail)
{
    (void)host;
    (void)context;
    (void)config;
    (void)ret_instance;
    (void)ret_detail;
    return -1;
}

static int32_t on_close(leased_instance *instance, uint32_t flags, leased_op *op)
{
    (void)instance;
    (void)flags;
    (void)op;
    return -1;
}

static int32_t on_issue(leased_instance *instance, const struct leased_issue *request,
                        leased_op *op)
{
    (void)instance;
    (void)request;
    (void)op;
    return -1;
}

static void set_good(void)
{
    ops = (struct leased_backend_ops){.size = sizeof(ops),
                                      .open = on_open,
                                      .check_params = refuse_check,
                                      .check_config = refuse_check,
                                      .close = on_close,
                                      .issue = on_issue};
    plugin = (struct leased_plugin){.size = sizeof(plugin),
                                    .abi_major = LEASED_ABI_MAJOR,
                                    .kind = LEASED_KIND_BACKEND,
                                    .name = {"good", 4},
                                    .ops = &ops};
}

static struct backend_registry *registry_new(void)
{
    struct backend_registry *registry;

    set_good();
    assert_int_equal(backend_registry_new(&registry), 0);
    return registry;
}

static void test_a_good_plugin_is_found_by_name_and_only_once(void **state)
{
    struct backend_registry *registry = registry_new();
    struct err e = {0};

    (void)state;
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), 0);
    assert_ptr_equal(backend_registry_find(registry, STR("good")), &plugin);
    assert_null(backend_registry_find(registry, STR("goo")));
    assert_ptr_equal(backend_registry_at(registry, 0), &plugin);
    assert_null(backend_registry_at(registry, 1));
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), ERR_EXISTS);
    backend_registry_free(registry);
}

static void test_a_plugin_that_breaks_the_abi_is_refused(void **state)
{
    struct backend_registry *registry = registry_new();
    struct err e = {0};

    (void)state;
    assert_int_equal(backend_registry_add_builtin(registry, refusing_entry, &e), ERR_INVALID);
    plugin.abi_major = LEASED_ABI_MAJOR + 1;
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "major version 2"));
    set_good();
    plugin.kind = 9;
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), ERR_UNSUPPORTED);
    set_good();
    plugin.name = (struct leased_str){"Bad", 3};
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), ERR_INVALID);
    set_good();
    plugin.ops = NULL;
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), ERR_INVALID);
    set_good();
    plugin.size = offsetof(struct leased_plugin, ops);
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), ERR_INVALID);
    set_good();
    ops.issue = NULL;
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), ERR_INVALID);
    set_good();
    ops.size = offsetof(struct leased_backend_ops, issue);
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), ERR_INVALID);
    assert_null(backend_registry_at(registry, 0));
    backend_registry_free(registry);
}

static void test_a_plugin_of_another_minor_version_is_taken(void **state)
{
    struct {
        struct leased_backend_ops ops;
        void *newer[8];
    } newer = {0};
    struct backend_registry *registry = registry_new();
    struct err e = {0};

    (void)state;
    /* Larger than the host knows. */
    newer.ops = ops;
    newer.ops.size = sizeof(newer);
    plugin.size = sizeof(plugin) + 64;
    plugin.ops = &newer;
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), 0);
    backend_registry_free(registry);
    /* Without what came after issue. */
    registry = registry_new();
    plugin.ops = &newer;
    plugin.size = sizeof(plugin);
    newer.ops.size = offsetof(struct leased_backend_ops, renew);
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), 0);
    backend_registry_free(registry);
}

static int32_t on_write(leased_instance *instance, const struct leased_sink_write *request,
                        leased_op *op)
{
    (void)instance;
    (void)request;
    (void)op;
    return -1;
}

static void test_a_sink_is_found_as_a_sink_only(void **state)
{
    struct leased_sink_ops sink = {.size = sizeof(sink),
                                   .open = on_open,
                                   .check_config = refuse_check,
                                   .close = on_close,
                                   .write = on_write};
    struct backend_registry *registry = registry_new();
    struct err e = {0};

    (void)state;
    plugin.kind = LEASED_KIND_SINK;
    plugin.ops = &sink;
    sink.write = NULL;
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), ERR_INVALID);
    sink.write = on_write;
    sink.size = offsetof(struct leased_sink_ops, write);
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), ERR_INVALID);
    sink.size = offsetof(struct leased_sink_ops, cancel);
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), 0);
    assert_ptr_equal(backend_registry_find_sink(registry, STR("good")), &plugin);
    assert_null(backend_registry_find(registry, STR("good")));
    assert_int_equal(backend_check_config(&plugin, "{\"a\":\"bad\"}", &e), ERR_INVALID);
    assert_int_equal(backend_registry_add_builtin(registry, entry, &e), ERR_EXISTS);
    backend_registry_free(registry);
}

static void test_checks_need_no_instance(void **state)
{
    struct backend_registry *registry = registry_new();
    struct err e = {0};

    (void)state;
    assert_int_equal(backend_check_config(&plugin, "{\"a\":1}", &e), 0);
    assert_int_equal(backend_check_config(&plugin, "{\"bad\":1}", &e), ERR_INVALID);
    assert_string_equal(e.text, "it is bad");
    assert_int_equal(backend_check_config(&plugin, "{\"cert\":1}", &e), 0);
    assert_int_equal(backend_needs(&plugin, "{\"cert\":1}"), LEASED_NEEDS_CLIENT_CERTIFICATE);
    assert_int_equal(backend_needs(&plugin, "{\"a\":1}"), 0);
    assert_int_equal(backend_needs(&plugin, "{\"cert\":1,\"bad\":1}"), 0);
    assert_int_equal(backend_check_params(&plugin, "{\"a\":\"${role}\"}", &e), 0);
    assert_int_equal(backend_check_params(&plugin, "{\"a\":\"${rule}\"}", &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "rule"));
    assert_int_equal(backend_check_params(&plugin, "{\"bad\":1}", &e), ERR_INVALID);
    ops.size = offsetof(struct leased_backend_ops, check_params);
    assert_int_equal(backend_check_params(&plugin, "{\"bad\":1}", &e), 0);
    backend_registry_free(registry);
}

/* --- files ------------------------------------------------------------------------------------ */

static const char source[] =
    "#include \"leased/plugin.h\"\n"
    "static int32_t o(const struct leased_host *h, leased_host_context *c, struct leased_str s,\n"
    "    leased_instance **i, struct leased_str *d) {(void)h;(void)c;(void)s;(void)i;(void)d;return -1;}\n"
    "static int32_t c(leased_instance *i, uint32_t f, leased_op *o) {(void)i;(void)f;(void)o;return -1;}\n"
    "static int32_t s(leased_instance *i, const struct leased_issue *r, leased_op *o)\n"
    "    {(void)i;(void)r;(void)o;return -1;}\n"
    "static const struct leased_backend_ops ops = {.size = sizeof ops, .open = o, .close = c, .issue = s};\n"
    "static const struct leased_plugin plugin = {.size = sizeof plugin, .abi_major = LEASED_ABI_MAJOR,\n"
    "    .kind = LEASED_KIND_BACKEND, .name = {NAME, sizeof NAME - 1}, .ops = &ops};\n"
    "int32_t ENTRY(const struct leased_host *h, const struct leased_plugin **r);\n"
    "int32_t ENTRY(const struct leased_host *h, const struct leased_plugin **r)\n"
    "    {(void)h; *r = &plugin; return 0;}\n";

struct folder {
    char path[64];
};

static void run(const char *format, const char *a, const char *b, const char *c)
{
    char command[4 * PATH_MAX_BYTES];

    /* The formats are the tests' own. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(command, sizeof(command), format, a, b, c);
#pragma GCC diagnostic pop
    assert_int_equal(system(command), 0);
}

static void compile(const struct folder *folder, const char *file, const char *name,
                    const char *entry_name)
{
    char command[4 * PATH_MAX_BYTES];
    const char *compiler = getenv("CC") != NULL ? getenv("CC") : "cc";

    (void)snprintf(command, sizeof(command),
                   "%s -shared -fPIC -Iinclude -DNAME='\"%s\"' -DENTRY=%s -o %s/%s.so %s/p.c",
                   compiler, name, entry_name, folder->path, file, folder->path);
    assert_int_equal(system(command), 0);
}

static int folder_set_up(void **state)
{
    static struct folder folder;
    char path[PATH_MAX_BYTES];
    FILE *file;

    memcpy(folder.path, "/tmp/leased-registry-XXXXXX", sizeof("/tmp/leased-registry-XXXXXX"));
    if (mkdtemp(folder.path) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/p.c", folder.path);
    file = fopen(path, "w");
    if (file == NULL || fputs(source, file) < 0 || fclose(file) != 0) {
        return -1;
    }
    *state = &folder;
    return 0;
}

static int folder_tear_down(void **state)
{
    const struct folder *folder = *state;

    run("rm -rf %s", folder->path, "", "");
    return 0;
}

static void test_a_file_is_loaded_and_two_stay_apart(void **state)
{
    const struct folder *folder = *state;
    struct backend_registry *registry = registry_new();
    struct err e = {0};

    compile(folder, "one", "one", "leased_plugin_entry");
    compile(folder, "two", "two", "leased_plugin_entry");
    assert_int_equal(backend_registry_load(registry, folder->path, STR("one"), &e), 0);
    assert_int_equal(backend_registry_load(registry, folder->path, STR("two"), &e), 0);
    assert_non_null(backend_registry_find(registry, STR("one")));
    assert_ptr_not_equal(backend_registry_find(registry, STR("one")),
                         backend_registry_find(registry, STR("two")));
    assert_int_equal(backend_registry_load(registry, folder->path, STR("one"), &e), ERR_EXISTS);
    backend_registry_free(registry);
}

static void test_a_file_that_is_no_plugin_is_refused(void **state)
{
    const struct folder *folder = *state;
    struct backend_registry *registry = registry_new();
    struct err e = {0};

    compile(folder, "other", "name", "leased_plugin_entry");
    assert_int_equal(backend_registry_load(registry, folder->path, STR("other"), &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "calls itself"));
    compile(folder, "none", "none", "something_else");
    assert_int_equal(backend_registry_load(registry, folder->path, STR("none"), &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "leased_plugin_entry"));
    run("echo garbage > %s/text.so", folder->path, "", "");
    assert_int_equal(backend_registry_load(registry, folder->path, STR("text"), &e), ERR_INVALID);
    assert_int_equal(backend_registry_load(registry, folder->path, STR("nope"), &e), ERR_NOT_FOUND);
    assert_int_equal(backend_registry_load(registry, "/nonexistent", STR("one"), &e),
                     ERR_NOT_FOUND);
    backend_registry_free(registry);
}

static void test_names_that_leave_the_directory_are_refused(void **state)
{
    static const char *const names[] = {"",    "../one", "a/b",
                                        "One", "one.so", ".",
                                        "a b", "a_b",    "abcdefghijklmnopqrstuvwxyz-0123456"};
    const struct folder *folder = *state;
    struct backend_registry *registry = registry_new();
    struct err e = {0};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(backend_registry_load(registry, folder->path, str_of(names[i]), &e),
                         ERR_INVALID);
    }
    backend_registry_free(registry);
}

static void expect_denied(const struct folder *folder, const char *name, const char *word)
{
    struct backend_registry *registry = registry_new();
    struct err e = {0};

    assert_int_equal(backend_registry_load(registry, folder->path, str_of(name), &e), ERR_DENIED);
    assert_non_null(strstr(e.text, word));
    backend_registry_free(registry);
}

static void test_files_that_others_can_change_are_refused(void **state)
{
    const struct folder *folder = *state;

    compile(folder, "mode", "mode", "leased_plugin_entry");
    run("chmod 0664 %s/mode.so", folder->path, "", "");
    expect_denied(folder, "mode", "0664");
    run("chmod 0646 %s/mode.so", folder->path, "", "");
    expect_denied(folder, "mode", "0646");
    run("chmod 0644 %s/mode.so && ln -s mode.so %s/link.so", folder->path, folder->path, "");
    expect_denied(folder, "link", "symbolic link");
    run("mkdir %s/dir.so", folder->path, "", "");
    expect_denied(folder, "dir", "regular");
    run("mkfifo %s/fifo.so", folder->path, "", "");
    expect_denied(folder, "fifo", "regular");
    if (geteuid() == 0) {
        run("chown 12345 %s/mode.so", folder->path, "", "");
        expect_denied(folder, "mode", "12345");
        run("chown 0 %s/mode.so", folder->path, "", "");
    }
    assert_int_equal(chmod(folder->path, 0777), 0);
    expect_denied(folder, "mode", "directory");
    assert_int_equal(chmod(folder->path, 0755), 0);
}

static void test_a_symlink_to_the_directory_is_refused(void **state)
{
    struct folder link;

    run("ln -s %s %s.link", ((const struct folder *)*state)->path,
        ((const struct folder *)*state)->path, "");
    (void)snprintf(link.path, sizeof(link.path), "%.50s.link",
                   ((const struct folder *)*state)->path);
    expect_denied(&link, "one", "symbolic link");
    assert_int_equal(unlink(link.path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_plugin_is_found_by_name_and_only_once),
        cmocka_unit_test(test_a_plugin_that_breaks_the_abi_is_refused),
        cmocka_unit_test(test_a_plugin_of_another_minor_version_is_taken),
        cmocka_unit_test(test_a_sink_is_found_as_a_sink_only),
        cmocka_unit_test(test_checks_need_no_instance),
        cmocka_unit_test_setup_teardown(test_a_file_is_loaded_and_two_stay_apart, folder_set_up,
                                        folder_tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_that_is_no_plugin_is_refused, folder_set_up,
                                        folder_tear_down),
        cmocka_unit_test_setup_teardown(test_names_that_leave_the_directory_are_refused,
                                        folder_set_up, folder_tear_down),
        cmocka_unit_test_setup_teardown(test_files_that_others_can_change_are_refused,
                                        folder_set_up, folder_tear_down),
        cmocka_unit_test_setup_teardown(test_a_symlink_to_the_directory_is_refused, folder_set_up,
                                        folder_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
