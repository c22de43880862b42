/* Callers without a process that is known: over loopback TCP. */
#include "policy_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static int setup(void **state)
{
    static struct fixture fixture;

    fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    return 0;
}

/* The fixture's identity becomes that of `uid` on loopback TCP. */
static int come_by_loopback(struct fixture *f, uint32_t uid)
{
    struct env_peer peer = {.kind = ENV_PEER_LOOPBACK, .state = ENV_PEER_OK, .uid = uid};
    const struct access_identity_source source = {
        .env = &f->fake.env, .listener = "tcp", .peer = &peer, .own_cgroup = "/"};
    struct err e;

    return access_identity_init(&f->identity, &source, &e);
}

static void test_over_loopback_a_user_has_the_groups_of_the_user_database(void **state)
{
    struct fixture *f = *state;
    char key[ACCESS_KEY_MAX_BYTES];

    fake_env_set_groups(&f->fake, 1000, 100, 50);
    assert_int_equal(come_by_loopback(f, 1000), 0);
    assert_int_equal(f->identity.uid, 1000);
    assert_string_equal(f->identity.user, "alice");
    assert_int_equal(f->identity.gid, 100);
    assert_int_equal(f->identity.group_count, 1);
    assert_int_equal(f->identity.pid, 0);
    assert_string_equal(f->identity.unit, "");
    assert_string_equal(access_identity_key(&f->identity, key), "tcp/1000");
    fixture_policy(f, "rules: [{subjects: [{group: dba}], roles: [orders-db]}]");
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    fixture_policy(f, "rules: [{subjects: [{gid: 100}], roles: [orders-db]}]");
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    fixture_policy(f, "rules: [{subjects: [{group: wheel}], roles: [orders-db]}]");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
}

static void test_over_loopback_no_unit_and_no_container_matches(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(come_by_loopback(f, 1000), 0);
    fixture_policy(f, "rules: [{subjects: [{user: alice, unit: '*'}], roles: [orders-db]}]");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    fixture_policy(f, "rules: [{subjects: [{user: alice, container: '*'}], roles: [orders-db]}]");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
}

static void test_a_user_with_unknown_groups_is_in_none_but_denied_with_each(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(come_by_loopback(f, 1000), 0);
    assert_int_equal(f->identity.gid, ENV_NO_ID);
    fixture_policy(f, "rules: [{subjects: [{group: '*'}, {gid: 100}], roles: [orders-db]}]");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: [orders-db]}]");
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: [orders-db]},\n"
                      "        {subjects: [{group: wheel}], roles: [orders-db], effect: deny}]");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    fixture_policy(f, "rules: [{subjects: [{user: alice}], roles: [orders-db]},\n"
                      "        {subjects: [{gid: 51}], roles: [orders-db], effect: deny}]");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
}

static void test_groups_that_can_not_be_looked_up_deny(void **state)
{
    struct fixture *f = *state;

    f->fake.name_status = ERR_UNAVAILABLE;
    assert_int_equal(come_by_loopback(f, 1000), ERR_DENIED);
}

static void test_nobody_is_an_admin_over_loopback_tcp(void **state)
{
    struct fixture *f = *state;

    fixture_policy(f, "admins: [{subjects: [{user: alice}]}]");
    assert_int_not_equal(access_policy_admin(f->policy, &f->identity), 0);
    assert_int_equal(come_by_loopback(f, 1000), 0);
    assert_int_equal(access_policy_admin(f->policy, &f->identity), 0);
}

static void test_a_socket_of_the_overflow_uid_or_of_nobody_is_denied(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(come_by_loopback(f, 65534), ERR_DENIED);
    assert_int_equal(come_by_loopback(f, ENV_NO_ID), ERR_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_over_loopback_a_user_has_the_groups_of_the_user_database),
        TEST(test_over_loopback_no_unit_and_no_container_matches),
        TEST(test_a_user_with_unknown_groups_is_in_none_but_denied_with_each),
        TEST(test_groups_that_can_not_be_looked_up_deny),
        TEST(test_nobody_is_an_admin_over_loopback_tcp),
        TEST(test_a_socket_of_the_overflow_uid_or_of_nobody_is_denied),
    };

    return cmocka_run_group_tests_name("remote", tests, NULL, NULL);
}
