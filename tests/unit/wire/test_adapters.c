/* What git, docker, kubectl and Terraform ask, and what they are answered. */
#include "format_checks.h"
#include "wire/docker_credential.h"
#include "wire/git_credential.h"
#include "wire/kube_credential.h"
#include "wire/terraform_query.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct git_question git_asked(const char *text)
{
    struct git_question question;

    assert_int_equal(git_question_parse(str_of(text), &question, NULL), 0);
    return question;
}

static void test_git_is_read_and_what_is_new_passed_over(void **state)
{
    struct git_question question =
        git_asked("capability[]=authtype\nprotocol=https\nhost=GitHub.com:8443\npath=acme/A.git\n"
                  "username=u\npassword=p=q\nwwwauth[]=Basic realm=\"x\"\n\nhost=later");
    char target[CLIENT_TARGET_MAX_BYTES + 1];

    (void)state;
    assert_true(str_eq_c(question.protocol, "https"));
    assert_true(str_eq_c(question.user, "u"));
    assert_true(str_eq_c(question.password, "p=q"));
    assert_true(git_question_target(&question, target));
    assert_string_equal(target, "github.com:8443/acme/A.git");
}

static void test_git_without_a_path_asks_for_the_host(void **state)
{
    struct git_question question = git_asked("protocol=https\r\nhost=h\r\n");
    char target[CLIENT_TARGET_MAX_BYTES + 1];

    (void)state;
    assert_true(git_question_target(&question, target));
    assert_string_equal(target, "h");
    question = git_asked("");
    assert_false(git_question_target(&question, target));
}

static void test_what_git_would_not_say_is_refused_unquoted(void **state)
{
    struct git_question question;
    struct err e = {0};

    (void)state;
    assert_int_equal(git_question_parse(STR("host=h\ncanary\n"), &question, &e), ERR_INVALID);
    assert_string_equal(e.text, "line 2 on stdin is no KEY=VALUE");
    assert_int_equal(git_question_parse(STR("host=h\0x\n"), &question, &e), ERR_INVALID);
}

static void test_git_is_answered_with_user_password_and_expiry(void **state)
{
    const struct login login = {.user = STR("u"), .password = STR("p=\"x")};
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 1024);
    git_answer_write(&out, &login, 1795379700);
    assert_string_equal(out.bytes, "username=u\npassword=p=\"x\npassword_expiry_utc=1795379700\n");
}

static void assert_login(const char *document, const char *user, const char *password)
{
    struct format_credential credential = format_parsed(document);
    struct login login;

    assert_int_equal(login_of(&credential, &login, NULL), 0);
    assert_true(str_eq_c(login.user, user));
    assert_true(str_eq_c(login.password, password));
    format_credential_fini(&credential);
}

static void assert_no_login(const char *document, const char *part)
{
    struct format_credential credential = format_parsed(document);
    struct login login;
    struct err e = {0};

    assert_int_equal(login_of(&credential, &login, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, part));
    format_credential_fini(&credential);
}

static void test_the_fields_of_a_login(void **state)
{
    (void)state;
    assert_login("{\"role\":\"r\",\"credential\":{\"username\":\"u\",\"password\":\"p\"}}", "u",
                 "p");
    assert_login("{\"role\":\"r\",\"credential\":{\"token\":\"t\"}}", "x-access-token", "t");
    assert_login("{\"role\":\"r\",\"credential\":{\"access_token\":\"t\"}}", "oauth2accesstoken",
                 "t");
    assert_login("{\"role\":\"r\",\"credential\":{\"token\":\"t\",\"username\":\"oauth2\"}}",
                 "oauth2", "t");
    assert_no_login("{\"role\":\"r\",\"credential\":{\"secret\":\"s\"}}", "r is no login");
    assert_no_login("{\"role\":\"r\",\"credential\":{\"token\":\"a\\nhost=evil\"}}",
                    "the value of 'token'");
    assert_no_login("{\"role\":\"r\",\"credential\":{\"token\":\"t\",\"user\":\"a\\nb\"}}",
                    "the value of 'user'");
}

static void assert_server(const char *text, const char *target)
{
    struct docker_server server;
    struct err e = {0};

    assert_int_equal(docker_server_parse(str_of(text), &server, &e), 0);
    assert_string_equal(server.target, target);
}

static void test_docker_names_servers_in_several_ways(void **state)
{
    struct docker_server server;
    struct err e = {0};

    (void)state;
    assert_server("ghcr.io\n", "ghcr.io");
    assert_server("https://GHCR.io/v2/", "ghcr.io");
    assert_server("https://index.docker.io/v1/", "docker.io");
    assert_server("registry-1.docker.io", "docker.io");
    assert_server("localhost:5000", "localhost:5000");
    assert_int_equal(docker_server_parse(STR(""), &server, &e), ERR_INVALID);
    assert_int_equal(docker_server_parse(STR("a b"), &server, &e), ERR_INVALID);
    assert_int_equal(docker_server_parse(STR("http://ghcr.io"), &server, &e), ERR_INVALID);
    assert_int_equal(docker_server_parse(STR("https:///v2"), &server, &e), ERR_INVALID);
}

static void test_docker_is_read_and_answered_in_json(void **state)
{
    const struct login login = {.user = STR("u"), .password = STR("p\"")};
    struct err e = {0};
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 1024);
    docker_answer_write(&out, STR("https://ghcr.io"), &login);
    assert_string_equal(
        out.bytes, "{\"ServerURL\":\"https://ghcr.io\",\"Username\":\"u\",\"Secret\":\"p\\\"\"}\n");
    buf_reset(&out);
    assert_int_equal(
        docker_store_parse(STR("{\"ServerURL\":\"ghcr.io\",\"Username\":\"u\",\"Secret\":\"s\"}"),
                           &out, &e),
        0);
    assert_string_equal(out.bytes, "ghcr.io");
    assert_int_equal(docker_store_parse(STR("{\"Secret\":\"canary\""), &out, &e), ERR_INVALID);
    assert_null(strstr(e.text, "canary"));
}

static void test_kubectl_gets_the_version_that_it_asks_for(void **state)
{
    const char *version = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(kube_exec_info_parse(NULL, &version, &e), 0);
    assert_string_equal(version, "client.authentication.k8s.io/v1");
    assert_int_equal(
        kube_exec_info_parse("{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication."
                             "k8s.io/v1beta1\",\"spec\":{\"interactive\":false}}",
                             &version, &e),
        0);
    assert_string_equal(version, "client.authentication.k8s.io/v1beta1");
    assert_int_equal(kube_exec_info_parse("{\"apiVersion\":\"v9\"}", &version, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "asks for v9"));
    assert_int_equal(kube_exec_info_parse("[]", &version, &e), ERR_INVALID);
}

static void assert_kube(const char *document, const char *status)
{
    struct format_credential credential = format_parsed(document);
    BUF_AUTO wanted;
    BUF_AUTO out;

    buf_init(&wanted, 4096);
    buf_init(&out, 4096);
    buf_printf(&wanted, "{\"apiVersion\":\"v\",\"kind\":\"ExecCredential\",\"status\":{%s}}\n",
               status);
    assert_int_equal(kube_answer_write(&credential, "v", &out, NULL), 0);
    assert_string_equal(out.bytes, wanted.bytes);
    format_credential_fini(&credential);
}

static void test_kubectl_is_answered_with_a_token_or_a_certificate(void **state)
{
    struct format_credential credential =
        format_parsed("{\"role\":\"r\",\"credential\":{\"certificate\":\"C\"}}");
    struct err e = {0};
    BUF_AUTO out;

    (void)state;
    assert_kube("{\"role\":\"r\",\"expires_at\":\"2026-11-22T20:35:00.000Z\",\"credential\":{"
                "\"token\":\"t\"}}",
                "\"token\":\"t\",\"expirationTimestamp\":\"2026-11-22T20:35:00.000Z\"");
    assert_kube("{\"role\":\"r\",\"credential\":{\"certificate\":\"C\",\"private_key\":\"K\"}}",
                "\"clientCertificateData\":\"C\",\"clientKeyData\":\"K\"");
    buf_init(&out, 4096);
    assert_int_equal(kube_answer_write(&credential, "v", &out, &e), ERR_INVALID);
    assert_int_equal(out.len, 0);
    format_credential_fini(&credential);
}

static void test_terraforms_query_names_a_role_or_nothing(void **state)
{
    char role[TERRAFORM_ROLE_MAX_BYTES + 1];
    struct err e = {0};

    (void)state;
    assert_int_equal(terraform_query_parse(STR("{\"role\":\"db\"}"), role, &e), 0);
    assert_string_equal(role, "db");
    assert_int_equal(terraform_query_parse(STR("{}\n"), role, &e), 0);
    assert_string_equal(role, "");
    assert_int_equal(terraform_query_parse(STR("{\"rolle\":\"db\"}"), role, &e), ERR_INVALID);
    assert_int_equal(terraform_query_parse(STR("{\"role\":1}"), role, &e), ERR_INVALID);
    assert_int_equal(terraform_query_parse(STR("[]"), role, &e), ERR_INVALID);
}

static void test_terraforms_result_has_strings_alone(void **state)
{
    struct format_credential credential = format_with_password("\"a\\nb\"");
    BUF_AUTO out;

    (void)state;
    buf_init(&out, 4096);
    terraform_answer_write(&credential, &out);
    assert_string_equal(out.bytes,
                        "{\"username\":\"bob\",\"password\":\"a\\nb\",\"port\":\"5432\"}\n");
    format_credential_fini(&credential);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_git_is_read_and_what_is_new_passed_over),
        cmocka_unit_test(test_git_without_a_path_asks_for_the_host),
        cmocka_unit_test(test_what_git_would_not_say_is_refused_unquoted),
        cmocka_unit_test(test_git_is_answered_with_user_password_and_expiry),
        cmocka_unit_test(test_the_fields_of_a_login),
        cmocka_unit_test(test_docker_names_servers_in_several_ways),
        cmocka_unit_test(test_docker_is_read_and_answered_in_json),
        cmocka_unit_test(test_kubectl_gets_the_version_that_it_asks_for),
        cmocka_unit_test(test_kubectl_is_answered_with_a_token_or_a_certificate),
        cmocka_unit_test(test_terraforms_query_names_a_role_or_nothing),
        cmocka_unit_test(test_terraforms_result_has_strings_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
