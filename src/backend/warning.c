/* Issuers' warnings, remembered by their hash so that an issuer that repeats itself with every
 * credential is logged once. */
#include "backend/warning.h"

#include "backend/host.h"
#include "base/log.h"

#define TEXT_MAX_BYTES 256U
#define MINUTE_MS 60000U

/* FNV-1a: whoever makes two texts collide hides a warning of his own. */
static uint64_t hash_of(struct str text, struct str role)
{
    uint64_t hash = 0xcbf29ce484222325U;

    for (size_t i = 0; i < role.len; i++) {
        hash = (hash ^ (unsigned char)role.ptr[i]) * 0x100000001b3U;
    }
    hash *= 0x100000001b3U;
    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ (unsigned char)text.ptr[i]) * 0x100000001b3U;
    }
    return hash != 0 ? hash : 1;
}

/* Its place, or the one that was logged longest ago. */
static struct warning_known *place_of(struct warnings *warnings, uint64_t hash)
{
    struct warning_known *place = &warnings->known[0];

    for (size_t i = 0; i < WARNINGS_KNOWN_MAX; i++) {
        struct warning_known *known = &warnings->known[i];

        if (known->hash == hash) {
            return known;
        }
        if (known->logged_ms < place->logged_ms) {
            place = known;
        }
    }
    return place;
}

void warning_log(struct warnings *warnings, const char *backend, const char *role,
                 struct leased_str text, uint64_t now_ms)
{
    uint64_t hash = hash_of(host_str(text), str_of(role));
    struct warning_known *place = place_of(warnings, hash);
    char line[TEXT_MAX_BYTES];

    if (text.len == 0 || (place->hash == hash && now_ms - place->logged_ms < WARNING_AGAIN_MS)) {
        return;
    }
    if (now_ms - warnings->minute_ms >= MINUTE_MS) {
        warnings->minute_ms = now_ms;
        warnings->minute_count = 0;
    }
    if (warnings->minute_count >= WARNINGS_PER_MINUTE_MAX) {
        warnings->dropped_total++;
        return;
    }
    warnings->minute_count++;
    *place = (struct warning_known){.hash = hash, .logged_ms = now_ms};
    log_event(LOG_LEVEL_WARN, "issuer.warning", "backend", backend, "role", role, "detail",
              host_line(text, line, sizeof(line)), NULL);
}
