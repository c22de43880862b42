/* `lease exec ROLE… -- PROGRAM`.
 *
 * Happy path: the options are read → what must be heard of is opened (signals, the terminal,
 * timers) → the program runs (exec_supervise.c) → its grants are ended and the issuer's
 * confirmation is waited for shortly, and its exit code becomes ours. The signals stay blocked to
 * the end: what comes late must not keep us from ending the grants. Failures: the daemon is gone →
 * nothing to end, a message, the exit code stays. */
#include "cli/exec.h"

#include "cli/credential.h"
#include "cli/exec_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Who has hang-ups ignored, by nohup, wants to outlive the terminal. */
static int open_terminal(void)
{
    struct sigaction hang_up;

    if (sigaction(SIGHUP, NULL, &hang_up) != 0 || hang_up.sa_handler == SIG_IGN) {
        return -1;
    }
    return open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
}

static bool open_all(struct exec *exec)
{
    bool is_open;
    size_t i;

    exec->signal_fd = signalfd(-1, &exec->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    is_open = exec->signal_fd >= 0;
    for (i = 0; i < EXEC_TIMERS; i++) {
        exec->timers[i] = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        is_open = is_open && exec->timers[i] >= 0;
    }
    exec->terminal_fd = open_terminal();
    return is_open;
}

static void close_all(struct exec *exec)
{
    size_t i;

    (void)close(exec->signal_fd);
    (void)close(exec->terminal_fd);
    for (i = 0; i < EXEC_TIMERS; i++) {
        (void)close(exec->timers[i]);
    }
}

static int run(struct exec *exec)
{
    int exit_code = exec_files_open(exec->cli, &exec->plan);

    if (exit_code != CLI_OK) {
        return exit_code;
    }
    /* Blocked before the first fork: one that comes early waits for the child instead of killing us
     * alone. */
    (void)sigprocmask(SIG_BLOCK, &exec->signals, NULL);
    if (open_all(exec)) {
        exit_code = exec_supervise(exec);
        exec_end_grants(exec);
    } else {
        cli_message(exec->cli, "could not wait for signals: %s", err_str(-errno));
        exit_code = CLI_EXEC_FAILED;
    }
    close_all(exec);
    (void)sigprocmask(SIG_SETMASK, &exec->cli->process.mask, NULL);
    return exit_code;
}

int exec_run(struct cli *cli)
{
    struct exec exec = {
        .cli = cli, .terminal_fd = -1, .watch_fd = -1, .child = {.tell_fd = -1, .go_fd = -1}};
    int exit_code = exec_plan_read(cli, &exec.plan);

    /* Of a `lease exec` that this one runs in: its grants aren't ours. */
    (void)unsetenv(CREDENTIAL_GRANT_VARIABLE);
    if (exit_code != CLI_OK) {
        return exit_code;
    }
    exec_signals_fill(&exec.signals);
    buf_init(&exec.child.told, EXEC_TOLD_MAX_BYTES);
    buf_init(&exec.seen, EXEC_TOLD_MAX_BYTES);
    exit_code = run(&exec);
    exec_files_close(&exec.plan);
    buf_fini(&exec.child.told);
    buf_fini(&exec.seen);
    return exit_code;
}
