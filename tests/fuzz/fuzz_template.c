/* Templates in a role's parameters: the first lines are what is known of the caller, the rest is
 * the role's JSON. Whatever a caller calls itself, the filled parameters keep the shape that the
 * role gave them, and a path gets no further segment from it. */
#include "backend/template.h"
#include "base/mem.h"
#include "fuzz/input.h"

#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_same(const json_t *before, const json_t *after);

static void check_children(const json_t *before, const json_t *after)
{
    const char *name;
    json_t *value;
    size_t i;

    if (json_is_object(before)) {
        CHECK(json_object_size(before) == json_object_size(after));
        json_object_foreach ((json_t *)(uintptr_t)before, name, value) {
            check_same(value, json_object_get(after, name));
        }
    }
    for (i = 0; i < json_array_size(before); i++) {
        check_same(json_array_get(before, i), json_array_get(after, i));
    }
}

static void check_same(const json_t *before, const json_t *after)
{
    CHECK(after != NULL);
    CHECK(json_typeof(before) == json_typeof(after));
    CHECK(json_array_size(before) == json_array_size(after));
    if (json_is_string(before)) {
        CHECK(strstr(json_string_value(before), "${") != NULL || json_equal(before, after));
    } else if (!json_is_object(before) && !json_is_array(before)) {
        CHECK(json_equal(before, after));
    }
    check_children(before, after);
}

static bool is_dots(struct str segment)
{
    return str_eq_c(segment, ".") || str_eq_c(segment, "..");
}

/* What a path has by itself, outside its templates. */
static void scan_path(const char *text, size_t *ret_slashes, bool *ret_has_dot)
{
    *ret_slashes = 0;
    *ret_has_dot = false;
    for (; *text != '\0'; text++) {
        if (strncmp(text, "${", 2) == 0) {
            text = strchr(text, '}');
        } else if (*text == '/') {
            (*ret_slashes)++;
        } else if (*text == '.') {
            *ret_has_dot = true;
        }
    }
}

static void check_path(const json_t *before, const json_t *after)
{
    struct str rest = str_of(json_string_value(after));
    size_t slashes_before;
    size_t slashes_after = 0;
    bool has_dot;
    size_t i;

    if (!json_is_string(before)) {
        return;
    }
    scan_path(json_string_value(before), &slashes_before, &has_dot);
    for (i = 0; i < rest.len; i++) {
        slashes_after += rest.ptr[i] == '/' ? 1 : 0;
    }
    CHECK(slashes_before == slashes_after);
    while (!has_dot && rest.len > 0) {
        CHECK(!is_dots(str_cut(&rest, '/')));
    }
}

/* Parameters without a template are handed on as they are; they were parsed with the role. */
static bool has_template(struct str params)
{
    return params.len > 0 && (memmem(params.ptr, params.len, "${", 2) != NULL ||
                              memchr(params.ptr, '\\', params.len) != NULL);
}

static void check_filled(struct str params, const char *filled)
{
    json_error_t why;
    json_t *before;
    json_t *after;

    if (!has_template(params)) {
        CHECK(strncmp(filled, params.len > 0 ? params.ptr : "", params.len) == 0);
        return;
    }
    before = json_loadb(params.ptr, params.len, 0, &why);
    after = json_loads(filled, 0, &why);
    CHECK(before != NULL);
    CHECK(after != NULL);
    check_same(before, after);
    check_path(json_object_get(before, "path"), json_object_get(after, "path"));
    json_decref(before);
    json_decref(after);
}

/* What is known of a caller comes from texts that end with a NUL. */
static struct str next_value(struct input *input)
{
    struct str line = input_line(input);

    return str_cut(&line, '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = input_of(bytes, size);
    struct template_values values = {0};
    size_t bytes_before = mem_in_use_bytes();
    char *filled = NULL;
    struct err e = {0};
    struct str params;
    int r;

    json_set_alloc_funcs(mem_alloc, mem_free);
    values.user = next_value(&input);
    values.uid = next_value(&input);
    values.unit = next_value(&input);
    values.role = next_value(&input);
    values.reason = next_value(&input);
    params = input_rest(&input);
    r = template_fill(params, &values, &filled, &e);
    CHECK(r == 0 || (e.text[0] != '\0' && filled == NULL));
    if (r == 0) {
        check_filled(params, filled);
        mem_free(filled);
        filled = NULL;
    }
    if (template_fill_example(params, &filled, &e) == 0) {
        check_filled(params, filled);
        mem_free(filled);
    } else {
        CHECK(r != 0);
    }
    CHECK(mem_in_use_bytes() == bytes_before);
    return 0;
}
