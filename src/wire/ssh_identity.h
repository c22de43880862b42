/* A certificate of ssh's with its private key: read from a credential's fields, and signed with. */
#ifndef LEASED_WIRE_SSH_IDENTITY_H
#define LEASED_WIRE_SSH_IDENTITY_H

#include "base/buf.h"
#include "base/err.h"

#define SSH_IDENTITY_TEXT_MAX_BYTES (64U * 1024U)

struct evp_pkey_st;

struct ssh_identity {
    struct evp_pkey_st *key; /* owned */
    char *blob;              /* owned; the certificate's bytes */
    size_t blob_len;
    int64_t valid_before_s;      /* unix time; INT64_MAX: it has no end */
    const struct ssh_kind *kind; /* static */
};

/* `certificate` is a line as in an id-cert.pub (Ed25519, ECDSA, RSA), `private_key` as ssh-keygen
 * writes it (Ed25519) or PEM (all three), not encrypted. 0; ERR_INVALID with a text that quotes
 * nothing: one of them can't be read, it is a host's certificate, or they don't belong together;
 * ERR_NOMEM. On success ssh_identity_fini it. */
int ssh_identity_read(struct str certificate, struct str private_key,
                      struct ssh_identity *ret_identity, struct err *e) ATTR_MUST_USE;
void ssh_identity_fini(struct ssh_identity *identity);

bool ssh_identity_is(const struct ssh_identity *identity, struct str blob);

/* Appends ssh's signature of `data`; `flags` as of wire/ssh_agent.h. 0; ERR_UNSUPPORTED (RSA with
 * SHA-1), ERR_INVALID (the key's private half is broken), ERR_NOMEM or ERR_TOO_LARGE of `out`. */
int ssh_identity_sign(const struct ssh_identity *identity, struct str data, uint32_t flags,
                      struct buf *out) ATTR_MUST_USE;

#endif
