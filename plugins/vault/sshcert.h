/* OpenSSH certificates, as far as their end goes (draft-miller-ssh-cert). */
#ifndef VAULT_SSHCERT_H
#define VAULT_SSHCERT_H

#include "common/text.h"

#define VAULT_SSHCERT_FOREVER UINT64_MAX

/* The moment before which a certificate ("ssh-ed25519-cert-v01@openssh.com AAAA… comment") is
 * valid, in unix seconds. 0, or -1: it is none, or can't be read. */
int vault_sshcert_valid_before(const struct leased_host *host, struct leased_str line,
                               uint64_t *ret_before_s);

#endif
