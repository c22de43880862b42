/* Files that are kept fresh: from the configuration to serve/, and what an earlier daemon has left
 * of them. */
#include "daemon/daemon_internal.h"

#include "base/mem.h"
#include "daemon/files_known.h"
#include "io/accounts.h"
#include "wire/file_record.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- the record -------------------------------------------------------------- */

static int record_read(int fd, struct buf *out)
{
    char bytes[4096];
    struct stat st;
    ssize_t size = 1;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_uid != 0 && st.st_uid != geteuid()) ||
        (st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return ERR_DENIED;
    }
    while (size > 0 && buf_status(out) == 0) {
        size = read(fd, bytes, sizeof(bytes));
        if (size > 0) {
            buf_add(out, bytes, (size_t)size);
        }
    }
    return size < 0 ? -errno : buf_status(out);
}

int files_known_read(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int r;

    if (fd < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    r = record_read(fd, out);
    (void)close(fd);
    return r;
}

/* ---- what is configured ------------------------------------------------------ */

static int file_fill(const struct config_file *configured, struct serve_file *ret_file,
                     struct err *e)
{
    uid_t uid = 0;
    gid_t gid = ENV_NO_ID;
    struct err why = {.code = 0};
    int r = io_resolve_user(configured->holder.user, &uid, &why);

    if (r == 0 && configured->holder.group != NULL) {
        r = io_resolve_group(configured->holder.group, &gid, &why);
    }
    if (r != 0) {
        return err_set(e, r == ERR_NOMEM ? r : ERR_INVALID, "file %s: its holder: %s",
                       configured->path, why.text);
    }
    *ret_file = (struct serve_file){
        .path = configured->path,
        .role = configured->role,
        .format = configured->format,
        .template_text = configured->template_text,
        .unit = configured->holder.unit,
        .uid = uid,
        .gid = gid,
        .is_required = configured->is_required,
        .has_change = configured->on_change.node != NULL,
        .settle_ms = configured->on_change.settle_ms,
    };
    return 0;
}

int daemon_files_make(const struct config *config, struct serve_file **ret_files, struct err *e)
{
    const struct schema_list *list = &config->settings.files;
    const struct config_file *configured = list->items;
    struct serve_file *files = mem_calloc(list->count + 1, sizeof(*files));
    size_t i;
    int r = 0;

    if (files == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    for (i = 0; r == 0 && i < list->count; i++) {
        r = file_fill(&configured[i], &files[i], e);
    }
    if (r != 0) {
        mem_free(files);
        return r;
    }
    *ret_files = files;
    return 0;
}

int daemon_files_start(struct daemon *daemon)
{
    struct serve_file *files = NULL;
    struct err e = {0};
    int r = daemon_files_make(daemon->config, &files, &e);

    if (r != 0) {
        log_event(LOG_LEVEL_ERROR, "daemon.start.failed", "detail", "files", "err", e.text, NULL);
        return r == ERR_INVALID ? EX_CONFIG : EX_OSERR;
    }
    daemon_serve_set(daemon, daemon->config, daemon->served, files);
    mem_free(files);
    serve_files_start(daemon->serve, daemon->options.files_known);
    if (daemon->config->settings.files.count > 0 && daemon->options.files_record == NULL) {
        log_event(LOG_LEVEL_WARN, "files.unrecorded", "detail",
                  "without state.ledger nobody knows after a crash which files are leased's: those "
                  "that aren't configured any more stay",
                  NULL);
    }
    return 0;
}
