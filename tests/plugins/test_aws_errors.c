/* What is no credential: how each failure ends, and that none tells a secret. */
#include "plugins/aws_world.h"

#include <stdio.h>
#include <string.h>

static void test_each_code_has_its_class(void **state)
{
    static const struct {
        uint32_t status;
        const char *code;
        enum lease_outcome outcome;
    } cases[] = {
        {400, "Throttling", LEASE_OUTCOME_RETRY},
        {400, "RequestLimitExceeded", LEASE_OUTCOME_RETRY},
        {429, "Whatever", LEASE_OUTCOME_RETRY},
        {503, "ServiceUnavailable", LEASE_OUTCOME_RETRY},
        {500, "Whatever", LEASE_OUTCOME_RETRY},
        {400, "IDPCommunicationError", LEASE_OUTCOME_RETRY},
        {403, "AccessDenied", LEASE_OUTCOME_DENIED},
        {403, "InvalidClientTokenId", LEASE_OUTCOME_DENIED},
        {403, "SignatureDoesNotMatch", LEASE_OUTCOME_DENIED},
        {403, "RegionDisabledException", LEASE_OUTCOME_DENIED},
        {403, "IDPRejectedClaim", LEASE_OUTCOME_DENIED},
        {400, "InvalidIdentityToken", LEASE_OUTCOME_DENIED},
        {400, "ValidationError", LEASE_OUTCOME_INVALID},
        {400, "PackedPolicyTooLarge", LEASE_OUTCOME_INVALID},
        {400, "MalformedPolicyDocument", LEASE_OUTCOME_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct plugin_world world;
        struct plugin_call call;
        char text[128];

        aws_world_open(&world, NULL);
        plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
        aws_answer_error(&world, cases[i].status, cases[i].code, "because &amp; so");
        assert_int_equal(call.end_count, 1);
        assert_int_equal(call.outcome, cases[i].outcome);
        (void)snprintf(text, sizeof(text), "AssumeRole was refused: %s: because & so",
                       cases[i].code);
        assert_non_null(strstr(call.detail, text));
        plugin_world_fini(&world);
    }
}

static void test_an_error_may_be_one_of_a_list(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    plugin_world_answer(&world, 403,
                        "<?xml version=\"1.0\"?>\n<ErrorResponse><Errors><Error><Code>AccessDenied"
                        "</Code><Message>not you</Message></Error></Errors></ErrorResponse>");
    assert_int_equal(call.outcome, LEASE_OUTCOME_DENIED);
    assert_non_null(strstr(call.detail, "AccessDenied: not you"));
    plugin_world_fini(&world);
}

static void test_a_throttle_says_how_long(void **state)
{
    static const char body[] = "<ErrorResponse><Error><Code>Throttling</Code></Error>"
                               "</ErrorResponse>";
    const struct env_http_header ms = {.name = STR("x-amz-retry-after"), .value = STR("2500")};
    const struct env_http_header s = {.name = STR("retry-after"), .value = STR("7")};
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    plugin_world_answer_with(&world, 400, &ms, body);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_int_equal(call.retry_after_ms, 2500);
    fake_env_advance(&world.fake, 120000);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    plugin_world_answer_with(&world, 400, &s, body);
    assert_int_equal(call.retry_after_ms, 7000);
    plugin_world_fini(&world);
}

static void test_garbage_is_tried_again(void **state)
{
    static const struct {
        uint32_t status;
        const char *body;
    } cases[] = {
        {200, ""},
        {200, "<html>"},
        {200, "{\"AssumeRoleResponse\":{}}"},
        {200, "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A"},
        {200, "<AssumeRoleResponse/>"},
        {403, "<html><body>proxy</body></html>"},
        {404, "no"},
        {502, ""},
        {204, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct plugin_world world;
        struct plugin_call call;

        aws_world_open(&world, NULL);
        plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
        plugin_world_answer(&world, cases[i].status, cases[i].body);
        assert_int_equal(call.end_count, 1);
        assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
        plugin_world_fini(&world);
    }
}

/* That 200 with this body is no answer. */
static void assert_no_answer(const char *body)
{
    struct plugin_world world;
    struct plugin_call call;

    aws_world_open(&world, NULL);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    plugin_world_answer(&world, 200, body);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    plugin_world_fini(&world);
}

static void test_deep_or_cut_answers_are_no_answers(void **state)
{
    char whole[2048];
    char deep[2048] = "";

    (void)state;
    (void)snprintf(whole, sizeof(whole), "%s", aws_session("AssumeRole", "2026-01-01T01:00:00Z"));
    for (size_t i = 0; i < 200; i++) {
        memcpy(deep + 3 * i, "<a>", 4);
    }
    assert_no_answer(deep);
    for (size_t len = strlen(whole) - 1; len > 7; len -= 7) {
        whole[len] = '\0';
        assert_no_answer(whole);
    }
}

static void test_a_session_that_has_ended_is_no_credential(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    plugin_world_answer(&world, 200, aws_session("AssumeRole", "2025-12-31T23:59:59Z"));
    assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
    assert_non_null(strstr(call.detail, "has ended already"));
    fake_env_advance(&world.fake, 120000);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    plugin_world_answer(&world, 200, aws_session("AssumeRole", "tomorrow"));
    assert_non_null(strstr(call.detail, "its credentials have no end"));
    fake_env_advance(&world.fake, 120000);
    /* Nor does one live for ever. */
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    plugin_world_answer(&world, 200, aws_session("AssumeRole", "2999-01-01T00:00:00.123456Z"));
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(call.lifetime_ms, 43200000);
    plugin_world_fini(&world);
}

static void test_no_answer_is_tried_again_because_nothing_is_left_behind(void **state)
{
    static const int failures[] = {ERR_CONNECT, ERR_LOST};
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
        plugin_world_fail(&world, failures[i]);
        assert_int_equal(call.end_count, 1);
        assert_int_equal(call.outcome, LEASE_OUTCOME_RETRY);
        fake_env_advance(&world.fake, 120000);
    }
    plugin_world_fini(&world);
}

static void test_a_slow_answer_is_given_up(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    plugin_world_time_out(&world);
    assert_int_equal(call.end_count, 1);
    assert_true(call.outcome != LEASE_OUTCOME_OK);
    plugin_world_fini(&world);
}

static void test_closing_ends_what_is_under_way(void **state)
{
    struct plugin_world world;
    struct plugin_call calls[3];

    (void)state;
    aws_world_open(&world, NULL);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        plugin_world_issue(&world, &calls[i], AWS_SIMPLE_ROLE, 0);
    }
    plugin_world_fini(&world);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        assert_int_equal(calls[i].end_count, 1);
        assert_int_equal(calls[i].outcome, LEASE_OUTCOME_CANCELED);
    }
}

static void test_an_error_never_repeats_what_was_sent(void **state)
{
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    plugin_world_init(&world, leased_plugin_entry_aws, "aws");
    fake_env_add_secret(&world.fake, "file:/aws",
                        "[default]\naws_access_key_id=ASIA1\naws_secret_access_key=SECRET\n"
                        "aws_session_token=" AWS_TOKEN "\n");
    plugin_world_open(&world, NULL, AWS_FILE_CONFIG);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_answer_error(&world, 403, "SignatureDoesNotMatch",
                     "It does not match.\n\nThe Canonical String for this request should have been"
                     "\n'POST\nx-amz-security-token:" AWS_TOKEN);
    assert_int_equal(call.outcome, LEASE_OUTCOME_DENIED);
    assert_null(strstr(call.detail, "SECRET"));
    assert_non_null(strstr(call.detail, "SignatureDoesNotMatch: It does not match.; the source's"));
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_answer_error(&world, 400, "ValidationError", "bad token " AWS_TOKEN " here");
    assert_null(strstr(call.detail, "SECRET"));
    assert_non_null(strstr(call.detail, "ValidationError"));
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    /* Its end alone, as of a line that was cut at its beginning. */
    aws_answer_error(&world, 400, "ValidationError", "x+==0123456789 is no token");
    assert_non_null(strstr(call.detail, "is no token"));
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    aws_answer_error(&world, 400, "ValidationError", "RET-token/+==0123456789 is no token");
    assert_null(strstr(call.detail, "token/"));
    plugin_world_fini(&world);
}

/* --- clocks ----------------------------------------------------------------------------------- */

#define WRONG_TIME                                                                                 \
    "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired: "         \
    "20260101T000000Z is now earlier than 20260101T000500Z</Message></Error></ErrorResponse>"

static void test_a_clock_ten_minutes_off_is_corrected(void **state)
{
    const struct env_http_header date = {.name = STR("date"),
                                         .value = STR("Thu, 01 Jan 2026 00:10:00 GMT")};
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    assert_string_equal(plugin_world_header(&world, "x-amz-date"), "20260101T000000Z");
    plugin_world_answer_with(&world, 403, &date, WRONG_TIME);
    assert_string_equal(plugin_world_header(&world, "x-amz-date"), "20260101T001000Z");
    plugin_world_answer_with(&world, 200, &date, aws_session("AssumeRole", "2026-01-01T01:10:00Z"));
    assert_int_equal(call.outcome, LEASE_OUTCOME_OK);
    assert_int_equal(call.lifetime_ms, 3600000);
    /* It stays. */
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    assert_string_equal(plugin_world_header(&world, "x-amz-date"), "20260101T001000Z");
    /* What is refused all the same is refused. */
    plugin_world_answer_with(&world, 403, &date, WRONG_TIME);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_DENIED);
    plugin_world_fini(&world);
}

static void test_a_wrong_clock_of_the_answer_is_believed_once(void **state)
{
    const struct env_http_header date = {.name = STR("date"),
                                         .value = STR("Thu, 01 Jan 2026 00:10:00 GMT")};
    const struct env_http_header other = {.name = STR("date"),
                                          .value = STR("Thu, 01 Jan 2026 05:00:00 GMT")};
    struct plugin_world world;
    struct plugin_call call;

    (void)state;
    aws_world_open(&world, NULL);
    plugin_world_issue(&world, &call, AWS_SIMPLE_ROLE, 0);
    plugin_world_answer_with(&world, 403, &date, WRONG_TIME);
    plugin_world_answer_with(&world, 403, &other, WRONG_TIME);
    assert_int_equal(call.end_count, 1);
    assert_int_equal(call.outcome, LEASE_OUTCOME_DENIED);
    plugin_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_code_has_its_class),
        cmocka_unit_test(test_an_error_may_be_one_of_a_list),
        cmocka_unit_test(test_a_throttle_says_how_long),
        cmocka_unit_test(test_garbage_is_tried_again),
        cmocka_unit_test(test_deep_or_cut_answers_are_no_answers),
        cmocka_unit_test(test_a_session_that_has_ended_is_no_credential),
        cmocka_unit_test(test_no_answer_is_tried_again_because_nothing_is_left_behind),
        cmocka_unit_test(test_a_slow_answer_is_given_up),
        cmocka_unit_test(test_closing_ends_what_is_under_way),
        cmocka_unit_test(test_an_error_never_repeats_what_was_sent),
        cmocka_unit_test(test_a_clock_ten_minutes_off_is_corrected),
        cmocka_unit_test(test_a_wrong_clock_of_the_answer_is_believed_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
