/* The parent of `lease exec`, from the first child to the program's end.
 *
 * Happy path: a child asks for the credentials and tells what it was granted → it gets the word and
 * becomes the program → signals are passed on until it ends.
 *
 * With --watch, when a successor is heard of, after a moment in which others may come: another
 * child reads it, while the program goes on with the old credential → with --signal: the files
 * change under their names, the program is told, and after a moment to read them the rotation is
 * acknowledged; else: the program is told to end, and killed if it doesn't → it has ended: the
 * files change, the waiting child becomes the program → it has: the rotation is acknowledged.
 *
 * Failure paths: a child gets no credential: the first time that is the end, later the program goes
 * on and it is tried again. The program ends without having been told to: that is the end, also of
 * one that was just started again: a crash is never repeated. A grant ends: nothing is followed any
 * more, the program goes on. The terminal hangs up: the grants end at once, whatever the program
 * makes of it, unless hang-ups were ignored from the start (nohup). When this process is killed,
 * the daemon ends the grants, because they are bound to it too, and the files are gone with it. */
#include "cli/exec_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEBOUNCE_MS 250U
#define RETRY_MS 5000U
#define GRACE_MS 10000U /* between SIGTERM and SIGKILL */
#define SETTLE_MS 5000U /* between the signal and the acknowledgement */

static void timer_arm(const struct exec *exec, enum exec_timer timer, unsigned ms)
{
    const struct itimerspec when = {
        .it_value = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}};

    (void)timerfd_settime(exec->timers[timer], 0, &when, NULL);
}

static void timer_disarm(const struct exec *exec, enum exec_timer timer)
{
    timer_arm(exec, timer, 0);
}

static void end(struct exec *exec, int exit_code)
{
    exec->is_over = true;
    exec->exit_code = exit_code;
}

static int exit_code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* --- the child that asks --- */

static void fetch(struct exec *exec)
{
    size_t i;

    if (exec->child.tell_fd >= 0) {
        timer_arm(exec, EXEC_TIMER_FETCH, DEBOUNCE_MS); /* the one before isn't through */
        return;
    }
    for (i = 0; i < ARRAY_LEN(exec->held); i++) {
        exec->held[i].read[0] = '\0';
    }
    if (exec_child_start(exec) != CLI_OK) {
        if (exec->program == 0) {
            end(exec, CLI_EXEC_FAILED);
        } else {
            timer_arm(exec, EXEC_TIMER_FETCH, RETRY_MS);
        }
    }
}

static bool is_news(const struct exec_held *held)
{
    return held->read[0] != '\0' && strcmp(held->read, held->lease) != 0;
}

/* Has it read something that the program doesn't have yet? */
static bool has_news(const struct exec *exec)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(exec->held); i++) {
        if (is_news(&exec->held[i]) && !exec->held[i].is_served) {
            return true;
        }
    }
    return false;
}

static void take_over(struct exec *exec)
{
    size_t i;

    for (i = 0; i < ARRAY_LEN(exec->held); i++) {
        struct exec_held *held = &exec->held[i];

        if (is_news(held)) {
            memcpy(held->lease, held->read, sizeof(held->lease));
        }
    }
    exec_files_swap(&exec->plan);
}

static void hand_over(struct exec *exec)
{
    take_over(exec);
    exec_child_go(exec);
}

static void refresh_files(struct exec *exec)
{
    take_over(exec);
    exec_child_drop(exec);
    (void)kill(exec->program, exec->plan.signal);
    timer_arm(exec, EXEC_TIMER_ACK, SETTLE_MS);
}

static void children_reap(struct exec *exec);

static void child_is_ready(struct exec *exec)
{
    exec->child.is_ready = true;
    children_reap(exec); /* a program that has ended by itself isn't started again */
    if (exec->is_over) {
        return;
    }
    if (exec->program == 0) {
        hand_over(exec);
    } else if (!has_news(exec)) {
        exec_child_drop(exec);
    } else if (exec->plan.signal != 0) {
        refresh_files(exec);
    } else {
        exec->is_stopping = true;
        (void)kill(exec->program, SIGTERM);
        (void)kill(exec->program, SIGCONT); /* a stopped one wouldn't hear it */
        timer_arm(exec, EXEC_TIMER_KILL, GRACE_MS);
    }
}

/* "grant INDEX GRANT LEASE ends", or "served" and "stays" in their places; "ready 0" */
static void child_line(struct exec *exec, struct str line)
{
    struct str word = str_cut(&line, ' ');
    struct str index = str_cut(&line, ' ');
    struct str grant = str_cut(&line, ' ');
    struct str lease = str_cut(&line, ' ');
    struct exec_held *held;
    uint64_t role;

    if (str_parse_u64(index, &role) != 0 || role >= ARRAY_LEN(exec->held)) {
        return;
    }
    held = &exec->held[role];
    if (str_eq_c(word, "ready")) {
        child_is_ready(exec);
    } else if (grant.len < sizeof(held->grant) && lease.len < sizeof(held->read)) {
        memcpy(held->grant, grant.ptr, grant.len);
        held->grant[grant.len] = '\0';
        memcpy(held->read, lease.ptr, lease.len);
        held->read[lease.len] = '\0';
        held->is_irrevocable = str_eq_c(line, "stays");
        held->is_served = str_eq_c(word, "served");
    }
}

/* Whole lines of what a pipe has brought; what is left over stays. False at its end. */
static bool pipe_read(struct exec *exec, int fd, struct buf *text,
                      void (*take)(struct exec *exec, struct str line))
{
    char bytes[4096];
    ssize_t size = read(fd, bytes, sizeof(bytes));
    struct str rest;

    if (size <= 0) {
        return size < 0 && errno == EINTR;
    }
    buf_add(text, bytes, (size_t)size);
    rest = buf_str(text);
    while (memchr(rest.ptr, '\n', rest.len) != NULL) {
        take(exec, str_cut(&rest, '\n'));
    }
    memmove(text->bytes, text->bytes + (text->len - rest.len), rest.len);
    text->len = rest.len;
    return true;
}

/* The child's end of the pipe is closed: it has become the program, or has ended. */
static void child_is_silent(struct exec *exec)
{
    (void)close(exec->child.tell_fd);
    exec->child.tell_fd = -1;
    if (exec->child.pid > 0 || exec->program == 0) {
        return; /* it has ended; that is heard of, too */
    }
    if (!exec->is_first) {
        exec_acknowledge(exec);
    } else if (exec->plan.has_watch) {
        exec_watcher_start(exec);
    }
    exec->is_first = false;
}

static void child_read(struct exec *exec)
{
    if (!pipe_read(exec, exec->child.tell_fd, &exec->child.told, child_line)) {
        child_is_silent(exec);
    }
}

/* --- what ends or stops --- */

static void child_ended(struct exec *exec, int status)
{
    bool was_ready = exec->child.is_ready;

    exec->child.pid = 0;
    while (exec->child.tell_fd >= 0) {
        child_read(exec);
    }
    exec_child_drop(exec);
    if (exec->program == 0) {
        end(exec, exit_code_of(status));
    } else if (!was_ready) {
        timer_arm(exec, EXEC_TIMER_FETCH, RETRY_MS);
    }
}

static void program_ended(struct exec *exec, int status)
{
    exec->program = 0;
    if (!exec->is_stopping) {
        end(exec, exit_code_of(status));
        return;
    }
    exec->is_stopping = false;
    timer_disarm(exec, EXEC_TIMER_KILL);
    if (exec->child.pid > 0) {
        hand_over(exec);
    } else {
        fetch(exec); /* the one that was waiting has come to harm */
    }
}

/* A program that stops itself, as editors do on a key, stops the job. */
static void program_stopped(int number)
{
    if (exec_is_stop(number)) {
        exec_stop_self(number);
    }
}

/* Of all children: as a container's first process we are the parent of everybody who lost theirs.
 */
static void children_reap(struct exec *exec)
{
    int status;
    pid_t pid;

    while (!exec->is_over && (pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
        if (WIFSTOPPED(status)) {
            if (pid == exec->program) {
                program_stopped(WSTOPSIG(status));
            }
        } else if (pid == exec->program) {
            program_ended(exec, status);
        } else if (pid == exec->child.pid) {
            child_ended(exec, status);
        } else if (pid == exec->watcher) {
            exec->watcher = 0;
            exec_watcher_stop(exec);
            cli_message(exec->cli, "rotations aren't followed any more");
        }
    }
}

/* --- what comes from outside --- */

/* Somebody wants the program to end or to hear of it: that comes before starting it again. */
static void restart_cancel(struct exec *exec, int number)
{
    if (exec->is_stopping &&
        (number == SIGTERM || number == SIGINT || number == SIGQUIT || number == SIGHUP)) {
        exec->is_stopping = false;
        timer_disarm(exec, EXEC_TIMER_KILL);
        exec_child_drop(exec);
    }
}

static void signals_read(struct exec *exec)
{
    struct signalfd_siginfo info;

    while (read(exec->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        const struct exec_signal signal = {.number = (int)info.ssi_signo,
                                           .code = info.ssi_code,
                                           .sender = (pid_t)info.ssi_pid};

        if (signal.number == SIGCHLD) {
            continue; /* whoever has ended is found, in any case */
        }
        restart_cancel(exec, signal.number);
        exec_forward(&signal, exec->program > 0 ? exec->program : exec->child.pid);
        if (exec_is_stop(signal.number)) {
            exec_stop_self(signal.number);
        }
    }
    children_reap(exec);
}

static void watch_line(struct exec *exec, struct str line)
{
    struct str event = str_cut(&line, ' ');
    struct str grant = str_cut(&line, ' ');
    size_t i;

    for (i = 0; i < exec->cli->options.arg_count; i++) {
        const struct exec_held *held = &exec->held[i];

        if (!str_eq_c(grant, held->grant)) {
            continue;
        }
        if (str_eq_c(event, "gone")) {
            cli_message(exec->cli, "the grant of %s has ended: %.*s", exec->cli->options.args[i],
                        STR_ARG(line));
            timer_disarm(exec, EXEC_TIMER_FETCH);
            exec_watcher_stop(exec);
        } else if (!str_eq_c(line, held->lease) && !held->is_served) {
            timer_arm(exec, EXEC_TIMER_FETCH, DEBOUNCE_MS);
        }
    }
}

static void watch_read(struct exec *exec)
{
    if (!pipe_read(exec, exec->watch_fd, &exec->seen, watch_line) && exec->watch_fd >= 0) {
        (void)close(exec->watch_fd);
        exec->watch_fd = -1;
    }
}

static void terminal_hung_up(struct exec *exec)
{
    (void)close(exec->terminal_fd);
    exec->terminal_fd = -1;
    timer_disarm(exec, EXEC_TIMER_FETCH);
    exec_watcher_stop(exec);
    exec_end_grants_now(exec);
}

static void timer_due(struct exec *exec, enum exec_timer timer)
{
    uint64_t times;

    if (read(exec->timers[timer], &times, sizeof(times)) != (ssize_t)sizeof(times)) {
        return;
    }
    switch (timer) {
    case EXEC_TIMER_FETCH:
        fetch(exec);
        break;
    case EXEC_TIMER_KILL:
        if (exec->is_stopping) {
            (void)kill(exec->program, SIGKILL);
        }
        break;
    case EXEC_TIMER_ACK:
        exec_acknowledge(exec);
        break;
    default:
        break;
    }
}

static void turn(struct exec *exec)
{
    enum { SIGNALS, CHILD, WATCH, TERMINAL, TIMERS };
    struct pollfd fds[TIMERS + EXEC_TIMERS] = {
        [SIGNALS] = {.fd = exec->signal_fd, .events = POLLIN},
        [CHILD] = {.fd = exec->child.tell_fd, .events = POLLIN},
        [WATCH] = {.fd = exec->watch_fd, .events = POLLIN},
        [TERMINAL] = {.fd = exec->terminal_fd}, /* a hang-up is always told */
    };
    unsigned i;

    for (i = 0; i < EXEC_TIMERS; i++) {
        fds[TIMERS + i] = (struct pollfd){.fd = exec->timers[i], .events = POLLIN};
    }
    if (poll(fds, ARRAY_LEN(fds), -1) < 0) {
        return; /* continued after a stop */
    }
    if (fds[TERMINAL].revents != 0) {
        terminal_hung_up(exec);
    }
    /* What one does may close what the next was about. */
    if (fds[CHILD].revents != 0 && exec->child.tell_fd == fds[CHILD].fd) {
        child_read(exec);
    }
    if (!exec->is_over && fds[WATCH].revents != 0 && exec->watch_fd == fds[WATCH].fd) {
        watch_read(exec);
    }
    for (i = 0; !exec->is_over && i < EXEC_TIMERS; i++) {
        if (fds[TIMERS + i].revents != 0) {
            timer_due(exec, (enum exec_timer)i);
        }
    }
    if (!exec->is_over && fds[SIGNALS].revents != 0) {
        signals_read(exec);
    }
}

int exec_supervise(struct exec *exec)
{
    exec->is_first = true;
    fetch(exec);
    while (!exec->is_over) {
        turn(exec);
    }
    exec_child_drop(exec);
    exec_watcher_stop(exec);
    return exec->exit_code;
}
