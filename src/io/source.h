/* Files that hold secrets: who may be able to read and write them. */
#ifndef LEASED_IO_SOURCE_H
#define LEASED_IO_SOURCE_H

#include "base/err.h"
#include "base/secret.h"

#include <sys/stat.h>

enum io_secret_flags {
    IO_SECRET_SHARED = 1,    /* others may read it: who writes it doesn't let its mode be chosen */
    IO_SECRET_PRIVATE = 4,   /* its group may not read it either */
    IO_SECRET_ANY_OWNER = 2, /* for a look at a file that another user's daemon will read */
};

/* Is it a regular file that no stranger can read or write? Says nothing about its owner.
 * ERR_INVALID or ERR_DENIED. */
int io_check_secret_file(const char *path, const struct stat *facts, unsigned int flags,
                         struct err *e) ATTR_MUST_USE;

/* What "file:/path" stands for (env/env.h). Also a negated errno: it can't be opened or read. */
int io_read_secret_file(const char *path, unsigned int flags, struct secret *ret_secret,
                        struct err *e) ATTR_MUST_USE;

#endif
