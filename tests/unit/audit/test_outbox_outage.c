/* The trail while its ledger is full, slow or gone: nobody is told that a record is durable, the
 * sinks go on, and afterwards the outbox has no hole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "trail.h"

static void test_a_ledger_that_fails_stops_hand_outs_and_the_trail_goes_on(void **state)
{
    struct trail_write *first;
    struct trail_write *second;
    struct trail trail;
    struct err e = {0};
    size_t i;

    (void)state;
    trail_begin(&trail);
    trail.ledger.fail_status = -ENOSPC;
    first = trail_write(&trail, "lease.issued");
    second = trail_write(&trail, "lease.issued");
    fake_env_run(&trail.fake);
    assert_int_equal(first->status, -ENOSPC);
    assert_int_equal(second->status, -ENOSPC);
    assert_int_equal(audit_failure(trail.audit, &e), ERR_IO);
    assert_non_null(strstr(e.text, "could not write the ledger"));
    assert_int_equal(trail_try(&trail, "grant.created"), ERR_UNAVAILABLE);
    for (i = 0; i < 100; i++) {
        trail_note(&trail, "lease.revoked");
        fake_env_advance(&trail.fake, 1000);
    }
    assert_int_equal(trail_verify(trail.file), 102);
    /* What was put while it failed comes late, and leaves again; nothing piled up behind it. */
    trail.ledger.fail_status = 0;
    trail_commit(&trail);
    assert_int_equal(trail_outbox(&trail), 2);
    assert_true(audit_is_ready(trail.audit));
    (void)trail_write(&trail, "lease.issued");
    fake_env_run(&trail.fake);
    assert_int_equal(trail_outbox(&trail), 1); /* no hole in it */
    trail_crash(&trail);
    trail_open_required(&trail);
    trail_note(&trail, "daemon.started");
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 104);
    assert_int_equal(trail_count(trail.file, "\"lost\""), 0);
    trail_fini(&trail);
}

static void test_a_ledger_that_hangs_fails_after_two_seconds(void **state)
{
    struct trail_write *write;
    struct trail trail;
    struct err e = {0};

    (void)state;
    trail_begin(&trail);
    trail.ledger.is_held = true;
    write = trail_write(&trail, "lease.issued");
    fake_env_advance(&trail.fake, AUDIT_CONFIRM_DEFAULT_MS - 1);
    assert_int_equal(write->call_count, 0);
    fake_env_advance(&trail.fake, 1);
    assert_int_equal(write->status, ERR_TIMEOUT);
    assert_int_equal(audit_failure(trail.audit, &e), ERR_IO);
    assert_non_null(strstr(e.text, "the ledger doesn't confirm in time"));
    trail_note(&trail, "lease.revoked");
    fake_env_run(&trail.fake);
    assert_int_equal(trail_verify(trail.file), 2); /* the trail goes on without it */
    trail_commit(&trail);
    assert_true(audit_is_ready(trail.audit));
    assert_int_equal(write->call_count, 1);
    trail.ledger.is_held = false;
    trail_close(&trail);
    fake_env_run(&trail.fake);
    assert_int_equal(trail_outbox(&trail), 0);
    trail_fini(&trail);
}

/* Both disks are full; the ledger's is back first. It isn't used before the file has what passed it
 * by: else a crash would leave a hole. */
static void test_the_outbox_waits_for_the_sinks_after_an_outage_of_both(void **state)
{
    struct trail trail;
    struct err e = {0};

    (void)state;
    trail_begin(&trail);
    trail_note(&trail, "a");
    fake_env_run(&trail.fake);
    trail.file->fail_status = trail.ledger.fail_status = -ENOSPC;
    trail_note(&trail, "b");
    fake_env_run(&trail.fake);
    trail_note(&trail, "c");
    fake_env_run(&trail.fake);
    trail.ledger.fail_status = 0;
    trail_commit(&trail);
    trail_note(&trail, "d");
    fake_env_run(&trail.fake);
    assert_false(audit_is_ready(trail.audit));
    assert_int_equal(audit_failure(trail.audit, &e), ERR_IO);
    trail_crash(&trail);
    trail_open_required(&trail);
    trail_note(&trail, "e");
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 3); /* a, b, e: c and d were on no disk */
    trail_open_required(&trail);
    trail.file->fail_status = trail.ledger.fail_status = -ENOSPC;
    trail_note(&trail, "f");
    fake_env_run(&trail.fake);
    trail_note(&trail, "g");
    trail.ledger.fail_status = 0;
    trail_commit(&trail);
    trail.file->fail_status = 0;
    fake_env_advance(&trail.fake, 10000);
    assert_true(audit_is_ready(trail.audit));
    trail_note(&trail, "h");
    trail_close(&trail);
    assert_int_equal(trail_count(trail.file, "\"g\""), 1);
    (void)trail_verify(trail.file);
    trail_fini(&trail);
}

/* However many there are while the file catches up, it does, and then they are put. */
static void test_a_stream_of_notes_does_not_keep_the_ledger_out(void **state)
{
    struct trail_write *write;
    struct trail trail;
    size_t i;

    (void)state;
    trail_begin(&trail);
    trail.file->is_held = true;
    trail.ledger.fail_status = -ENOSPC;
    for (i = 0; i < 50; i++) {
        trail_note(&trail, "lease.renewed");
        fake_env_run(&trail.fake);
    }
    trail.ledger.fail_status = 0;
    trail_commit(&trail);
    for (i = 0; i < 50 && !audit_is_ready(trail.audit); i++) {
        trail_note(&trail, "lease.renewed");
        trail.file->release_count = 1;
        fake_env_run(&trail.fake);
    }
    assert_in_range(i, 1, 4);
    write = trail_write(&trail, "lease.issued");
    fake_env_run(&trail.fake);
    assert_int_equal(write->status, 0);
    assert_int_equal(write->call_count, 1);
    trail_crash(&trail);
    trail_open_required(&trail);
    trail_note(&trail, "daemon.started");
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 50 + i + 2);
    trail_fini(&trail);
}

/* The file fails while some are kept back for it, and the ledger again. */
static void test_what_is_kept_back_is_not_lost(void **state)
{
    static const bool fails_again[] = {false, true};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(fails_again); i++) {
        struct trail trail;

        trail_begin(&trail);
        trail.file->fail_status = trail.ledger.fail_status = -ENOSPC;
        trail_note(&trail, "a");
        fake_env_run(&trail.fake);
        trail_note(&trail, "b");
        trail.ledger.fail_status = 0;
        trail_commit(&trail);
        trail_note(&trail, "c");
        trail_note(&trail, "d");
        fake_env_run(&trail.fake);
        assert_int_equal(trail_outbox(&trail), 1);
        trail.ledger.fail_status = fails_again[i] ? -ENOSPC : 0;
        if (fails_again[i]) {
            assert_int_equal(
                env_ledger_put(&trail.ledger.ledger, ENV_LEDGER_LEASE, STR("l"), STR("")), 0);
            fake_env_run(&trail.fake);
            trail_note(&trail, "e");
        }
        trail.file->fail_status = 0;
        fake_env_advance(&trail.fake, 10000);
        trail.ledger.fail_status = 0;
        trail_close(&trail);
        fake_env_run(&trail.fake);
        (void)trail_verify(trail.file);
        assert_int_equal(trail_count(trail.file, "\"d\""), 1);
        assert_int_equal(trail_count(trail.file, "\"e\""), fails_again[i]);
        assert_int_equal(trail_outbox(&trail), 0);
        trail_fini(&trail);
    }
}

/* Closed while the file fails: nothing waits for it any more. */
static void test_closing_lets_go_what_is_kept_back(void **state)
{
    struct trail trail;

    (void)state;
    trail_begin(&trail);
    trail.file->fail_status = trail.ledger.fail_status = -ENOSPC;
    trail_note(&trail, "a");
    fake_env_run(&trail.fake);
    trail_note(&trail, "b");
    trail.ledger.fail_status = 0;
    trail_commit(&trail);
    trail_note(&trail, "c");
    trail.file->fail_status = 0;
    trail_close(&trail);
    assert_int_equal(trail_count(trail.file, "\"c\""), 1);
    trail_open_required(&trail);
    trail_note(&trail, "d");
    trail_close(&trail);
    (void)trail_verify(trail.file);
    trail_fini(&trail);
}

static void test_a_full_queue_of_the_ledger_refuses_who_waits(void **state)
{
    struct trail trail;

    (void)state;
    trail_begin(&trail);
    trail.ledger.put_status = ERR_LIMIT;
    assert_int_equal(trail_try(&trail, "lease.issued"), ERR_LIMIT);
    trail_note(&trail, "lease.revoked");
    fake_env_run(&trail.fake);
    assert_int_equal(trail_verify(trail.file), 1);
    trail.ledger.put_status = 0;
    assert_int_equal(trail_try(&trail, "lease.issued"), 0);
    fake_env_run(&trail.fake);
    assert_int_equal(trail_outbox(&trail), 1);
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 2);
    trail_fini(&trail);
}

static void test_closing_while_the_ledger_fails_still_writes_the_file(void **state)
{
    struct trail trail;

    (void)state;
    trail_begin(&trail);
    trail.ledger.fail_status = -EROFS;
    trail_note(&trail, "a");
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 1);
    trail_fini(&trail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRAIL_TEST(test_a_ledger_that_fails_stops_hand_outs_and_the_trail_goes_on),
        TRAIL_TEST(test_a_ledger_that_hangs_fails_after_two_seconds),
        TRAIL_TEST(test_the_outbox_waits_for_the_sinks_after_an_outage_of_both),
        TRAIL_TEST(test_a_stream_of_notes_does_not_keep_the_ledger_out),
        TRAIL_TEST(test_what_is_kept_back_is_not_lost),
        TRAIL_TEST(test_closing_lets_go_what_is_kept_back),
        TRAIL_TEST(test_a_full_queue_of_the_ledger_refuses_who_waits),
        TRAIL_TEST(test_closing_while_the_ledger_fails_still_writes_the_file),
    };

    return cmocka_run_group_tests_name("outbox_outage", tests, NULL, NULL);
}
