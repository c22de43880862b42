/* From a window's keys to what can be asked. */
#include "access/window_internal.h"

#include "access/policy_config.h"
#include "base/calendar.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define DAY "(mon|tue|wed|thu|fri|sat|sun)"
#define TIME "([01][0-9]|2[0-3]):[0-5][0-9]"
#define DATE "[0-9]{4}-[0-9]{2}-[0-9]{2}"
#define DATES "^" DATE "(/" DATE ")?$"

static const struct schema_field window_fields[] = {
    {"days", SCHEMA_STRINGS, offsetof(struct access_window_config, days), .min = 1,
     .pattern = "^" DAY "(-" DAY ")?$",
     .doc = "days of the week on which it begins: mon, mon-fri; every day when absent"},
    {"hours", SCHEMA_STRINGS, offsetof(struct access_window_config, hours), .min = 1,
     .pattern = "^" TIME "-(" TIME "|24:00)$",
     .doc = "\"08:00-19:00\"; \"22:00-06:00\" ends on the day after; the whole day when absent"},
    {"zone", SCHEMA_STRING, offsetof(struct access_window_config, zone),
     .max = ACCESS_ZONE_NAME_MAX_BYTES - 1,
     .doc = "the time zone whose clock counts, such as Europe/Berlin; UTC when absent"},
    {"dates", SCHEMA_STRINGS, offsetof(struct access_window_config, dates), .min = 1,
     .pattern = DATES, .doc = "only on these days: \"2026-12-24\", \"2026-12-24/2027-01-02\""},
    {"except", SCHEMA_STRINGS, offsetof(struct access_window_config, except), .min = 1,
     .pattern = DATES, .doc = "not on these days"},
    {0},
};

const struct schema_object access_window_table = {
    .name = "a window",
    .size = sizeof(struct access_window_config),
    .fields = window_fields,
};

struct window_parser {
    const struct access_window_config *config;
    struct access_window *window;
    struct yaml_errors *errors;
};

/* --- days --- */

static const char *const day_words[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
#define DAYS ARRAY_LEN(day_words)
#define EVERY_DAY 0x7fU

/* DAYS: it is none. */
static size_t day_of(struct str word)
{
    size_t day = 0;

    while (day < DAYS && !str_eq_c(word, day_words[day])) {
        day++;
    }
    return day;
}

/* 0: these are no days. */
static uint8_t days_of(struct str text)
{
    size_t first = day_of(str_cut(&text, '-'));
    size_t last = text.ptr != NULL ? day_of(text) : first;
    uint8_t days = 0;

    if (first == DAYS || last == DAYS) {
        return 0;
    }
    while (first != last) {
        days = (uint8_t)(days | 1U << first);
        first = (first + 1) % DAYS;
    }
    return (uint8_t)(days | 1U << last);
}

static void days_parse(struct window_parser *parser)
{
    const struct schema_strings *texts = &parser->config->days;
    size_t i;

    if (texts->count > ACCESS_WINDOW_DAYS_MAX) {
        yaml_error_at(parser->errors, yaml_get(parser->config->node, "days"),
                      "at most %d are possible", ACCESS_WINDOW_DAYS_MAX);
        return;
    }
    parser->window->days = texts->count == 0 ? EVERY_DAY : 0;
    for (i = 0; i < texts->count; i++) {
        uint8_t days = days_of(str_of(texts->items[i]));

        if (days == 0) {
            yaml_error_at(parser->errors, access_item_node(parser->config->node, "days", i),
                          "`%s` are no days; possible are mon, tue, wed, thu, fri, sat, sun, and "
                          "from one to another as in mon-fri",
                          texts->items[i]);
        }
        parser->window->days |= days;
    }
}

/* --- hours --- */

/* "08:30" in seconds; -1: it isn't. */
static int32_t time_of(struct str text)
{
    uint64_t hour;
    uint64_t minute;

    if (text.len != sizeof("08:30") - 1 || text.ptr[2] != ':' ||
        str_parse_u64((struct str){text.ptr, 2}, &hour) != 0 ||
        str_parse_u64((struct str){text.ptr + 3, 2}, &minute) != 0 || minute > 59 ||
        hour * 60 + minute > 24 * 60) {
        return -1;
    }
    return (int32_t)(hour * 60 + minute) * 60;
}

/* Why these are no hours; NULL: they are. */
static const char *hours_of(struct str text, struct window_hours *ret_hours)
{
    int32_t start_s = time_of(str_cut(&text, '-'));
    int32_t end_s = time_of(text);

    if (start_s < 0 || start_s == WINDOW_DAY_S || end_s < 0) {
        return "are no hours; they are written as in \"08:00-19:00\"";
    }
    if (start_s == end_s) {
        return "are empty; the whole day is what there is without `hours`";
    }
    *ret_hours = (struct window_hours){start_s, end_s + (end_s < start_s ? WINDOW_DAY_S : 0)};
    return NULL;
}

static int hours_compare(const void *a, const void *b)
{
    const struct window_hours *left = a;
    const struct window_hours *right = b;

    return left->start_s != right->start_s ? left->start_s - right->start_s
                                           : left->end_s - right->end_s;
}

static bool has_neighbours(uint8_t days)
{
    return (days & (days << 1 | days >> (DAYS - 1))) != 0;
}

/* With one another, and with those of the next day if it can be a day of the window too. */
static bool hours_overlap(const struct access_window *window)
{
    int32_t next_s = window->hours[0].start_s + WINDOW_DAY_S;
    bool found = false;
    size_t i;

    for (i = 0; i < window->hour_count; i++) {
        found =
            found ||
            (i + 1 < window->hour_count && window->hours[i + 1].start_s < window->hours[i].end_s) ||
            (has_neighbours(window->days) && next_s < window->hours[i].end_s);
    }
    return found;
}

static void hours_parse(struct window_parser *parser)
{
    const struct schema_strings *texts = &parser->config->hours;
    struct access_window *window = parser->window;
    size_t i;

    if (texts->count > ACCESS_WINDOW_HOURS_MAX) {
        yaml_error_at(parser->errors, yaml_get(parser->config->node, "hours"),
                      "at most %d are possible", ACCESS_WINDOW_HOURS_MAX);
        return;
    }
    for (i = 0; i < texts->count; i++) {
        const char *problem = hours_of(str_of(texts->items[i]), &window->hours[window->hour_count]);

        if (problem != NULL) {
            yaml_error_at(parser->errors, access_item_node(parser->config->node, "hours", i),
                          "`%s` %s", texts->items[i], problem);
        } else {
            window->hour_count++;
        }
    }
    if (texts->count == 0) {
        window->hours[window->hour_count++] = (struct window_hours){0, WINDOW_DAY_S};
    }
    qsort(window->hours, window->hour_count, sizeof(*window->hours), hours_compare);
    window->overlaps_itself = window->hour_count > 0 && hours_overlap(window);
}

/* --- dates --- */

/* Why these are no dates; NULL: they are. */
static const char *dates_of(struct str text, struct window_dates *ret_dates)
{
    struct str first_text = str_cut(&text, '/');
    int64_t first;
    int64_t last;

    if (calendar_parse_date(first_text, &first) != 0) {
        return "is no date; they are written as in \"2026-12-24\" or \"2026-12-24/2027-01-02\"";
    }
    last = first;
    if (text.ptr != NULL && calendar_parse_date(text, &last) != 0) {
        return "doesn't end with a date; they are written as in \"2026-12-24/2027-01-02\"";
    }
    if (last < first) {
        return "ends before it begins";
    }
    *ret_dates = (struct window_dates){first, last};
    return NULL;
}

static int dates_compare(const void *a, const void *b)
{
    const struct window_dates *left = a;
    const struct window_dates *right = b;

    return left->first < right->first ? -1 : left->first > right->first ? 1 : 0;
}

/* Puts those together that touch. */
static void dates_join(struct window_date_list *dates)
{
    size_t count = 0;
    size_t i;

    qsort(dates->items, dates->count, sizeof(*dates->items), dates_compare);
    for (i = 0; i < dates->count; i++) {
        if (count == 0 || dates->items[count - 1].last + 1 < dates->items[i].first) {
            dates->items[count++] = dates->items[i];
        } else if (dates->items[count - 1].last < dates->items[i].last) {
            dates->items[count - 1].last = dates->items[i].last;
        }
    }
    dates->count = count;
}

static int dates_parse(struct window_parser *parser, const char *key,
                       const struct schema_strings *texts, struct window_date_list *dates)
{
    size_t i;

    if (texts->count > ACCESS_WINDOW_DATES_MAX) {
        yaml_error_at(parser->errors, yaml_get(parser->config->node, key),
                      "at most %d are possible", ACCESS_WINDOW_DATES_MAX);
        return 0;
    }
    dates->items = mem_calloc(texts->count + 1, sizeof(*dates->items));
    if (dates->items == NULL) {
        return ERR_NOMEM;
    }
    for (i = 0; i < texts->count; i++) {
        const char *problem = dates_of(str_of(texts->items[i]), &dates->items[dates->count]);

        if (problem != NULL) {
            yaml_error_at(parser->errors, access_item_node(parser->config->node, key, i), "`%s` %s",
                          texts->items[i], problem);
        } else {
            dates->count++;
        }
    }
    dates_join(dates);
    return 0;
}

/* Is a day left, of those that `dates` names? */
static bool has_some_day(const struct access_window *window)
{
    size_t i;
    int64_t day;

    for (i = 0; i < window->dates.count; i++) {
        for (day = window->dates.items[i].first; day <= window->dates.items[i].last; day++) {
            if (window_has_day(window, day)) {
                return true;
            }
        }
    }
    return false;
}

/* --- the whole --- */

static int zone_find(struct window_parser *parser, struct access_zones *zones)
{
    const char *name = parser->config->zone;
    struct err e = {0};
    int r = access_zones_get(zones, name != NULL ? name : "UTC", &parser->window->zone, &e);

    if (r != 0 && r != ERR_NOMEM) {
        yaml_error_at(parser->errors, yaml_get(parser->config->node, "zone"), "%s", e.text);
        r = 0;
    }
    return r;
}

static int window_parse(struct window_parser *parser, struct access_zones *zones)
{
    struct access_window *window = parser->window;
    size_t count_before = parser->errors->count;
    int r;

    window->answer = mem_calloc(1, sizeof(*window->answer));
    if (window->answer == NULL) {
        return ERR_NOMEM;
    }
    window->has_dates = parser->config->dates.count > 0;
    days_parse(parser);
    hours_parse(parser);
    r = dates_parse(parser, "dates", &parser->config->dates, &window->dates);
    if (r == 0) {
        r = dates_parse(parser, "except", &parser->config->except, &window->except);
    }
    if (r == 0) {
        r = zone_find(parser, zones);
    }
    if (r == 0 && parser->errors->count == count_before && window->has_dates &&
        !has_some_day(window)) {
        yaml_error_at(parser->errors, yaml_get(parser->config->node, "dates"),
                      "it never opens: none of these dates is on one of the `days` and not in "
                      "`except`");
    }
    return r;
}

int access_window_new(const struct access_window_config *config, struct access_zones *zones,
                      struct access_window **ret_window, struct yaml_errors *errors)
{
    struct access_window *window = mem_calloc(1, sizeof(*window));
    struct window_parser parser = {config, window, errors};
    size_t count_before = errors->count;
    int r;

    if (window == NULL) {
        return ERR_NOMEM;
    }
    r = window_parse(&parser, zones);
    if (r != 0 || errors->count > count_before) {
        access_window_free(window);
        window = NULL;
    }
    if (r == 0) {
        *ret_window = window;
    }
    return r;
}
