/* Compares decisions: their outcomes, and limit by limit what they give. */
#include "access/compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- alike? --- */

static uint64_t fingerprint_of(const struct access_decision *decision)
{
    return decision->approval != NULL ? decision->approval->fingerprint : 0;
}

static bool limits_are_equal(const struct access_decision *a, const struct access_decision *b)
{
    return a->duration_ms == b->duration_ms && a->until_wall_ms == b->until_wall_ms &&
           a->ttl_ms == b->ttl_ms && a->min_remaining_ms == b->min_remaining_ms &&
           a->issue.count == b->issue.count && a->issue.per_ms == b->issue.per_ms &&
           a->is_break_glass == b->is_break_glass && fingerprint_of(a) == fingerprint_of(b);
}

static bool gives(const struct access_decision *decision)
{
    return decision->outcome == ACCESS_ALLOW || decision->outcome == ACCESS_APPROVAL_REQUIRED;
}

bool access_decisions_are_equal(const struct access_decision *a, const struct access_decision *b)
{
    return a->outcome == b->outcome && str_same(a->rule, b->rule) &&
           strcmp(a->detail, b->detail) == 0 && limits_are_equal(a, b) &&
           access_bindings_are_equal(a->bindings, a->binding_count, b->bindings, b->binding_count);
}

bool access_decisions_give_the_same(const struct access_decision *a,
                                    const struct access_decision *b)
{
    return a->outcome == b->outcome && (!gives(a) || limits_are_equal(a, b));
}

/* --- in words --- */

/* `otherwise`: what stands for no limit. Returns `out`. */
static const char *duration_text(uint64_t ms, const char *otherwise,
                                 char out[UNITS_DURATION_MAX_BYTES])
{
    if (ms == 0) {
        (void)snprintf(out, UNITS_DURATION_MAX_BYTES, "%s", otherwise);
        return out;
    }
    return units_format_duration(ms, out);
}

static void duration_tell(struct buf *out, const char *what, uint64_t now_ms, uint64_t would_be_ms)
{
    char now[UNITS_DURATION_MAX_BYTES];
    char would_be[UNITS_DURATION_MAX_BYTES];

    if (now_ms != would_be_ms) {
        buf_printf(out, ", %s %s instead of %s", what,
                   duration_text(would_be_ms, "the role's", would_be),
                   duration_text(now_ms, "the role's", now));
    }
}

static void window_tell(struct buf *out, int64_t now_wall_ms, int64_t would_be_wall_ms)
{
    char until[UNITS_TIME_MAX_BYTES];

    if (now_wall_ms != would_be_wall_ms && would_be_wall_ms == 0) {
        buf_add_c(out, ", without a window instead of with one");
    } else if (now_wall_ms != would_be_wall_ms) {
        buf_printf(out, ", with a window to %s instead of %s",
                   units_format_time(would_be_wall_ms, until),
                   now_wall_ms == 0 ? "none" : "another");
    }
}

static void issue_tell(struct buf *out, const struct units_rate *now,
                       const struct units_rate *would_be)
{
    char per[UNITS_DURATION_MAX_BYTES];

    if (now->count == would_be->count && now->per_ms == would_be->per_ms) {
        return;
    }
    if (would_be->count == 0) {
        buf_add_c(out, ", any number of grants instead of");
    } else {
        buf_printf(out, ", %" PRIu64 " grants in %s instead of", would_be->count,
                   units_format_duration(would_be->per_ms, per));
    }
    if (now->count == 0) {
        buf_add_c(out, " any number");
    } else {
        buf_printf(out, " %" PRIu64 " in %s", now->count, units_format_duration(now->per_ms, per));
    }
}

static void approval_tell(struct buf *out, const struct access_decision *now,
                          const struct access_decision *would_be)
{
    uint32_t count_now = now->approval != NULL ? now->approval->count : 0;
    uint32_t count = would_be->approval != NULL ? would_be->approval->count : 0;

    if (count != count_now) {
        buf_printf(out, ", %" PRIu32 " approval%s instead of %" PRIu32, count,
                   count == 1 ? "" : "s", count_now);
    } else if (fingerprint_of(now) != fingerprint_of(would_be)) {
        buf_add_c(out, ", approved by others or in another time");
    }
    if (now->is_break_glass != would_be->is_break_glass) {
        buf_printf(out, ", %s",
                   would_be->is_break_glass ? "by breaking the glass"
                                            : "without breaking the glass");
    }
}

const char *access_decisions_difference(const struct access_decision *now,
                                        const struct access_decision *would_be,
                                        char out[ACCESS_DIFFERENCE_MAX_BYTES])
{
    struct str all;
    BUF_AUTO text;

    buf_init(&text, 2 * (size_t)ACCESS_DIFFERENCE_MAX_BYTES);
    out[0] = '\0';
    if (!gives(now) || !gives(would_be)) {
        return out;
    }
    duration_tell(&text, "duration", now->duration_ms, would_be->duration_ms);
    duration_tell(&text, "ttl", now->ttl_ms, would_be->ttl_ms);
    duration_tell(&text, "min_remaining", now->min_remaining_ms, would_be->min_remaining_ms);
    window_tell(&text, now->until_wall_ms, would_be->until_wall_ms);
    issue_tell(&text, &now->issue, &would_be->issue);
    approval_tell(&text, now, would_be);
    all = buf_str(&text);
    if (buf_status(&text) == 0 && all.len > 2) {
        (void)snprintf(out, ACCESS_DIFFERENCE_MAX_BYTES, "%.*s", (int)all.len - 2, all.ptr + 2);
    }
    return out;
}
