/* A path, a namespace and a pattern, a line each: what Vault's API takes as a path is one that
 * nothing can read in another way, and patterns of rules decide about it as they are written. */
#include "access/paths.h"
#include "fuzz/input.h"
#include "serve/vault_path.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* No empty segment but the last, none of dots, no byte that could end a line or a text. */
static void judge_path(struct str path)
{
    struct str rest = path;
    size_t i;

    for (i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];

        must(c >= 0x20 && c != 0x7f && c != '\\' && c != '%');
    }
    while (rest.ptr != NULL) {
        struct str segment = str_cut(&rest, '/');

        must(segment.len > 0 || rest.ptr == NULL);
        must(!str_eq_c(segment, ".") && !str_eq_c(segment, ".."));
    }
}

/* A pattern fits itself, but where its + stands for more; one with a * at its end fits whatever
 * begins so. */
static void judge_pattern(struct str pattern, struct str path)
{
    bool is_prefix = pattern.len > 0 && pattern.ptr[pattern.len - 1] == '*';
    struct str head = {.ptr = pattern.ptr, .len = pattern.len - 1};

    if (memchr(pattern.ptr, '+', pattern.len) != NULL) {
        (void)access_path_matches(pattern, path);
    } else if (is_prefix) {
        must(
            access_path_matches(pattern, path) ==
            (path.len >= head.len && (head.len == 0 || memcmp(path.ptr, head.ptr, head.len) == 0)));
    } else {
        must(access_path_matches(pattern, path) == str_eq(pattern, path));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str rest = {.ptr = (const char *)bytes, .len = size};
    struct str raw = str_cut(&rest, '\n');
    struct str space = str_cut(&rest, '\n');
    char *pattern = input_text(rest);
    struct vault_path path;
    struct err e = {0};

    if (str_starts_with(raw, "/v1/") && serve_vault_path_parse(raw, space, "own", &path, &e) == 0) {
        judge_path(serve_vault_path_full(&path));
        must(path.namespace_len <= path.len);
        must(str_ends_with(serve_vault_path_full(&path), "") && path.len <= sizeof(path.text));
        if (access_path_pattern_problem(str_of(pattern)) == NULL) {
            judge_pattern(str_of(pattern), serve_vault_path_full(&path));
        }
    }
    free(pattern);
    return 0;
}
