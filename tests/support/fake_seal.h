/* env_seal and env_unseal for the fake env and the simulator: no cipher, but a reversible change of
 * every byte that no plain text survives, and a checksum over owner and bytes, so that a wrong
 * owner or a changed byte is refused as by the real one (src/io/seal.c). */
#ifndef LEASED_TESTS_SUPPORT_FAKE_SEAL_H
#define LEASED_TESTS_SUPPORT_FAKE_SEAL_H

#include "env/env.h"

int fake_seal(struct env *env, struct str owner, struct str plain, char *ret_sealed);
int fake_unseal(struct env *env, struct str owner, struct str sealed, char *ret_plain);

#endif
