/* Tokens that were replaced while leases hang on them, however many. */
#include "fake_host.h"
#include "instance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Puts another token into the file and answers its look-up, if one comes. */
static bool replace(struct leased_host_context *host, char value[32], unsigned n, unsigned ttl_s)
{
    char body[128];

    (void)snprintf(value, 32, "s.SECRET-%u", n);
    host->secrets[0].value = value;
    host_advance(host, VAULT_WATCH_MS);
    if (host_open_https(host) == 0) {
        return false;
    }
    assert_string_equal(host_last(host)->token, value);
    (void)snprintf(body, sizeof(body),
                   "{\"data\":{\"ttl\":%u,\"creation_ttl\":%u,\"expire_time\":\"x\"}}", ttl_s,
                   ttl_s);
    host_answer(host, host_last(host), 200, body);
    return true;
}

static void test_no_lease_is_told_a_false_end_while_there_is_room(void **state)
{
    struct leased_host_context *host = host_open_root();
    char value[32];

    (void)state;
    for (unsigned n = 0; n < VAULT_OLD_TOKENS_MAX; n++) {
        assert_true(replace(host, value, n, 36000));
    }
    for (size_t i = 0; i < host->anchor_count; i++) {
        assert_true(host->anchors[i].when_ms >= 1000000 + UINT64_C(36000000));
    }
    host_close(host, 0);
}

static void test_one_too_many_waits_until_the_first_to_end_has_made_room(void **state)
{
    struct leased_host_context *host = host_open(TOKEN_CONFIG);
    char value[32];
    struct fake_op *op;
    uint64_t told_ms;

    (void)state;
    host_answer(host, host_last(host), 200,
                "{\"data\":{\"ttl\":36000,\"creation_ttl\":36000,\"expire_time\":\"x\"}}");
    for (unsigned n = 1; n <= VAULT_OLD_TOKENS_MAX; n++) {
        assert_true(replace(host, value, n, 36000));
    }
    assert_int_equal(host->anchor_count, VAULT_OLD_TOKENS_MAX + 1);
    told_ms = host->now_ms + VAULT_WATCH_MS;
    assert_false(replace(host, value, 99, 36000));
    /* The first of all is told to end, in time for its leases to be replaced. */
    assert_int_equal(host->anchor_count, VAULT_OLD_TOKENS_MAX + 2);
    assert_int_equal(host_last_anchor(host)->anchor, 1);
    assert_int_equal(host_last_anchor(host)->when_ms, told_ms + 60000);
    /* Meanwhile the one in use serves. */
    op = host_issue(host, "{\"path\":\"a/creds/b\"}", 0);
    assert_string_not_equal(host_last(host)->token, value);
    host_answer(host, host_last(host), 200,
                "{\"lease_id\":\"a/creds/b/1\",\"lease_duration\":60,\"renewable\":true,"
                "\"data\":{\"password\":\"SECRET\"}}");
    assert_int_equal(op->anchor, VAULT_OLD_TOKENS_MAX + 1);
    host_advance(host, 59999);
    assert_int_equal(host_open_https(host), 0);
    host_advance(host, 1);
    assert_string_equal(host_last(host)->path, "/v1/auth/token/lookup-self");
    assert_string_equal(host_last(host)->token, value);
    host_answer(host, host_last(host), 200,
                "{\"data\":{\"ttl\":36000,\"creation_ttl\":36000,\"expire_time\":\"x\"}}");
    (void)host_issue(host, "{\"path\":\"a/creds/b\"}", 0);
    assert_string_equal(host_last(host)->token, value);
    /* A configured token isn't ours to revoke. */
    for (size_t i = 0; i < host->http_count; i++) {
        assert_null(strstr(host->https[i].path, "revoke"));
    }
    host_close(host, 0);
}

/* Through a renewal that reaches the maximum, far away: then a new login follows at once. */
static void log_in_again(struct leased_host_context *host, unsigned n)
{
    char body[256];

    while (host_open_https(host) == 0) {
        host_advance_to_timer(host);
    }
    assert_string_equal(host_last(host)->path, "/v1/auth/token/renew-self");
    host_answer(host, host_last(host), 200,
                "{\"warnings\":[\"capped\"],\"auth\":{\"client_token\":\"x\",\"lease_duration\":"
                "2000000,\"renewable\":true}}");
    while (host_open_https(host) == 0) {
        host_advance_to_timer(host);
    }
    (void)snprintf(body, sizeof(body),
                   "{\"auth\":{\"client_token\":\"s.SECRET-%u\",\"lease_duration\":3600,"
                   "\"renewable\":true}}",
                   n);
    if (strstr(host_last(host)->path, "revoke") == NULL) {
        host_answer(host, host_last(host), 200, body);
    }
}

static void test_a_token_of_ours_that_made_room_is_revoked_at_the_end_that_was_told(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);
    unsigned n = 2;

    (void)state;
    while (host_open_https(host) == 0) {
        log_in_again(host, n++);
        assert_true(n < 100);
    }
    assert_int_equal(n, VAULT_OLD_TOKENS_MAX + 3);
    assert_int_equal(host_last_anchor(host)->anchor, 1);
    assert_int_equal(host_last_anchor(host)->when_ms, host->now_ms);
    assert_string_equal(host_last(host)->path, "/v1/auth/token/revoke-self");
    assert_string_equal(host_last(host)->token, "s.SECRET-1");
    host_answer(host, host_last(host), 204, "");
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    host_answer(host, host_last(host), 200,
                "{\"auth\":{\"client_token\":\"s.SECRET-last\",\"lease_duration\":3600,"
                "\"renewable\":true}}");
    host_close(host, LEASED_CLOSE_LOGOUT);
}

static void test_what_has_ended_makes_room_by_itself(void **state)
{
    struct leased_host_context *host = host_open_root();
    char value[32];

    (void)state;
    /* Ten seconds apart: with a life of two minutes twelve live beside each other. */
    for (unsigned n = 0; n < 50; n++) {
        assert_true(replace(host, value, n, 120));
    }
    for (size_t i = 0; i < host->anchor_count; i++) {
        assert_true(strstr(host->anchors[i].reason, "makes room") == NULL);
    }
    host_close(host, 0);
}

static void test_a_logout_revokes_them_all(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);
    struct fake_op *op = &host->ops[host->op_count++];
    size_t revoked = 0;

    (void)state;
    for (unsigned n = 2; n < 10; n++) {
        log_in_again(host, n);
    }
    op->is_open = true;
    assert_int_equal(host->plugin->close(host->vault, LEASED_CLOSE_LOGOUT, (leased_op *)(void *)op),
                     0);
    host_run(host);
    while (op->is_open) {
        assert_string_equal(host_last(host)->path, "/v1/auth/token/revoke-self");
        host_answer(host, host_last(host), 204, "");
        revoked++;
    }
    assert_int_equal(revoked, 9);
    assert_int_equal(host_block_count(), 0);
    free(host);
}

static void test_a_logout_that_finds_nobody_ends_at_once(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);
    struct fake_op *op = &host->ops[host->op_count++];

    (void)state;
    for (unsigned n = 2; n < 10; n++) {
        log_in_again(host, n);
    }
    op->is_open = true;
    assert_int_equal(host->plugin->close(host->vault, LEASED_CLOSE_LOGOUT, (leased_op *)(void *)op),
                     0);
    host_run(host);
    assert_string_equal(host_last(host)->path, "/v1/auth/token/revoke-self");
    host_fail(host, host_last(host), LEASED_HTTP_LOST);
    assert_false(op->is_open);
    assert_int_equal(host_block_count(), 0);
    free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_lease_is_told_a_false_end_while_there_is_room),
        cmocka_unit_test(test_one_too_many_waits_until_the_first_to_end_has_made_room),
        cmocka_unit_test(test_a_token_of_ours_that_made_room_is_revoked_at_the_end_that_was_told),
        cmocka_unit_test(test_what_has_ended_makes_room_by_itself),
        cmocka_unit_test(test_a_logout_revokes_them_all),
        cmocka_unit_test(test_a_logout_that_finds_nobody_ends_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
