/* Part by part; what is left in the end is the id. */
#include "wire/unit_peer.h"

#include <string.h>

#define DIGITS_MAX 16U

static bool is_word(struct str text)
{
    size_t i;

    for (i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~' || text.ptr[i] == '/') {
            return false;
        }
    }
    return text.len > 0;
}

static bool is_number(struct str text)
{
    size_t i;

    for (i = 0; i < text.len; i++) {
        if (memchr("0123456789abcdef", text.ptr[i], 16) == NULL) {
            return false;
        }
    }
    return text.len > 0 && text.len <= DIGITS_MAX;
}

int unit_peer_parse(struct str name, struct unit_peer *ret_peer)
{
    struct unit_peer peer;

    if (name.len == 0 || name.len > UNIT_PEER_NAME_MAX_BYTES || name.ptr[0] != '\0') {
        return ERR_INVALID;
    }
    name.ptr++;
    name.len--;
    if (!is_number(str_cut(&name, '/')) || !str_eq_c(str_cut(&name, '/'), "unit")) {
        return ERR_INVALID;
    }
    peer.unit = str_cut(&name, '/');
    peer.id = name;
    if (!is_word(peer.unit) || !is_word(peer.id)) {
        return ERR_INVALID;
    }
    *ret_peer = peer;
    return 0;
}
