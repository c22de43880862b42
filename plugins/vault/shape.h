/* What a path's shape says before it is asked. Mounts may have any name, so only what stands behind
 * the mount counts, and where engines share that, the parameters. */
#ifndef VAULT_SHAPE_H
#define VAULT_SHAPE_H

#include "common/text.h"

#include <jansson.h>

enum vault_shape_kind {
    VAULT_SHAPE_OTHER,
    VAULT_SHAPE_LEASED,      /* engines whose answers have a lease; or a KV secret called so */
    VAULT_SHAPE_CERTIFICATE, /* X.509; revoked by its serial number */
    VAULT_SHAPE_STATIC,      /* a password that Vault rotates by itself */
    VAULT_SHAPE_CODE,        /* a one-time code */
    VAULT_SHAPE_DATA_KEY,
};

struct vault_shape {
    enum vault_shape_kind kind;
    bool is_post;     /* the method where none is given */
    bool is_read;     /* a GET creates nothing */
    bool takes_ttl;   /* a life can be asked for by the parameter `ttl` */
    size_t mount_len; /* of the path: what stands before the shape; 0: not known */
};

/* `params` may be NULL. */
struct vault_shape vault_shape_of(const char *path, const json_t *params);

#endif
