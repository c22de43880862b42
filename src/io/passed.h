/* Sockets that the service manager has opened for us (socket activation, sd_listen_fds(3)): they
 * are there before leased is and stay while it restarts, so no client is refused meanwhile. */
#ifndef LEASED_IO_PASSED_H
#define LEASED_IO_PASSED_H

#include "io/listener.h"

/* Takes over what LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES say, and removes these variables. From
 * then on io_listener_open uses a passed socket instead of making one when the listener has its
 * name, or its path or address; mode and owner stay as they are. Once, before the first listener.
 * ERR_INVALID when something else than a listening socket was passed. */
int io_passed_take(struct io *io, struct err *e) ATTR_MUST_USE;

/* ERR_INVALID with a text when a socket was passed that none of these listeners uses: nobody would
 * serve the clients that wait in it. Only their names and places count. */
int io_passed_check(const struct io *io, const struct io_listener_options *listeners, size_t count,
                    struct err *e) ATTR_MUST_USE;

/* --- inside io/ --- */

/* The passed socket for this listener, as a descriptor of the caller's own, or -1 when there is
 * none. ERR_INVALID when it is of another kind than the listener. */
int passed_find(struct io *io, const struct io_listener_options *options, int *ret_fd,
                struct err *e) ATTR_MUST_USE;

void io_passed_close(struct io *io);

#endif
