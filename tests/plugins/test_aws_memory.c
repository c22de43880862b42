/* Every allocation of a life fails once: nothing crashes, nothing is left behind, every operation
 * still ends once. */
#include "plugins/aws_world.h"

#include "base/mem.h"

#include <jansson.h>
#include <string.h>

#define CONFIG                                                                                     \
    "{\"region\":\"eu-west-1\",\"source\":{\"type\":\"instance_metadata\"},\"assume_role\":"       \
    "{\"role_arn\":\"" AWS_ROLE_ARN "\"}}"
#define PARAMS                                                                                     \
    "{\"role_arn\":\"" AWS_ROLE_ARN "\",\"revoke\":\"deny-older\",\"tags\":{\"a\":\"${reason}\"}," \
    "\"policy\":{\"Version\":\"1\"}}"
#define ALLOCATIONS_MOST 2000

static int countdown;

static int fail_one(size_t size)
{
    (void)size;
    return countdown-- == 0;
}

/* What a friendly AWS answers to what waits. */
static void answer(struct plugin_world *world)
{
    const char *url = plugin_world_http(world)->url;
    const char *body = plugin_world_body(world);

    if (strstr(url, "api/token") != NULL) {
        plugin_world_answer(world, 200, "SECRET");
    } else if (strstr(url, "credentials/builder") != NULL) {
        plugin_world_answer(world, 200,
                            "{\"AccessKeyId\":\"ASIA1\",\"SecretAccessKey\":\"SECRET\",\"Token\":"
                            "\"SECRET\",\"Expiration\":\"2026-01-01T06:00:00Z\"}");
    } else if (strstr(url, "credentials/") != NULL) {
        plugin_world_answer(world, 200, "builder");
    } else if (strstr(body, "GetCallerIdentity") != NULL) {
        aws_answer_identity(world, "123456789012");
    } else if (strstr(body, "PutRolePolicy") != NULL) {
        aws_answer_put(world);
    } else {
        aws_answer_session(world, "AssumeRole");
    }
}

/* Starts the call, and answers until it has ended; what couldn't be started has ended, too. */
static bool run(struct plugin_world *world, struct plugin_call *call)
{
    if (plugin_world_try(world, call) != 0) {
        return false;
    }
    while (!plugin_world_is_idle(world)) {
        answer(world);
    }
    fake_env_advance(&world->fake, 2000);
    while (!plugin_world_is_idle(world)) {
        answer(world);
    }
    assert_int_equal(call->end_count, 1);
    return call->outcome == LEASE_OUTCOME_OK;
}

/* One life; did all of it go well? The allocation number `failing` fails. */
static bool live(int failing)
{
    struct plugin_world world;
    struct plugin_call issue = {.call = {.kind = LEASE_CALL_ISSUE,
                                         .params_json = PARAMS,
                                         .caller = {.user = "joe", .reason = "x", .sans = ""}}};
    struct plugin_call revoke = {.call = {.kind = LEASE_CALL_REVOKE, .params_json = PARAMS}};
    bool is_fine;

    plugin_world_init(&world, leased_plugin_entry_aws, "aws");
    plugin_world_open(&world, NULL, CONFIG);
    countdown = failing;
    mem_set_fail_hook(fail_one);
    is_fine = run(&world, &issue);
    revoke.call.issuer_ref = STR("A\n" AWS_ROLE_ARN " 1767225600");
    is_fine = run(&world, &revoke) && is_fine;
    mem_set_fail_hook(NULL);
    plugin_world_fini(&world);
    return is_fine;
}

static void test_any_allocation_may_fail(void **state)
{
    int failed = 0;
    int n = 0;

    (void)state;
    do {
        failed += live(n) ? 0 : 1;
        assert_in_range(n, 0, ALLOCATIONS_MOST);
        n++;
    } while (countdown < 0);
    assert_true(failed > 50); /* it was the plugin's allocations that failed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_allocation_may_fail),
    };

    json_set_alloc_funcs(mem_alloc, mem_free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
