/* The record of what was written: what is read can be written, and is then read as the same. */
#include "base/check.h"
#include "wire/file_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str rest = {.ptr = (const char *)bytes, .len = size};
    struct file_record record;

    while (file_record_next(&rest, &record)) {
        struct file_record again;
        struct str line;
        BUF_AUTO out;

        buf_init(&out, FILE_RECORD_MAX_BYTES);
        CHECK(file_record_is_path(record.path));
        file_record_add(&out, &record);
        CHECK(buf_status(&out) == 0);
        line = buf_str(&out);
        CHECK(file_record_next(&line, &again));
        CHECK(line.len == 0);
        CHECK(str_eq(again.path, record.path));
        CHECK(again.hash_count == record.hash_count);
        CHECK(str_eq(again.hashes[0], record.hashes[0]));
    }
    return 0;
}
