/* A TLS client of the fixture's listener, with OpenSSL, on the loop's thread. */
#ifndef LEASED_TESTS_IO_TLS_CLIENT_H
#define LEASED_TESTS_IO_TLS_CLIENT_H

#include "server_fixture.h"

struct tls_client;

/* Connects; no handshake yet. `cert_path` (NULL: none) holds a certificate and its key. */
struct tls_client *tls_client_new(struct fixture *f, const char *cert_path);
void tls_client_free(struct tls_client *client);

/* Before the handshake: speaks TLS 1.1 at most, or TLS 1.2 at most. */
void tls_client_speak_1_1(struct tls_client *client);
void tls_client_speak_1_2(struct tls_client *client);

/* Sends, after the handshake. False when the connection was closed. */
bool tls_client_send(struct fixture *f, struct tls_client *client, const char *request);

/* The status of the answer, or 0 when the connection was closed before it came: in the handshake or
 * after. Its text is in ret_reply (may be NULL), with FIXTURE's limit. */
int tls_client_reply(struct fixture *f, struct tls_client *client, char *ret_reply);

/* The two together. */
int tls_client_ask(struct fixture *f, struct tls_client *client, const char *request,
                   char *ret_reply);

/* The TLS version of the connection. */
const char *tls_client_version(const struct tls_client *client);

#endif
