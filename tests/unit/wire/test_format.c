/* Formats of credentials: what each consumer of a format would read back is what the issuer gave.
 */
#include "format_checks.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_is_no_credential(const char *text, const char *part)
{
    struct format_credential credential;
    struct err e = {0};

    assert_int_equal(format_credential_parse(str_of(text), &credential, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, part));
    assert_int_equal(mem_in_use_bytes(), 0);
}

static void test_variables_are_role_and_field_in_capitals(void **state)
{
    (void)state;
    format_assert_renders(
        format_with_password("\"s3cret\""), "env",
        "ORDERS_DB_USERNAME=bob\nORDERS_DB_PASSWORD=s3cret\nORDERS_DB_PORT=5432\n");
}

static void test_variables_of_the_role_come_first(void **state)
{
    (void)state;
    format_assert_renders(
        format_parsed("{\"role\":\"db\",\"credential\":{\"username\":\"bob\",\"x.y\":\"1\"},"
                      "\"env\":{\"username\":\"PGUSER\"}}"),
        "env", "PGUSER=bob\nDB_X_Y=1\n");
}

static void test_aws_credentials_have_the_variables_that_aws_reads(void **state)
{
    (void)state;
    format_assert_renders(format_parsed(
                              "{\"role\":\"s3\",\"env\":{\"region\":\"AWS_DEFAULT_REGION\"},"
                              "\"credential\":{\"access_key_id\":\"A\",\"secret_access_key\":\"S\","
                              "\"session_token\":\"T\",\"expiration\":\"E\",\"region\":\"r\","
                              "\"arn\":\"x\"}}"),
                          "env",
                          "AWS_ACCESS_KEY_ID=A\nAWS_SECRET_ACCESS_KEY=S\nAWS_SESSION_TOKEN=T\n"
                          "AWS_CREDENTIAL_EXPIRATION=E\nAWS_DEFAULT_REGION=r\nS3_ARN=x\n");
    /* A key alone, or a token of something else, is nothing of AWS's. */
    format_assert_renders(format_parsed("{\"role\":\"x\",\"credential\":{\"session_token\":\"T\","
                                        "\"access_key_id\":\"A\"}}"),
                          "env", "X_SESSION_TOKEN=T\nX_ACCESS_KEY_ID=A\n");
}

static void test_a_mapped_field_has_the_chosen_variable(void **state)
{
    struct format_credential credential = format_with_password("\"x\"");

    (void)state;
    assert_int_equal(format_credential_map(&credential, STR("password"), STR("PGPASSWORD")), 0);
    assert_int_equal(format_credential_map(&credential, STR("pass"), STR("A")), ERR_NOT_FOUND);
    assert_int_equal(format_credential_map(&credential, STR("password"), STR("A-B")), ERR_INVALID);
    format_assert_renders(credential, "env",
                          "ORDERS_DB_USERNAME=bob\nPGPASSWORD=x\nORDERS_DB_PORT=5432\n");
}

static void test_env_refuses_a_value_with_a_line_break(void **state)
{
    (void)state;
    format_assert_refused(format_with_password("\"a\\nb\""), "env", ERR_INVALID,
                          "'password' has a line break");
    format_assert_refused(format_with_password("\"a\\rb\""), "env", ERR_INVALID,
                          "'password' has a line break");
}

static void test_a_name_that_no_shell_takes_is_refused(void **state)
{
    (void)state;
    format_assert_refused(format_parsed("{\"role\":\"2fa\",\"credential\":{\"pin\":\"1\"}}"),
                          "shell", ERR_INVALID, "'2FA_PIN' is no name for a variable");
    format_assert_refused(
        format_parsed("{\"role\":\"a\",\"credential\":{\"b\":\"1\"},\"env\":{\"b\":\"X;reboot\"}}"),
        "shell", ERR_INVALID, "is no name for a variable");
}

static void test_field_is_the_bare_value(void **state)
{
    (void)state;
    format_assert_renders(format_with_password("\"a\\nb\""), "field=password", "a\nb");
    format_assert_renders(format_with_password("\"x\""), "field=port", "5432");
    format_assert_refused(format_with_password("\"x\""), "field=pass", ERR_NOT_FOUND,
                          "there are: username, password, port");
}

static void test_table_cannot_drive_the_terminal(void **state)
{
    (void)state;
    format_assert_renders(
        format_with_password("\"a\\u001b[31m\\u0007\\u009b\\u007f\\u00e4\""), "table",
        "role      orders-db\nlease     l-1\ngrant     g-1\n"
        "expires   2026-11-22T20:35:00.000Z\n\n"
        "username  bob\npassword  a\\x1b[31m\\x07\\x9b\\x7f\xC3\xA4\nport      5432\n");
}

static void test_table_shows_what_hides_its_order(void **state)
{
    (void)state;
    format_assert_renders(
        format_parsed(
            "{\"role\":\"r\",\"credential\":{\"a\":\"1\\u202e2\\u061c\\u2028\\u2066\\u20ac\"}}"),
        "table", "role     r\n\na        1\\u202e2\\u061c\\u2028\\u2066\xE2\x82\xAC\n");
}

static void test_bytes_that_are_no_text_are_visible(void **state)
{
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 100);
    format_add_visible(&out, STR("a\x9b\xC3"));
    assert_string_equal(buf_str(&out).ptr, "a\\x9b\\xc3");
}

static void test_table_makes_names_visible_too(void **state)
{
    (void)state;
    format_assert_renders(format_parsed("{\"role\":\"r\",\"credential\":{\"a\\u001bb\":\"1\"}}"),
                          "table", "role     r\n\na\\x1bb      1\n");
}

static void test_table_keeps_lines_below_each_other(void **state)
{
    (void)state;
    format_assert_renders(
        format_parsed("{\"role\":\"tls\",\"credential\":{\"key\":\"l1\\nl2\\n\",\"no\":null}}"),
        "table", "role     tls\n\nkey      l1\n         l2\nno       \n");
}

static void test_json_keeps_what_this_version_does_not_know(void **state)
{
    (void)state;
    format_assert_renders(
        format_parsed("{\"role\":\"r\",\"new\":{\"a\":[1,true]},\"credential\":{}}"), "json",
        "{\n  \"role\": \"r\",\n  \"new\": {\n    \"a\": [\n      1,\n      true\n"
        "    ]\n  },\n  \"credential\": {}\n}\n");
}

static void test_what_is_no_credential_is_refused_without_quoting_it(void **state)
{
    struct format_credential credential;
    struct err e = {0};

    (void)state;
    assert_is_no_credential("", "no JSON");
    assert_is_no_credential("[]", "no credential");
    assert_is_no_credential("{\"credential\":{}}", "no credential");
    assert_is_no_credential("{\"role\":\"x\",\"credential\":[]}", "no credential");
    assert_is_no_credential("{\"role\":\"x\",\"credential\":{\"a\":\"\\u0000\"}}", "no JSON");
    assert_int_equal(format_credential_parse(STR("{\"password\":\"hunter2\" hunter3"), &credential,
                                             &e),
                     ERR_INVALID);
    assert_null(strstr(e.text, "hunter"));
}

static void test_deep_nesting_is_refused(void **state)
{
    char text[512] = "{\"role\":\"x\",\"credential\":{\"a\":";
    size_t at = strlen(text);

    (void)state;
    memset(text + at, '[', 100);
    memset(text + at + 100, ']', 100);
    (void)snprintf(text + at + 200, 3, "}}");
    assert_is_no_credential(text, "nested too deeply");
}

static void test_more_fields_than_the_limit_are_refused(void **state)
{
    struct format_credential credential;
    BUF_AUTO text;
    int i;

    (void)state;
    buf_init(&text, FORMAT_DOCUMENT_MAX_BYTES);
    buf_add_c(&text, "{\"role\":\"x\",\"credential\":{");
    for (i = 0; i <= FORMAT_FIELDS_MAX; i++) {
        buf_printf(&text, "%s\"f%d\":1", i > 0 ? "," : "", i);
    }
    buf_add_c(&text, "}}");
    assert_int_equal(format_credential_parse(buf_str(&text), &credential, NULL), ERR_TOO_LARGE);
}

static void test_an_unknown_format_names_the_known_ones(void **state)
{
    struct format_spec spec;
    struct err e = {0};

    (void)state;
    assert_int_equal(format_spec_parse(STR("yaml"), &spec, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "dotenv, systemd, docker, pgpass"));
    assert_int_equal(format_spec_parse(STR("field="), &spec, &e), ERR_INVALID);
    assert_int_equal(format_spec_parse(STR("template"), &spec, &e), ERR_INVALID);
    assert_int_equal(format_spec_parse(STR("json=x"), &spec, &e), ERR_INVALID);
}

/* A real shell evaluates the output; nothing but a round trip proves quoting. */
static void test_shell_lines_survive_eval(void **state)
{
    static const char hard[] = "a'b\"c`id`$(id)$HOME\\n\\ ; & | > x * ? ~ ! \t end'";
    struct format_credential credential =
        format_with_password("\"a'b\\\"c`id`$(id)$HOME\\\\n\\\\ ; & | > x * ? ~ ! \\t end'\"");
    struct format_spec spec = {.kind = FORMAT_SHELL};
    char read_back[256] = "";
    BUF_AUTO script;
    FILE *shell;

    (void)state;
    buf_init(&script, FORMAT_OUTPUT_MAX_BYTES);
    assert_int_equal(format_render(&credential, &spec, &script, NULL), 0);
    assert_int_equal(setenv("SCRIPT", buf_str(&script).ptr, 1), 0);
    shell = popen("eval \"$SCRIPT\"; printf %s \"$ORDERS_DB_PASSWORD\"", "r");
    assert_non_null(shell);
    assert_int_equal(fread(read_back, 1, sizeof(read_back) - 1, shell), sizeof(hard) - 1);
    assert_int_equal(pclose(shell), 0);
    assert_string_equal(read_back, hard);
    format_credential_fini(&credential);
}

static int fail_countdown;

static int fail_one(size_t size)
{
    (void)size;
    return fail_countdown-- == 0;
}

static void test_any_allocation_may_fail(void **state)
{
    char text[512];
    struct format_credential credential;
    int status = ERR_NOMEM;
    int n;

    (void)state;
    (void)snprintf(text, sizeof(text), DOCUMENT, "[1,2]");
    for (n = 0; status != 0; n++) {
        assert_in_range(n, 0, 100);
        fail_countdown = n;
        mem_set_fail_hook(fail_one);
        status = format_credential_parse(str_of(text), &credential, NULL);
        mem_set_fail_hook(NULL);
        assert_true(status == 0 || status == ERR_NOMEM);
        assert_true(status == 0 || mem_in_use_bytes() == 0);
    }
    format_credential_fini(&credential);
    assert_int_equal(mem_in_use_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variables_are_role_and_field_in_capitals),
        cmocka_unit_test(test_variables_of_the_role_come_first),
        cmocka_unit_test(test_aws_credentials_have_the_variables_that_aws_reads),
        cmocka_unit_test(test_a_mapped_field_has_the_chosen_variable),
        cmocka_unit_test(test_env_refuses_a_value_with_a_line_break),
        cmocka_unit_test(test_a_name_that_no_shell_takes_is_refused),
        cmocka_unit_test(test_field_is_the_bare_value),
        cmocka_unit_test(test_table_cannot_drive_the_terminal),
        cmocka_unit_test(test_table_makes_names_visible_too),
        cmocka_unit_test(test_table_shows_what_hides_its_order),
        cmocka_unit_test(test_bytes_that_are_no_text_are_visible),
        cmocka_unit_test(test_table_keeps_lines_below_each_other),
        cmocka_unit_test(test_json_keeps_what_this_version_does_not_know),
        cmocka_unit_test(test_what_is_no_credential_is_refused_without_quoting_it),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_more_fields_than_the_limit_are_refused),
        cmocka_unit_test(test_an_unknown_format_names_the_known_ones),
        cmocka_unit_test(test_shell_lines_survive_eval),
        cmocka_unit_test(test_any_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
