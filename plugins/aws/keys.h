/* A set of AWS credentials, in secret memory. */
#ifndef AWS_KEYS_H
#define AWS_KEYS_H

#include "common/text.h"

#define AWS_KEYS_TOKEN_MAX_BYTES (16U * 1024U)

/* One block, freed by host->secret_free. */
struct aws_keys {
    const char *id;
    const char *secret;
    const char *token;    /* "": long-term keys */
    int64_t expires_s;    /* issuer's clock; 0: not said */
    bool is_role_session; /* known to come from a role: it may assume another for an hour only */
};

/* The parts as they were found; all are copied. */
struct aws_keys_parts {
    struct leased_str id;
    struct leased_str secret;
    struct leased_str token; /* empty: none */
    int64_t expires_s;
    bool is_role_session;
};

/* NULL with the reason (static): a part that no key looks like, or out of memory. */
struct aws_keys *aws_keys_new(const struct leased_host *host, const struct aws_keys_parts *parts,
                              const char **ret_problem);
struct aws_keys *aws_keys_dup(const struct leased_host *host, const struct aws_keys *keys);

#endif
