/* What a plugin reports is mapped and checked; what is refused isn't forgotten. */
#include "backend/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static const struct result_limits limits = {.now_ms = 9000,
                                            .started_ms = 5000,
                                            .lifetime_max_ms = 100000};

static struct leased_result good(void)
{
    static const struct leased_kv field = {.key = {"password", 8}, .value = {"x", 1}};

    return (struct leased_result){.size = sizeof(struct leased_result),
                                  .flags = LEASED_RESULT_REVOCABLE,
                                  .lifetime_ms = 60000,
                                  .issuer_ref = {"ref", 3},
                                  .fields = &field,
                                  .field_count = 1};
}

static void test_every_class_of_the_abi_has_its_outcome(void **state)
{
    static const struct {
        int32_t status;
        enum lease_outcome issue;
        enum lease_outcome renew;
        enum lease_outcome revoke;
    } cases[] = {
        {LEASED_RETRY, LEASE_OUTCOME_RETRY, LEASE_OUTCOME_RETRY, LEASE_OUTCOME_RETRY},
        {LEASED_RETRY_AFTER, LEASE_OUTCOME_RETRY, LEASE_OUTCOME_RETRY, LEASE_OUTCOME_RETRY},
        {LEASED_DENIED, LEASE_OUTCOME_DENIED, LEASE_OUTCOME_DENIED, LEASE_OUTCOME_DENIED},
        {LEASED_GONE, LEASE_OUTCOME_INVALID, LEASE_OUTCOME_GONE, LEASE_OUTCOME_GONE},
        {LEASED_INVALID, LEASE_OUTCOME_INVALID, LEASE_OUTCOME_INVALID, LEASE_OUTCOME_INVALID},
        {LEASED_SEALED, LEASE_OUTCOME_SEALED, LEASE_OUTCOME_SEALED, LEASE_OUTCOME_SEALED},
        {LEASED_LOST, LEASE_OUTCOME_LOST, LEASE_OUTCOME_RETRY, LEASE_OUTCOME_RETRY},
        {LEASED_CANCELED, LEASE_OUTCOME_CANCELED, LEASE_OUTCOME_CANCELED, LEASE_OUTCOME_CANCELED},
        {99, LEASE_OUTCOME_LOST, LEASE_OUTCOME_RETRY, LEASE_OUTCOME_RETRY},
        {-1, LEASE_OUTCOME_LOST, LEASE_OUTCOME_RETRY, LEASE_OUTCOME_RETRY},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct result_mapped mapped;

        result_map(OP_ISSUE, cases[i].status, NULL, &limits, &mapped);
        assert_int_equal(mapped.result.outcome, cases[i].issue);
        assert_int_equal(mapped.result.orphan_ref.len, 0);
        result_map(OP_RENEW, cases[i].status, NULL, &limits, &mapped);
        assert_int_equal(mapped.result.outcome, cases[i].renew);
        result_map(OP_REVOKE, cases[i].status, NULL, &limits, &mapped);
        assert_int_equal(mapped.result.outcome, cases[i].revoke);
    }
}

static void test_a_good_issue_is_told_with_the_safe_moment(void **state)
{
    struct leased_result result = good();
    struct result_mapped mapped;

    (void)state;
    result_map(OP_ISSUE, LEASED_OK, &result, &limits, &mapped);
    assert_int_equal(mapped.result.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(mapped.result.answered_ms, 5000);
    result.asked_ms = 7000;
    result_map(OP_ISSUE, LEASED_OK, &result, &limits, &mapped);
    assert_int_equal(mapped.result.answered_ms, 7000);
    result.asked_ms = 9001; /* not yet */
    result_map(OP_ISSUE, LEASED_OK, &result, &limits, &mapped);
    assert_int_equal(mapped.result.answered_ms, 5000);
    result.lifetime_ms = UINT64_MAX;
    result_map(OP_ISSUE, LEASED_OK, &result, &limits, &mapped);
    assert_int_equal(mapped.result.lifetime_ms, 100000);
    assert_int_equal(mapped.result.orphan_ref.len, 0);
}

static void test_a_bad_issue_is_refused_and_named_as_an_orphan(void **state)
{
    static char long_ref[LEASE_ISSUER_REF_MAX_BYTES + 1];
    static char long_name[RESULT_FIELD_NAME_MAX_BYTES + 1];
    static const struct leased_kv bad_name = {.key = {"pass word", 9}, .value = {"x", 1}};
    static const struct leased_kv no_name = {.value = {"x", 1}};
    static const struct leased_kv twins[] = {{.key = {"a", 1}}, {.key = {"a", 1}}};
    struct leased_kv name_too_long = {.key = {long_name, sizeof(long_name)}};
    static const struct leased_kv huge = {.key = {"a", 1},
                                          .value = {long_ref, RESULT_FIELDS_MAX_BYTES + 1}};
    struct leased_kv many[LEASE_FIELDS_MAX + 1] = {0};
    const struct {
        const struct leased_kv *fields;
        size_t field_count;
        uint64_t lifetime_ms;
    } cases[] = {
        {&bad_name, 1, 1}, {&no_name, 1, 1},           {twins, 2, 1}, {&name_too_long, 1, 1},
        {&huge, 1, 1},     {many, ARRAY_LEN(many), 1}, {NULL, 1, 1},  {twins, 1, 0},
    };
    struct result_mapped mapped;
    struct leased_result result;

    (void)state;
    memset(long_ref, 'r', sizeof(long_ref));
    memset(long_name, 'n', sizeof(long_name));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        result = good();
        result.fields = cases[i].fields;
        result.field_count = cases[i].field_count;
        result.lifetime_ms = cases[i].lifetime_ms;
        result_map(OP_ISSUE, LEASED_OK, &result, &limits, &mapped);
        assert_int_equal(mapped.result.outcome, LEASE_OUTCOME_INVALID);
        assert_non_null(strstr(mapped.result.detail, "refused"));
        assert_true(str_eq_c(mapped.result.orphan_ref, "ref"));
    }
    result = good();
    result.issuer_ref = (struct leased_str){long_ref, sizeof(long_ref)};
    result_map(OP_ISSUE, LEASED_OK, &result, &limits, &mapped);
    assert_int_equal(mapped.result.outcome, LEASE_OUTCOME_INVALID);
    assert_int_equal(mapped.result.orphan_ref.len, 0); /* too long to be used */
    result = good();
    result.issuer_ref = (struct leased_str){"a\rb", 3};
    result_map(OP_ISSUE, LEASED_OK, &result, &limits, &mapped);
    assert_int_equal(mapped.result.outcome, LEASE_OUTCOME_INVALID);
    result.issuer_ref = (struct leased_str){"a\nb", 3}; /* the end of its name */
    result_map(OP_ISSUE, LEASED_OK, &result, &limits, &mapped);
    assert_int_equal(mapped.result.outcome, LEASE_OUTCOME_OK);
    result = good();
    result.issuer_ref = (struct leased_str){0};
    result_map(OP_ISSUE, LEASED_OK, &result, &limits, &mapped);
    assert_int_equal(mapped.result.outcome, LEASE_OUTCOME_INVALID);
}

static void test_a_failed_issue_may_name_what_it_created(void **state)
{
    struct leased_result result = {.size = sizeof(result),
                                   .issuer_ref = {"ref", 3},
                                   .detail = {"no\nlife", 7}};
    struct result_mapped mapped;

    (void)state;
    result_map(OP_ISSUE, LEASED_INVALID, &result, &limits, &mapped);
    assert_int_equal(mapped.result.outcome, LEASE_OUTCOME_INVALID);
    assert_true(str_eq_c(mapped.result.orphan_ref, "ref"));
    assert_string_equal(mapped.result.detail, "no life");
    result_map(OP_RENEW, LEASED_INVALID, &result, &limits, &mapped);
    assert_int_equal(mapped.result.orphan_ref.len, 0);
}

static void test_a_renewal_without_life_is_tried_again(void **state)
{
    const struct leased_result result = {.size = sizeof(result)};
    struct result_mapped mapped;

    (void)state;
    result_map(OP_RENEW, LEASED_OK, &result, &limits, &mapped);
    assert_int_equal(mapped.result.outcome, LEASE_OUTCOME_RETRY);
    result_map(OP_REVOKE, LEASED_OK, NULL, &limits, &mapped);
    assert_int_equal(mapped.result.outcome, LEASE_OUTCOME_OK);
}

static void test_a_shorter_struct_of_an_older_plugin_is_enough(void **state)
{
    struct leased_result result = good();
    struct result_mapped mapped;

    (void)state;
    result.asked_ms = 7000;
    result.size = offsetof(struct leased_result, asked_ms);
    result_map(OP_ISSUE, LEASED_OK, &result, &limits, &mapped);
    assert_int_equal(mapped.result.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(mapped.result.answered_ms, 5000);
    result.size = sizeof(result) + 64; /* a newer one's */
    result_map(OP_ISSUE, LEASED_OK, &result, &limits, &mapped);
    assert_int_equal(mapped.result.answered_ms, 7000);
}

static void test_details_are_one_cut_line(void **state)
{
    char text[1000];
    struct leased_result result = {.size = sizeof(result), .detail = {text, sizeof(text)}};
    struct result_mapped mapped;

    (void)state;
    memset(text, '\t', sizeof(text));
    /* A two-byte character across the cut. */
    text[BACKEND_ERROR_MAX_BYTES - 2] = '\xc3';
    text[BACKEND_ERROR_MAX_BYTES - 1] = '\xb6';
    result_map(OP_RENEW, LEASED_RETRY, &result, &limits, &mapped);
    assert_int_equal(strlen(mapped.result.detail), BACKEND_ERROR_MAX_BYTES - 2);
    assert_null(strchr(mapped.result.detail, '\t'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_class_of_the_abi_has_its_outcome),
        cmocka_unit_test(test_a_good_issue_is_told_with_the_safe_moment),
        cmocka_unit_test(test_a_bad_issue_is_refused_and_named_as_an_orphan),
        cmocka_unit_test(test_a_failed_issue_may_name_what_it_created),
        cmocka_unit_test(test_a_renewal_without_life_is_tried_again),
        cmocka_unit_test(test_a_shorter_struct_of_an_older_plugin_is_enough),
        cmocka_unit_test(test_details_are_one_cut_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
