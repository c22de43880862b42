/* The bytes of ssh's formats (RFC 4251, section 5): big-endian numbers, and strings behind their
 * length. */
#ifndef LEASED_WIRE_SSH_BYTES_H
#define LEASED_WIRE_SSH_BYTES_H

#include "base/buf.h"

/* What is being read. After a failure everything is zero or empty, and `is_failed` says so. */
struct ssh_reader {
    struct str rest;
    bool is_failed;
};

uint8_t ssh_get_u8(struct ssh_reader *reader);
uint32_t ssh_get_u32(struct ssh_reader *reader);
uint64_t ssh_get_u64(struct ssh_reader *reader);
/* Points into what is read. */
struct str ssh_get_bytes(struct ssh_reader *reader, size_t size);
struct str ssh_get_string(struct ssh_reader *reader);

void ssh_put_u8(struct buf *out, uint8_t value);
void ssh_put_u32(struct buf *out, uint32_t value);
void ssh_put_string(struct buf *out, struct str value);
/* A number >= 0 from its big-endian bytes. */
void ssh_put_number(struct buf *out, struct str bytes);

#endif
