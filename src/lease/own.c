/* What belongs to an identity, without a look at what belongs to others: an identity's holders are
 * found by its account, and each knows its leases and grants. */
#include "lease/core_internal.h"

#include <string.h>

/* The identity's next holder after `after` (NULL: the first), one for each role (and each name that
 * its uid had). */
static struct holder *next_holder(const struct lease_core *core,
                                  const struct access_identity *identity,
                                  const struct holder *after)
{
    char key[ACCESS_KEY_MAX_BYTES];
    const struct account *account = after != NULL ? after->account : account_find(core, identity);
    struct list *node;

    if (account == NULL) {
        return NULL;
    }
    (void)access_identity_key(identity, key);
    node = after != NULL ? after->by_account.next : account->holders.next;
    for (; node != &account->holders; node = node->next) {
        struct holder *holder = LIST_ENTRY(node, struct holder, by_account);

        if (strcmp(holder->key, key) == 0) {
            return holder;
        }
    }
    return NULL;
}

static bool is_holder_of(const struct holder *holder, const struct access_identity *identity)
{
    char key[ACCESS_KEY_MAX_BYTES];

    return strcmp(holder->key, access_identity_key(identity, key)) == 0;
}

/* --- grants --- */

static struct grant *next_of_holder(const struct holder *holder, const struct grant *after)
{
    struct list *node = after != NULL ? after->by_holder.next : holder->grants.next;

    return node != &holder->grants ? LIST_ENTRY(node, struct grant, by_holder) : NULL;
}

struct grant *lease_core_next_own_grant(const struct lease_core *core,
                                        const struct access_identity *identity,
                                        const struct grant *after)
{
    const struct holder *holder = after != NULL ? after->holder : next_holder(core, identity, NULL);
    struct grant *grant = NULL;

    while (holder != NULL && (grant = next_of_holder(holder, after)) == NULL) {
        holder = next_holder(core, identity, holder);
        after = NULL;
    }
    return grant;
}

/* The holder's next grant on the lease that hasn't ended, sought among all on the lease or all of
 * the holder, whichever are fewer: a page of leases would look at all of thousands for each.
 * Whatever ends during a walk ends on both sides, so the walk stays the one that it was. */
static struct grant *next_on(const struct holder *holder, const struct lease *lease,
                             const struct grant *after)
{
    bool is_by_lease = lease->grant_count <= holder->grant_count;
    struct grant *grant = (struct grant *)(uintptr_t)after;

    do {
        grant = is_by_lease ? lease_next_grant(lease, grant) : next_of_holder(holder, grant);
    } while (grant != NULL && (grant->holder != holder || grant->lease != lease ||
                               grant->state == GRANT_STATE_ENDED));
    return grant;
}

struct grant *lease_next_own_grant(const struct lease *lease,
                                   const struct access_identity *identity,
                                   const struct grant *after)
{
    const struct lease_core *core = lease->role->core;
    const struct holder *holder = after != NULL ? after->holder : next_holder(core, identity, NULL);
    struct grant *grant = NULL;

    while (holder != NULL &&
           (holder->role != lease->role || (grant = next_on(holder, lease, after)) == NULL)) {
        holder = next_holder(core, identity, holder);
        after = NULL;
    }
    return grant;
}

/* --- leases --- */

/* A credential that all callers of a role share belongs to who holds it, for whomever it was
 * issued. */
static bool is_for_all(const struct lease *lease)
{
    return lease->role->config.share == LEASE_SHARE_ROLE;
}

bool lease_is_own(const struct lease *lease, const struct access_identity *identity)
{
    return (!is_for_all(lease) && is_holder_of(lease->holder, identity)) ||
           lease_next_own_grant(lease, identity, NULL) != NULL;
}

/* First what was issued for the holder, then what it holds besides. */
static bool is_issued_for(const struct holder *holder, const struct lease *lease)
{
    return lease->holder == holder && !is_for_all(lease);
}

static struct lease *next_issued(const struct holder *holder, const struct lease *after)
{
    struct list *node = after != NULL ? after->by_holder.next : holder->leases.next;

    for (; node != &holder->leases; node = node->next) {
        struct lease *lease = LIST_ENTRY(node, struct lease, by_holder);

        if (is_issued_for(holder, lease)) {
            return lease;
        }
    }
    return NULL;
}

/* The next lease that the holder has a grant on and that wasn't issued for it; each comes with the
 * first of its grants. */
static struct lease *next_held(const struct holder *holder, const struct lease *after)
{
    struct grant *grant = after != NULL ? next_on(holder, after, NULL) : NULL;
    struct lease *lease = NULL;
    const struct grant *first = NULL; /* of those on `lease` */

    while ((grant = next_of_holder(holder, grant)) != NULL) {
        if (grant->state == GRANT_STATE_ENDED || grant->lease == after ||
            is_issued_for(holder, grant->lease)) {
            continue;
        }
        if (grant->lease != lease) {
            lease = grant->lease;
            first = next_on(holder, lease, NULL);
        }
        if (grant == first) {
            return lease;
        }
    }
    return NULL;
}

static struct lease *next_of(const struct holder *holder, const struct lease *after)
{
    struct lease *lease = NULL;

    if (after == NULL || is_issued_for(holder, after)) {
        lease = next_issued(holder, after);
        after = NULL;
    }
    return lease != NULL ? lease : next_held(holder, after);
}

/* The holder at which the walk stands. */
static const struct holder *holder_at(const struct lease_core *core,
                                      const struct access_identity *identity,
                                      const struct lease *lease)
{
    struct grant *grant;

    if (!is_for_all(lease) && is_holder_of(lease->holder, identity)) {
        return lease->holder;
    }
    grant = lease_next_own_grant(lease, identity, NULL);
    return grant != NULL ? grant->holder : next_holder(core, identity, NULL);
}

struct lease *lease_core_next_own_lease(const struct lease_core *core,
                                        const struct access_identity *identity,
                                        const struct lease *after)
{
    const struct holder *holder =
        after != NULL ? holder_at(core, identity, after) : next_holder(core, identity, NULL);
    struct lease *lease = NULL;

    while (holder != NULL && (lease = next_of(holder, after)) == NULL) {
        holder = next_holder(core, identity, holder);
        after = NULL;
    }
    return lease;
}
