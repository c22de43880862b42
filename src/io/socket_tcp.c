/* Binding a TCP socket: on loopback, or elsewhere for those whose callers show a certificate or
 * need no identity. */
#include "io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096
#define HOST_MAX_BYTES 64

union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int parse_host(struct str host, uint16_t port, union socket_address *ret_address,
                      socklen_t *ret_size)
{
    char text[HOST_MAX_BYTES];
    union socket_address address;

    memset(&address, 0, sizeof(address));
    if (str_eq_c(host, "localhost")) {
        host = STR("127.0.0.1");
    }
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host.ptr++;
        host.len -= 2;
    }
    if (host.len >= sizeof(text)) {
        return ERR_INVALID;
    }
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
        *ret_size = sizeof(address.v4);
    } else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(port);
        *ret_size = sizeof(address.v6);
    } else {
        return ERR_INVALID;
    }
    *ret_address = address;
    return 0;
}

static bool is_loopback(const union socket_address *address)
{
    if (address->any.sa_family == AF_INET) {
        return (ntohl(address->v4.sin_addr.s_addr) >> 24) == 127;
    }
    return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

static int parse_address(const char *text, union socket_address *ret_address, socklen_t *ret_size,
                         struct err *e)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;

    if (colon == NULL || str_parse_u64(str_of(colon + 1), &port) != 0 || port > UINT16_MAX ||
        parse_host((struct str){.ptr = text, .len = (size_t)(colon - text)}, (uint16_t)port,
                   ret_address, ret_size) != 0) {
        return err_set(e, ERR_INVALID,
                       "%.100s is not an address and a port, as in 127.0.0.1:9911 or [::1]:9911",
                       text);
    }
    return 0;
}

static int bind_and_listen(int fd, const char *text, const union socket_address *address,
                           socklen_t size, struct err *e)
{
    int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, &address->any, size) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        return err_set(e, errno == EADDRINUSE ? ERR_EXISTS : -errno, "could not listen at %s: %s",
                       text, strerror(errno));
    }
    return 0;
}

static uint16_t port_of(const union socket_address *address)
{
    return ntohs(address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port);
}

uint16_t socket_port(int fd)
{
    union socket_address address = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t size = sizeof(address);

    return getsockname(fd, &address.any, &size) == 0 ? port_of(&address) : 0;
}

bool socket_is_loopback(int fd)
{
    union socket_address address = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t size = sizeof(address);

    return getsockname(fd, &address.any, &size) == 0 && is_loopback(&address);
}

int socket_open_tcp(const char *text, bool may_be_remote, int *ret_fd, uint16_t *ret_port,
                    struct err *e)
{
    union socket_address address = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t size = 0;
    int fd;
    int rc = parse_address(text, &address, &size, e);

    if (rc == 0 && !may_be_remote && !is_loopback(&address)) {
        rc = err_set(e, ERR_INVALID, "%.100s is not a loopback address; others need TLS", text);
    }
    if (rc != 0) {
        return rc;
    }
    fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return err_set(e, -errno, "could not make a socket: %s", strerror(errno));
    }
    rc = bind_and_listen(fd, text, &address, size, e);
    if (rc == 0 && getsockname(fd, &address.any, &size) != 0) {
        rc = err_set(e, -errno, "could not read the address of a socket: %s", strerror(errno));
    }
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *ret_fd = fd;
    *ret_port = port_of(&address);
    return 0;
}
