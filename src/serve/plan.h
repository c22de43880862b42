/* What another policy would change: decisions for those who have asked, and grants that live.
 * Internal to serve/. */
#ifndef LEASED_SERVE_PLAN_H
#define LEASED_SERVE_PLAN_H

#include "serve/exchange.h"
#include "lease/recheck.h"

#define PLAN_DIGEST_BYTES 64U
/* Decisions that are tried, by both policies, on roles and on paths; they keep everybody else
 * waiting. All paths that are remembered are below that. */
#define PLAN_TRIES_MAX 20000U
/* What is listed of each kind, and how much of the answer decisions on roles, and on paths, may
 * fill; the rest is counted. */
#define PLAN_LISTED_MAX 500U
#define PLAN_LIST_MAX_BYTES (256U * 1024U)

struct plan {
    struct exchange *x;                 /* who asks */
    const struct policy_bundle *bundle; /* NULL: nothing is to be observed any more */
    const struct access_policy *policy; /* made of it; then what counts now */
    bool is_observed;                   /* it is to be observed, and changes nothing */
};

/* A policy must leave somebody who can change it. */
bool plan_has_admin(const struct plan *plan);

/* How many live grants would end. */
uint32_t plan_count_ending(const struct plan *plan);

/* Hex; over what counts and is observed now, and what is to. ERR_NOMEM. */
int plan_digest(const struct plan *plan, char ret_digest[PLAN_DIGEST_BYTES + 1]) ATTR_MUST_USE;

/* Writes the plan as one JSON object. */
void plan_write(const struct plan *plan, const char *digest, struct json_out *json);

/* What a decision is called, for people and in the trail: allow, denied, limit_exceeded, … */
const char *plan_outcome(enum access_outcome outcome);

#endif
