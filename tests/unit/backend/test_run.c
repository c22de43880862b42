/* Programs that a plugin has run: what the host makes of requests that break the rules, and of ends
 * that nobody waits for any more. */
#include "env/run.h"
#include "script_plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

struct heard {
    size_t count;
    uint32_t outcome;
    uint32_t exit_code;
    char output[32];
};

static void heard_end(void *user, const struct leased_run_end *end)
{
    struct heard *heard = user;

    heard->count++;
    heard->outcome = end->outcome;
    heard->exit_code = end->exit_code;
    assert_true(end->output.len < sizeof(heard->output));
    memcpy(heard->output, end->output.ptr, end->output.len);
    heard->output[end->output.len] = '\0';
}

static const struct leased_kv variables[9] = {
    {.key = {"LEASED_ROLE", 11}, .value = {"r", 1}},
    {.key = {"LEASED_USER", 11}, .value = {"joe", 3}},
};

static leased_run *run(struct script *script, struct leased_run_request request,
                       struct heard *heard)
{
    request.variables = variables;
    if (request.program.ptr == NULL) {
        request.program = (struct leased_str){"command", 7};
    }
    return script->host->run_start(script->context, &request, heard_end, heard);
}

#define WHOLE .size = sizeof(struct leased_run_request)

static void test_a_program_is_asked_for_by_the_backends_own_name(void **state)
{
    const struct env_run_end end = {.outcome = ENV_RUN_EXITED,
                                    .exit_code = 7,
                                    .output = STR("printed")};
    const struct env_run *env_run;
    struct heard heard = {0};
    struct script script;

    (void)state;
    script_open(&script, NULL);
    assert_non_null(run(&script, (struct leased_run_request){WHOLE, .variable_count = 2}, &heard));
    env_run = fake_env_program_first(&script.fake);
    assert_string_equal(env_run->backend, "test");
    assert_string_equal(env_run->program, "command");
    assert_int_equal(env_run->variable_count, 2);
    assert_string_equal(fake_env_program_variable(&script.fake, "LEASED_USER"), "joe");
    assert_int_equal(heard.count, 0);
    fake_env_program_finish(&script.fake, fake_env_program_first(&script.fake), &end);
    fake_env_run(&script.fake);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.outcome, LEASED_RUN_EXITED);
    assert_int_equal(heard.exit_code, 7);
    assert_string_equal(heard.output, "printed");
    script_close(&script);
    script_fini(&script);
}

static void test_requests_that_break_the_rules_are_not_started(void **state)
{
    char name[80];
    struct heard heard = {0};
    struct script script;

    (void)state;
    memset(name, 'x', sizeof(name));
    script_open(&script, NULL);
    assert_null(run(&script, (struct leased_run_request){.size = 16}, &heard));
    assert_null(run(&script, (struct leased_run_request){WHOLE, .variable_count = 9}, &heard));
    assert_null(
        run(&script, (struct leased_run_request){WHOLE, .program = {name, sizeof(name)}}, &heard));
    script.fake.run_status = ERR_INVALID;
    assert_null(run(&script, (struct leased_run_request){WHOLE}, &heard));
    script.fake.run_status = 0;
    assert_null(fake_env_program_first(&script.fake));
    script_close(&script);
    script_fini(&script);
    assert_int_equal(heard.count, 0);
}

static void test_a_handle_that_is_used_up_is_harmless(void **state)
{
    struct heard heard = {0};
    struct script script;
    leased_run *handle;

    (void)state;
    script_open(&script, NULL);
    handle = run(&script, (struct leased_run_request){WHOLE}, &heard);
    script.host->run_cancel(script.context, handle);
    assert_int_equal(heard.count, 0);
    fake_env_run(&script.fake);
    assert_int_equal(heard.outcome, LEASED_RUN_CANCELED);
    script.host->run_cancel(script.context, handle);
    script.host->run_cancel(script.context, NULL);
    fake_env_run(&script.fake);
    assert_int_equal(heard.count, 1);
    script_close(&script);
    script_fini(&script);
}

static void test_what_a_plugin_leaves_behind_is_killed_and_told_to_nobody(void **state)
{
    struct heard heard = {0};
    struct script script;

    (void)state;
    script_open(&script, NULL);
    assert_non_null(run(&script, (struct leased_run_request){WHOLE}, &heard));
    assert_non_null(run(&script, (struct leased_run_request){WHOLE}, &heard));
    script_close(&script); /* demands that it is closed */
    assert_int_equal(heard.count, 0);
    script_fini(&script); /* … and that nothing is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_program_is_asked_for_by_the_backends_own_name),
        cmocka_unit_test(test_requests_that_break_the_rules_are_not_started),
        cmocka_unit_test(test_a_handle_that_is_used_up_is_harmless),
        cmocka_unit_test(test_what_a_plugin_leaves_behind_is_killed_and_told_to_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
