/* What a program prints: a credential of its own form, or AWS's credential_process.
 *
 *   {"fields": {"username": "u", "password": "p"}, "secret": ["password"], "ttl": 900, "ref": "u"}
 *   {"Version": 1, "AccessKeyId": "…", "SecretAccessKey": "…", "SessionToken": "…",
 *    "Expiration": "2026-11-30T17:00:00Z"}
 *
 * Nothing of it is ever quoted in a text: what is malformed may hold a secret anywhere. */
#ifndef PLUGIN_EXEC_OUTPUT_H
#define PLUGIN_EXEC_OUTPUT_H

#include "common/text.h"

#include <jansson.h>

#define EXEC_FIELDS_MAX 32U
#define EXEC_REF_MAX_BYTES 1024U
#define EXEC_TTL_MAX_S (10 * 365 * 86400)

struct exec_output {
    json_t *root; /* what the texts point into */
    struct leased_kv fields[EXEC_FIELDS_MAX];
    size_t field_count;
    int64_t ttl_s;         /* 0: it says expires_s */
    int64_t expires_s;     /* unix time; 0: it says ttl_s */
    struct leased_str ref; /* what revoke_command is to be given; empty: not said */
};

/* 0, or -1 with the reason; then there is nothing to be freed. */
int exec_output_parse(struct leased_str json, struct exec_output *ret_output,
                      struct plugin_text *ret_detail);
void exec_output_free(struct exec_output *output);

#endif
