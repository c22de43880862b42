/* Between sshkey.c and sshkey_read.c. */
#ifndef LOCALCA_SSHKEY_INTERNAL_H
#define LOCALCA_SSHKEY_INTERNAL_H

#include "sshkey.h"

#define LOCALCA_SSH_MAGIC "openssh-key-v1" /* with its NUL */
#define LOCALCA_SSH_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define LOCALCA_SSH_END "-----END OPENSSH PRIVATE KEY-----"

struct localca_ssh_curve {
    const char *type;  /* of the key */
    const char *name;  /* in the key */
    const char *group; /* OpenSSL's */
    int bits;
    size_t bytes; /* of a coordinate */
};

/* NULL: it is none of ECDSA. */
const struct localca_ssh_curve *localca_ssh_curve_find(struct leased_str type);
const struct localca_ssh_curve *localca_ssh_curve_of(EVP_PKEY *key);

#endif
