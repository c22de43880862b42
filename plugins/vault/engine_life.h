/* How long what was issued lives, and what can be done about it. */
#ifndef VAULT_ENGINE_LIFE_H
#define VAULT_ENGINE_LIFE_H

#include "reply.h"

struct vault_life {
    int64_t seconds; /* > 0 */
    uint64_t asked_ms;
    uint64_t refresh_ms; /* as in leased_result */
    uint64_t retry_after_ms;
    bool is_renewable;
    bool is_revocable;
    bool is_capped;
    const char *warning; /* static; NULL: none */
    json_t *fields;      /* the object that holds the credential; borrowed */
    json_t *metadata;    /* of a versioned secret; borrowed, or NULL */
    char ref[768];       /* empty: the lease's id, if there is one */
};

#endif
