/* Dates in HTTP headers: put into the order of RFC 3339, which base/units.h reads. */
#include "wire/http_date.h"

#include "base/err.h"
#include "base/units.h"

#include <stdio.h>

#define DATE_BYTES (sizeof("Wed, 21 Oct 2026 07:28:00 GMT") - 1)

int http_date_parse(struct str text, int64_t *ret_wall_ms)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char time[sizeof("2026-10-21T07:28:00Z")];
    unsigned month = 0;

    if (text.len != DATE_BYTES || memcmp(text.ptr + 3, ", ", 2) != 0 || text.ptr[7] != ' ' ||
        text.ptr[11] != ' ' || text.ptr[16] != ' ' || memcmp(text.ptr + 25, " GMT", 4) != 0) {
        return ERR_INVALID;
    }
    while (month < ARRAY_LEN(months) && memcmp(text.ptr + 8, months[month], 3) != 0) {
        month++;
    }
    if (month == ARRAY_LEN(months)) {
        return ERR_INVALID;
    }
    (void)snprintf(time, sizeof(time), "%.4s-%02u-%.2sT%.8sZ", text.ptr + 12, month + 1,
                   text.ptr + 5, text.ptr + 17);
    return units_parse_time(str_of(time), ret_wall_ms) == 0 ? 0 : ERR_INVALID;
}
