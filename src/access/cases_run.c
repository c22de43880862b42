/* Judges tests of policies: decides as for a caller, and compares with what is expected. */
#include "access/cases_config.h"

#include "base/units.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

ATTR_PRINTF(2, 3)
static void differ(struct access_case_result *result, const char *format, ...)
{
    size_t used = strlen(result->detail);
    va_list args;

    if (used > 0 && used + 3 < sizeof(result->detail)) {
        memcpy(result->detail + used, "; ", 3);
        used += 2;
    }
    va_start(args, format);
    (void)vsnprintf(result->detail + used, sizeof(result->detail) - used, format, args);
    va_end(args);
    result->has_passed = false;
}

static void compare_text(struct access_case_result *result, const char *key, const char *expected,
                         const char *got)
{
    if (strcmp(expected, got != NULL ? got : "none") != 0) {
        differ(result, "expected %s %s, got %s", key, expected, got != NULL ? got : "none");
    }
}

static void compare_duration(struct access_case_result *result, const char *key,
                             uint64_t expected_ms, uint64_t got_ms)
{
    char expected[UNITS_DURATION_MAX_BYTES];
    char got[UNITS_DURATION_MAX_BYTES];

    if (expected_ms != 0 && expected_ms != got_ms) {
        differ(result, "expected %s %s, got %s", key, units_format_duration(expected_ms, expected),
               got_ms != 0 ? units_format_duration(got_ms, got) : "none");
    }
}

static void compare_time(struct access_case_result *result, const char *key,
                         int64_t expected_wall_ms, int64_t got_wall_ms)
{
    char expected[UNITS_TIME_MAX_BYTES];
    char got[UNITS_TIME_MAX_BYTES];

    if (expected_wall_ms != 0 && expected_wall_ms != got_wall_ms) {
        differ(result, "expected %s %s, got %s", key, units_format_time(expected_wall_ms, expected),
               got_wall_ms != 0 ? units_format_time(got_wall_ms, got) : "none");
    }
}

static void compare_bindings(struct access_case_result *result,
                             const struct schema_strings *expected)
{
    const struct access_decision *decision = result->decision;
    char text[ACCESS_BINDING_TEXT_MAX_BYTES];
    size_t i;

    if (expected->count > 0 && expected->count != decision->binding_count) {
        differ(result, "expected %zu bindings, got %zu", expected->count, decision->binding_count);
        return;
    }
    for (i = 0; i < expected->count; i++) {
        compare_text(result, "binding", expected->items[i],
                     access_binding_format(&decision->bindings[i], text));
    }
}

static void compare_details(const struct access_case *test, struct access_case_result *result)
{
    const struct access_expect_config *expect = test->expect;
    const struct access_decision *decision = result->decision;

    if (expect->rule != NULL) {
        compare_text(result, "rule", expect->rule, decision->rule);
    }
    /* What can't be known of a decision about a path is the same for all. */
    if (expect->limit != NULL) {
        compare_text(result, "limit", expect->limit, decision->limit);
    }
    compare_duration(result, "duration", expect->duration_ms, decision->duration_ms);
    compare_duration(result, "ttl", expect->ttl_ms, decision->ttl_ms);
    compare_duration(result, "min_remaining", expect->min_remaining_ms, decision->min_remaining_ms);
    compare_time(result, "until", test->until_wall_ms, decision->until_wall_ms);
    compare_time(result, "opens", test->opens_wall_ms, decision->opens_wall_ms);
    compare_bindings(result, &expect->binding);
    if (expect->approvals != 0) {
        uint32_t count = decision->approval != NULL ? decision->approval->count : 0;

        if (expect->approvals != count) {
            differ(result, "expected %" PRIu64 " approvals, got %" PRIu32, expect->approvals,
                   count);
        }
    }
}

static void decide(const struct access_case *test, const struct access_policy *policy,
                   struct access_request *request, struct access_decision *decision)
{
    const struct access_identity *identity = access_assumed_identity(test->who);

    memset(decision, 0, sizeof(*decision));
    if (request->role == NULL) {
        access_policy_decide_path(policy, identity, &test->path, decision);
        return;
    }
    access_policy_decide(policy, identity, request, decision);
    if (test->is_approved && decision->outcome == ACCESS_APPROVAL_REQUIRED) {
        request->approved_rule = decision->rule_digest;
        access_policy_decide(policy, identity, request, decision);
    }
}

void access_cases_run(const struct access_cases *cases, const struct access_policy *policy,
                      access_case_fn fn, void *user)
{
    size_t i;

    for (i = 0; i < cases->count; i++) {
        const struct access_case *test = &cases->items[i];
        struct access_request request = test->request;
        struct access_decision decision;
        struct access_case_result result = {
            .name = test->name,
            .node = test->node,
            .has_passed = true,
            .identity = access_assumed_identity(test->who),
            .request = request.role != NULL ? &request : NULL,
            .decision = &decision,
        };

        decide(test, policy, &request, &decision);
        if (decision.outcome != test->outcome) {
            differ(&result, "expected %s, got %s", access_outcome_word(test->outcome),
                   access_outcome_word(decision.outcome));
        } else if (test->expect != NULL) {
            compare_details(test, &result);
        }
        fn(user, &result);
    }
}
