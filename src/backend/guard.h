/* What is known of one backend's issuer, from every exchange with it: the health of its addresses,
 * the breaker, and how long it asked to be left alone. It keeps calls back while they would be in
 * vain, and sends the probes that find out when that is over.
 *
 * guard_heard is told of each exchange, guard_call_ended of each call, guard_probe_ended of each
 * probe. Operations ask guard_refuses before they are sent. The plugin's own requests (logins,
 * renewals of its token) aren't kept back: the plugin has a back-off of its own, and without a
 * login nothing is served again. */
#ifndef LEASED_BACKEND_GUARD_H
#define LEASED_BACKEND_GUARD_H

#include "backend/address.h"
#include "backend/backend.h"
#include "backend/breaker.h"
#include "env/env.h"
#include "lease/issuer.h"

/* A pause up to this long is worth waiting for; whoever asks meanwhile is not refused. */
#define GUARD_PATIENCE_MS 10000U

/* What an exchange says about the issuer. */
enum guard_verdict {
    GUARD_SERVED,  /* it answered, be it with a refusal */
    GUARD_FAULT,   /* something is wrong, maybe with one path only: a 500, an answer lost */
    GUARD_LIMITED, /* too many requests */
    GUARD_DOWN,    /* it can't be reached, or says that it can't serve */
    GUARD_UNKNOWN, /* cancelled, or our own fault */
};

struct guard_news {
    enum guard_verdict verdict;
    size_t address;
    bool is_moved;    /* the address names another one that serves instead of it */
    bool is_probe;    /* sent to learn about this address: says nothing of the issuer as a whole */
    bool is_final;    /* the request isn't tried at another address */
    const char *text; /* what is wrong, for people; NULL when served */
    uint64_t retry_after_ms; /* the issuer's word; 0: none */
};

struct guard {
    uint32_t magic;
    struct env *env;
    const char *name; /* of the backend; borrowed */
    struct addresses addresses;
    struct breaker breaker;
    bool is_serving;         /* the last that was heard of it */
    uint64_t pause_until_ms; /* it asked to be left alone until then */
    uint32_t limited_count;  /* in a row */
    char last_error[BACKEND_ERROR_MAX_BYTES];
    uint64_t last_error_ms;
    uint64_t refused_total; /* calls that were kept back */
    struct env_timer timer; /* the next probe */
    bool is_probing;
    size_t probed; /* the address; ADDRESS_NONE: all of them, for the breaker */
    bool is_ended;
    int (*probe)(void *user, size_t address); /* NULL: no health call, so the next call is it */
    void *user;
};

/* `texts` and `name` are borrowed. */
void guard_init(struct guard *guard, struct env *env, const char *name, const char *const *texts,
                size_t count);

/* The plugin has a health call. `probe` starts one (of `address`, or of the issuer as a whole for
 * ADDRESS_NONE), whose end is told by guard_probe_ended; not 0: it can't be started now. */
void guard_set_probe(struct guard *guard, int (*probe)(void *user, size_t address), void *user);

/* No probes any more. */
void guard_end(struct guard *guard);

void guard_heard(struct guard *guard, const struct guard_news *news);

/* How long calls are kept back; 0: not at all. A pause that is worth waiting for counts only with
 * `is_pause_counted`. */
uint64_t guard_wait_ms(const struct guard *guard, bool is_pause_counted);

/* Must this operation be kept back? Then `ret_result` says so, with what is wrong in `text`. Where
 * there is no health call, the one that is let through while the breaker is half-open is the probe:
 * *ret_is_probe. */
bool guard_refuses(struct guard *guard, struct lease_result *ret_result,
                   char text[BACKEND_ERROR_MAX_BYTES], bool *ret_is_probe);

/* A call of the lease layer has ended at the plugin. */
void guard_call_ended(struct guard *guard, const struct lease_result *result);

/* An operation got no end within its time. */
void guard_timed_out(struct guard *guard);

/* Health was asked in its turn. */
void guard_health_ended(struct guard *guard, const struct lease_result *result);

/* A probe, or the call that was let through as one. */
void guard_probe_ended(struct guard *guard, const struct lease_result *result);

/* Remembered for the status: what went wrong, without a judgement. */
void guard_note_error(struct guard *guard, const char *text);

#endif
