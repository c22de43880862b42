/* Programs that the helper process runs, from the daemon's side: each ends once, whatever the
 * helper does. The test is the helper. */
#include "io/loop_fixture.h"

#include "env/run.h"
#include "io/run.h"
#include "wire/run_message.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct one {
    struct env_run run;
    bool is_ended;
    unsigned end_count;
    enum env_run_outcome outcome;
    uint8_t exit_code;
    char output[64];
    char text[256];
    struct one *next; /* started from its callback */
    struct env *env;
};

static int helper_fd;
static unsigned ended_count;

static void on_helper_ended(void *user)
{
    (void)user;
    ended_count++;
}

static int set_up(void **state)
{
    int ends[2];
    struct io_helper_options options = {.ended = on_helper_ended};

    if (loop_setup(state) != 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return -1;
    }
    ended_count = 0;
    helper_fd = ends[1];
    options.fd = ends[0];
    return io_use_helper(((struct loop *)*state)->io, &options);
}

static int tear_down(void **state)
{
    if (helper_fd >= 0) {
        (void)close(helper_fd);
    }
    return loop_teardown(state);
}

static void on_end(struct env_run *run, const struct env_run_end *end)
{
    struct one *one = run->user;

    one->is_ended = true;
    one->end_count++;
    one->outcome = end->outcome;
    one->exit_code = end->exit_code;
    (void)snprintf(one->output, sizeof(one->output), "%.*s", STR_ARG(end->output));
    (void)snprintf(one->text, sizeof(one->text), "%.*s", STR_ARG(end->text));
    if (one->next != NULL) {
        assert_int_equal(env_run_start(one->env, &one->next->run), 0);
    }
}

static void init(struct one *one)
{
    *one = (struct one){.run = {.backend = "tool", .program = "command", .fn = on_end}};
    one->run.user = one;
}

static void start(struct loop *loop, struct one *one)
{
    init(one);
    assert_int_equal(env_run_start(loop->env, &one->run), 0);
    assert_false(one->is_ended);
}

static struct run_message asked(void)
{
    static char bytes[4096];
    struct run_message message;
    ssize_t size = recv(helper_fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    assert_true(size > 0);
    assert_int_equal(run_message_read((struct str){.ptr = bytes, .len = (size_t)size}, &message),
                     0);
    return message;
}

static void answer(const struct run_message *message)
{
    BUF_AUTO out;

    buf_init(&out, RUN_MESSAGE_MAX_BYTES);
    assert_int_equal(run_message_write(message, &out), 0);
    assert_int_equal(send(helper_fd, buf_str(&out).ptr, out.len, 0), out.len);
}

static void answer_with(uint32_t id, const char *output)
{
    const struct run_message message = {
        .kind = RUN_END, .id = id, .outcome = RUN_EXITED, .output = str_of(output)};

    answer(&message);
}

static void test_a_run_is_asked_for_and_its_answer_ends_it(void **state)
{
    struct loop *loop = *state;
    struct one one;
    struct run_message message;

    init(&one);
    one.run.variables[0] = (struct env_run_variable){STR("LEASED_ROLE"), STR("deploy")};
    one.run.variables[1] = (struct env_run_variable){STR("LEASED_REASON"), STR("it's mine")};
    one.run.variable_count = 2;
    assert_null(env_run_problem(loop->env));
    assert_int_equal(env_run_start(loop->env, &one.run), 0);
    message = asked();
    assert_int_equal(message.kind, RUN_START);
    assert_true(str_eq_c(message.backend, "tool"));
    assert_true(str_eq_c(message.program, "command"));
    assert_true(str_eq_c(message.values[RUN_VARIABLE_ROLE], "deploy"));
    assert_true(str_eq_c(message.values[RUN_VARIABLE_REASON], "it's mine"));
    assert_int_equal(message.values[RUN_VARIABLE_USER].len, 0);
    loop_turns(loop, 3);
    assert_false(one.is_ended);
    message = (struct run_message){.kind = RUN_END,
                                   .id = message.id,
                                   .outcome = RUN_EXITED,
                                   .exit_code = 7,
                                   .output = STR("{}"),
                                   .text = STR("why")};
    answer(&message);
    loop_until(loop, &one.is_ended);
    assert_int_equal(one.outcome, ENV_RUN_EXITED);
    assert_int_equal(one.exit_code, 7);
    assert_string_equal(one.output, "{}");
    assert_string_equal(one.text, "why");
}

static void test_answers_may_come_in_any_order(void **state)
{
    struct loop *loop = *state;
    struct one first;
    struct one second;
    uint32_t id;

    start(loop, &first);
    start(loop, &second);
    id = asked().id;
    answer_with(asked().id, "second");
    answer_with(id, "first");
    loop_until(loop, &first.is_ended);
    loop_until(loop, &second.is_ended);
    assert_string_equal(first.output, "first");
    assert_string_equal(second.output, "second");
    assert_int_equal(first.end_count + second.end_count, 2);
}

static void test_values_that_are_no_line_are_refused_at_once(void **state)
{
    static const struct env_run_variable wrong[] = {
        {{"LEASED_REASON", 13}, {"a\nPATH=/tmp", 11}}, {{"LEASED_USER", 11}, {"a\0b", 3}},
        {{"LD_PRELOAD", 10}, {"/tmp/x.so", 9}},        {{"PATH", 4}, {"/tmp", 4}},
        {{"LEASED_UID", 10}, {"12345678901", 11}},
    };
    struct loop *loop = *state;
    size_t i;

    for (i = 0; i < ARRAY_LEN(wrong); i++) {
        struct one one;

        init(&one);
        one.run.variables[0] = wrong[i];
        one.run.variable_count = 1;
        assert_int_equal(env_run_start(loop->env, &one.run), ERR_INVALID);
        loop_turns(loop, 2);
        assert_false(one.is_ended);
    }
}

static void test_cancelling_ends_it_from_the_loop_whatever_the_helper_does(void **state)
{
    struct loop *loop = *state;
    struct one one;
    struct one next;
    struct run_message message;

    start(loop, &one);
    message = asked();
    env_run_cancel(loop->env, &one.run);
    env_run_cancel(loop->env, &one.run);
    assert_false(one.is_ended);
    assert_int_equal(asked().kind, RUN_CANCEL);
    loop_until(loop, &one.is_ended);
    assert_int_equal(one.outcome, ENV_RUN_CANCELED);
    start(loop, &next);
    /* It had ended before it was told. */
    answer_with(message.id, "too late");
    answer_with(asked().id, "in time");
    loop_until(loop, &next.is_ended);
    assert_string_equal(next.output, "in time");
    assert_int_equal(one.end_count, 1);
    assert_int_equal(ended_count, 0);
    answer_with(message.id, "twice");
    start(loop, &next);
    loop_until(loop, &next.is_ended);
    assert_int_equal(next.outcome, ENV_RUN_LOST);
}

static void test_too_many_at_once_are_busy(void **state)
{
    static struct one ones[RUN_COUNT_MAX + 1];
    struct loop *loop = *state;
    size_t i;

    for (i = 0; i < ARRAY_LEN(ones); i++) {
        start(loop, &ones[i]);
    }
    loop_until(loop, &ones[RUN_COUNT_MAX].is_ended);
    assert_int_equal(ones[RUN_COUNT_MAX].outcome, ENV_RUN_BUSY);
    for (i = 0; i < RUN_COUNT_MAX; i++) {
        assert_false(ones[i].is_ended);
        answer_with(asked().id, "");
    }
    for (i = 0; i < RUN_COUNT_MAX; i++) {
        loop_until(loop, &ones[i].is_ended);
    }
    start(loop, &ones[0]);
    answer_with(asked().id, "again");
    loop_until(loop, &ones[0].is_ended);
    assert_string_equal(ones[0].output, "again");
}

static void test_when_the_helper_dies_what_ran_is_lost(void **state)
{
    struct loop *loop = *state;
    struct one one;
    struct one later;

    start(loop, &one);
    init(&later);
    one.next = &later;
    one.env = loop->env;
    (void)close(helper_fd);
    helper_fd = -1;
    loop_until(loop, &later.is_ended);
    assert_int_equal(one.outcome, ENV_RUN_LOST);
    assert_int_equal(later.outcome, ENV_RUN_NOT_STARTED);
    assert_non_null(strstr(later.text, "restart leased"));
    assert_non_null(strstr(env_run_problem(loop->env), "restart leased"));
    assert_int_equal(one.end_count, 1);
    assert_int_equal(ended_count, 1);
}

static void test_a_helper_that_breaks_the_rules_is_left(void **state)
{
    struct loop *loop = *state;
    struct one one;
    char byte;

    start(loop, &one);
    (void)asked();
    answer_with(4711, "of nobody");
    loop_until(loop, &one.is_ended);
    assert_int_equal(one.outcome, ENV_RUN_LOST);
    assert_string_equal(one.output, "");
    loop_turns(loop, 2);
    assert_int_equal(recv(helper_fd, &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(ended_count, 1);
}

static void test_garbage_ends_it_too(void **state)
{
    struct loop *loop = *state;
    struct one one;

    start(loop, &one);
    assert_int_equal(send(helper_fd, "garbage", 7, 0), 7);
    loop_until(loop, &one.is_ended);
    assert_int_equal(one.outcome, ENV_RUN_LOST);
}

static void test_closing_ends_what_runs(void **state)
{
    struct loop *loop = *state;
    static struct one one;

    start(loop, &one);
    assert_int_equal(loop_teardown(state), 0);
    assert_int_equal(one.end_count, 1);
    assert_int_equal(one.outcome, ENV_RUN_CANCELED);
    assert_int_equal(ended_count, 0);
    assert_int_equal(loop_setup(state), 0); /* for the teardown */
}

static void test_without_a_helper_nothing_runs(void **state)
{
    struct loop *loop = *state;
    struct one one;

    init(&one);
    assert_int_equal(env_run_start(loop->env, &one.run), ERR_UNSUPPORTED);
    assert_non_null(env_run_problem(loop->env));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_a_run_is_asked_for_and_its_answer_ends_it),
        TEST(test_answers_may_come_in_any_order),
        TEST(test_values_that_are_no_line_are_refused_at_once),
        TEST(test_cancelling_ends_it_from_the_loop_whatever_the_helper_does),
        TEST(test_too_many_at_once_are_busy),
        TEST(test_when_the_helper_dies_what_ran_is_lost),
        TEST(test_a_helper_that_breaks_the_rules_is_left),
        TEST(test_garbage_ends_it_too),
        TEST(test_closing_ends_what_runs),
#undef TEST
        cmocka_unit_test_setup_teardown(test_without_a_helper_nothing_runs, loop_setup,
                                        loop_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
