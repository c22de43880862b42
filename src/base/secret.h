/* Bytes that must not be seen: they have a type of their own that can't be printed, aren't compared
 * with == and are wiped when freed. Borrow them with secret_view for the shortest scope. */
#ifndef LEASED_BASE_SECRET_H
#define LEASED_BASE_SECRET_H

#include "base/str.h"

struct secret {
    char *secret_bytes; /* owned, NUL-terminated; touched by secret.c alone */
    size_t secret_len;
};

void secret_init(struct secret *secret);

/* Wipes and frees; the secret is empty afterwards. */
void secret_fini(struct secret *secret);

/* Replaces what it holds by a copy. 0 or ERR_NOMEM (then it is unchanged). */
int secret_set(struct secret *secret, struct str bytes) ATTR_MUST_USE;

/* The bytes, NUL-terminated behind the end; borrowed until the secret changes. */
struct str secret_view(const struct secret *secret);

bool secret_is_empty(const struct secret *secret);

/* In time that depends on the lengths only. */
bool secret_eq(const struct secret *secret, struct str bytes);

#endif
