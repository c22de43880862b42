/* Decides: first the blocks, then the policy that counts. */
#include "serve/decide.h"

#include "access/compare.h"
#include "serve/plan.h"

#include <string.h>

void decide_request(const struct exchange *x, const struct lease_role *role, uint32_t live_count,
                    struct access_request *ret_request)
{
    *ret_request = (struct access_request){
        .role = role->name,
        .role_binding = role->binding,
        .role_max_ttl_ms = role->max_ttl_ms,
        .duration_ms = x->params.duration_ms,
        .binding_count = x->params.binding_count,
        .reason = str_or_null(x->params.reason),
        .ticket = str_or_null(x->params.ticket),
        .live_count = live_count,
        .wall_ms = env_wall_ms(x->serve->options.env),
        .approved_rule =
            x->is_approved && !x->approval.is_break_glass ? x->approval.rule_digest : NULL,
        .is_break_glass = x->params.is_break_glass,
    };
    memcpy(ret_request->bindings, x->params.bindings, sizeof(ret_request->bindings));
}

static const struct block *block_of(const struct serve *serve,
                                    const struct access_identity *identity, const char *role)
{
    const struct lease_role *known =
        serve->blocks.count > 0 ? lease_core_role(serve->options.core, str_of(role)) : NULL;

    return known != NULL ? blocks_find(&serve->blocks, identity, role, known->issuer->name) : NULL;
}

void decide(const struct serve *serve, const struct access_identity *identity,
            const struct access_request *request, struct access_decision *ret_decision)
{
    const struct block *block = block_of(serve, identity, request->role);

    if (block != NULL) {
        block_decide(block, ret_decision);
    } else {
        access_policy_decide(serve->options.policy, identity, request, ret_decision);
    }
}

void decide_exchange(const struct exchange *x, const struct lease_role *role, uint32_t live_count,
                     struct access_decision *ret_decision)
{
    struct access_request request;

    decide_request(x, role, live_count, &request);
    decide(x->serve, &x->identity, &request, ret_decision);
}

bool decide_is_blocked(const struct exchange *x, const struct lease_role *role)
{
    return block_of(x->serve, &x->identity, role->name) != NULL;
}

void decide_remember(struct exchange *x, const struct lease_role *role)
{
    struct seen *seen = &x->serve->seen;
    struct access_request request;

    decide_request(x, role, 0, &request);
    seen_note_role(seen, seen_note(seen, x->key, &x->identity), &request);
}

/* ---- the observed policy ------------------------------------------------------------ */

/* Whoever others have approved by the rule that counts would have been by the observed one's, too:
 * what they would have been asked is compared, not that nobody was. */
static void observed_decide(const struct exchange *x, struct access_request *request,
                            const struct access_decision *decision,
                            struct access_decision *ret_observed)
{
    const struct access_policy *policy = x->serve->options.observed;
    bool is_approved = decision->outcome == ACCESS_ALLOW && decision->approval != NULL &&
                       !decision->is_break_glass;

    access_policy_decide(policy, &x->identity, request, ret_observed);
    if (is_approved && ret_observed->outcome == ACCESS_APPROVAL_REQUIRED) {
        request->approved_rule = ret_observed->rule_digest;
        access_policy_decide(policy, &x->identity, request, ret_observed);
    }
}

/* The record borrows from all of them. */
static void difference_fill(const struct exchange *x, const struct access_decision *decision,
                            const struct access_decision *observed, struct audit_record *ret_record)
{
    exchange_record(x, "observe.differs", plan_outcome(decision->outcome), ret_record);
    ret_record->policy_rule = decision->rule;
    ret_record->observed =
        (struct audit_observed){.outcome = plan_outcome(observed->outcome),
                                .digest = access_policy_digest(x->serve->options.observed),
                                .rule = observed->rule};
    ret_record->error = str_or_null(observed->detail);
}

void decide_observe(struct exchange *x, const struct lease_role *role, uint32_t live_count,
                    const struct access_decision *decision)
{
    char limits[ACCESS_DIFFERENCE_MAX_BYTES];
    struct access_decision observed;
    struct access_request request;
    struct audit_record record;

    if (x->serve->options.observed == NULL || decision->outcome == ACCESS_BLOCKED) {
        return;
    }
    decide_request(x, role, live_count, &request);
    observed_decide(x, &request, decision, &observed);
    if (access_decisions_give_the_same(decision, &observed)) {
        return;
    }
    difference_fill(x, decision, &observed, &record);
    record.role = role->name;
    record.backend = role->issuer->name;
    record.reason = request.reason;
    record.ticket = request.ticket;
    record.observed.limits = str_or_null(access_decisions_difference(decision, &observed, limits));
    observed_note(&x->serve->observed, x->key, &record);
}

/* ---- paths -------------------------------------------------------------------------- */

static void path_observe(struct exchange *x, const struct access_path_request *request,
                         const char *verb, const struct access_decision *decision)
{
    const struct access_policy *policy = x->serve->options.observed;
    char ref[AUDIT_REF_MAX_BYTES];
    struct access_decision observed;
    struct audit_record record;

    if (policy == NULL) {
        return;
    }
    access_policy_decide_path(policy, &x->identity, request, &observed);
    if ((decision->outcome == ACCESS_ALLOW) == (observed.outcome == ACCESS_ALLOW)) {
        return; /* refused is refused */
    }
    difference_fill(x, decision, &observed, &record);
    record.backend = request->backend;
    record.reason = verb;
    record.issuer_ref = audit_ref(x->serve->options.audit, request->path, ref);
    observed_note(&x->serve->observed_paths, x->key, &record);
}

void decide_path(struct exchange *x, const struct decide_path *asked,
                 struct access_decision *ret_decision)
{
    const struct access_path_request request = {.backend = x->listener->vault.backend,
                                                .path = asked->path,
                                                .needs = asked->needs,
                                                .wall_ms = env_wall_ms(x->serve->options.env)};
    const struct block *block = blocks_find(&x->serve->blocks, &x->identity, NULL, request.backend);
    struct seen *seen = &x->serve->seen;

    seen_note_path(seen, seen_note(seen, x->key, &x->identity), &request);
    if (block != NULL) {
        block_decide(block, ret_decision);
        return;
    }
    access_policy_decide_path(x->serve->options.policy, &x->identity, &request, ret_decision);
    path_observe(x, &request, asked->verb, ret_decision);
}

bool decide_may_have(const struct exchange *x, const struct lease_role *role)
{
    struct access_decision decision;

    decide_exchange(x, role, 0, &decision);
    return decision.outcome == ACCESS_ALLOW;
}
