/* A program from fork to exec: what it inherits is decided here. */
#ifndef LEASED_HELPER_CHILD_H
#define LEASED_HELPER_CHILD_H

#include "helper/programs.h"

/* What became of it before exec, as the child tells it. */
struct child_problem {
    int step;  /* enum child_step */
    int error; /* errno */
};

enum child_step {
    CHILD_STEP_DESCRIPTORS,
    CHILD_STEP_LIMITS,
    CHILD_STEP_USER,
    CHILD_STEP_PARENT,
    CHILD_STEP_EXEC,
};

/* Descriptors are non-blocking; -1: closed. */
struct child {
    pid_t pid; /* also of its process group */
    int pidfd;
    int output;  /* its stdout */
    int errors;  /* its stderr */
    int problem; /* a struct child_problem if it never came to run the program; else ends empty */
};

/* Forks. The program gets: `environment` and nothing else of it, `input` as stdin (/dev/null where
 * it is empty), two pipes, no other descriptor, a session and process group of its own, no core
 * dumps, no way to privileges, the folder "/", its user; and SIGKILL when the helper dies. A
 * negated errno when there is no child. */
int child_start(const struct helper_program *program, char *const *environment, struct str input,
                struct child *ret_child) ATTR_MUST_USE;

/* Kills the process and its group. Only before child_reap. */
void child_kill(const struct child *child);

/* Once the pidfd is readable: the wait status. Whoever was in its group is killed. */
int child_reap(struct child *child);

/* Closes a descriptor and marks it so. */
void child_close(int *fd);

/* Closes all. */
void child_fini(struct child *child);

/* In words: "could not be run". */
const char *child_step_str(int step);

#endif
