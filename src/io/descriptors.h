/* Descriptors: how many the process may have, and how many connections that allows. */
#ifndef LEASED_IO_DESCRIPTORS_H
#define LEASED_IO_DESCRIPTORS_H

#include "io/io.h"

struct io_descriptors {
    uint32_t clients; /* connections that there can be: what was asked for, or fewer */
    uint64_t limit;   /* descriptors that the process may have now */
    uint64_t needed;  /* … and with which it could have all */
};

/* Raises the soft limit of descriptors as far as `clients` connections need it and the hard one
 * allows. Listeners that are opened from now on take no more connections than there can be; where
 * those are fewer than they were to take, no caller gets more than a quarter of them. */
void io_descriptors_provide(struct io *io, uint32_t clients,
                            struct io_descriptors *ret_descriptors);

#endif
