/* What the parts of `lease exec` share. */
#ifndef LEASED_CLI_EXEC_INTERNAL_H
#define LEASED_CLI_EXEC_INTERNAL_H

#include "cli/exec_files.h"
#include "cli/exec_plan.h"

#include <signal.h>
#include <sys/types.h>

#define EXEC_ID_MAX_BYTES 64
#define EXEC_TOLD_MAX_BYTES 65536U

/* A role's grant, which stays, and the lease that the program uses. */
struct exec_held {
    char grant[EXEC_ID_MAX_BYTES];
    char lease[EXEC_ID_MAX_BYTES];
    bool is_irrevocable;          /* its issuer has nothing to confirm */
    bool is_served;               /* the program fetches it itself: rotations are its own matter */
    char read[EXEC_ID_MAX_BYTES]; /* the lease that the child under way has read; "": none */
};

/* The child that asks for credentials. It tells what it was granted, and that it has all, a line
 * each; and then waits for a byte before it becomes the program. */
struct exec_child {
    pid_t pid; /* 0: none */
    int tell_fd;
    int go_fd;
    struct buf told;
    bool is_ready;
};

enum exec_timer { EXEC_TIMER_FETCH, EXEC_TIMER_KILL, EXEC_TIMER_ACK, EXEC_TIMERS };

struct exec {
    struct cli *cli;
    struct exec_plan plan;
    struct exec_held held[EXEC_ROLES_MAX];
    sigset_t signals; /* what is passed on or otherwise waited for; blocked while we run */
    int signal_fd;
    int terminal_fd; /* to hear when it hangs up; -1: none */
    int watch_fd;    /* what the watcher tells; -1: none */
    int timers[EXEC_TIMERS];
    pid_t program; /* 0: not yet, or it has ended to be started again */
    pid_t watcher;
    struct exec_child child;
    struct buf seen;  /* of watch_fd */
    bool is_first;    /* nothing has become the program yet */
    bool is_stopping; /* the program was told to end, to be started again */
    bool is_over;
    int exit_code;
};

/* --- exec_signals.c --- */

/* The signals that `lease exec` waits for: all that can be passed on, and SIGCHLD. */
void exec_signals_fill(sigset_t *ret_signals);

/* Must a signal that reached `lease` be passed on? Not what a terminal sent to the whole foreground
 * group, nor what the child itself sent. */
struct exec_signal {
    int number;
    int code; /* si_code */
    pid_t sender;
};
bool exec_must_forward(const struct exec_signal *signal, pid_t child, bool is_same_group,
                       bool is_session_leader);

/* Passes it on to the process, if it must be. */
void exec_forward(const struct exec_signal *signal, pid_t child);

/* A signal with which terminals stop jobs? */
bool exec_is_stop(int number);

/* Stops this process as the signal would have, until it is continued. */
void exec_stop_self(int number);

/* --- exec_child.c --- */

/* Starts a child that asks for the credentials: new grants the first time, then those held. CLI_OK
 * or an exit code after a message. */
int exec_child_start(struct exec *exec) ATTR_MUST_USE;

/* Its word to become the program; afterwards `child` only has what is left to hear of it. */
void exec_child_go(struct exec *exec);

/* Gives up a child that hasn't become the program. */
void exec_child_drop(struct exec *exec);

/* --- exec_errands.c: short or long work in processes of its own, which end with ours --- */

/* Follows our grants and tells events on watch_fd, a line each: "credential GRANT LEASE" or "gone
 * GRANT REASON". */
void exec_watcher_start(struct exec *exec);
void exec_watcher_stop(struct exec *exec);

/* Says that the leases in use are in use. */
void exec_acknowledge(const struct exec *exec);

/* Ends one grant, and waits so long for the issuer's confirmation. */
void exec_end_grant(struct cli *cli, const char *grant, uint64_t wait_ms);

/* Ends all grants without waiting for it. */
void exec_end_grants_now(const struct exec *exec);

/* Ends all grants and waits shortly until the issuer has confirmed. */
void exec_end_grants(const struct exec *exec);

/* --- exec_supervise.c --- */

/* From the first child to the program's end; its exit code as a shell counts it, or ours. */
int exec_supervise(struct exec *exec);

#endif
