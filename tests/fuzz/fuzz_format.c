/* Credential documents: whatever the bytes are, parsing ends, every format of a parsed one can be
 * written or says why not, and nothing is left allocated. */
#include "base/mem.h"
#include "wire/format.h"

#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void render(const struct format_credential *credential, struct format_spec spec)
{
    struct buf out;
    struct err e;

    buf_init(&out, FORMAT_OUTPUT_MAX_BYTES);
    (void)!format_render(credential, &spec, &out, &e);
    if (spec.kind == FORMAT_TABLE) {
        size_t i;

        /* The table is for terminals: no control character but the line's end. */
        for (i = 0; i < out.len; i++) {
            CHECK((unsigned char)out.bytes[i] >= 0x20 || out.bytes[i] == '\n');
        }
    }
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = {.ptr = (const char *)bytes, .len = size};
    struct format_credential credential;
    struct err e;
    int kind;

    json_set_alloc_funcs(mem_alloc, mem_free);
    if (format_credential_parse(text, &credential, &e) == 0) {
        for (kind = FORMAT_TABLE; kind <= FORMAT_RAW; kind++) {
            render(&credential, (struct format_spec){.kind = (enum format_kind)kind});
        }
        render(&credential,
               (struct format_spec){.kind = FORMAT_FIELD, .argument = STR("password")});
        (void)!format_credential_map(&credential, STR("password"), STR("PGPASSWORD"));
        format_credential_fini(&credential);
    }
    CHECK(mem_in_use_bytes() == 0);
    return 0;
}
