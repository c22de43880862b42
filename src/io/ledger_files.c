/* Happy path: the directory is one in which nobody else can put files → the ledger is a regular
 * file of ours alone that can be written, and its first bytes say that it is a ledger of a version
 * that we know → so is its log, where there is one → both are noted by device and inode, and before
 * each commit their names must still stand for them.
 *
 * Failure paths: anything else is refused with the file's name and what to do. A log whose ledger
 * is gone is refused too: SQLite would take it for a stranger's and drop it, and with it leases
 * whose credentials live on. */
#include "io/ledger_files.h"

#include "base/mem.h"
#include "io/safe_dir.h"
#include "wire/ledger_header.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- before SQLite sees them ------------------------------------------------------------------ */

static int check_rights(const struct stat *st, const char *path, struct err *e)
{
    if (!S_ISREG(st->st_mode)) {
        return err_set(e, ERR_INVALID, "the ledger %s is not a regular file", path);
    }
    if (st->st_uid != geteuid()) {
        return err_set(e, ERR_DENIED,
                       "the ledger %s belongs to uid %u; it must be the daemon's own: chown it",
                       path, (unsigned int)st->st_uid);
    }
    if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return err_set(e, ERR_DENIED,
                       "the ledger %s is open to others (mode %04o); take that right away: chmod "
                       "0600",
                       path, (unsigned int)(st->st_mode & 07777));
    }
    if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0) {
        int code = errno;

        return err_set(e, code == EACCES ? ERR_DENIED : -code,
                       "the ledger %s can't be written (%s, mode %04o); %s", path, strerror(code),
                       (unsigned int)(st->st_mode & 07777),
                       code == EROFS ? "it must be on a file system that can" : "chmod 0600");
    }
    return 0;
}

/* Opens one of the files and looks at its rights. 0 with -1: there is none. */
static int open_file(const char *path, struct stat *ret_st, int *ret_fd, struct err *e)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int code = errno;
    struct stat st;
    int r;

    if (fd < 0 && code == ENOENT) {
        *ret_fd = -1;
        return 0;
    }
    if (fd < 0 && code == ELOOP) {
        return err_set(
            e, -code,
            "the ledger %s is a symbolic link, which isn't followed; put the file itself "
            "there, or name it in state.ledger",
            path);
    }
    if (fd < 0) {
        return err_set(e, code == EACCES ? ERR_DENIED : -code, "could not open the ledger %s: %s",
                       path, strerror(code));
    }
    if (fstat(fd, &st) != 0) {
        code = errno;
        r = err_set(e, -code, "could not open the ledger %s: %s", path, strerror(code));
    } else {
        r = check_rights(&st, path, e);
    }
    if (r != 0) {
        (void)close(fd);
        return r;
    }
    *ret_st = st;
    *ret_fd = fd;
    return 0;
}

/* A file that is there and isn't empty must be a ledger. */
static int check_database(struct ledger_files *files, struct err *e)
{
    char header[LEDGER_HEADER_BYTES];
    struct stat st;
    ssize_t got;
    int fd = -1;
    int r = open_file(files->path, &st, &fd, e);

    if (r != 0 || fd < 0 || st.st_size == 0) {
        files->is_new = r == 0;
    } else {
        got = pread(fd, header, sizeof(header), 0);
        r = got < 0 ? err_set(e, -errno, "could not read the ledger %s: %s", files->path,
                              strerror(errno))
                    : ledger_header_check((struct str){header, (size_t)got}, files->path, e);
    }
    if (r == 0 && fd >= 0) {
        (void)close(fd);
    }
    return r;
}

static int check_log(struct ledger_files *files, struct err *e)
{
    struct stat st;
    int fd = -1;
    int r = open_file(files->log_path, &st, &fd, e);

    if (r != 0 || fd < 0) {
        return r;
    }
    (void)close(fd);
    files->has_log = true;
    if (files->is_new && st.st_size > 0) {
        r = err_set(e, ERR_CORRUPT,
                    "the ledger %s is missing or empty, but its log %s has leases whose "
                    "credentials may live on: put the ledger back beside it; or move the log away "
                    "to begin anew, and revoke at the issuers by hand",
                    files->path, files->log_path);
    }
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

static char *name_beside(const char *path, const char *suffix)
{
    size_t size = strlen(path) + strlen(suffix) + 1;
    char *name = mem_alloc(size);

    if (name != NULL) {
        (void)snprintf(name, size, "%s%s", path, suffix);
    }
    return name;
}

int ledger_files_check(struct ledger_files *files, const char *path, struct err *e)
{
    int r = check_directory(path, e);

    *files = (struct ledger_files){.is_new = false};
    if (r != 0) {
        return r;
    }
    files->path = mem_strdup(path);
    files->log_path = name_beside(path, "-wal");
    files->index_path = name_beside(path, "-shm");
    if (files->path == NULL || files->log_path == NULL || files->index_path == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    r = check_database(files, e);
    return r != 0 ? r : check_log(files, e);
}

void ledger_files_fini(struct ledger_files *files)
{
    mem_free(files->path);
    mem_free(files->log_path);
    mem_free(files->index_path);
    *files = (struct ledger_files){.is_new = false};
}

/* --- while SQLite has them open --------------------------------------------------------------- */

static int look_at(const char *path, struct ledger_file_id *ret_id, struct err *e)
{
    struct stat st;

    if (lstat(path, &st) != 0) {
        int code = errno;

        return err_set(e, -code, "could not look at the ledger %s: %s", path, strerror(code));
    }
    *ret_id = (struct ledger_file_id){.device = st.st_dev, .inode = st.st_ino};
    return 0;
}

int ledger_files_note(struct ledger_files *files, struct err *e)
{
    int r = look_at(files->path, &files->id, e);

    return r != 0 ? r : look_at(files->log_path, &files->log_id, e);
}

static int look_again(const char *path, const struct ledger_file_id *noted, struct err *e)
{
    struct ledger_file_id id = {.device = 0};
    int r = look_at(path, &id, e);

    if (r == 0 && (id.device != noted->device || id.inode != noted->inode)) {
        r = -ESTALE;
    }
    if (r == -ENOENT || r == -ESTALE) {
        (void)err_set(e, r,
                      "the ledger's file %s was %s under the running leased (the next start would "
                      "know nothing of its leases; end them with SIGUSR2, then restart leased)",
                      path, r == -ENOENT ? "removed" : "replaced");
    }
    return r;
}

int ledger_files_look(const struct ledger_files *files, struct err *e)
{
    int r = look_again(files->path, &files->id, e);

    return r != 0 ? r : look_again(files->log_path, &files->log_id, e);
}

bool ledger_files_has_database(const struct ledger_files *files)
{
    return look_again(files->path, &files->id, NULL) == 0;
}

void ledger_files_tidy(const struct ledger_files *files, bool is_log_too)
{
    struct stat st;

    (void)unlink(files->index_path);
    if (is_log_too && !files->has_log && lstat(files->log_path, &st) == 0 && st.st_size == 0) {
        (void)unlink(files->log_path);
    }
}
