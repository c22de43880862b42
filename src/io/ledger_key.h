/* The ledger's key: what seals values that lie in its file, so that the file alone gives nothing
 * away. What stands behind env_ledger_seal and env_ledger_unseal. */
#ifndef LEASED_IO_LEDGER_KEY_H
#define LEASED_IO_LEDGER_KEY_H

#include "env/ledger.h"

struct ledger_keys;

/* Reads the key, or draws one that belongs beside the ledger. As env_ledger_open. */
int ledger_keys_read(struct env *env, const struct env_ledger_options *options,
                     struct ledger_keys **ret_keys, struct err *e) ATTR_MUST_USE;

/* Is it drawn and in no file yet? Then what it seals can't be opened after the next start, so it
 * must be saved before anything of that is written. 0, ERR_* or a negated errno. */
bool ledger_keys_are_unsaved(const struct ledger_keys *keys);
int ledger_keys_save(struct ledger_keys *keys, struct err *e) ATTR_MUST_USE;

/* As env_ledger_seal and env_ledger_unseal. */
int ledger_keys_seal(struct ledger_keys *keys, struct str owner, struct str plain,
                     char *ret_sealed) ATTR_MUST_USE;
int ledger_keys_unseal(struct ledger_keys *keys, struct str owner, struct str sealed,
                       char *ret_plain) ATTR_MUST_USE;

/* NULL is fine. */
void ledger_keys_free(struct ledger_keys *keys);

#endif
