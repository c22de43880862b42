/* Bindings: how they are written, and which may be asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy_fixture.h"

static int setup(void **state)
{
    struct fixture *fixture = malloc(sizeof(*fixture));

    if (fixture == NULL) {
        return -1;
    }
    fixture_init(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return mem_in_use_bytes() == 0 ? 0 : -1;
}

static void test_bindings_are_written_as_they_are_read(void **state)
{
    static const char *const texts[] = {
        "process", "parent", "session",        "unit",     "connection",
        "none",    "pid:1",  "pid:2147483647", "comm:a b", "comm:Runner.Worker"};
    struct access_binding_spec spec;
    char text[ACCESS_BINDING_TEXT_MAX_BYTES];
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(access_binding_parse(str_of(texts[i]), &spec), 0);
        assert_string_equal(access_binding_format(&spec, text), texts[i]);
    }
}

static void test_what_is_no_binding_is_invalid(void **state)
{
    static const char *const texts[] = {
        "",          "Process",        "process ", "pid",     "pid:",
        "pid:0",     "pid:-1",         "pid:1x",   "pid:*",   "comm",
        "comm:",     "pid:2147483648", "pid: 1",   "default", "comm:a-name-too-long-",
        "comm:a\nb",
    };
    struct access_binding_spec spec;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(access_binding_parse(str_of(texts[i]), &spec), ERR_INVALID);
    }
}

static enum access_outcome ask(struct fixture *f, enum access_binding role, const char *words)
{
    f->request.role_binding = role;
    fixture_ask_bindings(f, words);
    return fixture_decide(f);
}

static void test_the_roles_binding_is_the_default(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db}]");
    assert_int_equal(ask(f, ACCESS_BINDING_NONE, ""), ACCESS_ALLOW);
    assert_int_equal(f->decision.binding_count, 1);
    assert_int_equal(f->decision.bindings[0].kind, ACCESS_BINDING_NONE);
}

static void test_a_shorter_lived_binding_may_be_asked(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db}]");
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "connection"), ACCESS_ALLOW);
    assert_int_equal(f->decision.bindings[0].kind, ACCESS_BINDING_CONNECTION);
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "process"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "parent"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_PARENT, "process"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_NONE, "process"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_NONE, "pid:17"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_NONE, "comm:bash"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_CONNECTION, "connection"), ACCESS_ALLOW);
}

static void test_a_longer_lived_binding_is_refused(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{name: ci, subjects: [{user: alice}], roles: orders-db}]");
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "none"), ACCESS_LIMIT_EXCEEDED);
    assert_string_equal(f->decision.detail,
                        "binding none may let the grant live longer than process, the binding of "
                        "role orders-db, and rule ci doesn't list it");
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "pid:17"), ACCESS_LIMIT_EXCEEDED);
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "comm:bash"), ACCESS_LIMIT_EXCEEDED);
    assert_int_equal(ask(f, ACCESS_BINDING_CONNECTION, "process"), ACCESS_LIMIT_EXCEEDED);
    assert_int_equal(ask(f, ACCESS_BINDING_CONNECTION, "parent"), ACCESS_LIMIT_EXCEEDED);
}

static void test_a_rule_may_list_longer_lived_ones(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db,\n"
                      "         limits: {binding: [none, \"comm:Runner.*\", \"pid:17\"]}}]");
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "none"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "comm:Runner.Worker"), ACCESS_ALLOW);
    assert_string_equal(f->decision.bindings[0].name, "Runner.Worker");
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "comm:bash"), ACCESS_LIMIT_EXCEEDED);
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "pid:17"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "pid:18"), ACCESS_LIMIT_EXCEEDED);
    /* What the role offers stays possible. */
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "process"), ACCESS_ALLOW);
    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db,\n"
                      "         limits: {binding: \"pid:*\"}}]");
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "pid:18"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "none"), ACCESS_LIMIT_EXCEEDED);
}

/* The grant ends with the first of them. */
static void test_a_set_lives_as_short_as_its_shortest(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db}]");
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "process,pid:17"), ACCESS_ALLOW);
    assert_int_equal(f->decision.binding_count, 2);
    assert_int_equal(f->decision.bindings[1].pid, 17);
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "none,pid:1,comm:x,connection"), ACCESS_ALLOW);
    assert_int_equal(f->decision.binding_count, 4);
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "pid:17,none"), ACCESS_LIMIT_EXCEEDED);
}

static void test_a_session_lives_longer_than_a_process_and_shorter_than_a_unit(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db}]");
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "session"), ACCESS_LIMIT_EXCEEDED);
    assert_int_equal(ask(f, ACCESS_BINDING_SESSION, "process"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_SESSION, "parent"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_SESSION, "session"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_SESSION, "unit"), ACCESS_LIMIT_EXCEEDED);
    assert_int_equal(ask(f, ACCESS_BINDING_UNIT, "session"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_UNIT, ""), ACCESS_ALLOW);
    assert_int_equal(f->decision.bindings[0].kind, ACCESS_BINDING_UNIT);
    assert_int_equal(ask(f, ACCESS_BINDING_UNIT, "pid:17"), ACCESS_LIMIT_EXCEEDED);
    assert_int_equal(ask(f, ACCESS_BINDING_NONE, "process,unit"), ACCESS_ALLOW);
    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: orders-db,\n"
                      "         limits: {binding: [session, unit]}}]");
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "session"), ACCESS_ALLOW);
    assert_int_equal(ask(f, ACCESS_BINDING_PROCESS, "unit"), ACCESS_ALLOW);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bindings_are_written_as_they_are_read),
        TEST(test_what_is_no_binding_is_invalid),
        TEST(test_the_roles_binding_is_the_default),
        TEST(test_a_shorter_lived_binding_may_be_asked),
        TEST(test_a_longer_lived_binding_is_refused),
        TEST(test_a_rule_may_list_longer_lived_ones),
        TEST(test_a_set_lives_as_short_as_its_shortest),
        TEST(test_a_session_lives_longer_than_a_process_and_shorter_than_a_unit),
    };

    return cmocka_run_group_tests_name("binding", tests, NULL, NULL);
}
