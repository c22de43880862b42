/* Certificates as those read them who get them from localca. */
#ifndef LEASED_TESTS_SIM_LOCALCA_H
#define LEASED_TESTS_SIM_LOCALCA_H

#include "sim_issuer.h"

#include <openssl/evp.h>

struct sim_certificate {
    char serial[64];                      /* as the credential's field says it */
    char name[SIM_ISSUER_ROLE_MAX_BYTES]; /* its common name; of SSH its key id */
    int64_t begins_s;
    int64_t ends_s;
};

/* An X.509 certificate in PEM. -1: it is none, or `ca` hasn't signed it. */
int sim_certificate_read(const char *pem, EVP_PKEY *ca, struct sim_certificate *ret_certificate);

/* A line "ssh-ed25519-cert-v01@openssh.com AAAA… comment". -1: it is none. Who has signed it isn't
 * looked at here (sshd does, in e2e). */
int sim_certificate_read_ssh(const char *line, struct sim_certificate *ret_certificate);

#endif
