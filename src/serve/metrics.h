/* Prometheus' text format, and who writes which families. Internal to this folder.
 *
 * metrics.c: the answer, leases, requests. metrics_backend.c: per backend. metrics_process.c: the
 * process and its loop. metrics_text.c: the format. */
#ifndef LEASED_SERVE_METRICS_H
#define LEASED_SERVE_METRICS_H

#include "base/histogram.h"
#include "serve/exchange.h"

/* The head of a family; `type` is "gauge", "counter" or "histogram". */
void metrics_family(struct buf *out, const char *name, const char *type, const char *help);

/* A family of one sample without labels. */
void metrics_single(struct buf *out, const char *name, const char *type, const char *help,
                    uint64_t value);

/* `value` of which `per_second` make a second, as seconds, and a line's end. */
void metrics_seconds(struct buf *out, uint64_t value, uint64_t per_second);

/* A label's value, escaped, without its quotes. */
void metrics_label(struct buf *out, struct str value);

/* The samples of one histogram; `labels` is "", or `name="value",…` without braces. */
void metrics_histogram(struct buf *out, const char *name, const char *labels,
                       const struct histogram *histogram, const struct histogram_bounds *bounds);

void metrics_write_backends(const struct serve *serve, struct buf *out);
void metrics_write_process(const struct serve *serve, struct buf *out);

/* How long requests took, in microseconds. */
extern const struct histogram_bounds metrics_request_bounds;

#endif
