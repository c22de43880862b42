/* Grants that hang on a session or a unit. */
#include "unit/lease/ledger_fixture.h"

#include <string.h>

#define LEADER 300

static struct client *client_bound_to(enum access_binding kind)
{
    struct client *client = fixture_client(0);

    f.role.linger_ms = 0;
    client->decision.bindings[0] = (struct access_binding_spec){.kind = kind};
    client->decision.binding_count = 1;
    (void)fake_env_add_process(&f.fake, LEADER, 100, 1, 0);
    fake_env_add_process(&f.fake, 1000, 7000, 1, 500)->session_pid = LEADER;
    return client;
}

static void get_ok(struct client *client)
{
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
}

static void end_process(int32_t pid)
{
    fake_env_end_process(&f.fake, pid);
    fixture_run();
}

static void check_ended(const struct client *client)
{
    assert_int_equal(client->grant->end, GRANT_END_BINDING);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_a_session_is_the_callers_scope(void **state)
{
    struct client *client = client_bound_to(ACCESS_BINDING_SESSION);

    (void)state;
    fake_env_set_cgroup(&f.fake, ENV_CGROUP_SCOPE, 77);
    get_ok(client);
    assert_int_equal(fixture_trail_has("\"binding\":\"session\""), 2);
    end_process(1000);
    end_process(LEADER);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    fake_env_end_cgroup(&f.fake, ENV_CGROUP_SCOPE);
    fixture_run();
    check_ended(client);
}

static void test_without_a_scope_it_ends_with_who_leads_it(void **state)
{
    struct client *client = client_bound_to(ACCESS_BINDING_SESSION);

    (void)state;
    get_ok(client);
    end_process(1000);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    end_process(LEADER);
    check_ended(client);
}

static void test_who_leads_a_session_is_bound_to_itself(void **state)
{
    struct client *client = client_bound_to(ACCESS_BINDING_SESSION);

    (void)state;
    fake_env_add_process(&f.fake, 1000, 7000, 1, 500)->session_pid = 1000;
    get_ok(client);
    end_process(1000);
    check_ended(client);
}

static void test_a_session_without_its_leader_is_over(void **state)
{
    struct client *client = client_bound_to(ACCESS_BINDING_SESSION);

    (void)state;
    fake_env_end_process(&f.fake, LEADER);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_GONE);
    assert_non_null(strstr(client->acquire.error.text, "process 300, which led the session of"));
    /* Somebody else has its pid. */
    (void)fake_env_add_process(&f.fake, LEADER, 9000, 1, 0);
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_GONE);
}

static void test_a_session_led_from_outside_cannot_be_bound_to(void **state)
{
    struct client *client = client_bound_to(ACCESS_BINDING_SESSION);

    (void)state;
    fake_env_add_process(&f.fake, 1000, 7000, 1, 500)->session_pid = 0;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNSUPPORTED);
}

static void test_a_unit_lives_until_it_is_empty(void **state)
{
    struct client *client = client_bound_to(ACCESS_BINDING_UNIT);

    (void)state;
    fake_env_set_cgroup(&f.fake, ENV_CGROUP_UNIT, 5);
    get_ok(client);
    end_process(1000);
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    fake_env_end_cgroup(&f.fake, ENV_CGROUP_UNIT);
    fixture_run();
    check_ended(client);
}

static void test_processes_of_one_unit_share_its_grant_and_its_watch(void **state)
{
    struct client *first = client_bound_to(ACCESS_BINDING_UNIT);
    struct client *second = fixture_client(1);

    (void)state;
    fake_env_set_cgroup(&f.fake, ENV_CGROUP_UNIT, 5);
    second->decision = first->decision;
    second->identity = first->identity;
    second->identity.pid = 1001;
    get_ok(first);
    get_ok(second);
    assert_ptr_equal(first->grant, second->grant);
    assert_int_equal(f.fake.watch_count, 1);
}

static void test_without_a_cgroup_there_is_no_unit(void **state)
{
    struct client *client = client_bound_to(ACCESS_BINDING_UNIT);

    (void)state;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_NOT_FOUND);
    f.fake.cgroup_status = ERR_UNSUPPORTED;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNSUPPORTED);
    /* A scope that can't be watched isn't taken for none. */
    client->decision.bindings[0].kind = ACCESS_BINDING_SESSION;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNSUPPORTED);
    client->identity.pid = 0;
    f.fake.cgroup_status = 0;
    fixture_get(client, &f.role);
    assert_int_equal(client->status, ERR_UNSUPPORTED);
}

static void written_and_gone(struct env_deferred *deferred)
{
    (void)deferred;
    f.fake.cgroups[ENV_CGROUP_UNIT].id = 0;
}

/* Its notice hasn't come. */
static void test_a_unit_that_is_empty_by_the_hand_out_gets_nothing(void **state)
{
    struct client *client = client_bound_to(ACCESS_BINDING_UNIT);
    struct env_deferred deferred = {.fn = written_and_gone};

    (void)state;
    fake_env_set_cgroup(&f.fake, ENV_CGROUP_UNIT, 5);
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    fixture_get(client, &f.role);
    model_answer(&f.model);
    env_defer(&f.fake.env, &deferred);
    fixture_run();
    assert_int_equal(client->status, ERR_GONE);
}

static void test_the_first_end_of_process_session_and_unit_counts(void **state)
{
    struct client *client = client_bound_to(ACCESS_BINDING_PROCESS);

    (void)state;
    client->decision.bindings[1].kind = ACCESS_BINDING_SESSION;
    client->decision.bindings[2].kind = ACCESS_BINDING_UNIT;
    client->decision.binding_count = 3;
    fake_env_set_cgroup(&f.fake, ENV_CGROUP_SCOPE, 7);
    fake_env_set_cgroup(&f.fake, ENV_CGROUP_UNIT, 5);
    get_ok(client);
    assert_int_equal(f.fake.watch_count, 3);
    fake_env_end_cgroup(&f.fake, ENV_CGROUP_SCOPE);
    fixture_run();
    check_ended(client);
    assert_int_equal(f.fake.watch_count, 0);
}

/* On a listener for callers of other pid namespaces. */
static struct client *client_elsewhere(void)
{
    struct client *client = client_bound_to(ACCESS_BINDING_PROCESS);

    client->identity.kind = ENV_PEER_FOREIGN;
    client->identity.is_foreign = true;
    client->identity.pid = 0;
    client->identity.process_id = 1000; /* as the fake has it */
    return client;
}

static void test_a_process_without_a_pid_here_is_watched_too(void **state)
{
    struct client *client = client_elsewhere();

    (void)state;
    get_ok(client);
    assert_int_equal(f.fake.watch_count, 1);
    fixture_get(client, &f.role);
    assert_int_equal(f.fake.watch_count, 1);
    end_process(1000);
    check_ended(client);
}

static void test_without_a_pidfd_it_binds_to_its_connection_or_to_nothing(void **state)
{
    static const enum access_binding kinds[] = {ACCESS_BINDING_PROCESS, ACCESS_BINDING_PARENT,
                                                ACCESS_BINDING_SESSION, ACCESS_BINDING_UNIT};
    struct client *client = client_elsewhere();
    size_t i;

    (void)state;
    client->identity.process_id = 0;
    for (i = 0; i < ARRAY_LEN(kinds); i++) {
        client->decision.bindings[0].kind = kinds[i];
        fixture_get(client, &f.role);
        assert_int_equal(client->status, ERR_UNSUPPORTED);
    }
    client->decision.bindings[0].kind = ACCESS_BINDING_CONNECTION;
    get_ok(client);
}

static void test_the_next_daemon_does_not_find_it_again(void **state)
{
    struct client *client = client_elsewhere();

    (void)state;
    get_ok(client);
    ledger_kill();
    ledger_start();
    assert_int_equal(recovery.ended_count, 1);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
}

static void held_by_unit(char id[LEASE_ID_BYTES + 1])
{
    struct client *client = client_bound_to(ACCESS_BINDING_UNIT);

    client->decision.bindings[1].kind = ACCESS_BINDING_PROCESS;
    client->decision.binding_count = 2;
    fake_env_set_cgroup(&f.fake, ENV_CGROUP_UNIT, 5);
    get_ok(client);
    memcpy(id, client->grant->id, LEASE_ID_BYTES + 1);
}

static void test_the_next_daemon_watches_it_again(void **state)
{
    char id[LEASE_ID_BYTES + 1];
    struct grant *grant;

    (void)state;
    held_by_unit(id);
    ledger_kill();
    ledger_start();
    assert_int_equal(recovery.grant_count, 1);
    assert_int_equal(f.fake.watch_count, 2);
    fake_env_end_cgroup(&f.fake, ENV_CGROUP_UNIT);
    fixture_run();
    grant = lease_core_find_grant(f.core, str_of(id));
    assert_int_equal(grant->end, GRANT_END_BINDING);
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_the_next_daemon_ends_what_has_emptied_meanwhile(void **state)
{
    char id[LEASE_ID_BYTES + 1];

    (void)state;
    held_by_unit(id);
    ledger_kill();
    fake_env_set_cgroup(&f.fake, ENV_CGROUP_UNIT, 6); /* a new one under the old name */
    ledger_start();
    assert_int_equal(recovery.ended_count, 1);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
}

static void test_after_a_reboot_no_cgroup_is_the_same(void **state)
{
    char id[LEASE_ID_BYTES + 1];

    (void)state;
    held_by_unit(id);
    ledger_kill();
    memcpy(f.fake.boot_id, "boot-2", sizeof("boot-2"));
    ledger_start();
    assert_int_equal(recovery.ended_count, 1);
    fixture_run();
    assert_int_equal(model_live_count(&f.model), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_session_is_the_callers_scope),
        fixture_test(test_without_a_scope_it_ends_with_who_leads_it),
        fixture_test(test_who_leads_a_session_is_bound_to_itself),
        fixture_test(test_a_session_without_its_leader_is_over),
        fixture_test(test_a_session_led_from_outside_cannot_be_bound_to),
        fixture_test(test_a_unit_lives_until_it_is_empty),
        fixture_test(test_processes_of_one_unit_share_its_grant_and_its_watch),
        fixture_test(test_without_a_cgroup_there_is_no_unit),
        fixture_test(test_a_unit_that_is_empty_by_the_hand_out_gets_nothing),
        fixture_test(test_the_first_end_of_process_session_and_unit_counts),
        fixture_test(test_a_process_without_a_pid_here_is_watched_too),
        fixture_test(test_without_a_pidfd_it_binds_to_its_connection_or_to_nothing),
        ledger_test(test_the_next_daemon_does_not_find_it_again),
        ledger_test(test_the_next_daemon_watches_it_again),
        ledger_test(test_the_next_daemon_ends_what_has_emptied_meanwhile),
        ledger_test(test_after_a_reboot_no_cgroup_is_the_same),
    };

    return cmocka_run_group_tests_name("bindings to cgroups", tests, NULL, NULL);
}
