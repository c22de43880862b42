/* The fake env's programs: none is run, the test says how each ended. */
#include "support/fake_env.h"

#include "support/fake_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_program {
    struct list node;
    struct env_run *run;
    char *values[ENV_RUN_VARIABLES_MAX]; /* "NAME=value" */
    bool is_finished;
    struct env_run_end end;
    char *output;
    char *text;
};

static char *copy(struct str text)
{
    char *bytes = fake_alloc(text.len + 1);

    if (text.len > 0) {
        memcpy(bytes, text.ptr, text.len);
    }
    bytes[text.len] = '\0';
    return bytes;
}

static char *assignment(const struct env_run_variable *variable)
{
    size_t size = variable->name.len + variable->value.len + 2;
    char *text = fake_alloc(size);

    (void)snprintf(text, size, "%.*s=%.*s", STR_ARG(variable->name), STR_ARG(variable->value));
    return text;
}

static struct fake_program *program_of(struct fake_env *fake, const struct env_run *run)
{
    struct list *node;

    for (node = fake->runs.next; node != &fake->runs; node = node->next) {
        struct fake_program *program = LIST_ENTRY(node, struct fake_program, node);

        if (!program->is_finished && (run == NULL || program->run == run)) {
            return program;
        }
    }
    return NULL;
}

int fake_run_start(struct env *env, struct env_run *run)
{
    struct fake_env *fake = fake_of(env);
    struct fake_program *program;
    size_t i;

    if (fake->run_status != 0) {
        return fake->run_status;
    }
    program = fake_alloc(sizeof(*program));
    memset(program, 0, sizeof(*program));
    program->run = run;
    for (i = 0; i < run->variable_count; i++) {
        program->values[i] = assignment(&run->variables[i]);
    }
    if (fake->run_input != NULL) {
        (void)snprintf(fake->run_input, 256, "%.*s", STR_ARG(run->input));
    }
    list_push_back(&fake->runs, &program->node);
    return 0;
}

void fake_run_cancel(struct env *env, struct env_run *run)
{
    if (!fake_of(env)->is_run_stuck && program_of(fake_of(env), run) != NULL) {
        fake_env_program_finish(fake_of(env), run,
                                &(struct env_run_end){.outcome = ENV_RUN_CANCELED});
    }
}

const char *fake_run_problem(struct env *env)
{
    return fake_of(env)->run_problem;
}

struct env_run *fake_env_program_first(struct fake_env *fake)
{
    struct fake_program *program = program_of(fake, NULL);

    return program != NULL ? program->run : NULL;
}

const char *fake_env_program_variable(struct fake_env *fake, const char *name)
{
    const struct fake_program *program = program_of(fake, NULL);
    size_t len = strlen(name);
    size_t i;

    CHECK(program != NULL);
    for (i = 0; i < program->run->variable_count; i++) {
        if (strncmp(program->values[i], name, len) == 0 && program->values[i][len] == '=') {
            return program->values[i] + len + 1;
        }
    }
    return "";
}

void fake_env_program_finish(struct fake_env *fake, struct env_run *run,
                             const struct env_run_end *end)
{
    struct fake_program *program = program_of(fake, run);

    CHECK(program != NULL);
    program->is_finished = true;
    program->end = *end;
    program->output = copy(end->output);
    program->text = copy(end->text);
    program->end.output.ptr = program->output;
    program->end.text.ptr = program->text;
}

bool fake_programs_run(struct fake_env *fake)
{
    struct list *node;
    size_t i;

    for (node = fake->runs.next; node != &fake->runs; node = node->next) {
        struct fake_program *program = LIST_ENTRY(node, struct fake_program, node);

        if (program->is_finished) {
            list_remove(&program->node);
            program->run->fn(program->run, &program->end);
            for (i = 0; i < ENV_RUN_VARIABLES_MAX; i++) {
                free(program->values[i]);
            }
            free(program->output);
            free(program->text);
            free(program);
            return true;
        }
    }
    return false;
}
