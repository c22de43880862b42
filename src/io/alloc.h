/* The wiping allocator under every library that sees secrets. */
#ifndef LEASED_IO_ALLOC_H
#define LEASED_IO_ALLOC_H

#include "base/check.h"

#include <stdbool.h>

/* Makes OpenSSL, jansson and libcurl allocate through mem_*, so that tokens in curl's header
 * buffers and passwords in jansson's trees are wiped when they are freed, and keeps OpenSSL from
 * reading its configuration file. First thing in main, after the environment was scrubbed (libcurl
 * reads SSLKEYLOGFILE here) and before threads start: OpenSSL refuses once it has allocated
 * (ERR_BUSY). ERR_NOMEM if a library can't start. */
int io_use_allocator(void) ATTR_MUST_USE;

/* What OpenSSL allocates on this thread from now on goes to secret memory, or to the heap again.
 * Returns what it was before. For objects that hold a key and never grow. */
bool io_crypto_in_secret_memory(bool is_secret);

/* Starts OpenSSL (without its configuration file) and libcurl; each call needs its
 * io_libraries_stop. */
int io_libraries_start(void) ATTR_MUST_USE;
void io_libraries_stop(void);

#endif
