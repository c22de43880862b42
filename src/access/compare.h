/* What two policies decide about one request, side by side. */
#ifndef LEASED_ACCESS_COMPARE_H
#define LEASED_ACCESS_COMPARE_H

#include "access/policy.h"

/* Are they alike in all that is told of them, the rule's name and the words for people included? */
bool access_decisions_are_equal(const struct access_decision *a, const struct access_decision *b);

/* Does the caller get the same by both? What is refused is refused, for whatever reason. */
bool access_decisions_give_the_same(const struct access_decision *a,
                                    const struct access_decision *b);

/* What `would_be` gives otherwise than `now`, where both give something: "duration 15m instead of
 * 1h, 2 approvals instead of 1"; "" where they differ in nothing. Returns `out`. */
#define ACCESS_DIFFERENCE_MAX_BYTES 384
const char *access_decisions_difference(const struct access_decision *now,
                                        const struct access_decision *would_be,
                                        char out[ACCESS_DIFFERENCE_MAX_BYTES]);

#endif
