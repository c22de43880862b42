/* Entity tags. Our own hold no comma and no quote, so that a list can be cut at its commas: a tag
 * of somebody else's that holds one falls into pieces, none of which is ours. */
#include "serve/etag.h"

bool etag_is_named(struct str header, struct str etag)
{
    while (header.len > 0) {
        struct str tag = str_trim(str_cut(&header, ','));

        if (str_eq_c(tag, "*")) {
            return true;
        }
        if (str_starts_with(tag, "W/")) {
            tag.ptr += 2;
            tag.len -= 2;
        }
        if (str_eq(tag, etag)) {
            return true;
        }
    }
    return false;
}
