/* Reads secrets from where the configuration says they are: a file, systemd's credentials
 * directory, or a variable that was in the environment at start. Each refusal names the source and
 * what to do; no text holds a secret. */
#include "io/source.h"

#include "base/mem.h"
#include "io/io_internal.h"
#include "io/scrub.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A secret that strangers can read is known to them, and one that they can write is theirs. */
int io_check_secret_file(const char *path, const struct stat *facts, unsigned int flags,
                         struct err *e)
{
    mode_t refused = S_IWOTH | S_IWGRP | ((flags & IO_SECRET_SHARED) != 0 ? 0 : S_IROTH) |
                     ((flags & IO_SECRET_PRIVATE) != 0 ? S_IRGRP : 0);

    if (!S_ISREG(facts->st_mode)) {
        return err_set(e, ERR_INVALID, "%s is not a regular file", path);
    }
    if ((facts->st_mode & refused) != 0) {
        return err_set(e, ERR_DENIED, "%s is accessible to others (mode %04o): chmod 0600", path,
                       (unsigned)(facts->st_mode & 07777U));
    }
    return 0;
}

static int check_file(const char *path, const struct stat *facts, unsigned int flags, struct err *e)
{
    int rc = io_check_secret_file(path, facts, flags, e);

    if (rc != 0) {
        return rc;
    }
    if ((flags & IO_SECRET_ANY_OWNER) == 0 && facts->st_uid != 0 && facts->st_uid != geteuid()) {
        return err_set(e, ERR_DENIED, "%s belongs to uid %u: it must be root's or the daemon's",
                       path, (unsigned)facts->st_uid);
    }
    if (facts->st_size > (off_t)ENV_SECRET_MAX_BYTES) {
        return err_set(e, ERR_TOO_LARGE, "%s is larger than %u bytes", path, ENV_SECRET_MAX_BYTES);
    }
    return 0;
}

static int read_all(int fd, char *bytes, size_t capacity, size_t *ret_size)
{
    size_t size = 0;

    while (size < capacity) {
        ssize_t got = read(fd, bytes + size, capacity - size);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        size += (size_t)got;
    }
    *ret_size = size;
    return 0;
}

static int take(const char *source, struct str bytes, struct secret *ret_secret, struct err *e)
{
    if (str_ends_with(bytes, "\n")) {
        bytes.len--;
        bytes.len -= str_ends_with(bytes, "\r") ? 1 : 0;
    }
    if (bytes.len == 0) {
        return err_set(e, ERR_INVALID, "%s is empty", source);
    }
    if (bytes.len > ENV_SECRET_MAX_BYTES) {
        return err_set(e, ERR_TOO_LARGE, "%s is larger than %u bytes", source,
                       ENV_SECRET_MAX_BYTES);
    }
    if (secret_set(ret_secret, bytes) != 0) {
        return err_set(e, ERR_NOMEM, "could not read %s: out of memory", source);
    }
    return 0;
}

int io_read_secret_file(const char *path, unsigned int flags, struct secret *ret_secret,
                        struct err *e)
{
    /* O_NONBLOCK: a pipe in place of the file must not hold the loop; it is refused below. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *bytes = NULL;
    size_t size = 0;
    struct stat facts;
    int rc;

    if (fd < 0) {
        rc = -errno;
        return err_set(e, rc, "could not read %s: %s", path, err_str(rc));
    }
    if (fstat(fd, &facts) != 0) {
        rc = -errno;
        (void)err_set(e, rc, "could not read %s: %s", path, err_str(rc));
        goto out;
    }
    rc = check_file(path, &facts, flags, e);
    if (rc != 0) {
        goto out;
    }
    /* One byte more than allowed, for the newline; and one to see that it is larger. */
    bytes = mem_alloc(ENV_SECRET_MAX_BYTES + 2);
    if (bytes == NULL) {
        rc = err_set(e, ERR_NOMEM, "could not read %s: out of memory", path);
        goto out;
    }
    rc = read_all(fd, bytes, ENV_SECRET_MAX_BYTES + 2, &size);
    if (rc != 0) {
        (void)err_set(e, rc, "could not read %s: %s", path, err_str(rc));
        goto out;
    }
    rc = take(path, (struct str){.ptr = bytes, .len = size}, ret_secret, e);

out:
    mem_free(bytes);
    (void)close(fd);
    return rc;
}

static int read_credential(const char *name, struct secret *ret_secret, struct err *e)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];
    int len;

    if (folder == NULL || folder[0] != '/') {
        return err_set(e, ERR_NOT_FOUND,
                       "credential %s: the service manager passed none (LoadCredential=)", name);
    }
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL) {
        return err_set(e, ERR_INVALID, "\"%s\" is not the name of a credential", name);
    }
    len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return err_set(e, ERR_INVALID, "the path of credential %s is too long", name);
    }
    return io_read_secret_file(path, 0, ret_secret, e);
}

static int read_variable(struct io *io, const char *name, struct secret *ret_secret, struct err *e)
{
    const struct secret *value = NULL;

    if (io->environment != NULL) {
        value = io_environment_find(io->environment, str_of(name));
    }
    if (value == NULL) {
        return err_set(e, ERR_NOT_FOUND, "the variable %s was not set at start", name);
    }
    return take(name, secret_view(value), ret_secret, e);
}

int io_secret_read(struct env *env, struct str source, struct secret *ret_secret, struct err *e)
{
    struct str name = source;
    struct str kind = str_cut(&name, ':');
    char *text;
    int rc;

    if (name.len == 0 || memchr(name.ptr, '\0', name.len) != NULL) {
        return err_set(e, ERR_INVALID, "\"%.*s\" does not name a secret", STR_ARG(source));
    }
    text = mem_strndup(name.ptr, name.len);
    if (text == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    if (str_eq_c(kind, "file")) {
        rc = io_read_secret_file(text, 0, ret_secret, e);
    } else if (str_eq_c(kind, "shared-file")) {
        rc = io_read_secret_file(text, IO_SECRET_SHARED, ret_secret, e);
    } else if (str_eq_c(kind, "credential")) {
        rc = read_credential(text, ret_secret, e);
    } else if (str_eq_c(kind, "env")) {
        rc = read_variable(io_of(env), text, ret_secret, e);
    } else {
        rc = err_set(e, ERR_INVALID,
                     "\"%.*s\" is none of file:, shared-file:, credential:, env:", STR_ARG(source));
    }
    mem_free(text);
    return rc;
}
