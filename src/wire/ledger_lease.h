/* What the ledger keeps of a lease, as a JSON object: enough to find it at its issuer and to revoke
 * it after a crash. Never a field of the credential.
 *
 * The issuer's reference (of Vault: the lease's id) opens nothing by itself; it stands here as it
 * is, so that what a daemon can't revoke any more can be revoked by hand. */
#ifndef LEASED_WIRE_LEDGER_LEASE_H
#define LEASED_WIRE_LEDGER_LEASE_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

#define LEDGER_LEASE_VERSION 1

/* Texts are never NULL; "" is none. Times are unix milliseconds, 0: none. */
struct ledger_lease {
    const char *role;
    const char *backend;
    const char *params_json; /* the plugin's keys, as the lease was issued with them */
    struct str issuer_ref;
    bool is_renewable;
    int64_t issued_wall_ms;
    int64_t expires_wall_ms; /* as it counts here */
    int64_t ends_wall_ms;    /* at the issuer, at the latest */
    /* For whom it was issued. */
    const char *caller; /* "unix", "loopback" or "tls" */
    uint32_t uid;
    const char *user;
    const char *unit;
    const char *container;
    const char *listener;
    const char *sans;
    bool is_foreign;
};

/* Appends the record. ERR_NOMEM, ERR_TOO_LARGE; ERR_INVALID when a text is no UTF-8. */
int ledger_lease_write(const struct ledger_lease *lease, struct buf *out) ATTR_MUST_USE;

/* Reads a record; texts are borrowed from `ret_owner`, which the caller gives to json_decref.
 * ERR_NOMEM; ERR_INVALID with a text when it is no such record: nothing that is missing, unknown,
 * of another type or of another version passes. */
int ledger_lease_read(struct str text, struct ledger_lease *ret_lease, json_t **ret_owner,
                      struct err *e) ATTR_MUST_USE;

#endif
