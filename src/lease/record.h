/* The audit records of this layer: one function per event, each called at the one place where the
 * state changes. */
#ifndef LEASED_LEASE_RECORD_H
#define LEASED_LEASE_RECORD_H

#include "audit/audit.h"

struct lease_acquire;
struct grant;
struct lease;

/* These are waited for. */
int record_lease_issued(struct lease *lease, struct audit_write *write) ATTR_MUST_USE;
int record_grant_created(struct grant *grant, struct lease *lease,
                         const struct lease_acquire *asked,
                         struct audit_write *write) ATTR_MUST_USE;
int record_first_read(struct grant *grant, struct lease *lease, const struct lease_acquire *asked,
                      struct audit_write *write) ATTR_MUST_USE;

/* These aren't: what they tell has happened at the issuer or will happen whether it is on record or
 * not. */
void record_reads(const struct grant *grant, uint64_t count);
void record_grant_reduced(const struct grant *grant);
void record_grant_ended(const struct grant *grant);
void record_lease_issued_late(struct lease *lease);
/* What an issue of `lease` may have made, which isn't known to exist. */
void record_lease_suspected(struct lease *orphan, const struct lease *lease);
void record_lease_adopted(struct lease *lease);
void record_lease_renewed(struct lease *lease);
void record_lease_rotated(struct lease *successor, const struct lease *lease, const char *why);
void record_lease_superseded(struct lease *lease);
void record_lease_revoking(struct lease *lease, const char *why);
void record_lease_unrevoked(struct lease *lease, const char *why);
void record_lease_revoked(struct lease *lease);
void record_lease_expired(struct lease *lease, const char *why);
void record_lease_unconfirmed(struct lease *lease, const char *why);
void record_lease_failed(struct lease *lease, const char *why);

#endif
