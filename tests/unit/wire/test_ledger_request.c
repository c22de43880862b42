/* What the ledger keeps of a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/ledger_request.h"

static const struct ledger_request FULL = {
    .holder = {.caller = "unix",
               .uid = 1000,
               .user = "alice",
               .unit = "",
               .container = "",
               .listener = "local",
               .sans = "",
               .claims = "",
               .image = ""},
    .gid = 1000,
    .groups = "1000,27",
    .pid = 4711,
    .role = "prod-db",
    .backend = "vault",
    .duration_ms = 1800000,
    .reason = "fixing \"it\"",
    .ticket = "T-1",
    .bindings = "parent",
    .rule = "prod",
    .rule_digest = "aa",
    .policy = "bb",
    .needed_count = 2,
    .use_within_ms = 900000,
    .is_break_glass = true,
    .state = "pending",
    .review = "pending",
    .why = "",
    .grant = "",
    .clock = {.written_wall_ms = 5, .written_ms = 6, .boot = "b"},
    .created_wall_ms = 7,
    .decide_by_wall_ms = 8,
    .use_by_wall_ms = 9,
    .approvals = {{.who = "bob", .voter = "uid:1001", .comment = "fine", .at_wall_ms = 10},
                  {.who = "dana", .voter = "person:dana", .comment = "", .at_wall_ms = 11}},
    .approval_count = 2,
};

static struct str write_request(struct buf *out)
{
    buf_init(out, 4096);
    assert_int_equal(ledger_request_write(&FULL, out), 0);
    return buf_str(out);
}

static void test_what_was_written_is_read(void **state)
{
    struct ledger_request request;
    struct buf out;

    (void)state;
    assert_int_equal(ledger_request_read(write_request(&out), &request, NULL), 0);
    assert_string_equal(request.role, "prod-db");
    assert_string_equal(request.holder.user, "alice");
    assert_string_equal(request.reason, FULL.reason);
    assert_string_equal(request.bindings, "parent");
    assert_int_equal(request.needed_count, 2);
    assert_true(request.is_break_glass);
    assert_int_equal(request.decide_by_wall_ms, 8);
    assert_int_equal(request.approval_count, 2);
    assert_string_equal(request.approvals[0].voter, "uid:1001");
    assert_string_equal(request.approvals[1].who, "dana");
    assert_int_equal(request.approvals[1].at_wall_ms, 11);
    buf_fini(&out);
}

/* Cut off anywhere it is none; between two approvals it is the one before, which nobody writes so.
 */
static void test_a_part_of_it_is_refused(void **state)
{
    struct ledger_request request;
    struct buf out;
    struct str body = write_request(&out);
    size_t accepted = 0;
    size_t len;

    (void)state;
    for (len = 0; len < body.len; len++) {
        struct str part = {.ptr = body.ptr, .len = len};

        accepted += ledger_request_read(part, &request, NULL) == 0 ? 1 : 0;
    }
    assert_int_equal(accepted, 2);
    buf_fini(&out);
}

static void test_more_approvals_than_there_can_be_are_refused(void **state)
{
    struct ledger_request many = FULL;
    struct ledger_request request;
    struct buf out;
    struct buf one;
    size_t i;

    (void)state;
    many.approval_count = LEDGER_APPROVALS_MAX;
    for (i = 0; i < LEDGER_APPROVALS_MAX; i++) {
        many.approvals[i] = FULL.approvals[0];
    }
    buf_init(&out, 8192);
    assert_int_equal(ledger_request_write(&many, &out), 0);
    assert_int_equal(ledger_request_read(buf_str(&out), &request, NULL), 0);
    many.approval_count = 1;
    buf_init(&one, 4096);
    assert_int_equal(ledger_request_write(&many, &one), 0);
    many.approval_count = 0;
    i = buf_str(&one).len;
    buf_fini(&one);
    buf_init(&one, 4096);
    assert_int_equal(ledger_request_write(&many, &one), 0);
    i -= buf_str(&one).len; /* the length of an approval */
    buf_add(&out, buf_str(&out).ptr + buf_str(&out).len - i, i);
    assert_int_equal(ledger_request_read(buf_str(&out), &request, NULL), ERR_INVALID);
    buf_fini(&one);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_a_part_of_it_is_refused),
        cmocka_unit_test(test_more_approvals_than_there_can_be_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
