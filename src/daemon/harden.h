/* What the process gives up before it touches a secret. */
#ifndef LEASED_DAEMON_HARDEN_H
#define LEASED_DAEMON_HARDEN_H

#include "base/err.h"

#include <stdbool.h>

/* First thing in main: umask 0077; descriptors 0, 1 and 2 are open (else /dev/null takes their
 * place, so that no socket gets their number and is written to by accident); what else was
 * inherited is closed, but for what systemd passed (LISTEN_FDS). */
int harden_files(struct err *e) ATTR_MUST_USE;

/* Before the first secret is read: no core dumps, no tracing by the same user, no new privileges.
 * Of a debug build (VARIANT=debug) only the last: it can be traced, and leaves cores. */
int harden_process(struct err *e) ATTR_MUST_USE;

/* Gives up the capabilities that only the helper process needs (another user's name, and to kill
 * his processes), where leased isn't root. After the fork; fine where there are none. */
int harden_capabilities(struct err *e) ATTR_MUST_USE;

/* Has the process what only the helper keeps: the right to give files away? */
bool harden_may_chown(void);

#endif
