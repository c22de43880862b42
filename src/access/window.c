/* Times on the wall are seconds since 1970-01-01 00:00 by the local clock. They are put together as
 * far as they touch, and only then made into moments: that keeps their order, because of two times
 * the later one has the later moment or the same. */
#include "access/window_internal.h"

#include "base/calendar.h"
#include "base/mem.h"

#include <string.h>

/* A moment of a window is on the day on which it begins or on the next, by a clock that may have
 * been put back in between. */
#define DAYS_BEFORE 2
#define DAYS_AFTER 1
#define HORIZON_S ((int64_t)ACCESS_WINDOW_HORIZON_DAYS * WINDOW_DAY_S)
#define MOMENT_MAX_S (INT64_C(1) << 40)
#define OVERLAP_S (INT64_C(366) * WINDOW_DAY_S)
#define OVERLAP_STEPS_MAX 1000

static bool dates_have(const struct window_date_list *dates, int64_t day)
{
    size_t low = 0;
    size_t high = dates->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (dates->items[middle].last < day) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < dates->count && dates->items[low].first <= day;
}

bool window_has_day(const struct access_window *window, int64_t day)
{
    return (window->days >> calendar_weekday(day) & 1) != 0 &&
           (!window->has_dates || dates_have(&window->dates, day)) &&
           !dates_have(&window->except, day);
}

/* The first moment at which the clock shows `wall_s` or later. */
static int64_t moment_of(const struct access_window *window, int64_t wall_s)
{
    int64_t moment_s = wall_s - TZIF_OFFSET_MAX_S;
    struct tzif_span span = {0};

    for (;;) {
        tzif_at(window->zone->tzif, moment_s, &span);
        if (moment_s < wall_s - span.offset_s) {
            moment_s = wall_s - span.offset_s;
        }
        if (moment_s < span.until_s) {
            return moment_s;
        }
        moment_s = span.until_s;
    }
}

static int64_t day_at(const struct access_window *window, int64_t moment_s)
{
    struct tzif_span span;

    tzif_at(window->zone->tzif, moment_s, &span);
    return calendar_day_of(moment_s + span.offset_s);
}

/* The end, by the wall, of what begins with `hours` on `day`, and of all that touches it. */
static int64_t wall_end(const struct access_window *window, int64_t day, size_t hours)
{
    int64_t end_s = day * WINDOW_DAY_S + window->hours[hours].end_s;
    int64_t last_day = day + ACCESS_WINDOW_HORIZON_DAYS;
    bool touches = true;

    for (; touches && day <= last_day && window_has_day(window, day); day++) {
        size_t i;

        touches = false;
        for (i = 0; i < window->hour_count; i++) {
            int64_t next_s = day * WINDOW_DAY_S + window->hours[i].end_s;

            if (day * WINDOW_DAY_S + window->hours[i].start_s <= end_s) {
                touches = true;
                end_s = next_s > end_s ? next_s : end_s;
            }
        }
    }
    return end_s;
}

/* The end of what is open at a moment; the moment itself if nothing is. */
static int64_t open_until(const struct access_window *window, int64_t moment_s)
{
    int64_t today = day_at(window, moment_s);
    int64_t until_s = moment_s;
    int64_t day;
    size_t i;

    for (day = today - DAYS_BEFORE; day <= today + DAYS_AFTER; day++) {
        for (i = 0; window_has_day(window, day) && i < window->hour_count; i++) {
            int64_t end_s;

            if (moment_of(window, day * WINDOW_DAY_S + window->hours[i].start_s) > moment_s) {
                break;
            }
            end_s = moment_of(window, wall_end(window, day, i));
            until_s = end_s > until_s ? end_s : until_s;
        }
    }
    return until_s;
}

/* The first moment after this one at which something begins; of which it isn't within. */
static bool opens_after(const struct access_window *window, int64_t moment_s, int64_t *ret_opens_s)
{
    int64_t day = day_at(window, moment_s) - DAYS_BEFORE;
    int64_t last_day = day + ACCESS_WINDOW_HORIZON_DAYS;
    size_t i;

    for (; day <= last_day; day++) {
        for (i = 0; window_has_day(window, day) && i < window->hour_count; i++) {
            int64_t wall_s = day * WINDOW_DAY_S;
            int64_t start_s = moment_of(window, wall_s + window->hours[i].start_s);

            /* What lies where the clock is put forward doesn't take place. */
            if (start_s > moment_s &&
                moment_of(window, wall_s + window->hours[i].end_s) > start_s) {
                *ret_opens_s = start_s;
                return true;
            }
        }
    }
    return false;
}

static void answer(const struct access_window *window, int64_t moment_s,
                   struct window_answer *ret_answer)
{
    struct window_answer found = {.from_s = moment_s};
    int64_t until_s = open_until(window, moment_s);
    int64_t next_s = until_s;

    found.is_open = until_s > moment_s;
    if (!found.is_open) {
        found.has_change = opens_after(window, moment_s, &found.changes_s);
    } else {
        /* What only a missing hour keeps apart is one. */
        do {
            until_s = next_s;
            next_s = open_until(window, until_s);
        } while (next_s > until_s && next_s - moment_s < HORIZON_S);
        found.changes_s = next_s;
        found.has_change = next_s - moment_s < HORIZON_S;
    }
    /* From tomorrow on there may be a change within the horizon. */
    found.until_s = found.has_change ? found.changes_s : moment_s + WINDOW_DAY_S;
    *ret_answer = found;
}

bool access_window_open(const struct access_window *window, int64_t wall_ms,
                        int64_t *ret_changes_wall_ms)
{
    struct window_answer *last = window->answer;
    int64_t moment_s = wall_ms / 1000 - (wall_ms % 1000 < 0 ? 1 : 0);

    moment_s = moment_s > MOMENT_MAX_S ? MOMENT_MAX_S : moment_s;
    moment_s = moment_s < -MOMENT_MAX_S ? -MOMENT_MAX_S : moment_s;
    if (moment_s < last->from_s || moment_s >= last->until_s) {
        answer(window, moment_s, last);
    }
    *ret_changes_wall_ms = last->has_change ? last->changes_s * 1000 : 0;
    return last->is_open;
}

bool access_windows_overlap(const struct access_window *a, const struct access_window *b,
                            int64_t wall_ms)
{
    int64_t last_ms = wall_ms + OVERLAP_S * 1000;
    size_t i;

    for (i = 0; i < OVERLAP_STEPS_MAX && wall_ms < last_ms; i++) {
        int64_t a_ms;
        int64_t b_ms;
        bool a_is_open = access_window_open(a, wall_ms, &a_ms);
        bool b_is_open = access_window_open(b, wall_ms, &b_ms);

        if (a_is_open && b_is_open) {
            return true;
        }
        if ((!a_is_open && a_ms == 0) || (!b_is_open && b_ms == 0)) {
            return false;
        }
        /* Not before each that is closed has opened. */
        wall_ms = b_is_open || (!a_is_open && a_ms > b_ms) ? a_ms : b_ms;
    }
    return false;
}

bool access_window_overlaps_itself(const struct access_window *window)
{
    return window->overlaps_itself;
}

void access_window_free(struct access_window *window)
{
    if (window != NULL) {
        mem_free(window->dates.items);
        mem_free(window->except.items);
        mem_free(window->answer);
        mem_free(window);
    }
}

/* --- as a text --- */

static void dates_write(const struct window_date_list *dates, const char *key, struct buf *out)
{
    size_t i;

    for (i = 0; i < dates->count; i++) {
        struct calendar_date first = calendar_date_of(dates->items[i].first);
        struct calendar_date last = calendar_date_of(dates->items[i].last);

        buf_printf(out, "%s%04lld-%02u-%02u", i == 0 ? key : ",", (long long)first.year,
                   first.month, first.day);
        if (dates->items[i].last > dates->items[i].first) {
            buf_printf(out, "/%04lld-%02u-%02u", (long long)last.year, last.month, last.day);
        }
    }
}

void access_window_write(const struct access_window *window, struct buf *out)
{
    static const char *const words[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    const char *before = "days ";
    size_t i;

    for (i = 1; i <= ARRAY_LEN(words); i++) {
        if ((window->days >> (i % ARRAY_LEN(words)) & 1) != 0) {
            buf_printf(out, "%s%s", before, words[i % ARRAY_LEN(words)]);
            before = ",";
        }
    }
    for (i = 0; i < window->hour_count; i++) {
        const struct window_hours *hours = &window->hours[i];

        int32_t end_s = hours->end_s > WINDOW_DAY_S ? hours->end_s - WINDOW_DAY_S : hours->end_s;

        buf_printf(out, "%s%02d:%02d-%02d:%02d", i == 0 ? " hours " : ",", hours->start_s / 3600,
                   hours->start_s / 60 % 60, end_s / 3600, end_s / 60 % 60);
    }
    buf_printf(out, " zone %s", window->zone->name);
    dates_write(&window->dates, " dates ", out);
    dates_write(&window->except, " except ", out);
}
