/* What an issue left at the issuer that nobody waits for any more: its answer came after the
 * deadline. (Who still waits for one that is refused gets its name: lease_result.orphan_ref.) Each
 * is revoked, again and again with back-off (1 s to 5 min, full jitter), until the issuer confirms
 * or the credential must have ended by itself. It is debt that the status shows; it lasts as long
 * as the daemon does. */
#ifndef LEASED_BACKEND_SWEEP_H
#define LEASED_BACKEND_SWEEP_H

#include "base/list.h"
#include "base/str.h"

#define SWEEPS_MAX 256U       /* more: the one that ends first is given up */
#define SWEEPS_RUNNING_MAX 8U /* at once; they don't count as calls of the lease layer */

struct ops;

struct sweeps {
    struct ops *ops;
    struct list items; /* struct sweep, oldest first */
    size_t count;
    size_t running_count;
    bool is_ended;
    uint64_t begun_total;
    uint64_t forgotten_total; /* given up without a confirmation */
};

void sweeps_init(struct sweeps *sweeps, struct ops *ops);

/* No more tries; what is under way ends. */
void sweeps_end(struct sweeps *sweeps);
void sweeps_fini(struct sweeps *sweeps);

/* `ref` is copied. What it names ends by itself within `lifetime_ms`. */
void sweeps_add(struct sweeps *sweeps, struct str ref, uint64_t lifetime_ms);

/* How long the oldest has waited; 0: none is left. */
uint64_t sweeps_oldest_ms(const struct sweeps *sweeps);

/* What is to be revoked. `sweep` is the user of its OP_SWEEP; borrowed until that has ended. */
struct str sweep_ref(void *sweep);

#endif
