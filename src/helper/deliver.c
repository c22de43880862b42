/* Happy path: the folder is opened (place.h) → what stands at the name is a regular file or nothing
 * → the content goes into a new file, 0600, in a hidden folder of its own beside it, 0700 → owner,
 * group, mode → fsync → rename → fsync of the folder. So whoever opens the name finds the old file
 * or the new one, each whole and with its own owner and mode, also after a crash.
 *
 * Failure paths: whatever fails before the rename takes the hidden file away again. One that a
 * crash has left is taken away by the next put or remove. */
#include "helper/deliver.h"

#include "base/mem.h"
#include "helper/operation.h"
#include "helper/place.h"
#include "wire/file_hash.h"
#include "wire/run_message.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HASHES_MAX_BYTES 1024U
#define PRIVATE_MODE 0700
#define PRIVATE_TRIES 16
#define NEW_NAME "new"
#define NEW_MODE 0600

/* ---- reading ----------------------------------------------------------------- */

/* All of it, as far as `out` takes it. A negated errno; -EFBIG: there is more. */
static int read_all(int fd, struct buf *out)
{
    char bytes[4096];
    ssize_t size;
    int r = 0;

    do {
        size = read(fd, bytes, sizeof(bytes));
        if (size > 0) {
            buf_add(out, bytes, (size_t)size);
        } else if (size < 0 && errno != EINTR) {
            r = -errno;
        }
    } while (r == 0 && size != 0 && buf_status(out) == 0);
    if (r == 0 && buf_status(out) != 0) {
        r = buf_status(out) == ERR_NOMEM ? -ENOMEM : -EFBIG;
    }
    mem_wipe(bytes, sizeof(bytes));
    return r;
}

/* The content of what stands at the name, and its facts as they are once it is open. A negated
 * errno; -ENOENT: nothing regular. */
static int read_target(const struct place *place, struct stat *ret_facts, struct buf *out)
{
    int fd = openat(place->dir, place->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int r = 0;

    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, ret_facts) != 0 || !S_ISREG(ret_facts->st_mode)) {
        r = -ENOENT;
    } else {
        r = read_all(fd, out);
    }
    (void)close(fd);
    return r;
}

/* ---- rights ------------------------------------------------------------------ */

static bool is_own_group(gid_t group)
{
    gid_t groups[HELPER_GROUPS_MAX];
    int count = getgroups(HELPER_GROUPS_MAX, groups);
    int i;

    for (i = 0; i < count; i++) {
        if (groups[i] == group) {
            return true;
        }
    }
    return group == getegid();
}

static int check_rights(const struct helper_file *file, const struct place *place, struct err *e)
{
    const bool may_chown = operation_may(CAP_CHOWN);

    if (!may_chown && ((file->has_owner && file->owner != geteuid()) ||
                       (file->has_group && !is_own_group(file->group)))) {
        return err_set(e, ERR_DENIED,
                       "leased may not give %s to another %s: install the unit's drop-in "
                       "leased-helper.conf",
                       file->path, file->has_owner && file->owner != geteuid() ? "user" : "group");
    }
    if (faccessat(place->dir, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        return err_set(e, -errno, "leased may not write into the folder of %s: %s", file->path,
                       strerror(errno));
    }
    return 0;
}

/* Opens the place, and nothing there is in the way; else place_close. */
static int prepare(const struct helper_file *file, struct place *ret_place, struct err *e)
{
    struct place place = {.dir = -1};
    struct stat st;
    int r = place_open(file, &place, e);

    if (r != 0) {
        return r;
    }
    r = place_look(&place, file, &st, e);
    if (r == 0 || r == ERR_NOT_FOUND) {
        r = check_rights(file, &place, e);
    }
    if (r != 0) {
        place_close(&place);
        return r;
    }
    *ret_place = place;
    return 0;
}

/* ---- writing ----------------------------------------------------------------- */

static int write_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return written < 0 ? -errno : -EIO;
        }
        bytes.ptr += written;
        bytes.len -= (size_t)written;
    }
    return 0;
}

static uid_t owner_of(const struct helper_file *file)
{
    return file->has_owner ? file->owner : (uid_t)-1;
}

static gid_t group_of(const struct helper_file *file)
{
    return file->has_group ? file->group : (gid_t)-1;
}

/* A folder of the helper's own beside the file: what is renamed out of it is what was written
 * there, even where the file's own folder belongs to somebody who puts other things in the way. One
 * that a crash has left is used again. A negated errno. */
static int private_open(const struct place *place, int *ret_dir)
{
    struct stat st;
    int tries;

    for (tries = 0; tries < PRIVATE_TRIES; tries++) {
        int made = mkdirat(place->dir, place->beside, PRIVATE_MODE);
        int dir =
            made == 0 || errno == EEXIST
                ? openat(place->dir, place->beside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                : -1;

        if (dir >= 0 && fstat(dir, &st) == 0 && st.st_uid == geteuid() &&
            (st.st_mode & 0777) == PRIVATE_MODE) {
            *ret_dir = dir;
            return 0;
        }
        if (dir >= 0) {
            (void)close(dir);
            errno = EEXIST;
        }
        if (errno != EEXIST && errno != ENOTDIR && errno != ELOOP && errno != ENOENT) {
            return -errno;
        }
        if (unlinkat(place->dir, place->beside, 0) != 0) {
            (void)unlinkat(place->dir, place->beside, AT_REMOVEDIR);
        }
    }
    return -EEXIST;
}

static void private_close(const struct place *place, int dir)
{
    (void)unlinkat(dir, NEW_NAME, 0);
    (void)close(dir);
    (void)unlinkat(place->dir, place->beside, AT_REMOVEDIR);
}

/* The content in a new file, synced. The mode comes last: until then only its owner, the one before
 * or the one after, can read it. */
static int write_new(int dir, const struct helper_file *file, struct str bytes)
{
    int fd;
    int r;

    if (unlinkat(dir, NEW_NAME, 0) != 0 && errno != ENOENT) {
        return -errno;
    }
    fd = openat(dir, NEW_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, NEW_MODE);
    if (fd < 0) {
        return -errno;
    }
    r = write_all(fd, bytes);
    if (r == 0 &&
        ((file->has_owner || file->has_group) && fchown(fd, owner_of(file), group_of(file)) != 0)) {
        r = -errno;
    }
    if (r == 0 && (fchmod(fd, file->mode) != 0 || fsync(fd) != 0)) {
        r = -errno;
    }
    if (close(fd) != 0 && r == 0) {
        r = -errno;
    }
    return r;
}

static int sync_folder(const struct place *place)
{
    int fd = openat(place->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (fd < 0) {
        return -errno;
    }
    r = fsync(fd) == 0 ? 0 : -errno;
    (void)close(fd);
    return r;
}

static bool is_there(const struct place *place, const struct helper_file *file, struct str bytes)
{
    struct stat st = {.st_mode = 0};
    BUF_AUTO content;

    buf_init(&content, RUN_INPUT_MAX_BYTES);
    return read_target(place, &st, &content) == 0 && str_eq(buf_str(&content), bytes) &&
           (st.st_mode & 07777) == file->mode &&
           st.st_uid == (file->has_owner ? file->owner : geteuid()) &&
           (!file->has_group || st.st_gid == file->group);
}

static int replace(const struct place *place, const struct helper_file *file, struct str bytes,
                   struct err *e)
{
    int dir = -1;
    int r = private_open(place, &dir);

    if (r == 0) {
        r = write_new(dir, file, bytes);
        if (r == 0 && renameat(dir, NEW_NAME, place->dir, place->name) != 0) {
            r = -errno;
        }
        private_close(place, dir);
    }
    if (r == 0) {
        r = sync_folder(place);
    }
    return r == 0 ? 0 : err_set(e, r, "could not write %s: %s", file->path, strerror(-r));
}

static int say(const char *word)
{
    return write_all(STDOUT_FILENO, str_of(word));
}

int deliver_check(const struct helper_file *file, struct err *e)
{
    struct place place;
    int r = prepare(file, &place, e);

    if (r == 0) {
        place_close(&place);
    }
    return r;
}

int deliver_put(const struct helper_file *file, struct err *e)
{
    struct place place;
    int r;
    BUF_AUTO content;

    buf_init(&content, RUN_INPUT_MAX_BYTES);
    r = read_all(STDIN_FILENO, &content);
    if (r != 0) {
        return err_set(e, r, "could not take the content of %s: %s", file->path, strerror(-r));
    }
    r = prepare(file, &place, e);
    if (r != 0) {
        return r;
    }
    if (is_there(&place, file, buf_str(&content))) {
        r = say(HELPER_UNCHANGED);
    } else {
        r = replace(&place, file, buf_str(&content), e);
        if (r == 0) {
            r = say(HELPER_WRITTEN);
        }
    }
    place_close(&place);
    return r;
}

/* ---- removing ---------------------------------------------------------------- */

/* Is the content one that we have written? */
static bool is_ours(const struct place *place, const struct helper_file *file, struct str hashes)
{
    char hash[FILE_HASH_HEX_BYTES + 1];
    struct stat st = {.st_mode = 0};
    BUF_AUTO content;

    buf_init(&content, RUN_INPUT_MAX_BYTES);
    if (read_target(place, &st, &content) != 0 ||
        file_hash(str_of(file->path), buf_str(&content), hash) != 0) {
        return false;
    }
    /* The helper makes no file of root's unless it is root: an old record that names one lies. */
    if (file->is_stale && st.st_uid == 0 && geteuid() != 0) {
        return false;
    }
    while (hashes.len > 0) {
        if (str_eq_c(str_cut(&hashes, '\n'), hash)) {
            return true;
        }
    }
    return false;
}

/* What a crash has cut off. */
static void remains_clear(const struct place *place)
{
    int dir = -1;

    if (faccessat(place->dir, place->beside, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
        private_open(place, &dir) == 0) {
        private_close(place, dir);
    }
}

int deliver_remove(const struct helper_file *file, struct err *e)
{
    struct place place;
    int r;
    BUF_AUTO hashes;

    buf_init(&hashes, HASHES_MAX_BYTES);
    r = read_all(STDIN_FILENO, &hashes);
    if (r != 0) {
        return err_set(e, r, "could not take the hashes of %s: %s", file->path, strerror(-r));
    }
    r = place_open(file, &place, e);
    if (r != 0) {
        /* Without its folder the file isn't there either. */
        return r == ERR_NOT_FOUND ? 0 : r;
    }
    remains_clear(&place);
    if (is_ours(&place, file, buf_str(&hashes)) && unlinkat(place.dir, place.name, 0) != 0 &&
        errno != ENOENT) {
        r = err_set(e, -errno, "could not remove %s: %s", file->path, strerror(errno));
    } else {
        (void)sync_folder(&place);
    }
    place_close(&place);
    return r;
}
