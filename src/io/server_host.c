/* By which names clients may know us.
 *
 * A page in a browser can make its own name point to this machine and then speak to us as if we
 * were its server; its requests carry that name. On loopback TCP we are localhost, 127.0.0.0/8 or
 * [::1], at our port if one is named. With TLS we are whoever our certificate says. On a unix
 * socket clients make a name up, which the layer above judges; what is for anyone may be called
 * anything. */
#include "io/server_internal.h"

#include <string.h>
#include <strings.h>

/* Takes the port off; false when there is a wrong one. */
static bool take_port(struct str *host, uint16_t port)
{
    const char *colon = memrchr(host->ptr, ':', host->len);
    struct str text;
    uint64_t number;

    if (colon == NULL || memchr(colon, ']', (size_t)(host->ptr + host->len - colon)) != NULL) {
        return true;
    }
    text.ptr = colon + 1;
    text.len = (size_t)(host->ptr + host->len - text.ptr);
    host->len = (size_t)(colon - host->ptr);
    return str_parse_u64(text, &number) == 0 && (port == 0 || number == port);
}

/* 127.0.0.0/8. Its first part alone would let a name such as 127.0.0.1.example.com through. */
static bool is_loopback_address(struct str name)
{
    size_t i;

    for (i = 0; i < name.len; i++) {
        if (name.ptr[i] != '.' && (name.ptr[i] < '0' || name.ptr[i] > '9')) {
            return false;
        }
    }
    return str_starts_with(name, "127.");
}

bool host_is_judged(const struct io_listener *listener)
{
    return listener->tls != NULL || listener->is_loopback;
}

bool host_is_foreign(const struct io_listener *listener, struct str host)
{
    if (listener->tls != NULL) {
        if (host.len == 0 || !take_port(&host, 0)) {
            return true;
        }
        if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
            host.ptr++;
            host.len -= 2;
        }
        return !tls_has_name(listener->tls, host);
    }
    if (!listener->is_loopback) {
        return false;
    }
    return host.len == 0 || !take_port(&host, listener->port) ||
           !(is_loopback_address(host) || str_eq_c(host, "[::1]") ||
             (host.len == strlen("localhost") &&
              strncasecmp(host.ptr, "localhost", host.len) == 0));
}
