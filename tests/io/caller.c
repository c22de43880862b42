#include "caller.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SO_PEERPIDFD_NUMBER 77

bool is_old_kernel;
unsigned interrupted_polls;

int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    if (is_old_kernel && level == SOL_SOCKET && name == SO_PEERPIDFD_NUMBER) {
        errno = ENOPROTOOPT;
        return -1;
    }
    return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct timespec timeout = {.tv_sec = timeout_ms / 1000,
                               .tv_nsec = (timeout_ms % 1000) * 1000000L};

    if (timeout_ms == 0 && interrupted_polls > 0) {
        interrupted_polls--;
        errno = EINTR;
        return -1;
    }
    return ppoll(fds, count, timeout_ms < 0 ? NULL : &timeout, NULL);
}

int caller_setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    fixture_init(f);
    assert_int_equal(chmod(f->dir, 0755), 0);
    f->options.mode = 0666;
    fixture_listen(f);
    *state = f;
    return 0;
}

int caller_teardown(void **state)
{
    is_old_kernel = false;
    interrupted_polls = 0;
    fixture_fini(*state);
    free(*state);
    return 0;
}

/* valgrind 3.19 refuses system calls that it doesn't know. */
void need_new_calls(void)
{
    if (is_under_valgrind()) {
        print_message("skipped: valgrind doesn't know pidfd_open and clone3\n");
        skip();
    }
}

void need_root(void)
{
    if (geteuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
}

static void connect_fd(const struct fixture *f, int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        _exit(98);
    }
}

struct caller caller_start(struct fixture *f, void (*before)(void), void (*after)(void))
{
    struct caller caller;
    int orders[2];
    int reports[2];
    char byte;

    assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
    assert_int_equal(pipe2(reports, O_CLOEXEC), 0);
    caller.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    caller.orders = orders[1];
    caller.reports = reports[0];
    caller.pid = fork();
    assert_true(caller.pid >= 0);
    if (caller.pid == 0) {
        (void)close(orders[1]);
        if (before != NULL) {
            before();
        }
        connect_fd(f, caller.fd);
        (void)!write(reports[1], "c", 1);
        (void)!read(orders[0], &byte, 1);
        if (after != NULL) {
            after();
        }
        (void)!write(reports[1], "a", 1);
        (void)!read(orders[0], &byte, 1);
        _exit(0);
    }
    (void)close(orders[0]);
    (void)close(reports[1]);
    assert_int_equal(read(caller.reports, &byte, 1), 1);
    return caller;
}

void caller_go_on(struct caller *caller)
{
    char byte;

    assert_int_equal(write(caller->orders, "g", 1), 1);
    assert_int_equal(read(caller->reports, &byte, 1), 1);
}

void caller_end(struct caller *caller)
{
    if (caller->orders >= 0) {
        (void)close(caller->orders);
        caller->orders = -1;
        assert_int_equal(waitpid(caller->pid, NULL, 0), caller->pid);
    }
}

void caller_fini(struct fixture *f, struct caller *caller)
{
    caller_end(caller);
    (void)close(caller->reports);
    (void)close(caller->fd);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
}

void caller_ask(struct fixture *f, const struct caller *caller)
{
    size_t before = f->request_count;

    assert_int_equal(send(caller->fd, CALLER_GET, strlen(CALLER_GET), MSG_NOSIGNAL),
                     strlen(CALLER_GET));
    FIXTURE_UNTIL(f, f->request_count == before + 1);
}

void expect_closed_after_reply(struct fixture *f, const struct caller *caller)
{
    struct client *client = calloc(1, sizeof(*client));

    client->fd = dup(caller->fd);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_wait_eof(f, client);
    client_free(client);
}
