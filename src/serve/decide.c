/* Decides: first the blocks, then the policy that counts. */
#include "serve/decide.h"

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

void decide_path(const struct exchange *x, struct str path, uint32_t needs,
                 struct access_decision *ret_decision)
{
    const struct access_path_request request = {.backend = x->listener->vault.backend,
                                                .path = path,
                                                .needs = needs,
                                                .wall_ms = env_wall_ms(x->serve->options.env)};
    const struct block *block = blocks_find(&x->serve->blocks, &x->identity, NULL, request.backend);

    if (block != NULL) {
        block_decide(block, ret_decision);
    } else {
        access_policy_decide_path(x->serve->options.policy, &x->identity, &request, ret_decision);
    }
}

bool decide_is_blocked(const struct exchange *x, const struct lease_role *role)
{
    return block_of(x->serve, &x->identity, role->name) != NULL;
}

void decide_observe(struct exchange *x, const struct lease_role *role, uint32_t live_count,
                    const struct access_decision *decision)
{
    const struct access_policy *policy = x->serve->options.observed;
    struct access_decision observed;
    struct access_request request;
    struct audit_record record;

    if (policy == NULL || decision->outcome == ACCESS_BLOCKED) {
        return;
    }
    decide_request(x, role, live_count, &request);
    access_policy_decide(policy, &x->identity, &request, &observed);
    if (observed.outcome == decision->outcome) {
        return;
    }
    exchange_record(x, "observe.differs", plan_outcome(decision->outcome), &record);
    record.role = role->name;
    record.backend = role->issuer->name;
    record.reason = request.reason;
    record.ticket = request.ticket;
    record.policy_rule = decision->rule;
    record.observed = (struct audit_observed){.outcome = plan_outcome(observed.outcome),
                                              .digest = access_policy_digest(policy),
                                              .rule = observed.rule};
    record.error = str_or_null(observed.detail);
    observed_note(&x->serve->observed, x->key, &record);
}

bool decide_may_have(const struct exchange *x, const struct lease_role *role)
{
    struct access_decision decision;

    decide_exchange(x, role, 0, &decision);
    return decision.outcome == ACCESS_ALLOW;
}
