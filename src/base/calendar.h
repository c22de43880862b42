/* Days of the Gregorian calendar as numbers: days since 1970-01-01. */
#ifndef LEASED_BASE_CALENDAR_H
#define LEASED_BASE_CALENDAR_H

#include "base/err.h"
#include "base/str.h"

#define CALENDAR_DAY_S 86400

struct calendar_date {
    int64_t year;
    unsigned month; /* 1 to 12 */
    unsigned day;   /* 1 to 31 */
};

/* Any year within a hundred million; a day past its month's end counts on into the next. */
int64_t calendar_days(int64_t year, unsigned month, unsigned day);
struct calendar_date calendar_date_of(int64_t days);

/* 0 is Sunday. */
unsigned calendar_weekday(int64_t days);

bool calendar_is_leap(int64_t year);

/* The day that `seconds` since 1970-01-01 00:00 by the same clock are in. */
int64_t calendar_day_of(int64_t seconds);

/* "2026-12-24", all of it. 0 or ERR_INVALID: no such form, or no such day. */
int calendar_parse_date(struct str text, int64_t *ret_days) ATTR_MUST_USE;

#endif
