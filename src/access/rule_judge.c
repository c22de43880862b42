/* Judges one allow rule whole: bindings, duration, number of grants, window, reason, ticket,
 * approval.
 */
#include "access/rules.h"

#include "base/mutant.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool access_refuse(struct access_decision *decision, const struct access_rule *rule,
                   enum access_outcome outcome, const char *limit, const char *format, ...)
{
    va_list args;

    decision->outcome = outcome;
    decision->rule = rule->name;
    decision->rule_digest = rule->digest;
    decision->limit = limit;
    va_start(args, format);
    (void)vsnprintf(decision->detail, sizeof(decision->detail), format, args);
    va_end(args);
    return false;
}

static bool binding_is_allowed(const struct access_rule *rule, const struct access_request *request,
                               const struct access_binding_spec *asked)
{
    size_t i;

    if (access_binding_is_within(asked->kind, request->role_binding)) {
        return true;
    }
    for (i = 0; i < rule->binding_count; i++) {
        if (access_binding_is_listed(&rule->bindings[i], asked)) {
            return true;
        }
    }
    return false;
}

/* What is bound to several ends with the first of them, so one allowed binding limits the others.
 */
static bool bindings_fit(const struct access_rule *rule, const struct access_request *request,
                         struct access_decision *decision)
{
    char text[ACCESS_BINDING_TEXT_MAX_BYTES];
    bool is_allowed = false;
    size_t i;

    decision->binding_count = request->binding_count;
    memcpy(decision->bindings, request->bindings,
           request->binding_count * sizeof(request->bindings[0]));
    if (request->binding_count == 0) {
        decision->bindings[0] = (struct access_binding_spec){.kind = request->role_binding};
        decision->binding_count = 1;
    }
    for (i = 0; i < decision->binding_count; i++) {
        is_allowed = is_allowed || binding_is_allowed(rule, request, &decision->bindings[i]);
    }
    if (!is_allowed) {
        const struct access_binding_spec own = {.kind = request->role_binding};
        char own_text[ACCESS_BINDING_TEXT_MAX_BYTES];

        return access_refuse(
            decision, rule, ACCESS_LIMIT_EXCEEDED, "binding",
            "binding %s may let the grant live longer than %s, the binding of role %s, and "
            "rule %s doesn't list it",
            access_binding_format(&decision->bindings[0], text),
            access_binding_format(&own, own_text), request->role, rule->name);
    }
    return true;
}

static bool duration_fits(const struct access_rule *rule, const struct access_request *request,
                          struct access_decision *decision)
{
    uint64_t max_ms = rule->duration_ms > 0 ? rule->duration_ms : request->role_max_ttl_ms;
    char asked[UNITS_DURATION_MAX_BYTES];
    char max[UNITS_DURATION_MAX_BYTES];

    decision->duration_ms = request->duration_ms > 0 ? request->duration_ms : max_ms;
    if (decision->duration_ms <= max_ms || max_ms == 0) {
        return true;
    }
    (void)units_format_duration(request->duration_ms, asked);
    (void)units_format_duration(max_ms, max);
    if (rule->duration_ms > 0) {
        return access_refuse(decision, rule, ACCESS_LIMIT_EXCEEDED, "duration",
                             "duration %s is more than the %s that rule %s allows", asked, max,
                             rule->name);
    }
    return access_refuse(decision, rule, ACCESS_LIMIT_EXCEEDED, "duration",
                         "duration %s is more than %s, the max_ttl of role %s", asked, max,
                         request->role);
}

static bool live_fits(const struct access_rule *rule, const struct access_request *request,
                      struct access_decision *decision)
{
    if (rule->live == 0 || request->live_count < rule->live) {
        return true;
    }
    return access_refuse(decision, rule, ACCESS_LIMIT_EXCEEDED, "live",
                         "%" PRIu32 " grants for role %s are live; rule %s allows %" PRIu64,
                         request->live_count, request->role, rule->name, rule->live);
}

bool access_window_fits(const struct access_rule *rule, int64_t wall_ms,
                        struct access_decision *decision)
{
    char opens[UNITS_TIME_MAX_BYTES];
    int64_t changes_wall_ms = 0;

    if (rule->window == NULL || MUTATED(43)) {
        return true;
    }
    if (access_window_open(rule->window, wall_ms, &changes_wall_ms)) {
        decision->until_wall_ms = changes_wall_ms;
        return true;
    }
    decision->opens_wall_ms = changes_wall_ms;
    if (changes_wall_ms == 0) {
        return access_refuse(decision, rule, ACCESS_DENY, "window",
                             "the window of rule %s is closed and doesn't open again", rule->name);
    }
    return access_refuse(decision, rule, ACCESS_DENY, "window",
                         "the window of rule %s is closed; it opens at %s", rule->name,
                         units_format_time(changes_wall_ms, opens));
}

static bool reason_fits(const struct access_rule *rule, const struct access_request *request,
                        struct access_decision *decision)
{
    if (rule->reason == NULL) {
        return true;
    }
    if (request->reason == NULL || request->reason[0] == '\0') {
        return access_refuse(decision, rule, ACCESS_REASON_REQUIRED, NULL,
                             "rule %s requires a reason that matches %s", rule->name,
                             access_reason_pattern(rule->reason));
    }
    if (!access_reason_matches(rule->reason, str_of(request->reason))) {
        return access_refuse(decision, rule, ACCESS_REASON_REQUIRED, NULL,
                             "the reason doesn't match %s, which rule %s requires",
                             access_reason_pattern(rule->reason), rule->name);
    }
    return true;
}

static bool ticket_fits(const struct access_rule *rule, const struct access_request *request,
                        struct access_decision *decision)
{
    if (rule->ticket == NULL) {
        return true;
    }
    if (request->ticket == NULL || request->ticket[0] == '\0') {
        return access_refuse(decision, rule, ACCESS_REASON_REQUIRED, "ticket",
                             "rule %s requires a ticket that matches %s", rule->name,
                             access_reason_pattern(rule->ticket));
    }
    if (!access_reason_matches(rule->ticket, str_of(request->ticket))) {
        return access_refuse(decision, rule, ACCESS_REASON_REQUIRED, "ticket",
                             "the ticket doesn't match %s, which rule %s requires",
                             access_reason_pattern(rule->ticket), rule->name);
    }
    return true;
}

/* Breaking the glass is looked at afterwards. */
static bool approval_fits(const struct access_rule *rule, const struct access_request *request,
                          struct access_decision *decision)
{
    if (rule->approval.count == 0 || rule->is_break_glass || MUTATED(33)) {
        return true;
    }
    if (request->approved_rule != NULL && strcmp(request->approved_rule, rule->digest) == 0) {
        return true;
    }
    return access_refuse(decision, rule, ACCESS_APPROVAL_REQUIRED, NULL,
                         "rule %s requires that %s approved", rule->name,
                         rule->approval.count == 1 ? "somebody else has" : "others have");
}

/* What the rule gives to whoever it allows. */
static void give(const struct access_rule *rule, struct access_decision *decision)
{
    decision->ttl_ms = rule->ttl_ms;
    decision->min_remaining_ms = rule->min_remaining_ms;
    decision->issue = rule->issue;
    decision->is_break_glass = rule->is_break_glass;
    decision->approval = rule->approval.count > 0 ? &rule->approval : NULL;
}

/* What the caller can mend comes last: whoever is asked for a reason should get through with it.
 * Others are asked only for what lacks nothing else. */
bool access_rule_allows(const struct access_rule *rule, const struct access_request *request,
                        struct access_decision *decision)
{
    decision->until_wall_ms = 0;
    decision->opens_wall_ms = 0;
    give(rule, decision);
    if (!bindings_fit(rule, request, decision) || !duration_fits(rule, request, decision) ||
        !live_fits(rule, request, decision) ||
        !access_window_fits(rule, request->wall_ms, decision) ||
        !reason_fits(rule, request, decision) || !ticket_fits(rule, request, decision) ||
        !approval_fits(rule, request, decision)) {
        return false;
    }
    decision->outcome = ACCESS_ALLOW;
    decision->rule = rule->name;
    decision->rule_digest = rule->digest;
    decision->limit = NULL;
    decision->detail[0] = '\0';
    return true;
}
