/* Events of grants, and who has moved over.
 *
 * Where it happens the position is noted: in the lease that became ready or was superseded, in the
 * grant that begins or ends. That is all when nobody observes. Otherwise the grants concerned are
 * listed, and observe_tell tells of them at the end of the turn. What to tell is derived from the
 * positions, so that observers and those who come back later are told the same. */
#include "lease/observe.h"

#include "lease/core_internal.h"

/* --- what has happened --- */

static uint64_t next_position(struct lease_core *core)
{
    core_touch(core);
    return ++core->position;
}

static struct grant *pop(struct grant **list)
{
    struct grant *grant = *list;

    if (grant != NULL) {
        *list = grant->next_changed != grant ? grant->next_changed : NULL;
        grant->next_changed = NULL;
    }
    return grant;
}

static void push(struct grant **list, struct grant *grant)
{
    grant->next_changed = *list != NULL ? *list : grant;
    *list = grant;
}

static void list_grant(struct lease_core *core, struct grant *grant)
{
    if (!list_is_empty(&core->observers) && grant->next_changed == NULL) {
        push(&core->changed, grant);
    }
}

/* Those that are on the lease, and those on the ones before it, which get it next. */
static void list_holders(struct lease *lease)
{
    struct lease_core *core = lease->role->core;
    struct list *node;
    struct list *following;

    if (list_is_empty(&core->observers)) {
        return;
    }
    for (; lease != NULL; lease = lease->predecessor) {
        LIST_EACH (&lease->grants, node, following) {
            list_grant(core, LIST_ENTRY(node, struct grant, by_lease));
        }
    }
}

/* Those that have read a successor and haven't left this one. */
static void list_leaving(struct lease *lease)
{
    struct lease *next;
    struct list *node;
    struct list *following;

    for (next = lease->leaving_count > 0 ? lease->successor : NULL; next != NULL;
         next = next->successor) {
        LIST_EACH (&next->grants, node, following) {
            struct grant *grant = LIST_ENTRY(node, struct grant, by_lease);

            if (grant->leaving == lease) {
                list_grant(lease->role->core, grant);
            }
        }
    }
}

void observe_ready(struct lease *lease)
{
    lease->ready_position = next_position(lease->role->core);
    list_holders(lease);
}

void observe_superseded(struct lease *lease)
{
    lease->event_position = next_position(lease->role->core);
    list_holders(lease);
    list_leaving(lease);
}

void observe_ending(struct lease *lease)
{
    if (fsm_lease_is_live(lease->state) && lease->state != LEASE_STATE_SUPERSEDED &&
        !lease_can_renew(lease) && lease->event_position == 0) {
        lease->event_position = next_position(lease->role->core);
        list_holders(lease);
    }
}

void observe_grant(struct grant *grant)
{
    struct lease_core *core = grant->lease->role->core;

    grant->event_position = next_position(core);
    list_grant(core, grant);
}

void observe_grant_ending(struct grant *grant)
{
    struct lease_core *core = grant->lease->role->core;

    grant->ending_position = next_position(core);
    list_grant(core, grant);
}

/* --- telling --- */

const char *lease_event_str(enum lease_event_kind kind)
{
    static const char *const names[] = {
        [LEASE_EVENT_CREDENTIAL] = "credential",
        [LEASE_EVENT_SUPERSEDED] = "superseded",
        [LEASE_EVENT_ENDING] = "ending",
        [LEASE_EVENT_GONE] = "gone",
    };

    return names[kind];
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void tell_credential(const struct grant *grant, struct lease *current, uint64_t position,
                            struct lease_observer *observer)
{
    uint64_t since = later(current->ready_position, grant->event_position);

    if (since > position && current->is_recorded && fsm_lease_is_live(current->state)) {
        observer->event(observer,
                        &(struct lease_event){
                            .kind = LEASE_EVENT_CREDENTIAL,
                            .grant = grant,
                            .lease = current,
                            .when_wall_ms = core_wall_of(current->role->core, current->expires_ms),
                            .position = since,
                        });
    }
}

static uint64_t end_of(const struct lease *old)
{
    bool has_step = old->step == LEASE_STEP_MOVE || old->step == LEASE_STEP_LEAVE;

    return has_step && old->next_ms < old->expires_ms ? old->next_ms : old->expires_ms;
}

static void tell_superseded(const struct grant *grant, const struct lease *current,
                            uint64_t position, struct lease_observer *observer)
{
    const struct lease *old = grant->leaving != NULL ? grant->leaving : grant->lease;

    if (old != current && old->state == LEASE_STATE_SUPERSEDED && old->event_position > position) {
        observer->event(observer, &(struct lease_event){
                                      .kind = LEASE_EVENT_SUPERSEDED,
                                      .grant = grant,
                                      .lease = old,
                                      .when_wall_ms = core_wall_of(old->role->core, end_of(old)),
                                      .reason = old->is_forced ? "asked_for" : "planned",
                                      .position = old->event_position,
                                  });
    }
}

static void tell_ending(const struct grant *grant, const struct lease *current, uint64_t position,
                        struct lease_observer *observer)
{
    struct lease_event event = {
        .kind = LEASE_EVENT_ENDING, .grant = grant, .lease = current, .reason = "not_replaced"};

    if (fsm_lease_is_live(current->state) && current->event_position > position) {
        event.position = current->event_position;
        event.when_wall_ms = core_wall_of(current->role->core, current->expires_ms);
        observer->event(observer, &event);
    }
    if (grant->ending_position > position) {
        event.position = grant->ending_position;
        event.when_wall_ms = grant_until_wall_ms(grant);
        event.reason = "duration";
        observer->event(observer, &event);
    }
}

void lease_grant_events(struct grant *grant, uint64_t position, struct lease_observer *observer)
{
    struct lease *current = lease_current(grant->lease);

    if (grant->event_position == 0) {
        return; /* nobody has it yet */
    }
    if (grant->state == GRANT_STATE_HELD) {
        tell_credential(grant, current, position, observer);
        tell_superseded(grant, current, position, observer);
        tell_ending(grant, current, position, observer);
    } else if (grant->event_position > position) {
        observer->event(observer, &(struct lease_event){.kind = LEASE_EVENT_GONE,
                                                        .grant = grant,
                                                        .lease = grant->lease,
                                                        .reason = grant_end_str(grant->end),
                                                        .position = grant->event_position});
    }
}

/* In the order in which they have changed. Grants are freed at the end of a turn, after this. */
static struct grant *take_changed(struct lease_core *core)
{
    struct grant *changed = NULL;
    struct grant *grant;

    while ((grant = pop(&core->changed)) != NULL) {
        push(&changed, grant);
    }
    return changed;
}

void observe_tell(struct lease_core *core)
{
    uint64_t since = core->told_position;
    struct grant *changed;
    struct grant *grant;
    struct list *node;
    struct list *following;

    if (since == core->position) {
        return;
    }
    core->told_position = core->position;
    changed = take_changed(core);
    while ((grant = pop(&changed)) != NULL) {
        LIST_EACH (&core->observers, node, following) {
            lease_grant_events(grant, since, LIST_ENTRY(node, struct lease_observer, node));
        }
    }
    LIST_EACH (&core->observers, node, following) {
        struct lease_observer *observer = LIST_ENTRY(node, struct lease_observer, node);

        observer->told(observer, core->told_position);
    }
}

/* --- observers --- */

void lease_observe(struct lease_core *core, struct lease_observer *observer)
{
    list_push_back(&core->observers, &observer->node);
}

void lease_unobserve(struct lease_observer *observer)
{
    list_remove(&observer->node);
}

uint64_t lease_core_position(const struct lease_core *core)
{
    return core->position;
}

bool observe_is_followed(const struct grant *grant)
{
    struct lease_core *core = grant->lease->role->core;
    struct list *node;
    struct list *following;

    LIST_EACH (&core->observers, node, following) {
        struct lease_observer *observer = LIST_ENTRY(node, struct lease_observer, node);

        if (observer->follows != NULL && observer->follows(observer, grant)) {
            return true;
        }
    }
    return false;
}
