/* Children of a test: how they end, and what they are. */
#ifndef LEASED_TESTS_IO_CHILD_H
#define LEASED_TESTS_IO_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* Ends a forked child. Success is a SIGKILL: exit would let valgrind look for leaks in a copy of
 * the parent. */
__attribute__((noreturn)) void child_end(int code);

/* The code that the child ended with: 0, or 1 to 255. */
int child_wait(pid_t pid);
int child_code(int wait_status);

/* Becomes uid and gid 65533 with two supplementary groups; only for children of root. */
void child_drop_rights(void);

/* valgrind 3.19 doesn't know pidfd_open and clone3, and counts descriptors its own way. */
bool is_under_valgrind(void);

#endif
