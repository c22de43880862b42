/* The real world: implements env on libuv, libcurl and libmicrohttpd. Only daemon/ (and tests/io)
 * includes it. Public headers of this folder include no third-party header. */
#ifndef LEASED_IO_IO_H
#define LEASED_IO_IO_H

#include "env/env.h"

struct io;
struct io_environment;

/* Makes the loop and everything that implements env. Ignores SIGPIPE. At most one per process runs
 * at a time. */
int io_new(struct io **ret_io, struct err *e) ATTR_MUST_USE;

/* The env of this loop; lives as long as `io`. */
struct env *io_env(struct io *io);

/* Where env_secret_read finds "env:NAME" (io/scrub.h); borrowed until io_close. NULL: nowhere. */
void io_set_environment(struct io *io, const struct io_environment *environment);

/* Runs the loop until io_stop. */
void io_run(struct io *io);

/* Runs one turn; without waiting if `wait` is false, or once something has run; for tests. */
void io_run_once(struct io *io, bool wait);

/* Makes io_run return after the current turn. */
void io_stop(struct io *io);

/* Ordered shutdown: cancels exchanges (their callbacks run), closes what is left of ours, runs the
 * loop until it is empty and frees everything, also `io`. Listeners and files must have been closed
 * by their owners before. Returns 0 if uv_loop_close() did; otherwise names each forgotten handle
 * on stderr and returns ERR_BUSY. */
int io_close(struct io *io);

typedef void (*io_signal_fn)(void *user, int signum);

/* Calls `fn` from the loop for each arrival of the signal. Until io_close. */
int io_signal_start(struct io *io, int signum, io_signal_fn fn, void *user) ATTR_MUST_USE;

#endif
