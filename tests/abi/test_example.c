/* The example backend is a plugin: it compiles with the header and nothing else, loads, issues, and
 * closes with an issue under way; so does the binary of one that was built for an older version.
 * What plugins/README.md shows is this example. */
#include "backend/backend.h"
#include "backend/registry.h"
#include "base/mem.h"
#include "support/fake_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    char folder[64];
    struct fake_env fake;
    struct backend_registry *registry;
    struct backend *backend;
    size_t closed_count;
    size_t end_count;
    enum lease_outcome outcome;
    char password[64];
} example;

static void ended(struct lease_call *call, const struct lease_result *result)
{
    (void)call;
    example.end_count++;
    example.outcome = result->outcome;
    if (result->field_count > 0) {
        (void)snprintf(example.password, sizeof(example.password), "%.*s",
                       STR_ARG(result->fields[0].value));
    }
}

static void closed(void *user)
{
    (void)user;
    example.closed_count++;
}

/* Makes the plugin's file by `command`, and opens a backend of it. */
static void begin(const char *name, const char *command)
{
    struct backend_options options = {.name = "example"};
    struct err e = {0};

    assert_int_equal(system(command), 0);
    fake_env_init(&example.fake, 1000, 1);
    assert_int_equal(backend_registry_new(&example.registry), 0);
    assert_int_equal(backend_registry_load(example.registry, example.folder, str_of(name), &e), 0);
    options.env = &example.fake.env;
    options.plugin = backend_registry_find(example.registry, str_of(name));
    assert_int_equal(backend_open(&options, &example.backend, &e), 0);
}

static void folder_make(void)
{
    memset(&example, 0, sizeof(example));
    (void)snprintf(example.folder, sizeof(example.folder), "/tmp/leased-example-XXXXXX");
    assert_non_null(mkdtemp(example.folder));
}

static int set_up(void **state)
{
    const char *compiler = getenv("CC") != NULL ? getenv("CC") : "cc";
    char command[1024];

    folder_make();
    (void)snprintf(command, sizeof(command),
                   "%s -std=c99 -Wall -Wextra -Wpedantic -Werror -shared -fPIC -Iinclude -o "
                   "%s/example-backend.so plugins/example_backend/example_backend.c",
                   compiler, example.folder);
    (void)state;
    begin("example-backend", command);
    return 0;
}

static int set_up_binary(void **state)
{
    char command[1024];

    folder_make();
    (void)snprintf(command, sizeof(command),
                   "base64 -d tests/abi/data/example_1_6.txt > %s/example.so", example.folder);
    (void)state;
    begin("example", command);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    backend_close(example.backend, false, closed, &example);
    fake_env_advance(&example.fake, 0);
    assert_int_equal(example.closed_count, 1);
    backend_registry_free(example.registry);
    fake_env_fini(&example.fake);
    assert_int_equal(mem_in_use_bytes(), 0);
    (void)snprintf(command, sizeof(command), "rm -rf %s", example.folder);
    return system(command);
}

static void start(struct lease_call *call)
{
    struct lease_issuer *issuer = backend_issuer(example.backend);

    *call = (struct lease_call){
        .kind = LEASE_CALL_ISSUE, .role = "r", .params_json = "{}", .fn = ended};
    assert_int_equal(issuer->ops->call_start(issuer, call), 0);
}

static void test_the_example_issues_passwords(void **state)
{
    struct backend_status status;
    struct lease_call call;
    char first[64];

    (void)state;
    start(&call);
    fake_env_advance(&example.fake, 0);
    assert_int_equal(example.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(strlen(example.password), 32);
    memcpy(first, example.password, sizeof(first));
    start(&call);
    fake_env_advance(&example.fake, 0);
    assert_string_not_equal(first, example.password);
    assert_int_equal(example.end_count, 2);
    backend_status(example.backend, &status);
    assert_true(status.is_up);
}

static void test_the_example_closes_with_an_issue_under_way(void **state)
{
    static struct lease_call call;

    (void)state;
    start(&call);
    fake_env_run(&example.fake);
}

static void test_what_the_example_lacks_is_refused_politely(void **state)
{
    struct lease_issuer *issuer = backend_issuer(example.backend);
    struct lease_call call = {.kind = LEASE_CALL_RENEW,
                              .role = "r",
                              .params_json = "{}",
                              .issuer_ref = STR("x"),
                              .fn = ended};

    (void)state;
    assert_int_equal(issuer->ops->call_start(issuer, &call), 0);
    fake_env_advance(&example.fake, 0);
    assert_int_equal(example.outcome, LEASE_OUTCOME_DENIED);
}

static void test_the_readme_shows_the_example(void **state)
{
    (void)state;
    assert_int_equal(system("awk '/^```c$/{p=1;next} /^```$/{p=0} p' plugins/README.md | "
                            "diff - plugins/example_backend/example_backend.c"),
                     0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_OF_BINARY(name)                                                                       \
    {                                                                                              \
        "binary_" #name, name, set_up_binary, tear_down, NULL                                      \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_example_issues_passwords),
        TEST(test_the_example_closes_with_an_issue_under_way),
        TEST(test_what_the_example_lacks_is_refused_politely),
        cmocka_unit_test(test_the_readme_shows_the_example),
#ifdef __x86_64__
        TEST_OF_BINARY(test_the_example_issues_passwords),
        TEST_OF_BINARY(test_the_example_closes_with_an_issue_under_way),
        TEST_OF_BINARY(test_what_the_example_lacks_is_refused_politely),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
