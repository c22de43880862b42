/* Who asks for what has to be approved, who approves it, and who changes the policies, in a guarded
 * world (sim_rules.h): users who ask, wait, use what was approved, and withdraw; others, and the
 * same ones, who approve and deny; an operator who plans and applies the other policy. Each by the
 * API, with a process and a connection of its own. */
#ifndef LEASED_TESTS_SIM_ASKING_H
#define LEASED_TESTS_SIM_ASKING_H

#include "sim_check.h"
#include "sim_client.h"

#define SIM_ASKED_KEPT 16 /* the last ones, which are spoken about */

/* What an answer has shown of a request. */
struct sim_known {
    char id[SIM_ID_MAX_BYTES];
    char role[16];
    char reason[16];
    uint32_t uid;
};

struct sim_asking {
    struct sim_world *world; /* NULL: nobody asks */
    struct sim_check *check;
    struct sim_event event;
    struct sim_event applying;
    uint64_t every_ms;       /* about, between two who do something; 0: nobody does */
    uint64_t apply_every_ms; /* about; 0: nobody applies anything */
    struct sim_known known[SIM_ASKED_KEPT];
    size_t known_count; /* ever; the last SIM_ASKED_KEPT of them are there */
    struct list voices; /* those who have spoken, as long as they live */
    struct sim_guard guard;
};

/* What a seed decides about it, and the world that it needs. */
void sim_asking_draw(struct sim_asking *asking, struct sim_random *random,
                     struct sim_world_options *options);

/* From now on they speak, and what must hold then is looked at. */
void sim_asking_start(struct sim_asking *asking, struct sim_check *check);
/* Nobody begins anything any more; these two are fine where nobody asks. */
void sim_asking_stop(struct sim_asking *asking);
/* All of them are killed, and nothing is looked at any more; after the daemon has stopped. */
void sim_asking_end(struct sim_asking *asking);

#endif
