/* What a program prints for the exec plugin: whatever the bytes are, it is a whole credential or
 * none, and a text that says why quotes nothing of it. */
#include "base/check.h"
#include "exec/output.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_output(const struct exec_output *output)
{
    CHECK(output->field_count > 0 && output->field_count <= EXEC_FIELDS_MAX);
    CHECK((output->ttl_s > 0) != (output->expires_s > 0));
    CHECK(output->ttl_s <= EXEC_TTL_MAX_S);
    CHECK(output->ref.len <= EXEC_REF_MAX_BYTES);
    for (size_t i = 0; i < output->field_count; i++) {
        CHECK(output->fields[i].value.len > 0);
        CHECK(strlen(output->fields[i].key.ptr) == output->fields[i].key.len);
        CHECK(memchr(output->fields[i].value.ptr, '\0', output->fields[i].value.len) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct leased_str text = {(const char *)bytes, size};
    struct exec_output output;
    struct plugin_text detail = {{0}};

    if (exec_output_parse(text, &output, &detail) == 0) {
        check_output(&output);
        exec_output_free(&output);
    } else {
        CHECK(strncmp(detail.bytes, "what the program printed can't be used: ", 40) == 0);
    }
    return 0;
}
