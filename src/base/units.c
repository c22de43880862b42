/* Durations, sizes, rates and times as people write them. */
#include "base/units.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MS_PER_S 1000U
#define MS_PER_M (60U * MS_PER_S)
#define MS_PER_H (60U * MS_PER_M)
#define MS_PER_D (24ULL * MS_PER_H)
#define DURATION_MAX_MS (36525ULL * MS_PER_D)

#define DAYS_PER_ERA 146097U
/* What RFC 3339 can write: 0000-01-01, which is day 306 of the era that began on 1 March of the
 * year -400, … */
#define TIME_MIN_MS (-62167219200000LL)
#define TIME_MIN_DAYS 146037U
/* … to 9999-12-31. */
#define TIME_MAX_MS 253402300799999LL

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"d", MS_PER_D}, {"h", MS_PER_H}, {"m", MS_PER_M}, {"s", MS_PER_S}, {"ms", 1},
};

static const struct unit size_units[] = {
    {"GiB", 1ULL << 30},
    {"MiB", 1ULL << 20},
    {"KiB", 1ULL << 10},
    {"GB", 1000000000ULL},
    {"MB", 1000000ULL},
    {"kB", 1000ULL},
    {"B", 1},
};

static const struct unit *unit_find(const struct unit *units, size_t count, struct str name)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (str_eq_c(name, units[i].name)) {
            return &units[i];
        }
    }
    return NULL;
}

/* Cuts the leading digits off `rest`. */
static int number_cut(struct str *rest, uint64_t *ret_value)
{
    struct str digits = {.ptr = rest->ptr, .len = 0};

    while (digits.len < rest->len && rest->ptr[digits.len] >= '0' && rest->ptr[digits.len] <= '9') {
        digits.len++;
    }
    rest->ptr += digits.len;
    rest->len -= digits.len;
    return str_parse_u64(digits, ret_value);
}

/* Cuts the leading letters off `rest`. */
static struct str letters_cut(struct str *rest)
{
    struct str word = {.ptr = rest->ptr, .len = 0};

    while (word.len < rest->len && (rest->ptr[word.len] < '0' || rest->ptr[word.len] > '9')) {
        word.len++;
    }
    rest->ptr += word.len;
    rest->len -= word.len;
    return word;
}

int units_parse_duration(struct str text, uint64_t *ret_ms)
{
    uint64_t total = 0;
    uint64_t previous_factor = UINT64_MAX;

    if (text.len == 0) {
        return ERR_INVALID;
    }
    while (text.len > 0) {
        const struct unit *unit = &duration_units[3];
        bool first = previous_factor == UINT64_MAX;
        uint64_t value;
        int r = number_cut(&text, &value);

        if (r != 0) {
            return r;
        }
        if (text.len > 0 || !first) {
            unit = unit_find(duration_units, ARRAY_LEN(duration_units), letters_cut(&text));
        }
        if (unit == NULL || unit->factor >= previous_factor) {
            return ERR_INVALID;
        }
        previous_factor = unit->factor;
        if (__builtin_mul_overflow(value, unit->factor, &value) ||
            __builtin_add_overflow(total, value, &total) || total > DURATION_MAX_MS) {
            return ERR_RANGE;
        }
    }
    *ret_ms = total;
    return 0;
}

int units_parse_size(struct str text, uint64_t *ret_bytes)
{
    const struct unit *unit = &size_units[ARRAY_LEN(size_units) - 1];
    uint64_t value;
    int r = number_cut(&text, &value);

    if (r != 0) {
        return r;
    }
    if (text.len > 0) {
        unit = unit_find(size_units, ARRAY_LEN(size_units), text);
    }
    if (unit == NULL) {
        return ERR_INVALID;
    }
    if (__builtin_mul_overflow(value, unit->factor, &value)) {
        return ERR_RANGE;
    }
    *ret_bytes = value;
    return 0;
}

int units_parse_rate(struct str text, struct units_rate *ret_rate)
{
    struct units_rate rate;
    const struct unit *unit;
    int r = number_cut(&text, &rate.count);

    if (r != 0) {
        return r;
    }
    if (text.len < 2 || text.ptr[0] != '/') {
        return ERR_INVALID;
    }
    text.ptr++;
    text.len--;
    unit = unit_find(duration_units, ARRAY_LEN(duration_units) - 1, text);
    if (unit == NULL) {
        return ERR_INVALID;
    }
    if (rate.count == 0 || rate.count > UINT32_MAX) {
        return ERR_RANGE;
    }
    rate.per_ms = unit->factor;
    *ret_rate = rate;
    return 0;
}

const char *units_format_duration(uint64_t ms, char out[UNITS_DURATION_MAX_BYTES])
{
    size_t used = 0;
    size_t i;

    out[0] = '\0';
    for (i = 0; i < ARRAY_LEN(duration_units); i++) {
        uint64_t value = ms / duration_units[i].factor;

        if (value > 0) {
            used += (size_t)snprintf(out + used, UNITS_DURATION_MAX_BYTES - used, "%llu%s",
                                     (unsigned long long)value, duration_units[i].name);
            CHECK(used < UNITS_DURATION_MAX_BYTES);
            ms %= duration_units[i].factor;
        }
    }
    if (used == 0) {
        (void)snprintf(out, UNITS_DURATION_MAX_BYTES, "0s");
    }
    return out;
}

/* Writes `value` in exactly `digits` digits. */
static char *digits_put(char *out, unsigned value, size_t digits)
{
    size_t i;

    for (i = digits; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + digits;
}

/* Three of these stand in every answer, which is why strftime doesn't make them. The calendar is
 * counted in eras of 400 years that begin on 1 March (days_from_civil's inverse, H. Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms"). */
const char *units_format_time(int64_t wall_ms, char out[UNITS_TIME_MAX_BYTES])
{
    uint64_t ms = (uint64_t)wall_ms - (uint64_t)TIME_MIN_MS;
    uint64_t days = ms / MS_PER_D + TIME_MIN_DAYS;
    unsigned rest = (unsigned)(ms % MS_PER_D);
    unsigned day_of_era = (unsigned)(days % DAYS_PER_ERA);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    unsigned month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    unsigned year =
        (unsigned)(days / DAYS_PER_ERA) * 400 + year_of_era + (month <= 2 ? 1 : 0) - 400;
    char *at = out;

    if (wall_ms < TIME_MIN_MS || wall_ms > TIME_MAX_MS) {
        memcpy(out, "invalid", sizeof("invalid"));
        return out;
    }
    at = digits_put(at, year, 4);
    *at++ = '-';
    at = digits_put(at, month, 2);
    *at++ = '-';
    at = digits_put(at, day_of_year - (153 * month_from_march + 2) / 5 + 1, 2);
    *at++ = 'T';
    at = digits_put(at, rest / MS_PER_H, 2);
    *at++ = ':';
    at = digits_put(at, rest / MS_PER_M % 60, 2);
    *at++ = ':';
    at = digits_put(at, rest / MS_PER_S % 60, 2);
    *at++ = '.';
    at = digits_put(at, rest % MS_PER_S, 3);
    memcpy(at, "Z", sizeof("Z"));
    return out;
}

/* Two or four digits and the separator behind them ('\0': none). */
static int field_cut(struct str *rest, size_t digits, char separator, int *ret_value)
{
    struct str field = {.ptr = rest->ptr, .len = digits};
    size_t size = digits + (separator != '\0' ? 1 : 0);
    uint64_t value;

    if (rest->len < size || str_parse_u64(field, &value) != 0 ||
        (separator != '\0' && rest->ptr[digits] != separator)) {
        return ERR_INVALID;
    }
    rest->ptr += size;
    rest->len -= size;
    *ret_value = (int)value;
    return 0;
}

/* "Z" or "+hh:mm" / "-hh:mm", all of `rest`. */
static int offset_parse(struct str rest, int *ret_minutes)
{
    int hours;
    int minutes;
    int sign;

    if (str_eq_c(rest, "Z") || str_eq_c(rest, "z")) {
        *ret_minutes = 0;
        return 0;
    }
    if (rest.len != 6 || (rest.ptr[0] != '+' && rest.ptr[0] != '-')) {
        return ERR_INVALID;
    }
    sign = rest.ptr[0] == '-' ? -1 : 1;
    rest.ptr++;
    rest.len--;
    if (field_cut(&rest, 2, ':', &hours) != 0 || field_cut(&rest, 2, '\0', &minutes) != 0 ||
        hours > 23 || minutes > 59) {
        return ERR_INVALID;
    }
    *ret_minutes = sign * (hours * 60 + minutes);
    return 0;
}

int units_parse_time(struct str text, int64_t *ret_wall_ms)
{
    struct tm tm = {0};
    struct tm back;
    int offset = 0;
    int64_t fraction = 0;
    int64_t scale = 100;
    int64_t wall_ms;
    time_t seconds;

    if (field_cut(&text, 4, '-', &tm.tm_year) != 0 || field_cut(&text, 2, '-', &tm.tm_mon) != 0 ||
        field_cut(&text, 2, '\0', &tm.tm_mday) != 0 || text.len == 0 ||
        (text.ptr[0] != 'T' && text.ptr[0] != 't' && text.ptr[0] != ' ')) {
        return ERR_INVALID;
    }
    text.ptr++;
    text.len--;
    if (field_cut(&text, 2, ':', &tm.tm_hour) != 0 || field_cut(&text, 2, ':', &tm.tm_min) != 0 ||
        field_cut(&text, 2, '\0', &tm.tm_sec) != 0) {
        return ERR_INVALID;
    }
    if (text.len > 0 && text.ptr[0] == '.') {
        for (text.ptr++, text.len--; text.len > 0 && text.ptr[0] >= '0' && text.ptr[0] <= '9';
             text.ptr++, text.len--) {
            fraction += (text.ptr[0] - '0') * scale;
            scale /= 10;
        }
    }
    if (offset_parse(text, &offset) != 0) {
        return ERR_INVALID;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    back = tm;
    seconds = timegm(&back);
    /* timegm normalises the 31st of February; a time that it had to change was none. */
    if (back.tm_mday != tm.tm_mday || back.tm_mon != tm.tm_mon || back.tm_hour != tm.tm_hour ||
        back.tm_min != tm.tm_min) {
        return ERR_INVALID;
    }
    wall_ms = ((int64_t)seconds - (int64_t)offset * 60) * 1000 + fraction;
    /* An offset can lead out of the years that can be written. */
    if (wall_ms < TIME_MIN_MS || wall_ms > TIME_MAX_MS) {
        return ERR_INVALID;
    }
    *ret_wall_ms = wall_ms;
    return 0;
}
