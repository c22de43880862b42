/* Windows as they are compiled. Internal to window*.c. */
#ifndef LEASED_ACCESS_WINDOW_INTERNAL_H
#define LEASED_ACCESS_WINDOW_INTERNAL_H

#include "access/window.h"

#define WINDOW_DAY_S 86400

/* Seconds of the day on which they begin: start < end <= start + a day. */
struct window_hours {
    int32_t start_s;
    int32_t end_s;
};

/* Days since 1970-01-01, both included. */
struct window_dates {
    int64_t first;
    int64_t last;
};

struct window_date_list {
    struct window_dates *items; /* ascending, no two touch */
    size_t count;
};

/* The last answer. */
struct window_answer {
    int64_t from_s;
    int64_t until_s; /* it holds before this */
    int64_t changes_s;
    bool has_change;
    bool is_open;
};

struct access_window {
    uint8_t days; /* a bit for each day of the week, 1 for Sunday */
    struct window_hours hours[ACCESS_WINDOW_HOURS_MAX]; /* by start */
    size_t hour_count;
    bool overlaps_itself;
    bool has_dates;
    struct window_date_list dates;
    struct window_date_list except;
    const struct access_zone *zone;
    struct window_answer *answer; /* scratch */
};

/* May the window begin on this day? */
bool window_has_day(const struct access_window *window, int64_t day);

#endif
