/* Checks the core as a whole: what lists, maps and counts say about each other. Each lease and
 * grant checks itself on every move; this finds what only shows from outside. */
#include "lease/core_internal.h"

static uint64_t count_of_roles(const struct lease_core *core, size_t state)
{
    struct map_entry *entry;
    uint64_t count = 0;

    for (entry = map_first(&core->roles); entry != NULL; entry = map_next(&core->roles, entry)) {
        count += MAP_ENTRY(entry, struct role, entry)->state_counts[state];
    }
    return count;
}

static void check_lease_lists(const struct lease_core *core)
{
    size_t state;

    for (state = 0; state < LEASE_STATE_COUNT; state++) {
        const struct list *list = &core->leases_by_state[state];
        struct list *node;
        uint64_t count = 0;

        for (node = list->next; node != list; node = node->next) {
            const struct lease *lease = LIST_ENTRY(node, struct lease, by_state);

            CHECK(lease->magic == LEASE_MAGIC && lease->state == (enum lease_state)state);
            count++;
        }
        CHECK(core->lease_counts[state] == count_of_roles(core, state));
        CHECK(count == (state >= LEASE_STATE_REVOKING ? core->lease_counts[state] : 0));
    }
}

static void check_grant_lists(const struct lease_core *core)
{
    uint64_t window_count = 0;
    size_t state;

    for (state = 0; state < GRANT_STATE_COUNT; state++) {
        const struct list *list = &core->grants_by_state[state];
        struct list *node;
        uint64_t count = 0;

        for (node = list->next; node != list; node = node->next) {
            const struct grant *grant = LIST_ENTRY(node, struct grant, by_state);

            CHECK(grant->magic == GRANT_MAGIC && grant->state == (enum grant_state)state);
            grant_check(grant);
            window_count += state != GRANT_STATE_ENDED && grant->window_wall_ms != 0;
            count++;
        }
        CHECK(count == core->grant_counts[state]);
    }
    CHECK(window_count == core->window_count);
    CHECK(wheel_is_armed(&core->windows_due) == (window_count > 0));
}

/* A lease has a next deadline, a call, or something that it waits for: none is forgotten. */
static void check_progress(const struct lease *lease)
{
    bool is_moving =
        wheel_is_armed(&lease->due) || lease->call != NULL || queue_item_is_queued(&lease->item);

    if (!fsm_lease_is_over(lease->state)) {
        CHECK(is_moving);
    }
}

static void check_lease(const struct lease *lease)
{
    const struct grant *grant;
    uint32_t grant_count = 0;
    uint32_t acquire_count = 0;

    for (grant = lease_next_grant(lease, NULL); grant != NULL;
         grant = lease_next_grant(lease, grant)) {
        CHECK(grant->lease == lease && grant->state != GRANT_STATE_ENDED);
        grant_count++;
        acquire_count += grant->acquire_count;
    }
    CHECK(grant_count == lease->grant_count);
    CHECK(acquire_count == lease->waiting_count);
    CHECK(lease->successor == NULL || lease->successor->predecessor == lease);
    CHECK(lease->predecessor == NULL || lease->predecessor->successor == lease);
    lease_check(lease);
    check_progress(lease);
}

void lease_core_check(const struct lease_core *core)
{
    const struct list *node;
    uint64_t sealed_bytes = 0;

    for (node = core->leases_by_age.next; node != &core->leases_by_age; node = node->next) {
        const struct lease *lease =
            (const struct lease *)(const void *)((const char *)node -
                                                 offsetof(struct lease, by_age));

        check_lease(lease);
        sealed_bytes += credential_sealed(&lease->credential).len;
    }
    CHECK(sealed_bytes == core->stats.sealed_bytes);
    check_lease_lists(core);
    check_grant_lists(core);
    wheel_check(&core->wheel);
}
