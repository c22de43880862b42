/* What happens to the machine and to the daemon as a whole: it is killed and started again, or
 * stopped in order; the machine sleeps; somebody sets the clock; the issuer comes back from a
 * backup. Never while an event runs: sim_mishap_run is called between two. */
#ifndef LEASED_TESTS_SIM_MISHAP_H
#define LEASED_TESTS_SIM_MISHAP_H

#include "sim_check.h"

enum sim_mishap_kind {
    SIM_MISHAP_NONE,
    SIM_MISHAP_CRASH,   /* SIGKILL */
    SIM_MISHAP_RESTART, /* a drain with little patience, and a new daemon */
    SIM_MISHAP_START,   /* it is down, and shall be up again */
};

struct sim_mishaps {
    struct sim_world *world;
    struct sim_check *check;
    const struct sim_world_options *options; /* of each daemon */
    uint64_t every_ms;                       /* about; 0: never */
    struct sim_event event;
    struct sim_event start;
    enum sim_mishap_kind due;
    uint32_t undelivered; /* of the listener, which a start makes anew */
    uint32_t stalled;
    uint64_t crash_count;
};

/* Borrows all. */
void sim_mishaps_start(struct sim_mishaps *mishaps);

/* Does what is due. */
void sim_mishaps_run(struct sim_mishaps *mishaps);

/* Nothing happens any more, the daemon is up, and the clock is right. */
void sim_mishaps_end(struct sim_mishaps *mishaps);

#endif
