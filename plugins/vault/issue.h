/* Issuing: a role's path is read or written, and what comes back is a credential. */
#ifndef VAULT_ISSUE_H
#define VAULT_ISSUE_H

#include "op.h"

int32_t vault_issue(struct leased_instance *vault, const struct leased_issue *request,
                    leased_op *handle);
void vault_issue_answered(struct vault_op *op, const struct leased_http_reply *http);

/* What was issued (op->issued, op->life) is kept alive: sets its life to what was asked, and hands
 * it over. */
void vault_issue_fit(struct vault_op *op);
void vault_issue_fitted(struct vault_op *op, const struct leased_http_reply *http);

#endif
