#include "io/http_ca.h"

#include "io/loop_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define HTTP_CA_SERVERS_MAX 32U
#define HTTP_CA_ISSUED_MAX 32U
#define DAY_S 86400L

struct http_ca {
    char folder[64];
    char ca_path[96];
    char client_path[96];
    X509 *cert;
    EVP_PKEY *key;
    SSL_CTX *servers[HTTP_CA_SERVERS_MAX];
    size_t server_count;
    struct env_http_tls client;
    struct env_http_tls client_with_cert;
    char issued[HTTP_CA_ISSUED_MAX][96];
    size_t issued_count;
};

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* A certificate over `key` for this name, signed by the CA or, without one, by itself. */
static X509 *start_cert(EVP_PKEY *key, const char *name, const struct http_ca *ca, unsigned flags)
{
    static long serial;
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);
    bool is_expired = (flags & HTTP_CA_EXPIRED) != 0;

    assert_non_null(cert);
    (void)X509_set_version(cert, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), is_expired                       ? -3 * DAY_S
                                                     : (flags & HTTP_CA_NOT_YET) != 0 ? DAY_S / 2
                                                                                      : -DAY_S);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), is_expired ? -2 * DAY_S : DAY_S);
    (void)X509_set_pubkey(cert, key);
    (void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                     -1, 0);
    (void)X509_set_issuer_name(cert, ca != NULL ? X509_get_subject_name(ca->cert) : subject);
    return cert;
}

static X509 *make_cert(EVP_PKEY *key, const char *name, const struct http_ca *ca, unsigned flags)
{
    X509 *cert = start_cert(key, name, ca, flags);
    char names[128];

    if (ca == NULL) {
        add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
        add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign");
        add_extension(cert, cert, NID_subject_key_identifier, "hash");
    } else {
        (void)snprintf(names, sizeof(names), "DNS:%s,IP:127.0.0.1", name);
        add_extension(cert, ca->cert, NID_subject_alt_name, names);
    }
    assert_true(X509_sign(cert, ca != NULL ? ca->key : key,
                          (flags & HTTP_CA_WEAK_HASH) != 0 ? EVP_sha1() : EVP_sha256()) > 0);
    return cert;
}

static void write_pem(const char *path, X509 *cert, EVP_PKEY *key)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, cert), 1);
    if (key != NULL) {
        assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    }
    assert_int_equal(fclose(file), 0);
}

struct http_ca *http_ca_new(void)
{
    struct http_ca *ca = calloc(1, sizeof(*ca));
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert;

    assert_non_null(ca);
    (void)snprintf(ca->folder, sizeof(ca->folder), "/tmp/leased-ca-XXXXXX");
    assert_non_null(mkdtemp(ca->folder));
    (void)snprintf(ca->ca_path, sizeof(ca->ca_path), "%s/ca.pem", ca->folder);
    (void)snprintf(ca->client_path, sizeof(ca->client_path), "%s/client.pem", ca->folder);
    ca->key = EVP_EC_gen("P-256");
    assert_non_null(ca->key);
    ca->cert = make_cert(ca->key, "test CA", NULL, 0);
    write_pem(ca->ca_path, ca->cert, NULL);
    assert_non_null(key);
    cert = make_cert(key, "client.test", ca, 0);
    write_pem(ca->client_path, cert, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    ca->client.ca_file = ca->ca_path;
    ca->client_with_cert = (struct env_http_tls){.ca_file = ca->ca_path,
                                                 .cert_file = ca->client_path,
                                                 .key_file = ca->client_path};
    return ca;
}

void http_ca_free(struct http_ca *ca)
{
    for (size_t i = 0; i < ca->server_count; i++) {
        SSL_CTX_free(ca->servers[i]);
    }
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
    for (size_t i = 0; i < ca->issued_count; i++) {
        (void)unlink(ca->issued[i]);
    }
    (void)unlink(ca->ca_path);
    (void)unlink(ca->client_path);
    (void)rmdir(ca->folder);
    free(ca);
}

SSL_CTX *http_ca_server(struct http_ca *ca, const char *name, unsigned flags)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = (flags & HTTP_CA_WEAK_KEY) != 0 ? EVP_RSA_gen(1024) : EVP_EC_gen("P-256");
    X509 *cert = make_cert(key, name, (flags & HTTP_CA_SELF_SIGNED) != 0 ? NULL : ca, flags);

    assert_non_null(context);
    if ((flags & (HTTP_CA_WEAK_KEY | HTTP_CA_WEAK_HASH)) != 0) {
        SSL_CTX_set_security_level(context, 0);
    }
    assert_true(ca->server_count < HTTP_CA_SERVERS_MAX);
    assert_int_equal(SSL_CTX_use_certificate(context, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    if ((flags & HTTP_CA_OLD_TLS) != 0) {
        SSL_CTX_set_security_level(context, 0);
        assert_int_equal(SSL_CTX_set_min_proto_version(context, TLS1_VERSION), 1);
        assert_int_equal(SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION), 1);
    }
    if ((flags & HTTP_CA_WANTS_CLIENT) != 0) {
        assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca->cert), 1);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    ca->servers[ca->server_count++] = context;
    return context;
}

const struct env_http_tls *http_ca_client(struct http_ca *ca)
{
    return &ca->client;
}

const struct env_http_tls *http_ca_client_with_cert(struct http_ca *ca)
{
    return &ca->client_with_cert;
}

const char *http_ca_path(const struct http_ca *ca)
{
    return ca->ca_path;
}

const char *http_ca_issue(struct http_ca *ca, const char *names, unsigned flags)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = start_cert(key, "issued", ca, flags);
    char path[sizeof(ca->issued[0])];

    assert_true(ca->issued_count < HTTP_CA_ISSUED_MAX);
    (void)snprintf(path, sizeof(path), "%s/%zu.pem", ca->folder, ca->issued_count);
    memcpy(ca->issued[ca->issued_count], path, sizeof(path));
    if (names != NULL) {
        add_extension(cert, ca->cert, NID_subject_alt_name, names);
    }
    add_extension(cert, ca->cert, NID_ext_key_usage,
                  (flags & HTTP_CA_FOR_SERVERS) != 0 ? "serverAuth" : "clientAuth");
    assert_true(X509_sign(cert, ca->key, EVP_sha256()) > 0);
    write_pem(path, cert, key);
    assert_int_equal(chmod(path, 0600), 0);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ca->issued[ca->issued_count++];
}

const char *http_ca_shown_name(SSL *tls, char out[64])
{
    X509 *cert = SSL_get1_peer_certificate(tls);
    GENERAL_NAMES *names =
        cert != NULL ? X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL) : NULL;
    int type;

    out[0] = '\0';
    if (names != NULL && sk_GENERAL_NAME_num(names) > 0) {
        const ASN1_STRING *name = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, 0), &type);

        (void)snprintf(out, 64, "%.*s", ASN1_STRING_length(name),
                       (const char *)ASN1_STRING_get0_data(name));
    }
    GENERAL_NAMES_free(names);
    X509_free(cert);
    return out;
}
