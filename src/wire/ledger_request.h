/* What the ledger keeps of a request for an approval: who asks for exactly what, who has said what
 * to it, and what has become of it. The approvals stand behind it, one after the other. */
#ifndef LEASED_WIRE_LEDGER_REQUEST_H
#define LEASED_WIRE_LEDGER_REQUEST_H

#include "wire/ledger_record.h"

#define LEDGER_REQUEST_VERSION 1
#define LEDGER_APPROVAL_VERSION 1
#define LEDGER_APPROVALS_MAX 8U

/* One who has approved, or looked at it afterwards. */
struct ledger_approval {
    const char *who;     /* a user's name, "uid 1000", the first name in a certificate */
    const char *voter;   /* who counts once, a line each: "uid:1000", "person:alice", … */
    const char *comment; /* "" if none */
    int64_t at_wall_ms;
};

/* Texts are never NULL; "" is none. Times are unix milliseconds, 0: none. */
struct ledger_request {
    struct ledger_holder holder; /* who asks */
    uint32_t gid;
    const char *groups; /* numbers with commas between them */
    uint32_t pid;       /* 0: unknown */
    const char *role;
    const char *backend;
    uint64_t duration_ms; /* of the grant; 0: no limit */
    const char *reason;
    const char *ticket;
    const char *bindings; /* as they were asked for, with commas between them */
    const char *rule;
    const char *rule_digest;
    const char *policy;
    uint32_t needed_count; /* approvals */
    uint64_t use_within_ms;
    bool is_break_glass;
    const char *state;
    const char *review; /* of a break-glass one: "pending", "approved" or "denied" */
    const char *why;    /* it has ended so, for people */
    const char *grant;  /* that was made of it */
    struct ledger_clock clock;
    int64_t created_wall_ms;
    int64_t decide_by_wall_ms;
    int64_t use_by_wall_ms;
    int64_t ended_wall_ms;
    struct ledger_approval approvals[LEDGER_APPROVALS_MAX]; /* these follow the fields */
    size_t approval_count;
};

/* Appends the record. ERR_NOMEM, ERR_TOO_LARGE; ERR_INVALID when a text is no UTF-8. */
int ledger_request_write(const struct ledger_request *request, struct buf *out) ATTR_MUST_USE;

/* Reads a record; texts are borrowed from `body`. ERR_INVALID with a text when it is no such
 * record. */
int ledger_request_read(struct str body, struct ledger_request *ret_request,
                        struct err *e) ATTR_MUST_USE;

#endif
