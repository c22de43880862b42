/* Who is served next, when many wait: the callers take turns, and within a caller the roles (lanes)
 * that it waits for. One that waits for a thousand things in a hundred roles gets no more turns
 * than one that waits for a single thing, and has only so many served at once. A caller is a number
 * (account.h). */
#ifndef LEASED_LEASE_TURNS_H
#define LEASED_LEASE_TURNS_H

#include "base/list.h"
#include "lease/index.h"

struct turns {
    struct list callers;    /* that wait; whose turn comes first */
    size_t waiting_count;   /* length of `callers` */
    struct index by_caller; /* those and the ones that are being served */
    struct index by_lane;   /* slots: one caller's items for one lane */
};

void turns_init(struct turns *turns, uint64_t seed);
/* Nobody waits any more. */
void turns_fini(struct turns *turns);

/* Puts `node` behind those that wait for this caller and lane. ERR_NOMEM. */
int turns_join(struct turns *turns, uint64_t caller, const void *lane,
               struct list *node) ATTR_MUST_USE;
/* The way back, with the same caller and lane. */
void turns_leave(struct turns *turns, uint64_t caller, const void *lane, struct list *node);

/* Whom to pass over. */
struct turns_filter {
    bool (*may)(const void *lane, void *user); /* false: not this lane now */
    void *user;
    uint32_t served_max; /* a caller of which so many are being served */
};

/* The item whose turn it is, of those that the filter lets through, and its lane; NULL if none. It
 * has left to be served, until turns_served says that this is over. */
struct list *turns_serve(struct turns *turns, const struct turns_filter *filter,
                         const void **ret_lane);
void turns_served(struct turns *turns, uint64_t caller);

/* How many callers wait, and with how many items this one does. */
size_t turns_caller_count(const struct turns *turns);
uint32_t turns_count(const struct turns *turns, uint64_t caller);

#endif
