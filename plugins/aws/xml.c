/* Happy path: from tag to tag, the names that are open on a stack; where they are a path that is
 * looked for, what stands up to the next tag is its text.
 *
 * Nothing is resolved or allocated: an answer can't make this read anything else or grow. */
#include "xml.h"

#include <string.h>

#define DEPTH_MAX 16U

struct reader {
    const char *at;
    const char *end;
    struct leased_str open[DEPTH_MAX];
    size_t depth;
    struct aws_xml_want *wants;
    size_t want_count;
    struct aws_xml_want *reading; /* the one whose text is next */
    bool has_ended;               /* the root has */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
}

static bool starts_with(const struct reader *reader, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(reader->end - reader->at) >= len && memcmp(reader->at, text, len) == 0;
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end && is_blank(*reader->at)) {
        reader->at++;
    }
}

static struct leased_str read_name(struct reader *reader)
{
    const char *begin = reader->at;

    while (reader->at < reader->end && is_name(*reader->at)) {
        reader->at++;
    }
    return (struct leased_str){begin, (size_t)(reader->at - begin)};
}

/* `begin` … `mark`, as in <?xml … ?> and <!-- … -->. */
static int skip_past(struct reader *reader, const char *begin, const char *mark)
{
    const char *from = reader->at + strlen(begin);
    const char *found = memmem(from, (size_t)(reader->end - from), mark, strlen(mark));

    if (found == NULL) {
        return -1;
    }
    reader->at = found + strlen(mark);
    return 0;
}

static bool is_at(const struct reader *reader, const char *path)
{
    for (size_t i = 0; i < reader->depth; i++) {
        size_t len = reader->open[i].len;

        if (strncmp(path, reader->open[i].ptr, len) != 0) {
            return false;
        }
        path += len;
        if (*path != (i + 1 < reader->depth ? '/' : '\0')) {
            return false;
        }
        path++;
    }
    return true;
}

/* name="value", of no interest. */
static int skip_attributes(struct reader *reader)
{
    for (;;) {
        const char *quote;

        skip_blanks(reader);
        if (reader->at == reader->end || *reader->at == '>' || *reader->at == '/') {
            return 0;
        }
        if (read_name(reader).len == 0 || reader->end - reader->at < 3 || reader->at[0] != '=' ||
            (reader->at[1] != '"' && reader->at[1] != '\'')) {
            return -1;
        }
        quote = memchr(reader->at + 2, reader->at[1], (size_t)(reader->end - reader->at) - 2);
        if (quote == NULL) {
            return -1;
        }
        reader->at = quote + 1;
    }
}

static int close_element(struct reader *reader, struct leased_str name)
{
    const struct leased_str *open;

    if (reader->depth == 0) {
        return -1;
    }
    open = &reader->open[--reader->depth];
    if (open->len != name.len || memcmp(open->ptr, name.ptr, name.len) != 0) {
        return -1;
    }
    reader->reading = NULL;
    reader->has_ended = reader->depth == 0;
    return 0;
}

static int read_end_tag(struct reader *reader)
{
    struct leased_str name;

    reader->at += 2;
    name = read_name(reader);
    skip_blanks(reader);
    if (reader->at == reader->end || *reader->at != '>') {
        return -1;
    }
    reader->at++;
    return close_element(reader, name);
}

static int note_opened(struct reader *reader)
{
    if (reader->reading != NULL) {
        return -1; /* it isn't text alone */
    }
    for (size_t i = 0; i < reader->want_count; i++) {
        struct aws_xml_want *want = &reader->wants[i];

        if (is_at(reader, want->path)) {
            if (want->is_found) {
                return -1;
            }
            want->is_found = true;
            want->raw = (struct leased_str){reader->at, 0};
            reader->reading = want;
        }
    }
    return 0;
}

static int read_start_tag(struct reader *reader)
{
    struct leased_str name;
    bool is_empty;

    reader->at++;
    name = read_name(reader);
    if (name.len == 0 || reader->depth == DEPTH_MAX || reader->has_ended ||
        skip_attributes(reader) != 0) {
        return -1;
    }
    is_empty = starts_with(reader, "/>");
    if (!is_empty && !starts_with(reader, ">")) {
        return -1;
    }
    reader->at += is_empty ? 2 : 1;
    reader->open[reader->depth++] = name;
    if (note_opened(reader) != 0) {
        return -1;
    }
    return is_empty ? close_element(reader, name) : 0;
}

static int read_tag(struct reader *reader)
{
    if (starts_with(reader, "</")) {
        return read_end_tag(reader);
    }
    if (starts_with(reader, "<!--")) {
        return reader->reading == NULL ? skip_past(reader, "<!--", "-->") : -1;
    }
    return read_start_tag(reader);
}

/* Up to the next tag; outside of the root there are blanks only. */
static int read_text(struct reader *reader)
{
    const char *begin = reader->at;

    while (reader->at < reader->end && *reader->at != '<') {
        if (reader->depth == 0 && !is_blank(*reader->at)) {
            return -1;
        }
        reader->at++;
    }
    if (reader->reading != NULL) {
        reader->reading->raw = (struct leased_str){begin, (size_t)(reader->at - begin)};
    }
    return 0;
}

int aws_xml_read(struct leased_str document, struct aws_xml_want *wants, size_t count)
{
    struct reader reader = {.at = document.ptr, .wants = wants, .want_count = count};

    for (size_t i = 0; i < count; i++) {
        wants[i].is_found = false;
        wants[i].raw = (struct leased_str){0};
    }
    if (document.len == 0) {
        return -1;
    }
    reader.end = document.ptr + document.len;
    if (starts_with(&reader, "<?xml") && skip_past(&reader, "<?xml", "?>") != 0) {
        return -1;
    }
    while (reader.at < reader.end) {
        if (read_text(&reader) != 0 || (reader.at < reader.end && read_tag(&reader) != 0)) {
            return -1;
        }
    }
    return reader.has_ended && reader.depth == 0 ? 0 : -1;
}

/* --- text ------------------------------------------------------------------------------------- */

/* &#38; and &#x26;, without "&#" and ";". */
static int numbered(struct leased_str name)
{
    bool is_hex = name.len > 0 && name.ptr[0] == 'x';
    int value = 0;

    for (size_t i = is_hex ? 1 : 0; i < name.len; i++) {
        char c = name.ptr[i];
        int digit = c >= '0' && c <= '9'             ? c - '0'
                    : is_hex && c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : is_hex && c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                     : -1;

        value = value * (is_hex ? 16 : 10) + digit;
        if (digit < 0 || value >= 0x80) {
            return -1;
        }
    }
    return value > 0 ? value : -1;
}

static int entity(struct leased_str name)
{
    static const struct {
        const char *name;
        char c;
    } known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};

    if (name.len > 1 && name.ptr[0] == '#') {
        return numbered((struct leased_str){name.ptr + 1, name.len - 1});
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (plugin_str_eq(name, known[i].name)) {
            return known[i].c;
        }
    }
    return -1;
}

int64_t aws_xml_text(struct leased_str raw, char *out)
{
    size_t len = 0;
    size_t at = 0;

    while (at < raw.len) {
        int c = (unsigned char)raw.ptr[at];

        if (c == '&') {
            const char *begin = raw.ptr + at + 1;
            const char *end = memchr(begin, ';', raw.len - at - 1);

            c = end != NULL ? entity((struct leased_str){begin, (size_t)(end - begin)}) : -1;
            at = end != NULL ? (size_t)(end - raw.ptr) : raw.len;
        }
        if (c <= 0 || c >= 0x80) {
            return -1;
        }
        out[len++] = (char)c;
        at++;
    }
    out[len] = '\0';
    return (int64_t)len;
}
