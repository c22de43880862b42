/* `revoke: deny-older`: a policy at the role that denies whatever was issued before now. */
#ifndef AWS_REVOKE_H
#define AWS_REVOKE_H

#include "instance.h"

/* Sessions of this role that were issued before this moment (issuer's clock) are dead, or may be;
 * 0: none. */
int64_t aws_denied_before_s(const struct leased_instance *aws, const char *role_arn);

/* Is that moment being put to the issuer? When it is there, every lease of the role that is known
 * by then is told dead. */
bool aws_denial_is_busy(const struct leased_instance *aws, const char *role_arn);

/* backend_ops.revoke */
int32_t aws_revoke(struct leased_instance *aws, const struct leased_lease_ref *lease,
                   leased_op *op);

/* When the operation ends. */
void aws_revoke_fini(struct aws_op *op);

#endif
