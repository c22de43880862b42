/* Names of sockets: what is taken as a unit's is one, and nothing of it was made up. */
#include "base/check.h"
#include "wire/unit_peer.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str name = {.ptr = (const char *)bytes, .len = size};
    struct unit_peer peer;

    if (unit_peer_parse(name, &peer) == 0) {
        CHECK(peer.unit.len > 0);
        CHECK(peer.id.len > 0);
        CHECK(memchr(peer.unit.ptr, '/', peer.unit.len) == NULL);
        CHECK(memchr(peer.id.ptr, '/', peer.id.len) == NULL);
        CHECK(peer.id.ptr + peer.id.len == name.ptr + name.len);
    }
    return 0;
}
