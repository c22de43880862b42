/* Happy path: started → output and stderr are read as they come → the process ends → its group is
 * killed, what is left in the pipes is read → ended with its exit code.
 *
 * Failure paths: not a program of the table, or no child: ended at once. Too much output, out of
 * time, canceled: killed, and ended when the kernel says that it is dead. */
#include "helper/run.h"

#include "base/mem.h"
#include "wire/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENVIRONMENT_MAX 64U
#define VARIABLE_MAX_BYTES 2048U
#define READ_MAX_BYTES 4096U

static const char *const defaults[] = {"PATH=/usr/bin:/bin", "LANG=C", "HOME=/"};

/* ---- environment ------------------------------------------------------------ */

static bool is_overridden(const struct helper_program *program, const char *variable)
{
    size_t len = strcspn(variable, "=") + 1;
    size_t i;

    for (i = 0; program->environment != NULL && program->environment[i] != NULL; i++) {
        if (strncmp(program->environment[i], variable, len) == 0) {
            return true;
        }
    }
    return false;
}

static int add(char **environment, size_t *count, char *text)
{
    if (text == NULL || *count + 1 >= ENVIRONMENT_MAX) {
        mem_free(text);
        return ERR_NOMEM;
    }
    environment[(*count)++] = text;
    return 0;
}

static int add_value(char **environment, size_t *count, const char *name, struct str value)
{
    BUF_AUTO text;

    buf_init(&text, VARIABLE_MAX_BYTES);
    if (value.len == 0) {
        return 0;
    }
    buf_printf(&text, "%s=", name);
    buf_add_str(&text, value);
    return add(environment, count, buf_steal(&text));
}

/* NULL: out of memory, or too many. helper_texts_free. */
static char **make_environment(const struct helper_program *program,
                               const struct run_message *message)
{
    char **environment = mem_calloc(ENVIRONMENT_MAX, sizeof(*environment));
    size_t count = 0;
    size_t i;
    int r = environment != NULL ? 0 : ERR_NOMEM;

    for (i = 0; r == 0 && i < ARRAY_LEN(defaults); i++) {
        if (!is_overridden(program, defaults[i])) {
            r = add(environment, &count, mem_strdup(defaults[i]));
        }
    }
    for (i = 0; r == 0 && program->environment != NULL && program->environment[i] != NULL; i++) {
        r = add(environment, &count, mem_strdup(program->environment[i]));
    }
    for (i = 0; r == 0 && i < RUN_VARIABLE_COUNT; i++) {
        r = add_value(environment, &count, run_variable_name((enum run_variable)i),
                      message->values[i]);
    }
    if (r != 0) {
        helper_texts_free(environment);
        return NULL;
    }
    return environment;
}

/* ---- the end ---------------------------------------------------------------- */

static void decide(struct run *run, enum run_outcome outcome, const char *text)
{
    if (run->outcome == 0) {
        run->outcome = outcome;
        (void)snprintf(run->text, sizeof(run->text), "%s", text);
    }
}

static bool is_passing(int error)
{
    return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
}

static void decide_not_started(struct run *run, const char *what, int error)
{
    char text[sizeof(run->text)];

    (void)snprintf(text, sizeof(text), "%s: %s", what, err_str(-error));
    decide(run, is_passing(error) ? RUN_BUSY : RUN_NOT_STARTED, text);
}

/* The first line on stderr, made fit for people. */
static void errors_line(const struct run *run, char text[RUN_TEXT_MAX_BYTES + 1])
{
    struct str line = {.ptr = run->errors, .len = run->errors_len};
    size_t len = 0;

    line = str_trim(line);
    line = str_trim(str_cut(&line, '\n'));
    while (line.len > 0) {
        uint32_t code_point = 0;
        size_t size = utf8_decode(line, &code_point);
        bool is_seen = size > 0 && code_point >= 0x20 && (code_point < 0x7f || code_point >= 0xa0);

        size = size > 0 ? size : 1;
        if (len + size > RUN_TEXT_MAX_BYTES) {
            break;
        }
        if (is_seen) {
            memcpy(text + len, line.ptr, size);
            len += size;
        } else {
            text[len++] = '?';
        }
        line.ptr += size;
        line.len -= size;
    }
    text[len] = '\0';
}

static void decide_by_status(struct run *run, int status)
{
    char text[sizeof(run->text)];

    if (WIFEXITED(status)) {
        errors_line(run, text);
        run->exit_code = (uint8_t)WEXITSTATUS(status);
        decide(run, RUN_EXITED, text);
    } else {
        (void)snprintf(text, sizeof(text), "was ended by signal %d", WTERMSIG(status));
        decide(run, RUN_KILLED, text);
    }
}

/* ---- reading ---------------------------------------------------------------- */

static void take_output(struct run *run, struct str bytes)
{
    buf_add_str(&run->output, bytes);
    if (buf_status(&run->output) == ERR_TOO_LARGE) {
        run_kill(run, RUN_KILLED, "printed more than 64 KiB and was killed");
    } else if (buf_status(&run->output) != 0) {
        run_kill(run, RUN_KILLED, "was killed: out of memory");
    }
}

static void take_errors(struct run *run, struct str bytes)
{
    size_t room = sizeof(run->errors) - run->errors_len;
    size_t len = bytes.len < room ? bytes.len : room;

    memcpy(run->errors + run->errors_len, bytes.ptr, len);
    run->errors_len += len;
}

static void take_problem(struct run *run, struct str bytes)
{
    if (bytes.len == sizeof(run->problem)) {
        memcpy(&run->problem, bytes.ptr, bytes.len);
        run->has_problem = true;
    }
}

/* Reads what is there, but no more than fills every buffer: who prints without end must not keep
 * others waiting. */
static void read_pipe(struct run *run, int *fd, void (*take)(struct run *run, struct str bytes))
{
    char bytes[READ_MAX_BYTES];
    size_t total = 0;

    while (*fd >= 0 && total <= RUN_OUTPUT_MAX_BYTES) {
        ssize_t size = read(*fd, bytes, sizeof(bytes));

        if (size > 0) {
            total += (size_t)size;
            take(run, (struct str){.ptr = bytes, .len = (size_t)size});
        } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
            child_close(fd);
        } else if (errno == EAGAIN) {
            break;
        }
    }
    mem_wipe(bytes, sizeof(bytes));
}

static void read_all(struct run *run)
{
    read_pipe(run, &run->child.output, take_output);
    read_pipe(run, &run->child.errors, take_errors);
    read_pipe(run, &run->child.problem, take_problem);
}

/* ---- life ------------------------------------------------------------------- */

void run_begin(struct run *run, const struct helper_programs *programs,
               const struct run_message *message, uint64_t now_ms)
{
    const struct helper_program *program =
        helper_programs_find(programs, message->backend, message->program);
    char **environment;
    int r;

    *run = (struct run){.state = RUN_STATE_ENDED, .id = message->id};
    run->child = (struct child){.pid = -1, .pidfd = -1, .output = -1, .errors = -1, .problem = -1};
    buf_init(&run->output, RUN_OUTPUT_MAX_BYTES);
    if (program == NULL) {
        decide(run, RUN_NOT_STARTED,
               "is not a program that the configuration named when leased started");
        return;
    }
    environment = make_environment(program, message);
    r = environment != NULL ? child_start(program, environment, message->input, &run->child)
                            : -ENOMEM;
    helper_texts_free(environment);
    if (r != 0) {
        decide_not_started(run, "could not be started", -r);
        return;
    }
    run->state = RUN_STATE_RUNNING;
    run->deadline_ms = now_ms + program->timeout_ms;
}

void run_kill(struct run *run, enum run_outcome outcome, const char *text)
{
    if (run->state != RUN_STATE_RUNNING) {
        return;
    }
    decide(run, outcome, text);
    run->deadline_ms = UINT64_MAX;
    if (run->child.pidfd >= 0) {
        child_kill(&run->child);
    }
}

void run_poll(const struct run *run, struct pollfd *ret_polled)
{
    const struct child *child = &run->child;
    const int fds[RUN_POLLED] = {child->pidfd, child->output, child->errors, child->problem};
    size_t i;

    for (i = 0; i < RUN_POLLED; i++) {
        ret_polled[i] =
            (struct pollfd){.fd = run->state == RUN_STATE_RUNNING ? fds[i] : -1, .events = POLLIN};
    }
}

/* The process is dead. */
static void finish(struct run *run)
{
    int status = child_reap(&run->child);

    read_all(run);
    if (run->has_problem) {
        decide_not_started(run, child_step_str(run->problem.step), run->problem.error);
    }
    decide_by_status(run, status);
    child_fini(&run->child);
    run->state = RUN_STATE_ENDED;
}

void run_step(struct run *run, const struct pollfd *polled, uint64_t now_ms)
{
    if (run->state != RUN_STATE_RUNNING) {
        return;
    }
    read_all(run);
    if (now_ms >= run->deadline_ms) {
        run_kill(run, RUN_KILLED, "took too long and was killed");
    }
    if (polled[0].revents != 0) {
        finish(run);
    }
}

struct run_message run_end_message(const struct run *run)
{
    struct run_message message = {.kind = RUN_END,
                                  .id = run->id,
                                  .outcome = run->outcome,
                                  .exit_code = run->exit_code,
                                  .text = str_of(run->text)};

    /* Of who failed only the failure is passed on. */
    if (run->outcome == RUN_EXITED && run->exit_code == 0) {
        message.output = buf_str(&run->output);
    }
    return message;
}

void run_free(struct run *run)
{
    child_fini(&run->child);
    buf_fini(&run->output);
    mem_wipe(run, sizeof(*run));
    run->state = RUN_STATE_FREE;
}
