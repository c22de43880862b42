/* One program's life: what it prints, how long it may take, how it ended. */
#ifndef LEASED_HELPER_RUN_H
#define LEASED_HELPER_RUN_H

#include "helper/child.h"
#include "wire/run_message.h"

#include <poll.h>

#define RUN_POLLED 4U /* descriptors of one run */
/* Of what it says on stderr only the first line counts; the rest is read and dropped. */
#define RUN_ERRORS_KEPT_BYTES 512U

enum run_state {
    RUN_STATE_FREE,
    RUN_STATE_RUNNING,
    RUN_STATE_ENDED, /* its end is to be told */
};

struct run {
    enum run_state state;
    uint32_t id;
    struct child child;
    struct buf output; /* a secret */
    char errors[RUN_ERRORS_KEPT_BYTES];
    size_t errors_len;
    bool has_problem; /* it never came to exec */
    struct child_problem problem;
    uint64_t deadline_ms;     /* UINT64_MAX: it was killed */
    enum run_outcome outcome; /* 0: not known yet */
    uint8_t exit_code;
    char text[RUN_TEXT_MAX_BYTES + 1];
};

/* Starts what the message (RUN_START) asks for. Whatever happens it ends as RUN_STATE_ENDED. */
void run_begin(struct run *run, const struct helper_programs *programs,
               const struct run_message *message, uint64_t now_ms);

/* Kills it, if it runs: that is its outcome then, for the reason in `text`. */
void run_kill(struct run *run, enum run_outcome outcome, const char *text);

/* What to wait for, RUN_POLLED entries; and what came of it. */
void run_poll(const struct run *run, struct pollfd *ret_polled);
void run_step(struct run *run, const struct pollfd *polled, uint64_t now_ms);

/* Its end; borrowed from it. */
struct run_message run_end_message(const struct run *run);

/* Free for another one; what it printed is wiped. */
void run_free(struct run *run);

#endif
