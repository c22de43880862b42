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
