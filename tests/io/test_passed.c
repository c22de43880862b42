/* Sockets of the service manager: who gets which, and what is refused. Each case runs in a child
 * whose descriptors from 3 on are what was passed. */
#include "server_fixture.h"

#include "io/passed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FDS_MAX 64

static char folder[64];

/* The first thing that doesn't hold ends the child with its line. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            child_end(1);                                                                          \
        }                                                                                          \
    } while (0)

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/leased-test-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

/* Binds the next free descriptor, as systemd would. */
static void pass_unix(const char *name, int type, bool listens)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    if (name[0] == '@') {
        (void)snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s-%d", name,
                       (int)getpid());
    } else {
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
    }
    HOLDS(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    HOLDS(!listens || listen(fd, 8) == 0);
}

static uint16_t pass_tcp(uint32_t address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    socklen_t size = sizeof(v4);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    v4.sin_addr.s_addr = htonl(address);
    HOLDS(bind(fd, (struct sockaddr *)&v4, sizeof(v4)) == 0);
    HOLDS(listen(fd, 8) == 0);
    HOLDS(getsockname(fd, (struct sockaddr *)&v4, &size) == 0);
    return ntohs(v4.sin_port);
}

static void announce(const char *count, const char *names)
{
    char pid[16];

    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    (void)setenv("LISTEN_PID", pid, 1);
    (void)setenv("LISTEN_FDS", count, 1);
    if (names != NULL) {
        (void)setenv("LISTEN_FDNAMES", names, 1);
    } else {
        (void)unsetenv("LISTEN_FDNAMES");
    }
}

static void run_in_child(void (*body)(void))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        int fd;

        for (fd = 3; fd < FDS_MAX; fd++) {
            (void)close(fd);
        }
        body();
        child_end(0);
    }
    assert_int_equal(child_wait(pid), 0);
}

/* A listener in a child that answers by itself. */
struct world {
    struct io *io;
    struct io_listener *listener;
    struct io_listener_options options;
    char path[96];
    bool is_closed;
};

static void on_request(void *user, struct env_request *request)
{
    const struct env_reply reply = {
        .status = 200, .content_type = "text/plain", .body = STR("ok"), .close = true};

    (void)user;
    env_request_reply(request, &reply);
}

static void on_closed(void *user)
{
    *(bool *)user = true;
}

static void world_init(struct world *w, const char *name)
{
    struct err e = {.text = ""};

    memset(w, 0, sizeof(*w));
    HOLDS(io_new(&w->io, &e) == 0);
    w->options.name = name;
    w->options.handler = on_request;
    (void)snprintf(w->path, sizeof(w->path), "%s/l.sock", folder);
    w->options.unix_path = w->path;
}

static int world_open(struct world *w, const char *text)
{
    struct err e = {.text = ""};
    int rc = io_passed_take(w->io, &e);

    rc = rc == 0 ? io_listener_open(w->io, &w->options, &w->listener, &e) : rc;
    rc = rc == 0 ? io_passed_check(w->io, &w->options, 1, &e) : rc;
    if (strstr(e.text, text) == NULL) {
        (void)fprintf(stderr, "\"%s\" instead of \"%s\"\n", e.text, text);
        child_end(1);
    }
    HOLDS(getenv("LISTEN_FDS") == NULL && getenv("LISTEN_PID") == NULL);
    return rc;
}

static void world_close(struct world *w)
{
    w->is_closed = false;
    io_listener_close(w->listener, on_closed, &w->is_closed);
    while (!w->is_closed) {
        io_run_once(w->io, false);
    }
}

/* A client that connected before leased was there. */
static int connect_unix(const struct world *w)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", w->path);
    HOLDS(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

static bool is_served(struct world *w, int fd)
{
    static const char get[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    uint64_t deadline_ms = fixture_deadline();
    char bytes[1024];
    ssize_t got = -1;

    HOLDS(send(fd, get, strlen(get), MSG_NOSIGNAL) == (ssize_t)strlen(get));
    while ((got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) < 0 && errno == EAGAIN &&
           !fixture_is_over(deadline_ms)) {
        io_run_once(w->io, false);
    }
    (void)close(fd);
    return got > 12 && memcmp(bytes, "HTTP/1.1 200", 12) == 0;
}

/* --- cases --- */

static void by_path(void)
{
    struct world w;
    struct stat st;

    pass_unix("l.sock", SOCK_STREAM, true);
    announce("1", NULL);
    world_init(&w, "local");
    HOLDS(chmod(w.path, 0622) == 0);
    HOLDS(world_open(&w, "") == 0);
    HOLDS(stat(w.path, &st) == 0 && (st.st_mode & 07777) == 0622);
    HOLDS(is_served(&w, connect_unix(&w)));
    world_close(&w);
    HOLDS(access(w.path, F_OK) == 0);
    HOLDS(io_close(w.io) == 0);
}

static void test_a_socket_is_found_by_its_path_and_left_as_it_is(void **state)
{
    (void)state;
    run_in_child(by_path);
}

static void again(void)
{
    struct world w;
    struct err e;
    int waiting;

    pass_unix("l.sock", SOCK_STREAM, true);
    announce("1", "local");
    world_init(&w, "local");
    HOLDS(world_open(&w, "") == 0);
    world_close(&w);
    waiting = connect_unix(&w);
    HOLDS(io_listener_open(w.io, &w.options, &w.listener, &e) == 0);
    HOLDS(is_served(&w, waiting));
    world_close(&w);
    HOLDS(io_close(w.io) == 0);
}

static void test_a_listener_that_is_opened_again_gets_its_socket_again_with_who_waits(void **state)
{
    (void)state;
    run_in_child(again);
}

static void by_name(void)
{
    struct world w;

    (void)pass_tcp(INADDR_LOOPBACK);
    pass_unix("other.sock", SOCK_STREAM, true);
    announce("2", "tcp:local");
    world_init(&w, "local");
    HOLDS(world_open(&w, "passed the socket tcp (127.0.0.1:") == ERR_INVALID);
    (void)snprintf(w.path, sizeof(w.path), "%s/other.sock", folder);
    HOLDS(is_served(&w, connect_unix(&w)));
    world_close(&w);
    HOLDS(io_close(w.io) == 0);
}

static void test_a_name_counts_more_than_a_path_and_what_is_left_is_told(void **state)
{
    (void)state;
    run_in_child(by_name);
}

static void tcp(void)
{
    struct world w;
    char address[32];
    uint16_t port = pass_tcp(INADDR_LOOPBACK);

    announce("1", "leased.socket");
    world_init(&w, "tcp");
    (void)snprintf(address, sizeof(address), "localhost:%u", (unsigned)port);
    w.options.unix_path = NULL;
    w.options.tcp = address;
    HOLDS(world_open(&w, "") == 0);
    HOLDS(io_listener_port(w.listener) == port);
    world_close(&w);
    HOLDS(io_close(w.io) == 0);
}

static void test_a_tcp_socket_is_found_by_its_address(void **state)
{
    (void)state;
    run_in_child(tcp);
}

static void beyond_loopback(void)
{
    struct world w;

    (void)pass_tcp(INADDR_ANY);
    announce("1", "tcp");
    world_init(&w, "tcp");
    w.options.unix_path = NULL;
    w.options.tcp = "127.0.0.1:9911";
    HOLDS(world_open(&w, "not at a loopback address") == ERR_INVALID);
    HOLDS(io_close(w.io) == 0);
}

static void test_a_plain_socket_beyond_loopback_is_refused(void **state)
{
    (void)state;
    run_in_child(beyond_loopback);
}

static void another_kind(void)
{
    struct world w;

    (void)pass_tcp(INADDR_LOOPBACK);
    announce("1", "local");
    world_init(&w, "local");
    HOLDS(world_open(&w, "under this name") == ERR_INVALID);
    HOLDS(io_close(w.io) == 0);
}

static void test_a_socket_of_another_kind_is_refused(void **state)
{
    (void)state;
    run_in_child(another_kind);
}

static void datagram(void)
{
    struct world w;

    pass_unix("l.sock", SOCK_DGRAM, false);
    announce("1", "local");
    world_init(&w, "local");
    HOLDS(world_open(&w, "no listening stream socket") == ERR_INVALID);
    HOLDS(io_close(w.io) == 0);
}

static void abstract(void)
{
    struct world w;

    pass_unix("@leased", SOCK_STREAM, true);
    announce("1", "local");
    world_init(&w, "local");
    HOLDS(world_open(&w, "no listening stream socket") == ERR_INVALID);
    HOLDS(io_close(w.io) == 0);
}

static void test_what_is_no_listening_socket_is_refused(void **state)
{
    (void)state;
    run_in_child(datagram);
    run_in_child(abstract);
}

static void for_another(void)
{
    struct world w;

    pass_unix("other.sock", SOCK_STREAM, true);
    announce("1", "local");
    (void)setenv("LISTEN_PID", "1", 1);
    world_init(&w, "local");
    HOLDS(world_open(&w, "") == 0);
    HOLDS(access(w.path, F_OK) == 0);
    world_close(&w);
    HOLDS(access(w.path, F_OK) == -1);
    HOLDS(io_close(w.io) == 0);
}

static void test_what_was_passed_to_another_process_is_not_ours(void **state)
{
    (void)state;
    run_in_child(for_another);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_socket_is_found_by_its_path_and_left_as_it_is),
        TEST(test_a_listener_that_is_opened_again_gets_its_socket_again_with_who_waits),
        TEST(test_a_name_counts_more_than_a_path_and_what_is_left_is_told),
        TEST(test_a_tcp_socket_is_found_by_its_address),
        TEST(test_a_plain_socket_beyond_loopback_is_refused),
        TEST(test_a_socket_of_another_kind_is_refused),
        TEST(test_what_is_no_listening_socket_is_refused),
        TEST(test_what_was_passed_to_another_process_is_not_ours),
    };

    return cmocka_run_group_tests_name("passed sockets", tests, NULL, NULL);
}
