/* The running daemon: puts the layers together, serves, and takes them apart again. */
#ifndef LEASED_DAEMON_DAEMON_H
#define LEASED_DAEMON_DAEMON_H

#include "daemon/config.h"
#include "io/io.h"

struct daemon_options {
    struct config *config; /* taken, even on error */
    /* The rest is borrowed and outlives the call. */
    struct io *io;
    struct backend_registry *registry;
    const char *config_path; /* for reloads */
    const struct io_environment *environment;
    const char *files_record; /* where the record of the files is; NULL: nowhere */
    struct str files_known;   /* what it has, from the daemon before */
    bool is_in_pod;           /* of Kubernetes, where no other daemon follows with the same disk */
    /* After a reload: what is beyond the daemon, such as the log. */
    void (*configured)(void *user, const struct config *config);
    void (*started)(void *user); /* once, when it serves */
    void *user;
};

/* Runs until a signal ends it. Returns the exit code (sysexits); everything that it made is closed,
 * unless *ret_is_forced: then the caller exits at once and closes nothing. */
int daemon_run(const struct daemon_options *options, bool *ret_is_forced);

#endif
