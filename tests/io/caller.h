/* Callers in processes of their own, told step by step what to do, and a kernel that looks older
 * than it is. */
#ifndef LEASED_TESTS_IO_CALLER_H
#define LEASED_TESTS_IO_CALLER_H

#include "server_fixture.h"

#define CALLER_GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

/* Kernels before 6.5 have no SO_PEERPIDFD: the program's own getsockopt stands before libc's. */
extern bool is_old_kernel;
/* A signal arrives in so many polls that don't wait. */
extern unsigned interrupted_polls;

struct caller {
    pid_t pid;
    int fd;      /* its connection, which we share */
    int orders;  /* write end */
    int reports; /* read end */
};

/* The child does `before` (may be NULL), connects, waits for an order, does `after` (may be NULL),
 * waits for another and ends. */
struct caller caller_start(struct fixture *f, void (*before)(void), void (*after)(void));
/* Orders it to do `after` and waits until that is done. */
void caller_go_on(struct caller *caller);
/* Ends the child; its connection stays open in our hands. */
void caller_end(struct caller *caller);
void caller_fini(struct fixture *f, struct caller *caller);
/* A request over its connection, sent by us; returns when the handler has seen it. */
void caller_ask(struct fixture *f, const struct caller *caller);
void expect_closed_after_reply(struct fixture *f, const struct caller *caller);

/* cmocka's, with a listener that everybody may connect to. */
int caller_setup(void **state);
int caller_teardown(void **state);

/* Skip the test where it can't be tried. */
void need_root(void);
void need_new_calls(void);

#endif
