/* Growing byte buffers. */
#include "base/buf.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUF_FIRST_BYTES 128

void buf_init(struct buf *buf, size_t max_bytes)
{
    CHECK(max_bytes < SIZE_MAX / 4);
    *buf = (struct buf){.max_bytes = max_bytes};
}

void buf_fini(struct buf *buf)
{
    mem_free(buf->bytes);
    *buf = (struct buf){.max_bytes = buf->max_bytes};
}

void buf_reset(struct buf *buf)
{
    if (buf->bytes != NULL) {
        mem_wipe(buf->bytes, buf->len);
    }
    buf->len = 0;
    buf->status = 0;
}

bool buf_grow(struct buf *buf, size_t more)
{
    size_t cap = buf->cap > 0 ? buf->cap : BUF_FIRST_BYTES;
    char *bytes;

    if (buf->status != 0) {
        return false;
    }
    if (more > buf->max_bytes - buf->len) {
        buf->status = ERR_TOO_LARGE;
        return false;
    }
    while (cap < buf->len + more + 1) {
        cap *= 2;
    }
    bytes = mem_realloc(buf->bytes, cap);
    if (bytes == NULL) {
        buf->status = ERR_NOMEM;
        return false;
    }
    buf->bytes = bytes;
    buf->cap = cap;
    return true;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(size >= 0);
    if (!buf_reserve(buf, (size_t)size)) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(buf->bytes + buf->len, (size_t)size + 1, format, args);
    va_end(args);
    buf->len += (size_t)size;
}

int buf_status(const struct buf *buf)
{
    return buf->status;
}

struct str buf_str(const struct buf *buf)
{
    return (struct str){.ptr = buf->bytes != NULL ? buf->bytes : "", .len = buf->len};
}

char *buf_steal(struct buf *buf)
{
    char *bytes = NULL;

    buf_add(buf, "", 0);
    if (buf->status == 0) {
        bytes = buf->bytes;
        buf->bytes = NULL;
    }
    buf_fini(buf);
    return bytes;
}
