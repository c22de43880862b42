/* Formats events of the operational log and writes each with one write(2). The same event again and
 * again is cut down: a window lets a burst through, and the first line of a later window tells how
 * many were left out. */
#include "daemon/log_sink.h"

#include "base/units.h"
#include "daemon/config.h"
#include "wire/json_out.h"

#include <string.h>
#include <sys/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LOG_SINK_MAGIC 0x6c6f6773U /* "logs" */

static uint64_t boot_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int64_t unix_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* JOURNAL_STREAM is "device:inode" of the journal's end. */
static bool fd_is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat facts;
    char own[64];

    if (stream == NULL || fstat(fd, &facts) != 0) {
        return false;
    }
    (void)snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)facts.st_dev,
                   (unsigned long long)facts.st_ino);
    return strcmp(stream, own) == 0;
}

void log_sink_init(struct log_sink *sink, int fd)
{
    *sink = (struct log_sink){.magic = LOG_SINK_MAGIC,
                              .fd = fd,
                              .is_journal = fd_is_journal(fd),
                              .lock = PTHREAD_MUTEX_INITIALIZER,
                              .now_ms = boot_ms,
                              .wall_ms = unix_ms};
    sink->journal.fd = -1;
    if (sink->is_journal) {
        journal_init(&sink->journal, JOURNAL_SOCKET);
    }
    log_sink_choose(sink, CONFIG_LOG_AUTO);
}

void log_sink_fini(struct log_sink *sink)
{
    journal_fini(&sink->journal);
}

void log_sink_choose(struct log_sink *sink, int format)
{
    if (format == CONFIG_LOG_TEXT || (format == CONFIG_LOG_AUTO && isatty(sink->fd) == 1)) {
        sink->format = LOG_SINK_TEXT;
    } else if (format == CONFIG_LOG_AUTO && sink->is_journal) {
        sink->format = LOG_SINK_JOURNAL;
    } else {
        sink->format = LOG_SINK_JSON;
    }
}

/* ---- lines ------------------------------------------------------------------ */

/* Words stand as they are; all else is quoted and escaped, so that a value can't forge a line or a
 * key. */
static void value_add(struct buf *line, struct str value)
{
    size_t i;
    bool is_word = value.len > 0;

    for (i = 0; is_word && i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        is_word = c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
    }
    if (is_word) {
        buf_add_str(line, value);
    } else {
        json_out_add_quoted(line, value);
    }
}

static void text_format(struct log_sink *sink, struct buf *line, enum log_level level,
                        const char *event)
{
    static const char *const priorities[] = {"<7>", "<6>", "<4>", "<3>"};
    char time[UNITS_TIME_MAX_BYTES];

    if (sink->format == LOG_SINK_JOURNAL) {
        buf_add_c(line, priorities[level]);
    } else {
        buf_printf(line, "%s %-5s ", units_format_time(sink->wall_ms(), time),
                   log_level_str(level));
    }
    buf_add_c(line, event);
}

static void json_format(struct log_sink *sink, struct buf *line, enum log_level level,
                        const char *event)
{
    char time[UNITS_TIME_MAX_BYTES];

    buf_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":",
               units_format_time(sink->wall_ms(), time), log_level_str(level));
    json_out_add_quoted(line, str_of(event));
}

static void field_add(const struct log_sink *sink, struct buf *line, const char *key,
                      struct str value)
{
    if (sink->format == LOG_SINK_JSON) {
        buf_add_char(line, ',');
        json_out_add_quoted(line, str_of(key));
        buf_add_char(line, ':');
        json_out_add_quoted(line, value);
    } else {
        buf_printf(line, " %s=", key);
        value_add(line, value);
    }
}

/* ---- limiting --------------------------------------------------------------- */

static uint32_t event_hash(const char *event)
{
    uint32_t hash = 2166136261U;

    for (; *event != '\0'; event++) {
        hash = (hash ^ (unsigned char)*event) * 16777619U;
    }
    return hash;
}

/* Lines of a list that has an end of its own, and is of use as a whole only: YAML_ERRORS_MAX. */
static bool is_limited(enum log_level level, const char *event)
{
    return level != LOG_LEVEL_DEBUG && strcmp(event, "config.mistake") != 0;
}

/* May this event be written now? Through ret_suppressed: how many weren't since the last one. Two
 * events in one place of the table take turns, which only makes the limit looser. */
static bool window_admit(struct log_sink *sink, const char *event, uint64_t *ret_suppressed)
{
    struct log_sink_window *window = &sink->windows[event_hash(event) % LOG_SINK_EVENTS_MAX];
    uint64_t now_ms = sink->now_ms();

    if (strncmp(window->event, event, sizeof(window->event) - 1) != 0) {
        *window = (struct log_sink_window){.started_ms = now_ms};
        (void)snprintf(window->event, sizeof(window->event), "%s", event);
    }
    if (now_ms - window->started_ms >= LOG_SINK_WINDOW_MS) {
        window->started_ms = now_ms;
        window->count = 0;
    }
    if (window->count >= LOG_SINK_BURST_MAX) {
        window->suppressed_count++;
        return false;
    }
    window->count++;
    *ret_suppressed = window->suppressed_count;
    window->suppressed_count = 0;
    return true;
}

/* The line without its priority is the entry's message. */
static bool journal_takes(const struct log_sink *sink, const struct buf *line,
                          struct journal_entry *entry)
{
    struct str text = buf_str(line);

    if (sink->format != LOG_SINK_JOURNAL || buf_status(line) != 0) {
        return false;
    }
    entry->message.ptr = text.ptr + strlen("<6>");
    entry->message.len = text.len - strlen("<6>");
    return journal_send(&sink->journal, entry);
}

void log_sink_event(void *user, enum log_level level, const char *event,
                    const struct log_field *fields, size_t field_count)
{
    struct log_sink *sink = OBJ_CAST(user, struct log_sink, LOG_SINK_MAGIC);
    uint64_t suppressed = 0;
    char number[24];
    size_t i;
    BUF_AUTO line;

    buf_init(&line, LOG_SINK_LINE_MAX_BYTES);
    (void)pthread_mutex_lock(&sink->lock);
    if (is_limited(level, event) && !window_admit(sink, event, &suppressed)) {
        goto out;
    }
    if (sink->format == LOG_SINK_JSON) {
        json_format(sink, &line, level, event);
    } else {
        text_format(sink, &line, level, event);
    }
    for (i = 0; i < field_count; i++) {
        field_add(sink, &line, fields[i].key, fields[i].value);
    }
    if (suppressed > 0) {
        (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)suppressed);
        field_add(sink, &line, "suppressed", str_of(number));
    }
    if (journal_takes(sink, &line,
                      &(struct journal_entry){.level = level,
                                              .event = event,
                                              .fields = fields,
                                              .field_count = field_count})) {
        goto out;
    }
    buf_add_c(&line, sink->format == LOG_SINK_JSON ? "}\n" : "\n");
    if (buf_status(&line) == 0) {
        /* A log that can't be written can't be complained about. */
        ssize_t written = write(sink->fd, line.bytes, line.len);

        (void)written;
    }

out:
    (void)pthread_mutex_unlock(&sink->lock);
}
