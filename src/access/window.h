/* Windows: the times in which a rule allows, by the clock on the wall of a time zone.
 *
 * A window begins on a day (one of `days`, in `dates` if there are any, not in `except`) at the
 * beginning of one of its `hours` and lasts until their end; if that isn't after the beginning, it
 * is on the day after. A time on the wall means the first moment of that day at which the clock
 * shows it or a later one. So where a clock is put forward, what doesn't exist is the moment of the
 * jump, and hours that lie wholly within it don't take place; where it is put back, what exists
 * twice is the first one, and a window that has closed doesn't open again. */
#ifndef LEASED_ACCESS_WINDOW_H
#define LEASED_ACCESS_WINDOW_H

#include "access/zones.h"
#include "wire/schema.h"

#define ACCESS_WINDOW_DAYS_MAX 16
#define ACCESS_WINDOW_HOURS_MAX 16
#define ACCESS_WINDOW_DATES_MAX 400
/* How far ahead the next change is looked for: ten years. */
#define ACCESS_WINDOW_HORIZON_DAYS 3653

/* As it is decoded. */
struct access_window_config {
    const struct yaml_node *node; /* NULL: no window is asked for */
    struct schema_strings days;   /* "mon", "mon-fri", "fri-mon"; every day if none */
    struct schema_strings hours;  /* "08:00-19:00", "22:00-06:00"; the whole day if none */
    char *zone;                   /* "Europe/Berlin"; UTC if NULL */
    struct schema_strings dates;  /* "2026-12-24", "2026-12-24/2027-01-02" (the last is included) */
    struct schema_strings except;
};

extern const struct schema_object access_window_table;

struct access_window;

/* Compiles what was decoded; `config` may go afterwards, `zones` must outlive the window. Mistakes
 * go to `errors`, and then there is no window: `ret_window` is NULL. 0 or ERR_NOMEM. */
int access_window_new(const struct access_window_config *config, struct access_zones *zones,
                      struct access_window **ret_window, struct yaml_errors *errors) ATTR_MUST_USE;

/* NULL is fine. */
void access_window_free(struct access_window *window);

/* Is it open at this moment? And when is that over: when it closes, or opens, next; 0: not within
 * the horizon. Cheap: remembers the last answer; allocates nothing. */
bool access_window_open(const struct access_window *window, int64_t wall_ms,
                        int64_t *ret_changes_wall_ms);

/* Is there a moment, from `wall_ms` on, at which both are open? Looks a year ahead, and at the
 * first thousand changes. */
bool access_windows_overlap(const struct access_window *a, const struct access_window *b,
                            int64_t wall_ms);

/* Do two of its own `hours` share times? A mistake of who wrote it, though no harm. */
bool access_window_overlaps_itself(const struct access_window *window);

/* Appends what the window means, in one form and on one line: for people and for digests. */
void access_window_write(const struct access_window *window, struct buf *out);

#endif
