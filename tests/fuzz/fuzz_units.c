/* Durations, sizes, rates and times, and dates of HTTP headers: whatever the text is, parsing ends,
 * and what was understood is written and read again as the same value. */
#include "base/units.h"
#include "wire/http_date.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A hundred years. */
#define DURATION_MAX_MS (100ULL * 366 * 24 * 3600 * 1000)

static void check_duration(struct str text)
{
    char out[UNITS_DURATION_MAX_BYTES];
    uint64_t first_ms = 1;
    uint64_t second_ms = 2;

    if (units_parse_duration(text, &first_ms) == 0) {
        CHECK(first_ms <= DURATION_MAX_MS);
        (void)units_format_duration(first_ms, out);
        CHECK(units_parse_duration(str_of(out), &second_ms) == 0);
        CHECK(first_ms == second_ms);
    }
}

static void check_time(struct str text)
{
    char out[UNITS_TIME_MAX_BYTES];
    int64_t first_ms = 1;
    int64_t second_ms = 2;

    if (units_parse_time(text, &first_ms) == 0) {
        (void)units_format_time(first_ms, out);
        CHECK(units_parse_time(str_of(out), &second_ms) == 0);
        CHECK(first_ms == second_ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = {.ptr = (const char *)bytes, .len = size};
    struct units_rate rate;
    uint64_t size_bytes;
    int64_t wall_ms;

    check_duration(text);
    check_time(text);
    if (units_parse_rate(text, &rate) == 0) {
        CHECK(rate.per_ms > 0);
    }
    if (http_date_parse(text, &wall_ms) == 0) {
        CHECK(wall_ms % 1000 == 0);
        CHECK(text.len == strlen("Wed, 21 Oct 2026 07:28:00 GMT"));
    }
    (void)!units_parse_size(text, &size_bytes);
    return 0;
}
