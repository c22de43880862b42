/* The fixture with roles whose credentials are tried out, by a verifier by script: it counts what
 * it is asked, and answers as it is told to. */
#ifndef LEASED_TESTS_UNIT_LEASE_VERIFY_FIXTURE_H
#define LEASED_TESTS_UNIT_LEASE_VERIFY_FIXTURE_H

#include "lease/verifier.h"
#include "support/fake_env.h"
#include "unit/lease/fixture.h"

struct script_verifier {
    struct lease_verifier verifier; /* first */
    struct fake_env *fake;
    /* For the test to set. */
    int status;         /* of each answer */
    uint32_t bad_count; /* … for so many tries, then 0; 0: for ever */
    bool is_held;       /* answers wait for verifier_answer */
    int start_status;   /* not 0: tries can't be started */
    /* For the test to look at. */
    uint32_t try_count;
    uint32_t cancel_count;
    uint64_t last_timeout_ms;
    char last_password[64];
    char last_json[64];
    bool is_running; /* one at a time */
    void (*fn)(void *user, int status, const char *detail);
    void *user;
    struct env_deferred answering;
};

extern struct script_verifier script;

/* cmocka's setup, for the roles f.role and f.shared. */
int verify_setup(void **state);

#define VERIFY_TEST(test) cmocka_unit_test_setup_teardown(test, verify_setup, fixture_teardown)

void verifier_init(struct script_verifier *self, struct fake_env *fake);
/* Answers the try that is held; its callback runs with the next fake_env_run. */
void verifier_answer(struct script_verifier *self);

#endif
