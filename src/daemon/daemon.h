/* The running daemon: puts the layers together, serves, and takes them apart again. */
#ifndef LEASED_DAEMON_DAEMON_H
#define LEASED_DAEMON_DAEMON_H

#include "daemon/config.h"
#include "io/io.h"

struct daemon_options {
    struct io *io; /* all are borrowed and outlive the call */
    const struct config *config;
    const struct backend_registry *registry;
};

/* Runs until a signal ends it. Returns the exit code (sysexits); everything that it made is closed,
 * unless *ret_is_forced: then the caller exits at once and closes nothing. */
int daemon_run(const struct daemon_options *options, bool *ret_is_forced);

#endif
