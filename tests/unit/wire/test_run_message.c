/* Messages between the daemon and its helper process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "wire/run_message.h"

static struct run_message start_message(void)
{
    struct run_message message = {
        .kind = RUN_START, .id = 0xfffefdfc, .backend = STR("tool"), .program = STR("command")};

    message.values[RUN_VARIABLE_ROLE] = STR("deploy");
    message.values[RUN_VARIABLE_USER] = STR("zoë");
    message.input = STR("{\"password\":\"a\nb\"}");
    message.values[RUN_VARIABLE_REASON] = STR("it's \"$(reboot)\"; `x` \\");
    return message;
}

static const struct run_message END = {.kind = RUN_END,
                                       .id = 7,
                                       .outcome = RUN_EXITED,
                                       .exit_code = 255,
                                       .output = {"{\0}\n", 4},
                                       .text = {"no such account", 15}};

static struct str write_message(const struct run_message *message, struct buf *out)
{
    buf_init(out, RUN_MESSAGE_MAX_BYTES);
    assert_int_equal(run_message_write(message, out), 0);
    return buf_str(out);
}

static int try_write(const struct run_message *message)
{
    BUF_AUTO out;

    buf_init(&out, RUN_MESSAGE_MAX_BYTES);
    return run_message_write(message, &out);
}

static void test_what_was_written_is_read(void **state)
{
    const struct run_message start = start_message();
    struct run_message message;
    struct buf out;
    size_t i;

    (void)state;
    assert_int_equal(run_message_read(write_message(&start, &out), &message), 0);
    assert_int_equal(message.kind, RUN_START);
    assert_int_equal(message.id, 0xfffefdfc);
    assert_true(str_eq(message.backend, start.backend));
    assert_true(str_eq(message.program, start.program));
    for (i = 0; i < RUN_VARIABLE_COUNT; i++) {
        assert_true(str_eq(message.values[i], start.values[i]));
    }
    assert_true(str_eq(message.input, start.input));
    buf_fini(&out);

    assert_int_equal(run_message_read(write_message(&END, &out), &message), 0);
    assert_int_equal(message.outcome, RUN_EXITED);
    assert_int_equal(message.exit_code, 255);
    assert_true(str_eq(message.output, END.output));
    assert_true(str_eq(message.text, END.text));
    buf_fini(&out);

    assert_int_equal(
        run_message_read(write_message(&(struct run_message){.kind = RUN_CANCEL, .id = 9}, &out),
                         &message),
        0);
    assert_int_equal(message.kind, RUN_CANCEL);
    assert_int_equal(message.id, 9);
    buf_fini(&out);
}

static void test_a_message_that_is_cut_or_too_long_is_refused(void **state)
{
    const struct run_message start = start_message();
    const struct run_message *const messages[] = {&start, &END};
    struct run_message message;
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(messages); i++) {
        struct buf out;
        struct str whole = write_message(messages[i], &out);
        size_t len;

        for (len = 0; len < whole.len; len++) {
            char *cut = malloc(len + 1); /* so that a sanitizer sees a byte read behind it */

            memcpy(cut, whole.ptr, len);
            assert_int_equal(run_message_read((struct str){.ptr = cut, .len = len}, &message),
                             ERR_INVALID);
            free(cut);
        }
        buf_add_char(&out, '\0');
        assert_int_equal(run_message_read(buf_str(&out), &message), ERR_INVALID);
        buf_fini(&out);
    }
}

static void test_only_lines_of_text_become_variables(void **state)
{
    static const char *const wrong[] = {"a\nb",     "a\rb", "\x1b[2J",  "\x7f",
                                        "\xc2\x85", "\xff", "\xc0\xaf", "\xed\xa0\x80"};
    struct run_message message = start_message();
    size_t i;

    (void)state;
    for (i = 0; i < ARRAY_LEN(wrong); i++) {
        message.values[RUN_VARIABLE_REASON] = str_of(wrong[i]);
        assert_int_equal(try_write(&message), ERR_INVALID);
    }
    message.values[RUN_VARIABLE_REASON] = (struct str){.ptr = "a\0b", .len = 3};
    assert_int_equal(try_write(&message), ERR_INVALID);
}

static void test_each_variable_has_a_longest_value(void **state)
{
    static const size_t most[] = {
#define X(name, text, max) max,
        RUN_VARIABLES(X)
#undef X
    };
    char value[2048];
    size_t i;

    (void)state;
    memset(value, '7', sizeof(value));
    for (i = 0; i < RUN_VARIABLE_COUNT; i++) {
        struct run_message message = start_message();

        message.values[i] = (struct str){.ptr = value, .len = most[i]};
        assert_int_equal(try_write(&message), 0);
        message.values[i].len++;
        assert_int_equal(try_write(&message), ERR_INVALID);
    }
}

static void test_output_and_text_have_a_largest_size(void **state)
{
    static char bytes[RUN_OUTPUT_MAX_BYTES + 1];
    struct run_message message = END;

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    message.output = (struct str){.ptr = bytes, .len = RUN_OUTPUT_MAX_BYTES};
    message.text = (struct str){.ptr = bytes, .len = RUN_TEXT_MAX_BYTES};
    assert_int_equal(try_write(&message), 0);
    message.output.len++;
    assert_int_equal(try_write(&message), ERR_INVALID);
    message.output.len--;
    message.text.len++;
    assert_int_equal(try_write(&message), ERR_INVALID);
}

static void test_unknown_kinds_and_outcomes_are_refused(void **state)
{
    struct run_message message = END;
    struct buf out;
    char *bytes;

    (void)state;
    message.outcome = (enum run_outcome)9;
    assert_int_equal(try_write(&message), ERR_INVALID);
    message.kind = (enum run_kind)0;
    assert_int_equal(try_write(&message), ERR_INVALID);
    (void)write_message(&END, &out);
    bytes = buf_steal(&out);
    bytes[0] = 4;
    assert_int_equal(run_message_read((struct str){.ptr = bytes, .len = 5}, &message), ERR_INVALID);
    mem_free(bytes);
    assert_int_equal(run_message_read((struct str){.len = 0}, &message), ERR_INVALID);
}

static void test_variables_are_known_by_name(void **state)
{
    (void)state;
    assert_int_equal(run_variable_find(STR("LEASED_UID")), RUN_VARIABLE_UID);
    assert_int_equal(run_variable_find(STR("LEASED_REF")), RUN_VARIABLE_REF);
    assert_int_equal(run_variable_find(STR("LD_PRELOAD")), RUN_VARIABLE_COUNT);
    assert_int_equal(run_variable_find(STR("")), RUN_VARIABLE_COUNT);
    assert_string_equal(run_variable_name(RUN_VARIABLE_TTL_S), "LEASED_TTL_S");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_a_message_that_is_cut_or_too_long_is_refused),
        cmocka_unit_test(test_only_lines_of_text_become_variables),
        cmocka_unit_test(test_each_variable_has_a_longest_value),
        cmocka_unit_test(test_output_and_text_have_a_largest_size),
        cmocka_unit_test(test_unknown_kinds_and_outcomes_are_refused),
        cmocka_unit_test(test_variables_are_known_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
