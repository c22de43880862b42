/* Socket activation.
 *
 * Happy path: descriptors from 3 on and their names are noted → each listener that opens looks for
 * one with its name, else with its path or address, and gets a copy, so that a listener that is
 * opened again after a reload finds it again → what nobody took is a mistake that is told.
 *
 * A passed socket is the service manager's: its file is not removed and it is not shut down when we
 * end, because clients wait in its queue for the next leased. */
#include "io/passed.h"

#include "base/mem.h"
#include "io/io_internal.h"
#include "io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3
#define PASSED_MAX 64U
#define PASSED_NAME_MAX_BYTES 256U /* FileDescriptorName= has at most 255 */

struct passed_socket {
    int fd;
    bool is_unix;
    char name[PASSED_NAME_MAX_BYTES];
    char address[SOCKET_PATH_MAX_BYTES + 1]; /* "/path", "127.0.0.1:9911" or "[::1]:9911" */
};

struct io_passed {
    size_t count;
    struct passed_socket sockets[];
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static bool has_option(int fd, int option, int wanted)
{
    int value = -1;
    socklen_t size = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

/* False for what no listener could be at: other families, unnamed and abstract sockets. */
static bool read_address(struct passed_socket *socket)
{
    union address address;
    socklen_t size = sizeof(address);
    char text[INET6_ADDRSTRLEN];

    memset(&address, 0, sizeof(address));
    if (getsockname(socket->fd, &address.any, &size) != 0) {
        return false;
    }
    switch (address.any.sa_family) {
    case AF_UNIX:
        socket->is_unix = true;
        (void)snprintf(socket->address, sizeof(socket->address), "%.*s", SOCKET_PATH_MAX_BYTES,
                       address.local.sun_path);
        return socket->address[0] == '/';
    case AF_INET:
        (void)inet_ntop(AF_INET, &address.v4.sin_addr, text, sizeof(text));
        (void)snprintf(socket->address, sizeof(socket->address), "%s:%u", text,
                       (unsigned)ntohs(address.v4.sin_port));
        return true;
    case AF_INET6:
        (void)inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof(text));
        (void)snprintf(socket->address, sizeof(socket->address), "[%s]:%u", text,
                       (unsigned)ntohs(address.v6.sin6_port));
        return true;
    default:
        return false;
    }
}

static int take_socket(struct passed_socket *socket, struct err *e)
{
    if (fcntl(socket->fd, F_SETFD, FD_CLOEXEC) != 0) {
        return err_set(e, ERR_INVALID, "the service manager passed no descriptor %d", socket->fd);
    }
    if (!has_option(socket->fd, SO_ACCEPTCONN, 1) ||
        !has_option(socket->fd, SO_TYPE, SOCK_STREAM) || !read_address(socket)) {
        return err_set(e, ERR_INVALID,
                       "the service manager passed %s, which is no listening stream socket with a "
                       "path or an address (Accept=no, ListenStream=)",
                       socket->name);
    }
    return 0;
}

static uint64_t variable_u64(const char *name)
{
    const char *text = getenv(name);
    uint64_t value;

    return text != NULL && str_parse_u64(str_of(text), &value) == 0 ? value : 0;
}

int io_passed_take(struct io *io, struct err *e)
{
    uint64_t count = variable_u64("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    struct str rest = str_of(names != NULL ? names : "");
    size_t i;
    int rc = 0;

    CHECK(io->passed == NULL);
    if (count == 0 || variable_u64("LISTEN_PID") != (uint64_t)getpid()) {
        goto out;
    }
    if (count > PASSED_MAX) {
        rc = err_set(e, ERR_INVALID, "the service manager passed more than %u sockets", PASSED_MAX);
        goto out;
    }
    io->passed = mem_calloc(1, sizeof(*io->passed) + count * sizeof(io->passed->sockets[0]));
    if (io->passed == NULL) {
        rc = err_set(e, ERR_NOMEM, "out of memory");
        goto out;
    }
    io->passed->count = count;
    for (i = 0; i < count && rc == 0; i++) {
        struct passed_socket *socket = &io->passed->sockets[i];
        struct str name = str_cut(&rest, ':');

        socket->fd = FIRST_FD + (int)i;
        (void)snprintf(socket->name, sizeof(socket->name), "%.*s", STR_ARG(name));
        rc = take_socket(socket, e);
    }

out:
    /* They were meant for us, not for what we start. */
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    return rc;
}

static bool is_at(const struct passed_socket *socket, const struct io_listener_options *options)
{
    struct str tcp;

    if (options->unix_path != NULL) {
        return socket->is_unix && strcmp(socket->address, options->unix_path) == 0;
    }
    tcp = str_of(options->tcp);
    if (!socket->is_unix && str_starts_with(tcp, "localhost:")) {
        struct str have = str_of(socket->address);

        return str_eq_c(str_cut(&have, ':'), "127.0.0.1") &&
               str_eq_c(have, options->tcp + strlen("localhost:"));
    }
    return !socket->is_unix && str_eq_c(tcp, socket->address);
}

/* A name is meant; an address may be a coincidence of two. */
static const struct passed_socket *find(const struct io_passed *passed,
                                        const struct io_listener_options *options)
{
    const struct passed_socket *at = NULL;
    size_t i;

    for (i = 0; passed != NULL && i < passed->count; i++) {
        const struct passed_socket *socket = &passed->sockets[i];

        if (strcmp(socket->name, options->name) == 0) {
            return socket;
        }
        if (at == NULL && is_at(socket, options)) {
            at = socket;
        }
    }
    return at;
}

int io_passed_check(const struct io *io, const struct io_listener_options *listeners, size_t count,
                    struct err *e)
{
    size_t i;
    size_t k;

    for (i = 0; io->passed != NULL && i < io->passed->count; i++) {
        const struct passed_socket *socket = &io->passed->sockets[i];
        bool is_used = false;

        for (k = 0; !is_used && k < count; k++) {
            is_used = find(io->passed, &listeners[k]) == socket;
        }
        if (!is_used) {
            return err_set(
                e, ERR_INVALID,
                "the service manager passed the socket %s (%s), but no listener has this "
                "name, path or address: add one, or take it out of the socket unit and start "
                "leased again",
                socket->name, socket->address);
        }
    }
    return 0;
}

int passed_find(struct io *io, const struct io_listener_options *options, int *ret_fd,
                struct err *e)
{
    const struct passed_socket *socket = find(io->passed, options);
    int fd;

    if (socket == NULL) {
        *ret_fd = -1;
        return 0;
    }
    if (socket->is_unix != (options->unix_path != NULL)) {
        return err_set(e, ERR_INVALID,
                       "listener %s is %s, but the service manager passed %s under this name",
                       options->name,
                       options->unix_path != NULL ? options->unix_path : options->tcp,
                       socket->address);
    }
    fd = fcntl(socket->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        int error = errno;

        if (fd >= 0) {
            (void)close(fd);
        }
        return err_set(e, -error, "could not use the socket %s: %s", socket->name, strerror(error));
    }
    *ret_fd = fd;
    return 0;
}

void io_passed_close(struct io *io)
{
    size_t i;

    for (i = 0; io->passed != NULL && i < io->passed->count; i++) {
        (void)close(io->passed->sockets[i].fd);
    }
    mem_free(io->passed);
    io->passed = NULL;
}
