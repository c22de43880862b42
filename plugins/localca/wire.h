/* The bytes of OpenSSH's formats (RFC 4251, section 5): big-endian numbers, and strings and numbers
 * of any size behind their length. Written into a plugin_form, which takes any bytes. */
#ifndef LOCALCA_WIRE_H
#define LOCALCA_WIRE_H

#include "common/form.h"

#include <openssl/types.h>

void localca_put_u8(struct plugin_form *out, uint8_t value);
void localca_put_u32(struct plugin_form *out, uint32_t value);
void localca_put_u64(struct plugin_form *out, uint64_t value);
void localca_put_string(struct plugin_form *out, struct leased_str value);
/* What stands in another form; that one's failure is this one's. */
void localca_put_form(struct plugin_form *out, const struct plugin_form *value);
/* A number >= 0, without leading zeros but for one that keeps it from being negative. */
void localca_put_mpint(struct plugin_form *out, const BIGNUM *value);

/* What is being read. After a failure everything is zero or empty, and `is_failed` says so. */
struct localca_reader {
    const char *at;
    size_t left;
    bool is_failed;
};

struct localca_reader localca_reader_of(struct leased_str bytes);
uint32_t localca_get_u32(struct localca_reader *reader);
uint64_t localca_get_u64(struct localca_reader *reader);
/* Points into what is read. */
struct leased_str localca_get_string(struct localca_reader *reader);
struct leased_str localca_get_bytes(struct localca_reader *reader, size_t size);
/* BN_clear_free; NULL after a failure, for a negative number and when out of memory. */
BIGNUM *localca_get_mpint(struct localca_reader *reader);

#endif
