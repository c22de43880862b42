/* The keys that sign are what another role of this daemon gives. */
#include "plugins/aws_world.h"

#include "base/mem.h"

#include <string.h>

#define CONFIG "{\"region\":\"eu-west-1\",\"source\":{\"type\":\"role\",\"role\":\"keys\"}}"
#define CHAINED                                                                                    \
    "{\"region\":\"eu-west-1\",\"source\":{\"type\":\"role\",\"role\":\"keys\"},\"assume_role\":"  \
    "{\"role_arn\":\"arn:aws:iam::123456789012:role/base\"}}"

static void open_with(struct plugin_world *world, const char *config, const char *const names[3],
                      const char *token)
{
    plugin_world_init(world, leased_plugin_entry_aws, "aws");
    world->lender.fields[0] =
        (struct lease_field){.name = str_of(names[0]), .value = STR("AKIALENT")};
    world->lender.fields[1] =
        (struct lease_field){.name = str_of(names[1]), .value = STR("SECRET-lent")};
    world->lender.fields[2] =
        (struct lease_field){.name = str_of(names[2]), .value = str_of(token)};
    world->lender.field_count = token[0] != '\0' ? 3 : 2;
    plugin_world_open(world, NULL, config);
}

static const char *const vaults[] = {"access_key", "secret_key", "security_token"};
static const char *const ours[] = {"access_key_id", "secret_access_key", "session_token"};

static void open_keys(struct plugin_world *world)
{
    open_with(world, CONFIG, ours, "");
}

static void test_the_names_of_vaults_engine_and_ours_are_taken(void **state)
{
    const char *const *const names[] = {vaults, ours};
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        open_with(&world, CONFIG, names[i], "SECRET-lent-token-0123456789");
        plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
        aws_assert_signed_by(&world, "AKIALENT");
        assert_string_equal(plugin_world_header(&world, "x-amz-security-token"),
                            "SECRET-lent-token-0123456789");
        aws_answer_session(&world, "AssumeRole");
        assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
        plugin_world_fini(&world);
    }
}

static void test_it_is_asked_for_at_each_use(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    open_keys(&world);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_answer_session(&world, "AssumeRole");
    world.lender.fields[0].value = STR("AKIANEXT");
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_assert_signed_by(&world, "AKIANEXT");
    aws_answer_session(&world, "AssumeRole");
    assert_int_equal(world.lender.loan_count, 2);
    assert_int_equal(world.lender.refused_count, 0);
    plugin_world_fini(&world);
}

static void test_a_session_may_assume_a_role_for_an_hour_only_and_a_users_keys_for_longer(
    void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    open_with(&world, CONFIG, ours, "SECRET-lent-token-0123456789");
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 7200000);
    assert_non_null(strstr(plugin_world_body(&world), "DurationSeconds=3600"));
    aws_answer_session(&world, "AssumeRole");
    plugin_world_fini(&world);
    open_keys(&world);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 7200000);
    assert_non_null(strstr(plugin_world_body(&world), "DurationSeconds=7200"));
    aws_answer_session(&world, "AssumeRole");
    plugin_world_fini(&world);
}

static void test_what_becomes_of_the_role_becomes_of_the_operation(void **state)
{
    static const struct {
        int status;
        uint64_t retry_after_ms;
        enum lease_outcome outcome;
    } cases[] = {
        {ERR_UNAVAILABLE, 0, LEASE_OUTCOME_RETRY}, {ERR_UNAVAILABLE, 7000, LEASE_OUTCOME_RETRY},
        {ERR_DENIED, 0, LEASE_OUTCOME_DENIED},     {ERR_INVALID, 0, LEASE_OUTCOME_INVALID},
        {ERR_NOMEM, 0, LEASE_OUTCOME_RETRY},       {ERR_CANCELED, 0, LEASE_OUTCOME_CANCELED},
    };
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        open_keys(&world);
        world.lender.status = cases[i].status;
        world.lender.retry_after_ms = cases[i].retry_after_ms;
        plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
        assert_int_equal(call.outcome, cases[i].outcome);
        assert_int_equal(call.retry_after_ms, cases[i].retry_after_ms);
        assert_non_null(strstr(call.detail, "source: role keys: "));
        plugin_world_fini(&world);
    }
}

static void test_one_that_aws_refuses_is_reported_once(void **state)
{
    static const char *const codes[] = {"ExpiredToken", "InvalidClientTokenId"};
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        open_keys(&world);
        plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
        world.lender.fields[0].value = STR("AKIANEXT");
        aws_answer_error(&world, 403, codes[i], "no");
        assert_int_equal(world.lender.refused_count, 1);
        aws_assert_signed_by(&world, "AKIANEXT");
        aws_answer_error(&world, 403, codes[i], "no");
        assert_int_equal(call.end_count, 1);
        assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY); /* it may be too new */
        assert_int_equal(world.lender.refused_count, 1);
        plugin_world_fini(&world);
    }
}

static void test_a_role_on_top_is_assumed_with_it(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    open_with(&world, CHAINED, vaults, "");
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 7200000);
    aws_assert_signed_by(&world, "AKIALENT");
    assert_non_null(strstr(plugin_world_body(&world), "role%2Fbase"));
    aws_answer_session(&world, "AssumeRole");
    aws_assert_signed_by(&world, "ASIAEXAMPLE");
    assert_non_null(strstr(plugin_world_body(&world), "DurationSeconds=3600"));
    aws_answer_session(&world, "AssumeRole");
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_a_role_that_gives_no_keys_is_said_to_be_wrong(void **state)
{
    static const char *const names[] = {"username", "password", "x"};
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    open_with(&world, CONFIG, names, "");
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    assert_non_null(strstr(call.detail, "source: the access key id is missing"));
    assert_null(strstr(call.detail, "SECRET"));
    plugin_world_fini(&world);
}

static void test_one_that_never_comes_ends_with_the_operation_and_with_the_backend(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    open_keys(&world);
    world.lender.is_held = true;
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    plugin_world_time_out(&world);
    assert_int_equal(call.end_count, 1);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    plugin_world_fini(&world);
    assert_int_equal(world.lender.loan_count, 2);
}

static void test_the_key_that_is_wrong_is_named(void **state)
{
    struct plugin_world world;

    (void)state;
    open_keys(&world);
    assert_memory_equal(
        plugin_world_config_error(
            &world, "{\"region\":\"eu-west-1\",\"source\":{\"type\":\"role\",\"role\":\"\"}}"),
        "source.role: ", 13);
    assert_memory_equal(plugin_world_config_error(&world, "{\"region\":\"eu-west-1\",\"source\":{"
                                                          "\"type\":\"role\",\"profile\":\"a\"}}"),
                        "source.profile: ", 16);
    plugin_world_fini(&world);
}

static uint32_t allocations_left;

static int fail_one(size_t size)
{
    (void)size;
    return allocations_left > 0 && --allocations_left == 0 ? 1 : 0;
}

static void test_each_allocation_fails_once(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    for (uint32_t n = 1; n < 60; n++) {
        open_keys(&world);
        mem_set_fail_hook(fail_one);
        allocations_left = n;
        plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
        mem_set_fail_hook(NULL);
        if (call.end_count == 0) {
            aws_answer_session(&world, "AssumeRole");
        }
        assert_int_equal(call.end_count, 1);
        plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
        aws_answer_session(&world, "AssumeRole");
        assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
        plugin_world_fini(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_names_of_vaults_engine_and_ours_are_taken),
        cmocka_unit_test(test_it_is_asked_for_at_each_use),
        cmocka_unit_test(
            test_a_session_may_assume_a_role_for_an_hour_only_and_a_users_keys_for_longer),
        cmocka_unit_test(test_what_becomes_of_the_role_becomes_of_the_operation),
        cmocka_unit_test(test_one_that_aws_refuses_is_reported_once),
        cmocka_unit_test(test_a_role_on_top_is_assumed_with_it),
        cmocka_unit_test(test_a_role_that_gives_no_keys_is_said_to_be_wrong),
        cmocka_unit_test(test_one_that_never_comes_ends_with_the_operation_and_with_the_backend),
        cmocka_unit_test(test_the_key_that_is_wrong_is_named),
        cmocka_unit_test(test_each_allocation_fails_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
