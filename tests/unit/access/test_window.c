/* Windows: when they are open and when that changes, across the jumps of clocks, and mistakes in
 * how they are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "access/window.h"
#include "base/mem.h"
#include "zone_fixture.h"

static struct {
    struct access_zones zones;
    struct access_window *windows[2];
    struct yaml_errors errors;
} fixture;

static int setup(void **state)
{
    (void)state;
    access_zones_init(&fixture.zones, zone_fixture_read, NULL);
    yaml_errors_init(&fixture.errors);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    access_window_free(fixture.windows[0]);
    access_window_free(fixture.windows[1]);
    access_zones_fini(&fixture.zones);
    yaml_errors_fini(&fixture.errors);
    memset(&fixture, 0, sizeof(fixture));
    assert_int_equal(mem_in_use_bytes(), 0);
    return 0;
}

static struct access_window *window_of(const char *text)
{
    struct access_window_config config = {0};
    struct access_window *window = NULL;
    struct yaml_document *document = NULL;

    assert_int_equal(yaml_parse("w.yaml", str_of(text), &document, &fixture.errors), 0);
    if (schema_decode(&access_window_table, yaml_root(document), &config, &fixture.errors) == 0) {
        assert_int_equal(access_window_new(&config, &fixture.zones, &window, &fixture.errors), 0);
    }
    schema_fini(&access_window_table, &config);
    yaml_free(document);
    return window;
}

static struct access_window *window(const char *text)
{
    access_window_free(fixture.windows[0]);
    fixture.windows[0] = window_of(text);
    if (fixture.windows[0] == NULL) {
        fail_msg("%s: %.*s", text, STR_ARG(buf_str(&fixture.errors.text)));
    }
    return fixture.windows[0];
}

static int64_t time_of(const char *text)
{
    int64_t wall_ms = 0;

    assert_int_equal(units_parse_time(str_of(text), &wall_ms), 0);
    return wall_ms;
}

/* `changes` of NULL: never. */
static void expect(const char *at, bool is_open, const char *changes)
{
    char found[UNITS_TIME_MAX_BYTES];
    int64_t changes_ms = -1;
    bool found_open = access_window_open(fixture.windows[0], time_of(at), &changes_ms);
    int64_t wanted_ms = changes != NULL ? time_of(changes) : 0;

    if (found_open != is_open || changes_ms != wanted_ms) {
        fail_msg("at %s: %s until %s", at, found_open ? "open" : "closed",
                 units_format_time(changes_ms, found));
    }
}

static void test_days_and_hours_are_by_the_clock_of_the_zone(void **state)
{
    (void)state;
    /* 2026-11-27 is a Friday; Berlin is an hour ahead of UTC. */
    (void)window("{days: [mon-fri], hours: \"08:00-19:00\", zone: Europe/Berlin}");
    expect("2026-11-27T06:59:59.999Z", false, "2026-11-27T07:00:00Z");
    expect("2026-11-27T07:00:00Z", true, "2026-11-27T18:00:00Z");
    expect("2026-11-27T17:59:59.999Z", true, "2026-11-27T18:00:00Z");
    expect("2026-11-27T18:00:00Z", false, "2026-11-30T07:00:00Z");
    /* In summer it is two hours ahead. */
    expect("2026-07-03T06:00:00Z", true, "2026-07-03T17:00:00Z");
    /* Without a zone it is UTC. */
    (void)window("{hours: [\"08:00-12:00\", \"13:00-17:00\"]}");
    expect("2026-11-27T12:00:00Z", false, "2026-11-27T13:00:00Z");
    expect("2026-11-27T09:00:00Z", true, "2026-11-27T12:00:00Z");
}

static void test_what_passes_midnight_belongs_to_the_day_on_which_it_begins(void **state)
{
    (void)state;
    (void)window("{days: fri, hours: \"22:00-06:00\"}");
    expect("2026-11-27T05:00:00Z", false, "2026-11-27T22:00:00Z");
    expect("2026-11-27T23:00:00Z", true, "2026-11-28T06:00:00Z");
    expect("2026-11-28T05:59:59Z", true, "2026-11-28T06:00:00Z");
    expect("2026-11-28T22:30:00Z", false, "2026-12-04T22:00:00Z");
    (void)window("{dates: [\"2026-12-31\"], hours: \"22:00-06:00\"}");
    expect("2026-12-31T23:00:00Z", true, "2027-01-01T06:00:00Z");
    expect("2026-12-31T01:00:00Z", false, "2026-12-31T22:00:00Z");
    (void)window("{except: [\"2026-12-31\"], hours: \"22:00-06:00\"}");
    expect("2026-12-31T01:00:00Z", true, "2026-12-31T06:00:00Z");
    expect("2027-01-01T01:00:00Z", false, "2027-01-01T22:00:00Z");
    (void)window("{hours: \"20:00-24:00\"}");
    expect("2026-12-31T23:59:59Z", true, "2027-01-01T00:00:00Z");
}

static void test_what_touches_is_one_window(void **state)
{
    (void)state;
    (void)window("{days: [mon-fri], zone: Europe/Berlin}");
    expect("2026-11-25T12:00:00Z", true, "2026-11-27T23:00:00Z");
    expect("2026-11-28T12:00:00Z", false, "2026-11-29T23:00:00Z");
    /* From Sunday into Monday the week doesn't begin anew. */
    (void)window("{days: [fri-mon]}");
    expect("2026-11-27T00:00:00Z", true, "2026-12-01T00:00:00Z");
    (void)window("{hours: [\"00:00-12:00\", \"12:00-24:00\"], except: [\"2030-05-01\"]}");
    expect("2026-11-27T00:00:00Z", true, "2030-05-01T00:00:00Z");
    (void)window("{hours: [\"22:00-06:00\", \"06:00-22:00\"]}");
    expect("2026-11-27T00:00:00Z", true, NULL);
    (void)window("{zone: Europe/Berlin}");
    expect("2026-11-27T00:00:00Z", true, NULL);
}

static void test_dates_are_days_of_the_zone_and_end(void **state)
{
    (void)state;
    (void)window("{dates: [\"2026-12-24/2027-01-02\", \"2027-02-28\"], except: [\"2026-12-25\"], "
                 "zone: Europe/Berlin}");
    expect("2026-11-27T00:00:00Z", false, "2026-12-23T23:00:00Z");
    expect("2026-12-24T12:00:00Z", true, "2026-12-24T23:00:00Z");
    expect("2026-12-25T12:00:00Z", false, "2026-12-25T23:00:00Z");
    expect("2026-12-26T12:00:00Z", true, "2027-01-02T23:00:00Z");
    expect("2027-02-28T12:00:00Z", true, "2027-02-28T23:00:00Z");
    expect("2027-02-28T23:00:00Z", false, NULL);
}

static void test_leap_days_are_days(void **state)
{
    (void)state;
    (void)window("{dates: [\"2028-02-28/2028-03-01\"], hours: \"08:00-09:00\"}");
    expect("2028-02-28T09:00:00Z", false, "2028-02-29T08:00:00Z");
    expect("2028-02-29T09:00:00Z", false, "2028-03-01T08:00:00Z");
    (void)window("{dates: [\"2100-02-28/2100-03-01\"], hours: \"08:00-09:00\"}");
    expect("2100-02-28T09:00:00Z", false, "2100-03-01T08:00:00Z");
}

static void test_a_time_that_does_not_exist_is_the_moment_of_the_jump(void **state)
{
    (void)state;
    /* On 2026-03-29 Berlin's clock goes from 02:00 to 03:00, which is 01:00 UTC. */
    (void)window("{hours: \"02:30-08:00\", zone: Europe/Berlin}");
    expect("2026-03-29T00:59:59Z", false, "2026-03-29T01:00:00Z");
    expect("2026-03-29T01:00:00Z", true, "2026-03-29T06:00:00Z");
    (void)window("{hours: \"00:00-02:30\", zone: Europe/Berlin}");
    expect("2026-03-29T00:30:00Z", true, "2026-03-29T01:00:00Z");
    /* What lies within the jump doesn't take place. */
    (void)window("{hours: \"02:15-02:45\", zone: Europe/Berlin}");
    expect("2026-03-28T12:00:00Z", false, "2026-03-30T00:15:00Z");
    /* What only the missing hour keeps apart is one. */
    (void)window("{hours: [\"01:00-02:00\", \"03:00-04:00\"], zone: Europe/Berlin}");
    expect("2026-03-29T00:30:00Z", true, "2026-03-29T02:00:00Z");
    expect("2026-03-30T00:30:00Z", false, "2026-03-30T01:00:00Z");
}

static void test_a_time_that_exists_twice_is_the_first(void **state)
{
    (void)state;
    /* On 2026-10-25 Berlin's clock goes from 03:00 back to 02:00, which is 01:00 UTC. */
    (void)window("{hours: \"01:00-02:30\", zone: Europe/Berlin}");
    expect("2026-10-25T00:15:00Z", true, "2026-10-25T00:30:00Z");
    /* It doesn't open again. */
    expect("2026-10-25T00:30:00Z", false, "2026-10-26T00:00:00Z");
    expect("2026-10-25T01:15:00Z", false, "2026-10-26T00:00:00Z");
    (void)window("{hours: \"02:30-04:00\", zone: Europe/Berlin}");
    expect("2026-10-25T00:29:59Z", false, "2026-10-25T00:30:00Z");
    expect("2026-10-25T01:15:00Z", true, "2026-10-25T03:00:00Z");
    /* Havana's day has two hours from 00:00 on. */
    (void)window("{days: sat, zone: America/Havana}");
    expect("2026-10-31T12:00:00Z", true, "2026-11-01T04:00:00Z");
    expect("2026-11-01T05:30:00Z", false, "2026-11-07T05:00:00Z");
}

static void test_a_clock_that_is_set_back_gets_the_right_answer(void **state)
{
    (void)state;
    (void)window("{hours: \"08:00-19:00\"}");
    expect("2026-11-27T18:00:00Z", true, "2026-11-27T19:00:00Z");
    expect("2026-11-27T07:00:00Z", false, "2026-11-27T08:00:00Z");
    expect("2026-11-27T18:00:00Z", true, "2026-11-27T19:00:00Z");
}

static void test_mad_clocks_are_answered(void **state)
{
    const struct access_window *w = window("{hours: \"08:00-19:00\", zone: Europe/Berlin}");
    static const int64_t times[] = {INT64_MIN, INT64_MAX, -1, 0};
    int64_t changes_ms;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(times); i++) {
        (void)access_window_open(w, times[i], &changes_ms);
    }
}

static bool overlap(const char *a, const char *b, const char *at)
{
    bool found;

    (void)window(a);
    fixture.windows[1] = window_of(b);
    assert_non_null(fixture.windows[1]);
    found = access_windows_overlap(fixture.windows[0], fixture.windows[1], time_of(at));
    assert_int_equal(access_windows_overlap(fixture.windows[1], fixture.windows[0], time_of(at)),
                     found);
    access_window_free(fixture.windows[1]);
    fixture.windows[1] = NULL;
    return found;
}

static void test_windows_overlap_where_both_are_open(void **state)
{
    static const char now[] = "2026-11-27T12:00:00Z";

    (void)state;
    assert_true(overlap("{hours: \"08:00-12:00\"}", "{hours: \"11:59-18:00\"}", now));
    assert_false(overlap("{hours: \"08:00-12:00\"}", "{hours: \"12:00-18:00\"}", now));
    assert_false(overlap("{days: [mon-fri]}", "{days: [sat, sun]}", now));
    assert_true(overlap("{days: [mon-fri]}", "{days: [sat, sun], zone: Europe/Berlin}", now));
    /* For some weeks of the year New York is only five hours behind. */
    assert_true(overlap("{hours: \"14:00-15:00\", zone: Europe/Berlin}",
                        "{hours: \"09:00-10:00\", zone: America/New_York}", now));
    assert_false(overlap("{dates: [\"2026-01-01\"]}", "{days: [mon-sun]}", now));
    assert_true(overlap("{dates: [\"2026-12-24\"]}", "{hours: \"08:00-12:00\"}", now));
    assert_true(overlap("{zone: Europe/Berlin}", "{hours: \"08:00-12:00\"}", now));
}

static void test_hours_of_one_window_that_overlap_are_seen(void **state)
{
    (void)state;
    assert_true(
        access_window_overlaps_itself(window("{hours: [\"13:00-17:00\", \"08:00-13:01\"]}")));
    assert_false(
        access_window_overlaps_itself(window("{hours: [\"13:00-17:00\", \"08:00-13:00\"]}")));
    assert_true(
        access_window_overlaps_itself(window("{hours: [\"22:00-06:00\", \"05:00-07:00\"]}")));
    assert_false(access_window_overlaps_itself(
        window("{days: [mon, wed], hours: [\"22:00-06:00\", \"05:00-07:00\"]}")));
}

static void test_a_window_has_one_text_however_it_is_written(void **state)
{
    static const char *const same[] = {
        "{days: [mon-wed, sun], hours: [\"22:00-06:00\", \"08:00-12:00\"], zone: Asia/Kolkata, "
        "dates: [\"2026-12-26/2026-12-31\", \"2026-12-24/2026-12-25\"], except: \"2026-12-27\"}",
        "{days: [sun-tue, wed], hours: [\"08:00-12:00\", \"22:00-06:00\"], zone: Asia/Kolkata, "
        "dates: \"2026-12-24/2026-12-31\", except: [\"2026-12-27\", \"2026-12-27\"]}",
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(same); i++) {
        BUF_AUTO text;

        buf_init(&text, 4096);
        access_window_write(window(same[i]), &text);
        assert_string_equal(text.bytes,
                            "days mon,tue,wed,sun hours 08:00-12:00,22:00-06:00 zone Asia/Kolkata "
                            "dates 2026-12-24/2026-12-31 except 2026-12-27");
    }
}

static void test_mistakes_say_what_and_where(void **state)
{
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"{days: [mon-fry]}", "1:9: `mon-fry` are no days; possible are mon, tue"},
        {"{days: []}", "1:2: `days` is empty"},
        {"{days: [\"\"]}", "1:9: "},
        {"{days: [mon-tue-wed]}", "`mon-tue-wed` are no days"},
        {"{days: [mon-]}", "`mon-` are no days"},
        {"{days: [mon, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x]}",
         "1:8: at most 16 are possible"},
        {"{hours: \"8-19\"}", "1:9: `8-19` are no hours; they are written as in \"08:00-19:00\""},
        {"{hours: \"08:00-08:00\"}", "1:9: `08:00-08:00` are empty"},
        {"{hours: \"08:00\"}", "no hours"},
        {"{hours: \"08:00-24:01\"}", "no hours"},
        {"{hours: \"24:00-08:00\"}", "no hours"},
        {"{hours: \"08:60-09:00\"}", "no hours"},
        {"{hours: [\"08:00-09:00\", \"-1:00-09:00\"]}", "1:25: `-1:00-09:00` are no hours"},
        {"{zone: Europe/Berlim}", "1:8: unknown time zone `Europe/Berlim`: did you mean "
                                  "`Europe/Berlin`?"},
        {"{zone: Havana}", "did you mean `America/Havana`?"},
        {"{zone: Mars/Olympus}", "1:8: unknown time zone `Mars/Olympus`\n"},
        {"{zone: ../../etc/passwd}", "1:8: this is no name of a time zone"},
        {"{zone: /etc/passwd}", "no name of a time zone"},
        {"{zone: Europe//Berlin}", "no name of a time zone"},
        {"{zone: Broken/File}", "time zone `Broken/File` can't be used: it is no time zone file"},
        {"{zone: Broken/Disk}", "could not read time zone `Broken/Disk`: input/output error"},
        {"{dates: [2026-02-29]}", "1:10: `2026-02-29` is no date"},
        {"{dates: [\"2026-12-24/2026-12-23\"]}", "ends before it begins"},
        {"{dates: [\"2026-12-24/\"]}", "doesn't end with a date"},
        {"{except: [\"24.12.2026\"]}", "1:11: `24.12.2026` is no date"},
        {"{dates: [\"2026-12-26\"], days: mon}", "1:9: it never opens"},
        {"{zones: UTC}", "1:2: unknown key `zones`: did you mean `zone`?"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        buf_reset(&fixture.errors.text);
        assert_null(window_of(cases[i].text));
        if (fixture.errors.text.len == 0 ||
            strstr(fixture.errors.text.bytes, cases[i].error) == NULL) {
            fail_msg("%s: %.*s", cases[i].text, STR_ARG(buf_str(&fixture.errors.text)));
        }
    }
}

static void test_without_a_database_the_zone_says_what_is_missing(void **state)
{
    (void)state;
    access_zones_init(&fixture.zones, NULL, NULL);
    assert_null(window_of("{zone: Europe/Berlin}"));
    assert_non_null(strstr(fixture.errors.text.bytes, "is the package tzdata installed"));
    (void)window("{zone: UTC}");
}

static size_t allocations_left;

static int fail_hook(size_t size)
{
    (void)size;
    return allocations_left-- == 0;
}

static void test_no_memory_is_survived(void **state)
{
    static char day[] = "mon";
    static char date[] = "2026-12-24/2026-12-30";
    static char zone[] = "Europe/Berlin";
    static char *days[] = {day};
    static char *dates[] = {date};
    const struct access_window_config config = {
        .days = {days, 1}, .dates = {dates, 1}, .except = {0}, .zone = zone};
    size_t count;
    int r = ERR_NOMEM;

    (void)state;
    for (count = 0; r == ERR_NOMEM && count < 100; count++) {
        struct access_window *made = NULL;

        access_zones_fini(&fixture.zones);
        access_zones_init(&fixture.zones, zone_fixture_read, NULL);
        allocations_left = count;
        mem_set_fail_hook(fail_hook);
        r = access_window_new(&config, &fixture.zones, &made, &fixture.errors);
        mem_set_fail_hook(NULL);
        assert_true((made != NULL) == (r == 0));
        access_window_free(made);
    }
    assert_int_equal(r, 0);
    assert_true(count > 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_days_and_hours_are_by_the_clock_of_the_zone),
        TEST(test_what_passes_midnight_belongs_to_the_day_on_which_it_begins),
        TEST(test_what_touches_is_one_window),
        TEST(test_dates_are_days_of_the_zone_and_end),
        TEST(test_leap_days_are_days),
        TEST(test_a_time_that_does_not_exist_is_the_moment_of_the_jump),
        TEST(test_a_time_that_exists_twice_is_the_first),
        TEST(test_a_clock_that_is_set_back_gets_the_right_answer),
        TEST(test_mad_clocks_are_answered),
        TEST(test_windows_overlap_where_both_are_open),
        TEST(test_hours_of_one_window_that_overlap_are_seen),
        TEST(test_a_window_has_one_text_however_it_is_written),
        TEST(test_mistakes_say_what_and_where),
        TEST(test_without_a_database_the_zone_says_what_is_missing),
        TEST(test_no_memory_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
