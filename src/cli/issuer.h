/* A Vault or OpenBao that an operator speaks to himself, with his own token: one POST after the
 * other, over one connection. */
#ifndef LEASED_CLI_ISSUER_H
#define LEASED_CLI_ISSUER_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

#include <jansson.h>

#define ISSUER_ADDRESS_MAX_BYTES 512
#define ISSUER_TOKEN_MAX_BYTES 16384U

/* Texts are NULL when not given, and borrowed for the issuer's life. */
struct issuer_options {
    const char *address;        /* https://HOST:PORT[/PATH], or http:// to loopback */
    const char *ns;             /* namespace */
    const char *ca_file;        /* PEM; the system's by default */
    const struct secret *token; /* borrowed until issuer_open returns */
};

struct issuer {
    char address[ISSUER_ADDRESS_MAX_BYTES];
    void *easy;    /* curl's handle */
    void *headers; /* curl's list */
    struct buf answer;
};

/* What came back. */
struct issuer_reply {
    uint32_t status;
    json_t *document; /* an object, or NULL; the caller's to give to json_decref */
};

/* 0; ERR_INVALID with a text (the address, the token), ERR_NOMEM. To be closed whatever comes back.
 */
int issuer_open(struct issuer *issuer, const struct issuer_options *options,
                struct err *e) ATTR_MUST_USE;
void issuer_close(struct issuer *issuer);

/* POSTs `body` (taken even on error; NULL: out of memory) to `path` behind v1/ and waits for the
 * answer, whatever its status. Follows no redirect. What comes as 429 is tried again for a while.
 * ERR_CONNECT (it can't be reached, or TLS says that it is another), ERR_LOST, ERR_TIMEOUT,
 * ERR_TOO_LARGE, ERR_PROTOCOL, ERR_NOMEM. */
int issuer_post(struct issuer *issuer, const char *path, json_t *body,
                struct issuer_reply *ret_reply, struct err *e) ATTR_MUST_USE;

/* Is it a refusal in the issuer's own words, one of which holds this text? */
bool issuer_says(const struct issuer_reply *reply, const char *text);

/* What it says, as an error: "permission denied (HTTP status 403)". Returns `code`. */
int issuer_error(const struct issuer_reply *reply, int code, const char *what, struct err *e);

#endif
