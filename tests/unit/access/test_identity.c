/* Identities: what makes one, and what denies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "access/identity_record.h"
#include "support/fake_env.h"

#define CONTAINER_A "4f2a000000000000000000000000000000000000000000000000000000000001"
#define CONTAINER_B "beef000000000000000000000000000000000000000000000000000000000002"

struct world {
    struct fake_env fake;
    struct env_peer peer;
    struct access_identity_source source;
    struct access_identity identity;
    struct err e;
};

static void world_init(struct world *world)
{
    memset(world, 0, sizeof(*world));
    fake_env_init(&world->fake, 1000, 1);
    fake_env_add_user(&world->fake, 1001, "orders");
    world->peer = (struct env_peer){
        .state = ENV_PEER_OK,
        .uid = 1001,
        .gid = 100,
        .groups = {50, 51},
        .group_count = 2,
        .pid = 4711,
        .start_ticks = 99,
        .cgroup = "/system.slice/orders.service",
    };
    world->source = (struct access_identity_source){
        .env = &world->fake.env,
        .listener = "local",
        .peer = &world->peer,
        .own_cgroup = "/system.slice/leased.service",
    };
}

static int world_try(struct world *world)
{
    memset(&world->identity, 0x5a, sizeof(world->identity));
    world->e = (struct err){0};
    return access_identity_init(&world->identity, &world->source, &world->e);
}

static void cgroup_set(struct world *world, const char *path)
{
    (void)snprintf(world->peer.cgroup, sizeof(world->peer.cgroup), "%s", path);
}

static void test_an_identity_holds_what_the_kernel_says(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    assert_int_equal(world_try(&w), 0);
    assert_string_equal(w.identity.listener, "local");
    assert_string_equal(w.identity.user, "orders");
    assert_string_equal(w.identity.unit, "orders.service");
    assert_string_equal(w.identity.container, "");
    assert_int_equal(w.identity.uid, 1001);
    assert_int_equal(w.identity.gid, 100);
    assert_int_equal(w.identity.group_count, 2);
    assert_int_equal(w.identity.groups[1], 51);
    assert_int_equal(w.identity.pid, 4711);
    assert_int_equal(w.identity.start_ticks, 99);
    assert_false(w.identity.is_foreign);
    fake_env_fini(&w.fake);
}

static void test_a_peer_that_is_not_established_is_denied(void **state)
{
    static const enum env_peer_state states[] = {ENV_PEER_UNKNOWN, ENV_PEER_GONE, ENV_PEER_CHANGED};
    struct world w;
    size_t i;

    (void)state;
    world_init(&w);
    w.peer.problem = "its process has ended";
    for (i = 0; i < ARRAY_LEN(states); i++) {
        w.peer.state = states[i];
        assert_int_equal(world_try(&w), ERR_DENIED);
        assert_string_equal(w.e.text, "the caller could not be identified: its process has ended");
    }
    fake_env_fini(&w.fake);
}

static void test_uids_and_pids_that_are_not_visible_are_denied(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.peer.pid = 0;
    assert_int_equal(world_try(&w), ERR_DENIED);
    w.peer.pid = 4711;
    w.peer.uid = 65534;
    assert_int_equal(world_try(&w), ERR_DENIED);
    w.peer.uid = UINT32_MAX;
    assert_int_equal(world_try(&w), ERR_DENIED);
    w.peer.uid = 1001;
    assert_int_equal(world_try(&w), 0);
    fake_env_fini(&w.fake);
}

static int name_service_is_down(struct env *env, uint32_t uid, char ret_name[ENV_NAME_MAX_BYTES])
{
    (void)env;
    (void)uid;
    (void)ret_name;
    return ERR_UNAVAILABLE;
}

static void test_a_uid_without_a_name_is_fine_but_an_unknown_name_denies(void **state)
{
    struct env_ops ops;
    struct world w;

    (void)state;
    world_init(&w);
    fake_env_remove_user(&w.fake, 1001);
    assert_int_equal(world_try(&w), 0);
    assert_string_equal(w.identity.user, "");
    ops = *w.fake.env.ops;
    ops.user_name = name_service_is_down;
    w.fake.env.ops = &ops;
    assert_int_equal(world_try(&w), ERR_DENIED);
    fake_env_fini(&w.fake);
}

static void test_a_container_makes_a_caller_foreign_and_takes_its_unit(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    cgroup_set(&w, "/system.slice/docker-" CONTAINER_A ".scope/system.slice/orders.service");
    assert_int_equal(world_try(&w), 0);
    assert_true(w.identity.is_foreign);
    assert_string_equal(w.identity.container, CONTAINER_A);
    assert_string_equal(w.identity.unit, "");
    fake_env_fini(&w.fake);
}

static void test_the_daemons_own_container_counts_as_none(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.source.own_cgroup = "/system.slice/docker-" CONTAINER_A ".scope";
    cgroup_set(&w, "/system.slice/docker-" CONTAINER_A ".scope");
    assert_int_equal(world_try(&w), 0);
    assert_false(w.identity.is_foreign);
    assert_string_equal(w.identity.container, "");
    cgroup_set(&w, "/system.slice/docker-" CONTAINER_B ".scope");
    assert_int_equal(world_try(&w), 0);
    assert_true(w.identity.is_foreign);
    assert_string_equal(w.identity.container, CONTAINER_B);
    fake_env_fini(&w.fake);
}

static void test_another_pid_namespace_is_foreign_too(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.peer.is_other_pid_namespace = true;
    assert_int_equal(world_try(&w), 0);
    assert_true(w.identity.is_foreign);
    assert_string_equal(w.identity.unit, "");
    fake_env_fini(&w.fake);
}

static void test_without_a_pid_only_a_listener_for_foreign_callers_takes_it(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.peer.pid = 0;
    w.peer.is_other_pid_namespace = true;
    assert_int_equal(world_try(&w), ERR_DENIED);
    w.peer.kind = ENV_PEER_FOREIGN;
    w.peer.process_id = 77;
    assert_int_equal(world_try(&w), 0);
    assert_true(w.identity.is_foreign);
    assert_int_equal(w.identity.pid, 0);
    assert_int_equal(w.identity.process_id, 77);
    assert_string_equal(w.identity.unit, "");
    w.peer.uid = 65534;
    assert_int_equal(world_try(&w), ERR_DENIED);
    fake_env_fini(&w.fake);
}

static void test_a_unit_is_never_cut_to_another_name(void **state)
{
    char path[ENV_PEER_CGROUP_MAX_BYTES];
    struct world w;

    (void)state;
    world_init(&w);
    (void)snprintf(path, sizeof(path), "/system.slice/%0*d.service", ACCESS_UNIT_MAX_BYTES, 1);
    cgroup_set(&w, path);
    assert_int_equal(world_try(&w), ERR_DENIED);
    cgroup_set(&w, "/system.slice/a\nb.service");
    assert_int_equal(world_try(&w), ERR_DENIED);
    fake_env_fini(&w.fake);
}

static void test_users_below_user_slice_have_no_system_unit(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    cgroup_set(&w, "/user.slice/user-1001.slice/user@1001.service/app.slice/orders.service");
    assert_int_equal(world_try(&w), 0);
    assert_string_equal(w.identity.unit, "");
    cgroup_set(&w, "/x/system.slice/orders.service");
    assert_int_equal(world_try(&w), 0);
    assert_string_equal(w.identity.unit, "");
    fake_env_fini(&w.fake);
}

static void test_the_key_tells_identities_apart(void **state)
{
    char key[ACCESS_KEY_MAX_BYTES];
    struct world w;

    (void)state;
    world_init(&w);
    assert_int_equal(world_try(&w), 0);
    assert_string_equal(access_identity_key(&w.identity, key), "local/1001/unit:orders.service");
    cgroup_set(&w, "/");
    assert_int_equal(world_try(&w), 0);
    assert_string_equal(access_identity_key(&w.identity, key), "local/1001");
    cgroup_set(&w, "/docker/" CONTAINER_A);
    assert_int_equal(world_try(&w), 0);
    assert_string_equal(access_identity_key(&w.identity, key), "local/1001/container:" CONTAINER_A);
    cgroup_set(&w, "/");
    w.peer.is_other_pid_namespace = true;
    assert_int_equal(world_try(&w), 0);
    assert_string_equal(access_identity_key(&w.identity, key), "local/1001/container:");
    w.identity.listener = NULL;
    assert_string_equal(access_identity_key(&w.identity, key), "/1001/container:");
    fake_env_fini(&w.fake);
}

static void test_the_trail_is_told_who_it_is(void **state)
{
    struct access_identity identity = {.kind = ENV_PEER_UNIX, .uid = 1001, .pid = 42};
    struct audit_record record = {.event = "grant.denied"};

    (void)state;
    memcpy(identity.user, "orders", sizeof("orders"));
    memcpy(identity.container, CONTAINER_A, sizeof(CONTAINER_A));
    memcpy(identity.image, "reg/app:1", sizeof("reg/app:1"));
    access_identity_tell(&identity, &record);
    assert_true(record.has_identity);
    assert_int_equal(record.uid, 1001);
    assert_int_equal(record.pid, 42);
    assert_string_equal(record.user, "orders");
    assert_null(record.unit);
    assert_string_equal(record.container, CONTAINER_A);
    assert_string_equal(record.image, "reg/app:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_identity_holds_what_the_kernel_says),
        cmocka_unit_test(test_a_peer_that_is_not_established_is_denied),
        cmocka_unit_test(test_uids_and_pids_that_are_not_visible_are_denied),
        cmocka_unit_test(test_a_uid_without_a_name_is_fine_but_an_unknown_name_denies),
        cmocka_unit_test(test_a_container_makes_a_caller_foreign_and_takes_its_unit),
        cmocka_unit_test(test_the_daemons_own_container_counts_as_none),
        cmocka_unit_test(test_another_pid_namespace_is_foreign_too),
        cmocka_unit_test(test_without_a_pid_only_a_listener_for_foreign_callers_takes_it),
        cmocka_unit_test(test_a_unit_is_never_cut_to_another_name),
        cmocka_unit_test(test_users_below_user_slice_have_no_system_unit),
        cmocka_unit_test(test_the_key_tells_identities_apart),
        cmocka_unit_test(test_the_trail_is_told_who_it_is),
    };

    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
