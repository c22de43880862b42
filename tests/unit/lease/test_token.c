/* Grant tokens: what they name, for whom, and for how long; and what a caller without a process
 * does with them. */
#include "lease/recheck.h"
#include "lease/token.h"
#include "unit/lease/fixture.h"

#include <stdio.h>
#include <string.h>

static struct secret token;

static int setup(void **state)
{
    secret_init(&token);
    return fixture_setup(state);
}

static int teardown(void **state)
{
    secret_fini(&token);
    return fixture_teardown(state);
}

/* Client 0 holds a grant, and this is its token. */
static struct client *holder(void)
{
    struct client *client = fixture_client(0);

    fixture_get(client, &f.role);
    assert_int_equal(client->status, 0);
    assert_int_equal(lease_token_make(f.core, client->grant, &token), 0);
    return client;
}

/* Client 100 as the user of client 0 on loopback TCP. */
static struct client *same_user_by_tcp(void)
{
    struct client *client = fixture_client(100);

    client->identity = fixture_client(0)->identity;
    client->identity.kind = ENV_PEER_LOOPBACK;
    client->identity.listener = "tcp";
    client->identity.pid = 0;
    client->identity.start_ticks = 0;
    client->decision.binding_count = 0;
    return client;
}

static int find(const struct client *client, struct str text, struct grant **ret_grant)
{
    struct err e = {.code = 0};
    int r = lease_token_find(f.core, text, &client->identity, ret_grant, &e);

    assert_true(r == 0 || e.text[0] != '\0');
    return r;
}

static void test_a_token_names_its_grant(void **state)
{
    struct client *client = holder();
    struct grant *grant = NULL;

    (void)state;
    assert_true(lease_token_is_one(secret_view(&token)));
    assert_int_equal(find(client, secret_view(&token), &grant), 0);
    assert_ptr_equal(grant, client->grant);
    assert_int_equal(find(same_user_by_tcp(), secret_view(&token), &grant), 0);
    assert_int_equal(fixture_trail_has(secret_view(&token).ptr), 0);
}

static void test_each_changed_byte_makes_it_nothing(void **state)
{
    struct client *client = holder();
    char text[LEASE_TOKEN_BYTES];
    struct grant *grant = NULL;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(text); i++) {
        memcpy(text, secret_view(&token).ptr, sizeof(text));
        text[i] = text[i] == '0' ? '1' : '0';
        assert_int_equal(find(client, (struct str){.ptr = text, .len = sizeof(text)}, &grant),
                         ERR_NOT_FOUND);
        assert_int_equal(find(client, (struct str){.ptr = text, .len = i}, &grant), ERR_NOT_FOUND);
    }
    assert_int_equal(find(client, (struct str){.ptr = NULL}, &grant), ERR_NOT_FOUND);
    assert_int_equal(find(client, STR("hvs.CAESIJ"), &grant), ERR_NOT_FOUND);
    assert_null(grant);
}

static void test_it_is_dead_when_its_grant_is(void **state)
{
    struct client *client = holder();
    struct grant *grant = NULL;

    (void)state;
    lease_end_grant(f.core, client->grant, GRANT_END_RELEASED, NULL);
    fixture_run();
    assert_int_equal(find(client, secret_view(&token), &grant), ERR_NOT_FOUND);
}

static void test_another_user_has_no_use_for_it(void **state)
{
    struct client *client = holder();
    struct client *other = same_user_by_tcp();
    struct grant *grant = NULL;

    (void)state;
    other->identity.uid++;
    assert_int_equal(find(other, secret_view(&token), &grant), ERR_DENIED);
    assert_ptr_equal(grant, client->grant);
    other->identity.uid--;
    other->identity.user[0] = '\0';
    assert_int_equal(find(other, secret_view(&token), &grant), ERR_DENIED);
    other->identity = client->identity;
    other->identity.is_foreign = true;
    memcpy(other->identity.container, "c0ffee", 7);
    assert_int_equal(find(other, secret_view(&token), &grant), ERR_DENIED);
    other->identity = (struct access_identity){
        .kind = ENV_PEER_TLS, .listener = "tls", .uid = ENV_NO_ID, .sans = "ci.example"};
    assert_int_equal(find(other, secret_view(&token), &grant), ERR_DENIED);
}

static void test_its_grants_credential_is_read_with_it(void **state)
{
    struct client *client = holder();
    struct client *child = same_user_by_tcp();

    (void)state;
    child->acquire.ask.named = client->grant;
    assert_ptr_equal(fixture_cached(child, &f.role), client->grant);
    assert_int_equal(lease_rotate_start(f.core, fixture_lease(client), fixture_wait()), 0);
    fixture_run();
    fixture_get(child, &f.role);
    assert_int_equal(child->status, 0);
    assert_ptr_equal(child->grant, client->grant);
    assert_string_not_equal(child->password, client->password);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 2);
}

/* Whoever reads by a token says nothing of what its rule wants left. */
static void test_what_its_rule_wants_left_counts_with_it_too(void **state)
{
    struct client *client;
    struct client *child;

    (void)state;
    f.model.is_renewable = false;
    f.model.lifetime_ms = f.role.ttl_ms = HOUR_MS;
    f.role.min_remaining_ms = MINUTE_MS;
    fixture_client(0)->decision.min_remaining_ms = 29 * MINUTE_MS;
    client = holder();
    child = same_user_by_tcp();
    fixture_advance(35 * MINUTE_MS);
    child->acquire.ask.named = client->grant;
    assert_null(fixture_cached(child, &f.role));
    fixture_get(child, &f.role);
    assert_int_equal(child->status, 0);
    assert_ptr_equal(child->grant, client->grant);
    assert_int_equal(f.model.call_counts[LEASE_CALL_ISSUE], 2);
}

static void judge(void *user, const struct access_identity *identity,
                  const struct access_request *request, struct access_decision *ret_decision)
{
    (void)identity;
    (void)request;
    *ret_decision = *(const struct access_decision *)user;
}

static void test_a_new_policy_says_what_must_be_left(void **state)
{
    struct access_decision decision = {.outcome = ACCESS_ALLOW,
                                       .rule = "rule-two",
                                       .min_remaining_ms = 29 * MINUTE_MS};
    struct client *client;
    struct client *child;

    (void)state;
    f.model.is_renewable = false;
    f.model.lifetime_ms = f.role.ttl_ms = HOUR_MS;
    f.role.min_remaining_ms = MINUTE_MS;
    fake_env_add_user(&f.fake, 500, "user500");
    client = holder();
    child = same_user_by_tcp();
    fixture_advance(35 * MINUTE_MS);
    child->acquire.ask.named = client->grant;
    assert_ptr_equal(fixture_cached(child, &f.role), client->grant);
    (void)lease_core_recheck(f.core, &(struct lease_recheck){.policy_digest = "digest-two",
                                                             .judge = judge,
                                                             .user = &decision});
    assert_int_equal(client->grant->state, GRANT_STATE_HELD);
    assert_null(fixture_cached(child, &f.role));
}

static void test_another_role_is_bound_to_what_its_grant_is_bound_to(void **state)
{
    struct client *client = holder();
    struct client *child = same_user_by_tcp();
    char binding[64];

    (void)state;
    fixture_get(child, &f.personal);
    assert_int_equal(child->status, ERR_UNSUPPORTED);
    child->acquire.ask.named = client->grant;
    fixture_get(child, &f.personal);
    assert_int_equal(child->status, 0);
    assert_ptr_not_equal(child->grant, client->grant);
    assert_int_equal(child->grant->watched_count, 1);
    (void)snprintf(binding, sizeof(binding), "process,grant:%s", client->grant->id);
    assert_string_equal(grant_bindings_text(child->grant), binding);
    assert_ptr_equal(fixture_cached(child, &f.personal), child->grant);
    fake_env_end_process(&f.fake, client->identity.pid);
    fixture_run();
    assert_int_equal(child->grant->end, GRANT_END_BINDING);
}

/* Others end meanwhile, so many that nothing is kept of it. */
static void end_for_good(struct grant *grant)
{
    struct client *other = fixture_client(10);
    char id[LEASE_ID_BYTES + 1];

    memcpy(id, grant->id, sizeof(id));
    lease_end_grant(f.core, grant, GRANT_END_RELEASED, NULL);
    while (lease_core_find_grant(f.core, str_of(id)) != NULL) {
        fixture_get(other, &f.role);
        assert_int_equal(other->status, 0);
        lease_end_grant(f.core, other->grant, GRANT_END_RELEASED, NULL);
        fixture_run();
    }
}

static void test_it_may_be_gone_before_there_is_an_answer_about_another_role(void **state)
{
    struct client *client = holder();
    struct client *child = same_user_by_tcp();

    (void)state;
    f.model.is_held[LEASE_CALL_ISSUE] = true;
    child->acquire.ask.named = client->grant;
    fixture_ask(child, &f.personal);
    fixture_run();
    f.model.is_held[LEASE_CALL_ISSUE] = false;
    end_for_good(client->grant);
    model_answer_all(&f.model);
    fixture_run();
    assert_int_equal(child->call_count, 1);
    assert_int_equal(child->status, 0);
}

static void test_a_grant_without_a_process_has_none_to_lend(void **state)
{
    struct client *client = fixture_client(0);
    struct client *child = same_user_by_tcp();

    (void)state;
    client->decision.bindings[0] = (struct access_binding_spec){.kind = ACCESS_BINDING_NONE};
    client->decision.binding_count = 1;
    fixture_get(client, &f.role);
    child->acquire.ask.named = client->grant;
    fixture_get(child, &f.personal);
    assert_int_equal(child->status, ERR_UNSUPPORTED);
    assert_non_null(strstr(child->acquire.error.text, "no process"));
}

#define token_test(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        token_test(test_a_token_names_its_grant),
        token_test(test_each_changed_byte_makes_it_nothing),
        token_test(test_it_is_dead_when_its_grant_is),
        token_test(test_another_user_has_no_use_for_it),
        token_test(test_its_grants_credential_is_read_with_it),
        token_test(test_what_its_rule_wants_left_counts_with_it_too),
        token_test(test_a_new_policy_says_what_must_be_left),
        token_test(test_another_role_is_bound_to_what_its_grant_is_bound_to),
        token_test(test_it_may_be_gone_before_there_is_an_answer_about_another_role),
        token_test(test_a_grant_without_a_process_has_none_to_lend),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
