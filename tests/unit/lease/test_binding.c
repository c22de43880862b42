/* What grants hang on, and the races with its end. */
#include "unit/lease/fixture.h"

#include <string.h>

#define SHELL 300
#define SCRIPT 301
#define SUBSHELL 302

static void bind_to(struct client *client, enum access_binding kind)
{
    client->decision.bindings[0] = (struct access_binding_spec){.kind = kind};
    client->decision.binding_count = 1;
}

/* shell (300) → script (301) → subshell that hasn't exec'd (302) → the client's process. */
static struct client *client_in_a_script(void)
{
    struct client *client = fixture_client(0);

    (void)fake_env_add_process(&f.fake, SHELL, 100, 1, 500);
    (void)fake_env_add_process(&f.fake, SCRIPT, 200, SHELL, 500);
    memcpy(fake_env_add_process(&f.fake, SUBSHELL, 300, SCRIPT, 500)->name, "bash", 5);
    fake_env_add_process(&f.fake, SUBSHELL, 300, SCRIPT, 500)->is_fork_no_exec = true;
    memcpy(fake_env_add_process(&f.fake, SHELL, 100, 1, 500)->name, "Runner.Worker.s", 16);
    fake_env_add_process(&f.fake, 1000, 7000, SUBSHELL, 500);
    return client;
}

static void end_process(int32_t pid)
{
    fake_env_end_process(&f.fake, pid);
    fixture_run();
}

static void test_a_credential_ends_with_its_process(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.role.linger_ms = 0;
    fixture_get(client, &f.role);
    end_process(1000);
    assert_int_equal(client->grant->end, GRANT_END_BINDING);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_process_that_has_gone_gets_nothing(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fake_env_end_process(&f.fake, 1000);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_GONE);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 0);
    assert_int_equal(fixture_records("lease.failed"), 0);
}

static void test_a_reused_pid_is_another_process(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    (void)fake_env_add_process(&f.fake, 1000, 9999, 1, 500);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_GONE);
}

static void test_a_process_that_ends_during_the_issue_gets_nothing(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(client, &f.role);
    end_process(1000);
    assert_int_equal(client->status, ERR_GONE);
    model_answer(&f.model);
    fixture_run();
    assert_int_equal(client->call_count, 1);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_process_that_ends_while_its_records_are_written_gets_nothing(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.trail->is_held = true;
    fixture_get(client, &f.role);
    end_process(1000);
    f.trail->is_held = false;
    fixture_run();
    assert_int_equal(client->status, ERR_GONE);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void written_and_gone(struct env_deferred *deferred)
{
    (void)deferred;
    f.fake.processes[0].is_alive = false; /* ended, and its notice hasn't come */
}

static void test_the_process_is_looked_up_right_before_the_hand_out(void **state)
{
    struct client *client = fixture_client(0);
    struct env_deferred deferred = {.fn = written_and_gone};

    (void)state;
    f.trail->is_held = true;
    fixture_get(client, &f.role);
    f.trail->is_held = false;
    env_defer(&f.fake.env, &deferred);
    fixture_run();
    assert_int_equal(client->status, ERR_GONE);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_parent_is_the_script_and_not_the_subshell(void **state)
{
    struct client *client = client_in_a_script();

    (void)state;
    bind_to(client, ACCESS_BINDING_PARENT);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    end_process(1000);
    end_process(SUBSHELL);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    end_process(SCRIPT);
    assert_int_equal(client->grant->end, GRANT_END_BINDING);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_commands_of_one_script_share_its_grant(void **state)
{
    struct client *a = client_in_a_script();
    struct client *b = fixture_client(1);
    struct grant *grant;

    (void)state;
    fake_env_add_process(&f.fake, 1001, 7001, SCRIPT, 500);
    bind_to(a, ACCESS_BINDING_PARENT);
    bind_to(b, ACCESS_BINDING_PARENT);
    fixture_get(a, &f.role);
    grant = a->grant;
    end_process(1000);
    fixture_get(b, &f.role);
    assert_ptr_equal(b->grant, grant);
    assert_int_equal(f.model.lease_count, 1);
}

static void test_an_ancestor_of_another_uid_is_passed_over(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    (void)fake_env_add_process(&f.fake, SHELL, 100, 1, 500);
    (void)fake_env_add_process(&f.fake, SCRIPT, 200, SHELL, 0);
    (void)fake_env_add_process(&f.fake, 1000, 7000, SCRIPT, 500);
    bind_to(client, ACCESS_BINDING_PARENT);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    end_process(SCRIPT);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    end_process(SHELL);
    assert_int_equal(client->grant->state, GRANT_STATE_ENDED);
}

static void test_a_caller_without_an_ancestor_of_its_own_has_nothing_to_bind_to(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    (void)fake_env_add_process(&f.fake, 1, 1, 0, 0);
    bind_to(client, ACCESS_BINDING_PARENT);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_NOT_FOUND);
    assert_non_null(strstr(client->acquire.error.text, "parent"));
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 0);
}

static void test_a_parent_that_is_younger_than_its_child_is_none(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    (void)fake_env_add_process(&f.fake, SCRIPT, 8000, 1, 500);
    (void)fake_env_add_process(&f.fake, 1000, 7000, SCRIPT, 500);
    bind_to(client, ACCESS_BINDING_PARENT);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_GONE);
}

static void test_a_pid_must_be_an_ancestor(void **state)
{
    struct client *client = client_in_a_script();

    (void)state;
    bind_to(client, ACCESS_BINDING_PID);
    client->decision.bindings[0].pid = SHELL;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    (void)fake_env_add_process(&f.fake, 1, 1, 0, 0);
    (void)fake_env_add_process(&f.fake, 555, 50, 1, 500);
    client->decision.bindings[0].pid = 555;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_NOT_FOUND);
    assert_non_null(strstr(client->acquire.error.text, "pid:555"));
}

static void test_an_ancestor_can_be_named_by_its_command(void **state)
{
    struct client *client = client_in_a_script();

    (void)state;
    bind_to(client, ACCESS_BINDING_COMM);
    memcpy(client->decision.bindings[0].name, "Runner.Worker.service", 22);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    end_process(SCRIPT);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    end_process(SHELL);
    assert_int_equal(client->grant->state, GRANT_STATE_ENDED);
}

static void test_a_look_up_that_fails_denies(void **state)
{
    struct client *client = client_in_a_script();

    (void)state;
    bind_to(client, ACCESS_BINDING_PARENT);
    f.fake.process_lookup_status = ERR_UNAVAILABLE;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNAVAILABLE);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 0);
    f.fake.process_lookup_status = 0;
}

static void test_a_connections_end_ends_the_grant(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    bind_to(client, ACCESS_BINDING_CONNECTION);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    fixture_hang_up();
    assert_int_equal(client->grant->end, GRANT_END_BINDING);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_without_a_connection_there_is_nothing_to_bind_to(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    bind_to(client, ACCESS_BINDING_CONNECTION);
    fixture_ask(client, &f.role);
    lease_acquire_cancel(f.core, &client->acquire);
    fixture_run();
    client->acquire.ask.request = NULL;
    assert_int_equal(lease_acquire_start(f.core, &client->acquire), 0);
    fixture_run();
    assert_int_equal(client->status, ERR_INVALID);
}

static void test_bound_to_nothing_a_grant_outlives_its_process(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    bind_to(client, ACCESS_BINDING_NONE);
    fixture_get(client, &f.role);
    end_process(1000);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    assert_int_equal(f.fake.watch_count, 0);
}

static void test_the_first_of_several_ends_ends_the_grant(void **state)
{
    struct client *client = client_in_a_script();

    (void)state;
    client->decision.bindings[0] = (struct access_binding_spec){.kind = ACCESS_BINDING_PROCESS};
    client->decision.bindings[1] =
        (struct access_binding_spec){.kind = ACCESS_BINDING_PID, .pid = SCRIPT};
    client->decision.bindings[2] = (struct access_binding_spec){.kind = ACCESS_BINDING_CONNECTION};
    client->decision.binding_count = 3;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_int_equal(f.fake.watch_count, 2);
    assert_int_equal(fixture_trail_has("\"binding\":\"process,pid:301,connection\""), 2);
    end_process(SCRIPT);
    assert_int_equal(client->grant->end, GRANT_END_BINDING);
    assert_int_equal(f.fake.watch_count, 0);
}

static void test_a_process_is_watched_once_for_all_its_grants(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    fixture_get(client, &f.role);
    fixture_get(client, &f.shared);
    fixture_get(client, &f.personal);
    assert_int_equal(f.fake.watch_count, 1);
    end_process(1000);
    assert_int_equal(f.fake.watch_count, 0);
    assert_int_equal(model_live_count(&f.model), 0);
    assert_int_equal(fixture_trail_has("\"outcome\":\"binding\""), 3);
}

static void test_too_many_watches_refuse_the_request(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    f.fake.process_watch_status = ERR_LIMIT;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_LIMIT);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 0);
    f.fake.process_watch_status = 0;
}

static void test_without_a_wish_the_role_decides(void **state)
{
    struct client *client = fixture_client(0);

    (void)state;
    client->decision.binding_count = 0;
    fixture_get(client, &f.role);
    assert_int_equal(f.fake.watch_count, 1);
    assert_int_equal(fixture_trail_has("\"binding\":\"process\""), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_credential_ends_with_its_process),
        fixture_test(test_a_process_that_has_gone_gets_nothing),
        fixture_test(test_a_reused_pid_is_another_process),
        fixture_test(test_a_process_that_ends_during_the_issue_gets_nothing),
        fixture_test(test_a_process_that_ends_while_its_records_are_written_gets_nothing),
        fixture_test(test_the_process_is_looked_up_right_before_the_hand_out),
        fixture_test(test_a_parent_is_the_script_and_not_the_subshell),
        fixture_test(test_commands_of_one_script_share_its_grant),
        fixture_test(test_an_ancestor_of_another_uid_is_passed_over),
        fixture_test(test_a_caller_without_an_ancestor_of_its_own_has_nothing_to_bind_to),
        fixture_test(test_a_parent_that_is_younger_than_its_child_is_none),
        fixture_test(test_a_pid_must_be_an_ancestor),
        fixture_test(test_an_ancestor_can_be_named_by_its_command),
        fixture_test(test_a_look_up_that_fails_denies),
        fixture_test(test_a_connections_end_ends_the_grant),
        fixture_test(test_without_a_connection_there_is_nothing_to_bind_to),
        fixture_test(test_bound_to_nothing_a_grant_outlives_its_process),
        fixture_test(test_the_first_of_several_ends_ends_the_grant),
        fixture_test(test_a_process_is_watched_once_for_all_its_grants),
        fixture_test(test_too_many_watches_refuse_the_request),
        fixture_test(test_without_a_wish_the_role_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
