/* What a lease's reference keeps of its token, so that it can be revoked: "#github
 * INSTALLATION/HASH", a line feed, and the token, sealed. A ledger keeps references as they are,
 * and a token opens something. */
#ifndef GITHUB_REF_H
#define GITHUB_REF_H

#include "app.h"

#define GITHUB_REF_MAX_BYTES 1024

/* Takes the key of an earlier run over, or makes one and has the host keep it. 0, or -1: out of
 * memory. Inside open only. */
int github_ref_open(struct leased_instance *github);

/* The hash is the one that GitHub's audit log calls hashed_token. Returns the length; 0: it doesn't
 * fit. */
size_t github_ref_write(struct leased_instance *github, const char *installation,
                        struct leased_str token, char ref[GITHUB_REF_MAX_BYTES]);

/* The token in it, to be freed by secret_free. 0, or a LEASED_* status with the reason (static):
 * it is none of ours, or it was sealed with a key that isn't there any more. */
int32_t github_ref_read(const struct leased_instance *github, struct leased_str ref,
                        char **ret_token, const char **ret_problem);

#endif
