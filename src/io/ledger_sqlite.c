/* The ledger in SQLite: one table of records, written by one thread.
 *
 * Happy path: the directory and the file are looked at, the file's first bytes say that it is a
 * ledger of a version that we know → SQLite opens it, takes its lock for good, checks the pages →
 * an older version is brought up to ours → each commit is one transaction in the write-ahead log,
 * synced (synchronous=FULL).
 *
 * Failure paths: a file that is no SQLite database, another program's, a newer version's, damaged,
 * not ours alone, or locked by another process is refused before SQLite may write to it. A
 * transaction that fails is rolled back as a whole. */
#include "base/mem.h"
#include "io/ledger_internal.h"
#include "io/safe_dir.h"
#include "wire/ledger_header.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ledger_db {
    sqlite3 *handle;
    sqlite3_stmt *put;
    sqlite3_stmt *remove;
    sqlite3_stmt *remove_up_to;
    char *path;
};

static const char make_sql[] =
    "CREATE TABLE record (kind INTEGER NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, "
    "PRIMARY KEY (kind, id)) STRICT, WITHOUT ROWID;";

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

static int failed(const struct ledger_db *db, int result, const char *what, struct err *e)
{
    int code = code_of(result);

    if (code == ERR_BUSY) {
        return err_set(e, code,
                       "the ledger %s is in use by another process; each leased needs one of its "
                       "own",
                       db->path);
    }
    return err_set(e, code, "could not %s the ledger %s: %s", what, db->path,
                   db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(result));
}

/* --- the file, before SQLite sees it ---------------------------------------------------------- */

static int check_rights(const struct stat *st, const char *path, struct err *e)
{
    if (!S_ISREG(st->st_mode)) {
        return err_set(e, ERR_INVALID, "the ledger %s is not a regular file", path);
    }
    if (st->st_uid != geteuid()) {
        return err_set(e, ERR_DENIED,
                       "the ledger %s belongs to uid %u; it must be the daemon's own", path,
                       (unsigned int)st->st_uid);
    }
    if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return err_set(e, ERR_DENIED,
                       "the ledger %s is open to others (mode %04o); take that right away", path,
                       (unsigned int)(st->st_mode & 07777));
    }
    return 0;
}

/* A file that is there and isn't empty must be a ledger. Sets ret_is_new where SQLite makes it. */
static int check_file(const char *path, bool *ret_is_new, struct err *e)
{
    char header[LEDGER_HEADER_BYTES];
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    ssize_t got;
    int r;

    *ret_is_new = fd < 0 && errno == ENOENT;
    if (*ret_is_new) {
        return 0;
    }
    if (fd < 0) {
        return err_set(e, errno == EACCES ? ERR_DENIED : -errno,
                       "could not open the ledger %s: %s%s", path, strerror(errno),
                       errno == ELOOP ? " (it is a symbolic link)" : "");
    }
    r = fstat(fd, &st) == 0 ? check_rights(&st, path, e) : -errno;
    *ret_is_new = r == 0 && st.st_size == 0;
    if (r == 0 && st.st_size > 0) {
        got = pread(fd, header, sizeof(header), 0);
        r = got < 0 ? err_set(e, -errno, "could not read the ledger %s: %s", path, strerror(errno))
                    : ledger_header_check((struct str){header, (size_t)got}, path, e);
    }
    (void)close(fd);
    return r;
}

/* The directory must be one in which nobody else can put files: SQLite opens two more by name. */
static int check_directory(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    char *folder;
    int fd = -1;
    int r;

    if (path[0] != '/' || slash[1] == '\0') {
        return err_set(e, ERR_INVALID, "the path of a ledger begins with /: %s", path);
    }
    folder = mem_strdup(path);
    if (folder == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    folder[slash == path ? 1 : slash - path] = '\0';
    r = safe_dir_open(folder, &(struct safe_dir_make){.mode = 0700}, &fd, e);
    mem_free(folder);
    if (r == 0) {
        (void)close(fd);
    }
    return r;
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
                    db->path, answer);
    }
    return r;
}

/* Takes the lock, which is kept until the end: with locking_mode=EXCLUSIVE no other process can
 * read either, and no shared memory file is needed. */
static int lock(struct ledger_db *db, struct err *e)
{
    return run_sql(
        db,
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
        "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON;"
        "BEGIN IMMEDIATE; COMMIT",
        "open", e);
}

/* Versions 1 and 2 had leases and grants as JSON, which no release of leased has written; so nobody
 * reads them any more, but nobody loses one either. The rest is as it was. */
static int check_older(struct ledger_db *db, struct err *e)
{
    char answer[32] = "";
    int r =
        ask_sql(db, "SELECT count(*) FROM record WHERE kind IN (1, 2)", answer, sizeof(answer), e);

    if (r == 0 && strcmp(answer, "0") != 0) {
        r = err_set(e, ERR_INVALID,
                    "the ledger %s has %s leases and grants of a leased before its first release; "
                    "let that one end them (SIGUSR2, then SIGTERM), or move the file away and "
                    "revoke at the issuers what its `lease ledger dump` shows",
                    db->path, answer);
    }
    return r;
}

static int take_version(struct ledger_db *db, uint64_t version, bool is_new, struct err *e)
{
    char sql[64];
    int r = version == 0 ? run_sql(db, make_sql, "make", e) : check_older(db, e);

    if (r == 0 && is_new) {
        (void)snprintf(sql, sizeof(sql), "PRAGMA application_id = %d", LEDGER_APPLICATION_ID);
        r = run_sql(db, sql, "make", e);
    }
    if (r == 0) {
        (void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", LEDGER_VERSION);
        r = run_sql(db, sql, "bring up to date", e);
    }
    return r;
}

static int migrate(struct ledger_db *db, bool is_new, struct err *e)
{
    char answer[32] = "";
    uint64_t version = 0;
    int r = ask_sql(db, "PRAGMA user_version", answer, sizeof(answer), e);

    if (r == 0 && str_parse_u64(str_of(answer), &version) != 0) {
        r = err_set(e, ERR_CORRUPT, "the ledger %s has no version", db->path);
    }
    if (r != 0 || version == LEDGER_VERSION) {
        return r;
    }
    r = run_sql(db, "BEGIN", "write", e);
    if (r == 0) {
        r = take_version(db, version, is_new, e);
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
    int result = sqlite3_open_v2(db->path, &db->handle,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                     SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                                 NULL);

    if (result == SQLITE_OK) {
        /* Touches the file, so that it is made with these rights. */
        result = sqlite3_exec(db->handle, "PRAGMA user_version", NULL, NULL, NULL);
    }
    (void)umask(before);
    return result == SQLITE_OK ? 0 : failed(db, result, "open", e);
}

int ledger_db_open(const char *path, struct ledger_db **ret_db, struct err *e)
{
    struct ledger_db *db;
    bool is_new = false;
    int r = check_directory(path, e);

    if (r == 0) {
        r = check_file(path, &is_new, e);
    }
    if (r != 0) {
        return r;
    }
    db = mem_calloc(1, sizeof(*db));
    if (db == NULL || (db->path = mem_strdup(path)) == NULL) {
        mem_free(db);
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    r = open_handle(db, e);
    if (r == 0) {
        r = lock(db, e);
    }
    if (r == 0 && !is_new) {
        r = check_pages(db, e);
    }
    if (r == 0) {
        r = migrate(db, is_new, e);
    }
    if (r == 0) {
        r = prepare(db, e);
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
        (void)sqlite3_close(db->handle);
        mem_free(db->path);
        mem_free(db);
    }
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
