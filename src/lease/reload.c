/* Roles are added, replaced and removed while leases live.
 *
 * Happy path of a change: everything new is copied first (so that a failure changes nothing) → the
 * role has its new settings, and its new source if issuer or params are others → each of its leases
 * is looked at once. Timing: planned anew, and what is overdue by that is spread. Sharing: offered
 * anew. Source: an issue that isn't sent yet goes to the new one; what nobody holds is revoked;
 * what is held becomes outdated, and plan.c and acquire.c replace it.
 *
 * A role that is removed ends its grants, and its leases are revoked as ever; it stays known to
 * them, and under its name, until they are gone. Only what a backend of our own needs of it stays
 * until that is closed. */
#include "base/mem.h"
#include "lease/core_internal.h"

/* --- what a change means for one lease --- */

/* Nobody has it and nobody waits for it: it was kept for a caller that now gets another. */
static void reload_unheld(struct lease *lease)
{
    if (lease_is_outdated(lease)) {
        revoke_start(lease, "its role has changed");
    } else {
        settle_again(lease);
    }
}

static void reload_lease(struct lease *lease)
{
    verify_again(lease);
    switch (lease->state) {
    case LEASE_STATE_REQUESTED:
        if (lease->call == NULL && lease_is_outdated(lease)) {
            lease_take_source(lease);
        }
        break;
    case LEASE_STATE_ACTIVE:
    case LEASE_STATE_RENEWING:
        if (!lease_is_wanted(lease) && lease->is_recorded) {
            reload_unheld(lease);
        } else if (lease->failure_count == 0) {
            lease_replan(lease);
        }
        break;
    default:
        break; /* what ends goes on ending */
    }
}

/* `each` may end the lease, but frees none: that is for the end of the turn. */
static void reload_each(struct role *role, void (*each)(struct lease *lease))
{
    struct lease *lease = NULL;

    while ((lease = lease_core_next_lease(role->core, lease)) != NULL) {
        if (lease->role == role) {
            each(lease);
        }
    }
}

static void offer_again(struct lease *lease)
{
    if (fsm_lease_is_over(lease->state) || lease->state == LEASE_STATE_REVOKING) {
        return;
    }
    if (lease->step == LEASE_STEP_DROP) {
        sharing_keep(lease);
    } else if (lease_is_shared(lease) && lease_current(lease) == lease) {
        sharing_offer(lease);
    }
}

/* --- the change --- */

/* What the issuer said was about something else. */
static void forget_refusals(struct role *role)
{
    struct list *node;
    struct list *following;

    refusal_forget(&role->refusal);
    LIST_EACH (&role->holders, node, following) {
        refusal_forget(&LIST_ENTRY(node, struct holder, by_role)->refusal);
    }
}

static void role_change(struct role *role, const struct role_texts *texts, struct source *source)
{
    bool is_shared_else = role->texts != NULL && role->config.share != texts->config.share;

    if (is_shared_else) {
        reload_each(role, sharing_withdraw);
    }
    role_configure(role, texts);
    if (source != NULL) {
        role_set_source(role, source);
        forget_refusals(role);
    } else {
        role->config.issuer = role->source->issuer->config;
        role->config.params_json = role->source->params_json;
    }
    role->is_removed = false;
    if (is_shared_else) {
        reload_each(role, offer_again);
    }
    reload_each(role, reload_lease);
    core_touch(role->core);
}

static int issuer_of(struct lease_core *core, struct lease_issuer *config,
                     struct issuer **ret_issuer)
{
    if (config->core_state != NULL) {
        *ret_issuer = config->core_state;
        return 0;
    }
    return issuer_new(core, config, ret_issuer);
}

static struct role *role_by_name(struct lease_core *core, const char *name)
{
    struct map_entry *entry = map_find(&core->roles, str_of(name));

    return entry != NULL ? MAP_ENTRY(entry, struct role, entry) : NULL;
}

static bool is_as_it_was(const struct role *role, const struct issuer *issuer,
                         const struct lease_role *config)
{
    return !role->is_removed && source_is(role->source, issuer, config->params_json) &&
           role_is_configured(role, config);
}

static struct role *role_new_removed(struct lease_core *core, const char *name)
{
    const struct lease_role config = {.name = name};
    struct role_texts texts;
    struct role *role;

    if (role_texts_copy(&config, &texts) != 0) {
        return NULL;
    }
    role = role_new(core, name);
    if (role == NULL) {
        mem_free(texts.block);
        return NULL;
    }
    role_configure(role, &texts);
    role->is_removed = true;
    return role;
}

/* What many leases were issued from before the role changed is one source, too: the last ones made
 * are looked at first. NULL when out of memory. */
static struct source *source_again(struct role *role, struct issuer *issuer,
                                   const char *params_json)
{
    struct source *source = role->source;
    struct list *node;

    if (source_is(source, issuer, params_json)) {
        source->user_count++;
        return source;
    }
    for (node = issuer->sources.prev; node != &issuer->sources; node = node->prev) {
        source = LIST_ENTRY(node, struct source, node);
        if (source->role == role && source_is(source, issuer, params_json)) {
            source->user_count++;
            return source;
        }
    }
    return source_new(role, issuer, params_json);
}

int role_recover(struct lease_core *core, const char *name, struct lease_issuer *config,
                 const char *params_json, struct source **ret_source)
{
    struct role *role = role_by_name(core, name);
    struct source *source;
    struct issuer *issuer;
    int r = issuer_of(core, config, &issuer);

    if (r == 0 && role == NULL) {
        role = role_new_removed(core, name);
        r = role != NULL ? 0 : ERR_NOMEM;
    }
    if (r != 0) {
        return r;
    }
    role_again(role);
    source = source_again(role, issuer, params_json);
    if (source == NULL) {
        role_put(role);
        return ERR_NOMEM;
    }
    if (role->source == NULL) {
        source->user_count++;
        role_set_source(role, source);
    }
    *ret_source = source;
    return 0;
}

int lease_core_set_role(struct lease_core *core, const struct lease_role *config)
{
    struct role *role = role_by_name(core, config->name);
    struct role_texts texts;
    struct source *source = NULL;
    struct issuer *issuer;
    bool is_new = role == NULL;
    int r = issuer_of(core, config->issuer, &issuer);

    CHECK(config->verify_json == NULL || core->verifier != NULL);
    if (r != 0 || (!is_new && is_as_it_was(role, issuer, config))) {
        return r;
    }
    r = role_texts_copy(config, &texts);
    if (r != 0) {
        return r;
    }
    if (is_new) {
        role = role_new(core, config->name);
    }
    if (role != NULL && !source_is(role->source, issuer, config->params_json)) {
        source = source_new(role, issuer, config->params_json);
    }
    if (role != NULL && (source != NULL || source_is(role->source, issuer, config->params_json))) {
        role_change(role, &texts, source);
        return 0;
    }
    mem_free(texts.block);
    if (is_new && role != NULL) {
        role_free(role);
    }
    return ERR_NOMEM;
}

/* --- removed --- */

static void removed_lease(struct lease *lease)
{
    if (lend_holds(lease)) {
        return;
    }
    if (fsm_lease_is_live(lease->state)) {
        revoke_start(lease, "its role was removed");
    } else if (lease->state == LEASE_STATE_REQUESTED) {
        issue_drop(lease);
    }
}

void lease_core_remove_role(struct lease_core *core, struct str name)
{
    struct role *role = role_find(core, name);
    struct grant *grant = NULL;

    if (role == NULL) {
        return;
    }
    role->is_removed = true;
    role_again(role); /* it must outlive this call */
    while ((grant = lease_core_next_grant(core, grant)) != NULL) {
        if (grant->holder->role == role && !lend_is_needed(core, grant->holder)) {
            grant_end(grant, GRANT_END_POLICY);
        }
    }
    reload_each(role, removed_lease);
    role_put(role); /* it may be gone */
    core_touch(core);
}

/* --- issuers --- */

int lease_core_set_limits(struct lease_core *core, const struct lease_issuer *issuer)
{
    struct issuer *state = issuer->core_state;

    if (state == NULL) {
        return 0;
    }
    if (issuer_grow(state) != 0) {
        return ERR_NOMEM;
    }
    queue_set_limits(&state->queue, &issuer->limits);
    core_touch(core);
    return 0;
}

uint32_t lease_core_issuer_leases(const struct lease_core *core, const struct lease_issuer *issuer)
{
    const struct issuer *state = issuer->core_state;

    (void)core;
    return state != NULL ? state->lease_count + state->queue.in_flight : 0;
}

void lease_core_forget_issuer(struct lease_core *core, struct lease_issuer *issuer)
{
    struct issuer *state = issuer->core_state;
    struct map_entry *entry;

    if (state == NULL) {
        return;
    }
    CHECK(lease_core_issuer_leases(core, issuer) == 0);
    for (entry = map_first(&core->roles); entry != NULL; entry = map_next(&core->roles, entry)) {
        struct role *role = MAP_ENTRY(entry, struct role, entry);

        if (role->source->issuer == state) {
            CHECK(role->is_removed);
            role->config.issuer = NULL;
        }
    }
    issuer_free(state);
    lend_settle(core, issuer);
}
