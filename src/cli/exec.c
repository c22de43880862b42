/* `lease exec ROLE… -- PROGRAM`, the parent's part.
 *
 * Happy path: fork; the child gets the credentials and becomes the program (exec_child.c); here
 * signals are passed on until it ends, its grants are ended and the issuer's confirmation is waited
 * for shortly, and its exit code becomes ours. The parent never sees a credential. Failures: the
 * child can't start → its exit code (125, 126, 127), and what it was granted is ended the same way;
 * the daemon is gone → nothing to end, a message, the exit code stays. When this process is killed,
 * the daemon ends the grants, because they are bound to it too. */
#include "cli/exec.h"

#include "cli/api.h"
#include "cli/clock.h"
#include "cli/credential.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXEC_END_WAIT_MS 5000U
#define EXEC_END_TIMEOUT_MS 2000U
#define EXEC_GRANTS_MAX_BYTES (EXEC_ROLES_MAX * 128U)

static const int forwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

bool exec_must_forward(const struct exec_signal *signal, pid_t child, bool is_same_group,
                       bool is_session_leader)
{
    if (signal->code == SI_KERNEL) {
        /* From the terminal: it went to the whole group, the child included. Only a hang-up goes to
         * the session's leader alone. */
        return !is_same_group || (signal->number == SIGHUP && is_session_leader);
    }
    return signal->sender != child;
}

static void forward(const siginfo_t *info, pid_t child)
{
    struct exec_signal signal = {.number = info->si_signo,
                                 .code = info->si_code,
                                 .sender = info->si_pid};

    if (exec_must_forward(&signal, child, getpgid(child) == getpgrp(), getsid(0) == getpid())) {
        (void)kill(child, info->si_signo);
    }
}

/* Passes signals on until the child has ended; returns its exit code as a shell counts it. The
 * signals stay blocked: what comes later must not keep us from ending the grants. */
static int supervise(pid_t child, const sigset_t *signals)
{
    siginfo_t info;
    int status;

    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);

        if (ended == child) {
            break;
        }
        if (ended < 0 && errno != EINTR) {
            return CLI_EXEC_FAILED;
        }
        if (sigwaitinfo(signals, &info) > 0 && info.si_signo != SIGCHLD) {
            forward(&info, child);
        }
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void end_grant(struct cli *cli, struct str grant, uint64_t wait_ms)
{
    struct api_request request = {.method = "DELETE",
                                  .timeout_ms = EXEC_END_TIMEOUT_MS,
                                  .server_wait_ms = wait_ms,
                                  .is_quiet_if_gone = true};
    struct api_reply reply;
    char id[128];
    char seconds[24];
    char action[160];
    BUF_AUTO path;

    buf_init(&path, EXEC_GRANTS_MAX_BYTES);
    (void)snprintf(id, sizeof(id), "%.*s", STR_ARG(grant));
    (void)snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)((wait_ms + 999) / 1000));
    (void)snprintf(action, sizeof(action), "end grant %s", id);
    buf_add_c(&path, API_ROOT "/grants");
    api_add_segment(&path, id);
    api_add_parameter(&path, "wait", seconds);
    request.path = buf_str(&path).ptr;
    request.action = action;
    api_reply_init(&reply);
    if (api_call(cli, &request, &reply) == CLI_OK && reply.status == 202) {
        cli_message(cli, "the issuer has not confirmed the end of %s yet; leased goes on trying",
                    id);
    }
    api_reply_fini(&reply);
}

/* The child has ended, so the daemon may have noticed already; asking again makes sure, and tells
 * when it is done. */
static void end_grants(struct cli *cli, int fd)
{
    uint64_t deadline_ms = clock_now_ms() + EXEC_END_WAIT_MS;
    char bytes[EXEC_GRANTS_MAX_BYTES];
    struct str rest = {.ptr = bytes, .len = 0};
    ssize_t size;

    while (rest.len < sizeof(bytes) &&
           (size = read(fd, bytes + rest.len, sizeof(bytes) - rest.len)) > 0) {
        rest.len += (size_t)size;
    }
    while (rest.len > 0) {
        struct str grant = str_cut(&rest, '\n');
        uint64_t now_ms = clock_now_ms();

        if (grant.len > 0) {
            end_grant(cli, grant, now_ms < deadline_ms ? deadline_ms - now_ms : 0);
        }
    }
}

static int start(struct cli *cli, int read_fd, int write_fd)
{
    pid_t parent = getpid();
    sigset_t signals;
    pid_t child;
    int exit_code;
    size_t i;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGCHLD);
    for (i = 0; i < ARRAY_LEN(forwarded); i++) {
        (void)sigaddset(&signals, forwarded[i]);
    }
    /* Blocked before the fork: one that comes early waits for the child instead of killing us
     * alone. */
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    child = fork();
    if (child < 0) {
        cli_message(cli, "could not start a process: %s", err_str(-errno));
        exit_code = CLI_EXEC_FAILED;
    } else if (child == 0) {
        (void)sigprocmask(SIG_SETMASK, &cli->process.mask, NULL);
        _exit(exec_child(cli, parent, write_fd));
    } else {
        exit_code = supervise(child, &signals);
        end_grants(cli, read_fd);
    }
    (void)sigprocmask(SIG_SETMASK, &cli->process.mask, NULL);
    return exit_code;
}

int exec_run(struct cli *cli)
{
    int fds[2];
    int exit_code = credential_check_options(cli);

    if (exit_code != CLI_OK) {
        return exit_code;
    }
    /* Not blocking, though the child's end is closed by the time it is read: the program may have
     * handed it on. */
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        cli_message(cli, "could not make a pipe: %s", err_str(-errno));
        return CLI_EXEC_FAILED;
    }
    exit_code = start(cli, fds[0], fds[1]);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return exit_code;
}
