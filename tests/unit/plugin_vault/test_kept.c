/* A login that outlives its run: what is kept, and what the next run makes of it. */
#include "fake_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ISSUE "{\"path\":\"database/creds/orders\"}"
#define LEASE                                                                                      \
    "{\"lease_id\":\"database/creds/orders/x1\",\"renewable\":true,\"lease_duration\":600,"        \
    "\"data\":{\"password\":\"SECRET\"}}"
#define ALIVE                                                                                      \
    "{\"data\":{\"ttl\":3000,\"creation_ttl\":3600,\"renewable\":true,\"accessor\":\"own1\","      \
    "\"expire_time\":\"x\"}}"
#define LOOKUP "/v1/auth/token/lookup-self"
#define LOGIN_PATH "/v1/auth/approle/login"
#define OTHER_CONFIG                                                                               \
    "{\"auth\":{\"method\":\"approle\",\"role_id\":\"another\",\"secret_id_file\":\"/sid\"}}"

static char kept[HOST_STATE_MAX];

/* A run that logs in, and ends without a log-out. Returns its token's generation. */
static uint64_t first_run(const char *config, const char *answer)
{
    struct leased_host_context *host = host_open(config);
    uint64_t generation;

    host_answer(host, host_last(host), 200, answer);
    (void)host_issue(host, ISSUE, 0);
    host_answer(host, host_last(host), 200, LEASE);
    generation = host->generations[host->generation_count - 1];
    assert_true(generation > UINT32_MAX); /* drawn, not counted */
    assert_non_null(strstr(host->state, "s.SECRET-"));
    (void)snprintf(kept, sizeof(kept), "%s", host->state);
    host_close(host, 0);
    return generation;
}

static uint64_t approle_run(void)
{
    return first_run(APPROLE_CONFIG,
                     "{\"auth\":{\"client_token\":\"s.SECRET-1\",\"accessor\":\"own1\","
                     "\"lease_duration\":3600,\"renewable\":true}}");
}

static bool holds(struct leased_host_context *host, uint64_t generation)
{
    return host->plugin->holds_anchor(host->vault, generation) == 1;
}

static void test_a_kept_login_serves_at_once_and_is_looked_up(void **state)
{
    uint64_t generation = approle_run();
    struct leased_host_context *host = host_open_kept(APPROLE_CONFIG, kept);
    struct fake_op *op;

    (void)state;
    assert_true(holds(host, generation));
    assert_false(holds(host, generation + 1));
    assert_false(holds(host, 0));
    assert_int_equal(host->login_expires_ms, 1000000 + 3600000);
    assert_string_equal(host_last(host)->path, LOOKUP);
    assert_string_equal(host_last(host)->token, "s.SECRET-1");
    op = host_issue(host, ISSUE, 0); /* needn't wait for it */
    assert_string_equal(host->intents[0].ref, "#login own1");
    host_answer(host, host_last(host), 200, LEASE);
    assert_int_equal(op->status, LEASED_OK);
    assert_int_equal(host->generations[op->anchor - 1], generation);
    host_answer(host, &host->https[0], 200, ALIVE);
    assert_int_equal(host->login_expires_ms, 1000000 + 3000000); /* by what Vault says */
    assert_true(holds(host, generation));
    assert_int_equal(host->anchor_count, 0);
    assert_int_equal(host->http_count, 2); /* and no login */
    host_close(host, 0);
}

static void test_a_kept_login_that_is_dead_is_replaced_and_its_leases_told(void **state)
{
    uint64_t generation = approle_run();
    struct leased_host_context *host = host_open_kept(APPROLE_CONFIG, kept);

    (void)state;
    host_answer(host, host_last(host), 403, "{\"errors\":[\"permission denied\"]}");
    assert_int_equal(host_last_anchor(host)->when_ms, 0);
    assert_int_equal(host->generations[host_last_anchor(host)->anchor - 1], generation);
    assert_false(holds(host, generation));
    assert_string_equal(host_last(host)->path, LOGIN_PATH);
    assert_null(strstr(host->state, "SECRET-1"));
    host_close(host, 0);
}

static void test_a_kept_login_survives_an_issuer_that_is_down(void **state)
{
    uint64_t generation = approle_run();
    struct leased_host_context *host = host_open_kept(APPROLE_CONFIG, kept);

    (void)state;
    host_fail(host, host_last(host), LEASED_HTTP_NOT_SENT);
    assert_true(holds(host, generation));
    /* The next look at its health tries again. */
    (void)host_health(host);
    host_answer(host, host_last(host), 200, "{}");
    assert_string_equal(host_last(host)->path, LOOKUP);
    host_answer(host, host_last(host), 200, ALIVE);
    assert_int_equal(host->login_expires_ms, 1000000 + 3000000);
    host_close(host, 0);
}

static void test_another_login_keeps_the_old_one_for_its_leases(void **state)
{
    uint64_t generation = approle_run();
    struct leased_host_context *host = host_open_kept(OTHER_CONFIG, kept);
    struct fake_op *op;

    (void)state;
    assert_true(holds(host, generation));
    assert_string_equal(host_last(host)->path, LOGIN_PATH);
    op = host_issue(host, ISSUE, 0);
    assert_int_equal(host->http_count, 1); /* waits for its own login */
    host_answer(host, host_last(host), 200,
                "{\"auth\":{\"client_token\":\"s.SECRET-2\",\"accessor\":\"own2\","
                "\"lease_duration\":3600,\"renewable\":true}}");
    assert_string_equal(host_last(host)->token, "s.SECRET-2");
    host_answer(host, host_last(host), 200, LEASE);
    assert_int_not_equal(host->generations[op->anchor - 1], generation);
    /* Whose leases end with it are told when. */
    host_run(host);
    assert_int_equal(host->generations[host->anchors[0].anchor - 1], generation);
    assert_int_equal(host->anchors[0].when_ms, 1000000 + 3600000);
    host_advance(host, 3600000);
    assert_false(holds(host, generation));
    host_close(host, 0);
}

static void test_where_the_server_is_does_not_matter_but_who_we_are(void **state)
{
    struct leased_host_context *host;

    (void)state;
    (void)approle_run();
    host = host_open_kept("{\"token_role\":\"other\",\"auth\":{\"method\":\"approle\",\"role_id\":"
                          "\"the-role\",\"secret_id_file\":\"/sid\"}}",
                          kept);
    assert_string_equal(host_last(host)->path, LOOKUP);
    host_close(host, 0);
}

#define ROOT "{\"data\":{\"ttl\":0,\"expire_time\":null,\"accessor\":\"root1\"}}"

static void test_a_configured_token_keeps_its_generation_while_it_is_the_same(void **state)
{
    uint64_t generation = first_run(TOKEN_CONFIG, ROOT);
    struct leased_host_context *host = host_open_kept(TOKEN_CONFIG, kept);
    struct fake_op *op;

    (void)state;
    assert_true(holds(host, generation));
    while (host_open_https(host) > 0) {
        assert_string_equal(host_last(host)->path, LOOKUP);
        host_answer(host, host_last(host), 200, ROOT);
        host_run(host);
    }
    op = host_issue(host, ISSUE, 0);
    host_answer(host, host_last(host), 200, LEASE);
    assert_int_equal(host->generations[op->anchor - 1], generation);
    host_close(host, 0);
}

static void test_what_cannot_be_read_is_as_if_there_were_none(void **state)
{
    static const char *const states[] = {
        "nonsense",
        "[]",
        "{\"version\":2,\"current\":{\"token\":\"s.SECRET-1\",\"generation\":7}}",
        "{\"version\":1}",
        "{\"version\":1,\"current\":7,\"old\":[7,{}]}",
        "{\"version\":1,\"old\":[{\"token\":\"a b\",\"generation\":7}]}",
        "{\"version\":1,\"old\":[{\"token\":\"s.SECRET-1\",\"generation\":0}]}",
        "{\"version\":1,\"old\":[{\"token\":\"s.SECRET-1\",\"generation\":7,\"ends_ms\":5}]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        struct leased_host_context *host = host_open_kept(APPROLE_CONFIG, states[i]);

        assert_false(holds(host, 7));
        assert_string_equal(host_last(host)->path, LOGIN_PATH);
        host_close(host, 0);
    }
}

static void test_a_log_out_leaves_nothing(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);
    struct fake_op *op = &host->ops[host->op_count++];

    (void)state;
    assert_true(host->state[0] != '\0');
    op->is_open = true;
    assert_int_equal(host->plugin->close(host->vault, LEASED_CLOSE_LOGOUT, (leased_op *)(void *)op),
                     0);
    assert_string_equal(host->state, "");
    host_run(host);
    host_answer(host, host_last(host), 204, "");
    assert_false(op->is_open);
    assert_string_equal(host->state, "");
    free(host);
}

static void test_old_logins_are_kept_with_the_one_in_use(void **state)
{
    struct leased_host_context *host = host_open_approle(3600);
    uint64_t first;
    uint64_t second;

    (void)state;
    (void)host_issue(host, ISSUE, 0);
    host_answer(host, host_last(host), 200, LEASE);
    while (host_open_https(host) == 0) {
        host_advance_to_timer(host);
    }
    host_answer(host, host_last(host), 200,
                "{\"warnings\":[\"capped\"],\"auth\":{\"client_token\":\"x\",\"lease_duration\":"
                "1800,\"renewable\":true}}");
    host_run(host);
    host_answer(host, host_last(host), 200,
                "{\"auth\":{\"client_token\":\"s.SECRET-2\",\"lease_duration\":3600,"
                "\"renewable\":true}}");
    (void)host_issue(host, "{\"path\":\"a/creds/b\"}", 0);
    host_answer(host, host_last(host), 200,
                "{\"lease_id\":\"a/creds/b/1\",\"lease_duration\":60,\"data\":{\"k\":\"SECRET\"}}");
    first = host->generations[0];
    second = host->generations[1];
    (void)snprintf(kept, sizeof(kept), "%s", host->state);
    host_close(host, 0);
    host = host_open_kept(APPROLE_CONFIG, kept);
    assert_true(holds(host, first));
    assert_true(holds(host, second));
    assert_string_equal(host_last(host)->token, "s.SECRET-2");
    host_run(host);
    assert_int_equal(host->generations[host->anchors[0].anchor - 1], first);
    host_close(host, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_kept_login_serves_at_once_and_is_looked_up),
        cmocka_unit_test(test_a_kept_login_that_is_dead_is_replaced_and_its_leases_told),
        cmocka_unit_test(test_a_kept_login_survives_an_issuer_that_is_down),
        cmocka_unit_test(test_another_login_keeps_the_old_one_for_its_leases),
        cmocka_unit_test(test_where_the_server_is_does_not_matter_but_who_we_are),
        cmocka_unit_test(test_a_configured_token_keeps_its_generation_while_it_is_the_same),
        cmocka_unit_test(test_what_cannot_be_read_is_as_if_there_were_none),
        cmocka_unit_test(test_a_log_out_leaves_nothing),
        cmocka_unit_test(test_old_logins_are_kept_with_the_one_in_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
