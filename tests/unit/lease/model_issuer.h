/* An issuer by script: it knows which credentials are valid, answers as it is told to, and can keep
 * its answers back. */
#ifndef LEASED_TESTS_UNIT_LEASE_MODEL_ISSUER_H
#define LEASED_TESTS_UNIT_LEASE_MODEL_ISSUER_H

#include "lease/issuer.h"
#include "support/fake_env.h"

#define MODEL_KINDS 3
#define MODEL_LEASES_MAX 20000

struct model_lease {
    uint64_t issued_ms;
    uint64_t expires_ms;
    bool is_revoked;
    bool is_revocable; /* as its issue said */
    bool is_forgotten; /* the issuer said that it doesn't know it */
    bool is_lost;      /* its issue's answer was lost: nobody can know it */
    uint32_t intent;   /* the number of the intent that it was made under; 0: none */
    uint32_t renew_count;
    uint32_t revoke_count;
};

struct model_call;

struct model_issuer {
    struct lease_issuer issuer; /* first */
    struct fake_env *fake;
    struct list calls; /* in flight, oldest first */
    /* For the test to set. */
    enum lease_outcome outcomes[MODEL_KINDS]; /* by enum lease_call_kind */
    uint32_t outcome_counts[MODEL_KINDS];     /* … for so many calls, then OK; 0: for ever */
    bool is_held[MODEL_KINDS];                /* answers wait for model_answer */
    int start_status;                         /* not 0: calls can't be started */
    uint64_t retry_after_ms;
    uint64_t closed_ms;   /* > 0: it is known not to serve for so long */
    uint64_t lifetime_ms; /* given when nothing is asked */
    uint64_t max_life_ms; /* 0: none; renewals can't pass issue + this */
    bool honours_ttl;     /* gives what is asked */
    bool is_renewable;
    bool is_revocable;
    bool says_capped;
    bool uses_intents; /* says before each issue what a revocation will be given: "intent/1" … */
    bool forgets_anchors;
    uint64_t anchor;
    uint64_t refresh_ms;
    size_t extra_field_count; /* more fields than the usual two */
    /* For the test to look at. */
    struct model_lease leases[MODEL_LEASES_MAX];
    size_t lease_count;
    uint32_t call_counts[MODEL_KINDS];
    uint32_t cancel_count;
    uint32_t intent_count;
    uint32_t in_flight;
    uint32_t in_flight_most;
    uint64_t last_ttl_ms;
    char last_user[64];
    char last_reason[64];
    char last_params[64];
};

void model_init(struct model_issuer *model, struct fake_env *fake);
void model_fini(struct model_issuer *model);

/* Answers the oldest call that is held; its callback runs with the next fake_env_run. */
void model_answer(struct model_issuer *model);
void model_answer_all(struct model_issuer *model);

/* How many credentials can be used now. */
size_t model_live_count(const struct model_issuer *model);
bool model_is_live(const struct model_issuer *model, size_t index);

#endif
