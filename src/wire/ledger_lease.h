/* What the ledger keeps of a lease: enough to find it at its issuer, to revoke it after a crash,
 * and (with its credential, sealed) to go on with it.
 *
 * The issuer's reference (of Vault: the lease's id) opens nothing by itself; it stands here as it
 * is, so that what a daemon can't revoke any more can be revoked by hand. */
#ifndef LEASED_WIRE_LEDGER_LEASE_H
#define LEASED_WIRE_LEDGER_LEASE_H

#include "wire/ledger_record.h"

#define LEDGER_LEASE_VERSION 3
/* The same with what bounds the lease behind the other fields; none without. */
#define LEDGER_LEASE_VERSION_BOUNDED 4
/* Of one whose holder an issuer vouches for. */
#define LEDGER_LEASE_VERSION_CLAIMS 5
/* Of one whose holder is in a container of a known image. */
#define LEDGER_LEASE_VERSION_IMAGE 6

/* What is known of it. */
#define LEDGER_LEASE_INTENDED "intended" /* an issuer was asked, or is about to be */
#define LEDGER_LEASE_LIVE "live"
#define LEDGER_LEASE_REVOKING "revoking"

/* Texts are never NULL; "" is none. Times are unix milliseconds, 0: none. */
struct ledger_lease {
    const char *state; /* LEDGER_LEASE_* */
    const char *role;
    const char *backend;
    const char *params_json; /* the plugin's keys, as the lease was issued with them */
    struct str issuer_ref;   /* empty: its issuer can't revoke it */
    bool is_renewable;
    bool is_revocable;
    bool is_capped;
    bool is_refused;
    bool is_forced;        /* its replacement was asked for, or access was taken away */
    int64_t moves_wall_ms; /* when its holders are moved to its successor, and it ends */
    int64_t issued_wall_ms;
    int64_t answered_wall_ms; /* when the present life began */
    int64_t own_end_wall_ms;  /* of the present life, as it counts here, without its anchor */
    int64_t expires_wall_ms;  /* with it */
    int64_t ends_wall_ms;     /* at the issuer, at the latest */
    struct ledger_clock clock;
    uint64_t granted_ms;
    uint64_t lifetime_ms;
    uint64_t refresh_ms;
    uint64_t rule_ttl_ms;
    uint64_t anchor;
    uint32_t credential_version;
    uint32_t renewal_count;
    const char *predecessor;     /* the id of the lease that it replaces */
    struct ledger_holder holder; /* for whom it was issued */
    struct str sealed;           /* its credential; empty: not kept */
};

/* Appends the record. ERR_NOMEM, ERR_TOO_LARGE; ERR_INVALID when a text is no UTF-8. */
int ledger_lease_write(const struct ledger_lease *lease, struct buf *out) ATTR_MUST_USE;

/* Reads a record; texts and `sealed` are borrowed from `body`. ERR_INVALID with a text when it is
 * no such record. */
int ledger_lease_read(struct str body, struct ledger_lease *ret_lease, struct err *e) ATTR_MUST_USE;

#endif
