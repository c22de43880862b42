/* What the ledger keeps of a grant: who holds which lease, why, and what that hangs on, so that the
 * next daemon finds its holder again. */
#ifndef LEASED_WIRE_LEDGER_GRANT_H
#define LEASED_WIRE_LEDGER_GRANT_H

#include "wire/ledger_record.h"

#define LEDGER_GRANT_VERSION 2
/* Of one that hangs on cgroups. */
#define LEDGER_GRANT_VERSION_CGROUPS 3
/* Of one whose holder an issuer vouches for. */
#define LEDGER_GRANT_VERSION_CLAIMS 4
/* Of one that was approved. */
#define LEDGER_GRANT_VERSION_APPROVAL 5
/* Of one whose holder is in a container of a known image. */
#define LEDGER_GRANT_VERSION_IMAGE 6
/* Of one that ends with a window. */
#define LEDGER_GRANT_VERSION_WINDOW 7

/* Texts are never NULL; "" is none. Times are unix milliseconds, 0: none. */
struct ledger_grant {
    const char *lease; /* its id */
    struct ledger_holder holder;
    uint32_t gid;
    const char *groups;        /* numbers with commas between them */
    uint32_t pid;              /* who asked; 0: unknown */
    const char *bindings;      /* as they were asked for */
    const char *processes;     /* what they mean: PID:START_TICKS with commas between them */
    const char *cgroups;       /* ID:FOLDER with newlines between them */
    bool has_connection;       /* and a connection, or what else nothing survives */
    struct ledger_clock clock; /* its boot is the one that these processes are in */
    int64_t created_wall_ms;
    int64_t until_wall_ms;
    uint64_t duration_ms;
    int64_t window_wall_ms;    /* when the window closes that it ends with */
    int64_t own_until_wall_ms; /* … and when it would end without that */
    const char *reason;
    const char *ticket;
    const char *approval; /* what it stands on: an id, and what was approved */
    const char *policy;
    const char *rule;
    uint64_t read_count;
    bool is_read; /* that it reads this lease is on record */
    bool is_delivered;
};

/* Appends the record. ERR_NOMEM, ERR_TOO_LARGE; ERR_INVALID when a text is no UTF-8. */
int ledger_grant_write(const struct ledger_grant *grant, struct buf *out) ATTR_MUST_USE;

/* Reads a record; texts are borrowed from `body`. ERR_INVALID with a text when it is no such
 * record.
 */
int ledger_grant_read(struct str body, struct ledger_grant *ret_grant, struct err *e) ATTR_MUST_USE;

#endif
