/* Sums over histograms, for those who show them. */
#include "base/histogram.h"

#include "base/str.h"

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
    for (size_t i = 0; i < ARRAY_LEN(histogram->counts); i++) {
        histogram->counts[i] += other->counts[i];
    }
    histogram->sum =
        other->sum > UINT64_MAX - histogram->sum ? UINT64_MAX : histogram->sum + other->sum;
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;

    for (size_t i = 0; i < ARRAY_LEN(histogram->counts); i++) {
        count += histogram->counts[i];
    }
    return count;
}
