/* What answers have in common: words for people, pauses, clocks. */
#include "common/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define DATE "Thu, 01 Jan 2026 00:10:00 GMT"
#define DATE_S 1767226200

static int64_t wall_ms(leased_host_context *context)
{
    (void)context;
    return (int64_t)(DATE_S - 600) * 1000;
}

static const struct leased_host host = {.size = sizeof(host), .wall_ms = wall_ms};
static const struct plugin_works works = {.host = &host};

static uint64_t retry_after(const char *value)
{
    const struct leased_http_header headers[] = {
        {PLUGIN_STR("retry-after"), plugin_str(value)},
        {PLUGIN_STR("date"), PLUGIN_STR(DATE)},
    };
    const struct leased_http_reply reply = {.size = sizeof(reply),
                                            .headers = headers,
                                            .header_count = 2};

    return plugin_retry_after_ms(&reply);
}

static void test_what_was_said_is_cut_and_has_no_control_bytes(void **state)
{
    char text[300];
    struct plugin_said said;
    json_t *object;

    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text, "a\r\n\x1b[2J\x7f", 8);
    memcpy(text + PLUGIN_SAID_MAX_BYTES - 1, "\xc3\xa9", 2);
    text[sizeof(text) - 1] = '\0';
    object = json_pack("{s:s, s:i}", "message", text, "number", 1);
    assert_non_null(object);
    plugin_said_read(json_object_get(object, "message"), &said);
    assert_memory_equal(said.bytes, "a   [2J x", 9);
    assert_int_equal(strlen(said.bytes), PLUGIN_SAID_MAX_BYTES - 1);
    plugin_said_read(json_object_get(object, "number"), &said);
    assert_string_equal(said.bytes, "");
    plugin_said_read(json_object_get(object, "none"), &said);
    assert_string_equal(said.bytes, "");
    json_decref(object);
    plugin_said_read(json_object_get(NULL, "message"), &said);
    assert_string_equal(said.bytes, "");
}

static void test_a_pause_is_seconds_or_a_date(void **state)
{
    (void)state;
    assert_int_equal(retry_after("7"), 7000);
    assert_int_equal(retry_after("0"), 0);
    assert_int_equal(retry_after("999999"), 3600000);
    assert_int_equal(retry_after("9999999"), 0);
    assert_int_equal(retry_after("-1"), 0);
    assert_int_equal(retry_after("soon"), 0);
    assert_int_equal(retry_after(""), 0);
    assert_int_equal(retry_after("Thu, 01 Jan 2026 00:10:20 GMT"), 20000);
    assert_int_equal(retry_after("Thu, 01 Jan 2026 00:09:20 GMT"), 0);
}

static void test_a_life_is_counted_by_the_senders_clock(void **state)
{
    const struct leased_http_header date = {PLUGIN_STR("date"), PLUGIN_STR(DATE)};
    const struct leased_http_reply dated = {.size = sizeof(dated),
                                            .headers = &date,
                                            .header_count = 1};
    const struct leased_http_reply undated = {.size = sizeof(undated)};

    (void)state;
    assert_int_equal(plugin_answer_clock_s(&works, &dated), DATE_S);
    assert_int_equal(plugin_answer_clock_s(&works, &undated), DATE_S - 600);
    assert_int_equal(plugin_life_ms(&works, &dated, DATE_S + 60, 3600), 60000);
    assert_int_equal(plugin_life_ms(&works, &undated, DATE_S + 60, 3600), 660000);
    assert_int_equal(plugin_life_ms(&works, &dated, INT64_MAX, 3600), 3600000);
    assert_int_equal(plugin_life_ms(&works, &dated, DATE_S, 3600), 0);
    assert_int_equal(plugin_life_ms(&works, &dated, -1, 3600), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_said_is_cut_and_has_no_control_bytes),
        cmocka_unit_test(test_a_pause_is_seconds_or_a_date),
        cmocka_unit_test(test_a_life_is_counted_by_the_senders_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
