/* A core with everything below it: the fake world, a trail on a fake file, an issuer by script, two
 * roles, and clients. */
#ifndef LEASED_TESTS_UNIT_LEASE_FIXTURE_H
#define LEASED_TESTS_UNIT_LEASE_FIXTURE_H

#include "lease/core_internal.h"
#include "unit/lease/model_issuer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECOND_MS 1000ULL
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define FIXTURE_CLIENTS_MAX 600

/* One consumer: who it is, what it may, its request and what came of it. */
struct client {
    struct access_identity identity;
    struct access_decision decision;
    struct lease_acquire acquire;
    struct env_request request;
    int call_count; /* of the callback */
    int status;
    struct grant *grant;
    uint64_t got_ms;     /* when it was called */
    char password[64];   /* as read in the callback; "" if it couldn't be */
    bool is_answer_kept; /* the test tells about the delivery */
};

struct fixture {
    struct fake_env fake;
    struct model_issuer model;
    struct audit *audit;
    struct fake_file *trail;
    struct lease_core *core;
    struct lease_core_options options; /* may be changed before fixture_open */
    struct lease_role role;            /* share: none */
    struct lease_role shared;          /* share: role */
    struct lease_role personal;        /* share: identity */
    struct client clients[FIXTURE_CLIENTS_MAX];
    struct list connection_watches; /* of the one connection there is */
    struct env_request_ops request_ops;
    int closed_count;
    int wait_count;
    int wait_status;
    struct lease_wait wait;
    size_t mem_before;
    void (*handed_out)(
        struct client *client); /* NULL, or called for each hand-out, inside the callback */
};

extern struct fixture f;

/* cmocka's setup and teardown. The teardown drains the core, checks that nothing lives on at the
 * issuer, that every grant and lease has its records, that no marker of a secret is in the trail,
 * and that all memory is back. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Opens the core; done by the first fixture_get otherwise. */
void fixture_open(void);

/* Gives the three roles to the core as they are now; each run does it, so a test changes them as it
 * likes. One whose name is NULL is left alone. */
void fixture_reload(void);

/* Runs, and advances the clock by steps, checking the core's invariants. */
void fixture_run(void);
void fixture_advance(uint64_t ms);

/* Client `index`: process 1000 + index. The first 40 are ten to an identity and bound to their
 * processes, each of the others is an identity of its own and bound to nothing. */
struct client *fixture_client(size_t index);

/* Asks for `role`; runs. The status is in the client. */
void fixture_get(struct client *client, const struct lease_role *role);
/* The same without running. */
void fixture_ask(struct client *client, const struct lease_role *role);
/* lease_core_cached for this client. */
struct grant *fixture_cached(struct client *client, const struct lease_role *role);

struct lease *fixture_lease(const struct client *client);
enum lease_state fixture_state(const struct client *client);

/* Ends a connection: whatever is bound to it. */
void fixture_hang_up(void);

/* How often `event` is in the durable trail. */
size_t fixture_records(const char *event);
/* How often `text` is. */
size_t fixture_trail_has(const char *text);

/* Starts f.wait anew. */
struct lease_wait *fixture_wait(void);

#define fixture_test(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

#endif
