/* Anchors: what leases of an issuer hang on (the token that they were issued under).
 *
 * The issuer says when an anchor ends, also before it issues under it, so the ends are remembered
 * for each issuer. An end in the future bounds each lease of that anchor, and the plan replaces it
 * in time; the end may be moved out again when the login is renewed. An end that has come (0) has
 * killed them at the issuer: they expire now, and who holds them gets a successor. */
#include "base/log.h"
#include "lease/core_internal.h"

uint64_t anchor_ends_ms(const struct lease *lease)
{
    const struct issuer *issuer = lease->source->issuer;
    size_t i;

    for (i = 0; lease->anchor != 0 && i < CORE_ANCHORS_MAX; i++) {
        if (issuer->anchors[i].anchor == lease->anchor) {
            return issuer->anchors[i].ends_ms;
        }
    }
    return UINT64_MAX;
}

/* Forgotten is what has ended, the oldest first: leases may hang on all others, and would be taken
 * to live longer than they do. */
static void anchor_remember(struct issuer *issuer, uint64_t anchor, uint64_t ends_ms,
                            uint64_t now_ms)
{
    size_t place = issuer->anchor_next;
    size_t i;

    for (i = 0; i < CORE_ANCHORS_MAX; i++) {
        if (issuer->anchors[i].anchor == anchor) {
            issuer->anchors[i].ends_ms = ends_ms;
            return;
        }
    }
    for (i = 0; i < CORE_ANCHORS_MAX; i++) {
        place = (issuer->anchor_next + i) % CORE_ANCHORS_MAX;
        if (issuer->anchors[place].ends_ms <= now_ms) {
            break;
        }
    }
    if (i == CORE_ANCHORS_MAX) {
        place = issuer->anchor_next;
    }
    issuer->anchors[place] = (struct anchor){.anchor = anchor, .ends_ms = ends_ms};
    issuer->anchor_next = (place + 1) % CORE_ANCHORS_MAX;
}

static void anchor_moved(struct lease *lease)
{
    lease_limit_life(lease);
    if (lease->failure_count == 0) {
        lease_plan(lease);
    } else {
        lease_arm(lease);
    }
    acquire_wake_lease(lease);
}

void lease_core_anchor_ends(struct lease_core *core, struct lease_issuer *issuer, uint64_t anchor,
                            uint64_t when_ms, const char *reason)
{
    struct lease *lease = NULL;
    uint32_t died_count = 0;

    if (anchor == 0 || issuer->core_state == NULL) {
        return;
    }
    anchor_remember(issuer->core_state, anchor, when_ms, core_now_ms(core));
    while ((lease = lease_core_next_lease(core, lease)) != NULL) {
        if (!fsm_lease_is_live(lease->state) || lease->source->issuer->config != issuer ||
            lease->anchor != anchor) {
            continue;
        }
        if (when_ms == 0) {
            lease_expire(lease, reason);
            died_count++;
        } else {
            anchor_moved(lease);
        }
    }
    if (died_count > 0) {
        log_event(LOG_LEVEL_WARN, "lease.anchor.ended", "backend", issuer->name, "detail", reason,
                  NULL);
    }
}
