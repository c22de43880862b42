/* Reading audit lines back, and what the verifier finds in a trail that was tampered with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "wire/audit_record.h"

#define TRAIL_RECORDS 12

struct trail {
    char *lines[TRAIL_RECORDS + 4]; /* with room to insert; without newlines */
    size_t count;
};

static void trail_init(struct trail *trail)
{
    char prev[65] = AUDIT_HASH_ZERO;
    size_t i;

    *trail = (struct trail){0};
    for (i = 0; i < TRAIL_RECORDS; i++) {
        struct audit_record record = {.seq = i + 1,
                                      .time_wall_ms = 1000 * (int64_t)(i + 1),
                                      .event = "credential.read",
                                      .count = 5};
        BUF_AUTO out;

        buf_init(&out, AUDIT_RECORD_MAX_BYTES);
        assert_int_equal(audit_record_format(&record, prev, &out, prev), 0);
        out.bytes[out.len - 1] = '\0';
        trail->lines[i] = strdup(out.bytes);
        assert_non_null(trail->lines[i]);
    }
    trail->count = TRAIL_RECORDS;
}

static void trail_fini(struct trail *trail)
{
    size_t i;

    for (i = 0; i < trail->count; i++) {
        free(trail->lines[i]);
    }
}

static void trail_remove(struct trail *trail, size_t at, size_t count)
{
    size_t i;

    for (i = at; i < at + count; i++) {
        free(trail->lines[i]);
    }
    memmove(&trail->lines[at], &trail->lines[at + count],
            (trail->count - at - count) * sizeof(trail->lines[0]));
    trail->count -= count;
}

static void trail_insert(struct trail *trail, size_t at, const char *line)
{
    memmove(&trail->lines[at + 1], &trail->lines[at],
            (trail->count - at) * sizeof(trail->lines[0]));
    trail->lines[at] = strdup(line);
    assert_non_null(trail->lines[at]);
    trail->count++;
}

/* Walks all lines; the text of the first problem goes into `e`. */
static void trail_verify(const struct trail *trail, struct audit_verifier *verifier,
                         enum audit_problem *ret_first, struct err *e)
{
    size_t i;

    audit_verifier_init(verifier);
    *e = (struct err){0};
    *ret_first = AUDIT_PROBLEM_NONE;
    for (i = 0; i < trail->count; i++) {
        struct err why = {0};

        if (audit_verifier_line(verifier, str_of(trail->lines[i]), &why) != 0 &&
            *ret_first == AUDIT_PROBLEM_NONE) {
            assert_int_equal(why.code, ERR_CORRUPT);
            *ret_first = verifier->problem;
            *e = why;
        }
    }
}

static void test_an_intact_trail_has_no_problems(void **state)
{
    struct audit_verifier verifier;
    enum audit_problem first;
    struct trail trail;
    struct err e;

    (void)state;
    trail_init(&trail);
    trail_verify(&trail, &verifier, &first, &e);
    assert_int_equal(first, AUDIT_PROBLEM_NONE);
    assert_int_equal(verifier.record_count, TRAIL_RECORDS);
    assert_int_equal(verifier.first_seq, 1);
    assert_int_equal(verifier.last.seq, TRAIL_RECORDS);
    trail_fini(&trail);
}

/* Any changed byte anywhere is noticed, and the first message names the line. */
static void test_every_changed_byte_is_found_and_its_line_named(void **state)
{
    struct audit_verifier verifier;
    enum audit_problem first;
    struct trail trail;
    char name[32];
    struct err e;
    size_t i;
    size_t at;

    (void)state;
    trail_init(&trail);
    for (i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "line %zu", i + 1);
        for (at = 0; trail.lines[i][at] != '\0'; at++) {
            trail.lines[i][at] ^= 0x04;
            trail_verify(&trail, &verifier, &first, &e);
            trail.lines[i][at] ^= 0x04;
            assert_int_not_equal(first, AUDIT_PROBLEM_NONE);
            assert_memory_equal(e.text, name, strlen(name));
        }
    }
    trail_fini(&trail);
}

static void test_an_edit_is_one_problem_and_named_so(void **state)
{
    struct audit_verifier verifier;
    enum audit_problem first;
    struct trail trail;
    struct err e;

    (void)state;
    trail_init(&trail);
    *strstr(trail.lines[4], "\"count\":5") = ' ';
    memcpy(strstr(trail.lines[4], "read"), "take", 4);
    trail.lines[4][strlen("{\"v\":1,\"seq\":5,\"time\":\"1970-01-01T00:00:05.000Z\",\"event\":"
                          "\"credential.read\",")] = '"';
    trail_verify(&trail, &verifier, &first, &e);
    assert_int_equal(first, AUDIT_PROBLEM_EDIT);
    assert_int_equal(verifier.problem_count, 1);
    assert_string_equal(e.text, "line 5: record 5 was changed: its hash doesn't fit");
    trail_fini(&trail);
}

static void test_a_replaced_record_with_a_right_hash_breaks_the_chain(void **state)
{
    struct audit_record record = {.seq = 5, .time_wall_ms = 5000, .event = "other"};
    struct audit_verifier verifier;
    enum audit_problem first;
    struct audit_line before;
    struct trail trail;
    char hash[65];
    BUF_AUTO out;
    struct err e;

    (void)state;
    trail_init(&trail);
    buf_init(&out, AUDIT_RECORD_MAX_BYTES);
    assert_int_equal(audit_line_parse(str_of(trail.lines[3]), &before, NULL), 0);
    assert_int_equal(audit_record_format(&record, before.hash, &out, hash), 0);
    out.bytes[out.len - 1] = '\0';
    trail_remove(&trail, 4, 1);
    trail_insert(&trail, 4, out.bytes);
    trail_verify(&trail, &verifier, &first, &e);
    assert_int_equal(first, AUDIT_PROBLEM_EDIT);
    assert_string_equal(e.text, "line 6: record 6 doesn't continue the one before it, which was "
                                "changed or replaced");
    trail_fini(&trail);
}

static void test_a_gap_names_the_missing_records(void **state)
{
    struct audit_verifier verifier;
    enum audit_problem first;
    struct trail trail;
    struct err e;

    (void)state;
    trail_init(&trail);
    trail_remove(&trail, 4, 3);
    trail_verify(&trail, &verifier, &first, &e);
    assert_int_equal(first, AUDIT_PROBLEM_GAP);
    assert_int_equal(verifier.problem_count, 1);
    assert_string_equal(e.text, "line 5: records 5 to 7 are missing");
    trail_remove(&trail, 6, 1);
    trail_verify(&trail, &verifier, &first, &e);
    assert_int_equal(verifier.problem_count, 2);
    trail_fini(&trail);
}

static void test_a_changed_order_is_told_from_a_gap(void **state)
{
    struct audit_verifier verifier;
    enum audit_problem first;
    struct trail trail;
    struct err e;
    char *line;

    (void)state;
    trail_init(&trail);
    line = trail.lines[3];
    trail.lines[3] = trail.lines[4];
    trail.lines[4] = line;
    trail_verify(&trail, &verifier, &first, &e);
    assert_int_equal(first, AUDIT_PROBLEM_GAP);
    assert_int_equal(verifier.problem, AUDIT_PROBLEM_ORDER);
    assert_int_equal(verifier.problem_count, 2);
    trail_fini(&trail);
}

static void test_a_record_that_stands_twice_is_found(void **state)
{
    struct audit_verifier verifier;
    enum audit_problem first;
    struct trail trail;
    struct err e;

    (void)state;
    trail_init(&trail);
    trail_insert(&trail, 5, trail.lines[4]);
    trail_verify(&trail, &verifier, &first, &e);
    assert_int_equal(first, AUDIT_PROBLEM_ORDER);
    assert_int_equal(verifier.problem_count, 1);
    assert_string_equal(e.text, "line 6: record 5 stands there twice");
    trail_fini(&trail);
}

static void test_foreign_and_cut_off_lines_are_told_apart(void **state)
{
    struct audit_verifier verifier;
    enum audit_problem first;
    struct trail trail;
    struct err e;

    (void)state;
    trail_init(&trail);
    trail_insert(&trail, 2, "2026-01-01 something else");
    trail_verify(&trail, &verifier, &first, &e);
    assert_int_equal(first, AUDIT_PROBLEM_FOREIGN);
    assert_int_equal(verifier.problem_count, 1);
    assert_string_equal(e.text, "line 3 is no audit record: it is not a JSON object");
    trail_remove(&trail, 2, 1);
    trail_insert(&trail, 2, "{\"v\":1,\"seq\":3,\"time\":\"2026");
    trail_verify(&trail, &verifier, &first, &e);
    assert_int_equal(first, AUDIT_PROBLEM_TORN);
    assert_string_equal(e.text, "line 3 is a record that was cut off");
    assert_int_equal(audit_verifier_rest(&verifier, str_of(""), &e), 0);
    assert_int_equal(audit_verifier_rest(&verifier, str_of("{\"v\":1"), &e), ERR_CORRUPT);
    assert_int_equal(verifier.problem, AUDIT_PROBLEM_TORN);
    trail_fini(&trail);
}

/* A copy of the beginning of a line. */
static void insert_begin(struct trail *trail, size_t at, const char *line, size_t len)
{
    char *begin = strndup(line, len);

    assert_non_null(begin);
    trail_insert(trail, at, begin);
    free(begin);
}

static void test_a_cut_off_line_is_mended_by_its_record_behind_it(void **state)
{
    struct audit_verifier verifier;
    enum audit_problem first;
    struct trail trail;
    struct err e;
    size_t len;

    (void)state;
    for (len = 1; len < 200; len++) {
        trail_init(&trail);
        insert_begin(&trail, 4, trail.lines[4], len);
        /* Cut off again at the next start, earlier or later. */
        insert_begin(&trail, 5, trail.lines[5], 100);
        trail_verify(&trail, &verifier, &first, &e);
        assert_int_equal(verifier.problem_count, 0);
        assert_int_equal(verifier.mended_count, 2);
        assert_int_equal(audit_verifier_rest(&verifier, str_of(""), &e), 0);
        trail_fini(&trail);
    }
}

static void test_a_cut_off_line_of_another_record_is_told_with_the_next_line(void **state)
{
    struct audit_verifier verifier;
    enum audit_problem first;
    struct trail trail;
    struct err e;

    (void)state;
    trail_init(&trail);
    insert_begin(&trail, 4, trail.lines[7], 60);
    trail_verify(&trail, &verifier, &first, &e);
    assert_int_equal(verifier.problem_count, 1);
    assert_int_equal(first, AUDIT_PROBLEM_TORN);
    assert_string_equal(e.text, "line 5 is a record that was cut off");
    /* Two of different records, and a gap: each is told. */
    trail_remove(&trail, 5, 1);
    trail_verify(&trail, &verifier, &first, &e);
    assert_int_equal(verifier.problem_count, 2);
    assert_string_equal(e.text, "line 5 is a record that was cut off; line 6: record 5 is missing");
    insert_begin(&trail, 4, trail.lines[8], 60);
    trail_verify(&trail, &verifier, &first, &e);
    assert_int_equal(verifier.problem_count, 3);
    assert_int_equal(verifier.mended_count, 0);
    trail_fini(&trail);
    /* At the end there is nothing that could mend it. */
    trail_init(&trail);
    audit_verifier_init(&verifier);
    assert_int_equal(audit_verifier_line(&verifier, str_of("{\"v\":1"), &e), 0);
    assert_int_equal(audit_verifier_rest(&verifier, str_of(""), &e), ERR_CORRUPT);
    assert_string_equal(e.text, "line 1 is a record that was cut off");
    assert_int_equal(audit_verifier_rest(&verifier, str_of(""), &e), 0);
    trail_fini(&trail);
}

/* A changed record doesn't mend what it begins with. */
static void test_a_changed_record_mends_nothing(void **state)
{
    struct audit_verifier verifier;
    enum audit_problem first;
    struct trail trail;
    struct err e;

    (void)state;
    trail_init(&trail);
    insert_begin(&trail, 4, trail.lines[4], 60);
    *strstr(trail.lines[5], "\"prev\"") = '_';
    trail_verify(&trail, &verifier, &first, &e);
    assert_true(verifier.problem_count >= 2);
    assert_int_equal(verifier.mended_count, 0);
    trail_fini(&trail);
}

static void test_the_chain_goes_on_in_the_next_file(void **state)
{
    struct audit_verifier verifier;
    struct trail trail;
    struct err e;
    size_t i;

    (void)state;
    trail_init(&trail);
    audit_verifier_init(&verifier);
    for (i = 3; i < trail.count; i++) {
        if (i == 7) {
            audit_verifier_next_file(&verifier);
        }
        assert_int_equal(audit_verifier_line(&verifier, str_of(trail.lines[i]), &e), 0);
    }
    assert_int_equal(verifier.first_seq, 4);
    assert_int_equal(verifier.line_count, trail.count - 7);
    /* A file that is not the next one. */
    audit_verifier_next_file(&verifier);
    assert_int_equal(audit_verifier_line(&verifier, str_of(trail.lines[1]), &e), ERR_CORRUPT);
    assert_string_equal(e.text, "line 1: record 2 stands behind record 12: the order was changed");
    trail_fini(&trail);
}

static void test_a_chain_starts_with_zeros(void **state)
{
    struct audit_record record = {.seq = 1, .time_wall_ms = 1, .event = "x"};
    struct audit_verifier verifier;
    char prev[65];
    char hash[65];
    BUF_AUTO out;
    struct err e;

    (void)state;
    memset(prev, 'a', 64);
    prev[64] = '\0';
    buf_init(&out, AUDIT_RECORD_MAX_BYTES);
    assert_int_equal(audit_record_format(&record, prev, &out, hash), 0);
    audit_verifier_init(&verifier);
    assert_int_equal(audit_verifier_line(&verifier, (struct str){out.bytes, out.len - 1}, &e),
                     ERR_CORRUPT);
    assert_int_equal(verifier.problem, AUDIT_PROBLEM_EDIT);
}

static void test_lines_that_are_no_records_are_invalid(void **state)
{
    static const char *const lines[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"v\":2,\"seq\":1}",
        "{\"v\":1,\"seq\":0,\"prev\":\"" AUDIT_HASH_ZERO "\",\"hash\":\"" AUDIT_HASH_ZERO "\"}",
        "{\"v\":1,\"seq\":-1,\"prev\":\"" AUDIT_HASH_ZERO "\",\"hash\":\"" AUDIT_HASH_ZERO "\"}",
        "{\"v\":1,\"seq\":1.5,\"prev\":\"" AUDIT_HASH_ZERO "\",\"hash\":\"" AUDIT_HASH_ZERO "\"}",
        "{\"v\":1,\"seq\":1,\"prev\":\"\",\"hash\":\"" AUDIT_HASH_ZERO "\"}",
        "{\"v\":1,\"seq\":1,\"prev\":\"" AUDIT_HASH_ZERO "\",\"hash\":\"" AUDIT_HASH_ZERO "\" }",
        "{\"v\":1,\"seq\":1,\"hash\":\"" AUDIT_HASH_ZERO "\",\"prev\":\"" AUDIT_HASH_ZERO "\"}",
        "{\"v\":1,\"seq\":1,\"seq\":1,\"prev\":\"" AUDIT_HASH_ZERO "\",\"hash\":\"" AUDIT_HASH_ZERO
        "\"}",
    };
    struct audit_line line;
    struct err e;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(lines); i++) {
        assert_int_equal(audit_line_parse(str_of(lines[i]), &line, &e), ERR_INVALID);
    }
    assert_int_equal(audit_line_parse(STR("{\"v\":1,\"seq\":1,\"prev\":\"" AUDIT_HASH_ZERO
                                          "\",\"hash\":\"" AUDIT_HASH_ZERO "\"}"),
                                      &line, &e),
                     ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_intact_trail_has_no_problems),
        cmocka_unit_test(test_every_changed_byte_is_found_and_its_line_named),
        cmocka_unit_test(test_an_edit_is_one_problem_and_named_so),
        cmocka_unit_test(test_a_replaced_record_with_a_right_hash_breaks_the_chain),
        cmocka_unit_test(test_a_gap_names_the_missing_records),
        cmocka_unit_test(test_a_changed_order_is_told_from_a_gap),
        cmocka_unit_test(test_a_record_that_stands_twice_is_found),
        cmocka_unit_test(test_foreign_and_cut_off_lines_are_told_apart),
        cmocka_unit_test(test_a_cut_off_line_is_mended_by_its_record_behind_it),
        cmocka_unit_test(test_a_cut_off_line_of_another_record_is_told_with_the_next_line),
        cmocka_unit_test(test_a_changed_record_mends_nothing),
        cmocka_unit_test(test_the_chain_goes_on_in_the_next_file),
        cmocka_unit_test(test_a_chain_starts_with_zeros),
        cmocka_unit_test(test_lines_that_are_no_records_are_invalid),
    };

    return cmocka_run_group_tests_name("audit_line", tests, NULL, NULL);
}
