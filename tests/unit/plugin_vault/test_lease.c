/* Renewing and health, and what a dead token or a missing login makes of operations. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define ISSUE "{\"path\":\"database/creds/orders\"}"
#define LEASED_BODY                                                                                \
    "{\"lease_id\":\"database/creds/orders/x1\",\"renewable\":true,\"lease_duration\":3600,"       \
    "\"data\":{\"username\":\"u\",\"password\":\"SECRET\"},\"warnings\":[\"careful\"]}"
#define DEAD "{\"errors\":[\"permission denied\"]}"
#define POLICY "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}"
#define ALIVE "{\"data\":{\"ttl\":0,\"expire_time\":null}}"

static void test_a_renewal_asks_for_the_life_and_sees_its_maximum(void **state)
{
    static const struct {
        uint64_t ttl_ms;
        const char *increment;
        const char *answer;
        int32_t status;
        uint64_t lifetime_ms;
        uint32_t flags;
    } cases[] = {
        {3600000, ",\"increment\":3600", "\"renewable\":true,\"lease_duration\":3600", LEASED_OK,
         3600000, LEASED_RESULT_RENEWABLE},
        {1500, ",\"increment\":2", "\"renewable\":true,\"lease_duration\":2", LEASED_OK, 2000,
         LEASED_RESULT_RENEWABLE},
        {0, "", "\"renewable\":true,\"lease_duration\":60", LEASED_OK, 60000,
         LEASED_RESULT_RENEWABLE},
        {3600000, ",\"increment\":3600", "\"renewable\":true,\"lease_duration\":900", LEASED_OK,
         900000, LEASED_RESULT_RENEWABLE | LEASED_RESULT_CAPPED},
        {3600000, ",\"increment\":3600",
         "\"renewable\":true,\"lease_duration\":3600,\"warnings\":[\"capped accordingly\"]",
         LEASED_OK, 3600000, LEASED_RESULT_RENEWABLE | LEASED_RESULT_CAPPED},
        {3600000, ",\"increment\":3600", "\"renewable\":true,\"lease_duration\":0", LEASED_DENIED,
         0, 0},
        {3600000, ",\"increment\":3600", "\"renewable\":false,\"lease_duration\":3600", LEASED_OK,
         3600000, 0},
    };
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_op *op = host_renew(host, "a/b", cases[i].ttl_ms);
        char text[256];

        (void)snprintf(text, sizeof(text), "{\"lease_id\":\"a/b\"%s}", cases[i].increment);
        assert_string_equal(host_last(host)->body, text);
        assert_int_equal(host_last(host)->flags, 0);
        (void)snprintf(text, sizeof(text), "{\"lease_id\":\"a/b\",%s}", cases[i].answer);
        host_answer(host, host_last(host), 200, text);
        assert_int_equal(op->status, cases[i].status);
        assert_int_equal(op->lifetime_ms, cases[i].lifetime_ms);
        assert_int_equal(op->flags, cases[i].flags);
    }
    host_close(host, 0);
}

static void test_a_renewal_of_another_lease_or_without_sense_is_tried_again(void **state)
{
    static const char *const bodies[] = {"{\"lease_id\":\"a/c\",\"lease_duration\":60}",
                                         "{\"lease_duration\":60}", "", "garbage"};
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct fake_op *op = host_renew(host, "a/b", 1000);

        host_answer(host, host_last(host), 200, bodies[i]);
        assert_int_equal(op->status, LEASED_RETRY);
    }
    host_close(host, 0);
}

static void test_a_403_is_denied_when_the_token_is_alive(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *first;
    struct fake_op *second;
    struct fake_op *third;

    (void)state;
    host_advance(host, 5000);
    first = host_issue(host, ISSUE, 0);
    second = host_revoke(host, "a/b");
    host_answer(host, &host->https[1], 403, POLICY);
    assert_string_equal(host_last(host)->path, "/v1/auth/token/lookup-self");
    host_answer(host, &host->https[2], 403, POLICY); /* joins the same look-up */
    assert_int_equal(host->http_count, 4);
    host_answer(host, host_last(host), 200, ALIVE);
    assert_int_equal(first->status, LEASED_DENIED);
    assert_int_equal(second->status, LEASED_DENIED);
    assert_non_null(strstr(first->detail, "permission denied"));
    /* It has just been seen alive. */
    third = host_issue(host, ISSUE, 0);
    host_answer(host, host_last(host), 403, POLICY);
    assert_int_equal(third->status, LEASED_DENIED);
    assert_int_equal(host->http_count, 5);
    assert_int_equal(host->anchor_count, 0);
    host_close(host, 0);
}

static void test_a_403_of_a_dead_token_is_tried_again_after_a_new_login(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);
    struct fake_op *issue;
    struct fake_op *renew;
    struct fake_op *late;

    (void)state;
    host_advance(host, 5000);
    issue = host_issue(host, ISSUE, 0);
    renew = host_renew(host, "a/b", 1000);
    late = host_revoke(host, "a/b");
    host_answer(host, &host->https[1], 403, DEAD);
    host_answer(host, &host->https[2], 403, DEAD);
    host_answer(host, &host->https[4], 403, DEAD); /* the look-up */
    assert_int_equal(issue->status, LEASED_RETRY);
    assert_int_equal(renew->status, LEASED_RETRY);
    assert_int_equal(host_last_anchor(host)->when_ms, 0);
    assert_string_equal(host_last(host)->path, "/v1/auth/approle/login");
    /* An answer to the dead token needs no look-up of the new one. */
    host_answer(host, &host->https[3], 403, DEAD);
    assert_int_equal(late->status, LEASED_RETRY);
    /* What comes now waits for the login. */
    issue = host_issue(host, ISSUE, 0);
    assert_true(issue->is_open);
    host_answer(host, host_last(host), 200,
                "{\"auth\":{\"client_token\":\"s.SECRET-2\",\"lease_duration\":60}}");
    assert_string_equal(host_last(host)->token, "s.SECRET-2");
    host_answer(host, host_last(host), 200, LEASED_BODY);
    assert_int_equal(issue->anchor, 2);
    host_close(host, 0);
}

/* Revoked within the second after a look-up. */
static void test_a_403_that_sounds_like_a_dead_token_is_always_looked_up(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);
    struct fake_op *op = host_issue(host, ISSUE, 0);

    (void)state;
    host_answer(host, host_last(host), 403, DEAD);
    assert_true(op->is_open);
    assert_string_equal(host_last(host)->path, "/v1/auth/token/lookup-self");
    host_answer(host, host_last(host), 403, DEAD);
    assert_int_equal(op->status, LEASED_RETRY);
    assert_int_equal(host_last_anchor(host)->when_ms, 0);
    host_close(host, 0);
}

static void test_a_403_whose_look_up_fails_is_tried_again(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op;

    (void)state;
    host_advance(host, 5000);
    op = host_issue(host, ISSUE, 0);
    host_answer(host, host_last(host), 403, DEAD);
    host_fail(host, host_last(host), LEASED_HTTP_NOT_SENT);
    assert_int_equal(op->status, LEASED_RETRY);
    assert_int_equal(host->anchor_count, 0);
    host_close(host, 0);
}

static void test_operations_wait_for_a_first_login_and_no_longer(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    struct fake_op *op = host_issue(host, ISSUE, 0);
    struct fake_op *soon;

    (void)state;
    assert_true(op->is_open);
    host_answer(host, &host->https[0], 503, "{\"errors\":[\"Vault is sealed\"]}");
    assert_int_equal(op->status, LEASED_SEALED);
    assert_non_null(strstr(op->detail, "could not log in"));
    /* With the login in its back-off there is nothing to wait for. */
    soon = host_issue(host, ISSUE, 0);
    assert_true(soon->is_open); /* never from inside start */
    host_run(host);
    assert_int_equal(soon->status, LEASED_SEALED);
    host_advance(host, 1200);
    host_answer(host, host_last(host), 400, "{\"errors\":[\"invalid role or secret ID\"]}");
    soon = host_renew(host, "a/b", 0);
    host_run(host);
    assert_int_equal(soon->status, LEASED_RETRY);
    assert_non_null(strstr(soon->detail, "invalid role"));
    host_close(host, 0);
}

static void test_the_queue_for_the_login_is_bounded(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    struct fake_op *refused;

    (void)state;
    for (int i = 0; i < 256; i++) {
        (void)host_issue(host, ISSUE, 0);
    }
    refused = host_issue(host, ISSUE, 0);
    host_run(host);
    assert_int_equal(refused->status, LEASED_RETRY);
    assert_true(host->ops[255].is_open);
    host_answer(host, &host->https[0], 200,
                "{\"auth\":{\"client_token\":\"s.SECRET-1\",\"lease_duration\":60}}");
    assert_int_equal(host->http_count, 257);
    host_close(host, 0);
}

static void test_cancel_ends_what_waits_and_lets_a_sent_issue_run_on(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    struct fake_op *queued = host_issue(host, ISSUE, 0);
    struct fake_op *sent;
    struct fake_op *renew;

    (void)state;
    host_cancel(host, queued);
    assert_int_equal(queued->status, LEASED_CANCELED);
    host_answer(host, &host->https[0], 200,
                "{\"auth\":{\"client_token\":\"s.SECRET-1\",\"lease_duration\":60}}");
    assert_int_equal(host->http_count, 1);
    sent = host_issue(host, ISSUE, 0);
    host_cancel(host, sent);
    assert_false(host_last(host)->is_canceled);
    host_answer(host, host_last(host), 200, LEASED_BODY);
    assert_int_equal(sent->status, LEASED_OK); /* so that it can be revoked */
    renew = host_renew(host, "a/b", 0);
    host_cancel(host, renew);
    assert_true(host_last(host)->is_canceled);
    host_fail(host, host_last(host), LEASED_HTTP_CANCELED);
    assert_int_equal(renew->status, LEASED_CANCELED);
    host_cancel(host, renew); /* not there any more */
    host_close(host, 0);
}

static void test_health_asks_without_a_token_and_knows_our_login(void **state)
{
    struct leased_host_context *host = host_open(APPROLE_CONFIG);
    struct fake_op *op = host_health(host);

    (void)state;
    assert_string_equal(host_last(host)->path, "/v1/sys/health?standbyok=true&perfstandbyok=true");
    assert_string_equal(host_last(host)->token, "");
    host_answer(host, host_last(host), 200, "{\"sealed\":false}");
    assert_int_equal(op->status, LEASED_OK);
    host_answer(host, &host->https[0], 400, "{\"errors\":[\"invalid role or secret ID\"]}");
    op = host_health(host);
    host_answer(host, host_last(host), 200, "{\"sealed\":false}");
    assert_int_equal(op->status, LEASED_RETRY);
    assert_non_null(strstr(op->detail, "could not log in"));
    op = host_health(host);
    host_answer(host, host_last(host), 503, "{\"sealed\":true}");
    assert_int_equal(op->status, LEASED_SEALED);
    op = host_health(host);
    host_answer(host, host_last(host), 501, "{}");
    assert_int_equal(op->status, LEASED_SEALED);
    host_close(host, 0);
}

/* Nothing else would tell before the token's next renewal, half an hour later. */
static void test_health_finds_out_that_the_token_was_revoked(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);
    size_t before;

    (void)state;
    (void)host_health(host);
    before = host->http_count;
    host_answer(host, host_last(host), 200, "{}");
    assert_int_equal(host->http_count, before); /* just logged in: no look-up */
    host_advance(host, 10000);
    (void)host_health(host);
    host_answer(host, host_last(host), 200, "{}");
    assert_string_equal(host_last(host)->path, "/v1/auth/token/lookup-self");
    host_answer(host, host_last(host), 403, "{\"errors\":[\"permission denied\"]}");
    assert_int_equal(host->anchor_count, 1);
    assert_int_equal(host_last_anchor(host)->when_ms, 0);
    host_close(host, 0);
}

static void test_an_exchange_that_cannot_start_is_tried_again(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op;

    (void)state;
    host->http_fails = true;
    op = host_issue(host, ISSUE, 0);
    host_run(host);
    assert_int_equal(op->status, LEASED_RETRY);
    host_close(host, 0);
}

static void test_close_ends_operations_in_every_state(void **state)
{
    struct leased_host_context *host = host_open_root();

    (void)state;
    host_advance(host, 5000);
    (void)host_issue(host, ISSUE, 0);
    host_answer(host, host_last(host), 403, POLICY); /* waits for a look-up */
    (void)host_issue(host, ISSUE, 60000);
    host_answer(host, host_last(host), 200, LEASED_BODY); /* is being fitted */
    (void)host_issue(host, ISSUE, 0);
    (void)host_revoke(host, "a/b");
    (void)host_health(host);
    host->http_fails = true;
    (void)host_renew(host, "a/b", 0); /* ends soon */
    host_close(host, LEASED_CLOSE_LOGOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_renewal_asks_for_the_life_and_sees_its_maximum),
        cmocka_unit_test(test_a_renewal_of_another_lease_or_without_sense_is_tried_again),
        cmocka_unit_test(test_a_403_is_denied_when_the_token_is_alive),
        cmocka_unit_test(test_a_403_of_a_dead_token_is_tried_again_after_a_new_login),
        cmocka_unit_test(test_a_403_that_sounds_like_a_dead_token_is_always_looked_up),
        cmocka_unit_test(test_a_403_whose_look_up_fails_is_tried_again),
        cmocka_unit_test(test_operations_wait_for_a_first_login_and_no_longer),
        cmocka_unit_test(test_the_queue_for_the_login_is_bounded),
        cmocka_unit_test(test_cancel_ends_what_waits_and_lets_a_sent_issue_run_on),
        cmocka_unit_test(test_health_asks_without_a_token_and_knows_our_login),
        cmocka_unit_test(test_health_finds_out_that_the_token_was_revoked),
        cmocka_unit_test(test_an_exchange_that_cannot_start_is_tried_again),
        cmocka_unit_test(test_close_ends_operations_in_every_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
