/* A listener on a real loop with a handler that tests steer, and scripted clients on the same
 * thread. Nothing sleeps: the loop and the clients' sockets are polled together, until what is
 * awaited has happened or five seconds (times TEST_SLOWDOWN) are over, which fails the test. */
#ifndef LEASED_TESTS_IO_SERVER_FIXTURE_H
#define LEASED_TESTS_IO_SERVER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "child.h"
#include "io/listener.h"

#define FIXTURE_HELD_MAX 64
#define FIXTURE_REPLY_MAX_BYTES (1024U * 1024U)

struct fixture {
    struct io *io;
    struct io_listener *listener;
    struct io_listener_options options; /* may be changed before fixture_listen */
    char dir[64];
    char path[96];
    bool is_closed;

    /* What the handler does. */
    bool holds;       /* keeps requests instead of answering them */
    bool defers;      /* answers from a deferred call of the same turn */
    bool closes;      /* asks for the end of the connection with each answer */
    const char *body; /* of the answer; NULL: "ok" */
    size_t body_len;  /* 0: strlen(body) */

    /* What it has seen. */
    struct env_request *held[FIXTURE_HELD_MAX];
    size_t held_count;
    size_t request_count;
    size_t delivered_count;
    size_t undelivered_count;
    char target[512]; /* method, path, query of the last request, with blanks between */
    char request_body[512];
    size_t request_body_len;
    struct env_peer peer;
    struct env_deferred deferred;
};

struct client {
    int fd;
    char bytes[FIXTURE_REPLY_MAX_BYTES];
    size_t len;
    bool is_eof;
};

/* A directory of its own below /tmp and a loop; fixture_listen opens the unix listener at f->path,
 * or whatever f->options says. */
void fixture_init(struct fixture *f);
void fixture_listen(struct fixture *f);
/* Closes the listener if it is still open, the loop, and removes the directory; fails if a handle
 * or a byte is left. */
void fixture_fini(struct fixture *f);
/* Closes the listener and runs the loop until it is gone. */
void fixture_close_listener(struct fixture *f);

/* Opening fails with this code and a text that contains `text`. */
void fixture_expect_refused(struct fixture *f, int code, const char *text);
/* The directory of f->path, and somebody else's socket in it; returns its descriptor. */
void fixture_make_dir(struct fixture *f, mode_t mode);
int fixture_foreign_socket(struct fixture *f, bool listens);

/* One turn of the loop; waits for an event of the loop or of `fd` (-1: none), at most a few
 * milliseconds. */
void fixture_turn(struct fixture *f, int fd);

/* Turns until the condition holds. */
#define FIXTURE_UNTIL(f, condition)                                                                \
    do {                                                                                           \
        uint64_t fixture_deadline_ms = fixture_deadline();                                         \
        while (!(condition)) {                                                                     \
            fixture_turn((f), -1);                                                                 \
            if (fixture_is_over(fixture_deadline_ms)) {                                            \
                fail_msg("in vain: %s", #condition);                                               \
            }                                                                                      \
        }                                                                                          \
    } while (0)

uint64_t fixture_deadline(void);
bool fixture_is_over(uint64_t deadline_ms);

/* Answers a request that the handler has kept. */
void fixture_answer(struct fixture *f, size_t index);

/* A client of the unix listener, or of loopback TCP when the fixture listens there. */
struct client *client_new(struct fixture *f);
void client_free(struct client *client);
/* The status of one request on a connection of its own, which a refusal ends. */
int client_ask(struct fixture *f, const char *request, size_t len);
void client_send(struct fixture *f, struct client *client, const char *text);
void client_send_bytes(struct fixture *f, struct client *client, const void *bytes, size_t len);
/* Reads one reply and takes it off; its status, or 0 when the server closed instead. Its body,
 * NUL-terminated, is copied to `ret_body` (may be NULL) of FIXTURE_REPLY_MAX_BYTES. */
int client_reply(struct fixture *f, struct client *client, char *ret_body);
/* Waits until the server has closed. */
void client_wait_eof(struct fixture *f, struct client *client);
/* Reads what is there. */
void client_pump(struct client *client);

/* Runs `fn` in a child process and returns what it returned. The loop turns until it has ended. */
int fixture_fork(struct fixture *f, int (*fn)(struct fixture *f, void *user), void *user);

/* In a child, which has no loop: connects, sends `request` and returns the status of the answer; 0
 * if it was closed. */
int child_request(const char *path, const char *request);

#endif
