/* Reads policies from the disk. The files are looked at as they are met, folder by folder; the
 * bundle puts them in order and keeps its limits. */
#include "cli/policy_folder.h"

#include "access/includes.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of folders in each other; a link that leads upwards ends here. */
#define DEPTH_MAX 8U

struct reading {
    struct policy_folder *folder;
    const char *main; /* the only file that is read, beside what it includes; NULL: all */
    const char *test; /* the only file of tests that is read; NULL: all */
    struct access_includes includes; /* of `main` and of those */
    struct err *e;
    unsigned depth;
};

static int folder_read(struct reading *it, const char *below);

static int told(const char *path, int error, struct err *e)
{
    const int code = error == ENOENT ? ERR_NOT_FOUND : ERR_IO;

    (void)err_set(e, code, "%s: could not be read: %s", path, strerror(error));
    return code;
}

/* "first/second", or the one that isn't empty. */
static int join(struct reading *it, const char *first, const char *second, char out[PATH_MAX])
{
    const char *slash = first[0] != '\0' && second[0] != '\0' ? "/" : "";
    int len = snprintf(out, PATH_MAX, "%s%s%s", first, slash, second);

    return len >= 0 && len < PATH_MAX
               ? 0
               : err_set(it->e, ERR_TOO_LARGE, "%.100s…: the path is too long", second);
}

static int bytes_read(int fd, const char *path, struct buf *out, struct err *e)
{
    char bytes[16384];
    ssize_t count;

    while ((count = read(fd, bytes, sizeof(bytes))) != 0) {
        if (count < 0 && errno != EINTR) {
            return told(path, errno, e);
        }
        if (count > 0) {
            buf_add(out, bytes, (size_t)count);
        }
    }
    if (buf_status(out) == ERR_TOO_LARGE) {
        return err_set(e, ERR_LIMIT, "%s: has more than %zu bytes", path, out->max_bytes);
    }
    return buf_status(out);
}

int policy_file_read(const char *path, struct buf *out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int r;

    if (fd < 0) {
        return told(path, errno, e);
    }
    r = bytes_read(fd, path, out, e);
    (void)close(fd);
    return r;
}

bool policy_folder_is_one(const char *path)
{
    struct stat facts;

    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

static bool is_test(struct str name)
{
    return str_ends_with(name, "_test.yaml");
}

/* Is it to be read, and wasn't yet? */
static bool file_is_wanted(const struct reading *it, const char *name)
{
    if (it->main != NULL) {
        return access_includes_has(&it->includes, name) &&
               !policy_bundle_has(it->folder->policy, str_of(name));
    }
    if (is_test(str_of(name))) {
        return it->test == NULL || strcmp(it->test, name) == 0;
    }
    return str_ends_with(str_of(name), ".yaml");
}

static int file_read(struct reading *it, const char *name, const char *path)
{
    struct policy_folder *folder = it->folder;
    struct err e = {0};
    BUF_AUTO text;
    int r;

    buf_init(&text, POLICY_BUNDLE_TEXT_MAX_BYTES);
    r = policy_file_read(path, &text, it->e);
    if (r == 0) {
        r = policy_bundle_add(is_test(str_of(name)) ? folder->tests : folder->policy, str_of(name),
                              buf_str(&text), &e);
        r = r == 0 ? 0 : err_set(it->e, r, "%s: %s", path, e.text);
    }
    return r == 0 && it->main != NULL ? access_includes_add(&it->includes, name, buf_str(&text))
                                      : r;
}

/* Does this lie in the folder that is read, whatever links lead to it? */
static bool is_inside(const struct reading *it, const char *path)
{
    char top[PATH_MAX];
    char real[PATH_MAX];
    size_t len;

    if (realpath(it->folder->path, top) == NULL || realpath(path, real) == NULL) {
        return false;
    }
    len = strcmp(top, "/") == 0 ? 0 : strlen(top);
    return strncmp(real, top, len) == 0 && (real[len] == '/' || real[len] == '\0');
}

/* A link may lead to what lies in the folder (a Kubernetes volume has such), but not out of it:
 * what is shown, and what is applied under the folder's revision, would be somebody else's file. */
static int link_check(const struct reading *it, const char *path)
{
    struct stat facts;

    if (lstat(path, &facts) != 0 || !S_ISLNK(facts.st_mode) || is_inside(it, path)) {
        return 0;
    }
    return err_set(it->e, ERR_INVALID,
                   "%s: is a link that leads out of the folder: put what it names there", path);
}

/* One entry of a folder; `name` is its way from the top. */
static int entry_read(struct reading *it, const char *name)
{
    char path[PATH_MAX];
    struct stat facts;
    int r = join(it, it->folder->path, name, path);

    if (r != 0) {
        return r;
    }
    if (it->main == NULL && str_ends_with(str_of(name), ".yml")) {
        return err_set(it->e, ERR_INVALID, "%s: isn't read: rename it to .yaml", path);
    }
    if (stat(path, &facts) != 0) {
        /* A link that leads nowhere is somebody's left-over, unless it should be a file. */
        return file_is_wanted(it, name) ? told(path, errno, it->e) : 0;
    }
    if (S_ISDIR(facts.st_mode) ? it->main != NULL && !access_includes_reaches(&it->includes, name)
                               : !file_is_wanted(it, name)) {
        return 0;
    }
    r = link_check(it, path);
    if (r != 0) {
        return r;
    }
    if (S_ISDIR(facts.st_mode)) {
        return folder_read(it, name);
    }
    if (!S_ISREG(facts.st_mode)) {
        return err_set(it->e, ERR_INVALID, "%s: is no regular file", path);
    }
    return file_read(it, name, path);
}

static int entries_read(struct reading *it, DIR *folder, const char *below)
{
    const struct dirent *entry;
    char name[PATH_MAX];
    int r = 0;

    for (errno = 0; r == 0 && (entry = readdir(folder)) != NULL; errno = 0) {
        if (entry->d_name[0] != '.') {
            r = join(it, below, entry->d_name, name);
            r = r == 0 ? entry_read(it, name) : r;
        }
    }
    return r;
}

static int folder_read(struct reading *it, const char *below)
{
    char path[PATH_MAX];
    DIR *folder;
    int r = join(it, it->folder->path, below, path);

    if (r != 0) {
        return r;
    }
    if (it->depth == DEPTH_MAX) {
        return err_set(it->e, ERR_LIMIT, "%s: folders are nested more than %u deep", path,
                       DEPTH_MAX);
    }
    folder = opendir(path);
    if (folder == NULL) {
        return told(path, errno, it->e);
    }
    it->depth++;
    r = entries_read(it, folder, below);
    it->depth--;
    (void)closedir(folder);
    return r;
}

/* The file that was named, and then what it includes, and what that does. */
static int main_read(struct reading *it)
{
    struct policy_bundle *policy = it->folder->policy;
    char path[PATH_MAX];
    size_t count;
    int r = join(it, it->folder->path, it->main, path);

    r = r == 0 ? file_read(it, it->main, path) : r;
    r = r == 0 ? policy_bundle_set_main(policy, str_of(it->main), it->e) : r;
    do {
        count = policy->file_count;
        r = r == 0 && !access_includes_is_empty(&it->includes) ? folder_read(it, "") : r;
    } while (r == 0 && policy->file_count > count);
    return r;
}

/* The folder that is meant, and the file in it if one is named. */
static int path_split(struct reading *it, const char *path)
{
    struct policy_folder *folder = it->folder;
    struct str way = str_of(path);
    const char *slash;
    struct stat facts;

    while (way.len > 1 && way.ptr[way.len - 1] == '/') {
        way.len--;
    }
    if (stat(path, &facts) != 0) {
        return told(path, errno, it->e);
    }
    if (S_ISDIR(facts.st_mode)) {
        folder->path = mem_strndup(way.ptr, way.len);
        return folder->path != NULL ? 0 : ERR_NOMEM;
    }
    if (!S_ISREG(facts.st_mode)) {
        return err_set(it->e, ERR_INVALID, "%s: is neither a folder nor a regular file", path);
    }
    slash = strrchr(path, '/');
    if (is_test(way)) {
        it->test = slash != NULL ? slash + 1 : path;
    } else {
        it->main = slash != NULL ? slash + 1 : path;
    }
    folder->path = slash == NULL   ? mem_strdup(".")
                   : slash == path ? mem_strdup("/")
                                   : mem_strndup(path, (size_t)(slash - path));
    return folder->path != NULL ? 0 : ERR_NOMEM;
}

int policy_folder_read(const char *path, struct policy_folder *ret_folder, struct err *e)
{
    struct policy_folder folder = {.policy = policy_bundle_new(), .tests = policy_bundle_new()};
    struct reading it = {.folder = &folder, .e = e};
    int r = folder.policy != NULL && folder.tests != NULL ? 0 : ERR_NOMEM;

    access_includes_init(&it.includes);
    if (r == 0) {
        r = path_split(&it, path);
    }
    if (r == 0) {
        CHECK(folder.path != NULL);
        r = it.main != NULL ? main_read(&it) : folder_read(&it, "");
    }
    if (r == 0 && folder.policy->file_count == 0) {
        r = err_set(e, ERR_NOT_FOUND, "%s: holds no *.yaml file", path);
    }
    access_includes_fini(&it.includes);
    if (r != 0) {
        policy_folder_fini(&folder);
        return r == ERR_NOMEM ? err_set(e, r, "%s", err_str(r)) : r;
    }
    *ret_folder = folder;
    return 0;
}

bool policy_folder_is_here(const struct policy_folder *folder)
{
    return strcmp(folder->path, ".") == 0;
}

const char *policy_folder_place(const struct policy_folder *folder, const char *name,
                                char out[POLICY_FOLDER_PATH_MAX_BYTES])
{
    bool is_here = policy_folder_is_here(folder);

    (void)snprintf(out, POLICY_FOLDER_PATH_MAX_BYTES, "%.3800s%s%.255s",
                   is_here ? "" : folder->path, is_here ? "" : "/", name);
    return out;
}

void policy_folder_fini(struct policy_folder *folder)
{
    mem_free(folder->path);
    policy_bundle_free(folder->policy);
    policy_bundle_free(folder->tests);
    *folder = (struct policy_folder){0};
}
