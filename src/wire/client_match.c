/* Host and path are compared on their own, so that a * in the one never reaches into the other. */
#include "wire/client_match.h"

/* Cuts a target or pattern into host (with port) and path; the path's ptr is NULL without one. */
static struct str cut_host(struct str *rest)
{
    return str_cut(rest, '/');
}

static bool path_is_plain(struct str path)
{
    if (path.len > 0 && memchr(path.ptr, '%', path.len) != NULL) {
        return false;
    }
    while (path.ptr != NULL) {
        struct str segment = str_cut(&path, '/');
        bool is_last = path.ptr == NULL;

        if (str_eq_c(segment, ".") || str_eq_c(segment, "..") || (segment.len == 0 && !is_last)) {
            return false;
        }
    }
    return true;
}

/* The pattern itself, or a path below it. */
static bool path_matches(struct str pattern, struct str path)
{
    size_t i;

    if (str_glob(pattern, path)) {
        return true;
    }
    for (i = 0; i < path.len; i++) {
        if (path.ptr[i] == '/' && str_glob(pattern, (struct str){.ptr = path.ptr, .len = i})) {
            return true;
        }
    }
    return false;
}

static struct str cut_port(struct str *host)
{
    size_t i;

    for (i = host->len; i > 0 && host->ptr[i - 1] >= '0' && host->ptr[i - 1] <= '9'; i--) {
    }
    if (i == 0 || i == host->len || host->ptr[i - 1] != ':') {
        return (struct str){.ptr = NULL, .len = 0};
    }
    {
        struct str port = {.ptr = host->ptr + i, .len = host->len - i};

        host->len = i - 1;
        return port;
    }
}

bool client_match(struct str pattern, struct str target)
{
    struct str host = cut_host(&target);
    struct str host_pattern = cut_host(&pattern);
    struct str port = cut_port(&host);

    if (!str_eq(cut_port(&host_pattern), port) || host.len == 0 || !str_glob(host_pattern, host)) {
        return false;
    }
    if (pattern.len == 0) {
        return true;
    }
    return target.len > 0 && path_is_plain(target) && path_matches(pattern, target);
}

bool client_pattern_is_valid(struct str pattern)
{
    struct str rest = pattern;
    struct str host = cut_host(&rest);
    size_t i;

    for (i = 0; i < pattern.len; i++) {
        unsigned char c = (unsigned char)pattern.ptr[i];
        bool is_capital = i < host.len && c >= 'A' && c <= 'Z';

        if (c <= 0x20 || c == 0x7F || is_capital) {
            return false;
        }
    }
    /* "https://…" is a host "https:" and an empty segment. */
    return host.len > 0 && host.ptr[host.len - 1] != ':' && pattern.len <= CLIENT_TARGET_MAX_BYTES;
}
