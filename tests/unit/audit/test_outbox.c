/* The trail with a ledger: who waits is told with its commit, the sinks get what it has, and what
 * all of them have leaves it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "audit/outbox.h"
#include "trail.h"

static const struct audit_sink_options two_sinks[] = {
    {.kind = "file", .path = "/audit", .is_required = true},
    {.kind = "file", .path = "/copy"},
};

static void test_who_waits_is_told_with_the_commit(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_begin(&trail);
    trail.ledger.is_held = trail.file->is_held = true;
    write = trail_write(&trail, "lease.issued");
    fake_env_advance(&trail.fake, 1000);
    assert_int_equal(write->call_count, 0);
    assert_int_equal(trail.file->append_count, 0); /* no sink has what the ledger hasn't */
    trail_commit(&trail);
    assert_int_equal(write->call_count, 1);
    assert_int_equal(write->status, 0);
    assert_int_equal(trail.file->append_count, 1);
    assert_int_equal(trail.file->size, 0);
    assert_int_equal(trail_outbox(&trail), 1);
    trail.ledger.is_held = trail.file->is_held = false;
    trail_fini(&trail);
}

static void test_what_all_sinks_have_leaves_together(void **state)
{
    struct trail trail;
    uint32_t commits;
    size_t i;

    (void)state;
    trail_begin(&trail);
    for (i = 0; i < 10; i++) {
        trail_note(&trail, "lease.renewed");
        fake_env_run(&trail.fake);
    }
    assert_int_equal(trail_outbox(&trail), 10);
    commits = trail.ledger.commit_count;
    fake_env_advance(&trail.fake, OUTBOX_TRIM_MS);
    assert_int_equal(trail_outbox(&trail), 0);
    assert_int_equal(trail.ledger.commit_count, commits + 1);
    fake_env_advance(&trail.fake, 60000);
    assert_int_equal(trail.ledger.commit_count, commits + 1); /* nothing to do, nothing done */
    for (i = 0; i < 10 * OUTBOX_TRIM_RECORDS; i++) {
        trail_note(&trail, "lease.renewed");
        fake_env_run(&trail.fake);
        assert_true(trail_outbox(&trail) <= OUTBOX_TRIM_RECORDS + 1);
    }
    assert_int_equal(trail.ledger.commit_count, commits + 1 + 10 * OUTBOX_TRIM_RECORDS);
    assert_int_equal(trail_verify(trail.file), 10 + 10 * OUTBOX_TRIM_RECORDS);
    trail_fini(&trail);
}

static void test_closing_leaves_nothing_in_the_outbox(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_begin(&trail);
    trail_note(&trail, "a");
    fake_env_run(&trail.fake);
    write = trail_write(&trail, "daemon.stopped");
    trail_close(&trail);
    fake_env_run(&trail.fake);
    assert_int_equal(write->status, 0);
    assert_int_equal(trail_outbox(&trail), 0);
    assert_int_equal(trail_verify(trail.file), 2);
    trail_fini(&trail);
}

static void test_a_required_sink_that_fails_stops_hand_outs_and_its_records_stay(void **state)
{
    struct trail_write *write;
    struct trail trail;
    struct err e = {0};

    (void)state;
    trail_begin(&trail);
    trail.file->fail_status = -ENOSPC;
    write = trail_write(&trail, "lease.issued");
    fake_env_run(&trail.fake);
    assert_int_equal(write->status, 0); /* the ledger has it, and nothing had failed */
    assert_int_equal(audit_failure(trail.audit, &e), ERR_IO);
    assert_non_null(strstr(e.text, "/audit: No space left"));
    assert_int_equal(trail_try(&trail, "grant.created"), ERR_UNAVAILABLE);
    trail_note(&trail, "lease.revoked");
    fake_env_advance(&trail.fake, 3600000);
    assert_int_equal(trail_outbox(&trail), 3); /* with sink.degraded */
    trail.file->fail_status = 0;
    fake_env_advance(&trail.fake, 10000);
    assert_true(audit_is_ready(trail.audit));
    assert_int_equal(trail_outbox(&trail), 0);
    assert_int_equal(trail_verify(trail.file), 4);
    trail_fini(&trail);
}

static void test_a_required_sink_that_hangs_stops_hand_outs_after_two_seconds(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_begin(&trail);
    trail.file->is_held = true;
    write = trail_write(&trail, "lease.issued");
    fake_env_advance(&trail.fake, AUDIT_CONFIRM_DEFAULT_MS - 1);
    assert_int_equal(write->status, 0);
    assert_int_equal(write->call_count, 1);
    assert_true(audit_is_ready(trail.audit));
    trail.ledger.is_held = true;
    write = trail_write(&trail, "lease.issued");
    fake_env_advance(&trail.fake, 1);
    assert_int_equal(write->status, ERR_TIMEOUT);
    assert_false(audit_is_ready(trail.audit));
    trail_commit(&trail);
    assert_int_equal(write->call_count, 1);
    trail.file->is_held = trail.ledger.is_held = false;
    fake_env_advance(&trail.fake, 10000);
    assert_true(audit_is_ready(trail.audit));
    assert_int_equal(trail_verify(trail.file), 4);
    trail_fini(&trail);
}

/* --- sinks that aren't required --- */

static void test_an_optional_sink_keeps_records_until_it_has_lost_one(void **state)
{
    struct fake_file *copy;
    struct trail trail;
    size_t most = 0;
    size_t i;

    (void)state;
    trail_init(&trail);
    trail.has_ledger = true;
    copy = fake_env_file(&trail.fake, "/copy");
    trail_open(&trail, two_sinks, 2);
    copy->fail_status = -EIO;
    for (i = 0; i < 20000; i++) {
        trail_note(&trail, "credential.read");
        if (i % 100 == 0) {
            fake_env_run(&trail.fake);
            most = trail_outbox(&trail) > most ? trail_outbox(&trail) : most;
        }
    }
    assert_in_range(most, 10000, 19000);
    fake_env_advance(&trail.fake, 2 * OUTBOX_TRIM_MS);
    assert_int_equal(trail_outbox(&trail), 0);
    assert_int_equal(trail_verify(trail.file), 20001);
    copy->fail_status = 0;
    trail_fini(&trail);
}

static void test_without_sinks_there_is_no_outbox(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail.has_ledger = true;
    trail_open(&trail, NULL, 0);
    write = trail_write(&trail, "grant.created");
    fake_env_run(&trail.fake);
    assert_int_equal(write->status, 0);
    assert_int_equal(write->call_count, 1);
    assert_int_equal(trail_outbox(&trail), 0);
    trail_fini(&trail);
}

/* --- the key of references --- */

static void test_a_derived_key_is_the_same_after_a_restart(void **state)
{
    unsigned char first[AUDIT_DERIVED_KEY_BYTES];
    unsigned char again[AUDIT_DERIVED_KEY_BYTES];
    unsigned char other[AUDIT_DERIVED_KEY_BYTES];
    struct trail trail;

    (void)state;
    trail_begin(&trail);
    assert_int_equal(audit_derive_key(trail.audit, "one purpose", first), 0);
    trail_close(&trail);
    fake_env_run(&trail.fake);
    trail_open_required(&trail);
    assert_int_equal(audit_derive_key(trail.audit, "one purpose", again), 0);
    assert_int_equal(audit_derive_key(trail.audit, "another one", other), 0);
    assert_memory_equal(first, again, sizeof(first));
    assert_memory_not_equal(first, other, sizeof(first));
    trail_close(&trail);
    fake_env_run(&trail.fake);
    trail_fini(&trail);
}

static void test_a_reference_means_the_same_after_a_restart(void **state)
{
    char first[AUDIT_REF_MAX_BYTES];
    char again[AUDIT_REF_MAX_BYTES];
    struct audit_options options = {.node = "test"};
    struct trail trail;
    struct err e = {0};

    (void)state;
    trail_begin(&trail);
    (void)audit_ref(trail.audit, STR("database/creds/x/1"), first);
    trail_close(&trail);
    fake_env_run(&trail.fake);
    assert_int_equal(fake_ledger_count(&trail.ledger, ENV_LEDGER_SETTING), 1);
    trail_open_required(&trail);
    (void)audit_ref(trail.audit, STR("database/creds/x/1"), again);
    assert_string_equal(first, again);
    trail_close(&trail);
    assert_int_equal(env_ledger_put(&trail.ledger.ledger, ENV_LEDGER_SETTING, STR("audit-ref-key"),
                                    STR("short")),
                     0);
    fake_env_run(&trail.fake);
    options.env = &trail.fake.env;
    options.ledger = &trail.ledger.ledger;
    assert_int_equal(audit_new(&options, &trail.audit, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "DELETE FROM record"));
    trail_fini(&trail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRAIL_TEST(test_who_waits_is_told_with_the_commit),
        TRAIL_TEST(test_what_all_sinks_have_leaves_together),
        TRAIL_TEST(test_closing_leaves_nothing_in_the_outbox),
        TRAIL_TEST(test_a_required_sink_that_fails_stops_hand_outs_and_its_records_stay),
        TRAIL_TEST(test_a_required_sink_that_hangs_stops_hand_outs_after_two_seconds),
        TRAIL_TEST(test_an_optional_sink_keeps_records_until_it_has_lost_one),
        TRAIL_TEST(test_without_sinks_there_is_no_outbox),
        TRAIL_TEST(test_a_derived_key_is_the_same_after_a_restart),
        TRAIL_TEST(test_a_reference_means_the_same_after_a_restart),
    };

    return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
