/* Happy path: pipes → fork → in the child: own session, signals, descriptors, limits, user, no new
 * privileges, exec. The problem pipe closes itself with the exec. What the helper does itself is
 * done there, too: a disk that hangs keeps nobody else waiting, and its time is limited.
 *
 * Failure paths: whatever fails in the child is written into the problem pipe, and it ends; what
 * fails before the fork leaves nothing behind. */
#include "helper/child.h"

#include "base/mem.h"
#include "helper/operation.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPEN_FILES_MAX 1024U
#define PROBLEM_FD 3
#define EXIT_NOT_RUN 127
/* Above the numbers that the child's own descriptors get. */
#define SPARE_FD 16

/* The ends that the child gets. */
struct ends {
    int input; /* -1: there is nothing to read */
    int output;
    int errors;
    int problem;
};

/* ---- in the child ----------------------------------------------------------- */

ATTR_NORETURN static void give_up(enum child_step step)
{
    const struct child_problem problem = {.step = (int)step, .error = errno};
    ssize_t written = write(PROBLEM_FD, &problem, sizeof(problem));

    (void)written;
    _exit(EXIT_NOT_RUN);
}

static void reset_signals(void)
{
    sigset_t none;
    int number;

    for (number = 1; number < NSIG; number++) {
        (void)signal(number, SIG_DFL);
    }
    /* Whoever sends them to a whole unit means the daemon: a log rotation ends no program. */
    (void)signal(SIGUSR1, SIG_IGN);
    (void)signal(SIGUSR2, SIG_IGN);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* They all lie above SPARE_FD, so that none is overwritten before it is used. */
static void place_descriptors(const struct ends *ends)
{
    int input = ends->input;

    if (dup3(ends->problem, PROBLEM_FD, O_CLOEXEC) < 0) {
        _exit(EXIT_NOT_RUN);
    }
    if (input < 0) {
        input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    if (input < 0 || (input != STDIN_FILENO && dup2(input, STDIN_FILENO) < 0) ||
        dup2(ends->output, STDOUT_FILENO) < 0 || dup2(ends->errors, STDERR_FILENO) < 0 ||
        close_range(PROBLEM_FD + 1, ~0U, 0) != 0) {
        give_up(CHILD_STEP_DESCRIPTORS);
    }
}

static void set_limits(void)
{
    static const struct rlimit no_core = {0, 0};
    struct rlimit files;

    if (setrlimit(RLIMIT_CORE, &no_core) != 0 || getrlimit(RLIMIT_NOFILE, &files) != 0) {
        give_up(CHILD_STEP_LIMITS);
    }
    if (files.rlim_max > OPEN_FILES_MAX) {
        files.rlim_max = OPEN_FILES_MAX;
    }
    if (files.rlim_cur > files.rlim_max) {
        files.rlim_cur = files.rlim_max;
    }
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || chdir("/") != 0) {
        give_up(CHILD_STEP_LIMITS);
    }
    (void)umask(0077);
}

static void become_user(const struct helper_program *program)
{
    if (program->has_user && program->uid != geteuid() &&
        (setgroups(program->group_count, program->groups) != 0 ||
         setresgid(program->gid, program->gid, program->gid) != 0 ||
         setresuid(program->uid, program->uid, program->uid) != 0)) {
        give_up(CHILD_STEP_USER);
    }
    /* What lets the helper change users is nothing for the program. */
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        give_up(CHILD_STEP_USER);
    }
}

/* A change of the user takes it back, so it comes after that. */
static void die_with(pid_t helper)
{
    errno = ESRCH;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != helper) {
        give_up(CHILD_STEP_PARENT);
    }
}

ATTR_NORETURN static void become(const struct helper_program *program, char *const *environment,
                                 const struct ends *ends, pid_t helper)
{
    (void)setsid();
    reset_signals();
    place_descriptors(ends);
    set_limits();
    if (program->kind != HELPER_KIND_PROGRAM) {
        if (operation_drop_rights(program->kind) != 0) {
            give_up(CHILD_STEP_USER);
        }
        die_with(helper);
        _exit(operation_run(program));
    }
    become_user(program);
    die_with(helper);
    (void)execve(program->argv[0], program->argv, environment);
    give_up(CHILD_STEP_EXEC);
}

/* ---- in the helper ---------------------------------------------------------- */

void child_close(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

void child_fini(struct child *child)
{
    child_close(&child->pidfd);
    child_close(&child->output);
    child_close(&child->errors);
    child_close(&child->problem);
}

/* A pipe whose writing end lies above SPARE_FD. A negated errno. */
static int make_pipe(int *ret_read, int *ret_write)
{
    int ends[2];
    int moved;
    int r = 0;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    moved = fcntl(ends[1], F_DUPFD_CLOEXEC, SPARE_FD);
    if (moved < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
        r = -errno;
    }
    (void)close(ends[1]);
    if (r != 0) {
        (void)close(ends[0]);
        child_close(&moved);
        return r;
    }
    *ret_read = ends[0];
    *ret_write = moved;
    return 0;
}

/* A pipe that holds the whole input; whoever reads it comes to its end. A negated errno. */
static int make_input(struct str input, int *ret_read)
{
    int ends[2];
    int moved;
    int r = 0;

    if (input.len == 0) {
        return 0;
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    moved = fcntl(ends[0], F_DUPFD_CLOEXEC, SPARE_FD);
    /* Where pipes are small, what doesn't fit would be waited for by nobody. */
    if (moved < 0 || fcntl(ends[1], F_SETFL, O_NONBLOCK) != 0) {
        r = -errno;
    } else if (write(ends[1], input.ptr, input.len) != (ssize_t)input.len) {
        r = -EAGAIN;
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    if (r != 0) {
        child_close(&moved);
        return r;
    }
    *ret_read = moved;
    return 0;
}

static void ends_close(struct ends *ends)
{
    child_close(&ends->input);
    child_close(&ends->output);
    child_close(&ends->errors);
    child_close(&ends->problem);
}

static int make_pipes(struct child *child, struct ends *ends)
{
    int r = make_pipe(&child->output, &ends->output);

    if (r == 0) {
        r = make_pipe(&child->errors, &ends->errors);
    }
    if (r == 0) {
        r = make_pipe(&child->problem, &ends->problem);
    }
    return r;
}

int child_start(const struct helper_program *program, char *const *environment, struct str input,
                struct child *ret_child)
{
    struct child child = {.pid = -1, .pidfd = -1, .output = -1, .errors = -1, .problem = -1};
    struct ends ends = {.input = -1, .output = -1, .errors = -1, .problem = -1};
    pid_t helper = getpid();
    int r = make_pipes(&child, &ends);

    if (r == 0) {
        r = make_input(input, &ends.input);
    }
    if (r == 0) {
        child.pid = fork();
        if (child.pid == 0) {
            become(program, environment, &ends, helper);
        }
        r = child.pid < 0 ? -errno : 0;
    }
    ends_close(&ends);
    if (r == 0) {
        child.pidfd = (int)syscall(SYS_pidfd_open, child.pid, 0);
        if (child.pidfd < 0) {
            r = -errno;
            child_kill(&child);
            (void)waitpid(child.pid, NULL, 0);
        }
    }
    if (r != 0) {
        child_fini(&child);
        return r;
    }
    *ret_child = child;
    return 0;
}

void child_kill(const struct child *child)
{
    /* The group isn't there before the child has made it. */
    (void)kill(-child->pid, SIGKILL);
    (void)kill(child->pid, SIGKILL);
}

int child_reap(struct child *child)
{
    int status = 0;

    /* While it is a zombie, its number can't be somebody else's. */
    child_kill(child);
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    child_close(&child->pidfd);
    return status;
}

const char *child_step_str(int step)
{
    switch (step) {
    case CHILD_STEP_DESCRIPTORS:
        return "could not get its descriptors";
    case CHILD_STEP_LIMITS:
        return "could not get its limits";
    case CHILD_STEP_USER:
        return "may not run as the user that it is configured for";
    case CHILD_STEP_PARENT:
        return "was left alone";
    default:
        return "could not be run";
    }
}
