/* Files that are kept fresh: when something is asked for and written, who is told, and when it is
 * removed. The test is the helper process. */
#include <stdlib.h>
#include <string.h>

#include "unit/serve/fixture.h"

#include <stdio.h>

#define ALICE_UID 1000U
#define CAROL_UID 1004U
#define RECORD "/state/ledger.db.files"

static struct serve_file db;

static int setup(void **state)
{
    db = (struct serve_file){.path = "/run/alice/db.env",
                             .role = "db",
                             .format = "dotenv",
                             .uid = ALICE_UID,
                             .gid = ENV_NO_ID,
                             .is_required = true};
    return fixture_setup(state);
}

#define files_test(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

static void set(const struct serve_file *file)
{
    const struct serve_settings settings = {.policy = f.policy,
                                            .backends = f.backend_list,
                                            .files = file,
                                            .file_count = file != NULL ? 1 : 0};

    serve_set(f.serve, &settings);
}

static void start_known(const struct serve_file *file, const char *known)
{
    f.options.files_record = RECORD;
    fake_env_set_groups(&f.fake, file->uid, file->uid, 5);
    fixture_open();
    set(file);
    serve_files_start(f.serve, str_of(known));
    fixture_run();
}

static void start(const struct serve_file *file)
{
    start_known(file, "");
}

/* What the helper is asked next; it fails with `problem`, or says `output`. */
static void answer(const char *program, const char *output, const char *problem)
{
    struct env_run *run = fake_env_program_first(&f.fake);

    if (run == NULL) {
        fail_msg("nothing is asked: expected %s", program);
    }
    assert_string_equal(run->program, program);
    assert_int_equal(strncmp(run->backend, "file:/", 6), 0);
    fake_env_program_finish(&f.fake, run,
                            &(struct env_run_end){.outcome = ENV_RUN_EXITED,
                                                  .exit_code = problem != NULL,
                                                  .output = str_of(output),
                                                  .text = str_of(problem != NULL ? problem : "")});
    fixture_run();
}

static void expect_nothing_asked(void)
{
    struct env_run *run = fake_env_program_first(&f.fake);

    if (run != NULL) {
        fail_msg("the helper is asked for %s", run->program);
    }
}

static bool is_ready(void)
{
    return fixture_get(ADA, "/readyz")->status == 200;
}

/* Up to the file's being there. */
static void write_first(void)
{
    answer("check", "", NULL);
    answer("put", "written", NULL);
}

static void reload(const struct serve_file *file)
{
    set(file);
    fixture_run();
}

static void remove_all(void)
{
    reload(NULL);
    answer("remove", "", NULL);
    expect_nothing_asked();
}

static void rotate(void)
{
    struct call *list = fixture_get(ADA, API "/leases");
    const json_t *items = call_member(list, "items");
    const json_t *last = json_array_get(items, json_array_size(items) - 1);
    struct call *call = fixture_call(ADA, "POST",
                                     fixture_path(API "/leases/%s/rotate",
                                                  json_string_value(json_object_get(last, "id"))),
                                     NULL);

    assert_int_equal(call->status, 200);
}

static void test_a_file_is_checked_recorded_and_written(void **state)
{
    char input[256] = "";

    (void)state;
    f.fake.run_input = input;
    start(&db);
    assert_false(is_ready());
    assert_int_equal(f.issuer.issued_count, 0);
    answer("check", "", NULL);
    assert_int_equal(f.issuer.issued_count, 1);
    assert_true(fake_env_put_bytes(&f.fake, RECORD).len > 64);
    assert_non_null(strstr(input, "DB_PASSWORD="));
    assert_non_null(strstr(input, SCRIPTED_MARKER));
    answer("put", "written", NULL);
    assert_true(is_ready());
    assert_int_equal(fixture_records("grant.created"), 1);
    assert_true(fixture_trail_has("\"binding\":\"file\"") > 0);
    assert_int_equal(fixture_trail_has("\"api\":\"file\""), 2); /* grant.created, credential.read */
    expect_nothing_asked();
    remove_all();
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    assert_int_equal(fake_env_put_bytes(&f.fake, RECORD).len, 0);
}

static void test_nothing_is_issued_for_a_file_that_can_not_be_written(void **state)
{
    (void)state;
    start(&db);
    answer("check", "", "there is no folder");
    assert_int_equal(f.issuer.issued_count, 0);
    assert_false(is_ready());
    expect_nothing_asked();
    fixture_advance(2 * SECOND_MS);
    answer("check", "", "there is no folder");
    fixture_advance(2 * SECOND_MS);
    expect_nothing_asked(); /* later and later */
    fixture_advance(2 * SECOND_MS);
    write_first();
    assert_true(is_ready());
    remove_all();
}

static void test_a_credential_that_reached_no_file_is_revoked(void **state)
{
    (void)state;
    start(&db);
    answer("check", "", NULL);
    answer("put", "", "No space left on device");
    /* It may be there all the same: the record says so, and it is looked for. */
    answer("remove", "", NULL);
    assert_int_equal(f.issuer.issued_count, 1);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    fixture_advance(5 * SECOND_MS);
    write_first();
    assert_int_equal(f.issuer.issued_count, 2);
    remove_all();
}

static void test_an_old_file_stays_when_a_new_one_can_not_be_written(void **state)
{
    (void)state;
    start(&db);
    write_first();
    rotate();
    answer("put", "", "No space left on device");
    assert_int_equal(scripted_live_count(&f.issuer), 2);
    fixture_advance(2 * SECOND_MS);
    answer("put", "written", NULL);
    remove_all();
    assert_int_equal(scripted_live_count(&f.issuer), 0);
}

static void test_a_record_that_can_not_be_written_stops_writes(void **state)
{
    (void)state;
    f.fake.put_status = ERR_IO;
    start(&db);
    answer("check", "", NULL);
    answer("remove", "", NULL); /* what an earlier try may have left */
    expect_nothing_asked();
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    f.fake.put_status = 0;
    fixture_advance(3 * SECOND_MS);
    write_first();
    remove_all();
}

static void test_success_and_settle_end_the_one_before(void **state)
{
    (void)state;
    db.has_change = true;
    db.settle_ms = 30 * SECOND_MS;
    start(&db);
    write_first();
    answer("change", "", NULL);
    fixture_advance(30 * SECOND_MS);
    rotate();
    answer("put", "written", NULL);
    answer("change", "", "is not there");
    assert_int_equal(scripted_live_count(&f.issuer), 2);
    fixture_advance(2 * SECOND_MS);
    answer("change", "", NULL);
    fixture_advance(29 * SECOND_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 2);
    fixture_advance(SECOND_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    remove_all();
}

static void test_without_on_change_the_one_before_lives_for_the_overlap(void **state)
{
    (void)state;
    start(&db);
    write_first();
    rotate();
    answer("put", "written", NULL);
    fixture_advance(9 * MINUTE_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 2);
    fixture_advance(2 * MINUTE_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    remove_all();
}

static void test_a_unit_has_its_file_while_it_runs(void **state)
{
    (void)state;
    db.unit = "orders.service";
    start(&db);
    expect_nothing_asked();
    assert_true(is_ready()); /* nobody is there to need it */
    f.fake.unit_is_running = 1;
    fixture_advance(SECOND_MS);
    write_first();
    f.fake.unit_is_running = ERR_IO; /* what can't be found out changes nothing */
    fixture_advance(SECOND_MS);
    expect_nothing_asked();
    f.fake.unit_is_running = 0;
    fixture_advance(SECOND_MS);
    answer("remove", "", NULL);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    f.fake.unit_is_running = 1;
    fixture_advance(SECOND_MS);
    write_first();
    remove_all();
}

static void test_a_holder_that_no_rule_allows_gets_nothing(void **state)
{
    (void)state;
    db.uid = CAROL_UID;
    start(&db);
    answer("check", "", NULL);
    expect_nothing_asked();
    assert_int_equal(f.issuer.issued_count, 0);
    assert_int_equal(fixture_records("grant.denied"), 1);
    assert_int_equal(fixture_trail_has("\"api\":\"file\""), 1);
    assert_false(is_ready());
    reload(NULL);
    expect_nothing_asked();
}

static void test_before_a_grant_ends_the_next_one_is_there(void **state)
{
    (void)state;
    start(&db); /* for 2 h */
    write_first();
    fixture_advance(2 * HOUR_MS - 4 * MINUTE_MS);
    answer("put", "written", NULL);
    assert_int_equal(fixture_records("grant.created"), 2);
    assert_int_equal(fixture_records("grant.ended"), 0);
    fixture_advance(5 * MINUTE_MS);
    assert_int_equal(fixture_records("grant.ended"), 1);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    expect_nothing_asked();
    remove_all();
}

static void test_a_revoked_grant_takes_its_file_and_comes_back_later(void **state)
{
    (void)state;
    start(&db);
    write_first();
    lease_end_grant(f.core, lease_core_next_grant(f.core, NULL), GRANT_END_REVOKED, NULL);
    fixture_run();
    answer("remove", "", NULL);
    fixture_advance(20 * SECOND_MS);
    expect_nothing_asked();
    fixture_advance(20 * SECOND_MS);
    write_first();
    remove_all();
}

static void test_what_an_earlier_start_has_left_is_removed(void **state)
{
    char known[160];
    char input[256] = "";

    (void)state;
    f.fake.run_input = input;
    (void)snprintf(known, sizeof(known), "%064d /run/gone\n", 7);
    start_known(&db, known);
    assert_non_null(strstr(input, "00000007\n"));
    answer("check", "", NULL);
    answer("remove", "", NULL);
    answer("put", "written", NULL);
    remove_all();
}

static void test_what_can_not_be_removed_is_tried_again_and_stays_on_record(void **state)
{
    (void)state;
    start(&db);
    write_first();
    reload(NULL);
    answer("remove", "", "Permission denied");
    assert_true(fake_env_put_bytes(&f.fake, RECORD).len > 64);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    fixture_advance(2 * SECOND_MS);
    answer("remove", "", NULL);
    expect_nothing_asked();
}

static void test_the_status_says_what_it_waits_for(void **state)
{
    struct call *call;
    const json_t *file;

    (void)state;
    start(&db);
    answer("check", "", "there is no folder");
    call = fixture_get(ADA, API "/status");
    file = json_array_get(call_member(call, "files"), 0);
    assert_string_equal(json_string_value(json_object_get(file, "path")), "/run/alice/db.env");
    assert_string_equal(json_string_value(json_object_get(file, "state")), "failed");
    assert_string_equal(json_string_value(json_object_get(file, "error")), "there is no folder");
    assert_non_null(strstr(call->body, "the file /run/alice/db.env is not up to date"));
    assert_null(strstr(fixture_get(ALICE, API "/status")->body, "/run/alice"));
    assert_non_null(strstr(fixture_get(ADA, "/metrics")->body, "leased_files{state=\"failed\"} 1"));
    reload(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        files_test(test_a_file_is_checked_recorded_and_written),
        files_test(test_nothing_is_issued_for_a_file_that_can_not_be_written),
        files_test(test_a_credential_that_reached_no_file_is_revoked),
        files_test(test_an_old_file_stays_when_a_new_one_can_not_be_written),
        files_test(test_a_record_that_can_not_be_written_stops_writes),
        files_test(test_success_and_settle_end_the_one_before),
        files_test(test_without_on_change_the_one_before_lives_for_the_overlap),
        files_test(test_a_unit_has_its_file_while_it_runs),
        files_test(test_a_holder_that_no_rule_allows_gets_nothing),
        files_test(test_before_a_grant_ends_the_next_one_is_there),
        files_test(test_a_revoked_grant_takes_its_file_and_comes_back_later),
        files_test(test_what_an_earlier_start_has_left_is_removed),
        files_test(test_what_can_not_be_removed_is_tried_again_and_stays_on_record),
        files_test(test_the_status_says_what_it_waits_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
