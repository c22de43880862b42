/* The operational log: one event with fixed keys per line. The sink is set once in main; without
 * one nothing is written. Lower layers never log above debug: they return errors, and the layer
 * that decides logs, once.
 *
 * Levels: error = the operator must act; warn = leased will act by itself; info = a state changed.
 * Keys in use: event backend role lease grant err code detail retry_ms ttl_s peer uid pid path hint
 * count listener sink policy source revision. */
#ifndef LEASED_BASE_LOG_H
#define LEASED_BASE_LOG_H

#include "base/str.h"

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
};

#define LOG_FIELDS_MAX 12

struct log_field {
    const char *key;
    struct str value;
};

/* Receives a finished event; `fields` are borrowed until it returns. Called on any thread that
 * logs. */
typedef void (*log_sink_fn)(void *user, enum log_level level, const char *event,
                            const struct log_field *fields, size_t field_count);

/* Set once in main, before threads start. Events below `least` aren't built. */
void log_set_sink(log_sink_fn sink, void *user, enum log_level least);

bool log_is_on(enum log_level level);

/* `fields` alternate key (const char *) and value (const char *), ended by NULL. A NULL value
 * leaves its key out. Example: log_event(LOG_LEVEL_WARN, "lease.renew.failed", "lease", id, "err",
 * e.text, NULL). */
void log_event(enum log_level level, const char *event, ...);

const char *log_level_str(enum log_level level);

#endif
