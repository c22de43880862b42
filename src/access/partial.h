/* Decisions about callers of whom not everything is known: an audit trail has no groups and no
 * claims, and an image of a container only where it was known. What hangs on something that isn't
 * known is said to, instead of guessed. */
#ifndef LEASED_ACCESS_PARTIAL_H
#define LEASED_ACCESS_PARTIAL_H

#include "access/policy.h"

/* What isn't known of an identity, as bits. */
enum access_part {
    ACCESS_PART_GROUPS = 1,
    ACCESS_PART_CLAIMS = 2, /* of the token that it had */
    ACCESS_PART_IMAGE = 4,  /* of the container that it was in */
};

struct access_partial {
    uint32_t needs; /* ACCESS_PART_*: what the decision hangs on; 0: it is certain */
    struct access_decision decision; /* if it is */
    const char *rule;                /* else the first that it hangs on */
    /* Over all rules that it hangs on: where it is the same, so is the decision, whatever it is. */
    uint64_t fingerprint;
};

/* `unknown`: ACCESS_PART_*, which the identity doesn't have. Slower than access_policy_decide. */
void access_policy_decide_partially(const struct access_policy *policy,
                                    const struct access_identity *identity, uint32_t unknown,
                                    const struct access_request *request,
                                    struct access_partial *ret_partial);

enum access_fit {
    ACCESS_FIT_NO,
    ACCESS_FIT_MAYBE, /* if what isn't known is as it asks */
    ACCESS_FIT_YES,
};

/* Is this subject of rule `index` about the identity? */
enum access_fit access_rule_subject_fit(const struct access_policy *policy, size_t index,
                                        size_t subject, const struct access_identity *identity,
                                        uint32_t unknown);

#endif
