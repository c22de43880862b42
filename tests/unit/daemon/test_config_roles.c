/* Roles: what contradicts itself, and how their credentials are tried out. */
#include "unit/daemon/config_fixture.h"

#include "daemon/config_internal.h"

static void test_a_role_that_contradicts_itself_is_refused(void **state)
{
    static const struct config_mistake mistakes[] = {
        {CONFIG_FIXTURE_ROLE("ttl: 2h, max_ttl: 1h"),
         "c.yaml:8:50: `ttl` (2h) is longer than `max_ttl` (1h)\n"},
        {CONFIG_FIXTURE_ROLE("ttl: 10m, min_remaining: 6m"),
         "c.yaml:8:70: `min_remaining` (6m) is more than half of `ttl` (10m)\n"},
        {CONFIG_FIXTURE_ROLE("on_stop: stay"),
         "c.yaml:8:54: on_stop: expected one of `keep`, `revoke`, found `stay`\n"},
        {CONFIG_FIXTURE_ROLE("renew_at: 95%"),
         "c.yaml:8:55: renew_at: expected a percentage such as 50% from 10% to 90%, "
         "found `95%`\n"},
        {CONFIG_FIXTURE_ROLE("env: {username: 'PG USER'}"),
         "c.yaml:8:61: expected the name of an environment variable, found `PG USER`\n"},
    };
    struct config_fixture *f = *state;

    config_fixture_expect_each(f, mistakes, ARRAY_LEN(mistakes));
    /* The default of min_remaining is no contradiction: at most half of the granted life counts. */
    config_fixture_expect_valid(f, CONFIG_FIXTURE_ROLE("ttl: 1m"));
}

static void test_clients_name_roles_by_patterns(void **state)
{
    static const struct config_mistake mistakes[] = {
        {CONFIG_FIXTURE_ROLE("ttl: 1m") "clients: {git: {github.com: rr}}\n",
         "c.yaml:9:29: there is no role `rr`: did you mean `r`?\n"},
        {CONFIG_FIXTURE_ROLE("ttl: 1m") "clients: {git: {'https://github.com': r}}\n",
         "c.yaml:9:17: expected a place such as github.com/acme/* in lower case, found "
         "`https://github.com`\n"},
        {CONFIG_FIXTURE_ROLE("ttl: 1m") "clients: {docker: {ghcr.io/acme: r}}\n",
         "c.yaml:9:20: expected a registry such as ghcr.io in lower case, found `ghcr.io/acme`\n"},
        {CONFIG_FIXTURE_ROLE("ttl: 1m") "clients: {svn: {}}\n",
         "c.yaml:9:11: unknown key `svn` in clients; known: git, docker\n"},
    };
    struct config_fixture *f = *state;

    config_fixture_expect_each(f, mistakes, ARRAY_LEN(mistakes));
    config_fixture_expect_valid(f,
                                CONFIG_FIXTURE_ROLE("ttl: 1m") "clients: {git: {'github.com/acme/*'"
                                                               ": r}, docker: {}}\n");
    assert_string_equal(f->config->settings.clients.git.items[0].value, "r");
}

static void test_how_credentials_are_verified_goes_to_the_verifier(void **state)
{
    static const struct config_mistake mistakes[] = {
        {CONFIG_FIXTURE_ROLE("verify: {tcp: db}"),
         "c.yaml:8:59: expected HOST:PORT, found \"db\"\n"},
        {CONFIG_FIXTURE_ROLE("verify: {timeout: 3s}"),
         "c.yaml:8:45: expected one of `tcp`, `http` and `exec`\n"},
        {CONFIG_FIXTURE_ROLE("verify: {http: 'http://db/'}"),
         "c.yaml:8:60: expected https://host/path (or http:// to this machine), found \"http://db/\"\n"},
        {CONFIG_FIXTURE_ROLE("verify: {exec: [true]}"),
         "c.yaml:8:60: expected the absolute path of a program first\n"},
        {CONFIG_FIXTURE_ROLE("verify: {http: 'https://db/', ca_file: a}"),
         "c.yaml:8:84: expected an absolute path, found `a`\n"},
        {CONFIG_FIXTURE_ROLE("verify: tcp"),
         "c.yaml:8:53: verify: expected a mapping with the keys of verify, found `tcp`\n"},
    };
    struct config_fixture *f = *state;
    struct lease_role role;

    config_fixture_expect_each(f, mistakes, ARRAY_LEN(mistakes));
    config_fixture_expect_valid(
        f, CONFIG_FIXTURE_ROLE("verify: {http: 'https://db/', headers: {A: 1}, timeout: 3s}"));
    config_fill_role(f->config->settings.roles.items, NULL, &role);
    assert_string_equal(role.verify_json, "{\"http\":\"https://db/\",\"headers\":{\"A\":\"1\"}}");
    assert_int_equal(role.verify_timeout_ms, 3000);
    config_fixture_expect_valid(f, CONFIG_FIXTURE_ROLE("verify: {exec: [/a, b], user: c}"));
    config_fill_role(f->config->settings.roles.items, NULL, &role);
    assert_string_equal(role.verify_json, "{\"user\":\"c\",\"exec\":[\"/a\",\"b\"]}");
    config_fixture_expect_valid(f, CONFIG_FIXTURE_ROLE("verify: none"));
    config_fill_role(f->config->settings.roles.items, NULL, &role);
    assert_null(role.verify_json);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_role_that_contradicts_itself_is_refused),
        TEST(test_clients_name_roles_by_patterns),
        TEST(test_how_credentials_are_verified_goes_to_the_verifier),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
