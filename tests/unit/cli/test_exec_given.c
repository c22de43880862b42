/* `lease exec`: credentials as files, and what stands in place of them for clients that fetch them
 * themselves. */
#include "exec_daemon.h"

#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_a_file_has_the_bare_value_and_the_environment_its_path(void **state)
{
    const struct lease_result *result =
        EXEC("orders-db", "--file", "password=PW_FILE", "--", "sh", "-c",
             "{ cat $PW_FILE; echo; stat -Lc '%a %F' $PW_FILE; echo \"[$ORDERS_DB_PASSWORD]\" "
             "$ORDERS_DB_USERNAME; echo x 2>/dev/null >>$PW_FILE || echo sealed; } > $OUT");

    (void)state;
    assert_string_equal(result->err, "");
    assert_int_equal(result->exit_code, 0);
    exec_assert_out("s3 'cret\n600 regular file\n[] bob\nsealed\n");
}

static void test_a_path_is_good_for_any_process_of_the_program(void **state)
{
    (void)state;
    assert_int_equal(EXEC("orders-db", "other", "--file", "other.username=U", "--", "sh", "-c",
                          "(env -i sh -c \"exec 3<&- 4<&- 5<&- 6<&- 7<&-; cat $U\") > $OUT")
                         ->exit_code,
                     0);
    exec_assert_out("bob");
}

static void test_a_file_of_a_format_takes_the_role_out_of_the_environment(void **state)
{
    const struct lease_result *result =
        EXEC("orders-db", "--file", ":dotenv=ENV_FILE", "--map", "username=U", "--", "sh", "-c",
             "{ grep -c PASSWORD $ENV_FILE; echo \"[$ORDERS_DB_PASSWORD$ORDERS_DB_USERNAME]\" $U; "
             "} > $OUT");

    (void)state;
    assert_string_equal(result->err, "");
    exec_assert_out("1\n[] bob\n");
}

static void test_a_path_is_gone_with_lease(void **state)
{
    char path[256] = "";
    FILE *file;

    (void)state;
    assert_int_equal(EXEC("orders-db", "--file", "password=PW_FILE", "--", "sh", "-c",
                          "echo $PW_FILE > $OUT")
                         ->exit_code,
                     0);
    file = fopen(exec_out_path, "re");
    assert_non_null(file);
    assert_non_null(fgets(path, sizeof(path), file));
    (void)fclose(file);
    path[strcspn(path, "\n")] = '\0';
    assert_memory_equal(path, "/proc/", 6);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_a_template_has_fields_of_all_roles(void **state)
{
    char option[160];
    char path[96];
    FILE *file;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/template", exec_daemon.folder);
    file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs("${orders-db.username}+${other.password}", file);
    (void)fclose(file);
    (void)snprintf(option, sizeof(option), ":template=%s=TEXT", path);
    assert_int_equal(EXEC("orders-db", "other", "--file", option, "--", "sh", "-c",
                          "{ cat $TEXT; echo \"[$OTHER_PASSWORD]\"; } > $OUT")
                         ->exit_code,
                     0);
    (void)unlink(path);
    exec_assert_out("bob+s3 'cret[]\n");
}

static void test_an_sdk_of_aws_gets_endpoint_and_token_instead_of_keys(void **state)
{
    const struct lease_result *result;

    (void)state;
    assert_int_equal(setenv("AWS_PROFILE", "stale", 1), 0);
    assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "stale", 1), 0);
    result = EXEC("s3", "--aws", "endpoint", "--", "sh", "-c",
                  "env | grep ^AWS_ | grep -v ^AWS_CA_ | sort > $OUT");
    (void)unsetenv("AWS_PROFILE");
    (void)unsetenv("AWS_SECRET_ACCESS_KEY");
    assert_string_equal(result->err, "");
    exec_assert_out("AWS_CONTAINER_AUTHORIZATION_TOKEN=g-1.t0ken\n"
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:1/aws/credentials/s3\n"
                    "AWS_SHARED_CREDENTIALS_FILE=/dev/null\n");
    assert_int_equal(fake_daemon_count(&exec_daemon, "\"token\":true}"), 1);
}

static void test_an_sdk_of_aws_gets_a_process_to_run_and_the_token_for_it(void **state)
{
    const struct lease_result *result =
        EXEC("s3", "--aws", "process", "--", "sh", "-c",
             "{ echo $LEASED_GRANT; env | grep ^AWS_ | grep -v ^AWS_CA_ | cut -d= -f1 | sort; "
             "sed 's/\"[^\"]*\"/X/g' $AWS_CONFIG_FILE; } > $OUT");

    (void)state;
    assert_string_equal(result->err, "");
    exec_assert_out("g-1.t0ken\nAWS_CONFIG_FILE\nAWS_SHARED_CREDENTIALS_FILE\n[default]\n"
                    "credential_process = X aws-credentials s3 --socket X\n");
}

/* `lease get` and the like, which a program of `lease exec` runs, read its grant. */
static void test_the_token_of_the_grant_is_brought_back(void **state)
{
    (void)state;
    assert_int_equal(setenv("LEASED_GRANT", "g-1.t0ken", 1), 0);
    (void)RUN_LEASE(&exec_daemon, "get", "s3");
    (void)unsetenv("LEASED_GRANT");
    assert_int_equal(fake_daemon_count(&exec_daemon, "X-Leased-Grant: g-1.t0ken\r\n"), 1);
}

static void test_grants_are_not_those_of_a_lease_exec_around_it(void **state)
{
    (void)state;
    assert_int_equal(setenv("LEASED_GRANT", "g-0.0uter", 1), 0);
    assert_int_equal(EXEC("s3", "--", "sh", "-c", "echo \"[$LEASED_GRANT]\" > $OUT")->exit_code, 0);
    (void)unsetenv("LEASED_GRANT");
    assert_int_equal(fake_daemon_count(&exec_daemon, "X-Leased-Grant"), 0);
    exec_assert_out("[]\n");
}

static void test_other_clients_get_address_and_token(void **state)
{
    const struct lease_result *result;

    (void)state;
    assert_int_equal(setenv("VAULT_AGENT_ADDR", "http://stale", 1), 0);
    assert_int_equal(setenv("GOOGLE_APPLICATION_CREDENTIALS", "/stale", 1), 0);
    assert_int_equal(setenv("AZURE_CLIENT_SECRET", "stale", 1), 0);
    result =
        EXEC("cloud", "--vault", "--gcp", "--azure", "--", "sh", "-c",
             "env | grep -E '^(VAULT|BAO|GCE|GOOGLE|AZURE|IDENTITY|CLOUD_ACCESS)_' | sort > $OUT");
    (void)unsetenv("VAULT_AGENT_ADDR");
    (void)unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
    (void)unsetenv("AZURE_CLIENT_SECRET");
    assert_string_equal(result->err, "");
    exec_assert_out(
        "BAO_ADDR=http://127.0.0.1:1\nBAO_TOKEN=g-1.t0ken\nGCE_METADATA_HOST=127.0.0.1:2\n"
        "GCE_METADATA_IP=127.0.0.1:2\n"
        "IDENTITY_ENDPOINT=http://127.0.0.1:3/azure/token/cloud\nIDENTITY_HEADER=g-1.t0ken\n"
        "VAULT_ADDR=http://127.0.0.1:1\nVAULT_TOKEN=g-1.t0ken\n");
}

static void test_what_leased_does_not_serve_is_told_before_the_program_runs(void **state)
{
    const struct lease_result *result = EXEC("s3", "--vault", "--", "sh", "-c", "echo > $OUT");

    (void)state;
    assert_int_equal(result->exit_code, CLI_EXEC_FAILED);
    assert_non_null(strstr(result->err, "serve: [vault] is missing"));
    result = EXEC("cloud", "--aws", "endpoint", "--", "sh", "-c", "echo > $OUT");
    assert_int_equal(result->exit_code, CLI_EXEC_FAILED);
    assert_non_null(strstr(result->err, "no role here has a credential of that kind"));
    result = EXEC("s3", "--aws", "nonsense", "--", "true");
    assert_int_equal(result->exit_code, CLI_EXEC_FAILED);
    assert_int_equal(access(exec_out_path, F_OK), -1);
}

static void test_files_that_cannot_be_are_told_before_the_program_runs(void **state)
{
    const struct lease_result *result =
        EXEC("orders-db", "other", "--file", "password=P", "--", "true");

    (void)state;
    assert_int_equal(result->exit_code, CLI_EXEC_FAILED);
    assert_non_null(strstr(result->err, "both orders-db and other have this field"));
    result = EXEC("orders-db", "--file", "nothing=P", "--", "true");
    assert_int_equal(result->exit_code, CLI_EXEC_FAILED);
    assert_non_null(strstr(result->err, "there is no such field"));
    result = EXEC("orders-db", "--file", "password=ORDERS_DB_USERNAME", "--", "true");
    assert_non_null(strstr(result->err, "both claim the variable ORDERS_DB_USERNAME"));
    assert_null(strstr(result->err, "cret"));
}

#define EXEC_TEST(test) cmocka_unit_test_setup_teardown(test, exec_daemon_start, exec_daemon_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXEC_TEST(test_a_file_has_the_bare_value_and_the_environment_its_path),
        EXEC_TEST(test_a_path_is_good_for_any_process_of_the_program),
        EXEC_TEST(test_a_file_of_a_format_takes_the_role_out_of_the_environment),
        EXEC_TEST(test_a_path_is_gone_with_lease),
        EXEC_TEST(test_a_template_has_fields_of_all_roles),
        EXEC_TEST(test_an_sdk_of_aws_gets_endpoint_and_token_instead_of_keys),
        EXEC_TEST(test_an_sdk_of_aws_gets_a_process_to_run_and_the_token_for_it),
        EXEC_TEST(test_the_token_of_the_grant_is_brought_back),
        EXEC_TEST(test_grants_are_not_those_of_a_lease_exec_around_it),
        EXEC_TEST(test_other_clients_get_address_and_token),
        EXEC_TEST(test_what_leased_does_not_serve_is_told_before_the_program_runs),
        EXEC_TEST(test_files_that_cannot_be_are_told_before_the_program_runs),
    };

    if (client_global_init() != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
