/* Memory that runs short at any point of a request: the client gets its answer or a whole problem,
 * no credential is left that nobody has, and the next try works.
 *
 * Each request is repeated with the first, second, third … allocation failing, once alone and once
 * with all later ones, until one goes through without a failure. */
#include <string.h>

#include "base/mem.h"
#include "unit/serve/fixture.h"

#define DB API "/credentials/db"

static struct {
    uint64_t count;
    uint64_t fails_at; /* 0: never */
    bool fails_after;
    bool has_failed;
} allocations;

static int may_fail(size_t size)
{
    (void)size;
    if (allocations.fails_at == 0) {
        return 0;
    }
    allocations.count++;
    if (allocations.count == allocations.fails_at ||
        (allocations.fails_after && allocations.count > allocations.fails_at)) {
        allocations.has_failed = true;
        return 1;
    }
    return 0;
}

struct scenario {
    enum who who;
    const char *method;
    const char *target; /* "%s": the lease's id */
    const char *body;
    uint32_t status; /* when all goes well */
    bool is_warm;    /* the caller has the credential already */
};

/* Sends while allocations fail. Returns the call, which has its answer. */
static struct call *send_short(const struct scenario *scenario, const char *target, uint64_t at)
{
    struct call *call;

    allocations.count = 0;
    allocations.has_failed = false;
    allocations.fails_at = at;
    call = fixture_send(scenario->who, scenario->method, target, scenario->body);
    fixture_run();
    allocations.fails_at = 0;
    fixture_advance(40 * SECOND_MS);
    assert_int_not_equal(call->status, 0);
    call_deliver(call);
    fixture_run();
    return call;
}

static void judge(const struct scenario *scenario, struct call *call)
{
    bool is_cold_get = strcmp(scenario->target, DB) == 0 && !scenario->is_warm;

    if (call->status != scenario->status) {
        assert_true(allocations.has_failed);
        /* 400: jansson calls some failures within a body a wrong syntax. */
        assert_true(call->status == 503 || call->status == 500 || call->status == 202 ||
                    (call->status == 400 && scenario->body != NULL));
    }
    if (is_cold_get) {
        fixture_advance(MINUTE_MS);
        assert_int_equal(scripted_live_count(&f.issuer),
                         call->status == 200 && scenario->who != CAROL);
    }
}

/* False when no allocation has failed. */
static bool run_once(const struct scenario *scenario, uint64_t at, bool fails_after)
{
    const char *target = scenario->target;
    struct call *call;

    (void)fixture_setup(NULL);
    allocations.fails_after = fails_after;
    mem_set_fail_hook(may_fail);
    fixture_open();
    if (scenario->is_warm) {
        call = fixture_get(ALICE, DB);
        if (strstr(target, "%s") != NULL) {
            target = fixture_path(target, call_text(call, "lease"));
        }
    }
    call = send_short(scenario, target, at);
    judge(scenario, call);
    fixture_advance(MINUTE_MS);
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    assert_int_equal(fixture_get(RITA, API "/leases")->status, 200);
    mem_set_fail_hook(NULL);
    (void)fixture_teardown(NULL);
    return allocations.has_failed;
}

static void survives(const struct scenario *scenario)
{
    uint64_t at;

    for (at = 1; run_once(scenario, at, false); at++) {
        assert_true(run_once(scenario, at, true));
        assert_true(at < 500);
    }
}

static void test_asking_for_a_cold_credential_survives(void **state)
{
    const struct scenario scenario = {ALICE, "GET", DB, NULL, 200, false};

    (void)state;
    survives(&scenario);
}

static void test_asking_again_survives(void **state)
{
    const struct scenario scenario = {ALICE, "GET", DB, NULL, 200, true};

    (void)state;
    survives(&scenario);
}

static void test_asking_for_another_grant_survives(void **state)
{
    const struct scenario scenario = {ALICE,         "POST",
                                      API "/leases", "{\"role\":\"db\",\"reason\":\"x\"}",
                                      201,           true};

    (void)state;
    survives(&scenario);
}

static void test_a_denial_survives(void **state)
{
    const struct scenario scenario = {CAROL, "GET", DB, NULL, 403, false};

    (void)state;
    survives(&scenario);
}

static void test_looking_survives(void **state)
{
    static const char *const targets[] = {API "/leases",          API "/grants", API "/leases/%s",
                                          API "/status",          "/metrics",    "/readyz",
                                          API "/leases?limit=%31"};
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(targets); i++) {
        const struct scenario scenario = {ALICE, "GET", targets[i], NULL, 200, true};

        survives(&scenario);
    }
}

static void test_renewing_rotating_and_ending_survive(void **state)
{
    const struct scenario scenarios[] = {
        {ALICE, "POST", API "/leases/%s/renew", NULL, 200, true},
        {ALICE, "POST", API "/leases/%s/rotate", NULL, 200, true},
        {ALICE, "POST", API "/leases/%s/ack", NULL, 200, true},
        {ALICE, "GET", API "/watch", NULL, 200, true},
        {ALICE, "DELETE", API "/leases/%s?wait=30", NULL, 200, true},
        {ADA, "DELETE", API "/leases/%s", NULL, 202, true},
    };
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(scenarios); i++) {
        survives(&scenarios[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_asking_for_a_cold_credential_survives),
        cmocka_unit_test(test_asking_again_survives),
        cmocka_unit_test(test_asking_for_another_grant_survives),
        cmocka_unit_test(test_a_denial_survives),
        cmocka_unit_test(test_looking_survives),
        cmocka_unit_test(test_renewing_rotating_and_ending_survive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
