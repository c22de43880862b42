/* A start on what a killed process left: files that lack what the ledger has. */
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

static const struct audit_sink_options two_sinks[] = {
    {.kind = "file", .path = "/audit", .is_required = true},
    {.kind = "file", .path = "/copy"},
};

/* --- killed at each point --- */

enum point {
    POINT_QUEUED,    /* neither disk has it */
    POINT_COMMITTED, /* the ledger has it */
    POINT_APPENDED,  /* the file has it, too, and the ledger still */
    POINT_REMOVED,   /* the file alone */
    POINT_COUNT,
};

static void test_killed_at_any_point_the_trail_is_whole(void **state)
{
    static const uint64_t expected[POINT_COUNT] = {6, 8, 8, 8};
    enum point point;

    (void)state;
    for (point = POINT_QUEUED; point < POINT_COUNT; point++) {
        struct trail trail;

        trail_begin(&trail);
        trail_note_some(&trail, 5);
        trail.ledger.is_held = point == POINT_QUEUED;
        trail.file->is_held = point <= POINT_COMMITTED;
        trail_note_some(&trail, 2);
        if (point == POINT_REMOVED) {
            fake_env_advance(&trail.fake, OUTBOX_TRIM_MS);
        }
        assert_int_equal(trail_verify(trail.file), point <= POINT_COMMITTED ? 5 : 7);
        trail_crash(&trail);
        trail_open_required(&trail);
        trail_note(&trail, "daemon.started");
        fake_env_advance(&trail.fake, OUTBOX_TRIM_MS);
        assert_int_equal(trail_verify(trail.file), expected[point]);
        assert_int_equal(trail_outbox(&trail), 0);
        assert_int_equal(trail_count(trail.file, "sink."), 0);
        trail_fini(&trail);
    }
}

/* The first `size` bytes of `whole`, and, if that cuts a record off, what the next start could do
 * before it was killed, too: end the line and write the first `again` bytes of the record. */
static void set_cut_off(struct fake_file *file, const char *whole, size_t size, size_t again)
{
    const char *end = memrchr(whole, '\n', size);
    size_t line = (size_t)(end + 1 - whole);
    char *bytes = malloc(size + again + 2);

    assert_non_null(bytes);
    memcpy(bytes, whole, size);
    if (line < size && again > 0 && whole[size] != '\n') {
        bytes[size++] = '\n';
        memcpy(bytes + size, whole + line, again);
        size += again;
    }
    fake_file_set(file, bytes, size);
    free(bytes);
}

/* Whatever part of the last append has reached the file, once or twice. */
static void test_a_cut_off_record_is_appended_again_whole(void **state)
{
    size_t cut;

    (void)state;
    for (cut = 1; cut < 300; cut += 7) {
        struct trail trail;
        char *whole;
        size_t before;

        trail_begin(&trail);
        trail_note_some(&trail, 3);
        before = trail.file->size;
        trail_note_some(&trail, 3);
        trail_crash(&trail);
        whole = strdup(trail.file->bytes);
        assert_non_null(whole);
        set_cut_off(trail.file, whole, before + cut, cut % 3 * 40);
        trail_open_required(&trail);
        trail_note(&trail, "daemon.started");
        trail_close(&trail);
        assert_int_equal(trail_verify(trail.file), 7);
        free(whole);
        trail_fini(&trail);
    }
}

/* --- several sinks --- */

static void test_each_file_gets_what_it_lacks(void **state)
{
    struct fake_file *copy;
    struct fake_file *out;
    struct trail trail;
    static const struct audit_sink_options sinks[] = {
        {.kind = "file", .path = "/audit", .is_required = true},
        {.kind = "file", .path = "/copy"},
        {.kind = "stdout"},
    };

    (void)state;
    trail_init(&trail);
    trail.has_ledger = true;
    copy = fake_env_file(&trail.fake, "/copy");
    trail_open(&trail, sinks, 3);
    out = fake_env_file(&trail.fake, "-");
    trail_note_some(&trail, 3);
    fake_env_advance(&trail.fake, OUTBOX_TRIM_MS);
    copy->is_held = true;
    trail_note_some(&trail, 3);
    fake_env_advance(&trail.fake, OUTBOX_TRIM_MS);
    assert_int_equal(trail_outbox(&trail), 3);
    trail.file->is_held = true;
    trail_note_some(&trail, 2);
    trail_crash(&trail);
    assert_int_equal(trail_verify(trail.file), 6);
    assert_int_equal(trail_verify(copy), 3);
    trail_open(&trail, sinks, 3);
    trail_note(&trail, "daemon.started");
    fake_env_advance(&trail.fake, OUTBOX_TRIM_MS);
    assert_int_equal(trail_verify(trail.file), 9);
    assert_int_equal(trail_verify(copy), 9);
    assert_int_equal(trail_outbox(&trail), 0);
    assert_int_equal(trail_count(out, "\"seq\":8,"), 2); /* rather twice than never */
    assert_int_equal(trail_count(trail.file, "sink."), 0);
    trail_fini(&trail);
}

static void test_a_file_that_lacks_more_than_the_outbox_has_is_told(void **state)
{
    enum audit_problem problem;
    struct fake_file *copy;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail.has_ledger = true;
    copy = fake_env_file(&trail.fake, "/copy");
    trail_open(&trail, two_sinks, 2);
    trail_note_some(&trail, 2);
    /* The ledger fails, and what passes it by reaches one file only. */
    trail.ledger.fail_status = -ENOSPC;
    copy->is_held = true;
    trail_note_some(&trail, 4);
    trail_crash(&trail);
    assert_int_equal(trail_verify(trail.file), 6);
    trail_open(&trail, two_sinks, 2);
    trail_note(&trail, "daemon.started");
    fake_env_run(&trail.fake);
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 8);
    assert_int_equal(trail_problems(copy, &problem), 1);
    assert_int_equal(problem, AUDIT_PROBLEM_GAP);
    assert_int_equal(trail_count(copy, "this sink lacks records from 3 to 6"), 1);
    trail_fini(&trail);
}

static void test_a_file_that_was_rotated_away_goes_on_from_the_outbox(void **state)
{
    struct trail trail;

    (void)state;
    trail_begin(&trail);
    trail_note_some(&trail, 3);
    assert_int_equal(audit_reopen(trail.audit, NULL), 0);
    fake_env_run(&trail.fake);
    assert_int_equal(trail_outbox(&trail), 0); /* or they'd be in the new file again */
    trail.file->is_held = true;
    trail_note_some(&trail, 2);
    trail_crash(&trail);
    fake_file_set(trail.file, "", 0);
    trail_open_required(&trail);
    trail_note(&trail, "daemon.started");
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 3);
    assert_int_equal(trail_count(trail.file, "\"seq\":4,"), 1);
    trail_fini(&trail);
}

/* --- much of it --- */

/* All that the queue took while the disk was full is there after a crash, and the outbox is no
 * longer than that. */
static void test_a_long_outage_and_a_crash_lose_no_record(void **state)
{
    struct trail trail;
    size_t written;
    size_t i;

    (void)state;
    trail_begin(&trail);
    trail_note(&trail, "daemon.started");
    fake_env_run(&trail.fake);
    trail.file->fail_status = -ENOSPC;
    for (i = 0; i < 40000; i++) {
        trail_note(&trail, "lease.revoked");
        if (i % 1000 == 0) {
            fake_env_advance(&trail.fake, 10);
        }
    }
    fake_env_run(&trail.fake);
    written = trail_outbox(&trail);
    assert_in_range(written, 10000, 39000);
    trail_crash(&trail);
    trail.file->fail_status = -ENOSPC; /* still */
    trail_open_required(&trail);
    for (i = 0; i < 1000; i++) {
        trail_note(&trail, "lease.revoked");
    }
    fake_env_run(&trail.fake);
    assert_in_range(trail_outbox(&trail), written, written + 100);
    trail_crash(&trail);
    trail_open_required(&trail);
    fake_env_advance(&trail.fake, 10000);
    assert_true(trail_verify(trail.file) >= written);
    assert_int_equal(trail_outbox(&trail), 0);
    trail_fini(&trail);
}

/* --- damaged --- */

static void put(struct trail *trail, const char *id, const char *body)
{
    assert_int_equal(
        env_ledger_put(&trail->ledger.ledger, ENV_LEDGER_AUDIT, str_of(id), str_of(body)), 0);
    fake_env_run(&trail->fake);
}

/* Three records in the file, five in the outbox. */
static void begin_behind(struct trail *trail)
{
    trail_begin(trail);
    trail_note_some(trail, 3);
    trail->file->is_held = true;
    trail_note_some(trail, 2);
    trail_crash(trail);
    assert_int_equal(trail_outbox(trail), 5);
}

static void is_refused(struct trail *trail, const char *word, const char *advice)
{
    const struct audit_sink_options sink = {.kind = "file", .path = "/audit", .is_required = true};
    const struct audit_options options = {.env = &trail->fake.env,
                                          .node = "test",
                                          .ledger = &trail->ledger.ledger,
                                          .sinks = &sink,
                                          .sink_count = 1};
    size_t left = trail_outbox(trail);
    size_t size = trail->file->size;
    struct err e = {0};

    assert_int_equal(audit_new(&options, &trail->audit, &e), ERR_CORRUPT);
    fake_env_advance(&trail->fake, 10000);
    trail->audit = NULL;
    if (strstr(e.text, word) == NULL || strstr(e.text, advice) == NULL) {
        fail_msg("%s", e.text);
    }
    assert_int_equal(trail->file->size, size);
    assert_int_equal(trail_outbox(trail), left);
    trail_fini(trail);
}

static void test_a_damaged_outbox_is_refused(void **state)
{
    static const char id[] = "00000000000000000004";
    const char *delete_it = "DELETE FROM record WHERE kind = 4";
    struct trail trail;
    char *line;

    (void)state;
    begin_behind(&trail);
    put(&trail, id, "hello\n");
    is_refused(&trail, "audit record 00000000000000000004 is damaged", delete_it);

    begin_behind(&trail);
    line = strdup(fake_ledger_find(&trail.ledger, ENV_LEDGER_AUDIT, id));
    line[strlen(line) - 1] = '\0';
    put(&trail, id, line);
    is_refused(&trail, "its end is missing", delete_it);

    begin_behind(&trail);
    free(line);
    line = strdup(fake_ledger_find(&trail.ledger, ENV_LEDGER_AUDIT, id));
    *strstr(line, "issued") = 'I';
    put(&trail, id, line);
    is_refused(&trail, "was changed", delete_it);
    free(line);

    begin_behind(&trail);
    line = strdup(fake_ledger_find(&trail.ledger, ENV_LEDGER_AUDIT, id));
    put(&trail, "00000000000000000007", line);
    is_refused(&trail, "it is record 4", delete_it);
    free(line);

    begin_behind(&trail);
    assert_int_equal(env_ledger_remove(&trail.ledger.ledger, ENV_LEDGER_AUDIT, STR(id)), 0);
    fake_env_run(&trail.fake);
    is_refused(&trail, "audit records 4 to 4 are missing", delete_it);

    begin_behind(&trail);
    put(&trail, "4", "{}\n");
    is_refused(&trail, "damaged", delete_it);
}

/* The ledger fails while a lease is revoked, and the process is killed: the file alone has the last
 * records. The next one is killed, too, before its timer has trimmed the outbox. */
static void test_what_passed_the_ledger_by_leaves_no_hole_in_the_outbox(void **state)
{
    struct trail trail;

    (void)state;
    trail_begin(&trail);
    trail_note_some(&trail, 4);
    trail.ledger.fail_status = -ENOSPC;
    trail_note_some(&trail, 3);
    trail_crash(&trail);
    assert_int_equal(trail_outbox(&trail), 4);
    trail_open_required(&trail);
    trail_note_some(&trail, 3);
    assert_int_equal(trail_outbox(&trail), 3);
    trail_crash(&trail);
    trail_open_required(&trail);
    trail_note(&trail, "daemon.started");
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 11);
    assert_int_equal(trail_count(trail.file, "sink."), 0);
    trail_fini(&trail);
}

static void remove_one(struct trail *trail, const char *id)
{
    assert_int_equal(env_ledger_remove(&trail->ledger.ledger, ENV_LEDGER_AUDIT, str_of(id)), 0);
    fake_env_run(&trail->fake);
}

/* What the file has nobody misses; a file that was behind is told. */
static void test_a_hole_in_the_outbox_that_a_file_covers_is_fine(void **state)
{
    size_t behind;

    (void)state;
    for (behind = 0; behind < 4; behind++) {
        struct fake_file *copy;
        struct trail trail;

        trail_init(&trail);
        trail.has_ledger = true;
        copy = fake_env_file(&trail.fake, "/copy");
        trail_open(&trail, two_sinks, 2);
        trail_note_some(&trail, 1);
        copy->is_held = behind > 0;
        trail_note_some(&trail, 6 - behind);
        trail.file->is_held = true; /* it has the hole, and of what is behind it all or nothing */
        trail_note_some(&trail, behind);
        trail_crash(&trail);
        remove_one(&trail, "00000000000000000003");
        remove_one(&trail, "00000000000000000004");
        trail_open(&trail, two_sinks, 2);
        trail_note(&trail, "daemon.started");
        fake_env_run(&trail.fake);
        trail_close(&trail);
        assert_int_equal(trail_verify(trail.file), behind > 0 ? 9 : 8);
        assert_int_equal(trail_count(copy, "this sink lacks records from 3 to 4"), behind > 0);
        trail_fini(&trail);
    }
}

/* The file of another installation, or of another time. */
static void test_a_file_of_another_trail_is_refused(void **state)
{
    struct trail other;
    struct trail trail;
    size_t size;

    (void)state;
    trail_begin(&other);
    fake_env_advance(&other.fake, 5000);
    trail_note_some(&other, 3);
    begin_behind(&trail);
    fake_file_set(trail.file, other.file->bytes, other.file->size);
    trail_fini(&other);
    is_refused(&trail, "/audit and the ledger's audit record 3 are of two trails", "move the file");

    /* Cut off by a record, where the outbox has it no more. */
    trail_begin(&trail);
    trail_note_some(&trail, 2);
    size = trail.file->size;
    trail_note_some(&trail, 3);
    fake_env_advance(&trail.fake, OUTBOX_TRIM_MS);
    trail_note_some(&trail, 1);
    trail_crash(&trail);
    fake_file_set(trail.file, trail.file->bytes, size);
    is_refused(&trail, "/audit ends with record 2, and the ledger goes on with 6", "Bring it back");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRAIL_TEST(test_killed_at_any_point_the_trail_is_whole),
        TRAIL_TEST(test_a_cut_off_record_is_appended_again_whole),
        TRAIL_TEST(test_each_file_gets_what_it_lacks),
        TRAIL_TEST(test_a_file_that_lacks_more_than_the_outbox_has_is_told),
        TRAIL_TEST(test_a_file_that_was_rotated_away_goes_on_from_the_outbox),
        TRAIL_TEST(test_a_long_outage_and_a_crash_lose_no_record),
        TRAIL_TEST(test_a_damaged_outbox_is_refused),
        TRAIL_TEST(test_what_passed_the_ledger_by_leaves_no_hole_in_the_outbox),
        TRAIL_TEST(test_a_hole_in_the_outbox_that_a_file_covers_is_fine),
        TRAIL_TEST(test_a_file_of_another_trail_is_refused),
    };

    return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
