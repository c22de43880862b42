/* Server-sent events: whatever the bytes are, reading ends, and in which pieces they come makes no
 * difference. */
#include "base/check.h"
#include "wire/sse.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct seen {
    uint64_t hash;
    size_t count;
};

static void mix(struct seen *seen, const char *bytes, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        seen->hash = (seen->hash ^ (unsigned char)bytes[i]) * 1099511628211ULL;
    }
    seen->hash = (seen->hash ^ 0x100) * 1099511628211ULL;
}

static void on_event(void *user, const char *name, struct str data)
{
    struct seen *seen = user;

    CHECK(strlen(name) <= SSE_NAME_MAX_BYTES && data.len <= SSE_DATA_MAX_BYTES);
    mix(seen, name, strlen(name));
    mix(seen, data.ptr, data.len);
    seen->count++;
}

static int read_all(struct str text, size_t step, struct seen *seen, char id[SSE_ID_MAX_BYTES + 1])
{
    struct sse_parser parser;
    size_t at;
    int r = 0;

    sse_init(&parser, on_event, seen);
    for (at = 0; r == 0 && at < text.len; at += step) {
        size_t left = text.len - at;

        r = sse_read(&parser, (struct str){.ptr = text.ptr + at, .len = left < step ? left : step});
    }
    CHECK(parser.retry_ms <= SSE_RETRY_MAX_MS);
    memcpy(id, parser.id, sizeof(parser.id));
    sse_fini(&parser);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = {.ptr = (const char *)bytes, .len = size};
    struct seen whole = {.hash = 0};
    struct seen pieces = {.hash = 0};
    char id[SSE_ID_MAX_BYTES + 1];
    char same_id[SSE_ID_MAX_BYTES + 1];
    size_t step = size > 0 ? 1 + bytes[0] % 7 : 1;

    if (read_all(text, size > 0 ? size : 1, &whole, id) == 0) {
        CHECK(read_all(text, step, &pieces, same_id) == 0);
        CHECK(whole.hash == pieces.hash && whole.count == pieces.count);
        CHECK(strcmp(id, same_id) == 0);
    }
    return 0;
}
