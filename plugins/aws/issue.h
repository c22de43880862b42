/* Issuing a session's credentials. */
#ifndef AWS_ISSUE_H
#define AWS_ISSUE_H

#include "instance.h"

/* backend_ops.issue */
int32_t aws_issue(struct leased_instance *aws, const struct leased_issue *request, leased_op *op);

#endif
