/* The checks that go through all there is: how many of each thing, for how long, what on record. */
#include "sim_check.h"

#include <stdlib.h>
#include <string.h>

#define ENDED_MAX 1100          /* ended leases of one state: kept ones, and those pointed to */
#define ANSWER_MAX_MS 30000     /* acquire_timeout's default */
#define ANSWER_LATE_MAX_MS 8000 /* records that take their time, timers that come late */
#define REQUESTED_MAX 64
#define OUTLIVES_MAX_MS 5000

void sim_check_trace_leases(struct sim_check *check)
{
    struct lease_core *core = check->world->core;
    struct lease *lease = NULL;
    struct lease_view view;

    while ((lease = lease_core_next_lease(core, lease)) != NULL) {
        lease_view(lease, &view);
        sim_trace(&check->world->sim, "lease %s of %s: %s, %u grants, ends in %lld ms, then %s, %s",
                  view.id, view.role->name, lease_state_str(view.state), view.grant_count,
                  (long long)(view.expires_wall_ms - env_wall_ms(&check->world->sim.env)),
                  view.successor != NULL ? view.successor : "-", view.last_error);
    }
}

static bool is_over(enum lease_state state)
{
    return state == LEASE_STATE_REVOKED || state == LEASE_STATE_EXPIRED ||
           state == LEASE_STATE_UNCONFIRMED || state == LEASE_STATE_FAILED;
}

/* S4: replacements are issued at the limit, too, so there may be one for each lease. */
static void check_leases(struct sim_check *check)
{
    const struct lease_core_options *limits = &check->world->limits;
    struct lease_core_stats stats;
    uint64_t live = 0;

    lease_core_stats(check->world->core, &stats);
    for (size_t state = 0; state <= LEASE_STATE_FAILED; state++) {
        if (state == LEASE_STATE_REVOKING) {
            continue; /* also what lost issues may have left behind, which nobody asked for */
        }
        if (!is_over((enum lease_state)state)) {
            live += stats.leases_by_state[state];
        } else if (stats.leases_by_state[state] > ENDED_MAX) {
            sim_fail(&check->world->sim, "S4: %llu leases that are %s are kept",
                     (unsigned long long)stats.leases_by_state[state],
                     lease_state_str((enum lease_state)state));
        }
    }
    if (limits->leases_max > 0 && live > 2ULL * limits->leases_max) {
        sim_fail(&check->world->sim, "S4: %llu leases live, at most %u may be asked for",
                 (unsigned long long)live, limits->leases_max);
    }
}

/* S2: nor the cgroup, nor the leader of the session. What has taken the leader's pid by now says
 * nothing about it. */
static void check_job(struct sim_check *check, const struct grant_view *view,
                      const struct sim_process *process)
{
    struct sim *sim = &check->world->sim;
    const struct sim_cgroup *cgroup = sim_cgroup(sim, process->cgroup);
    const struct sim_process *leader = sim_process(sim, process->facts.session_pid);
    bool has_session = strstr(view->bindings, "session") != NULL;
    bool is_by_cgroup = strstr(view->bindings, "unit") != NULL ||
                        (has_session && sim_cgroup_is_scope(process->cgroup));

    if (is_by_cgroup && cgroup->member_count == 0 &&
        cgroup->emptied_ms + OUTLIVES_MAX_MS < sim_awake_ms(sim)) {
        sim_fail(sim, "S2: grant %s goes on, and the cgroup of its process %d is empty", view->id,
                 view->pid);
    }
    if (has_session && !sim_cgroup_is_scope(process->cgroup) &&
        leader->facts.start_ticks <= process->facts.start_ticks && !leader->is_alive &&
        leader->died_ms + OUTLIVES_MAX_MS < sim_awake_ms(sim)) {
        sim_fail(sim, "S2: grant %s goes on, and the leader of its session %d is dead", view->id,
                 leader->facts.pid);
    }
}

/* S2: a grant doesn't outlive the process that it is bound to. */
static void check_binding(struct sim_check *check, const struct grant_view *view)
{
    struct sim *sim = &check->world->sim;
    const struct sim_process *process = sim_process(sim, view->pid);

    if (process != NULL && !process->is_alive && strstr(view->bindings, "process") != NULL &&
        process->died_ms + OUTLIVES_MAX_MS < sim_awake_ms(sim)) {
        sim_fail(sim, "S2: grant %s goes on, and its process %d is dead", view->id, view->pid);
    }
    if (process != NULL && !process->is_alive) {
        check_job(check, view, process);
    }
}

/* S4: grants; I10: nobody holds what the policy forbids. */
static void check_grants(struct sim_check *check)
{
    const struct sim_world *world = check->world;
    struct grant *grant = NULL;
    struct grant_view view;
    uint64_t live = 0;

    while ((grant = lease_core_next_grant(world->core, grant)) != NULL) {
        grant_view(grant, &view);
        live += view.state != GRANT_STATE_ENDED;
        if (view.state != GRANT_STATE_ENDED) {
            check_binding(check, &view);
        }
        if (view.state != GRANT_STATE_ENDED && world->policy_index == 1 &&
            view.uid == SIM_WORLD_BANNED_UID) {
            sim_fail(&check->world->sim, "I10: grant %s goes on, and the policy forbids it",
                     view.id);
        }
    }
    if (world->limits.grants_max > 0 && live > world->limits.grants_max) {
        sim_fail(&check->world->sim, "S4: %llu grants live, at most %u may",
                 (unsigned long long)live, world->limits.grants_max);
    }
}

/* S9: what an identity shares is asked for once at a time. */
static void check_single_flight(struct sim_check *check)
{
    const struct lease_role *roles[REQUESTED_MAX];
    const char *keys[REQUESTED_MAX];
    struct lease *lease = NULL;
    struct lease_view view;
    size_t count = 0;

    while ((lease = lease_core_next_lease(check->world->core, lease)) != NULL) {
        lease_view(lease, &view);
        if (view.state != LEASE_STATE_REQUESTED || view.role->share != LEASE_SHARE_IDENTITY) {
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            if (roles[i] == view.role && strcmp(keys[i], view.identity_key) == 0) {
                sim_fail(&check->world->sim, "S9: %s is asked for twice for %s", view.role->name,
                         view.identity_key);
            }
        }
        if (count < REQUESTED_MAX) {
            roles[count] = view.role;
            keys[count++] = view.identity_key;
        }
    }
}

/* I3: what was handed out stays on record until its revocation is confirmed, for a later daemon. */
static void check_revoking(struct sim_check *check)
{
    struct lease *lease = NULL;
    struct lease_view view;

    while (check->world->limits.ledger != NULL &&
           (lease = lease_core_next_lease(check->world->core, lease)) != NULL) {
        const struct sim_trail_item *item;

        lease_view(lease, &view);
        item = sim_trail_find(&check->trail, view.id);
        if (view.state == LEASE_STATE_REVOKING && item != NULL && item->credential != NULL &&
            fake_ledger_find(&check->world->ledger, ENV_LEDGER_LEASE, view.id) == NULL) {
            sim_fail(&check->world->sim, "I3: lease %s is being revoked, and not in the ledger",
                     view.id);
        }
    }
}

/* How long the client waits for somebody's approval before anything is issued. */
static uint64_t wait_ms(const struct sim_request *request)
{
    const char *wait = strstr(request->target, "wait=");

    return wait != NULL ? strtoull(wait + 5, NULL, 10) * 1000 : 0;
}

/* S12: who asks for a credential is answered in time, whatever the issuer does. */
static void check_answers(struct sim_check *check)
{
    struct sim *sim = &check->world->sim;
    const struct list *connections = &check->world->listener.connections;
    struct list *node;
    struct list *following;

    LIST_EACH (connections, node, following) {
        const struct env_connection *connection = LIST_ENTRY(node, struct env_connection, node);
        const struct sim_request *request = connection->request;

        if (request != NULL && request->status == 0 && !connection->is_closing &&
            (str_starts_with(str_of(request->target), "/leased/v1/credentials") ||
             str_eq_c(str_of(request->target), "/leased/v1/leases")) &&
            request->sent_ms + wait_ms(request) + ANSWER_MAX_MS + ANSWER_LATE_MAX_MS <
                sim_awake_ms(sim)) {
            sim_fail(sim, "S12: request %llu has waited for %llu ms",
                     (unsigned long long)request->number,
                     (unsigned long long)(sim_awake_ms(sim) - request->sent_ms));
        }
    }
}

void sim_limits_check(struct sim_check *check)
{
    check_leases(check);
    check_grants(check);
    check_single_flight(check);
    check_revoking(check);
    check_answers(check);
}
