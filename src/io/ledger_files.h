/* The files of a ledger, as the file system shows them: the database and, beside it, SQLite's
 * write-ahead log (-wal). */
#ifndef LEASED_IO_LEDGER_FILES_H
#define LEASED_IO_LEDGER_FILES_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Which file a name stands for. */
struct ledger_file_id {
    dev_t device;
    ino_t inode;
};

struct ledger_files {
    char *path;
    char *log_path;
    char *index_path; /* SQLite's shared memory, which an exclusive ledger has no use for */
    bool is_new;      /* SQLite makes it */
    bool has_log;     /* there was a log */
    struct ledger_file_id id;
    struct ledger_file_id log_id;
};

/* Looks at the directory and the files before SQLite sees them, and touches none. ERR_INVALID,
 * ERR_DENIED, ERR_CORRUPT (the log without its ledger), ERR_NOMEM or a negated errno, with a text
 * that says what to do. To be given to ledger_files_fini whatever comes back. */
int ledger_files_check(struct ledger_files *files, const char *path, struct err *e) ATTR_MUST_USE;

/* Notes which files they are, once they are open. */
int ledger_files_note(struct ledger_files *files, struct err *e) ATTR_MUST_USE;

/* Are they still the noted ones? -ENOENT, -ESTALE or another negated errno: who writes now writes
 * what no later start finds. */
int ledger_files_look(const struct ledger_files *files, struct err *e) ATTR_MUST_USE;

/* Is at least the database still the noted one? */
bool ledger_files_has_database(const struct ledger_files *files);

/* Removes what a look has left and nobody needs: the shared memory, and an empty log that wasn't
 * there before. Only under the ledger's lock. */
void ledger_files_tidy(const struct ledger_files *files, bool is_log_too);

void ledger_files_fini(struct ledger_files *files);

#endif
