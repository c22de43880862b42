/* Entries with fields for systemd's journal, by its native protocol. */
#ifndef LEASED_DAEMON_JOURNAL_H
#define LEASED_DAEMON_JOURNAL_H

#include "base/log.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define JOURNAL_ENTRY_MAX_BYTES 32768

struct journal {
    int fd; /* -1: there is none */
    const char *path;
};

/* `path` is the journal's socket; it needn't be there yet. */
void journal_init(struct journal *journal, const char *path);
void journal_fini(struct journal *journal);

/* One entry: MESSAGE, PRIORITY, and each field as LEASED_KEY, the event as LEASED_EVENT. False when
 * the journal didn't take it. Any thread. */
struct journal_entry {
    enum log_level level;
    struct str message;
    const char *event;
    const struct log_field *fields;
    size_t field_count;
};
bool journal_send(const struct journal *journal, const struct journal_entry *entry);

#endif
