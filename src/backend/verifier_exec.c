/* Trying a credential out by a program: it gets the fields as a JSON object on its stdin, and says
 * by its exit code what it has found.
 *
 * Happy path: start → the helper process runs it → ended with 0.
 *
 * Failures. Another exit code: refused (EX_NOPERM), or not known. Out of time, cancelled: it is
 * killed; the try lives on until the run has ended, because that is embedded in it. */
#include "backend/verifier.h"
#include "backend/verifier_trial.h"
#include "base/buf.h"
#include "base/mem.h"
#include "env/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#define EXEC_MAGIC 0x76657865U

struct exec_trial {
    uint32_t magic;
    struct trial trial;
    struct env_run run;
    struct env_timer timer; /* its time is up */
    bool is_late;
    char owner[BACKEND_VERIFY_OWNER_MAX_BYTES];
};

int verifier_exec_check(const json_t *settings, struct err *e)
{
    const json_t *words = json_object_get(settings, "exec");
    const char *program = json_string_value(json_array_get(words, 0));

    if (program == NULL || program[0] != '/') {
        return err_set(e, ERR_INVALID, "exec: expected the absolute path of a program first");
    }
    return 0;
}

static int add_bytes(const char *bytes, size_t size, void *user)
{
    struct buf *out = user;

    buf_add(out, bytes, size);
    return buf_status(out) == 0 ? 0 : -1;
}

/* {"field": "value", …} */
static int write_fields(const struct lease_trial *asked, struct buf *out)
{
    json_t *fields = json_object();
    int r = fields != NULL ? 0 : ERR_NOMEM;

    for (size_t i = 0; r == 0 && i < asked->field_count; i++) {
        const struct lease_field *field = &asked->fields[i];
        json_t *value = json_stringn(field->value.ptr, field->value.len);
        char name[256];

        (void)snprintf(name, sizeof(name), "%.*s", STR_ARG(field->name));
        /* A value that isn't UTF-8 has no place in JSON. */
        r = value == NULL || json_object_set_new(fields, name, value) != 0 ? ERR_INVALID : 0;
    }
    if (r == 0 && json_dump_callback(fields, add_bytes, out, JSON_COMPACT) != 0) {
        r = ERR_NOMEM;
    }
    json_decref(fields);
    return buf_status(out) != 0 ? buf_status(out) : r;
}

static int verdict_of(const struct exec_trial *trial, const struct env_run_end *end)
{
    if (trial->is_late || end->outcome != ENV_RUN_EXITED) {
        return ERR_UNAVAILABLE;
    }
    if (end->exit_code == 0) {
        return 0;
    }
    return end->exit_code == EX_NOPERM ? ERR_DENIED : ERR_UNAVAILABLE;
}

static void ended(struct env_run *run, const struct env_run_end *end)
{
    struct exec_trial *exec = OBJ_CAST(run->user, struct exec_trial, EXEC_MAGIC);
    void (*fn)(void *user, int status, const char *detail) = exec->trial.fn;
    void *user = exec->trial.user;
    int status = verdict_of(exec, end);
    char text[512];

    if (exec->is_late) {
        (void)snprintf(text, sizeof(text), "the program took too long");
    } else if (end->outcome == ENV_RUN_EXITED) {
        /* Not what it has said: it knows the credential. */
        (void)snprintf(text, sizeof(text), "the program exited with %u", end->exit_code);
    } else {
        (void)snprintf(text, sizeof(text), "the program %.*s", STR_ARG(end->text));
    }
    env_timer_disarm(exec->trial.env, &exec->timer);
    mem_free(exec);
    if (fn != NULL) {
        fn(user, status, status != 0 ? text : "");
    }
}

static void time_is_up(struct env_timer *timer)
{
    struct exec_trial *exec = OBJ_CAST(timer->user, struct exec_trial, EXEC_MAGIC);

    exec->is_late = true;
    env_run_cancel(exec->trial.env, &exec->run);
}

static void cancel(struct trial *trial)
{
    struct exec_trial *exec = CONTAINER_OF(trial, struct exec_trial, trial);

    trial->fn = NULL;
    env_timer_disarm(trial->env, &exec->timer);
    env_run_cancel(trial->env, &exec->run);
}

static int start_run(struct exec_trial *exec, const struct lease_trial *asked, struct err *e)
{
    BUF_AUTO input;
    int r;

    buf_init(&input, ENV_RUN_INPUT_MAX_BYTES);
    r = write_fields(asked, &input);
    if (r == 0) {
        exec->run.input = buf_str(&input);
        r = env_run_start(exec->trial.env, &exec->run);
        exec->run.input = STR("");
    }
    return r == 0 ? 0
                  : err_set(e, r == ERR_TOO_LARGE ? ERR_INVALID : r, "the program can't be run: %s",
                            err_str(r));
}

int verifier_exec_start(struct env *env, const json_t *settings, const struct lease_trial *asked,
                        struct trial **ret_trial, struct err *e)
{
    struct exec_trial *exec = mem_calloc(1, sizeof(*exec));
    int r;

    (void)settings; /* the helper has the program since the start */
    if (exec == NULL) {
        return ERR_NOMEM;
    }
    exec->magic = EXEC_MAGIC;
    exec->trial =
        (struct trial){.env = env, .cancel = cancel, .fn = asked->fn, .user = asked->user};
    (void)snprintf(exec->owner, sizeof(exec->owner), BACKEND_VERIFY_OWNER "%s", asked->role);
    exec->run = (struct env_run){
        .backend = exec->owner,
        .program = BACKEND_VERIFY_PROGRAM,
        .variables = {{.name = STR("LEASED_ROLE"), .value = str_of(asked->role)}},
        .variable_count = 1,
        .fn = ended,
        .user = exec,
    };
    exec->timer.fn = time_is_up;
    exec->timer.user = exec;
    r = start_run(exec, asked, e);
    if (r != 0) {
        mem_free(exec);
        return r;
    }
    env_timer_arm(env, &exec->timer, env_now_ms(env) + asked->timeout_ms);
    *ret_trial = &exec->trial;
    return 0;
}
