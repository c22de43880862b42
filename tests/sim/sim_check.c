/* The checkers. They know the model's truth, the network and the trail, and of the daemon only what
 * public headers and its answers show. */
#include "sim_check.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define LOOK_EVERY_STEPS 64
#define UNDER_WAY_MS 10000 /* what began just now may not be done */
#define DUSK_MS 3000       /* so early the daemon takes one for expired: its allowance for clocks */
#define SKEW_PART 4        /* of a life that may be allowed for clocks */
#define LATE_MAX_MS 31000  /* the answer of a renewal in flight is waited for */

void sim_check_init(struct sim_check *check, struct sim_world *world)
{
    *check = (struct sim_check){.world = world};
    sim_trail_init(&check->trail, &world->sim, SIM_AUDIT_PATH, world->limits.ledger);
    world->check = check;
}

void sim_check_fini(struct sim_check *check)
{
    check->world->check = NULL;
    sim_trail_fini(&check->trail);
}

/* --- S1, S5, S6: what is handed out ----------------------------------------------------------- */

static uint64_t least(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

/* The life that the credential was given at first, the daemon's own limits included. */
static uint64_t first_life_ms(const struct sim_check *check, const struct lease_role *role,
                              struct sim_credential *lease, const char *lease_id, uint32_t uid)
{
    size_t index = sim_world_role_index(check->world, str_of(role->name));
    const struct sim_trail_item *item = sim_trail_find(&check->trail, lease_id);
    uint64_t life_ms;

    /* It may have been fitted to what is configured, which a maximum can make short, and a slow
     * answer has used up a part of it. */
    if (lease->handed_out_count == 0) {
        if (lease->renewed_ms != 0) {
            lease->granted_ms = least(lease->granted_ms, lease->expires_ms - lease->renewed_ms);
        }
        if (item != NULL) {
            lease->granted_ms -= least(lease->granted_ms, item->begun_ms - lease->issued_ms);
        }
    }
    /* Which of the role's limits was in force when it was issued isn't known. */
    life_ms = least(lease->granted_ms, check->world->life_least_ms[index]);
    if (role->share == LEASE_SHARE_NONE && check->ttl_of_user_ms != NULL) {
        life_ms = least(life_ms, check->ttl_of_user_ms(uid));
    }
    return life_ms;
}

static void check_margin(struct sim_check *check, const struct lease_role *role,
                         struct sim_credential *credential, const char *lease_id, uint32_t uid)
{
    struct sim *sim = &check->world->sim;
    const struct sim_issuer_kind *kind = credential->issuer->kind;
    uint64_t life_ms = first_life_ms(check, role, credential, lease_id, uid);
    /* What is allowed for clocks isn't a part of the life that was granted. */
    uint64_t skew_ms = least(check->world->limits.skew_ms, life_ms / SKEW_PART);
    uint64_t margin_ms = least(role->min_remaining_ms, (life_ms - skew_ms) / 2);
    uint64_t until_ms = kind->due_until_ms != NULL ? kind->due_until_ms(credential, sim->now_ms)
                                                   : kind->valid_until_ms(credential, sim->now_ms);
    uint64_t left_ms = until_ms > sim->now_ms ? until_ms - sim->now_ms : 0;

    if (credential->was_forgotten) {
        return; /* nobody told the daemon */
    }
    if (left_ms < margin_ms) {
        sim_fail(sim,
                 "S1: a credential of %s is handed out with %llu ms left, at least %llu are due "
                 "(%s, issued %llu ms ago, renewed %llu, granted %llu)",
                 role->name, (unsigned long long)left_ms, (unsigned long long)margin_ms,
                 credential->id, (unsigned long long)(sim->now_ms - credential->issued_ms),
                 (unsigned long long)(credential->renewed_ms != 0
                                          ? sim->now_ms - credential->renewed_ms
                                          : 0),
                 (unsigned long long)credential->granted_ms);
    }
}

static void check_on_record(struct sim_check *check, const char *grant_id, const char *lease_id)
{
    const struct sim_trail_item *grant = sim_trail_find(&check->trail, grant_id);
    const struct sim_trail_item *lease = sim_trail_find(&check->trail, lease_id);
    struct sim *sim = &check->world->sim;

    if (check->world->limits.ledger != NULL &&
        fake_ledger_find(&check->world->ledger, ENV_LEDGER_LEASE, lease_id) == NULL) {
        sim_fail(sim, "I1: lease %s is handed out before the ledger has it", lease_id);
    }
    if (lease == NULL || lease->begin_count == 0) {
        sim_fail(sim, "S5: lease %s is handed out before lease.issued is durable", lease_id);
    }
    if (grant == NULL || grant->begin_count == 0) {
        sim_fail(sim, "S5: grant %s is handed out before grant.created is durable", grant_id);
    }
    if (!sim_trail_was_read(&check->trail, grant_id, lease_id)) {
        sim_fail(sim, "S5: %s reads %s before credential.read is durable", grant_id, lease_id);
    }
    if (grant->end_count > 0) {
        sim_fail(sim, "S5: grant %s reads after its grant.ended", grant_id);
    }
}

/* S10: a grant that is made now gets what its role asks for now. */
static void check_version(struct sim_check *check, const struct sim_credential *credential)
{
    size_t index = sim_world_role_index(check->world, str_of(credential->role));
    const char *wanted = sim_world_issuer_role(check->world, index);

    if (strcmp(credential->role, wanted) != 0) {
        sim_check_trace_leases(check);
        sim_fail(&check->world->sim, "S10: a new grant gets a credential of %s, %s is asked for",
                 credential->role, wanted);
    }
}

/* S15: who is blocked gets nothing; and who has read what. */
static void check_reader(struct sim_check *check, struct sim_credential *credential, uint32_t uid)
{
    size_t index = uid - SIM_UID_FIRST;

    if (check->drills == NULL || uid < SIM_UID_FIRST || index >= SIM_UID_COUNT) {
        return;
    }
    sim_drills_check_read(check->drills, uid);
    if (credential->read_ms[index] == 0) {
        credential->read_ms[index] = check->world->sim.now_ms;
    }
}

static void check_credential(struct sim_check *check, const json_t *answer, uint32_t uid,
                             bool is_new)
{
    const char *role_name = json_string_value(json_object_get(answer, "role"));
    const char *lease_id = json_string_value(json_object_get(answer, "lease"));
    const char *grant_id = json_string_value(json_object_get(answer, "grant"));
    const json_t *fields = json_object_get(answer, "credential");
    struct sim_world *world = check->world;
    struct sim *sim = &world->sim;
    const struct lease_role *role =
        role_name != NULL ? lease_core_role(world->core, str_of(role_name)) : NULL;
    struct sim_issuer *issuer;
    struct sim_credential *credential;
    size_t index;

    if (role == NULL || lease_id == NULL || grant_id == NULL || fields == NULL) {
        sim_fail(sim, "S1: an answer without role, lease, grant or credential");
    }
    index = sim_world_role_index(world, str_of(role_name));
    issuer = world->role_backends[index]->issuer;
    credential = issuer->kind->find(issuer, fields);
    if (credential == NULL || sim_world_role_index(world, str_of(credential->role)) != index) {
        sim_fail(sim, "S1: a credential of %s that %s never made", role_name, issuer->kind->name);
    }
    if (is_new) {
        check_version(check, credential);
    }
    if (role->verify_json != NULL && sim->now_ms < credential->known_ms) {
        sim_fail(sim, "S13: a credential of %s is handed out %llu ms before it works", role->name,
                 (unsigned long long)(credential->known_ms - sim->now_ms));
    }
    sim_trail_read(&check->trail);
    check_margin(check, role, credential, lease_id, uid);
    credential->handed_out_count++;
    check->handed_out_count++;
    check_reader(check, credential, uid);
    check_on_record(check, grant_id, lease_id);
    sim_trail_holds(&check->trail, lease_id, credential);
}

void sim_check_replied(struct sim_check *check, const struct sim_request *request)
{
    struct str body = buf_str(&request->answer);
    json_t *answer = sim_request_credential(request);

    if (answer != NULL) {
        check_credential(check, answer, request->connection->peer.uid, request->status == 201);
        if (check->guard != NULL) {
            sim_guard_read(check->guard, request, answer);
        }
    } else if (sim_is_leak(body)) {
        sim_fail(&check->world->sim, "S6: a secret in an answer %u: %.*s", request->status,
                 STR_ARG(body));
    }
    check->refused_count += request->status >= 400 ? 1 : 0;
    json_decref(answer);
}

void sim_check_answered(struct sim_check *check, const struct sim_request *request,
                        bool is_delivered)
{
    json_t *answer = sim_request_credential(request);
    const char *grant = json_string_value(json_object_get(answer, "grant"));

    if (grant != NULL) {
        sim_trail_answered(&check->trail, grant, is_delivered);
    }
    json_decref(answer);
}

/* --- S8 and the trail, now and then ----------------------------------------------------------- */

/* What is past its end isn't live any more, unless the machine slept just now. */
static void check_age(struct sim_check *check, const struct lease_view *view)
{
    struct sim *sim = &check->world->sim;

    if ((view->state == LEASE_STATE_ACTIVE || view->state == LEASE_STATE_RENEWING ||
         view->state == LEASE_STATE_SUPERSEDED) &&
        view->expires_ms + LATE_MAX_MS < sim->now_ms && sim->woke_ms + LATE_MAX_MS < sim->now_ms) {
        sim_check_trace_leases(check);
        sim_fail(sim, "S8: %s is %s, and its end was %llu ms ago", view->id,
                 lease_state_str(view->state),
                 (unsigned long long)(sim->now_ms - view->expires_ms));
    }
}

/* The counts that the core shows are those of the leases that it shows. */
static void check_core(struct sim_check *check)
{
    struct lease_core *core = check->world->core;
    uint64_t live[LEASE_STATE_FAILED + 1] = {0};
    struct lease_core_stats stats;
    struct lease *lease = NULL;
    struct lease_view view;

    while ((lease = lease_core_next_lease(core, lease)) != NULL) {
        lease_view(lease, &view);
        live[view.state]++;
        check_age(check, &view);
    }
    lease_core_stats(core, &stats);
    for (size_t state = 0; state < LEASE_STATE_REVOKED; state++) {
        if (stats.leases_by_state[state] != live[state]) {
            sim_fail(&check->world->sim, "S8: %llu leases are %s, the core counts %llu",
                     (unsigned long long)live[state], lease_state_str((enum lease_state)state),
                     (unsigned long long)stats.leases_by_state[state]);
        }
    }
}

void sim_check_step(struct sim_check *check)
{
    uint64_t step = check->world->sim.step_count;

    if (step - check->looked_at_step < LOOK_EVERY_STEPS) {
        return;
    }
    check->looked_at_step = step;
    sim_trail_read(&check->trail);
    if (check->world->is_up && check->world->core != NULL) {
        lease_core_check(check->world->core);
        check_core(check);
        sim_limits_check(check);
        if (check->guard != NULL) {
            sim_guard_check(check->guard);
        }
    }
}

/* --- liveness --------------------------------------------------------------------------------- */

static bool has_secret(struct lease_core *core, const struct lease *lease, const char *secret)
{
    struct lease_credential credential;
    bool is_found = false;

    if (lease_credential_open(core, lease, &credential) != 0) {
        return false;
    }
    for (size_t i = 0; i < credential.field_count; i++) {
        is_found = is_found || str_eq_c(credential.fields[i].value, secret);
    }
    lease_credential_close(&credential);
    return is_found;
}

/* The daemon's lease with this credential, or NULL. */
static struct lease *daemon_lease(struct lease_core *core, const struct sim_credential *credential)
{
    struct lease *lease = NULL;
    struct lease_view view;

    while ((lease = lease_core_next_lease(core, lease)) != NULL) {
        lease_view(lease, &view);
        if ((view.state == LEASE_STATE_ACTIVE || view.state == LEASE_STATE_RENEWING ||
             view.state == LEASE_STATE_SUPERSEDED) &&
            has_secret(core, lease, credential->secret)) {
            return lease;
        }
    }
    return NULL;
}

static const char *fate_str(enum sim_fate fate)
{
    static const char *const texts[] = {"no", "a delivered", "a lost"};

    return texts[fate];
}

/* The issuer has been well for a while. */
static void check_backend(struct sim *sim, const struct backend *backend)
{
    struct backend_status status;

    backend_status(backend, &status);
    if (!status.is_up || status.is_breaker_open) {
        sim_fail(sim, "I9: the backend %s is down (breaker %s): %s", status.name, status.breaker,
                 status.last_error);
    }
    if (status.address_count > 0 && !status.addresses[0].is_preferred) {
        sim_fail(sim, "I9: nobody came back to the first address: %s",
                 status.addresses[0].last_error);
    }
    if (status.sweep_count > 0) {
        sim_fail(sim, "I9: %llu credentials of %s that nobody got still wait to be revoked",
                 (unsigned long long)status.sweep_count, status.name);
    }
}

/* A failing ledger keeps no revocation back for long; the next daemon doesn't know of it then. */
static void forget_revoked(struct list *credentials, uint64_t now_ms)
{
    struct list *node;
    struct list *following;

    LIST_EACH (credentials, node, following) {
        struct sim_credential *credential = LIST_ENTRY(node, struct sim_credential, node);

        /* A token ends with the object that it is bound to, too. */
        credential->was_forgotten =
            credential->was_forgotten ||
            (credential->expires_ms > now_ms && sim_credential_until_ms(credential, now_ms) == 0);
        credential->is_revoke_sent = false;
    }
}

static void issuer_crashed(struct sim_check *check, struct sim_issuer *issuer)
{
    struct sim_world *world = check->world;
    struct sim_credential *credential = NULL;

    if (world->ledger_was_failing) {
        forget_revoked(&issuer->living, world->sim.now_ms);
        forget_revoked(&issuer->past, world->sim.now_ms);
    }
    while ((credential = sim_issuer_next_valid(issuer, world->sim.now_ms, credential)) != NULL) {
        if (credential->handed_out_count == 0) {
            credential->fate = SIM_LOST;
        }
        credential->is_revoke_sent = false; /* the next daemon needn't know that it was */
    }
}

void sim_check_crashed(struct sim_check *check)
{
    sim_trail_crashed(&check->trail, check->world->ledger_was_failing);
    if (check->drills != NULL && check->world->ledger_was_failing) {
        sim_drills_doubt(check->drills);
    }
    if (check->guard != NULL) {
        sim_guard_crashed(check->guard, check->world->ledger_was_failing);
    }
    for (size_t i = 0; i < check->world->backend_count; i++) {
        issuer_crashed(check, check->world->backends[i].issuer);
    }
}

/* Those without a lease, of what could be revoked: lost ones are counted, and I2 says which of them
 * may not be. Of revocations under way the core shows how many there are. */
static size_t check_left(struct sim_check *check, struct sim_issuer *issuer,
                         const struct lease_core_stats *stats, size_t *revoking_count)
{
    struct sim_world *world = check->world;
    struct sim *sim = &world->sim;
    struct sim_credential *credential = NULL;
    size_t lost_count = 0;

    while ((credential = sim_issuer_next_valid(issuer, sim->now_ms, credential)) != NULL) {
        if (!credential->is_revocable || daemon_lease(world->core, credential) != NULL) {
            continue; /* also one that its first daemon was killed over, and the next goes on with
                       */
        }
        if (credential->fate == SIM_LOST) {
            sim_trace(sim, "lost: %s, issued at %llu (net %llu), valid until %llu", credential->id,
                      (unsigned long long)credential->issued_ms,
                      (unsigned long long)credential->exchange,
                      (unsigned long long)sim_credential_until_ms(credential, sim->now_ms));
            lost_count++;
            if (credential->is_findable) {
                sim_fail(sim, "I2: %s, whose answer was lost, is valid still", credential->id);
            }
        } else if (credential->issued_ms + UNDER_WAY_MS < sim->now_ms &&
                   ++*revoking_count > stats->revoke_pending + stats->revoke_login_bound) {
            sim_check_trace_leases(check);
            sim_fail(sim,
                     "I3: %s is valid, its issue (net %llu) had %s answer, and no lease has it",
                     credential->id, (unsigned long long)credential->exchange,
                     fate_str(credential->fate));
        }
    }
    return lost_count;
}

/* S15: what somebody had read when a drill about him began. */
static void check_drilled(struct sim_check *check, struct sim_issuer *issuer)
{
    struct sim_credential *credential = NULL;

    while ((credential = sim_issuer_next_valid(issuer, check->world->sim.now_ms, credential)) !=
           NULL) {
        sim_drills_check_valid(check->drills, credential);
    }
}

size_t sim_check_healed(struct sim_check *check)
{
    struct sim_world *world = check->world;
    struct sim *sim = &world->sim;
    struct lease_core_stats stats;
    size_t lost_count = 0;
    size_t revoking_count = 0; /* these have no credential any more to tell them by */

    for (size_t i = 0; i < world->backend_count; i++) {
        check_backend(sim, world->backend_list[i]);
    }
    lease_core_stats(world->core, &stats);
    if (stats.revoke_pending > 0 && stats.revoke_oldest_ms > UNDER_WAY_MS) {
        sim_check_trace_leases(check);
        sim_fail(sim, "I9: %llu leases still wait to be revoked, the oldest for %llu ms",
                 (unsigned long long)stats.revoke_pending,
                 (unsigned long long)stats.revoke_oldest_ms);
    }
    sim_trail_read(&check->trail);
    if (sim_trail_undelivered(&check->trail) != NULL && check->trail.lost_count == 0) {
        sim_fail(sim, "I3: grant %s goes on, and no answer with it was ever delivered",
                 sim_trail_undelivered(&check->trail));
    }
    for (size_t i = 0; i < world->backend_count; i++) {
        lost_count += check_left(check, world->backends[i].issuer, &stats, &revoking_count);
        if (check->drills != NULL) {
            check_drilled(check, world->backends[i].issuer);
        }
    }
    return lost_count;
}

static void check_dead(struct sim_check *check, struct sim_issuer *issuer)
{
    struct sim *sim = &check->world->sim;
    struct sim_credential *credential = NULL;

    while ((credential = sim_issuer_next_valid(issuer, sim->now_ms, credential)) != NULL) {
        if (credential->is_revocable && credential->fate != SIM_LOST &&
            credential->expires_ms > sim->now_ms + DUSK_MS) {
            sim_fail(sim,
                     "I3: %s is valid although nobody holds anything; its issue (net "
                     "%llu) had %s answer",
                     credential->id, (unsigned long long)credential->exchange,
                     fate_str(credential->fate));
        }
    }
}

void sim_check_nothing_held(struct sim_check *check)
{
    for (size_t i = 0; i < check->world->backend_count; i++) {
        check_dead(check, check->world->backends[i].issuer);
    }
}

void sim_check_ended(struct sim_check *check)
{
    sim_trail_check_ended(&check->trail);
}
