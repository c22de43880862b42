/* Audit records: one JSON object a line with a stable field order, chained by SHA-256.
 *
 * hash_n = hex SHA-256("leased-audit-v1" NUL, prev_n as text, NUL, the line up to and without
 * `,"hash":…}`). prev_n is hash_{n-1}; the first record of a chain has 64 zeros. */
#ifndef LEASED_WIRE_AUDIT_RECORD_H
#define LEASED_WIRE_AUDIT_RECORD_H

#include "base/buf.h"
#include "base/err.h"

#define AUDIT_HASH_HEX_BYTES 64
#define AUDIT_RECORD_MAX_BYTES 8192
#define AUDIT_APPROVERS_MAX 4

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
    uint32_t uid;
    const char *user;
    int32_t pid;
    const char *unit;
    const char *container;
    const char *role;
    const char *backend;
    const char *lease;
    const char *grant;
    const char *binding;   /* "process", or several joined by "," */
    int64_t until_wall_ms; /* end of the grant's life; 0: left out */
    const char *reason;
    const char *ticket;
    const char *policy_digest;
    const char *policy_rule;
    bool has_ttl;
    uint64_t ttl_ms;
    int64_t expires_wall_ms;    /* 0: left out */
    const char *issuer_ref;     /* "hmac:…", never the id itself */
    const char *identifier_ref; /* "hmac:…" */
    uint64_t count;             /* credential.read: how many since the last record; 0: left out */
    const char *error;
};

/* Writes the line with its newline, chained to `prev` (64 hex digits), and puts its own hash into
 * ret_hash (with NUL). Control characters, DEL, U+2028/9 and bidi controls are escaped; broken
 * UTF-8 is replaced. 0, ERR_NOMEM or ERR_TOO_LARGE. */
int audit_record_format(const struct audit_record *record, const char *prev, struct buf *out,
                        char ret_hash[AUDIT_HASH_HEX_BYTES + 1]) ATTR_MUST_USE;

/* What the verifier and the start-up need of a line. */
struct audit_line {
    uint64_t seq;
    char prev[AUDIT_HASH_HEX_BYTES + 1];
    char hash[AUDIT_HASH_HEX_BYTES + 1];
};

/* Parses a line (without newline) and checks its own hash. 0; ERR_INVALID: no record; ERR_CORRUPT:
 * the hash doesn't fit the line. */
int audit_line_parse(struct str line, struct audit_line *ret_line, struct err *e) ATTR_MUST_USE;

/* Walks a trail, file after file. */
struct audit_verifier {
    bool has_last;
    struct audit_line last;
    uint64_t record_count;
    uint64_t line_count; /* of the current file */
};

void audit_verifier_init(struct audit_verifier *verifier);

/* Checks the next line. 0, or ERR_CORRUPT with a text that tells an edit, a gap ("records 5 to 7
 * are missing"), a reordering and a foreign line apart and names the line. */
int audit_verifier_line(struct audit_verifier *verifier, struct str line,
                        struct err *e) ATTR_MUST_USE;

#endif
