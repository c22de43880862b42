/* Error codes and errors with a text. */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

const char *err_str(int code)
{
    switch (code) {
    case 0:
        return "ok";
#define X(name, value, text)                                                                       \
    case name:                                                                                     \
        return text;
        ERR_TABLE(X)
#undef X
    default:
        break;
    }
    if (code < 0 && code > -10000) {
        const char *text = strerrordesc_np(-code);

        return text != NULL ? text : "unknown system error";
    }
    return "unknown error";
}

int err_set(struct err *e, int code, const char *format, ...)
{
    va_list args;

    if (e != NULL) {
        e->code = code;
        va_start(args, format);
        (void)vsnprintf(e->text, sizeof(e->text), format, args);
        va_end(args);
    }
    return code;
}

int err_wrap(struct err *e, int code, const char *format, ...)
{
    char old[ERR_TEXT_MAX_BYTES];
    va_list args;
    int used;

    if (e == NULL) {
        return code;
    }
    memcpy(old, e->text, sizeof(old));
    va_start(args, format);
    used = vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof(e->text)) {
        size_t room = sizeof(e->text) - (size_t)used;

        (void)snprintf(e->text + used, room, ": %.*s", (int)room, old);
    }
    return e->code;
}
