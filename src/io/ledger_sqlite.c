/* The ledger in SQLite: one table of records, written by one thread.
 *
 * Happy path: the files are looked at (ledger_files.c) → SQLite opens the ledger and takes its lock
 * for good → the log doesn't make it a newer version's → the pages are checked → an older version
 * is brought up to ours → each commit is one transaction in the write-ahead log, synced
 * (synchronous=FULL), after a look whether the files are still there.
 *
 * Failure paths: a file that is no SQLite database, another program's, a newer version's, damaged,
 * not ours alone, or locked by another process is refused before SQLite may write to it, and then
 * closing leaves the log as it was. A transaction that fails is rolled back as a whole. */
#include "base/mem.h"
#include "io/ledger_files.h"
#include "io/ledger_internal.h"
#include "wire/ledger_header.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static_assert((int)ENV_LEDGER_LEASE == LEDGER_KIND_LEASE &&
                  (int)ENV_LEDGER_GRANT == LEDGER_KIND_GRANT &&
                  (int)ENV_LEDGER_BACKEND == LEDGER_KIND_BACKEND &&
                  (int)ENV_LEDGER_AUDIT == LEDGER_KIND_AUDIT &&
                  (int)ENV_LEDGER_SETTING == LEDGER_KIND_SETTING &&
                  (int)ENV_LEDGER_REQUEST == LEDGER_KIND_REQUEST &&
                  (int)ENV_LEDGER_BLOCK == LEDGER_KIND_BLOCK &&
                  (int)ENV_LEDGER_READ == LEDGER_KIND_READ &&
                  (int)ENV_LEDGER_RATE == LEDGER_KIND_RATE,
              "the numbers that are in files");

struct ledger_db {
    sqlite3 *handle;
    sqlite3_stmt *put;
    sqlite3_stmt *remove;
    sqlite3_stmt *remove_up_to;
    struct ledger_files files;
    bool has_lock;
    bool is_ready;    /* … and it is ours to write */
    uint64_t version; /* as it was found */
};

static const char make_sql[] =
    "CREATE TABLE record (kind INTEGER NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, "
    "PRIMARY KEY (kind, id)) STRICT, WITHOUT ROWID;";
/* What versions 1 and 2 had in another form. */
static const char older_sql[] = "SELECT count(*) FROM record WHERE kind IN (" //
    LEDGER_SQL(LEDGER_KIND_LEASE) ", "                                        //
    LEDGER_SQL(LEDGER_KIND_GRANT) ")";
/* What the ledger's key seals. */
static const char sealed_sql[] = "SELECT EXISTS (SELECT 1 FROM record WHERE kind IN (" //
    LEDGER_SQL(LEDGER_KIND_LEASE) ", "                                                 //
    LEDGER_SQL(LEDGER_KIND_BACKEND) ", "                                               //
    LEDGER_SQL(LEDGER_KIND_SETTING) "))";

/* --- errors ----------------------------------------------------------------------------------- */

static int code_of(int result)
{
    switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
        return 0;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_DENIED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    default:
        return ERR_IO;
    }
}

/* The errno behind a result, where SQLite has kept it; 0: none. */
static int system_cause(const struct ledger_db *db, int result)
{
    int kind = result & 0xff;

    if (kind == SQLITE_FULL) {
        return ENOSPC;
    }
    return db->handle != NULL && (kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN)
               ? sqlite3_system_errno(db->handle)
               : 0;
}

static int failed(const struct ledger_db *db, int result, const char *what, struct err *e)
{
    int code = code_of(result);
    int cause = system_cause(db, result);

    if (cause == ENOSPC || cause == EDQUOT) {
        return err_set(e, -cause, "could not %s the ledger %s: its disk is full; make room", what,
                       db->files.path);
    }
    if (code == ERR_BUSY) {
        return err_set(e, code,
                       "the ledger %s is in use by another process; each leased needs one of its "
                       "own",
                       db->files.path);
    }
    return err_set(e, code, "could not %s the ledger %s: %s%s%s", what, db->files.path,
                   db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(result),
                   cause != 0 ? ": " : "", cause != 0 ? strerror(cause) : "");
}

/* --- opening ---------------------------------------------------------------------------------- */

static int run_sql(struct ledger_db *db, const char *sql, const char *what, struct err *e)
{
    int result = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

    return result == SQLITE_OK ? 0 : failed(db, result, what, e);
}

/* The first text or number of the first row. */
static int ask_sql(struct ledger_db *db, const char *sql, char *out, size_t size, struct err *e)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);

    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    if (result == SQLITE_ROW) {
        (void)snprintf(out, size, "%s", (const char *)sqlite3_column_text(statement, 0));
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_ROW ? 0 : failed(db, result, "read", e);
}

static int check_pages(struct ledger_db *db, struct err *e)
{
    char answer[256] = "";
    int r = ask_sql(db, "PRAGMA quick_check(1)", answer, sizeof(answer), e);

    if (r == 0 && strcmp(answer, "ok") != 0) {
        r = err_set(e, ERR_CORRUPT,
                    "the ledger %s is damaged (%s): keep a copy of it and its -wal file, and move "
                    "them away; what they list must be revoked at the issuers by hand",
                    db->files.path, answer);
    }
    return r;
}

/* Takes the lock, which is kept until the end. Writes nothing. */
static int lock(struct ledger_db *db, struct err *e)
{
    int r = run_sql(db,
                    "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;"
                    "PRAGMA cell_size_check = ON; BEGIN IMMEDIATE; COMMIT",
                    "open", e);

    db->has_lock = r == 0;
    if (r == 0 && sqlite3_db_readonly(db->handle, "main") != 0) {
        r = err_set(e, -EROFS, "the ledger %s can't be written; chmod 0600", db->files.path);
    }
    return r;
}

/* With what its log says, which a crash may have kept from the file itself. */
static int read_version(struct ledger_db *db, struct err *e)
{
    char answer[32] = "";
    int r = ask_sql(db, "PRAGMA user_version", answer, sizeof(answer), e);

    if (r == 0 && str_parse_u64(str_of(answer), &db->version) != 0) {
        r = err_set(e, ERR_CORRUPT, "the ledger %s has no version", db->files.path);
    }
    return r != 0 ? r : ledger_version_check(db->version, db->files.path, e);
}

/* Versions 1 and 2 had leases and grants as JSON, which no release of leased has written; so nobody
 * reads them any more, but nobody loses one either. The rest is as it was. */
static int check_older(struct ledger_db *db, struct err *e)
{
    char answer[32] = "";
    int r = ask_sql(db, older_sql, answer, sizeof(answer), e);

    if (r == 0 && strcmp(answer, "0") != 0) {
        r = err_set(e, ERR_INVALID,
                    "the ledger %s has %s leases and grants of a leased before its first release; "
                    "let that one end them (SIGUSR2, then SIGTERM), or move the file away and "
                    "revoke at the issuers what its `lease ledger dump` shows",
                    db->files.path, answer);
    }
    return r;
}

static int take_version(struct ledger_db *db, struct err *e)
{
    char sql[64];
    int r = db->version == 0 ? run_sql(db, make_sql, "make", e) : check_older(db, e);

    if (r == 0 && db->version == 0) {
        (void)snprintf(sql, sizeof(sql), "PRAGMA application_id = %d", LEDGER_APPLICATION_ID);
        r = run_sql(db, sql, "make", e);
    }
    if (r == 0) {
        (void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", LEDGER_VERSION);
        r = run_sql(db, sql, "bring up to date", e);
    }
    return r;
}

static int migrate(struct ledger_db *db, struct err *e)
{
    int r;

    if (db->version == LEDGER_VERSION) {
        return 0;
    }
    r = run_sql(db, "BEGIN", "write", e);
    if (r == 0) {
        r = take_version(db, e);
    }
    if (r == 0) {
        r = run_sql(db, "COMMIT", "write", e);
    }
    /* What ledger_header_check reads must stand in the file itself. */
    return r != 0 ? r : run_sql(db, "PRAGMA wal_checkpoint(TRUNCATE)", "write", e);
}

static int prepare(struct ledger_db *db, struct err *e)
{
    int result = sqlite3_prepare_v3(db->handle,
                                    "INSERT INTO record (kind, id, body) VALUES (?1, ?2, ?3) "
                                    "ON CONFLICT DO UPDATE SET body = excluded.body",
                                    -1, SQLITE_PREPARE_PERSISTENT, &db->put, NULL);

    if (result == SQLITE_OK) {
        result = sqlite3_prepare_v3(db->handle, "DELETE FROM record WHERE kind = ?1 AND id = ?2",
                                    -1, SQLITE_PREPARE_PERSISTENT, &db->remove, NULL);
    }
    if (result == SQLITE_OK) {
        result = sqlite3_prepare_v3(db->handle, "DELETE FROM record WHERE kind = ?1 AND id <= ?2",
                                    -1, SQLITE_PREPARE_PERSISTENT, &db->remove_up_to, NULL);
    }
    return result == SQLITE_OK ? 0 : failed(db, result, "read", e);
}

static int open_handle(struct ledger_db *db, struct err *e)
{
    mode_t before = umask(0177);
    int result = sqlite3_open_v2(db->files.path, &db->handle,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                     SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                                 NULL);

    if (result == SQLITE_OK) {
        /* Until it is known that the ledger is ours to write, its log stays as it is. */
        result = sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    if (result == SQLITE_OK) {
        /* With this mode before the first look no other process can read, and no shared memory file
         * is made. The look touches the file, so that it is made with these rights. */
        result = sqlite3_exec(db->handle,
                              "PRAGMA locking_mode = EXCLUSIVE; SELECT count(*) FROM sqlite_schema",
                              NULL, NULL, NULL);
    }
    (void)umask(before);
    return result == SQLITE_OK ? 0 : failed(db, result, "open", e);
}

static int make_ready(struct ledger_db *db, struct err *e)
{
    int r = lock(db, e);

    if (r == 0) {
        r = read_version(db, e);
    }
    if (r == 0 && !db->files.is_new) {
        r = check_pages(db, e);
    }
    if (r == 0) {
        r = migrate(db, e);
    }
    if (r == 0) {
        /* Only now, so that a new ledger is there whole before it has a log. */
        r = run_sql(db, "PRAGMA journal_mode = WAL; SELECT kind FROM record LIMIT 1", "open", e);
    }
    if (r == 0) {
        r = prepare(db, e);
    }
    if (r == 0) {
        r = ledger_files_note(&db->files, e);
    }
    if (r == 0) {
        ledger_files_tidy(&db->files, false);
        (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        db->is_ready = true;
    }
    return r;
}

int ledger_db_open(const char *path, struct ledger_db **ret_db, struct err *e)
{
    struct ledger_db *db = mem_calloc(1, sizeof(*db));
    int r;

    if (db == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    r = ledger_files_check(&db->files, path, e);
    if (r == 0) {
        r = open_handle(db, e);
    }
    if (r == 0) {
        r = make_ready(db, e);
    }
    if (r != 0) {
        ledger_db_close(db);
        return r;
    }
    *ret_db = db;
    return 0;
}

void ledger_db_close(struct ledger_db *db)
{
    if (db != NULL) {
        (void)sqlite3_finalize(db->put);
        (void)sqlite3_finalize(db->remove);
        (void)sqlite3_finalize(db->remove_up_to);
        if (db->has_lock && !db->is_ready) {
            ledger_files_tidy(&db->files, true);
        }
        if (db->is_ready && !ledger_files_has_database(&db->files)) {
            /* It would remove a log by its name that is another ledger's by now, or all that is
             * left of ours. */
            (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        }
        (void)sqlite3_close(db->handle);
        ledger_files_fini(&db->files);
        mem_free(db);
    }
}

int ledger_db_look(const struct ledger_db *db, struct err *e)
{
    return ledger_files_look(&db->files, e);
}

/* --- writing ---------------------------------------------------------------------------------- */

static int apply(struct ledger_db *db, const struct ledger_change *change)
{
    sqlite3_stmt *statement = change->is_range     ? db->remove_up_to
                              : change->is_removal ? db->remove
                                                   : db->put;
    const char *body = change->bytes + change->id_len;
    int result = sqlite3_bind_int(statement, 1, (int)change->kind);

    if (result == SQLITE_OK) {
        result = sqlite3_bind_text(statement, 2, change->bytes, (int)change->id_len, SQLITE_STATIC);
    }
    if (result == SQLITE_OK && !change->is_removal) {
        result = sqlite3_bind_blob(statement, 3, body, (int)change->body_len, SQLITE_STATIC);
    }
    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}

int ledger_db_commit(struct ledger_db *db, const struct list *changes, struct err *e)
{
    int result = sqlite3_exec(db->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    struct list *node;

    for (node = changes->next; result == SQLITE_OK && node != changes; node = node->next) {
        result = apply(db, LIST_ENTRY(node, struct ledger_change, node));
    }
    if (result == SQLITE_OK) {
        result = sqlite3_exec(db->handle, "COMMIT", NULL, NULL, NULL);
    }
    if (result != SQLITE_OK) {
        int r = failed(db, result, "write", e);

        if (sqlite3_get_autocommit(db->handle) == 0) {
            (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
        }
        return r;
    }
    return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static struct str column_of(sqlite3_stmt *statement, int column)
{
    const char *bytes = sqlite3_column_blob(statement, column);

    return (struct str){.ptr = bytes, .len = (size_t)sqlite3_column_bytes(statement, column)};
}

int ledger_db_each(struct ledger_db *db, enum env_ledger_kind kind, env_ledger_fn fn, void *user,
                   struct err *e)
{
    sqlite3_stmt *statement = NULL;
    int result =
        sqlite3_prepare_v2(db->handle, "SELECT id, body FROM record WHERE kind = ?1 ORDER BY id",
                           -1, &statement, NULL);
    int r = 0;

    if (result == SQLITE_OK) {
        result = sqlite3_bind_int(statement, 1, (int)kind);
    }
    while (result == SQLITE_OK || result == SQLITE_ROW) {
        result = sqlite3_step(statement);
        if (result != SQLITE_ROW) {
            break;
        }
        r = fn(user, column_of(statement, 0), column_of(statement, 1));
        if (r != 0) {
            break;
        }
    }
    (void)sqlite3_finalize(statement);
    /* A start reads everything, and after that nothing is read any more. */
    (void)sqlite3_db_release_memory(db->handle);
    return r != 0 || result == SQLITE_DONE ? r : failed(db, result, "read", e);
}

int ledger_db_has_sealed(struct ledger_db *db, bool *ret_has_sealed, struct err *e)
{
    char answer[32] = "";
    int r = ask_sql(db, sealed_sql, answer, sizeof(answer), e);

    if (r == 0) {
        *ret_has_sealed = strcmp(answer, "1") == 0;
    }
    return r;
}
