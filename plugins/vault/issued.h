/* What an issuer has named and answered lately: a lease is issued once, so a reference that comes a
 * second time is somebody else's, or an old answer played back. */
#ifndef VAULT_ISSUED_H
#define VAULT_ISSUED_H

#include "common/text.h"

#define VAULT_ISSUED_MAX 1024U

struct vault_issued {
    uint64_t marks[VAULT_ISSUED_MAX]; /* of the last references; 0: none yet */
    size_t next;
};

/* What was seen of a path's answers, so that the next issue of it is known for what it is. */
#define VAULT_KINDS_MAX 256U

enum vault_kind {
    VAULT_KIND_UNKNOWN,
    VAULT_KIND_LEASED, /* its last answer had a lease */
    VAULT_KIND_BARE,   /* it had none */
};

struct vault_kinds {
    struct {
        uint64_t mark; /* of the path; 0: none yet */
        enum vault_kind kind;
    } paths[VAULT_KINDS_MAX];
    size_t next;
};

enum vault_kind vault_kinds_find(const struct vault_kinds *kinds, struct leased_str path);
void vault_kinds_learn(struct vault_kinds *kinds, struct leased_str path, enum vault_kind kind);

/* Remembers `ref`; false when it is among the last VAULT_ISSUED_MAX already. */
bool vault_issued_add(struct vault_issued *issued, struct leased_str ref);

#endif
