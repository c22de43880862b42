/* The checks of a guarded world. Records are seen when they are durable, so that a time which
 * counts from one is seen too long, and one that counts to one too long as well: that is allowed
 * for, and nothing is said about times near a sleep of the machine, a step of its clock, or a
 * ledger that fails. */
#include "sim_guard.h"

#include "sim_rules.h"
#include "sim_trail.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APPROVALS_MAX 8

/* What the trail says of a request. */
struct sim_standing {
    enum {
        ASKED_PENDING,
        ASKED_APPROVED,
        ASKED_OVER,
    } state;
    uint32_t approvers[APPROVALS_MAX];
    size_t approval_count;
    uint64_t approved_ms;
};

struct sim_asked {
    struct map_entry entry;
    char id[40];
    char role[16];
    char reason[32];
    char rule[16];
    uint32_t uid;
    uint64_t asked_ms;
    struct sim_standing now;
    struct sim_standing before; /* the last change, which may turn out not to count */
    char grant[48];             /* that has used it; "": none */
    bool is_doubtful;           /* the ledger failed when the daemon died */
};

/* --- life ------------------------------------------------------------------------------------- */

void sim_guard_init(struct sim_guard *guard, struct sim_world *world, const struct sim_trail *trail)
{
    *guard =
        (struct sim_guard){.world = world, .trail = trail, .policy_index = world->policy_index};
    map_init(&guard->asked, 1);
    map_init(&guard->windows, 1);
}

void sim_guard_fini(struct sim_guard *guard)
{
    struct map_entry *entry;

    while ((entry = map_first(&guard->asked)) != NULL) {
        map_remove(&guard->asked, entry);
        mem_free(MAP_ENTRY(entry, struct sim_asked, entry));
    }
    map_fini(&guard->asked);
    sim_guard_windows_fini(guard);
}

static struct sim_asked *asked_find(const struct sim_guard *guard, const char *id)
{
    struct map_entry *entry = map_find(&guard->asked, str_of(id));

    return entry != NULL ? MAP_ENTRY(entry, struct sim_asked, entry) : NULL;
}

/* The trail says itself that it isn't whole. */
static bool is_blind(const struct sim_guard *guard)
{
    return guard->trail->lost_count > 0;
}

bool sim_guard_is_calm(const struct sim_guard *guard)
{
    const struct sim *sim = &guard->world->sim;

    return sim->woke_ms + SIM_GUARD_CALM_MS < sim->now_ms &&
           guard->failing_ms + SIM_GUARD_CALM_MS < sim->now_ms;
}

/* --- S16: requests ---------------------------------------------------------------------------- */

static void request_created(struct sim_guard *guard, const struct sim_trail_record *record)
{
    struct sim_asked *asked = asked_find(guard, record->request);

    if (asked != NULL && !asked->is_doubtful) {
        sim_fail(&guard->world->sim, "S16: %s is asked for twice", record->request);
    }
    if (asked == NULL) {
        asked = mem_calloc(1, sizeof(*asked));
        CHECK(asked != NULL);
        (void)snprintf(asked->id, sizeof(asked->id), "%s", record->request);
        CHECK(map_add(&guard->asked, &asked->entry, str_of(asked->id)) == 0);
    }
    (void)snprintf(asked->role, sizeof(asked->role), "%.15s", record->role);
    (void)snprintf(asked->reason, sizeof(asked->reason), "%.31s", record->reason);
    (void)snprintf(asked->rule, sizeof(asked->rule), "%.15s", record->rule);
    asked->uid = record->uid;
    asked->asked_ms = guard->world->sim.now_ms;
}

/* Who decides is somebody else, whom the rule names. */
static void check_voice(const struct sim_guard *guard, const struct sim_asked *asked, uint32_t uid)
{
    if (!sim_rules_may_approve(uid, asked->uid)) {
        sim_fail(&guard->world->sim, "S16: uid %u decides about %s, which uid %u asks for", uid,
                 asked->id, asked->uid);
    }
}

/* … and hasn't approved it yet, by whichever user. */
static void check_voted(const struct sim_guard *guard, const struct sim_asked *asked, uint32_t uid)
{
    for (size_t i = 0; i < asked->now.approval_count && !asked->is_doubtful; i++) {
        if (sim_rules_is_same_person(uid, asked->now.approvers[i])) {
            sim_fail(&guard->world->sim, "S16: uid %u approves %s, and that person has", uid,
                     asked->id);
        }
    }
}

static void request_approved(struct sim_guard *guard, struct sim_asked *asked,
                             const struct sim_trail_record *record)
{
    struct sim *sim = &guard->world->sim;

    if (asked->now.state != ASKED_PENDING && !asked->is_doubtful) {
        sim_fail(sim, "S16: %s is approved, and was decided", asked->id);
    }
    check_voice(guard, asked, record->uid);
    check_voted(guard, asked, record->uid);
    if (sim_guard_is_calm(guard) &&
        asked->asked_ms + SIM_RULES_DECIDE_WITHIN_MS + SIM_GUARD_LATE_MAX_MS < sim->now_ms) {
        sim_fail(sim, "S16: %s is approved %llu ms after it was asked for", asked->id,
                 (unsigned long long)(sim->now_ms - asked->asked_ms));
    }
    if (asked->now.approval_count < APPROVALS_MAX) {
        asked->now.approvers[asked->now.approval_count++] = record->uid;
    }
    if (strcmp(record->outcome, "ok") == 0) {
        asked->now.state = ASKED_APPROVED;
        asked->now.approved_ms = sim->now_ms;
    }
}

static void request_changed(struct sim_guard *guard, const struct sim_trail_record *record)
{
    struct sim_asked *asked = asked_find(guard, record->request);
    const char *event = record->event;

    if (asked == NULL && strcmp(record->outcome, "failed") == 0) {
        return; /* nor was that it is asked for put on record */
    }
    if (asked == NULL) {
        sim_fail(&guard->world->sim, "S16: %s of %s, which nobody asked for", event,
                 record->request);
    }
    if (strcmp(event, "request.unchanged") == 0) {
        asked->now = asked->before;
        return;
    }
    asked->before = asked->now;
    if (strcmp(event, "request.approved") == 0) {
        request_approved(guard, asked, record);
        return;
    }
    if (strcmp(event, "request.denied") == 0) {
        check_voice(guard, asked, record->uid);
    } else if (strcmp(event, "request.withdrawn") == 0 && record->uid != asked->uid) {
        sim_fail(&guard->world->sim, "S16: uid %u withdraws %s of uid %u", record->uid, asked->id,
                 asked->uid);
    }
    asked->now.state = ASKED_OVER;
}

/* --- S16: grants by them ---------------------------------------------------------------------- */

/* What a grant that came to nothing has given back may be used once more. */
static void check_used_once(const struct sim_guard *guard, const struct sim_asked *asked,
                            const char *grant)
{
    const struct sim_trail_item *earlier =
        asked->grant[0] != '\0' ? sim_trail_find(guard->trail, asked->grant) : NULL;

    if (earlier != NULL && (earlier->end_count == 0 || earlier->is_delivered)) {
        sim_fail(&guard->world->sim, "S16: %s is used by %s, and was used by %s", asked->id, grant,
                 asked->grant);
    }
}

static void check_use(const struct sim_guard *guard, const struct sim_asked *asked,
                      const struct sim_trail_record *record)
{
    struct sim *sim = &guard->world->sim;

    if (strcmp(record->role, asked->role) != 0 || record->uid != asked->uid ||
        strcmp(record->reason, asked->reason) != 0) {
        sim_fail(sim, "S16: %s is for %s of uid %u (%s), %s for %s of uid %u (%s)", record->grant,
                 record->role, record->uid, record->reason, asked->id, asked->role, asked->uid,
                 asked->reason);
    }
    if (asked->now.state != ASKED_APPROVED ||
        asked->now.approval_count < sim_rules_needed(asked->rule)) {
        sim_fail(sim, "S16: %s is given by %s, which %zu have approved%s", record->grant, asked->id,
                 asked->now.approval_count, asked->now.state == ASKED_OVER ? ", and is over" : "");
    }
    if (sim_guard_is_calm(guard) &&
        asked->now.approved_ms + SIM_RULES_USE_WITHIN_MS + SIM_GUARD_LATE_MAX_MS < sim->now_ms) {
        sim_fail(sim, "S16: %s is given by %s, %llu ms after it was approved", record->grant,
                 asked->id, (unsigned long long)(sim->now_ms - asked->now.approved_ms));
    }
    check_used_once(guard, asked, record->grant);
}

static void guarded_created(struct sim_guard *guard, const struct sim_trail_record *record)
{
    struct sim_asked *asked = asked_find(guard, record->approval);

    if (asked == NULL) {
        sim_fail(&guard->world->sim, "S16: %s is given to uid %u without an approval (%s)",
                 record->role, record->uid, record->grant);
    }
    if (!asked->is_doubtful) {
        check_use(guard, asked, record);
    }
    (void)snprintf(asked->grant, sizeof(asked->grant), "%s", record->grant);
}

/* --- the trail, and answers ------------------------------------------------------------------- */

void sim_guard_record(struct sim_guard *guard, const struct sim_trail_record *record)
{
    if (is_blind(guard)) {
        return;
    }
    if (strcmp(record->event, "request.created") == 0) {
        request_created(guard, record);
    } else if (strncmp(record->event, "request.", 8) == 0 &&
               strcmp(record->event, "request.refused") != 0) {
        request_changed(guard, record);
    } else if (strcmp(record->event, "grant.created") == 0 && sim_rules_is_guarded(record->role)) {
        guarded_created(guard, record);
    } else if (strcmp(record->event, "grant.created") == 0 && sim_rules_has_window(record->role)) {
        sim_guard_window_created(guard, record);
    }
}

/* What stands behind this word of a request, up to what ends it; empty: nothing. */
static struct str said(struct str text, const char *word, char end)
{
    const char *at = text.len > 0 ? memmem(text.ptr, text.len, word, strlen(word)) : NULL;
    struct str rest = {.ptr = at, .len = 0};

    if (at == NULL) {
        return STR("");
    }
    rest.ptr += strlen(word);
    rest.len = (size_t)(text.ptr + text.len - rest.ptr);
    return str_cut(&rest, end);
}

static struct str reason_of(const struct sim_request *request)
{
    struct str reason = said(request->request.body, "\"reason\":\"", '"');

    return reason.len > 0 ? reason : said(request->request.query, "reason=", '&');
}

/* Whatever was approved for another reason isn't what this client has asked for. Who reads what it
 * holds gets that, whatever it says. */
static void check_reason(const struct sim_guard *guard, const char *grant, struct str reason)
{
    struct map_entry *entry;

    for (entry = map_first(&guard->asked); entry != NULL; entry = map_next(&guard->asked, entry)) {
        const struct sim_asked *asked = MAP_ENTRY(entry, struct sim_asked, entry);

        if (strcmp(asked->grant, grant) == 0 && !str_eq_c(reason, asked->reason)) {
            sim_fail(&guard->world->sim, "S16: %s is handed out for %.*s, %s is for %s", grant,
                     STR_ARG(reason), asked->id, asked->reason);
        }
    }
}

void sim_guard_read(struct sim_guard *guard, const struct sim_request *request,
                    const json_t *answer)
{
    const char *role = json_string_value(json_object_get(answer, "role"));
    const char *grant = json_string_value(json_object_get(answer, "grant"));
    struct str reason = reason_of(request);

    if (is_blind(guard)) {
        return;
    }
    if (sim_rules_has_window(role)) {
        sim_guard_window_read(guard, grant);
    }
    if (reason.len > 0 && request->status == 201) {
        check_reason(guard, grant, reason);
    }
}

void sim_guard_applying(struct sim_guard *guard)
{
    guard->is_sure = false;
}

void sim_guard_applied(struct sim_guard *guard, size_t index)
{
    if (guard->world->policy_index != index) {
        sim_fail(&guard->world->sim, "I10: policy %zu is applied, and %zu rules", index,
                 guard->world->policy_index);
    }
    guard->is_sure = true;
    guard->sure_index = index;
}

/* --- restarts --------------------------------------------------------------------------------- */

void sim_guard_crashed(struct sim_guard *guard, bool was_failing)
{
    struct map_entry *entry;

    if (!was_failing) {
        return;
    }
    guard->is_sure = false;
    guard->failing_ms = guard->world->sim.now_ms;
    for (entry = map_first(&guard->asked); entry != NULL; entry = map_next(&guard->asked, entry)) {
        MAP_ENTRY(entry, struct sim_asked, entry)->is_doubtful = true;
    }
}

/* What the trail calls open is there, or its time is over. */
static void check_survived(const struct sim_guard *guard, const struct sim_asked *asked)
{
    struct sim *sim = &guard->world->sim;
    const struct request *request = requests_get(guard->world->requests, str_of(asked->id));
    struct request_view view;

    if (is_blind(guard) || asked->is_doubtful || asked->now.state == ASKED_OVER) {
        return;
    }
    if (request == NULL) {
        sim_fail(sim, "S16: %s is gone after a restart", asked->id);
    }
    request_view(request, &view);
    if (view.identity->uid != asked->uid) {
        sim_fail(sim, "S16: %s is of another user after a restart", asked->id);
    }
    if (view.state == REQUEST_PENDING
            ? asked->now.state != ASKED_PENDING
            : view.state == REQUEST_APPROVED && asked->now.state != ASKED_APPROVED) {
        sim_fail(sim, "S16: %s is %s after a restart", asked->id, request_state_str(view.state));
    }
    if (view.approval_count != asked->now.approval_count) {
        sim_fail(sim, "S16: %s has %zu approvals after a restart, and had %zu", asked->id,
                 view.approval_count, asked->now.approval_count);
    }
}

void sim_guard_started(struct sim_guard *guard)
{
    struct map_entry *entry;

    for (entry = map_first(&guard->asked); entry != NULL; entry = map_next(&guard->asked, entry)) {
        check_survived(guard, MAP_ENTRY(entry, struct sim_asked, entry));
    }
    if (guard->is_sure && guard->world->policy_index != guard->sure_index) {
        sim_fail(&guard->world->sim, "I10: policy %zu was applied, and %zu rules after a restart",
                 guard->sure_index, guard->world->policy_index);
    }
    guard->is_sure = false; /* what was begun before may have come since */
}

/* --- what lives ------------------------------------------------------------------------------- */

static void follow_policy(struct sim_guard *guard)
{
    if (guard->policy_index != guard->world->policy_index) {
        guard->policy_index = guard->world->policy_index;
        guard->changed_ms = guard->world->sim.now_ms;
        sim_guard_windows_follow(guard);
    }
}

static void check_requests(const struct sim_guard *guard)
{
    const struct sim *sim = &guard->world->sim;
    const struct request *request = NULL;
    struct request_view view;

    while ((request = requests_next(guard->world->requests, request)) != NULL) {
        const struct sim_asked *asked;

        request_view(request, &view);
        if ((view.state == REQUEST_PENDING || view.state == REQUEST_APPROVED) &&
            sim_guard_is_calm(guard) && guard->changed_ms + SIM_GUARD_LATE_MAX_MS < sim->now_ms &&
            !sim_rules_is_of(view.rule, guard->policy_index)) {
            sim_fail(&guard->world->sim, "S16: %s is %s by %s, and policy %zu rules", view.id,
                     request_state_str(view.state), view.rule, guard->policy_index);
        }
        asked = asked_find(guard, view.id);
        if (view.state == REQUEST_PENDING && asked != NULL && sim_guard_is_calm(guard) &&
            asked->asked_ms + SIM_RULES_DECIDE_WITHIN_MS + SIM_GUARD_LATE_MAX_MS < sim->now_ms) {
            sim_fail(&guard->world->sim, "S16: %s still waits to be decided", view.id);
        }
    }
}

void sim_guard_check(struct sim_guard *guard)
{
    struct sim_world *world = guard->world;
    struct grant *grant = NULL;
    struct grant_view view;
    bool is_awake = world->sim.woke_ms + SIM_GUARD_CALM_MS < world->sim.now_ms &&
                    world->started_ms + SIM_GUARD_LATE_MAX_MS < world->sim.now_ms;

    if (sim_ledger_is_failing(world)) {
        guard->failing_ms = world->sim.now_ms;
    }
    follow_policy(guard);
    if (is_awake) {
        check_requests(guard);
    }
    while ((grant = lease_core_next_grant(world->core, grant)) != NULL) {
        grant_view(grant, &view);
        if (view.state == GRANT_STATE_ENDED) {
            continue;
        }
        if (!sim_rules_is_of(view.rule, world->policy_index)) {
            sim_fail(&world->sim, "I10: %s goes on by %s, and policy %zu rules", view.id, view.rule,
                     world->policy_index);
        }
        if (is_awake) {
            sim_guard_window_check(guard, &view);
        }
    }
}
