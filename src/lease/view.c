/* Looking at leases and grants: what the API shows, and numbers for the metrics. */
#include "lease/core_internal.h"

#include <string.h>

struct lease *grant_lease(const struct grant *grant)
{
    return grant->lease;
}

void lease_view(const struct lease *lease, struct lease_view *ret_view)
{
    bool is_issued = lease->issued_ms != 0;

    *ret_view = (struct lease_view){
        .id = lease->id,
        .role = &lease->role->config,
        .backend = lease_backend(lease),
        .state = lease->state,
        .version = lease->version,
        .issued_wall_ms = is_issued ? core_wall_of(lease->role->core, lease->issued_ms) : 0,
        .expires_wall_ms = is_issued ? core_wall_of(lease->role->core, lease->expires_ms) : 0,
        .expires_ms = is_issued ? lease->expires_ms : 0,
        .renewed_wall_ms =
            lease->renewal_count > 0 ? core_wall_of(lease->role->core, lease->answered_ms) : 0,
        .renewal_count = lease->renewal_count,
        .grant_count = lease->grant_count,
        .refresh_at_ms = lease->refresh_ms > 0 ? lease_refresh_at_ms(lease) : 0,
        .is_renewable = lease->is_renewable && !lease->is_refused,
        .is_revocable = lease->is_revocable,
        .last_error = lease_error(lease),
        .successor = lease->successor != NULL ? lease->successor->id : NULL,
    };
    if (lease->role->config.share != LEASE_SHARE_ROLE) {
        ret_view->identity_key = lease->holder->key;
        ret_view->user = lease->holder->user;
        ret_view->sans = lease->holder->sans;
        ret_view->uid = lease->holder->uid;
    }
}

static struct str approval_id(const struct grant *grant)
{
    struct str text = str_of(grant_approval(grant));

    return str_cut(&text, ' ');
}

void grant_view(const struct grant *grant, struct grant_view *ret_view)
{
    *ret_view = (struct grant_view){
        .id = grant->id,
        .lease = grant->lease->id,
        .role = &grant->holder->role->config,
        .state = grant->state,
        .end = grant->end,
        .uid = grant->holder->uid,
        .user = grant->holder->user,
        .pid = grant->pid,
        .unit = grant->holder->unit,
        .container = grant->holder->container,
        .image = grant->holder->image,
        .sans = grant->holder->sans,
        .claims = grant->holder->claims,
        .identity_key = grant->holder->key,
        .reason = grant_reason(grant),
        .ticket = grant_ticket(grant),
        .approval = approval_id(grant),
        .rule = grant_rule(grant),
        .bindings = grant_bindings_text(grant),
        .created_wall_ms = grant->created_wall_ms,
        .until_wall_ms = grant_until_wall_ms(grant),
        .read_count = grant->read_count,
    };
}

static bool is_lease_id(struct index_entry *entry, const void *id)
{
    return memcmp(CONTAINER_OF(entry, struct lease, by_id)->id, id, LEASE_ID_BYTES) == 0;
}

static bool is_grant_id(struct index_entry *entry, const void *id)
{
    return memcmp(CONTAINER_OF(entry, struct grant, by_id)->id, id, LEASE_ID_BYTES) == 0;
}

struct lease *lease_core_find_lease(struct lease_core *core, struct str id)
{
    const struct index *ids = &core->lease_ids;
    struct index_entry *entry = NULL;

    if (id.len == LEASE_ID_BYTES) {
        entry = index_find(ids, core_id_hash(ids, id.ptr), is_lease_id, id.ptr);
    }
    return entry != NULL ? CONTAINER_OF(entry, struct lease, by_id) : NULL;
}

struct grant *lease_core_find_grant(struct lease_core *core, struct str id)
{
    const struct index *ids = &core->grant_ids;
    struct index_entry *entry = NULL;

    if (id.len == LEASE_ID_BYTES) {
        entry = index_find(ids, core_id_hash(ids, id.ptr), is_grant_id, id.ptr);
    }
    return entry != NULL ? CONTAINER_OF(entry, struct grant, by_id) : NULL;
}

struct lease *lease_core_next_lease(struct lease_core *core, const struct lease *after)
{
    struct list *next = after != NULL ? after->by_age.next : core->leases_by_age.next;

    return next != &core->leases_by_age ? LIST_ENTRY(next, struct lease, by_age) : NULL;
}

struct grant *lease_core_next_grant(struct lease_core *core, const struct grant *after)
{
    struct list *next = after != NULL ? after->by_age.next : core->grants_by_age.next;

    return next != &core->grants_by_age ? LIST_ENTRY(next, struct grant, by_age) : NULL;
}

struct grant *lease_next_grant(const struct lease *lease, const struct grant *after)
{
    struct list *next = after != NULL ? after->by_lease.next : lease->grants.next;

    return next != &lease->grants ? LIST_ENTRY(next, struct grant, by_lease) : NULL;
}

static const struct lease *revoking_at(const struct list *node)
{
    return (const struct lease *)(const void *)((const char *)node -
                                                offsetof(struct lease, by_state));
}

/* Leases enter a state at the end of its list, so the first has been there longest. */
static uint64_t oldest_revoking_ms(const struct lease_core *core)
{
    const struct list *list = &core->leases_by_state[LEASE_STATE_REVOKING];
    const struct list *node = list->next;

    while (node != list && revoking_at(node)->is_login_bound) {
        node = node->next;
    }
    return node != list ? schedule_left_ms(core_now_ms(core), revoking_at(node)->since_ms) : 0;
}

void lease_core_stats(const struct lease_core *core, struct lease_core_stats *ret_stats)
{
    size_t i;

    *ret_stats = core->stats;
    for (i = 0; i < LEASE_STATE_COUNT; i++) {
        ret_stats->leases_by_state[i] = core->lease_counts[i];
    }
    ret_stats->grants_held = core->grant_counts[GRANT_STATE_HELD];
    ret_stats->revoke_login_bound = core->login_bound_count;
    ret_stats->revoke_pending = core->lease_counts[LEASE_STATE_REVOKING] - core->login_bound_count;
    ret_stats->revoke_oldest_ms = oldest_revoking_ms(core);
}

const struct lease_role *lease_core_role(const struct lease_core *core, struct str name)
{
    struct role *role = role_find(core, name);

    return role != NULL ? &role->config : NULL;
}

const struct lease_role *lease_core_next_role(const struct lease_core *core,
                                              const struct lease_role *after)
{
    struct map_entry *entry =
        after != NULL ? map_next(&core->roles, &role_of(after)->entry) : map_first(&core->roles);

    while (entry != NULL && MAP_ENTRY(entry, struct role, entry)->is_removed) {
        entry = map_next(&core->roles, entry);
    }
    return entry != NULL ? &MAP_ENTRY(entry, struct role, entry)->config : NULL;
}

uint64_t lease_core_role_tolerance_ms(const struct lease_role *role)
{
    return role_of(role)->tolerance_ms;
}

void lease_core_role_counts(const struct lease_core *core, const struct lease_role *role,
                            uint32_t ret_counts[LEASE_STATE_FAILED + 1])
{
    const struct role *known = role_of(role);

    (void)core;
    memcpy(ret_counts, known->state_counts, sizeof(known->state_counts));
}

uint32_t lease_core_issuer_load(const struct lease_core *core, const struct lease_issuer *issuer)
{
    const struct issuer *state = issuer->core_state;

    (void)core;
    return state != NULL ? queue_load(&state->queue) : 0;
}

/* --- the credential itself --- */

int lease_credential_open(struct lease_core *core, const struct lease *lease,
                          struct lease_credential *ret_credential)
{
    const struct lease_role *config = &lease->role->config;
    size_t count;
    size_t i;
    int r;

    (void)core;
    if (!fsm_lease_is_live(lease->state) || lease_left_ms(lease) == 0) {
        return ERR_GONE;
    }
    secret_init(&ret_credential->plain);
    r = lease_open(lease, &ret_credential->plain);
    if (r != 0) {
        return r;
    }
    count = credential_fields(&ret_credential->plain, ret_credential->storage);
    for (i = 0; i < config->attribute_count && count < LEASE_FIELDS_MAX; i++) {
        ret_credential->storage[count++] = config->attributes[i];
    }
    ret_credential->fields = ret_credential->storage;
    ret_credential->field_count = count;
    return 0;
}

void lease_credential_close(struct lease_credential *credential)
{
    secret_fini(&credential->plain);
    credential->fields = NULL;
    credential->field_count = 0;
}
