/* The operational log: collects the fields of one event and hands them to the sink. */
#include "base/log.h"

#include <stdarg.h>

static log_sink_fn log_sink;
static void *log_user;
static enum log_level log_least = LOG_LEVEL_ERROR;

void log_set_sink(log_sink_fn sink, void *user, enum log_level least)
{
    log_sink = sink;
    log_user = user;
    log_least = least;
}

bool log_is_on(enum log_level level)
{
    return log_sink != NULL && level >= log_least;
}

void log_event(enum log_level level, const char *event, ...)
{
    struct log_field fields[LOG_FIELDS_MAX];
    size_t count = 0;
    const char *key;
    va_list args;

    if (!log_is_on(level)) {
        return;
    }
    va_start(args, event);
    for (key = va_arg(args, const char *); key != NULL; key = va_arg(args, const char *)) {
        const char *value = va_arg(args, const char *);

        if (value != NULL && count < LOG_FIELDS_MAX) {
            fields[count++] = (struct log_field){.key = key, .value = str_of(value)};
        }
    }
    va_end(args);
    log_sink(log_user, level, event, fields, count);
}

const char *log_level_str(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    CHECK((size_t)level < ARRAY_LEN(names));
    return names[level];
}
