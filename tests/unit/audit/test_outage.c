/* The trail where the disk is full, slow or gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "audit/sink.h"
#include "trail.h"

static void test_a_failed_append_is_told_and_refuses_what_comes(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail.file->fail_status = -ENOSPC;
    write = trail_write(&trail, "lease.issued");
    assert_true(audit_is_ready(trail.audit));
    fake_env_run(&trail.fake);
    assert_int_equal(write->call_count, 1);
    assert_int_equal(write->status, -ENOSPC);
    assert_false(audit_is_ready(trail.audit));
    assert_int_equal(trail_try(&trail, "grant.created"), ERR_UNAVAILABLE);
    trail_fini(&trail);
}

/* What was queued is written later in the same order and the same chain: a reader sees the decision
 * and what became of it. */
static void test_what_failed_is_written_first_when_the_disk_is_back(void **state)
{
    const char *issued;
    const char *degraded;
    const char *revoking;
    const char *restored;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail_note(&trail, "daemon.started");
    fake_env_run(&trail.fake);
    trail.file->fail_status = -EIO;
    (void)trail_write(&trail, "lease.issued");
    fake_env_run(&trail.fake);
    trail_note(&trail, "lease.revoking");
    fake_env_advance(&trail.fake, 60000);
    assert_int_equal(trail_verify(trail.file), 1);
    trail.file->fail_status = 0;
    fake_env_advance(&trail.fake, AUDIT_RETRY_MAX_MS);
    assert_true(audit_is_ready(trail.audit));
    assert_int_equal(trail_verify(trail.file), 5);
    issued = strstr(trail.file->bytes, "lease.issued");
    degraded = strstr(trail.file->bytes, "sink.degraded");
    revoking = strstr(trail.file->bytes, "lease.revoking");
    restored = strstr(trail.file->bytes, "sink.restored");
    assert_true(issued != NULL && issued < degraded && degraded < revoking && revoking < restored);
    assert_int_equal(trail.writes[0].call_count, 1);
    assert_int_equal(trail_try(&trail, "grant.created"), 0);
    trail_fini(&trail);
}

static void test_a_sink_that_hangs_fails_after_two_seconds(void **state)
{
    struct trail_write *first;
    struct trail_write *second;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail.file->is_held = true;
    first = trail_write(&trail, "lease.issued");
    fake_env_advance(&trail.fake, 1500);
    second = trail_write(&trail, "lease.issued");
    fake_env_advance(&trail.fake, AUDIT_CONFIRM_DEFAULT_MS - 1500 - 1);
    assert_int_equal(first->call_count, 0);
    assert_true(audit_is_ready(trail.audit));
    fake_env_advance(&trail.fake, 1);
    assert_int_equal(first->status, ERR_TIMEOUT);
    assert_int_equal(second->status, ERR_TIMEOUT);
    assert_false(audit_is_ready(trail.audit));
    /* It was only slow: the append ends well after all. */
    trail.file->is_held = false;
    fake_env_run(&trail.fake);
    assert_true(audit_is_ready(trail.audit));
    assert_int_equal(first->call_count, 1);
    assert_int_equal(trail_verify(trail.file), 4);
    trail_fini(&trail);
}

/* The two seconds count from the write, also for a record that waits behind a slow append. */
static void test_waiting_behind_a_slow_append_counts_too(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail.file->is_held = true;
    trail_note(&trail, "a");
    fake_env_advance(&trail.fake, 100);
    write = trail_write(&trail, "b");
    fake_env_advance(&trail.fake, 1800);
    trail.file->release_count = 1;
    fake_env_advance(&trail.fake, 199);
    assert_int_equal(trail_verify(trail.file), 1);
    assert_int_equal(trail.file->append_count, 2);
    assert_int_equal(write->call_count, 0);
    fake_env_advance(&trail.fake, 1);
    assert_int_equal(write->status, ERR_TIMEOUT);
    trail.file->is_held = false;
    trail_fini(&trail);
}

static void test_a_note_alone_that_hangs_stops_hand_outs(void **state)
{
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail.file->is_held = true;
    trail_note(&trail, "lease.renewed");
    fake_env_advance(&trail.fake, AUDIT_CONFIRM_DEFAULT_MS);
    assert_false(audit_is_ready(trail.audit));
    trail.file->is_held = false;
    trail_fini(&trail);
}

static void test_retries_back_off(void **state)
{
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail.file->fail_status = -EIO;
    trail_note(&trail, "a");
    fake_env_run(&trail.fake);
    assert_int_equal(trail.file->append_count, 1);
    fake_env_advance(&trail.fake, AUDIT_RETRY_MIN_MS - 1);
    assert_int_equal(trail.file->append_count, 1);
    fake_env_advance(&trail.fake, 1);
    assert_int_equal(trail.file->append_count, 2);
    fake_env_advance(&trail.fake, 3600000);
    assert_true(trail.file->append_count < 730);
    assert_true(trail.file->append_count > 700);
    trail_fini(&trail);
}

static void test_an_append_that_cannot_start_is_a_failure_too(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail.file->start_status = ERR_LIMIT;
    write = trail_write(&trail, "a");
    fake_env_run(&trail.fake);
    assert_int_equal(write->status, ERR_LIMIT);
    trail.file->start_status = 0;
    fake_env_advance(&trail.fake, AUDIT_RETRY_MIN_MS);
    assert_true(audit_is_ready(trail.audit));
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 3);
    trail_fini(&trail);
}

static void test_reopening_tries_again_at_once(void **state)
{
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail.file->fail_status = -ENOSPC;
    trail_note(&trail, "a");
    fake_env_advance(&trail.fake, 60000);
    trail.file->fail_status = 0;
    assert_int_equal(audit_reopen(trail.audit, NULL), 0);
    fake_env_run(&trail.fake);
    assert_true(audit_is_ready(trail.audit));
    trail_fini(&trail);
}

static void test_all_required_sinks_must_have_a_record(void **state)
{
    static const struct audit_sink_options sinks[] = {
        {.kind = "file", .path = "/audit", .is_required = true},
        {.kind = "stdout", .is_required = true},
    };
    struct trail_write *write;
    struct fake_file *out;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    out = fake_env_file(&trail.fake, "-");
    trail_open(&trail, sinks, 2);
    out->is_held = true;
    write = trail_write(&trail, "grant.created");
    fake_env_run(&trail.fake);
    assert_int_equal(write->call_count, 0);
    out->is_held = false;
    fake_env_run(&trail.fake);
    assert_int_equal(write->status, 0);
    assert_int_equal(write->call_count, 1);
    out->fail_status = -EPIPE;
    write = trail_write(&trail, "grant.created");
    fake_env_run(&trail.fake);
    assert_int_equal(write->status, -EPIPE);
    assert_int_equal(trail_count(trail.file, "sink.degraded"), 1);
    trail_fini(&trail);
}

static void test_closing_gives_a_failing_sink_one_more_try(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail.file->fail_status = -EIO;
    write = trail_write(&trail, "a");
    fake_env_run(&trail.fake);
    assert_int_equal(write->status, -EIO);
    trail.file->fail_status = 0;
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 2);
    trail_open_required(&trail);
    trail.file->fail_status = -EIO;
    trail_note(&trail, "b");
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 2);
    trail_fini(&trail);
}

static void test_a_write_that_waits_at_the_end_is_told(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    write = trail_write(&trail, "a");
    trail.file->fail_status = -EIO;
    trail_close(&trail);
    assert_int_equal(write->call_count, 1);
    assert_int_equal(write->status, -EIO);
    trail_fini(&trail);
}

/* --- the reserve --- */

static void open_with_reserve(struct trail *trail)
{
    const struct audit_sink_options sink = {.kind = "file", .path = "/audit", .is_required = true};
    const struct audit_options options = {.env = &trail->fake.env,
                                          .node = "test",
                                          .sinks = &sink,
                                          .sink_count = 1,
                                          .confirm_max_ms = 500,
                                          .reserve_bytes = 4096};

    trail_init(trail);
    assert_int_equal(audit_new(&options, &trail->audit, NULL), 0);
    assert_int_equal(trail->file->reserve_bytes, 4096);
}

static void test_the_time_to_confirm_can_be_set(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    open_with_reserve(&trail);
    trail.file->is_held = true;
    write = trail_write(&trail, "lease.issued");
    fake_env_advance(&trail.fake, 499);
    assert_int_equal(write->call_count, 0);
    fake_env_advance(&trail.fake, 1);
    assert_int_equal(write->status, ERR_TIMEOUT);
    trail.file->is_held = false;
    trail_fini(&trail);
}

/* Who waits is refused, what nobody waits for is on record at once, and the chain is whole. */
static void test_out_of_the_reserve_only_notes_are_written(void **state)
{
    struct trail_write *first;
    struct trail_write *second;
    struct trail trail;

    (void)state;
    open_with_reserve(&trail);
    trail.file->is_held = true;
    first = trail_write(&trail, "lease.issued");
    fake_env_run(&trail.fake);
    second = trail_write(&trail, "lease.issued");
    fake_env_run(&trail.fake);
    trail.file->is_short = true;
    trail.file->is_held = false;
    fake_env_run(&trail.fake);
    assert_int_equal(first->status, 0); /* it was durable before that was known */
    assert_int_equal(second->status, -ENOSPC);
    assert_int_equal(first->call_count, 1);
    assert_int_equal(second->call_count, 1);
    assert_false(audit_is_ready(trail.audit));
    assert_int_equal(trail_try(&trail, "grant.created"), ERR_UNAVAILABLE);
    trail_note(&trail, "lease.revoked");
    fake_env_run(&trail.fake);
    assert_int_equal(trail_count(trail.file, "lease.revoked"), 1);
    assert_int_equal(trail_count(trail.file, "no room to renew limits.audit_reserve"), 1);
    assert_int_equal(audit_lag_records(trail.audit), 0);
    assert_int_equal(trail_verify(trail.file), 4);
    trail_fini(&trail);
}

static void test_an_idle_sink_finds_out_that_there_is_room_again(void **state)
{
    struct trail trail;
    uint32_t appends;

    (void)state;
    open_with_reserve(&trail);
    trail.file->is_short = true;
    trail_note(&trail, "lease.revoked");
    fake_env_advance(&trail.fake, 3600000);
    appends = trail.file->append_count;
    assert_true(appends > 700 && appends < 730);
    assert_int_equal(trail_verify(trail.file), 2); /* it asks without writing anything */
    trail.file->is_short = false;
    fake_env_advance(&trail.fake, AUDIT_RETRY_MAX_MS);
    assert_true(audit_is_ready(trail.audit));
    assert_int_equal(trail_count(trail.file, "sink.restored"), 1);
    appends = trail.file->append_count;
    fake_env_advance(&trail.fake, 3600000);
    assert_int_equal(trail.file->append_count, appends);
    assert_int_equal(trail_verify(trail.file), 3);
    trail_fini(&trail);
}

/* One outage, said once, with whatever happens to the disk meanwhile. */
static void test_a_reserve_that_is_used_up_is_the_same_outage(void **state)
{
    struct trail trail;

    (void)state;
    open_with_reserve(&trail);
    trail.file->is_short = true;
    trail_note(&trail, "lease.renewed");
    fake_env_run(&trail.fake);
    trail.file->fail_status = -ENOSPC;
    trail_note(&trail, "lease.revoked");
    fake_env_advance(&trail.fake, 60000);
    assert_int_equal(trail_count(trail.file, "lease.revoked"), 0);
    trail.file->fail_status = 0;
    fake_env_advance(&trail.fake, AUDIT_RETRY_MAX_MS);
    assert_int_equal(trail_count(trail.file, "lease.revoked"), 1);
    assert_false(audit_is_ready(trail.audit));
    /* An empty append that fails or hangs isn't the end of the asking. */
    trail.file->fail_status = -EIO;
    fake_env_advance(&trail.fake, 60000);
    trail.file->fail_status = 0;
    trail.file->is_held = true;
    fake_env_advance(&trail.fake, 60000);
    trail.file->is_held = false;
    trail.file->is_short = false;
    fake_env_advance(&trail.fake, AUDIT_RETRY_MAX_MS);
    assert_true(audit_is_ready(trail.audit));
    assert_int_equal(trail_count(trail.file, "sink.degraded"), 1);
    assert_int_equal(trail_count(trail.file, "sink.restored"), 1);
    (void)trail_verify(trail.file);
    trail_fini(&trail);
}

static void test_a_short_sink_closes_with_all_that_was_queued(void **state)
{
    struct trail trail;

    (void)state;
    open_with_reserve(&trail);
    trail.file->is_short = true;
    trail_note(&trail, "a");
    fake_env_run(&trail.fake);
    trail_note(&trail, "b");
    trail_close(&trail);
    assert_int_equal(trail_count(trail.file, "\"b\""), 1);
    (void)trail_verify(trail.file);
    trail_fini(&trail);
}

/* --- what callbacks may do --- */

struct reaction {
    struct audit_write write;
    struct trail *trail;
    struct audit_write *other;
    int status;
    uint32_t call_count;
};

static void react(struct audit_write *write, int status)
{
    struct reaction *reaction = CONTAINER_OF(write, struct reaction, write);

    reaction->status = status;
    reaction->call_count++;
    audit_write_forget(reaction->other);
    trail_note(reaction->trail, "grant.ended");
    assert_int_equal(trail_try(reaction->trail, "x"), status == 0 ? 0 : ERR_UNAVAILABLE);
}

static void test_a_callback_may_forget_others_and_note(void **state)
{
    static const int statuses[] = {0, -EIO};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(statuses); i++) {
        struct reaction reaction = {.write = {.fn = react}};
        struct audit_record record = {.event = "grant.created"};
        struct trail_write *other;
        struct trail trail;

        trail_init(&trail);
        trail_open_required(&trail);
        reaction.trail = &trail;
        trail.file->fail_status = statuses[i];
        assert_int_equal(audit_record_write(trail.audit, &record, &reaction.write), 0);
        other = trail_write(&trail, "other");
        reaction.other = &other->write;
        fake_env_run(&trail.fake);
        assert_int_equal(reaction.call_count, 1);
        assert_int_equal(reaction.status, statuses[i]);
        assert_int_equal(other->call_count, 0);
        trail.file->fail_status = 0;
        trail_close(&trail);
        (void)trail_verify(trail.file);
        assert_int_equal(trail_count(trail.file, "grant.ended"), 1);
        trail_fini(&trail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRAIL_TEST(test_a_failed_append_is_told_and_refuses_what_comes),
        TRAIL_TEST(test_what_failed_is_written_first_when_the_disk_is_back),
        TRAIL_TEST(test_a_sink_that_hangs_fails_after_two_seconds),
        TRAIL_TEST(test_waiting_behind_a_slow_append_counts_too),
        TRAIL_TEST(test_a_note_alone_that_hangs_stops_hand_outs),
        TRAIL_TEST(test_retries_back_off),
        TRAIL_TEST(test_an_append_that_cannot_start_is_a_failure_too),
        TRAIL_TEST(test_reopening_tries_again_at_once),
        TRAIL_TEST(test_all_required_sinks_must_have_a_record),
        TRAIL_TEST(test_closing_gives_a_failing_sink_one_more_try),
        TRAIL_TEST(test_a_write_that_waits_at_the_end_is_told),
        TRAIL_TEST(test_the_time_to_confirm_can_be_set),
        TRAIL_TEST(test_out_of_the_reserve_only_notes_are_written),
        TRAIL_TEST(test_an_idle_sink_finds_out_that_there_is_room_again),
        TRAIL_TEST(test_a_reserve_that_is_used_up_is_the_same_outage),
        TRAIL_TEST(test_a_short_sink_closes_with_all_that_was_queued),
        TRAIL_TEST(test_a_callback_may_forget_others_and_note),
    };

    return cmocka_run_group_tests_name("outage", tests, NULL, NULL);
}
