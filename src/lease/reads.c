/* Reads of a credential that its holder has already: the hot path, and how they get on record.
 *
 * lease_core_cached finds the caller's grant by two look-ups in hash maps, checks that its
 * credential is good for a hand-out, and counts. Counts go on record a minute after the first, when
 * the grant moves to another lease, and when it ends. Whatever needs more than that (a new lease,
 * the first read of a successor, a binding that must be looked up) takes the way through acquire.c.
 */
#include "base/mutant.h"
#include "lease/core_internal.h"

void reads_count(struct grant *grant)
{
    struct lease_core *core = grant->lease->role->core;

    grant->read_count++;
    grant->unrecorded_reads++;
    if (!list_is_linked(&grant->by_reads)) {
        list_push_back(&core->read_grants, &grant->by_reads);
        if (!wheel_is_armed(&core->reads_due)) {
            wheel_arm(&core->wheel, &core->reads_due,
                      schedule_add_ms(core_now_ms(core), CORE_READS_FLUSH_MS));
            core_touch(core);
        }
    }
}

void reads_flush_grant(struct grant *grant)
{
    if (grant->unrecorded_reads > 0) {
        record_reads(grant, grant->unrecorded_reads);
        grant->unrecorded_reads = 0;
    }
    list_remove(&grant->by_reads);
}

void reads_flush(struct lease_core *core)
{
    while (!list_is_empty(&core->read_grants)) {
        reads_flush_grant(LIST_ENTRY(core->read_grants.next, struct grant, by_reads));
    }
}

/* May the credential leave just so? Its holder has it already, and it is the newest and good for
 * long enough. */
static bool is_plain(const struct grant *grant, uint64_t wished_ms)
{
    struct lease *lease = grant->lease;
    uint64_t left_ms = lease_left_ms(lease);

    return grant->state == GRANT_STATE_HELD && grant->is_read && grant->is_delivered &&
           (grant->leaving == NULL || grant->awaits_ack) && !lease_is_outdated(lease) &&
           fsm_lease_is_live(lease->state) && lease_current(lease) == lease && left_ms > 0 &&
           left_ms + (MUTATED(1) ? 60000U : 0U) >= lease_needed_ms(lease, wished_ms);
}

static struct grant *own_grant(const struct lease_core *core, const struct lease_ask *ask,
                               const struct binding_set *set)
{
    struct holder *holder = holder_find(core, role_of(ask->role), ask->identity);

    return holder != NULL && !ask->is_new_grant ? grant_find(core, holder, set) : NULL;
}

struct grant *reads_named(const struct lease_ask *ask)
{
    struct grant *named = ask->named;

    return named != NULL && !ask->is_new_grant && named->lease->role == role_of(ask->role) ? named
                                                                                           : NULL;
}

struct grant *lease_core_cached(struct lease_core *core, const struct lease_ask *ask)
{
    /* What the daemon works with itself doesn't leave it. */
    bool is_own = ask->identity->kind == ENV_PEER_SELF;
    struct grant *grant = reads_named(ask);
    struct binding_set set;

    if (core->is_closing || (!is_own && lease_core_may_hand_out(core, NULL) != 0)) {
        return NULL;
    }
    if (grant == NULL && binding_resolve_known(ask, &set)) {
        grant = own_grant(core, ask, &set);
    }
    if (grant == NULL || !is_plain(grant, acquire_wished_ms(ask, grant))) {
        return NULL;
    }
    /* What the next daemon goes on with is served to the last. */
    if (core->is_draining && !grant->lease->is_left && !is_own) {
        return NULL;
    }
    if (!is_own) { /* a look each few seconds, for its backend's health */
        reads_count(grant);
    }
    return grant;
}

const struct grant *lease_core_held(struct lease_core *core, const struct lease_ask *ask)
{
    struct binding_found found;

    if (reads_named(ask) != NULL) {
        return reads_named(ask);
    }
    return binding_resolve(core->env, ask, &found, NULL) == 0 ? own_grant(core, ask, &found.set)
                                                              : NULL;
}

uint32_t lease_core_live_count(struct lease_core *core, const struct lease_ask *ask)
{
    const struct holder *holder = holder_find(core, role_of(ask->role), ask->identity);
    struct binding_found found;

    if (holder == NULL) {
        return 0;
    }
    if (binding_resolve(core->env, ask, &found, NULL) != 0) {
        return holder->grant_count;
    }
    return holder->grant_count - (own_grant(core, ask, &found.set) != NULL ? 1 : 0);
}
