/* Decodes byte by byte. Dots, slashes, backslashes and percent signs have no business behind a
 * percent sign: nobody needs to encode them, and what a server behind us made of them would not be
 * what was judged here. */
#include "serve/vault_path.h"

#include "base/check.h"

#include <string.h>

#define PREFIX "/v1/"

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next byte as a server would see it; -1: badly encoded, or encoded though it means something.
 */
static int next_byte(struct str raw, size_t *at)
{
    unsigned char c = (unsigned char)raw.ptr[(*at)++];
    int high;
    int low;

    if (c != '%') {
        return c <= 0x20 || c >= 0x7f || c == '\\' || c == '#' || c == '?' ? -1 : c;
    }
    high = *at + 2 <= raw.len ? hex_of(raw.ptr[*at]) : -1;
    low = *at + 2 <= raw.len ? hex_of(raw.ptr[*at + 1]) : -1;
    if (high < 0 || low < 0) {
        return -1;
    }
    *at += 2;
    c = (unsigned char)(high << 4 | low);
    return c < 0x20 || c == 0x7f || strchr("./\\%", c) != NULL ? -1 : c;
}

static bool are_dots(struct str segment)
{
    return str_eq_c(segment, ".") || str_eq_c(segment, "..");
}

/* Every segment is a name; the last one may be empty. */
static const char *segments_problem(struct str path)
{
    while (path.ptr != NULL) {
        struct str segment = str_cut(&path, '/');

        if (segment.len == 0 && path.ptr != NULL) {
            return "the path has an empty segment";
        }
        if (are_dots(segment)) {
            return "\".\" and \"..\" are no segments of a path";
        }
    }
    return NULL;
}

static bool is_namespace_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-_.~/", c) != NULL);
}

static struct str trim_slashes(struct str text)
{
    while (text.len > 0 && text.ptr[0] == '/') {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && text.ptr[text.len - 1] == '/') {
        text.len--;
    }
    return text;
}

static int add_namespace(struct str space, const char *own_space, struct vault_path *path,
                         struct err *e)
{
    size_t i;

    space = trim_slashes(space);
    if (space.len == 0 || str_eq_c(space, "root") ||
        str_eq(space, trim_slashes(str_of(own_space)))) {
        return 0;
    }
    if (space.len > VAULT_NAMESPACE_MAX_BYTES) {
        return err_set(e, ERR_INVALID, "the namespace is too long");
    }
    for (i = 0; i < space.len; i++) {
        if (!is_namespace_char((unsigned char)space.ptr[i])) {
            return err_set(e, ERR_INVALID, "the namespace has a character that none has");
        }
    }
    if (segments_problem(space) != NULL) {
        return err_set(e, ERR_INVALID, "the namespace is no path of names");
    }
    memcpy(path->text, space.ptr, space.len);
    path->text[space.len] = '/';
    path->namespace_len = space.len + 1;
    path->len = path->namespace_len;
    return 0;
}

int serve_vault_path_parse(struct str raw, struct str space, const char *own_space,
                           struct vault_path *ret_path, struct err *e)
{
    size_t at = strlen(PREFIX);
    const char *problem;
    int r;

    ret_path->len = 0;
    ret_path->namespace_len = 0;
    CHECK(str_starts_with(raw, PREFIX));
    r = add_namespace(space, own_space, ret_path, e);
    while (r == 0 && at < raw.len) {
        int byte = next_byte(raw, &at);

        if (byte < 0) {
            r = err_set(e, ERR_INVALID,
                        "the path has a character that none has, is badly encoded, or encodes one "
                        "of . / \\ %% or a control byte");
        } else if (ret_path->len == sizeof(ret_path->text)) {
            r = err_set(e, ERR_INVALID, "the path is too long");
        } else {
            ret_path->text[ret_path->len++] = (char)byte;
        }
    }
    if (r != 0) {
        return r;
    }
    problem = segments_problem(serve_vault_path_local(ret_path));
    return problem != NULL ? err_set(e, ERR_INVALID, "%s", problem) : 0;
}

struct str serve_vault_path_full(const struct vault_path *path)
{
    return (struct str){.ptr = path->text, .len = path->len};
}

struct str serve_vault_path_local(const struct vault_path *path)
{
    return (struct str){.ptr = path->text + path->namespace_len,
                        .len = path->len - path->namespace_len};
}
