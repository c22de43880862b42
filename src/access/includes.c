/* Ways in `include`, and the files that they mean. */
#include "access/includes.h"

#include "wire/yaml.h"

#include <stdio.h>
#include <string.h>

#define PATTERNS_MAX_BYTES (1024U * 1024U)

bool access_file_is_policy(struct str name)
{
    return str_ends_with(name, ".yaml") && !str_ends_with(name, "_test.yaml");
}

/* "./a.yaml" is "a.yaml". */
static const char *way_begin(const char *way)
{
    return way[0] == '.' && way[1] == '/' ? way + 2 : way;
}

bool access_include_is_downward(struct str way)
{
    if (str_starts_with(way, "./")) {
        (void)str_cut(&way, '/');
    }
    while (way.ptr != NULL) {
        struct str segment = str_cut(&way, '/');

        if (segment.len == 0 || str_eq_c(segment, ".") || str_eq_c(segment, "..")) {
            return false;
        }
    }
    return true;
}

void access_include_from_top(const char *name, const char *way, char out[ACCESS_INCLUDE_MAX_BYTES])
{
    const char *slash = strrchr(name, '/');
    size_t folder = slash != NULL ? (size_t)(slash - name) + 1 : 0;

    (void)snprintf(out, ACCESS_INCLUDE_MAX_BYTES, "%.*s%s", (int)folder, name, way_begin(way));
}

bool access_include_matches(struct str pattern, struct str name)
{
    while (pattern.ptr != NULL && name.ptr != NULL) {
        if (!str_glob(str_cut(&pattern, '/'), str_cut(&name, '/'))) {
            return false;
        }
    }
    return pattern.ptr == NULL && name.ptr == NULL;
}

void access_includes_init(struct access_includes *includes)
{
    buf_init(&includes->patterns, PATTERNS_MAX_BYTES);
}

void access_includes_fini(struct access_includes *includes)
{
    buf_fini(&includes->patterns);
}

static void way_add(struct access_includes *includes, const char *name,
                    const struct yaml_node *node)
{
    char pattern[ACCESS_INCLUDE_MAX_BYTES];

    if (node->type == YAML_SCALAR && access_include_is_downward(node->text)) {
        access_include_from_top(name, node->text.ptr, pattern);
        buf_add(&includes->patterns, pattern, strlen(pattern) + 1);
    }
}

int access_includes_add(struct access_includes *includes, const char *name, struct str text)
{
    struct yaml_document *document = NULL;
    const struct yaml_node *list;
    const struct yaml_node *item;
    struct yaml_errors ignored;
    int r;

    yaml_errors_init(&ignored);
    r = yaml_parse(name, text, &document, &ignored);
    yaml_errors_fini(&ignored);
    if (r != 0) {
        return r == ERR_NOMEM ? r : 0;
    }
    list = yaml_get(yaml_root(document), "include");
    if (list != NULL && list->type != YAML_SEQUENCE) {
        way_add(includes, name, list);
    }
    for (item = list != NULL ? list->first : NULL; item != NULL; item = item->next) {
        way_add(includes, name, item);
    }
    yaml_free(document);
    return buf_status(&includes->patterns) == ERR_NOMEM ? ERR_NOMEM : 0;
}

bool access_includes_is_empty(const struct access_includes *includes)
{
    return includes->patterns.len == 0;
}

static bool pattern_next(struct str *rest, struct str *ret_pattern)
{
    *ret_pattern = str_cut(rest, '\0');
    return rest->ptr != NULL;
}

bool access_includes_has(const struct access_includes *includes, const char *name)
{
    struct str rest = buf_str(&includes->patterns);
    struct str pattern;

    while (pattern_next(&rest, &pattern)) {
        if (access_include_matches(pattern, str_of(name))) {
            return access_file_is_policy(str_of(name));
        }
    }
    return false;
}

/* Does the folder's way match the beginning of the pattern's? */
static bool leads_on(struct str pattern, struct str folder)
{
    while (folder.ptr != NULL && pattern.ptr != NULL) {
        if (!str_glob(str_cut(&pattern, '/'), str_cut(&folder, '/'))) {
            return false;
        }
    }
    return folder.ptr == NULL && pattern.ptr != NULL;
}

bool access_includes_reaches(const struct access_includes *includes, const char *folder)
{
    struct str rest = buf_str(&includes->patterns);
    struct str pattern;

    while (pattern_next(&rest, &pattern)) {
        if (leads_on(pattern, str_of(folder))) {
            return true;
        }
    }
    return false;
}
