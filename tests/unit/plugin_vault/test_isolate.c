/* Isolation: an issue under a child token of its own, and what is on record before it. */
#include "isolated.h"

#include <string.h>

static void test_an_issue_under_an_orphan_is_on_record_before_it_is_asked_for(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);
    struct fake_op *op;

    (void)state;
    host->holds_intents = true;
    op = host_issue(host, ISSUE, 7200000);
    expect(host, CREATE, "s.SECRET-1");
    assert_string_equal(host_last(host)->body, "{\"ttl\":\"60s\",\"num_uses\":2,\"renewable\":true,"
                                               "\"meta\":{\"user\":\"joe\",\"reason\":\"OPS-1\"}}");
    assert_int_equal(host_last(host)->flags,
                     LEASED_HTTP_CREATES | LEASED_HTTP_MOVABLE | LEASED_HTTP_REPEATABLE);
    step(host, CREATE, 200, ORPHAN);
    assert_int_equal(host_open_https(host), 0);
    assert_string_equal(host->intents[0].ref, "#child acc1");
    host_intended(host, 0);
    expect(host, CREDS, "s.SECRET-child");
    assert_int_equal(host_last(host)->flags,
                     LEASED_HTTP_CREATES | LEASED_HTTP_MOVABLE | LEASED_HTTP_REPEATABLE);
    step(host, CREDS, 200, LEASE("3600"));
    assert_int_equal(host->intent_count, 1); /* which stands until the lease itself is on record */
    expect(host, EXTEND, "s.SECRET-1");
    assert_string_equal(host_last(host)->body, "{\"accessor\":\"acc1\",\"increment\":7260}");
    step(host, EXTEND, 200, EXTENDED("7260"));
    expect(host, FIT, "s.SECRET-1");
    step(host, FIT, 200, LEASE("7200"));
    assert_int_equal(op->status, LEASED_OK);
    assert_string_equal(op->ref, REF);
    assert_int_equal(op->lifetime_ms, 7200000);
    assert_int_equal(op->anchor, 0); /* the own token's death takes nothing with it */
    assert_int_equal(op->flags, LEASED_RESULT_RENEWABLE | LEASED_RESULT_REVOCABLE);
    assert_string_equal(op->fields, "username=u\npassword*=SECRET\n");
    host_close(host, 0);
}

static void test_a_child_that_is_no_orphan_hangs_on_the_own_token(void **state)
{
    struct leased_host_context *host = open_with(APPROLE_CONFIG);
    struct fake_op *op = host_issue(host, ISSUE, 0);

    (void)state;
    step(host, "/v1/auth/token/create", 200, CHILD("2", "true", "false"));
    step(host, CREDS, 200, LEASE("600"));
    assert_string_equal(host_last(host)->body, "{\"accessor\":\"acc1\",\"increment\":660}");
    step(host, EXTEND, 200, EXTENDED("660"));
    assert_int_equal(op->status, LEASED_OK);
    assert_int_equal(op->lifetime_ms, 600000);
    assert_int_equal(op->anchor, 1);
    assert_non_null(strstr(host_warning(host, "children"), "token_role"));
    host_close(host, 0);
}

static void test_a_lease_lives_no_longer_than_its_child(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);
    struct fake_op *op = host_issue(host, ISSUE, 0);

    (void)state;
    step(host, CREATE, 200, ORPHAN);
    step(host, CREDS, 200, LEASE("3600"));
    step(host, EXTEND, 200, EXTENDED("900"));
    assert_int_equal(op->status, LEASED_OK);
    assert_int_equal(op->lifetime_ms, 900000);
    assert_int_equal(op->flags, LEASED_RESULT_REVOCABLE | LEASED_RESULT_CAPPED);
    host_close(host, 0);
}

static void test_a_bare_child_that_is_lost_is_asked_for_again(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);
    struct fake_op *op = host_issue(host, ISSUE, 0);

    (void)state;
    host_fail(host, host_last(host), LEASED_HTTP_LOST);
    assert_int_equal(op->status, LEASED_RETRY);
    op = host_issue(host, ISSUE, 0);
    step(host, CREATE, 502, "Bad Gateway");
    assert_int_equal(op->status, LEASED_RETRY);
    op = host_issue(host, ISSUE, 0);
    step(host, CREATE, 200, "{\"auth\":{}}");
    assert_int_equal(op->status, LEASED_RETRY);
    op = host_issue(host, ISSUE, 0);
    step(host, CREATE, 400, "{\"errors\":[\"unknown role leased\"]}");
    assert_int_equal(op->status, LEASED_INVALID);
    assert_non_null(strstr(op->detail, "unknown role leased"));
    assert_int_equal(host->intent_count, 0);
    host_close(host, 0);
}

static void test_a_child_that_is_of_no_use_is_refused_with_what_to_change(void **state)
{
    static const struct {
        const char *body;
        const char *word;
    } cases[] = {
        {"{\"auth\":{\"client_token\":\"b.SECRET\",\"accessor\":\"\",\"lease_duration\":60,"
         "\"renewable\":false,\"token_type\":\"batch\"}}",
         "batch"},
        {CHILD("2", "false", "true"), "renewed"},
        {CHILD("1", "true", "true"), "token_num_uses"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct leased_host_context *host = open_with(ROLE_CONFIG);
        struct fake_op *op = host_issue(host, ISSUE, 0);

        step(host, CREATE, 200, cases[i].body);
        assert_int_equal(op->status, LEASED_INVALID);
        assert_non_null(strstr(op->detail, cases[i].word));
        assert_non_null(strstr(op->detail, "leased"));
        host_close(host, 0);
    }
}

/* What is revoked for it is what is on record: the host has it. */
static void test_an_answer_that_is_lost_under_a_child_is_lost(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);
    struct fake_op *op = host_issue(host, ISSUE, 0);

    (void)state;
    step(host, CREATE, 200, ORPHAN);
    host_fail(host, host_last(host), LEASED_HTTP_LOST);
    assert_int_equal(op->status, LEASED_LOST);
    assert_string_equal(op->ref, "");
    assert_string_equal(host->intents[host->intent_count - 1].ref, "#child acc1");
    host_close(host, 0);
}

static void test_what_a_child_is_refused_is_its_policies_affair(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
        int32_t want;
        const char *word;
        const char *ref;
    } cases[] = {
        {403, POLICY, LEASED_DENIED, "token role leased", ""},
        {403, "{\"errors\":[\"permission denied\"]}", LEASED_RETRY, "child token had ended",
         "#child acc1"},
        {400, "{\"errors\":[\"Secret cannot be returned; token had one use left, so leased\"]}",
         LEASED_RETRY, "twice", "#child acc1"},
        {400, "{\"errors\":[\"unknown role: orders\"]}", LEASED_INVALID, "unknown role", ""},
    };
    struct leased_host_context *host = open_with(ROLE_CONFIG);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fake_op *op = host_issue(host, ISSUE, 0);

        step(host, CREATE, 200, ORPHAN);
        step(host, CREDS, cases[i].status, cases[i].body);
        assert_int_equal(op->status, cases[i].want);
        assert_non_null(strstr(op->detail, cases[i].word));
        assert_string_equal(op->ref, cases[i].ref); /* what a first sending made ends with it */
        assert_int_equal(host_open_https(host), 0); /* says nothing about the own token */
    }
    host_close(host, 0);
}

/* Two issues under one child would be two credentials, of which one is nobody's. */
static void test_an_issue_under_a_child_of_more_uses_is_sent_once(void **state)
{
    static const char *const children[] = {CHILD("0", "true", "true"), CHILD("3", "true", "true")};
    struct leased_host_context *host = open_with(ROLE_CONFIG);

    (void)state;
    for (size_t i = 0; i < COUNT(children); i++) {
        (void)host_issue(host, ISSUE, 0);
        step(host, CREATE, 200, children[i]);
        expect(host, CREDS, "s.SECRET-child");
        assert_int_equal(host_last(host)->flags, LEASED_HTTP_CREATES | LEASED_HTTP_MOVABLE);
        step(host, CREDS, 400, "{\"errors\":[\"unknown role: orders\"]}");
    }
    host_close(host, 0);
}

static void test_nothing_is_created_that_could_not_be_recorded(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);
    struct fake_op *op;

    (void)state;
    host->holds_intents = true;
    op = host_issue(host, ISSUE, 0);
    step(host, CREATE, 200, ORPHAN);
    host_intended(host, -LEASED_RETRY);
    assert_int_equal(op->status, LEASED_RETRY);
    assert_int_equal(host_open_https(host), 0);
    host->intents_fail = true;
    op = host_issue(host, ISSUE, 0);
    step(host, CREATE, 200, ORPHAN);
    assert_int_equal(op->status, LEASED_RETRY);
    assert_int_equal(host_open_https(host), 0);
    host_close(host, 0);
}

static void test_a_child_that_cannot_be_kept_alive_takes_its_lease_with_it(void **state)
{
    static const struct {
        uint32_t status; /* 0: lost */
        const char *body;
        size_t tries;
    } cases[] = {
        {0, "", 2},     {500, "{\"errors\":[\"storage\"]}", 2}, {400, UNKNOWN, 1}, {403, POLICY, 1},
        {200, "{}", 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct leased_host_context *host = open_with(ROLE_CONFIG);
        struct fake_op *op = host_issue(host, ISSUE, 0);
        size_t tries = 0;

        step(host, CREATE, 200, ORPHAN);
        step(host, CREDS, 200, LEASE("3600"));
        while (op->is_open) {
            assert_string_equal(host_last(host)->path, EXTEND);
            if (cases[i].status == 0) {
                host_fail(host, host_last(host), LEASED_HTTP_LOST);
            } else {
                host_answer(host, host_last(host), cases[i].status, cases[i].body);
            }
            tries++;
        }
        assert_int_equal(tries, cases[i].tries);
        assert_int_equal(op->status, LEASED_RETRY);
        assert_string_equal(op->ref, REF);
        assert_string_equal(op->fields, "");
        host_close(host, 0);
    }
}

static void test_cancel_and_close_end_what_waits_for_its_record(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);
    struct fake_op *op;

    (void)state;
    host->holds_intents = true;
    op = host_issue(host, ISSUE, 0);
    step(host, CREATE, 200, ORPHAN);
    host_cancel(host, op);
    assert_int_equal(op->status, LEASED_CANCELED);
    op = host_issue(host, ISSUE, 0);
    step(host, CREATE, 200, ORPHAN);
    host_intended(host, 0);
    step(host, CREDS, 200, LEASE("3600"));
    host_cancel(host, op);
    host_fail(host, host_last(host), LEASED_HTTP_CANCELED);
    assert_int_equal(op->status, LEASED_RETRY);
    assert_string_equal(op->ref, REF);
    (void)host_issue(host, ISSUE, 0);
    step(host, CREATE, 200, ORPHAN);
    host_close(host, 0);
}

/* --- where it can't be ------------------------------------------------------------------------ */

static void test_where_no_child_may_be_made_it_goes_on_without_and_says_so(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);
    struct fake_op *op = host_issue(host, ISSUE, 0);

    (void)state;
    host_advance(host, 5000);
    step(host, CREATE, 403, POLICY);
    step(host, "/v1/auth/token/lookup-self", 200, "{\"data\":{\"ttl\":3600}}");
    expect(host, CREDS, "s.SECRET-1");
    assert_string_equal(host->intents[0].ref, "#login own1");
    step(host, CREDS, 200, LEASE("3600"));
    assert_int_equal(op->status, LEASED_OK);
    assert_string_equal(op->ref, "database/creds/orders/x1");
    assert_int_equal(op->anchor, 1);
    assert_non_null(strstr(host_warning(host, "isolate"), "auth/token/create/leased"));
    assert_string_equal(host->last_warning, "vault.isolate.off");
    assert_int_equal(host->warn_count, 1);
    /* The next one doesn't ask. */
    (void)host_issue(host, ISSUE, 0);
    expect(host, CREDS, "s.SECRET-1");
    assert_int_equal(host->warn_count, 1);
    host_close(host, 0);
}

static void test_a_role_that_insists_says_what_is_missing(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);
    struct fake_op *op = host_issue(host, ISOLATED, 0);

    (void)state;
    step(host, CREATE, 403, POLICY); /* just logged in: no look-up */
    assert_int_equal(op->status, LEASED_DENIED);
    assert_non_null(strstr(op->detail, "\"update\" on auth/token/create/leased"));
    assert_int_equal(host->intent_count, 0);
    host_close(host, 0);
}

static void test_what_is_never_isolated_is_on_record_under_the_login(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);
    struct fake_op *op =
        host_issue(host, "{\"path\":\"database/creds/orders\",\"isolate\":false}", 0);

    (void)state;
    expect(host, CREDS, "s.SECRET-1");
    assert_string_equal(host->intents[0].ref, "#login own1");
    host_fail(host, host_last(host), LEASED_HTTP_LOST);
    assert_int_equal(op->status, LEASED_LOST);
    assert_string_equal(op->ref, "");
    host_close(host, 0);
}

static void test_the_record_names_the_login_that_it_is_asked_with(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);
    struct fake_op *op;

    (void)state;
    host->holds_intents = true;
    op = host_issue(host, "{\"path\":\"database/creds/orders\",\"isolate\":false}", 0);
    assert_string_equal(host->intents[0].ref, "#login own1");
    while (host_open_https(host) == 0) {
        host_advance_to_timer(host);
    }
    step(host, "/v1/auth/token/renew-self", 200,
         "{\"warnings\":[\"capped\"],\"auth\":{\"client_token\":\"x\",\"lease_duration\":60}}");
    host_run(host);
    step(host, "/v1/auth/approle/login", 200,
         "{\"auth\":{\"client_token\":\"s.SECRET-2\",\"accessor\":\"own2\",\"lease_duration\":3600,"
         "\"renewable\":true}}");
    host_intended(host, 0);
    assert_int_equal(host_open_https(host), 0);
    assert_string_equal(host->intents[1].ref, "#login own2");
    host_intended(host, 0);
    expect(host, CREDS, "s.SECRET-2");
    step(host, CREDS, 200, LEASE("60"));
    assert_int_equal(op->anchor, 2);
    host_close(host, 0);
}

static void test_what_creates_nothing_needs_neither_child_nor_record(void **state)
{
    static const struct {
        const char *params;
        size_t intents;
    } cases[] = {
        {"{\"path\":\"database/static-creds/a\"}", 0},
        {"{\"path\":\"kv/data/a\",\"isolate\":true}", 0},
        {"{\"path\":\"pki/issue/web\",\"params\":{\"common_name\":\"a\"}}", 0},
        {"{\"path\":\"totp/code/a\"}", 0},
        {"{\"path\":\"kv/a\"}", 1}, /* it might have been a lease */
        {"{\"path\":\"kv/a\"}", 0}, /* now it is known */
    };
    struct leased_host_context *host = open_with(ROLE_CONFIG);

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t before = host->intent_count;

        (void)host_issue(host, cases[i].params, 0);
        assert_string_equal(host_last(host)->token, "s.SECRET-1");
        assert_int_equal(host->intent_count - before, cases[i].intents);
        host_answer(host, host_last(host), 200,
                    "{\"lease_duration\":2764800,\"data\":{\"k\":\"v\"}}");
    }
    host_close(host, 0);
}

static void test_what_has_answered_with_a_lease_is_isolated_from_then_on(void **state)
{
    struct leased_host_context *host = open_with(ROLE_CONFIG);

    (void)state;
    (void)host_issue(host, "{\"path\":\"my/thing\"}", 0);
    assert_string_equal(host->intents[0].ref, "#login own1");
    step(host, "/v1/my/thing", 200,
         "{\"lease_id\":\"my/thing/1\",\"lease_duration\":60,\"data\":{\"k\":\"v\"}}");
    (void)host_issue(host, "{\"path\":\"my/thing\"}", 0);
    expect(host, CREATE, "s.SECRET-1");
    host_close(host, 0);
}

/* A broken answer is no word about what the path gives. */
static void test_an_answer_that_is_none_does_not_end_isolation(void **state)
{
    static const char *const answers[] = {"{}", "{\"data\":null}", "[]"};
    struct leased_host_context *host = open_with(ROLE_CONFIG);

    (void)state;
    for (size_t i = 0; i < COUNT(answers); i++) {
        (void)host_issue(host, ISSUE, 0);
        step(host, CREATE, 200, ORPHAN);
        step(host, CREDS, 200, answers[i]);
    }
    host_close(host, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_that_is_none_does_not_end_isolation),
        cmocka_unit_test(test_an_issue_under_an_orphan_is_on_record_before_it_is_asked_for),
        cmocka_unit_test(test_a_child_that_is_no_orphan_hangs_on_the_own_token),
        cmocka_unit_test(test_a_lease_lives_no_longer_than_its_child),
        cmocka_unit_test(test_a_bare_child_that_is_lost_is_asked_for_again),
        cmocka_unit_test(test_a_child_that_is_of_no_use_is_refused_with_what_to_change),
        cmocka_unit_test(test_an_answer_that_is_lost_under_a_child_is_lost),
        cmocka_unit_test(test_what_a_child_is_refused_is_its_policies_affair),
        cmocka_unit_test(test_an_issue_under_a_child_of_more_uses_is_sent_once),
        cmocka_unit_test(test_nothing_is_created_that_could_not_be_recorded),
        cmocka_unit_test(test_a_child_that_cannot_be_kept_alive_takes_its_lease_with_it),
        cmocka_unit_test(test_cancel_and_close_end_what_waits_for_its_record),
        cmocka_unit_test(test_where_no_child_may_be_made_it_goes_on_without_and_says_so),
        cmocka_unit_test(test_a_role_that_insists_says_what_is_missing),
        cmocka_unit_test(test_what_is_never_isolated_is_on_record_under_the_login),
        cmocka_unit_test(test_the_record_names_the_login_that_it_is_asked_with),
        cmocka_unit_test(test_what_creates_nothing_needs_neither_child_nor_record),
        cmocka_unit_test(test_what_has_answered_with_a_lease_is_isolated_from_then_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
