/* What a new grant stands on, where its rule asks for an approval, or is one of break-glass. Who
 * has approved what is request/'s; here it is a name, the rule that it was for, and who is told
 * that the grant is there. */
#ifndef LEASED_LEASE_APPROVAL_H
#define LEASED_LEASE_APPROVAL_H

#include "lease/core.h"

#define LEASE_APPROVERS_MAX 8
#define LEASE_DIGEST_BYTES 64 /* of a rule, as policies give it */

/* What a new grant stands on, where its rule asks for an approval or is one of break-glass;
 * embedded in the caller's, lives as long as its acquire. */
struct lease_approval {
    /* Set by the caller. */
    char id[LEASE_ID_BYTES + 1];              /* of what was approved */
    char rule_digest[LEASE_DIGEST_BYTES + 1]; /* for which rule */
    bool is_break_glass;
    /* Called when the grant is put on record, in the same turn of the loop, so that what this puts
     * into the ledger is there if and only if the grant is. Fills in who has approved (borrowed
     * until the loop turns). Not 0: there is no such approval any more, and no grant. */
    int (*use)(struct lease_approval *approval, const char *grant);
    void *user;
    const char *approvers[LEASE_APPROVERS_MAX];
    size_t approver_count;
};

#endif
