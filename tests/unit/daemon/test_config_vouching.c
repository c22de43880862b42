/* `issuers` and `notify`: where tokens' keys come from, and where events go. */
#include "unit/daemon/config_fixture.h"

#include <string.h>

#define ISSUER(keys) CONFIG_FIXTURE_LEAST "issuers: {ci: {audience: leased, " keys "}}\n"
#define HOOK(keys) CONFIG_FIXTURE_LEAST "notify: [{" keys "}]\n"
#define CHAT "url: https://chat.example/hook"

static void test_mistakes_are_told(void **state)
{
    static const struct config_mistake mistakes[] = {
        {ISSUER("url: ftp://ci.example"), "expected https://host/path, found `ftp://ci.example`\n"},
        {ISSUER("url: ci.example"), "expected https://host/path, found `ci.example`\n"},
        {ISSUER("url: http://ci.example"), "plain http goes to loopback only: use https\n"},
        {ISSUER("url: https://ci.example, jwks_url: http://ci.example/keys"),
         "plain http goes to loopback only: use https\n"},
        {HOOK("url: ftp://chat.example/hook"),
         "expected https://host/path, found `ftp://chat.example/hook`\n"},
        {HOOK("url: http://chat.example/hook"), "plain http goes to loopback only: use https\n"},
        {HOOK("url: https://me:word@chat.example/hook"), "expected https://host/path, found"},
        {HOOK(CHAT ", events: [requst.created]"),
         "`requst.created` is no event of the trail: did you mean `request.created`?\n"},
        {HOOK(CHAT ", events: ['requst.*']"), "`requst.*` is no event of the trail\n"},
        {HOOK(CHAT ", hmac_key_file: /k, hmac_key_env: K"),
         "give `hmac_key_file` or `hmac_key_env`, not both\n"},
        {HOOK("exec: [/bin/true], hmac_key_credential: k"), "only with `url`\n"},
    };
    struct config_fixture *f = *state;
    size_t i;

    for (i = 0; i < ARRAY_LEN(mistakes); i++) {
        config_fixture_write(f, "c.yaml", mistakes[i].text);
        assert_int_not_equal(config_fixture_load(f, "c.yaml"), 0);
        if (strstr(config_fixture_errors(f), mistakes[i].errors) == NULL) {
            fail_msg("%s instead of %s", config_fixture_errors(f), mistakes[i].errors);
        }
    }
}

static void test_what_is_right_is_taken(void **state)
{
    config_fixture_expect_valid(
        *state, ISSUER("url: https://ci.example:8443/path, jwks_url: 'http://[::1]:80/keys'"));
    config_fixture_expect_valid(*state, HOOK("url: http://127.0.0.1:8080/hook"));
    config_fixture_expect_valid(*state, HOOK("url: http://localhost/hook, events: ['*']"));
    config_fixture_expect_valid(*state, HOOK(CHAT ", hmac_key_credential: hook, events: "
                                                  "['block.*', '*.denied', grant.ended]"));
    config_fixture_expect_valid(*state, HOOK(CHAT ", events: [request.unchanged]"));
}

static void test_a_variable_with_a_key_is_kept(void **state)
{
    struct config_fixture *f = *state;

    config_fixture_write(f, "c.yaml", HOOK(CHAT ", hmac_key_env: HOOK_KEY"));
    assert_int_equal(config_fixture_load(f, "c.yaml"), 0);
    assert_int_equal(f->config->env_name_count, 1);
    assert_string_equal(f->config->env_names[0], "HOOK_KEY");
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_mistakes_are_told),
        TEST(test_what_is_right_is_taken),
        TEST(test_a_variable_with_a_key_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
