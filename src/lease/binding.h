/* What a grant's life hangs on: processes and a connection, up to four, and the first end ends the
 * grant.
 *
 * Kinds that name a process (process, parent, pid, comm) are resolved to one process, pid and start
 * time, when the grant is asked for; what it is bound to is part of a grant's key. Where the
 * caller's process isn't known, those of the grant that its token names stand for it. A process is
 * watched once however many grants hang on it. */
#ifndef LEASED_LEASE_BINDING_H
#define LEASED_LEASE_BINDING_H

#include "env/process.h"
#include "lease/core.h"

/* With room for ",grant:" and an id. */
#define BINDING_SET_TEXT_MAX_BYTES                                                                 \
    (ACCESS_BINDINGS_MAX * (ACCESS_BINDING_TEXT_MAX_BYTES + 1) + LEASE_ID_BYTES + 8)

struct grant;
struct watched;

/* One thing that can end, as it stands in a key: no padding, compared as bytes. */
struct binding_target {
    uint64_t value; /* start ticks of the process; else the connection's address */
    int64_t pid;    /* 0: a connection */
};

struct binding_set {
    size_t count;                                       /* 0: the duration alone */
    struct binding_target targets[ACCESS_BINDINGS_MAX]; /* sorted, without doubles */
};

/* What was asked for and what it means. */
struct binding_found {
    struct binding_set set;
    /* As asked for: "process,pid:1234"; "process,grant:g-…" where a grant's processes stand for the
     * caller's. */
    char text[BINDING_SET_TEXT_MAX_BYTES];
};

/* A process that a grant hangs on; an array in the grant. */
struct binding {
    struct grant *grant;
    struct watched *process;
    struct list node; /* in the watched process's bindings */
};

/* The connection that a grant hangs on, if it does. */
struct binding_connection {
    uint32_t magic;
    struct grant *grant;
    const struct env_connection *connection;
    struct env_connection_watch watch;
};

/* How many processes are in the set; the rest of it, at most one, is a connection. */
size_t binding_set_processes(const struct binding_set *set);

/* Is the grant bound to just this? */
bool binding_is_set(struct grant *grant, const struct binding_set *set);

/* The set's part of the hash of a key. */
uint64_t binding_set_hash(uint64_t hash, const struct binding_set *set);

/* Finds out what the decision's bindings mean for this caller. ERR_GONE: the caller's process has
 * ended. ERR_INVALID: it can't be bound so (no connection, no process known). ERR_NOT_FOUND: not
 * an ancestor of the same uid. ERR_UNAVAILABLE: it can't be looked up. With a text. */
int binding_resolve(struct env *env, const struct lease_ask *ask, struct binding_found *ret_found,
                    struct err *e) ATTR_MUST_USE;

/* The same without a look-up and without the text, for reads that happen often. False: it takes a
 * look-up. */
bool binding_resolve_known(const struct lease_ask *ask, struct binding_set *ret_set);

/* Watches what the grant is bound to. ERR_GONE when it has ended already, ERR_LIMIT, ERR_NOMEM;
 * then nothing is watched. */
int binding_start(struct grant *grant, const struct binding_set *set,
                  struct env_request *request) ATTR_MUST_USE;

/* Stops watching. Fine when nothing is watched. */
void binding_stop(struct grant *grant);

/* Process number `index` of those that are watched. */
void binding_process(const struct grant *grant, size_t index, int32_t *ret_pid,
                     uint64_t *ret_start_ticks);

/* Looks each process up anew: false when one has ended and its notice just hasn't come yet. */
bool binding_is_alive(const struct grant *grant);

#endif
