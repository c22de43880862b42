/* `lease aws-credentials` and `lease gcp-credentials`: what SDKs read, and what they are told when
 * there is nothing. */
#include "fake_daemon.h"

#include "base/mem.h"
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define GET "GET /leased/v1/credentials/cloud"
#define ANSWER(until, fields)                                                                      \
    "{\"role\":\"cloud\",\"lease\":\"l-1\",\"grant\":\"g-1\",\"version\":1,"                       \
    "\"expires_at\":\"2026-11-22T21:35:00.750Z\",\"until\":" until ",\"credential\":{" fields "}}"
#define SESSION                                                                                    \
    "\"access_key_id\":\"ASIA1\",\"secret_access_key\":\"k/+\",\"session_token\":\"t==\""
#define DENIED "{\"code\":\"denied\",\"detail\":\"no rule allows it\",\"hint\":\"ask an operator\"}"
#define TYPE "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE"
#define JWT "urn:ietf:params:oauth:token-type:jwt"
#define WITH_DAEMON(...)                                                                           \
    struct fake_daemon daemon;                                                                     \
    const struct fake_route routes[] = {__VA_ARGS__};                                              \
    const struct lease_result *result;                                                             \
    (void)state;                                                                                   \
    fake_daemon_start(&daemon, routes, ARRAY_LEN(routes))

static int forget_variables(void **state)
{
    (void)state;
    (void)unsetenv(TYPE);
    (void)unsetenv("GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE");
    (void)unsetenv("GOOGLE_EXTERNAL_ACCOUNT_REVOKE");
    return 0;
}

static void test_aws_gets_version_one(void **state)
{
    WITH_DAEMON({GET, 200, NULL, ANSWER("null", SESSION), 0});

    result = RUN_LEASE(&daemon, "aws-credentials", "cloud");
    assert_string_equal(result->err, "");
    assert_string_equal(result->out,
                        "{\"Version\":1,\"AccessKeyId\":\"ASIA1\",\"SecretAccessKey\":\"k/+\","
                        "\"SessionToken\":\"t==\",\"Expiration\":\"2026-11-22T21:35:00Z\"}\n");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_int_equal(fake_daemon_count(&daemon, GET "?binding=parent HTTP/1.1"), 1);
    fake_daemon_stop(&daemon);
}

static void test_aws_is_told_the_end_of_the_grant_where_that_comes_first(void **state)
{
    WITH_DAEMON({GET, 200, NULL, ANSWER("\"2026-11-22T21:05:00.000Z\"", SESSION), 0});

    result = RUN_LEASE(&daemon, "aws-credentials", "cloud");
    assert_non_null(strstr(result->out, "\"Expiration\":\"2026-11-22T21:05:00Z\""));
    fake_daemon_stop(&daemon);
}

static void test_aws_reads_vaults_engine_and_keys_without_a_token(void **state)
{
    WITH_DAEMON({GET, 200, NULL,
                 ANSWER("null", "\"access_key\":\"AKIA1\",\"secret_key\":\"k\","
                                "\"security_token\":null"),
                 0});

    result = RUN_LEASE(&daemon, "aws-credentials", "cloud");
    assert_non_null(strstr(result->out, "\"AccessKeyId\":\"AKIA1\",\"SecretAccessKey\":\"k\","
                                        "\"Expiration\""));
    fake_daemon_stop(&daemon);
}

static void test_aws_sees_nothing_but_the_failure(void **state)
{
    WITH_DAEMON({GET, 403, NULL, DENIED, 1}, {GET, 200, NULL, ANSWER("null", "\"a\":\"b\""), 0});

    result = RUN_LEASE(&daemon, "aws-credentials", "cloud");
    assert_int_equal(result->exit_code, CLI_DENIED);
    assert_string_equal(result->out, "");
    assert_non_null(strstr(result->err, "no rule allows it"));
    result = RUN_LEASE(&daemon, "aws-credentials", "cloud");
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_string_equal(result->out, "");
    assert_non_null(strstr(result->err, "no AWS credentials"));
    fake_daemon_stop(&daemon);
}

static void test_google_gets_version_one(void **state)
{
    WITH_DAEMON({GET, 200, NULL, ANSWER("null", "\"id_token\":\"eyJ.a.b\""), 0});

    assert_int_equal(setenv(TYPE, JWT, 1), 0);
    result = RUN_LEASE(&daemon, "gcp-credentials", "cloud");
    assert_string_equal(result->err, "");
    assert_string_equal(result->out, "{\"version\":1,\"success\":true,\"token_type\":\"" JWT "\","
                                     "\"id_token\":\"eyJ.a.b\",\"expiration_time\":1795383300}\n");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_int_equal(setenv(TYPE, "urn:ietf:params:oauth:token-type:saml2", 1), 0);
    result = RUN_LEASE(&daemon, "gcp-credentials", "cloud");
    assert_non_null(strstr(result->out, "\"success\":false"));
    fake_daemon_stop(&daemon);
}

/* They take stderr for a part of stdout, and another exit code hides the reason. */
static void test_google_reads_a_failure_out_of_the_answer(void **state)
{
    WITH_DAEMON({GET, 403, NULL, DENIED, 2}, {GET, 200, NULL, ANSWER("null", "\"a\":\"b\""), 0});

    assert_int_equal(setenv(TYPE, JWT, 1), 0);
    result = RUN_LEASE(&daemon, "gcp-credentials", "cloud");
    assert_string_equal(result->err, "");
    assert_string_equal(result->out,
                        "{\"version\":1,\"success\":false,\"code\":\"denied\",\"message\":\"could "
                        "not get cloud: denied: no rule allows it\"}\n");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_int_equal(unsetenv(TYPE), 0);
    result = RUN_LEASE(&daemon, "gcp-credentials", "cloud"); /* by hand */
    assert_int_equal(result->exit_code, CLI_DENIED);
    assert_non_null(strstr(result->err, "no rule allows it"));
    assert_int_equal(setenv(TYPE, JWT, 1), 0);
    result = RUN_LEASE(&daemon, "gcp-credentials", "cloud");
    assert_non_null(strstr(result->out, "gives no id_token"));
    assert_int_equal(setenv("GOOGLE_EXTERNAL_ACCOUNT_REVOKE", "1", 1), 0);
    result = RUN_LEASE(&daemon, "gcp-credentials", "cloud");
    assert_non_null(strstr(result->out, "nothing to revoke"));
    assert_int_equal(setenv(TYPE, "urn:other", 1), 0);
    result = RUN_LEASE(&daemon, "gcp-credentials", "cloud");
    assert_non_null(strstr(result->out, "urn:other isn't one"));
    fake_daemon_stop(&daemon);
}

static void test_googles_cache_gets_good_answers_whole_and_private(void **state)
{
    char path[128];
    char text[512] = "";
    struct stat about;
    FILE *file;

    WITH_DAEMON({GET, 403, NULL, DENIED, 1},
                {GET, 200, NULL, ANSWER("null", "\"token\":\"eyJ.a.b\""), 0});
    (void)snprintf(path, sizeof(path), "%s/output", daemon.folder);
    assert_int_equal(setenv(TYPE, JWT, 1), 0);
    assert_int_equal(setenv("GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE", path, 1), 0);
    (void)RUN_LEASE(&daemon, "gcp-credentials", "cloud");
    assert_int_equal(access(path, F_OK), -1);
    result = RUN_LEASE(&daemon, "gcp-credentials", "cloud");
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    (void)fclose(file);
    assert_string_equal(text, result->out);
    assert_int_equal(unlink(path), 0);
    /* Where it can't be written the answer is as good. */
    assert_int_equal(setenv("GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE", "/nowhere/output", 1), 0);
    result = RUN_LEASE(&daemon, "gcp-credentials", "cloud");
    assert_non_null(strstr(result->out, "\"success\":true"));
    assert_string_equal(result->err, "");
    fake_daemon_stop(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aws_gets_version_one),
        cmocka_unit_test(test_aws_is_told_the_end_of_the_grant_where_that_comes_first),
        cmocka_unit_test(test_aws_reads_vaults_engine_and_keys_without_a_token),
        cmocka_unit_test(test_aws_sees_nothing_but_the_failure),
        cmocka_unit_test_teardown(test_google_gets_version_one, forget_variables),
        cmocka_unit_test_teardown(test_google_reads_a_failure_out_of_the_answer, forget_variables),
        cmocka_unit_test_teardown(test_googles_cache_gets_good_answers_whole_and_private,
                                  forget_variables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
