/* Years begin in March here, so that the leap day is the last, and are counted in eras of 400. */
#include "base/calendar.h"

#define ERA_YEARS 400
#define ERA_DAYS 146097
#define EPOCH_DAYS 719468 /* from 0000-03-01 to 1970-01-01 */

static int64_t floor_divide(int64_t value, int64_t by)
{
    return value / by - (value % by < 0 ? 1 : 0);
}

int64_t calendar_days(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t era = floor_divide(y, ERA_YEARS);
    int64_t of_era = y - era * ERA_YEARS;
    int64_t from_march = month > 2 ? month - 3 : month + 9;
    int64_t of_year = (153 * from_march + 2) / 5 + day - 1;

    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

struct calendar_date calendar_date_of(int64_t days)
{
    int64_t era = floor_divide(days + EPOCH_DAYS, ERA_DAYS);
    int64_t of_era = days + EPOCH_DAYS - era * ERA_DAYS;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / (ERA_DAYS - 1)) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t from_march = (5 * of_year + 2) / 153;

    return (struct calendar_date){
        .year = era * ERA_YEARS + year + (from_march >= 10 ? 1 : 0),
        .month = (unsigned)(from_march < 10 ? from_march + 3 : from_march - 9),
        .day = (unsigned)(of_year - (153 * from_march + 2) / 5 + 1),
    };
}

unsigned calendar_weekday(int64_t days)
{
    /* 1970-01-01 was a Thursday. */
    return (unsigned)(days + 4 - floor_divide(days + 4, 7) * 7);
}

bool calendar_is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int64_t calendar_day_of(int64_t seconds)
{
    return floor_divide(seconds, CALENDAR_DAY_S);
}

int calendar_parse_date(struct str text, int64_t *ret_days)
{
    uint64_t year;
    uint64_t month;
    uint64_t day;
    struct calendar_date back;
    int64_t days;

    if (text.len != sizeof("2026-12-24") - 1 || text.ptr[4] != '-' || text.ptr[7] != '-' ||
        str_parse_u64((struct str){text.ptr, 4}, &year) != 0 ||
        str_parse_u64((struct str){text.ptr + 5, 2}, &month) != 0 ||
        str_parse_u64((struct str){text.ptr + 8, 2}, &day) != 0 || month < 1 || month > 12) {
        return ERR_INVALID;
    }
    days = calendar_days((int64_t)year, (unsigned)month, (unsigned)day);
    back = calendar_date_of(days);
    if (back.month != month || back.day != day) {
        return ERR_INVALID;
    }
    *ret_days = days;
    return 0;
}
