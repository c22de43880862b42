/* A server that speaks HTTP/2 where the client offers it (else HTTP/1.1, as peer_script_ok), just
 * as much of it as the tests need: headers are not decoded, each stream is answered by its place in
 * the order of all streams of the peer. */
#ifndef LEASED_TESTS_IO_HTTP2_PEER_H
#define LEASED_TESTS_IO_HTTP2_PEER_H

#include "io/http_ca.h"
#include "io/http_peer.h"

#include <stdatomic.h>

struct http2_peer {
    struct peer *peer;
    /* For each stream of all connections, in order: 'a' answer with 200 and "two" (or the name in
     * the certificate that the client has shown), 'h' hold it for ever, 'r' reset it, 'e' send a
     * body without end, 'g' say goodbye: answer it, take no more and close. Behind the end of the
     * text: 'a'. */
    const char *acts;
    atomic_uint connections_1;
    atomic_uint connections_2;
    atomic_uint streams;
    atomic_uint held;        /* the stream that was held last */
    atomic_uint held_resets; /* how often the client has reset it */
};

/* `acts` is borrowed; `flags` as http_ca_server has them. */
void http2_peer_start(struct http2_peer *h2, struct http_ca *ca, const char *acts, unsigned flags);
void http2_peer_stop(struct http2_peer *h2);

#endif
