/* The files of policies from the disk to one bundle: a file and what it includes, or the *.yaml of
 * a folder and of those below it, in name order. Links are followed as long as they stay below the
 * folder, since that is how Kubernetes mounts files. */
#include "daemon/config_internal.h"

#include "access/includes.h"
#include "base/mem.h"
#include "wire/git_revision.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 8U
#define PATH_MAX_BYTES 4096U

struct reading {
    const char *path; /* the folder, as it is configured, for messages */
    const char *main; /* the only file that is read, beside what it includes; NULL: all */
    char *root;       /* the folder without links; free */
    struct access_includes includes; /* of `main` and of those */
    struct policy_bundle *bundle;
    struct yaml_errors *errors;
    int first_failure;
};

static void fail(struct reading *it, int status)
{
    it->first_failure = it->first_failure == 0 ? status : it->first_failure;
}

/* Is it the folder itself, or below it? */
static bool is_below(const char *path, const char *root)
{
    size_t len = strlen(root);

    return strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static void file_add(struct reading *it, const char *path, const char *name)
{
    struct err e = {.code = 0};
    BUF_AUTO text;
    int r;

    buf_init(&text, CONFIG_FILE_MAX_BYTES);
    r = config_file_read(path, &text, it->errors);
    if (r == 0) {
        r = policy_bundle_add(it->bundle, str_of(name), buf_str(&text), &e);
        if (r != 0 && r != ERR_NOMEM) {
            yaml_error_in(it->errors, path, 0, 0, "%s", e.text);
            r = ERR_INVALID;
        }
    }
    if (r == 0 && it->main != NULL) {
        r = access_includes_add(&it->includes, name, buf_str(&text));
    }
    if (r != 0) {
        fail(it, r);
    }
}

static void folder_add(struct reading *it, const char *path, const char *name, size_t depth);

/* What a link leads to is no secret of another folder's. */
static bool stays_below(struct reading *it, const char *path)
{
    char *real = realpath(path, NULL);
    bool stays = real != NULL && is_below(real, it->root);

    if (!stays) {
        yaml_error_in(it->errors, path, 0, 0, "is a link that leads out of %s", it->path);
        fail(it, ERR_INVALID);
    }
    free(real); /* style-ok: raw-memory: realpath's */
    return stays;
}

/* Is it to be read, and wasn't yet? */
static bool file_is_wanted(const struct reading *it, const char *name)
{
    return it->main == NULL ? config_file_is_wanted(str_of(name))
                            : access_includes_has(&it->includes, name) &&
                                  !policy_bundle_has(it->bundle, str_of(name));
}

static void entry_add(struct reading *it, const char *path, const char *name, size_t depth)
{
    struct stat facts;

    if (it->main == NULL && str_ends_with(str_of(name), ".yml")) {
        config_report_yml(it->path, name, it->errors);
        fail(it, ERR_INVALID);
        return;
    }
    if (lstat(path, &facts) != 0) {
        yaml_error_in(it->errors, path, 0, 0, "could not be read: %s", err_str(-errno));
        fail(it, ERR_NOT_FOUND);
    } else if (S_ISDIR(facts.st_mode)) {
        if (it->main == NULL || access_includes_reaches(&it->includes, name)) {
            folder_add(it, path, name, depth + 1);
        }
    } else if (file_is_wanted(it, name) && (!S_ISLNK(facts.st_mode) || stays_below(it, path))) {
        file_add(it, path, name);
    }
}

/* `name` is the folder's way from the top; "": it is the top. */
static void folder_add(struct reading *it, const char *path, const char *name, size_t depth)
{
    struct dirent **entries = NULL;
    struct stat facts;
    int count = -1;
    int i;

    if (depth <= DEPTH_MAX && stat(path, &facts) == 0) {
        if (config_check_place(path, &facts, it->errors) != 0) {
            fail(it, ERR_INVALID);
            return;
        }
        count = scandir(path, &entries, NULL, alphasort);
    }
    if (count < 0) {
        yaml_error_in(it->errors, path, 0, 0, "could not be read: %s",
                      depth <= DEPTH_MAX ? err_str(-errno) : "too many folders in each other");
        fail(it, ERR_NOT_FOUND);
        return;
    }
    for (i = 0; i < count; i++) {
        char below[PATH_MAX_BYTES];
        char way[PATH_MAX_BYTES];
        int len = snprintf(below, sizeof(below), "%s/%s", path, entries[i]->d_name);

        (void)snprintf(way, sizeof(way), "%s%s%s", name, name[0] != '\0' ? "/" : "",
                       entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && len > 0 && (size_t)len < sizeof(below) &&
            it->bundle->file_count <= POLICY_BUNDLE_FILES_MAX) {
            entry_add(it, below, way, depth);
        }
        free(entries[i]); /* style-ok: raw-memory: scandir's */
    }
    free(entries); /* style-ok: raw-memory: scandir's */
}

/* ---- the revision -------------------------------------------------------------- */

/* Where it comes from somebody else, it proves nothing. */
static int git_file_read(void *user, const char *path, struct buf *out)
{
    struct yaml_errors ignored;
    int r;

    (void)user;
    yaml_errors_init(&ignored);
    r = config_file_read(path, out, &ignored);
    yaml_errors_fini(&ignored);
    return r;
}

static int revision_find(struct reading *it)
{
    const struct git_reader reader = {.read = git_file_read};
    char revision[GIT_REVISION_MAX_BYTES + 1];

    return git_revision_find(&reader, it->root, revision)
               ? policy_bundle_set_revision(it->bundle, str_of(revision), NULL)
               : 0;
}

/* ---- the way through ----------------------------------------------------------- */

/* The file that was named, and then what it includes, and what that does. */
static void main_read(struct reading *it, const char *path)
{
    size_t count;

    file_add(it, path, it->main);
    if (it->first_failure == 0) {
        it->first_failure = policy_bundle_set_main(it->bundle, str_of(it->main), NULL);
    }
    do {
        count = it->bundle->file_count;
        if (it->first_failure == 0 && !access_includes_is_empty(&it->includes)) {
            folder_add(it, it->path, "", 0);
        }
    } while (it->first_failure == 0 && it->bundle->file_count > count);
}

static void all_read(struct reading *it)
{
    folder_add(it, it->path, "", 0);
    if (it->first_failure == 0 && it->bundle->file_count == 0) {
        yaml_error_in(it->errors, it->path, 0, 0, "holds no *.yaml file");
        fail(it, ERR_NOT_FOUND);
    }
}

/* The folder that `path` means: itself, or that of the file which it names. NULL: no memory. */
static char *folder_of(const char *path, bool is_folder)
{
    const char *slash = strrchr(path, '/');

    if (is_folder) {
        return mem_strdup(path);
    }
    return slash == NULL   ? mem_strdup(".")
           : slash == path ? mem_strdup("/")
                           : mem_strndup(path, (size_t)(slash - path));
}

static int path_read(struct reading *it, const char *path)
{
    it->root = realpath(it->path, NULL);
    if (it->root == NULL) {
        return ERR_NOMEM;
    }
    access_includes_init(&it->includes);
    if (it->main != NULL) {
        main_read(it, path);
    } else {
        all_read(it);
    }
    access_includes_fini(&it->includes);
    if (it->first_failure == 0) {
        it->first_failure = revision_find(it);
    }
    free(it->root); /* style-ok: raw-memory: realpath's */
    return it->first_failure;
}

int config_policy_files_read(const struct yaml_node *node, struct policy_bundle *bundle,
                             char **ret_folder, struct yaml_errors *errors)
{
    struct reading it = {.bundle = bundle, .errors = errors};
    const char *path = node->text.ptr;
    const char *slash = strrchr(path, '/');
    struct stat facts;
    char *folder;
    int r;

    if (stat(path, &facts) != 0) {
        int error = errno;

        yaml_error_at(errors, node, "%s could not be read: %s", path, err_str(-error));
        return error == ENOMEM ? ERR_NOMEM : ERR_NOT_FOUND;
    }
    if (!S_ISDIR(facts.st_mode)) {
        it.main = slash != NULL ? slash + 1 : path;
    }
    folder = folder_of(path, it.main == NULL);
    if (folder == NULL) {
        return ERR_NOMEM;
    }
    it.path = folder;
    r = path_read(&it, path);
    if (r == 0) {
        *ret_folder = folder;
    } else {
        mem_free(folder);
    }
    return r;
}
