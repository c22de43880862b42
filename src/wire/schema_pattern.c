/* Patterns of the JSON Schema for scalars that are written as text: which numbers are in a field's
 * range, with each unit that they may have. A range of numbers is split into spans of one length in
 * which each digit has a range of its own: 8 to 123 is 8-9, 10-99, 100-119, 120-123. Only a
 * duration of several parts, such as 1h30m, is known by its form alone. */
#include "wire/schema_internal.h"

#include "wire/json_out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATTERN_MAX_BYTES 8192U
#define DIGITS_MAX_BYTES 32
/* Where a field has no maximum: more is refused for its length. */
#define NUMBER_MAX 999999999999999999ULL
#define DURATION_MAX_MS (36525ULL * 24U * 3600U * 1000U)

#define COMPOUND "(?=[0-9]+[a-z]+[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m(?!s))?([0-9]+s)?([0-9]+ms)?"

struct pattern_unit {
    const char *name;
    uint64_t factor;
};

static const struct pattern_unit duration_units[] = {{"", 1000},        {"s", 1000},
                                                     {"ms", 1},         {"m", 60000ULL},
                                                     {"h", 3600000ULL}, {"d", 86400000ULL}};
static const struct pattern_unit size_units[] = {{"", 1},
                                                 {"B", 1},
                                                 {"kB", 1000},
                                                 {"MB", 1000000},
                                                 {"GB", 1000000000},
                                                 {"KiB", 1ULL << 10},
                                                 {"MiB", 1ULL << 20},
                                                 {"GiB", 1ULL << 30}};
static const struct pattern_unit percent_units[] = {{"%", 1}};
static const struct pattern_unit no_units[] = {{"", 1}};

static void span_add(struct buf *out, uint64_t low, uint64_t high, unsigned base)
{
    char first[DIGITS_MAX_BYTES];
    char last[DIGITS_MAX_BYTES];
    size_t i;

    (void)snprintf(first, sizeof(first), base == 8 ? "%" PRIo64 : "%" PRIu64, low);
    (void)snprintf(last, sizeof(last), base == 8 ? "%" PRIo64 : "%" PRIu64, high);
    for (i = 0; first[i] != '\0'; i++) {
        if (first[i] == last[i]) {
            buf_add_char(out, first[i]);
        } else {
            buf_printf(out, "[%c-%c]", first[i], last[i]);
        }
    }
}

/* The last number up to which only the digits that end `low` in zeros, and the one before them, go
 * from one end of their range to the other. */
static uint64_t span_end(uint64_t low, uint64_t high, unsigned base)
{
    uint64_t unit = 1;
    uint64_t end;

    while (low != 0 && low % (unit * base) == 0 && low + unit * base - 1 <= high) {
        unit *= base;
    }
    end = low + unit - 1;
    while (low != 0 && (end + 1) / unit % base != 0 && end + unit <= high) {
        end += unit;
    }
    return end;
}

/* `low` to `high` without leading zeros: "[8-9]|[1-9][0-9]|1[0-1][0-9]|12[0-3]". */
static void range_add(struct buf *out, uint64_t low, uint64_t high, unsigned base)
{
    bool is_first = true;

    while (low <= high) {
        uint64_t end = span_end(low, high, base);

        buf_add_c(out, is_first ? "" : "|");
        span_add(out, low, end, base);
        is_first = false;
        low = end + 1;
    }
}

static void numbers_add(struct buf *out, const struct schema_field *field,
                        const struct pattern_unit *units, size_t unit_count)
{
    uint64_t max = field->max;
    bool is_first = true;
    size_t i;

    if (max == 0) {
        max = field->type == SCHEMA_DURATION ? DURATION_MAX_MS : NUMBER_MAX;
    }
    for (i = 0; i < unit_count; i++) {
        uint64_t low = (field->min + units[i].factor - 1) / units[i].factor;
        uint64_t high = max / units[i].factor;

        if (low > high) {
            continue;
        }
        buf_add_c(out, is_first ? "0*(" : "|0*(");
        range_add(out, low, high, 10);
        buf_printf(out, ")%s", units[i].name);
        is_first = false;
    }
}

/* Three to five digits, and no more than three are not 0. */
static void mode_add(struct buf *out, const struct schema_field *field)
{
    if (field->min < 0100 || field->max == 0 || field->max > 0777) {
        buf_add_c(out, "[0-7]{3,5}");
        return;
    }
    buf_add_c(out, "0{0,2}(");
    range_add(out, field->min, field->max, 8);
    buf_add_char(out, ')');
}

void schema_pattern_write(struct json_out *json, const struct schema_field *field)
{
    BUF_AUTO text;

    buf_init(&text, PATTERN_MAX_BYTES);
    buf_add_c(&text, "^(");
    switch (field->type) {
    case SCHEMA_DURATION:
        numbers_add(&text, field, duration_units, ARRAY_LEN(duration_units));
        buf_add_c(&text, "|" COMPOUND);
        break;
    case SCHEMA_SIZE:
        numbers_add(&text, field, size_units, ARRAY_LEN(size_units));
        break;
    case SCHEMA_PERCENT:
        numbers_add(&text, field, percent_units, ARRAY_LEN(percent_units));
        break;
    case SCHEMA_MODE:
        mode_add(&text, field);
        break;
    default:
        numbers_add(&text, field, no_units, ARRAY_LEN(no_units));
        break;
    }
    buf_add_c(&text, ")$");
    CHECK(buf_status(&text) != ERR_TOO_LARGE);
    json_out_string(json, "pattern", buf_str(&text));
}
