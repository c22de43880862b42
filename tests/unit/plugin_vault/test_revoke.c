/* Revoking: what proves that a lease or a certificate is dead, and what happens in doubt. */
#include "fake_host.h"
#include "common/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define GONE "{\"errors\":[\"invalid lease\"]}"
#define THERE "{\"data\":{\"id\":\"a/b\",\"renewable\":false,\"ttl\":0}}"
#define LOOKUP "/v1/sys/leases/lookup"

static void test_a_revocation_is_done_when_it_is_confirmed(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        int32_t want;
    } cases[] = {
        {204, "", LEASED_OK},
        {200, "{\"request_id\":\"r\",\"warnings\":[\"x\"]}", LEASED_OK},
        {400, GONE, LEASED_GONE},
        {400, "{\"errors\":[\"lease not found\"]}", LEASED_GONE},
        {400, "{\"errors\":[\"failed to revoke entry: no route to database\"]}", LEASED_RETRY},
        {400, "{\"errors\":[\"missing lease_id\"]}", LEASED_INVALID},
        {429, "{\"errors\":[\"quota\"]}", LEASED_RETRY},
        {500, "{\"errors\":[\"storage\"]}", LEASED_RETRY},
        {503, "", LEASED_SEALED},
    };
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fake_op *op = host_revoke(host, "a/b");

        assert_string_equal(host_last(host)->path, "/v1/sys/leases/revoke");
        assert_string_equal(host_last(host)->body, "{\"lease_id\":\"a/b\",\"sync\":true}");
        host_answer(host, host_last(host), cases[i].status, cases[i].body);
        assert_false(op->is_open);
        assert_int_equal(op->status, cases[i].want);
    }
    host_close(host, 0);
}

/* A revocation that was answered like this is looked up, and the look-up decides. */
static const struct {
    uint32_t status; /* 0: lost */
    const char *body;
} doubts[] = {
    {0, ""},
    {200, "<html>all is well</html>"},
    {200, ""},
    {200, "{}"},
    {200, "{\"status\":\"ok\"}"},
    {404, "no such page"},
    {404, "{\"errors\":[\"unsupported path\"]}"},
    {408, ""},
    {500, "<html>"},
    {502, "Bad Gateway"},
    {504, ""},
};

static struct fake_op *doubtful(struct leased_host_context *host, size_t i)
{
    struct fake_op *op = host_revoke(host, "a/b");

    if (doubts[i].status == 0) {
        host_fail(host, host_last(host), LEASED_HTTP_LOST);
    } else {
        host_answer(host, host_last(host), doubts[i].status, doubts[i].body);
    }
    assert_true(op->is_open);
    assert_string_equal(host_last(host)->method, "POST");
    assert_string_equal(host_last(host)->path, LOOKUP);
    assert_string_equal(host_last(host)->body, "{\"lease_id\":\"a/b\"}");
    return op;
}

static void test_in_doubt_only_invalid_lease_proves_the_death(void **state)
{
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < COUNT(doubts); i++) {
        struct fake_op *op = doubtful(host, i);

        host_answer(host, host_last(host), 400, GONE);
        assert_int_equal(op->status, LEASED_OK);
        op = doubtful(host, i);
        host_answer(host, host_last(host), 200, THERE);
        assert_int_equal(op->status, LEASED_RETRY);
        assert_true(op->detail[0] != '\0');
        op = doubtful(host, i);
        host_answer(host, host_last(host), 404, "no such page");
        assert_int_equal(op->status, LEASED_RETRY);
        op = doubtful(host, i);
        host_answer(host, host_last(host), 403, "");
        assert_int_equal(op->status, LEASED_RETRY);
        op = doubtful(host, i);
        host_fail(host, host_last(host), LEASED_HTTP_NOT_SENT);
        assert_int_equal(op->status, LEASED_RETRY);
    }
    host_close(host, 0);
}

static void test_what_was_not_sent_is_not_looked_up(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_revoke(host, "a/b");

    (void)state;
    host_fail(host, host_last(host), LEASED_HTTP_NOT_SENT);
    assert_int_equal(op->status, LEASED_RETRY);
    host_close(host, 0);
}

static void test_what_was_only_accepted_is_looked_up_until_it_is_gone(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_revoke(host, "a/b");

    (void)state;
    host_answer(host, host_last(host), 202, "");
    host_answer(host, host_last(host), 200, THERE);
    host_advance(host, 199);
    assert_int_equal(host_open_https(host), 0);
    host_advance(host, 1);
    host_answer(host, host_last(host), 200, THERE);
    host_advance(host, 400);
    host_answer(host, host_last(host), 400, GONE);
    assert_int_equal(op->status, LEASED_OK);
    host_close(host, 0);
}

static void test_looking_it_up_has_an_end(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_revoke(host, "a/b");
    size_t looks = 0;

    (void)state;
    host_answer(host, host_last(host), 202, "");
    while (op->is_open) {
        host_answer(host, host_last(host), 200, THERE);
        looks++;
        if (op->is_open) {
            host_advance_to_timer(host);
        }
    }
    assert_int_equal(looks, 5);
    assert_int_equal(op->status, LEASED_RETRY);
    assert_non_null(strstr(op->detail, "accepted"));
    assert_in_range(host->now_ms, 1003000, 1004000);
    host_close(host, 0);
}

static void test_cancel_and_close_end_what_waits_for_a_look_up(void **state)
{
    struct leased_host_context *host = host_open_root();
    struct fake_op *op = host_revoke(host, "a/b");

    (void)state;
    host_answer(host, host_last(host), 202, "");
    host_answer(host, host_last(host), 200, THERE);
    host_cancel(host, op);
    assert_int_equal(op->status, LEASED_CANCELED);
    op = host_revoke(host, "a/b");
    host_answer(host, host_last(host), 202, "");
    host_answer(host, host_last(host), 200, THERE);
    host_close(host, 0);
}

static void test_a_certificate_is_revoked_by_its_serial_number(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        int32_t want;
        const char *word;
    } cases[] = {
        {200, "{\"data\":{\"revocation_time\":1795392049,\"state\":\"revoked\"}}", LEASED_OK, ""},
        {200, "{\"data\":{\"state\":\"issued\"}}", LEASED_RETRY, "doesn't say"},
        {200, "{}", LEASED_RETRY, "doesn't say"},
        {400, "{\"errors\":[\"certificate with serial 6d:74 not found.\"]}", LEASED_DENIED,
         "revoke: false"},
        {500, "{\"errors\":[\"x\"]}", LEASED_RETRY, "x"},
    };
    struct leased_host_context *host = host_open_root();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fake_op *op = host_revoke(host, "#cert a/pki 6d:74");

        assert_string_equal(host_last(host)->path, "/v1/a/pki/revoke");
        assert_string_equal(host_last(host)->body, "{\"serial_number\":\"6d:74\"}");
        host_answer(host, host_last(host), cases[i].status, cases[i].body);
        assert_false(op->is_open);
        assert_int_equal(op->status, cases[i].want);
        assert_non_null(strstr(op->detail, cases[i].word));
    }
    /* There is no lease to look up: it is only tried again, which does no harm. */
    for (size_t i = 0; i < 2; i++) {
        struct fake_op *op = host_revoke(host, "#cert a/pki 6d:74");

        if (i == 0) {
            host_fail(host, host_last(host), LEASED_HTTP_LOST);
        } else {
            host_answer(host, host_last(host), 202, "");
        }
        assert_int_equal(op->status, LEASED_RETRY);
    }
    assert_int_equal(host_renew(host, "#cert a/pki 6d:74", 1000)->status, LEASED_DENIED);
    assert_int_equal(host_revoke(host, "#cert nonsense")->status, LEASED_RETRY);
    host_close(host, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_revocation_is_done_when_it_is_confirmed),
        cmocka_unit_test(test_in_doubt_only_invalid_lease_proves_the_death),
        cmocka_unit_test(test_what_was_not_sent_is_not_looked_up),
        cmocka_unit_test(test_what_was_only_accepted_is_looked_up_until_it_is_gone),
        cmocka_unit_test(test_looking_it_up_has_an_end),
        cmocka_unit_test(test_cancel_and_close_end_what_waits_for_a_look_up),
        cmocka_unit_test(test_a_certificate_is_revoked_by_its_serial_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
