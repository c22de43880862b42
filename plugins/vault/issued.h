/* What an issuer has named lately: a lease is issued once, so a reference that comes a second time
 * is somebody else's, or an old answer played back. */
#ifndef VAULT_ISSUED_H
#define VAULT_ISSUED_H

#include "text.h"

#define VAULT_ISSUED_MAX 1024U

struct vault_issued {
    uint64_t marks[VAULT_ISSUED_MAX]; /* of the last references; 0: none yet */
    size_t next;
};

/* Remembers `ref`; false when it is among the last VAULT_ISSUED_MAX already. */
bool vault_issued_add(struct vault_issued *issued, struct leased_str ref);

#endif
