/* `lease git-credential`, `docker-credential`, `kube-credential`, `terraform`: what is asked of the
 * daemon, and what each program hears. */
#include "fake_daemon.h"

#include "base/mem.h"
#include "cli/adapter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CREDENTIAL                                                                                 \
    "{\"role\":\"gh\",\"lease\":\"l-1\",\"grant\":\"g-1\",\"version\":1,"                          \
    "\"expires_at\":\"2026-11-22T20:35:00.000Z\",\"credential\":{\"token\":\"t0k\"}}"
#define FIND_GIT                                                                                   \
    {                                                                                              \
        "GET /leased/v1/clients/git?target=github.com%2Facme%2Fapp.git", 200, NULL,                \
            "{\"match\":\"github.com/acme/*\",\"role\":\"gh\"}", 0                                 \
    }
#define NOT_FOUND                                                                                  \
    {                                                                                              \
        "GET /leased/v1/clients/", 404, NULL, "{\"code\":\"not_found\",\"detail\":\"no\"}", 0      \
    }
#define GET_GH                                                                                     \
    {                                                                                              \
        "GET /leased/v1/credentials/gh", 200, NULL, CREDENTIAL, 0                                  \
    }
#define ASK_GIT "protocol=https\nhost=github.com\npath=acme/app.git\n"

/* What the next `lease` reads from stdin. */
static void say(const char *text)
{
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(fseek(file, 0, SEEK_SET), 0);
    assert_true(dup2(fileno(file), STDIN_FILENO) >= 0);
    assert_int_equal(lseek(STDIN_FILENO, 0, SEEK_SET), 0);
    assert_int_equal(fclose(file), 0);
}

#define WITH_DAEMON(...)                                                                           \
    struct fake_daemon daemon;                                                                     \
    const struct fake_route routes[] = {__VA_ARGS__};                                              \
    const struct lease_result *result;                                                             \
    (void)state;                                                                                   \
    fake_daemon_start(&daemon, routes, ARRAY_LEN(routes))

static void test_git_gets_the_role_of_its_url(void **state)
{
    WITH_DAEMON(FIND_GIT, GET_GH);

    say(ASK_GIT);
    result = RUN_LEASE(&daemon, "git-credential", "get");
    assert_string_equal(result->err, "");
    assert_string_equal(result->out,
                        "username=x-access-token\npassword=t0k\npassword_expiry_utc=1795379700\n");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_int_equal(fake_daemon_count(&daemon, "credentials/gh?binding=parent"), 1);
    fake_daemon_stop(&daemon);
}

static void test_git_goes_on_where_no_role_is_meant(void **state)
{
    WITH_DAEMON(NOT_FOUND);

    say(ASK_GIT);
    result = RUN_LEASE(&daemon, "git-credential", "get");
    assert_string_equal(result->err, "");
    assert_string_equal(result->out, "");
    assert_int_equal(result->exit_code, CLI_OK);
    fake_daemon_stop(&daemon);
}

static void test_git_quits_where_it_is_denied(void **state)
{
    WITH_DAEMON(FIND_GIT, {"GET /leased/v1/credentials/gh", 403, NULL,
                           "{\"code\":\"denied\",\"detail\":\"no rule\"}", 0});

    say(ASK_GIT);
    result = RUN_LEASE(&daemon, "git-credential", "get");
    assert_string_equal(result->out, "quit=1\n");
    assert_int_equal(result->exit_code, CLI_DENIED);
    fake_daemon_stop(&daemon);
}

static void test_only_the_refused_token_is_replaced(void **state)
{
    WITH_DAEMON(FIND_GIT, GET_GH,
                {"POST /leased/v1/leases/l-1/rotate", 202, NULL, "{\"lease\":\"l-1\"}", 0});

    say(ASK_GIT "username=x-access-token\npassword=old\n");
    result = RUN_LEASE(&daemon, "git-credential", "erase");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_int_equal(fake_daemon_count(&daemon, "/rotate"), 0);
    say(ASK_GIT "username=x-access-token\npassword=t0k\n");
    result = RUN_LEASE(&daemon, "git-credential", "erase");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_int_equal(fake_daemon_count(&daemon, "POST /leased/v1/leases/l-1/rotate?wait=0 "), 1);
    assert_string_equal(result->out, "");
    fake_daemon_stop(&daemon);
}

static void test_a_role_on_the_command_line_needs_no_look_up(void **state)
{
    WITH_DAEMON(GET_GH);

    say("ghcr.io\n");
    result = RUN_LEASE(&daemon, "docker-credential", "get", "--role", "gh");
    assert_string_equal(
        result->out,
        "{\"ServerURL\":\"ghcr.io\",\"Username\":\"x-access-token\",\"Secret\":\"t0k\"}\n");
    assert_int_equal(fake_daemon_count(&daemon, "/clients/"), 0);
    fake_daemon_stop(&daemon);
}

static void test_docker_hears_everything_on_stdout(void **state)
{
    WITH_DAEMON({"GET /leased/v1/clients/docker?target=ghcr.io", 503, NULL,
                 "{\"code\":\"busy\",\"detail\":\"full\"}", 0},
                NOT_FOUND);

    say("ghcr.io");
    result = RUN_LEASE(&daemon, "docker-credential", "get");
    assert_string_equal(result->err, "");
    assert_non_null(strstr(result->out, "busy"));
    assert_int_equal(result->exit_code, CLI_TEMPORARY);
    say("https://index.docker.io/v1/");
    result = RUN_LEASE(&daemon, "docker-credential", "get");
    assert_string_equal(result->out, "credentials not found in native keychain\n");
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_int_equal(fake_daemon_count(&daemon, "docker?target=docker.io "), 1);
    fake_daemon_stop(&daemon);
}

static void test_docker_lists_servers_and_no_patterns(void **state)
{
    WITH_DAEMON({"GET /leased/v1/clients/docker ", 200, NULL,
                 "{\"items\":[{\"match\":\"ghcr.io\",\"role\":\"gh\"},"
                 "{\"match\":\"*.pkg.dev\",\"role\":\"g\"}]}",
                 0});

    result = RUN_LEASE(&daemon, "docker-credential", "list");
    assert_string_equal(result->out, "{\"ghcr.io\":\"gh\"}\n");
    fake_daemon_stop(&daemon);
}

static void test_kubectl_and_terraform_get_one_object(void **state)
{
    WITH_DAEMON(GET_GH);

    result = RUN_LEASE(&daemon, "kube-credential", "gh");
    assert_string_equal(result->out,
                        "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":"
                        "\"ExecCredential\",\"status\":{\"token\":\"t0k\",\"expirationTimestamp\":"
                        "\"2026-11-22T20:35:00.000Z\"}}\n");
    say("{\"role\":\"gh\"}");
    result = RUN_LEASE(&daemon, "terraform");
    assert_string_equal(result->out, "{\"token\":\"t0k\"}\n");
    say("{\"role\":\"gh\"}");
    result = RUN_LEASE(&daemon, "terraform", "gh");
    assert_int_equal(result->exit_code, CLI_USAGE);
    assert_string_equal(result->out, "");
    fake_daemon_stop(&daemon);
}

static void test_other_names_stand_for_commands(void **state)
{
    (void)state;
    assert_string_equal(adapter_command("/usr/bin/docker-credential-leased"), "docker-credential");
    assert_string_equal(adapter_command("git-credential-leased"), "git-credential");
    assert_null(adapter_command("/usr/bin/lease"));
    assert_null(adapter_command(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_git_gets_the_role_of_its_url),
        cmocka_unit_test(test_git_goes_on_where_no_role_is_meant),
        cmocka_unit_test(test_git_quits_where_it_is_denied),
        cmocka_unit_test(test_only_the_refused_token_is_replaced),
        cmocka_unit_test(test_a_role_on_the_command_line_needs_no_look_up),
        cmocka_unit_test(test_docker_hears_everything_on_stdout),
        cmocka_unit_test(test_docker_lists_servers_and_no_patterns),
        cmocka_unit_test(test_kubectl_and_terraform_get_one_object),
        cmocka_unit_test(test_other_names_stand_for_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
