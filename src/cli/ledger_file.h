/* A ledger's file, looked at or swept without a leased: opened under the lock that a daemon has. */
#ifndef LEASED_CLI_LEDGER_FILE_H
#define LEASED_CLI_LEDGER_FILE_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct sqlite3;

struct ledger_file {
    const char *path; /* borrowed for the file's life */
    struct sqlite3 *db;
    bool has_log;   /* there was one */
    bool is_locked; /* by us */
    bool is_swept;
};

/* `is_swept`: records will be removed; else nothing is written, not even the log of a daemon that
 * was killed is worked in. 0; a negated errno; ERR_INVALID (it is no ledger, or a newer one),
 * ERR_CORRUPT (only its log is there), ERR_BUSY (a leased has it open), ERR_IO. To be closed
 * whatever comes back. */
int ledger_file_open(struct ledger_file *file, const char *path, bool is_swept,
                     struct err *e) ATTR_MUST_USE;
void ledger_file_close(struct ledger_file *file);

/* Reads every page. 0, ERR_CORRUPT or as of opening. */
int ledger_file_check(struct ledger_file *file, struct err *e) ATTR_MUST_USE;

/* Borrowed until the call returns. */
typedef void (*ledger_file_fn)(void *user, const char *id, struct str body);

/* Every record of a kind (LEDGER_KIND_*), in the order of their ids; "" for one that has none. */
int ledger_file_each(struct ledger_file *file, int kind, ledger_file_fn fn, void *user,
                     struct err *e) ATTR_MUST_USE;

/* Notes that this grant is on that lease, so that it goes with it. For a file that is swept. */
int ledger_file_join(struct ledger_file *file, const char *lease, const char *grant,
                     struct err *e) ATTR_MUST_USE;

/* Removes a lease's record and those of its grants, in one commit that is on the disk afterwards.
 */
int ledger_file_remove(struct ledger_file *file, const char *lease, struct err *e) ATTR_MUST_USE;

#endif
