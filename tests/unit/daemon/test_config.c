/* Whole configurations: what is read, what is merged, and that every mistake comes out at once with
 * its place. */
#include "unit/daemon/config_fixture.h"

#include "daemon/config_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void test_a_whole_configuration_is_read(void **state)
{
    struct config_fixture *f = *state;
    const struct config_settings *settings;
    const struct config_role *role;
    struct lease_role lease_role;

    config_fixture_expect_valid(f, CONFIG_FIXTURE_LEAST CONFIG_FIXTURE_BACKEND
                                "    namespace: team-a\n"
                                "    limits: {in_flight: 8, issue_rate: 10/m}\n"
                                "roles:\n"
                                "  orders-db:\n"
                                "    backend: vault-prod\n"
                                "    path: database/creds/orders\n"
                                "    attributes: {host: db.example, port: 5432}\n"
                                "    ttl: 4h\n"
                                "    share: identity\n"
                                "    env: {username: PGUSER}\n"
                                "    budget: {live: 200, issue: 10/m}\n"
                                "    on_stop: revoke\n"
                                "    isolate: false\n"
                                "policies:\n"
                                "  rules: [{subjects: [{user: root}], roles: [orders-db]}]\n");
    settings = &f->config->settings;
    role = settings->roles.items;
    config_fill_role(role, NULL, &lease_role);
    assert_string_equal(lease_role.name, "orders-db");
    assert_string_equal(lease_role.params_json,
                        "{\"path\":\"database/creds/orders\",\"isolate\":false}");
    assert_int_equal(lease_role.ttl_ms, 4 * 3600000);
    assert_int_equal(lease_role.max_ttl_ms, 24 * 3600000);
    assert_int_equal(lease_role.renew_at_percent, 50);
    assert_int_equal(lease_role.share, LEASE_SHARE_IDENTITY);
    assert_int_equal(lease_role.binding, ACCESS_BINDING_PROCESS);
    assert_int_equal(lease_role.live_max, 200);
    assert_int_equal(lease_role.issue_rate.per_ms, 60000);
    assert_int_equal(lease_role.attribute_count, 2);
    assert_true(str_eq_c(lease_role.attributes[1].value, "5432"));
    assert_true(str_eq_c(lease_role.env_names[0].name, "username"));
    assert_string_equal(((struct config_backend *)settings->backends.items)->config_json,
                        "{\"auth\":{\"method\":\"approle\",\"role_id_file\":\"/r\","
                        "\"secret_id_file\":\"/s\"},\"namespace\":\"team-a\"}");
    assert_int_equal(access_policy_rule_count(f->config->access.policy), 1);
}

static void test_the_least_has_defaults_for_all_else(void **state)
{
    struct config_fixture *f = *state;
    const struct config_listener *listener;
    const struct config_sink *sink;

    config_fixture_expect_valid(f, CONFIG_FIXTURE_LEAST);
    listener = f->config->settings.listeners.items;
    sink = f->config->settings.audit.items;
    assert_string_equal(listener->name, "listener-1");
    assert_int_equal(listener->serve.count, 2);
    assert_int_equal(listener->mode, 0);
    assert_true(sink->is_required);
    assert_int_equal(f->config->settings.limits.stop_timeout_ms, 20000);
    assert_int_equal(f->config->settings.limits.request_head_bytes, 8192);
    assert_int_equal(f->config->settings.log.level, LOG_LEVEL_INFO);
    assert_int_equal(access_policy_rule_count(f->config->access.policy), 0);
}

static void test_ten_mistakes_are_ten_errors_in_one_go(void **state)
{
    config_fixture_expect(
        *state,
        "listeners:\n"
        "  - unix: /run/leased/leased.sock\n"
        "    mode: \"0999\"\n"
        "    serve: [native, sistemd]\n"
        "backends:\n"
        "  vault-prod:\n"
        "    plugin: vault\n"
        "    adress: https://vault.example:8200\n"
        "    auth: {method: approle, role_id_file: /r, secret_id_file: /s}\n"
        "    limits: {timeout: 2h}\n"
        "roles:\n"
        "  orders-db:\n"
        "    backend: vault-pord\n"
        "    path: database/creds/orders\n"
        "    ttl: ten\n"
        "    renewat: 50%\n"
        "    share: everybody\n"
        "notifi: []\n"
        "audit:\n"
        "  - {sink: file, path: /var/log/leased/audit.jsonl, required: maybe}\n"
        "log: {level: loud}\n",
        "c.yaml:3:11: mode: expected a file mode such as \"0660\" from 0600 to 0777, found `0999`\n"
        "c.yaml:4:21: expected one of `native`, `metrics`, `vault`, `aws`, `gcp`, `azure`, `systemd`, "
        "found `sistemd`: did you mean `systemd`?\n"
        "c.yaml:10:23: timeout: expected a duration such as 90s, 15m or 1h30m from 1s to 1m, found `2h`\n"
        "c.yaml:15:10: ttl: expected a duration such as 90s, 15m or 1h30m from 1s to 365d, found "
        "`ten`\n"
        "c.yaml:17:12: share: expected one of `none`, `identity`, `role`, found `everybody`\n"
        "c.yaml:18:1: unknown key `notifi`: did you mean `notify`?\n"
        "c.yaml:20:63: required: expected true or false, found `maybe`\n"
        "c.yaml:21:14: level: expected one of `debug`, `info`, `warn`, `error`, found `loud`\n"
        "c.yaml:13:14: there is no backend `vault-pord`: did you mean `vault-prod`?\n"
        "c.yaml:8:5: unknown key `adress`: did you mean `address`?\n");
}

#define AUDIT "audit: [{sink: stdout}]\n"

static void test_addresses_are_tls_or_local(void **state)
{
#define ADDRESS(address)                                                                           \
    CONFIG_FIXTURE_LEAST "backends: {v: {plugin: vault, auth: {method: token, token_env: T}, "     \
                         "address: " address "}}\n"
    static const struct config_mistake mistakes[] = {
        {ADDRESS("http://vault.example:8200"),
         "c.yaml:3:77: plain http goes to loopback only: use https\n"},
        {ADDRESS("http://127.0.0.1.example/"),
         "c.yaml:3:77: plain http goes to loopback only: use https\n"},
        {ADDRESS("vault.example:8200"),
         "c.yaml:3:77: expected an address such as https://vault.example:8200 or "
         "unix:///run/agent.sock, found `vault.example:8200`\n"},
        {ADDRESS("[https://a, ftp://b]"),
         "c.yaml:3:89: expected an address such as https://vault.example:8200 or "
         "unix:///run/agent.sock, found `ftp://b`\n"},
        {ADDRESS("env"), "c.yaml:3:77: `env` is not supported by this version: write the "
                         "address\n"},
    };
    struct config_fixture *f = *state;

    config_fixture_expect_each(f, mistakes, ARRAY_LEN(mistakes));
    config_fixture_expect_valid(f, ADDRESS("http://127.0.0.1:8200"));
    config_fixture_expect_valid(f, ADDRESS("'http://[::1]:8200'"));
    config_fixture_expect_valid(f, ADDRESS("http://localhost:8200/prefix"));
    config_fixture_expect_valid(f, ADDRESS("['unix:///run/agent.sock', 'https://a']"));
}

/* 0 would be the lease layer's word for "the default". */
static void test_there_is_always_an_allowance_for_clocks(void **state)
{
    static const struct config_mistake mistakes[] = {
        {CONFIG_FIXTURE_LEAST "limits: {clock_skew: 0s}\n",
         "c.yaml:3:22: clock_skew: expected a duration such as 90s, 15m or 1h30m from 1s to 1m, "
         "found `0s`\n"},
    };

    config_fixture_expect_each(*state, mistakes, ARRAY_LEN(mistakes));
}

static void test_audit_sinks_are_real_and_apart(void **state)
{
#define LISTENER "listeners: [{unix: /a}]\n"
    static const struct config_mistake mistakes[] = {
        {LISTENER, "c.yaml:1:1: `audit` is missing in the configuration\n"},
        {LISTENER "audit: []\n", "c.yaml:2:1: `audit` is empty\n"},
        {LISTENER "audit: [{sink: file}]\n", "c.yaml:2:9: `path` is missing in a file sink\n"},
        {LISTENER "audit: [{path: /a}]\n", "c.yaml:2:9: `sink` is missing in an audit sink\n"},
        {LISTENER "audit: [{sink: stdout, path: /a}]\n", "c.yaml:2:24: stdout has no `path`\n"},
        {LISTENER "audit: [{sink: kafka}]\n",
         "c.yaml:2:16: sink: `kafka` is not supported by this version\n"},
        {LISTENER "audit: [{sink: file, path: a}]\n",
         "c.yaml:2:28: expected an absolute path, found `a`\n"},
        {LISTENER "audit: [{sink: file, path: /a}, {sink: file, path: /a}]\n",
         "c.yaml:2:52: another sink writes there already\n"},
    };

    config_fixture_expect_each(*state, mistakes, ARRAY_LEN(mistakes));
}

static void test_a_ledger_is_a_file_with_an_absolute_path(void **state)
{
    static const struct config_mistake mistakes[] = {
        {LISTENER "audit: [{sink: stdout}]\nstate: {ledger: {sqlite: l.db}}\n",
         "c.yaml:3:26: expected the absolute path of a file, found `l.db`\n"},
        {LISTENER "audit: [{sink: stdout}]\nstate: {ledger: {sqlite: /var/lib/}}\n",
         "c.yaml:3:26: expected the absolute path of a file, found `/var/lib/`\n"},
        {LISTENER "audit: [{sink: stdout}]\nstate: {ledger: {sqlite: /l}, seal_key_file: k}\n",
         "c.yaml:3:46: expected the absolute path of a file, found `k`\n"},
        {LISTENER "audit: [{sink: stdout}]\nstate: {ledger: {}}\n",
         "c.yaml:3:9: `sqlite` is missing in a ledger\n"},
    };

    config_fixture_expect_each(*state, mistakes, ARRAY_LEN(mistakes));
}

static void test_a_plugin_complains_at_the_place(void **state)
{
#define VAULT(auth)                                                                                \
    CONFIG_FIXTURE_LEAST "backends:\n  v: {plugin: vault, address: https://v, " auth "}\n"
    static const struct config_mistake mistakes[] = {
        {VAULT("auth: {method: token, token_fil: /t}"),
         "c.yaml:4:64: auth.token_fil: unknown key; did you mean \"token_file\"?\n"},
        {VAULT("auth: {method: magic}"),
         "c.yaml:4:57: auth.method: one of token, approle, jwt, kubernetes, cert, userpass, ldap is "
         "expected\n"},
        {VAULT("auth: {method: token, token_file: /t}, namspace: x"),
         "c.yaml:4:81: namspace: unknown key; did you mean \"namespace\"?\n"},
        {VAULT("auth: {method: token, token_file: /t}, timout: 5s, nonsense: 1"),
         "c.yaml:4:81: timout: unknown key\n"
         "c.yaml:4:93: nonsense: unknown key\n"},
        {VAULT("auth: {method: token, token_file: /t}, proxi: 'http://p'"),
         "c.yaml:4:81: unknown key `proxi`: did you mean `proxy`?\n"},
        {VAULT("auth: {method: cert}"),
         "c.yaml:4:3: `cert_file` and `key_file` are missing: the login presents them\n"},
        {VAULT("auth: {method: cert}, cert_file: /c"),
         "c.yaml:4:75: `cert_file` and `key_file` need each other\n"},
        {VAULT("namespace: a"),
         "c.yaml:4:3: auth: an object is expected, such as {method: approle, role_id_file: …, "
         "secret_id_file: …}\n"},
        {VAULT("auth: {method: token, token_file: /t, token_env: T}"),
         "c.yaml:4:80: give `token_file` or `token_env`, not both\n"},
        {VAULT("auth: {method: token, token_file: t}"),
         "c.yaml:4:76: expected an absolute path, found `t`\n"},
        {CONFIG_FIXTURE_LEAST "backends: {v: {plugin: valt, address: https://v}}\n",
         "c.yaml:3:24: there is no plugin `valt`: did you mean `vault`?\n"},
        {CONFIG_FIXTURE_LEAST "backends: {v: {plugin: valut, address: https://v}}\n",
         "c.yaml:3:24: there is no plugin `valut`: did you mean `vault`?\n"},
        {CONFIG_FIXTURE_LEAST "backends: {v: {plugin: etcd, address: https://v}}\n",
         "c.yaml:3:24: there is no plugin `etcd`; known: aws, entra, exec, gcp, github, kubernetes, localca, vault\n"},
        {CONFIG_FIXTURE_LEAST "backends: {v: {plugin: vault}}\n",
         "c.yaml:3:12: `address` is missing in a backend\n"
         "c.yaml:3:12: auth: an object is expected, such as {method: approle, role_id_file: …, "
         "secret_id_file: …}\n"},
        {CONFIG_FIXTURE_ROLE("tll: 4h"), "c.yaml:8:45: unknown key `tll`: did you mean `ttl`?\n"},
        {CONFIG_FIXTURE_LEAST CONFIG_FIXTURE_BACKEND "roles: {r: {backend: vault-prod}}\n",
         "c.yaml:8:9: path: a text is expected, such as database/creds/orders\n"},
        {CONFIG_FIXTURE_LEAST CONFIG_FIXTURE_BACKEND
         "roles: {r: {backnd: vault-prod, path: a/b}}\n",
         "c.yaml:8:13: unknown key `backnd`: did you mean `backend`?\n"},
    };

    config_fixture_expect_each(*state, mistakes, ARRAY_LEN(mistakes));
    config_fixture_expect_valid(*state, VAULT("auth: {method: cert}, cert_file: /c, key_file: /k"));
}

static void test_a_folder_is_merged_in_name_order(void **state)
{
    struct config_fixture *f = *state;
    const struct config_listener *listeners;

    config_fixture_write(f, "20.yaml", "listeners: [{unix: /b}]\nlog: {format: json}\n");
    config_fixture_write(f, "10.yaml", "listeners: [{unix: /a}]\nlog: {level: warn}\n" AUDIT);
    config_fixture_write(f, ".hidden.yaml", "nonsense\n");
    config_fixture_write(f, "old.yaml~", "nonsense\n");
    assert_int_equal(config_fixture_load(f, ""), 0);
    listeners = f->config->settings.listeners.items;
    assert_int_equal(f->config->settings.listeners.count, 2);
    assert_string_equal(listeners[0].unix_path, "/a");
    assert_string_equal(listeners[1].name, "listener-2");
    assert_int_equal(f->config->settings.log.level, LOG_LEVEL_WARN);
    assert_int_equal(f->config->settings.log.format, CONFIG_LOG_JSON);
}

static void test_mistakes_of_all_merged_files_are_reported(void **state)
{
    struct config_fixture *f = *state;

    config_fixture_write(f, "10.yaml", CONFIG_FIXTURE_LEAST "log: {level: warn}\n");
    config_fixture_write(f, "20.yaml", "log: {level: info}\nlimits: {clents: 5}\n");
    assert_int_equal(config_fixture_load(f, ""), ERR_INVALID);
    assert_string_equal(config_fixture_errors(f),
                        "20.yaml:1:7: `level` is given already at 10.yaml:3:7\n"
                        "20.yaml:2:10: unknown key `clents`: did you mean `clients`?\n");
}

static void test_what_cannot_be_read_is_told_apart_from_mistakes(void **state)
{
    struct config_fixture *f = *state;

    assert_int_equal(config_fixture_load(f, "none.yaml"), ERR_NOT_FOUND);
    assert_string_equal(config_fixture_errors(f),
                        "none.yaml: could not be read: No such file or directory\n");
    assert_int_equal(config_fixture_load(f, ""), ERR_NOT_FOUND);
    config_fixture_write(f, "c.yaml", "a: [\n");
    assert_int_equal(config_fixture_load(f, "c.yaml"), ERR_INVALID);
    assert_int_equal(f->errors.count, 1);
}

static void test_a_file_that_others_may_write_is_refused(void **state)
{
    struct config_fixture *f = *state;
    char path[128];

    config_fixture_write(f, "c.yaml", CONFIG_FIXTURE_LEAST);
    (void)snprintf(path, sizeof(path), "%s/c.yaml", f->folder);
    assert_int_equal(chmod(path, 0646), 0);
    assert_int_equal(config_fixture_load(f, "c.yaml"), ERR_INVALID);
    assert_string_equal(config_fixture_errors(f),
                        "c.yaml: others may write it (mode 0646): chmod o-w\n");
    assert_int_equal(chmod(path, 0664), 0);
    assert_int_equal(config_fixture_load(f, "c.yaml"), 0);
}

static void test_missing_secret_files_are_warned_of(void **state)
{
    struct config_fixture *f = *state;
    char path[128];
    struct yaml_errors warnings;
    struct config_options options = {.path = path, .registry = f->registry, .warnings = &warnings};

    config_fixture_expect_valid(f, VAULT("auth: {method: token, token_file: '%D/t'}"));
    (void)snprintf(path, sizeof(path), "%s/c.yaml", f->folder);
    config_free(f->config);
    f->config = NULL;
    yaml_errors_init(&warnings);
    assert_int_equal(config_load(&options, &f->config, &f->errors), 0);
    assert_non_null(
        strstr(buf_str(&warnings.text).ptr, "c.yaml:4:76: warning: there is no file `"));
    yaml_errors_fini(&warnings);
    config_free(f->config);
    f->config = NULL;
    config_fixture_write(f, "t", "secret");
    yaml_errors_init(&warnings);
    assert_int_equal(config_load(&options, &f->config, &f->errors), 0);
    assert_null(strstr(buf_str(&warnings.text).ptr, "there is no file"));
    yaml_errors_fini(&warnings);
}

static void test_variables_that_hold_secrets_are_known(void **state)
{
    struct config_fixture *f = *state;

    config_fixture_expect_valid(
        f, CONFIG_FIXTURE_LEAST
        "backends:\n"
        "  a: {plugin: vault, address: https://a, auth: {method: token, token_env: A}}\n"
        "  b: {plugin: vault, address: https://b,\n"
        "      auth: {method: approle, role_id_env: B, secret_id_env: C}}\n");
    assert_int_equal(f->config->env_name_count, 3);
    assert_string_equal(f->config->env_names[0], "A");
    assert_string_equal(f->config->env_names[2], "C");
}

static void test_plugins_that_cannot_be_loaded_are_named(void **state)
{
    struct config_fixture *f = *state;

    config_fixture_write(f, "c.yaml",
                         CONFIG_FIXTURE_LEAST "plugins: {path: '%D', load: [one, two]}\n");
    assert_int_equal(config_fixture_load(f, "c.yaml"), ERR_INVALID);
    assert_int_equal(f->errors.count, 2);
    assert_non_null(strstr(config_fixture_errors(f), "one"));
    assert_non_null(strstr(config_fixture_errors(f), "two"));
}

static void test_files_of_containers_have_a_place_for_the_id(void **state)
{
    static const struct config_mistake mistakes[] = {
        {CONFIG_FIXTURE_LEAST "containers: [{file: /run/config.json, image: /image}]\n",
         "c.yaml:3:21: it has no ${container} in it, which stands for the container's id\n"},
        {CONFIG_FIXTURE_LEAST "containers: [{file: \"run/${container}\", image: /image}]\n",
         "c.yaml:3:21: it is no absolute path\n"},
        {CONFIG_FIXTURE_LEAST "containers: [{file: \"/run/${container}\", image: image}]\n",
         "c.yaml:3:49: expected the way to a member of the file's JSON, such as "
         "/Config/Image\n"},
        {CONFIG_FIXTURE_LEAST "containers: [{file: \"/run/${container}\"}]\n",
         "c.yaml:3:14: `image` is missing in containers\n"},
    };
    struct config_fixture *f = *state;

    config_fixture_expect_each(f, mistakes, ARRAY_LEN(mistakes));
    config_fixture_expect_valid(f, CONFIG_FIXTURE_LEAST
                                "containers: [{file: \"/run/${container}\", image: /image}]\n");
    assert_string_equal(f->config->containers[0].file, "/run/${container}");
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_whole_configuration_is_read),
        TEST(test_the_least_has_defaults_for_all_else),
        TEST(test_ten_mistakes_are_ten_errors_in_one_go),
        TEST(test_addresses_are_tls_or_local),
        TEST(test_there_is_always_an_allowance_for_clocks),
        TEST(test_audit_sinks_are_real_and_apart),
        TEST(test_a_ledger_is_a_file_with_an_absolute_path),
        TEST(test_a_plugin_complains_at_the_place),
        TEST(test_files_of_containers_have_a_place_for_the_id),
        TEST(test_a_folder_is_merged_in_name_order),
        TEST(test_mistakes_of_all_merged_files_are_reported),
        TEST(test_what_cannot_be_read_is_told_apart_from_mistakes),
        TEST(test_a_file_that_others_may_write_is_refused),
        TEST(test_missing_secret_files_are_warned_of),
        TEST(test_variables_that_hold_secrets_are_known),
        TEST(test_plugins_that_cannot_be_loaded_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
