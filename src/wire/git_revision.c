/* Which commit a git work tree is at.
 *
 * The folder or one of those above it has `.git`: a folder with HEAD, or a file that says where
 * that is. HEAD is a commit, or the name of a ref, which stands in a file of its own or in
 * packed-refs. What linked work trees share is in `commondir`. */
#include "wire/git_revision.h"

#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 4096U
#define PARENTS_MAX 64U
#define SYMREFS_MAX 5U

struct git_place {
    const struct git_reader *reader;
    char own[PATH_MAX_BYTES];    /* where HEAD is */
    char common[PATH_MAX_BYTES]; /* where refs are */
};

/* False: it doesn't fit. */
static bool path_join(char out[PATH_MAX_BYTES], struct str folder, struct str name)
{
    bool is_absolute = str_starts_with(name, "/");
    int len = is_absolute
                  ? snprintf(out, PATH_MAX_BYTES, "%.*s", STR_ARG(name))
                  : snprintf(out, PATH_MAX_BYTES, "%.*s/%.*s", STR_ARG(folder), STR_ARG(name));

    return len > 0 && (size_t)len < PATH_MAX_BYTES;
}

static bool file_read(const struct git_reader *reader, const char *folder, struct str name,
                      struct buf *out)
{
    char path[PATH_MAX_BYTES];

    buf_reset(out);
    return path_join(path, str_of(folder), name) && reader->read(reader->user, path, out) == 0 &&
           buf_status(out) == 0 && memchr(out->len > 0 ? out->bytes : "", '\0', out->len) == NULL;
}

static bool revision_take(struct str text, char ret_revision[GIT_REVISION_MAX_BYTES + 1])
{
    size_t i;

    if (text.len != 40 && text.len != 64) {
        return false;
    }
    for (i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
            return false;
        }
    }
    memcpy(ret_revision, text.ptr, text.len);
    ret_revision[text.len] = '\0';
    return true;
}

/* Below refs/, and no way out of there. */
static bool ref_is_valid(struct str name)
{
    struct str rest = name;

    if (!str_starts_with(name, "refs/")) {
        return false;
    }
    while (rest.ptr != NULL) {
        struct str part = str_cut(&rest, '/');

        if (part.len == 0 || part.ptr[0] == '.') {
            return false;
        }
    }
    return true;
}

/* "HASH NAME" a line; lines that begin with # or ^ say something else. */
static bool packed_find(struct str lines, struct str name,
                        char ret_revision[GIT_REVISION_MAX_BYTES + 1])
{
    while (lines.len > 0) {
        struct str line = str_trim(str_cut(&lines, '\n'));
        struct str hash = str_cut(&line, ' ');

        if (str_eq(line, name)) {
            return revision_take(hash, ret_revision);
        }
    }
    return false;
}

/* What HEAD or a ref says: a commit (true), or another ref in `ret_ref`. */
static bool word_read(struct str word, struct str *ret_ref,
                      char ret_revision[GIT_REVISION_MAX_BYTES + 1])
{
    *ret_ref = (struct str){.ptr = NULL, .len = 0};
    if (str_starts_with(word, "ref:")) {
        *ret_ref = str_trim((struct str){.ptr = word.ptr + 4, .len = word.len - 4});
        return false;
    }
    return revision_take(word, ret_revision);
}

static bool place_resolve(const struct git_place *place, struct buf *text,
                          char ret_revision[GIT_REVISION_MAX_BYTES + 1])
{
    char name[PATH_MAX_BYTES] = "HEAD";
    const char *folder = place->own;
    size_t i;

    for (i = 0; i < SYMREFS_MAX; i++) {
        struct str ref = {.ptr = NULL, .len = 0};

        if (!file_read(place->reader, folder, str_of(name), text)) {
            return folder == place->common &&
                   file_read(place->reader, folder, STR("packed-refs"), text) &&
                   packed_find(buf_str(text), str_of(name), ret_revision);
        }
        if (word_read(str_trim(buf_str(text)), &ref, ret_revision)) {
            return true;
        }
        if (ref.ptr == NULL || !ref_is_valid(ref) || ref.len >= sizeof(name)) {
            return false;
        }
        memcpy(name, ref.ptr, ref.len);
        name[ref.len] = '\0';
        folder = place->common;
    }
    return false;
}

/* Where the work tree's own folder is, if `folder` is the top of one. */
static bool place_find(struct git_place *place, const char *folder, struct buf *text)
{
    struct str link;

    if (file_read(place->reader, folder, STR(".git/HEAD"), text)) {
        return path_join(place->own, str_of(folder), STR(".git"));
    }
    if (!file_read(place->reader, folder, STR(".git"), text)) {
        return false;
    }
    link = str_trim(buf_str(text));
    if (!str_starts_with(link, "gitdir:")) {
        return false;
    }
    link = str_trim((struct str){.ptr = link.ptr + 7, .len = link.len - 7});
    return link.len > 0 && path_join(place->own, str_of(folder), link);
}

static bool common_find(struct git_place *place, struct buf *text)
{
    if (file_read(place->reader, place->own, STR("commondir"), text)) {
        return path_join(place->common, str_of(place->own), str_trim(buf_str(text)));
    }
    memcpy(place->common, place->own, sizeof(place->common));
    return true;
}

bool git_revision_find(const struct git_reader *reader, const char *folder,
                       char ret_revision[GIT_REVISION_MAX_BYTES + 1])
{
    struct git_place place = {.reader = reader};
    char at[PATH_MAX_BYTES];
    BUF_AUTO text;
    size_t i;

    buf_init(&text, GIT_FILE_MAX_BYTES);
    if (folder[0] != '/' || strlen(folder) >= sizeof(at)) {
        return false;
    }
    (void)snprintf(at, sizeof(at), "%s", folder);
    for (i = 0; i < PARENTS_MAX; i++) {
        char *slash;

        if (place_find(&place, at, &text)) {
            return common_find(&place, &text) && place_resolve(&place, &text, ret_revision);
        }
        slash = strrchr(at, '/');
        if (slash == NULL || at[0] == '\0') {
            return false;
        }
        *slash = '\0';
    }
    return false;
}
