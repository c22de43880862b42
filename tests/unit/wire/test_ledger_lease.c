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
    json_t *owner = NULL;
    struct buf out;

    (void)state;
    assert_int_equal(ledger_lease_read(write_lease(&FULL, &out), &lease, &owner, NULL), 0);
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
    json_decref(owner);
    buf_fini(&out);
}

/* Each of its bytes changed, and each of its heads: read as something else, or refused. */
static void test_a_damaged_record_is_refused_or_harmless(void **state)
{
    struct ledger_lease lease = {.role = "untouched"};
    char text[2048];
    json_t *owner = NULL;
    struct buf out;
    struct str whole;
    size_t len;
    size_t i;

    (void)state;
    whole = write_lease(&FULL, &out);
    len = whole.len - FULL.sealed.len;
    assert_true(len <= sizeof(text));
    for (i = 0; i < len; i++) {
        memcpy(text, whole.ptr, len);
        assert_int_equal(ledger_lease_read((struct str){text, i}, &lease, &owner, NULL),
                         ERR_INVALID);
        assert_string_equal(lease.role, "untouched");
        text[i] ^= 0x20;
        if (ledger_lease_read((struct str){text, len}, &lease, &owner, NULL) == 0) {
            json_decref(owner);
            lease.role = "untouched";
        }
    }
    buf_fini(&out);
}

static void expect_refused(const char *text, const char *word)
{
    struct ledger_lease lease;
    json_t *owner;
    struct err e;

    assert_int_equal(ledger_lease_read(str_of(text), &lease, &owner, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, word));
}

static void test_what_is_no_such_record_is_refused_with_its_reason(void **state)
{
    (void)state;
    expect_refused("", "no JSON");
    expect_refused("[]", "version");
    expect_refused("{\"version\":1}", "another version");
    expect_refused("{\"version\":2}", "`state`");
    expect_refused("{\"version\":2,\"state\":7}", "`state`");
    expect_refused("{\"version\":1,\"version\":1}", "no JSON");
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
        cmocka_unit_test(test_a_damaged_record_is_refused_or_harmless),
        cmocka_unit_test(test_what_is_no_such_record_is_refused_with_its_reason),
        cmocka_unit_test(test_a_text_that_is_no_utf8_is_refused),
    };

    return cmocka_run_group_tests_name("ledger lease", tests, NULL, NULL);
}
