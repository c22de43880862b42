/* What leased has written to files, so that the next start can take away what is not configured any
 * more: one file a line, hashes of what may be its content (file_hash.h) and its path.
 *
 *   HASH[,HASH] PATH */
#ifndef LEASED_WIRE_FILE_RECORD_H
#define LEASED_WIRE_FILE_RECORD_H

#include "base/buf.h"
#include "wire/file_hash.h"

#define FILE_RECORD_PATH_MAX_BYTES 255U
/* Of what it was before, of what it is to become, and of a try before that may have come through.
 */
#define FILE_RECORD_HASHES_MAX 3U
#define FILE_RECORD_MAX_BYTES (1024U * 1024U)

struct file_record {
    struct str path;
    struct str hashes[FILE_RECORD_HASHES_MAX];
    size_t hash_count;
};

/* Appends a line. */
void file_record_add(struct buf *out, const struct file_record *record);

/* Takes the next record off `rest`; lines that are none are passed over. False: there is no more.
 */
bool file_record_next(struct str *rest, struct file_record *ret_record);

/* An absolute path without control characters, empty parts, "." and "..", that ends with a name, of
 * at most FILE_RECORD_PATH_MAX_BYTES. */
bool file_record_is_path(struct str path);

#endif
