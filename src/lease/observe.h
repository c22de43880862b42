/* Following what becomes of grants: a new credential is there, the old one ends, the grant will
 * end, it is gone.
 *
 * What has happened is told at the end of the loop's turn, once for each grant that it concerns,
 * however often it has changed in that turn. Each event has a position; positions count up while
 * the core lives. What a grant's events after some position are can be asked for at any time, so
 * who was away misses nothing: of a grant that has changed twice it learns the state as it is now.
 *
 * A holder that is followed takes over in its own time: when it has read a successor its old
 * credential lives on until it says that it has moved over (lease_core_ack), or until the overlap
 * after its read has passed. Of one that isn't followed a read says that. */
#ifndef LEASED_LEASE_OBSERVE_H
#define LEASED_LEASE_OBSERVE_H

#include "base/list.h"
#include "lease/core.h"

/* How long before the end of its duration a grant's holder hears of it; at most a quarter of the
 * duration. */
#define LEASE_ENDING_LEAD_MS (5ULL * 60 * 1000)

enum lease_event_kind {
    LEASE_EVENT_CREDENTIAL, /* `lease` is ready to be read: the grant's first, or a successor */
    LEASE_EVENT_SUPERSEDED, /* `lease`, which the grant was on, ends at `when` at the latest */
    LEASE_EVENT_ENDING,     /* the grant ends at `when`, or its lease, which can't be replaced */
    LEASE_EVENT_GONE,       /* the grant has ended, for `reason` */
};

/* Borrowed until the call returns. */
struct lease_event {
    enum lease_event_kind kind;
    const struct grant *grant;
    const struct lease *lease;
    int64_t when_wall_ms; /* unix ms; of a credential its expiry; 0: none */
    const char *reason;   /* static; NULL: none */
    uint64_t position;
};

/* Embedded in its owner. None of the functions may change anything of the core. */
struct lease_observer {
    void (*event)(struct lease_observer *observer, const struct lease_event *event);
    /* All events up to `position` have been told. */
    void (*told)(struct lease_observer *observer, uint64_t position);
    /* Does the grant's holder hear of these events? NULL: no. */
    bool (*follows)(struct lease_observer *observer, const struct grant *grant);
    struct list node;
};

/* From now on. What has happened before, in this turn too, is lease_grant_events' to tell. */
void lease_observe(struct lease_core *core, struct lease_observer *observer);
/* Fine on one that doesn't. */
void lease_unobserve(struct lease_observer *observer);

/* Where events stand: those of now come after it. */
uint64_t lease_core_position(const struct lease_core *core);

/* Calls observer->event for what has happened to the grant since `position`, in order; 0: as it is
 * now. */
void lease_grant_events(struct grant *grant, uint64_t position, struct lease_observer *observer);

const char *lease_event_str(enum lease_event_kind kind);

/* The identity has moved over to the credential that it has read last: its grants leave what was
 * before `lease`, or `lease` itself where that was replaced. With `grant_id` (ptr NULL: any) only
 * that one of them. Idempotent. ERR_NOT_FOUND: it has no such grant on it; ERR_BUSY: it hasn't read
 * the successor yet. */
int lease_core_ack(struct lease_core *core, struct lease *lease,
                   const struct access_identity *identity, struct str grant_id) ATTR_MUST_USE;

#endif
