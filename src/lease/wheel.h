/* A hierarchical timing wheel: deadlines of leases and grants, a million of them, for the price of
 * a few words each.
 *
 * Time is absolute milliseconds, and the wheel is driven: it knows no clock, wheel_advance tells it
 * the time. Eleven levels of 64 slots cover all 64 bits, so there is no far list and no wrap: a
 * deadline is due when it is <= now, up to and including UINT64_MAX. Entries are embedded in their
 * owners; arming and cancelling are O(1), allocate nothing and can't fail.
 *
 * An entry that is armed for later than before stays where it is and is moved only when its old
 * place comes up: leases are renewed far more often than they end, and a renewal then touches one
 * cache line. The price is that wheel_next_ms may name an earlier time than the first deadline
 * (never a later one). */
#ifndef LEASED_LEASE_WHEEL_H
#define LEASED_LEASE_WHEEL_H

#include "base/check.h"

#include <stdbool.h>

#define WHEEL_LEVELS 11
#define WHEEL_SLOTS 64
#define WHEEL_NEVER UINT64_MAX

/* Zero-initialised: not armed. Half a cache line. */
struct wheel_entry {
    struct wheel_entry *next;
    struct wheel_entry **link; /* what points to this entry; NULL when not armed */
    uint64_t when_ms;
    uint16_t place; /* 0: due; else 1 + level * WHEEL_SLOTS + slot */
    uint16_t kind;  /* the owner's: tells `fire` what the entry is embedded in */
};

struct wheel {
    uint64_t now_ms;
    uint64_t horizon_ms; /* what is armed for this or earlier waits for the next wheel_advance */
    uint64_t occupied[WHEEL_LEVELS];
    struct wheel_entry *slots[1 + WHEEL_LEVELS * WHEEL_SLOTS];
    struct wheel_entry *firing; /* the slot that wheel_advance is working on */
    size_t count;
    void (*fire)(struct wheel *wheel, struct wheel_entry *entry);
};

/* `fire` runs for each entry that is due, which is not armed any more then. It may arm and cancel
 * any entry, this one too, and free its owner. */
void wheel_init(struct wheel *wheel, uint64_t now_ms,
                void (*fire)(struct wheel *wheel, struct wheel_entry *entry));

/* Arms, or moves an armed entry. A time that has passed is due at the next wheel_advance. */
void wheel_arm(struct wheel *wheel, struct wheel_entry *entry, uint64_t when_ms);

/* Fine on an entry that isn't armed. */
void wheel_cancel(struct wheel *wheel, struct wheel_entry *entry);

static inline bool wheel_is_armed(const struct wheel_entry *entry)
{
    return entry->link != NULL;
}

/* Moves time on to `now_ms` (earlier than before: nothing moves) and fires what is due, in the
 * order of deadlines. What a callback arms for `now_ms` or earlier waits for the next call, so that
 * this one ends. Not to be called from a callback. */
void wheel_advance(struct wheel *wheel, uint64_t now_ms);

/* When wheel_advance should be called next: no deadline is before it. WHEEL_NEVER when nothing is
 * armed (or for then). */
uint64_t wheel_next_ms(const struct wheel *wheel);

size_t wheel_count(const struct wheel *wheel);

/* CHECKs every invariant: each entry sits in a slot that comes up in time, the bitmaps and the
 * count are true. O(entries). */
void wheel_check(const struct wheel *wheel);

#endif
