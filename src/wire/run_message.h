/* What the daemon and its helper process say to each other: run this program, end it, so it ended.
 * One message a packet; numbers are big-endian; nothing may follow a message's end.
 *
 * Neither side believes the other: whatever breaks a rule here is refused as a whole. */
#ifndef LEASED_WIRE_RUN_MESSAGE_H
#define LEASED_WIRE_RUN_MESSAGE_H

#include "base/buf.h"
#include "base/err.h"

/* Programs that run at once. */
#define RUN_COUNT_MAX 32U
#define RUN_NAME_MAX_BYTES 272U /* a path, and a word before it */
#define RUN_OUTPUT_MAX_BYTES (64U * 1024U)
#define RUN_INPUT_MAX_BYTES (32U * 1024U) /* fits into a pipe */
#define RUN_TEXT_MAX_BYTES 200U
#define RUN_MESSAGE_MAX_BYTES (RUN_OUTPUT_MAX_BYTES + 4096U)

/* The variables that a request may set, and their longest values. */
#define RUN_VARIABLES(X)                                                                           \
    X(ROLE, "LEASED_ROLE", 128)                                                                    \
    X(USER, "LEASED_USER", 64)                                                                     \
    X(UID, "LEASED_UID", 10)                                                                       \
    X(UNIT, "LEASED_UNIT", 256)                                                                    \
    X(REASON, "LEASED_REASON", 256)                                                                \
    X(TTL_S, "LEASED_TTL_S", 20)                                                                   \
    X(REF, "LEASED_REF", 1024)

enum run_variable {
#define X(name, text, max) RUN_VARIABLE_##name,
    RUN_VARIABLES(X)
#undef X
        RUN_VARIABLE_COUNT
};

enum run_kind {
    RUN_START = 1,  /* to the helper */
    RUN_CANCEL = 2, /* to the helper: kill it; its end still comes */
    RUN_END = 3,    /* from the helper */
};

enum run_outcome {
    RUN_EXITED = 1,
    RUN_NOT_STARTED = 2, /* and trying again won't help */
    RUN_BUSY = 3,        /* not started, for want of something that passes */
    RUN_KILLED = 4,      /* it ran, and was ended before its time */
    RUN_CANCELED = 5,
};

/* Texts are borrowed: by the writer until it returns, from the bytes by the reader. */
struct run_message {
    enum run_kind kind;
    uint32_t id;
    /* RUN_START */
    struct str backend;                    /* whose program … */
    struct str program;                    /* … and which: the key that names it */
    struct str values[RUN_VARIABLE_COUNT]; /* empty: not set */
    struct str input;                      /* its stdin; a secret */
    /* RUN_END */
    enum run_outcome outcome;
    uint8_t exit_code; /* RUN_EXITED */
    struct str output; /* a secret */
    struct str text;   /* one line for people: why it ended so, or what it said on stderr */
};

const char *run_variable_name(enum run_variable variable);

/* The variable of this name; RUN_VARIABLE_COUNT: there is none. */
enum run_variable run_variable_find(struct str name);

/* Appends the message. ERR_INVALID when it breaks a rule (too long, control bytes, not UTF-8),
 * ERR_NOMEM, ERR_TOO_LARGE. */
int run_message_write(const struct run_message *message, struct buf *out) ATTR_MUST_USE;

/* ERR_INVALID when it is no such message. */
int run_message_read(struct str bytes, struct run_message *ret_message) ATTR_MUST_USE;

#endif
