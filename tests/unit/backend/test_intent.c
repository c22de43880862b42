/* What must be durable before an issuer is asked, and what a plugin keeps and warns of. */
#include "script_plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define ISSUER(script) backend_issuer((script)->backend)

/* The lease layer's side: records what is intended, and answers when the test does. */
static struct {
    size_t count;
    char ref[1100];
    struct lease_intent *pending;
    int status; /* what starting one returns */
} asked;

static int intend(struct lease_call *call, struct str ref, struct lease_intent *intent)
{
    assert_non_null(call->fn);
    if (asked.status != 0) {
        return asked.status;
    }
    asked.count++;
    (void)snprintf(asked.ref, sizeof(asked.ref), "%.*s", STR_ARG(ref));
    asked.pending = intent;
    intent->impl = &asked;
    return 0;
}

static void record(int status)
{
    struct lease_intent *intent = asked.pending;

    asked.pending = NULL;
    intent->impl = NULL;
    intent->fn(intent, status);
}

/* The plugin's side. */
static struct {
    size_t count;
    int32_t status;
} told;

static void on_intent(void *user, int32_t status)
{
    assert_ptr_equal(user, &told);
    told.count++;
    told.status = status;
}

static int32_t intent(struct script *script, size_t index, const char *ref)
{
    return script->host->intent(script->context, script_op(script, index)->op, script_str(ref),
                                on_intent, &told);
}

static void begin(struct script *script, struct script_call *call, bool is_kept)
{
    memset(&asked, 0, sizeof(asked));
    memset(&told, 0, sizeof(told));
    script_open(script, &(struct backend_options){.limits = {.timeout_ms = 1000}});
    script_call(script, call, LEASE_CALL_ISSUE, "{}");
    call->call.intend = is_kept ? intend : NULL;
    fake_env_run(&script->fake);
    assert_int_equal(script_op(script, 0)->what, 'i');
}

static void end(struct script *script)
{
    script->seen_count = 0;
    script_close(script);
    script_fini(script);
}

static void test_an_intent_is_told_when_it_is_durable(void **state)
{
    static const struct {
        int status;
        int32_t told;
    } cases[] = {{0, 0}, {ERR_IO, -LEASED_RETRY}, {ERR_NOMEM, -LEASED_RETRY}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct script script;
        struct script_call call;

        begin(&script, &call, true);
        assert_int_equal(intent(&script, 0, "#child a"), 0);
        assert_string_equal(asked.ref, "#child a");
        fake_env_run(&script.fake);
        assert_int_equal(told.count, 0);
        /* One at a time. */
        assert_true(intent(&script, 0, "#child b") < 0);
        record(cases[i].status);
        assert_int_equal(told.count, 1);
        assert_int_equal(told.status, cases[i].told);
        /* What is known better replaces it. */
        assert_int_equal(intent(&script, 0, "lease\nb"), 0);
        assert_string_equal(asked.ref, "lease\nb");
        record(0);
        assert_int_equal(told.count, 2);
        script_answer_issue(&script, 0);
        assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
        end(&script);
    }
}

static void test_where_nothing_is_kept_an_intent_is_granted_from_the_loop(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    begin(&script, &call, false);
    assert_int_equal(intent(&script, 0, "a"), 0);
    assert_int_equal(told.count, 0);
    fake_env_run(&script.fake);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.status, 0);
    script_answer_issue(&script, 0);
    end(&script);
}

static void test_an_intent_that_cannot_be_started_is_refused_at_once(void **state)
{
    char long_ref[LEASE_ISSUER_REF_MAX_BYTES + 2];
    struct script script;
    struct script_call call;
    struct script_call other;

    (void)state;
    begin(&script, &call, true);
    asked.status = ERR_LIMIT;
    assert_int_equal(intent(&script, 0, "a"), -LEASED_RETRY);
    asked.status = 0;
    memset(long_ref, 'x', sizeof(long_ref) - 1);
    long_ref[sizeof(long_ref) - 1] = '\0';
    assert_true(intent(&script, 0, "") < 0);
    assert_true(intent(&script, 0, long_ref) < 0);
    assert_true(intent(&script, 0, "a\rb") < 0);
    /* Only an issue creates something. */
    script_call(&script, &other, LEASE_CALL_RENEW, "{}");
    other.call.intend = intend;
    fake_env_run(&script.fake);
    assert_true(intent(&script, 1, "a") < 0);
    script_answer(&script, 1, LEASED_GONE, NULL);
    assert_true(intent(&script, 1, "a") < 0);
    assert_int_equal(asked.count, 0);
    assert_int_equal(intent(&script, 0, "a"), 0);
    script_answer_issue(&script, 0);
    end(&script);
    assert_int_equal(told.count, 0);
}

static void test_an_operation_that_has_ended_is_told_nothing(void **state)
{
    (void)state;
    for (int is_kept = 0; is_kept < 2; is_kept++) {
        struct script script;
        struct script_call call;

        begin(&script, &call, is_kept != 0);
        assert_int_equal(intent(&script, 0, "a"), 0);
        script_answer(&script, 0, LEASED_CANCELED, NULL);
        if (is_kept) {
            assert_null(asked.pending->impl); /* forgotten */
        }
        fake_env_run(&script.fake);
        end(&script);
        assert_int_equal(told.count, 0);
    }
}

static void test_who_waits_past_the_deadline_is_told_that_it_is_given_up(void **state)
{
    struct script script;
    struct script_call call;

    (void)state;
    begin(&script, &call, true);
    assert_int_equal(intent(&script, 0, "a"), 0);
    fake_env_advance(&script.fake, 3000);
    assert_int_equal(call.outcome, LEASE_OUTCOME_LOST);
    assert_null(asked.pending->impl);
    assert_int_equal(script.cancel_count, 1);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.status, -LEASED_CANCELED);
    assert_int_equal(intent(&script, 0, "b"), -LEASED_CANCELED);
    end(&script);
    assert_int_equal(told.count, 1);
}

/* --- what is kept ----------------------------------------------------------------------------- */

static char kept[64];
static size_t kept_count;
static int keep_status;

static int keep_state(void *user, struct backend *backend, struct str text)
{
    (void)user;
    assert_non_null(backend);
    kept_count++;
    (void)snprintf(kept, sizeof(kept), "%.*s", STR_ARG(text));
    return keep_status;
}

static void test_state_goes_from_one_run_to_the_next(void **state)
{
    struct script script;
    char *bytes = NULL;

    (void)state;
    kept_count = 0;
    keep_status = 0;
    script_open(&script, &(struct backend_options){.keep_state = keep_state, .state = STR("old")});
    assert_string_equal(script.restored, "old");
    assert_int_equal(script.host->state_get(script.context, &bytes), 0); /* only inside open */
    assert_int_equal(script.host->state_put(script.context, script_str("new")), 0);
    assert_string_equal(kept, "new");
    assert_int_equal(script.host->state_put(script.context, script_str("")), 0);
    assert_string_equal(kept, "");
    keep_status = ERR_IO;
    assert_true(script.host->state_put(script.context, script_str("x")) < 0);
    assert_int_equal(kept_count, 3);
    assert_true(script.host->state_put(script.context,
                                       (struct leased_str){kept, BACKEND_STATE_MAX_BYTES + 1}) < 0);
    assert_int_equal(kept_count, 3);
    end(&script);
}

static void test_where_nothing_is_kept_the_plugin_goes_on_without(void **state)
{
    struct script script;

    (void)state;
    script_open(&script, NULL);
    assert_string_equal(script.restored, "");
    assert_true(script.host->state_put(script.context, script_str("x")) < 0);
    end(&script);
}

static void test_only_the_plugin_knows_which_anchors_hold(void **state)
{
    struct script script;

    (void)state;
    script_open(&script, NULL);
    script.held_anchor = 7;
    assert_true(ISSUER(&script)->ops->holds_anchor(ISSUER(&script), 7));
    assert_false(ISSUER(&script)->ops->holds_anchor(ISSUER(&script), 8));
    script.held_anchor = 0;
    assert_false(ISSUER(&script)->ops->holds_anchor(ISSUER(&script), 0));
    /* A plugin of an older version has no word for it. */
    script.held_anchor = 7;
    script.ops.size = offsetof(struct leased_backend_ops, holds_anchor);
    assert_false(ISSUER(&script)->ops->holds_anchor(ISSUER(&script), 7));
    end(&script);
}

/* --- warnings --------------------------------------------------------------------------------- */

static struct backend_status status_of(const struct script *script)
{
    struct backend_status status;

    backend_status(script->backend, &status);
    return status;
}

static void warn(struct script *script, const char *key, const char *text)
{
    script->host->warning(script->context, script_str(key), script_str(text));
}

static void test_a_warning_stands_until_it_is_taken_back(void **state)
{
    struct script script;
    char key[16];

    (void)state;
    script_open(&script, NULL);
    warn(&script, "a", "");
    warn(&script, "Not a key", "x");
    warn(&script, "", "x");
    assert_int_equal(status_of(&script).warning_count, 0);
    warn(&script, "a", "first\nline");
    warn(&script, "b", "second");
    warn(&script, "a", "third");
    assert_int_equal(status_of(&script).warning_count, 2);
    assert_string_equal(status_of(&script).warnings[0].text, "third");
    warn(&script, "a", "");
    assert_int_equal(status_of(&script).warning_count, 1);
    assert_string_equal(status_of(&script).warnings[0].text, "second");
    for (size_t i = 0; i < 2 * BACKEND_WARNINGS_MAX; i++) {
        (void)snprintf(key, sizeof(key), "k%zu", i);
        warn(&script, key, "x");
    }
    assert_int_equal(status_of(&script).warning_count, BACKEND_WARNINGS_MAX);
    warn(&script, "k0", "");
    assert_int_equal(status_of(&script).warning_count, BACKEND_WARNINGS_MAX - 1);
    end(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_intent_is_told_when_it_is_durable),
        cmocka_unit_test(test_where_nothing_is_kept_an_intent_is_granted_from_the_loop),
        cmocka_unit_test(test_an_intent_that_cannot_be_started_is_refused_at_once),
        cmocka_unit_test(test_an_operation_that_has_ended_is_told_nothing),
        cmocka_unit_test(test_who_waits_past_the_deadline_is_told_that_it_is_given_up),
        cmocka_unit_test(test_state_goes_from_one_run_to_the_next),
        cmocka_unit_test(test_where_nothing_is_kept_the_plugin_goes_on_without),
        cmocka_unit_test(test_only_the_plugin_knows_which_anchors_hold),
        cmocka_unit_test(test_a_warning_stands_until_it_is_taken_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
