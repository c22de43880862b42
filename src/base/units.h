/* Durations, sizes, rates and times as people write them: config, API parameters, command line. */
#ifndef LEASED_BASE_UNITS_H
#define LEASED_BASE_UNITS_H

#include "base/err.h"
#include "base/str.h"

/* "90s", "15m", "1h30m", "24h", "7d", "250ms", or plain seconds. 0 or ERR_INVALID / ERR_RANGE (over
 * 100 years). */
int units_parse_duration(struct str text, uint64_t *ret_ms) ATTR_MUST_USE;

/* "64MiB", "16KiB", "1GiB", "10MB", or plain bytes. 0 or ERR_INVALID / ERR_RANGE. */
int units_parse_size(struct str text, uint64_t *ret_bytes) ATTR_MUST_USE;

/* A rate: `count` events in `per_ms`. */
struct units_rate {
    uint64_t count;
    uint64_t per_ms;
};

/* "50/s", "10/m" (a minute), "20/h", "5/d". 0 or ERR_INVALID / ERR_RANGE. */
int units_parse_rate(struct str text, struct units_rate *ret_rate) ATTR_MUST_USE;

#define UNITS_DURATION_MAX_BYTES 32
#define UNITS_TIME_MAX_BYTES 32

/* The shortest exact form in d, h, m, s (ms only below a second or when not whole): "1h30m", "0s".
 * Returns `out`. */
const char *units_format_duration(uint64_t ms, char out[UNITS_DURATION_MAX_BYTES]);

/* RFC 3339 in UTC with milliseconds: "2026-11-22T20:35:00.123Z". Returns `out`. */
const char *units_format_time(int64_t wall_ms, char out[UNITS_TIME_MAX_BYTES]);

/* Parses RFC 3339 (any offset, any fraction). 0 or ERR_INVALID. */
int units_parse_time(struct str text, int64_t *ret_wall_ms) ATTR_MUST_USE;

#endif
