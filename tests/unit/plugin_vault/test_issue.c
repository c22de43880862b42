/* Issuing: what an answer makes of a credential, and what it doesn't. */
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
#define POLICY "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}"

static void test_an_issue_gives_fields_life_anchor_and_reference(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_issue(host, ISSUE, 0);

    (void)state;
    assert_string_equal(host_last(host)->method, "GET");
    assert_string_equal(host_last(host)->path, "/v1/database/creds/orders");
    assert_string_equal(host_last(host)->token, "s.SECRET-root");
    assert_int_equal(host_last(host)->flags, LEASED_HTTP_CREATES | LEASED_HTTP_MOVABLE);
    host_advance(host, 40);
    host_answer(host, host_last(host), 200, LEASED_BODY);
    assert_int_equal(op->status, LEASED_OK);
    assert_int_equal(op->lifetime_ms, 3600000);
    assert_int_equal(op->asked_ms, 1000000);
    assert_int_equal(op->anchor, 1);
    assert_int_equal(op->flags, LEASED_RESULT_RENEWABLE | LEASED_RESULT_REVOCABLE);
    assert_string_equal(op->ref, "database/creds/orders/x1");
    assert_string_equal(op->fields, "username=u\npassword*=SECRET\n");
    assert_string_equal(op->warnings, "careful\n");
    host_close(host, 0);
}

static void test_a_post_carries_its_parameters(void **state)
{
    struct leased_host_context *host = host_open_root();

    (void)state;
    (void)host_issue(host,
                     "{\"path\":\"pki/issue/web\",\"method\":\"post\","
                     "\"params\":{\"common_name\":\"a.x\",\"ttl\":\"1h\"}}",
                     0);
    assert_string_equal(host_last(host)->method, "POST");
    assert_string_equal(host_last(host)->body, "{\"common_name\":\"a.x\",\"ttl\":\"1h\"}");
    host_close(host, 0);
}

static void test_the_wanted_life_is_set_by_one_renewal(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_issue(host, ISSUE, 1800500);

    (void)state;
    host_answer(host, host_last(host), 200, LEASED_BODY);
    assert_true(op->is_open);
    assert_string_equal(host_last(host)->path, "/v1/sys/leases/renew");
    assert_string_equal(host_last(host)->body,
                        "{\"lease_id\":\"database/creds/orders/x1\",\"increment\":1801}");
    host_advance(host, 10);
    host_answer(host, host_last(host), 200,
                "{\"lease_id\":\"database/creds/orders/x1\",\"renewable\":true,"
                "\"lease_duration\":1801,\"data\":null}");
    assert_int_equal(op->lifetime_ms, 1801000);
    assert_string_equal(op->fields, "username=u\npassword*=SECRET\n");
    assert_int_equal(op->flags, LEASED_RESULT_RENEWABLE | LEASED_RESULT_REVOCABLE);
    /* The right life needs none. */
    op = host_issue(host, ISSUE, 3600000);
    host_answer(host, host_last(host), 200,
                "{\"lease_id\":\"database/creds/orders/x2\",\"renewable\":true,"
                "\"lease_duration\":3600,\"data\":{\"password\":\"SECRET\"}}");
    assert_int_equal(op->lifetime_ms, 3600000);
    host_close(host, 0);
}

static void test_a_lease_that_was_issued_before_is_refused_and_left_alone(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *first = host_issue(host, ISSUE, 0);
    struct fake_op *second;

    (void)state;
    host_answer(host, host_last(host), 200, LEASED_BODY);
    assert_int_equal(first->status, LEASED_OK);
    second = host_issue(host, ISSUE, 0);
    host_answer(host, host_last(host), 200, LEASED_BODY);
    assert_int_equal(second->status, LEASED_LOST);
    assert_non_null(strstr(second->detail, "issued before"));
    assert_string_equal(second->ref, ""); /* its revocation would end the first one */
    assert_string_equal(second->fields, "");
    assert_int_equal(host->warn_count, 1);
    host_close(host, 0);
}

static void test_a_wanted_life_that_is_not_given_leaves_the_lease_as_it_is(void **state)
{
    static const struct {
        uint64_t ttl_ms;
        uint32_t status; /* 0: lost */
        const char *body;
        uint64_t lifetime_ms;
        uint32_t flags;
    } cases[] = {
        {7200000, 200,
         "{\"lease_id\":\"database/creds/orders/x1\",\"renewable\":true,\"lease_duration\":5000,"
         "\"warnings\":[\"TTL capped\"]}",
         5000000, LEASED_RESULT_RENEWABLE | LEASED_RESULT_REVOCABLE | LEASED_RESULT_CAPPED},
        {7200000, 403, POLICY, 3600000, LEASED_RESULT_RENEWABLE | LEASED_RESULT_REVOCABLE},
        {7200000, 0, "", 3600000, LEASED_RESULT_RENEWABLE | LEASED_RESULT_REVOCABLE},
        /* It may have been shortened. The host counts no more than it wants, and must end the rest.
         */
        {60000, 0, "", 3600000, LEASED_RESULT_RENEWABLE | LEASED_RESULT_REVOCABLE},
        {60000, 200, "garbage", 3600000, LEASED_RESULT_RENEWABLE | LEASED_RESULT_REVOCABLE},
        /* An answer of another lease says nothing. */
        {7200000, 200, "{\"lease_id\":\"database/creds/orders/y9\",\"lease_duration\":7200}",
         3600000, LEASED_RESULT_RENEWABLE | LEASED_RESULT_REVOCABLE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct leased_host_context *host = host_open_root();
        struct fake_op *op = host_issue(host, ISSUE, cases[i].ttl_ms);

        host_answer(host, host_last(host), 200, LEASED_BODY);
        if (cases[i].status == 0) {
            host_fail(host, host_last(host), LEASED_HTTP_LOST);
        } else {
            host_answer(host, host_last(host), cases[i].status, cases[i].body);
        }
        assert_int_equal(op->status, LEASED_OK);
        assert_int_equal(op->lifetime_ms, cases[i].lifetime_ms);
        assert_int_equal(op->flags, cases[i].flags);
        host_close(host, 0);
    }
}

static void test_a_credential_without_a_lease_says_so(void **state)
{
    static const struct {
        const char *body;
        int32_t status;
        uint64_t lifetime_ms;
    } cases[] = {
        {"{\"lease_duration\":2764800,\"data\":{\"k\":\"v\"}}", LEASED_OK, 86400000},
        {"{\"lease_duration\":0,\"data\":{\"k\":\"v\",\"ttl\":90}}", LEASED_OK, 90000},
        {"{\"data\":{\"k\":\"v\",\"expiration\":1700003600}}", LEASED_OK, 3600000},
        {"{\"data\":{\"k\":\"v\",\"ttl\":0}}", LEASED_INVALID, 0},
        {"{\"data\":{\"k\":\"v\",\"expiration\":1600000000}}", LEASED_INVALID, 0},
        {"{\"lease_duration\":0,\"data\":{\"k\":\"v\"}}", LEASED_OK, 86400000},
        {"{\"data\":{\"k\":\"v\",\"ttl\":\"1h\"}}", LEASED_OK, 86400000},
        {"{\"lease_duration\":60,\"data\":{}}", LEASED_INVALID, 0},
        {"{\"lease_duration\":60,\"data\":null}", LEASED_INVALID, 0},
        {"", LEASED_INVALID, 0},
    };
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_op *op = host_issue(host, ISSUE, 0);

        host_answer(host, host_last(host), cases[i].body[0] != '\0' ? 200 : 204, cases[i].body);
        assert_int_equal(op->status, cases[i].status);
        assert_int_equal(op->lifetime_ms, cases[i].lifetime_ms);
        assert_int_equal(op->flags, 0);
        assert_int_equal(op->anchor, 0);
        assert_string_equal(op->ref, "");
    }
    host_close(host, 0);
}

#define UNNAMED(duration, renewable)                                                               \
    "{\"lease_id\":\"\",\"lease_duration\":" duration ",\"renewable\":" renewable                  \
    ",\"data\":{\"username\":\"u\",\"password\":\"p\"}}"

/* It is no secret that can be served on, nor made anew all the time; but for a KV secret whose path
 * looks so. */
static void test_a_life_whose_lease_is_not_told_is_no_longer_than_it_says(void **state)
{
    static const struct {
        const char *params;
        const char *body;
        uint64_t lifetime_ms;
        uint64_t refresh_ms;
        bool is_warned;
    } cases[] = {
        {ISSUE, UNNAMED("60", "true"), 60000, 0, true},
        {ISSUE, UNNAMED("60", "false"), 60000, 0, true},
        {"{\"path\":\"my/own\"}", UNNAMED("172800", "true"), 172800000, 0, true},
        {"{\"path\":\"ssh/creds/a\",\"params\":{\"ip\":\"::1\"}}", UNNAMED("60", "false"), 60000, 0,
         true},
        {"{\"path\":\"kv/creds/a\"}", UNNAMED("2764800", "false"), 86400000, 300000, false},
        {"{\"path\":\"kv/creds/a\"}",
         "{\"lease_id\":\"\",\"lease_duration\":60,\"data\":{\"k\":\"v\",\"ttl\":\"1m\"}}",
         86400000, 60000, false},
        {"{\"path\":\"kv/a\"}", UNNAMED("60", "false"), 86400000, 300000, false},
    };
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_op *op = host_issue(host, cases[i].params, 0);

        host_answer(host, host_last(host), 200, cases[i].body);
        assert_int_equal(op->status, LEASED_OK);
        assert_int_equal(op->lifetime_ms, cases[i].lifetime_ms);
        assert_int_equal(op->refresh_ms, cases[i].refresh_ms);
        assert_int_equal(op->flags, 0);
        assert_string_equal(op->ref, "");
        assert_int_equal(strstr(op->warnings, "neither be renewed nor revoked") != NULL,
                         cases[i].is_warned);
    }
    host_close(host, 0);
}

static void test_a_lease_that_cannot_be_used_is_named_for_revocation(void **state)
{
    static const char *const bodies[] = {
        "{\"lease_id\":\"database/creds/orders/x\",\"lease_duration\":0,\"data\":{\"k\":\"v\"}}",
        "{\"lease_id\":\"database/creds/orders/x\",\"lease_duration\":60}",
        "{\"lease_id\":\"database/creds/orders/x\",\"lease_duration\":\"60\",\"data\":{\"k\":\"v\"}}",
        "{\"lease_id\":\"database/creds/orders/x\",\"lease_duration\":60,\"data\":[]}",
        "{\"lease_id\":\"database/creds/orders/x\",\"lease_duration\":60,\"data\":{}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct leased_host_context *host = host_open_root();
        struct fake_op *op = host_issue(host, ISSUE, 0);

        host_answer(host, host_last(host), 200, bodies[i]);
        assert_int_equal(op->status, LEASED_INVALID);
        assert_string_equal(op->ref, "database/creds/orders/x");
        host_close(host, 0);
    }
}

/* Its revocation would end the first one. */
static void test_a_lease_that_was_issued_before_is_left_alone_in_any_answer(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_issue(host, ISSUE, 0);

    (void)state;
    host_answer(host, host_last(host), 200, LEASED_BODY);
    assert_int_equal(op->status, LEASED_OK);
    op = host_issue(host, ISSUE, 0);
    host_answer(host, host_last(host), 200,
                "{\"lease_id\":\"database/creds/orders/x1\",\"lease_duration\":-1}");
    assert_int_equal(op->status, LEASED_LOST);
    assert_string_equal(op->ref, "");
    host_close(host, 0);
}

static void test_a_lease_of_another_path_is_not_ours(void **state)
{
    static const struct {
        const char *lease_id;
        int32_t status;
    } cases[] = {
        {"database/creds/orders/x", LEASED_OK},
        {"creds/orders/x", LEASED_OK},
        {"database/creds/admin/x", LEASED_LOST},
        {"database/creds/orders", LEASED_LOST},
        {"base/creds/orders/x", LEASED_LOST},
        {"x", LEASED_LOST},
        {"/x", LEASED_LOST},
        {"ns/database/creds/orders/x", LEASED_LOST},
    };
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake_op *op = host_issue(host, ISSUE, 0);
        char body[256];

        (void)snprintf(body, sizeof(body),
                       "{\"lease_id\":\"%s\",\"lease_duration\":60,\"data\":{\"k\":\"v\"}}",
                       cases[i].lease_id);
        host_answer(host, host_last(host), 200, body);
        assert_int_equal(op->status, cases[i].status);
        if (op->status != LEASED_OK) {
            assert_string_equal(op->ref, ""); /* never revoke what may be somebody else's */
        }
    }
    host_close(host, 0);
}

static void test_a_lost_or_unreadable_answer_of_an_issue_is_lost(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_issue(host, ISSUE, 0);

    (void)state;
    host_fail(host, host_last(host), LEASED_HTTP_LOST);
    assert_int_equal(op->status, LEASED_LOST);
    op = host_issue(host, ISSUE, 0);
    host_answer(host, host_last(host), 200, "{\"lease_id\":\"database/creds/orders/x");
    assert_int_equal(op->status, LEASED_LOST);
    op = host_issue(host, ISSUE, 0);
    host_fail(host, host_last(host), LEASED_HTTP_NOT_SENT);
    assert_int_equal(op->status, LEASED_RETRY);
    assert_int_equal(host->http_count, 4); /* none was sent twice */
    host_close(host, 0);
}

static void test_wrong_parameters_are_refused_with_a_reason(void **state)
{
    struct leased_host_context *host = host_open_root();
    char params[700] = "{\"path\":\"a/creds/";
    struct fake_op *op;

    (void)state;
    op = host_issue(host, "{\"path\":\"../a\"}", 0);
    host_run(host);
    assert_int_equal(op->status, LEASED_INVALID);
    assert_non_null(strstr(op->detail, "no segments of a path"));
    /* Filled in, a path may have become too long. */
    memset(params + strlen(params), 'x', 600);
    memcpy(params + strlen(params), "\"}", 3);
    op = host_issue(host, params, 0);
    host_run(host);
    assert_int_equal(op->status, LEASED_INVALID);
    assert_non_null(strstr(op->detail, "1 to 512 bytes"));
    assert_int_equal(host->http_count, 1);
    host_close(host, 0);
}

static void test_a_lease_that_is_gone_at_its_fitting_is_not_handed_out(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_issue(host, ISSUE, 7200000);

    (void)state;
    host_answer(host, host_last(host), 200, LEASED_BODY);
    host_answer(host, host_last(host), 400, "{\"errors\":[\"lease not found\"]}");
    assert_int_equal(op->status, LEASED_RETRY);
    assert_string_equal(op->fields, "");
    assert_string_equal(op->ref, "database/creds/orders/x1"); /* to be on the safe side */
    host_close(host, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_issue_gives_fields_life_anchor_and_reference),
        cmocka_unit_test(test_a_post_carries_its_parameters),
        cmocka_unit_test(test_the_wanted_life_is_set_by_one_renewal),
        cmocka_unit_test(test_a_lease_that_was_issued_before_is_refused_and_left_alone),
        cmocka_unit_test(test_a_wanted_life_that_is_not_given_leaves_the_lease_as_it_is),
        cmocka_unit_test(test_a_credential_without_a_lease_says_so),
        cmocka_unit_test(test_a_life_whose_lease_is_not_told_is_no_longer_than_it_says),
        cmocka_unit_test(test_a_lease_that_cannot_be_used_is_named_for_revocation),
        cmocka_unit_test(test_a_lease_that_was_issued_before_is_left_alone_in_any_answer),
        cmocka_unit_test(test_a_lease_of_another_path_is_not_ours),
        cmocka_unit_test(test_a_lost_or_unreadable_answer_of_an_issue_is_lost),
        cmocka_unit_test(test_wrong_parameters_are_refused_with_a_reason),
        cmocka_unit_test(test_a_lease_that_is_gone_at_its_fitting_is_not_handed_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
