/* Signals of `lease exec`: what is passed on, and how a job is stopped and goes on.
 *
 * They are all blocked and read one by one, so that none gets lost and none interrupts. lease and
 * its program are one job of the shell: keys reach both, from the terminal; what is sent to lease
 * alone is passed on; and when one of them is stopped the other is, too. */
#include "cli/exec_internal.h"

#include <unistd.h>

void exec_signals_fill(sigset_t *ret_signals)
{
    /* What can't be caught; what a fault of our own raises; and a closed pipe, which is an error
     * like another. */
    static const int own[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE,
                              SIGILL,  SIGTRAP, SIGABRT, SIGSYS, SIGPIPE};
    size_t i;

    (void)sigfillset(ret_signals);
    for (i = 0; i < ARRAY_LEN(own); i++) {
        (void)sigdelset(ret_signals, own[i]);
    }
}

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

void exec_forward(const struct exec_signal *signal, pid_t child)
{
    if (child > 0 &&
        exec_must_forward(signal, child, getpgid(child) == getpgrp(), getsid(0) == getpid())) {
        (void)kill(child, signal->number);
    }
}

bool exec_is_stop(int number)
{
    return number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
}

void exec_stop_self(int number)
{
    sigset_t one;

    /* By the signal itself, not by SIGSTOP: where no shell could continue us, the kernel then
     * doesn't stop us. */
    (void)sigemptyset(&one);
    (void)sigaddset(&one, number);
    (void)raise(number);
    (void)sigprocmask(SIG_UNBLOCK, &one, NULL);
    (void)sigprocmask(SIG_BLOCK, &one, NULL);
}
