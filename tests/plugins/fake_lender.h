/* Whoever lends a backend what another role gives, by script. A loan is over with the next run, or
 * when it is cancelled. */
#ifndef LEASED_TESTS_PLUGINS_FAKE_LENDER_H
#define LEASED_TESTS_PLUGINS_FAKE_LENDER_H

#include "lease/lend.h"
#include "support/fake_env.h"

#include <string.h>

#define FAKE_LENDER_FIELDS_MAX 4
#define FAKE_LENDER_ROLE "keys"

struct fake_lender {
    struct fake_env *fake;
    /* For the test to set, at any time. */
    struct lease_field fields[FAKE_LENDER_FIELDS_MAX];
    size_t field_count;
    int status; /* not 0: it fails, with … */
    uint64_t retry_after_ms;
    bool is_held; /* nothing comes until it is cancelled */
    /* For the test to look at. */
    size_t loan_count;    /* that have ended */
    size_t refused_count; /* that said that the last one was refused */
};

static inline void fake_lender_ended(struct env_deferred *deferred)
{
    struct lease_loan *loan = deferred->user;
    struct fake_lender *lender = loan->acquire.user;
    const struct lease_lent lent = {.fields = lender->fields,
                                    .field_count = lender->field_count,
                                    .expires_ms = lender->fake->now_ms + 3600000};
    int status = loan->is_cancelled ? ERR_CANCELED : lender->status;

    lender->loan_count++;
    loan->retry_after_ms = lender->retry_after_ms;
    (void)err_set(&loan->error, status, "%s", err_str(status));
    loan->fn(loan, status, status == 0 ? &lent : NULL);
}

/* As backend_options.borrow_start and borrow_cancel are, for a backend that borrows
 * FAKE_LENDER_ROLE. */
static inline int fake_lender_start(struct fake_lender *lender, struct lease_loan *loan)
{
    CHECK(strcmp(loan->role, FAKE_LENDER_ROLE) == 0);
    lender->refused_count += loan->is_refused;
    loan->acquire.user = lender;
    loan->deferred = (struct env_deferred){.fn = fake_lender_ended, .user = loan};
    if (!lender->is_held) {
        env_defer(&lender->fake->env, &loan->deferred);
    }
    return 0;
}

static inline void fake_lender_cancel(struct fake_lender *lender, struct lease_loan *loan)
{
    loan->is_cancelled = true;
    env_defer(&lender->fake->env, &loan->deferred);
}

#endif
