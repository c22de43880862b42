/* An issuer by script, as small as the API's tests need it: it counts calls, knows which
 * credentials are valid, and answers as it is told to or when the test lets it. */
#ifndef LEASED_TESTS_UNIT_SERVE_SCRIPTED_ISSUER_H
#define LEASED_TESTS_UNIT_SERVE_SCRIPTED_ISSUER_H

#include "lease/issuer.h"
#include "support/fake_env.h"

#define SCRIPTED_KINDS 3
#define SCRIPTED_LEASES_MAX 2048

/* Stands in every credential and may stand nowhere else. */
#define SCRIPTED_MARKER "MARKER-"

struct scripted_issuer {
    struct lease_issuer issuer; /* first */
    struct fake_env *fake;
    struct list calls; /* in flight, oldest first */
    /* For the test to set; the arrays go by enum lease_call_kind. */
    enum lease_outcome outcomes[SCRIPTED_KINDS];
    bool is_held[SCRIPTED_KINDS]; /* answers wait for scripted_release */
    uint64_t retry_after_ms;
    uint64_t lifetime_ms;
    bool is_renewable;
    bool is_revocable;
    const char *password_end; /* stands at the end of each password; NULL: nothing */
    /* For the test to look at. */
    size_t call_counts[SCRIPTED_KINDS];
    size_t issued_count;
    bool is_revoked[SCRIPTED_LEASES_MAX];
    char last_reason[64];
};

void scripted_init(struct scripted_issuer *issuer, struct fake_env *fake);
void scripted_fini(struct scripted_issuer *issuer);

/* Calls are answered from now on; those that wait get their answer with the next run. */
void scripted_release(struct scripted_issuer *issuer);

/* Credentials that were issued and not revoked. */
size_t scripted_live_count(const struct scripted_issuer *issuer);

#endif
