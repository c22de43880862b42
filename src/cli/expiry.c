/* Until when a program may keep a credential. */
#include "cli/expiry.h"

#include "base/units.h"

#include <jansson.h>
#include <string.h>

/* A time of the answer; INT64_MAX: it says none. */
static int64_t time_of(const struct format_credential *credential, const char *key)
{
    const char *text = json_string_value(json_object_get(credential->document, key));
    int64_t wall_ms;

    return text != NULL && units_parse_time(str_of(text), &wall_ms) == 0 ? wall_ms : INT64_MAX;
}

int expiry_seconds(const struct format_credential *credential, int64_t *ret_seconds)
{
    int64_t expires_ms = time_of(credential, "expires_at");
    int64_t until_ms = time_of(credential, "until");
    int64_t end_ms = expires_ms < until_ms ? expires_ms : until_ms;

    if (end_ms == INT64_MAX) {
        return ERR_NOT_FOUND;
    }
    *ret_seconds = end_ms / 1000;
    return 0;
}

int expiry_text(const struct format_credential *credential, char out[EXPIRY_TEXT_BYTES])
{
    static const char end[] = "Z";
    char text[UNITS_TIME_MAX_BYTES];
    int64_t seconds;
    int r = expiry_seconds(credential, &seconds);

    if (r == 0) {
        (void)units_format_time(seconds * 1000, text);
        memcpy(out, text, EXPIRY_TEXT_BYTES - sizeof(end));
        memcpy(out + EXPIRY_TEXT_BYTES - sizeof(end), end, sizeof(end));
    }
    return r;
}
