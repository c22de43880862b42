/* Happy path: the first bytes say that it is a ledger → SQLite opens it, with its write-ahead log
 * as a killed daemon left it, and takes the lock that a daemon would have.
 *
 * Failures: no ledger, a newer one, a link, one that can't be written, one that a leased has open,
 * a damaged one. */
#include "cli/ledger_file.h"

#include "wire/ledger_header.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* False: its name is too long. */
static bool name_beside(const struct ledger_file *file, const char *suffix, char path[PATH_MAX])
{
    int len = snprintf(path, PATH_MAX, "%s%s", file->path, suffix);

    return len > 0 && len < PATH_MAX;
}

static bool stands_beside(const struct ledger_file *file, const char *suffix, struct stat *ret_st)
{
    char path[PATH_MAX];

    return name_beside(file, suffix, path) && lstat(path, ret_st) == 0;
}

static void remove_beside(const struct ledger_file *file, const char *suffix)
{
    char path[PATH_MAX];

    if (name_beside(file, suffix, path)) {
        (void)unlink(path);
    }
}

static int check_open(const struct ledger_file *file, int fd, struct err *e)
{
    char header[LEDGER_HEADER_BYTES];
    struct stat st = {.st_size = 0};
    ssize_t size = pread(fd, header, sizeof(header), 0);
    int code = errno;

    if (size < 0) {
        return err_set(e, -code, "could not read %s: %s", file->path, err_str(-code));
    }
    if (size == 0 && stands_beside(file, "-wal", &st) && st.st_size > 0) {
        return err_set(e, ERR_CORRUPT,
                       "%s is empty, but %s-wal beside it isn't: that log has leases; put the "
                       "ledger back beside it",
                       file->path, file->path);
    }
    return ledger_header_check((struct str){.ptr = header, .len = (size_t)size}, file->path, e);
}

/* What SQLite would say less clearly, or find out too late. */
static int check_file(const struct ledger_file *file, struct err *e)
{
    int fd = open(file->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int code = errno;
    int r;

    if (fd < 0 && code == ELOOP) {
        return err_set(
            e, -code, "%s is a symbolic link, which isn't followed; name the file that it leads to",
            file->path);
    }
    if (fd < 0) {
        return err_set(e, -code, "could not open %s: %s", file->path, err_str(-code));
    }
    r = check_open(file, fd, e);
    (void)close(fd);
    if (r == 0 && faccessat(AT_FDCWD, file->path, W_OK, AT_EACCESS) != 0) {
        code = errno;
        r = err_set(e, -code,
                    "%s can't be written (%s), and without that right it can't be locked, even to "
                    "be looked at: chmod u+w, or look at a copy of it and its -wal",
                    file->path, err_str(-code));
    }
    return r;
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

/* The first text or number of the first row. */
static int ask(struct ledger_file *file, const char *sql, char *out, size_t size, struct err *e)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(file->db, sql, -1, &statement, NULL);

    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    if (result == SQLITE_ROW) {
        (void)snprintf(out, size, "%s", (const char *)sqlite3_column_text(statement, 0));
    }
    (void)sqlite3_finalize(statement);
    return result == SQLITE_ROW ? 0 : failed(file, result, "read", e);
}

/* With what the log says, which a crash may have kept from the file itself. */
static int check_version(struct ledger_file *file, struct err *e)
{
    char answer[32] = "";
    uint64_t version = 0;
    int r = ask(file, "PRAGMA user_version", answer, sizeof(answer), e);

    if (r == 0 && str_parse_u64(str_of(answer), &version) != 0) {
        r = err_set(e, ERR_CORRUPT, "%s has no version", file->path);
    }
    return r != 0 ? r : ledger_version_check(version, file->path, e);
}

int ledger_file_open(struct ledger_file *file, const char *path, bool is_swept, struct err *e)
{
    struct stat st;
    int result;
    int r;

    *file = (struct ledger_file){.path = path};
    r = check_file(file, e);
    if (r != 0) {
        return r;
    }
    file->has_log = stands_beside(file, "-wal", &st);
    result =
        sqlite3_open_v2(path, &file->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, NULL);
    if (result == SQLITE_OK) {
        /* Until it is known that it may be written, its log stays as it is. */
        result = sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    if (result == SQLITE_OK) {
        result = sqlite3_exec(file->db, is_swept ? sweep_sql : look_sql, NULL, NULL, NULL);
    }
    if (result != SQLITE_OK) {
        return failed(file, result, is_swept ? "open" : "read", e);
    }
    file->is_locked = true;
    r = check_version(file, e);
    if (r == 0 && is_swept) {
        (void)sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
        file->is_swept = true;
    }
    return r;
}

/* SQLite makes an empty log for a look. It goes while the lock is held, so it is nobody else's. */
void ledger_file_close(struct ledger_file *file)
{
    struct stat st;

    if (file->is_locked && file->is_swept) {
        remove_beside(file, "-shm");
    } else if (file->is_locked && !file->has_log && stands_beside(file, "-wal", &st) &&
               st.st_size == 0) {
        remove_beside(file, "-wal");
    }
    (void)sqlite3_close(file->db);
    *file = (struct ledger_file){.path = file->path};
}

int ledger_file_check(struct ledger_file *file, struct err *e)
{
    char answer[ERR_TEXT_MAX_BYTES] = "";
    int r = ask(file, "PRAGMA integrity_check(1)", answer, sizeof(answer), e);

    if (r == 0 && strcmp(answer, "ok") != 0) {
        r = err_set(e, ERR_CORRUPT, "%s is damaged: %s", file->path, answer);
    }
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
            const char *id = (const char *)sqlite3_column_text(statement, 0);
            const char *body = sqlite3_column_blob(statement, 1);

            fn(user, id != NULL ? id : "",
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
    static const char grants[] = "DELETE FROM record WHERE kind = " LEDGER_SQL(
        LEDGER_KIND_GRANT) " AND id IN "
                           "(SELECT id FROM temp.holder WHERE lease = ?1)";
    static const char leases[] =
        "DELETE FROM record WHERE kind = " LEDGER_SQL(LEDGER_KIND_LEASE) " AND id = ?1";
    int result = run(file, "BEGIN IMMEDIATE", NULL, NULL);
    int r;

    if (result == SQLITE_OK) {
        result = run(file, grants, lease, NULL);
    }
    if (result == SQLITE_OK) {
        result = run(file, leases, lease, NULL);
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
