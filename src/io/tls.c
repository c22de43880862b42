/* What a listener's TLS sessions offer and accept.
 *
 * Happy path: tls_new loads certificate, key and CA → libmicrohttpd accepts and makes a session →
 * tls_session_start gives it our credentials and demands a certificate → during the handshake
 * on_certificate judges it → tls_session_names says whom it names when the first request is there.
 *
 * Failure paths: a certificate that doesn't pass fails the handshake with an alert. Sessions are
 * never resumed, so none gets past that. */
#include "io/tls.h"

#include "base/mem.h"
#include "io/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#define PEM_MAX_BYTES (256U * 1024U)
#define HANDSHAKE_MESSAGE_MAX_BYTES (32U * 1024U)
#define HOST_MAX_BYTES 256U
#define CHAIN_MAX 16U
#define DIGEST_BYTES 32U

/* TLS 1.2 and 1.3 with forward secrecy and authenticated ciphers; certificates of at least 112 bits
 * of security. */
#define PRIORITIES                                                                                 \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:"                  \
    "-CIPHER-ALL:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:-MAC-ALL:+AEAD:"                     \
    "%PROFILE_MEDIUM:%SERVER_PRECEDENCE"

struct tls {
    uint32_t use_count;
    uint8_t digests[3][DIGEST_BYTES]; /* SHA-256 of what the files held */
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priorities;
    gnutls_x509_crt_t own; /* our certificate */
};

enum {
    FILE_CERT,
    FILE_KEY,
    FILE_CA,
};

/* --- names --- */

/* A name that can't be told from another, or from two, is none. */
static bool is_clean(const char *name, size_t len, bool is_uri)
{
    size_t i;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        bool is_host_char = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                            c == '.' || c == '_' || c == '*';

        if (is_uri ? c <= 0x20 || c >= 0x7f : !is_host_char) {
            return false;
        }
    }
    /* What has no scheme would pass for a DNS name. */
    return len > 0 && (!is_uri || memchr(name, ':', len) != NULL);
}

static void to_lower(char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z') {
            text[i] = (char)(text[i] - 'A' + 'a');
        }
    }
}

/* Adds the certificate's names of one type. NULL or what is wrong. */
static const char *add_names(gnutls_x509_crt_t cert, int type, struct tls_names *names,
                             size_t *count)
{
    size_t used = strlen(names->text);
    unsigned int i;

    for (i = 0;; i++) {
        char name[ENV_PEER_SAN_MAX_BYTES];
        size_t size = sizeof(name);
        int found = gnutls_x509_crt_get_subject_alt_name(cert, i, name, &size, NULL);

        if (found == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) {
            return NULL;
        }
        if (found == GNUTLS_E_SHORT_MEMORY_BUFFER) {
            return "its certificate has a name that is too long";
        }
        if (found < 0) {
            return "its certificate has a name that can't be read";
        }
        if (found != type) {
            continue;
        }
        if (type == GNUTLS_SAN_DNSNAME) {
            to_lower(name, size);
        }
        if (!is_clean(name, size, type == GNUTLS_SAN_URI)) {
            return "its certificate has a malformed name";
        }
        if (*count == TLS_NAMES_MAX || used + 1 + size >= sizeof(names->text)) {
            return "its certificate has too many names";
        }
        if (used > 0) {
            names->text[used++] = ' ';
        }
        memcpy(names->text + used, name, size);
        used += size;
        names->text[used] = '\0';
        (*count)++;
    }
}

static const char *read_names(gnutls_x509_crt_t cert, struct tls_names *names)
{
    time_t expires = gnutls_x509_crt_get_expiration_time(cert);
    size_t count = 0;
    const char *problem;

    names->text[0] = '\0';
    names->expires_wall_ms = (int64_t)expires * 1000;
    problem = add_names(cert, GNUTLS_SAN_URI, names, &count);
    if (problem == NULL) {
        problem = add_names(cert, GNUTLS_SAN_DNSNAME, names, &count);
    }
    if (problem == NULL && count == 0) {
        problem = "its certificate names nobody: it has no URI or DNS name";
    }
    return problem;
}

const char *tls_session_names(gnutls_session_t session, struct tls_names *ret_names)
{
    unsigned int count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t cert;
    const char *problem;

    if (chain == NULL || count == 0) {
        return "it has shown no certificate";
    }
    if (gnutls_x509_crt_init(&cert) != GNUTLS_E_SUCCESS) {
        return "its certificate can't be read";
    }
    problem = gnutls_x509_crt_import(cert, &chain[0], GNUTLS_X509_FMT_DER) == GNUTLS_E_SUCCESS
                  ? read_names(cert, ret_names)
                  : "its certificate can't be read";
    gnutls_x509_crt_deinit(cert);
    return problem;
}

/* --- sessions --- */

/* GnuTLS calls it in the handshake, when the client has shown its certificate. */
static int on_certificate(gnutls_session_t session)
{
    gnutls_typed_vdata_st for_clients = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                         .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT};
    unsigned int wrong = 0;
    struct tls_names names;

    if (gnutls_certificate_verify_peers(session, &for_clients, 1, &wrong) == GNUTLS_E_SUCCESS &&
        wrong == 0 && tls_session_names(session, &names) == NULL) {
        return 0;
    }
    (void)gnutls_alert_send(session, GNUTLS_AL_FATAL,
                            (wrong & GNUTLS_CERT_EXPIRED) != 0 ? GNUTLS_A_CERTIFICATE_EXPIRED
                            : (wrong & GNUTLS_CERT_SIGNER_NOT_FOUND) != 0
                                ? GNUTLS_A_UNKNOWN_CA
                                : GNUTLS_A_BAD_CERTIFICATE);
    return GNUTLS_E_CERTIFICATE_ERROR;
}

static int chain_import(const gnutls_datum_t *chain, unsigned int count,
                        gnutls_x509_crt_t *ret_certs, unsigned int *ret_count)
{
    unsigned int i;

    for (i = 0; i < count && i < CHAIN_MAX; i++) {
        if (gnutls_x509_crt_init(&ret_certs[i]) != GNUTLS_E_SUCCESS) {
            return ERR_NOMEM;
        }
        *ret_count = i + 1;
        if (gnutls_x509_crt_import(ret_certs[i], &chain[i], GNUTLS_X509_FMT_DER) !=
            GNUTLS_E_SUCCESS) {
            return ERR_INVALID;
        }
    }
    return i > 0 && i == count ? 0 : ERR_INVALID;
}

bool tls_would_admit(const struct tls *tls, gnutls_session_t session)
{
    gnutls_typed_vdata_st for_clients = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                         .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT};
    unsigned int flags = GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM);
    unsigned int count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t certs[CHAIN_MAX];
    unsigned int imported = 0;
    gnutls_x509_trust_list_t trusted;
    unsigned int wrong = 0;
    bool is_good = chain != NULL && chain_import(chain, count, certs, &imported) == 0;

    gnutls_certificate_get_trust_list(tls->credentials, &trusted);
    is_good = is_good &&
              gnutls_x509_trust_list_verify_crt2(trusted, certs, imported, &for_clients, 1, flags,
                                                 &wrong, NULL) == GNUTLS_E_SUCCESS &&
              wrong == 0;
    while (imported > 0) {
        gnutls_x509_crt_deinit(certs[--imported]);
    }
    return is_good;
}

void tls_session_send_last(gnutls_session_t session, const char *bytes, size_t size)
{
    if (gnutls_record_send(session, bytes, size) >= 0) {
        (void)gnutls_bye(session, GNUTLS_SHUT_WR);
    }
}

int tls_session_start(const struct tls *tls, gnutls_session_t session)
{
    if (gnutls_priority_set(session, tls->priorities) != GNUTLS_E_SUCCESS ||
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->credentials) !=
            GNUTLS_E_SUCCESS) {
        return ERR_TLS;
    }
    gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    gnutls_handshake_set_max_packet_length(session, HANDSHAKE_MESSAGE_MAX_BYTES);
    return 0;
}

bool tls_has_name(const struct tls *tls, struct str host)
{
    char text[HOST_MAX_BYTES];

    if (host.len == 0 || host.len >= sizeof(text) || memchr(host.ptr, '\0', host.len) != NULL) {
        return false;
    }
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return gnutls_x509_crt_check_hostname(tls->own, text) != 0;
}

/* --- files --- */

/* Who writes these files decides whom we are taken for and who may connect. */
static int check_file(const char *path, const struct stat *facts, bool is_trial, struct err *e)
{
    if (!S_ISREG(facts->st_mode)) {
        return err_set(e, ERR_INVALID, "%s is not a regular file", path);
    }
    if ((facts->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return err_set(e, ERR_DENIED, "%s may be written by others (mode %04o): chmod go-w", path,
                       (unsigned)(facts->st_mode & 07777U));
    }
    if (!is_trial && facts->st_uid != 0 && facts->st_uid != geteuid()) {
        return err_set(e, ERR_DENIED, "%s belongs to uid %u: it must be root's or the daemon's",
                       path, (unsigned)facts->st_uid);
    }
    if (facts->st_size > (off_t)PEM_MAX_BYTES) {
        return err_set(e, ERR_TOO_LARGE, "%s is larger than %u bytes", path, PEM_MAX_BYTES);
    }
    return 0;
}

static int read_pem(const char *path, bool is_trial, char **ret_text, size_t *ret_size,
                    struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat facts;
    char *text = NULL;
    ssize_t got;
    int rc;

    if (fd < 0 || fstat(fd, &facts) != 0) {
        rc = err_set(e, -errno, "could not read %s: %s", path, strerror(errno));
        goto out;
    }
    rc = check_file(path, &facts, is_trial, e);
    if (rc != 0) {
        goto out;
    }
    text = mem_alloc(PEM_MAX_BYTES);
    if (text == NULL) {
        rc = err_set(e, ERR_NOMEM, "could not read %s: out of memory", path);
        goto out;
    }
    /* A regular file of this size comes in one piece. */
    got = read(fd, text, PEM_MAX_BYTES);
    if (got < 0 || got != facts.st_size) {
        rc = err_set(e, ERR_IO, "could not read %s as a whole", path);
        goto out;
    }
    *ret_text = text;
    *ret_size = (size_t)got;
    text = NULL;

out:
    mem_free(text);
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

static gnutls_datum_t datum_of(const char *bytes, size_t size)
{
    return (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)bytes, .size = (unsigned int)size};
}

static int take_digest(struct tls *tls, size_t file, struct str bytes, struct err *e)
{
    return gnutls_hash_fast(GNUTLS_DIG_SHA256, bytes.ptr, bytes.len, tls->digests[file]) == 0
               ? 0
               : err_set(e, ERR_TLS, "GnuTLS could not be set up");
}

static int load_certificate(struct tls *tls, const struct io_listener_tls *options, bool is_trial,
                            struct err *e)
{
    struct secret key;
    gnutls_datum_t cert_pem;
    gnutls_datum_t key_pem;
    gnutls_x509_crt_t *chain = NULL;
    unsigned int count = 0;
    char *text = NULL;
    size_t size = 0;
    int status;
    int rc;

    secret_init(&key);
    rc = io_read_secret_file(options->key_file, is_trial ? IO_SECRET_ANY_OWNER : 0, &key, e);
    if (rc == 0) {
        rc = read_pem(options->cert_file, is_trial, &text, &size, e);
    }
    if (rc != 0) {
        goto out;
    }
    cert_pem = datum_of(text, size);
    rc = take_digest(tls, FILE_CERT, (struct str){.ptr = text, .len = size}, e);
    if (rc == 0) {
        rc = take_digest(tls, FILE_KEY, secret_view(&key), e);
    }
    if (rc != 0) {
        goto out;
    }
    key_pem = datum_of(secret_view(&key).ptr, secret_view(&key).len);
    status = gnutls_certificate_set_x509_key_mem2(tls->credentials, &cert_pem, &key_pem,
                                                  GNUTLS_X509_FMT_PEM, NULL, 0);
    if (status >= 0) {
        status =
            gnutls_certificate_get_x509_crt(tls->credentials, (unsigned int)status, &chain, &count);
    }
    if (status < 0 || count == 0) {
        rc = err_set(e, ERR_TLS, "could not use the certificate %s with the key %s: %s",
                     options->cert_file, options->key_file, gnutls_strerror(status));
        goto out;
    }
    tls->own = chain[0];
    while (--count > 0) {
        gnutls_x509_crt_deinit(chain[count]);
    }
    gnutls_free(chain);

out:
    mem_free(text);
    secret_fini(&key);
    return rc;
}

static int load_ca(struct tls *tls, const char *path, bool is_trial, struct err *e)
{
    gnutls_datum_t pem;
    char *text = NULL;
    size_t size = 0;
    int count;
    int rc = read_pem(path, is_trial, &text, &size, e);

    if (rc != 0) {
        return rc;
    }
    rc = take_digest(tls, FILE_CA, (struct str){.ptr = text, .len = size}, e);
    if (rc != 0) {
        mem_free(text);
        return rc;
    }
    pem = datum_of(text, size);
    count = gnutls_certificate_set_x509_trust_mem(tls->credentials, &pem, GNUTLS_X509_FMT_PEM);
    mem_free(text);
    if (count <= 0) {
        return err_set(e, ERR_TLS, "could not find a certificate in %s%s%s", path,
                       count < 0 ? ": " : "", count < 0 ? gnutls_strerror(count) : "");
    }
    return 0;
}

int tls_new(const struct io_listener_tls *options, bool is_trial, struct tls **ret_tls,
            struct err *e)
{
    struct tls *tls = mem_calloc(1, sizeof(*tls));
    int rc;

    if (tls == NULL) {
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    tls->use_count = 1;
    if (gnutls_certificate_allocate_credentials(&tls->credentials) != GNUTLS_E_SUCCESS ||
        gnutls_priority_init(&tls->priorities, PRIORITIES, NULL) != GNUTLS_E_SUCCESS) {
        rc = err_set(e, ERR_TLS, "GnuTLS could not be set up");
    } else {
        rc = load_certificate(tls, options, is_trial, e);
    }
    if (rc == 0) {
        rc = load_ca(tls, options->client_ca_file, is_trial, e);
    }
    if (rc != 0) {
        tls_unref(tls);
        return rc;
    }
    gnutls_certificate_set_verify_function(tls->credentials, on_certificate);
    *ret_tls = tls;
    return 0;
}

int tls_check_time(const struct tls *tls, struct err *e)
{
    time_t from = gnutls_x509_crt_get_activation_time(tls->own);
    time_t until = gnutls_x509_crt_get_expiration_time(tls->own);
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec >= from && now.tv_sec <= until) {
        return 0;
    }
    return err_set(e, ERR_TLS, "its certificate %s",
                   now.tv_sec < from ? "is not valid yet" : "has expired");
}

bool tls_has_same_ca(const struct tls *one, const struct tls *other)
{
    return memcmp(one->digests[FILE_CA], other->digests[FILE_CA], DIGEST_BYTES) == 0;
}

bool tls_is_same(const struct tls *one, const struct tls *other)
{
    return memcmp(one->digests, other->digests, sizeof(one->digests)) == 0;
}

struct tls *tls_ref(struct tls *tls)
{
    if (tls != NULL) {
        tls->use_count++;
    }
    return tls;
}

void tls_unref(struct tls *tls)
{
    if (tls == NULL || --tls->use_count > 0) {
        return;
    }
    if (tls->own != NULL) {
        gnutls_x509_crt_deinit(tls->own);
    }
    if (tls->credentials != NULL) {
        gnutls_certificate_free_credentials(tls->credentials);
    }
    if (tls->priorities != NULL) {
        gnutls_priority_deinit(tls->priorities);
    }
    mem_free(tls);
}
