/* Decides by what is known.
 *
 * A subject that asks for what isn't known is looked at as if that were met: if it doesn't fit
 * then, it never does; else it may. The rules are walked in their order, up to the first that
 * certainly decides. Where one before it may be about the caller, the decision hangs on what isn't
 * known. */
#include "access/partial.h"

#include "access/rules.h"

/* --- subjects --- */

/* `ret_needs`: what would have to be known. */
static enum access_fit subject_fit(const struct access_subject *subject,
                                   const struct access_facts *facts, bool is_denial,
                                   uint32_t unknown, uint32_t *ret_needs)
{
    static char any_text[] = "*";
    struct access_subject known = *subject;
    struct access_facts assumed = *facts;
    uint32_t needs = 0;

    if ((unknown & ACCESS_PART_GROUPS) != 0 && (known.group.text != NULL || known.has_gid)) {
        known.group.text = NULL;
        known.has_gid = false;
        needs |= ACCESS_PART_GROUPS;
    }
    if ((unknown & ACCESS_PART_CLAIMS) != 0 && known.token.is_set) {
        known.token.is_set = false;
        needs |= ACCESS_PART_CLAIMS;
    }
    if ((unknown & ACCESS_PART_IMAGE) != 0 && known.image.text != NULL) {
        known.image = (struct access_pattern){.text = any_text, .len = 1, .has_glob = true};
        assumed.image = STR("?");
        needs |= ACCESS_PART_IMAGE;
    }
    if (access_subject_mismatch(&known, &assumed, is_denial) != NULL) {
        return ACCESS_FIT_NO;
    }
    *ret_needs = needs;
    return needs == 0 ? ACCESS_FIT_YES : ACCESS_FIT_MAYBE;
}

enum access_fit access_rule_subject_fit(const struct access_policy *policy, size_t index,
                                        size_t subject, const struct access_identity *identity,
                                        uint32_t unknown)
{
    const struct access_rule *rule = &policy->rules[index];
    struct access_facts facts;
    uint32_t needs = 0;

    access_facts_init(&facts, identity, policy->group_names);
    return subject_fit(&rule->subjects.items[subject], &facts, rule->is_deny, unknown, &needs);
}

/* Adds to what would have to be known, if it may fit. */
static enum access_fit rule_fit(const struct access_rule *rule, const struct access_facts *facts,
                                uint32_t unknown, uint32_t *needs)
{
    enum access_fit best = ACCESS_FIT_NO;
    uint32_t missing = 0;
    size_t i;

    for (i = 0; i < rule->subjects.count; i++) {
        uint32_t of_subject = 0;
        enum access_fit fit =
            subject_fit(&rule->subjects.items[i], facts, rule->is_deny, unknown, &of_subject);

        if (fit == ACCESS_FIT_YES) {
            return fit;
        }
        missing |= of_subject;
        best = fit == ACCESS_FIT_MAYBE ? fit : best;
    }
    *needs |= missing;
    return best;
}

/* --- rules --- */

struct walk {
    struct access_facts facts;
    const struct access_request *request;
    uint32_t unknown;
    struct access_partial *partial;
    bool may_be_given; /* a rule that allows is, or may be, about the caller */
};

static void fingerprint_add(struct access_partial *partial, const char *digest)
{
    for (; *digest != '\0'; digest++) {
        partial->fingerprint = (partial->fingerprint ^ (unsigned char)*digest) * 0x100000001b3ULL;
    }
}

/* True: this rule decides for certain, whatever comes after it. */
static bool rule_settles(struct walk *it, const struct access_rule *rule)
{
    struct access_partial *partial = it->partial;
    struct access_decision trial;
    enum access_fit fit = rule_fit(rule, &it->facts, it->unknown, &partial->needs);

    if (fit == ACCESS_FIT_NO) {
        return false;
    }
    fingerprint_add(partial, rule->digest);
    it->may_be_given = it->may_be_given || !rule->is_deny;
    if (fit == ACCESS_FIT_MAYBE) {
        partial->rule = partial->rule != NULL ? partial->rule : rule->name;
        return false;
    }
    return rule->is_deny || access_rule_allows(rule, it->request, &trial);
}

void access_policy_decide_partially(const struct access_policy *policy,
                                    const struct access_identity *identity, uint32_t unknown,
                                    const struct access_request *request,
                                    struct access_partial *ret_partial)
{
    struct walk it = {.request = request, .unknown = unknown, .partial = ret_partial};
    bool is_settled = false;
    size_t rank;

    ret_partial->needs = 0;
    ret_partial->rule = NULL;
    ret_partial->fingerprint = 0xcbf29ce484222325ULL;
    access_facts_init(&it.facts, identity, policy->group_names);
    for (rank = 0; unknown != 0 && rank < policy->index.rule_count && !is_settled; rank++) {
        const struct access_rule *rule = policy->index.order[rank];

        is_settled = access_rule_names(rule, str_of(request->role)) &&
                     (!rule->is_break_glass || request->is_break_glass) && rule_settles(&it, rule);
    }
    /* Who isn't let in by anything is denied, by whichever rule; those that deny come first. */
    if (ret_partial->needs != 0 && it.may_be_given) {
        return;
    }
    ret_partial->needs = 0;
    access_policy_decide(policy, identity, request, &ret_partial->decision);
}
