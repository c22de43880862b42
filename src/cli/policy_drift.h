/* What a policy has that nobody uses. */
#ifndef LEASED_CLI_POLICY_DRIFT_H
#define LEASED_CLI_POLICY_DRIFT_H

#include "cli/policy_findings.h"
#include "cli/policy_set.h"
#include "cli/policy_trail.h"

/* Tells, as warnings, the rules that have decided nothing in the trail, of the others the subjects
 * that nobody in it was, and the roles that nobody has got; and of how many subjects it can't be
 * told. The set has no mistakes. */
void policy_drift_tell(struct policy_findings *findings, const struct policy_set *set,
                       const struct policy_trail *trail);

#endif
