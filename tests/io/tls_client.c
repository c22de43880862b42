#include "tls_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tls_client {
    struct client *tcp;
    SSL_CTX *context;
    SSL *ssl;
};

struct tls_client *tls_client_new(struct fixture *f, const char *cert_path)
{
    struct tls_client *client = calloc(1, sizeof(*client));

    assert_non_null(client);
    client->tcp = client_new(f);
    client->context = SSL_CTX_new(TLS_client_method());
    assert_non_null(client->context);
    if (cert_path != NULL) {
        assert_int_equal(SSL_CTX_use_certificate_file(client->context, cert_path, SSL_FILETYPE_PEM),
                         1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(client->context, cert_path, SSL_FILETYPE_PEM),
                         1);
    }
    client->ssl = SSL_new(client->context);
    assert_non_null(client->ssl);
    assert_int_equal(SSL_set_fd(client->ssl, client->tcp->fd), 1);
    SSL_set_connect_state(client->ssl);
    return client;
}

void tls_client_free(struct tls_client *client)
{
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    client_free(client->tcp);
    free(client);
    ERR_clear_error();
}

void tls_client_speak_1_1(struct tls_client *client)
{
    SSL_set_security_level(client->ssl, 0);
    assert_int_equal(SSL_set_min_proto_version(client->ssl, TLS1_1_VERSION), 1);
    assert_int_equal(SSL_set_max_proto_version(client->ssl, TLS1_1_VERSION), 1);
}

void tls_client_speak_1_2(struct tls_client *client)
{
    assert_int_equal(SSL_set_max_proto_version(client->ssl, TLS1_2_VERSION), 1);
}

/* Lets the loop work while OpenSSL waits; false when OpenSSL has given up. */
static bool go_on(struct fixture *f, struct tls_client *client, int result, uint64_t deadline_ms)
{
    int status = SSL_get_error(client->ssl, result);

    if (status != SSL_ERROR_WANT_READ && status != SSL_ERROR_WANT_WRITE) {
        ERR_clear_error();
        return false;
    }
    fixture_turn(f, client->tcp->fd);
    assert_false(fixture_is_over(deadline_ms));
    return true;
}

bool tls_client_send(struct fixture *f, struct tls_client *client, const char *request)
{
    uint64_t deadline_ms = fixture_deadline();
    int result;

    while ((result = SSL_write(client->ssl, request, (int)strlen(request))) <= 0) {
        if (!go_on(f, client, result, deadline_ms)) {
            return false;
        }
    }
    return true;
}

static bool is_whole(const char *text, size_t len)
{
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    static const char last[] = "\r\n0\r\n\r\n"; /* chunk */
    const char *length = end != NULL ? memmem(text, len, "Content-Length: ", 16) : NULL;

    if (end != NULL && memmem(text, (size_t)(end - text), "chunked", 7) != NULL) {
        return len >= sizeof(last) - 1 &&
               memcmp(text + len - (sizeof(last) - 1), last, sizeof(last) - 1) == 0;
    }
    return length != NULL &&
           len >= (size_t)(end - text) + 4 + (size_t)strtoul(length + 16, NULL, 10);
}

int tls_client_reply(struct fixture *f, struct tls_client *client, char *ret_reply)
{
    uint64_t deadline_ms = fixture_deadline();
    char *text = client->tcp->bytes;
    size_t len = 0;

    while (!is_whole(text, len)) {
        int got = SSL_read(client->ssl, text + len, (int)(FIXTURE_REPLY_MAX_BYTES - len));

        if (got > 0) {
            len += (size_t)got;
        } else if (!go_on(f, client, got, deadline_ms)) {
            assert_int_equal(len, 0); /* whole replies or none */
            return 0;
        }
    }
    if (ret_reply != NULL) {
        memcpy(ret_reply, text, len);
        ret_reply[len] = '\0';
    }
    return (int)strtol(text + strlen("HTTP/1.1 "), NULL, 10);
}

int tls_client_ask(struct fixture *f, struct tls_client *client, const char *request,
                   char *ret_reply)
{
    return tls_client_send(f, client, request) ? tls_client_reply(f, client, ret_reply) : 0;
}

const char *tls_client_version(const struct tls_client *client)
{
    return SSL_get_version(client->ssl);
}
