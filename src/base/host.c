/* No look-up: what a name stands for is not known here. */
#include "base/host.h"

#include "base/err.h"

#include <arpa/inet.h>
#include <string.h>

/* As a text for inet_pton; false: too long for an address. */
static bool copy(struct str host, char text[INET6_ADDRSTRLEN])
{
    if (host.len == 0 || host.len >= INET6_ADDRSTRLEN) {
        return false;
    }
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return true;
}

static bool is_ipv6(struct str host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    return host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']' &&
           copy((struct str){.ptr = host.ptr + 1, .len = host.len - 2}, text) &&
           inet_pton(AF_INET6, text, &address) == 1;
}

bool host_is_valid(struct str host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!is_alnum && c != '.' && c != '-' && c != '_') {
            return is_ipv6(host);
        }
    }
    return host.len > 0 && host.len <= HOST_NAME_MAX_BYTES;
}

bool host_is_loopback(struct str host)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr address;

    if (str_eq_c(host, "[::1]") || str_eq_c(host, "localhost")) {
        return true;
    }
    return copy(host, text) && inet_pton(AF_INET, text, &address) == 1 &&
           ntohl(address.s_addr) >> 24 == 127;
}

int host_parse(struct str authority, struct str *ret_host, uint16_t *ret_port)
{
    struct str host = authority;
    uint64_t port = 0;
    size_t len = authority.len;

    while (len > 0 && authority.ptr[len - 1] != ':' && authority.ptr[len - 1] != ']') {
        len--;
    }
    if (len > 0 && authority.ptr[len - 1] == ':') {
        struct str digits = {.ptr = authority.ptr + len, .len = authority.len - len};

        host.len = len - 1;
        if (str_parse_u64(digits, &port) != 0 || port == 0 || port > UINT16_MAX) {
            return ERR_INVALID;
        }
    }
    if (!host_is_valid(host)) {
        return ERR_INVALID;
    }
    *ret_host = host;
    *ret_port = (uint16_t)port;
    return 0;
}
