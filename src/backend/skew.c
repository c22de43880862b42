/* The issuer's clock beside ours. */
#include "backend/skew.h"

#include "base/log.h"
#include "wire/http_date.h"

#include <stdio.h>

/* A date is cut to its second: on average half a second has passed since. */
#define HALF_SECOND_MS 500

void skew_heard(struct skew *skew, const char *name, struct str date, int64_t wall_ms)
{
    bool was_large = skew->is_large;
    int64_t date_ms;
    char text[64];

    if (http_date_parse(date, &date_ms) != 0) {
        return;
    }
    skew->ms = date_ms + HALF_SECOND_MS - wall_ms;
    skew->is_known = true;
    skew->is_large = skew->ms >= SKEW_WARN_MS || skew->ms <= -SKEW_WARN_MS;
    if (skew->is_large == was_large) {
        return;
    }
    (void)snprintf(text, sizeof(text), "the issuer's clock differs by %lld s",
                   (long long)(skew->ms / 1000));
    log_event(skew->is_large ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
              skew->is_large ? "backend.clock.differs" : "backend.clock.agrees", "backend", name,
              "detail", text, NULL);
}
