/* Decides.
 *
 * Way of a request: the rules that may be about it and its caller (policy_index.c), in their order
 * → any that denies and matches: deny → the allow rules in their order, each judged whole
 * (rule_judge.c) → the first that fits gives the limits. If none fits, the first that lacks nothing
 * but an approval says so, else the first that matched the caller says why not, of those for broken
 * glass where the caller breaks it; if none matched, it is denied without a rule. Nothing here
 * allocates. */
#include "access/policy.h"

#include "access/rules.h"
#include "base/mutant.h"

#include <stdio.h>
#include <string.h>

/* Of the caller's name in a refusal, so that the rest of it has room. */
#define NAME_TOLD_MAX_BYTES 120

/* Does the caller learn more by `trial` than by an earlier refusal? It does where nothing but an
 * approval is missing, and where the caller breaks the glass and this is the first rule for that.
 */
static bool is_told_instead(const struct access_decision *trial,
                            const struct access_decision *earlier)
{
    return earlier->outcome != ACCESS_APPROVAL_REQUIRED &&
           (trial->outcome == ACCESS_APPROVAL_REQUIRED ||
            (trial->is_break_glass && !earlier->is_break_glass));
}

/* Judges a rule without losing what an earlier refusal said, unless this one says more. */
static void later_rule_judge(const struct access_rule *rule, const struct access_request *request,
                             struct access_decision *decision)
{
    struct access_decision trial;

    if (access_rule_allows(rule, request, &trial) || is_told_instead(&trial, decision)) {
        *decision = trial;
    }
}

static bool is_asked_for(const struct access_rule *rule, const struct access_request *request)
{
    return !rule->is_break_glass || request->is_break_glass;
}

/* Those that deny come first. */
static void decide(struct access_candidates *candidates, struct access_facts *facts,
                   const struct access_request *request, struct access_decision *decision)
{
    const struct access_rule *rule;
    const char *glass_rule = NULL;
    bool has_refusal = false;

    while (decision->outcome != ACCESS_ALLOW &&
           (rule = access_candidates_next(candidates)) != NULL) {
        if (!access_subjects_match(&rule->subjects, facts, rule->is_deny)) {
            continue;
        }
        if (!is_asked_for(rule, request)) {
            glass_rule = glass_rule != NULL ? glass_rule : rule->name;
            continue;
        }
        if (rule->is_deny && !MUTATED(18)) {
            (void)access_refuse(decision, rule, ACCESS_DENY, NULL, "rule %s denies role %s",
                                rule->name, request->role);
            return;
        }
        if (rule->is_deny) {
            continue;
        }
        if (has_refusal) {
            later_rule_judge(rule, request, decision);
        } else {
            has_refusal = !access_rule_allows(rule, request, decision);
        }
    }
    decision->glass_rule = decision->outcome == ACCESS_DENY ? glass_rule : NULL;
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

static void gives_nothing(struct access_decision *decision)
{
    decision->approval = NULL;
    decision->is_break_glass = false;
    decision->duration_ms = 0;
    decision->until_wall_ms = 0;
    decision->ttl_ms = 0;
    decision->min_remaining_ms = 0;
    decision->issue = (struct units_rate){0};
    decision->binding_count = 0;
}

void access_decision_clear(struct access_decision *decision)
{
    decision->outcome = ACCESS_DENY;
    decision->rule = NULL;
    decision->rule_digest = NULL;
    decision->limit = NULL;
    decision->detail[0] = '\0';
    decision->opens_wall_ms = 0;
    decision->glass_rule = NULL;
    gives_nothing(decision);
}

void access_policy_decide(const struct access_policy *policy,
                          const struct access_identity *identity,
                          const struct access_request *request,
                          struct access_decision *ret_decision)
{
    struct map_entry *entry = map_find(&policy->role_map, str_of(request->role));
    struct access_candidates candidates;
    struct access_facts facts;

    CHECK(request->binding_count <= ACCESS_BINDINGS_MAX);
    access_decision_clear(ret_decision);
    if (entry != NULL) {
        access_facts_init(&facts, identity, policy->group_names);
        access_candidates_find(policy, MAP_ENTRY(entry, struct access_role, entry), &facts,
                               &candidates);
        decide(&candidates, &facts, request, ret_decision);
    }
    if (ret_decision->outcome != ACCESS_ALLOW &&
        ret_decision->outcome != ACCESS_APPROVAL_REQUIRED) {
        gives_nothing(ret_decision);
    }
    if (ret_decision->outcome == ACCESS_DENY && ret_decision->rule == NULL) {
        explain_default_deny(identity, request, ret_decision);
    }
}
