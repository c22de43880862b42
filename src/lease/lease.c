/* The lease object: its making and end, its state, its life and what it does next by itself.
 *
 * Happy path: lease_new (requested) → issue.c (active) → lease_plan arms the renewal → renew.c
 * (renewing, active, …) → the last grant ends, lease_settle → revoke.c (revoking, revoked) → kept
 * for a while → freed.
 *
 * One wheel entry serves all deadlines of a lease: `step` at next_ms, the expiry, the end of
 * patience with a revocation. lease_arm picks the first, lease_due finds out which it was. */
#include "lease/lease.h"

#include "base/mem.h"
#include "base/mutant.h"
#include "lease/core_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LEASE_ERROR_MAX_BYTES 256

/* --- life and death of the object --- */

static struct lease_issuing *issuing_new(struct lease *lease, const char *reason)
{
    struct lease_issuing *issuing = mem_calloc(1, sizeof(*issuing));

    if (issuing == NULL) {
        return NULL;
    }
    issuing->magic = ISSUING_MAGIC;
    issuing->lease = lease;
    if (reason != NULL && reason[0] != '\0') {
        issuing->reason = mem_strdup(reason);
        if (issuing->reason == NULL) {
            mem_free(issuing);
            return NULL;
        }
    }
    return issuing;
}

uint64_t lease_id_hash(const struct index *index, struct index_entry *entry)
{
    return core_id_hash(index, CONTAINER_OF(entry, struct lease, by_id)->id);
}

struct lease *lease_new(struct role *role, struct holder *holder, const char *reason)
{
    return lease_new_from(role->source, holder, NULL, reason);
}

struct lease *lease_new_from(struct source *source, struct holder *holder, const char *id,
                             const char *reason)
{
    struct role *role = source->role;
    struct lease_core *core = role->core;
    struct lease *lease = mem_calloc(1, sizeof(*lease));

    if (lease == NULL) {
        return NULL;
    }
    lease->magic = LEASE_MAGIC;
    lease->state = LEASE_STATE_REQUESTED;
    lease->role = role;
    lease->version = 1;
    lease->since_ms = core_now_ms(core);
    lease->due.kind = CORE_ENTRY_LEASE;
    list_init(&lease->grants);
    if (id != NULL) {
        memcpy(lease->id, id, LEASE_ID_BYTES);
    } else {
        core_make_id(core, 'l', lease->id);
    }
    lease->issuing = issuing_new(lease, reason);
    if (lease->issuing == NULL || index_add(&core->lease_ids, &lease->by_id) != 0) {
        issue_forget(lease);
        mem_free(lease);
        return NULL;
    }
    lease->holder = holder_again(holder);
    lease->source = source;
    lease->source->user_count++;
    lease->source->issuer->lease_count++;
    holder->account->lease_count++;
    role_again(role);
    list_push_back(&core->leases_by_age, &lease->by_age);
    list_push_back(&holder->leases, &lease->by_holder);
    core->lease_counts[LEASE_STATE_REQUESTED]++;
    role->state_counts[LEASE_STATE_REQUESTED]++;
    role->lease_count++;
    lease_check(lease);
    return lease;
}

/* What no lease has that is over: a credential, a place in the queue, an offer to the next caller.
 */
static void lease_close(struct lease *lease)
{
    drain_retake(lease);
    if (lease->is_login_bound) {
        lease->is_login_bound = false;
        lease->role->core->login_bound_count--;
    }
    calls_drop(lease);
    sharing_withdraw(lease);
    lease->role->core->stats.sealed_bytes -= credential_sealed(&lease->credential).len;
    credential_fini(&lease->credential);
    issue_forget(lease);
    lease->source->issuer->lease_count--;
    lease->holder->account->lease_count--;
    lease->role->lease_count--;
}

void lease_free(struct lease *lease)
{
    struct lease_core *core = lease->role->core;
    struct role *role = lease->role;

    wheel_cancel(&core->wheel, &lease->due);
    adopted_forget(lease);
    issue_forget(lease);
    readers_free(lease);
    if (lease->successor != NULL) {
        lease->successor->predecessor = lease->predecessor;
    }
    if (lease->predecessor != NULL) {
        lease->predecessor->successor = lease->successor;
    }
    if (!fsm_lease_is_over(lease->state)) {
        lease_close(lease);
    }
    list_remove(&lease->by_state);
    core->lease_counts[lease->state]--;
    role->state_counts[lease->state]--;
    index_remove(&core->lease_ids, &lease->by_id);
    list_remove(&lease->by_age);
    list_remove(&lease->by_holder);
    credential_fini(&lease->credential);
    mem_free(lease->last_error);
    holder_put(core, lease->holder);
    source_put(lease->source);
    mem_free(lease);
    role_put(role);
}

bool lease_try_free(struct lease *lease)
{
    if (!fsm_lease_is_over(lease->state) || lease->pin_count > 0 || lease->call != NULL ||
        lease->issuing != NULL || lease->has_waits || lease->is_pinned) {
        return false;
    }
    lease_free(lease);
    return true;
}

/* --- state --- */

void lease_check(const struct lease *lease)
{
    CHECK(!lease_is_ending(lease) || list_is_linked(&lease->by_state));
    CHECK((lease->state == LEASE_STATE_REQUESTED) <= (lease->issuing != NULL));
    CHECK(list_is_empty(&lease->grants) == (lease->grant_count == 0));
    CHECK(lease->pin_count >= lease->grant_count);
    CHECK(!lease->is_unverified || !lease->is_recorded);
    if (lease->state == LEASE_STATE_REVOKING || lease->state == LEASE_STATE_REVOKED) {
        CHECK(lease->is_revocable);
    }
    if (fsm_lease_is_over(lease->state)) {
        CHECK(lease->credential.block == NULL);
    }
    if (lease->state == LEASE_STATE_SUPERSEDED) {
        CHECK(!queue_item_is_queued(&lease->item));
    }
}

void lease_set_state(struct lease *lease, enum lease_state state)
{
    struct lease_core *core = lease->role->core;

    CHECK(fsm_lease_may(lease->state, state));
    core->lease_counts[lease->state]--;
    core->lease_counts[state]++;
    lease->role->state_counts[lease->state]--;
    lease->role->state_counts[state]++;
    lease->state = state;
    if (lease_is_ending(lease)) {
        list_move_back(&core->leases_by_state[state], &lease->by_state);
    }
    lease->since_ms = core_now_ms(core);
    lease->step = LEASE_STEP_NONE;
    if (fsm_lease_is_over(state)) {
        durable_end(lease);
        readers_end(lease);
        lease_close(lease);
        if (lease->is_drilled) {
            drill_lease_over(lease);
        }
    }
    lease_check(lease);
    lease_arm(lease);
    core_touch(core);
}

void lease_set_error(struct lease *lease, const char *format, ...)
{
    char text[LEASE_ERROR_MAX_BYTES];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    mem_free(lease->last_error);
    lease->last_error = mem_strdup(text); /* without memory the text is lost, nothing else */
}

void lease_clear_error(struct lease *lease)
{
    mem_free(lease->last_error);
    lease->last_error = NULL;
}

const char *lease_error(const struct lease *lease)
{
    return lease->last_error != NULL ? lease->last_error : "";
}

/* --- life --- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t lease_max_until_ms(const struct lease *lease)
{
    uint64_t max_ttl_ms = lease->role->config.max_ttl_ms;

    return max_ttl_ms > 0 ? schedule_add_ms(lease->issued_ms, max_ttl_ms) : UINT64_MAX;
}

uint64_t lease_ttl_ms(const struct lease *lease)
{
    uint64_t role_ms = lease->role->config.ttl_ms;
    uint64_t rule_ms = lease->rule_ttl_ms;

    return role_ms > 0 && (rule_ms == 0 || role_ms < rule_ms) ? role_ms : rule_ms;
}

/* The issuer's word, cut by ttl and max_ttl. A max_ttl that was passed because it was lowered
 * while the answer was under way doesn't kill what just came, but it was the last renewal. */
static uint64_t own_end_ms(struct lease *lease)
{
    uint64_t max_ms = lease_max_until_ms(lease);
    uint64_t own_ms = schedule_expiry_ms(lease->answered_ms, lease->lifetime_ms,
                                         lease->role->core->options.skew_ms);

    if (lease_ttl_ms(lease) > 0) {
        own_ms = least(own_ms, schedule_add_ms(lease->answered_ms, lease_ttl_ms(lease)));
    }
    if (max_ms <= own_ms) {
        lease->is_capped = true;
    }
    return max_ms > core_now_ms(lease->role->core) ? least(own_ms, max_ms) : own_ms;
}

void lease_limit_life(struct lease *lease)
{
    lease->expires_ms = least(lease->own_end_ms, anchor_ends_ms(lease));
}

void lease_set_life(struct lease *lease, const struct lease_result *result)
{
    struct schedule_life life;

    lease->answered_ms = least(result->answered_ms, core_now_ms(lease->role->core));
    lease->lifetime_ms =
        least(result->lifetime_ms + (MUTATED(22) ? 60000U : 0U), SCHEDULE_LIFE_MAX_MS);
    lease->ends_ms = schedule_add_ms(core_now_ms(lease->role->core), lease->lifetime_ms);
    lease->is_renewable = result->is_renewable;
    lease->is_capped = result->is_capped;
    if (lease->issued_ms == 0) {
        lease->issued_ms = lease->answered_ms;
    }
    lease->own_end_ms = own_end_ms(lease);
    lease->event_position = 0;
    lease_limit_life(lease);
    if (lease->granted_ms == 0) {
        lease->granted_ms = schedule_left_ms(lease->expires_ms, lease->answered_ms);
        lease->role->granted_ms = lease->lifetime_ms;
        lease->rotate_after_ms = schedule_add_ms(lease->answered_ms, SCHEDULE_FLOOR_MS);
    }
    life = lease_life(lease);
    lease->role->tolerance_ms = schedule_tolerance_ms(&life, lease->is_renewable);
}

uint64_t lease_needed_ms(const struct lease *lease, uint64_t wished_ms)
{
    uint64_t role_ms = lease->role->config.min_remaining_ms;

    return schedule_needed_ms(wished_ms > role_ms ? wished_ms : role_ms, lease->granted_ms);
}

uint64_t lease_left_ms(const struct lease *lease)
{
    return schedule_left_ms(lease->expires_ms, core_now_ms(lease->role->core));
}

/* The id is random, so its digits are as good a seed as any, and the lease keeps them. */
static uint64_t splay_seed(const struct lease *lease)
{
    uint64_t seed = 0;
    size_t i;

    for (i = 2; i < 18; i++) {
        char digit = lease->id[i];

        seed = seed << 4 | (uint64_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    return seed;
}

struct schedule_life lease_life(const struct lease *lease)
{
    return (struct schedule_life){
        .answered_ms = lease->answered_ms,
        .expires_ms = lease->expires_ms,
        .granted_ms = lease->granted_ms,
        .min_remaining_ms = lease->role->config.min_remaining_ms,
        .renew_at_percent = lease->role->config.renew_at_percent,
        .splay_seed = splay_seed(lease),
    };
}

const char *lease_backend(const struct lease *lease)
{
    return lease->source->issuer_name;
}

bool lease_is_outdated(const struct lease *lease)
{
    return lease->source != lease->role->source;
}

void lease_take_source(struct lease *lease)
{
    struct source *source = lease->role->source;
    enum queue_class kind = lease->item.kind;
    bool is_queued = queue_item_is_queued(&lease->item);

    CHECK(lease->state == LEASE_STATE_REQUESTED && lease->call == NULL);
    calls_drop(lease);
    lease->source->issuer->lease_count--;
    source_put(lease->source);
    lease->source = source;
    source->user_count++;
    source->issuer->lease_count++;
    if (is_queued && calls_push(lease, kind) != 0) {
        lease_set_step(lease, LEASE_STEP_ISSUE,
                       schedule_add_ms(core_now_ms(lease->role->core), SCHEDULE_FLOOR_MS));
    }
}

/* --- the credential --- */

static_assert(ROLE_NAME_MAX_BYTES <= LEASE_OWNER_MAX_BYTES - LEASE_ID_BYTES, "both fit");

struct str lease_owner(const struct lease *lease, char bytes[LEASE_OWNER_MAX_BYTES])
{
    size_t name_len = strlen(lease->role->name);

    memcpy(bytes, lease->id, LEASE_ID_BYTES);
    memcpy(bytes + LEASE_ID_BYTES, lease->role->name, name_len);
    return (struct str){.ptr = bytes, .len = LEASE_ID_BYTES + name_len};
}

int lease_seal(struct lease *lease, const struct lease_result *result)
{
    char owner[LEASE_OWNER_MAX_BYTES];
    struct secret packed;
    int r;

    CHECK(lease->credential.block == NULL);
    secret_init(&packed);
    r = credential_pack(result, &packed);
    if (r == 0) {
        r = credential_seal(lease->role->core->env, lease_owner(lease, owner), &packed,
                            &lease->credential);
    }
    secret_fini(&packed);
    if (r == 0) {
        lease->role->core->stats.sealed_bytes += credential_sealed(&lease->credential).len;
    }
    return r;
}

int lease_open(const struct lease *lease, struct secret *ret_packed)
{
    char owner[LEASE_OWNER_MAX_BYTES];

    return credential_open(lease->role->core->env, lease_owner(lease, owner), &lease->credential,
                           ret_packed);
}

struct str lease_ref_of(const struct lease *lease, const struct secret *packed)
{
    if (lease->issuing != NULL && lease->issuing->ref_len > 0) {
        return (struct str){.ptr = lease->issuing->ref, .len = lease->issuing->ref_len};
    }
    return credential_ref(packed);
}

int lease_ref(const struct lease *lease, struct secret *ret_ref)
{
    struct secret packed;
    int r;

    secret_init(&packed);
    r = lease_open(lease, &packed);
    if (r == 0) {
        r = secret_set(ret_ref, lease_ref_of(lease, &packed));
    }
    secret_fini(&packed);
    return r;
}

bool lease_can_renew(const struct lease *lease)
{
    return lease->is_renewable && !lease->is_refused && !lease->is_capped &&
           lease_max_until_ms(lease) > core_now_ms(lease->role->core);
}

bool lease_is_on_demand(const struct lease *lease)
{
    return lease->refresh_ms == UINT64_MAX;
}

uint64_t lease_refresh_at_ms(const struct lease *lease)
{
    return lease->refresh_ms > 0 ? schedule_add_ms(lease->answered_ms, lease->refresh_ms)
                                 : UINT64_MAX;
}

struct lease *lease_current(struct lease *lease)
{
    struct lease *current = lease;
    struct lease *next;

    for (next = lease->successor; next != NULL && next->is_recorded; next = next->successor) {
        if (fsm_lease_is_live(next->state) || !fsm_lease_is_live(current->state)) {
            current = next;
        }
    }
    return current;
}

/* A successor's holders are on the leases before it until they read it. */
static bool has_followers(const struct lease *lease)
{
    const struct lease *before;

    for (before = lease->predecessor; before != NULL; before = before->predecessor) {
        if (before->grant_count > 0) {
            return true;
        }
    }
    return false;
}

bool lease_is_wanted(struct lease *lease)
{
    if (lease->grant_count > 0 || lease->leaving_count > 0) {
        return true;
    }
    return lease_current(lease) == lease && has_followers(lease);
}
