/* Pass-through: a client's request goes to the backend's issuer under the backend's own login, and
 * its answer comes back as it is. For APIs that speak the issuer's language; who may call which
 * path is decided before. What a call creates at the issuer is no lease of ours. */
#ifndef LEASED_BACKEND_CALL_H
#define LEASED_BACKEND_CALL_H

#include "backend/backend.h"
#include "backend/op.h"
#include "env/http.h"

#define BACKEND_CALL_HEADERS_MAX 32
#define BACKEND_CALL_REPLY_HEADERS_MAX 16
#define BACKEND_CALL_BODY_MAX_BYTES (256U * 1024U)
#define BACKEND_CALL_PATH_MAX_BYTES 4096U

/* Borrowed until the callback returns. */
struct backend_call_result {
    enum lease_outcome outcome; /* OK: the issuer answered, be it with an error of its own */
    uint64_t retry_after_ms;    /* LEASE_OUTCOME_RETRY; 0: not known */
    const char *detail;         /* for people, no secret; NULL when OK */
    /* With LEASE_OUTCOME_OK only. */
    uint32_t status;                       /* HTTP status */
    const struct env_http_header *headers; /* those that may reach a client */
    size_t header_count;
    struct str body; /* may hold secrets */
};

/* One request, embedded in its owner. */
struct backend_call {
    /* Borrowed until the callback. */
    const char *method;
    const char *path; /* as the issuer's API has it, with its query; begins with "/" */
    const struct env_http_header *headers; /* what the client sent; names in lower case */
    size_t header_count;
    struct str body;
    bool is_repeatable;  /* it creates nothing, so it may be sent twice */
    uint64_t timeout_ms; /* 0: three times limits.timeout, as for every operation */
    void (*fn)(struct backend_call *call, const struct backend_call_result *result);
    void *user;
    /* The backend's. */
    void *impl;
    const struct backend_call_result *answer;
};

/* By the rules of env.h. ERR_LIMIT (leases go first), ERR_TOO_LARGE (path, headers or body),
 * ERR_NOMEM, ERR_CLOSED. */
int backend_call_start(struct backend *backend, struct backend_call *call) ATTR_MUST_USE;
void backend_call_cancel(struct backend_call *call);

/* --- for backend.c and host.c ------------------------------------------------------------------
 */

/* How many may be under way where `in_flight` calls of the lease layer may. */
size_t call_max(uint32_t in_flight);

int call_start_op(struct ops *ops, struct backend_call *call) ATTR_MUST_USE;

/* The plugin's call_done. */
void call_op_done(struct ops *ops, const leased_op *handle, const struct leased_call_reply *reply);

#endif
