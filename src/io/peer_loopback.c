/* Identification of a caller on loopback TCP: the uid that owns the client's socket, and no more.
 *
 * Happy path: the connection's addresses, seen from the other end → the kernel's answer names the
 * socket's owner and inode → before each decision the same question again, which only the same
 * socket may answer.
 *
 * The uid is the one that made the socket; a program that dropped its rights afterwards, or that
 * was handed the socket, goes under it. Who shares the host's network from within a container shows
 * up under the uid that it has on the host. From another network namespace loopback can't be
 * reached.
 *
 * Failure paths: a client that has sent and gone leaves a socket with uid 0 and inode 0 behind,
 * which is nobody's and not root's: GONE. So is one whose addresses belong to another socket by
 * now. An owner who differs from that of connect time is CHANGED. What the kernel doesn't tell is
 * UNKNOWN. */
#include "io/peer.h"

static void take_owner(struct peer *peer, int status, const struct diag_owner *owner)
{
    switch (status) {
    case 0:
        if (owner->inode == 0) {
            peer_set_state(peer, ENV_PEER_GONE, "its end of the connection is closed");
        }
        break;
    case ERR_GONE:
        peer_set_state(peer, ENV_PEER_GONE, "its end of the connection is closed");
        break;
    case ERR_UNSUPPORTED:
        peer_set_state(peer, ENV_PEER_UNKNOWN,
                       "the kernel doesn't tell whose a TCP socket is (is its module tcp_diag "
                       "missing?)");
        break;
    default:
        peer_set_state(peer, ENV_PEER_UNKNOWN, "the owner of its socket could not be looked up");
        break;
    }
}

void peer_identify_loopback(struct peer *peer, struct diag *diag, int socket_fd,
                            uint32_t overflow_uid)
{
    struct diag_owner owner = {.uid = ENV_NO_ID};
    int status;

    peer_init(peer, ENV_PEER_LOOPBACK);
    peer->diag = diag;
    status = diag_query_init(&peer->query, socket_fd);
    if (status == 0) {
        status = diag_look_up(diag, &peer->query, &owner);
    }
    take_owner(peer, status, &owner);
    if (peer->facts.state != ENV_PEER_OK) {
        return;
    }
    if (owner.uid == overflow_uid || owner.uid == ENV_NO_ID) {
        peer_set_state(peer, ENV_PEER_UNKNOWN,
                       "its uid has no name in the daemon's user namespace");
        return;
    }
    peer->facts.uid = owner.uid;
}

void peer_recheck_loopback(struct peer *peer)
{
    struct diag_owner owner = {.uid = ENV_NO_ID};
    int status = diag_look_up(peer->diag, &peer->query, &owner);

    take_owner(peer, status, &owner);
    if (peer->facts.state == ENV_PEER_OK && owner.uid != peer->facts.uid) {
        peer_set_state(peer, ENV_PEER_CHANGED, "its socket has another owner than at connect");
    }
}
