/* Reads one file of the time zone database. */
#include "base/zonefile.h"

#include "base/err.h"

#include <errno.h>
#include <stdio.h>

int zonefile_read(void *user, const char *name, struct buf *out)
{
    char path[256];
    char bytes[4096];
    FILE *file;
    size_t total = 0;
    size_t count;
    int r = 0;

    (void)user;
    if (snprintf(path, sizeof(path), ZONEFILE_FOLDER "/%s", name) >= (int)sizeof(path)) {
        return ERR_NOT_FOUND;
    }
    file = fopen(path, "rbe");
    if (file == NULL) {
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
    }
    while ((count = fread(bytes, 1, sizeof(bytes), file)) > 0 && total <= ZONEFILE_MAX_BYTES) {
        buf_add(out, bytes, count);
        total += count;
    }
    if (ferror(file) != 0) {
        r = ERR_IO; /* a folder, among others */
    } else if (total > ZONEFILE_MAX_BYTES) {
        r = ERR_TOO_LARGE;
    }
    (void)fclose(file);
    return r != 0 ? r : buf_status(out);
}
