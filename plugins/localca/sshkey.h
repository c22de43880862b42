/* Keys as OpenSSH writes them: private ones of a CA, public ones to be certified, fresh ones. */
#ifndef LOCALCA_SSHKEY_H
#define LOCALCA_SSHKEY_H

#include "wire.h"

#define LOCALCA_SSH_TYPE_MAX_BYTES 32
#define LOCALCA_SSH_BLOB_MAX_BYTES 2200 /* RSA with 8192 bits, and room */

/* A public key: what kind, and its blob (which begins with the kind again). */
struct localca_sshkey {
    char type[LOCALCA_SSH_TYPE_MAX_BYTES];
    char blob[LOCALCA_SSH_BLOB_MAX_BYTES];
    size_t blob_len;
};

/* "ssh-ed25519 AAAA… comment": Ed25519, ECDSA on the three NIST curves, RSA with 2048 to 8192 bits,
 * and whole. 0, or -1 with the reason. */
int localca_sshkey_parse(struct leased_str line, struct localca_sshkey *ret_key,
                         struct plugin_text *detail);

/* A private key of one of those kinds (RSA up to 4096 bits, because signing with more takes too
 * long), as ssh-keygen writes it or in PEM; not encrypted. EVP_PKEY_free. NULL with the reason. */
EVP_PKEY *localca_sshkey_read(const struct leased_host *host, struct leased_str text,
                              struct plugin_text *detail);

/* The public half of a key that localca_sshkey_read or localca_sshkey_ed25519 gave. 0, or -1: out
 * of memory. */
int localca_sshkey_public(const struct leased_host *host, EVP_PKEY *key,
                          struct localca_sshkey *ret_key);

/* An Ed25519 key of these 32 bytes. NULL when out of memory. */
EVP_PKEY *localca_sshkey_ed25519(const unsigned char seed[32]);

/* An Ed25519 key as ssh reads it ("-----BEGIN OPENSSH PRIVATE KEY-----"), with a comment. */
void localca_sshkey_write(struct plugin_form *out, EVP_PKEY *key, uint32_t check,
                          struct leased_str comment);

/* A signature of `bytes` as a string of ssh's: RSA with SHA-512, ECDSA with the curve's hash. */
void localca_sshkey_sign(struct plugin_form *out, EVP_PKEY *key, struct leased_str bytes);

/* "TYPE BASE64 COMMENT" with no line end. */
void localca_sshkey_line(struct plugin_form *out, struct leased_str type, struct leased_str blob,
                         struct leased_str comment);

#endif
