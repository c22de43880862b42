/* The process itself: signals and limits. */
#include "cli/process.h"

void process_prepare(struct process_state *ret_old)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction standard = {.sa_handler = SIG_DFL};
    struct rlimit core;

    (void)sigaction(SIGPIPE, &ignore, &ret_old->pipe);
    /* An inherited SIG_IGN would make the kernel reap children before their exit code is read. */
    (void)sigaction(SIGCHLD, &standard, &ret_old->child);
    (void)sigprocmask(SIG_SETMASK, NULL, &ret_old->mask);
    (void)getrlimit(RLIMIT_CORE, &ret_old->core);
    core = ret_old->core;
    core.rlim_cur = 0;
    (void)setrlimit(RLIMIT_CORE, &core);
}

void process_restore(const struct process_state *old)
{
    (void)sigaction(SIGPIPE, &old->pipe, NULL);
    (void)sigaction(SIGCHLD, &old->child, NULL);
    (void)setrlimit(RLIMIT_CORE, &old->core);
    (void)sigprocmask(SIG_SETMASK, &old->mask, NULL);
}
