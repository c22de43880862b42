/* Identification of a caller on a TLS listener: the names in its certificate. Whether it may be
 * believed was decided in the handshake (tls.c); which names it has is read when its first request
 * is there, because only then the handshake is sure to be over. A connection ends its caller's time
 * with the certificate's.
 *
 * Failure paths: a certificate that was never shown, or that expired while the connection was open,
 * makes the caller UNKNOWN or CHANGED. */
#include "io/peer.h"

#include "base/mem.h"
#include "io/tls.h"

void peer_init_tls(struct peer *peer, struct env *env, void *session)
{
    peer_init(peer, ENV_PEER_TLS);
    peer->env = env;
    peer->session = session;
}

static void read_once(struct peer *peer)
{
    struct tls_names *names = mem_alloc(sizeof(*names));
    const char *problem =
        names != NULL ? tls_session_names(peer->session, names) : "the daemon is out of memory";

    if (problem != NULL) {
        mem_free(names);
        peer_set_state(peer, ENV_PEER_UNKNOWN, problem);
        return;
    }
    peer->names = names;
    peer->facts.sans = names->text;
}

void peer_recheck_tls(struct peer *peer)
{
    if (peer->names == NULL) {
        read_once(peer);
    }
    if (peer->facts.state == ENV_PEER_OK && env_wall_ms(peer->env) > peer->names->expires_wall_ms) {
        peer_set_state(peer, ENV_PEER_CHANGED, "its certificate has expired");
    }
}
