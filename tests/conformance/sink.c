/* Scenarios of a sink. */
#include "checks.h"

#include "spy.h"

#define LINES                                                                                      \
    STR("{\"v\":1,\"seq\":1,\"event\":\"lease.issued\"}\n"                                         \
        "{\"v\":1,\"seq\":2,\"event\":\"lease.revoked\"}\n")

static void check_ended(const struct given *given)
{
    if (given->end_count != 1 || spy_running_count() > 0) {
        spy_note("write was cancelled after its deadline and hasn't ended");
    }
}

void sink_life(const struct world_setup *setup, enum answers answers)
{
    struct world world;
    struct given given;

    if (!world_open(&world, setup, answers)) {
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        world_give(&world, &given, LINES);
        world_settle(&world, NULL);
        check_ended(&given);
    }
    world_close(&world);
}

void sink_cancel(const struct world_setup *setup)
{
    struct world world;
    struct given given;

    if (!world_open(&world, setup, ANSWERS_NONE)) {
        return;
    }
    world_give(&world, &given, LINES);
    world_settle(&world, NULL); /* the host cancels what takes too long */
    check_ended(&given);
    world_close(&world);
}

void sink_close_busy(const struct world_setup *setup)
{
    struct world world;
    struct given given;

    if (!world_open(&world, setup, ANSWERS_NONE)) {
        return;
    }
    world_give(&world, &given, LINES);
    fake_env_run(&world.fake);
    world_close(&world);
    check_ended(&given);
}

void sink_late(const struct world_setup *setup)
{
    struct world world;
    struct given given;

    if (!world_open(&world, setup, ANSWERS_NONE)) {
        return;
    }
    world_give(&world, &given, LINES);
    world_settle(&world, NULL);
    world.answers = ANSWERS_EMPTY;
    world_settle(&world, NULL);
    check_ended(&given);
    world_close(&world);
}
