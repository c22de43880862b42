/* Scenarios of a backend. */
#include "checks.h"

#include "spy.h"

#define CALLS_AT_ONCE 3U

static void check_ended(size_t end_count, const char *what)
{
    if (end_count != 1) {
        spy_note("%s has ended %zu times for who asked", what, end_count);
    }
    if (spy_running_count() > 0) {
        spy_note("%s was cancelled after its deadline and hasn't ended", what);
    }
}

static void ask_and_settle(struct world *world, struct ask *ask, enum lease_call_kind kind)
{
    static const char *const names[] = {
        [LEASE_CALL_ISSUE] = "issue", [LEASE_CALL_RENEW] = "renew", [LEASE_CALL_REVOKE] = "revoke"};

    world_ask(world, ask, kind);
    world_settle(world, ask);
    check_ended(ask->end_count, names[kind]);
}

static void pass_and_settle(struct world *world)
{
    struct passed passed;

    world_pass(world, &passed);
    world_settle(world, NULL);
    check_ended(passed.end_count, "call");
}

void backend_life(const struct world_setup *setup, enum answers answers)
{
    struct world world;
    struct ask ask = {.end_count = 0};

    if (!world_open(&world, setup, answers)) {
        return;
    }
    ask_and_settle(&world, &ask, LEASE_CALL_ISSUE);
    if (spy_has_renew()) {
        ask_and_settle(&world, &ask, LEASE_CALL_RENEW);
    }
    if (spy_has_call()) {
        pass_and_settle(&world);
    }
    if (spy_has_revoke()) {
        ask_and_settle(&world, &ask, LEASE_CALL_REVOKE);
    }
    world_close(&world);
}

void backend_cancel(const struct world_setup *setup)
{
    struct world world;
    struct ask ask = {.end_count = 0};

    if (!world_open(&world, setup, ANSWERS_NONE)) {
        return;
    }
    world_ask(&world, &ask, LEASE_CALL_ISSUE);
    fake_env_run(&world.fake); /* with the plugin now; timers haven't run */
    world_cancel(&world, &ask);
    world_run(&world, &ask);
    fake_env_advance(&world.fake, 1000);
    world_run(&world, &ask);
    if (spy_running_count() > 0) {
        spy_note("issue hasn't ended a second after cancel");
    }
    world_settle(&world, &ask);
    check_ended(ask.end_count, "issue");
    world_close(&world);
}

void backend_close_busy(const struct world_setup *setup)
{
    struct world world;
    struct ask asks[CALLS_AT_ONCE] = {{.end_count = 0}};

    if (!world_open(&world, setup, ANSWERS_NONE)) {
        return;
    }
    for (size_t i = 0; i < CALLS_AT_ONCE; i++) {
        world_ask(&world, &asks[i], LEASE_CALL_ISSUE);
    }
    fake_env_run(&world.fake);
    world_close(&world);
    for (size_t i = 0; i < CALLS_AT_ONCE; i++) {
        check_ended(asks[i].end_count, "issue");
    }
}

void backend_late(const struct world_setup *setup)
{
    struct world world;
    struct ask ask = {.end_count = 0};

    if (!world_open(&world, setup, ANSWERS_NONE)) {
        return;
    }
    world_ask(&world, &ask, LEASE_CALL_ISSUE);
    world_settle(&world, &ask);
    world.answers = ANSWERS_EMPTY;
    world_settle(&world, &ask);
    check_ended(ask.end_count, "issue");
    world_close(&world);
}
