/* Where the operational log goes: stderr, as text for people, as JSON lines, or as the journal
 * likes it. */
#ifndef LEASED_DAEMON_LOG_SINK_H
#define LEASED_DAEMON_LOG_SINK_H

#include "base/buf.h"
#include "base/log.h"
#include "daemon/journal.h"

#include <pthread.h>

#define LOG_SINK_LINE_MAX_BYTES 8192
#define LOG_SINK_EVENT_MAX_BYTES 48
#define LOG_SINK_EVENTS_MAX 64
/* Of one event in one window; debug and mistakes in the configuration aren't limited. */
#define LOG_SINK_BURST_MAX 20
#define LOG_SINK_WINDOW_MS 10000U

enum log_sink_format {
    LOG_SINK_TEXT, /* "2026-11-22T20:35:00.123Z info  event key=value" */
    LOG_SINK_JSON, /* {"time":…,"level":…,"event":…,…} */
    /* Entries with fields; where the journal doesn't take them, "<6>event key=value", whose
     * priority it understands. It has its own time. */
    LOG_SINK_JOURNAL,
};

struct log_sink_window {
    char event[LOG_SINK_EVENT_MAX_BYTES];
    uint64_t started_ms;
    uint32_t count;
    uint64_t suppressed_count;
};

struct log_sink {
    uint32_t magic;
    int fd;
    enum log_sink_format format;
    bool is_journal; /* stderr is connected to it */
    struct journal journal;
    pthread_mutex_t lock;
    uint64_t (*now_ms)(void);
    int64_t (*wall_ms)(void);
    struct log_sink_window windows[LOG_SINK_EVENTS_MAX];
};

/* Looks at what `fd` is connected to (before the environment is scrubbed), and begins with what
 * fits it. */
void log_sink_init(struct log_sink *sink, int fd);

/* `format`: enum config_log_format. */
void log_sink_choose(struct log_sink *sink, int format);

void log_sink_fini(struct log_sink *sink);

/* The log_sink_fn; `user` is the sink. One write(2) a line. A line that doesn't fit is dropped. */
void log_sink_event(void *user, enum log_level level, const char *event,
                    const struct log_field *fields, size_t field_count);

#endif
