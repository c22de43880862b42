/* Several addresses: where a request goes, when it goes on to the next one, and the way back. */
#include "script_plugin.h"

#include "backend/address.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define A "https://a.example:8200"
#define B "https://b.example"

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

static leased_http *ask(struct script *script, uint32_t flags, struct heard *heard)
{
    const struct leased_http_request request = {
        .size = sizeof(request), .flags = flags, .method = {"PUT", 3}, .path = {"/v1/x", 5}};

    *heard = (struct heard){0};
    return script->host->http_start(script->context, &request, heard_reply, heard);
}

/* The exchange under way is with this URL. */
static void expect_url(struct script *script, const char *url)
{
    const struct env_http *http = fake_env_http_first(&script->fake);

    assert_non_null(http);
    assert_string_equal(http->url, url);
}

static void finish(struct script *script, int status, uint32_t http_status, const char *location)
{
    struct env_http_reply reply = {.status = http_status};

    if (location != NULL) {
        reply.headers[reply.header_count++] =
            (struct env_http_header){STR("location"), str_of(location)};
    }
    fake_env_http_finish(&script->fake, fake_env_http_first(&script->fake), status,
                         status == 0 ? &reply : NULL, NULL);
    fake_env_run(&script->fake);
}

static struct backend_address address_of(const struct script *script, size_t index)
{
    struct backend_status status;

    backend_status(script->backend, &status);
    assert_true(index < status.address_count);
    return status.addresses[index];
}

static void end(struct script *script)
{
    script_close(script);
    script_fini(script);
}

static void test_what_could_not_be_sent_goes_to_the_next_address_at_once(void **state)
{
    static const uint32_t flags[] = {0, LEASED_HTTP_CREATES};
    static const int statuses[] = {ERR_CONNECT, ERR_TLS, ERR_TIMEOUT};
    struct script script;
    struct heard heard;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(flags) * ARRAY_LEN(statuses); i++) {
        script_open(&script, NULL);
        assert_non_null(ask(&script, flags[i % 2], &heard));
        expect_url(&script, A "/v1/x");
        finish(&script, statuses[i / 2], 0, NULL);
        assert_int_equal(heard.count, 0);
        expect_url(&script, B "/v1/x");
        assert_string_equal(fake_env_http_first(&script.fake)->method, "PUT");
        finish(&script, 0, 200, NULL);
        assert_int_equal(heard.count, 1);
        assert_int_equal(heard.status, 200);
        assert_false(address_of(&script, 0).is_up);
        assert_true(address_of(&script, 1).is_preferred);
        end(&script);
    }
}

static void test_what_may_have_been_executed_is_not_sent_again(void **state)
{
    struct script script;
    struct heard heard;

    (void)state;
    script_open(&script, NULL);
    assert_non_null(ask(&script, 0, &heard));
    finish(&script, ERR_LOST, 0, NULL);
    assert_int_equal(heard.transport, LEASED_HTTP_LOST);
    assert_int_equal(script.fake.http_start_count, 1);
    /* A node that can't serve has done nothing, but only Vault's plugin could know it is one. */
    assert_non_null(ask(&script, LEASED_HTTP_CREATES, &heard));
    finish(&script, 0, 503, NULL);
    assert_int_equal(heard.status, 503);
    assert_int_equal(script.fake.http_start_count, 2);
    end(&script);
}

static void test_a_node_that_cannot_serve_gives_way_to_the_next_one(void **state)
{
    static const uint32_t statuses[] = {472, 473, 474, 501, 503, 530};
    struct script script;
    struct heard heard;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        script_open(&script, NULL);
        assert_non_null(ask(&script, 0, &heard));
        finish(&script, 0, statuses[i], NULL);
        expect_url(&script, B "/v1/x");
        finish(&script, 0, 204, NULL);
        assert_int_equal(heard.status, 204);
        assert_non_null(ask(&script, LEASED_HTTP_CREATES, &heard));
        expect_url(&script, B "/v1/x");
        finish(&script, 0, 200, NULL);
        end(&script);
    }
}

static void test_an_answer_about_one_path_leaves_the_address_alone(void **state)
{
    static const uint32_t statuses[] = {200, 307, 400, 403, 404, 429, 500, 502, 504};
    struct backend_status status;
    struct script script;
    struct heard heard;

    (void)state;
    script_open(&script, NULL);
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        assert_non_null(ask(&script, 0, &heard));
        expect_url(&script, A "/v1/x");
        finish(&script, 0, statuses[i], NULL);
        assert_int_equal(heard.status, statuses[i]);
        backend_status(script.backend, &status);
        assert_true(status.is_up);
        assert_true(status.addresses[0].is_up);
    }
    end(&script);
}

static void test_all_addresses_are_tried_once_and_the_last_answer_counts(void **state)
{
    struct script script;
    struct heard heard;

    (void)state;
    script_open(&script, NULL);
    assert_non_null(ask(&script, 0, &heard));
    finish(&script, ERR_CONNECT, 0, NULL);
    finish(&script, 0, 503, NULL);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.status, 503);
    assert_int_equal(script.fake.http_start_count, 2);
    end(&script);
}

static void test_all_tries_share_the_time_of_one(void **state)
{
    struct script script;
    struct heard heard;

    (void)state;
    script_open(&script, &(struct backend_options){.limits = {.timeout_ms = 8000}});
    assert_non_null(ask(&script, 0, &heard));
    assert_int_equal(fake_env_http_first(&script.fake)->timeout_ms, 8000);
    /* A black hole leaves half of it for the other address. */
    assert_int_equal(fake_env_http_first(&script.fake)->connect_timeout_ms, 4000);
    fake_env_advance(&script.fake, 4000);
    finish(&script, ERR_CONNECT, 0, NULL);
    assert_int_equal(fake_env_http_first(&script.fake)->timeout_ms, 4000);
    assert_int_equal(fake_env_http_first(&script.fake)->connect_timeout_ms, 4000);
    fake_env_advance(&script.fake, 4000);
    finish(&script, ERR_CONNECT, 0, NULL);
    assert_int_equal(heard.count, 1);
    /* Nothing is left for another try. */
    assert_non_null(ask(&script, 0, &heard));
    fake_env_advance(&script.fake, 7950);
    finish(&script, ERR_CONNECT, 0, NULL);
    assert_int_equal(heard.transport, LEASED_HTTP_NOT_SENT);
    assert_int_equal(script.fake.http_start_count, 3);
    end(&script);
}

static int fail_all(size_t size)
{
    (void)size;
    return 1;
}

static void test_without_memory_for_another_try_the_first_ones_end_counts(void **state)
{
    struct script script;
    struct heard heard;

    (void)state;
    script_open(&script, NULL);
    assert_non_null(ask(&script, 0, &heard));
    mem_set_fail_hook(fail_all);
    finish(&script, ERR_CONNECT, 0, NULL);
    mem_set_fail_hook(NULL);
    assert_int_equal(heard.transport, LEASED_HTTP_NOT_SENT);
    assert_int_equal(script.fake.http_start_count, 1);
    assert_false(address_of(&script, 0).is_up);
    end(&script);
}

static void test_a_cancelled_exchange_goes_nowhere_else(void **state)
{
    struct script script;
    struct heard heard;
    leased_http *http;

    (void)state;
    script_open(&script, NULL);
    http = ask(&script, 0, &heard);
    fake_env_http_finish(&script.fake, fake_env_http_first(&script.fake), ERR_CONNECT, NULL, NULL);
    script.host->http_cancel(script.context, http);
    fake_env_run(&script.fake);
    assert_int_equal(heard.count, 1);
    assert_int_equal(script.fake.http_start_count, 1);
    end(&script);
}

/* --- redirects -------------------------------------------------------------------------------- */

static void test_a_redirect_to_a_configured_address_goes_there(void **state)
{
    static const uint32_t flags[] = {0, LEASED_HTTP_CREATES | LEASED_HTTP_MOVABLE};
    struct script script;
    struct heard heard;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        script_open(&script, NULL);
        assert_non_null(ask(&script, flags[i], &heard));
        finish(&script, 0, 307, "HTTPS://B.example:443/v1/x");
        expect_url(&script, B "/v1/x");
        finish(&script, 0, 200, NULL);
        assert_int_equal(heard.status, 200);
        /* The next one goes there at once, for a while. */
        assert_non_null(ask(&script, flags[i], &heard));
        expect_url(&script, B "/v1/x");
        finish(&script, 0, 200, NULL);
        end(&script);
    }
}

static void test_a_redirect_to_anywhere_else_is_not_followed(void **state)
{
    static const char *const locations[] = {
        "https://evil.example/v1/x",
        "http://b.example/v1/x",
        "https://b.example:8200/v1/x",
        "https://b.example/v1/y",
        "https://b.example/v1/x?a=b",
        "https://b.example@evil.example/v1/x",
        "https://user@b.example/v1/x",
        "https://b.example.evil.example/v1/x",
        "//b.example/v1/x",
        "/v1/x",
        "https://",
        "",
    };
    struct script script;
    struct heard heard;

    (void)state;
    script_open(&script, NULL);
    for (size_t i = 0; i < ARRAY_LEN(locations); i++) {
        assert_non_null(ask(&script, 0, &heard));
        expect_url(&script, A "/v1/x");
        finish(&script, 0, 307, locations[i]);
        assert_int_equal(heard.count, 1);
        assert_int_equal(heard.status, 307);
        assert_true(address_of(&script, 0).is_up);
    }
    assert_int_equal(script.fake.http_start_count, ARRAY_LEN(locations));
    end(&script);
}

static void test_a_redirect_of_what_creates_is_only_followed_if_it_is_movable(void **state)
{
    struct script script;
    struct heard heard;

    (void)state;
    script_open(&script, NULL);
    (void)ask(&script, LEASED_HTTP_CREATES, &heard);
    finish(&script, 0, 307, B "/v1/x");
    assert_int_equal(heard.status, 307);
    end(&script);
}

static void test_redirects_in_a_circle_end(void **state)
{
    struct script script;
    struct heard heard;

    (void)state;
    script_open(&script, NULL);
    assert_non_null(ask(&script, 0, &heard));
    finish(&script, 0, 307, B "/v1/x");
    finish(&script, 0, 307, A "/v1/x");
    assert_int_equal(heard.status, 307);
    assert_int_equal(script.fake.http_start_count, 2);
    end(&script);
}

static void test_at_most_two_redirects_are_followed(void **state)
{
    static const char *const addresses[] = {"https://a", "https://b", "https://c", "https://d"};
    struct script script;
    struct heard heard;

    (void)state;
    script_open(&script, &(struct backend_options){.addresses = addresses, .address_count = 4});
    assert_non_null(ask(&script, 0, &heard));
    finish(&script, 0, 307, "https://b/v1/x");
    finish(&script, 0, 308, "https://c/v1/x");
    expect_url(&script, "https://c/v1/x");
    finish(&script, 0, 307, "https://d/v1/x");
    assert_int_equal(heard.status, 307);
    end(&script);
}

static void test_a_location_is_compared_as_a_whole(void **state)
{
    static const char *const texts[] = {"https://[::1]:8200/base/", "http://127.0.0.1",
                                        "unix:///run/x"};
    struct addresses addresses;

    (void)state;
    addresses_init(&addresses, texts, ARRAY_LEN(texts));
    assert_int_equal(
        addresses_of_location(&addresses, STR("https://[::1]:8200/base/v1/x"), STR("/v1/x")), 0);
    assert_int_equal(addresses_of_location(&addresses, STR("https://[::1]:8200/v1/x"),
                                           STR("/v1/x")),
                     ADDRESS_NONE);
    assert_int_equal(
        addresses_of_location(&addresses, STR("http://127.0.0.1:80/v1/x"), STR("/v1/x")), 1);
    assert_int_equal(addresses_of_location(&addresses, STR("unix:///run/x"), STR("")),
                     ADDRESS_NONE);
}

/* --- the way back ----------------------------------------------------------------------------- */

static void test_a_failed_address_is_probed_with_back_off_until_it_serves_again(void **state)
{
    struct script script;
    struct heard heard;
    uint32_t probe_count = 0;

    (void)state;
    script_open(&script, NULL);
    script.health_asks = true;
    assert_non_null(ask(&script, 0, &heard));
    finish(&script, ERR_CONNECT, 0, NULL);
    finish(&script, 0, 200, NULL);
    for (uint32_t second = 0; second < 120; second++) {
        fake_env_advance(&script.fake, 1000);
        if (fake_env_http_first(&script.fake) != NULL) {
            expect_url(&script, A "/health"); /* nothing else is probed, nor asked instead */
            finish(&script, ERR_CONNECT, 0, NULL);
            assert_null(fake_env_http_first(&script.fake));
            probe_count++;
        }
        assert_non_null(ask(&script, 0, &heard));
        expect_url(&script, B "/v1/x");
        finish(&script, 0, 200, NULL);
    }
    /* Half of 15 s in the long run, more at first. */
    assert_in_range(probe_count, 120 / 15, 30);
    while (fake_env_http_first(&script.fake) == NULL) {
        fake_env_advance(&script.fake, 100);
    }
    finish(&script, 0, 200, NULL);
    assert_true(address_of(&script, 0).is_up);
    assert_string_equal(address_of(&script, 0).last_error, "");
    assert_non_null(ask(&script, 0, &heard));
    expect_url(&script, A "/v1/x");
    finish(&script, 0, 200, NULL);
    fake_env_advance(&script.fake, 600000);
    assert_null(fake_env_http_first(&script.fake));
    end(&script);
}

static void test_a_failing_probe_says_nothing_of_the_backend(void **state)
{
    struct backend_status status;
    struct script script;
    struct heard heard;

    (void)state;
    script_open(&script, NULL);
    script.health_asks = true;
    assert_non_null(ask(&script, 0, &heard));
    finish(&script, ERR_CONNECT, 0, NULL);
    finish(&script, 0, 200, NULL);
    for (size_t i = 0; i < 20; i++) {
        fake_env_advance(&script.fake, 15000);
        expect_url(&script, A "/health");
        finish(&script, 0, 503, NULL);
        backend_status(script.backend, &status);
        assert_true(status.is_up);
        assert_string_equal(status.breaker, "closed");
        assert_string_equal(status.addresses[0].last_error,
                            "the issuer answered with HTTP status 503");
    }
    end(&script);
}

static void test_an_answer_that_never_came_has_the_address_probed_at_once(void **state)
{
    struct script script;
    struct heard heard;

    (void)state;
    script_open(&script, NULL);
    script.health_asks = true;
    assert_non_null(ask(&script, 0, &heard));
    finish(&script, ERR_LOST, 0, NULL);
    assert_true(address_of(&script, 0).is_up); /* maybe it was that request's own fault */
    fake_env_advance(&script.fake, 0);
    expect_url(&script, A "/health");
    assert_true(fake_env_http_first(&script.fake)->timeout_ms <= 5000);
    finish(&script, ERR_LOST, 0, NULL);
    assert_false(address_of(&script, 0).is_up);
    end(&script);
}

static void test_without_a_health_call_the_next_request_is_the_probe(void **state)
{
    struct script script;
    struct heard heard;

    (void)state;
    script_open_without_health(&script, NULL);
    assert_non_null(ask(&script, 0, &heard));
    finish(&script, ERR_CONNECT, 0, NULL);
    finish(&script, 0, 200, NULL);
    assert_non_null(ask(&script, 0, &heard));
    expect_url(&script, B "/v1/x");
    finish(&script, 0, 200, NULL);
    fake_env_advance(&script.fake, 1000);
    assert_non_null(ask(&script, 0, &heard));
    expect_url(&script, A "/v1/x");
    finish(&script, 0, 200, NULL);
    assert_true(address_of(&script, 0).is_up);
    end(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_could_not_be_sent_goes_to_the_next_address_at_once),
        cmocka_unit_test(test_what_may_have_been_executed_is_not_sent_again),
        cmocka_unit_test(test_a_node_that_cannot_serve_gives_way_to_the_next_one),
        cmocka_unit_test(test_an_answer_about_one_path_leaves_the_address_alone),
        cmocka_unit_test(test_all_addresses_are_tried_once_and_the_last_answer_counts),
        cmocka_unit_test(test_all_tries_share_the_time_of_one),
        cmocka_unit_test(test_without_memory_for_another_try_the_first_ones_end_counts),
        cmocka_unit_test(test_a_cancelled_exchange_goes_nowhere_else),
        cmocka_unit_test(test_a_redirect_to_a_configured_address_goes_there),
        cmocka_unit_test(test_a_redirect_of_what_creates_is_only_followed_if_it_is_movable),
        cmocka_unit_test(test_a_redirect_to_anywhere_else_is_not_followed),
        cmocka_unit_test(test_redirects_in_a_circle_end),
        cmocka_unit_test(test_at_most_two_redirects_are_followed),
        cmocka_unit_test(test_a_location_is_compared_as_a_whole),
        cmocka_unit_test(test_a_failed_address_is_probed_with_back_off_until_it_serves_again),
        cmocka_unit_test(test_a_failing_probe_says_nothing_of_the_backend),
        cmocka_unit_test(test_an_answer_that_never_came_has_the_address_probed_at_once),
        cmocka_unit_test(test_without_a_health_call_the_next_request_is_the_probe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
