/* Programs run by the helper process.
 *
 * Happy path: a run becomes a message with a number of its own; the answer with this number ends
 * it, from the loop. What was printed lies in one buffer, wiped when the run's callback returns.
 *
 * Failure paths: the helper takes no message now, or there are too many runs: BUSY, from the loop.
 * Canceled: ended from the loop, whether the helper answers or not; its number stays known until it
 * does. It ends or breaks the rules: its socket is closed, what ran is LOST, what comes later is
 * NOT_STARTED. */
#include "io/run.h"

#include "base/mem.h"
#include "env/run.h"
#include "io/io_internal.h"
#include "wire/run_message.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELPER_MAGIC 0x68656c70U /* "help" */
#define REAP_AGAIN_MS 200U
#define REAP_TRIES 50U

#define NO_HELPER "nothing was named to be run when leased started"
#define ENDED "the helper process that runs programs has ended: restart leased"

struct io_helper {
    uint32_t magic;
    struct io *io;
    struct io_helper_options options;
    uv_poll_t poll;
    bool has_ended;
    struct list running; /* struct env_run: their numbers were sent */
    size_t running_count;
    uint32_t left[RUN_COUNT_MAX]; /* numbers of canceled ones that the helper hasn't ended */
    size_t left_count;
    struct list refused; /* they end from the loop; number 0: canceled */
    struct env_deferred refuse;
    struct env_timer reap;
    unsigned reap_count;
    uint32_t last_id;
    char bytes[RUN_MESSAGE_MAX_BYTES]; /* of the message that is read; else zero */
};

static struct io_helper *helper_cast(void *helper)
{
    return OBJ_CAST(helper, struct io_helper, HELPER_MAGIC);
}

/* ---- ends ------------------------------------------------------------------- */

static void end(struct env_run *run, enum env_run_outcome outcome, const char *text)
{
    const struct env_run_end ended = {.outcome = outcome, .text = str_of(text)};

    run->fn(run, &ended); /* the run may be gone */
}

static void end_all(struct io_helper *helper, enum env_run_outcome outcome, const char *text)
{
    struct list due;
    struct list *node;

    list_init(&due);
    list_splice(&due, &helper->running);
    helper->running_count = 0;
    while ((node = list_pop_front(&due)) != NULL) {
        end(LIST_ENTRY(node, struct env_run, node), outcome, text);
    }
}

static void refuse(struct env_deferred *deferred)
{
    struct io_helper *helper = helper_cast(deferred->user);
    struct list due;
    struct list *node;

    list_init(&due);
    list_splice(&due, &helper->refused);
    while ((node = list_pop_front(&due)) != NULL) {
        struct env_run *run = LIST_ENTRY(node, struct env_run, node);

        if (run->id == 0) {
            end(run, ENV_RUN_CANCELED, "");
        } else if (helper->has_ended) {
            end(run, ENV_RUN_NOT_STARTED, ENDED);
        } else {
            end(run, ENV_RUN_BUSY, "could not be started: too many programs run already");
        }
    }
}

static void end_soon(struct io_helper *helper, struct env_run *run)
{
    list_push_back(&helper->refused, &run->node);
    env_defer(&helper->io->env, &helper->refuse);
}

/* ---- the helper's end ------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct io_helper *helper = helper_cast(handle->data);

    (void)close(helper->options.fd);
    helper->options.fd = -1;
}

static void close_socket(struct io_helper *helper)
{
    if (!uv_is_closing((uv_handle_t *)&helper->poll)) {
        uv_close((uv_handle_t *)&helper->poll, on_closed);
    }
}

/* It is a zombie soon after its socket is closed. */
static void reap(struct env_timer *timer)
{
    struct io_helper *helper = helper_cast(timer->user);

    if (waitpid(helper->options.pid, NULL, WNOHANG) == 0 && helper->reap_count < REAP_TRIES) {
        helper->reap_count++;
        env_timer_arm(&helper->io->env, timer, env_now_ms(&helper->io->env) + REAP_AGAIN_MS);
    }
}

static void helper_ended(struct io_helper *helper)
{
    if (helper->has_ended) {
        return;
    }
    helper->has_ended = true;
    close_socket(helper);
    if (helper->options.pid > 0) {
        env_timer_arm(&helper->io->env, &helper->reap, 0);
    }
    end_all(helper, ENV_RUN_LOST, ENDED);
    if (helper->options.ended != NULL) {
        helper->options.ended(helper->options.user);
    }
}

/* ---- answers ---------------------------------------------------------------- */

static struct env_run *run_of(struct io_helper *helper, uint32_t id)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&helper->running, node, following) {
        struct env_run *run = LIST_ENTRY(node, struct env_run, node);

        if (run->id == id) {
            return run;
        }
    }
    return NULL;
}

static enum env_run_outcome outcome_of(enum run_outcome outcome)
{
    static const enum env_run_outcome outcomes[] = {
        [RUN_EXITED] = ENV_RUN_EXITED,     [RUN_NOT_STARTED] = ENV_RUN_NOT_STARTED,
        [RUN_BUSY] = ENV_RUN_BUSY,         [RUN_KILLED] = ENV_RUN_KILLED,
        [RUN_CANCELED] = ENV_RUN_CANCELED,
    };

    return outcomes[outcome];
}

/* Nobody waits for this one any more. */
static bool was_left(struct io_helper *helper, uint32_t id)
{
    size_t i;

    for (i = 0; i < helper->left_count; i++) {
        if (helper->left[i] == id) {
            helper->left[i] = helper->left[--helper->left_count];
            return true;
        }
    }
    return false;
}

static void take(struct io_helper *helper, struct str bytes)
{
    struct run_message message = {.kind = RUN_CANCEL};
    int r = run_message_read(bytes, &message);
    struct env_run *run = r == 0 && message.kind == RUN_END ? run_of(helper, message.id) : NULL;
    struct env_run_end ended;

    if (run == NULL) {
        if (r != 0 || message.kind != RUN_END || !was_left(helper, message.id)) {
            helper_ended(helper);
        }
        return;
    }
    list_remove(&run->node);
    helper->running_count--;
    ended = (struct env_run_end){.outcome = outcome_of(message.outcome),
                                 .exit_code = message.exit_code,
                                 .output = message.output,
                                 .text = message.text};
    run->fn(run, &ended); /* the run may be gone */
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct io_helper *helper = helper_cast(handle->data);

    (void)events;
    io_enter(helper->io);
    while (!helper->has_ended) {
        ssize_t size = status < 0 ? 0
                                  : recv(helper->options.fd, helper->bytes, sizeof(helper->bytes),
                                         MSG_DONTWAIT | MSG_TRUNC);

        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && errno == EAGAIN) {
            return;
        }
        if (size <= 0 || (size_t)size > sizeof(helper->bytes)) {
            helper_ended(helper);
        } else {
            take(helper, (struct str){.ptr = helper->bytes, .len = (size_t)size});
            mem_wipe(helper->bytes, (size_t)size);
        }
    }
    mem_wipe(helper->bytes, sizeof(helper->bytes));
}

/* ---- env -------------------------------------------------------------------- */

/* 0, ERR_INVALID, ERR_NOMEM; ERR_BUSY when it isn't taken now, ERR_CLOSED when never. */
static int send_message(struct io_helper *helper, const struct run_message *message)
{
    struct str bytes;
    BUF_AUTO out;
    int r;

    buf_init(&out, RUN_MESSAGE_MAX_BYTES);
    r = run_message_write(message, &out);
    if (r != 0) {
        return r;
    }
    bytes = buf_str(&out);
    if (send(helper->options.fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        return 0;
    }
    return errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : ERR_BUSY;
}

static int start_message(const struct env_run *run, struct run_message *ret_message)
{
    size_t i;

    *ret_message = (struct run_message){.kind = RUN_START,
                                        .id = run->id,
                                        .backend = str_of(run->backend),
                                        .program = str_of(run->program)};
    for (i = 0; i < run->variable_count; i++) {
        enum run_variable variable = run_variable_find(run->variables[i].name);

        if (variable == RUN_VARIABLE_COUNT) {
            return ERR_INVALID;
        }
        ret_message->values[variable] = run->variables[i].value;
    }
    ret_message->input = run->input;
    return 0;
}

int io_run_start(struct env *env, struct env_run *run)
{
    struct io *io = io_of(env);
    struct io_helper *helper = io->helper;
    struct run_message message;
    int r;

    CHECK(run->fn != NULL);
    CHECK(run->variable_count <= ENV_RUN_VARIABLES_MAX);
    if (io->is_closing) {
        return ERR_CLOSED;
    }
    if (helper == NULL) {
        return ERR_UNSUPPORTED;
    }
    helper->last_id += helper->last_id == UINT32_MAX ? 2 : 1;
    run->id = helper->last_id;
    r = start_message(run, &message);
    if (r != 0) {
        return r;
    }
    r = helper->has_ended ? ERR_CLOSED : ERR_BUSY;
    if (r == ERR_BUSY && helper->running_count + helper->left_count < RUN_COUNT_MAX) {
        r = send_message(helper, &message);
    }
    if (r == ERR_BUSY || r == ERR_CLOSED) {
        end_soon(helper, run);
        return 0;
    }
    if (r == 0) {
        list_push_back(&helper->running, &run->node);
        helper->running_count++;
    }
    return r;
}

/* Where the message can't be sent the program's own time ends it. */
void io_run_cancel(struct env *env, struct env_run *run)
{
    struct io_helper *helper = io_of(env)->helper;
    const struct run_message message = {.kind = RUN_CANCEL, .id = run->id};

    if (run_of(helper, run->id) != run) {
        return; /* it ends anyway */
    }
    (void)send_message(helper, &message);
    list_remove(&run->node);
    helper->running_count--;
    CHECK(helper->left_count < RUN_COUNT_MAX);
    helper->left[helper->left_count++] = run->id;
    run->id = 0;
    end_soon(helper, run);
}

const char *io_run_problem(struct env *env)
{
    const struct io_helper *helper = io_of(env)->helper;

    if (helper == NULL) {
        return NO_HELPER;
    }
    return helper->has_ended ? ENDED : NULL;
}

/* ---- life ------------------------------------------------------------------- */

int io_use_helper(struct io *io, const struct io_helper_options *options)
{
    struct io_helper *helper = mem_calloc(1, sizeof(*helper));
    int r = helper != NULL ? 0 : ERR_NOMEM;

    CHECK(io->helper == NULL);
    if (r == 0) {
        r = uv_poll_init(&io->loop, &helper->poll, options->fd);
    }
    if (r != 0) {
        (void)close(options->fd);
        mem_free(helper);
        return r;
    }
    helper->magic = HELPER_MAGIC;
    helper->io = io;
    helper->options = *options;
    helper->poll.data = helper;
    list_init(&helper->running);
    list_init(&helper->refused);
    helper->refuse.fn = refuse;
    helper->refuse.user = helper;
    helper->reap.fn = reap;
    helper->reap.user = helper;
    io->helper = helper;
    r = uv_poll_start(&helper->poll, UV_READABLE, on_readable);
    if (r != 0) {
        helper->has_ended = true;
        close_socket(helper);
    }
    return r;
}

void io_runs_close(struct io *io)
{
    struct io_helper *helper = io->helper;

    if (helper == NULL) {
        return;
    }
    helper->has_ended = true;
    list_splice(&helper->running, &helper->refused);
    env_undefer(&helper->refuse);
    env_timer_disarm(&io->env, &helper->reap);
    close_socket(helper);
    end_all(helper, ENV_RUN_CANCELED, "");
}

void io_runs_fini(struct io *io)
{
    mem_free(io->helper);
}
