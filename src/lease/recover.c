/* Leases back from the ledger.
 *
 * Happy path: lease_core_recover: the record says that the lease lives, its credential opens, its
 * role and its anchor are still there → it is active again, as if nothing had happened → its grants
 * follow (recover_grant.c) → lease_core_recovered: successors are linked to what they replace, and
 * each lease is planned anew; what is overdue is spread over a while. Each is put on record as
 * adopted in the seconds after (adopted.c).
 *
 * Failure paths: one of these isn't so, or the lease was only intended, or it was being revoked: it
 * is there without a holder and a credential, is put on record as adopted, and is revoked. Its time
 * is up by the clock: its issuer is asked all the same, because a clock alone ends no lease. The
 * machine has booted since and its clock is behind the record: nothing is known about the time, so
 * it is revoked. */
#include "access/identity_record.h"
#include "base/log.h"
#include "base/mem.h"
#include "lease/core_internal.h"
#include "wire/ledger_clock.h"
#include "wire/ledger_lease.h"

#include <string.h>

/* A successor whose predecessor may come later in the walk. */
struct link {
    struct list node;
    struct lease *successor;
    char predecessor[LEASE_ID_BYTES + 1];
};

/* --- what records say ------------------------------------------------------------------------- */

static struct ledger_now now_of(const struct lease_core *core)
{
    return (struct ledger_now){.now_ms = core_now_ms(core),
                               .wall_ms = env_wall_ms(core->env),
                               .boot = env_boot_id(core->env)};
}

bool recover_is_same_boot(const struct lease_core *core, const struct ledger_clock *clock)
{
    const struct ledger_now now = now_of(core);

    return ledger_clock_is_same_boot(clock, &now);
}

uint64_t recover_past_ms(const struct lease_core *core, const struct ledger_clock *clock,
                         int64_t wall_ms)
{
    const struct ledger_now now = now_of(core);

    return ledger_clock_past_ms(clock, &now, wall_ms);
}

uint64_t recover_when_ms(const struct lease_core *core, const struct ledger_clock *clock,
                         int64_t wall_ms)
{
    const struct ledger_now now = now_of(core);

    return wall_ms != 0 ? ledger_clock_when_ms(clock, &now, wall_ms) : UINT64_MAX;
}

uint64_t recover_age_ms(const struct lease_core *core, const struct ledger_clock *clock)
{
    const struct ledger_now now = now_of(core);

    return ledger_clock_age_ms(clock, &now);
}

bool recover_is_id(struct str id, char prefix)
{
    size_t i;

    if (id.len != LEASE_ID_BYTES || id.ptr[0] != prefix || id.ptr[1] != '-') {
        return false;
    }
    for (i = 2; i < LEASE_ID_BYTES; i++) {
        char c = id.ptr[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return true;
}

/* --- going on --------------------------------------------------------------------------------- */

static bool is_clock_known(const struct lease_core *core, const struct ledger_clock *clock)
{
    return recover_is_same_boot(core, clock) || env_wall_ms(core->env) >= clock->written_wall_ms;
}

static bool holds_anchor(const struct lease *lease, uint64_t anchor)
{
    struct lease_issuer *config = lease->source->issuer->config;

    return anchor == 0 ||
           (config->ops->holds_anchor != NULL && config->ops->holds_anchor(config, anchor));
}

static bool is_intended(const struct ledger_lease *record)
{
    return strcmp(record->state, LEDGER_LEASE_INTENDED) == 0;
}

/* NULL, or why it can't go on as it was. */
static const char *check_adoption(const struct lease *lease, const struct ledger_lease *record)
{
    const struct lease_core *core = lease->role->core;

    if (strcmp(record->state, LEDGER_LEASE_LIVE) != 0) {
        return is_intended(record) ? "an earlier leased asked for it and never got an answer"
                                   : "an earlier leased was revoking it";
    }
    if (lease->role->is_removed) {
        return "its role isn't configured any more";
    }
    if (record->sealed.len <= ENV_LEDGER_SEAL_BYTES) {
        return "an earlier leased has left it without its credential";
    }
    if (!is_clock_known(core, &record->clock)) {
        return "the machine's clock is behind the one that it was left by";
    }
    if (recover_when_ms(core, &record->clock, record->expires_wall_ms) <= core_now_ms(core)) {
        return "its time was up before leased was there again";
    }
    return holds_anchor(lease, record->anchor) ? NULL : "the login that it hangs on isn't known";
}

/* From the ledger's key to the one of this run. */
static int reseal(struct lease *lease, const struct ledger_lease *record)
{
    struct lease_core *core = lease->role->core;
    char owner[LEASE_OWNER_MAX_BYTES];
    struct secret packed;
    char *plain;
    int r;

    secret_init(&packed);
    r = secret_make(&packed, record->sealed.len - ENV_LEDGER_SEAL_BYTES, &plain);
    if (r == 0) {
        r = env_ledger_unseal(core->ledger, lease_owner(lease, owner), record->sealed, plain);
    }
    if (r == 0 && !credential_is_packed(&packed)) {
        r = ERR_INVALID;
    }
    if (r == 0) {
        r = credential_seal(core->env, lease_owner(lease, owner), &packed, &lease->credential);
    }
    secret_fini(&packed);
    if (r == 0) {
        core->stats.sealed_bytes += credential_sealed(&lease->credential).len;
    }
    return r;
}

static void take_times(struct lease *lease, const struct ledger_lease *record)
{
    const struct lease_core *core = lease->role->core;
    const struct ledger_clock *clock = &record->clock;
    uint64_t issued_ms = recover_past_ms(core, clock, record->issued_wall_ms);

    lease->issued_ms = issued_ms > 0 ? issued_ms : 1;
    lease->answered_ms = recover_past_ms(core, clock, record->answered_wall_ms);
    lease->own_end_ms = recover_when_ms(core, clock, record->own_end_wall_ms);
    lease->expires_ms = recover_when_ms(core, clock, record->expires_wall_ms);
    lease->ends_ms = recover_when_ms(core, clock, record->ends_wall_ms);
    lease->move_ms =
        record->moves_wall_ms != 0 ? recover_when_ms(core, clock, record->moves_wall_ms) : 0;
    lease->rotate_after_ms = schedule_add_ms(core_now_ms(core), SCHEDULE_FLOOR_MS);
}

static void take_facts(struct lease *lease, const struct ledger_lease *record)
{
    lease->is_renewable = record->is_renewable;
    lease->is_revocable = record->is_revocable;
    lease->is_capped = record->is_capped;
    lease->is_refused = record->is_refused;
    lease->is_forced = record->is_forced;
    lease->granted_ms = record->granted_ms;
    lease->lifetime_ms = record->lifetime_ms;
    lease->refresh_ms = record->refresh_ms;
    lease->rule_ttl_ms = record->rule_ttl_ms;
    lease->anchor = record->anchor;
    lease->version = record->credential_version;
    lease->renewal_count = record->renewal_count;
    lease->is_recorded = lease->is_durable = true;
    take_times(lease, record);
}

/* Only what names it is left. */
static int take_ref(struct lease *lease, const struct ledger_lease *record)
{
    const struct lease_result result = {.outcome = LEASE_OUTCOME_OK,
                                        .issuer_ref = record->issuer_ref};

    return lease_seal(lease, &result);
}

static int link_later(struct lease *lease, const char *predecessor)
{
    struct link *link;

    if (!recover_is_id(str_of(predecessor), 'l')) {
        return 0;
    }
    link = mem_calloc(1, sizeof(*link));
    if (link == NULL) {
        return ERR_NOMEM;
    }
    link->successor = lease;
    memcpy(link->predecessor, predecessor, LEASE_ID_BYTES);
    list_push_back(&lease->role->core->links, &link->node);
    return 0;
}

static int adopt(struct lease *lease, const struct ledger_lease *record)
{
    struct lease_core *core = lease->role->core;
    int r = link_later(lease, record->predecessor);

    if (r != 0) {
        return r;
    }
    lease_set_state(lease, LEASE_STATE_ACTIVE);
    issue_forget(lease);
    observe_ready(lease);
    lease_limit_life(lease);
    lease->is_untold = true;
    core->recovery.adopted_count++;
    core->is_unlinked = true;
    return 0;
}

static void give_up(struct lease *lease, const struct ledger_lease *record, const char *why)
{
    lease_set_state(lease, LEASE_STATE_ACTIVE);
    issue_forget(lease);
    if (is_intended(record)) {
        record_lease_suspected(lease, lease);
    } else {
        record_lease_adopted(lease);
    }
    lease->role->core->recovery.revoked_count++;
    revoke_start(lease, why);
}

static int revive(struct lease *lease, const struct ledger_lease *record)
{
    const char *why = check_adoption(lease, record);
    int r = why == NULL ? reseal(lease, record) : ERR_INVALID;

    if (why == NULL && r != 0 && r != ERR_NOMEM && r != ERR_LIMIT) {
        why = r == ERR_NOT_FOUND ? "the key that its credential was sealed with isn't there"
                                 : "its credential in the ledger was changed";
        log_event(LOG_LEVEL_WARN, "ledger.unopened", "lease", lease->id, "err", why, NULL);
    }
    if (why != NULL) {
        r = take_ref(lease, record);
    }
    if (r != 0) {
        return r;
    }
    take_facts(lease, record);
    if (why == NULL) {
        return adopt(lease, record);
    }
    give_up(lease, record, why);
    return 0;
}

int lease_core_recover(struct lease_core *core, struct str id, const struct ledger_lease *record,
                       struct lease_issuer *issuer)
{
    struct access_identity identity;
    struct access_claims *claims = NULL;
    struct holder *holder = NULL;
    struct source *source = NULL;
    struct lease *lease = NULL;
    struct role *role = NULL;
    int r = recover_is_id(id, 'l') && lease_core_find_lease(core, id) == NULL
                ? access_identity_recover(&record->holder, &identity, &claims)
                : ERR_INVALID;

    if (r == 0) {
        r = role_recover(core, record->role, issuer, record->params_json, &source);
    }
    if (r == 0) {
        role = source->role;
        holder = holder_get(core, role, &identity);
        lease = holder != NULL ? lease_new_from(source, holder, id.ptr, NULL) : NULL;
        r = lease != NULL ? 0 : ERR_NOMEM;
    }
    if (r == 0) {
        r = revive(lease, record);
        if (r != 0) {
            lease_free(lease);
        }
    }
    holder_put(core, holder);
    access_claims_free(claims);
    if (role != NULL) {
        source_put(source);
        role_put(role);
    }
    core_touch(core);
    return r;
}

/* --- when all are there ----------------------------------------------------------------------- */

/* The chain as it was: the older one serves its holders until they have read the newer. */
static void link_up(struct lease_core *core, const struct link *link)
{
    struct lease *successor = link->successor;
    struct lease *lease = lease_core_find_lease(core, str_of(link->predecessor));

    if (lease == NULL || lease == successor || lease->successor != NULL ||
        lease->role != successor->role || !fsm_lease_is_live(successor->state)) {
        return;
    }
    lease->successor = successor;
    successor->predecessor = lease;
    if (fsm_lease_is_live(lease->state)) {
        lease_set_state(lease, LEASE_STATE_SUPERSEDED);
        observe_superseded(lease);
        ack_recover(lease);
    }
}

/* What stood between the two has ended, so that nothing on record links them: they would be two
 * chains of what is shared, and each would be renewed and replaced. */
static void link_before(struct lease *older, struct lease *newer)
{
    while (newer->predecessor != NULL) {
        newer = newer->predecessor;
    }
    older->successor = newer;
    newer->predecessor = older;
    if (older->state != LEASE_STATE_SUPERSEDED) {
        lease_set_state(older, LEASE_STATE_SUPERSEDED);
    }
    observe_superseded(older);
    ack_recover(older);
}

/* One lease of what is shared is offered: the newest. */
static void offer(struct lease *lease)
{
    struct lease *other = sharing_find(lease->role, lease->holder);

    if (other == NULL) {
        sharing_offer(lease);
    } else if (other != lease && lease_current(other) == other) {
        if (other->issued_ms < lease->issued_ms) {
            sharing_replace(other, lease);
            link_before(other, lease);
        } else {
            link_before(lease, other);
        }
    }
}

static void go_on(struct lease *lease)
{
    if (!fsm_lease_is_live(lease->state)) {
        return;
    }
    if (lease_is_wanted(lease)) {
        lease_replan(lease);
        rotate_recover(lease);
    } else {
        lease_settle(lease, GRANT_END_RELEASED);
    }
}

void lease_core_recovered(struct lease_core *core, struct lease_recovery *ret_recovery)
{
    struct lease *lease = NULL;
    struct list *node;

    while ((node = list_pop_front(&core->links)) != NULL) {
        struct link *link = LIST_ENTRY(node, struct link, node);

        link_up(core, link);
        mem_free(link);
    }
    while ((lease = lease_core_next_lease(core, lease)) != NULL) {
        if (fsm_lease_is_live(lease->state) && lease_is_shared(lease) &&
            lease_current(lease) == lease) {
            offer(lease);
        }
    }
    core->is_unlinked = false;
    while ((lease = lease_core_next_lease(core, lease)) != NULL) {
        go_on(lease);
    }
    lend_recovered(core);
    *ret_recovery = core->recovery;
    left_forget(core);
    adopted_start(core);
    core_touch(core);
}
