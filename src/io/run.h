/* The daemon's end of its helper process: what is behind env_run. */
#ifndef LEASED_IO_RUN_H
#define LEASED_IO_RUN_H

#include "io/io.h"

#include <sys/types.h>

struct io_helper_options {
    int fd;    /* SOCK_SEQPACKET; speaks wire/run_message.h */
    pid_t pid; /* to be reaped when it has ended; 0: somebody else does */
    /* Runs once, from the loop, when it has ended before io_close. Nothing can be run any more. */
    void (*ended)(void *user);
    void *user;
};

/* From now on programs can be run. Takes the descriptor, even on error. At most once. ERR_NOMEM, or
 * a negated errno. */
int io_use_helper(struct io *io, const struct io_helper_options *options) ATTR_MUST_USE;

#endif
