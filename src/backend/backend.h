/* A backend: one configured instance of a plugin, which the lease layer sees as a struct
 * lease_issuer.
 *
 * Way of a call: lease core → backend.c (templates, operation slot, deadline) → plugin → host.c
 * (HTTP, timers over env) → plugin → op_done → backend.c (validated, mapped to lease_outcome) →
 * lease core.
 *
 * A backend that is down never blocks: open only starts its login. */
#ifndef LEASED_BACKEND_BACKEND_H
#define LEASED_BACKEND_BACKEND_H

#include "base/err.h"
#include "base/histogram.h"
#include "base/units.h"
#include "env/env.h"
#include "lease/issuer.h"
#include "lease/lend.h"

struct leased_plugin;
struct backend;

#define BACKEND_ADDRESSES_MAX 8
#define BACKEND_METRICS_MAX 32
#define BACKEND_METRIC_NAME_MAX_BYTES 32
#define BACKEND_ERROR_MAX_BYTES 400
#define BACKEND_WARNINGS_MAX 8
#define BACKEND_WARNING_KEY_MAX_BYTES 65
#define BACKEND_STATE_MAX_BYTES (64U * 1024U)

/* What a value of an answer takes once it is decoded, so that memory can be bounded by counting.
 * Measured with jansson 2.14: at most 199 bytes for each comma and each opening bracket (objects of
 * one short text each), beside the bytes of the texts themselves; as much again for those, and for
 * other versions. */
#define BACKEND_VALUE_BYTES 400U

/* Zero: the default in []. */
struct backend_limits {
    uint32_t in_flight;            /* [32] calls at once; at most 1024 */
    uint64_t timeout_ms;           /* [10000] one HTTP exchange; an operation gets three of them */
    struct units_rate issue_rate;  /* [50/s] */
    struct units_rate renew_rate;  /* [200/s] */
    struct units_rate revoke_rate; /* [200/s] */
    uint64_t lifetime_max_ms;      /* [8760 h] a longer life is clamped */
    uint64_t connect_timeout_ms;   /* [5000] of it, to reach one address */
    size_t answer_max_bytes;       /* [256 KiB] at most ENV_HTTP_REPLY_HARD_MAX_BYTES */
    uint32_t answer_depth_max;     /* [32] levels of lists and objects in an answer */
    size_t answer_memory_bytes;    /* [8 MiB] that its values may take once they are decoded */
};

/* Copied by backend_open, except env and plugin. */
struct backend_options {
    struct env *env;
    const struct leased_plugin *plugin;
    const char *name;
    /* https://host[:port][/prefix], http:// to loopback only, unix:///path. The
     * first in order that serves is used (address.h). None: the plugin makes no HTTP calls. */
    const char *const *addresses;
    size_t address_count;
    const char *ca_file;   /* NULL: the system's store */
    const char *cert_file; /* NULL: no client certificate */
    const char *key_file;
    const char *server_name; /* NULL: the address's host */
    const char *proxy;       /* NULL: none */
    const char *config_json; /* the plugin's own keys, a JSON object; NULL: {} */
    struct backend_limits limits;
    uint64_t
        health_interval_ms; /* how often to ask the plugin whether its issuer serves; 0: never */
    struct str state;       /* what an earlier run kept (keep_state); borrowed by backend_open */
    /* The plugin's login, to be kept for the next run: replaces what was given before; empty:
     * nothing is to be kept. `state` is a secret, borrowed until the call returns; it may come from
     * inside backend_open. 0, or an ERR_*: it can't be kept, and the plugin goes on without. May be
     * NULL: nothing is kept. */
    int (*keep_state)(void *user, struct backend *backend, struct str state);
    /* Leases of this backend with this anchor can't live past when_ms (env clock; 0: dead now;
     * UINT64_MAX: unbounded). From the loop. May be NULL. */
    void (*anchor_ends)(void *user, struct backend *backend, uint64_t anchor, uint64_t when_ms,
                        const char *reason);
    /* The role whose credential the plugin works with (LEASED_PLUGIN_BORROWS); NULL: none. Looks at
     * it are for whoever knows the lease layer: as lease_lend_start and lease_lend_cancel. */
    const char *borrows;
    int (*borrow_start)(void *user, struct lease_loan *loan);
    void (*borrow_cancel)(void *user, struct lease_loan *loan);
    void *user;
};

/* Makes the instance and lets the plugin begin its login. ERR_INVALID (configuration), ERR_NOMEM.
 */
int backend_open(const struct backend_options *options, struct backend **ret_backend,
                 struct err *e) ATTR_MUST_USE;

/* Pending calls end with LEASE_OUTCOME_CANCELED. With `logout` the plugin ends its login at the
 * issuer (within one operation's time), and with it every lease that still hangs on it: only for a
 * drain. `closed` runs once, from the loop, when the memory is gone. No calls and no anchor_ends
 * after it began. */
void backend_close(struct backend *backend, bool logout, void (*closed)(void *user), void *user);

/* New limits for calls from now on, and for the next look at the issuer's health. ERR_LIMIT: more
 * calls at once than it was opened for; then nothing has changed, and a backend of its own is
 * needed. The lease layer has to be told of the issuer's part. */
int backend_set_limits(struct backend *backend, const struct backend_limits *limits,
                       uint64_t health_interval_ms) ATTR_MUST_USE;

/* What the lease layer calls; lives as long as the backend. */
struct lease_issuer *backend_issuer(struct backend *backend);

struct backend_metric {
    char name[BACKEND_METRIC_NAME_MAX_BYTES];
    uint64_t value;
};

/* What the plugin wants people to know for as long as it holds. */
struct backend_warning {
    char key[BACKEND_WARNING_KEY_MAX_BYTES]; /* "": free */
    char text[BACKEND_ERROR_MAX_BYTES];
};

/* One address; texts are borrowed until the loop turns. */
struct backend_address {
    const char *address;
    bool is_up;
    bool is_preferred;      /* the next request goes there */
    const char *last_error; /* "" if none since it last served */
    uint64_t probe_at_ms;   /* env clock: when it is asked again; 0: it is up, or is asked now */
};

/* What operations took, and how long credentials live; in ms. */
extern const struct histogram_bounds backend_issue_bounds;
extern const struct histogram_bounds backend_ttl_bounds;

struct backend_times {
    struct histogram issue_ms[LEASE_OUTCOME_CANCELED + 1]; /* by enum lease_outcome */
    struct histogram ttl_ms;                               /* of what was issued */
};

/* A copy; `name`, `plugin` and `last_error` are borrowed until the loop turns. */
struct backend_status {
    const char *name;
    const char *plugin;
    bool is_up;                /* logged in, the issuer serves, and calls go out */
    uint64_t login_expires_ms; /* env clock; 0: not logged in; UINT64_MAX: never */
    const char *last_error;    /* "" if none since it was last up */
    uint64_t last_error_ms;    /* env clock */
    uint32_t in_flight;        /* operations */
    uint32_t http_in_flight;
    uint64_t op_total;
    uint64_t op_late_total; /* op_done after the deadline or a second time: ignored */
    uint64_t op_timeout_total;
    /* "closed"; "open": calls are refused until probe_at_ms; "half_open": a probe is under way. */
    const char *breaker;
    bool is_breaker_open;
    uint64_t probe_at_ms;    /* env clock; 0: no probe is due */
    uint64_t pause_until_ms; /* env clock: the issuer asked for fewer requests; 0: it didn't */
    uint64_t breaker_opened_total;
    uint64_t refused_total; /* operations that were kept back */
    struct backend_address addresses[BACKEND_ADDRESSES_MAX];
    size_t address_count;
    /* What issues left at the issuer that nobody holds, waiting for its revocation. */
    uint64_t sweep_count;
    uint64_t sweep_oldest_ms;
    uint64_t sweep_total;
    uint64_t sweep_forgotten_total; /* given up without the issuer's confirmation */
    bool is_skew_known;
    bool is_skew_large;                /* half a minute or more */
    int64_t clock_skew_ms;             /* the issuer's clock minus ours, to about a second */
    uint64_t slow_call_total;          /* calls into the plugin that took longer than 5 ms */
    uint64_t warning_dropped_total;    /* issuers' warnings that weren't logged, for their number */
    const struct backend_times *times; /* borrowed for as long as the backend lives */
    struct backend_metric metrics[BACKEND_METRICS_MAX]; /* the plugin's own counters */
    size_t metric_count;
    const struct backend_warning *warnings; /* borrowed until the loop turns; in no order */
    size_t warning_count;
};

void backend_status(const struct backend *backend, struct backend_status *ret_status);

#endif
