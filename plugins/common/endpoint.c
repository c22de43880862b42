/* Happy path: the scheme, then everything up to the first "/" is the host and its port, the rest is
 * the path. What could be read in two ways (a user, a query, a back slash) is refused. */
#include "endpoint.h"

#include <string.h>

#define HTTPS "https://"
#define HTTP "http://"

static bool is_digits(const char *text, size_t len)
{
    return strspn(text, "0123456789") >= len;
}

/* Letters, digits, "." and "-"; or an IPv6 address in brackets. */
static size_t host_len(const char *text)
{
    size_t len;

    if (text[0] != '[') {
        return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
    }
    len = 1 + strspn(text + 1, "0123456789abcdefABCDEF:.");
    return text[len] == ']' ? len + 1 : 0;
}

static bool is_host(const char *text, size_t len, const char *name)
{
    return len == strlen(name) && strncmp(text, name, len) == 0;
}

/* A dotted IPv4 address that begins with `prefix`, not a name that looks like one. */
static bool is_in_net(const char *text, size_t len, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0 && strspn(text, "0123456789.") == len;
}

static bool may_be_plain(const char *host, size_t len, unsigned flags)
{
    bool is_metadata =
        is_host(host, len, "metadata.google.internal") || is_in_net(host, len, "169.254.");

    return is_host(host, len, "localhost") || is_host(host, len, "[::1]") ||
           is_in_net(host, len, "127.") || ((flags & PLUGIN_ENDPOINT_METADATA) != 0 && is_metadata);
}

static bool is_path(const char *path)
{
    for (const char *at = path; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7f || strchr("?#\\\"", *at) != NULL) {
            return false;
        }
    }
    return strstr(path, "/.") == NULL; /* neither /./ nor /../ */
}

const char *plugin_endpoint_parse(struct leased_str url, unsigned flags,
                                  struct plugin_endpoint *ret_endpoint)
{
    char text[PLUGIN_ENDPOINT_MAX_BYTES] = "";
    bool is_tls;
    const char *host;
    const char *after;
    size_t len;

    if (url.len == 0 || url.len >= sizeof(text) || memchr(url.ptr, '\0', url.len) != NULL) {
        return "https://host[:port] is expected";
    }
    memcpy(text, url.ptr, url.len);
    is_tls = strncmp(text, HTTPS, strlen(HTTPS)) == 0;
    if (!is_tls && strncmp(text, HTTP, strlen(HTTP)) != 0) {
        return "https://host[:port] is expected";
    }
    host = text + strlen(is_tls ? HTTPS : HTTP);
    len = host_len(host);
    after = host + len;
    if (*after == ':') {
        after += 1 + strcspn(after + 1, "/");
    }
    if (len == 0 || (*after != '\0' && *after != '/') || !is_path(after) ||
        (host[len] == ':' && (after - host <= (long)len + 1 || after - host > (long)len + 6 ||
                              !is_digits(host + len + 1, (size_t)(after - host) - len - 1)))) {
        return "https://host[:port] is expected";
    }
    if (!is_tls && !may_be_plain(host, len, flags)) {
        return "plain http is for this machine only: use https";
    }
    *ret_endpoint = (struct plugin_endpoint){{0}, {0}};
    memcpy(ret_endpoint->address, text, (size_t)(after - text));
    memcpy(ret_endpoint->path, after, strlen(after));
    return NULL;
}

const char *plugin_endpoint_host(const char *address)
{
    const char *scheme_end = strstr(address, "://");

    return scheme_end != NULL ? scheme_end + strlen("://") : address;
}
