/* The own token's life: when to renew it, when to log in again, what its end means for leases. */
#ifndef VAULT_TOKEN_H
#define VAULT_TOKEN_H

#include "instance.h"

/* What a login or a look-up says about a token. */
struct vault_token_facts {
    int64_t ttl_s;  /* left; 0: never expires */
    int64_t life_s; /* what renewals should ask for */
    bool is_renewable;
    bool is_periodic;
    struct leased_str accessor; /* empty: it has none, or the answer doesn't tell */
};

/* A login brought `bytes` (copied). The old token, if it is another one, is kept for its leases. 0,
 * or -1 when out of memory. */
int vault_token_install(struct leased_instance *vault, struct leased_str bytes,
                        const struct vault_token_facts *facts);

/* A renewal brought this. */
void vault_token_renewed(struct leased_instance *vault, int64_t ttl_s, bool is_renewable,
                         bool is_capped);

/* The token can't be renewed (any more), but lives on to its end. */
void vault_token_not_renewable(struct leased_instance *vault);

/* The token is dead, and with it its leases. */
void vault_token_lost(struct leased_instance *vault, const char *reason);

/* Is there one to send requests with? */
bool vault_token_is_usable(const struct leased_instance *vault);

/* The token of that generation, or NULL when it is dead. */
const struct vault_token *vault_token_find(const struct leased_instance *vault,
                                           uint64_t generation);

/* The token with that accessor, in use or an old one that may be alive; NULL: none that is known.
 */
const struct vault_token *vault_token_find_accessor(const struct leased_instance *vault,
                                                    struct leased_str accessor);

/* A token from an earlier run; `token` is taken. Its end is announced again soon. */
void vault_token_restore(struct leased_instance *vault, const struct vault_token *token,
                         bool is_current);

/* Has a token of ours revoked that nothing hangs on. `bytes` is taken; NULL: nothing happens. */
void vault_token_discard(struct leased_instance *vault, char *bytes);

/* Does what is due and arms the timer for the next moment. */
void vault_token_step(struct leased_instance *vault);

void vault_token_free_all(struct leased_instance *vault);

#endif
