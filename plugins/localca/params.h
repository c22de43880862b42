/* A role's keys. */
#ifndef LOCALCA_PARAMS_H
#define LOCALCA_PARAMS_H

#include "common/text.h"
#include "sshkey.h"

#include <jansson.h>

#define LOCALCA_NAMES_MAX 32
#define LOCALCA_EXTENSIONS_MAX 16

enum localca_type {
    LOCALCA_X509,
    LOCALCA_SSH,
};

enum localca_name_kind {
    LOCALCA_DNS,
    LOCALCA_IP,
    LOCALCA_URI,
    LOCALCA_PRINCIPAL,
};

struct localca_name {
    enum localca_name_kind kind;
    struct leased_str text;
};

#define LOCALCA_USAGE_CLIENT 1u
#define LOCALCA_USAGE_SERVER 2u

/* Slices point into `root`. */
struct localca_params {
    json_t *root; /* owned */
    enum localca_type type;
    struct localca_name names[LOCALCA_NAMES_MAX]; /* alternative names, or principals */
    size_t name_count;
    /* X.509 */
    struct leased_str common_name; /* empty: none */
    uint32_t usage;                /* LOCALCA_USAGE_* */
    bool allows_wildcard;
    bool wants_ed25519; /* else P-256 */
    /* SSH */
    struct leased_str key_id; /* empty: made of role and user */
    struct leased_str force_command;
    struct leased_str source_address;
    struct leased_str extensions[LOCALCA_EXTENSIONS_MAX]; /* in their order in a certificate */
    size_t extension_count;
    struct localca_sshkey public_key; /* blob_len 0: a key is made */
};

/* 0, or -1 with the reason; localca_params_fini only after 0. */
int localca_params_parse(struct leased_str json, struct localca_params *ret_params,
                         struct plugin_text *detail);
void localca_params_fini(struct localca_params *params);

/* What the caller wrote himself, or is called, may not add structure to what it was put into: a dot
 * in a DNS name, a slash in a URI, a shell's characters in a command. 0, or -1 with the reason. */
int localca_params_check_caller(const struct localca_params *params,
                                const struct leased_issue *request, struct plugin_text *detail);

#endif
