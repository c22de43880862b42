/* Prometheus' text format, version 0.0.4. Numbers are written from integers: no locale, no
 * rounding. */
#include "serve/metrics.h"

void metrics_family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_single(struct buf *out, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    metrics_family(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

/* A decimal number of seconds without zeros at its end. */
static void add_seconds(struct buf *out, uint64_t value, uint64_t per_second)
{
    uint64_t rest;

    CHECK(per_second > 0);
    rest = value % per_second;
    buf_printf(out, "%llu", (unsigned long long)(value / per_second));
    if (rest > 0) {
        buf_add_char(out, '.');
    }
    while (rest > 0) {
        rest *= 10;
        buf_add_char(out, (char)('0' + rest / per_second));
        rest %= per_second;
    }
}

void metrics_seconds(struct buf *out, uint64_t value, uint64_t per_second)
{
    add_seconds(out, value, per_second);
    buf_add_char(out, '\n');
}

void metrics_label(struct buf *out, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c == '\\' || c == '"') {
            buf_add_char(out, '\\');
        }
        if (c == '\n') {
            buf_add_c(out, "\\n");
        } else {
            buf_add_char(out, c);
        }
    }
}

static void add_bucket(struct buf *out, const char *name, const char *labels)
{
    buf_printf(out, "%s_bucket{%s%sle=\"", name, labels, labels[0] != '\0' ? "," : "");
}

static void add_plain(struct buf *out, const char *name, const char *suffix, const char *labels)
{
    const char *opening = labels[0] != '\0' ? "{" : "";
    const char *closing = labels[0] != '\0' ? "}" : "";

    buf_printf(out, "%s_%s%s%s%s ", name, suffix, opening, labels, closing);
}

void metrics_histogram(struct buf *out, const char *name, const char *labels,
                       const struct histogram *histogram, const struct histogram_bounds *bounds)
{
    unsigned long long count = 0;

    for (size_t i = 0; i < bounds->count; i++) {
        count += histogram->counts[i];
        add_bucket(out, name, labels);
        add_seconds(out, bounds->upper[i], bounds->per_second);
        buf_printf(out, "\"} %llu\n", count);
    }
    count += histogram->counts[bounds->count];
    add_bucket(out, name, labels);
    buf_printf(out, "+Inf\"} %llu\n", count);
    add_plain(out, name, "sum", labels);
    metrics_seconds(out, histogram->sum, bounds->per_second);
    add_plain(out, name, "count", labels);
    buf_printf(out, "%llu\n", count);
}
