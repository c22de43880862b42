/* Leak drills, by the API as an admin asks for them. */
#include "sim_drill.h"

#include <stdio.h>
#include <string.h>

#define ADMIN_UID SIM_UID_FIRST
#define SECOND_MS 1000U
#define BLOCK_MAX_MS (5U * 60U * SECOND_MS) /* over before the world has healed */

static void replied(struct sim_request *request)
{
    struct sim_drill *drill = request->user;

    if (!drill->is_sure && request->status == 200 && request->answer.len > 0 &&
        memmem(request->answer.bytes, request->answer.len, "\"found\"", 7) != NULL) {
        sim_trace(&drill->drills->world->sim, "operators: the drill about uid %u has begun",
                  drill->uid);
        drill->is_sure = true;
    }
}

static void over(struct sim_request *request, bool is_delivered)
{
    struct sim_drill *drill = request->user;

    (void)is_delivered;
    sim_process_kill(&drill->drills->world->sim, drill->pid);
    if (!drill->connection->is_closing) {
        sim_connection_close(drill->connection, SECOND_MS);
    }
}

static void begin(struct sim_drills *drills, struct sim_drill *drill)
{
    struct sim *sim = &drills->world->sim;
    struct env_peer peer = {.uid = ADMIN_UID, .gid = ADMIN_UID};
    uint64_t block_ms =
        sim_random_chance(&sim->random, 700) ? sim_random_below(&sim->random, BLOCK_MAX_MS) : 0;
    char body[160];

    drill->drills = drills;
    drill->uid = SIM_UID_FIRST + (uint32_t)sim_random_below(&sim->random, SIM_UID_COUNT);
    drill->at_ms = sim->now_ms;
    drill->blocked_until_ms = block_ms >= SECOND_MS ? sim->now_ms + block_ms : 0;
    drill->pid = sim_process_spawn(sim, ADMIN_UID, 1);
    peer.pid = drill->pid;
    peer.start_ticks = sim_process(sim, drill->pid)->facts.start_ticks;
    (void)snprintf(peer.cgroup, sizeof(peer.cgroup), "/");
    (void)snprintf(body, sizeof(body),
                   "{\"match\":{\"subject\":{\"user\":\"user%u\"}},\"block\":%llu}", drill->uid,
                   (unsigned long long)(block_ms / SECOND_MS));
    sim_trace(sim, "operators: a drill about uid %u, blocked for %llu ms", drill->uid,
              (unsigned long long)block_ms);
    drill->connection = sim_connection_open(&drills->world->listener, &peer);
    (void)sim_request_send(drill->connection,
                           &(struct sim_request_options){.method = "POST",
                                                         .target = "/leased/v1/revoke",
                                                         .body = body,
                                                         .replied = replied,
                                                         .over = over,
                                                         .user = drill});
}

static void again(struct sim_drills *drills)
{
    struct sim *sim = &drills->world->sim;

    if (drills->every_ms > 0 && drills->count < SIM_DRILLS_MAX) {
        sim_schedule_in(sim, &drills->event, sim_random_below(&sim->random, 2 * drills->every_ms));
    }
}

static void act(struct sim_event *event)
{
    struct sim_drills *drills = CONTAINER_OF(event, struct sim_drills, event);

    if (drills->world->is_up) {
        begin(drills, &drills->items[drills->count++]);
    }
    again(drills);
}

void sim_drills_start(struct sim_drills *drills)
{
    drills->event = (struct sim_event){.fn = act};
    again(drills);
}

void sim_drills_stop(struct sim_drills *drills)
{
    if (drills->every_ms > 0 && drills->world->is_up) {
        begin(drills, &drills->items[drills->count++]);
    }
    drills->every_ms = 0;
    sim_unschedule(&drills->world->sim, &drills->event);
}

void sim_drills_doubt(struct sim_drills *drills)
{
    for (size_t i = 0; i < drills->count; i++) {
        drills->items[i].is_sure = false;
    }
}

void sim_drills_check_read(const struct sim_drills *drills, uint32_t uid)
{
    for (size_t i = 0; i < drills->count; i++) {
        const struct sim_drill *drill = &drills->items[i];

        if (drill->is_sure && drill->uid == uid &&
            drills->world->sim.now_ms + SECOND_MS < drill->blocked_until_ms) {
            sim_fail(&drills->world->sim, "S15: uid %u gets a credential, and is blocked", uid);
        }
    }
}

void sim_drills_check_valid(const struct sim_drills *drills,
                            const struct sim_credential *credential)
{
    for (size_t i = 0; i < drills->count; i++) {
        const struct sim_drill *drill = &drills->items[i];
        uint64_t read_ms = credential->read_ms[drill->uid - SIM_UID_FIRST];

        if (drill->is_sure && credential->is_revocable && !credential->was_forgotten &&
            read_ms != 0 && read_ms < drill->at_ms) {
            sim_fail(
                &drills->world->sim,
                "S15: %s is valid; uid %u read it at %llu, and a drill about him began at %llu",
                credential->id, drill->uid, (unsigned long long)read_ms,
                (unsigned long long)drill->at_ms);
        }
    }
}
