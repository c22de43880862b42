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

#include "base/mem.h"
#include "lease/core_internal.h"

#include <string.h>

/* --- making --- */

struct grant_sizes {
    size_t key;
    size_t reason;
    size_t ticket;
    size_t bindings_text;
};

static struct grant_sizes sizes_of(const struct lease_acquire *acquire,
                                   const struct binding_set *set)
{
    return (struct grant_sizes){
        .key = sizeof(struct binding_key) + set->count * sizeof(struct binding_target),
        .reason = acquire->reason != NULL ? strnlen(acquire->reason, LEASE_REASON_MAX_BYTES) : 0,
        .ticket = acquire->ticket != NULL ? strnlen(acquire->ticket, LEASE_TICKET_MAX_BYTES) : 0,
        .bindings_text = strlen(set->text),
    };
}

static const char *put_text(char **at, const char *text, size_t len)
{
    char *copy = *at;

    if (len > 0) {
        memcpy(copy, text, len);
    }
    copy[len] = '\0';
    *at += len + 1;
    return copy;
}

static struct str key_bytes(const struct binding_key *key, size_t target_count)
{
    return (struct str){.ptr = (const char *)key,
                        .len = sizeof(*key) + target_count * sizeof(key->targets[0])};
}

/* One block: the grant, its bindings, its key, its texts. */
static struct grant *grant_alloc(const struct lease_acquire *acquire, const struct binding_set *set,
                                 struct holder *holder)
{
    struct grant_sizes sizes = sizes_of(acquire, set);
    size_t bindings_size = set->count * sizeof(struct binding);
    struct grant *grant = mem_calloc(1, sizeof(*grant) + bindings_size + sizes.key + sizes.reason +
                                            sizes.ticket + sizes.bindings_text + 3);
    char *at;

    if (grant == NULL) {
        return NULL;
    }
    at = (char *)grant->bindings + bindings_size;
    grant->key = (struct binding_key *)(void *)at;
    grant->key->holder = holder;
    memcpy(grant->key->targets, set->targets, set->count * sizeof(set->targets[0]));
    at += sizes.key;
    grant->reason = put_text(&at, acquire->reason, sizes.reason);
    grant->ticket = put_text(&at, acquire->ticket, sizes.ticket);
    grant->bindings_text = put_text(&at, set->text, sizes.bindings_text);
    return grant;
}

static void grant_init(struct grant *grant, struct lease *lease, struct holder *holder,
                       const struct lease_acquire *acquire)
{
    struct lease_core *core = lease->core;

    grant->magic = GRANT_MAGIC;
    grant->state = GRANT_STATE_PENDING;
    grant->core = core;
    grant->due.kind = CORE_ENTRY_GRANT;
    grant->pid = acquire->identity->pid;
    grant->duration_ms = acquire->decision->duration_ms;
    grant->created_wall_ms = env_wall_ms(core->env);
    list_init(&grant->waiting);
    core_make_id(core, 'g', grant->id);
    grant->lease = lease;
    grant->holder = holder_again(holder);
}

/* Puts it where it will be found. From here on it ends by grant_end. */
static void grant_join(struct grant *grant)
{
    struct lease *lease = grant->lease;

    list_push_back(&grant->core->grants_by_state[GRANT_STATE_PENDING], &grant->by_state);
    grant->core->grant_counts[GRANT_STATE_PENDING]++;
    list_push_back(&lease->grants, &grant->by_lease);
    lease->grant_count++;
    lease->pin_count++;
    grant->holder->grant_count++;
    lease_unsettle(lease);
}

int grant_new(struct lease *lease, struct holder *holder, const struct lease_acquire *acquire,
              const struct binding_set *set, struct grant **ret_grant)
{
    struct lease_core *core = lease->core;
    struct grant *grant = grant_alloc(acquire, set, holder);
    int r;

    if (grant == NULL) {
        return ERR_NOMEM;
    }
    grant_init(grant, lease, holder, acquire);
    grant->rule = text_get(&core->texts, acquire->decision->rule);
    grant->policy = text_get(&core->texts, acquire->policy_digest);
    r = grant->rule != NULL && grant->policy != NULL
            ? map_add(&core->grants, &grant->by_id, str_of(grant->id))
            : ERR_NOMEM;
    if (r == 0) {
        r = binding_start(grant, set, acquire->request);
        if (r != 0) {
            map_remove(&core->grants, &grant->by_id);
        }
    }
    if (r != 0) {
        text_put(&core->texts, grant->rule);
        text_put(&core->texts, grant->policy);
        holder_put(core, holder);
        mem_free(grant);
        return r;
    }
    /* Of several grants with one key the first is found again; without memory for the index none
     * is. */
    grant->is_keyed =
        map_add(&core->grant_keys, &grant->by_key, key_bytes(grant->key, set->count)) == 0;
    grant_join(grant);
    *ret_grant = grant;
    return 0;
}

struct grant *grant_find(const struct lease_core *core, struct holder *holder,
                         const struct binding_set *set)
{
    struct {
        const void *holder;
        struct binding_target targets[ACCESS_BINDINGS_MAX];
    } key = {.holder = holder};
    struct map_entry *entry;

    static_assert(offsetof(struct binding_key, targets) == sizeof(void *), "laid out as above");
    memcpy(key.targets, set->targets, set->count * sizeof(set->targets[0]));
    entry = map_find(&core->grant_keys, (struct str){.ptr = (const char *)&key,
                                                     .len = sizeof(key.holder) +
                                                            set->count * sizeof(set->targets[0])});
    return entry != NULL ? MAP_ENTRY(entry, struct grant, by_key) : NULL;
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
        CHECK(!grant->is_keyed && grant->binding_count == 0 && grant->handout == NULL);
        CHECK(grant->leaving == NULL && list_is_empty(&grant->waiting));
    }
}

void grant_set_state(struct grant *grant, enum grant_state state)
{
    struct lease_core *core = grant->core;

    CHECK(fsm_grant_may(grant->state, state));
    core->grant_counts[grant->state]--;
    core->grant_counts[state]++;
    list_remove(&grant->by_state);
    list_push_back(&core->grants_by_state[state], &grant->by_state);
    grant->state = state;
    core_touch(core);
}

/* --- moving and leaving --- */

void grant_leave(struct grant *grant)
{
    struct lease *lease = grant->leaving;

    if (lease != NULL) {
        grant->leaving = NULL;
        lease->leaving_count--;
        lease->pin_count--;
        lease_settle(lease, GRANT_END_RELEASED);
    }
}

void grant_move(struct grant *grant, struct lease *lease, bool is_sure)
{
    struct lease *before = grant->lease;

    CHECK(grant->state != GRANT_STATE_ENDED && lease != before);
    reads_flush_grant(grant);
    grant_leave(grant);
    list_remove(&grant->by_lease);
    before->grant_count--;
    before->leaving_count++;
    before->waiting_count -= grant->acquire_count;
    grant->leaving = before;
    grant->lease = lease;
    grant->is_read = false;
    list_push_back(&lease->grants, &grant->by_lease);
    lease->grant_count++;
    lease->pin_count++;
    lease->waiting_count += grant->acquire_count;
    lease_unsettle(lease);
    if (is_sure) {
        grant_leave(grant);
    }
}

/* --- the end --- */

static void grant_unlink(struct grant *grant)
{
    struct lease_core *core = grant->core;
    struct lease *lease = grant->lease;

    binding_stop(grant);
    handout_forget(grant);
    wheel_cancel(&core->wheel, &grant->due);
    if (grant->is_keyed) {
        map_remove(&core->grant_keys, &grant->by_key);
        grant->is_keyed = false;
    }
    list_remove(&grant->by_lease);
    lease->grant_count--;
    lease->waiting_count -= grant->acquire_count;
    grant->holder->grant_count--;
}

static struct acquire_failure failure_of(enum grant_end end)
{
    switch (end) {
    case GRANT_END_STOPPING:
        return (struct acquire_failure){.status = ERR_CANCELED, .text = "the daemon is stopping"};
    case GRANT_END_POLICY:
        return (struct acquire_failure){.status = ERR_DENIED, .text = "access was taken away"};
    default:
        return (struct acquire_failure){.status = ERR_GONE, .text = "the grant has ended"};
    }
}

void grant_end(struct grant *grant, enum grant_end end)
{
    struct acquire_failure failure = failure_of(end);
    struct lease *lease = grant->lease;

    if (grant->state == GRANT_STATE_ENDED) {
        return;
    }
    reads_flush_grant(grant);
    grant->end = end;
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

void grant_due(struct grant *grant)
{
    grant_end(grant, GRANT_END_DURATION);
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
    struct lease_core *core = grant->core;

    if (grant->state != GRANT_STATE_ENDED) {
        grant_unlink(grant); /* the core closes */
    }
    if (grant->leaving != NULL) {
        grant->leaving->pin_count--;
    }
    core->grant_counts[grant->state]--;
    list_remove(&grant->by_state);
    list_remove(&grant->by_reads);
    map_remove(&core->grants, &grant->by_id);
    grant->lease->pin_count--;
    text_put(&core->texts, grant->rule);
    text_put(&core->texts, grant->policy);
    holder_put(core, grant->holder);
    mem_free(grant);
}
