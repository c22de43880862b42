/* Requests with a policy, a trail and a ledger below them, on the fake world, and daemons that die
 * and follow each other. */
#ifndef LEASED_TESTS_UNIT_REQUEST_FIXTURE_H
#define LEASED_TESTS_UNIT_REQUEST_FIXTURE_H

#include "request/request.h"
#include "support/fake_env.h"
#include "support/fake_ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND_MS 1000ULL
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)

/* The policy is in fixture.c; in short: alice and her alice-adm (one person), and the certificate
 * of spiffe://acme/ops, may db for 30m if one of bob, dana, her other user, or a certificate of
 * acme approves within 30m, to be used within 15m; db2 takes two of bob, bob2 and dana; db-glass
 * may be had by breaking the glass. bob and bob2 are one person. uid 1000 and up, in this order. */
enum who {
    ALICE,
    ALICE_ADM,
    BOB,
    BOB2,
    DANA,
    EVE,
    ROOT, /* an admin, who approves nothing */
    WHO_COUNT,
};

struct fixture {
    struct fake_env fake;
    struct fake_ledger ledger;
    struct fake_file *trail;
    struct audit *audit;
    struct access_policy *policy;
    struct requests *requests;
    struct access_identity who[WHO_COUNT];
    const char *live_grant; /* the one that lives; NULL: none */
    char ended_grant[64];   /* the last that was ended */
    int told;               /* status that the last wait ended with; 1: it hasn't */
    size_t mem_before;
};

extern struct fixture f;

int fixture_setup(void **state);
int fixture_teardown(void **state);
#define fixture_test(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

/* The daemon dies with all that isn't on disk, and the next one starts. */
void fixture_kill(void);
/* The same in two parts. */
void fixture_die(void);
void fixture_start(void);

/* Another policy from now on: "rules changed" for the same rules with another limit. */
void fixture_change_policy(void);

/* What `who` asks of the role, with a reason. */
struct request_ask fixture_ask(enum who who, const char *role, const char *reason);
int fixture_make(const struct request_ask *ask, struct request **ret_request);
/* One that is there. */
struct request *fixture_request(enum who who, const char *role);

/* Says it and lets it be written; what request_say returned, else how the wait ended. */
int fixture_say(struct request *request, enum who who, enum request_verb verb);

enum request_state fixture_state(const struct request *request);
struct request_view fixture_view(const struct request *request);

/* How often the trail has `text`. */
size_t fixture_trail(const char *text);

#endif
