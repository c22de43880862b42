/* Ends that the caller or the daemon wants: cancel, shutdown; and what must not outlive an exec. */
#include "io/http_call.h"

#include "base/mem.h"
#include "io/io_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct peer *plain_peer(peer_script_fn script)
{
    const struct peer_options options = {.script = script};

    return peer_new(&options);
}

static void script_never_answers(struct peer_conn *conn)
{
    if (peer_read_request(conn)) {
        peer_wait_for_end(conn);
    }
}

static void wait_for_requests(struct loop *loop, struct peer *peer, unsigned count)
{
    while (peer_request_count(peer) < count) {
        io_run_once(loop->io, false);
    }
}

static void test_a_canceled_exchange_still_calls_back_once_from_the_loop(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_never_answers);
    struct call call;

    call_init(&call, peer, "/");
    call_start(loop, &call);
    wait_for_requests(loop, peer, 1);
    env_http_cancel(loop->env, &call.http);
    env_http_cancel(loop->env, &call.http);
    assert_false(call.is_done);
    loop_until(loop, &call.is_done);
    assert_int_equal(call.status, ERR_CANCELED);
    env_http_cancel(loop->env, &call.http);
    loop_turns(loop, 5);
    assert_int_equal(call.runs, 1);
    peer_free(peer);
}

static void test_an_exchange_can_be_canceled_right_after_its_start(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok);
    struct call call;

    call_init(&call, peer, "/");
    call_start(loop, &call);
    env_http_cancel(loop->env, &call.http);
    assert_false(call.is_done);
    loop_until(loop, &call.is_done);
    assert_int_equal(call.status, ERR_CANCELED);
    assert_int_equal(call.runs, 1);
    peer_free(peer);
}

struct killer {
    struct loop *loop;
    struct call victim;
    struct call call;
    bool is_done;
};

static void on_killer_done(struct env_http *http, int status, const struct env_http_reply *reply,
                           const char *detail)
{
    struct killer *killer = http->user;

    (void)reply;
    (void)detail;
    assert_int_equal(status, 0);
    env_http_cancel(killer->loop->env, &killer->victim.http);
    killer->is_done = true;
}

static void script_answers_x_only(struct peer_conn *conn)
{
    char request[PEER_REQUEST_MAX_BYTES];

    while (peer_read_request(conn)) {
        peer_last_request(conn->peer, request);
        if (strncmp(request, "GET /x", 6) != 0) {
            peer_wait_for_end(conn);
            return;
        }
        (void)peer_reply(conn, 200, "ok");
    }
}

static void test_a_callback_may_cancel_another_exchange(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_answers_x_only);
    struct killer killer = {.loop = loop};

    call_init(&killer.victim, peer, "/");
    call_start(loop, &killer.victim);
    wait_for_requests(loop, peer, 1);
    call_init(&killer.call, peer, "/x");
    killer.call.http.fn = on_killer_done;
    killer.call.http.user = &killer;
    call_start(loop, &killer.call);
    loop_until(loop, &killer.is_done);
    loop_until(loop, &killer.victim.is_done);
    assert_int_equal(killer.victim.status, ERR_CANCELED);
    peer_free(peer);
}

static void on_closing_done(struct env_http *http, int status, const struct env_http_reply *reply,
                            const char *detail)
{
    struct killer *killer = http->user;

    (void)reply;
    (void)detail;
    killer->is_done = true;
    assert_int_equal(status, ERR_CANCELED);
    /* What a hasty owner would do. */
    assert_int_equal(env_http_start(killer->loop->env, &killer->call.http, NULL), ERR_CLOSED);
}

static void test_shutdown_with_exchanges_in_flight_is_orderly(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_never_answers);
    struct peer *idle = plain_peer(peer_script_ok);
    struct killer killer = {.loop = loop};
    struct call calls[8];
    struct call kept;

    call_init(&kept, idle, "/");
    assert_int_equal(call_run(loop, &kept), 0); /* Leaves a connection open. */
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        call_init(&calls[i], peer, "/");
        call_start(loop, &calls[i]);
        if (i == 3) {
            wait_for_requests(loop, peer, 4); /* These wait for an answer, the others connect. */
        }
    }
    call_init(&killer.call, peer, "/");
    killer.call.http.fn = on_closing_done;
    killer.call.http.user = &killer;
    call_start(loop, &killer.call);
    assert_int_equal(io_close(loop->io), 0);
    loop->io = NULL;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        assert_int_equal(calls[i].runs, 1);
        assert_int_equal(calls[i].status, ERR_CANCELED);
    }
    assert_true(killer.is_done);
    peer_free(peer);
    peer_free(idle);
}

static void test_exchanges_are_limited_in_number(void **state)
{
    struct loop *loop = *state;
    struct call *calls = mem_calloc(1025, sizeof(*calls));
    struct err e;

    assert_non_null(calls);
    for (size_t i = 0; i < 1025; i++) {
        call_init(&calls[i], NULL, NULL);
        calls[i].http.url = "http://localhost/";
        calls[i].http.unix_socket = "/nonexistent/leased.sock";
    }
    for (size_t i = 0; i < 1024; i++) {
        call_start(loop, &calls[i]);
    }
    assert_int_equal(env_http_start(loop->env, &calls[1024].http, &e), ERR_LIMIT);
    for (size_t i = 0; i < 1024; i++) {
        loop_until(loop, &calls[i].is_done);
    }
    assert_int_equal(call_run(loop, &calls[1024]), ERR_CONNECT);
    mem_free(calls);
}

/* The names of what a program finds open when it starts, as `ls -l /proc/self/fd` shows them. */
static void list_inherited(char *out, size_t size)
{
    char *const arguments[] = {(char *)(uintptr_t) "ls", (char *)(uintptr_t) "-l",
                               (char *)(uintptr_t) "/proc/self/fd", NULL};
    int ends[2];
    size_t len = 0;
    ssize_t got;
    pid_t pid;
    int status;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)execv("/bin/ls", arguments);
        _exit(127);
    }
    (void)close(ends[1]);
    while ((got = read(ends[0], out + len, size - 1 - len)) > 0) {
        len += (size_t)got;
    }
    out[len] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;

    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static void test_a_program_inherits_neither_connections_nor_the_loop(void **state)
{
    static char before[65536];
    static char during[65536];
    struct loop *loop = *state;
    struct peer *peer = plain_peer(script_never_answers);
    struct peer *idle = plain_peer(peer_script_ok);
    struct call kept;
    struct call open;

    assert_int_equal(io_close(loop->io), 0);
    list_inherited(before, sizeof(before)); /* What the test's own parents left open. */
    assert_int_equal(io_new(&loop->io, NULL), 0);
    loop->env = io_env(loop->io);

    call_init(&kept, idle, "/");
    assert_int_equal(call_run(loop, &kept), 0);
    call_init(&open, peer, "/");
    call_start(loop, &open);
    wait_for_requests(loop, peer, 1);
    list_inherited(during, sizeof(during));
    assert_int_equal(count_of(during, "socket:"), count_of(before, "socket:"));
    assert_int_equal(count_of(during, "anon_inode:"), count_of(before, "anon_inode:"));
    assert_int_equal(count_of(during, "pipe:"), count_of(before, "pipe:"));
    env_http_cancel(loop->env, &open.http);
    loop_until(loop, &open.is_done);
    peer_free(peer);
    peer_free(idle);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_a_canceled_exchange_still_calls_back_once_from_the_loop),
        LOOP_TEST(test_an_exchange_can_be_canceled_right_after_its_start),
        LOOP_TEST(test_a_callback_may_cancel_another_exchange),
        LOOP_TEST(test_shutdown_with_exchanges_in_flight_is_orderly),
        LOOP_TEST(test_exchanges_are_limited_in_number),
        LOOP_TEST(test_a_program_inherits_neither_connections_nor_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
