/* Line by line. What begins with a blank belongs to the key before and is of no interest. */
#include "profile.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct leased_str trim(struct leased_str text)
{
    while (text.len > 0 && is_blank(text.ptr[0])) {
        text = (struct leased_str){text.ptr + 1, text.len - 1};
    }
    while (text.len > 0 && is_blank(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* Cuts off the first line. */
static struct leased_str next_line(struct leased_str *rest)
{
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end != NULL ? (size_t)(end - rest->ptr) : rest->len;
    size_t used = end != NULL ? len + 1 : len;
    struct leased_str line = {rest->ptr, len};

    *rest = (struct leased_str){rest->ptr + used, rest->len - used};
    return line;
}

/* "[default]", "[profile x]". */
static bool names(struct leased_str line, const char *name)
{
    const char *end = memchr(line.ptr, ']', line.len);
    struct leased_str inside;

    if (end == NULL) {
        return false;
    }
    inside = trim((struct leased_str){line.ptr + 1, (size_t)(end - line.ptr) - 1});
    if (inside.len > 8 && memcmp(inside.ptr, "profile", 7) == 0 && is_blank(inside.ptr[7])) {
        inside = trim((struct leased_str){inside.ptr + 8, inside.len - 8});
    }
    return plugin_str_eq(inside, name);
}

static void read_key(struct leased_str line, struct aws_keys_parts *parts)
{
    const char *equals = memchr(line.ptr, '=', line.len);
    struct leased_str key;
    struct leased_str value;

    if (equals == NULL) {
        return;
    }
    key = trim((struct leased_str){line.ptr, (size_t)(equals - line.ptr)});
    value = trim((struct leased_str){equals + 1, line.len - (size_t)(equals - line.ptr) - 1});
    if (plugin_str_is(key, "aws_access_key_id")) {
        parts->id = value;
    } else if (plugin_str_is(key, "aws_secret_access_key")) {
        parts->secret = value;
    } else if (plugin_str_is(key, "aws_session_token")) {
        parts->token = value;
    }
}

bool aws_profile_find(struct leased_str file, const char *name, struct aws_keys_parts *ret_parts)
{
    struct aws_keys_parts parts = {.expires_s = 0};
    bool is_inside = false;
    bool is_found = false;

    while (file.len > 0) {
        struct leased_str line = next_line(&file);

        if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';' || is_blank(line.ptr[0])) {
            continue;
        }
        if (line.ptr[0] == '[') {
            is_inside = names(line, name);
            is_found = is_found || is_inside;
        } else if (is_inside) {
            read_key(line, &parts);
        }
    }
    if (is_found) {
        *ret_parts = parts;
    }
    return is_found;
}
