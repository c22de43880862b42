/* From the disk to YAML trees: one file, or the *.yaml of a folder in name order. Files that
 * strangers may write are refused, because who writes the configuration decides who gets
 * credentials. */
#include "daemon/config_internal.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_BYTES 4096

int config_report_unread(const char *path, int error, struct yaml_errors *errors)
{
    yaml_error_in(errors, path, 0, 0, "could not be read: %s", err_str(-error));
    return error == ENOMEM ? ERR_NOMEM : ERR_NOT_FOUND;
}

int config_check_place(const char *path, const struct stat *facts, struct yaml_errors *errors)
{
    if ((facts->st_mode & S_IWOTH) != 0) {
        yaml_error_in(errors, path, 0, 0, "others may write it (mode %04o): chmod o-w",
                      (unsigned)(facts->st_mode & 07777U));
        return ERR_INVALID;
    }
    if (facts->st_uid != 0 && facts->st_uid != geteuid()) {
        yaml_error_in(errors, path, 0, 0,
                      "belongs to uid %u: it must be root's or that of the user who runs leased",
                      (unsigned)facts->st_uid);
        return ERR_INVALID;
    }
    return 0;
}

/* The whole of an open file; one byte more than allowed tells that it is too large. */
static int bytes_read(int fd, const char *path, struct buf *out, struct yaml_errors *errors)
{
    char chunk[16384];
    ssize_t size;

    while (buf_str(out).len <= YAML_INPUT_MAX_BYTES) {
        size = read(fd, chunk, sizeof(chunk));
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            return config_report_unread(path, errno, errors);
        }
        if (size == 0) {
            break;
        }
        buf_add(out, chunk, (size_t)size);
    }
    return buf_status(out);
}

int config_file_read(const char *path, struct buf *out, struct yaml_errors *errors)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat facts;
    int r;

    if (fd < 0 || fstat(fd, &facts) != 0) {
        r = config_report_unread(path, errno, errors);
        goto out;
    }
    if (!S_ISREG(facts.st_mode)) {
        yaml_error_in(errors, path, 0, 0, "is no regular file");
        r = ERR_NOT_FOUND;
        goto out;
    }
    r = config_check_place(path, &facts, errors);
    if (r == 0) {
        r = bytes_read(fd, path, out, errors);
    }

out:
    if (fd >= 0) {
        (void)close(fd);
    }
    return r;
}

static int document_read(const char *path, struct yaml_document **ret_document,
                         struct yaml_errors *errors)
{
    BUF_AUTO bytes;
    int r;

    buf_init(&bytes, CONFIG_FILE_MAX_BYTES);
    r = config_file_read(path, &bytes, errors);
    if (r == 0) {
        r = yaml_parse(path, buf_str(&bytes), ret_document, errors);
    }
    return r == ERR_TOO_LARGE ? ERR_INVALID : r;
}

void config_report_yml(const char *folder, const char *name, struct yaml_errors *errors)
{
    char path[PATH_MAX_BYTES];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    yaml_error_in(errors, path, 0, 0, "isn't read: rename it to .yaml");
}

/* Names of the files that count in a folder. */
struct names {
    char *items[CONFIG_FILES_MAX];
    size_t count;
};

static void names_free(struct names *names)
{
    size_t i;

    for (i = 0; i < names->count; i++) {
        mem_free(names->items[i]);
    }
    mem_free(names);
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Editors' and packages' left-overs begin with a dot or end in something else. */
bool config_file_is_wanted(struct str name)
{
    return name.ptr[0] != '.' && str_ends_with(name, ".yaml") && !str_ends_with(name, "_test.yaml");
}

static int names_read(const char *path, DIR *folder, struct names *names,
                      struct yaml_errors *errors)
{
    const struct dirent *entry;

    for (errno = 0; (entry = readdir(folder)) != NULL; errno = 0) {
        if (entry->d_name[0] != '.' && str_ends_with(str_of(entry->d_name), ".yml")) {
            config_report_yml(path, entry->d_name, errors);
            return ERR_INVALID;
        }
        if (!config_file_is_wanted(str_of(entry->d_name))) {
            continue;
        }
        if (names->count == CONFIG_FILES_MAX) {
            yaml_error_in(errors, path, 0, 0, "holds more than %d files", CONFIG_FILES_MAX);
            return ERR_INVALID;
        }
        names->items[names->count] = mem_strdup(entry->d_name);
        if (names->items[names->count] == NULL) {
            return ERR_NOMEM;
        }
        names->count++;
    }
    if (errno != 0) {
        return config_report_unread(path, errno, errors);
    }
    if (names->count == 0) {
        yaml_error_in(errors, path, 0, 0, "holds no *.yaml file");
        return ERR_NOT_FOUND;
    }
    qsort((void *)names->items, names->count, sizeof(names->items[0]), name_compare);
    return 0;
}

/* Reads one file after the other, also after a mistake, so that each file's are reported. */
static int names_parse(const char *path, const struct names *names,
                       struct yaml_document **documents, struct yaml_errors *errors)
{
    int first_failure = 0;
    size_t i;

    for (i = 0; i < names->count; i++) {
        BUF_AUTO name;
        int r;

        buf_init(&name, PATH_MAX_BYTES);
        buf_printf(&name, "%s/%s", path, names->items[i]);
        r = buf_status(&name);
        if (r == 0) {
            r = document_read(buf_str(&name).ptr, &documents[i], errors);
        }
        if (first_failure == 0) {
            first_failure = r;
        }
    }
    return first_failure;
}

static int folder_read(const char *path, struct yaml_document **documents, size_t *ret_count,
                       struct yaml_errors *errors)
{
    struct names *names = mem_calloc(1, sizeof(*names));
    DIR *folder;
    int r;

    if (names == NULL) {
        return ERR_NOMEM;
    }
    folder = opendir(path);
    if (folder == NULL) {
        r = config_report_unread(path, errno, errors);
    } else {
        r = names_read(path, folder, names, errors);
        (void)closedir(folder);
    }
    if (r == 0) {
        *ret_count = names->count;
        r = names_parse(path, names, documents, errors);
    }
    names_free(names);
    return r;
}

static int files_read_each(const char *path, struct yaml_document **documents, size_t *ret_count,
                           struct yaml_errors *errors)
{
    struct stat facts;

    if (stat(path, &facts) != 0) {
        return config_report_unread(path, errno, errors);
    }
    if (!S_ISDIR(facts.st_mode)) {
        *ret_count = 1;
        return document_read(path, &documents[0], errors);
    }
    if (config_check_place(path, &facts, errors) != 0) {
        return ERR_INVALID;
    }
    return folder_read(path, documents, ret_count, errors);
}

int config_files_read(const char *path, struct yaml_document **ret_document,
                      struct yaml_errors *errors)
{
    struct yaml_document **documents = mem_calloc(CONFIG_FILES_MAX, sizeof(struct yaml_document *));
    size_t count = 0;
    size_t i;
    int r;

    if (documents == NULL) {
        return ERR_NOMEM;
    }
    r = files_read_each(path, documents, &count, errors);
    for (i = 1; r == 0 && i < count; i++) {
        r = yaml_merge(documents[0], documents[i], errors);
        if (r == 0) {
            documents[i] = NULL;
        }
    }
    if (r == 0) {
        *ret_document = documents[0];
        documents[0] = NULL;
    }
    for (i = 0; i < count; i++) {
        yaml_free(documents[i]);
    }
    mem_free((void *)documents);
    return r;
}
