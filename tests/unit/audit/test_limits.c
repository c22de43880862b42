/* What is kept and what is lost when there is no room: in a queue, or in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/sink.h"
#include "base/mem.h"
#include "trail.h"

/* 10 000 revocations while the disk is full are kept; beyond the limit they are counted, and no
 * number is missing. */
static void test_notes_are_kept_up_to_a_limit_and_the_rest_is_counted(void **state)
{
    struct audit_record record = {.event = "lease.revoked",
                                  .outcome = "ok",
                                  .role = "orders-db",
                                  .backend = "vault-prod",
                                  .lease = "l-0123456789abcdef0123456789abcdef"};
    struct trail trail;
    char expected[64];
    size_t written;
    size_t i;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail.file->fail_status = -ENOSPC;
    for (i = 0; i < 30000; i++) {
        audit_record_note(trail.audit, &record);
        if (i % 1000 == 0) {
            fake_env_advance(&trail.fake, 1000);
        }
    }
    trail.file->fail_status = 0;
    fake_env_advance(&trail.fake, 2 * AUDIT_RETRY_MAX_MS);
    (void)trail_verify(trail.file);
    written = trail_count(trail.file, "lease.revoked");
    assert_in_range(written, 10000, 29000);
    (void)snprintf(expected, sizeof(expected), "\"count\":%zu,", 30000 - written);
    assert_int_equal(trail_count(trail.file, "sink.restored"), 1);
    assert_int_equal(trail_count(trail.file, expected), 1);
    assert_true(trail.file->size <= AUDIT_NOTE_QUEUE_MAX_BYTES + 2 * AUDIT_RECORD_MAX_BYTES);
    trail_fini(&trail);
}

static void test_writes_are_refused_before_notes_are(void **state)
{
    struct trail trail;
    size_t writes = 0;
    size_t notes = 0;
    int r;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail.file->is_held = true;
    fake_env_run(&trail.fake);
    while ((r = trail_try(&trail, "grant.created")) == 0) {
        writes++;
    }
    assert_int_equal(r, ERR_LIMIT);
    for (notes = 0; notes < writes / 2; notes++) {
        trail_note(&trail, "grant.ended");
    }
    trail.file->is_held = false;
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), writes + notes);
    trail_fini(&trail);
}

static void test_an_optional_sink_that_fails_delays_nobody(void **state)
{
    static const struct audit_sink_options sinks[] = {
        {.kind = "file", .path = "/audit", .is_required = true},
        {.kind = "file", .path = "/copy"},
    };
    struct fake_file *copy;
    struct trail trail;
    size_t i;

    (void)state;
    trail_init(&trail);
    copy = fake_env_file(&trail.fake, "/copy");
    trail_open(&trail, sinks, 2);
    trail_note(&trail, "daemon.started");
    fake_env_run(&trail.fake);
    copy->fail_status = -EIO;
    for (i = 0; i < 40; i++) {
        struct trail_write *write = trail_write(&trail, "credential.read");

        fake_env_run(&trail.fake);
        assert_int_equal(write->call_count, 1);
        assert_int_equal(write->status, 0);
        assert_true(audit_is_ready(trail.audit));
    }
    assert_int_equal(trail_count(trail.file, "sink.degraded"), 1);
    copy->fail_status = 0;
    fake_env_advance(&trail.fake, AUDIT_RETRY_MAX_MS);
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 43);
    assert_int_equal(trail_verify(copy), 43);
    trail_fini(&trail);
}

static void test_an_optional_sink_loses_records_past_its_limit_and_says_which(void **state)
{
    static const struct audit_sink_options sinks[] = {
        {.kind = "file", .path = "/audit", .is_required = true},
        {.kind = "file", .path = "/copy"},
    };
    enum audit_problem problem;
    struct fake_file *copy;
    struct trail trail;
    char expected[64];
    uint64_t total;
    size_t lost;
    size_t i;

    (void)state;
    trail_init(&trail);
    copy = fake_env_file(&trail.fake, "/copy");
    trail_open(&trail, sinks, 2);
    copy->fail_status = -EIO;
    for (i = 0; i < 30000; i++) {
        trail_note(&trail, "credential.read");
        if (i % 100 == 0) {
            fake_env_run(&trail.fake);
        }
    }
    fake_env_run(&trail.fake);
    copy->fail_status = 0;
    fake_env_advance(&trail.fake, AUDIT_RETRY_MAX_MS);
    trail_note(&trail, "daemon.stopped");
    trail_close(&trail);
    total = trail_verify(trail.file);
    assert_int_equal(total, 30003);
    assert_true(copy->size < AUDIT_OPTIONAL_QUEUE_MAX_BYTES + 4096);
    assert_int_equal(trail_problems(copy, &problem), 1);
    assert_int_equal(problem, AUDIT_PROBLEM_GAP);
    lost = 30000 - trail_count(copy, "credential.read");
    (void)snprintf(expected, sizeof(expected), "\"count\":%zu,\"error\":\"this sink lacks", lost);
    assert_int_equal(trail_count(copy, expected), 1);
    trail_fini(&trail);
}

static int fail_countdown;
static bool fail_goes_on;

static int fail_at(size_t size)
{
    (void)size;
    if (fail_countdown > 0 && --fail_countdown > 0) {
        return 0;
    }
    if (!fail_goes_on && fail_countdown == 0) {
        fail_countdown = -1;
        return 1;
    }
    return fail_goes_on;
}

/* Some writes with the n-th allocation failing. Returns whether one failed. */
static bool scenario(int n, bool goes_on, bool has_ledger)
{
    const struct audit_sink_options sink = {.kind = "file", .path = "/audit", .is_required = true};
    struct audit_options options = {.node = "test", .sinks = &sink, .sink_count = 1};
    uint64_t expected = 0;
    struct trail trail;
    bool has_failed;
    int i;
    int r;

    trail_init(&trail);
    trail.has_ledger = has_ledger;
    options.env = &trail.fake.env;
    options.ledger = has_ledger ? &trail.ledger.ledger : NULL;
    fail_countdown = n;
    fail_goes_on = goes_on;
    mem_set_fail_hook(fail_at);
    r = audit_new(&options, &trail.audit, NULL);
    if (r == 0) {
        for (i = 0; i < 3; i++) {
            int status = trail_try(&trail, "grant.created");

            assert_true(status == 0 || status == ERR_NOMEM);
            expected += status == 0 ? 1 : 0;
            trail_note(&trail, "grant.ended");
            fake_env_run(&trail.fake);
        }
    } else {
        assert_int_equal(r, ERR_NOMEM);
        trail.audit = NULL;
    }
    mem_set_fail_hook(NULL);
    has_failed = goes_on ? fail_countdown == 0 : fail_countdown < 0;
    fake_env_run(&trail.fake);
    if (trail.audit == NULL) {
        trail_open_required(&trail);
    }
    /* Afterwards everything works again, and the trail is whole. */
    assert_int_equal(trail_try(&trail, "grant.created"), 0);
    trail_close(&trail);
    (void)trail_verify(trail.file);
    assert_int_equal(trail_count(trail.file, "grant.created"), expected + 1);
    trail_fini(&trail);
    return has_failed;
}

static void test_no_memory_refuses_the_record_and_nothing_else(void **state)
{
    int n;
    int has_ledger;

    (void)state;
    for (has_ledger = 0; has_ledger < 2; has_ledger++) {
        for (n = 1; scenario(n, false, has_ledger != 0); n++) {
            assert_int_equal(mem_in_use_bytes(), 0);
        }
        assert_true(n > 5);
        for (n = 1; scenario(n, true, has_ledger != 0); n++) {
            assert_int_equal(mem_in_use_bytes(), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRAIL_TEST(test_notes_are_kept_up_to_a_limit_and_the_rest_is_counted),
        TRAIL_TEST(test_writes_are_refused_before_notes_are),
        TRAIL_TEST(test_an_optional_sink_that_fails_delays_nobody),
        TRAIL_TEST(test_an_optional_sink_loses_records_past_its_limit_and_says_which),
        TRAIL_TEST(test_no_memory_refuses_the_record_and_nothing_else),
    };

    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
