/* Says why: which rule decides a request, and what keeps each other one from it.
 *
 * The decision itself comes from access_policy_decide, and each rule is judged by the same
 * functions that it uses, so that what is told is what is done. */
#include "access/policy.h"

#include "access/rules.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Subjects that a text tells about; of more it says how many there are. */
#define SUBJECTS_TOLD_MAX 4
#define RANGE_MAX_BYTES 48

struct explaining {
    const struct access_policy *policy;
    const struct access_request *request;
    const struct access_decision *decision;
    const struct access_explain *explain;
    bool is_role_known;
    struct access_facts facts;
};

ATTR_PRINTF(2, 3)
static void detail_add(struct access_rule_report *report, const char *format, ...)
{
    size_t used = strlen(report->detail);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(report->detail + used, sizeof(report->detail) - used, format, args);
    va_end(args);
}

/* What the condition of this subject asks for, as a text; NULL: the pattern can't say. */
static const char *wanted_text(const struct access_subject *subject, const char *condition,
                               char number[RANGE_MAX_BYTES])
{
    const struct {
        const char *condition;
        const char *text;
    } patterns[] = {
        {"user", subject->user.text},   {"group", subject->group.text},
        {"unit", subject->unit.text},   {"container", subject->container.text},
        {"image", subject->image.text}, {"listener", subject->listener.text},
        {"tls", subject->san.text},
    };
    const struct schema_range *range =
        strcmp(condition, "uid") == 0 ? &subject->uid : &subject->gid;
    size_t i;

    for (i = 0; i < ARRAY_LEN(patterns); i++) {
        if (strcmp(patterns[i].condition, condition) == 0) {
            return patterns[i].text;
        }
    }
    if (range->first == range->last) {
        (void)snprintf(number, RANGE_MAX_BYTES, "%" PRIu64, range->first);
    } else {
        (void)snprintf(number, RANGE_MAX_BYTES, "%" PRIu64 " to %" PRIu64, range->first,
                       range->last);
    }
    return number;
}

static void token_tell(const struct explaining *it, const struct access_subject *subject,
                       struct access_rule_report *report)
{
    const struct access_claims *claims = it->facts.identity->claims;
    const char *what = access_token_mismatch(&subject->token, claims);

    if (claims == NULL) {
        detail_add(report, "the caller brings no job token");
    } else if (!it->explain->shows_subjects) {
        detail_add(report, "the caller's job token doesn't match");
    } else if (strcmp(what, "issuer") == 0) {
        detail_add(report, "the issuer of the caller's job token isn't %s",
                   subject->token.issuer.text);
    } else {
        detail_add(report, "claim %s of the caller's job token isn't what it must be", what);
    }
}

static void subject_tell(const struct explaining *it, const struct access_subject *subject,
                         const char *condition, struct access_rule_report *report)
{
    char number[RANGE_MAX_BYTES];
    const char *wanted = wanted_text(subject, condition, number);
    bool is_tls = strcmp(condition, "tls") == 0;

    condition = is_tls ? "certificate" : condition;
    if (strcmp(condition, "jwt") == 0) {
        token_tell(it, subject, report);
    } else if (wanted == NULL) {
        detail_add(report, "the caller %s, which it doesn't name",
                   is_tls ? "shows a certificate" : "runs in a container");
    } else if (it->explain->shows_subjects) {
        detail_add(report, "the caller's %s isn't %s", condition, wanted);
    } else {
        detail_add(report, "the caller's %s doesn't match", condition);
    }
}

static void subjects_tell(struct explaining *it, const struct access_rule *rule,
                          struct access_rule_report *report)
{
    size_t i;

    for (i = 0; i < rule->subjects.count && i < SUBJECTS_TOLD_MAX; i++) {
        const struct access_subject *subject = &rule->subjects.items[i];
        const char *condition = access_subject_mismatch(subject, &it->facts, rule->is_deny);
        detail_add(report, "%s", i > 0 ? "; " : "");
        subject_tell(it, subject, condition, report);
    }
    if (rule->subjects.count > SUBJECTS_TOLD_MAX) {
        detail_add(report, "; and %zu more", rule->subjects.count - SUBJECTS_TOLD_MAX);
    }
}

/* What keeps a rule that was judged from allowing. */
static const char *refusal_condition(const struct access_decision *refusal)
{
    if (refusal->limit != NULL) {
        return refusal->limit;
    }
    return refusal->outcome == ACCESS_APPROVAL_REQUIRED ? "approval" : "reason";
}

/* An observed rule: what it would say. */
static void observed_tell(const struct explaining *it, const struct access_rule *rule,
                          struct access_rule_report *report)
{
    struct access_decision trial;

    report->condition = "mode";
    if (rule->is_deny) {
        detail_add(report, "is only observed; it would deny");
    } else if (access_rule_allows(rule, it->request, &trial)) {
        detail_add(report, "is only observed; it would allow");
    } else {
        detail_add(report, "is only observed; %s", trial.detail);
    }
}

/* A rule that is about the role and the caller. */
static void match_tell(const struct explaining *it, const struct access_rule *rule,
                       struct access_rule_report *report)
{
    struct access_decision trial;

    report->verdict = ACCESS_VERDICT_REFUSES;
    if (rule->is_break_glass && !it->request->is_break_glass) {
        report->condition = "break_glass";
        detail_add(report, "counts only for who asks to break the glass");
    } else if (!access_rule_counts(it->policy, rule)) {
        observed_tell(it, rule, report);
    } else if (!rule->is_deny && !access_rule_allows(rule, it->request, &trial)) {
        report->condition = refusal_condition(&trial);
        detail_add(report, "%s", trial.detail);
    } else {
        report->verdict = ACCESS_VERDICT_FITS;
    }
    if (it->decision->rule == rule->name) {
        report->verdict = ACCESS_VERDICT_DECIDES;
    }
}

static void rule_tell(struct explaining *it, const struct access_rule *rule)
{
    struct access_rule_report report = {.rule = rule->name,
                                        .is_deny = rule->is_deny,
                                        .verdict = ACCESS_VERDICT_NO_MATCH};

    if (!it->is_role_known || !access_rule_names(rule, str_of(it->request->role))) {
        report.condition = "roles";
        detail_add(&report, "is about other roles");
    } else if (!access_subjects_match(&rule->subjects, &it->facts, rule->is_deny)) {
        report.condition = "subjects";
        subjects_tell(it, rule, &report);
    } else {
        match_tell(it, rule, &report);
    }
    it->explain->rule(it->explain->user, &report);
}

void access_policy_explain(const struct access_policy *policy,
                           const struct access_identity *identity,
                           const struct access_request *request,
                           const struct access_explain *explain,
                           struct access_decision *ret_decision)
{
    struct explaining it = {.policy = policy,
                            .request = request,
                            .decision = ret_decision,
                            .explain = explain,
                            .is_role_known =
                                map_find(&policy->role_map, str_of(request->role)) != NULL};
    size_t i;

    access_policy_decide(policy, identity, request, ret_decision);
    access_facts_init(&it.facts, identity, policy->group_names);
    for (i = 0; i < policy->rule_count; i++) {
        rule_tell(&it, &policy->rules[i]);
    }
}
