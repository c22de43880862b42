/* Requests that go elsewhere than to the backend's addresses, by the plugin's own word. */
#include "script_plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

struct heard {
    size_t count;
    uint32_t transport;
    uint32_t status;
};

static void heard_reply(void *user, const struct leased_http_reply *reply)
{
    struct heard *heard = user;

    heard->count++;
    heard->transport = reply->transport;
    heard->status = reply->status;
}

static leased_http *get(struct script *script, const char *address, uint32_t flags,
                        struct heard *heard)
{
    const struct leased_http_request request = {.size = sizeof(request),
                                                .flags = flags,
                                                .method = {"GET", 3},
                                                .path = {"/a?b", 4},
                                                .address = script_str(address)};

    return script->host->http_start(script->context, &request, heard_reply, heard);
}

static void finish(struct script *script, int status, uint32_t http_status)
{
    const struct env_http_reply reply = {.status = http_status};

    fake_env_http_finish(&script->fake, fake_env_http_first(&script->fake), status,
                         status == 0 ? &reply : NULL, "no route");
    fake_env_run(&script->fake);
}

static void test_a_request_goes_where_the_plugin_says(void **state)
{
    static const char *const addresses[] = {"https://a.example", "https://b.example"};
    const struct env_http *http;
    struct heard heard = {0};
    struct script script;

    (void)state;
    script_open(&script, &(struct backend_options){.addresses = addresses,
                                                   .address_count = 2,
                                                   .ca_file = "/ca.pem",
                                                   .proxy = "http://proxy:3128"});
    assert_non_null(get(&script, "https://sts.example:8443", 0, &heard));
    http = fake_env_http_first(&script.fake);
    assert_string_equal(http->url, "https://sts.example:8443/a?b");
    assert_string_equal(http->tls->ca_file, "/ca.pem");
    assert_string_equal(http->proxy, "http://proxy:3128");
    finish(&script, ERR_CONNECT, 0);
    /* It isn't tried elsewhere, and the backend's own addresses are as good as before. */
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.transport, LEASED_HTTP_NOT_SENT);
    assert_null(fake_env_http_first(&script.fake));
    assert_non_null(get(&script, "", 0, &heard));
    assert_string_equal(fake_env_http_first(&script.fake)->url, "https://a.example/a?b");
    finish(&script, 0, 200);
    script_close(&script);
    script_fini(&script);
}

static void test_a_backend_needs_no_address_for_it(void **state)
{
    static const char *const none[] = {NULL};
    const struct env_http *http;
    struct heard heard = {0};
    struct script script;

    (void)state;
    script_open(&script, &(struct backend_options){.addresses = none, .proxy = "http://proxy:1"});
    assert_null(get(&script, "", 0, &heard));
    assert_non_null(get(&script, "http://169.254.169.254", LEASED_HTTP_METADATA, &heard));
    http = fake_env_http_first(&script.fake);
    assert_int_equal(http->flags, ENV_HTTP_METADATA);
    assert_null(http->proxy); /* nobody else hears what the machine is told */
    finish(&script, 0, 503);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.status, 503);
    script_close(&script);
    script_fini(&script);
}

static void test_an_address_is_a_scheme_and_a_host(void **state)
{
    static const char *const wrong[] = {"https://",         "ftp://a",     "a.example",
                                        "https://a/b",      "https://a?b", "https://u@a",
                                        "https://a b",      "https://a#",  "unix:///run/a",
                                        "https://a\r\nX: y"};
    struct heard heard = {0};
    struct script script;

    (void)state;
    script_open(&script, NULL);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_null(get(&script, wrong[i], 0, &heard));
    }
    assert_int_equal(script.fake.http_start_count, 0);
    script_close(&script);
    script_fini(&script);
}

static void test_a_default_counts_where_the_backend_has_none(void **state)
{
    static const char *const addresses[] = {"https://a.example/api"};
    static const char *const none[] = {NULL};
    const struct backend_options options[] = {{.addresses = none},
                                              {.addresses = addresses, .address_count = 1}};
    const char *const urls[] = {"https://known.example/a?b", "https://a.example/api/a?b"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        struct heard heard = {0};
        struct script script;

        script_open(&script, &options[i]);
        assert_non_null(get(&script, "https://known.example", LEASED_HTTP_DEFAULT, &heard));
        assert_string_equal(fake_env_http_first(&script.fake)->url, urls[i]);
        finish(&script, 0, 200);
        assert_int_equal(heard.count, 1);
        script_close(&script);
        script_fini(&script);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_goes_where_the_plugin_says),
        cmocka_unit_test(test_a_backend_needs_no_address_for_it),
        cmocka_unit_test(test_an_address_is_a_scheme_and_a_host),
        cmocka_unit_test(test_a_default_counts_where_the_backend_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
