/* Tokens of service accounts, and the Secrets that they may be bound to. */
#ifndef KUBERNETES_ISSUE_H
#define KUBERNETES_ISSUE_H

#include "server.h"

/* backend_ops.issue and revoke. */
int32_t kubernetes_issue(leased_instance *kubernetes, const struct leased_issue *request,
                         leased_op *op);
int32_t kubernetes_revoke(leased_instance *kubernetes, const struct leased_lease_ref *lease,
                          leased_op *op);

/* Asks for the token, bound to what params say. Ends the work. */
void kubernetes_request_token(struct kubernetes_work *work);

/* Makes a Secret, and then asks for a token that is bound to it (secret.c). Ends the work; never
 * inside a start function. */
void kubernetes_secret_begin(struct kubernetes_work *work);

/* Who asks, as annotations of the Secret; NULL when out of memory. */
json_t *kubernetes_secret_annotations(const struct leased_issue *request);

#endif
