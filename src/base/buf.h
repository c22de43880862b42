/* Growing byte buffers with a hard maximum. A failure sticks: later appends do nothing, and the one
 * check at the end sees it. Freed bytes are wiped. */
#ifndef LEASED_BASE_BUF_H
#define LEASED_BASE_BUF_H

#include "base/str.h"

struct buf {
    char *bytes; /* owned; NUL-terminated when not NULL, the NUL isn't counted */
    size_t len;
    size_t cap;
    size_t max_bytes;
    int status; /* 0, ERR_NOMEM or ERR_TOO_LARGE */
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_fini(struct buf *buf);

/* Empties without giving memory back; clears the status. The old bytes are wiped. */
void buf_reset(struct buf *buf);

/* Makes room for `more` bytes and the NUL. False, with the status set, if there can't be. */
bool buf_grow(struct buf *buf, size_t more);

/* The appends are inline because every answer consists of a hundred short ones. */
static inline bool buf_reserve(struct buf *buf, size_t more)
{
    return (buf->status == 0 && buf->cap > buf->len && more < buf->cap - buf->len &&
            more <= buf->max_bytes - buf->len) ||
           buf_grow(buf, more);
}

static inline void buf_add(struct buf *buf, const void *bytes, size_t size)
{
    if (buf_reserve(buf, size)) {
        if (size > 0) {
            memcpy(buf->bytes + buf->len, bytes, size);
        }
        buf->len += size;
        buf->bytes[buf->len] = '\0';
    }
}

static inline void buf_add_c(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

static inline void buf_add_str(struct buf *buf, struct str s)
{
    buf_add(buf, s.ptr, s.len);
}

static inline void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *format, ...) ATTR_PRINTF(2, 3);

/* 0, or the first failure. */
int buf_status(const struct buf *buf) ATTR_MUST_USE;

/* What has been written; borrowed until the next change. */
struct str buf_str(const struct buf *buf);

/* The bytes as a NUL-terminated text of the caller's (mem_free); the buffer is empty afterwards.
 * NULL after a failure. An empty buffer gives an empty text. */
ATTR_MUST_USE char *buf_steal(struct buf *buf);

#define BUF_AUTO ATTR_CLEANUP(buf_fini) struct buf

#endif
