/* The trail where all is well: order, chain, groups, start and end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "trail.h"

static void test_a_write_is_done_when_the_record_is_durable(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail.file->is_held = true;
    write = trail_write(&trail, "grant.created");
    fake_env_run(&trail.fake);
    assert_int_equal(write->call_count, 0);
    assert_int_equal(audit_lag_records(trail.audit), 1);
    trail.file->is_held = false;
    fake_env_run(&trail.fake);
    assert_int_equal(write->call_count, 1);
    assert_int_equal(write->status, 0);
    assert_int_equal(trail_verify(trail.file), 1);
    assert_int_equal(audit_lag_records(trail.audit), 0);
    assert_non_null(strstr(trail.file->bytes, "\"event\":\"grant.created\",\"outcome\":\"ok\","
                                              "\"node\":\"test\""));
    trail_fini(&trail);
}

static void test_writes_end_in_the_order_of_their_calls(void **state)
{
    struct trail trail;
    size_t i;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    for (i = 0; i < 20; i++) {
        (void)trail_write(&trail, "credential.read");
        if (i % 3 == 0) {
            fake_env_run(&trail.fake);
        }
    }
    fake_env_run(&trail.fake);
    for (i = 0; i < 20; i++) {
        assert_int_equal(trail.writes[i].order, i + 1);
        assert_int_equal(trail.writes[i].status, 0);
    }
    assert_int_equal(trail_verify(trail.file), 20);
    trail_fini(&trail);
}

static void note_policy(struct trail *trail, const char *digest)
{
    struct audit_record record = {.event = "grant.created", .policy_digest = digest};

    audit_record_note(trail->audit, &record);
    fake_env_run(&trail->fake);
}

static void test_a_policy_is_named_with_its_revision(void **state)
{
    static const char *const others[] = {"d3", "d4", "d5", "d6", "d7", "d8", "d9"};
    struct trail trail;
    size_t i;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    audit_set_revision(trail.audit, "d1", "4f2a");
    audit_set_revision(trail.audit, "d2", "");
    note_policy(&trail, "d1");
    note_policy(&trail, "d2");
    assert_int_equal(trail_count(trail.file, "{\"digest\":\"d1\",\"revision\":\"4f2a\"}"), 1);
    assert_int_equal(trail_count(trail.file, "{\"digest\":\"d2\"}"), 1);
    audit_set_revision(trail.audit, "d1", "77aa");
    note_policy(&trail, "d1");
    assert_int_equal(trail_count(trail.file, "{\"digest\":\"d1\",\"revision\":\"77aa\"}"), 1);
    for (i = 0; i < ARRAY_LEN(others); i++) {
        audit_set_revision(trail.audit, others[i], "f00d");
    }
    note_policy(&trail, "d1");
    note_policy(&trail, "d9");
    assert_int_equal(trail_count(trail.file, "{\"digest\":\"d1\"}"), 1);
    assert_int_equal(trail_count(trail.file, "{\"digest\":\"d9\",\"revision\":\"f00d\"}"), 1);
    trail_fini(&trail);
}

/* All of a turn in one append, and one append at a time: what comes meanwhile is the next one. */
static void test_records_are_appended_in_groups(void **state)
{
    struct trail trail;
    size_t i;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail.file->is_held = true;
    for (i = 0; i < 10; i++) {
        (void)trail_write(&trail, "credential.read");
    }
    fake_env_run(&trail.fake);
    assert_int_equal(trail.file->append_count, 1);
    for (i = 0; i < 10; i++) {
        (void)trail_write(&trail, "credential.read");
        fake_env_run(&trail.fake);
    }
    assert_int_equal(trail.file->append_count, 1);
    trail.file->is_held = false;
    fake_env_run(&trail.fake);
    assert_int_equal(trail.file->append_count, 2);
    assert_int_equal(trail_verify(trail.file), 20);
    trail_fini(&trail);
}

static void test_a_restart_continues_number_and_hash(void **state)
{
    struct trail trail;
    int round;

    (void)state;
    trail_init(&trail);
    for (round = 0; round < 3; round++) {
        trail_open_required(&trail);
        trail_note(&trail, "daemon.started");
        trail_note(&trail, "daemon.stopped");
        trail_close(&trail);
    }
    assert_int_equal(trail_verify(trail.file), 6);
    trail_fini(&trail);
}

static void test_the_furthest_file_gives_the_head(void **state)
{
    static const struct audit_sink_options sinks[] = {
        {.kind = "file", .path = "/behind"},
        {.kind = "file", .path = "/audit", .is_required = true},
        {.kind = "stdout"},
    };
    enum audit_problem problem;
    struct fake_file *behind;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    behind = fake_env_file(&trail.fake, "/behind");
    trail_open(&trail, sinks, 3);
    trail_note(&trail, "a");
    fake_env_run(&trail.fake);
    behind->fail_status = -5;
    trail_note(&trail, "b");
    trail_note(&trail, "c");
    trail_close(&trail);
    behind->fail_status = 0;
    trail_open(&trail, sinks, 3);
    trail_note(&trail, "d");
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 4);
    assert_int_equal(trail_problems(behind, &problem), 1);
    assert_int_equal(problem, AUDIT_PROBLEM_GAP);
    trail_fini(&trail);
}

static void test_a_cut_off_last_line_is_ended_and_the_chain_goes_on(void **state)
{
    enum audit_problem problem;
    struct trail trail;
    size_t whole;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail_note(&trail, "a");
    fake_env_run(&trail.fake);
    whole = trail.file->size;
    trail_note(&trail, "b");
    trail_close(&trail);
    fake_file_set(trail.file, trail.file->bytes, whole + 65);
    trail_open_required(&trail);
    trail_note(&trail, "c");
    trail_note(&trail, "d");
    trail_close(&trail);
    assert_int_equal(trail_problems(trail.file, &problem), 1);
    assert_int_equal(problem, AUDIT_PROBLEM_TORN);
    trail_fini(&trail);
}

static void test_a_last_record_without_its_newline_counts(void **state)
{
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail_note(&trail, "a");
    trail_close(&trail);
    fake_file_set(trail.file, trail.file->bytes, trail.file->size - 1);
    trail_open_required(&trail);
    trail_note(&trail, "b");
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 2);
    trail_fini(&trail);
}

static void test_a_cut_off_first_record_starts_the_chain_anew(void **state)
{
    enum audit_problem problem;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    fake_file_set(trail.file, "{\"v\":1,\"seq\":1,\"time\":\"1999", 27);
    trail_open_required(&trail);
    trail_note(&trail, "a");
    trail_close(&trail);
    assert_int_equal(trail_problems(trail.file, &problem), 1);
    assert_int_equal(problem, AUDIT_PROBLEM_TORN);
    assert_int_equal(trail_count(trail.file, "\"seq\":1,\"time\":\"2"), 1);
    trail_fini(&trail);
}

static void start_is_refused(const char *bytes, size_t size, int expected)
{
    const struct audit_sink_options sink = {.kind = "file", .path = "/audit", .is_required = true};
    struct audit_options options = {.node = "test", .sinks = &sink, .sink_count = 1};
    struct trail trail;
    struct err e = {0};

    trail_init(&trail);
    options.env = &trail.fake.env;
    fake_file_set(trail.file, bytes, size);
    assert_int_equal(audit_new(&options, &trail.audit, &e), expected);
    assert_non_null(strstr(e.text, "/audit"));
    trail_fini(&trail);
}

static void test_a_file_that_is_no_trail_is_refused(void **state)
{
    char long_line[40000];

    (void)state;
    memset(long_line, 'x', sizeof(long_line));
    start_is_refused("hello\n", 6, ERR_CORRUPT);
    start_is_refused("hello", 5, ERR_CORRUPT);
    start_is_refused("\n", 1, ERR_CORRUPT);
    start_is_refused("\n\n\n", 3, ERR_CORRUPT);
    start_is_refused(long_line, sizeof(long_line), ERR_CORRUPT);
    long_line[0] = '\n';
    long_line[39000] = '\n';
    start_is_refused(long_line, sizeof(long_line), ERR_CORRUPT);
    start_is_refused("hello\n{\"v\":1", 12, ERR_CORRUPT);
    start_is_refused("hello\n{\"v\":1\n", 13, ERR_CORRUPT);
    start_is_refused("{\"v\":2,\"seq\":1}\n", 16, ERR_CORRUPT);
    start_is_refused("{\"v\":2,\"seq\":1}\n{\"v\":", 21, ERR_CORRUPT);
}

static void test_a_changed_last_record_is_refused(void **state)
{
    struct trail trail;
    char *bytes;
    size_t size;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail_note(&trail, "grant.created");
    trail_close(&trail);
    bytes = strdup(trail.file->bytes);
    assert_non_null(bytes);
    size = trail.file->size;
    trail_fini(&trail);
    memcpy(strstr(bytes, "created"), "deleted", 7);
    start_is_refused(bytes, size, ERR_CORRUPT);
    free(bytes);
}

static void test_a_file_that_cannot_be_opened_is_refused(void **state)
{
    static const struct audit_sink_options sinks[] = {
        {.kind = "stdout"},
        {.kind = "file", .path = "/audit", .is_required = true},
    };
    struct audit_options options = {.node = "test", .sinks = sinks, .sink_count = 2};
    struct trail trail;
    struct err e = {0};

    (void)state;
    trail_init(&trail);
    options.env = &trail.fake.env;
    trail.file->open_status = -13;
    assert_int_equal(audit_new(&options, &trail.audit, &e), -13);
    trail.file->open_status = 0;
    trail.file->tail_status = -5;
    fake_env_run(&trail.fake);
    assert_int_equal(audit_new(&options, &trail.audit, &e), -5);
    trail_fini(&trail);
}

static void test_an_unknown_kind_of_sink_is_refused(void **state)
{
    const struct audit_sink_options sink = {.kind = "pigeon", .path = "/x"};
    struct audit_options options = {.node = "test", .sinks = &sink, .sink_count = 1};
    struct trail trail;
    struct err e = {0};

    (void)state;
    trail_init(&trail);
    options.env = &trail.fake.env;
    assert_int_equal(audit_new(&options, &trail.audit, &e), ERR_INVALID);
    trail_fini(&trail);
}

static void test_without_required_sinks_nobody_waits_for_the_disk(void **state)
{
    const struct audit_sink_options sink = {.kind = "file", .path = "/audit"};
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open(&trail, &sink, 1);
    trail.file->is_held = true;
    write = trail_write(&trail, "grant.created");
    fake_env_run(&trail.fake);
    assert_int_equal(write->call_count, 1);
    assert_int_equal(write->status, 0);
    trail.file->is_held = false;
    trail_close(&trail);
    trail_open(&trail, NULL, 0);
    write = trail_write(&trail, "grant.created");
    fake_env_run(&trail.fake);
    assert_int_equal(write->status, 0);
    assert_int_equal(write->call_count, 1);
    trail_fini(&trail);
}

static void test_a_forgotten_write_is_not_told(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    write = trail_write(&trail, "grant.created");
    audit_write_forget(&write->write);
    fake_env_run(&trail.fake);
    assert_int_equal(write->call_count, 0);
    assert_int_equal(trail_verify(trail.file), 1);
    trail_fini(&trail);
}

static void test_closing_writes_what_is_queued(void **state)
{
    struct trail_write *write;
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail_note(&trail, "a");
    write = trail_write(&trail, "b");
    trail_close(&trail);
    assert_int_equal(write->status, 0);
    assert_int_equal(write->call_count, 1);
    assert_int_equal(trail_verify(trail.file), 2);
    trail_fini(&trail);
}

static void test_records_are_reopened_into_the_same_chain(void **state)
{
    struct trail trail;
    struct err e;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    trail_note(&trail, "a");
    assert_int_equal(audit_reopen(trail.audit, &e), 0);
    assert_int_equal(trail.file->reopen_count, 1);
    trail_note(&trail, "b");
    trail.file->reopen_status = -2;
    assert_int_equal(audit_reopen(trail.audit, &e), -2);
    trail_note(&trail, "c");
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 3);
    trail_fini(&trail);
}

static void test_a_reference_is_keyed_and_stable_until_the_next_start(void **state)
{
    char first[AUDIT_REF_MAX_BYTES];
    char again[AUDIT_REF_MAX_BYTES];
    char other[AUDIT_REF_MAX_BYTES];
    struct trail trail;

    (void)state;
    trail_init(&trail);
    trail_open_required(&trail);
    assert_ptr_equal(audit_ref(trail.audit, STR("database/creds/x/1"), first), first);
    assert_int_equal(strlen(first), 37);
    assert_memory_equal(first, "hmac:", 5);
    (void)audit_ref(trail.audit, STR("database/creds/x/1"), again);
    assert_string_equal(first, again);
    (void)audit_ref(trail.audit, STR("database/creds/x/2"), other);
    assert_string_not_equal(first, other);
    (void)audit_ref(trail.audit, (struct str){0}, other);
    assert_int_equal(strlen(other), 37);
    trail_close(&trail);
    trail_open_required(&trail);
    (void)audit_ref(trail.audit, STR("database/creds/x/1"), again);
    assert_string_not_equal(first, again);
    trail_fini(&trail);
}

static void test_a_record_that_is_too_long_is_kept_without_its_words(void **state)
{
    struct audit_record record = {.event = "grant.denied"};
    struct trail trail;
    char *reason = malloc(9001);

    (void)state;
    assert_non_null(reason);
    memset(reason, 'r', 9000);
    reason[9000] = '\0';
    record.reason = reason;
    trail_init(&trail);
    trail_open_required(&trail);
    audit_record_note(trail.audit, &record);
    trail_close(&trail);
    assert_int_equal(trail_verify(trail.file), 1);
    assert_int_equal(trail_count(trail.file, "\"event\":\"grant.denied\""), 1);
    assert_int_equal(trail_count(trail.file, "the record was too long"), 1);
    trail_fini(&trail);
    free(reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRAIL_TEST(test_a_write_is_done_when_the_record_is_durable),
        TRAIL_TEST(test_writes_end_in_the_order_of_their_calls),
        TRAIL_TEST(test_a_policy_is_named_with_its_revision),
        TRAIL_TEST(test_records_are_appended_in_groups),
        TRAIL_TEST(test_a_restart_continues_number_and_hash),
        TRAIL_TEST(test_the_furthest_file_gives_the_head),
        TRAIL_TEST(test_a_cut_off_last_line_is_ended_and_the_chain_goes_on),
        TRAIL_TEST(test_a_last_record_without_its_newline_counts),
        TRAIL_TEST(test_a_cut_off_first_record_starts_the_chain_anew),
        TRAIL_TEST(test_a_file_that_is_no_trail_is_refused),
        TRAIL_TEST(test_a_changed_last_record_is_refused),
        TRAIL_TEST(test_a_file_that_cannot_be_opened_is_refused),
        TRAIL_TEST(test_an_unknown_kind_of_sink_is_refused),
        TRAIL_TEST(test_without_required_sinks_nobody_waits_for_the_disk),
        TRAIL_TEST(test_a_forgotten_write_is_not_told),
        TRAIL_TEST(test_closing_writes_what_is_queued),
        TRAIL_TEST(test_records_are_reopened_into_the_same_chain),
        TRAIL_TEST(test_a_reference_is_keyed_and_stable_until_the_next_start),
        TRAIL_TEST(test_a_record_that_is_too_long_is_kept_without_its_words),
    };

    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
