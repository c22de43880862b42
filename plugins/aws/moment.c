/* Calendar by arithmetic: no locale, no time zone, nothing of the process's. */
#include "moment.h"

#include <stdio.h>

#define DAY_S 86400
#define LAST_S INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
#define ERA_DAYS 146097U             /* of 400 years */

struct civil {
    unsigned year;
    unsigned month;
    unsigned day;
    unsigned hour;
    unsigned minute;
    unsigned second;
};

/* Years begin in March here, so that the leap day is the last. The remainders say to the compiler
 * how many digits there are. */
static struct civil civil_of(int64_t when_s)
{
    uint64_t s = when_s < 0 ? 0 : (uint64_t)(when_s > LAST_S ? LAST_S : when_s);
    unsigned days = (unsigned)(s / DAY_S) + 719468U;
    unsigned of_day = (unsigned)(s % DAY_S);
    unsigned of_era = days % ERA_DAYS;
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * of_year + 2) / 153;

    return (struct civil){
        .year = (year + days / ERA_DAYS * 400 + (month < 10 ? 0 : 1)) % 10000,
        .month = (month < 10 ? month + 3 : month - 9) % 100,
        .day = (of_year - (153 * month + 2) / 5 + 1) % 100,
        .hour = of_day / 3600 % 100,
        .minute = of_day / 60 % 60,
        .second = of_day % 60,
    };
}

void aws_moment_basic(int64_t when_s, char out[AWS_MOMENT_BASIC_BYTES])
{
    struct civil c = civil_of(when_s);

    (void)snprintf(out, AWS_MOMENT_BASIC_BYTES, "%04u%02u%02uT%02u%02u%02uZ", c.year, c.month,
                   c.day, c.hour, c.minute, c.second);
}

void aws_moment_iso(int64_t when_s, char out[AWS_MOMENT_ISO_BYTES])
{
    struct civil c = civil_of(when_s);

    (void)snprintf(out, AWS_MOMENT_ISO_BYTES, "%04u-%02u-%02uT%02u:%02u:%02uZ", c.year, c.month,
                   c.day, c.hour, c.minute, c.second);
}
