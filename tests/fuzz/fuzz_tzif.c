/* Time zone files: what is taken says something sane about every moment, and time goes on. */
#include "base/check.h"
#include "wire/tzif.h"

#include <string.h>

#define STEPS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void walk(const struct tzif *zone, int64_t at_s)
{
    struct tzif_span span;
    struct tzif_span last;
    int i;

    for (i = 0; i < STEPS_MAX; i++) {
        tzif_at(zone, at_s, &span);
        CHECK(span.until_s > at_s);
        CHECK(span.offset_s >= TZIF_OFFSET_MIN_S);
        CHECK(span.offset_s <= TZIF_OFFSET_MAX_S);
        CHECK(memchr(span.abbreviation, '\0', sizeof(span.abbreviation)) != NULL);
        if (span.until_s > TZIF_MOMENT_MAX_S) {
            return;
        }
        /* It holds up to its end. */
        tzif_at(zone, span.until_s - 1, &last);
        CHECK(last.until_s == span.until_s);
        CHECK(last.offset_s == span.offset_s);
        at_s = span.until_s;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct tzif *zone = NULL;

    if (tzif_parse((struct str){(const char *)bytes, size}, &zone, NULL) == 0) {
        walk(zone, -(INT64_C(1) << 50));
        walk(zone, 0);
        walk(zone, INT64_C(1790000000));
        walk(zone, INT64_C(253402300800));
        tzif_free(zone);
    }
    return 0;
}
