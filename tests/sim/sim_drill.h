/* An operator's leak drills: now and then all that one user has ever read is revoked, mostly with a
 * block. What must hold afterwards: S15, in sim_check.h. */
#ifndef LEASED_TESTS_SIM_DRILL_H
#define LEASED_TESTS_SIM_DRILL_H

#include "sim_world.h"

#define SIM_DRILLS_MAX 64 /* of a run; then none is begun but the last one */

/* One that was asked for. */
struct sim_drill {
    struct sim_drills *drills;
    uint32_t uid; /* whose */
    uint64_t at_ms;
    uint64_t blocked_until_ms; /* 0: no block */
    bool is_sure;              /* its client was told that it has begun: it is on disk */
    struct env_connection *connection;
    int32_t pid; /* the operator's process */
};

struct sim_drills {
    struct sim_world *world;
    struct sim_event event;
    uint64_t every_ms; /* about; 0: never */
    struct sim_drill items[SIM_DRILLS_MAX + 1];
    size_t count;
};

void sim_drills_start(struct sim_drills *drills);
/* After a last one. */
void sim_drills_stop(struct sim_drills *drills);

/* The daemon is dead, and its ledger failed: what it said may not be on disk. */
void sim_drills_doubt(struct sim_drills *drills);

/* A credential is handed out to this user. */
void sim_drills_check_read(const struct sim_drills *drills, uint32_t uid);

/* With faults gone for a while: this credential is valid. */
void sim_drills_check_valid(const struct sim_drills *drills,
                            const struct sim_credential *credential);

#endif
