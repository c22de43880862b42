/* The grant object: one consumer's hold on a lease.
 *
 * Happy path: grant_new (pending, its bindings are watched) → handout.c writes its records → the
 * answer leaves (held) → its process ends, its duration is over or its owner gives it back:
 * grant_end → the lease is settled.
 *
 * Failure paths: no lease, no durable record or no client left: a pending grant ends, and nothing
 * of it is on record unless grant.created was. An ended grant stays as long as somebody must still
 * be told, and then a while to be looked at. */
#include "lease/grant.h"

#include "base/buf.h"
#include "base/mem.h"
#include "lease/core_internal.h"
#include "lease/observe.h"

#include <string.h>

#define BASIS_MAX_BYTES 4096U

/* --- making --- */

int64_t grant_until_wall_ms(const struct grant *grant)
{
    uint64_t until_ms = grant_until_ms(grant);

    return until_ms != 0 ? core_wall_of(grant->lease->role->core, until_ms) : 0;
}

static void grant_init(struct grant *grant, const struct grant_making *making)
{
    const struct lease_acquire *acquire = making->acquire;
    struct lease_core *core = making->lease->role->core;

    grant->magic = GRANT_MAGIC;
    grant->state = GRANT_STATE_PENDING;
    grant->due.kind = CORE_ENTRY_GRANT;
    grant->pid = acquire->ask.identity->pid;
    grant->duration_ms = acquire->ask.decision->duration_ms;
    grant->window_wall_ms = acquire->ask.decision->until_wall_ms;
    grant->created_wall_ms = env_wall_ms(core->env);
    list_init(&grant->waiting);
    if (making->id != NULL) {
        memcpy(grant->id, making->id, LEASE_ID_BYTES);
    } else {
        core_make_id(core, 'g', grant->id);
    }
    grant->lease = making->lease;
    grant->holder = holder_again(making->holder);
}

/* Puts it where it will be found. From here on it ends by grant_end. */
static void grant_join(struct grant *grant)
{
    struct lease *lease = grant->lease;

    list_push_back(&grant->lease->role->core->grants_by_state[GRANT_STATE_PENDING],
                   &grant->by_state);
    grant->lease->role->core->grant_counts[GRANT_STATE_PENDING]++;
    list_push_back(&grant->lease->role->core->grants_by_age, &grant->by_age);
    list_push_back(&grant->holder->grants, &grant->by_holder);
    list_push_back(&lease->grants, &grant->by_lease);
    lease->grant_count++;
    lease->pin_count++;
    grant->holder->grant_count++;
    grant->holder->account->grant_count++;
    window_join(grant);
    lease_unsettle(lease);
}

/* --- keys --- */

struct grant_key {
    const struct holder *holder;
    const struct binding_set *set;
};

uint64_t grant_id_hash(const struct index *index, struct index_entry *entry)
{
    return core_id_hash(index, CONTAINER_OF(entry, struct grant, by_id)->id);
}

uint64_t grant_key_hash(const struct index *index, struct index_entry *entry)
{
    struct grant *grant = CONTAINER_OF(entry, struct grant, by_key);

    return binding_hash(index_hash(index->seed, (uintptr_t)grant->holder), grant);
}

static bool key_match(struct index_entry *entry, const void *wanted)
{
    const struct grant_key *key = wanted;
    struct grant *grant = CONTAINER_OF(entry, struct grant, by_key);

    return grant->holder == key->holder && binding_is_set(grant, key->set);
}

struct grant *grant_find(const struct lease_core *core, struct holder *holder,
                         const struct binding_set *set)
{
    const struct grant_key key = {.holder = holder, .set = set};
    uint64_t hash = binding_set_hash(index_hash(core->grant_keys.seed, (uintptr_t)holder), set);
    struct index_entry *entry = index_find(&core->grant_keys, hash, key_match, &key);

    return entry != NULL ? CONTAINER_OF(entry, struct grant, by_key) : NULL;
}

/* --- what policy has said --- */

static void basis_put_text(struct buf *buf, const char *text)
{
    struct str chars = str_of(text);

    buf_add_str(buf, chars);
    buf_add_char(buf, '\0');
}

/* NULL when out of memory. */
static struct text *basis_get(struct map *texts, const char *policy,
                              const struct access_decision *decision, struct str groups)
{
    const char *min_remaining = (const char *)&decision->min_remaining_ms;
    BUF_AUTO buf;
    struct text *basis = NULL;

    buf_init(&buf, BASIS_MAX_BYTES);
    basis_put_text(&buf, policy);
    basis_put_text(&buf, decision->rule);
    buf_add_str(&buf, (struct str){.ptr = min_remaining, .len = sizeof(uint64_t)});
    buf_add_str(&buf, groups);
    if (buf_status(&buf) == 0) {
        basis = text_get_bytes(texts, buf_str(&buf));
    }
    return basis;
}

const char *grant_policy(const struct grant *grant)
{
    return grant->basis->chars;
}

const char *grant_rule(const struct grant *grant)
{
    return grant->basis->chars + strlen(grant->basis->chars) + 1;
}

/* What follows the texts isn't aligned. */
static const char *basis_numbers(const struct grant *grant)
{
    const char *rule = grant_rule(grant);

    return rule + strlen(rule) + 1;
}

uint64_t grant_min_remaining_ms(const struct grant *grant)
{
    uint64_t min_remaining_ms;

    memcpy(&min_remaining_ms, basis_numbers(grant), sizeof(min_remaining_ms));
    return min_remaining_ms;
}

static struct str grant_groups(const struct grant *grant)
{
    const struct str basis = grant->basis->entry.key;
    const char *groups = basis_numbers(grant) + sizeof(uint64_t);

    return (struct str){.ptr = groups, .len = (size_t)(basis.ptr + basis.len - groups)};
}

void grant_identity(const struct grant *grant, struct access_identity *ret_identity)
{
    const struct str groups = grant_groups(grant);

    holder_identity(grant->holder, ret_identity);
    ret_identity->pid = grant->pid;
    memcpy(&ret_identity->gid, groups.ptr, sizeof(uint32_t));
    ret_identity->group_count = groups.len / sizeof(uint32_t) - 1;
    memcpy(ret_identity->groups, groups.ptr + sizeof(uint32_t), groups.len - sizeof(uint32_t));
}

void grant_set_rule(struct grant *grant, const struct access_decision *decision,
                    const char *policy_digest)
{
    struct map *texts = &grant->lease->role->core->texts;
    struct text *basis = basis_get(texts, policy_digest, decision, grant_groups(grant));

    if (basis != NULL) { /* without memory the old one stays */
        text_put(texts, grant->basis);
        grant->basis = basis;
    }
}

static struct text *basis_of(struct lease_core *core, const struct lease_acquire *acquire)
{
    const struct access_identity *identity = acquire->ask.identity;
    uint32_t groups[ENV_PEER_GROUPS_MAX + 1];
    size_t count = identity->group_count;

    CHECK(count <= ENV_PEER_GROUPS_MAX);
    groups[0] = identity->gid;
    memcpy(groups + 1, identity->groups, count * sizeof(groups[0]));
    return basis_get(&core->texts, acquire->policy_digest, acquire->ask.decision,
                     (struct str){.ptr = (const char *)groups,
                                  .len = (count + 1) * sizeof(groups[0])});
}

int grant_new(const struct grant_making *making, struct grant **ret_grant)
{
    const struct binding_set *set = &making->found->set;
    struct lease_core *core = making->lease->role->core;
    struct grant *grant = grant_alloc(making);
    int r;

    if (grant == NULL) {
        return ERR_NOMEM;
    }
    grant_init(grant, making);
    grant->basis = basis_of(core, making->acquire);
    r = grant->basis != NULL ? index_add(&core->grant_ids, &grant->by_id) : ERR_NOMEM;
    if (r == 0) {
        r = binding_start(grant, making->found, making->acquire->ask.request);
        if (r != 0) {
            index_remove(&core->grant_ids, &grant->by_id);
        }
    }
    if (r != 0) {
        text_put(&core->texts, grant->basis);
        holder_put(core, making->holder);
        mem_free(grant);
        return r;
    }
    /* Of several grants with one key the first is found again; without memory for the index none
     * is. */
    grant->is_keyed = grant_find(core, making->holder, set) == NULL &&
                      index_add(&core->grant_keys, &grant->by_key) == 0;
    grant_join(grant);
    *ret_grant = grant;
    return 0;
}

/* --- state --- */

void grant_check(const struct grant *grant)
{
    CHECK(list_is_linked(&grant->by_state));
    CHECK((grant->state == GRANT_STATE_ENDED) == (grant->end != GRANT_END_NONE));
    CHECK(list_is_linked(&grant->by_lease) == (grant->state != GRANT_STATE_ENDED));
    if (grant->state == GRANT_STATE_HELD) {
        CHECK(grant->is_created);
    }
    if (grant->state == GRANT_STATE_ENDED) {
        CHECK(!grant->is_keyed && grant->watched_count == 0 && grant->handout == NULL);
        CHECK(grant->leaving == NULL && list_is_empty(&grant->waiting));
    }
}

void grant_set_state(struct grant *grant, enum grant_state state)
{
    struct lease_core *core = grant->lease->role->core;

    CHECK(fsm_grant_may(grant->state, state));
    core->grant_counts[grant->state]--;
    core->grant_counts[state]++;
    list_move_back(&core->grants_by_state[state], &grant->by_state);
    grant->state = state;
    if (state == GRANT_STATE_HELD || grant->event_position != 0) {
        observe_grant(grant);
    }
    core_touch(core);
}

/* --- moving and leaving --- */

void grant_leave(struct grant *grant)
{
    struct lease *lease = grant->leaving;

    if (lease != NULL) {
        grant->leaving = NULL;
        grant->awaits_ack = false;
        lease->leaving_count--;
        lease->pin_count--;
        lease_settle(lease, GRANT_END_RELEASED);
    }
}

void grant_set_leaving(struct grant *grant, struct lease *lease)
{
    CHECK(grant->leaving == NULL && grant->lease != lease);
    grant->leaving = lease;
    lease->leaving_count++;
    lease->pin_count++;
}

void grant_move(struct grant *grant, struct lease *lease, bool is_sure)
{
    struct lease *before = grant->lease;
    bool is_elsewhere = lease_current(before) != lease;

    CHECK(grant->state != GRANT_STATE_ENDED && lease != before);
    reads_flush_grant(grant);
    grant_leave(grant);
    list_remove(&grant->by_lease);
    before->grant_count--;
    before->waiting_count -= grant->acquire_count;
    grant->leaving = before; /* its place among those that point there stays its own */
    before->leaving_count++;
    grant->older_count = grant->delivery_count;
    grant->lease = lease;
    grant->is_read = false;
    list_push_back(&lease->grants, &grant->by_lease);
    lease->grant_count++;
    lease->pin_count++;
    lease->waiting_count += grant->acquire_count;
    lease_unsettle(lease);
    if (is_elsewhere && grant->event_position != 0) {
        observe_grant(grant);
    }
    durable_note_grant(grant);
    if (is_sure) {
        grant_leave(grant);
    }
}

/* --- the end --- */

void grant_unbind(struct grant *grant)
{
    if (grant->is_keyed) {
        index_remove(&grant->lease->role->core->grant_keys, &grant->by_key);
        grant->is_keyed = false;
    }
    binding_stop(grant);
}

static void grant_unlink(struct grant *grant)
{
    struct lease_core *core = grant->lease->role->core;
    struct lease *lease = grant->lease;

    grant_unbind(grant);
    handout_forget(grant);
    wheel_cancel(&core->wheel, &grant->due);
    window_leave(grant);
    list_remove(&grant->by_lease);
    lease->grant_count--;
    lease->waiting_count -= grant->acquire_count;
    grant->holder->grant_count--;
    grant->holder->account->grant_count--;
}

struct acquire_failure grant_failure(const struct grant *grant)
{
    switch (grant->end) {
    case GRANT_END_STOPPING:
        return (struct acquire_failure){.status = ERR_CANCELED, .text = "the daemon is stopping"};
    case GRANT_END_POLICY:
    case GRANT_END_REVOKED:
        return (struct acquire_failure){.status = ERR_POLICY, .text = "access was taken away"};
    default:
        return (struct acquire_failure){.status = ERR_GONE, .text = "the grant has ended"};
    }
}

void grant_end(struct grant *grant, enum grant_end end)
{
    struct lease *lease = grant->lease;
    struct acquire_failure failure;

    if (grant->state == GRANT_STATE_ENDED) {
        return;
    }
    reads_flush_grant(grant);
    grant->end = end;
    failure = grant_failure(grant);
    durable_end_grant(grant);
    grant_unlink(grant);
    grant_set_state(grant, GRANT_STATE_ENDED);
    if (grant->is_created) {
        record_grant_ended(grant);
    }
    acquire_fail_grant(grant, &failure);
    grant_leave(grant);
    grant_check(grant);
    lease_settle(lease, end);
}

/* How long before its end the holder hears of it. */
static uint64_t lead_ms(const struct grant *grant)
{
    uint64_t quarter_ms = grant->duration_ms / 4;

    return quarter_ms < LEASE_ENDING_LEAD_MS ? quarter_ms : LEASE_ENDING_LEAD_MS;
}

uint64_t grant_until_ms(const struct grant *grant)
{
    if (grant->due.when_ms == 0 || grant->is_ending) {
        return grant->due.when_ms;
    }
    return schedule_add_ms(grant->due.when_ms, lead_ms(grant));
}

void grant_set_until(struct grant *grant, uint64_t until_ms)
{
    struct lease_core *core = grant->lease->role->core;

    /* So soon after the machine has started there may be no time to announce it in. */
    grant->is_ending = until_ms <= lead_ms(grant);
    wheel_arm(&core->wheel, &grant->due, grant->is_ending ? until_ms : until_ms - lead_ms(grant));
    core_touch(core);
}

void grant_due(struct grant *grant)
{
    struct lease_core *core = grant->lease->role->core;
    uint64_t until_ms;

    window_refit(grant);
    if (wheel_is_armed(&grant->due)) {
        return; /* the wall clock was set: this isn't the moment */
    }
    until_ms = grant_until_ms(grant);
    if (core_now_ms(core) >= until_ms) {
        grant_end(grant, GRANT_END_DURATION);
        return;
    }
    grant->is_ending = true;
    observe_grant_ending(grant);
    wheel_arm(&core->wheel, &grant->due, until_ms);
}

bool grant_try_free(struct grant *grant)
{
    if (grant->state != GRANT_STATE_ENDED || grant->acquire_count > 0 ||
        grant->delivery_count > 0) {
        return false;
    }
    grant_free(grant);
    return true;
}

void grant_free(struct grant *grant)
{
    struct lease_core *core = grant->lease->role->core;

    if (grant->state != GRANT_STATE_ENDED) {
        grant_unlink(grant); /* the core closes */
    }
    if (grant->leaving != NULL) {
        grant->leaving->pin_count--;
    }
    core->grant_counts[grant->state]--;
    list_remove(&grant->by_state);
    list_remove(&grant->by_reads);
    CHECK(grant->next_changed == NULL || grant->lease->role->core->is_closing);
    list_remove(&grant->by_age);
    list_remove(&grant->by_holder);
    index_remove(&core->grant_ids, &grant->by_id);
    grant->lease->pin_count--;
    text_put(&core->texts, grant->basis);
    holder_put(core, grant->holder);
    mem_free(grant);
}
