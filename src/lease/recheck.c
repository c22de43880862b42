/* New policies and the grants that live under them.
 *
 * Each grant is judged once more, as if its caller asked for it now: same identity, role, bindings
 * and reason. Allowed: it goes on under the rule that allows it, for the rest of the time that this
 * rule gives. Not allowed, or its uid has another name now: it ends, with a record that names the
 * new policy and the rule that denied. A name that can't be looked up proves nothing, so such a
 * grant goes on; nobody gets a new one meanwhile, because access_identity_init refuses.
 *
 * With a time to drain it doesn't end at once but gets that time as its duration, under the rule
 * that denies it. By that it is known again when the same policy judges it once more, after a
 * reload or a restart: then it keeps its time. */
#include "lease/recheck.h"

#include "base/log.h"
#include "base/mutant.h"
#include "lease/core_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WINDOW_JITTER_MS 1000U

struct recheck {
    struct lease_core *core;
    struct lease_recheck *asked;
    uint32_t run; /* tells this recheck's counts from those of the one before */
};

/* What becomes of a grant. */
enum fate {
    FATE_GOES_ON,
    FATE_REDUCED,
    FATE_DRAINS, /* it was left its time by this policy already */
    FATE_ENDS,
};

/* "process,pid:1234" */
static size_t bindings_read(const char *text,
                            struct access_binding_spec ret_specs[ACCESS_BINDINGS_MAX])
{
    size_t count = 0;

    while (count < ACCESS_BINDINGS_MAX && *text != '\0') {
        size_t len = strcspn(text, ",");

        if (access_binding_parse((struct str){.ptr = text, .len = len}, &ret_specs[count]) == 0) {
            count++;
        }
        text += text[len] == ',' ? len + 1 : len;
    }
    return count;
}

static bool has_other_name(const struct recheck *recheck, const struct holder *holder)
{
    char name[ENV_NAME_MAX_BYTES] = "";
    int r = env_user_name(recheck->core->env, holder->uid, name);

    if (r != 0 && r != ERR_NOT_FOUND) {
        return false;
    }
    return strcmp(r == 0 ? name : "", holder->user) != 0;
}

/* What is asked once for each holder. */
static void holder_begin(const struct recheck *recheck, struct holder *holder)
{
    if (holder->recheck_run != recheck->run) {
        holder->recheck_run = recheck->run;
        holder->kept_count = 0;
        holder->is_renamed = has_other_name(recheck, holder);
    }
}

static void judge(const struct recheck *recheck, const struct grant *grant,
                  struct access_decision *ret_decision)
{
    const struct lease_role *role = &grant->holder->role->config;
    const char *reason = grant_reason(grant);
    const char *ticket = grant_ticket(grant);
    struct access_identity identity;
    struct access_request request = {
        .role = role->name,
        .role_binding = role->binding,
        .role_max_ttl_ms = role->max_ttl_ms,
        .reason = reason[0] != '\0' ? reason : NULL,
        .ticket = ticket[0] != '\0' ? ticket : NULL,
        .live_count = grant->holder->kept_count,
        .approved_rule = grant_approved_rule(grant),
        .is_break_glass = grant_is_break_glass(grant),
        .wall_ms = env_wall_ms(recheck->core->env),
    };

    request.binding_count = bindings_read(grant_bindings_text(grant), request.bindings);
    grant_identity(grant, &identity);
    recheck->asked->judge(recheck->asked->user, &identity, &request, ret_decision);
}

/* Was it left its time when this policy came? Then that policy's word is what it is held by; one
 * that is allowed is held by a rule that allows. */
static bool is_draining(const struct recheck *recheck, const struct grant *grant,
                        const struct access_decision *decision)
{
    return decision->outcome == ACCESS_DENY && decision->limit == NULL &&
           grant_until_ms(grant) != 0 &&
           strcmp(grant_policy(grant), recheck->asked->policy_digest) == 0 &&
           strcmp(grant_rule(grant), decision->rule != NULL ? decision->rule : "") == 0;
}

/* When it began, in the env clock; below 0: before the machine has started. */
static int64_t begun_ms(const struct lease_core *core, const struct grant *grant)
{
    int64_t lived_ms = env_wall_ms(core->env) - grant->created_wall_ms;

    if (grant_until_ms(grant) != 0) {
        return (int64_t)(grant_until_ms(grant) - grant->duration_ms);
    }
    return (int64_t)core_now_ms(core) - (lived_ms > 0 ? lived_ms : 0);
}

/* How long after its beginning that is. */
static uint64_t since_begun_ms(const struct lease_core *core, const struct grant *grant,
                               uint64_t when_ms)
{
    int64_t since_ms = (int64_t)when_ms - begun_ms(core, grant);

    return since_ms > 0 ? (uint64_t)since_ms : 0;
}

/* When it ends if it lives for so long; the first moment of our clock, if that is over. */
static uint64_t end_ms(const struct lease_core *core, const struct grant *grant,
                       uint64_t duration_ms)
{
    int64_t begun = begun_ms(core, grant);
    uint64_t before_ms = begun < 0 ? (uint64_t)-begun : 0;

    if (before_ms == 0) {
        return schedule_add_ms((uint64_t)begun, duration_ms);
    }
    return duration_ms > before_ms ? duration_ms - before_ms : 1;
}

/* Of two limits, of which 0 is none. */
static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Of the windows that it had and that the decision gives, the one that closes first. */
static int64_t window_of(const struct grant *grant, const struct access_decision *decision)
{
    return (int64_t)lesser((uint64_t)grant->window_wall_ms, (uint64_t)decision->until_wall_ms);
}

/* The duration that the decision leaves the grant, with its window; 0: it changes nothing. */
static uint64_t reduced_ms(struct lease_core *core, const struct grant *grant,
                           const struct access_decision *decision)
{
    uint64_t duration_ms = lesser(window_allowed_ms(grant), decision->duration_ms);
    int64_t window_wall_ms = window_of(grant, decision);
    uint64_t window_ms;

    if (window_wall_ms != 0 && grant->is_created) {
        window_ms = since_begun_ms(core, grant, core_when_of(core, window_wall_ms));
        duration_ms = lesser(duration_ms, window_ms > 0 ? window_ms : 1);
        /* The window that it has is counted anew when the clock is set, not here. */
        if (grant->duration_ms > 0 && duration_ms + WINDOW_JITTER_MS >= grant->duration_ms) {
            return 0;
        }
    }
    return duration_ms != grant->duration_ms ? duration_ms : 0;
}

/* What it has by the decision from now on, should the clock be set. */
static void grant_keep_to(struct lease_core *core, struct grant *grant,
                          const struct access_decision *decision)
{
    uint64_t own_until_ms = UINT64_MAX;

    if (!grant->is_created) {
        window_set(grant, decision->until_wall_ms);
        return;
    }
    window_set(grant, window_of(grant, decision));
    if (decision->duration_ms > 0) {
        own_until_ms = end_ms(core, grant, decision->duration_ms);
    }
    if (own_until_ms < grant->own_until_ms) {
        grant->own_until_ms = own_until_ms;
    }
}

/* The decision is only made when the holder has the name that it had; the duration is what a grant
 * is reduced to. */
static enum fate fate_of(const struct recheck *recheck, const struct grant *grant,
                         struct access_decision *ret_decision, uint64_t *ret_duration_ms)
{
    struct holder *holder = grant->holder;

    holder_begin(recheck, holder);
    if (holder->is_renamed) {
        return FATE_ENDS;
    }
    judge(recheck, grant, ret_decision);
    if (ret_decision->outcome != ACCESS_ALLOW) {
        return is_draining(recheck, grant, ret_decision) ? FATE_DRAINS : FATE_ENDS;
    }
    holder->kept_count++;
    *ret_duration_ms = reduced_ms(recheck->core, grant, ret_decision);
    return *ret_duration_ms > 0 ? FATE_REDUCED : FATE_GOES_ON;
}

/* It has lived for a part of its new duration already. */
static void grant_reduce(struct lease_core *core, struct grant *grant, uint64_t duration_ms)
{
    uint64_t until_ms = end_ms(core, grant, duration_ms);

    grant->duration_ms = duration_ms;
    if (grant->is_created) {
        grant_set_until(grant, until_ms);
        record_grant_reduced(grant);
    }
}

/* It gets the time that the policy's change gives it, if it hadn't less anyway. */
static void grant_drain(struct recheck *recheck, struct grant *grant)
{
    struct lease_core *core = recheck->core;
    uint64_t until_ms = schedule_add_ms(core_now_ms(core), recheck->asked->drain_ms);
    uint64_t duration_ms = since_begun_ms(core, grant, until_ms);

    recheck->asked->draining_count++;
    if (until_ms < grant->own_until_ms) {
        grant->own_until_ms = until_ms;
    }
    if (grant->duration_ms == 0 || duration_ms < grant->duration_ms) {
        grant_reduce(core, grant, duration_ms);
    }
}

/* Who waits for a credential hasn't got one yet, and gets none. */
static void grant_take_away(struct recheck *recheck, struct grant *grant,
                            const struct access_decision *decision)
{
    grant_set_rule(grant, decision, recheck->asked->policy_digest);
    if (recheck->asked->drain_ms > 0 && grant->is_created) {
        grant_drain(recheck, grant);
        return;
    }
    lease_end_grant(recheck->core, grant, GRANT_END_POLICY, NULL);
    recheck->asked->ended_count++;
}

static void grant_recheck(struct recheck *recheck, struct grant *grant)
{
    struct access_decision decision = {.rule = NULL};
    uint64_t duration_ms = 0;
    enum fate fate = fate_of(recheck, grant, &decision, &duration_ms);

    switch (fate) {
    case FATE_ENDS:
        grant_take_away(recheck, grant, &decision);
        break;
    case FATE_DRAINS:
        recheck->asked->draining_count++;
        break;
    case FATE_REDUCED:
        grant_set_rule(grant, &decision, recheck->asked->policy_digest);
        grant_keep_to(recheck->core, grant, &decision);
        grant_reduce(recheck->core, grant, duration_ms);
        recheck->asked->reduced_count++;
        break;
    case FATE_GOES_ON:
        grant_set_rule(grant, &decision, recheck->asked->policy_digest);
        grant_keep_to(recheck->core, grant, &decision);
        break;
    }
}

/* NULL: there is no other that policies decide about. */
static struct grant *next_grant(struct lease_core *core, struct grant *grant)
{
    do {
        grant = lease_core_next_grant(core, grant);
    } while (grant != NULL && (grant->state == GRANT_STATE_ENDED || lend_is_own(grant->holder)));
    return grant;
}

uint32_t lease_core_recheck(struct lease_core *core, struct lease_recheck *asked)
{
    struct recheck recheck = {.core = core, .asked = asked, .run = ++core->recheck_run};
    struct grant *grant = NULL;
    char count[24];

    asked->ended_count = 0;
    asked->draining_count = 0;
    asked->reduced_count = 0;
    while (!MUTATED(44) && (grant = next_grant(core, grant)) != NULL) {
        grant_recheck(&recheck, grant);
    }
    if (asked->ended_count > 0) {
        (void)snprintf(count, sizeof(count), "%" PRIu32, asked->ended_count);
        log_event(LOG_LEVEL_WARN, "policy.grants.ended", "count", count, NULL);
    }
    return asked->ended_count;
}

void lease_core_preview(struct lease_core *core, const struct lease_recheck *asked,
                        void (*fn)(void *user, const struct lease_preview *preview), void *user)
{
    struct lease_recheck copy = *asked;
    const struct recheck recheck = {.core = core, .asked = &copy, .run = ++core->recheck_run};
    struct grant *grant = NULL;

    while ((grant = next_grant(core, grant)) != NULL) {
        struct access_decision decision;
        struct lease_preview preview = {.grant = grant};
        uint64_t duration_ms = 0;
        enum fate fate = fate_of(&recheck, grant, &decision, &duration_ms);

        preview.ends = fate == FATE_ENDS;
        preview.decision = grant->holder->is_renamed ? NULL : &decision;
        if (fate == FATE_REDUCED) {
            uint64_t until_ms = end_ms(core, grant, duration_ms);

            preview.until_wall_ms =
                env_wall_ms(core->env) + ((int64_t)until_ms - (int64_t)core_now_ms(core));
        }
        if (preview.ends || fate == FATE_REDUCED) {
            fn(user, &preview);
        }
    }
}
