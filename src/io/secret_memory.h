/* The arena behind struct secret (base/secret.h). */
#ifndef LEASED_IO_SECRET_MEMORY_H
#define LEASED_IO_SECRET_MEMORY_H

#include "base/err.h"

#include <stddef.h>

/* What to do about memory that can't be locked. */
enum io_lock_memory {
    IO_LOCK_MEMORY_TRY, /* go on without; secret_memory_stats says so */
    IO_LOCK_MEMORY_REQUIRED,
    IO_LOCK_MEMORY_OFF,
};

/* From now on secrets live in an arena of `size` bytes (a power of two), for the rest of the
 * process's life. Called once, before the first thread. ERR_LIMIT with the reason when it can't be
 * locked and must be; ERR_NOMEM. */
int io_use_secret_memory(size_t size, enum io_lock_memory lock, struct err *e) ATTR_MUST_USE;

/* Gives the arena back if nothing is in it, for leak checkers; fine when there is none. */
void io_drop_secret_memory(void);

#endif
