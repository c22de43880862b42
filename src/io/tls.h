/* TLS of a listener: its certificate and key, who may connect, and who has. libmicrohttpd moves the
 * bytes; what is offered and accepted is decided here, per session, with GnuTLS.
 *
 * A client must show a certificate that chains to the listener's CA, is in its time, is for clients
 * and names somebody. Otherwise the handshake fails: nothing of a request is read. */
#ifndef LEASED_IO_TLS_H
#define LEASED_IO_TLS_H

#include "env/server.h"
#include "io/listener.h"

#include <gnutls/gnutls.h>

/* How many names a client's certificate may have. */
#define TLS_NAMES_MAX 8U

struct tls;

/* Whom a certificate names. */
struct tls_names {
    char
        text[ENV_PEER_SANS_MAX_BYTES]; /* URIs, then DNS names in lower case, separated by blanks */
    int64_t expires_wall_ms;
};

/* Reads the files that the options name; the key's bytes are wiped once GnuTLS has it. Errors name
 * the file. The caller has the one reference. `is_trial`: the files may be anyone's, because nobody
 * will be served with them. */
int tls_new(const struct io_listener_tls *options, bool is_trial, struct tls **ret_tls,
            struct err *e) ATTR_MUST_USE;

/* Is our certificate in its time? ERR_TLS. */
int tls_check_time(const struct tls *tls, struct err *e) ATTR_MUST_USE;

/* A listener has a reference, and each of its sessions: certificates are renewed while sessions are
 * open. NULL is fine. */
struct tls *tls_ref(struct tls *tls);
void tls_unref(struct tls *tls);

/* Were the same bytes read, in all files or in that of the clients' CA? */
bool tls_is_same(const struct tls *one, const struct tls *other);
bool tls_has_same_ca(const struct tls *one, const struct tls *other);

/* Sends without waiting, and that nothing more follows. */
void tls_session_send_last(gnutls_session_t session, const char *bytes, size_t size);

/* Prepares a session before its handshake. ERR_TLS when GnuTLS refuses. */
int tls_session_start(const struct tls *tls, gnutls_session_t session) ATTR_MUST_USE;

/* Whom the client's certificate names, once the handshake is done. NULL, or what is wrong with the
 * certificate: a static text. */
const char *tls_session_names(gnutls_session_t session, struct tls_names *ret_names);

/* Would the client be let in by this one, too? Once the handshake is done. */
bool tls_would_admit(const struct tls *tls, gnutls_session_t session);

/* Does our certificate stand for this host name or address? */
bool tls_has_name(const struct tls *tls, struct str host);

#endif
