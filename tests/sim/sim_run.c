/* Simulated programs: each is asked of the model issuer whose backend runs it, takes its time, and
 * may be killed before or after it has done its work, or print what it shouldn't. */
#include "sim.h"

#include "sim_oom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAKES_MAX_MS 300
#define SLOW_MAX_MS 19000
#define TIMEOUT_MS 20000
#define OUTPUT_MAX_BYTES (64U * 1024U)
#define VALUE_MAX_BYTES 300

enum fate {
    FATE_OK,
    FATE_BUSY,
    FATE_KILLED_BEFORE, /* it has done nothing */
    FATE_KILLED_AFTER,  /* it was done */
    FATE_CONFUSED,      /* it was done, and something else is printed */
    FATE_TORN,          /* it was done, and a part is printed */
    FATE_SICK,          /* it fails for a reason of its own */
};

struct program {
    struct sim_event work; /* does what it is for */
    struct sim_event end;
    struct list node;
    struct sim *sim;
    struct env_run *run;
    uint64_t id;
    enum fate fate;
    char url[64];
    char path[64];
    char values[ENV_RUN_VARIABLES_MAX][VALUE_MAX_BYTES];
    struct env_run_variable variables[ENV_RUN_VARIABLES_MAX];
    struct sim_answer answer;
    bool was_executed;
    bool is_canceled;
};

static enum fate draw_fate(struct sim *sim)
{
    const struct sim_faults *faults = &sim->faults;
    const struct {
        uint32_t permille;
        enum fate fate;
    } fates[] = {
        {faults->refused, FATE_BUSY},
        {faults->lost_request, FATE_KILLED_BEFORE},
        {faults->lost_answer, FATE_KILLED_AFTER},
        {faults->garbage, FATE_CONFUSED},
        {faults->truncated, FATE_TORN},
        {faults->bad_gateway, FATE_SICK},
    };

    for (size_t i = 0; i < ARRAY_LEN(fates); i++) {
        if (sim_random_chance(&sim->random, fates[i].permille)) {
            return fates[i].fate;
        }
    }
    return FATE_OK;
}

static struct sim_call call_of(const struct program *program)
{
    return (struct sim_call){.id = program->id,
                             .now_ms = program->sim->now_ms,
                             .method = STR("RUN"),
                             .url = str_of(program->url),
                             .path = str_of(program->path),
                             .variables = program->variables,
                             .variable_count = program->run->variable_count};
}

static void execute(struct program *program)
{
    struct sim *sim = program->sim;
    struct sim_call call = call_of(program);

    sim_oom_outside();
    sim->server.answer(sim->server.user, &call, &program->answer);
    sim_oom_inside();
    program->was_executed = true;
    CHECK(buf_status(&program->answer.body) == 0);
    sim_trace(sim, "run %llu: exit code %u", (unsigned long long)program->id,
              program->answer.status);
}

static void works(struct sim_event *event)
{
    struct program *program = CONTAINER_OF(event, struct program, work);
    struct buf *printed = &program->answer.body;

    execute(program);
    if (program->fate == FATE_CONFUSED) {
        buf_reset(printed);
        buf_add_c(printed, "Usage: it");
    } else if (program->fate == FATE_TORN && printed->len > 0) {
        printed->len = sim_random_below(&program->sim->random, printed->len);
    }
    sim_schedule_in(program->sim, &program->end,
                    program->fate == FATE_KILLED_AFTER ? TIMEOUT_MS : 1);
}

static struct env_run_end end_of(const struct program *program)
{
    if (program->is_canceled || program->sim->is_dead) {
        return (struct env_run_end){.outcome = ENV_RUN_CANCELED};
    }
    switch (program->fate) {
    case FATE_BUSY:
        return (struct env_run_end){.outcome = ENV_RUN_BUSY, .text = STR("is one too many")};
    case FATE_KILLED_BEFORE:
    case FATE_KILLED_AFTER:
        return (struct env_run_end){.outcome = ENV_RUN_KILLED, .text = STR("took too long")};
    case FATE_SICK:
        return (struct env_run_end){.outcome = ENV_RUN_EXITED,
                                    .exit_code = 75, /* EX_TEMPFAIL */
                                    .text = STR("try again")};
    default:
        return (struct env_run_end){.outcome = ENV_RUN_EXITED,
                                    .exit_code = (uint8_t)program->answer.status,
                                    .output = program->answer.status == 0
                                                  ? buf_str(&program->answer.body)
                                                  : STR("")};
    }
}

static void ends(struct sim_event *event)
{
    struct program *program = CONTAINER_OF(event, struct program, end);
    struct sim *sim = program->sim;
    struct env_run_end end = end_of(program);
    bool is_whole = end.outcome == ENV_RUN_EXITED && program->fate == FATE_OK;

    sim_trace(sim, "run %llu: ended: %u", (unsigned long long)program->id, (unsigned)end.outcome);
    list_remove(&program->node);
    program->run->fn(program->run, &end);
    if (program->was_executed) {
        sim->server.ended(sim->server.user, program->id, is_whole);
    }
    buf_fini(&program->answer.body);
    free(program);
}

static void copy_variables(struct program *program, const struct env_run *run)
{
    for (size_t i = 0; i < run->variable_count; i++) {
        struct str value = run->variables[i].value;

        CHECK(value.len < VALUE_MAX_BYTES);
        (void)snprintf(program->values[i], VALUE_MAX_BYTES, "%.*s", STR_ARG(value));
        /* Names are constants. */
        program->variables[i] = (struct env_run_variable){.name = run->variables[i].name,
                                                          .value = str_of(program->values[i])};
    }
}

int sim_run_start(struct env *env, struct env_run *run)
{
    struct sim *sim = env->impl;
    struct program *program;
    struct sim_call call;
    bool is_slow;

    if (sim->is_dead) {
        return ERR_CLOSED;
    }
    program = calloc(1, sizeof(*program));
    CHECK(program != NULL);
    program->sim = sim;
    program->run = run;
    program->id = ++sim->exchange_count;
    program->work.fn = works;
    program->end.fn = ends;
    program->fate = draw_fate(sim);
    (void)snprintf(program->url, sizeof(program->url), SIM_RUN "%s/%s", run->backend, run->program);
    (void)snprintf(program->path, sizeof(program->path), "%s", run->program);
    copy_variables(program, run);
    buf_init(&program->answer.body, OUTPUT_MAX_BYTES);
    call = call_of(program);
    sim_trace(sim, "run %llu: %s of %s", (unsigned long long)program->id, run->program,
              run->backend);
    sim_oom_outside();
    sim->server.sent(sim->server.user, &call);
    sim_oom_inside();
    list_push_back(&sim->runs, &program->node);
    is_slow = sim_random_chance(&sim->random, sim->faults.slow);
    if (program->fate == FATE_BUSY || program->fate == FATE_SICK) {
        sim_schedule_in(sim, &program->end, 1);
    } else if (program->fate == FATE_KILLED_BEFORE) {
        sim_schedule_in(sim, &program->end, TIMEOUT_MS);
    } else {
        sim_schedule_in(sim, &program->work,
                        1 + sim_random_below(&sim->random, is_slow ? SLOW_MAX_MS : TAKES_MAX_MS));
    }
    return 0;
}

/* The kill may come too late to keep it from its work. */
void sim_run_cancel(struct env *env, struct env_run *run)
{
    struct sim *sim = env->impl;
    struct list *node;
    struct list *following;

    LIST_EACH (&sim->runs, node, following) {
        struct program *program = LIST_ENTRY(node, struct program, node);

        if (program->run != run || program->is_canceled) {
            continue;
        }
        program->is_canceled = true;
        if (program->work.heap_index != 0) {
            sim_unschedule(sim, &program->work);
            if (sim_random_chance(&sim->random, 500)) {
                execute(program);
            }
        }
        sim_schedule_in(sim, &program->end, 0);
        return;
    }
}

/* They can be run. */
const char *sim_run_problem(struct env *env)
{
    (void)env;
    return NULL;
}
