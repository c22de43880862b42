/* Templates: whatever the bytes are, reading them ends; a text without a dollar sign is what comes
 * out; a role that is said to be missing stands in the text. */
#include "base/mem.h"
#include "wire/format_template.h"

#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const char document[] =
    "{\"role\":\"db\",\"credential\":{\"user\":\"bob\",\"pass\":\"a'b\\\"$c\\n\",\"x.y\":1}}";

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = {.ptr = (const char *)bytes, .len = size};
    struct format_credential credential;
    struct str role = {.ptr = NULL, .len = 0};
    struct buf out;
    struct err e;
    int status;

    json_set_alloc_funcs(mem_alloc, mem_free);
    CHECK(format_credential_parse(str_of(document), &credential, &e) == 0);
    buf_init(&out, FORMAT_OUTPUT_MAX_BYTES);
    status = format_template_render(text, &credential, 1, &out, &e);
    if (size > 0 && memchr(bytes, '$', size) == NULL) {
        CHECK(status == 0);
        CHECK(str_eq(buf_str(&out), text));
    }
    if (format_template_missing_role(text, &credential, 1, &role, &e) == 0 && role.len > 0) {
        CHECK(role.ptr >= text.ptr && role.ptr + role.len < text.ptr + text.len);
        CHECK(status != 0);
    }
    buf_fini(&out);
    format_credential_fini(&credential);
    CHECK(mem_in_use_bytes() == 0);
    return 0;
}
