/* The own token's life: login, back-off, renewal, its maximum, its death. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ISSUE "{\"path\":\"database/creds/orders\"}"
#define DEAD "{\"errors\":[\"permission denied\"]}"
#define POLICY "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}"

/* What a renewal answers. */
static void answer_renewal(struct leased_host_context *host, unsigned ttl_s, const char *warnings)
{
    char body[256];

    (void)snprintf(body, sizeof(body),
                   "{\"warnings\":%s,\"auth\":{\"client_token\":\"s.SECRET-1\",\"lease_duration\":"
                   "%u,\"renewable\":true}}",
                   warnings, ttl_s);
    host_answer(host, host_last(host), 200, body);
}

static void answer_login(struct leased_host_context *host, const char *token, unsigned ttl_s)
{
    char body[256];

    (void)snprintf(body, sizeof(body),
                   "{\"auth\":{\"client_token\":\"%s\",\"lease_duration\":%u,\"renewable\":true}}",
                   token, ttl_s);
    host_answer(host, host_last(host), 200, body);
}

/* Moves the clock until the next exchange is started; fails after `limit_ms`. */
static uint64_t advance_to_exchange(struct leased_host_context *host, uint64_t limit_ms)
{
    size_t before = host->http_count;
    uint64_t start_ms = host->now_ms;

    while (host->http_count == before) {
        assert_true(host->now_ms - start_ms < limit_ms);
        host_advance_to_timer(host);
    }
    return host->now_ms - start_ms;
}

static void test_approle_logs_in_with_both_ids_and_never_twice_the_same_request(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    const struct fake_http *http = host_last(host);

    (void)state;
    assert_string_equal(http->method, "POST");
    assert_string_equal(http->path, "/v1/auth/approle/login");
    assert_non_null(strstr(http->body, "\"role_id\":\"the-role\""));
    assert_non_null(strstr(http->body, "\"secret_id\":\"SECRET-id\""));
    assert_string_equal(http->token, "");
    assert_int_equal(http->flags, LEASED_HTTP_CREATES | LEASED_HTTP_MOVABLE);
    assert_true(http->has_guard);
    answer_login(host, "s.SECRET-1", 3600);
    assert_int_equal(host->login_expires_ms, 1000000 + 3600000);
    host_close(host, 0);
}

static void test_a_configured_token_is_looked_up(void **state)
{
    struct leased_host_context *host = host_open(TOKEN_CONFIG);

    (void)state;
    assert_string_equal(host_last(host)->path, "/v1/auth/token/lookup-self");
    assert_string_equal(host_last(host)->token, "s.SECRET-root");
    /* A root token never expires. */
    host_answer(host, host_last(host), 200,
                "{\"data\":{\"ttl\":0,\"expire_time\":null,\"renewable\":false}}");
    assert_true(host->login_expires_ms == UINT64_MAX);
    assert_int_equal(host->anchor_count, 0);
    host_advance(host, UINT64_C(20) * 3600 * 1000);
    assert_int_equal(host->http_count, 1);
    host_close(host, LEASED_CLOSE_LOGOUT);
}

static void test_namespace_and_mount_are_used(void **state)
{
    struct leased_host_context *host =
        host_open("{\"namespace\":\"team/a/\",\"auth\":{\"method\":\"approle\",\"mount\":\"ci/\","
                  "\"role_id\":\"r\"}}");

    (void)state;
    assert_string_equal(host_last(host)->path, "/v1/auth/ci/login");
    assert_string_equal(host_last(host)->name_space, "team/a");
    assert_string_equal(host_last(host)->body, "{\"role_id\":\"r\"}");
    answer_login(host, "s.SECRET-1", 60);
    (void)host_health(host);
    assert_string_equal(host_last(host)->name_space, ""); /* namespaces don't have it */
    host_close(host, 0);
}

static void test_a_login_that_fails_is_tried_again_ever_later_with_jitter(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    uint64_t longest_ms = 0;

    (void)state;
    for (int i = 0; i < 60; i++) {
        uint64_t waited_ms;

        host_fail(host, host_last(host), LEASED_HTTP_NOT_SENT);
        waited_ms = advance_to_exchange(host, 61000);
        assert_true(waited_ms >= 100);
        if (i < 3) {
            assert_true(waited_ms <= (UINT64_C(1000) << i) + 200);
        }
        longest_ms = waited_ms > longest_ms ? waited_ms : longest_ms;
    }
    assert_true(longest_ms > 30000);
    answer_login(host, "s.SECRET-1", 3600);
    assert_true(host->login_expires_ms > host->now_ms);
    host_close(host, 0);
}

static void test_credentials_are_read_anew_at_each_login(void **state)
{
    struct leased_host_context *host;

    (void)state;
    host = host_open(APPROLE_CONFIG);
    host_answer(host, host_last(host), 400, "{\"errors\":[\"invalid role or secret ID\"]}");
    host->secrets[1].value = "SECRET-new";
    (void)advance_to_exchange(host, 3000);
    assert_non_null(strstr(host_last(host)->body, "SECRET-new"));
    /* One that can't be read is a failed login. */
    host->secrets[1].value = NULL;
    host_answer(host, host_last(host), 500, "");
    host_advance(host, 10000);
    assert_int_equal(host_open_https(host), 0);
    host->secrets[1].value = "SECRET-again";
    (void)advance_to_exchange(host, 61000);
    answer_login(host, "s.SECRET-1", 3600);
    host_close(host, 0);
}

static void test_retry_after_of_a_login_is_kept(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);

    (void)state;
    host_answer_retry_after(host, host_last(host), "30");
    host_advance(host, 29999);
    assert_int_equal(host->http_count, 1);
    host_advance(host, 1);
    assert_int_equal(host->http_count, 2);
    answer_login(host, "s.SECRET-1", 3600);
    host_close(host, 0);
}

static void test_logins_that_bring_no_usable_token_fail(void **state)
{
    static const char *const bodies[] = {
        "",
        "{}",
        "{\"auth\":{}}",
        "{\"auth\":{\"client_token\":\"\",\"lease_duration\":60}}",
        "{\"auth\":{\"client_token\":\"s.a\\nb\",\"lease_duration\":60}}",
        "{\"auth\":{\"client_token\":1,\"lease_duration\":60}}",
        "{\"auth\":{\"client_token\":\"s.x\"}}",
        "{\"auth\":{\"client_token\":\"s.x\",\"lease_duration\":-5}}",
        "{\"auth\":{\"client_token\":\"\",\"lease_duration\":0,\"mfa_requirement\":{}}}",
        "{\"auth\":{\"client_token\":\"s.x\",\"lease_duration\":60,\"num_uses\":5}}",
        "<html>",
    };
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    size_t revoked_count = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        host_answer(host, host_last(host), 200, bodies[i]);
        assert_int_equal(host->login_expires_ms, 0);
        assert_int_equal(host->warn_count, i + 1);
        if (host_open_https(host) > 0) {
            /* A token that is of no use isn't left behind. */
            assert_string_equal(host_last(host)->path, "/v1/auth/token/revoke-self");
            assert_string_equal(host_last(host)->token, "s.x");
            host_answer(host, host_last(host), 204, "");
            revoked_count++;
        }
        (void)advance_to_exchange(host, 61000);
    }
    assert_int_equal(revoked_count, 3);
    host_close(host, 0);
}

static void test_the_token_is_renewed_at_two_thirds_asking_for_its_whole_life(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);
    size_t round;

    (void)state;
    for (round = 0; round < 5; round++) {
        uint64_t waited_ms = advance_to_exchange(host, 3600000);

        assert_true(waited_ms > 2100000 && waited_ms < 2700000);
        assert_string_equal(host_last(host)->path, "/v1/auth/token/renew-self");
        assert_string_equal(host_last(host)->body, "{\"increment\":3600}");
        assert_string_equal(host_last(host)->token, "s.SECRET-1");
        assert_int_equal(host_last(host)->flags, 0);
        answer_renewal(host, 3600, "null");
        assert_int_equal(host->login_expires_ms, host->now_ms + 3600000);
    }
    assert_int_equal(host->anchor_count, 0);
    host_close(host, 0);
}

static void test_a_token_near_its_maximum_is_announced_and_replaced_at_once(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);
    struct fake_op *op;
    uint64_t end_ms;

    (void)state;
    (void)advance_to_exchange(host, 3600000);
    answer_renewal(host, 1800, "[\"TTL of \\\"1h\\\" exceeded the effective max_ttl\"]");
    end_ms = host->now_ms + 1800000;
    assert_int_equal(host->anchor_count, 1);
    assert_int_equal(host_last_anchor(host)->anchor, 1);
    assert_int_equal(host_last_anchor(host)->when_ms, end_ms);
    /* The new login runs beside the old token, which still serves. */
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    op = host_issue(host, ISSUE, 0);
    assert_string_equal(host_last(host)->token, "s.SECRET-1");
    host_answer(host, host_last(host), 200,
                "{\"lease_id\":\"database/creds/orders/x\",\"lease_duration\":3600,"
                "\"renewable\":true,\"data\":{\"password\":\"SECRET\"}}");
    assert_int_equal(op->status, LEASED_OK);
    assert_int_equal(op->anchor, 1);
    assert_int_equal(op->lifetime_ms, 1800000); /* it dies with its token */
    assert_int_equal(op->flags, LEASED_RESULT_REVOCABLE | LEASED_RESULT_CAPPED);
    host_answer(host, &host->https[2], 200,
                "{\"auth\":{\"client_token\":\"s.SECRET-2\",\"lease_duration\":3600,"
                "\"renewable\":true}}");
    op = host_issue(host, ISSUE, 0);
    assert_string_equal(host_last(host)->token, "s.SECRET-2");
    host_answer(host, host_last(host), 200,
                "{\"lease_id\":\"database/creds/orders/y\",\"lease_duration\":3600,"
                "\"renewable\":true,\"data\":{\"password\":\"SECRET\"}}");
    assert_int_equal(op->anchor, 2);
    assert_int_equal(op->lifetime_ms, 3600000);
    /* The old token isn't revoked while leases may hang on it. */
    host_advance(host, 1000000);
    for (size_t i = 0; i < host->http_count; i++) {
        assert_null(strstr(host->https[i].path, "revoke"));
    }
    host_close(host, 0);
}

static void test_a_shrinking_renewal_is_a_maximum_even_without_a_warning(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);

    (void)state;
    (void)advance_to_exchange(host, 3600000);
    answer_renewal(host, 3000, "null");
    assert_int_equal(host->anchor_count, 1);
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    host_close(host, 0);
}

static void test_a_failed_renewal_is_tried_again_until_the_token_ends(void **state)
{
    struct leased_host_context *host = host_open_approle(60);
    int tries = 0;

    (void)state;
    (void)advance_to_exchange(host, 60000);
    while (strcmp(host_last(host)->path, "/v1/auth/token/renew-self") == 0) {
        host_fail(host, host_last(host), LEASED_HTTP_LOST);
        (void)advance_to_exchange(host, 60000);
        assert_true(tries++ < 100);
    }
    assert_true(tries >= 2);
    /* It has ended: its leases are dead, and a new login runs. */
    assert_int_equal(host->now_ms / 100, (1000000 + 60000) / 100);
    assert_int_equal(host_last_anchor(host)->anchor, 1);
    assert_int_equal(host_last_anchor(host)->when_ms, 0);
    assert_int_equal(host->login_expires_ms, 0);
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    host_close(host, 0);
}

static void test_a_token_that_may_not_renew_itself_is_bounded_but_alive(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);

    (void)state;
    (void)advance_to_exchange(host, 3600000);
    host_answer(host, host_last(host), 403, POLICY);
    assert_string_equal(host_last(host)->path, "/v1/auth/token/lookup-self");
    host_answer(host, host_last(host), 403, POLICY);
    assert_int_equal(host->anchor_count, 1);
    assert_int_equal(host_last_anchor(host)->when_ms, 1000000 + 3600000);
    /* Its successor comes in time. */
    (void)advance_to_exchange(host, 1200000);
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    assert_true(host->now_ms < 1000000 + 3600000);
    host_close(host, 0);
}

static void test_a_token_revoked_behind_our_back_is_dead_and_replaced(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);

    (void)state;
    (void)advance_to_exchange(host, 3600000);
    host_answer(host, host_last(host), 403, DEAD);
    host_answer(host, host_last(host), 403, DEAD);
    assert_int_equal(host_last_anchor(host)->anchor, 1);
    assert_int_equal(host_last_anchor(host)->when_ms, 0);
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    host_close(host, 0);
}

static void test_a_token_that_is_not_renewable_is_replaced_in_time(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);

    (void)state;
    host_answer(host, host_last(host), 200,
                "{\"auth\":{\"client_token\":\"b.SECRET\",\"lease_duration\":1200,"
                "\"renewable\":false,\"token_type\":\"batch\"}}");
    assert_int_equal(host_last_anchor(host)->when_ms, 1000000 + 1200000);
    (void)advance_to_exchange(host, 1000000);
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    host_close(host, 0);
}

static void test_a_configured_token_that_ends_is_read_again(void **state)
{
    struct leased_host_context *host = host_open(TOKEN_CONFIG);

    (void)state;
    host_answer(host, host_last(host), 200,
                "{\"data\":{\"ttl\":600,\"creation_ttl\":3600,\"expire_time\":\"x\","
                "\"renewable\":true}}");
    (void)advance_to_exchange(host, 600000);
    assert_string_equal(host_last(host)->body, "{\"increment\":3600}");
    answer_renewal(host, 200, "null");
    assert_int_equal(host->anchor_count, 1);
    (void)advance_to_exchange(host, 200000);
    assert_string_equal(host_last(host)->path, "/v1/auth/token/lookup-self");
    /* Still the same: nothing new, and it isn't taken for renewable again. */
    host_answer(host, host_last(host), 200,
                "{\"data\":{\"ttl\":60,\"creation_ttl\":3600,\"expire_time\":\"x\","
                "\"renewable\":true}}");
    assert_int_equal(host_last_anchor(host)->when_ms, host->now_ms + 60000);
    host->secrets[0].value = "s.SECRET-next";
    (void)advance_to_exchange(host, 60000);
    assert_string_equal(host_last(host)->token, "s.SECRET-next");
    host_answer(host, host_last(host), 200,
                "{\"data\":{\"ttl\":3600,\"creation_ttl\":3600,\"period\":3600,"
                "\"expire_time\":\"x\",\"renewable\":true}}");
    assert_int_equal(host->login_expires_ms, host->now_ms + 3600000);
    /* A configured token isn't ours to revoke. */
    host_close(host, LEASED_CLOSE_LOGOUT);
}

static void test_an_expired_configured_token_is_no_root_token(void **state)
{
    struct leased_host_context *host = host_open(TOKEN_CONFIG);

    (void)state;
    host_answer(host, host_last(host), 200,
                "{\"data\":{\"ttl\":0,\"expire_time\":\"2026-01-01T00:00:00Z\"}}");
    assert_int_equal(host->login_expires_ms, 0);
    assert_int_equal(host->warn_count, 1);
    host_close(host, 0);
}

static void test_a_logout_revokes_every_token_that_was_made(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);
    size_t before;

    (void)state;
    (void)advance_to_exchange(host, 3600000);
    answer_renewal(host, 1800, "null");
    answer_login(host, "s.SECRET-2", 3600);
    before = host->http_count;
    host->ops[0].is_open = true;
    assert_int_equal(host->plugin->close(host->vault, LEASED_CLOSE_LOGOUT,
                                         (leased_op *)(void *)&host->ops[0]),
                     0);
    host_run(host);
    assert_int_equal(host->http_count, before + 1);
    assert_string_equal(host_last(host)->path, "/v1/auth/token/revoke-self");
    assert_string_equal(host_last(host)->token, "s.SECRET-2");
    host_answer(host, host_last(host), 204, "");
    assert_string_equal(host_last(host)->token, "s.SECRET-1");
    host_fail(host, host_last(host), LEASED_HTTP_NOT_SENT); /* nobody can help it */
    assert_int_equal(host->ops[0].done_count, 1);
    assert_int_equal(host->ops[0].status, LEASED_OK);
    assert_int_equal(host_block_count(), 0);
    free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_approle_logs_in_with_both_ids_and_never_twice_the_same_request),
        cmocka_unit_test(test_a_configured_token_is_looked_up),
        cmocka_unit_test(test_namespace_and_mount_are_used),
        cmocka_unit_test(test_a_login_that_fails_is_tried_again_ever_later_with_jitter),
        cmocka_unit_test(test_credentials_are_read_anew_at_each_login),
        cmocka_unit_test(test_retry_after_of_a_login_is_kept),
        cmocka_unit_test(test_logins_that_bring_no_usable_token_fail),
        cmocka_unit_test(test_the_token_is_renewed_at_two_thirds_asking_for_its_whole_life),
        cmocka_unit_test(test_a_token_near_its_maximum_is_announced_and_replaced_at_once),
        cmocka_unit_test(test_a_shrinking_renewal_is_a_maximum_even_without_a_warning),
        cmocka_unit_test(test_a_failed_renewal_is_tried_again_until_the_token_ends),
        cmocka_unit_test(test_a_token_that_may_not_renew_itself_is_bounded_but_alive),
        cmocka_unit_test(test_a_token_revoked_behind_our_back_is_dead_and_replaced),
        cmocka_unit_test(test_a_token_that_is_not_renewable_is_replaced_in_time),
        cmocka_unit_test(test_a_configured_token_that_ends_is_read_again),
        cmocka_unit_test(test_an_expired_configured_token_is_no_root_token),
        cmocka_unit_test(test_a_logout_revokes_every_token_that_was_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
