/* What is published of the revoked certificates: a CRL (RFC 5280), and a KRL as sshd's RevokedKeys
 * reads it (PROTOCOL.krl). */
#ifndef LOCALCA_LISTS_H
#define LOCALCA_LISTS_H

#include "ca.h"
#include "common/form.h"
#include "revoked.h"

/* The CRL in PEM, signed by the CA, to be replaced before now_s + lifetime_s. 0, or -1: out of
 * memory. */
int localca_crl_make(const struct localca_ca *ca, const struct localca_revoked *revoked,
                     int64_t now_s, uint64_t lifetime_s, struct plugin_form *out);

/* The KRL. Its serials count for every CA: they are 64 random bits, so those of another CA are
 * never met by accident, and what was revoked stays so when the CA gets another key. */
int localca_krl_make(const struct localca_revoked *revoked, int64_t now_s, struct plugin_form *out);

#endif
