/* What the ledger keeps of a lease. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/ledger_lease.h"

static const struct ledger_lease FULL = {
    .role = "orders-db",
    .backend = "vault-prod",
    .params_json = "{\"path\":\"database/creds/orders\"}",
    .issuer_ref = {.ptr = "database/creds/orders/abc\"\n", .len = 27},
    .is_renewable = true,
    .issued_wall_ms = 1,
    .expires_wall_ms = INT64_MAX,
    .ends_wall_ms = 0,
    .caller = "unix",
    .uid = UINT32_MAX,
    .user = "ci",
    .unit = "runner.service",
    .container = "",
    .listener = "local",
    .sans = "",
    .is_foreign = true,
};

static const char *write_lease(const struct ledger_lease *lease, struct buf *out)
{
    buf_init(out, 4096);
    assert_int_equal(ledger_lease_write(lease, out), 0);
    buf_add_char(out, '\0');
    assert_int_equal(buf_status(out), 0);
    return buf_str(out).ptr;
}

static void test_what_was_written_is_read(void **state)
{
    struct ledger_lease lease;
    json_t *owner = NULL;
    struct buf out;

    (void)state;
    assert_int_equal(ledger_lease_read(str_of(write_lease(&FULL, &out)), &lease, &owner, NULL), 0);
    assert_string_equal(lease.role, FULL.role);
    assert_string_equal(lease.backend, FULL.backend);
    assert_string_equal(lease.params_json, FULL.params_json);
    assert_true(str_eq(lease.issuer_ref, FULL.issuer_ref));
    assert_true(lease.is_renewable && lease.is_foreign);
    assert_int_equal(lease.issued_wall_ms, 1);
    assert_int_equal(lease.expires_wall_ms, INT64_MAX);
    assert_int_equal(lease.ends_wall_ms, 0);
    assert_string_equal(lease.caller, "unix");
    assert_int_equal(lease.uid, UINT32_MAX);
    assert_string_equal(lease.user, "ci");
    assert_string_equal(lease.unit, "runner.service");
    assert_string_equal(lease.container, "");
    assert_string_equal(lease.listener, "local");
    assert_string_equal(lease.sans, "");
    json_decref(owner);
    buf_fini(&out);
}

/* Each of its bytes changed, and each of its heads: read as something else, or refused. */
static void test_a_damaged_record_is_refused_or_harmless(void **state)
{
    struct ledger_lease lease = {.role = "untouched"};
    char text[1024];
    json_t *owner = NULL;
    struct buf out;
    size_t len;
    size_t i;

    (void)state;
    len = strlen(write_lease(&FULL, &out));
    for (i = 0; i < len; i++) {
        memcpy(text, buf_str(&out).ptr, len);
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
    expect_refused("{\"version\":2}", "another version");
    expect_refused("{\"version\":1}", "`role`");
    expect_refused("{\"version\":1,\"role\":7}", "`role`");
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
