/* Grants that end with their rule's window, whatever becomes of the clocks.
 *
 * A window is a time on the wall clock, all other deadlines are of a clock that never steps. So the
 * moment at which a window closes is another one whenever the wall clock is set: while a grant with
 * a window is there the two clocks are compared each second, and where they have parted the ends
 * are counted anew.
 *
 * The wall clock is put forward over a window's end: its grants end within a second or so. It is
 * put back: a grant ends neither before the wall clock shows its window's end, nor later than its
 * rule's duration after it began, by the clock that never steps. That it is before the window's
 * beginning now ends no grant. */
#include "base/mutant.h"
#include "lease/core_internal.h"
#include "lease/schedule.h"

#define LOOK_MS 1000U

static void look_later(struct lease_core *core)
{
    if (core->window_count > 0 && !wheel_is_armed(&core->windows_due)) {
        wheel_arm(&core->wheel, &core->windows_due, schedule_add_ms(core_now_ms(core), LOOK_MS));
        core_touch(core);
    }
}

void window_join(struct grant *grant)
{
    struct lease_core *core = grant->lease->role->core;

    if (grant->window_wall_ms == 0) {
        return;
    }
    if (core->window_count++ == 0) {
        core->windows_offset_ms = core_wall_offset_ms(core);
    }
    look_later(core);
}

void window_leave(struct grant *grant)
{
    struct lease_core *core = grant->lease->role->core;

    core->window_count -= grant->window_wall_ms != 0;
    if (core->window_count == 0) {
        wheel_cancel(&core->wheel, &core->windows_due);
    }
}

void window_set(struct grant *grant, int64_t window_wall_ms)
{
    uint64_t until_ms = grant_until_ms(grant);

    if (grant->is_created && grant->window_wall_ms == 0 && window_wall_ms != 0) {
        grant->own_until_ms = until_ms != 0 ? until_ms : UINT64_MAX;
    }
    window_leave(grant);
    grant->window_wall_ms = window_wall_ms;
    window_join(grant);
}

uint64_t window_until_ms(struct lease_core *core, uint64_t own_until_ms, int64_t window_wall_ms)
{
    uint64_t closes_ms = core_when_of(core, window_wall_ms);

    return closes_ms < own_until_ms ? closes_ms : own_until_ms;
}

void window_begin(struct grant *grant)
{
    struct lease_core *core = grant->lease->role->core;
    uint64_t now_ms = core_now_ms(core);
    uint64_t until_ms;

    grant->own_until_ms =
        grant->duration_ms > 0 ? schedule_add_ms(now_ms, grant->duration_ms) : UINT64_MAX;
    if (grant->window_wall_ms != 0 && !MUTATED(42)) {
        until_ms = window_until_ms(core, grant->own_until_ms, grant->window_wall_ms);
        until_ms = until_ms > now_ms ? until_ms : now_ms + 1;
        grant->duration_ms = until_ms - now_ms;
    }
    if (grant->duration_ms > 0) {
        grant_set_until(grant, schedule_add_ms(now_ms, grant->duration_ms));
    }
}

void window_refit(struct grant *grant)
{
    struct lease_core *core = grant->lease->role->core;
    uint64_t before_ms = grant_until_ms(grant);
    uint64_t begun_ms = schedule_left_ms(before_ms, grant->duration_ms);
    uint64_t until_ms;

    if (grant->window_wall_ms == 0 || before_ms == 0) {
        return;
    }
    until_ms = window_until_ms(core, grant->own_until_ms, grant->window_wall_ms);
    if (until_ms != before_ms) {
        /* Not what has passed since it began: of one that is older than the boot that isn't known.
         */
        grant->duration_ms = until_ms > begun_ms ? grant->duration_ms + until_ms - before_ms : 1;
        grant_set_until(grant, until_ms);
    }
}

uint64_t window_allowed_ms(const struct grant *grant)
{
    if (grant->window_wall_ms == 0 || !grant->is_created) {
        return grant->duration_ms;
    }
    return grant->own_until_ms != UINT64_MAX
               ? grant->duration_ms + grant->own_until_ms - grant_until_ms(grant)
               : 0;
}

void windows_due(struct lease_core *core)
{
    int64_t offset_ms = core_wall_offset_ms(core);
    struct grant *grant = NULL;

    if (offset_ms != core->windows_offset_ms && !MUTATED(46)) {
        core->windows_offset_ms = offset_ms;
        while ((grant = lease_core_next_grant(core, grant)) != NULL) {
            if (grant->state != GRANT_STATE_ENDED) {
                window_refit(grant);
            }
        }
    }
    look_later(core);
}
