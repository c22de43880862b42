/* The socket of an agent and who is connected to it: this user's programs alone. */
#ifndef LEASED_CLI_SSH_SOCKET_H
#define LEASED_CLI_SSH_SOCKET_H

#include "cli/ssh_keyring.h"

#include <poll.h>

#define SSH_SOCKET_CLIENTS_MAX 32
#define SSH_SOCKET_POLLS (1 + SSH_SOCKET_CLIENTS_MAX)

struct ssh_client {
    int fd; /* -1: none */
    struct buf read;
};

struct ssh_socket {
    int fd; /* -1: not open */
    char folder[CLIENT_SOCKET_MAX_BYTES -
                sizeof("/agent")]; /* made for it, and taken away with it; "": none */
    char path[CLIENT_SOCKET_MAX_BYTES];
    struct ssh_client clients[SSH_SOCKET_CLIENTS_MAX];
};

/* Listens at `path`, or in a folder of its own (NULL). A socket that nobody listens on is replaced.
 * 0, or ERR_INVALID, ERR_EXISTS, ERR_IO with a text. ssh_socket_close it in any case. */
int ssh_socket_open(struct ssh_socket *socket, const char *path, struct err *e) ATTR_MUST_USE;
void ssh_socket_close(struct ssh_socket *socket);

/* What to poll for; SSH_SOCKET_POLLS of them. */
void ssh_socket_poll(const struct ssh_socket *socket, struct pollfd *polls);

/* Takes in and answers what the polls have found. */
void ssh_socket_serve(struct ssh_socket *socket, const struct pollfd *polls,
                      struct ssh_keyring *keyring);

#endif
