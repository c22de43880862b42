/* The exec plugin's keys. */
#include "plugins/plugin_world.h"

#include <stdlib.h>
#include <string.h>

int32_t leased_plugin_entry_exec(const struct leased_host *host,
                                 const struct leased_plugin **ret_plugin);

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct plugin_world));
    plugin_world_init(*state, leased_plugin_entry_exec, "exec");
    return 0;
}

static int tear_down(void **state)
{
    plugin_world_fini(*state);
    free(*state);
    return 0;
}

static void test_mistakes_are_shown_at_their_key(void **state)
{
    static const struct {
        const char *config;
        const char *error;
    } cases[] = {
        {"{}", "command is missing"},
        {"{\"command\": \"/bin/tool\"}", "command: a list is expected"},
        {"{\"command\": []}", "command: a list is expected"},
        {"{\"command\": [\"tool\"]}", "command: the path of the program must begin with \"/\""},
        {"{\"command\": [\"/bin/tool\", 7]}", "command: texts of at most"},
        {"{\"command\": [\"/bin/t\"], \"revoke_command\": [\"t\"]}", "revoke_command: the path"},
        {"{\"command\": [\"/bin/t\"], \"user\": 7}", "user: a text of 1 to 64 bytes"},
        {"{\"command\": [\"/bin/t\"], \"env\": [\"A=b\"]}", "env: an object"},
        {"{\"command\": [\"/bin/t\"], \"env\": {\"A=\": \"b\"}}", "env: A= is not the name"},
        {"{\"command\": [\"/bin/t\"], \"env\": {\"1A\": \"b\"}}", "env: 1A is not the name"},
        {"{\"command\": [\"/bin/t\"], \"env\": {\"LEASED_USER\": \"root\"}}", "env: LEASED_USER"},
        {"{\"command\": [\"/bin/t\"], \"env\": {\"A\": 7}}", "env.A: a text"},
        {"{\"command\": [\"/bin/t\"], \"timeout\": \"0s\"}", "timeout: a duration from 1s"},
        {"{\"command\": [\"/bin/t\"], \"timeout\": \"1h\"}", "timeout: a duration from 1s"},
        {"{\"command\": [\"/bin/t\"], \"timeout\": true}", "timeout: a duration from 1s"},
        {"{\"comand\": [\"/bin/t\"]}", "comand: unknown key; did you mean \"command\"?"},
    };
    const struct plugin_world *world = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *error = plugin_world_config_error(world, cases[i].config);

        if (strncmp(error, cases[i].error, strlen(cases[i].error)) != 0) {
            fail_msg("%s: %s", cases[i].config, error);
        }
    }
    assert_string_equal(
        plugin_world_config_error(world, "{\"command\": [\"/bin/t\", \"\", \"a b\"], \"user\": "
                                         "\"tool\", \"env\": {\"_A1\": \"\"}, \"timeout\": 30}"),
        "");
}

static void test_a_role_chooses_nothing(void **state)
{
    const struct plugin_world *world = *state;

    assert_string_equal(plugin_world_params_error(world, "{}"), "");
    assert_non_null(
        strstr(plugin_world_params_error(world, "{\"args\": [\"x\"]}"), "args: unknown key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_mistakes_are_shown_at_their_key),
        TEST(test_a_role_chooses_nothing),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
