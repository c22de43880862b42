/* Makes the helper process. */
#ifndef LEASED_HELPER_HELPER_H
#define LEASED_HELPER_HELPER_H

#include "helper/programs.h"

struct helper_options {
    const struct helper_programs *programs;
    /* Run in the helper, which needs nothing else of what the daemon has read. May be NULL. */
    void (*forget)(void *user);
    void *user;
};

/* The daemon's end. */
struct helper {
    pid_t pid;
    int fd; /* SOCK_SEQPACKET, close on exec */
};

/* Forks it. Before there are threads, secrets or other descriptors than the first three and those
 * of the service manager; and before the daemon gives up what only the helper needs. It ends when
 * `fd` is closed. A negated errno with a text. */
int helper_start(const struct helper_options *options, struct helper *ret_helper,
                 struct err *e) ATTR_MUST_USE;

#endif
