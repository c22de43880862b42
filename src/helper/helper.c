/* Happy path: socket pair → fork → the helper lets go of everything and serves.
 *
 * It is of the daemon's session and control group, and so gets what is sent to all of those: it
 * outlives the signals that ask the daemon to stop or to look again, because the daemon still has
 * credentials to revoke then. */
#include "helper/helper.h"

#include "helper/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_BUFFER_BYTES (256 * 1024)

static void ignore_signals(void)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE};
    size_t i;

    for (i = 0; i < ARRAY_LEN(numbers); i++) {
        (void)signal(numbers[i], SIG_IGN);
    }
    (void)signal(SIGCHLD, SIG_DFL);
}

static void close_others(int fd)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)dup2(nothing, STDIN_FILENO);
    (void)dup2(nothing, STDOUT_FILENO);
    if (fd > STDERR_FILENO + 1) {
        (void)close_range(STDERR_FILENO + 1, (unsigned int)fd - 1, 0);
    }
    (void)close_range((unsigned int)fd + 1, ~0U, 0);
}

/* A machine without memory may spare the daemon, but not the programs with it. To be spared less
 * needs no right. */
static void become_killable(void)
{
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    char sign = '0';

    if (fd >= 0 && pread(fd, &sign, 1, 0) == 1 && sign == '-') {
        ssize_t written = pwrite(fd, "0", 1, 0);

        (void)written;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* It holds a credential for the moment between a program's end and its answer. */
static void close_to_others(void)
{
    static const struct rlimit no_core = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)prctl(PR_SET_NAME, "leased-helper", 0, 0, 0);
}

ATTR_NORETURN static void run_helper(const struct helper_options *options, int fd)
{
    ignore_signals();
    close_others(fd);
    become_killable();
    close_to_others();
    if (options->forget != NULL) {
        options->forget(options->user);
    }
    helper_serve(options->programs, fd);
    _exit(EXIT_SUCCESS);
}

int helper_start(const struct helper_options *options, struct helper *ret_helper, struct err *e)
{
    const int size = SOCKET_BUFFER_BYTES;
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return err_set(e, -errno, "could not make the helper's socket: %s", err_str(-errno));
    }
    /* So that the largest answer fits, whatever the machine's default is. */
    (void)setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    (void)setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    pid = fork();
    if (pid == 0) {
        run_helper(options, ends[1]);
    }
    (void)close(ends[1]);
    if (pid < 0) {
        int r = -errno;

        (void)close(ends[0]);
        return err_set(e, r, "could not make the helper process: %s", err_str(r));
    }
    *ret_helper = (struct helper){.pid = pid, .fd = ends[0]};
    return 0;
}
