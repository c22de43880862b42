/* What is watched: a process, or a cgroup until nobody is left in it. An object of its own, shared
 * by all grants that hang on it, because closing a watch is asynchronous and a grant must be able
 * to go at once. */
#ifndef LEASED_LEASE_WATCHED_H
#define LEASED_LEASE_WATCHED_H

#include "lease/binding.h"
#include "lease/index.h"

/* The hash by which the core's index knows it. */
uint64_t watched_hash(const struct index *index, struct index_entry *entry);

/* Lets the binding hang on this; watches it if nothing else did. `cgroup` is copied; NULL: it is a
 * process. `request` is the caller's, for a process without a pid. ERR_GONE when it has ended
 * already, ERR_LIMIT, ERR_NOMEM; then nothing has changed. */
int watched_join(struct binding *binding, const struct binding_target *target,
                 const struct env_cgroup *cgroup, const struct env_request *request) ATTR_MUST_USE;

/* The way back; the last one ends the watch. */
void watched_leave(struct binding *binding);

bool watched_is(const struct watched *watched, const struct binding_target *target);

/* Has it ended, though its notice may not have come yet? */
bool watched_has_ended(struct watched *watched);

const struct binding_target *watched_target(const struct watched *watched);

/* NULL: it is a process. */
const struct env_cgroup *watched_cgroup(const struct watched *watched);

#endif
