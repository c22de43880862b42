/* Files that are memory, named by /proc. */
#include "cli/exec_files.h"

#include "cli/exec_endpoints.h"
#include "cli/template.h"
#include "wire/format_template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

#define FILES_MODE 0600

/* A descriptor or a negated errno. */
static int memory_open(void)
{
    int fd = memfd_create("lease", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL) {
        fd = memfd_create("lease", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    if (fd >= 0 && fchmod(fd, FILES_MODE) != 0) {
        int cause = -errno;

        (void)close(fd);
        return cause;
    }
    return fd >= 0 ? fd : -errno;
}

static int files_fail(struct cli *cli, const struct exec_file *file, int cause)
{
    cli_message(cli, "could not make a file for %s: %s", file->variable, err_str(cause));
    return CLI_EXEC_FAILED;
}

/* Our pid as this /proc counts it, which a container may have mounted from outside. */
static int files_find_path(struct exec_file *file)
{
    char self[EXEC_PATH_MAX_BYTES / 2];
    ssize_t len = readlink("/proc/self", self, sizeof(self) - 1);
    struct stat meant;
    struct stat found;

    if (len <= 0) {
        return -ENOENT;
    }
    self[len] = '\0';
    (void)snprintf(file->path, sizeof(file->path), "/proc/%s/fd/%d", self, file->fd);
    if (fstat(file->fd, &meant) != 0 || stat(file->path, &found) != 0) {
        return -errno;
    }
    return meant.st_dev == found.st_dev && meant.st_ino == found.st_ino ? 0 : -ENOENT;
}

int exec_files_open(struct cli *cli, struct exec_plan *plan)
{
    size_t i;

    if (exec_plan_wants_tokens(plan)) {
        plan->kept_fd = memory_open();
        if (plan->kept_fd < 0) {
            cli_message(cli, "could not keep tokens: %s", err_str(plan->kept_fd));
            return CLI_EXEC_FAILED;
        }
    }
    for (i = 0; i < plan->file_count; i++) {
        struct exec_file *file = &plan->files[i];
        int fd = memory_open();
        int cause;

        if (fd < 0) {
            return files_fail(cli, file, fd);
        }
        file->fd = fd;
        cause = files_find_path(file);
        if (cause != 0) {
            cli_message(cli, "--file needs /proc, where its files have their names: %s",
                        err_str(cause));
            return CLI_EXEC_FAILED;
        }
    }
    return CLI_OK;
}

static void drop(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

void exec_files_close(struct exec_plan *plan)
{
    size_t i;

    for (i = 0; i < plan->file_count; i++) {
        drop(&plan->files[i].fd);
        drop(&plan->files[i].next_fd);
    }
    drop(&plan->kept_fd);
}

int exec_files_make_next(struct cli *cli, struct exec_plan *plan)
{
    size_t i;

    for (i = 0; i < plan->file_count; i++) {
        struct exec_file *file = &plan->files[i];
        int fd = memory_open();

        if (fd < 0) {
            return files_fail(cli, file, fd);
        }
        drop(&file->next_fd);
        file->next_fd = fd;
    }
    return CLI_OK;
}

void exec_files_swap(struct exec_plan *plan)
{
    size_t i;

    for (i = 0; i < plan->file_count; i++) {
        struct exec_file *file = &plan->files[i];

        /* Can't fail for want of anything: both are open. */
        (void)dup3(file->next_fd, file->fd, O_CLOEXEC);
        drop(&file->next_fd);
    }
}

static int write_sealed(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);

        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        if (written > 0) {
            bytes.ptr += written;
            bytes.len -= (size_t)written;
        }
    }
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0
               ? 0
               : -errno;
}

/* The one credential that a --file is about. CLI_OK or an exit code after a message. */
static int find_credential(struct cli *cli, const struct exec_file *file,
                           const struct format_credential *credentials, size_t count,
                           const struct format_credential **ret_credential)
{
    const struct format_credential *found = NULL;
    size_t i;

    for (i = 0; i < count; i++) {
        bool has_it =
            file->is_formatted || format_credential_field(&credentials[i], file->field) != NULL;

        if (!exec_file_is_of(file, credentials[i].role) || !has_it) {
            continue;
        }
        if (found != NULL) {
            cli_message(cli, "--file %s: both %s and %s have this field: write ROLE.FIELD=NAME",
                        file->option, found->role, credentials[i].role);
            return CLI_EXEC_FAILED;
        }
        found = &credentials[i];
    }
    if (found == NULL) {
        cli_message(cli, "--file %s: there is no such field", file->option);
        return CLI_EXEC_FAILED;
    }
    *ret_credential = found;
    return CLI_OK;
}

static int write_bytes(struct cli *cli, const struct exec_file *file, const struct buf *text)
{
    int status = write_sealed(file->next_fd, buf_str(text));

    return status == 0 ? CLI_OK : files_fail(cli, file, status);
}

static int render_fail(struct cli *cli, const struct exec_file *file, int status,
                       const struct err *e)
{
    cli_message(cli, "--file %s: %s", file->option, e->text[0] != '\0' ? e->text : err_str(status));
    return CLI_EXEC_FAILED;
}

static int write_one(struct cli *cli, const struct exec_file *file,
                     const struct format_credential *credential)
{
    struct err e = {0};
    BUF_AUTO text;
    int status;

    buf_init(&text, FORMAT_OUTPUT_MAX_BYTES);
    if (file->is_formatted) {
        status = format_render(credential, &file->format, &text, &e);
    } else {
        buf_add_str(&text, secret_view(&format_credential_field(credential, file->field)->value));
        status = buf_status(&text);
    }
    return status == 0 ? write_bytes(cli, file, &text) : render_fail(cli, file, status, &e);
}

/* Of all credentials: ${role.field} may be of any. */
static int write_template(struct cli *cli, const struct exec_file *file,
                          const struct format_credential *credentials, size_t count)
{
    struct err e = {0};
    BUF_AUTO pattern;
    BUF_AUTO text;
    int status;

    buf_init(&pattern, FORMAT_TEMPLATE_MAX_BYTES);
    buf_init(&text, FORMAT_OUTPUT_MAX_BYTES);
    if (template_read(cli, file->format.argument, &pattern) != CLI_OK) {
        return CLI_EXEC_FAILED;
    }
    status = format_template_render(buf_str(&pattern), credentials, count, &text, &e);
    return status == 0 ? write_bytes(cli, file, &text) : render_fail(cli, file, status, &e);
}

static int write_config(struct cli *cli, const struct exec_file *file,
                        const struct format_credential *credentials, size_t count)
{
    struct err e = {0};
    BUF_AUTO text;
    int status;

    buf_init(&text, FORMAT_OUTPUT_MAX_BYTES);
    status = exec_endpoints_write_config(cli, credentials, count, &text, &e);
    if (status != 0) {
        cli_message(cli, "%s: %s", file->option, e.text);
        return CLI_EXEC_FAILED;
    }
    return write_bytes(cli, file, &text);
}

/* Of one credential, which must be found first. */
static int write_part(struct cli *cli, const struct exec_file *file,
                      const struct format_credential *credentials, size_t count)
{
    const struct format_credential *credential = NULL;
    int exit_code = find_credential(cli, file, credentials, count, &credential);

    return exit_code == CLI_OK ? write_one(cli, file, credential) : exit_code;
}

int exec_files_write(struct cli *cli, const struct exec_plan *plan,
                     const struct format_credential *credentials, size_t count)
{
    int exit_code = CLI_OK;
    size_t i;

    for (i = 0; exit_code == CLI_OK && i < plan->file_count; i++) {
        const struct exec_file *file = &plan->files[i];

        if (file->is_aws_config) {
            exit_code = write_config(cli, file, credentials, count);
        } else if (file->is_formatted && file->format.kind == FORMAT_TEMPLATE) {
            exit_code = write_template(cli, file, credentials, count);
        } else {
            exit_code = write_part(cli, file, credentials, count);
        }
    }
    return exit_code;
}
