/* Installation tokens: how they are made and ended. */
#ifndef GITHUB_ISSUE_H
#define GITHUB_ISSUE_H

#include "app.h"

/* backend_ops.issue and revoke. */
int32_t github_issue(leased_instance *github, const struct leased_issue *request, leased_op *op);
int32_t github_revoke(leased_instance *github, const struct leased_lease_ref *lease, leased_op *op);

#endif
