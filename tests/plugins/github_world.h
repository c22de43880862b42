/* The github plugin in its world: a private key, an answer with several headers, and what a JWT
 * says. */
#ifndef LEASED_TESTS_PLUGINS_GITHUB_WORLD_H
#define LEASED_TESTS_PLUGINS_GITHUB_WORLD_H

#include "plugins/plugin_world.h"

#define GITHUB_CONFIG "{\"app_id\":7,\"private_key_file\":\"/key.pem\"}"
#define GITHUB_TOKEN "ghs_SECRET.7_x"
#define GITHUB_TOKEN_HASH "lD7T5jpHe9oh1l0OZqLb3/5JUoj5b+1icLEkWDVDKao="
/* When the world's clock begins, and the token's hour with it. */
#define GITHUB_DATE "Thu, 01 Jan 2026 00:00:00 GMT"
#define GITHUB_START_S INT64_C(1767225600)
#define GITHUB_NAME "#github 42/" GITHUB_TOKEN_HASH
#define GITHUB_MINTED                                                                              \
    "{\"token\":\"" GITHUB_TOKEN "\",\"expires_at\":\"2026-01-01T01:00:00Z\","                     \
    "\"permissions\":{\"metadata\":\"read\"}}"

/* Opens a backend; `address` NULL: GitHub's own. The key is one for the whole program. */
void github_world_init(struct plugin_world *world, const char *address);

/* The reference of a token that is issued for it; valid until the next call. */
const char *github_world_ref(struct plugin_world *world);

/* What the JWT of the exchange under way says at `claim`; fails the test unless the app has signed
 * it. */
int64_t github_world_claim(struct plugin_world *world, const char *claim);

/* Answers with these headers, NULL-terminated pairs, beside the content type. */
void github_world_answer(struct plugin_world *world, uint32_t status, const char *const *headers,
                         const char *body);

/* A token as GitHub gives one, at the start of the world's time. */
void github_world_mint(struct plugin_world *world);

#endif
