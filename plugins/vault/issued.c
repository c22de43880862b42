/* A ring of hashes. That two references share one by chance is as likely as 1024 in 2^64; then a
 * lease is refused that needn't be. */
#include "issued.h"

#define FNV_START UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

static uint64_t mark_of(struct leased_str ref)
{
    uint64_t mark = FNV_START;

    for (size_t i = 0; i < ref.len; i++) {
        mark = (mark ^ (unsigned char)ref.ptr[i]) * FNV_PRIME;
    }
    return mark != 0 ? mark : 1;
}

bool vault_issued_add(struct vault_issued *issued, struct leased_str ref)
{
    uint64_t mark = mark_of(ref);

    for (size_t i = 0; i < VAULT_ISSUED_MAX; i++) {
        if (issued->marks[i] == mark) {
            return false;
        }
    }
    issued->marks[issued->next] = mark;
    issued->next = (issued->next + 1) % VAULT_ISSUED_MAX;
    return true;
}

/* --- kinds of paths --------------------------------------------------------------------------- */

/* The number of places when it isn't known. */
static size_t kind_place(const struct vault_kinds *kinds, uint64_t mark)
{
    size_t i = 0;

    while (i < VAULT_KINDS_MAX && kinds->paths[i].mark != mark) {
        i++;
    }
    return i;
}

enum vault_kind vault_kinds_find(const struct vault_kinds *kinds, struct leased_str path)
{
    size_t place = kind_place(kinds, mark_of(path));

    return place < VAULT_KINDS_MAX ? kinds->paths[place].kind : VAULT_KIND_UNKNOWN;
}

void vault_kinds_learn(struct vault_kinds *kinds, struct leased_str path, enum vault_kind kind)
{
    uint64_t mark = mark_of(path);
    size_t place = kind_place(kinds, mark);

    if (place == VAULT_KINDS_MAX) {
        place = kinds->next;
        kinds->next = (kinds->next + 1) % VAULT_KINDS_MAX;
        kinds->paths[place].mark = mark;
    }
    kinds->paths[place].kind = kind;
}
