/* The environment: what leased needs stays, everything else is taken out of it and wiped where it
 * stood. */
#ifndef LEASED_IO_SCRUB_H
#define LEASED_IO_SCRUB_H

#include "base/secret.h"

struct io_environment;

/* Takes every variable that isn't on the allow-list out of the environment, keeps its value as a
 * secret, and wipes the original bytes in place (they are what /proc/PID/environ shows). `envp` is
 * the array that main got. First thing in main, before any library reads the environment.
 * ERR_NOMEM: then nothing was kept, but everything was wiped. */
int io_scrub_environment(char **envp, struct io_environment **ret_environment) ATTR_MUST_USE;

/* Drops what was taken out, but for these names, whose values move to secret memory: once the
 * configuration has said which ones it refers to and secret memory is there. ERR_NOMEM: there is no
 * room for them. */
int io_environment_keep(struct io_environment *environment, const char *const *names,
                        size_t count) ATTR_MUST_USE;

/* The value that a variable had at start: taken out by the scrub and kept. NULL if there is none.
 * Borrowed. */
const struct secret *io_environment_find(const struct io_environment *environment, struct str name);

/* NULL is fine. */
void io_environment_free(struct io_environment *environment);

#endif
