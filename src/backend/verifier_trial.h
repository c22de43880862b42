/* What the ways to try a credential out have in common: verifier.c (TCP, HTTP), verifier_exec.c (a
 * program). */
#ifndef LEASED_BACKEND_VERIFIER_TRIAL_H
#define LEASED_BACKEND_VERIFIER_TRIAL_H

#include "env/env.h"
#include "lease/verifier.h"

#include <jansson.h>

/* One try; embedded in each way's own. */
struct trial {
    struct env *env;
    void (*cancel)(struct trial *trial);
    void (*fn)(void *user, int status, const char *detail); /* NULL: cancelled */
    void *user;
};

/* `settings` is the role's JSON, borrowed. As lease_verifier_ops.start. */
int verifier_exec_start(struct env *env, const json_t *settings, const struct lease_trial *asked,
                        struct trial **ret_trial, struct err *e) ATTR_MUST_USE;

/* Are these the keys of a program? ERR_INVALID with a text that begins with the key. */
int verifier_exec_check(const json_t *settings, struct err *e) ATTR_MUST_USE;

#endif
