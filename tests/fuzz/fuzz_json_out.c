/* Any bytes as a member of a JSON object of ours: what is written is one line of valid JSON with
 * exactly that member, and nothing in it can act on a terminal or a browser. Texts that are valid
 * already come back as they were. */
#include "base/mem.h"
#include "fuzz/input.h"
#include "wire/json_out.h"

#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool is_plain(struct str s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < 0x20 || (unsigned char)s.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

static void check_line(struct str line)
{
    size_t i;

    for (i = 0; i < line.len; i++) {
        CHECK((unsigned char)line.ptr[i] >= 0x20 && line.ptr[i] != 0x7f);
    }
    CHECK(memmem(line.ptr, line.len, "\xe2\x80\xa8", 3) == NULL);
    CHECK(memmem(line.ptr, line.len, "\xe2\x80\xae", 3) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    struct str line = input_line(&input);
    struct str key = str_cut(&line, '\0'); /* no key of ours has a NUL, and jansson reads none */
    struct str value = input_rest(&input);
    struct json_out json;
    json_error_t why;
    json_t *root;
    BUF_AUTO out;

    json_set_alloc_funcs(mem_alloc, mem_free);
    buf_init(&out, 16 * (size + 16));
    json_out_init(&json, &out);
    json_out_object_open(&json, NULL);
    json_out_member(&json, key, value);
    json_out_u64(&json, "size", size);
    json_out_object_close(&json);
    CHECK(buf_status(&out) == 0);
    check_line(buf_str(&out));
    root = json_loadb(out.bytes, out.len, JSON_ALLOW_NUL, &why);
    CHECK(root != NULL);
    CHECK(json_object_size(root) == (str_eq_c(key, "size") ? 1 : 2));
    if (is_plain(key) && is_plain(value) && !str_eq_c(key, "size")) {
        const json_t *member = json_object_getn(root, key.len > 0 ? key.ptr : "", key.len);

        CHECK(json_string_length(member) == value.len);
        CHECK(value.len == 0 || memcmp(json_string_value(member), value.ptr, value.len) == 0);
    }
    json_decref(root);
    return 0;
}
