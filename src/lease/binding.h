/* What a grant's life hangs on: processes, cgroups and a connection, up to four, and the first end
 * ends the grant.
 *
 * Kinds that name a process (process, parent, pid, comm) are resolved to one process, pid and start
 * time, when the grant is asked for; those that name a cgroup (unit, and session where there is a
 * scope) to that cgroup, which ends with its last process. Where the caller's process isn't known,
 * what the grant hangs on that its token names stands for it. What it is bound to is part of a
 * grant's key. */
#ifndef LEASED_LEASE_BINDING_H
#define LEASED_LEASE_BINDING_H

#include "env/cgroup.h"
#include "env/process.h"
#include "lease/core.h"

/* With room for ",grant:" and an id. */
#define BINDING_SET_TEXT_MAX_BYTES                                                                 \
    (ACCESS_BINDINGS_MAX * (ACCESS_BINDING_TEXT_MAX_BYTES + 1) + LEASE_ID_BYTES + 8)

struct grant;
struct watched;

/* One thing that can end, as it stands in a key: no padding, compared as bytes. */
struct binding_target {
    uint64_t
        value;   /* start ticks of the process; its id, the cgroup's id, the connection's address */
    int64_t pid; /* 0: a connection; BINDING_CGROUP; BINDING_PEER */
};

#define BINDING_CGROUP INT64_MAX
#define BINDING_PEER (INT64_MAX - 1) /* a caller's process that has no pid here */

struct binding_set {
    size_t count;                                       /* 0: the duration alone */
    struct binding_target targets[ACCESS_BINDINGS_MAX]; /* sorted, without doubles */
};

/* What was asked for and what it means. */
struct binding_found {
    struct binding_set set;
    size_t cgroup_count;
    struct env_cgroup cgroups[ACCESS_BINDINGS_MAX]; /* those of the set, by their ids */
    /* As asked for: "process,pid:1234"; "process,grant:g-…" where what that grant hangs on stands
     * for the caller's process. */
    char text[BINDING_SET_TEXT_MAX_BYTES];
};

/* A process or cgroup that a grant hangs on; an array in the grant. */
struct binding {
    struct grant *grant;
    struct watched *watched;
    struct list node; /* in its bindings */
};

/* The connection that a grant hangs on, if it does. */
struct binding_connection {
    uint32_t magic;
    struct grant *grant;
    const struct env_connection *connection;
    struct env_connection_watch watch;
};

/* How many processes and cgroups are in the set; the rest of it, at most one, is a connection. */
size_t binding_set_watched(const struct binding_set *set);

/* Is the grant bound to just this? */
bool binding_is_set(struct grant *grant, const struct binding_set *set);

/* The set's part of the hash of a key; the same for a grant that is bound to just that. */
uint64_t binding_set_hash(uint64_t hash, const struct binding_set *set);
uint64_t binding_hash(uint64_t hash, struct grant *grant);

/* Finds out what the decision's bindings mean for this caller. ERR_GONE: the caller's process, or
 * what leads its session, has ended. ERR_INVALID: there is no connection. ERR_UNSUPPORTED: its
 * process isn't known, or its cgroup can't be watched. ERR_NOT_FOUND: not an ancestor of the same
 * uid; no cgroup but the root. ERR_UNAVAILABLE: it can't be looked up. With a text. */
int binding_resolve(struct env *env, const struct lease_ask *ask, struct binding_found *ret_found,
                    struct err *e) ATTR_MUST_USE;

/* The same without a look-up and without the text, for reads that happen often. False: it takes a
 * look-up. */
bool binding_resolve_known(const struct lease_ask *ask, struct binding_set *ret_set);

/* Watches what the grant is bound to. ERR_GONE when it has ended already, ERR_LIMIT, ERR_NOMEM;
 * then nothing is watched. */
int binding_start(struct grant *grant, const struct binding_found *found,
                  struct env_request *request) ATTR_MUST_USE;

/* Stops watching. Fine when nothing is watched. */
void binding_stop(struct grant *grant);

/* Looks at each anew: false when one has ended and its notice just hasn't come yet. */
bool binding_is_alive(const struct grant *grant);

#endif
