/* The exec plugin: what its program is given, what it may print, and what each end of it means. */
#include "plugins/plugin_world.h"

#include "base/buf.h"
#include "base/mem.h"
#include "env/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int32_t leased_plugin_entry_exec(const struct leased_host *host,
                                 const struct leased_plugin **ret_plugin);

#define COMMAND "{\"command\": [\"/usr/local/bin/tool\", \"print\"]}"
#define REVOKABLE                                                                                  \
    "{\"command\": [\"/usr/local/bin/tool\"], \"revoke_command\": [\"/usr/local/bin/tool\", "      \
    "\"revoke\"]}"
#define OWN "{\"fields\": {\"username\": \"u7\", \"password\": \"p7\"}, \"ttl\": 900}"
/* The wall clock begins at 2026-01-01T00:00:00Z. */
#define AWS                                                                                        \
    "{\"Version\": 1, \"AccessKeyId\": \"ASIA7\", \"SecretAccessKey\": \"s7\", "                   \
    "\"SessionToken\": \"t7\", \"Expiration\": \"2026-01-01T01:00:00Z\", \"AccountId\": \"1\"}"

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

static void open_with(struct plugin_world *world, const char *config)
{
    plugin_world_open(world, NULL, config);
}

/* The program that runs; fails the test if it isn't this one. */
static struct env_run *program(struct plugin_world *world, const char *name)
{
    struct env_run *run = fake_env_program_first(&world->fake);

    assert_non_null(run);
    assert_string_equal(run->backend, "under-test");
    assert_string_equal(run->program, name);
    return run;
}

static void end(struct plugin_world *world, const struct env_run_end *ended)
{
    fake_env_program_finish(&world->fake, fake_env_program_first(&world->fake), ended);
    fake_env_advance(&world->fake, 0);
}

static void print(struct plugin_world *world, const char *output)
{
    end(world, &(struct env_run_end){.outcome = ENV_RUN_EXITED, .output = str_of(output)});
}

static void exit_with(struct plugin_world *world, uint8_t code, const char *text)
{
    end(world,
        &(struct env_run_end){.outcome = ENV_RUN_EXITED, .exit_code = code, .text = str_of(text)});
}

/* ---- the way of a credential -------------------------------------------------- */

static void test_who_asks_is_in_the_environment_and_the_output_is_the_credential(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call call;

    open_with(world, COMMAND);
    plugin_world_issue(world, &call, "{}", 899001);
    (void)program(world, "command");
    assert_string_equal(fake_env_program_variable(&world->fake, "LEASED_ROLE"), "the-role");
    assert_string_equal(fake_env_program_variable(&world->fake, "LEASED_USER"), "joe");
    assert_string_equal(fake_env_program_variable(&world->fake, "LEASED_UID"), "1000");
    assert_string_equal(fake_env_program_variable(&world->fake, "LEASED_REASON"), "deploy 7");
    assert_string_equal(fake_env_program_variable(&world->fake, "LEASED_TTL_S"), "900");
    assert_string_equal(fake_env_program_variable(&world->fake, "LEASED_REF"), "");
    print(world, OWN);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_string_equal(call.fields, "username=u7\npassword*=p7\n");
    assert_int_equal(call.lifetime_ms, 900000);
    assert_false(call.is_renewable);
    assert_false(call.is_revocable);
    assert_string_equal(call.intents, "");
}

static void test_without_a_wished_life_none_is_passed_on(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call call;

    open_with(world, COMMAND);
    plugin_world_issue(world, &call, "{}", 0);
    assert_string_equal(fake_env_program_variable(&world->fake, "LEASED_TTL_S"), "");
    print(world, "{\"fields\": {\"a\": \"1\", \"b\": \"2\"}, \"secret\": [\"b\"], "
                 "\"expires_at\": \"2026-01-01T00:10:00+00:00\"}");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_string_equal(call.fields, "a=1\nb*=2\n");
    assert_int_equal(call.lifetime_ms, 600000);
}

static void test_the_form_of_credential_process_is_understood(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call call;

    open_with(world, COMMAND);
    plugin_world_issue(world, &call, "{}", 0);
    print(world, AWS);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_string_equal(call.fields,
                        "access_key_id=ASIA7\nsecret_access_key*=s7\nsession_token*=t7\n");
    assert_int_equal(call.lifetime_ms, 3600000);
}

static void test_its_life_counts_from_the_start_of_the_program(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call call;

    open_with(world, COMMAND);
    plugin_world_issue(world, &call, "{}", 0);
    fake_env_advance(&world->fake, 7000);
    print(world, AWS);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(call.lifetime_ms, 3600000);
}

static void test_a_name_is_on_record_before_the_program_runs_and_is_what_revokes(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call call;
    struct plugin_call revoke;
    char ref[64];

    open_with(world, REVOKABLE);
    plugin_world_issue(world, &call, "{}", 0);
    (void)snprintf(ref, sizeof(ref), "%s", fake_env_program_variable(&world->fake, "LEASED_REF"));
    assert_int_equal(strlen(ref), 32);
    assert_memory_equal(call.intents, ref, 32);
    print(world, OWN);
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_true(call.is_revocable);
    assert_string_equal(call.ref, ref);

    plugin_world_revoke(world, &revoke, "{}", ref);
    (void)program(world, "revoke_command");
    assert_string_equal(fake_env_program_variable(&world->fake, "LEASED_REF"), ref);
    assert_string_equal(fake_env_program_variable(&world->fake, "LEASED_USER"), "");
    exit_with(world, 0, "");
    assert_int_equal(revoke.outcome, LEASE_OUTCOME_OK);
}

static void test_a_reference_that_is_printed_counts(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call call;

    open_with(world, REVOKABLE);
    plugin_world_issue(world, &call, "{}", 0);
    print(world, "{\"fields\": {\"key\": \"k\"}, \"ttl\": 60, \"ref\": \"account/7\"}");
    assert_string_equal(call.ref, "account/7");
}

static void test_without_revoke_command_nothing_is_run_to_revoke(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call call;

    open_with(world, COMMAND);
    plugin_world_revoke(world, &call, "{}", "x");
    assert_int_equal(call.outcome, LEASE_OUTCOME_DENIED);
    plugin_world_renew(world, &call, "{}", "x");
    assert_int_equal(call.outcome, LEASE_OUTCOME_DENIED);
    assert_null(fake_env_program_first(&world->fake));
}

/* ---- what it may print -------------------------------------------------------- */

static void test_what_is_no_credential_is_refused_and_not_quoted(void **state)
{
    static const char *const outputs[] = {
        "",
        "hunter2",
        "[\"hunter2\"]",
        "{\"fields\": {\"password\": \"hunter2\"}}",
        "{\"fields\": {\"password\": \"hunter2\"}, \"ttl\": 0}",
        "{\"fields\": {\"password\": \"hunter2\"}, \"ttl\": \"1h\"}",
        "{\"fields\": {\"password\": \"hunter2\"}, \"ttl\": 1.5}",
        "{\"fields\": {\"password\": \"hunter2\"}, \"ttl\": 999999999999}",
        "{\"fields\": {\"password\": \"hunter2\"}, \"ttl\": 9, \"expires_at\": "
        "\"2026-01-01T01:00:00Z\"}",
        "{\"fields\": {\"password\": \"hunter2\"}, \"expires_at\": \"tomorrow\"}",
        "{\"fields\": {\"password\": \"hunter2\"}, \"expires_at\": \"2025-12-31T23:59:59Z\"}",
        "{\"fields\": {\"password\": 7}, \"ttl\": 9}",
        "{\"fields\": {\"password\": \"\"}, \"ttl\": 9}",
        "{\"fields\": {}, \"ttl\": 9}",
        "{\"fields\": {\"hunter2 \": \"x\"}, \"ttl\": 9}",
        "{\"fields\": {\"a\": \"hunter2\"}, \"ttl\": 9, \"hunter2\": 1}",
        "{\"fields\": {\"a\": \"hunter2\"}, \"ttl\": 9, \"secret\": [\"hunter2\"]}",
        "{\"fields\": {\"a\": \"hunter2\"}, \"ttl\": 9, \"secret\": \"a\"}",
        "{\"fields\": {\"a\": \"hunter2\"}, \"ttl\": 9, \"ref\": \"a\\nb\"}",
        "{\"fields\": {\"a\": \"hunter2\"}, \"ttl\": 9, \"ref\": \"\"}",
        "{\"fields\": {\"a\": \"hunter2\", \"a\": \"b\"}, \"ttl\": 9}",
        "{\"fields\": {\"a\": \"hunter2\\u0000\"}, \"ttl\": 9}",
        "{\"fields\": {\"a\": \"hunter2\"}, \"ttl\": 9} {",
        "{\"fields\": {\"a\": \"hunter2",
        "{\"Version\": 2, \"AccessKeyId\": \"a\", \"SecretAccessKey\": \"hunter2\"}",
        "{\"Version\": 1, \"AccessKeyId\": \"a\", \"SecretAccessKey\": \"hunter2\"}",
        "{\"Version\": 1, \"AccessKeyId\": \"a\", \"Expiration\": \"2026-01-01T01:00:00Z\"}",
        "{\"Version\": 1, \"AccessKeyId\": \"a\", \"SecretAccessKey\": \"hunter2\", "
        "\"Expiration\": 7}",
    };
    struct plugin_world *world = *state;

    open_with(world, COMMAND);
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++) {
        struct plugin_call call;

        plugin_world_issue(world, &call, "{}", 0);
        print(world, outputs[i]);
        assert_int_equal(call.end_count, 1);
        assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
        assert_string_equal(call.fields, "");
        assert_true(strlen(call.detail) > 20);
        assert_null(strstr(call.detail, "hunter2"));
    }
}

static void test_deep_and_wide_output_is_refused(void **state)
{
    static char output[65536];
    static const char *const parts[] = {"[", "{\"a\":", "[[],"};
    struct plugin_world *world = *state;

    open_with(world, COMMAND);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct plugin_call call;
        size_t len = strlen(parts[i]);

        for (size_t at = 0; at + len < sizeof(output); at += len) {
            memcpy(output + at, parts[i], len + 1);
        }
        plugin_world_issue(world, &call, "{}", 0);
        print(world, output);
        assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    }
}

static void test_more_fields_than_a_credential_may_have_are_refused(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call call;
    BUF_AUTO output;

    open_with(world, COMMAND);
    buf_init(&output, 65536);
    buf_add_c(&output, "{\"ttl\": 9, \"fields\": {");
    for (int i = 0; i < 33; i++) {
        buf_printf(&output, "%s\"f%d\": \"x\"", i > 0 ? ", " : "", i);
    }
    buf_add_c(&output, "}}");
    plugin_world_issue(world, &call, "{}", 0);
    print(world, buf_str(&output).ptr);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    buf_fini(&output);
}

static void test_what_may_have_been_made_is_named_to_be_revoked(void **state)
{
    static const struct env_run_end ends[] = {
        {.outcome = ENV_RUN_EXITED, .output = {"{", 1}},
        {.outcome = ENV_RUN_KILLED, .text = {"took too long and was killed", 28}},
        {.outcome = ENV_RUN_LOST, .text = {"the helper process has ended", 28}},
    };
    static const enum lease_outcome outcomes[] = {LEASE_OUTCOME_INVALID, LEASE_OUTCOME_LOST,
                                                  LEASE_OUTCOME_LOST};
    struct plugin_world *world = *state;

    open_with(world, REVOKABLE);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct plugin_call call;

        plugin_world_issue(world, &call, "{}", 0);
        end(world, &ends[i]);
        assert_int_equal(call.outcome, outcomes[i]);
        assert_int_equal(strlen(call.orphan), 32);
        assert_memory_equal(call.intents, call.orphan, 32);
    }
}

/* ---- how it may end ----------------------------------------------------------- */

static void test_exit_codes_are_classes(void **state)
{
    static const struct {
        uint8_t code;
        enum lease_outcome issue;
        enum lease_outcome revoke;
    } cases[] = {
        {1, LEASE_OUTCOME_DENIED, LEASE_OUTCOME_RETRY},
        {77, LEASE_OUTCOME_DENIED, LEASE_OUTCOME_DENIED},
        {75, LEASE_OUTCOME_RETRY, LEASE_OUTCOME_RETRY},
        {69, LEASE_OUTCOME_RETRY, LEASE_OUTCOME_RETRY},
        {64, LEASE_OUTCOME_INVALID, LEASE_OUTCOME_INVALID},
        {78, LEASE_OUTCOME_INVALID, LEASE_OUTCOME_INVALID},
        {127, LEASE_OUTCOME_INVALID, LEASE_OUTCOME_INVALID},
        {66, LEASE_OUTCOME_INVALID, LEASE_OUTCOME_GONE},
    };
    struct plugin_world *world = *state;

    open_with(world, REVOKABLE);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct plugin_call call;
        char text[64];

        plugin_world_issue(world, &call, "{}", 0);
        exit_with(world, cases[i].code, "no such account");
        assert_int_equal(call.outcome, cases[i].issue);
        (void)snprintf(text, sizeof(text), "exit code %d: no such account", cases[i].code);
        assert_non_null(strstr(call.detail, text));
        assert_string_equal(call.orphan, "");

        plugin_world_revoke(world, &call, "{}", "ref");
        exit_with(world, cases[i].code, "");
        assert_int_equal(call.outcome, cases[i].revoke);
        fake_env_advance(&world->fake, 3600000); /* what it keeps back after failures */
    }
}

static void test_what_could_not_run_says_so(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call call;

    open_with(world, REVOKABLE);
    plugin_world_issue(world, &call, "{}", 0);
    end(world, &(struct env_run_end){.outcome = ENV_RUN_NOT_STARTED,
                                     .text = STR("could not be run: No such file or directory")});
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_string_equal(call.detail, "the program could not be run: No such file or directory");
    assert_string_equal(call.orphan, "");
    plugin_world_issue(world, &call, "{}", 0);
    end(world, &(struct env_run_end){.outcome = ENV_RUN_BUSY, .text = STR("could not be started")});
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    plugin_world_revoke(world, &call, "{}", "ref");
    end(world, &(struct env_run_end){.outcome = ENV_RUN_KILLED, .text = STR("took too long")});
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
}

static void test_a_reason_that_is_no_line_of_text_runs_nothing(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call call;

    open_with(world, COMMAND);
    world->fake.run_status = ERR_INVALID;
    plugin_world_issue(world, &call, "{}", 0);
    assert_int_equal(call.outcome, LEASE_OUTCOME_INVALID);
    assert_non_null(strstr(call.detail, "no line of text"));
}

static void test_a_deadline_kills_the_program_and_it_ends_once(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call call;

    open_with(world, REVOKABLE);
    plugin_world_issue(world, &call, "{}", 0);
    plugin_world_time_out(world);
    assert_int_equal(call.end_count, 1);
    assert_null(fake_env_program_first(&world->fake));
}

static void test_it_is_closed_while_programs_run(void **state)
{
    struct plugin_world *world = *state;
    static struct plugin_call calls[3];

    open_with(world, REVOKABLE);
    plugin_world_issue(world, &calls[0], "{}", 0);
    plugin_world_issue(world, &calls[1], "{}", 0);
    plugin_world_revoke(world, &calls[2], "{}", "ref");
    plugin_world_fini(world); /* demands that nothing is left */
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        assert_int_equal(calls[i].end_count, 1);
        assert_int_equal(calls[i].outcome, LEASE_OUTCOME_CANCELED);
    }
    plugin_world_init(world, leased_plugin_entry_exec, "exec"); /* for the teardown */
}

static void test_a_close_does_not_wait_for_a_program_that_does_not_die(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call call;

    open_with(world, REVOKABLE);
    plugin_world_issue(world, &call, "{}", 0);
    world->fake.is_run_stuck = true;
    plugin_world_close(world);
    plugin_world_time_out(world);
    assert_int_equal(call.end_count, 1);
    fake_env_program_finish(&world->fake, fake_env_program_first(&world->fake),
                            &(struct env_run_end){.outcome = ENV_RUN_CANCELED});
    fake_env_run(&world->fake); /* the teardown demands that nothing is left */
}

static void test_where_nothing_can_be_run_it_is_down(void **state)
{
    struct plugin_world *world = *state;
    struct backend_status status;

    open_with(world, COMMAND);
    backend_status(world->backend, &status);
    assert_true(status.is_up);
    world->fake.run_problem = "the helper has ended";
    backend_status(world->backend, &status);
    assert_false(status.is_up);
    assert_string_equal(status.last_error, "the helper has ended");
}

/* ---- memory ------------------------------------------------------------------- */

static unsigned fail_at;

static int fail_nth(size_t size)
{
    (void)size;
    return fail_at > 0 && --fail_at == 0;
}

/* Whatever allocation fails, it ends once, and nothing is left. */
static void test_each_allocation_may_fail(void **state)
{
    struct plugin_world *world = *state;
    struct plugin_call first;

    open_with(world, REVOKABLE);
    plugin_world_issue(world, &first, "{}", 0); /* tables of handles are there */
    print(world, OWN);
    for (unsigned n = 1; n < 80; n++) {
        struct plugin_call call = {.end_count = 0};

        fail_at = n;
        mem_set_fail_hook(fail_nth);
        plugin_world_issue(world, &call, "{}", 60000);
        if (call.end_count == 0 && fake_env_program_first(&world->fake) != NULL) {
            print(world, AWS);
        }
        mem_set_fail_hook(NULL);
        fail_at = 0;
        assert_int_equal(call.end_count, 1);
        fake_env_advance(&world->fake, 3600000);
        while (fake_env_program_first(&world->fake) != NULL) { /* what is swept */
            exit_with(world, 0, "");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_who_asks_is_in_the_environment_and_the_output_is_the_credential),
        TEST(test_without_a_wished_life_none_is_passed_on),
        TEST(test_the_form_of_credential_process_is_understood),
        TEST(test_its_life_counts_from_the_start_of_the_program),
        TEST(test_a_name_is_on_record_before_the_program_runs_and_is_what_revokes),
        TEST(test_a_reference_that_is_printed_counts),
        TEST(test_without_revoke_command_nothing_is_run_to_revoke),
        TEST(test_what_is_no_credential_is_refused_and_not_quoted),
        TEST(test_deep_and_wide_output_is_refused),
        TEST(test_more_fields_than_a_credential_may_have_are_refused),
        TEST(test_what_may_have_been_made_is_named_to_be_revoked),
        TEST(test_exit_codes_are_classes),
        TEST(test_what_could_not_run_says_so),
        TEST(test_a_reason_that_is_no_line_of_text_runs_nothing),
        TEST(test_a_deadline_kills_the_program_and_it_ends_once),
        TEST(test_it_is_closed_while_programs_run),
        TEST(test_a_close_does_not_wait_for_a_program_that_does_not_die),
        TEST(test_where_nothing_can_be_run_it_is_down),
        TEST(test_each_allocation_may_fail),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
