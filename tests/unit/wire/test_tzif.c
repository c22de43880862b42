/* Time zone files: both versions, footers and their rules, and what is no such file. What real
 * files say is compared in test_tzif_libc.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"
#include "wire/tzif.h"

/* One block of a file. */
struct block {
    const char *version;
    uint32_t leaps;
    uint32_t transitions;
    const int64_t *times;
    const char *indexes;
    uint32_t types;
    const char *type_bytes; /* six each */
    uint32_t chars;
    const char *char_bytes;
};

static void number_add(char *out, size_t *at, uint64_t value, size_t size)
{
    size_t i;

    for (i = size; i > 0; i--) {
        out[(*at)++] = (char)(value >> (8 * (i - 1)) & 0xff);
    }
}

static void block_add(char *out, size_t *at, const struct block *block, size_t time_size)
{
    size_t i;

    memcpy(out + *at, "TZif", 4);
    out[*at + 4] = block->version[0];
    memset(out + *at + 5, 0, 15);
    *at += 20;
    number_add(out, at, 0, 4);
    number_add(out, at, 0, 4);
    number_add(out, at, block->leaps, 4);
    number_add(out, at, block->transitions, 4);
    number_add(out, at, block->types, 4);
    number_add(out, at, block->chars, 4);
    for (i = 0; i < block->transitions; i++) {
        number_add(out, at, (uint64_t)block->times[i], time_size);
    }
    memcpy(out + *at, block->indexes, block->transitions);
    *at += block->transitions;
    memcpy(out + *at, block->type_bytes, block->types * 6U);
    *at += block->types * 6U;
    memcpy(out + *at, block->char_bytes, block->chars);
    *at += block->chars;
}

static const int64_t times[] = {-1000, 0, 1000};
/* LMT of -3600 s; AAA of 0; BBB of 3600 s, which is daylight saving time. */
static const struct block plain = {
    .version = "",
    .transitions = 3,
    .times = times,
    .indexes = "\1\2\1",
    .types = 3,
    .type_bytes = "\xff\xff\xf1\xf0\0\0\0\0\0\0\0\4\0\0\x0e\x10\1\x8",
    .chars = 12,
    .char_bytes = "LMT\0AAA\0BBB",
};

static struct tzif *parse(const char *bytes, size_t size)
{
    struct tzif *zone = NULL;
    struct err e = {0};

    if (tzif_parse((struct str){bytes, size}, &zone, &e) != 0) {
        fail_msg("%s", e.text);
    }
    return zone;
}

static size_t second_version(char *out, const char *footer)
{
    static const struct block empty = {.version = "2",
                                       .types = 1,
                                       .indexes = "",
                                       .chars = 1,
                                       .type_bytes = "\0\0\0\0\0",
                                       .char_bytes = ""};
    struct block block = plain;
    size_t at = 0;

    block.version = "2";
    block_add(out, &at, &empty, 4);
    block_add(out, &at, &block, 8);
    memcpy(out + at, footer, strlen(footer));
    return at + strlen(footer);
}

static void expect(const struct tzif *zone, int64_t at, const char *name, int64_t until)
{
    struct tzif_span span;

    tzif_at(zone, at, &span);
    assert_string_equal(span.abbreviation, name);
    assert_int_equal(span.until_s, until);
}

static void test_transitions_part_the_time(void **state)
{
    char bytes[512];
    size_t size = 0;
    struct tzif_span span;
    struct tzif *zone;

    (void)state;
    block_add(bytes, &size, &plain, 4);
    zone = parse(bytes, size);
    expect(zone, INT64_MIN, "LMT", -1000);
    expect(zone, -1001, "LMT", -1000);
    expect(zone, -1000, "AAA", 0);
    expect(zone, -1, "AAA", 0);
    expect(zone, 0, "BBB", 1000);
    expect(zone, 1000, "AAA", INT64_MAX);
    expect(zone, INT64_MAX, "AAA", INT64_MAX);
    tzif_at(zone, 5, &span);
    assert_int_equal(span.offset_s, 3600);
    assert_true(span.is_dst);
    tzif_at(zone, -5000, &span);
    assert_int_equal(span.offset_s, -3600);
    assert_false(span.is_dst);
    tzif_free(zone);
}

static void test_the_footer_rules_from_the_last_transition_on(void **state)
{
    char bytes[1024];
    struct tzif *zone = parse(bytes, second_version(bytes, "\nXYZ-3\n"));

    (void)state;
    expect(zone, 999, "BBB", 1000);
    expect(zone, 1000, "XYZ", INT64_MAX);
    tzif_free(zone);
    zone = parse(bytes, second_version(bytes, "\n\n"));
    expect(zone, 1000, "AAA", INT64_MAX);
    tzif_free(zone);
}

static void test_utc_needs_no_file(void **state)
{
    struct tzif_span span;

    (void)state;
    tzif_at(NULL, 12345, &span);
    assert_int_equal(span.offset_s, 0);
    assert_int_equal(span.until_s, INT64_MAX);
    assert_string_equal(span.abbreviation, "UTC");
}

/* What a rule says at a moment: its name, and the end of that. */
static void rule_says(const char *rule, const char *at, const char *name, const char *until)
{
    char bytes[1024];
    char footer[256];
    char found[UNITS_TIME_MAX_BYTES];
    struct tzif_span span;
    struct tzif *zone;
    int64_t at_ms = 0;
    int64_t until_ms = 0;

    (void)snprintf(footer, sizeof(footer), "\n%s\n", rule);
    zone = parse(bytes, second_version(bytes, footer));
    assert_int_equal(units_parse_time(str_of(at), &at_ms), 0);
    assert_int_equal(units_parse_time(str_of(until), &until_ms), 0);
    tzif_at(zone, at_ms / 1000, &span);
    if (strcmp(span.abbreviation, name) != 0 || span.until_s * 1000 != until_ms) {
        fail_msg("%s at %s: %s until %s", rule, at, span.abbreviation,
                 units_format_time(span.until_s * 1000, found));
    }
    tzif_free(zone);
}

static void test_rules_are_read_in_all_their_forms(void **state)
{
    (void)state;
    rule_says("CET-1CEST,M3.5.0,M10.5.0/3", "2026-07-01T00:00:00Z", "CEST", "2026-10-25T01:00:00Z");
    rule_says("CET-1CEST,M3.5.0,M10.5.0/3", "2026-12-01T00:00:00Z", "CET", "2027-03-28T01:00:00Z");
    /* Of the southern half: daylight saving time is over the turn of the year. */
    rule_says("NZST-12NZDT,M9.5.0,M4.1.0/3", "2027-01-01T00:00:00Z", "NZDT",
              "2027-04-03T14:00:00Z");
    rule_says("NZST-12NZDT,M9.5.0,M4.1.0/3", "2027-05-01T00:00:00Z", "NZST",
              "2027-09-25T14:00:00Z");
    /* Day 60 is 1 March in any year for J, and 29 February or 1 March when days count from 0. */
    rule_says("AAA0BBB,J60/0,J300/1", "2028-01-05T00:00:00Z", "AAA", "2028-03-01T00:00:00Z");
    rule_says("AAA0BBB,J60/0,J300/1", "2027-01-05T00:00:00Z", "AAA", "2027-03-01T00:00:00Z");
    rule_says("AAA0BBB,59/0,J300/1", "2028-01-05T00:00:00Z", "AAA", "2028-02-29T00:00:00Z");
    rule_says("AAA0BBB,59/0,J300/1", "2027-01-05T00:00:00Z", "AAA", "2027-03-01T00:00:00Z");
    /* Times before and far after the day; other differences than an hour; names in brackets. */
    rule_says("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-01-05T00:00:00Z", "-02",
              "2026-03-29T01:00:00Z");
    rule_says("IST-2IDT,M3.4.4/26,M10.5.0", "2026-01-05T00:00:00Z", "IST", "2026-03-27T00:00:00Z");
    rule_says("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2026-05-05T00:00:00Z", "+1030",
              "2026-10-03T15:30:00Z");
    /* All the year, as RFC 8536 writes it. */
    rule_says("EST5EDT,0/0,J365/25", "2026-01-01T05:00:00Z", "EDT", "2027-01-01T05:00:00Z");
    rule_says("EST5EDT,0/0,J365/25", "2026-07-01T05:00:00Z", "EDT", "2027-01-01T05:00:00Z");
}

static void test_what_is_no_rule_is_refused(void **state)
{
    static const char *const wrong[] = {
        "CE-1",
        "CET",
        "CET-1CEST",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M3.5.0,M10.5.0/3 ",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,J0,J365",
        "CET-1CEST,J366,J365",
        "CET-1CEST,366,J365",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,M3.5.0/1:60,M10.5.0",
        "CET-25",
        "CET-99999999999999999999",
        "<CET-1",
        "<+0>-1",
        "-1",
        ":CET",
    };
    char bytes[1024];
    char footer[256];
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(wrong); i++) {
        struct tzif *zone = NULL;
        struct err e = {0};

        (void)snprintf(footer, sizeof(footer), "\n%s\n", wrong[i]);
        if (tzif_parse((struct str){bytes, second_version(bytes, footer)}, &zone, &e) !=
            ERR_INVALID) {
            fail_msg("`%s` is taken", wrong[i]);
        }
        assert_null(zone);
        assert_non_null(strstr(e.text, "footer"));
    }
}

static void test_a_file_that_is_cut_off_is_refused(void **state)
{
    char bytes[1024];
    size_t size = second_version(bytes, "\nCET-1CEST,M3.5.0,M10.5.0/3\n");
    size_t cut;

    (void)state;
    for (cut = 0; cut < size; cut++) {
        struct tzif *zone = NULL;
        char *exact = mem_dup(bytes, cut);

        assert_int_equal(tzif_parse((struct str){exact, cut}, &zone, NULL), ERR_INVALID);
        assert_null(zone);
        mem_free(exact);
    }
}

static void test_files_that_lie_are_refused(void **state)
{
    static const int64_t descending[] = {5, 5, 6};
    struct block lies[7];
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(lies); i++) {
        lies[i] = plain;
    }
    lies[0].indexes = "\1\3\1";
    lies[1].times = descending;
    lies[2].type_bytes = "\x7f\xff\xf1\xf0\0\0\0\0\0\0\0\4\0\0\x0e\x10\1\x8";
    lies[3].type_bytes = "\xff\xff\xf1\xf0\2\0\0\0\0\0\0\4\0\0\x0e\x10\1\x8";
    lies[4].type_bytes = "\xff\xff\xf1\xf0\0\x0c\0\0\0\0\0\4\0\0\x0e\x10\1\x8";
    lies[5].chars = 11; /* the last name has no end */
    lies[6].version = "1";
    for (i = 0; i < ARRAY_LEN(lies); i++) {
        char bytes[512];
        size_t size = 0;
        struct tzif *zone = NULL;

        block_add(bytes, &size, &lies[i], 4);
        assert_int_equal(tzif_parse((struct str){bytes, size}, &zone, NULL), ERR_INVALID);
        assert_null(zone);
    }
}

static void test_counts_beyond_the_limits_are_refused(void **state)
{
    size_t field;

    (void)state;
    for (field = 0; field < 6; field++) {
        char bytes[512];
        size_t size = 0;
        struct tzif *zone = NULL;

        block_add(bytes, &size, &plain, 4);
        memset(bytes + 20 + 4 * field, 0xff, 4);
        assert_int_equal(tzif_parse((struct str){bytes, size}, &zone, NULL), ERR_INVALID);
    }
}

static void test_leap_seconds_are_not_ours(void **state)
{
    struct block block = plain;
    char bytes[512];
    size_t size = 0;
    struct tzif *zone = NULL;

    (void)state;
    block.leaps = 1;
    block_add(bytes, &size, &block, 4);
    assert_int_equal(tzif_parse((struct str){bytes, size}, &zone, NULL), ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transitions_part_the_time),
        cmocka_unit_test(test_the_footer_rules_from_the_last_transition_on),
        cmocka_unit_test(test_utc_needs_no_file),
        cmocka_unit_test(test_rules_are_read_in_all_their_forms),
        cmocka_unit_test(test_what_is_no_rule_is_refused),
        cmocka_unit_test(test_a_file_that_is_cut_off_is_refused),
        cmocka_unit_test(test_files_that_lie_are_refused),
        cmocka_unit_test(test_counts_beyond_the_limits_are_refused),
        cmocka_unit_test(test_leap_seconds_are_not_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
