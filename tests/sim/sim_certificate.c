/* Reading certificates: X.509 with OpenSSL, OpenSSH's by hand (PROTOCOL.certkeys). */
#include "sim_localca.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SSH_TYPE "ssh-ed25519-cert-v01@openssh.com"
#define SSH_MAX_BYTES 4096

static int64_t unix_of(const ASN1_TIME *time)
{
    struct tm tm = {0};

    CHECK(ASN1_TIME_to_tm(time, &tm) == 1);
    return (int64_t)timegm(&tm);
}

static void write_serial(const X509 *certificate, char *out, size_t out_size)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *hex = number != NULL ? BN_bn2hex(number) : NULL;

    CHECK(hex != NULL);
    (void)snprintf(out, out_size, "%s", hex);
    OPENSSL_free(hex);
    BN_free(number);
}

int sim_certificate_read(const char *pem, EVP_PKEY *ca, struct sim_certificate *ret_certificate)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    bool is_fine = certificate != NULL && X509_verify(certificate, ca) == 1;

    BIO_free(bio);
    *ret_certificate = (struct sim_certificate){.begins_s = 0};
    if (is_fine) {
        write_serial(certificate, ret_certificate->serial, sizeof(ret_certificate->serial));
        (void)X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                        ret_certificate->name, sizeof(ret_certificate->name));
        ret_certificate->begins_s = unix_of(X509_get0_notBefore(certificate));
        ret_certificate->ends_s = unix_of(X509_get0_notAfter(certificate));
    }
    X509_free(certificate);
    return is_fine ? 0 : -1;
}

/* --- OpenSSH ---------------------------------------------------------------------------------- */

/* A number of `size` bytes at the beginning, which is cut off; past the end there are zeros. */
static uint64_t cut_number(struct str *rest, size_t size)
{
    uint64_t number = 0;

    if (rest->len < size) {
        *rest = STR("");
        return 0;
    }
    for (size_t i = 0; i < size; i++) {
        number = number << 8 | (unsigned char)rest->ptr[i];
    }
    *rest = (struct str){rest->ptr + size, rest->len - size};
    return number;
}

static struct str cut_string(struct str *rest)
{
    size_t len = (size_t)cut_number(rest, 4);
    struct str text = {rest->ptr, len < rest->len ? len : rest->len};

    *rest = (struct str){rest->ptr + text.len, rest->len - text.len};
    return text;
}

/* The number of bytes of "TYPE BASE64 COMMENT"; 0: it is none. */
static size_t decode_line(const char *line, unsigned char out[SSH_MAX_BYTES])
{
    struct str rest = str_of(line);
    struct str type = str_cut(&rest, ' ');
    struct str base64 = str_cut(&rest, ' ');
    int size;

    if (!str_eq_c(type, SSH_TYPE) || base64.len > SSH_MAX_BYTES) {
        return 0;
    }
    size = EVP_DecodeBlock(out, (const unsigned char *)base64.ptr, (int)base64.len);
    return size > 0 ? (size_t)size : 0;
}

int sim_certificate_read_ssh(const char *line, struct sim_certificate *ret_certificate)
{
    unsigned char bytes[SSH_MAX_BYTES];
    struct str rest = {(const char *)bytes, decode_line(line, bytes)};
    struct str type = cut_string(&rest);
    struct str name;

    *ret_certificate = (struct sim_certificate){.begins_s = 0};
    (void)cut_string(&rest); /* nonce */
    (void)cut_string(&rest); /* key */
    (void)snprintf(ret_certificate->serial, sizeof(ret_certificate->serial), "%llu",
                   (unsigned long long)cut_number(&rest, 8));
    (void)cut_number(&rest, 4); /* for a user */
    name = cut_string(&rest);
    (void)snprintf(ret_certificate->name, sizeof(ret_certificate->name), "%.*s", STR_ARG(name));
    (void)cut_string(&rest); /* principals */
    ret_certificate->begins_s = (int64_t)cut_number(&rest, 8);
    ret_certificate->ends_s = (int64_t)cut_number(&rest, 8);
    return str_eq_c(type, SSH_TYPE) && rest.len > 0 ? 0 : -1;
}
