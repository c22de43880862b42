/* Listening sockets, bound so that nobody gets in before their permissions are right and no other
 * daemon's socket is taken away. */
#ifndef LEASED_IO_SOCKET_H
#define LEASED_IO_SOCKET_H

#include "io/listener.h"

#include <sys/types.h>

/* sun_path holds 108 bytes with its NUL; the kernel and libraries cut silently what is longer. */
#define SOCKET_PATH_MAX_BYTES 107

/* The file of a unix socket, for its removal. */
struct socket_file {
    int dir_fd; /* -1: nothing to remove */
    char name[SOCKET_PATH_MAX_BYTES + 1];
    dev_t device;
    ino_t inode;
};

/* Binds and listens as io/listener.h says. */
int socket_open_unix(const struct io_listener_options *options, struct socket_file *ret_file,
                     int *ret_fd, struct err *e) ATTR_MUST_USE;

/* Removes the file if it is still the socket that we bound. Idempotent. */
void socket_file_remove(struct socket_file *file);

/* "127.0.0.1:9911", "[::1]:9911" or "localhost:0"; addresses beyond loopback only where that is
 * allowed. */
int socket_open_tcp(const char *address, bool may_be_remote, int *ret_fd, uint16_t *ret_port,
                    struct err *e) ATTR_MUST_USE;

uint16_t socket_port(int fd);

/* Is this listening TCP socket bound to loopback? */
bool socket_is_loopback(int fd);

#endif
