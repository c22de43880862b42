/* Each way to go, in each state that a connection can be in: half-closed, closed, reset, killed.
 * Each request that reached the handler is over exactly once, delivered or not, and nobody else
 * feels it. */
#include "server_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIG_BYTES (16U * 1024U * 1024U) /* more than the kernel takes */
#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

enum end {
    END_HALF, /* shutdown(SHUT_WR), then it reads what comes */
    END_CLOSE,
    END_RESET,
    END_KILL,
};
#define END_COUNT (END_KILL + 1)

struct state {
    const char *name;
    const char *sends;
    bool reads; /* the answer, before it goes */
    bool holds; /* the answer is pending when it goes */
    bool is_big;
    /* A request that will never be whole. libmicrohttpd doesn't see an end that came together with
     * what was sent before it, so only a timer is sure to end these. */
    bool is_cut;
    size_t requests;  /* that reach the handler */
    size_t delivered; /* of these: even when the client goes for good */
};

static const struct state states[] = {
    {.name = "nothing sent", .sends = ""},
    {.name = "within the request line", .sends = "GET / HT", .is_cut = true},
    {.name = "within the head", .sends = "GET / HTTP/1.1\r\nHost: local", .is_cut = true},
    {.name = "before the body",
     .sends = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n",
     .is_cut = true},
    {.name = "within the body",
     .sends = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel",
     .is_cut = true},
    {.name = "answer pending", .sends = GET, .holds = true, .requests = 1},
    {.name = "answer pending, half a request behind it",
     .sends = GET "GET / HT",
     .is_cut = true,
     .holds = true,
     .requests = 1},
    {.name = "answer on its way", .sends = GET, .is_big = true, .requests = 1},
    {.name = "idle", .sends = GET, .reads = true, .requests = 1, .delivered = 1},
    {.name = "idle, half a request behind it",
     .sends = GET "GET / HT",
     .is_cut = true,
     .reads = true,
     .requests = 1,
     .delivered = 1},
};

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return 0;
}

static const char *big_body(void)
{
    static char bytes[BIG_BYTES];

    memset(bytes, 'x', sizeof(bytes));
    return bytes;
}

/* --- the client, in a process of its own --- */

struct visitor {
    pid_t pid;
    int go;    /* write end: whatever comes lets it go */
    int ready; /* read end */
    bool is_ready;
};

static void read_to_end(int fd)
{
    char sink[65536];

    while (read(fd, sink, sizeof(sink)) > 0) {
    }
}

/* Never returns. */
static void live(int fd, const int go[2], const int ready[2], const struct state *state,
                 enum end end)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    char byte;
    ssize_t n = write(fd, state->sends, strlen(state->sends));

    (void)close(go[1]);
    (void)close(ready[0]);
    if (n >= 0 && state->reads) {
        n = read(fd, &byte, 1);
    }
    n = n < 0 ? n : write(ready[1], "r", 1);
    n = n < 0 ? n : read(go[0], &byte, 1);
    if (n < 0) {
        child_end(1);
    }
    switch (end) {
    case END_HALF:
        (void)shutdown(fd, SHUT_WR);
        read_to_end(fd);
        break;
    case END_RESET:
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        (void)close(fd);
        break;
    case END_CLOSE:
        (void)close(fd);
        break;
    case END_KILL:
        (void)raise(SIGKILL);
        break;
    }
    child_end(0);
}

static struct visitor visit(struct fixture *f, const struct state *state, enum end end)
{
    struct client *client = client_new(f);
    struct visitor visitor = {0};
    int go[2];
    int ready[2];

    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC | O_NONBLOCK), 0);
    visitor.pid = fork();
    assert_true(visitor.pid >= 0);
    if (visitor.pid == 0) {
        (void)fcntl(client->fd, F_SETFL, 0);
        live(client->fd, go, ready, state, end);
    }
    client_free(client); /* the child has it now */
    (void)close(go[0]);
    (void)close(ready[1]);
    visitor.go = go[1];
    visitor.ready = ready[0];
    return visitor;
}

static bool is_ready(struct visitor *visitor)
{
    char byte;

    visitor->is_ready = visitor->is_ready || read(visitor->ready, &byte, 1) == 1;
    return visitor->is_ready;
}

static void let_go(struct visitor *visitor)
{
    assert_int_equal(write(visitor->go, "g", 1), 1);
    (void)close(visitor->go);
    (void)close(visitor->ready);
}

static bool has_ended(struct visitor *visitor)
{
    int status;

    if (visitor->pid > 0 && waitpid(visitor->pid, &status, WNOHANG) == visitor->pid) {
        visitor->pid = 0;
    }
    return visitor->pid == 0;
}

/* --- the matrix --- */

/* Somebody else comes and is served. */
static void expect_service(struct fixture *f)
{
    struct client *client = client_new(f);

    f->holds = false;
    f->body = NULL;
    f->body_len = 0;
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_free(client);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
}

/* On TCP who has finished sending can't be told from who has gone. */
static bool is_gone(const struct fixture *f, const struct state *state, enum end end)
{
    return end != END_HALF || (f->options.tcp != NULL && state->holds);
}

static void expect_end(struct fixture *f, const struct state *state, enum end end)
{
    size_t delivered = is_gone(f, state, end) ? state->delivered : state->requests;

    if (f->delivered_count != delivered || f->undelivered_count != state->requests - delivered) {
        fail_msg("%s, end %d: %zu delivered, %zu not", state->name, (int)end, f->delivered_count,
                 f->undelivered_count);
    }
}

static void run_case(struct fixture *f, const struct state *state, enum end end)
{
    struct visitor visitor;

    f->request_count = f->delivered_count = f->undelivered_count = f->held_count = 0;
    f->holds = state->holds;
    f->body = state->is_big ? big_body() : NULL;
    f->body_len = state->is_big ? BIG_BYTES : 0;
    visitor = visit(f, state, end);
    FIXTURE_UNTIL(f, is_ready(&visitor) && f->request_count == state->requests);
    let_go(&visitor);
    if (state->holds && !is_gone(f, state, end)) {
        fixture_turn(f, -1);
        fixture_turn(f, -1);
        fixture_answer(f, 0);
    }
    FIXTURE_UNTIL(f, has_ended(&visitor));
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    assert_int_equal(f->request_count, state->requests);
    expect_end(f, state, end);
    expect_service(f);
}

static void run_all(struct fixture *f)
{
    f->options.limits.head_timeout_ms = 60000; /* nobody is helped by a timer */
    f->options.limits.body_timeout_ms = 60000;
    f->options.limits.write_timeout_ms = 60000;
    fixture_listen(f);
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        for (int end = 0; end < END_COUNT; end++) {
            if (!states[i].is_cut) {
                run_case(f, &states[i], (enum end)end);
            }
        }
    }
}

static void use_tcp(struct fixture *f)
{
    f->options.unix_path = NULL;
    f->options.tcp = "127.0.0.1:0";
}

static void test_each_end_in_each_state_is_noticed_once(void **state)
{
    run_all(*state);
}

static void test_each_end_in_each_state_is_noticed_once_on_loopback_tcp(void **state)
{
    use_tcp(*state);
    run_all(*state);
}

static void run_cut(struct fixture *f)
{
    f->options.limits.head_timeout_ms = 100;
    f->options.limits.body_timeout_ms = 100;
    f->options.limits.idle_timeout_ms = 100;
    fixture_listen(f);
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        for (int end = 0; states[i].is_cut && end < END_COUNT; end++) {
            run_case(f, &states[i], (enum end)end);
        }
    }
}

static void test_each_end_within_a_request_is_noticed_in_its_time(void **state)
{
    run_cut(*state);
}

static void test_each_end_within_a_request_is_noticed_in_its_time_on_loopback_tcp(void **state)
{
    use_tcp(*state);
    run_cut(*state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_end_in_each_state_is_noticed_once),
        TEST(test_each_end_in_each_state_is_noticed_once_on_loopback_tcp),
        TEST(test_each_end_within_a_request_is_noticed_in_its_time),
        TEST(test_each_end_within_a_request_is_noticed_in_its_time_on_loopback_tcp),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
