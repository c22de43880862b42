/* The sealed store's cipher: AES-256-GCM under a key that is random per start. What stands behind
 * env_seal and env_unseal. */
#ifndef LEASED_IO_SEAL_H
#define LEASED_IO_SEAL_H

#include "base/str.h"

struct io_seal;

#define IO_SEAL_KEY_BYTES 32U

/* A key seals this often at the most; far below the number of nonces. */
#define IO_SEALS_MAX (1ULL << 48)

/* Draws a key. It exists in secret memory alone, provided that io_use_allocator has run. After
 * `seals_max` seals comes ERR_LIMIT. ERR_NOMEM. */
int io_seal_new(uint64_t seals_max, struct io_seal **ret_seal) ATTR_MUST_USE;

/* The same with a key that is given. A key must never be given to two that seal. */
int io_seal_new_with(const unsigned char key[IO_SEAL_KEY_BYTES], uint64_t seals_max,
                     struct io_seal **ret_seal) ATTR_MUST_USE;

/* NULL is fine. */
void io_seal_free(struct io_seal *seal);

/* As env_seal and env_unseal. */
int io_seal(struct io_seal *seal, struct str owner, struct str plain,
            char *ret_sealed) ATTR_MUST_USE;
int io_unseal(struct io_seal *seal, struct str owner, struct str sealed,
              char *ret_plain) ATTR_MUST_USE;

#endif
