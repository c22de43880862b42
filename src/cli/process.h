/* What `lease` changes about its own process, and how a program that it starts gets the old state
 * back. */
#ifndef LEASED_CLI_PROCESS_H
#define LEASED_CLI_PROCESS_H

#include <signal.h>
#include <sys/resource.h>

struct process_state {
    struct sigaction pipe;
    struct sigaction child;
    sigset_t mask;
    struct rlimit core;
};

/* Ignores SIGPIPE (a closed pipe is an error like another), makes children waitable, and forbids
 * core files, which could hold secrets. Not PR_SET_DUMPABLE: it would make /proc/PID root's, and
 * the daemon then couldn't tell whose process this is. */
void process_prepare(struct process_state *ret_old);

/* Before exec, and when the run is over. */
void process_restore(const struct process_state *old);

#endif
