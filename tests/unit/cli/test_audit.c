/* `lease audit verify` over files: whole, edited, cut, moved, rotated. */
#include "fake_daemon.h"

#include "base/buf.h"
#include "cli/cli.h"
#include "wire/audit_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RECORDS 6

static char folder[64];
static char lines[RECORDS][1024];

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

/* A file of these records, as digits: "0123". */
static const char *write_file(const char *name, const char *records)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    for (; *records != '\0'; records++) {
        assert_true(fputs(lines[*records - '0'], file) >= 0);
    }
    assert_int_equal(fclose(file), 0);
    return path;
}

static int make_trail(void **state)
{
    char prev[AUDIT_HASH_HEX_BYTES + 1];
    char hash[AUDIT_HASH_HEX_BYTES + 1];
    int i;

    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/lease-audit-XXXXXX");
    assert_non_null(mkdtemp(folder));
    memset(prev, '0', sizeof(prev) - 1);
    prev[sizeof(prev) - 1] = '\0';
    for (i = 0; i < RECORDS; i++) {
        struct audit_record record = {.seq = (uint64_t)i + 1,
                                      .time_wall_ms = FAKE_CLOCK_WALL_MS + i,
                                      .event = "lease.issued",
                                      .outcome = "ok",
                                      .role = "orders-db"};
        BUF_AUTO line;

        buf_init(&line, AUDIT_RECORD_MAX_BYTES);
        assert_int_equal(audit_record_format(&record, prev, &line, hash), 0);
        (void)snprintf(lines[i], sizeof(lines[i]), "%s", buf_str(&line).ptr);
        memcpy(prev, hash, sizeof(prev));
    }
    return 0;
}

static int remove_trail(void **state)
{
    static const char *const names[] = {"a", "b", "c"};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(names); i++) {
        (void)unlink(path_of(names[i]));
    }
    return rmdir(folder);
}

static void assert_broken(const char *path, const char *part)
{
    const struct lease_result *result = RUN_LEASE(NULL, "audit", "verify", path);

    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_string_equal(result->out, "");
    assert_non_null(strstr(result->err, part));
    assert_non_null(strstr(result->err, path));
}

static void test_a_whole_trail_is_ok_and_tells_its_head(void **state)
{
    const struct lease_result *result =
        RUN_LEASE(NULL, "audit", "verify", write_file("a", "012345"));

    (void)state;
    assert_string_equal(result->err, "");
    assert_int_equal(result->exit_code, CLI_OK);
    assert_memory_equal(result->out, "ok: 6 records, 1 to 6\nhead: ", 28);
}

static void test_rotated_files_are_one_chain_in_any_order(void **state)
{
    const char *newest = write_file("a", "45");
    const char *oldest = write_file("b", "0123");
    const char *empty = write_file("c", "");
    const struct lease_result *result = RUN_LEASE(NULL, "audit", "verify", empty, newest, oldest);

    (void)state;
    assert_int_equal(result->exit_code, CLI_OK);
    assert_memory_equal(result->out, "ok: 6 records, 1 to 6\n", 22);
}

static void test_a_trail_whose_beginning_is_elsewhere_says_so(void **state)
{
    const struct lease_result *result = RUN_LEASE(NULL, "audit", "verify", write_file("a", "2345"));

    (void)state;
    assert_int_equal(result->exit_code, CLI_OK);
    assert_non_null(strstr(result->out, "4 records, 3 to 6 (what came before"));
}

static void test_edits_gaps_and_changed_order_are_found_with_their_line(void **state)
{
    (void)state;
    assert_broken(write_file("a", "0145"), "line 3: records 3 to 4 are missing");
    assert_broken(write_file("a", "0213"), "line 2: record 2 is missing");
    assert_broken(write_file("a", "0112"), "line 3: record 2 stands there twice");
    *strstr(lines[2], "orders-db") = 'X';
    assert_broken(write_file("a", "01234"), "line 3: record 3 was changed");
}

static void test_all_problems_are_told(void **state)
{
    const struct lease_result *result =
        RUN_LEASE(NULL, "audit", "verify", write_file("a", "0213"), "-o", "json");

    (void)state;
    assert_int_equal(result->exit_code, CLI_FAILED);
    assert_non_null(strstr(result->err, "line 2: "));
    assert_non_null(strstr(result->err, "line 3: "));
    assert_non_null(strstr(result->out, "\"ok\":false"));
    assert_non_null(strstr(result->out, "\"line\":3"));
}

static void test_a_cut_last_line_and_a_foreign_line_are_found(void **state)
{
    (void)state;
    lines[5][40] = '\0';
    assert_broken(write_file("a", "012345"), "line 6 ");
    (void)snprintf(lines[1], sizeof(lines[1]), "hello\n");
    assert_broken(write_file("a", "012"), "line 2 is no audit record");
}

static void test_a_line_longer_than_any_record_is_no_record(void **state)
{
    const char *path = path_of("a");
    FILE *file = fopen(path, "we");
    int i;

    (void)state;
    for (i = 0; i < 100000; i++) {
        (void)fputc('x', file);
    }
    (void)fprintf(file, "\n%s", lines[0]);
    (void)fclose(file);
    assert_broken(path, "line 1 is no audit record");
}

static void test_a_file_that_cannot_be_read_is_a_failure(void **state)
{
    (void)state;
    assert_broken("/nonexistent/audit.jsonl", "could not be opened: No such file");
    assert_broken("/", "could not be read: Is a directory");
}

#define AUDIT_TEST(test) cmocka_unit_test_setup_teardown(test, make_trail, remove_trail)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AUDIT_TEST(test_a_whole_trail_is_ok_and_tells_its_head),
        AUDIT_TEST(test_rotated_files_are_one_chain_in_any_order),
        AUDIT_TEST(test_a_trail_whose_beginning_is_elsewhere_says_so),
        AUDIT_TEST(test_edits_gaps_and_changed_order_are_found_with_their_line),
        AUDIT_TEST(test_all_problems_are_told),
        AUDIT_TEST(test_a_cut_last_line_and_a_foreign_line_are_found),
        AUDIT_TEST(test_a_line_longer_than_any_record_is_no_record),
        AUDIT_TEST(test_a_file_that_cannot_be_read_is_a_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
