/* Decides by the policy that counts. */
#include "serve/decide.h"

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
    };
    memcpy(ret_request->bindings, x->params.bindings, sizeof(ret_request->bindings));
}

void decide(const struct serve *serve, const struct access_identity *identity,
            const struct access_request *request, struct access_decision *ret_decision)
{
    access_policy_decide(serve->options.policy, identity, request, ret_decision);
}

void decide_exchange(const struct exchange *x, const struct lease_role *role, uint32_t live_count,
                     struct access_decision *ret_decision)
{
    struct access_request request;

    decide_request(x, role, live_count, &request);
    decide(x->serve, &x->identity, &request, ret_decision);
}

bool decide_may_have(const struct exchange *x, const struct lease_role *role)
{
    struct access_decision decision;

    decide_exchange(x, role, 0, &decision);
    return decision.outcome == ACCESS_ALLOW;
}
