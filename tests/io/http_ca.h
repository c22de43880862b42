/* A certificate authority for a test: made anew in a folder of its own, with servers' and a
 * client's certificates. */
#ifndef LEASED_TESTS_IO_HTTP_CA_H
#define LEASED_TESTS_IO_HTTP_CA_H

#include "env/http.h"

#include <openssl/types.h>

struct http_ca;

enum http_ca_flags {
    HTTP_CA_EXPIRED = 1,
    HTTP_CA_OLD_TLS = 2,      /* the server speaks TLS 1.1 at most */
    HTTP_CA_WANTS_CLIENT = 4, /* the server demands a client's certificate of this CA */
    HTTP_CA_FOR_SERVERS = 8,  /* issued: for servers, not for clients */
    HTTP_CA_NOT_YET = 16,     /* issued: valid from tomorrow on */
    HTTP_CA_WEAK_KEY = 32,    /* the server has RSA with 1024 bits */
    HTTP_CA_WEAK_HASH = 64,   /* … is signed with SHA-1 */
    HTTP_CA_SELF_SIGNED = 128,
};

struct http_ca *http_ca_new(void);
void http_ca_free(struct http_ca *ca);

/* A server's context with a certificate for this DNS name, and for 127.0.0.1. Lives as long as the
 * CA. */
SSL_CTX *http_ca_server(struct http_ca *ca, const char *name, unsigned flags);

/* What a client needs to trust the CA (without and with a certificate of its own). Borrowed. */
const struct env_http_tls *http_ca_client(struct http_ca *ca);
const struct env_http_tls *http_ca_client_with_cert(struct http_ca *ca);

/* The CA's own certificate. */
const char *http_ca_path(const struct http_ca *ca);

/* Issues a certificate with these alternative names ("URI:spiffe://a/b,DNS:c"; NULL: none) and
 * writes it with its key to a file of mode 0600, which goes with the CA. Returns the file's path.
 */
const char *http_ca_issue(struct http_ca *ca, const char *names, unsigned flags);

/* The first DNS name in the certificate that the client of this connection has shown; "" if it has
 * shown none. Returns `out`. */
const char *http_ca_shown_name(SSL *tls, char out[64]);

#endif
