/* Policies over the API: what a plan tells, what an apply takes, what is observed. */
#include "access/source.h"
#include "base/mem.h"
#include "serve/observed.h"
#include "serve/seen.h"
#include "unit/serve/fixture.h"

#include <stdio.h>
#include <string.h>

#define POLICY API "/policy"
#define PLAN POLICY "/plan"
#define APPLY POLICY "/apply"

#define ADMINS "admins: [{user: ada}]"
#define ALICE_KEEPS "{rules: [{name: alice, subjects: [{user: alice}], roles: [db]}], " ADMINS "}"
#define ALICE_LOSES "{rules: [{name: bob, subjects: [{user: bob}], roles: [db]}], " ADMINS "}"
#define NO_ADMIN "{rules: [], admins: [{subjects: [{user: ada}], may: [read]}]}"

static struct serve_apply *applying; /* what the daemon has been given, and holds */
static int apply_status;             /* not 0: it refuses */

static int compile(void *user, const struct policy_bundle *bundle,
                   struct access_policy **ret_policy, struct yaml_errors *mistakes)
{
    static const char *const roles[] = {"db", "db-shared", "db-own", "db-reason", NULL};
    const struct access_known known = {.roles = roles};
    const struct policy_file file = {.name = bundle->files[0].name, .text = bundle->files[0].text};
    const struct access_source source = {.files = &file, .file_count = 1};

    assert_ptr_equal(user, &f);
    return access_policy_compile(&source, &known, NULL, ret_policy, mistakes);
}

static int apply(void *user, struct serve_apply *asked)
{
    assert_ptr_equal(user, &f);
    if (apply_status != 0) {
        return err_set(&asked->error, apply_status, "no place for it");
    }
    applying = asked;
    return 0;
}

static void open_policies(void)
{
    applying = NULL;
    apply_status = 0;
    f.options.policy_compile = compile;
    f.options.policy_apply = apply;
    f.options.user = &f;
}

static void apply_end(int status)
{
    if (applying->done != NULL) {
        applying->done(applying, status);
    }
    serve_apply_free(applying);
    applying = NULL;
    fixture_run();
}

static const char *body_of(const char *text, const char *more)
{
    static char body[2048];

    (void)snprintf(body, sizeof(body),
                   "{\"files\":[{\"name\":\"a.yaml\",\"text\":\"%s\"}],\"revision\":\"4f2a\"%s}",
                   text, more);
    return body;
}

static const char *with_digest(const char *text, const char *more)
{
    static char rest[256];
    struct call *call = fixture_call(ADA, "POST", PLAN, body_of(text, ""));

    assert_int_equal(call->status, 200);
    (void)snprintf(rest, sizeof(rest), ",\"digest\":\"%s\"%s", call_text(call, "digest"), more);
    return body_of(text, rest);
}

static void test_a_plan_tells_who_would_lose_what(void **state)
{
    const json_t *change;
    struct call *call;

    (void)state;
    open_policies();
    assert_int_equal(fixture_get(ALICE, API "/credentials/db")->status, 200);
    assert_int_equal(fixture_get(CAROL, API "/credentials/db")->status, 403);
    call = fixture_call(ADA, "POST", PLAN, body_of(ALICE_LOSES, ""));
    assert_int_equal(call->status, 200);
    assert_int_equal(json_integer_value(call_member(call, "identities")), 2);
    assert_int_equal(json_integer_value(call_member(call, "grants_ending")), 1);
    assert_true(json_is_true(call_member(call, "changed")));
    change = json_array_get(call_member(call, "decisions"), 0);
    assert_string_equal(json_string_value(json_object_get(change, "name")), "alice");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(change, "after"), "decision")), "denied");
    assert_int_equal(fixture_get(ALICE, API "/credentials/db")->status, 200);
    assert_int_equal(fixture_records("grant.ended"), 0);
}

#define WITH_REASON(role, pattern)                                                                 \
    "{rules: [{name: all, subjects: [{user: alice}], roles: [" role                                \
    "], require: {reason: '" pattern "'}}], " ADMINS "}"

/* NULL: unchanged. */
static const json_t *change_of(struct call *call, const char *role)
{
    const json_t *change;
    size_t i;

    json_array_foreach (call_member(call, "decisions"), i, change) {
        if (strcmp(json_string_value(json_object_get(change, "role")), role) == 0) {
            return change;
        }
    }
    return NULL;
}

static const char *outcome_of(struct call *call, const char *role, const char *which)
{
    const json_t *change = change_of(call, role);

    return change == NULL
               ? "unchanged"
               : json_string_value(json_object_get(json_object_get(change, which), "decision"));
}

/* alice has said OPS-1, for a role that asks for it, and nothing for one that doesn't. */
static void test_a_plan_tries_what_was_said_when_it_was_asked_for(void **state)
{
    struct call *call;

    (void)state;
    open_policies();
    assert_int_equal(fixture_get(ALICE, API "/credentials/db-reason?reason=OPS-1")->status, 200);
    assert_int_equal(fixture_get(ALICE, API "/credentials/db")->status, 200);
    call = fixture_call(ADA, "POST", PLAN, body_of(WITH_REASON("db-reason", "^SEC-"), ""));
    assert_string_equal(outcome_of(call, "db-reason", "before"), "allow");
    assert_string_equal(outcome_of(call, "db-reason", "after"), "reason_required");
    call = fixture_call(ADA, "POST", PLAN, body_of(WITH_REASON("db-reason", "^OPS-1$"), ""));
    assert_string_equal(outcome_of(call, "db-reason", "after"), "allow"); /* another rule */
    call = fixture_call(ADA, "POST", PLAN, body_of(WITH_REASON("db", "^OPS-"), ""));
    assert_string_equal(outcome_of(call, "db", "before"), "allow");
    assert_string_equal(outcome_of(call, "db", "after"), "reason_required");
}

static void test_a_plan_tells_what_is_given_otherwise(void **state)
{
    struct call *call;

    (void)state;
    open_policies();
    assert_int_equal(fixture_get(ALICE, API "/credentials/db")->status, 200);
    call = fixture_call(ADA, "POST", PLAN,
                        body_of("{rules: [{name: all, subjects: [{user: alice}], roles: [db], "
                                "limits: {issue: 3/h}}], " ADMINS "}",
                                ""));
    assert_non_null(strstr(json_string_value(json_object_get(change_of(call, "db"), "limits")),
                           "3 grants in 1h instead of any number"));
}

static void test_only_an_admin_of_policies_plans_and_applies(void **state)
{
    (void)state;
    open_policies();
    fixture_expect(fixture_call(ALICE, "POST", PLAN, body_of(ALICE_KEEPS, "")), 403, "denied");
    fixture_expect(fixture_call(RITA, "POST", PLAN, body_of(ALICE_KEEPS, "")), 403, "denied");
    fixture_expect(fixture_call(RITA, "POST", APPLY, body_of(ALICE_KEEPS, "")), 403, "denied");
    fixture_expect(fixture_get(ALICE, POLICY), 403, "denied");
    fixture_expect(fixture_get(ALICE, POLICY "/export"), 403, "denied");
    assert_int_equal(fixture_get(RITA, POLICY)->status, 200);
    fixture_run();
    assert_int_equal(fixture_trail_has("only an admin that may change policies can do this"), 3);
}

static void test_what_is_no_policy_is_refused(void **state)
{
    struct call *call;

    (void)state;
    open_policies();
    fixture_expect(fixture_call(ADA, "POST", PLAN, "{}"), 400, "invalid");
    fixture_expect(fixture_call(ADA, "POST", PLAN, "[]"), 400, "invalid");
    fixture_expect(fixture_call(ADA, "POST", PLAN, body_of(ALICE_KEEPS, ",\"mode\":1")), 400,
                   "invalid");
    fixture_expect(fixture_call(ADA, "POST", APPLY, body_of(ALICE_KEEPS, "")), 400, "invalid");
    call = fixture_call(ADA, "POST", PLAN, body_of("{rules: [{roles: [nope]}]}", ""));
    fixture_expect(call, 422, "invalid");
    assert_true(json_array_size(call_member(call, "errors")) > 0);
    assert_int_equal(fixture_records("policy.rejected"), 0); /* nobody wanted it to count */
    fixture_expect(fixture_call(ADA, "POST", APPLY,
                                body_of("{rules: [{roles: [nope]}]}", ",\"digest\":\"00\"")),
                   422, "invalid");
    fixture_run();
    assert_int_equal(fixture_records("policy.rejected"), 1);
    assert_int_equal(fixture_trail_has("\"error\":\"the policy has "), 1);
}

static void test_what_was_not_planned_is_not_applied(void **state)
{
    (void)state;
    open_policies();
    fixture_expect(fixture_call(ADA, "POST", APPLY, body_of(ALICE_KEEPS, ",\"digest\":\"00\"")),
                   409, "invalid");
    assert_null(applying);
    assert_int_equal(fixture_records("policy.rejected"), 1);
}

static void test_an_admin_must_remain(void **state)
{
    (void)state;
    open_policies();
    fixture_expect(fixture_call(ADA, "POST", APPLY, with_digest(NO_ADMIN, "")), 422, "invalid");
    assert_null(applying);
    assert_int_equal(fixture_records("policy.rejected"), 1);
}

static void test_not_more_grants_end_than_was_said(void **state)
{
    struct call *call;

    (void)state;
    open_policies();
    assert_int_equal(fixture_get(ALICE, API "/credentials/db")->status, 200);
    fixture_expect(fixture_call(ADA, "POST", APPLY, with_digest(ALICE_LOSES, ",\"max_ended\":0")),
                   409, "invalid");
    call = fixture_call(ADA, "POST", APPLY, with_digest(ALICE_LOSES, ",\"max_ended\":1"));
    assert_non_null(applying);
    assert_int_equal(call->status, 0);
    apply_end(ERR_IO);
    fixture_expect(call, 503, "degraded");
}

static void test_the_daemon_gets_what_was_asked_and_its_word_is_the_answer(void **state)
{
    struct audit_record record;
    struct call *call;

    (void)state;
    open_policies();
    call = fixture_call(ADA, "POST", APPLY, with_digest(ALICE_KEEPS, ",\"drain\":600"));
    assert_non_null(applying);
    assert_int_equal(applying->drain_ms, 600000);
    assert_string_equal(applying->bundle->revision, "4f2a");
    assert_string_equal(applying->base, access_policy_digest(f.policy));
    serve_apply_record(applying, "policy.applied", "ok", &record);
    assert_string_equal(record.user, "ada");
    applying->ended_count = 3;
    apply_end(0);
    assert_int_equal(call->status, 200);
    assert_int_equal(json_integer_value(call_member(call, "grants_ended")), 3);
    apply_status = ERR_UNSUPPORTED;
    fixture_expect(fixture_call(ADA, "POST", APPLY, with_digest(ALICE_KEEPS, "")), 409, "invalid");
}

static void test_who_goes_away_does_not_stop_it(void **state)
{
    struct call *call;

    (void)state;
    open_policies();
    call = fixture_call(ADA, "POST", APPLY, with_digest(ALICE_KEEPS, ""));
    assert_non_null(applying);
    call_hang_up(call);
    fixture_run();
    assert_null(applying->done);
    apply_end(0);
}

/* Longer than any other answer may be. */
static void test_a_large_policy_is_exported_whole(void **state)
{
    struct policy_bundle *bundle = policy_bundle_new();
    char *text = mem_calloc(1, SERVE_REPLY_MAX_BYTES);
    struct policy_copy copy = {.bundle = bundle};
    const struct serve_policies policies = {.copy = &copy};
    struct call *call;

    (void)state;
    memset(text, '#', SERVE_REPLY_MAX_BYTES);
    assert_int_equal(policy_bundle_add(bundle, STR("a.yaml"),
                                       (struct str){.ptr = text, .len = SERVE_REPLY_MAX_BYTES},
                                       NULL),
                     0);
    f.options.policies = &policies;
    call = fixture_get(ADA, POLICY "/export");
    assert_int_equal(call->status, 200);
    assert_true(strlen(call->body) > SERVE_REPLY_MAX_BYTES);
    serve_set_policy(f.serve, f.policy, NULL, NULL);
    mem_free(text);
    policy_bundle_free(bundle);
}

/* Before the first request; to be given to observe_end. */
static struct access_policy *observe(const char *text)
{
    struct yaml_errors mistakes;
    struct policy_bundle *bundle = policy_bundle_new();
    struct access_policy *observed = NULL;

    yaml_errors_init(&mistakes);
    assert_int_equal(policy_bundle_add(bundle, STR("a.yaml"), str_of(text), NULL), 0);
    assert_int_equal(compile(&f, bundle, &observed, &mistakes), 0);
    policy_bundle_free(bundle);
    yaml_errors_fini(&mistakes);
    f.options.observed = observed;
    return observed;
}

static void observe_end(struct access_policy *observed)
{
    serve_set_policy(f.serve, f.policy, NULL, NULL);
    access_policy_free(observed);
}

/* alice gets db for two hours at most, and asks for less or for nothing. */
static void test_an_observed_limit_is_on_record_where_it_would_bite(void **state)
{
    struct access_policy *observed =
        observe("{rules: [{name: half, subjects: [{user: alice}], roles: [db], limits: {duration: "
                "30m, ttl: 5m, binding: [none, connection]}}]}");

    (void)state;
    assert_int_equal(fixture_get(ALICE, API "/credentials/db?duration=600")->status, 200);
    assert_int_equal(fixture_trail_has("\"limits\":\"ttl 5m instead of the role's\""), 1);
    assert_int_equal(fixture_get(ALICE_AGAIN, API "/credentials/db")->status, 200);
    assert_int_equal(fixture_trail_has("\"limits\":\"duration 30m instead of 2h, ttl 5m instead of "
                                       "the role's\""),
                     1);
    assert_int_equal(fixture_trail_has("\"observed\":{\"outcome\":\"allow\","), 2);
    observe_end(observed);
}

static void test_an_observed_rule_that_gives_the_same_is_not_on_record(void **state)
{
    struct access_policy *observed =
        observe("{rules: [{name: other, subjects: [{user: alice}], roles: [db], limits: {duration: "
                "2h}}]}");

    (void)state;
    assert_int_equal(fixture_get(ALICE, API "/credentials/db")->status, 200);
    assert_int_equal(fixture_get(CAROL, API "/credentials/db")->status, 403);
    assert_int_equal(fixture_records("observe.differs"), 0);
    observe_end(observed);
}

static void test_what_is_observed_is_on_record_once_and_changes_nothing(void **state)
{
    struct access_policy *observed = observe(ALICE_LOSES);

    (void)state;
    assert_int_equal(fixture_get(ALICE, API "/credentials/db")->status, 200);
    assert_int_equal(fixture_get(ALICE, API "/credentials/db")->status, 200);
    assert_int_equal(fixture_get(BOB, API "/credentials/db")->status, 200);
    assert_int_equal(fixture_records("observe.differs"), 1);
    assert_int_equal(fixture_trail_has("\"observed\":{\"outcome\":\"denied\",\"digest\":"), 1);
    fixture_advance(OBSERVED_INTERVAL_MS);
    assert_int_equal(fixture_get(ALICE, API "/credentials/db")->status, 200);
    assert_int_equal(fixture_records("observe.differs"), 2);
    assert_true(fixture_trail_has("\"count\":") > 0);
    observe_end(observed);
}

static void test_who_has_not_asked_for_the_longest_time_is_forgotten_first(void **state)
{
    struct access_identity identity = {.listener = "local", .uid = 1, .gid = 1};
    const struct seen_identity *latest;
    struct seen seen;
    char key[32];
    size_t i;

    (void)state;
    seen_init(&seen, 1);
    for (i = 0; i < SEEN_MAX; i++) {
        (void)snprintf(key, sizeof(key), "local/%zu", i);
        (void)seen_note(&seen, key, &identity);
    }
    (void)seen_note(&seen, "local/0", &identity);
    (void)seen_note(&seen, "local/new", &identity);
    assert_int_equal(seen_count(&seen), SEEN_MAX);
    latest = seen_next(&seen, NULL);
    assert_string_equal(latest->key, "local/new");
    assert_string_equal(seen_next(&seen, latest)->key, "local/0");
    identity.gid = 2;
    (void)seen_note(&seen, "local/0", &identity);
    assert_int_equal(seen_next(&seen, NULL)->identity.gid, 2);
    seen_fini(&seen);
}

/* Of one identity, and of all. */
static void test_what_was_asked_for_the_longest_time_ago_is_forgotten_first(void **state)
{
    const struct access_identity identity = {.listener = "local", .uid = 1, .gid = 1};
    struct access_path_request request = {.backend = "a", .needs = ACCESS_CAN_READ};
    struct seen_identity *one;
    struct seen seen;
    char text[32];
    size_t i;

    (void)state;
    seen_init(&seen, 1);
    one = seen_note(&seen, "local/0", &identity);
    for (i = 0; i < SEEN_ASKS_OF_ONE_MAX + 2; i++) {
        (void)snprintf(text, sizeof(text), "kv/%zu", i);
        request.path = str_of(text);
        seen_note_path(&seen, one, &request);
        request.path = STR("kv/0");
        seen_note_path(&seen, one, &request);
    }
    assert_int_equal(one->ask_counts[SEEN_PATH], SEEN_ASKS_OF_ONE_MAX);
    assert_true(str_eq_c(seen_next_path(one, NULL)->path.path, "kv/0"));
    for (i = 1; seen.ask_counts[SEEN_PATH] < SEEN_ASKS_MAX; i++) {
        (void)snprintf(text, sizeof(text), "local/%zu", i % (SEEN_MAX - 1) + 1);
        (void)snprintf(text + 16, sizeof(text) - 16, "kv/%zu", i);
        request.path = str_of(text + 16);
        seen_note_path(&seen, seen_note(&seen, text, &identity), &request);
    }
    seen_note_path(&seen, seen_note(&seen, "local/1", &identity),
                   &(struct access_path_request){.backend = "b", .path = STR("kv/x"), .needs = 1});
    assert_int_equal(seen.ask_counts[SEEN_PATH], SEEN_ASKS_MAX);
    assert_int_equal(one->ask_counts[SEEN_PATH], SEEN_ASKS_OF_ONE_MAX - 1);
    seen_fini(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_a_plan_tells_who_would_lose_what),
        fixture_test(test_a_plan_tries_what_was_said_when_it_was_asked_for),
        fixture_test(test_a_plan_tells_what_is_given_otherwise),
        fixture_test(test_only_an_admin_of_policies_plans_and_applies),
        fixture_test(test_what_is_no_policy_is_refused),
        fixture_test(test_what_was_not_planned_is_not_applied),
        fixture_test(test_an_admin_must_remain),
        fixture_test(test_not_more_grants_end_than_was_said),
        fixture_test(test_the_daemon_gets_what_was_asked_and_its_word_is_the_answer),
        fixture_test(test_who_goes_away_does_not_stop_it),
        fixture_test(test_a_large_policy_is_exported_whole),
        fixture_test(test_an_observed_limit_is_on_record_where_it_would_bite),
        fixture_test(test_an_observed_rule_that_gives_the_same_is_not_on_record),
        fixture_test(test_what_is_observed_is_on_record_once_and_changes_nothing),
        cmocka_unit_test(test_what_was_asked_for_the_longest_time_ago_is_forgotten_first),
        cmocka_unit_test(test_who_has_not_asked_for_the_longest_time_is_forgotten_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
