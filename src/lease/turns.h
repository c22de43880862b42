/* Who is served next, when many wait: the callers take turns, and within a caller the roles (lanes)
 * that it waits for. One that waits for a thousand things in a hundred roles gets no more turns
 * than one that waits for a single thing. A caller is a number (account.h). */
#ifndef LEASED_LEASE_TURNS_H
#define LEASED_LEASE_TURNS_H

#include "base/list.h"
#include "lease/index.h"

struct turns_slot;

struct turns {
    struct list callers; /* whose turn comes first */
    struct index by_caller;
    struct index by_lane; /* slots: one caller's items for one lane */
};

void turns_init(struct turns *turns, uint64_t seed);
/* Nobody waits any more. */
void turns_fini(struct turns *turns);

/* Puts `node` behind those that wait for this caller and lane. ERR_NOMEM. */
int turns_join(struct turns *turns, uint64_t caller, const void *lane, struct list *node,
               struct turns_slot **ret_slot) ATTR_MUST_USE;
void turns_leave(struct turns *turns, struct turns_slot *slot, struct list *node);

/* The item whose turn it is, of those whose lane `may` be served, and that lane; NULL if none. It
 * stays where it is, but its caller and lane have had their turn. */
struct list *turns_next(struct turns *turns, bool (*may)(const void *lane, void *user), void *user,
                        const void **ret_lane);

/* How many callers wait, and with how many items this one does. */
size_t turns_caller_count(const struct turns *turns);
uint32_t turns_count(const struct turns *turns, uint64_t caller);

#endif
