/* What a plugin keeps across restarts, and what it wants people to know. Neither is believed to be
 * anything: bytes are bounded and handed on, texts are cut to one line. */
#include "backend/host.h"

#include <string.h>

#define KEY_MAX_BYTES (BACKEND_WARNING_KEY_MAX_BYTES - 1)

/* --- state ------------------------------------------------------------------------------------ */

int32_t host_state_put(leased_host_context *context, struct leased_str bytes)
{
    struct str state = host_str(bytes);

    if (context->is_ended || context->keep_state == NULL || state.len > BACKEND_STATE_MAX_BYTES) {
        return -LEASED_INVALID;
    }
    return context->keep_state(context->user, state) == 0 ? 0 : -LEASED_RETRY;
}

int64_t host_state_get(leased_host_context *context, char **ret_bytes)
{
    struct str state = context->state;
    char *bytes;

    if (state.len == 0) {
        return 0;
    }
    bytes = secret_alloc(state.len + 1);
    if (bytes == NULL) {
        return -LEASED_RETRY;
    }
    memcpy(bytes, state.ptr, state.len);
    bytes[state.len] = '\0';
    *ret_bytes = bytes;
    return (int64_t)state.len;
}

/* --- warnings --------------------------------------------------------------------------------- */

static bool is_key(struct str key)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_/-";

    for (size_t i = 0; i < key.len; i++) {
        if (memchr(allowed, key.ptr[i], sizeof(allowed) - 1) == NULL) {
            return false;
        }
    }
    return key.len > 0 && key.len <= KEY_MAX_BYTES;
}

/* Its place, or a free one; NULL: there is none. */
static struct backend_warning *place_of(struct leased_host_context *context, struct str key)
{
    for (size_t i = 0; i < context->warning_count; i++) {
        if (str_eq_c(key, context->warnings[i].key)) {
            return &context->warnings[i];
        }
    }
    return context->warning_count < BACKEND_WARNINGS_MAX
               ? &context->warnings[context->warning_count]
               : NULL;
}

void host_warning(leased_host_context *context, struct leased_str key, struct leased_str text)
{
    struct backend_warning *last = &context->warnings[context->warning_count];
    struct backend_warning *place;

    if (!is_key(host_str(key))) {
        return;
    }
    place = place_of(context, host_str(key));
    if (place == NULL || (text.len == 0 && place == last)) {
        return;
    }
    if (text.len == 0) {
        *place = context->warnings[--context->warning_count];
        context->warnings[context->warning_count] = (struct backend_warning){0};
        return;
    }
    context->warning_count += place == last ? 1U : 0U;
    (void)host_line(key, place->key, sizeof(place->key));
    (void)host_line(text, place->text, sizeof(place->text));
}
