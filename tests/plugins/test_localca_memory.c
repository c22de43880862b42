/* localca: every allocation of a life fails once. Nothing crashes, nothing is left behind, every
 * operation still ends once, and what was called revoked is in the lists. */
#include "plugins/localca_world.h"

#include "base/mem.h"

#include <string.h>

static size_t fail_at;
static size_t count;

static int fails(size_t size)
{
    (void)size;
    return ++count == fail_at ? 1 : 0;
}

static struct localca_world it;
static struct plugin_call calls[8];

/* A call that may be refused at its start; then nothing ends. Returns whether it went well. */
static bool attempt(struct plugin_call *call)
{
    struct lease_issuer *issuer = backend_issuer(it.world.backend);
    size_t started;

    call->call.role = "the-role";
    call->call.fn = calls[0].call.fn;
    call->call.user = call;
    started = issuer->ops->call_start(issuer, &call->call) == 0 ? 1 : 0;
    fake_env_advance(&it.world.fake, 0);
    assert_int_equal(call->end_count, started);
    return started == 1 && call->outcome == LEASE_OUTCOME_OK;
}

/* One life. Returns whether all of it went well. */
static bool live(void)
{
    static const char *const params[] = {LOCALCA_PARAMS_X509, LOCALCA_PARAMS_SSH};
    bool is_good = true;

    for (size_t i = 0; i < 2; i++) {
        struct plugin_call *issue = &calls[1 + i];
        struct plugin_call *revoke = &calls[3 + i];

        *issue = (struct plugin_call){
            .call = {.kind = LEASE_CALL_ISSUE,
                     .params_json = params[i],
                     .caller = {.user = "joe", .reason = "", .sans = "", .uid = 1000},
                     .ttl_ms = 600000}};
        is_good = attempt(issue) && is_good;
        if (issue->end_count == 0 || issue->outcome != LEASE_OUTCOME_OK) {
            continue;
        }
        *revoke = (struct plugin_call){.call = {.kind = LEASE_CALL_REVOKE,
                                                .params_json = params[i],
                                                .issuer_ref = str_of(issue->ref)}};
        is_good = attempt(revoke) && is_good;
    }
    fake_env_advance(&it.world.fake, 120000); /* what failed is tried again */
    return is_good;
}

static bool is_empty(const char *path)
{
    return fake_env_put_bytes(&it.world.fake, path).len == 0;
}

static void test_every_allocation_fails_once(void **state)
{
    bool is_good = false;

    (void)state;
    for (fail_at = 1; !is_good; fail_at++) {
        localca_world_init(&it, LOCALCA_CONFIG);
        plugin_world_issue(&it.world, &calls[0], LOCALCA_PARAMS_X509, 600000); /* to have its fn */
        count = 0;
        mem_set_fail_hook(fails);
        is_good = live() && count < fail_at;
        mem_set_fail_hook(NULL);
        fake_env_advance(&it.world.fake, 120000);
        assert_false(is_empty("/pub/ca.crl"));
        assert_false(is_empty("/pub/ca.krl"));
        localca_world_fini(&it);
    }
    assert_true(fail_at > 50);
}

static void test_every_allocation_of_opening_fails_once(void **state)
{
    struct backend_options options = {.name = "under-test", .config_json = LOCALCA_CONFIG};
    bool is_good = false;

    (void)state;
    for (fail_at = 1; !is_good; fail_at++) {
        struct err e = {0};

        localca_world_init(&it, NULL);
        options.env = &it.world.fake.env;
        options.plugin = it.world.plugin;
        options.state = STR("LCA1\0\0\0\0\0\0\0\1");
        count = 0;
        mem_set_fail_hook(fails);
        if (backend_open(&options, &it.world.backend, &e) == 0) {
            fake_env_advance(&it.world.fake, 0);
            is_good = count < fail_at;
        }
        mem_set_fail_hook(NULL);
        fake_env_advance(&it.world.fake, 120000); /* without a list at first it is tried again */
        if (it.world.backend != NULL) {
            assert_false(is_empty("/pub/ca.crl"));
        }
        localca_world_fini(&it);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_every_allocation_of_opening_fails_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
