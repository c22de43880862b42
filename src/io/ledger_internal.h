/* What the loop's side (ledger.c) and the writer's side (ledger_sqlite.c) of the ledger share. */
#ifndef LEASED_IO_LEDGER_INTERNAL_H
#define LEASED_IO_LEDGER_INTERNAL_H

#include "env/ledger.h"
#include "io/io_internal.h"

#define LEDGER_MAGIC 0x6c656467U /* "ledg" */

/* One queued change; its id and body stand behind it. */
struct ledger_change {
    struct list node;
    enum env_ledger_kind kind;
    bool is_removal;
    bool is_range; /* … of all up to this id */
    uint32_t id_len;
    uint32_t body_len;
    char bytes[];
};

/* The database as the writer sees it. One thread at a time. */
struct ledger_db;

/* As env_ledger_open, without the key. */
int ledger_db_open(const char *path, struct ledger_db **ret_db, struct err *e) ATTR_MUST_USE;

/* Makes all changes (struct ledger_change), or none; 0 when that is on stable storage. Blocks.
 * ERR_* or a negated errno with a text. */
int ledger_db_commit(struct ledger_db *db, const struct list *changes, struct err *e) ATTR_MUST_USE;

/* Are its files still those that were opened? A negated errno with a text: one was removed or
 * replaced, and a commit would reach no later start. */
int ledger_db_look(const struct ledger_db *db, struct err *e) ATTR_MUST_USE;

/* As env_ledger_each. */
int ledger_db_each(struct ledger_db *db, enum env_ledger_kind kind, env_ledger_fn fn, void *user,
                   struct err *e) ATTR_MUST_USE;

/* Has it records of a kind that the ledger's key seals? At start, as ledger_db_each. */
int ledger_db_has_sealed(struct ledger_db *db, bool *ret_has_sealed, struct err *e) ATTR_MUST_USE;

/* NULL is fine. */
void ledger_db_close(struct ledger_db *db);

#endif
