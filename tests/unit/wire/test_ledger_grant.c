/* What the ledger keeps of a grant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/ledger_grant.h"

static const struct ledger_grant FULL = {
    .lease = "l-1",
    .holder = {.caller = "unix",
               .uid = 1000,
               .user = "ci",
               .unit = "runner.service",
               .container = "",
               .listener = "local",
               .sans = "",
               .claims = "",
               .image = ""},
    .gid = 1000,
    .groups = "1000,27",
    .pid = 4711,
    .bindings = "process",
    .processes = "4711:99",
    .cgroups = "",
    .clock = {.written_wall_ms = 5, .written_ms = 6, .boot = "b"},
    .created_wall_ms = 7,
    .until_wall_ms = 8,
    .duration_ms = 9,
    .reason = "why \"not\"",
    .ticket = "T-1",
    .approval = "",
    .policy = "sha256:0",
    .rule = "all",
    .read_count = 3,
    .is_read = true,
    .is_delivered = true,
};

static struct str write_grant(struct buf *out)
{
    buf_init(out, 4096);
    assert_int_equal(ledger_grant_write(&FULL, out), 0);
    return buf_str(out);
}

static void test_what_was_written_is_read(void **state)
{
    struct ledger_grant grant;
    struct buf out;

    (void)state;
    assert_int_equal(ledger_grant_read(write_grant(&out), &grant, NULL), 0);
    assert_string_equal(grant.lease, "l-1");
    assert_string_equal(grant.holder.user, "ci");
    assert_int_equal(grant.holder.uid, 1000);
    assert_string_equal(grant.groups, "1000,27");
    assert_string_equal(grant.processes, "4711:99");
    assert_string_equal(grant.reason, FULL.reason);
    assert_int_equal(grant.until_wall_ms, 8);
    assert_int_equal(grant.duration_ms, 9);
    assert_true(grant.is_read && grant.is_delivered && !grant.has_connection);
    buf_fini(&out);
}

static void test_cgroups_are_kept_in_a_version_of_their_own(void **state)
{
    struct ledger_grant written = FULL;
    struct ledger_grant grant;
    struct buf out;

    (void)state;
    written.cgroups = "17:/sys/fs/cgroup/a.scope\n18:/sys/fs/cgroup/b";
    buf_init(&out, 4096);
    assert_int_equal(ledger_grant_write(&written, &out), 0);
    assert_int_equal(buf_str(&out).ptr[0], LEDGER_GRANT_VERSION_CGROUPS);
    assert_int_equal(ledger_grant_read(buf_str(&out), &grant, NULL), 0);
    assert_string_equal(grant.cgroups, written.cgroups);
    buf_fini(&out);
    assert_int_equal(write_grant(&out).ptr[0], LEDGER_GRANT_VERSION);
    assert_int_equal(ledger_grant_read(buf_str(&out), &grant, NULL), 0);
    assert_string_equal(grant.cgroups, "");
    buf_fini(&out);
}

static void test_claims_are_kept_in_a_version_of_their_own(void **state)
{
    struct ledger_grant written = FULL;
    struct ledger_grant grant;
    struct buf out;

    (void)state;
    written.holder.claims = "{\"issuer\":\"ci\"}";
    buf_init(&out, 4096);
    assert_int_equal(ledger_grant_write(&written, &out), 0);
    assert_int_equal(buf_str(&out).ptr[0], LEDGER_GRANT_VERSION_CLAIMS);
    assert_int_equal(ledger_grant_read(buf_str(&out), &grant, NULL), 0);
    assert_string_equal(grant.holder.claims, written.holder.claims);
    assert_string_equal(grant.cgroups, "");
    buf_fini(&out);
}

static void test_an_approval_is_kept_in_a_version_of_its_own(void **state)
{
    struct ledger_grant written = FULL;
    struct ledger_grant grant;
    struct buf out;

    (void)state;
    written.approval = "q-1 break-glass";
    buf_init(&out, 4096);
    assert_int_equal(ledger_grant_write(&written, &out), 0);
    assert_int_equal(buf_str(&out).ptr[0], LEDGER_GRANT_VERSION_APPROVAL);
    assert_int_equal(ledger_grant_read(buf_str(&out), &grant, NULL), 0);
    assert_string_equal(grant.approval, written.approval);
    assert_string_equal(grant.holder.claims, "");
    buf_fini(&out);
}

static void test_an_image_is_kept_in_a_version_of_its_own(void **state)
{
    struct ledger_grant written = FULL;
    struct ledger_grant grant;
    struct buf out;

    (void)state;
    written.holder.image = "ghcr.io/acme/shop:1";
    buf_init(&out, 4096);
    assert_int_equal(ledger_grant_write(&written, &out), 0);
    assert_int_equal(buf_str(&out).ptr[0], LEDGER_GRANT_VERSION_IMAGE);
    assert_int_equal(ledger_grant_read(buf_str(&out), &grant, NULL), 0);
    assert_string_equal(grant.holder.image, written.holder.image);
    assert_string_equal(grant.approval, "");
    buf_fini(&out);
}

static void test_a_window_is_kept_in_a_version_of_its_own(void **state)
{
    struct ledger_grant written = FULL;
    struct ledger_grant grant;
    struct buf out;

    (void)state;
    written.window_wall_ms = 10;
    written.own_until_wall_ms = 11;
    buf_init(&out, 4096);
    assert_int_equal(ledger_grant_write(&written, &out), 0);
    assert_int_equal(buf_str(&out).ptr[0], LEDGER_GRANT_VERSION_WINDOW);
    assert_int_equal(ledger_grant_read(buf_str(&out), &grant, NULL), 0);
    assert_int_equal(grant.window_wall_ms, 10);
    assert_int_equal(grant.own_until_wall_ms, 11);
    assert_string_equal(grant.holder.image, "");
    buf_fini(&out);
    assert_int_equal(ledger_grant_read(write_grant(&out), &grant, NULL), 0);
    assert_int_equal(grant.window_wall_ms, 0);
    buf_fini(&out);
}

static void test_nothing_may_stand_behind_it(void **state)
{
    struct ledger_grant grant = {.lease = "untouched"};
    struct buf out;
    struct err e;

    (void)state;
    (void)write_grant(&out);
    buf_add_char(&out, 'x');
    assert_int_equal(ledger_grant_read(buf_str(&out), &grant, &e), ERR_INVALID);
    assert_string_equal(grant.lease, "untouched");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_cgroups_are_kept_in_a_version_of_their_own),
        cmocka_unit_test(test_claims_are_kept_in_a_version_of_their_own),
        cmocka_unit_test(test_an_approval_is_kept_in_a_version_of_its_own),
        cmocka_unit_test(test_an_image_is_kept_in_a_version_of_its_own),
        cmocka_unit_test(test_a_window_is_kept_in_a_version_of_its_own),
        cmocka_unit_test(test_nothing_may_stand_behind_it),
    };

    return cmocka_run_group_tests_name("ledger grant", tests, NULL, NULL);
}
