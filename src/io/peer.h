/* Who is at the other end of a unix socket: the procedure of SO_PEERCRED and pidfd, once per
 * connection, and a check per request that it still holds. */
#ifndef LEASED_IO_PEER_H
#define LEASED_IO_PEER_H

#include "env/server.h"

#define PEER_OVERFLOW_UID_DEFAULT 65534U

struct peer {
    struct env_peer facts;
    int process_fd; /* pidfd; -1: none */
    int proc_fd;    /* the directory /proc/PID; -1: none */
};

/* The uid that the kernel shows for one that has no name in our user namespace; it stands for
 * anybody. */
uint32_t peer_overflow_uid(void);

/* Fills `peer` in any case; `facts.state` says what came of it. */
void peer_identify(struct peer *peer, int socket_fd, uint32_t overflow_uid);

/* A peer that this version can't identify; `problem` is static. */
void peer_init_unknown(struct peer *peer, const char *problem);

/* Looks again: two system calls. What was once found wrong stays so. */
void peer_recheck(struct peer *peer);

void peer_fini(struct peer *peer);

#endif
