/* Who is at the other end of a connection, established once per connection, and a check per request
 * that it still holds. On a unix socket: the procedure of SO_PEERCRED and pidfd (peer.c); on
 * loopback TCP: the owner of the client's socket (peer_loopback.c). With TLS: the names in the
 * client's certificate (peer_tls.c). */
#ifndef LEASED_IO_PEER_H
#define LEASED_IO_PEER_H

#include "env/server.h"
#include "io/diag.h"

#define PEER_OVERFLOW_UID_DEFAULT 65534U

struct tls_names;

struct peer {
    struct env_peer facts;
    int process_fd; /* pidfd; -1: none */
    /* ENV_PEER_LOOPBACK: how to ask for the client's socket again. */
    struct diag *diag;
    struct diag_query query;
    /* ENV_PEER_TLS. */
    struct env *env;
    void *session;           /* gnutls_session_t */
    struct tls_names *names; /* owned; NULL until the first request is there */
};

/* The uid that the kernel shows for one that has no name in our user namespace; it stands for
 * anybody. */
uint32_t peer_overflow_uid(void);

/* The uid that a unix socket's client had when it connected, and nothing more; ENV_NO_ID when the
 * kernel doesn't say. */
uint32_t peer_connect_uid(int socket_fd);

/* Fills `peer` in any case; `facts.state` says what came of it. `kind`: ENV_PEER_UNIX or
 * ENV_PEER_FOREIGN. */
void peer_identify(struct peer *peer, enum env_peer_kind kind, int socket_fd,
                   uint32_t overflow_uid);

/* The same for an accepted connection of loopback TCP. `diag` is borrowed until peer_fini. */
void peer_identify_loopback(struct peer *peer, struct diag *diag, int socket_fd,
                            uint32_t overflow_uid);

/* For a TLS connection, before its handshake; its names are found out by peer_recheck. `session`
 * lives as long as the connection. */
void peer_init_tls(struct peer *peer, struct env *env, void *session);

/* For a connection whose callers are nobody in particular; `problem` is static. */
void peer_init_unknown(struct peer *peer, const char *problem);

/* Looks again: two system calls. What was once found wrong stays so. */
void peer_recheck(struct peer *peer);

void peer_fini(struct peer *peer);

/* --- for the files that identify --- */

/* Nobody yet: state OK, every fact unknown. */
void peer_init(struct peer *peer, enum env_peer_kind kind);

/* `problem` is static. */
void peer_set_state(struct peer *peer, enum env_peer_state state, const char *problem);

void peer_recheck_loopback(struct peer *peer);
void peer_recheck_tls(struct peer *peer);

#endif
