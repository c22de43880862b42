/* The table, and how a path is held against it: from its end, segment by segment.
 *
 * A wrong guess must do no harm. A POST changes things where a GET doesn't (a KV secret whose path
 * looks like `issue/web` would be overwritten), so it is only chosen where a parameter is there
 * without which the engine couldn't work, or where an empty body changes nothing. */
#include "shape.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define NAMES "common_name", "alt_names", "ip_sans", "uri_sans", "other_sans", "user_ids"
#define NEEDS_MAX 6

static const struct {
    const char *tail;             /* "*" is one segment */
    const char *needs[NEEDS_MAX]; /* one of these parameters, if any stands here */
    enum vault_shape_kind kind;
    bool is_post;
    bool takes_ttl;
} shapes[] = {
    {"issuer/*/issue/*", {NAMES}, VAULT_SHAPE_CERTIFICATE, true, true},
    {"issuer/*/sign/*", {"csr"}, VAULT_SHAPE_CERTIFICATE, true, true},
    {"issuer/*/sign-verbatim/*", {"csr"}, VAULT_SHAPE_CERTIFICATE, true, true},
    {"issuer/*/sign-verbatim", {"csr"}, VAULT_SHAPE_CERTIFICATE, true, true},
    {"issue/*", {NAMES}, VAULT_SHAPE_CERTIFICATE, true, true},
    {"issue/*", {"key_type"}, VAULT_SHAPE_OTHER, true, true},
    {"sign/*", {"csr"}, VAULT_SHAPE_CERTIFICATE, true, true},
    {"sign/*", {"public_key"}, VAULT_SHAPE_OTHER, true, true},
    {"sign-verbatim/*", {"csr"}, VAULT_SHAPE_CERTIFICATE, true, true},
    {"sign-verbatim", {"csr"}, VAULT_SHAPE_CERTIFICATE, true, true},
    {"issuer/*/issue/*", {NULL}, VAULT_SHAPE_CERTIFICATE, false, false},
    {"issue/*", {NULL}, VAULT_SHAPE_CERTIFICATE, false, false},
    {"sign/*", {NULL}, VAULT_SHAPE_CERTIFICATE, false, false},
    {"creds/*", {"kubernetes_namespace"}, VAULT_SHAPE_LEASED, true, true},
    {"creds/*", {"ip"}, VAULT_SHAPE_LEASED, true, false},
    {"creds/*", {NULL}, VAULT_SHAPE_LEASED, false, false},
    {"sts/*", {NULL}, VAULT_SHAPE_OTHER, false, true},
    {"library/*/check-out", {NULL}, VAULT_SHAPE_OTHER, true, false},
    {"static-creds/*", {NULL}, VAULT_SHAPE_STATIC, false, false},
    {"static-cred/*", {NULL}, VAULT_SHAPE_STATIC, false, false},
    {"code/*", {NULL}, VAULT_SHAPE_CODE, false, false},
    {"datakey/plaintext/*", {NULL}, VAULT_SHAPE_DATA_KEY, true, false},
    {"datakey/wrapped/*", {NULL}, VAULT_SHAPE_DATA_KEY, true, false},
};

/* The last segment of `text`, which is shortened by it and the "/" before it. */
static struct leased_str cut_last(struct leased_str *text)
{
    size_t start = text->len;
    struct leased_str segment;

    while (start > 0 && text->ptr[start - 1] != '/') {
        start--;
    }
    segment = (struct leased_str){text->ptr + start, text->len - start};
    text->len = start > 0 ? start - 1 : 0;
    return segment;
}

/* The length of what stands before `tail` in `path`; 0: it doesn't end so, or has no mount. */
static size_t mount_before(const char *path, const char *tail)
{
    struct leased_str left = plugin_str(path);
    struct leased_str want = plugin_str(tail);

    while (want.len > 0) {
        struct leased_str segment = cut_last(&left);
        struct leased_str wanted = cut_last(&want);
        bool is_same =
            plugin_str_eq(wanted, "*")
                ? segment.len > 0
                : segment.len == wanted.len && memcmp(segment.ptr, wanted.ptr, wanted.len) == 0;

        if (!is_same) {
            return 0;
        }
    }
    return left.len;
}

static bool has_needed(const char *const *needs, size_t count, const json_t *params)
{
    bool is_any = needs[0] == NULL;

    for (size_t i = 0; i < count && needs[i] != NULL; i++) {
        is_any = is_any || json_object_get(params, needs[i]) != NULL;
    }
    return is_any;
}

/* Does it look like a versioned KV secret, or one of the token's own? Then a GET creates nothing.
 */
static bool is_secret(const char *path)
{
    return (strstr(path, "/data/") != NULL && strstr(path, "/creds/") == NULL) ||
           strncmp(path, "cubbyhole/", strlen("cubbyhole/")) == 0;
}

struct vault_shape vault_shape_of(const char *path, const json_t *params)
{
    for (size_t i = 0; i < COUNT(shapes); i++) {
        size_t mount_len = mount_before(path, shapes[i].tail);

        if (mount_len > 0 && has_needed(shapes[i].needs, COUNT(shapes[i].needs), params)) {
            return (struct vault_shape){
                .kind = shapes[i].kind,
                .is_post = shapes[i].is_post,
                .is_read = shapes[i].kind == VAULT_SHAPE_STATIC ||
                           (shapes[i].kind == VAULT_SHAPE_LEASED && is_secret(path)),
                .takes_ttl = shapes[i].takes_ttl,
                .mount_len = mount_len,
            };
        }
    }
    return (struct vault_shape){.kind = VAULT_SHAPE_OTHER, .is_read = is_secret(path)};
}
