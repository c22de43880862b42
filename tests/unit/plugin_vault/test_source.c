/* Files of a login that appear, change or vanish while the daemon runs. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define HOUR_TOKEN                                                                                 \
    "{\"data\":{\"ttl\":3600,\"creation_ttl\":3600,\"expire_time\":\"x\",\"renewable\":true}}"
#define LOGGED_IN                                                                                  \
    "{\"auth\":{\"client_token\":\"s.SECRET-1\",\"lease_duration\":3600,\"renewable\":true}}"
#define REFUSED "{\"errors\":[\"permission denied\"]}"
#define ISSUE "{\"path\":\"a/creds/b\"}"

static void test_another_token_is_taken_up_without_a_restart(void **state)
{
    struct leased_host_context *host = host_open(TOKEN_CONFIG);
    struct fake_op *op;

    (void)state;
    host_answer(host, host_last(host), 200, HOUR_TOKEN);
    host_advance(host, 60000);
    assert_int_equal(host->http_count, 1); /* nothing is asked while nothing changes */
    host->secrets[0].value = "s.SECRET-next";
    host_advance(host, 10000);
    assert_string_equal(host_last(host)->path, "/v1/auth/token/lookup-self");
    assert_string_equal(host_last(host)->token, "s.SECRET-next");
    /* Until it is known to be good the old one serves. */
    op = host_issue(host, ISSUE, 0);
    assert_string_equal(host_last(host)->token, "s.SECRET-root");
    host_cancel(host, op);
    host_answer(host, &host->https[1], 200, HOUR_TOKEN);
    assert_int_equal(host->login_expires_ms, host->now_ms + 3600000);
    /* What hangs on the old one is told its end, which hasn't come. */
    assert_int_equal(host_last_anchor(host)->anchor, 1);
    assert_int_equal(host_last_anchor(host)->when_ms, 1000000 + 3600000);
    (void)host_issue(host, ISSUE, 0);
    assert_string_equal(host_last(host)->token, "s.SECRET-next");
    host_close(host, LEASED_CLOSE_LOGOUT);
}

static void test_a_bad_token_in_the_file_leaves_the_good_one_in_use(void **state)
{
    struct leased_host_context *host = host_open(TOKEN_CONFIG);

    (void)state;
    host_answer(host, host_last(host), 200, HOUR_TOKEN);
    host->secrets[0].value = "s.SECRET-typo";
    host_advance(host, 10000);
    host_answer(host, host_last(host), 403, REFUSED);
    assert_int_equal(host->anchor_count, 0);
    assert_int_equal(host->login_expires_ms, 1000000 + 3600000);
    (void)host_issue(host, ISSUE, 0);
    assert_string_equal(host_last(host)->token, "s.SECRET-root");
    host_close(host, 0);
}

static void test_a_file_that_vanishes_or_is_empty_changes_nothing(void **state)
{
    struct leased_host_context *host = host_open(TOKEN_CONFIG);

    (void)state;
    host_answer(host, host_last(host), 200, HOUR_TOKEN);
    host->secrets[0].value = NULL;
    host_advance(host, 60000);
    host->secrets[0].value = "s.SECRET-root";
    host_advance(host, 60000);
    assert_int_equal(host->http_count, 1);
    assert_int_equal(host->warn_count, 0);
    host_close(host, 0);
}

static void test_a_missing_file_is_waited_for_and_named(void **state)
{
    struct leased_host_context *host =
        host_open_with("{\"auth\":{\"method\":\"token\",\"token_file\":\"/late\"}}", "file:/late",
                       NULL);
    struct fake_op *op;

    (void)state;
    assert_string_equal(host->last_warning, "vault.login.failed");
    assert_non_null(strstr(host->last_detail, "no such secret")); /* secret_read's text names it */
    op = host_issue(host, ISSUE, 0);
    host_run(host);
    assert_int_equal(op->status, LEASED_RETRY);
    assert_non_null(strstr(op->detail, "no such secret"));
    host_advance(host, 3600000);
    assert_int_equal(host->http_count, 0);
    host->secrets[2].value = "s.SECRET-late";
    host_advance(host, 10000);
    assert_string_equal(host_last(host)->token, "s.SECRET-late");
    host_close(host, 0);
}

static void test_another_secret_id_brings_a_failed_login_forward(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);

    (void)state;
    /* So often that the next try is up to a minute away. */
    for (int i = 0; i < 10; i++) {
        host_answer(host, host_last(host), 400, "{\"errors\":[\"invalid role or secret ID\"]}");
        while (host_open_https(host) == 0) {
            host_advance_to_timer(host);
        }
    }
    host_answer_retry_after(host, host_last(host), "300");
    host->secrets[1].value = "SECRET-new";
    host_advance(host, 10000);
    assert_non_null(strstr(host_last(host)->body, "SECRET-new"));
    host_close(host, 0);
}

static void test_another_secret_id_waits_for_the_next_login(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);

    (void)state;
    host->secrets[1].value = "SECRET-new";
    host_advance(host, 60000);
    assert_int_equal(host_open_https(host), 0);
    assert_int_equal(host->anchor_count, 0);
    while (host_open_https(host) == 0) {
        host_advance_to_timer(host);
    }
    host_answer(host, host_last(host), 403, REFUSED);
    host_answer(host, host_last(host), 403, REFUSED);
    assert_non_null(strstr(host_last(host)->body, "SECRET-new"));
    host_close(host, 0);
}

static void test_a_token_of_the_kubelet_is_followed(void **state)
{
    struct leased_host_context *host =
        host_open_with("{\"auth\":{\"method\":\"kubernetes\",\"role\":\"r\",\"jwt_file\":\"/t\"}}",
                       "shared-file:/t", NULL);

    (void)state;
    host->secrets[2].value = "SECRET-jwt";
    host_advance(host, 10000);
    assert_non_null(strstr(host_last(host)->body, "SECRET-jwt"));
    host_answer(host, host_last(host), 200, LOGGED_IN);
    host_close(host, 0);
}

static void test_what_cannot_change_is_not_looked_at(void **state)
{
    static const char *const configs[] = {
        "{\"auth\":{\"method\":\"token\",\"token_env\":\"T\"}}",
        "{\"auth\":{\"method\":\"cert\"}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        struct leased_host_context *host = host_open_with(configs[i], "env:T", "s.SECRET-root");
        size_t timer_count;

        host_answer(host, host_last(host), 200,
                    i == 0 ? "{\"data\":{\"ttl\":0,\"expire_time\":null}}" : LOGGED_IN);
        timer_count = host->timer_count;
        host_advance(host, 60000);
        assert_int_equal(host->timer_count, timer_count);
        host_close(host, 0);
    }
}

static void test_a_zero_byte_is_no_end(void **state)
{
    struct leased_host_context *host = host_open(TOKEN_CONFIG);

    (void)state;
    host_answer(host, host_last(host), 200, HOUR_TOKEN);
    host->secrets[0].value = "s.SECRET-next";
    host->secrets[0].len = strlen("s.SECRET-next") + 1;
    host_advance(host, 10000);
    assert_int_equal(host_open_https(host), 0);
    assert_non_null(strstr(host->last_detail, "file:/token holds a zero byte"));
    host_close(host, 0);
}

/* The last wait of so many refusals in a row. */
static uint64_t wait_after_refusals(struct leased_host_context *host, unsigned count)
{
    uint64_t since_ms = host->now_ms;

    for (unsigned i = 0; i < count; i++) {
        since_ms = host->now_ms;
        host_answer(host, host_last(host), i % 2 == 0 ? 400 : 403,
                    "{\"errors\":[\"invalid username or password\"]}");
        while (host_open_https(host) == 0) {
            host_advance_to_timer(host);
        }
    }
    return host->now_ms - since_ms;
}

static void test_what_vault_refuses_is_shown_again_ever_later(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);

    (void)state;
    assert_in_range(wait_after_refusals(host, 1), 500, 1000);
    assert_in_range(wait_after_refusals(host, 3), 32000, 64000);
    for (int i = 0; i < 20; i++) {
        assert_true(wait_after_refusals(host, 1) >= 128000);
    }
    assert_in_range(wait_after_refusals(host, 1), 450000, 900000);
    /* What isn't Vault's own refusal doesn't wait so long. */
    host_answer(host, host_last(host), 403, "<html>");
    host_advance(host, 61000);
    assert_int_equal(host_open_https(host), 1);
    host_close(host, 0);
}

static void test_a_refused_login_is_tried_at_once_when_its_source_changes(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);

    (void)state;
    (void)wait_after_refusals(host, 8);
    host_answer(host, host_last(host), 400, "{\"errors\":[\"invalid role or secret ID\"]}");
    host_advance(host, 100000);
    assert_int_equal(host_open_https(host), 0);
    host->secrets[1].value = "SECRET-new";
    host_advance(host, 10000);
    assert_non_null(strstr(host_last(host)->body, "SECRET-new"));
    assert_in_range(wait_after_refusals(host, 1), 500, 1000);
    host_close(host, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_vault_refuses_is_shown_again_ever_later),
        cmocka_unit_test(test_a_refused_login_is_tried_at_once_when_its_source_changes),
        cmocka_unit_test(test_another_token_is_taken_up_without_a_restart),
        cmocka_unit_test(test_a_bad_token_in_the_file_leaves_the_good_one_in_use),
        cmocka_unit_test(test_a_file_that_vanishes_or_is_empty_changes_nothing),
        cmocka_unit_test(test_a_missing_file_is_waited_for_and_named),
        cmocka_unit_test(test_another_secret_id_brings_a_failed_login_forward),
        cmocka_unit_test(test_another_secret_id_waits_for_the_next_login),
        cmocka_unit_test(test_a_token_of_the_kubelet_is_followed),
        cmocka_unit_test(test_what_cannot_change_is_not_looked_at),
        cmocka_unit_test(test_a_zero_byte_is_no_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
