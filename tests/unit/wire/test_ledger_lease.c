/* What the ledger keeps of a lease. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/ledger_lease.h"

static const struct ledger_lease FULL = {
    .state = LEDGER_LEASE_LIVE,
    .role = "orders-db",
    .backend = "vault-prod",
    .params_json = "{\"path\":\"database/creds/orders\"}",
    .issuer_ref = {.ptr = "database/creds/orders/abc\"\n", .len = 27},
    .is_renewable = true,
    .is_revocable = true,
    .clock = {.written_wall_ms = 5, .written_ms = 6, .boot = "b"},
    .anchor = UINT64_MAX,
    .credential_version = 3,
    .predecessor = "l-1",
    .sealed = {.ptr = "\0{}\xff", .len = 4},
    .issued_wall_ms = 1,
    .expires_wall_ms = INT64_MAX,
    .ends_wall_ms = 0,
    .holder.caller = "unix",
    .holder.uid = UINT32_MAX,
    .holder.user = "ci",
    .holder.unit = "runner.service",
    .holder.container = "",
    .holder.listener = "local",
    .holder.sans = "",
    .holder.claims = "",
    .holder.image = "",
    .holder.is_foreign = true,
};

static struct str write_lease(const struct ledger_lease *lease, struct buf *out)
{
    buf_init(out, 4096);
    assert_int_equal(ledger_lease_write(lease, out), 0);
    return buf_str(out);
}

static void test_what_was_written_is_read(void **state)
{
    struct ledger_lease lease;
    struct buf out;

    (void)state;
    assert_int_equal(ledger_lease_read(write_lease(&FULL, &out), &lease, NULL), 0);
    assert_string_equal(lease.role, FULL.role);
    assert_string_equal(lease.backend, FULL.backend);
    assert_string_equal(lease.params_json, FULL.params_json);
    assert_true(str_eq(lease.issuer_ref, FULL.issuer_ref));
    assert_true(lease.is_renewable && lease.is_revocable && lease.holder.is_foreign);
    assert_int_equal(lease.clock.written_wall_ms, 5);
    assert_int_equal(lease.clock.written_ms, 6);
    assert_true(lease.anchor == UINT64_MAX && lease.credential_version == 3);
    assert_true(str_eq(lease.sealed, FULL.sealed));
    assert_int_equal(lease.issued_wall_ms, 1);
    assert_int_equal(lease.expires_wall_ms, INT64_MAX);
    assert_int_equal(lease.ends_wall_ms, 0);
    assert_string_equal(lease.holder.caller, "unix");
    assert_int_equal(lease.holder.uid, UINT32_MAX);
    assert_string_equal(lease.holder.user, "ci");
    assert_string_equal(lease.holder.unit, "runner.service");
    assert_string_equal(lease.holder.container, "");
    assert_string_equal(lease.holder.listener, "local");
    assert_string_equal(lease.holder.sans, "");
    buf_fini(&out);
}

/* Texts stand in the body as C strings. */
static void test_texts_are_borrowed_from_the_body(void **state)
{
    struct ledger_lease lease;
    struct buf out;
    struct str body = write_lease(&FULL, &out);

    (void)state;
    assert_int_equal(ledger_lease_read(body, &lease, NULL), 0);
    assert_true(lease.role > body.ptr && lease.role < body.ptr + body.len);
    assert_true(lease.sealed.ptr + lease.sealed.len == body.ptr + body.len);
    buf_fini(&out);
}

static void expect_same(const struct ledger_lease *lease, struct str body)
{
    struct buf again;

    assert_true(str_eq(write_lease(lease, &again), body));
    buf_fini(&again);
}

/* Each of its bytes changed, and each of its heads: read as something else, or refused. */
static void expect_no_damage(const struct ledger_lease *full)
{
    struct ledger_lease lease = {.role = "untouched"};
    char text[2048];
    struct buf out;
    struct str whole;
    size_t len;
    size_t i;

    whole = write_lease(full, &out);
    len = whole.len - full->sealed.len;
    assert_true(len <= sizeof(text));
    for (i = 0; i < 8 * len; i++) {
        if (i < len) {
            assert_int_equal(ledger_lease_read((struct str){whole.ptr, i}, &lease, NULL),
                             ERR_INVALID);
            assert_string_equal(lease.role, "untouched");
        }
        memcpy(text, whole.ptr, len);
        text[i / 8] = (char)((unsigned char)text[i / 8] ^ 1U << i % 8);
        if (ledger_lease_read((struct str){text, len}, &lease, NULL) == 0) {
            expect_same(&lease, (struct str){text, len});
            lease.role = "untouched";
        }
    }
    buf_fini(&out);
}

static void test_a_damaged_record_is_refused_or_harmless(void **state)
{
    struct ledger_lease bounded = FULL;

    (void)state;
    expect_no_damage(&FULL);
    bounded.is_forced = true;
    bounded.moves_wall_ms = 7;
    expect_no_damage(&bounded);
}

static void expect_refused(struct str body, const char *word)
{
    struct ledger_lease lease;
    struct err e;

    assert_int_equal(ledger_lease_read(body, &lease, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, word));
}

static void test_what_is_no_such_record_is_refused_with_its_reason(void **state)
{
    (void)state;
    expect_refused((struct str){.len = 0}, "empty");
    expect_refused(str_of("{\"version\":2}"), "another version");
    expect_refused(str_of("\3"), "`state`");
    expect_refused((struct str){"\3\0\0\0\0", 5}, "`state`");           /* without its NUL */
    expect_refused((struct str){"\3\1\0\0\0\0\0", 7}, "`state`");       /* with one inside */
    expect_refused((struct str){"\3\1\0\0\0\xff\0", 7}, "`state`");     /* no UTF-8 */
    expect_refused((struct str){"\3\xff\xff\xff\xff\0", 6}, "`state`"); /* longer than all */
    expect_refused((struct str){"\3\1\0\0\0s\0", 7}, "`role`");
}

/* Whatever isn't bounded is written as before there were bounds. */
static void test_a_bound_stands_in_a_record_of_its_own_version(void **state)
{
    struct ledger_lease lease;
    struct ledger_lease bounded = FULL;
    struct buf plain;
    struct buf out;
    struct str body;

    (void)state;
    assert_int_equal(ledger_lease_read(write_lease(&FULL, &plain), &lease, NULL), 0);
    assert_true(!lease.is_forced && lease.moves_wall_ms == 0);
    assert_int_equal(plain.bytes[0], 3);
    bounded.is_forced = true;
    body = write_lease(&bounded, &out);
    assert_int_equal(body.ptr[0], 4);
    assert_int_equal(ledger_lease_read(body, &lease, NULL), 0);
    assert_true(lease.is_forced && lease.moves_wall_ms == 0);
    assert_true(str_eq(lease.sealed, FULL.sealed));
    buf_fini(&out);
    bounded.moves_wall_ms = INT64_MAX;
    assert_int_equal(ledger_lease_read(write_lease(&bounded, &out), &lease, NULL), 0);
    assert_true(lease.is_forced && lease.moves_wall_ms == INT64_MAX);
    /* One without a bound has no other way to be written. */
    memset(out.bytes + out.len - FULL.sealed.len - 9, 0, 9);
    expect_refused(buf_str(&out), "bound");
    buf_fini(&out);
    buf_fini(&plain);
}

static void test_a_time_is_not_negative(void **state)
{
    struct ledger_lease lease = FULL;
    struct buf out;
    struct str body;

    (void)state;
    lease.expires_wall_ms = -1;
    body = write_lease(&lease, &out);
    expect_refused(body, "`expires_wall_ms`");
    buf_fini(&out);
}

static void test_a_text_that_is_no_utf8_is_refused(void **state)
{
    struct ledger_lease lease = FULL;
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    lease.issuer_ref = (struct str){.ptr = "\xff\xfe", .len = 2};
    assert_int_equal(ledger_lease_write(&lease, &out), ERR_INVALID);
    buf_fini(&out);
    buf_init(&out, 16);
    assert_int_equal(ledger_lease_write(&FULL, &out), ERR_TOO_LARGE);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_texts_are_borrowed_from_the_body),
        cmocka_unit_test(test_a_damaged_record_is_refused_or_harmless),
        cmocka_unit_test(test_what_is_no_such_record_is_refused_with_its_reason),
        cmocka_unit_test(test_a_bound_stands_in_a_record_of_its_own_version),
        cmocka_unit_test(test_a_time_is_not_negative),
        cmocka_unit_test(test_a_text_that_is_no_utf8_is_refused),
    };

    return cmocka_run_group_tests_name("ledger lease", tests, NULL, NULL);
}
