/* The addresses of one backend, each with its own health. Pure: no clock, no chance, no I/O.
 *
 * The first in order that isn't failing is used, so traffic comes back to the preferred one when it
 * serves again. One that fails is left alone for a back-off with jitter (as breaker.h has it) and
 * is then probed: by the plugin's health call where there is one, else by the next request. */
#ifndef LEASED_BACKEND_ADDRESS_H
#define LEASED_BACKEND_ADDRESS_H

#include "backend/backend.h"
#include "base/str.h"

#define ADDRESS_NONE SIZE_MAX
#define ADDRESS_ERROR_MAX_BYTES 200

struct address {
    const char *text; /* borrowed */
    bool is_failing;
    bool is_doubted;        /* not failing, but a probe is to tell */
    uint32_t failure_count; /* in a row */
    uint64_t probe_at_ms;   /* failing or doubted: not before; UINT64_MAX: a probe is under way */
    char last_error[ADDRESS_ERROR_MAX_BYTES]; /* "": none since it last served */
    uint64_t last_error_ms;
};

struct addresses {
    struct address items[BACKEND_ADDRESSES_MAX];
    size_t count;
    bool has_probe; /* the plugin can be asked for its issuer's health */
};

/* `texts` are borrowed for as long as `addresses` lives; count <= BACKEND_ADDRESSES_MAX. */
void addresses_init(struct addresses *addresses, const char *const *texts, size_t count);

/* The address for a request that has been tried at those whose bits are set in `tried`: the first
 * that isn't failing, else the one that is due for a probe first. ADDRESS_NONE: all were tried. */
size_t addresses_pick(const struct addresses *addresses, uint32_t tried, uint64_t now_ms);

/* Is there one that isn't failing? */
bool addresses_has_up(const struct addresses *addresses);

void address_served(struct address *address);

/* `wait_ms` is how long it is left alone at least; the back-off is added by `random`. */
void address_failed(struct address *address, const char *error, uint64_t wait_ms, uint64_t now_ms,
                    uint64_t random);

/* Something went wrong that may be about one path only: a probe is to tell. */
void address_doubted(struct address *address, uint64_t now_ms);

/* The address that is to be probed next, and when (in *ret_when_ms); ADDRESS_NONE: none. */
size_t addresses_next_probe(const struct addresses *addresses, uint64_t *ret_when_ms);

/* The configured address that a redirect of `path` leads to: same scheme, host and port, and
 * exactly the path that would be asked there. ADDRESS_NONE: none of them. */
size_t addresses_of_location(const struct addresses *addresses, struct str location,
                             struct str path);

#endif
