/* A start with an older copy of the ledger (a backup, or its log was lost): refused, because it
 * would bring back what has ended since. And all that looks like one and is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/outbox.h"
#include "trail.h"

static const struct audit_sink_options required = {.kind = "file",
                                                   .path = "/audit",
                                                   .is_required = true};

/* What a start with the ledger as it is says; 0: it starts. */
static int start(struct trail *trail, struct err *e)
{
    const struct audit_options options = {.env = &trail->fake.env,
                                          .node = "test",
                                          .ledger = &trail->ledger.ledger,
                                          .sinks = &required,
                                          .sink_count = 1};
    int r = audit_new(&options, &trail->audit, e);

    trail->is_closed = r != 0;
    fake_env_run(&trail->fake);
    return r;
}

/* A file that a trail has written with another ledger, which is the newer one of the same. */
static void set_file(struct trail *trail, const struct trail *newer)
{
    fake_file_set(trail->file, newer->file->bytes, newer->file->size);
}

/* Two that are the same so far; one of them stops there and is the copy. */
static void begin_copied(struct trail *copy, struct trail *newer, size_t count, bool is_trimmed)
{
    trail_begin(copy);
    trail_begin(newer);
    trail_note_some(copy, count);
    trail_note_some(newer, count);
    if (is_trimmed) {
        fake_env_advance(&copy->fake, OUTBOX_TRIM_MS);
        fake_env_advance(&newer->fake, OUTBOX_TRIM_MS);
        assert_int_equal(trail_outbox(copy), 0);
    }
    trail_crash(copy);
}

static void test_an_older_copy_of_the_ledger_is_refused(void **state)
{
    size_t variant;

    (void)state;
    for (variant = 0; variant < 4; variant++) {
        bool is_trimmed = variant % 2 == 0; /* the outbox of the copy is empty */
        bool was_killed = variant / 2 == 0;
        struct err e = {0};
        struct trail newer;
        struct trail copy;
        size_t size;

        begin_copied(&copy, &newer, 5, is_trimmed);
        trail_note_some(&newer, 2);
        if (was_killed) {
            trail_crash(&newer);
        }
        trail_close(&newer);
        set_file(&copy, &newer);
        size = copy.file->size;
        assert_int_equal(start(&copy, &e), ERR_CORRUPT);
        fake_env_advance(&copy.fake, 10000);
        assert_non_null(strstr(e.text, "the ledger is an older copy: it ends with audit record 5, "
                                       "and by /audit it had record 6"));
        assert_non_null(strstr(e.text, "Bring the newer one back"));
        assert_int_equal(copy.file->size, size);
        trail_fini(&copy);
        trail_fini(&newer);
    }
}

/* They passed it by: nobody said that it had them, in whatever life of the daemon. */
static void test_a_ledger_that_failed_is_no_older_copy(void **state)
{
    size_t variant;

    (void)state;
    for (variant = 0; variant < 16; variant++) {
        struct err e = {0};
        struct trail trail;

        trail_begin(&trail);
        trail_note_some(&trail, variant % 4);
        if (variant / 4 % 2 == 0) {
            fake_env_advance(&trail.fake, OUTBOX_TRIM_MS);
        }
        trail.ledger.fail_status = -ENOSPC;
        assert_int_equal(trail_try(&trail, "lease.issued"), 0); /* it is in the file all the same */
        trail_note_some(&trail, 3);
        trail_crash(&trail);
        trail.ledger.fail_status = variant / 8 == 0 ? -ENOSPC : 0;
        assert_int_equal(start(&trail, &e), 0);
        trail_note_some(&trail, 4);
        trail_crash(&trail);
        assert_int_equal(start(&trail, &e), 0);
        trail_note_some(&trail, 1);
        trail_close(&trail);
        assert_int_equal(start(&trail, &e), 0);
        (void)trail_verify(trail.file);
        trail_fini(&trail);
    }
}

/* It hangs, the trail goes on without it, and then it has all after all and that is removed. */
static void test_a_ledger_that_was_late_is_no_older_copy(void **state)
{
    struct err e = {0};
    struct trail trail;

    (void)state;
    trail_begin(&trail);
    trail_note_some(&trail, 3);
    trail.ledger.is_held = true;
    trail_note_some(&trail, 2);
    fake_env_advance(&trail.fake, AUDIT_CONFIRM_DEFAULT_MS);
    trail_note_some(&trail, 2);
    fake_ledger_run(&trail.ledger);
    trail_note_some(&trail, 2);
    fake_env_advance(&trail.fake, OUTBOX_TRIM_MS);
    fake_ledger_run(&trail.ledger);
    trail_note_some(&trail, 1);
    trail_crash(&trail);
    assert_int_equal(start(&trail, &e), 0);
    trail_close(&trail);
    (void)trail_verify(trail.file);
    trail_fini(&trail);
}

/* A new one, or one whose outbox was taken away as the log advises. */
static void test_a_ledger_that_knows_nothing_goes_on_from_the_file(void **state)
{
    struct err e = {0};
    struct trail trail;

    (void)state;
    trail_begin(&trail);
    trail_note_some(&trail, 5);
    trail_close(&trail);
    fake_ledger_fini(&trail.ledger);
    fake_ledger_init(&trail.ledger, &trail.fake.env);
    assert_int_equal(start(&trail, &e), 0);
    trail_note_some(&trail, 1);
    trail_crash(&trail);
    assert_int_equal(start(&trail, &e), 0);
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 6);
    trail_fini(&trail);
}

/* The numbers begin again with 1. */
static void test_a_file_that_was_moved_away_begins_a_new_trail(void **state)
{
    size_t count;

    (void)state;
    for (count = 0; count < 4; count++) {
        struct err e = {0};
        struct trail trail;

        trail_begin(&trail);
        trail_note_some(&trail, 9);
        trail_close(&trail);
        fake_file_set(trail.file, "", 0);
        assert_int_equal(start(&trail, &e), 0);
        trail_note_some(&trail, count);
        if (count % 2 == 0) {
            fake_env_advance(&trail.fake, OUTBOX_TRIM_MS);
        }
        trail_crash(&trail);
        assert_int_equal(start(&trail, &e), 0);
        trail.ledger.fail_status = -ENOSPC;
        trail_note_some(&trail, 2);
        trail_crash(&trail);
        assert_int_equal(start(&trail, &e), 0);
        trail_note_some(&trail, 1);
        trail_crash(&trail);
        assert_int_equal(start(&trail, &e), 0);
        trail_close(&trail);
        assert_int_equal(trail_verify(trail.file), count + 3);
        trail_fini(&trail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRAIL_TEST(test_an_older_copy_of_the_ledger_is_refused),
        TRAIL_TEST(test_a_ledger_that_failed_is_no_older_copy),
        TRAIL_TEST(test_a_ledger_that_was_late_is_no_older_copy),
        TRAIL_TEST(test_a_ledger_that_knows_nothing_goes_on_from_the_file),
        TRAIL_TEST(test_a_file_that_was_moved_away_begins_a_new_trail),
    };

    return cmocka_run_group_tests_name("older_ledger", tests, NULL, NULL);
}
