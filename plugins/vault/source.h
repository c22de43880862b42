/* What logins read from files, credentials and variables, and whether it has changed. */
#ifndef VAULT_SOURCE_H
#define VAULT_SOURCE_H

#include "instance.h"

/* What it holds (secret_free), or NULL with the reason. It counts as seen from then on. */
char *vault_source_read(struct leased_instance *vault, enum vault_source_id id,
                        struct plugin_text *detail);

/* Is there one that can change while the daemon runs? */
bool vault_source_can_change(const struct leased_instance *vault);

/* Reads all that can change. What holds something else than when it was last seen is acted upon:
 * another token is looked up at once, another wrapping token unwrapped at once, the rest is tried
 * at once when the last login has failed, otherwise at the next. */
void vault_source_look(struct leased_instance *vault);

/* Takes what they hold now as what was seen last. */
void vault_source_note(struct leased_instance *vault);

#endif
