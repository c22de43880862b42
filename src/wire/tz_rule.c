/* A year's two changes are moments that the rule gives by the wall clock before each; what holds at
 * a moment is what the last change before it began. A change can be up to a week outside of its
 * year, so that two years on both sides have one before and one after for certain. */
#include "wire/tz_rule.h"

#include "base/calendar.h"

#include <stdio.h>

#define OFFSET_MAX_H 24U
#define TIME_MAX_H 167U
#define NAME_MIN_BYTES 3U
#define YEARS 5

/* --- parsing --- */

static bool take(struct str *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c) {
        return false;
    }
    rest->ptr++;
    rest->len--;
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool number_take(struct str *rest, unsigned max, unsigned *ret_value)
{
    unsigned value = 0;
    size_t count = 0;

    while (count < rest->len && is_digit(rest->ptr[count]) && value <= max) {
        value = value * 10 + (unsigned)(rest->ptr[count++] - '0');
    }
    if (count == 0 || value > max) {
        return false;
    }
    rest->ptr += count;
    rest->len -= count;
    *ret_value = value;
    return true;
}

/* "CEST", or what a "<+03>" has between its brackets. */
static bool name_take(struct str *rest, char ret_name[TZIF_ABBREVIATION_MAX_BYTES])
{
    bool is_quoted = take(rest, '<');
    const char *from = rest->ptr;
    size_t count = 0;

    while (count < rest->len &&
           (is_letter(from[count]) ||
            (is_quoted && (is_digit(from[count]) || from[count] == '+' || from[count] == '-')))) {
        count++;
    }
    rest->ptr += count;
    rest->len -= count;
    if (count < NAME_MIN_BYTES || (is_quoted && !take(rest, '>'))) {
        return false;
    }
    (void)snprintf(ret_name, TZIF_ABBREVIATION_MAX_BYTES, "%.*s", (int)count, from);
    return true;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool time_take(struct str *rest, unsigned hours_max, int32_t *ret_s)
{
    bool is_negative = take(rest, '-');
    unsigned hours;
    unsigned minutes = 0;
    unsigned seconds = 0;
    int32_t total;

    if (!is_negative) {
        (void)take(rest, '+');
    }
    if (!number_take(rest, hours_max, &hours) ||
        (take(rest, ':') && (!number_take(rest, 59, &minutes) ||
                             (take(rest, ':') && !number_take(rest, 59, &seconds))))) {
        return false;
    }
    total = (int32_t)(hours * 3600 + minutes * 60 + seconds);
    *ret_s = is_negative ? -total : total;
    return true;
}

/* POSIX counts offsets from the place to Greenwich. */
static bool offset_take(struct str *rest, int32_t *ret_offset_s)
{
    int32_t west;

    if (!time_take(rest, OFFSET_MAX_H, &west)) {
        return false;
    }
    *ret_offset_s = -west;
    return true;
}

static bool change_take(struct str *rest, struct tz_rule_change *ret_change)
{
    struct tz_rule_change change = {.form = TZ_RULE_ORDINAL, .time_s = 2 * 3600};
    bool is_ok;

    if (take(rest, 'M')) {
        change.form = TZ_RULE_WEEKDAY;
        is_ok = number_take(rest, 12, &change.month) && change.month > 0 && take(rest, '.') &&
                number_take(rest, 5, &change.week) && change.week > 0 && take(rest, '.') &&
                number_take(rest, 6, &change.day);
    } else if (take(rest, 'J')) {
        change.form = TZ_RULE_JULIAN;
        is_ok = number_take(rest, 365, &change.day) && change.day > 0;
    } else {
        is_ok = number_take(rest, 365, &change.day);
    }
    if (!is_ok || (take(rest, '/') && !time_take(rest, TIME_MAX_H, &change.time_s))) {
        return false;
    }
    *ret_change = change;
    return true;
}

static bool dst_take(struct str *rest, struct tz_rule *rule)
{
    rule->has_dst = true;
    rule->dst.offset_s = rule->standard.offset_s + 3600;
    if (!name_take(rest, rule->dst.abbreviation) ||
        (rest->len > 0 && rest->ptr[0] != ',' && !offset_take(rest, &rule->dst.offset_s))) {
        return false;
    }
    return take(rest, ',') && change_take(rest, &rule->start) && take(rest, ',') &&
           change_take(rest, &rule->end);
}

int tz_rule_parse(struct str text, struct tz_rule *ret_rule)
{
    struct tz_rule rule = {.has_dst = false};
    struct str rest = text;

    if (!name_take(&rest, rule.standard.abbreviation) ||
        !offset_take(&rest, &rule.standard.offset_s) || (rest.len > 0 && !dst_take(&rest, &rule)) ||
        rest.len > 0) {
        return ERR_INVALID;
    }
    *ret_rule = rule;
    return 0;
}

/* --- what holds --- */

static int64_t change_day(const struct tz_rule_change *change, int64_t year)
{
    int64_t first = calendar_days(year, 1, 1);
    int64_t month_first;
    int64_t month_after;
    int64_t day;

    if (change->form == TZ_RULE_ORDINAL) {
        return first + change->day;
    }
    if (change->form == TZ_RULE_JULIAN) {
        return first + change->day - 1 + (calendar_is_leap(year) && change->day > 59 ? 1 : 0);
    }
    month_first = calendar_days(year, change->month, 1);
    month_after = change->month < 12 ? calendar_days(year, change->month + 1, 1)
                                     : calendar_days(year + 1, 1, 1);
    day = month_first + (7 + change->day - calendar_weekday(month_first)) % 7 +
          7 * ((int64_t)change->week - 1);
    while (day >= month_after) {
        day -= 7;
    }
    return day;
}

struct change {
    int64_t at_s;
    const struct tz_rule_type *type;
};

/* By time; of two at the same moment the start of daylight saving time is the later, because a year
 * that has nothing else is written so. */
static void changes_sort(struct change *changes, size_t count, const struct tz_rule_type *dst)
{
    size_t i;
    size_t k;

    for (i = 1; i < count; i++) {
        struct change moved = changes[i];

        for (k = i; k > 0 && (changes[k - 1].at_s > moved.at_s ||
                              (changes[k - 1].at_s == moved.at_s && changes[k - 1].type == dst));
             k--) {
            changes[k] = changes[k - 1];
        }
        changes[k] = moved;
    }
}

static void span_fill(const struct tz_rule_type *type, bool is_dst, int64_t until_s,
                      struct tzif_span *ret_span)
{
    ret_span->until_s = until_s;
    ret_span->offset_s = type->offset_s;
    ret_span->is_dst = is_dst;
    memcpy(ret_span->abbreviation, type->abbreviation, sizeof(type->abbreviation));
}

void tz_rule_at(const struct tz_rule *rule, int64_t unix_s, struct tzif_span *ret_span)
{
    struct change changes[2 * YEARS];
    size_t count = 0;
    size_t i = 0;
    int64_t year;

    if (!rule->has_dst) {
        span_fill(&rule->standard, false, INT64_MAX, ret_span);
        return;
    }
    year = calendar_date_of(calendar_day_of(unix_s + rule->standard.offset_s)).year - 2;
    for (; count < ARRAY_LEN(changes); year++) {
        changes[count++] = (struct change){
            change_day(&rule->start, year) * CALENDAR_DAY_S + rule->start.time_s -
                rule->standard.offset_s,
            &rule->dst,
        };
        changes[count++] = (struct change){
            change_day(&rule->end, year) * CALENDAR_DAY_S + rule->end.time_s - rule->dst.offset_s,
            &rule->standard,
        };
    }
    changes_sort(changes, count, &rule->dst);
    while (i + 2 < count && changes[i + 1].at_s <= unix_s) {
        i++;
    }
    span_fill(changes[i].type, changes[i].type == &rule->dst, changes[i + 1].at_s, ret_span);
}
