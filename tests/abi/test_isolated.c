/* An isolated issue through the real host: nothing is asked for before it is on record. */
#include "builtin_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* The lease layer's side of an intent: recorded at once, told from the loop. */
static struct {
    char refs[2][64];
    size_t count;
    struct lease_intent *pending;
} intended;

static int intend(struct lease_call *lease_call, struct str ref, struct lease_intent *intent)
{
    assert_non_null(lease_call);
    assert_true(intended.count < ARRAY_LEN(intended.refs));
    (void)snprintf(intended.refs[intended.count], sizeof(intended.refs[0]), "%.*s", STR_ARG(ref));
    intended.count++;
    intended.pending = intent;
    intent->impl = &intended;
    return 0;
}

static void recorded(struct world *world)
{
    struct lease_intent *intent = intended.pending;

    intent->impl = NULL;
    intent->fn(intent, 0);
    fake_env_run(&world->fake);
}

static void test_what_is_issued_is_on_record_before_it_is_asked_for(void **state)
{
    struct ended ended;
    struct world world;

    (void)state;
    memset(&intended, 0, sizeof(intended));
    world_open(&world);
    answer(&world, 200,
           "{\"auth\":{\"client_token\":\"s.1\",\"lease_duration\":7200,\"renewable\":true}}");
    answer(&world, 200, "{\"data\":{}}"); /* nothing is missing */
    answer(&world, 200, "{\"data\":{\"ttl\":7200,\"period\":7200,\"renewable\":true}}");
    call(&world, &ended, LEASE_CALL_ISSUE, "{\"path\":\"database/creds/joe\"}");
    ended.call.intend = intend;
    assert_string_equal(path_of(&world), "auth/token/create");
    answer(&world, 200,
           "{\"auth\":{\"client_token\":\"s.2\",\"accessor\":\"a2\",\"lease_duration\":60,"
           "\"renewable\":true,\"orphan\":false}}");
    assert_string_equal(intended.refs[0], "#child a2");
    assert_null(fake_env_http_first(&world.fake));
    recorded(&world);
    assert_string_equal(path_of(&world), "database/creds/joe");
    answer(&world, 200,
           "{\"lease_id\":\"database/creds/joe/1\",\"lease_duration\":3600,\"renewable\":true,"
           "\"data\":{\"username\":\"u\",\"password\":\"p\"}}");
    assert_int_equal(intended.count, 1); /* the child's record stands until the lease's own */
    assert_string_equal(path_of(&world), "auth/token/renew-accessor");
    answer(&world, 200, "{\"auth\":{\"client_token\":\"\",\"lease_duration\":3660}}");
    assert_int_equal(ended.outcome, LEASE_OUTCOME_OK);
    assert_string_equal(ended.ref, "database/creds/joe/1\na2");
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_issued_is_on_record_before_it_is_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
