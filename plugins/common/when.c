/* Read by position and digit: no locale, no time zone, nothing of the process's. */
#include "when.h"

#include <string.h>

#define DAY_S 86400
#define HTTP_LEN 29U
#define RFC3339_LEAST 20U
#define DURATION_MAX_S INT64_C(3153600000) /* a hundred years */

/* `count` digits at `at`; -1: they aren't. */
static int64_t digits(struct leased_str text, size_t at, size_t count)
{
    int64_t value = 0;

    if (at + count > text.len) {
        return -1;
    }
    for (size_t i = at; i < at + count; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return -1;
        }
        value = value * 10 + (text.ptr[i] - '0');
    }
    return value;
}

/* Days since 1970-01-01 in the Gregorian calendar; month 1 to 12. Years begin in March here, so
 * that the leap day is the last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t m = month > 2 ? month - 3 : month + 9;

    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

/* "hh:mm:ss" at `at`, as seconds of the day; -1: it isn't. */
static int64_t time_of(struct leased_str text, size_t at)
{
    int64_t hour = digits(text, at, 2);
    int64_t minute = digits(text, at + 3, 2);
    int64_t second = digits(text, at + 6, 2);

    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 ||
        text.ptr[at + 2] != ':' || text.ptr[at + 5] != ':') {
        return -1;
    }
    return hour * 3600 + minute * 60 + second;
}

static int64_t join(int64_t year, int64_t month, int64_t day, int64_t time_s)
{
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || time_s < 0) {
        return -1;
    }
    return days_of(year, month, day) * DAY_S + time_s;
}

int64_t plugin_when_http(struct leased_str text)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t month = 0;

    if (text.len != HTTP_LEN || memcmp(text.ptr + 25, " GMT", 4) != 0) {
        return -1;
    }
    for (size_t i = 0; i < 12; i++) {
        if (memcmp(text.ptr + 8, months + 3 * i, 3) == 0) {
            month = (int64_t)i + 1;
        }
    }
    return join(digits(text, 12, 4), month, digits(text, 5, 2), time_of(text, 17));
}

/* "Z" or "+hh:mm" at the end, in seconds; INT64_MIN: neither. */
static int64_t offset_of(struct leased_str text, size_t at)
{
    int64_t hour = digits(text, at + 1, 2);
    int64_t minute = digits(text, at + 4, 2);

    if (text.len == at + 1 && text.ptr[at] == 'Z') {
        return 0;
    }
    if (text.len != at + 6 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        text.ptr[at + 3] != ':' || (text.ptr[at] != '+' && text.ptr[at] != '-')) {
        return INT64_MIN;
    }
    return (text.ptr[at] == '+' ? 1 : -1) * (hour * 3600 + minute * 60);
}

int64_t plugin_when_rfc3339(struct leased_str text)
{
    size_t at = 19;
    int64_t moment_s;
    int64_t offset_s;

    if (text.len < RFC3339_LEAST || text.ptr[4] != '-' || text.ptr[7] != '-' ||
        text.ptr[10] != 'T') {
        return -1;
    }
    moment_s = join(digits(text, 0, 4), digits(text, 5, 2), digits(text, 8, 2), time_of(text, 11));
    if (text.ptr[at] == '.') {
        do {
            at++;
        } while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9');
    }
    offset_s = at < text.len ? offset_of(text, at) : INT64_MIN;
    return moment_s < 0 || offset_s == INT64_MIN ? -1 : moment_s - offset_s;
}

int64_t plugin_when_duration(struct leased_str text)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', DAY_S}};
    int64_t total_s = 0;
    size_t at = 0;

    while (at < text.len) {
        size_t count = 0;
        int64_t factor = 0;
        int64_t value;

        while (at + count < text.len && count < 10 && text.ptr[at + count] >= '0' &&
               text.ptr[at + count] <= '9') {
            count++;
        }
        value = digits(text, at, count);
        at += count;
        for (size_t i = 0; at < text.len && i < sizeof(units) / sizeof(units[0]); i++) {
            factor = units[i].unit == text.ptr[at] ? units[i].seconds : factor;
        }
        if (at == text.len && total_s == 0) {
            factor = 1; /* a plain number */
        }
        if (count == 0 || factor == 0 || value > DURATION_MAX_S) {
            return -1;
        }
        total_s += value * factor;
        if (total_s > DURATION_MAX_S) {
            return -1;
        }
        at++;
    }
    return text.len > 0 ? total_s : -1;
}
