/* The API with everything below it: the fake world, a trail on a fake file, a policy from text, the
 * lease core, an issuer by script, and consumers. */
#ifndef LEASED_TESTS_UNIT_SERVE_FIXTURE_H
#define LEASED_TESTS_UNIT_SERVE_FIXTURE_H

#include "serve/api.h"
#include "unit/serve/fake_request.h"
#include "unit/serve/idle_backend.h"
#include "unit/serve/scripted_issuer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND_MS 1000ULL
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)

#define API "/leased/v1"

/* A name of a rule may have 64 bytes, no more. */
#define LONGEST_RULE "the-rule-with-the-longest-name-that-a-rule-may-have-sixtyfour-by"

/* Who asks. The policy is in fixture.c; in short: alice may db, db-shared (also for mallory, whom
 * another rule denies everything) and, with a reason, db-reason; bob may db and db-shared; carol
 * nothing but, with a job token of issuer ci for production, db; eve is denied by the rule with the
 * longest name; who shows a certificate of spiffe://acme/ may what bob may. */
enum who {
    ALICE,
    ALICE_AGAIN, /* another process of hers */
    BOB,
    MALLORY,
    CAROL,
    EVE,
    ADA,  /* an admin that may all, and db */
    RITA, /* an admin that may read */
    WHO_COUNT,
};

struct fixture {
    struct fake_env fake;
    struct scripted_issuer issuer;
    struct audit *audit;
    struct fake_file *trail;
    const char *policy_text; /* NULL: the fixture's; before the first request */
    struct access_policy *policy;
    struct lease_core *core;
    struct requests *requests;
    struct serve *serve;
    struct units_rate grants_per_uid; /* 0: any; before the first request */
    struct serve_options options;     /* may be changed before the first request */
    struct serve_listener listener;   /* native and metrics */
    struct serve_listener only_native;
    struct serve_listener only_metrics;
    struct lease_role roles[4]; /* db, db-shared (share: role), db-own (identity), db-reason */
    struct env_connection connections[WHO_COUNT];
    struct idle_backend backends[2];
    struct backend *backend_list[2];
    struct list calls;
    char *log; /* all that was logged */
    size_t log_size;
    int closed_count;
    size_t mem_before;
};

extern struct fixture f;

/* cmocka's setup and teardown. The teardown hangs up on whom is still waiting, drains, checks that
 * nothing lives on at the issuer, that no secret stands in trail or log, and that all memory is
 * back. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Opens everything; done by the first request otherwise. */
void fixture_open(void);

/* The policy once more; access_policy_free. */
struct access_policy *fixture_parse_policy(void);

/* Adds a backend that isn't logged in; before the first request. */
struct idle_backend *fixture_add_backend(const char *name);

/* Sends without running the loop. */
struct call *fixture_send(enum who who, const char *method, const char *target, const char *body);
struct call *fixture_send_message(enum who who, struct message message);

/* Sends, runs the loop, and delivers the answer if there is one. */
struct call *fixture_call(enum who who, const char *method, const char *target, const char *body);
struct call *fixture_get(enum who who, const char *target);

/* The target with an id put in the place of its "%s". Static until the next call. */
const char *fixture_path(const char *format, const char *id);

/* Expects a problem with this status and code. */
void fixture_expect(struct call *call, uint32_t status, const char *code);

void fixture_run(void);
void fixture_advance(uint64_t ms);

/* How often `event` is in the durable trail, and how often `text` is. */
size_t fixture_records(const char *event);
size_t fixture_trail_has(const char *text);

#define fixture_test(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

#endif
