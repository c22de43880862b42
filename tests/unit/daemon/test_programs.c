/* Which programs the helper gets to know, and what a reload may change of them. */
#include "unit/daemon/config_fixture.h"

#include "base/mem.h"
#include "daemon/programs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOOL(keys)                                                                                 \
    CONFIG_FIXTURE_LEAST "backends:\n  tool: {plugin: exec, user: root, command: [/bin/tool, "     \
                         "print, 'a b']" keys "}\n"

static int load(struct config_fixture *f, const char *text)
{
    config_fixture_write(f, "c.yaml", text);
    return config_fixture_load(f, "c.yaml");
}

static struct helper_programs programs_of(struct config_fixture *f, const char *text)
{
    struct helper_programs programs = {.count = 0};
    struct err e = {0};

    if (load(f, text) != 0 || programs_of_config(f->config, &programs, &e) != 0) {
        fail_msg("%s%s", config_fixture_errors(f), e.text);
    }
    return programs;
}

static const char *error_of(struct config_fixture *f, const char *text)
{
    static struct err e;
    struct helper_programs programs = {.count = 0};

    e = (struct err){0};
    assert_int_equal(load(f, text), 0);
    assert_int_equal(programs_of_config(f->config, &programs, &e), ERR_INVALID);
    assert_int_equal(programs.count, 0);
    return e.text;
}

static void test_programs_are_as_the_configuration_has_them(void **state)
{
    struct helper_programs programs =
        programs_of(*state, TOOL(", revoke_command: [/bin/other], env: {A: 'b c', HOME: /x}, "
                                 "timeout: 1m"));
    const struct helper_program *program =
        helper_programs_find(&programs, STR("tool"), STR("command"));

    assert_int_equal(programs.count, 2);
    assert_string_equal(program->argv[0], "/bin/tool");
    assert_string_equal(program->argv[1], "print");
    assert_string_equal(program->argv[2], "a b");
    assert_null(program->argv[3]);
    assert_string_equal(program->environment[0], "A=b c");
    assert_string_equal(program->environment[1], "HOME=/x");
    assert_null(program->environment[2]);
    assert_int_equal(program->timeout_ms, 60000);
    assert_true(program->has_user);
    assert_int_equal(program->uid, 0);
    program = helper_programs_find(&programs, STR("tool"), STR("revoke_command"));
    assert_string_equal(program->argv[0], "/bin/other");
    assert_null(program->argv[1]);
    assert_null(helper_programs_find(&programs, STR("tool"), STR("env")));
    helper_programs_fini(&programs);
}

static void test_without_keys_the_defaults_count(void **state)
{
    struct helper_programs programs = programs_of(*state, TOOL(""));

    assert_int_equal(programs.count, 1);
    assert_null(programs.items[0].environment[0]);
    assert_int_equal(programs.items[0].timeout_ms, 20000);
    helper_programs_fini(&programs);
    programs = programs_of(*state, TOOL(", timeout: 7"));
    assert_int_equal(programs.items[0].timeout_ms, 7000);
    helper_programs_fini(&programs);
}

static void test_other_plugins_have_no_programs(void **state)
{
    struct helper_programs programs =
        programs_of(*state, CONFIG_FIXTURE_LEAST CONFIG_FIXTURE_BACKEND);

    assert_int_equal(programs.count, 0);
    helper_programs_fini(&programs);
}

static void test_a_user_has_to_be_known_and_root_has_to_name_one(void **state)
{
    static const char text[] =
        CONFIG_FIXTURE_LEAST "backends:\n  tool: {plugin: exec, command: [/bin/tool]}\n";
    struct helper_programs programs;

    assert_string_equal(error_of(*state, CONFIG_FIXTURE_LEAST
                                 "backends:\n  tool: {plugin: exec, command: [/bin/tool], user: "
                                 "nobody-of-this-name}\n"),
                        "backend tool: `user` names nobody that this machine knows");
    if (geteuid() == 0) {
        assert_non_null(strstr(error_of(*state, text), "say as whom its programs run"));
    } else {
        programs = programs_of(*state, text);
        assert_false(programs.items[0].has_user);
        helper_programs_fini(&programs);
    }
}

static void test_mistakes_stand_at_their_place(void **state)
{
    config_fixture_expect(*state, TOOL(", timout: 1m"),
                          "c.yaml:4:72: timout: unknown key; did you mean \"timeout\"?\n");
    config_fixture_expect(*state, TOOL(", timeout: 1h"),
                          "c.yaml:4:81: timeout: a duration from 1s to 180s is expected\n");
    config_fixture_expect(*state, TOOL(", env: {LEASED_USER: root}"),
                          "c.yaml:4:77: env: LEASED_USER is not the name of a variable that can "
                          "be set; those of LEASED_ are the host's\n");
}

/* What a reload from `before` to `after` complains about. */
static void expect_reload(struct config_fixture *f, const char *before, const char *after,
                          const char *errors)
{
    struct config *first;

    assert_int_equal(load(f, before), 0);
    first = f->config;
    f->config = NULL;
    assert_int_equal(load(f, after), 0);
    config_check_restart(first, f->config, NULL, &f->errors);
    assert_string_equal(config_fixture_errors(f), errors);
    config_free(first);
}

static void test_programs_need_a_restart(void **state)
{
    static const char change[] = "c.yaml:4:3: programs, and what they run with, can't be changed "
                                 "without a restart\n";

    expect_reload(*state, TOOL(""), TOOL(", timeout: 7s"), change);
    expect_reload(*state, TOOL(", env: {A: b}"), TOOL(", env: {A: c}"), change);
    expect_reload(*state, TOOL(""), TOOL(", revoke_command: [/bin/true]"), change);
    expect_reload(*state, CONFIG_FIXTURE_LEAST, TOOL(""),
                  "c.yaml:4:3: a backend that runs programs can't be added without a restart\n");
    expect_reload(*state, TOOL(""), TOOL(", limits: {in_flight: 2}"), "");
    expect_reload(*state, TOOL(""), CONFIG_FIXTURE_LEAST, "");
}

#define CA(more)                                                                                   \
    CONFIG_FIXTURE_LEAST                                                                           \
    "backends:\n  ca: {plugin: localca, ca_cert_file: /c, ca_key_file: /k" more "}\n"

static void test_a_ca_that_knows_what_it_revoked_needs_a_restart(void **state)
{
    expect_reload(*state, CA(""), CA(", crl_file: /etc/crl"),
                  "c.yaml:4:3: a backend of the plugin localca can't be changed without a restart: "
                  "what it has revoked would be forgotten\n");
    expect_reload(*state, CA(""), CA(", limits: {in_flight: 200}"),
                  "c.yaml:4:3: a backend of the plugin localca can't be changed without a restart: "
                  "what it has revoked would be forgotten\n");
    expect_reload(*state, CONFIG_FIXTURE_LEAST, CA(""),
                  "c.yaml:4:3: a backend of the plugin localca can't be added without a restart: "
                  "what it has revoked would be forgotten\n");
    expect_reload(*state, CA(""), CA(", limits: {in_flight: 2}"), "");
    expect_reload(*state, CA(""), CA(""), "");
    expect_reload(*state, CA(""), CONFIG_FIXTURE_LEAST, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)
        TEST(test_programs_are_as_the_configuration_has_them),
        TEST(test_without_keys_the_defaults_count),
        TEST(test_other_plugins_have_no_programs),
        TEST(test_a_user_has_to_be_known_and_root_has_to_name_one),
        TEST(test_mistakes_stand_at_their_place),
        TEST(test_programs_need_a_restart),
        TEST(test_a_ca_that_knows_what_it_revoked_needs_a_restart),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
