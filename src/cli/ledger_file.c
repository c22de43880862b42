/* Happy path: the first bytes say that it is a ledger → SQLite opens it, with its write-ahead log
 * as a killed daemon left it, and takes the lock that a daemon would have.
 *
 * Failures: no ledger, a newer one, one that a leased has open, a damaged one. */
#include "cli/ledger_file.h"

#include "wire/ledger_header.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static int check_header(const struct ledger_file *file, struct err *e)
{
    char header[LEDGER_HEADER_BYTES];
    FILE *stream = fopen(file->path, "re");
    size_t size;

    if (stream == NULL) {
        return err_set(e, -errno, "could not open %s: %s", file->path, err_str(-errno));
    }
    size = fread(header, 1, sizeof(header), stream);
    (void)fclose(stream);
    return ledger_header_check((struct str){.ptr = header, .len = size}, file->path, e);
}

static int failed(const struct ledger_file *file, int result, const char *what, struct err *e)
{
    if ((result & 0xff) == SQLITE_BUSY) {
        return err_set(e, ERR_BUSY,
                       "a leased has %s open; `lease ls` and `lease status` show what it holds",
                       file->path);
    }
    return err_set(e, ERR_IO, "could not %s %s: %s", what, file->path,
                   file->db != NULL ? sqlite3_errmsg(file->db) : sqlite3_errstr(result));
}

/* What goes with a lease is in memory, by lease, because records say it the other way round. */
static const char sweep_sql[] =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;"
    "PRAGMA temp_store = MEMORY; BEGIN IMMEDIATE; COMMIT;"
    "CREATE TEMP TABLE holder (lease TEXT, id TEXT, PRIMARY KEY (lease, id)) WITHOUT ROWID;"
    "SELECT count(*) FROM record";
static const char look_sql[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON;"
                               "SELECT count(*) FROM record";

int ledger_file_open(struct ledger_file *file, const char *path, bool is_swept, struct err *e)
{
    int r;
    int result;

    *file = (struct ledger_file){.path = path};
    r = check_header(file, e);
    if (r != 0) {
        return r;
    }
    result =
        sqlite3_open_v2(path, &file->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, NULL);
    if (result == SQLITE_OK && !is_swept) {
        result = sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    if (result == SQLITE_OK) {
        result = sqlite3_exec(file->db, is_swept ? sweep_sql : look_sql, NULL, NULL, NULL);
    }
    return result == SQLITE_OK ? 0 : failed(file, result, is_swept ? "open" : "read", e);
}

void ledger_file_close(struct ledger_file *file)
{
    (void)sqlite3_close(file->db);
    file->db = NULL;
}

int ledger_file_check(struct ledger_file *file, struct err *e)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(file->db, "PRAGMA integrity_check(1)", -1, &statement, NULL);
    int r = 0;

    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    if (result != SQLITE_ROW) {
        r = failed(file, result, "read", e);
    } else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0) {
        r = err_set(e, ERR_CORRUPT, "%s is damaged: %s", file->path,
                    (const char *)sqlite3_column_text(statement, 0));
    }
    (void)sqlite3_finalize(statement);
    return r;
}

int ledger_file_each(struct ledger_file *file, int kind, ledger_file_fn fn, void *user,
                     struct err *e)
{
    sqlite3_stmt *statement = NULL;
    int result =
        sqlite3_prepare_v2(file->db, "SELECT id, body FROM record WHERE kind = ?1 ORDER BY id", -1,
                           &statement, NULL);

    if (result == SQLITE_OK) {
        result = sqlite3_bind_int(statement, 1, kind);
    }
    if (result == SQLITE_OK) {
        while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
            const char *body = sqlite3_column_blob(statement, 1);

            fn(user, (const char *)sqlite3_column_text(statement, 0),
               (struct str){.ptr = body, .len = (size_t)sqlite3_column_bytes(statement, 1)});
        }
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_DONE ? 0 : failed(file, result, "read", e);
}

/* Runs a statement with one or two texts (NULL: none). A SQLite result. */
static int run(struct ledger_file *file, const char *sql, const char *first, const char *second)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(file->db, sql, -1, &statement, NULL);

    if (result == SQLITE_OK && first != NULL) {
        result = sqlite3_bind_text(statement, 1, first, -1, SQLITE_STATIC);
    }
    if (result == SQLITE_OK && second != NULL) {
        result = sqlite3_bind_text(statement, 2, second, -1, SQLITE_STATIC);
    }
    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}

int ledger_file_join(struct ledger_file *file, const char *lease, const char *grant, struct err *e)
{
    int result = run(file, "INSERT OR IGNORE INTO temp.holder VALUES (?1, ?2)", lease, grant);

    return result == SQLITE_OK ? 0 : failed(file, result, "read", e);
}

int ledger_file_remove(struct ledger_file *file, const char *lease, struct err *e)
{
    static const char grants[] = "DELETE FROM record WHERE kind = 2 AND id IN "
                                 "(SELECT id FROM temp.holder WHERE lease = ?1)";
    int result = run(file, "BEGIN IMMEDIATE", NULL, NULL);
    int r;

    if (result == SQLITE_OK) {
        result = run(file, grants, lease, NULL);
    }
    if (result == SQLITE_OK) {
        result = run(file, "DELETE FROM record WHERE kind = 1 AND id = ?1", lease, NULL);
    }
    if (result == SQLITE_OK) {
        result = run(file, "COMMIT", NULL, NULL);
    }
    if (result == SQLITE_OK) {
        return 0;
    }
    r = failed(file, result, "write", e);
    (void)run(file, "ROLLBACK", NULL, NULL);
    return r;
}
