/* Server-sent events: whole events out of bytes in any pieces, and limits. */
#include "wire/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char seen[4096];

static void on_event(void *user, const char *name, struct str data)
{
    size_t used = strlen(seen);

    assert_null(user);
    (void)snprintf(seen + used, sizeof(seen) - used, "<%s|%.*s>", name, STR_ARG(data));
}

/* In pieces of each size. */
static void expect(const char *text, const char *events, const char *id, uint64_t retry_ms)
{
    size_t len = strlen(text);
    size_t step;

    for (step = 1; step <= len; step++) {
        struct sse_parser parser;
        size_t at;

        seen[0] = '\0';
        sse_init(&parser, on_event, NULL);
        for (at = 0; at < len; at += step) {
            size_t size = len - at < step ? len - at : step;

            assert_int_equal(sse_read(&parser, (struct str){.ptr = text + at, .len = size}), 0);
        }
        assert_string_equal(seen, events);
        assert_string_equal(parser.id, id);
        assert_int_equal(parser.retry_ms, retry_ms);
        sse_fini(&parser);
    }
}

static void test_events_have_names_data_and_ids(void **state)
{
    (void)state;
    expect("event: a\ndata: 1\nid: x-1\n\nevent:b\ndata:2\n\n", "<a|1><b|2>", "x-1", 0);
    expect("data: one\ndata: two\n\n", "<message|one\ntwo>", "", 0);
    expect("data\n\ndata:\n\n", "<message|><message|>", "", 0);
    expect("data:  two blanks\n\n", "<message| two blanks>", "", 0);
}

static void test_lines_end_in_three_ways(void **state)
{
    (void)state;
    expect("data: 1\r\n\r\ndata: 2\r\rdata: 3\n\n", "<message|1><message|2><message|3>", "", 0);
    expect("data: 1\r\ndata: 2\r\n\r\n", "<message|1\n2>", "", 0);
}

static void test_an_id_alone_is_remembered_and_is_no_event(void **state)
{
    (void)state;
    expect("id: 7\n\n", "", "7", 0);
    expect("data: 1\nid: 7\n", "", "", 0); /* not whole: what is cut off doesn't count */
    expect("id: 7\ndata: 1\n\nid\ndata: 2\n\n", "<message|1><message|2>", "", 0);
    expect("id: 7\n\ndata: 2\n\n", "<message|2>", "7", 0);
}

static void test_comments_and_unknown_fields_are_passed_over(void **state)
{
    (void)state;
    expect(": hello\n\nwhat: ever\n\n: x\ndata: 1\n: y\n\n", "<message|1>", "", 0);
    expect("\xEF\xBB\xBF"
           "data: 1\n\n",
           "<message|1>", "", 0);
}

static void test_a_retry_is_a_number(void **state)
{
    (void)state;
    expect("retry: 1500\n\n", "", "", 1500);
    expect("retry: 1500\nretry: soon\nretry: -1\nretry: 99999999999\n\n", "", "", 1500);
}

static void test_what_was_cut_off_is_forgotten_with_its_connection(void **state)
{
    struct sse_parser parser;

    (void)state;
    seen[0] = '\0';
    sse_init(&parser, on_event, NULL);
    assert_int_equal(sse_read(&parser, STR("id: 1\ndata: 1\n\nid: 2\nevent: x\ndata: 2\nda")), 0);
    sse_reset(&parser);
    assert_string_equal(parser.id, "1");
    assert_int_equal(sse_read(&parser, STR("data: 3\n\n")), 0);
    assert_string_equal(seen, "<message|1><message|3>");
    assert_string_equal(parser.id, "1");
    sse_fini(&parser);
}

static void test_lines_and_events_have_limits(void **state)
{
    char *line = malloc(SSE_LINE_MAX_BYTES + 2);
    struct sse_parser parser;
    int r = 0;
    size_t i;

    (void)state;
    assert_non_null(line);
    memset(line, 'x', SSE_LINE_MAX_BYTES + 1);
    line[SSE_LINE_MAX_BYTES + 1] = '\n';
    memcpy(line, "data:", 5);
    sse_init(&parser, on_event, NULL);
    assert_int_equal(sse_read(&parser, (struct str){line, SSE_LINE_MAX_BYTES}), 0);
    assert_int_equal(sse_read(&parser, STR("x")), ERR_TOO_LARGE);
    sse_fini(&parser);
    sse_init(&parser, on_event, NULL);
    for (i = 0; r == 0 && i < 10; i++) {
        r = sse_read(&parser, (struct str){line, SSE_LINE_MAX_BYTES - 1});
        r = r == 0 ? sse_read(&parser, STR("\n")) : r;
    }
    assert_int_equal(r, ERR_TOO_LARGE);
    assert_int_equal(i, 5);
    sse_fini(&parser);
    free(line);
}

static void test_an_id_or_a_name_that_is_too_long_counts_for_nothing(void **state)
{
    char text[512];

    (void)state;
    (void)snprintf(text, sizeof(text), "id: 1\n\nid: %0200d\nevent: %0100d\ndata: x\n\n", 7, 7);
    expect(text, "<message|x>", "1", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_have_names_data_and_ids),
        cmocka_unit_test(test_lines_end_in_three_ways),
        cmocka_unit_test(test_an_id_alone_is_remembered_and_is_no_event),
        cmocka_unit_test(test_comments_and_unknown_fields_are_passed_over),
        cmocka_unit_test(test_a_retry_is_a_number),
        cmocka_unit_test(test_what_was_cut_off_is_forgotten_with_its_connection),
        cmocka_unit_test(test_lines_and_events_have_limits),
        cmocka_unit_test(test_an_id_or_a_name_that_is_too_long_counts_for_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
