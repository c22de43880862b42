/* Decides.
 *
 * Way of a request: the rules for its role (found by a map) → any that denies and matches: deny →
 * the allow rules in file order, each judged whole: subject, bindings, duration, number of grants,
 * reason → the first that fits gives the limits. If none fits, the first that matched the caller
 * says why not; if none matched, it is denied without a rule. Nothing here allocates. */
#include "access/policy.h"

#include "access/rules.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "base/units.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Of the caller's name in a refusal, so that the rest of it has room. */
#define NAME_TOLD_MAX_BYTES 120

/* --- one allow rule --- */

ATTR_PRINTF(5, 6)
static bool refuse(struct access_decision *decision, const struct access_rule *rule,
                   enum access_outcome outcome, const char *limit, const char *format, ...)
{
    va_list args;

    decision->outcome = outcome;
    decision->rule = rule->name;
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

        return refuse(
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
        return refuse(decision, rule, ACCESS_LIMIT_EXCEEDED, "duration",
                      "duration %s is more than the %s that rule %s allows", asked, max,
                      rule->name);
    }
    return refuse(decision, rule, ACCESS_LIMIT_EXCEEDED, "duration",
                  "duration %s is more than %s, the max_ttl of role %s", asked, max, request->role);
}

static bool live_fits(const struct access_rule *rule, const struct access_request *request,
                      struct access_decision *decision)
{
    if (rule->live == 0 || request->live_count < rule->live) {
        return true;
    }
    return refuse(decision, rule, ACCESS_LIMIT_EXCEEDED, "live",
                  "%" PRIu32 " grants for role %s are live; rule %s allows %" PRIu64,
                  request->live_count, request->role, rule->name, rule->live);
}

static bool reason_fits(const struct access_rule *rule, const struct access_request *request,
                        struct access_decision *decision)
{
    if (rule->reason == NULL) {
        return true;
    }
    if (request->reason == NULL || request->reason[0] == '\0') {
        return refuse(decision, rule, ACCESS_REASON_REQUIRED, NULL,
                      "rule %s requires a reason that matches %s", rule->name,
                      access_reason_pattern(rule->reason));
    }
    if (!access_reason_matches(rule->reason, str_of(request->reason))) {
        return refuse(decision, rule, ACCESS_REASON_REQUIRED, NULL,
                      "the reason doesn't match %s, which rule %s requires",
                      access_reason_pattern(rule->reason), rule->name);
    }
    return true;
}

/* The reason comes last: whoever is asked for one should get through with it. */
bool access_rule_allows(const struct access_rule *rule, const struct access_request *request,
                        struct access_decision *decision)
{
    if (!bindings_fit(rule, request, decision) || !duration_fits(rule, request, decision) ||
        !live_fits(rule, request, decision) || !reason_fits(rule, request, decision)) {
        return false;
    }
    decision->outcome = ACCESS_ALLOW;
    decision->rule = rule->name;
    decision->limit = NULL;
    decision->detail[0] = '\0';
    decision->ttl_ms = rule->ttl_ms;
    return true;
}

/* --- all rules --- */

/* Judges a rule without losing what the first refusal said. */
static bool later_rule_allows(const struct access_rule *rule, const struct access_request *request,
                              struct access_decision *decision)
{
    struct access_decision trial;

    if (!access_rule_allows(rule, request, &trial)) {
        return false;
    }
    *decision = trial;
    return true;
}

static void decide(const struct access_role_rules *role, struct access_facts *facts,
                   const struct access_request *request, struct access_decision *decision)
{
    bool has_refusal = false;
    size_t i;

    for (i = 0; i < role->deny_count; i++) {
        const struct access_rule *rule = role->rules[i];

        if (!MUTATED(18) && access_subjects_match(&rule->subjects, facts, true)) {
            (void)refuse(decision, rule, ACCESS_DENY, NULL, "rule %s denies role %s", rule->name,
                         request->role);
            return;
        }
    }
    for (; i < role->count && decision->outcome != ACCESS_ALLOW; i++) {
        const struct access_rule *rule = role->rules[i];

        if (!access_subjects_match(&rule->subjects, facts, false)) {
            continue;
        }
        if (has_refusal) {
            (void)later_rule_allows(rule, request, decision);
        } else {
            has_refusal = !access_rule_allows(rule, request, decision);
        }
    }
}

static void explain_default_deny(const struct access_identity *identity,
                                 const struct access_request *request,
                                 struct access_decision *ret_decision)
{
    char uid[ACCESS_UID_TEXT_MAX_BYTES];

    (void)snprintf(ret_decision->detail, sizeof(ret_decision->detail),
                   "no rule allows %s%.*s role %s%s", identity->user[0] != '\0' ? "user " : "",
                   NAME_TOLD_MAX_BYTES, access_identity_name(identity, uid), request->role,
                   !identity->is_foreign ? ""
                   : identity->kind == ENV_PEER_FOREIGN
                       ? "; it runs in another pid namespace: a rule must name its listener"
                       : "; it runs in a container, which a rule must name");
}

void access_policy_decide(const struct access_policy *policy,
                          const struct access_identity *identity,
                          const struct access_request *request,
                          struct access_decision *ret_decision)
{
    struct map_entry *entry = map_find(&policy->role_map, str_of(request->role));
    struct access_facts facts;

    CHECK(request->binding_count <= ACCESS_BINDINGS_MAX);
    ret_decision->outcome = ACCESS_DENY;
    ret_decision->rule = NULL;
    ret_decision->limit = NULL;
    ret_decision->detail[0] = '\0';
    ret_decision->duration_ms = 0;
    ret_decision->ttl_ms = 0;
    ret_decision->binding_count = 0;
    if (entry != NULL) {
        access_facts_init(&facts, identity, policy->group_names);
        decide(MAP_ENTRY(entry, struct access_role_rules, entry), &facts, request, ret_decision);
    }
    if (ret_decision->outcome != ACCESS_ALLOW) {
        ret_decision->binding_count = 0;
        ret_decision->duration_ms = 0;
    }
    if (ret_decision->outcome == ACCESS_DENY && ret_decision->rule == NULL) {
        explain_default_deny(identity, request, ret_decision);
    }
}

uint32_t access_policy_admin(const struct access_policy *policy,
                             const struct access_identity *identity)
{
    struct access_facts facts;
    uint32_t may = 0;
    size_t i;

    /* What any program of a user can reach by a URL is no place for an operator's rights. */
    if (identity->kind == ENV_PEER_LOOPBACK) {
        return 0;
    }
    access_facts_init(&facts, identity, policy->group_names);
    for (i = 0; i < policy->admin_count; i++) {
        if (access_subjects_match(&policy->admins[i].subjects, &facts, false)) {
            may |= policy->admins[i].may;
        }
    }
    return may;
}

/* --- the object --- */

const char *access_policy_digest(const struct access_policy *policy)
{
    return policy->digest;
}

size_t access_policy_rule_count(const struct access_policy *policy)
{
    return policy->rule_count;
}

static void rule_fini(struct access_rule *rule)
{
    size_t i;

    mem_free(rule->name);
    access_subjects_fini(&rule->subjects);
    for (i = 0; i < rule->role_pattern_count; i++) {
        mem_free(rule->role_patterns[i]);
    }
    mem_free(rule->role_patterns);
    access_reason_free(rule->reason);
    access_paths_fini(rule->paths, rule->path_count);
}

void access_policy_free(struct access_policy *policy)
{
    size_t i;

    if (policy == NULL) {
        return;
    }
    for (i = 0; i < policy->rule_count; i++) {
        rule_fini(&policy->rules[i]);
    }
    for (i = 0; i < policy->admin_count; i++) {
        access_subjects_fini(&policy->admins[i].subjects);
    }
    map_fini(&policy->role_map);
    for (i = 0; i < policy->role_count; i++) {
        mem_free(policy->roles[i].name);
        mem_free((void *)policy->roles[i].rules);
    }
    mem_free(policy->roles);
    mem_free(policy->admins);
    mem_free(policy->rules);
    mem_free(policy->group_names);
    mem_free(policy);
}
