/* What is no mistake but wouldn't work on this machine: warnings, with their places. */
#include "config_fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AUDIT "audit: [{sink: stdout}]\n"
#define LISTENER "listeners: [{unix: '%D/l.sock'}]\n"
#define TLS                                                                                        \
    AUDIT "listeners: [{tcp: 127.0.0.1:1, tls: {cert_file: '%D/c', key_file: '%D/k', "             \
          "client_ca_file: '%D/c'}}]\n"
#define BACKEND(auth)                                                                              \
    "backends: {b: {plugin: vault, address: 'http://127.0.0.1:1', auth: " auth "}}\n"
#define ROLE BACKEND("{method: token, token_env: T}") "roles: {r: {backend: b, path: p}}\n"
#define POLICIES "policies:\n  rules:\n"

/* `text` is valid, and gives exactly these warnings, with the folder cut out of them. */
static void expect(struct config_fixture *f, const char *text, const char *warnings)
{
    char path[128];
    struct config_options options = {.path = path, .registry = f->registry, .warnings = &f->errors};
    struct yaml_errors errors;

    (void)snprintf(path, sizeof(path), "%s/c.yaml", f->folder);
    config_fixture_write(f, "c.yaml", text);
    config_free(f->config);
    f->config = NULL;
    yaml_errors_fini(&f->errors);
    yaml_errors_init(&errors);
    if (config_load(&options, &f->config, &errors) != 0) {
        fail_msg("%s", buf_str(&errors.text).ptr);
    }
    yaml_errors_fini(&errors);
    assert_string_equal(config_fixture_errors(f), warnings);
}

static void mode_set(const struct config_fixture *f, const char *name, mode_t mode)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_users_and_groups_of_a_socket_that_are_not_there_are_warned_of(void **state)
{
    expect(*state, AUDIT "listeners: [{unix: '%D/l', user: root, group: root}]\n", "");
    expect(*state, AUDIT "listeners: [{unix: '%D/l', user: '12345', group: '12345'}]\n", "");
    expect(*state, AUDIT "listeners:\n- unix: '%D/l'\n  user: leasd\n  group: dbaa\n",
           "c.yaml:4:9: warning: there is no user `leasd` on this machine\n"
           "c.yaml:5:10: warning: there is no group `dbaa` on this machine\n");
}

static void test_folders_that_leased_does_not_make_are_warned_of(void **state)
{
    struct config_fixture *f = *state;

    expect(f,
           "listeners: [{unix: '%D/run/l'}]\naudit: [{sink: file, path: '%D/a'}]\n"
           "state: {ledger: {sqlite: '%D/lib/l'}}\n",
           "");
    expect(f,
           "listeners:\n- unix: '%D/no/run/l'\naudit:\n- sink: file\n  path: '%D/log/a'\n"
           "state: {ledger: {sqlite: '%D/no/lib/l'}}\n",
           "c.yaml:2:9: warning: there is no folder `no` (yet): leased doesn't start without it\n"
           "c.yaml:5:9: warning: there is no folder `log` (yet): leased doesn't start without it\n"
           "c.yaml:6:26: warning: there is no folder `no` (yet): leased doesn't start without "
           "it\n");
    config_fixture_write(f, "x", "");
    expect(
        f, LISTENER "audit: [{sink: stdout}, {sink: file, path: '%D/log/a', required: false}]\n",
        "c.yaml:2:44: warning: there is no folder `log` (yet): what goes there is lost until it is "
        "there\n");
    expect(f, LISTENER "audit: [{sink: file, path: '%D/x/a'}]\n",
           "c.yaml:2:28: warning: `x` is no folder\n");
}

static void test_secrets_that_others_can_read_are_warned_of(void **state)
{
    struct config_fixture *f = *state;

    config_fixture_write(f, "t", "secret");
    mode_set(f, "t", 0640);
    expect(f, AUDIT LISTENER BACKEND("{method: token, token_file: '%D/t'}"), "");
    mode_set(f, "t", 0644);
    expect(f, AUDIT LISTENER BACKEND("{method: kubernetes, role: r, jwt_file: '%D/t'}"), "");
    expect(f, AUDIT LISTENER BACKEND("{method: token, token_file: '%D/t'}"),
           "c.yaml:3:96: warning: t is accessible to others (mode 0644): chmod 0600\n");
}

static void test_what_a_local_ca_publishes_is_no_secret_and_needn_t_be_there(void **state)
{
    static const char text[] = AUDIT LISTENER
        "backends: {ca: {plugin: localca, ca_key_file: '%D/k', ca_cert_file: '%D/c', "
        "crl_file: '%D/crl'}}\n";
    struct config_fixture *f = *state;

    config_fixture_write(f, "k", "key");
    config_fixture_write(f, "c", "certificate");
    mode_set(f, "k", 0600);
    mode_set(f, "c", 0644);
    expect(f, text, "");
    config_fixture_write(f, "crl", "list");
    mode_set(f, "crl", 0644);
    expect(f, text, "");
    mode_set(f, "k", 0644);
    expect(f, text, "c.yaml:3:47: warning: k is accessible to others (mode 0644): chmod 0600\n");
}

static void test_a_secret_that_callers_can_read_by_their_group_is_warned_of(void **state)
{
    static const char text[] =
        AUDIT "listeners: [{name: local, unix: '%%D/l', group: '%u', mode: '%s'}]\n" BACKEND(
            "{method: token, token_file: '%%D/t'}");
    struct config_fixture *f = *state;
    char made[512];
    char warning[256];

    config_fixture_write(f, "t", "secret");
    mode_set(f, "t", 0640);
    (void)snprintf(warning, sizeof(warning),
                   "c.yaml:3:96: warning: members of group `%u` may connect to listener `local` "
                   "and can read this secret: give it to the user of leased alone (mode 0600)\n",
                   getegid());
    (void)snprintf(made, sizeof(made), text, getegid(), "0660");
    expect(f, made, warning);
    (void)snprintf(made, sizeof(made), text, getegid(), "0600");
    expect(f, made, "");
    (void)snprintf(made, sizeof(made), text, getegid() + 1, "0660");
    expect(f, made, "");
    (void)snprintf(made, sizeof(made), text, getegid(), "0660");
    mode_set(f, "t", 0600);
    expect(f, made, "");
}

static void test_certificates_that_do_not_serve_are_warned_of(void **state)
{
    struct config_fixture *f = *state;

    config_fixture_write(f, "c", "no certificate");
    config_fixture_write(f, "k", "no key");
    mode_set(f, "c", 0666);
    expect(f, TLS, "c.yaml:2:32: warning: c may be written by others (mode 0666): chmod go-w\n");
    mode_set(f, "k", 0644);
    expect(f, TLS, "c.yaml:2:32: warning: k is accessible to others (mode 0644): chmod 0600\n");
}

static void test_programs_that_cannot_be_run_are_warned_of(void **state)
{
    struct config_fixture *f = *state;
    static const char text[] =
        LISTENER AUDIT "backends: {t: {plugin: exec, command: ['%D/tool']}}\n";

    expect(f, text, "c.yaml:3:40: warning: there is no program `tool`\n");
    config_fixture_write(f, "tool", "");
    expect(f, text, "c.yaml:3:40: warning: `tool` can't be run\n");
    mode_set(f, "tool", 0757);
    expect(f, text, "c.yaml:3:40: warning: others may write `tool`, which leased runs\n");
    mode_set(f, "tool", 0755);
    expect(f, text, "");
    expect(f,
           LISTENER AUDIT "backends: {t: {plugin: exec, command: ['%D/tool'],\n"
                          "  revoke_command: [/nonexistent/x], user: tooll}}\n",
           "c.yaml:4:20: warning: there is no program `/nonexistent/x`\n"
           "c.yaml:4:43: warning: there is no user `tooll` on this machine\n");
}

static void test_names_in_rules_that_nobody_has_are_warned_of(void **state)
{
    expect(*state,
           AUDIT LISTENER ROLE POLICIES
           "  - subjects: [{user: root}, {user: 'ci-*'}, {group: root}]\n"
           "    roles: [r]\n",
           "");
    expect(
        *state,
        AUDIT LISTENER ROLE POLICIES "  - subjects: [{user: root}, {user: gitlab-runer}]\n"
                                     "    roles: [r]\n"
                                     "  - subjects: [{group: dbaa}]\n"
                                     "    roles: [r]\n"
                                     "  admins:\n"
                                     "  - user: '0'\n"
                                     "  - {subjects: [{user: operatr}]}\n",
        "c.yaml:7:37: warning: there is no user `gitlab-runer` on this machine: nobody is meant\n"
        "c.yaml:9:24: warning: there is no group `dbaa` on this machine: nobody is meant\n"
        "c.yaml:12:11: warning: there is no user `0` on this machine: nobody is meant\n"
        "c.yaml:13:24: warning: there is no user `operatr` on this machine: nobody is meant\n");
}

static void test_names_in_policy_files_are_looked_up_too(void **state)
{
    config_fixture_write(*state, "p.yaml",
                         "rules:\n- subjects: [{user: gitlab-runer}]\n  roles: [r]\n");
    expect(*state, AUDIT LISTENER ROLE "policies: {path: '%D/p.yaml'}\n",
           "p.yaml:2:21: warning: there is no user `gitlab-runer` on this machine: nobody is "
           "meant\n");
}

static void test_a_policy_file_that_nothing_includes_is_warned_of(void **state)
{
    struct config_fixture *f = *state;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/p", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/p/teams", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    config_fixture_write(f, "p/a.yaml", "include: teams/a.yaml\n");
    config_fixture_write(f, "p/teams/a.yaml", "rules: []\n");
    config_fixture_write(f, "p/teams/b.yaml", "rules: []\n");
    expect(f, AUDIT LISTENER ROLE "policies: {path: '%D/p'}\n",
           "p/teams/b.yaml: warning: doesn't count: it lies in a folder below, and no `include` "
           "names it\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, config_fixture_setup, config_fixture_teardown)
        TEST(test_users_and_groups_of_a_socket_that_are_not_there_are_warned_of),
        TEST(test_folders_that_leased_does_not_make_are_warned_of),
        TEST(test_secrets_that_others_can_read_are_warned_of),
        TEST(test_what_a_local_ca_publishes_is_no_secret_and_needn_t_be_there),
        TEST(test_a_secret_that_callers_can_read_by_their_group_is_warned_of),
        TEST(test_certificates_that_do_not_serve_are_warned_of),
        TEST(test_programs_that_cannot_be_run_are_warned_of),
        TEST(test_names_in_rules_that_nobody_has_are_warned_of),
        TEST(test_names_in_policy_files_are_looked_up_too),
        TEST(test_a_policy_file_that_nothing_includes_is_warned_of),
    };

    return cmocka_run_group_tests_name("config machine", tests, NULL, NULL);
}
