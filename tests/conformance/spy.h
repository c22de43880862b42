/* Stands between the host and the plugin under test: hands the plugin a table of its own in the
 * host's place, and the host one in the plugin's, passes everything on, and notes what breaks the
 * contract of leased/plugin.h. There is one plugin in the process, so there is one spy. */
#ifndef LEASED_TESTS_CONFORMANCE_SPY_H
#define LEASED_TESTS_CONFORMANCE_SPY_H

#include "leased/plugin.h"

#include <stdbool.h>
#include <stdint.h>

/* Which host the plugin sees. */
enum spy_host {
    SPY_HOST_AS_IT_IS,
    SPY_HOST_LARGER, /* of a later minor version: every struct from the host is longer */
    SPY_HOST_OLDEST, /* of 1.0: what came later isn't reached by its size */
};

/* The plugin's entry; from here on spy_entry is what the host gets. */
void spy_set_entry(leased_plugin_entry_fn entry);
int32_t spy_entry(const struct leased_host *host, const struct leased_plugin **ret_plugin);

/* Before each scenario: forgets what was seen. Of what the plugin asks the host for (memory,
 * timers, exchanges, posts, intents) number `failing` fails; 0: none. A library's own memory isn't
 * among it: jansson 2.14 aborts when a text's buffer can't grow. */
void spy_begin(enum spy_host host, uint64_t failing);

/* How many there were, and whether one has failed. */
uint64_t spy_allocation_count(void);
bool spy_has_failed(void);

/* Operations that the plugin has accepted and not ended, but health, which the host asks by itself.
 */
uint64_t spy_running_count(void);

/* An issue or a write has ended with LEASED_OK. */
bool spy_has_succeeded(void);

/* What broke the contract first, in words; NULL: nothing did. */
const char *spy_violation(void);
void spy_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What the plugin has. */
bool spy_has_renew(void);
bool spy_has_revoke(void);
bool spy_has_call(void);

#endif
