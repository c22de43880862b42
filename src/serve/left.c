/* What is told about leases that were left in the ledger. */
#include "serve/left.h"

#include <stdio.h>
#include <string.h>

/* The last entry is for all that have none of their own. */
static struct left_entry *entry_of(struct left *left, enum left_why why, const char *backend)
{
    struct left_entry *entry;
    size_t i;

    for (i = 0; i < left->entry_count; i++) {
        entry = &left->entries[i];
        if (entry->why == why && strncmp(entry->backend, backend, LEFT_BACKEND_MAX_BYTES) == 0) {
            return entry;
        }
    }
    if (left->entry_count == LEFT_ENTRIES_MAX) {
        entry = &left->entries[LEFT_ENTRIES_MAX - 1];
        entry->why = LEFT_REFUSED;
        entry->backend[0] = '\0';
        return entry;
    }
    entry = &left->entries[left->entry_count++];
    entry->why = why;
    (void)snprintf(entry->backend, sizeof(entry->backend), "%s", backend);
    return entry;
}

void left_add(struct left *left, enum left_why why, const char *backend)
{
    entry_of(left, why, backend)->count++;
    left->total++;
}

void left_text(const struct left_entry *entry, bool is_configured,
               char ret_text[LEFT_TEXT_MAX_BYTES])
{
    const char *backend = entry->backend;
    const char *what = entry->count == 1 ? "lease" : "leases";
    unsigned long long count = entry->count;

    if (entry->why == LEFT_UNREADABLE) {
        (void)snprintf(ret_text, LEFT_TEXT_MAX_BYTES,
                       "%llu %s left in the ledger, and nobody revokes what can't be read: look "
                       "for ledger.left in the log, stop leased and try `lease ledger check`",
                       count, what);
    } else if (entry->why == LEFT_REFUSED && backend[0] == '\0') {
        (void)snprintf(ret_text, LEFT_TEXT_MAX_BYTES,
                       "%llu %s of several backends left in the ledger, and nobody revokes them: "
                       "look for ledger.left in the log",
                       count, what);
    } else if (entry->why == LEFT_REFUSED) {
        (void)snprintf(ret_text, LEFT_TEXT_MAX_BYTES,
                       "%llu %s of backend %s left in the ledger, because they could not be taken "
                       "up, and nobody revokes them: look for ledger.left in the log, and restart "
                       "leased",
                       count, what, backend);
    } else if (is_configured) {
        (void)snprintf(ret_text, LEFT_TEXT_MAX_BYTES,
                       "%llu %s of backend %s left in the ledger, and nobody revokes them: the "
                       "backend is configured again, but a reload doesn't take them up: restart "
                       "leased",
                       count, what, backend);
    } else {
        (void)snprintf(ret_text, LEFT_TEXT_MAX_BYTES,
                       "%llu %s of backend %s left in the ledger, because it isn't configured any "
                       "more, and nobody revokes them: configure it again and restart leased (a "
                       "reload doesn't take them up), or stop leased and end them with `lease "
                       "ledger sweep`",
                       count, what, backend);
    }
}
