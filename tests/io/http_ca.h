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
};

struct http_ca *http_ca_new(void);
void http_ca_free(struct http_ca *ca);

/* A server's context with a certificate for this DNS name, and for 127.0.0.1. Lives as long as the
 * CA. */
SSL_CTX *http_ca_server(struct http_ca *ca, const char *name, unsigned flags);

/* What a client needs to trust the CA (without and with a certificate of its own). Borrowed. */
const struct env_http_tls *http_ca_client(struct http_ca *ca);
const struct env_http_tls *http_ca_client_with_cert(struct http_ca *ca);

#endif
