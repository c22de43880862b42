/* Whose socket is it: the kernel's table of TCP sockets, asked by NETLINK_SOCK_DIAG for exactly one
 * socket at a time. The kernel answers within send(), so this never waits: about 2 µs. */
#ifndef LEASED_IO_DIAG_H
#define LEASED_IO_DIAG_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>

struct diag {
    int fd; /* -1: not open */
    uint32_t sequence;
};

/* A prepared question about one socket. */
struct diag_query {
    struct nlmsghdr header;
    struct inet_diag_req_v2 request;
};

struct diag_owner {
    uint32_t uid;
    uint32_t inode; /* 0: no process has it open any more, and `uid` says nothing */
};

void diag_init(struct diag *diag);
void diag_fini(struct diag *diag);

/* Opens it, once, and tries it on a TCP socket of ours that listens. ERR_UNSUPPORTED where the
 * kernel can't be asked: then every look-up says so too. */
int diag_open(struct diag *diag, int listening_fd);

/* Prepares the question for the socket at the other end of an accepted connection of this machine:
 * IPv4, IPv6, or IPv4 within IPv6. ERR_GONE when the connection is broken already. */
int diag_query_init(struct diag_query *query, int accepted_fd) ATTR_MUST_USE;

/* Asks. The first answer pins the socket: from then on only that one will do. ERR_GONE: there is no
 * such socket any more; a later one with its addresses is another. ERR_UNSUPPORTED;
 * ERR_UNAVAILABLE: the kernel could not be asked this time. */
int diag_look_up(struct diag *diag, struct diag_query *query,
                 struct diag_owner *ret_owner) ATTR_MUST_USE;

#endif
