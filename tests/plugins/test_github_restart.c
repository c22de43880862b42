/* What a run of the daemon issued is revoked by the next one, and by a reload's new backend. */
#include "plugins/github_world.h"

#include <stdio.h>
#include <string.h>

#define PARAMS "{\"installation_id\":42}"

static char kept[256];
static size_t kept_len;

static int keep(void *user, struct backend *backend, struct str state)
{
    (void)user;
    (void)backend;
    assert_true(state.len <= sizeof(kept));
    memcpy(kept, state.ptr, state.len);
    kept_len = state.len;
    return 0;
}

static void gone(void *user)
{
    (*(size_t *)user)++;
}

/* Closes the world's backend and opens it as the next run of the daemon does. */
static void restart(struct plugin_world *world, struct str state)
{
    const char *address = NULL;
    struct backend_options options = {.env = &world->fake.env,
                                      .plugin = world->plugin,
                                      .name = "under-test",
                                      .addresses = &address,
                                      .config_json = GITHUB_CONFIG,
                                      .state = state,
                                      .keep_state = keep,
                                      .user = world};
    size_t gone_count = 0;

    backend_close(world->backend, false, gone, &gone_count);
    fake_env_advance(&world->fake, 0);
    assert_int_equal(gone_count, 1);
    assert_int_equal(backend_open(&options, &world->backend, NULL), 0);
    fake_env_run(&world->fake);
}

static void test_the_next_run_can_revoke_what_this_one_issued(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    char ref[1100];

    (void)state;
    github_world_init(&world, NULL);
    restart(&world, STR(""));
    assert_int_equal(kept_len, 33);
    (void)snprintf(ref, sizeof(ref), "%s", github_world_ref(&world));
    restart(&world, (struct str){kept, kept_len});
    plugin_world_revoke(&world, &call, PARAMS, ref);
    assert_string_equal(plugin_world_header(&world, "Authorization"), "Bearer " GITHUB_TOKEN);
    plugin_world_answer(&world, 204, "");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_a_backend_that_is_given_nothing_that_was_kept_can_revoke_it_too(void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    char ref[1100];

    (void)state;
    github_world_init(&world, NULL);
    (void)snprintf(ref, sizeof(ref), "%s", github_world_ref(&world));
    restart(&world, STR(""));
    plugin_world_revoke(&world, &call, PARAMS, ref);
    plugin_world_answer(&world, 204, "");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    restart(&world, STR("\x02 of another version"));
    plugin_world_revoke(&world, &call, PARAMS, ref);
    plugin_world_answer(&world, 204, "");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_with_another_private_key_what_was_kept_opens_references_and_nothing_else(
    void **state)
{
    struct plugin_world world;
    struct plugin_call call;
    char ref[1100];

    (void)state;
    github_world_init(&world, NULL);
    restart(&world, STR(""));
    (void)snprintf(ref, sizeof(ref), "%s", github_world_ref(&world));
    world.fake.secrets[0].value = "another one";
    restart(&world, (struct str){kept, kept_len});
    plugin_world_revoke(&world, &call, PARAMS, ref);
    plugin_world_answer(&world, 204, "");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    restart(&world, STR(""));
    plugin_world_revoke(&world, &call, PARAMS, ref);
    assert_int_equal(call.outcome, LEASE_OUTCOME_DENIED);
    assert_non_null(strstr(call.detail, "a key that isn't there any more"));
    plugin_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_run_can_revoke_what_this_one_issued),
        cmocka_unit_test(test_a_backend_that_is_given_nothing_that_was_kept_can_revoke_it_too),
        cmocka_unit_test(
            test_with_another_private_key_what_was_kept_opens_references_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
