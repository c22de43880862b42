/* The daemon's side of the socket. */
#include "unit/helper/helper_fixture.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 10000
#define TIMEOUT_MS 20000U

struct helper_program *fixture_add(struct helper_fixture *fixture, const char *name,
                                   const char *const *argv)
{
    struct helper_programs *programs = &fixture->programs;
    struct helper_program *program;
    size_t count = 0;

    programs->items =
        mem_realloc(programs->items, (programs->count + 1) * sizeof(programs->items[0]));
    assert_non_null(programs->items);
    program = &programs->items[programs->count++];
    *program = (struct helper_program){.backend = mem_strdup("tool"),
                                       .name = mem_strdup(name),
                                       .environment = mem_calloc(8, sizeof(char *)),
                                       .timeout_ms = TIMEOUT_MS};
    while (argv[count] != NULL) {
        count++;
    }
    program->argv = mem_calloc(count + 1, sizeof(char *));
    while (count-- > 0) {
        program->argv[count] = mem_strdup(argv[count]);
    }
    return program;
}

struct helper_program *fixture_add_file(struct helper_fixture *fixture, const char *name,
                                        enum helper_kind kind, const char *path)
{
    const char *const nothing[] = {NULL};
    struct helper_program *program = fixture_add(fixture, name, nothing);

    program->kind = kind;
    program->file.path = mem_strdup(path);
    program->file.mode = 0400;
    return program;
}

struct helper_program *fixture_add_shell(struct helper_fixture *fixture, const char *name,
                                         const char *line)
{
    const char *const argv[] = {"/bin/sh", "-c", line, NULL};

    return fixture_add(fixture, name, argv);
}

void fixture_start(struct helper_fixture *fixture)
{
    const struct helper_options options = {.programs = &fixture->programs};
    struct err e = {0};

    if (helper_start(&options, &fixture->helper, &e) != 0) {
        fail_msg("%s", e.text);
    }
}

void fixture_end(struct helper_fixture *fixture)
{
    int status = 0;

    if (fixture->helper.fd >= 0) {
        (void)close(fixture->helper.fd);
    }
    assert_int_equal(waitpid(fixture->helper.pid, &status, 0), fixture->helper.pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    helper_programs_fini(&fixture->programs);
}

void fixture_send(struct helper_fixture *fixture, const struct run_message *message)
{
    struct str bytes;
    BUF_AUTO out;

    buf_init(&out, RUN_MESSAGE_MAX_BYTES);
    assert_int_equal(run_message_write(message, &out), 0);
    bytes = buf_str(&out);
    assert_int_equal(send(fixture->helper.fd, bytes.ptr, bytes.len, MSG_NOSIGNAL), bytes.len);
}

void fixture_ask(struct helper_fixture *fixture, uint32_t id, const char *name)
{
    const struct run_message message = {
        .kind = RUN_START, .id = id, .backend = STR("tool"), .program = str_of(name)};

    fixture_send(fixture, &message);
}

struct run_message fixture_receive(struct helper_fixture *fixture)
{
    struct pollfd polled = {.fd = fixture->helper.fd, .events = POLLIN};
    struct run_message message;
    ssize_t size;

    assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
    size = recv(fixture->helper.fd, fixture->bytes, sizeof(fixture->bytes), MSG_TRUNC);
    assert_true(size > 0 && (size_t)size <= sizeof(fixture->bytes));
    assert_int_equal(
        run_message_read((struct str){.ptr = fixture->bytes, .len = (size_t)size}, &message), 0);
    assert_int_equal(message.kind, RUN_END);
    return message;
}

struct run_message fixture_run_with(struct helper_fixture *fixture, const char *name,
                                    struct str input)
{
    const struct run_message message = {.kind = RUN_START,
                                        .id = 1,
                                        .backend = STR("tool"),
                                        .program = str_of(name),
                                        .input = input};

    fixture_send(fixture, &message);
    return fixture_receive(fixture);
}

struct run_message fixture_run(struct helper_fixture *fixture, const char *name)
{
    struct run_message end;

    fixture_ask(fixture, 1, name);
    end = fixture_receive(fixture);
    assert_int_equal(end.id, 1);
    return end;
}

const char *fixture_output(const struct run_message *end)
{
    static char text[RUN_OUTPUT_MAX_BYTES + 1];

    (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(end->output));
    return text;
}

const char *fixture_text(const struct run_message *end)
{
    static char text[RUN_TEXT_MAX_BYTES + 1];

    (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(end->text));
    return text;
}

bool fixture_lives(pid_t pid)
{
    char path[64];
    char line[256] = "";
    const char *state;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    state = fgets(line, sizeof(line), file) != NULL ? strrchr(line, ')') : NULL;
    (void)fclose(file);
    /* Where nobody reaps orphans they stay as zombies. */
    return state != NULL && state[2] != 'Z';
}

void fixture_await_gone(pid_t pid)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    int i;

    for (i = 0; i < PATIENCE_MS / 2 && fixture_lives(pid); i++) {
        (void)nanosleep(&pause, NULL);
    }
    assert_false(fixture_lives(pid));
}

bool fixture_has_pidfds(void)
{
    long fd = syscall(SYS_pidfd_open, getpid(), 0);

    return fd >= 0 && close((int)fd) == 0;
}

static void test_what_needs_pidfd_open_is_left_out(void **state)
{
    (void)state;
    skip();
}

int fixture_leave_out(void)
{
    const struct CMUnitTest left_out[] = {
        cmocka_unit_test(test_what_needs_pidfd_open_is_left_out),
    };

    return cmocka_run_group_tests(left_out, NULL, NULL);
}
