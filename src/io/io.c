/* The loop and its life.
 *
 * Happy path: io_new makes the loop and its parts; io_run turns it until io_stop; io_close cancels
 * what is under way, closes our handles in order, turns the loop until nothing closes any more and
 * frees everything.
 *
 * A turn: timers → deferred calls → poll (waits only if no deferred call is pending) → deferred
 * calls. The clock goes stale around each phase, so that every callback sees one time and no phase
 * sees an old one.
 *
 * Failure paths: io_new undoes what it made. io_close names the handles that somebody forgot, on
 * stderr, and keeps `io`, since they still point into the loop; once they are closed it can be
 * called again. */
#include "io/io.h"

#include "base/mem.h"
#include "io/io_internal.h"
#include "io/passed.h"
#include "io/seal.h"

#include <signal.h>
#include <stdio.h>

static void io_defer(struct env *env, struct env_deferred *deferred)
{
    struct io *io = io_of(env);

    CHECK(deferred->fn != NULL);
    if (!list_is_linked(&deferred->node)) {
        list_push_back(&io->deferred, &deferred->node);
    }
}

static int io_env_seal(struct env *env, struct str owner, struct str plain, char *ret_sealed)
{
    return io_seal(io_of(env)->seal, owner, plain, ret_sealed);
}

static int io_env_unseal(struct env *env, struct str owner, struct str sealed, char *ret_plain)
{
    return io_unseal(io_of(env)->seal, owner, sealed, ret_plain);
}

static const struct env_ops io_ops = {
    .now_ms = io_now_ms,
    .wall_ms = io_wall_ms,
    .random = io_random,
    .timer_arm = io_timer_arm,
    .timer_disarm = io_timer_disarm,
    .defer = io_defer,
    .http_start = io_http_start,
    .http_cancel = io_http_cancel,
    .file_open = io_file_open,
    .process_lookup = io_process_lookup,
    .process_watch_start = io_process_watch_start,
    .process_watch_close = io_process_watch_close,
    .process_watch_has_ended = io_process_watch_has_ended,
    .cgroup_find = io_cgroup_find,
    .cgroup_watch_start = io_cgroup_watch_start,
    .cgroup_watch_close = io_cgroup_watch_close,
    .cgroup_watch_has_ended = io_cgroup_watch_has_ended,
    .secret_read = io_secret_read,
    .user_name = io_user_name,
    .group_name = io_group_name,
    .post = io_post,
    .stopwatch_us = io_stopwatch_us,
    .user_groups = io_user_groups,
    .seal = io_env_seal,
    .unseal = io_env_unseal,
    .usage = io_usage,
    .ledger_open = io_ledger_open,
    .boot_id = io_boot_id,
    .file_put = io_file_put,
    .file_read = io_file_read,
    .run_start = io_run_start,
    .run_cancel = io_run_cancel,
    .run_problem = io_run_problem,
    .unit_is_running = io_unit_is_running,
};

/* Runs the calls that are waiting now. What they defer in turn waits for the next phase, so that a
 * chain of deferred calls never keeps I/O waiting. */
static void run_deferred(struct io *io)
{
    struct list due;
    struct list *node;

    list_init(&due);
    list_splice(&due, &io->deferred);
    while ((node = list_pop_front(&due)) != NULL) {
        struct env_deferred *deferred = LIST_ENTRY(node, struct env_deferred, node);

        io->has_run_something = true;
        deferred->fn(deferred); /* the deferred call may be gone */
    }
}

/* An active idle handle makes libuv poll without waiting; that is all it does. */
static void on_no_wait(uv_idle_t *handle)
{
    (void)handle;
}

static void on_before_poll(uv_prepare_t *handle)
{
    struct io *io = OBJ_CAST(handle->data, struct io, IO_MAGIC);

    io->now_is_stale = true;
    io_usage_turn(io);
    run_deferred(io);
    if (io->has_closed_handles) {
        return;
    }
    io_timers_schedule(io);
    if (list_is_empty(&io->deferred) && !(io->is_single_turn && io->has_run_something)) {
        (void)uv_idle_stop(&io->no_wait);
    } else {
        (void)uv_idle_start(&io->no_wait, on_no_wait);
    }
    io->now_is_stale = true;
}

static void on_after_poll(uv_check_t *handle)
{
    struct io *io = OBJ_CAST(handle->data, struct io, IO_MAGIC);

    io->now_is_stale = true;
    run_deferred(io);
    io->now_is_stale = true;
}

static void start_phases(struct io *io)
{
    (void)uv_prepare_init(&io->loop, &io->before_poll);
    io->before_poll.data = io;
    (void)uv_prepare_start(&io->before_poll, on_before_poll);
    (void)uv_check_init(&io->loop, &io->after_poll);
    io->after_poll.data = io;
    (void)uv_check_start(&io->after_poll, on_after_poll);
    (void)uv_idle_init(&io->loop, &io->no_wait);
    io->no_wait.data = io;
}

int io_new(struct io **ret_io, struct err *e)
{
    struct io *io = mem_calloc(1, sizeof(*io));
    uint64_t seed;
    int rc;

    if (io == NULL) {
        return err_set(e, ERR_NOMEM, "could not make the event loop: out of memory");
    }
    io->magic = IO_MAGIC;
    io->env.ops = &io_ops;
    io->env.impl = io;
    io->now_is_stale = true;
    list_init(&io->deferred);
    list_init(&io->signals);
    list_init(&io->watches);
    list_init(&io->cgroup_watches);
    diag_init(&io->diag);
    rc = uv_loop_init(&io->loop);
    if (rc != 0) {
        mem_free(io);
        return err_set(e, rc, "could not make the event loop: %s", uv_strerror(rc));
    }
    /* A peer that goes away while we write must be an error of that write, not the end of the
     * daemon. */
    (void)signal(SIGPIPE, SIG_IGN);
    env_random(io_env(io), &seed, sizeof(seed));
    map_init(&io->usages, seed);
    io_usage_init(io);
    start_phases(io);
    io_timers_init(io);
    rc = io_posts_init(io);
    if (rc == 0) {
        rc = io_seal_new(IO_SEALS_MAX, &io->seal);
    }
    if (rc == 0) {
        rc = io_http_new(io, e);
    } else {
        (void)err_set(e, rc, "could not make the event loop: %s", err_str(rc));
    }
    if (rc != 0) {
        (void)io_close(io);
        return rc;
    }
    *ret_io = io;
    return 0;
}

struct env *io_env(struct io *io)
{
    return &io->env;
}

void io_set_environment(struct io *io, const struct io_environment *environment)
{
    io->environment = environment;
}

void io_run(struct io *io)
{
    (void)uv_run(&io->loop, UV_RUN_DEFAULT);
}

void io_run_once(struct io *io, bool wait)
{
    /* libuv runs timers before it polls, and would then wait for the next event. */
    io->is_single_turn = true;
    io->has_run_something = false;
    (void)uv_run(&io->loop, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    io->is_single_turn = false;
}

void io_stop(struct io *io)
{
    uv_stop(&io->loop);
}

static void count_closing(uv_handle_t *handle, void *user)
{
    size_t *count = user;

    *count += uv_is_closing(handle) ? 1 : 0;
}

static void run_until_closed(struct io *io)
{
    size_t count;

    do {
        (void)uv_run(&io->loop, UV_RUN_NOWAIT);
        count = 0;
        uv_walk(&io->loop, count_closing, &count);
    } while (count > 0 || !list_is_empty(&io->deferred));
}

/* The magic of the object behind `data`, as the four letters that its constant spells. */
static void report_forgotten(uv_handle_t *handle, void *user)
{
    uint32_t magic = handle->data != NULL ? *(const uint32_t *)handle->data : 0x3f3f3f3fU;
    char owner[5] = {(char)(magic >> 24), (char)(magic >> 16), (char)(magic >> 8), (char)magic, 0};

    (void)user;
    (void)fprintf(stderr, "io: forgotten %s handle of \"%s\" (%s)\n",
                  uv_handle_type_name(uv_handle_get_type(handle)), owner,
                  uv_is_active(handle) ? "active" : "idle");
}

static void close_handles(struct io *io)
{
    if (io->has_closed_handles) {
        return;
    }
    io->has_closed_handles = true;
    io_http_close(io);
    io_signals_close(io);
    io_cgroups_close(io);
    io_processes_close(io);
    io_runs_close(io);
    io_posts_close(io);
    io_timers_close(io);
    uv_close((uv_handle_t *)&io->no_wait, NULL);
}

static void close_phase_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

int io_close(struct io *io)
{
    io->is_closing = true;
    /* Each turn lets callbacks run; what a thread of libuv's pool does (look-ups, replacing files),
     * and a file's writer, can only be waited for. */
    while (!io_http_drain(io) || io->closing_file_count > 0 || io->put_count > 0) {
        io_run_once(io, true);
    }
    close_handles(io);
    run_until_closed(io);
    /* Last, because the callbacks of closing handles may defer. */
    close_phase_handle((uv_handle_t *)&io->before_poll);
    close_phase_handle((uv_handle_t *)&io->after_poll);
    run_until_closed(io);
    if (uv_loop_close(&io->loop) != 0) {
        uv_walk(&io->loop, report_forgotten, NULL);
        return ERR_BUSY;
    }
    io_http_fini(io);
    io_posts_fini(io);
    io_runs_fini(io);
    io_timers_fini(io);
    diag_fini(&io->diag);
    io_passed_close(io);
    io_seal_free(io->seal);
    map_fini(&io->usages);
    mem_free(io);
    return 0;
}
