/* The end of an instance leaves no token behind that a login of ours has made. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define REVOKE "/v1/auth/token/revoke-self"
#define LOGGED_IN                                                                                  \
    "{\"auth\":{\"client_token\":\"s.SECRET-late\",\"lease_duration\":3600,\"renewable\":true}}"
#define USELESS                                                                                    \
    "{\"auth\":{\"client_token\":\"s.SECRET-used\",\"lease_duration\":60,\"num_uses\":5}}"

static struct fake_op *start_close(struct leased_host_context *host, uint32_t flags)
{
    struct fake_op *op = &host->ops[host->op_count++];

    *op = (struct fake_op){.is_open = true};
    host->starting = op;
    assert_int_equal(host->plugin->close(host->vault, flags, (leased_op *)(void *)op), 0);
    host->starting = NULL;
    host_run(host);
    return op;
}

static void check_closed(struct leased_host_context *host, const struct fake_op *op)
{
    assert_int_equal(op->done_count, 1);
    assert_int_equal(op->status, LEASED_OK);
    assert_int_equal(host_open_https(host), 0);
    assert_int_equal(host_block_count(), 0);
    free(host);
}

static void test_a_login_under_way_is_let_end_and_its_token_revoked(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    struct fake_op *op = start_close(host, LEASED_CLOSE_LOGOUT);

    (void)state;
    assert_false(host_last(host)->is_canceled);
    host_answer(host, host_last(host), 200, LOGGED_IN);
    assert_string_equal(host_last(host)->path, REVOKE);
    assert_string_equal(host_last(host)->token, "s.SECRET-late");
    host_answer(host, host_last(host), 204, "");
    check_closed(host, op);
}

static void test_a_login_that_does_not_end_is_waited_for_five_seconds(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    struct fake_op *op = start_close(host, LEASED_CLOSE_LOGOUT);

    (void)state;
    host_advance(host, 4999);
    assert_false(host_last(host)->is_canceled);
    host_advance(host, 1);
    assert_true(host_last(host)->is_canceled);
    host_fail(host, host_last(host), LEASED_HTTP_CANCELED);
    check_closed(host, op);
}

static void test_without_a_logout_nothing_is_waited_for(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    struct fake_op *op = start_close(host, 0);

    (void)state;
    assert_true(host_last(host)->is_canceled);
    host_fail(host, host_last(host), LEASED_HTTP_CANCELED);
    check_closed(host, op);
}

static void test_a_login_that_fails_meanwhile_ends_the_close(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    struct fake_op *op = start_close(host, LEASED_CLOSE_LOGOUT);

    (void)state;
    host_answer(host, host_last(host), 400, "{\"errors\":[\"invalid role or secret ID\"]}");
    check_closed(host, op);
}

/* It is revoked already, or waits for that. */
static void test_a_token_of_no_use_is_revoked_too(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    struct fake_op *op;

    (void)state;
    host_answer(host, host_last(host), 200, USELESS);
    assert_string_equal(host_last(host)->path, REVOKE);
    op = start_close(host, LEASED_CLOSE_LOGOUT);
    assert_false(host_last(host)->is_canceled);
    host_answer(host, host_last(host), 204, "");
    check_closed(host, op);

    host = host_open(APPROLE_CONFIG);
    op = start_close(host, LEASED_CLOSE_LOGOUT);
    host_answer(host, host_last(host), 200, USELESS);
    assert_string_equal(host_last(host)->token, "s.SECRET-used");
    host_answer(host, host_last(host), 204, "");
    check_closed(host, op);
}

/* The host's patience may be shorter than five seconds. */
static void test_a_close_that_is_cancelled_ends_at_once(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    struct fake_op *op;

    (void)state;
    host_answer(host, host_last(host), 200, LOGGED_IN);
    op = start_close(host, LEASED_CLOSE_LOGOUT);
    assert_string_equal(host_last(host)->path, REVOKE);
    assert_int_equal(op->done_count, 0);
    host_cancel(host, op);
    assert_int_equal(op->done_count, 1);
    assert_int_equal(op->status, LEASED_CANCELED);
    assert_int_equal(host_block_count(), 0);
    free(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_login_under_way_is_let_end_and_its_token_revoked),
        cmocka_unit_test(test_a_login_that_does_not_end_is_waited_for_five_seconds),
        cmocka_unit_test(test_without_a_logout_nothing_is_waited_for),
        cmocka_unit_test(test_a_login_that_fails_meanwhile_ends_the_close),
        cmocka_unit_test(test_a_token_of_no_use_is_revoked_too),
        cmocka_unit_test(test_a_close_that_is_cancelled_ends_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
