/* Policies from text, and callers to try them on, for the tests of access. */
#ifndef LEASED_TESTS_UNIT_ACCESS_POLICY_FIXTURE_H
#define LEASED_TESTS_UNIT_ACCESS_POLICY_FIXTURE_H

#include "access/policy.h"
#include "support/fake_env.h"

#define FIXTURE_HOUR_MS 3600000ULL

/* Two documents at most; either text may be NULL. The roles are orders-db, orders-ro, staging-a,
 * staging-b. */
struct fixture {
    struct fake_env fake;
    struct access_policy *policy;
    struct yaml_errors errors;
    struct access_identity identity;
    struct access_request request;
    struct access_decision decision;
};

/* uid 1000 alice, 1001 orders; gid 50 dba, 51 wheel. The caller is alice of group 50, and asks for
 * orders-db (binding process, max_ttl 24h). */
void fixture_init(struct fixture *fixture);
void fixture_fini(struct fixture *fixture);

/* Parses the policy; the test fails on mistakes in it. */
void fixture_policy(struct fixture *fixture, const char *text);
void fixture_policies(struct fixture *fixture, const char *first, const char *second);

/* Parses a policy that has mistakes; the messages are in fixture->errors. */
void fixture_mistakes(struct fixture *fixture, const char *text);

enum access_outcome fixture_decide(struct fixture *fixture);

/* Sets what is asked as binding: up to four words separated by commas. */
void fixture_ask_bindings(struct fixture *fixture, const char *words);

#endif
