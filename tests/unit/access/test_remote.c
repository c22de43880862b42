/* Callers without a process that is known: over loopback TCP, and with a certificate. */
#include "policy_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
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

/* --- certificates --- */

static int come_with(struct fixture *f, const char *sans)
{
    struct env_peer peer = {
        .kind = ENV_PEER_TLS, .state = ENV_PEER_OK, .uid = ENV_NO_ID, .sans = sans};
    const struct access_identity_source source = {
        .env = &f->fake.env, .listener = "remote", .peer = &peer, .own_cgroup = "/"};
    struct err e;

    return access_identity_init(&f->identity, &source, &e);
}

static enum access_outcome outcome_of(struct fixture *f, const char *subject)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "rules: [{subjects: [%s], roles: [orders-db]}]", subject);
    fixture_policy(f, text);
    return fixture_decide(f);
}

static void test_a_certificate_is_known_by_its_names_only(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(come_with(f, "spiffe://acme/ci/1 ci.example"), 0);
    assert_int_equal(f->identity.kind, ENV_PEER_TLS);
    assert_int_equal(f->identity.uid, ENV_NO_ID);
    assert_int_equal(f->identity.gid, ENV_NO_ID);
    assert_string_equal(f->identity.user, "");
    assert_string_equal(f->identity.sans, "spiffe://acme/ci/1 ci.example");
}

static void test_a_certificate_without_names_is_denied(void **state)
{
    struct fixture *f = *state;
    char name[ENV_PEER_SAN_MAX_BYTES + 1];

    assert_int_equal(come_with(f, NULL), ERR_DENIED);
    assert_int_equal(come_with(f, ""), ERR_DENIED);
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(come_with(f, name), ERR_DENIED);
    assert_int_equal(come_with(f, name + 1), 0);
}

static void test_any_name_of_a_certificate_may_match(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(come_with(f, "spiffe://acme/ci/1 ci.example"), 0);
    assert_int_equal(outcome_of(f, "{tls: {san: 'spiffe://acme/ci/*'}}"), ACCESS_ALLOW);
    assert_int_equal(outcome_of(f, "{tls: {san: ci.example}}"), ACCESS_ALLOW);
    assert_int_equal(outcome_of(f, "{tls: {san: '*'}, listener: remote}"), ACCESS_ALLOW);
    assert_int_equal(outcome_of(f, "{tls: {san: '*'}, listener: local}"), ACCESS_DENY);
    assert_int_equal(outcome_of(f, "{tls: {san: 'spiffe://acme/ci'}}"), ACCESS_DENY);
    assert_int_equal(outcome_of(f, "{tls: {san: 'example'}}"), ACCESS_DENY);
    assert_int_equal(outcome_of(f, "{tls: {san: '*1 ci*'}}"), ACCESS_DENY);
}

static void test_a_certificate_is_no_user_and_a_user_no_certificate(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(outcome_of(f, "{tls: {san: '*'}}"), ACCESS_DENY);
    assert_int_equal(come_with(f, "ci.example"), 0);
    assert_int_equal(outcome_of(f, "{user: '*'}"), ACCESS_DENY);
    assert_int_equal(outcome_of(f, "{uid: 0}"), ACCESS_DENY);
    assert_int_equal(outcome_of(f, "{group: '*'}"), ACCESS_DENY);
    assert_int_equal(outcome_of(f, "{listener: remote}"), ACCESS_DENY);
    assert_non_null(strstr(f->decision.detail, "ci.example"));
}

static void test_a_listener_can_be_denied_to_certificates_too(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(come_with(f, "ci.example"), 0);
    fixture_policy(f,
                   "rules: [{subjects: [{tls: {san: '*'}}], roles: [orders-db]},\n"
                   "        {subjects: [{listener: remote}], roles: [orders-db], effect: deny}]");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
    fixture_policy(f, "rules: [{subjects: [{tls: {san: '*'}}], roles: [orders-db]},\n"
                      "        {subjects: [{group: wheel}], roles: [orders-db], effect: deny}]");
    assert_int_equal(fixture_decide(f), ACCESS_ALLOW);
    fixture_policy(f,
                   "rules: [{subjects: [{tls: {san: '*'}}], roles: [orders-db]},\n"
                   "        {subjects: [{tls: {san: 'ci.*'}}], roles: [orders-db], effect: deny}]");
    assert_int_equal(fixture_decide(f), ACCESS_DENY);
}

static void test_the_same_names_are_the_same_identity(void **state)
{
    struct fixture *f = *state;
    char one[ACCESS_KEY_MAX_BYTES];
    char two[ACCESS_KEY_MAX_BYTES];

    assert_int_equal(come_with(f, "spiffe://acme/a"), 0);
    assert_string_equal(access_identity_key(&f->identity, one), "remote/tls:spiffe://acme/a");
    assert_int_equal(come_with(f, "spiffe://acme/a b.example"), 0);
    (void)access_identity_key(&f->identity, one);
    assert_int_equal(strncmp(one, "remote/tls:spiffe://acme/a+", 27), 0);
    assert_int_equal(strlen(one), 27 + 32);
    assert_int_equal(come_with(f, "spiffe://acme/a b.example"), 0);
    assert_string_equal(access_identity_key(&f->identity, two), one);
    assert_int_equal(come_with(f, "spiffe://acme/a c.example"), 0);
    assert_string_not_equal(access_identity_key(&f->identity, two), one);
}

static void test_a_subject_with_tls_names_nothing_but_a_listener_beside_it(void **state)
{
    static const char *const others[] = {
        "user: alice", "uid: 0",       "group: dba",          "gid: 0",
        "unit: a",     "container: a", "user: '*', unit: '*'"};
    struct fixture *f = *state;
    char text[256];
    size_t i;

    for (i = 0; i < ARRAY_LEN(others); i++) {
        (void)snprintf(text, sizeof(text),
                       "rules: [{subjects: [{tls: {san: a}, %s}], roles: [orders-db]}]", others[i]);
        fixture_mistakes(f, text);
        assert_int_equal(f->errors.count, 1);
        assert_non_null(strstr(f->errors.text.bytes, "names `tls`"));
    }
    fixture_mistakes(f, "rules: [{subjects: [{tls: {}}], roles: [orders-db]}]");
    assert_non_null(strstr(f->errors.text.bytes, "`san`"));
}

static void test_admins_may_come_with_a_certificate(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(come_with(f, "ops.example"), 0);
    fixture_policy(f, "admins: [{subjects: [{tls: {san: ops.example}}], may: [read]}]");
    assert_int_equal(access_policy_admin(f->policy, &f->identity), ACCESS_ADMIN_READ);
    fixture_policy(f, "admins: [{subjects: [{user: '*'}]}]");
    assert_int_equal(access_policy_admin(f->policy, &f->identity), 0);
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
        TEST(test_a_certificate_is_known_by_its_names_only),
        TEST(test_a_certificate_without_names_is_denied),
        TEST(test_any_name_of_a_certificate_may_match),
        TEST(test_a_certificate_is_no_user_and_a_user_no_certificate),
        TEST(test_a_listener_can_be_denied_to_certificates_too),
        TEST(test_the_same_names_are_the_same_identity),
        TEST(test_a_subject_with_tls_names_nothing_but_a_listener_beside_it),
        TEST(test_admins_may_come_with_a_certificate),
    };

    return cmocka_run_group_tests_name("remote", tests, NULL, NULL);
}
