/* Programs for plugins, over env_run: the backend's name is the host's word, which program of it
 * the plugin's; the helper knows whether there is one.
 *
 * A run that ends after the plugin's instance is gone is delivered to nobody. */
#include "backend/host.h"
#include "base/mem.h"
#include "env/run.h"

#include <stdio.h>

#define RUN_MAGIC 0x6872756eU
#define PROGRAM_MAX_BYTES 65U

struct host_run {
    uint32_t magic;
    struct leased_host_context *context;
    void *handle;
    struct env_run run;
    char program[PROGRAM_MAX_BYTES];
    leased_run_fn fn;
    void *user;
};

static uint32_t outcome_of(enum env_run_outcome outcome)
{
    static const uint32_t outcomes[] = {
        [ENV_RUN_EXITED] = LEASED_RUN_EXITED, [ENV_RUN_NOT_STARTED] = LEASED_RUN_NOT_STARTED,
        [ENV_RUN_BUSY] = LEASED_RUN_BUSY,     [ENV_RUN_KILLED] = LEASED_RUN_KILLED,
        [ENV_RUN_LOST] = LEASED_RUN_LOST,     [ENV_RUN_CANCELED] = LEASED_RUN_CANCELED,
    };

    return outcomes[outcome];
}

static void run_done(struct env_run *env_run, const struct env_run_end *end)
{
    struct host_run *run = OBJ_CAST(env_run->user, struct host_run, RUN_MAGIC);
    struct leased_host_context *context = run->context;
    const struct leased_run_end ended = {.size = sizeof(ended),
                                         .outcome = outcome_of(end->outcome),
                                         .exit_code = end->exit_code,
                                         .output = host_leased_str(end->output),
                                         .detail = host_leased_str(end->text)};
    leased_run_fn fn = run->fn;
    void *user = run->user;

    handles_remove(&context->runs, run->handle);
    mem_free(run);
    if (context->is_ended) {
        host_settle(context); /* self may be gone soon */
        return;
    }
    host_enter(context);
    fn(user, &ended);
    host_leave(context, "run");
}

/* 0, or an ERR_*; what it points to is borrowed until the start returns. */
static int fill(struct host_run *run, const struct leased_run_request *request)
{
    size_t i;

    if (request->variable_count > ENV_RUN_VARIABLES_MAX) {
        return ERR_INVALID;
    }
    for (i = 0; i < request->variable_count; i++) {
        run->run.variables[i] =
            (struct env_run_variable){.name = host_str(request->variables[i].key),
                                      .value = host_str(request->variables[i].value)};
    }
    run->run.variable_count = request->variable_count;
    return 0;
}

static int start(struct host_run *run, const struct leased_run_request *request)
{
    struct leased_host_context *context = run->context;
    struct str name = host_str(request->program);
    int r = fill(run, request);

    if (r != 0 || name.len >= sizeof(run->program)) {
        return ERR_INVALID;
    }
    run->run.backend = context->name;
    run->run.program = host_line(request->program, run->program, sizeof(run->program));
    run->run.fn = run_done;
    run->run.user = run;
    return env_run_start(context->env, &run->run);
}

leased_run *host_run_start(leased_host_context *context, const struct leased_run_request *request,
                           leased_run_fn fn, void *user)
{
    struct host_run *run;
    int r;

    if (context->is_ended || !LEASED_HAS(request, variable_count)) {
        return NULL;
    }
    run = mem_calloc(1, sizeof(*run));
    if (run == NULL) {
        return NULL;
    }
    *run = (struct host_run){.magic = RUN_MAGIC, .context = context, .fn = fn, .user = user};
    if (handles_add(&context->runs, run, &run->handle) != 0) {
        mem_free(run);
        return NULL;
    }
    r = start(run, request);
    if (r != 0) {
        guard_note_error(&context->guard, r == ERR_INVALID
                                              ? "what is asked for can't be passed to a program"
                                              : err_str(r));
        handles_remove(&context->runs, run->handle);
        mem_free(run);
        return NULL;
    }
    return (leased_run *)run->handle;
}

void host_run_cancel(leased_host_context *context, leased_run *handle)
{
    struct host_run *run = handles_get(&context->runs, handle);

    if (run != NULL) {
        env_run_cancel(context->env, &run->run);
    }
}

void host_run_cancel_all(struct leased_host_context *context)
{
    struct host_run *run;
    size_t index = 0;

    while ((run = handles_next(&context->runs, &index)) != NULL) {
        env_run_cancel(context->env, &run->run);
    }
}
