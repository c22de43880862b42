/* A line is taken whole or not at all. */
#include "wire/file_record.h"

#include <string.h>

static bool is_hash(struct str text)
{
    size_t i;

    for (i = 0; i < text.len; i++) {
        if (memchr("0123456789abcdef", text.ptr[i], 16) == NULL) {
            return false;
        }
    }
    return text.len == FILE_HASH_HEX_BYTES;
}

bool file_record_is_path(struct str path)
{
    struct str rest = path;
    size_t i;

    if (path.len < 2 || path.len > FILE_RECORD_PATH_MAX_BYTES || path.ptr[0] != '/') {
        return false;
    }
    for (i = 0; i < path.len; i++) {
        if ((unsigned char)path.ptr[i] < 0x20 || path.ptr[i] == 0x7f) {
            return false;
        }
    }
    (void)str_cut(&rest, '/');
    if (path.ptr[path.len - 1] == '/') {
        return false;
    }
    while (rest.len > 0) {
        struct str part = str_cut(&rest, '/');

        if (part.len == 0 || str_eq_c(part, ".") || str_eq_c(part, "..")) {
            return false;
        }
    }
    return true;
}

void file_record_add(struct buf *out, const struct file_record *record)
{
    size_t i;

    for (i = 0; i < record->hash_count; i++) {
        if (i > 0) {
            buf_add_char(out, ',');
        }
        buf_add_str(out, record->hashes[i]);
    }
    buf_add_char(out, ' ');
    buf_add_str(out, record->path);
    buf_add_char(out, '\n');
}

static bool line_read(struct str line, struct file_record *ret_record)
{
    struct str hashes = str_cut(&line, ' ');
    struct file_record record = {.path = line};

    while (hashes.len > 0) {
        struct str hash = str_cut(&hashes, ',');

        if (record.hash_count == FILE_RECORD_HASHES_MAX || !is_hash(hash)) {
            return false;
        }
        record.hashes[record.hash_count++] = hash;
    }
    if (record.hash_count == 0 || !file_record_is_path(record.path)) {
        return false;
    }
    *ret_record = record;
    return true;
}

bool file_record_next(struct str *rest, struct file_record *ret_record)
{
    while (rest->len > 0) {
        if (line_read(str_cut(rest, '\n'), ret_record)) {
            return true;
        }
    }
    return false;
}
