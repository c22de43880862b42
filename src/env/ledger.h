/* The durable record of what must survive a crash: small records under a kind and an id, committed
 * in groups.
 *
 * Changes are queued in order; all that gathered while the last group was on its way to the disk is
 * the next group, one transaction. A group that can't be committed (disk full, read-only, damaged)
 * fails those who wait for it, and its changes stay queued: they are tried again with whatever
 * comes next, and every second by themselves, so a removal is never lost and the ledger catches up
 * once the fault has gone. Whoever was told that its record isn't durable removes it, behind it in
 * the same order. */
#ifndef LEASED_ENV_LEDGER_H
#define LEASED_ENV_LEDGER_H

#include "env/env.h"

#define ENV_LEDGER_ID_MAX_BYTES 128U
#define ENV_LEDGER_BODY_MAX_BYTES (256U * 1024U)
/* Changes that wait for the disk, in all; more records are refused. Removals go on to twice as
 * many. */
#define ENV_LEDGER_QUEUE_MAX_BYTES (16U * 1024U * 1024U)

/* What sealing adds to a text: which key (4), the run that sealed it (16), a counter (8), the tag.
 */
#define ENV_LEDGER_SEAL_BYTES 44U
#define ENV_LEDGER_KEY_BYTES 32U
#define ENV_LEDGER_KEYS_MAX 8U

/* What a record is about; the numbers are in files and never change. */
enum env_ledger_kind {
    ENV_LEDGER_LEASE = 1, /* what an issuer was asked for or has issued; id: the lease's */
    ENV_LEDGER_GRANT = 2, /* who holds it; id: the grant's */
    ENV_LEDGER_BACKEND =
        3, /* what a plugin keeps across restarts, sealed; id: the backend's name */
    ENV_LEDGER_AUDIT =
        4, /* a line that not every sink of the trail has, with its newline; id: its number */
    ENV_LEDGER_SETTING = 5, /* the installation's own; id: its name */
    ENV_LEDGER_REQUEST = 6, /* what waits for an approval, or has had one; id: the request's */
    ENV_LEDGER_BLOCK = 7,   /* who gets nothing until when, and drills that aren't over; id: its */
    ENV_LEDGER_READ = 8,    /* who has read a shared lease; id: the lease's, "/" and a number */
    ENV_LEDGER_RATE = 9,    /* what a caller has used up of a rule's rate of new grants */
};

/* One wait, embedded in its owner. */
struct env_ledger_sync {
    /* 0 when every change that was queued before env_ledger_sync is on stable storage. Else a
     * negated errno or ERR_*: at least one may not be. Runs from the loop, exactly once. */
    void (*fn)(struct env_ledger_sync *sync, int status);
    void *user;
    int status;
    struct list node;
};

struct env_ledger;

/* One record; borrowed until the call returns. Not 0 ends the walk. */
typedef int (*env_ledger_fn)(void *user, struct str id, struct str body);

struct env_ledger_ops {
    int (*put)(struct env_ledger *ledger, enum env_ledger_kind kind, struct str id,
               struct str body);
    int (*remove)(struct env_ledger *ledger, enum env_ledger_kind kind, struct str id);
    int (*remove_up_to)(struct env_ledger *ledger, enum env_ledger_kind kind, struct str id);
    void (*sync)(struct env_ledger *ledger, struct env_ledger_sync *sync);
    bool (*is_ready)(const struct env_ledger *ledger, struct err *e);
    int (*each)(struct env_ledger *ledger, enum env_ledger_kind kind, env_ledger_fn fn, void *user,
                struct err *e);
    int (*seal)(struct env_ledger *ledger, struct str owner, struct str plain, char *ret_sealed);
    int (*unseal)(struct env_ledger *ledger, struct str owner, struct str sealed, char *ret_plain);
    void (*close)(struct env_ledger *ledger, void (*closed)(void *user), void *user);
};

struct env_ledger {
    const struct env_ledger_ops *ops;
    struct env *env;
};

struct env_ledger_options {
    const char *path;
    /* Where its key is, as for env_secret_read; NULL: in `path`.key, which is made (0600) where
     * there is none, or if the ledger has something sealed, with the first group. One key a line,
     * 64 hexadecimal digits: the first seals, all open. So a new one is put before the old, which
     * goes when nothing is left that it has sealed. */
    const char *key_source;
};

/* Opens the ledger, or makes an empty one (0600). Blocks; used at start. ERR_BUSY: another process
 * has it open. ERR_CORRUPT: it is damaged. ERR_INVALID: it is no ledger, or of a newer version, or
 * its key is none. ERR_DENIED, ERR_NOT_FOUND or a negated errno: it or its key can't be opened. In
 * each of these cases the text says what to do and the file is left as it was. */
static inline int env_ledger_open(struct env *env, const struct env_ledger_options *options,
                                  struct env_ledger **ret_ledger, struct err *e)
{
    return env->ops->ledger_open(env, options, ret_ledger, e);
}

/* Adds a record or replaces the one of that id. Both are copied. ERR_NOMEM, ERR_TOO_LARGE,
 * ERR_LIMIT (too much waits for the disk), ERR_CLOSED: then nothing was queued. */
static inline int env_ledger_put(struct env_ledger *ledger, enum env_ledger_kind kind,
                                 struct str id, struct str body)
{
    return ledger->ops->put(ledger, kind, id, body);
}

/* Removes a record; fine when there is none. The same errors; then the record stays, and whoever
 * reads it after the next start finds something that is over. */
static inline int env_ledger_remove(struct env_ledger *ledger, enum env_ledger_kind kind,
                                    struct str id)
{
    return ledger->ops->remove(ledger, kind, id);
}

/* Removes the record of that id and all of its kind whose ids come before it, byte by byte: one
 * change, however many they are. The same errors. */
static inline int env_ledger_remove_up_to(struct env_ledger *ledger, enum env_ledger_kind kind,
                                          struct str id)
{
    return ledger->ops->remove_up_to(ledger, kind, id);
}

/* Waits for all that was queued before; never fails to start. */
static inline void env_ledger_sync(struct env_ledger *ledger, struct env_ledger_sync *sync)
{
    ledger->ops->sync(ledger, sync);
}

/* False while the last group could not be committed; `e` (may be NULL) says why. */
static inline bool env_ledger_is_ready(const struct env_ledger *ledger, struct err *e)
{
    return ledger->ops->is_ready(ledger, e);
}

/* Walks the records of a kind as they were when the ledger was opened, in the order of their ids.
 * Blocks; only at start, in the turn of the loop in which it was opened: changes may be queued
 * already, and `fn` may queue more, but none is on its way to the disk. ERR_CORRUPT, ERR_IO, or
 * what `fn` returned. */
static inline int env_ledger_each(struct env_ledger *ledger, enum env_ledger_kind kind,
                                  env_ledger_fn fn, void *user, struct err *e)
{
    return ledger->ops->each(ledger, kind, fn, user, e);
}

/* Seals `plain` for a record, so that only who has the key can open it, and only for the same
 * `owner`. Writes plain.len + ENV_LEDGER_SEAL_BYTES bytes. ERR_NOMEM, ERR_LIMIT: then they are
 * wiped. */
static inline int env_ledger_seal(struct env_ledger *ledger, struct str owner, struct str plain,
                                  char *ret_sealed)
{
    return ledger->ops->seal(ledger, owner, plain, ret_sealed);
}

/* The way back: writes sealed.len - ENV_LEDGER_SEAL_BYTES bytes, into secret memory. ERR_NOT_FOUND:
 * none of the keys has sealed it. ERR_INVALID: a byte was changed, the owner is another, or it is
 * nothing sealed; then they are wiped. ERR_NOMEM. */
static inline int env_ledger_unseal(struct env_ledger *ledger, struct str owner, struct str sealed,
                                    char *ret_plain)
{
    return ledger->ops->unseal(ledger, owner, sealed, ret_plain);
}

/* What is queued is tried once more and each wait ends; then `closed` runs and the memory is gone.
 * In the turn in which the ledger was opened without the key of what it holds, nothing is written:
 * that start was refused. */
static inline void env_ledger_close(struct env_ledger *ledger, void (*closed)(void *user),
                                    void *user)
{
    ledger->ops->close(ledger, closed, user);
}

#endif
