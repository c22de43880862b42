/* The example in plugins/README.md is a plugin: it compiles with the header and nothing else,
 * loads, issues, and closes with an issue under way. */
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

struct example {
    char folder[64];
    struct fake_env fake;
    struct backend_registry *registry;
    struct backend *backend;
    size_t closed_count;
    size_t end_count;
    enum lease_outcome outcome;
    char password[64];
};

static void ended(struct lease_call *call, const struct lease_result *result)
{
    struct example *example = call->user;

    example->end_count++;
    example->outcome = result->outcome;
    if (result->field_count > 0) {
        (void)snprintf(example->password, sizeof(example->password), "%.*s",
                       STR_ARG(result->fields[0].value));
    }
}

static void closed(void *user)
{
    ((struct example *)user)->closed_count++;
}

static int set_up(void **state)
{
    static struct example example;
    const char *compiler = getenv("CC") != NULL ? getenv("CC") : "cc";
    struct backend_options options = {.name = "example"};
    struct err e = {0};
    char command[1024];

    example = (struct example){.folder = "/tmp/leased-example-XXXXXX"};
    assert_non_null(mkdtemp(example.folder));
    (void)snprintf(command, sizeof(command),
                   "awk '/^```c$/{p=1;next} /^```$/{p=0} p' plugins/README.md > %s/example.c && "
                   "%s -std=c99 -Wall -Wextra -Wpedantic -Werror -shared -fPIC -Iinclude -o "
                   "%s/example.so %s/example.c",
                   example.folder, compiler, example.folder, example.folder);
    assert_int_equal(system(command), 0);
    fake_env_init(&example.fake, 1000, 1);
    assert_int_equal(backend_registry_new(&example.registry), 0);
    assert_int_equal(backend_registry_load(example.registry, example.folder, STR("example"), &e),
                     0);
    options.env = &example.fake.env;
    options.plugin = backend_registry_find(example.registry, STR("example"));
    assert_int_equal(backend_open(&options, &example.backend, &e), 0);
    *state = &example;
    return 0;
}

static int tear_down(void **state)
{
    struct example *example = *state;
    char command[128];

    backend_close(example->backend, false, closed, example);
    fake_env_advance(&example->fake, 0);
    assert_int_equal(example->closed_count, 1);
    backend_registry_free(example->registry);
    fake_env_fini(&example->fake);
    assert_int_equal(mem_in_use_bytes(), 0);
    (void)snprintf(command, sizeof(command), "rm -rf %s", example->folder);
    return system(command);
}

static void start(struct example *example, struct lease_call *call)
{
    struct lease_issuer *issuer = backend_issuer(example->backend);

    *call = (struct lease_call){
        .kind = LEASE_CALL_ISSUE, .role = "r", .params_json = "{}", .fn = ended, .user = example};
    assert_int_equal(issuer->ops->call_start(issuer, call), 0);
}

static void test_the_example_issues_passwords(void **state)
{
    struct example *example = *state;
    struct backend_status status;
    struct lease_call call;
    char first[64];

    start(example, &call);
    fake_env_advance(&example->fake, 0);
    assert_int_equal(example->outcome, LEASE_OUTCOME_OK);
    assert_int_equal(strlen(example->password), 32);
    memcpy(first, example->password, sizeof(first));
    start(example, &call);
    fake_env_advance(&example->fake, 0);
    assert_string_not_equal(first, example->password);
    assert_int_equal(example->end_count, 2);
    backend_status(example->backend, &status);
    assert_true(status.is_up);
}

static void test_the_example_closes_with_an_issue_under_way(void **state)
{
    static struct lease_call call;

    start(*state, &call);
    fake_env_run(&((struct example *)*state)->fake);
}

static void test_what_the_example_lacks_is_refused_politely(void **state)
{
    struct example *example = *state;
    struct lease_issuer *issuer = backend_issuer(example->backend);
    struct lease_call call = {.kind = LEASE_CALL_RENEW,
                              .role = "r",
                              .params_json = "{}",
                              .issuer_ref = STR("x"),
                              .fn = ended,
                              .user = example};

    assert_int_equal(issuer->ops->call_start(issuer, &call), 0);
    fake_env_advance(&example->fake, 0);
    assert_int_equal(example->outcome, LEASE_OUTCOME_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_example_issues_passwords, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_example_closes_with_an_issue_under_way, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_the_example_lacks_is_refused_politely, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
