/* Grants back from the ledger.
 *
 * Happy path: its lease goes on, its processes and cgroups are the same as they were (pid and start
 * time, folder and id, in the same boot), its duration isn't over → it is held again, under its own
 * id, and its caller finds it when it asks.
 *
 * Failure paths: its lease was left in the ledger: its record stays there, too, or the lease would
 * be revoked under its holder by the daemon that can go on with it. One of the others isn't so: it
 * is there for a moment, and ends with the reason. So each grant that began on record ends on
 * record. Its lease isn't settled before all others that hold it
 * are there (lease_core_recovered). */
#include "access/identity_record.h"
#include "base/log.h"
#include "lease/core_internal.h"
#include "wire/ledger_grant.h"

#include <stdio.h>
#include <string.h>

/* What a grant is made from, out of its record. */
struct revival {
    struct access_identity identity;
    struct access_claims *claims; /* which the identity borrows; owned */
    struct access_decision decision;
    struct lease_acquire acquire;
    struct binding_found found;
};

/* --- the record ------------------------------------------------------------------------------- */

static int take_processes(struct str text, struct binding_set *set)
{
    while (text.len > 0) {
        struct str start = str_cut(&text, ',');
        struct str pid = str_cut(&start, ':');
        uint64_t number;
        uint64_t start_ticks;

        if (set->count == ACCESS_BINDINGS_MAX || str_parse_u64(pid, &number) != 0 || number == 0 ||
            number > INT32_MAX || str_parse_u64(start, &start_ticks) != 0) {
            return ERR_INVALID;
        }
        /* They were written in the order that a set has. */
        set->targets[set->count++] =
            (struct binding_target){.pid = (int64_t)number, .value = start_ticks};
    }
    return 0;
}

static int take_cgroups(struct str text, struct binding_found *found)
{
    while (text.len > 0) {
        struct env_cgroup *cgroup = &found->cgroups[found->cgroup_count];
        struct str path = str_cut(&text, '\n');
        struct str id = str_cut(&path, ':');

        if (found->set.count == ACCESS_BINDINGS_MAX || str_parse_u64(id, &cgroup->id) != 0 ||
            path.len == 0 || path.len >= sizeof(cgroup->path)) {
            return ERR_INVALID;
        }
        memcpy(cgroup->path, path.ptr, path.len);
        found->cgroup_count++;
        found->set.targets[found->set.count++] =
            (struct binding_target){.pid = BINDING_CGROUP, .value = cgroup->id};
    }
    return 0;
}

static int revival_fill(const struct lease *lease, const struct ledger_grant *record,
                        struct revival *revival)
{
    int r = access_identity_recover(&record->holder, &revival->identity, &revival->claims);

    if (r == 0) {
        r = access_identity_recover_groups(str_of(record->groups), &revival->identity);
    }
    if (r == 0) {
        r = take_processes(str_of(record->processes), &revival->found.set);
    }
    if (r == 0) {
        r = take_cgroups(str_of(record->cgroups), &revival->found);
    }
    if (r != 0 || strlen(record->bindings) >= sizeof(revival->found.text)) {
        return ERR_INVALID;
    }
    revival->identity.gid = record->gid;
    revival->identity.pid = (int32_t)record->pid;
    (void)snprintf(revival->found.text, sizeof(revival->found.text), "%s", record->bindings);
    revival->decision.rule = record->rule;
    revival->decision.duration_ms = record->duration_ms;
    revival->acquire = (struct lease_acquire){
        .ask = {.role = &lease->role->config,
                .identity = &revival->identity,
                .decision = &revival->decision},
        .policy_digest = record->policy,
        .reason = record->reason,
        .ticket = record->ticket,
    };
    return 0;
}

/* --- the grant -------------------------------------------------------------------------------- */

/* UINT64_MAX: it has no end. */
static uint64_t until_of(struct lease_core *core, const struct ledger_grant *record)
{
    if (record->window_wall_ms == 0) {
        return recover_when_ms(core, &record->clock, record->until_wall_ms);
    }
    return window_until_ms(core, recover_when_ms(core, &record->clock, record->own_until_wall_ms),
                           record->window_wall_ms);
}

/* GRANT_END_NONE: nothing ends it. */
static enum grant_end end_of(const struct lease *lease, const struct ledger_grant *record)
{
    struct lease_core *core = lease->role->core;
    bool is_same_boot = recover_is_same_boot(core, &record->clock);

    bool has_watched = record->processes[0] != '\0' || record->cgroups[0] != '\0';

    if (record->has_connection || (has_watched && !is_same_boot)) {
        return GRANT_END_BINDING;
    }
    if (until_of(core, record) <= core_now_ms(core)) {
        return GRANT_END_DURATION;
    }
    if (lease->role->is_removed) {
        return GRANT_END_POLICY;
    }
    return fsm_lease_is_live(lease->state) ? GRANT_END_NONE : GRANT_END_FAILED;
}

static void take_record(struct grant *grant, const struct ledger_grant *record)
{
    struct lease_core *core = grant->lease->role->core;

    grant->is_created = grant->is_read_counted = true;
    grant->is_read = record->is_read;
    grant->is_durable = grant->is_delivered = true;
    grant->created_wall_ms = record->created_wall_ms;
    grant->read_count = record->read_count;
    if (record->until_wall_ms != 0) {
        grant_set_until(grant, recover_when_ms(core, &record->clock, record->until_wall_ms));
    }
    if (record->window_wall_ms != 0) {
        window_set(grant, record->window_wall_ms);
        grant->own_until_ms = recover_when_ms(core, &record->clock, record->own_until_wall_ms);
        window_refit(grant);
    }
    grant_set_state(grant, GRANT_STATE_HELD);
}

/* With what it hangs on, if that is still there, else without. */
static int revive(const struct grant_making *making, struct grant **ret_grant, enum grant_end *end)
{
    const struct binding_found nothing = {.text = ""};
    struct grant_making bare = *making;
    struct binding_found found = *making->found;
    /* Its processes are watched before anything else happens in this turn, so none has to be looked
     * up for each grant. */
    int r = *end == GRANT_END_NONE ? grant_new(making, ret_grant) : ERR_GONE;

    if (r == ERR_GONE) {
        *end = *end != GRANT_END_NONE ? *end : GRANT_END_BINDING;
        found.set = nothing.set;
        bare.found = &found;
        r = grant_new(&bare, ret_grant);
    }
    return r;
}

/* The daemons of before didn't keep who has read a lease. */
static void note_read(struct grant *grant)
{
    bool is_read = grant->is_read && !fsm_lease_is_over(grant->lease->state);
    bool is_new;
    int r = is_read ? readers_add(grant->lease, grant->holder, &is_new) : 0;

    if (r != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.unrecorded", "grant", grant->id, "err", err_str(r), NULL);
    }
}

int lease_core_recover_grant(struct lease_core *core, struct str id,
                             const struct ledger_grant *record)
{
    struct lease *lease = lease_core_find_lease(core, str_of(record->lease));
    struct revival revival = {.decision = {.outcome = ACCESS_ALLOW}};
    struct grant_making making = {
        .lease = lease,
        .acquire = &revival.acquire,
        .found = &revival.found,
        .id = id.ptr,
        .approval = record->approval,
    };
    struct grant *grant = NULL;
    enum grant_end end = GRANT_END_NONE;
    int r;

    if (!recover_is_id(id, 'g') || lease_core_find_grant(core, id) != NULL) {
        return ERR_INVALID;
    }
    if (lease == NULL && left_has(core, str_of(record->lease))) {
        return ERR_UNAVAILABLE;
    }
    if (lease == NULL) {
        (void)env_ledger_remove(core->ledger, ENV_LEDGER_GRANT, id);
        return ERR_NOT_FOUND;
    }
    r = revival_fill(lease, record, &revival);
    if (r == 0) {
        making.holder = holder_get(core, lease->role, &revival.identity);
        end = end_of(lease, record);
        r = making.holder != NULL ? revive(&making, &grant, &end) : ERR_NOMEM;
        holder_put(core, making.holder);
    }
    access_claims_free(revival.claims);
    if (r != 0) {
        return r;
    }
    take_record(grant, record);
    note_read(grant);
    if (end != GRANT_END_NONE) {
        core->recovery.ended_count++;
        core->is_recovering = true;
        grant_end(grant, end);
        core->is_recovering = false;
    } else {
        core->recovery.grant_count++;
    }
    core_touch(core);
    return 0;
}
