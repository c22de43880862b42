/* Error codes and errors with a text.
 *
 * Functions return 0 or a negative ERR_*. The values start below -10000, so that they never collide
 * with libuv's (-errno and -4095..-3000). A function with more than one cause that a human will
 * read takes `struct err *e` (may be NULL) as its last parameter and fills it on failure. */
#ifndef LEASED_BASE_ERR_H
#define LEASED_BASE_ERR_H

#include "base/check.h"

#include <stdarg.h>

#define ERR_TABLE(X)                                                                               \
    X(ERR_NOMEM, -10001, "out of memory")                                                          \
    X(ERR_INVALID, -10002, "invalid")                                                              \
    X(ERR_RANGE, -10003, "out of range")                                                           \
    X(ERR_LIMIT, -10004, "limit reached")                                                          \
    X(ERR_NOT_FOUND, -10005, "not found")                                                          \
    X(ERR_EXISTS, -10006, "exists already")                                                        \
    X(ERR_DENIED, -10007, "denied")                                                                \
    X(ERR_CANCELED, -10008, "canceled")                                                            \
    X(ERR_TIMEOUT, -10009, "timed out")                                                            \
    X(ERR_IO, -10010, "input/output error")                                                        \
    X(ERR_CONNECT, -10011, "could not connect")                                                    \
    X(ERR_TLS, -10012, "TLS verification failed")                                                  \
    X(ERR_PROTOCOL, -10013, "the peer broke the protocol")                                         \
    X(ERR_TOO_LARGE, -10014, "too large")                                                          \
    X(ERR_CLOSED, -10015, "closed")                                                                \
    X(ERR_BUSY, -10016, "busy")                                                                    \
    X(ERR_UNAVAILABLE, -10017, "unavailable")                                                      \
    X(ERR_GONE, -10018, "gone")                                                                    \
    X(ERR_SEALED, -10019, "sealed")                                                                \
    X(ERR_UNSUPPORTED, -10020, "not supported")                                                    \
    X(ERR_LOST, -10021, "the request was sent but its answer was lost")                            \
    X(ERR_CORRUPT, -10022, "corrupt")                                                              \
    X(ERR_POLICY, -10023, "access was taken away")

enum err_code {
#define X(name, value, text) name = (value),
    ERR_TABLE(X)
#undef X
};

#define ERR_TEXT_MAX_BYTES 512

struct err {
    int code;
    char text[ERR_TEXT_MAX_BYTES];
};

/* The fixed text of an ERR_* code or of a negated errno. Never NULL. Static. */
const char *err_str(int code);

/* Stores code and formatted text in `e` (may be NULL; the text is cut at ERR_TEXT_MAX_BYTES - 1)
 * and returns `code`, so that `return err_set(e, ERR_INVALID, "…")` reads as one step. Never pass a
 * secret. */
int err_set(struct err *e, int code, const char *format, ...) ATTR_PRINTF(3, 4);

/* Puts "prefix: " before the text that `e` (may be NULL) holds. Returns e's code, or `code` if e is
 * NULL. */
int err_wrap(struct err *e, int code, const char *format, ...) ATTR_PRINTF(3, 4);

#endif
