/* Credentials that are tried out: what is asked, and what an answer means. */
#include "backend/verifier.h"

#include "env/http.h"
#include "env/run.h"
#include "support/fake_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct fake_env fake;
static struct backend_verifier verifier;
static struct err problem;
static int answer_count;
static int answer;
static char answer_text[256];

static int setup(void **state)
{
    (void)state;
    fake_env_init(&fake, 1000, 1);
    backend_verifier_init(&verifier, &fake.env);
    answer_count = 0;
    problem = (struct err){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_env_fini(&fake);
    return 0;
}

static void answered(void *user, int status, const char *detail)
{
    (void)user;
    answer_count++;
    answer = status;
    (void)snprintf(answer_text, sizeof(answer_text), "%s", detail);
}

static int start(const char *verify_json, void **ret_running)
{
    const struct lease_field fields[] = {
        {.name = STR("username"), .value = STR("joe")},
        {.name = STR("password"), .value = STR("MARKER:x"), .is_secret = true},
        {.name = STR("odd"), .value = STR("a:b")},
    };
    const struct lease_trial trial = {.role = "orders",
                                      .verify_json = verify_json,
                                      .fields = fields,
                                      .field_count = ARRAY_LEN(fields),
                                      .timeout_ms = 700,
                                      .fn = answered};

    return verifier.verifier.ops->start(&verifier.verifier, &trial, ret_running, &problem);
}

static struct env_http *started(const char *verify_json)
{
    void *running;

    assert_int_equal(start(verify_json, &running), 0);
    assert_non_null(fake_env_http_first(&fake));
    return fake_env_http_first(&fake);
}

static void finish(struct env_http *http, int status, uint32_t http_status)
{
    const struct env_http_reply reply = {.status = http_status};

    fake_env_http_finish(&fake, http, status, status == 0 ? &reply : NULL, "no route");
    fake_env_run(&fake);
    assert_int_equal(answer_count, 1);
    answer_count = 0;
}

static void test_tcp_is_a_connection_alone(void **state)
{
    struct env_http *http = started("{\"tcp\":\"[::1]:5432\"}");

    (void)state;
    assert_string_equal(http->url, "http://[::1]:5432/");
    assert_int_equal(http->flags, ENV_HTTP_CONNECT_ONLY);
    assert_int_equal(http->timeout_ms, 700);
    assert_int_equal(http->header_count, 0);
    finish(http, 0, 0);
    assert_int_equal(answer, 0);
    finish(started("{\"tcp\":\"db:1\"}"), ERR_CONNECT, 0);
    assert_int_equal(answer, ERR_UNAVAILABLE);
    assert_string_equal(answer_text, "db:1: no route");
}

static void test_http_sends_the_credential_in_headers(void **state)
{
    struct env_http *http = started("{\"http\":\"https://a/b\",\"ca_file\":\"/ca\",\"basic_auth\":"
                                    "\"${username}:${password}\",\"headers\":{\"X-A\":"
                                    "\"<${username}/${password}>\",\"X-B\":\"$x {\"}}");

    (void)state;
    assert_string_equal(http->url, "https://a/b");
    assert_string_equal(http->method, "GET");
    assert_string_equal(http->tls->ca_file, "/ca");
    assert_int_equal(http->flags, 0);
    assert_int_equal(http->header_count, 3);
    assert_true(str_eq_c(http->headers[0].name, "Authorization"));
    assert_true(str_eq_c(http->headers[0].value, "Basic am9lOk1BUktFUjp4")); /* joe:MARKER:x */
    assert_true(str_eq_c(http->headers[1].value, "<joe/MARKER:x>"));
    assert_true(str_eq_c(http->headers[2].value, "$x {"));
    finish(http, 0, 204);
    assert_int_equal(answer, 0);
}

static void test_only_2xx_means_that_it_works(void **state)
{
    static const struct {
        uint32_t http_status;
        int status;
    } answers[] = {{200, 0},
                   {299, 0},
                   {302, ERR_UNAVAILABLE}, /* to a page for logging in, perhaps */
                   {401, ERR_DENIED},
                   {403, ERR_DENIED},
                   {404, ERR_UNAVAILABLE},
                   {503, ERR_UNAVAILABLE}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        finish(started("{\"http\":\"https://a/b\"}"), 0, answers[i].http_status);
        assert_int_equal(answer, answers[i].status);
    }
    assert_string_equal(answer_text, "https://a/b answered 503");
    finish(started("{\"http\":\"https://a/b\"}"), ERR_LOST, 0);
    assert_int_equal(answer, ERR_UNAVAILABLE);
}

static void test_what_is_not_there_or_does_not_fit_is_not_sent(void **state)
{
    void *running;

    (void)state;
    assert_int_equal(start("{\"http\":\"https://a\",\"headers\":{\"A\":\"${token}\"}}", &running),
                     ERR_INVALID);
    assert_string_equal(problem.text, "the credential has no field `token`");
    assert_int_equal(start("{\"http\":\"https://a\",\"basic_auth\":\"${odd}:${password}\"}",
                           &running),
                     ERR_INVALID);
    assert_null(strstr(problem.text, "MARKER"));
    finish(started("{\"http\":\"https://a\",\"basic_auth\":\":${password}\"}"), 0, 200);
    assert_int_equal(fake.http_start_count, 1);
    fake.http_start_count = 0;
    assert_int_equal(fake.http_start_count, 0);
}

static int refuse(struct fake_env *env, struct env_http *http)
{
    (void)env;
    (void)http;
    return ERR_LIMIT;
}

#define EXEC "{\"exec\":[\"/usr/bin/try\"]}"

static struct env_run *started_run(char input[256])
{
    struct env_run *run;
    void *running;

    fake.run_input = input;
    assert_int_equal(start(EXEC, &running), 0);
    run = fake_env_program_first(&fake);
    assert_non_null(run);
    return run;
}

static void finish_run(const struct env_run_end *end)
{
    fake_env_program_finish(&fake, fake_env_program_first(&fake), end);
    fake_env_run(&fake);
    assert_int_equal(answer_count, 1);
    answer_count = 0;
}

static void test_a_program_gets_the_fields_and_decides(void **state)
{
    static const struct {
        struct env_run_end end;
        int status;
        const char *text;
    } ends[] = {
        {{.outcome = ENV_RUN_EXITED, .exit_code = 0}, 0, ""},
        {{.outcome = ENV_RUN_EXITED, .exit_code = 77, .text = {"no such user", 12}},
         ERR_DENIED,
         "the program exited with 77"},
        {{.outcome = ENV_RUN_EXITED, .exit_code = 1}, ERR_UNAVAILABLE, "the program exited with 1"},
        {{.outcome = ENV_RUN_NOT_STARTED, .text = {"could not be run: not found", 27}},
         ERR_UNAVAILABLE,
         "the program could not be run: not found"},
    };
    char input[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        const struct env_run *run = started_run(input);

        assert_string_equal(run->backend, "verify/orders");
        assert_string_equal(run->program, "exec");
        assert_string_equal(input,
                            "{\"username\":\"joe\",\"password\":\"MARKER:x\",\"odd\":\"a:b\"}");
        finish_run(&ends[i].end);
        assert_int_equal(answer, ends[i].status);
        assert_string_equal(answer_text, ends[i].text);
    }
}

static void test_a_program_that_takes_too_long_is_ended(void **state)
{
    char input[256];

    (void)state;
    (void)started_run(input);
    fake_env_advance(&fake, 699);
    assert_int_equal(answer_count, 0);
    fake_env_advance(&fake, 1);
    assert_int_equal(answer_count, 1);
    assert_int_equal(answer, ERR_UNAVAILABLE);
    assert_string_equal(answer_text, "the program took too long");
    assert_int_equal(fake_env_timer_count(&fake), 0);
}

static void test_a_cancelled_program_says_nothing(void **state)
{
    void *running;

    (void)state;
    assert_int_equal(start(EXEC, &running), 0);
    verifier.verifier.ops->cancel(&verifier.verifier, running);
    fake_env_run(&fake);
    assert_null(fake_env_program_first(&fake));
    assert_int_equal(answer_count, 0);
    fake.run_status = ERR_UNSUPPORTED;
    assert_int_equal(start(EXEC, &running), ERR_UNSUPPORTED);
}

static void test_an_exchange_that_cannot_start_is_told(void **state)
{
    void *running;

    (void)state;
    fake.http_fn = refuse;
    assert_int_equal(start("{\"tcp\":\"a:1\"}", &running), ERR_LIMIT);
    fake_env_run(&fake);
    assert_int_equal(answer_count, 0);
}

static void test_a_cancelled_try_says_nothing(void **state)
{
    void *running;

    (void)state;
    assert_int_equal(start("{\"http\":\"https://a\"}", &running), 0);
    verifier.verifier.ops->cancel(&verifier.verifier, running);
    fake_env_run(&fake);
    assert_null(fake_env_http_first(&fake));
    assert_int_equal(answer_count, 0);
}

#define NOT_A_URL(url)                                                                             \
    "http: expected https://host/path (or http:// to this machine), found \"" url "\""
#define NO_PLACE                                                                                   \
    "http: a query or a credential has no place in an address, which is logged on its way; what "  \
    "is secret goes into `headers` or `basic_auth`"

static void test_settings_are_checked(void **state)
{
    static const struct {
        const char *json;
        const char *error; /* NULL: fine */
    } checks[] = {
        {"{\"tcp\":\"db:5432\"}", NULL},
        {"{\"tcp\":\"[::1]:5432\"}", NULL},
        {"{\"http\":\"https://a/\",\"headers\":{\"A\":\"${b} c\"}}", NULL},
        {"{\"http\":\"http://[::1]:80/\"}", NULL},
        {"{\"http\":\"https://a\"}", NULL},
        {"{}", "expected one of `tcp`, `http` and `exec`"},
        {"{\"tcp\":\"db\"}", "tcp: expected HOST:PORT, found \"db\""},
        {"{\"tcp\":\"db:0\"}", "tcp: expected HOST:PORT, found \"db:0\""},
        {"{\"tcp\":\"db:65536\"}", "tcp: expected HOST:PORT, found \"db:65536\""},
        {"{\"tcp\":\"::1:80\"}", "tcp: expected HOST:PORT, found \"::1:80\""},
        {"{\"tcp\":\":80\"}", "tcp: expected HOST:PORT, found \":80\""},
        {"{\"tcp\":\"u@db:80\"}", "tcp: expected HOST:PORT, found \"u@db:80\""},
        {"{\"tcp\":\"${host}:80\"}", "tcp: expected HOST:PORT, found \"${host}:80\""},
        {"{\"tcp\":\"a:1\",\"basic_auth\":\"a:b\"}", "basic_auth: is for `http` only"},
        {"{\"tcp\":\"a:1\",\"user\":\"a\"}", "user: is for `exec` only"},
        {"{\"exec\":[\"/bin/a\",\"b\"],\"user\":\"a\"}", NULL},
        {"{\"exec\":[\"a\"]}", "exec: expected the absolute path of a program first"},
        {"{\"exec\":[\"/a\"],\"tcp\":\"a:1\"}", "expected one of `tcp`, `http` and `exec`"},
        {"{\"http\":\"http://a/\"}", NOT_A_URL("http://a/")},
        {"{\"http\":\"http://localhost.evil.example/\"}",
         NOT_A_URL("http://localhost.evil.example/")},
        {"{\"http\":\"http://127.evil.example/\"}", NOT_A_URL("http://127.evil.example/")},
        {"{\"http\":\"https://\"}", NOT_A_URL("https://")},
        {"{\"http\":\"https:///x\"}", NOT_A_URL("https:///x")},
        {"{\"http\":\"https://a:99999/\"}", NOT_A_URL("https://a:99999/")},
        {"{\"http\":\"https://u:p@a/\"}", NOT_A_URL("https://u:p@a/")},
        {"{\"http\":\"https://a/ b\"}", NOT_A_URL("https://a/ b")},
        {"{\"http\":\"https://a/?q=x\"}", NO_PLACE},
        {"{\"http\":\"https://a/${password}\"}", NO_PLACE},
        {"{\"http\":\"https://a/\",\"basic_auth\":\"a\"}",
         "basic_auth: expected \"${username}:${password}\""},
        {"{\"http\":\"https://a/\",\"headers\":{\"A\":\"${b\"}}",
         "headers: \"${\" is not followed by a field and \"}\""},
        {"{\"http\":\"https://a/\",\"headers\":{\"A\":\"${}\"}}",
         "headers: \"${\" is not followed by a field and \"}\""},
        {"{\"http\":\"https://a/\",\"headers\":{\"A\":\"${${a}}\"}}",
         "headers: \"${\" is not followed by a field and \"}\""},
        {"{\"http\":\"https://a/\",\"headers\":{\"Content-Length\":\"1\"}}",
         "headers: `Content-Length` can't be sent"},
        {"{\"http\":\"https://a/\",\"headers\":{\"Bad Name\":\"1\"}}",
         "headers: `Bad Name` can't be sent"},
        {"{\"http\":\"https://a/\",\"headers\":{\"A\":\"a\\nb\"}}", "headers: `A` can't be sent"},
        {"{\"http\":\"https://a/\",\"headers\":{\"a\":\"1\",\"A\":\"2\"}}",
         "headers: `a` is given twice"},
        {"{\"http\":\"https://a/\",\"basic_auth\":\"a:b\",\"headers\":{\"authorization\":\"b\"}}",
         "basic_auth: there is an Authorization among the headers, too"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        struct err e = {0};
        int r = backend_verify_check(checks[i].json, &e);

        assert_string_equal(e.text, checks[i].error != NULL ? checks[i].error : "");
        assert_int_equal(r, checks[i].error != NULL ? ERR_INVALID : 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tcp_is_a_connection_alone),
        TEST(test_http_sends_the_credential_in_headers),
        TEST(test_only_2xx_means_that_it_works),
        TEST(test_what_is_not_there_or_does_not_fit_is_not_sent),
        TEST(test_a_program_gets_the_fields_and_decides),
        TEST(test_a_program_that_takes_too_long_is_ended),
        TEST(test_a_cancelled_program_says_nothing),
        TEST(test_an_exchange_that_cannot_start_is_told),
        TEST(test_a_cancelled_try_says_nothing),
        TEST(test_settings_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
