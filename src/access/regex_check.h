/* Can a regular expression explode? A backtracking matcher takes exponential time where the same
 * text can be taken in two ways, over and over: (a+)+, (a|a)*, (\w|_)*. */
#ifndef LEASED_ACCESS_REGEX_CHECK_H
#define LEASED_ACCESS_REGEX_CHECK_H

#include "base/err.h"
#include "base/str.h"

enum access_regex_verdict {
    ACCESS_REGEX_SAFE,     /* takes polynomial time at most */
    ACCESS_REGEX_EXPLODES, /* or can't be told from one that does */
    ACCESS_REGEX_UNKNOWN,  /* has something that isn't looked into; see `unknown` */
};

struct access_regex_report {
    enum access_regex_verdict verdict;
    size_t at;           /* ACCESS_REGEX_EXPLODES: the character, from 1, that can be repeated so */
    const char *unknown; /* what isn't looked into; static */
    bool begins_anchored; /* matches at the beginning of a text only */
    bool ends_anchored;   /* at its end only */
};

/* Looks at a pattern that access_reason_new takes. Sound: one that is safe is; some that are safe
 * are taken for others (bounded repetitions count as endless, assertions for nothing). ERR_NOMEM.
 */
int access_regex_check(struct str pattern, struct access_regex_report *ret_report) ATTR_MUST_USE;

#endif
