/* Reading templates. */
#include "cli/template.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* 0 or a cause. */
static int read_all(const char *path, struct buf *text)
{
    char piece[4096];
    ssize_t size = 0;
    int status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return -errno;
    }
    while (buf_status(text) == 0) {
        size = read(fd, piece, sizeof(piece));
        if (size > 0) {
            buf_add(text, piece, (size_t)size);
        } else if (size == 0 || errno != EINTR) {
            break;
        }
    }
    status = size < 0 ? -errno : buf_status(text);
    (void)close(fd);
    return status;
}

int template_read(struct cli *cli, struct str path, struct buf *text)
{
    char *name = mem_strndup(path.ptr, path.len);
    int status = name != NULL ? read_all(name, text) : ERR_NOMEM;

    if (status != 0) {
        cli_message(cli, "could not read the template %.*s: %s", STR_ARG(path), err_str(status));
    }
    mem_free(name);
    return status == 0 ? CLI_OK : CLI_FAILED;
}
