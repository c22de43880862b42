/* Backends whose own credential is what a role gives: the role is there, and nothing goes round. */
#include "unit/daemon/config_fixture.h"

#include <string.h>

#define AWS(name, role)                                                                            \
    "  " name ": {plugin: aws, region: eu-west-1, source: {type: role, role: " role "}}\n"
#define ROLE(name, backend)                                                                        \
    "  " name ": {backend: " backend ", role_arn: \"arn:aws:iam::123456789012:role/r\"}\n"
#define SOURCE "roles:\n  keys: {backend: vault-prod, path: kv/data/aws}\n"

static void test_the_role_is_known_and_stands_in_the_backend(void **state)
{
    struct config_fixture *f = *state;

    config_fixture_expect_valid(f, CONFIG_FIXTURE_LEAST CONFIG_FIXTURE_BACKEND AWS("a", "keys")
                                       AWS("b", "of-a") SOURCE ROLE("of-a", "a") ROLE("of-b", "b"));
    assert_null(config_backend_find(f->config, "vault-prod")->borrows);
    assert_string_equal(config_backend_find(f->config, "a")->borrows, "keys");
    assert_string_equal(config_backend_find(f->config, "b")->borrows, "of-a");
}

static void test_a_role_that_is_not_there_is_refused_at_its_place(void **state)
{
    static const struct config_mistake mistakes[] = {
        {CONFIG_FIXTURE_LEAST CONFIG_FIXTURE_BACKEND AWS("a", "kays") SOURCE,
         "c.yaml:8:66: there is no role `kays`: did you mean `keys`?\n"},
        {CONFIG_FIXTURE_LEAST CONFIG_FIXTURE_BACKEND AWS("a", "other") SOURCE,
         "c.yaml:8:66: there is no role `other`\n"},
        {CONFIG_FIXTURE_LEAST CONFIG_FIXTURE_BACKEND AWS("a", "") SOURCE,
         "c.yaml:8:60: source.role: the name of a role is expected, which gives AWS keys\n"},
    };

    config_fixture_expect_each(*state, mistakes, ARRAY_LEN(mistakes));
}

static void test_a_backend_that_needs_itself_is_refused(void **state)
{
    static const struct config_mistake mistakes[] = {
        {CONFIG_FIXTURE_LEAST "backends:\n" AWS("a", "own") "roles:\n" ROLE("own", "a"),
         "c.yaml:4:66: the role `own` needs this backend itself: backend a → role own → "
         "backend a\n"},
        {CONFIG_FIXTURE_LEAST "backends:\n" AWS("a", "of-b") AWS("b", "of-a")
             AWS("c", "of-a") "roles:\n" ROLE("of-a", "a") ROLE("of-b", "b"),
         "c.yaml:4:66: the role `of-b` needs this backend itself: backend a → role of-b → "
         "backend b → role of-a → backend a\n"
         "c.yaml:5:66: the role `of-a` needs this backend itself: backend b → role of-a → "
         "backend a → role of-b → backend b\n"},
    };

    config_fixture_expect_each(*state, mistakes, ARRAY_LEN(mistakes));
}

static void test_another_source_is_another_backend(void **state)
{
    struct config_fixture *f = *state;
    struct config *before;

    config_fixture_expect_valid(f, CONFIG_FIXTURE_LEAST CONFIG_FIXTURE_BACKEND AWS("a", "keys")
                                       SOURCE "  more: {backend: vault-prod, path: kv/data/b}\n");
    before = f->config;
    f->config = NULL;
    config_fixture_expect_valid(f, CONFIG_FIXTURE_LEAST CONFIG_FIXTURE_BACKEND AWS("a", "more")
                                       SOURCE "  more: {backend: vault-prod, path: kv/data/b}\n");
    assert_int_equal(config_compare_backends(config_backend_find(before, "a"),
                                             config_backend_find(f->config, "a")),
                     CONFIG_OTHER);
    config_free(before);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_role_is_known_and_stands_in_the_backend),
        TEST(test_a_role_that_is_not_there_is_refused_at_its_place),
        TEST(test_a_backend_that_needs_itself_is_refused),
        TEST(test_another_source_is_another_backend),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
