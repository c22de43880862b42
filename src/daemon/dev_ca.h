/* Keys for `leased --dev`. */
#ifndef LEASED_DAEMON_DEV_CA_H
#define LEASED_DAEMON_DEV_CA_H

#include "base/buf.h"
#include "base/err.h"

/* A key on P-256 in PEM, which OpenSSL and ssh-keygen both read. ERR_NOMEM. */
int dev_key_make(struct buf *ret_key) ATTR_MUST_USE;

/* A key and its certificate as a CA for thirty days from now (unix time). ERR_NOMEM. */
int dev_ca_make(int64_t now_s, struct buf *ret_key, struct buf *ret_certificate) ATTR_MUST_USE;

/* Do these belong together, and is the certificate good for another day? */
bool dev_ca_is_good(struct str key, struct str certificate, int64_t now_s);

/* Is it a private key? */
bool dev_key_is_good(struct str key);

#endif
