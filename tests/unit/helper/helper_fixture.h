/* A real helper process whose programs are lines of shell, and a test in the daemon's place. */
#ifndef LEASED_TESTS_UNIT_HELPER_FIXTURE_H
#define LEASED_TESTS_UNIT_HELPER_FIXTURE_H

#include "helper/helper.h"
#include "wire/run_message.h"

struct helper_fixture {
    struct helper_programs programs;
    struct helper helper;
    char bytes[RUN_MESSAGE_MAX_BYTES]; /* of the last message */
};

/* Before fixture_start. Returned to be changed. */
struct helper_program *fixture_add(struct helper_fixture *fixture, const char *name,
                                   const char *const *argv);
/* sh -c LINE */
struct helper_program *fixture_add_shell(struct helper_fixture *fixture, const char *name,
                                         const char *line);
/* What the helper does itself with a file, mode 0400; the same. */
struct helper_program *fixture_add_file(struct helper_fixture *fixture, const char *name,
                                        enum helper_kind kind, const char *path);
void fixture_start(struct helper_fixture *fixture);
/* Closes the socket and waits for the helper to end. */
void fixture_end(struct helper_fixture *fixture);

void fixture_send(struct helper_fixture *fixture, const struct run_message *message);
/* Asks for a program of the backend "tool". */
void fixture_ask(struct helper_fixture *fixture, uint32_t id, const char *name);
/* The next answer, which must come within ten seconds; borrowed until the next call. */
struct run_message fixture_receive(struct helper_fixture *fixture);
/* Asks and waits. */
struct run_message fixture_run(struct helper_fixture *fixture, const char *name);

/* The same, with something to read. */
struct run_message fixture_run_with(struct helper_fixture *fixture, const char *name,
                                    struct str input);

/* The output as a text; valid until the next call. */
const char *fixture_output(const struct run_message *end);
const char *fixture_text(const struct run_message *end);

/* Waits until there is no process of this number. */
void fixture_await_gone(pid_t pid);
bool fixture_lives(pid_t pid);

/* valgrind 3.19 doesn't know pidfd_open, without which the helper runs nothing. Then main leaves
 * all tests out, and returns what this does. */
bool fixture_has_pidfds(void);
int fixture_leave_out(void);

#endif
