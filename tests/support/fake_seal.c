/* Sealed: 8 bytes of a seed | the bytes, each xor-ed with a stream that the seed begins | two
 * checksums. The seed comes from the bytes themselves, so that runs can be repeated and nothing
 * needs a counter. */
#include "support/fake_seal.h"

#include "base/mem.h"

#include <string.h>

#define SEED_BYTES 8U
#define SUM_BYTES 16U
static_assert(SEED_BYTES + SUM_BYTES == ENV_SEAL_BYTES, "what sealing adds");

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static uint64_t hash(uint64_t seed, struct str s)
{
    size_t i;

    for (i = 0; i < s.len; i++) {
        seed = mix(seed + 0x9e3779b97f4a7c15ULL + (unsigned char)s.ptr[i]);
    }
    return mix(seed + s.len);
}

static void change(uint64_t seed, const char *from, size_t len, char *to)
{
    size_t i;

    for (i = 0; i < len; i++) {
        to[i] = (char)(from[i] ^ (char)(unsigned char)mix(seed + i));
    }
}

int fake_seal(struct env *env, struct str owner, struct str plain, char *ret_sealed)
{
    uint64_t sums[2];
    uint64_t seed = hash(hash(1, owner), plain);

    (void)env;
    sums[0] = hash(hash(2, owner), plain);
    sums[1] = hash(sums[0], owner);
    memcpy(ret_sealed, &seed, sizeof(seed));
    change(seed, plain.ptr, plain.len, ret_sealed + SEED_BYTES);
    memcpy(ret_sealed + SEED_BYTES + plain.len, sums, sizeof(sums));
    return 0;
}

int fake_unseal(struct env *env, struct str owner, struct str sealed, char *ret_plain)
{
    struct str plain = {.ptr = ret_plain};
    uint64_t sums[2];
    uint64_t seed;

    (void)env;
    if (sealed.len < ENV_SEAL_BYTES) {
        return ERR_INVALID;
    }
    plain.len = sealed.len - ENV_SEAL_BYTES;
    memcpy(&seed, sealed.ptr, sizeof(seed));
    memcpy(sums, sealed.ptr + SEED_BYTES + plain.len, sizeof(sums));
    change(seed, sealed.ptr + SEED_BYTES, plain.len, ret_plain);
    if (seed != hash(hash(1, owner), plain) || sums[0] != hash(hash(2, owner), plain) ||
        sums[1] != hash(sums[0], owner)) {
        mem_wipe(ret_plain, plain.len);
        return ERR_INVALID;
    }
    return 0;
}
