/* Formats with readers of their own: each quotes as its reader wants it, and refuses what the
 * reader can't be told. tests/e2e/test_formats.py has the readers themselves. */
#include "format_checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_dotenv_takes_the_form_that_all_dialects_read_alike(void **state)
{
    (void)state;
    format_assert_renders(
        format_parsed("{\"role\":\"d\",\"credential\":{"
                      "\"a\":\"plain\",\"b\":\"q\\\"b\\\\s\",\"c\":\"l1\\nl2\",\"d\":\"p$HOME #x\","
                      "\"e\":\"it's $5\",\"f\":\"b\\\\\\\\s\",\"g\":\"\",\"h\":\"end\\\\\"}}"),
        "dotenv",
        "D_A='plain'\nD_B='q\"b\\s'\nD_C='l1\nl2'\nD_D='p$HOME #x'\n"
        "D_E=\"it's $5\"\nD_F=b\\\\s\nD_G=''\nD_H=end\\\n");
}

static void test_dotenv_escapes_only_what_no_common_form_holds(void **state)
{
    (void)state;
    format_assert_renders(format_parsed("{\"role\":\"d\",\"credential\":{"
                                        "\"a\":\"'\\\"\",\"b\":\"l1\\r\\nl2\",\"c\":\"'\\\\ x\"}}"),
                          "dotenv", "D_A=\"'\\\"\"\nD_B=\"l1\\r\\nl2\"\nD_C=\"'\\\\ x\"\n");
}

static void test_dotenv_refuses_what_its_readers_would_change(void **state)
{
    (void)state;
    format_assert_refused(format_with_password("\"a${b}\""), "dotenv", ERR_INVALID,
                          "the value of 'password' has ${ in it");
    format_assert_refused(format_with_password("\"a 'b\\\\\""), "dotenv", ERR_INVALID,
                          "the value of 'password' ends with a backslash");
}

static void test_systemd_escapes_between_double_quotes(void **state)
{
    (void)state;
    format_assert_renders(format_with_password("\"a\\\"b\\\\c`d$e'f\\ng ;#\""), "systemd",
                          "ORDERS_DB_USERNAME=\"bob\"\n"
                          "ORDERS_DB_PASSWORD=\"a\\\"b\\\\c\\`d\\$e'f\ng ;#\"\n"
                          "ORDERS_DB_PORT=\"5432\"\n");
}

static void test_docker_takes_everything_but_line_breaks_as_it_is(void **state)
{
    char text[70000];
    size_t at;

    (void)state;
    format_assert_renders(format_with_password("\" 'a\\\"# $b \""), "docker",
                          "ORDERS_DB_USERNAME=bob\nORDERS_DB_PASSWORD= 'a\"# $b \n"
                          "ORDERS_DB_PORT=5432\n");
    format_assert_refused(format_with_password("\"a\\nb\""), "docker", ERR_INVALID,
                          "the value of 'password' has a line break");
    format_assert_refused(format_with_password("\"a\\r\""), "docker", ERR_INVALID,
                          "the value of 'password' has a line break");
    (void)snprintf(text, sizeof(text), "{\"role\":\"d\",\"credential\":{\"a\":\"");
    at = strlen(text);
    memset(text + at, 'x', 65535);
    (void)snprintf(text + at + 65535, 8, "\"}}");
    format_assert_refused(format_parsed(text), "docker", ERR_INVALID, "is longer than a line");
}

static void test_pgpass_escapes_and_has_stars_for_what_is_not_known(void **state)
{
    (void)state;
    format_assert_renders(format_with_password("\"a:b\\\\c #\""), "pgpass",
                          "*:5432:*:bob:a\\:b\\\\c #\n");
    format_assert_renders(format_parsed(
                              "{\"role\":\"d\",\"credential\":{\"user\":\"u\",\"password\":\"p\","
                              "\"host\":\"::1\",\"database\":\"o\"}}"),
                          "pgpass", "\\:\\:1:*:o:u:p\n");
}

static void test_pgpass_of_a_socket_also_stands_for_localhost(void **state)
{
    (void)state;
    format_assert_renders(
        format_parsed("{\"role\":\"d\",\"credential\":{\"username\":\"u\",\"password\":\"p\","
                      "\"host\":\"/run/pg\"}}"),
        "pgpass", "/run/pg:*:*:u:p\nlocalhost:*:*:u:p\n");
}

static void test_pgpass_refuses_what_it_cannot_hold(void **state)
{
    (void)state;
    format_assert_refused(format_with_password("\"a\\nb\""), "pgpass", ERR_INVALID,
                          "the value of 'password' has a line break");
    format_assert_refused(format_parsed("{\"role\":\"d\",\"credential\":{\"token\":\"t\"}}"),
                          "pgpass", ERR_INVALID, "no login of PostgreSQL");
    format_assert_refused(format_parsed("{\"role\":\"d\",\"credential\":{\"username\":\"u\","
                                        "\"password\":\"p\",\"host\":\"#h\"}}"),
                          "pgpass", ERR_INVALID, "'host' begins with #");
}

static void test_pgservice_is_a_section_of_the_roles_name(void **state)
{
    (void)state;
    format_assert_renders(
        format_parsed(
            "{\"role\":\"d\",\"credential\":{\"username\":\"u\",\"password\":\" p'\\\"=\","
            "\"host\":\"h\",\"port\":5432,\"dbname\":\"o\",\"other\":\"x\","
            "\"options\":\"\"}}"),
        "pgservice", "[d]\nhost=h\nport=5432\ndbname=o\nuser=u\npassword= p'\"=\n");
}

static void test_pgservice_refuses_what_it_would_lose(void **state)
{
    char text[1200] = "\"";

    (void)state;
    format_assert_refused(format_with_password("\"p \""), "pgservice", ERR_INVALID,
                          "the value of 'password' ends with a blank");
    format_assert_refused(format_with_password("\"a\\nb\""), "pgservice", ERR_INVALID,
                          "the value of 'password' has a line break");
    memset(text + 1, 'x', 1001);
    text[1002] = '"';
    format_assert_refused(format_parsed("{\"role\":\"d\",\"credential\":{}}"), "pgservice",
                          ERR_INVALID, "no login of PostgreSQL");
    {
        char document[1400];

        (void)snprintf(document, sizeof(document),
                       "{\"role\":\"d\",\"credential\":{\"username\":\"u\",\"password\":%s}}",
                       text);
        format_assert_refused(format_parsed(document), "pgservice", ERR_INVALID,
                              "is longer than a line");
    }
}

static void test_aws_is_the_default_profile_and_one_of_the_roles_name(void **state)
{
    (void)state;
    format_assert_renders(
        format_parsed("{\"role\":\"s3\",\"credential\":{\"access_key_id\":\"A\","
                      "\"secret_access_key\":\"S/+=\",\"session_token\":\"T\",\"arn\":\"x\"}}"),
        "aws",
        "[default]\naws_access_key_id = A\naws_secret_access_key = S/+=\naws_session_token = T\n\n"
        "[s3]\naws_access_key_id = A\naws_secret_access_key = S/+=\naws_session_token = T\n");
    format_assert_renders(format_parsed("{\"role\":\"default\",\"credential\":{"
                                        "\"access_key_id\":\"A\",\"secret_access_key\":\"S\","
                                        "\"region\":\"eu\"}}"),
                          "aws",
                          "[default]\naws_access_key_id = A\naws_secret_access_key = S\n"
                          "region = eu\n");
}

static void test_aws_refuses_what_is_none(void **state)
{
    (void)state;
    format_assert_refused(format_with_password("\"x\""), "aws", ERR_INVALID,
                          "no credential of AWS: it has no 'access_key_id'");
    format_assert_refused(format_parsed("{\"role\":\"s3\",\"credential\":{\"access_key_id\":\"A\","
                                        "\"secret_access_key\":\"S\\n[x]\"}}"),
                          "aws", ERR_INVALID, "the value of 'secret_access_key' has a blank");
}

static void test_raw_is_the_secret_alone(void **state)
{
    (void)state;
    format_assert_renders(format_with_password("\"a\\nb\""), "raw", "a\nb");
    format_assert_renders(format_parsed("{\"role\":\"k\",\"credential\":{\"any\":\"x\"}}"), "raw",
                          "x");
    format_assert_renders(format_parsed(
                              "{\"role\":\"g\",\"credential\":{\"token\":\"t\",\"type\":\"b\"}}"),
                          "raw", "t");
}

static void test_raw_does_not_guess(void **state)
{
    (void)state;
    format_assert_refused(
        format_parsed("{\"role\":\"g\",\"credential\":{\"token\":\"t\",\"password\":\"p\"}}"),
        "raw", ERR_INVALID, "both 'password' and 'token'");
    format_assert_refused(format_parsed(
                              "{\"role\":\"g\",\"credential\":{\"a\":\"t\",\"b\":\"p\"}}"),
                          "raw", ERR_INVALID, "choose with -o field=NAME");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dotenv_takes_the_form_that_all_dialects_read_alike),
        cmocka_unit_test(test_dotenv_escapes_only_what_no_common_form_holds),
        cmocka_unit_test(test_dotenv_refuses_what_its_readers_would_change),
        cmocka_unit_test(test_systemd_escapes_between_double_quotes),
        cmocka_unit_test(test_docker_takes_everything_but_line_breaks_as_it_is),
        cmocka_unit_test(test_pgpass_escapes_and_has_stars_for_what_is_not_known),
        cmocka_unit_test(test_pgpass_of_a_socket_also_stands_for_localhost),
        cmocka_unit_test(test_pgpass_refuses_what_it_cannot_hold),
        cmocka_unit_test(test_pgservice_is_a_section_of_the_roles_name),
        cmocka_unit_test(test_pgservice_refuses_what_it_would_lose),
        cmocka_unit_test(test_aws_is_the_default_profile_and_one_of_the_roles_name),
        cmocka_unit_test(test_aws_refuses_what_is_none),
        cmocka_unit_test(test_raw_is_the_secret_alone),
        cmocka_unit_test(test_raw_does_not_guess),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
