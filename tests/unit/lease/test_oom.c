/* Every allocation fails once, and from each one on: nothing crashes, nothing leaks, nothing lives
 * on at the issuer, and the same again without a failure works. */
#include "base/mem.h"
#include "unit/lease/fixture.h"

#include <string.h>

#define RUNS_MAX 2000

static struct {
    uint32_t at; /* the allocation that fails; 0: none */
    uint32_t seen;
    bool is_for_ever;
    bool has_failed;
} oom;

static int fail_hook(size_t size)
{
    (void)size;
    oom.seen++;
    if (oom.at == 0 || oom.seen < oom.at || (oom.seen > oom.at && !oom.is_for_ever)) {
        return 0;
    }
    oom.has_failed = true;
    return 1;
}

/* One credential's whole way, with a shared role, a renewal, a rotation and a revocation. */
static void live_a_life(void)
{
    struct client *a = fixture_client(0);
    struct client *b = fixture_client(1);

    fixture_get(a, &f.role);
    fixture_get(b, &f.shared);
    (void)fixture_cached(a, &f.role);
    fixture_advance(31 * MINUTE_MS);
    if (a->grant != NULL && a->status == 0) {
        assert_int_equal(lease_rotate_start(f.core, grant_lease(a->grant), fixture_wait()), 0);
        fixture_advance(SECOND_MS);
        fixture_get(a, &f.role);
    }
    if (a->grant != NULL && a->status == 0) {
        lease_end_grant(f.core, a->grant, GRANT_END_RELEASED, NULL);
    }
    fixture_advance(SECOND_MS);
    fake_env_end_process(&f.fake, 1001);
    fixture_run();
}

static void closed(void *user)
{
    (void)user;
    f.closed_count++;
}

static void close_all(void)
{
    assert_int_equal(model_live_count(&f.model), 0);
    lease_core_close(f.core, closed, NULL);
    fake_env_run(&f.fake);
    audit_close(f.audit, closed, NULL);
    fake_env_run(&f.fake);
    assert_int_equal(f.closed_count, 2);
    fake_env_fini(&f.fake);
    assert_int_equal(mem_in_use_bytes(), f.mem_before);
}

static void waited(struct lease_wait *wait, int status)
{
    (void)wait;
    f.wait_status = status;
}

static void retry_works(void)
{
    static struct lease_wait drained;
    struct client *client = fixture_client(2);

    fixture_advance(10 * SECOND_MS); /* the trail has come back */
    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_true(strlen(client->password) > 0);
    drained = (struct lease_wait){.fn = waited};
    lease_core_drain(f.core, f.fake.now_ms + HOUR_MS, false, &drained);
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(f.wait_status, 0);
}

static bool run_failing_at(uint32_t at, bool is_for_ever)
{
    void *state = NULL;

    (void)fixture_setup(&state);
    fixture_open();
    memset(&oom, 0, sizeof(oom));
    oom.at = at;
    oom.is_for_ever = is_for_ever;
    mem_set_fail_hook(fail_hook);
    live_a_life();
    mem_set_fail_hook(NULL);
    retry_works();
    close_all();
    return oom.has_failed;
}

static void test_each_allocation_may_fail_once(void **state)
{
    uint32_t at = 1;

    (void)state;
    while (run_failing_at(at, false)) {
        at++;
        assert_true(at < RUNS_MAX);
    }
    assert_true(at > 50);
}

static void test_memory_may_run_out_at_any_point(void **state)
{
    uint32_t at = 1;

    (void)state;
    while (run_failing_at(at, true)) {
        at++;
        assert_true(at < RUNS_MAX);
    }
    assert_true(at > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_may_fail_once),
        cmocka_unit_test(test_memory_may_run_out_at_any_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
