/* Reads references; they are made where what they name is made. */
#include "ref.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct vault_ref vault_ref_parse(struct leased_str ref)
{
    static const struct {
        const char *start;
        enum vault_ref_kind kind;
    } kinds[] = {
        {VAULT_REF_CERTIFICATE, VAULT_REF_KIND_CERTIFICATE},
        {VAULT_REF_CHILD, VAULT_REF_KIND_CHILD},
        {VAULT_REF_LOGIN, VAULT_REF_KIND_LOGIN},
    };
    struct vault_ref parsed = {.name = ref};
    const char *feed;

    for (size_t i = 0; i < COUNT(kinds); i++) {
        size_t len = strlen(kinds[i].start);

        if (ref.len > len && memcmp(ref.ptr, kinds[i].start, len) == 0) {
            parsed.kind = kinds[i].kind;
            parsed.name = (struct leased_str){ref.ptr + len, ref.len - len};
            return parsed;
        }
    }
    feed = ref.len > 0 ? memchr(ref.ptr, '\n', ref.len) : NULL;
    if (feed != NULL) {
        parsed.name.len = (size_t)(feed - ref.ptr);
        parsed.accessor = (struct leased_str){feed + 1, ref.len - parsed.name.len - 1};
    }
    return parsed;
}
