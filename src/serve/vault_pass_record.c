/* What stands in the trail about requests that are passed on, and about those that aren't: who, by
 * which rule, what for; the path as a keyed hash, because names of secrets may say too much. */
#include "serve/acquire.h"
#include "serve/vault_pass.h"

#include <stdio.h>

void serve_vault_record_fill(struct audit_record *record, const struct exchange *x,
                             const struct vault_pass_request *request,
                             const struct access_decision *decision)
{
    exchange_record(x, "path.called", "ok", record);
    record->backend = x->listener->vault.backend;
    record->reason = request->verb;
    record->policy_rule = decision->rule;
}

void serve_vault_pass_deny(struct exchange *x, const struct vault_pass_request *request,
                           const struct access_decision *decision)
{
    bool is_blocked = decision->block[0] != '\0';
    char ref[AUDIT_REF_MAX_BYTES];
    char hint[160];
    struct audit_record record;

    serve_vault_record_fill(&record, x, request, decision);
    record.outcome = "denied";
    record.error = is_blocked ? decision->block : decision->detail;
    record.issuer_ref = audit_ref(x->serve->options.audit, str_of(request->path), ref);
    denied_note(&x->serve->denied, x->key, &record);
    metrics_count_denial(x->serve, decision->rule);
    (void)snprintf(hint, sizeof(hint),
                   "ask an operator for a rule with this path in `paths` and %s in its "
                   "capabilities, or for a role with it",
                   request->verb);
    exchange_fail(x, &(struct exchange_problem){.status = 403,
                                                .code = "denied",
                                                .detail = decision->detail,
                                                .rule = decision->rule,
                                                .hint = is_blocked ? EXCHANGE_BLOCKED_HINT : hint});
}
