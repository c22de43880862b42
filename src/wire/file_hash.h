/* Tells whether a file still has the content that was written into it, without keeping that. */
#ifndef LEASED_WIRE_FILE_HASH_H
#define LEASED_WIRE_FILE_HASH_H

#include "base/err.h"
#include "base/str.h"

#define FILE_HASH_HEX_BYTES 64

/* SHA-256 over path and content, in hex. 0 or ERR_NOMEM. */
int file_hash(struct str path, struct str content,
              char ret_hash[FILE_HASH_HEX_BYTES + 1]) ATTR_MUST_USE;

#endif
