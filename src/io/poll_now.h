/* What a descriptor is ready for now, without waiting. */
#ifndef LEASED_IO_POLL_NOW_H
#define LEASED_IO_POLL_NOW_H

#include <errno.h>
#include <poll.h>

/* The events that have happened, POLLHUP, POLLERR and POLLNVAL among them; 0: none. Negative: it
 * could not be asked (negated errno). A signal that arrives ends a poll() that doesn't wait, too
 * (EINTR): that says nothing about the descriptor. */
static inline int poll_now(int fd, short events)
{
    struct pollfd entry = {.fd = fd, .events = events};
    int r;

    do {
        r = poll(&entry, 1, 0);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : entry.revents;
}

#endif
