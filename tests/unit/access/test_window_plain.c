/* Windows against a plain reading of them, minute by minute around the jumps of clocks.
 *
 * "The first moment at which the clock shows a time or a later one" means the same as a clock that
 * stands still where the real one is put back, until that has caught up. By such a clock a window
 * is open exactly while the time is within its hours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access/window.h"
#include "base/calendar.h"
#include "base/mem.h"
#include "zone_fixture.h"
#include "support/slowdown.h"

#define MINUTE_S 60
#define WALK_MINUTES (9 * 24 * 60)
#define BEFORE_JUMP_S (INT64_C(4) * CALENDAR_DAY_S)

struct plain_hours {
    int64_t start_s;
    int64_t end_s;
};

/* What stands in the text, once more. */
struct plain_window {
    char text[512];
    unsigned first_weekday;
    unsigned weekdays; /* so many from the first on */
    struct plain_hours hours[3];
    size_t hour_count;
    int64_t except_day;
    const char *zone;
};

static uint64_t seed_state;

static unsigned draw(unsigned below)
{
    seed_state = seed_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed_state >> 33) % below;
}

static bool plain_has_day(const struct plain_window *plain, int64_t day)
{
    return (calendar_weekday(day) + 7 - plain->first_weekday) % 7 < plain->weekdays &&
           day != plain->except_day;
}

static bool plain_is_open(const struct plain_window *plain, int64_t wall_s)
{
    int64_t today = calendar_day_of(wall_s);
    int64_t day;
    size_t i;

    for (day = today - 1; day <= today; day++) {
        for (i = 0; plain_has_day(plain, day) && i < plain->hour_count; i++) {
            int64_t of_day_s = wall_s - day * CALENDAR_DAY_S;

            if (of_day_s >= plain->hours[i].start_s && of_day_s < plain->hours[i].end_s) {
                return true;
            }
        }
    }
    return false;
}

static void hours_draw(struct plain_window *plain, struct buf *out)
{
    size_t i;

    plain->hour_count = 1 + draw(3);
    for (i = 0; i < plain->hour_count; i++) {
        /* Mostly in the night, where clocks jump. */
        unsigned start = draw(2) == 0 ? draw(24 * 4) : draw(4 * 4);
        unsigned end = (start + 1 + draw(draw(2) == 0 ? 8 : 24 * 4 - 1)) % (24 * 4);

        plain->hours[i].start_s = start * 900;
        plain->hours[i].end_s = end * 900 + (end < start ? CALENDAR_DAY_S : 0);
        buf_printf(out, "%s\"%02u:%02u-%02u:%02u\"", i > 0 ? ", " : "", start / 4, start % 4 * 15,
                   end / 4, end % 4 * 15);
    }
}

static void plain_draw(struct plain_window *plain, int64_t near_s)
{
    static const char *const words[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    struct calendar_date except;
    BUF_AUTO hours;

    buf_init(&hours, 256);
    plain->first_weekday = draw(7);
    plain->weekdays = 1 + draw(7);
    plain->except_day = calendar_day_of(near_s) + draw(8) - 3;
    except = calendar_date_of(plain->except_day);
    hours_draw(plain, &hours);
    (void)snprintf(plain->text, sizeof(plain->text),
                   "{days: [%s-%s], hours: [%s], except: \"%04d-%02u-%02u\", zone: %s}",
                   words[plain->first_weekday],
                   words[(plain->first_weekday + plain->weekdays - 1) % 7], hours.bytes,
                   (int)except.year, except.month, except.day, plain->zone);
}

static struct access_window *window_of(const char *text, struct access_zones *zones)
{
    struct access_window_config config = {0};
    struct access_window *window = NULL;
    struct yaml_document *document = NULL;
    struct yaml_errors errors;

    yaml_errors_init(&errors);
    assert_int_equal(yaml_parse("w.yaml", str_of(text), &document, &errors), 0);
    assert_int_equal(schema_decode(&access_window_table, yaml_root(document), &config, &errors), 0);
    assert_int_equal(access_window_new(&config, zones, &window, &errors), 0);
    assert_non_null(window);
    schema_fini(&access_window_table, &config);
    yaml_free(document);
    yaml_errors_fini(&errors);
    return window;
}

static int64_t wall_at(const struct tzif *tzif, int64_t moment_s)
{
    struct tzif_span span;

    tzif_at(tzif, moment_s, &span);
    return moment_s + span.offset_s;
}

static void walk(const struct plain_window *plain, const struct access_window *window,
                 const struct tzif *tzif, int64_t from_s)
{
    int64_t clock_s = INT64_MIN;
    int64_t promised_ms = 0;
    bool was_open = false;
    int i;

    for (i = 0; i < WALK_MINUTES; i++) {
        int64_t moment_s = from_s + (int64_t)i * MINUTE_S;
        int64_t wall_s = wall_at(tzif, moment_s);
        int64_t changes_ms = -1;
        bool is_open = access_window_open(window, moment_s * 1000, &changes_ms);

        clock_s = wall_s > clock_s ? wall_s : clock_s;
        if (is_open != plain_is_open(plain, clock_s)) {
            fail_msg("%s at %" PRId64 " is %d", plain->text, moment_s, is_open);
        }
        if (i > 0 && (is_open != was_open) != (promised_ms == moment_s * 1000)) {
            fail_msg("%s at %" PRId64 ": the change was promised for %" PRId64, plain->text,
                     moment_s, promised_ms / 1000);
        }
        was_open = is_open;
        promised_ms = changes_ms;
    }
}

static void test_windows_are_what_a_plain_reading_says(void **state)
{
    static const char *const names[] = {"Europe/Berlin",
                                        "America/New_York",
                                        "America/Havana",
                                        "Australia/Lord_Howe",
                                        "Africa/Cairo",
                                        "Asia/Kolkata",
                                        "UTC"};
    size_t runs = slowed(350);
    size_t i;

    (void)state;
    seed_state = 4711;
    for (i = 0; i < runs; i++) {
        struct plain_window plain = {.zone = names[i % ARRAY_LEN(names)]};
        int64_t near_s = INT64_C(1790000000) + (int64_t)draw(40000) * 86400 / 3;
        const struct access_zone *zone = NULL;
        struct access_zones zones;
        struct access_window *window;
        struct tzif_span span;

        access_zones_init(&zones, zone_fixture_read, NULL);
        assert_int_equal(access_zones_get(&zones, plain.zone, &zone, NULL), 0);
        tzif_at(zone->tzif, near_s, &span);
        near_s = span.until_s != INT64_MAX ? span.until_s : near_s / MINUTE_S * MINUTE_S;
        plain_draw(&plain, near_s);
        window = window_of(plain.text, &zones);
        walk(&plain, window, zone->tzif, near_s - BEFORE_JUMP_S);
        access_window_free(window);
        access_zones_fini(&zones);
    }
    assert_int_equal(mem_in_use_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_are_what_a_plain_reading_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
