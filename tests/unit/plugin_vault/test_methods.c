/* Each way to log in: what is asked, and how a refusal is told. */
#include "config.h"
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* `'` instead of `"`, for reading. */
static const char *json(const char *text)
{
    static char out[512];
    size_t i;

    assert_true(strlen(text) < sizeof(out));
    for (i = 0; text[i] != '\0'; i++) {
        out[i] = text[i] == '\'' ? '"' : text[i];
    }
    out[i] = '\0';
    return out;
}

static void test_each_method_asks_in_its_own_way(void **state)
{
    static const struct {
        const char *config;
        const char *source;
        const char *path;
        const char *body;
    } cases[] = {
        {"{'auth':{'method':'jwt','role':'ci','jwt_file':'/j'}}", "file:/j", "/v1/auth/jwt/login",
         "{'role':'ci','jwt':'SECRET-x'}"},
        {"{'auth':{'method':'jwt','mount':'gitlab','jwt_env':'J'}}", "env:J",
         "/v1/auth/gitlab/login", "{'jwt':'SECRET-x'}"},
        {"{'auth':{'method':'kubernetes','role':'leased'}}",
         "shared-file:/var/run/secrets/kubernetes.io/serviceaccount/token",
         "/v1/auth/kubernetes/login", "{'role':'leased','jwt':'SECRET-x'}"},
        {"{'auth':{'method':'kubernetes','role':'r','mount':'k8s/prod/','jwt_file':'/t'}}",
         "shared-file:/t", "/v1/auth/k8s/prod/login", "{'role':'r','jwt':'SECRET-x'}"},
        {"{'auth':{'method':'kubernetes','role':'r','jwt_credential':'sa'}}", "credential:sa",
         "/v1/auth/kubernetes/login", "{'role':'r','jwt':'SECRET-x'}"},
        {"{'auth':{'method':'cert'}}", NULL, "/v1/auth/cert/login", "{}"},
        {"{'auth':{'method':'cert','name':'leased','mount':'tls'}}", NULL, "/v1/auth/tls/login",
         "{'name':'leased'}"},
        {"{'auth':{'method':'userpass','username':'leased','password_file':'/p'}}", "file:/p",
         "/v1/auth/userpass/login/leased", "{'password':'SECRET-x'}"},
        {"{'auth':{'method':'ldap','username':'a b/../c?d#e%20\\u00fc@x','password_env':'P'}}",
         "env:P", "/v1/auth/ldap/login/a%20b%2F..%2Fc%3Fd%23e%2520%C3%BC%40x",
         "{'password':'SECRET-x'}"},
        {"{'namespace':'team','auth':{'method':'ldap','username':'u','mount':'ad',"
         "'password_credential':'p'}}",
         "credential:p", "/v1/auth/ad/login/u", "{'password':'SECRET-x'}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct leased_host_context *host =
            host_open_with(json(cases[i].config), cases[i].source, "SECRET-x");
        const struct fake_http *http = host_last(host);

        assert_string_equal(http->method, "POST");
        assert_string_equal(http->path, cases[i].path);
        assert_string_equal(http->body, json(cases[i].body));
        assert_string_equal(http->token, "");
        assert_string_equal(http->name_space, strstr(cases[i].config, "team") ? "team" : "");
        assert_int_equal(http->flags, LEASED_HTTP_CREATES | LEASED_HTTP_MOVABLE);
        host_answer(host, host_last(host), 200,
                    json("{'auth':{'client_token':'s.SECRET-1','lease_duration':60,"
                         "'renewable':true}}"));
        assert_int_equal(host->login_expires_ms, 1000000 + 60000);
        /* What a login made is ended by a logout. */
        host_close(host, LEASED_CLOSE_LOGOUT);
    }
}

static void test_a_refusal_names_method_mount_and_reason(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        const char *reason;
    } cases[] = {
        {400, "{'errors':['role \\u0022zz\\u0022 could not be found']}", "could not be found"},
        {400, "{'errors':['error validating token: token is expired']}", "token is expired"},
        {403, "{'errors':['permission denied']}", "permission denied"},
        {404, "{'errors':['no handler for route']}", "no handler for route"},
        {500, "{'errors':['could not load backend configuration']}", "could not load"},
        {503, "{'errors':['Vault is sealed']}", "Vault is sealed"},
        {502, "<html>", "HTTP status 502"},
        {200, "{'auth':{'client_token':'','mfa_requirement':{'mfa_request_id':'x'}}}",
         "second factor"},
        {200, "{'auth':{'client_token':'s.SECRET','lease_duration':60,'num_uses':3}}",
         "token_num_uses"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct leased_host_context *host =
            host_open_with(json("{'auth':{'method':'jwt','mount':'gitlab','jwt_file':'/j'}}"),
                           "file:/j", "SECRET-x");
        struct fake_op *op;

        host_answer(host, host_last(host), cases[i].status, json(cases[i].body));
        assert_string_equal(host->last_warning, "vault.login.failed");
        assert_non_null(strstr(host->last_detail, "(jwt at auth/gitlab)"));
        if (strstr(host->last_detail, cases[i].reason) == NULL) {
            fail_msg("%s: %s", cases[i].body, host->last_detail);
        }
        /* No lease is lost by it, and who asks for a credential is told why there is none. */
        assert_int_equal(host->anchor_count, 0);
        op = host_issue(host, json("{'path':'a/creds/b'}"), 0);
        host_run(host);
        assert_int_equal(op->status, cases[i].status == 503 ? LEASED_SEALED : LEASED_RETRY);
        assert_non_null(strstr(op->detail, cases[i].reason));
        host_close(host, 0);
    }
}

static void test_a_refused_login_does_not_end_the_token_in_use(void **state)
{
    struct leased_host_context *host = host_open_approle(60);
    struct fake_op *op;

    (void)state;
    host_advance(host, 45000);
    host_answer(host, host_last(host), 200,
                json("{'warnings':['capped'],'auth':{'client_token':'s.SECRET-1',"
                     "'lease_duration':20,'renewable':true}}"));
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    host_answer(host, host_last(host), 403, json("{'errors':['permission denied']}"));
    op = host_issue(host, json("{'path':'a/creds/b'}"), 0);
    assert_string_equal(host_last(host)->token, "s.SECRET-1");
    assert_true(op->is_open);
    assert_int_equal(host_last_anchor(host)->when_ms, host->login_expires_ms);
    assert_true(host->login_expires_ms > host->now_ms);
    host_close(host, 0);
}

static void test_a_configured_token_with_few_uses_is_refused(void **state)
{
    static const char *const bodies[] = {
        "{'data':{'ttl':600,'expire_time':'x','num_uses':5}}",
        "{'data':{'ttl':600,'expire_time':'x','num_uses':-1}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct leased_host_context *host = host_open(TOKEN_CONFIG);

        host_answer(host, host_last(host), 200, json(bodies[i]));
        assert_int_equal(host->login_expires_ms, 0);
        assert_non_null(strstr(host->last_detail, "num_uses"));
        assert_int_equal(host_open_https(host), 0); /* it isn't ours to revoke */
        host_close(host, LEASED_CLOSE_LOGOUT);
    }
}

static void test_what_is_no_text_is_not_sent(void **state)
{
    struct leased_host_context *host =
        host_open_with(json("{'auth':{'method':'userpass','username':'u','password_file':'/p'}}"),
                       "file:/p", "\xff\xfe");

    (void)state;
    assert_int_equal(host->http_count, 0);
    assert_non_null(strstr(host->last_detail, "(userpass at auth/userpass)"));
    assert_non_null(strstr(host->last_detail, "UTF-8"));
    host_close(host, 0);
}

static void test_configurations_of_methods_say_what_is_wrong(void **state)
{
    static const struct {
        const char *auth;
        const char *word; /* of the reason; NULL: fine */
    } cases[] = {
        {"'method':'jwt'", "jwt_file"},
        {"'method':'jwt','jwt':'x'", "never written"},
        {"'method':'jwt','jwt_file':'/j','rol':'x'", "did you mean \"role\""},
        {"'method':'kubernetes'", "needs role"},
        {"'method':'kubernetes','role':'r','jwt_file':'/a','jwt_env':'B'", "only one"},
        {"'method':'cert','role':'r'", "auth.role: unknown key"},
        {"'method':'cert','mount':'/'", "auth.mount"},
        {"'method':'userpass','username':'u'", "password_file"},
        {"'method':'userpass','password_file':'/p'", "needs username"},
        {"'method':'userpass','username':'u','password':'x'", "never written"},
        {"'method':'userpass','username':'..','password_file':'/p'", "auth.username"},
        {"'method':'ldap','username':'a\\nb','password_file':'/p'", "control"},
        {"'method':'approle','role_id':'x','secret_id_wrapping_token_file':'/w'", NULL},
        {"'method':'approle','role_id':'x','secret_id_wrapping_token':'s.x'", "never written"},
        {"'method':'approle','role_id':'x','secret_id_wrapping_token_file':'/w',"
         "'secret_id_file':'/s'",
         "exclude"},
        {"'method':'approle','role_id':'x','secret_id_wrapping_path':'auth/a/role/b/secret-id'",
         "goes with"},
        {"'method':'approle','role_id':'x','secret_id_wrapping_token_file':'/w',"
         "'secret_id_wrapping_path':'auth/a/role/b/secret-id'",
         NULL},
        {"'method':'approle','role_id':'x','secret_id_wrapping_token_file':'/w',"
         "'secret_id_wrapping_path':'auth/*/role/*/secret-id'",
         NULL},
        {"'method':'approle','role_id':'x','secret_id_wrapping_token_file':'/w',"
         "'secret_id_wrapping_path':'*'",
         "auth.secret_id_wrapping_path"},
        {"'method':'approle','role_id':'x','secret_id_wrapping_token_file':'/w',"
         "'secret_id_wrapping_path':'auth/a/role/b*/secret-id'",
         "auth.secret_id_wrapping_path"},
        {"'method':'approle','role_id':'x','secret_id_wrapping_token_file':'/w',"
         "'secret_id_wrapping_path':'auth/../role/b/secret-id'",
         "auth.secret_id_wrapping_path"},
        {"'method':'approle','role_id':'x','secret_id_wrapping_token_file':'/w',"
         "'secret_id_wrapping_path':'sys/wrapping/wrap'",
         "auth.secret_id_wrapping_path"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[512];
        struct vault_config config;
        struct plugin_text detail = {{0}};
        int rc;

        (void)snprintf(text, sizeof(text), "{'auth':{%s}}", cases[i].auth);
        rc = vault_config_parse(plugin_str(json(text)), &config, &detail);
        assert_int_equal(rc, cases[i].word == NULL ? 0 : -1);
        if (cases[i].word != NULL && strstr(detail.bytes, cases[i].word) == NULL) {
            fail_msg("%s: %s", cases[i].auth, detail.bytes);
        }
    }
}

static void test_only_a_login_by_certificate_needs_one(void **state)
{
    struct leased_host_context *host = host_open(TOKEN_CONFIG);
    struct leased_str detail = {0};

    (void)state;
    assert_int_equal(host->plugin->check_config(plugin_str(json("{'auth':{'method':'cert'}}")),
                                                &detail),
                     LEASED_NEEDS_CLIENT_CERTIFICATE);
    assert_int_equal(host->plugin->check_config(plugin_str(TOKEN_CONFIG), &detail), 0);
    host_close(host, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_method_asks_in_its_own_way),
        cmocka_unit_test(test_a_refusal_names_method_mount_and_reason),
        cmocka_unit_test(test_a_refused_login_does_not_end_the_token_in_use),
        cmocka_unit_test(test_a_configured_token_with_few_uses_is_refused),
        cmocka_unit_test(test_what_is_no_text_is_not_sent),
        cmocka_unit_test(test_configurations_of_methods_say_what_is_wrong),
        cmocka_unit_test(test_only_a_login_by_certificate_needs_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
