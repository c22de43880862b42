/* How often values fell between bounds, for metrics. Adding is one increment, on the hot path too.
 *
 * Bounds are a static table shared by all histograms of a kind; a value equal to a bound belongs
 * below it, as in Prometheus. The unit is the caller's. */
#ifndef LEASED_BASE_HISTOGRAM_H
#define LEASED_BASE_HISTOGRAM_H

#include "base/check.h"

#include <stdint.h>

#define HISTOGRAM_BOUNDS_MAX 16U

struct histogram_bounds {
    uint64_t per_second; /* how many of the unit make a second */
    size_t count;
    uint64_t upper[HISTOGRAM_BOUNDS_MAX]; /* ascending */
};

/* Zero-initialised: empty. */
struct histogram {
    uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1]; /* not cumulated; [bounds->count]: what is above */
    uint64_t sum;                              /* saturates */
};

/* Most values are small, so looking from below ends early. */
static inline void histogram_add(struct histogram *histogram, const struct histogram_bounds *bounds,
                                 uint64_t value)
{
    size_t i = 0;

    while (i < bounds->count && value > bounds->upper[i]) {
        i++;
    }
    histogram->counts[i]++;
    histogram->sum = value > UINT64_MAX - histogram->sum ? UINT64_MAX : histogram->sum + value;
}

/* Adds what another of the same kind has counted. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

uint64_t histogram_count(const struct histogram *histogram);

#endif
