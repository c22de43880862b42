/* Audit records: one JSON object a line with a stable field order, chained by SHA-256.
 *
 * hash_n = hex SHA-256("leased-audit-v1" NUL, prev_n as text, NUL, the line up to and without
 * `,"hash":…}`). prev_n is hash_{n-1}; the first record of a chain has 64 zeros. */
#ifndef LEASED_WIRE_AUDIT_RECORD_H
#define LEASED_WIRE_AUDIT_RECORD_H

#include "base/buf.h"
#include "base/err.h"

#define AUDIT_RECORD_VERSION 1
#define AUDIT_HASH_HEX_BYTES 64
#define AUDIT_RECORD_MAX_BYTES 8192 /* with the newline */

/* What the first record of a chain has as `prev`. */
#define AUDIT_HASH_ZERO "0000000000000000000000000000000000000000000000000000000000000000"

/* What an issuer vouches for; iss NULL: nothing. */
struct audit_jwt {
    const char *iss;
    const char *sub;
    const char *session;
    const char *person;
};

/* What a policy that is only observed would have decided; outcome NULL: left out. */
struct audit_observed {
    const char *outcome; /* as explain has it: allow | denied | … */
    const char *digest;
    const char *rule;   /* NULL: none */
    const char *limits; /* which it would have set otherwise, in words; NULL: none */
};

/* All fields that a record may have, in the order in which they are written. NULL, empty or 0 with
 * the has_ flag unset: left out. There is no other way for data to get into the trail. */
struct audit_record {
    uint64_t seq;
    int64_t time_wall_ms;
    const char *event;
    const char *outcome; /* ok | denied | failed | … */
    const char *node;
    const char *listener;
    const char *api;     /* native, … */
    const char *request; /* id of the request */
    bool has_identity;
    uint32_t uid; /* UINT32_MAX: unknown, and left out */
    const char *user;
    int32_t pid;
    const char *unit;
    const char *container;
    const char *san; /* names in the caller's certificate, separated by blanks */
    struct audit_jwt jwt;
    const char *image; /* what the caller's container was made from; written last in `identity` */
    const char *role;
    const char *backend;
    const char *lease;
    const char *grant;
    const char *binding;   /* "process", or several joined by "," */
    int64_t until_wall_ms; /* end of the grant's life; 0: left out */
    const char *reason;
    const char *ticket;
    const char *const *approvers; /* names of those who have approved it */
    size_t approver_count;
    const char
        *approval;       /* grant.created: the request that was approved (`request` of request.*) */
    const char *comment; /* of who approves or denies */
    const char *block;   /* block.*: its id */
    const char *drill;   /* revoke.requested: its id */
    const char *match;   /* of these: what is meant, as JSON */
    const char *policy_digest;
    const char *policy_revision; /* filled in by audit/ where it knows it: audit_set_revision */
    const char *policy_rule;
    struct audit_observed observed; /* observe.differs */
    bool has_ttl;
    uint64_t ttl_ms;
    int64_t expires_wall_ms;    /* 0: left out */
    const char *issuer_ref;     /* "hmac:…", never the id itself */
    const char *identifier_ref; /* "hmac:…" */
    /* credential.read, grant.denied: how many since the last record; daemon.recovered: leases that
     * go on; 0: left out */
    uint64_t count;
    const char *error;
    uint64_t ledger_seq; /* the last record that the ledger had confirmed; 0: left out */
};

/* Writes the line with its newline, chained to `prev` (64 hex digits), and puts its own hash into
 * ret_hash (with NUL). Control characters, DEL, U+2028/9 and bidi controls are escaped; broken
 * UTF-8 is replaced. 0, ERR_NOMEM or ERR_TOO_LARGE. */
int audit_record_format(const struct audit_record *record, const char *prev, struct buf *out,
                        char ret_hash[AUDIT_HASH_HEX_BYTES + 1]) ATTR_MUST_USE;

/* What the verifier and the start-up need of a line. */
struct audit_line {
    uint64_t seq;
    uint64_t ledger_seq; /* 0: it doesn't say */
    char prev[AUDIT_HASH_HEX_BYTES + 1];
    char hash[AUDIT_HASH_HEX_BYTES + 1];
};

/* Parses a line (without newline) and checks its own hash. 0; ERR_INVALID: no record; ERR_CORRUPT:
 * the hash doesn't fit the line. */
int audit_line_parse(struct str line, struct audit_line *ret_line, struct err *e) ATTR_MUST_USE;

/* Does a line begin as a record does, and end too soon? */
bool audit_line_is_cut_off(struct str line) ATTR_MUST_USE;

enum audit_problem {
    AUDIT_PROBLEM_NONE,
    AUDIT_PROBLEM_EDIT,    /* a record was changed or replaced */
    AUDIT_PROBLEM_GAP,     /* records are missing */
    AUDIT_PROBLEM_ORDER,   /* a record stands behind a later one, or twice */
    AUDIT_PROBLEM_FOREIGN, /* a line that is no record */
    AUDIT_PROBLEM_TORN,    /* a record that was cut off */
};

/* Walks a trail, line by line and file after file in the order in which they were written. */
struct audit_verifier {
    bool has_last;
    struct audit_line last; /* the head of the chain so far */
    uint64_t
        first_seq; /* of the first record seen: over 1 when the trail's beginning isn't there */
    uint64_t record_count;
    uint64_t line_count; /* of the current file */
    uint64_t problem_count;
    enum audit_problem problem; /* the kind of the latest */
    /* Lines that a crash has cut off, and behind which their record stands whole. */
    uint64_t mended_count;
    struct {
        char bytes[AUDIT_RECORD_MAX_BYTES];
        size_t len; /* 0: there is none */
        uint64_t line;
        uint64_t count; /* one over the other, from crash after crash */
    } cut_off;          /* … the latest, which the next line must begin with */
};

void audit_verifier_init(struct audit_verifier *verifier);

/* The lines that follow are another file's. The chain goes on. */
void audit_verifier_next_file(struct audit_verifier *verifier);

/* Checks the next line (without its newline). 0, or ERR_CORRUPT with a text that names the line and
 * the record and tells an edit, a gap ("records 5 to 7 are missing"), a changed order, a foreign
 * and a cut-off line apart. A cut-off line is no problem where the next record begins with it:
 * after a crash the record was written again. So it is told with the line behind it, maybe together
 * with that line's own problem. After a problem it can go on with the next line, and should:
 * records that were moved show first as a gap, then as a changed order. ERR_NOMEM: not checked. */
int audit_verifier_line(struct audit_verifier *verifier, struct str line,
                        struct err *e) ATTR_MUST_USE;

/* What stands behind the last newline of a file: nothing, or a record that was cut off
 * (ERR_CORRUPT, also for one on the line before). */
int audit_verifier_rest(struct audit_verifier *verifier, struct str rest,
                        struct err *e) ATTR_MUST_USE;

#endif
