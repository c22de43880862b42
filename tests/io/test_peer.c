/* Who a caller is: facts at accept, what is noticed later, and what must never pass for somebody.
 */
#include "server_fixture.h"

#include "wire/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define SO_PEERPIDFD_NUMBER 77

/* Kernels before 6.5 have no SO_PEERPIDFD: the program's own getsockopt stands before libc's. */
static bool is_old_kernel;

int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    if (is_old_kernel && level == SOL_SOCKET && name == SO_PEERPIDFD_NUMBER) {
        errno = ENOPROTOOPT;
        return -1;
    }
    return (int)syscall(SYS_getsockopt, fd, level, name, value, size);
}

static int setup(void **state)
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

static int teardown(void **state)
{
    is_old_kernel = false;
    fixture_fini(*state);
    free(*state);
    return 0;
}

/* valgrind 3.19 refuses system calls that it doesn't know. */
static void need_new_calls(void)
{
    if (is_under_valgrind()) {
        print_message("skipped: valgrind doesn't know pidfd_open and clone3\n");
        skip();
    }
}

static void need_root(void)
{
    if (geteuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
}

/* A caller in a process of its own, told what to do through a pipe. */
struct caller {
    pid_t pid;
    int fd;      /* its connection, which we share */
    int orders;  /* write end */
    int reports; /* read end */
};

static void connect_fd(const struct fixture *f, int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        _exit(98);
    }
}

/* The child does `before` (may be NULL), connects, waits for an order, does `after` (may be NULL),
 * waits for another and ends. */
static struct caller caller_start(struct fixture *f, void (*before)(void), void (*after)(void))
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

static void caller_go_on(struct caller *caller)
{
    char byte;

    assert_int_equal(write(caller->orders, "g", 1), 1);
    assert_int_equal(read(caller->reports, &byte, 1), 1);
}

static void caller_end(struct caller *caller)
{
    if (caller->orders >= 0) {
        (void)close(caller->orders);
        caller->orders = -1;
        assert_int_equal(waitpid(caller->pid, NULL, 0), caller->pid);
    }
}

static void caller_fini(struct fixture *f, struct caller *caller)
{
    caller_end(caller);
    (void)close(caller->reports);
    (void)close(caller->fd);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
}

static void caller_ask(struct fixture *f, const struct caller *caller)
{
    size_t before = f->request_count;

    assert_int_equal(send(caller->fd, GET, strlen(GET), MSG_NOSIGNAL), strlen(GET));
    FIXTURE_UNTIL(f, f->request_count == before + 1);
}

static void test_an_ordinary_caller_is_known(void **state)
{
    struct fixture *f = *state;
    struct client *client = client_new(f);
    char text[4096];
    struct procfs_stat own;
    FILE *file = fopen("/proc/self/stat", "r");
    size_t len = fread(text, 1, sizeof(text), file);

    (void)fclose(file);
    assert_int_equal(procfs_parse_stat((struct str){.ptr = text, .len = len}, &own), 0);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    assert_int_equal(f->peer.state, ENV_PEER_OK);
    assert_null(f->peer.problem);
    assert_int_equal(f->peer.uid, geteuid());
    assert_int_equal(f->peer.gid, getegid());
    assert_int_equal(f->peer.pid, getpid());
    assert_int_equal(f->peer.start_ticks, own.start_ticks);
    assert_int_equal(f->peer.cgroup[0], '/');
    assert_false(f->peer.is_other_pid_namespace);
    client_free(client);
}

static void test_the_pidfd_of_older_kernels_does_too(void **state)
{
    need_new_calls();
    is_old_kernel = true;
    test_an_ordinary_caller_is_known(state);
}

static void test_another_user_is_known_with_its_groups(void **state)
{
    struct fixture *f = *state;
    struct caller caller;

    need_root();
    caller = caller_start(f, child_drop_rights, NULL);
    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_OK);
    assert_int_equal(f->peer.uid, 65533);
    assert_int_equal(f->peer.gid, 65533);
    assert_int_equal(f->peer.group_count, 2);
    assert_int_equal(f->peer.groups[0], 1500);
    assert_int_equal(f->peer.groups[1], 1501);
    assert_int_equal(f->peer.pid, caller.pid);
    caller_fini(f, &caller);
}

static void expect_closed_after_reply(struct fixture *f, const struct caller *caller)
{
    struct client *client = calloc(1, sizeof(*client));

    client->fd = dup(caller->fd);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_wait_eof(f, client);
    client_free(client);
}

static void caller_that_ends(struct fixture *f, bool ends_before_accept)
{
    struct caller caller = caller_start(f, NULL, NULL);

    if (!ends_before_accept) {
        caller_ask(f, &caller);
        assert_int_equal(f->peer.state, ENV_PEER_OK);
    }
    caller_end(&caller);
    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_GONE);
    assert_string_equal(f->peer.problem, "its process has ended");
    if (ends_before_accept) {
        expect_closed_after_reply(f, &caller);
    }
    caller_fini(f, &caller);
}

static void test_a_process_that_ends_after_accept_is_gone(void **state)
{
    caller_that_ends(*state, false);
    need_new_calls();
    is_old_kernel = true;
    caller_that_ends(*state, false);
}

static void test_a_process_that_ends_before_accept_is_gone(void **state)
{
    caller_that_ends(*state, true);
    need_new_calls();
    is_old_kernel = true;
    caller_that_ends(*state, true);
}

static void test_a_zombie_is_gone(void **state)
{
    struct fixture *f = *state;
    struct caller caller = caller_start(f, NULL, NULL);
    siginfo_t info;

    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_OK);
    (void)close(caller.orders);
    assert_int_equal(waitid(P_PID, (id_t)caller.pid, &info, WEXITED | WNOWAIT), 0);
    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_GONE);
    caller.orders = -1;
    assert_int_equal(waitpid(caller.pid, NULL, 0), caller.pid);
    caller_fini(f, &caller);
}

static void test_who_drops_its_rights_after_connect_has_changed(void **state)
{
    struct fixture *f = *state;
    struct caller caller;

    need_root();
    caller = caller_start(f, NULL, child_drop_rights);
    caller_go_on(&caller); /* not accepted yet: the credentials say root, /proc says another */
    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_CHANGED);
    expect_closed_after_reply(f, &caller);
    caller_fini(f, &caller);
}

static void test_who_drops_its_rights_between_requests_has_changed(void **state)
{
    struct fixture *f = *state;
    struct caller caller;

    need_root();
    caller = caller_start(f, NULL, child_drop_rights);
    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_OK);
    caller_go_on(&caller);
    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_CHANGED);
    assert_int_equal(f->peer.uid, 0); /* as of connect: never to be believed in this state */
    caller_fini(f, &caller);
}

static void become_overflow_user(void)
{
    if (setgroups(0, NULL) != 0 || setresgid(65534, 65534, 65534) != 0 ||
        setresuid(65534, 65534, 65534) != 0) {
        _exit(99);
    }
}

static void test_the_overflow_uid_is_nobody_in_particular(void **state)
{
    struct fixture *f = *state;
    struct caller caller;

    need_root();
    caller = caller_start(f, become_overflow_user, NULL);
    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_UNKNOWN);
    assert_non_null(strstr(f->peer.problem, "no name"));
    caller_fini(f, &caller);
}

static void join_many_groups(void)
{
    gid_t groups[ENV_PEER_GROUPS_MAX + 1];
    size_t i;

    for (i = 0; i < ARRAY_LEN(groups); i++) {
        groups[i] = (gid_t)(2000 + i);
    }
    if (setgroups(ARRAY_LEN(groups), groups) != 0) {
        _exit(99);
    }
}

static void join_as_many_groups_as_fit(void)
{
    gid_t groups[ENV_PEER_GROUPS_MAX];
    size_t i;

    for (i = 0; i < ARRAY_LEN(groups); i++) {
        groups[i] = (gid_t)(2000 + i);
    }
    if (setgroups(ARRAY_LEN(groups), groups) != 0) {
        _exit(99);
    }
}

static void test_groups_that_cannot_all_be_seen_deny(void **state)
{
    struct fixture *f = *state;
    struct caller caller;

    need_root();
    caller = caller_start(f, join_as_many_groups_as_fit, NULL);
    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_OK);
    assert_int_equal(f->peer.group_count, ENV_PEER_GROUPS_MAX);
    caller_fini(f, &caller);
    caller = caller_start(f, join_many_groups, NULL);
    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_UNKNOWN);
    assert_non_null(strstr(f->peer.problem, "groups"));
    caller_fini(f, &caller);
}

static void enter_user_namespace(void)
{
    child_drop_rights();
    if (unshare(CLONE_NEWUSER) != 0) {
        _exit(99);
    }
}

static void test_root_of_a_user_namespace_is_its_outer_user(void **state)
{
    struct fixture *f = *state;
    struct caller caller;

    need_root();
    caller = caller_start(f, enter_user_namespace, NULL);
    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_OK);
    assert_int_equal(f->peer.uid, 65533);
    caller_fini(f, &caller);
}

static int ask_from_pid_namespace(struct fixture *f, void *user)
{
    pid_t pid;

    (void)user;
    if (unshare(CLONE_NEWPID) != 0) {
        return 2;
    }
    pid = fork();
    if (pid == 0) {
        _exit(child_request(f->path, GET) == 200 ? 40 : 1); /* pid 1 can't kill itself */
    }
    return child_wait(pid) == 40 || is_under_valgrind() ? 0 : 1;
}

static void test_a_caller_in_a_pid_namespace_below_is_told_apart(void **state)
{
    struct fixture *f = *state;

    need_root();
    assert_int_equal(fixture_fork(f, ask_from_pid_namespace, NULL), 0);
    assert_int_equal(f->peer.state, ENV_PEER_OK);
    assert_true(f->peer.is_other_pid_namespace);
    assert_true(f->peer.pid > 1); /* our number for it */
}

/* A daemon inside a pid namespace, a caller outside. Ends with 0 when the caller was unknown to it.
 */
static int serve_in_pid_namespace(const char *path, int ready_fd)
{
    struct fixture *inner = calloc(1, sizeof(*inner));
    int code;

    fixture_init(inner);
    inner->options.unix_path = path;
    fixture_listen(inner);
    (void)!write(ready_fd, "r", 1);
    FIXTURE_UNTIL(inner, inner->request_count == 1);
    FIXTURE_UNTIL(inner, inner->delivered_count == 1);
    code = inner->peer.state == ENV_PEER_UNKNOWN && inner->peer.pid == 0 ? 0 : 1;
    fixture_close_listener(inner);
    (void)rmdir(inner->dir);
    return code;
}

static void test_a_caller_outside_the_daemons_pid_namespace_is_unknown(void **state)
{
    struct fixture *f = *state;
    char path[96];
    int ready[2];
    char byte;
    pid_t pid;

    need_root();
    (void)snprintf(path, sizeof(path), "%s/s/inner.sock", f->dir);
    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWPID) != 0) {
            child_end(2);
        }
        pid = fork();
        if (pid == 0) {
            _exit(serve_in_pid_namespace(path, ready[1]) + 40); /* pid 1 can't kill itself */
        }
        child_end(child_wait(pid) == 40 || is_under_valgrind() ? 0 : 1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(child_request(path, GET), 200);
    assert_int_equal(child_wait(pid), 0);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

/* A new process with a number that is free. */
static pid_t fork_with_pid(pid_t wanted)
{
    struct clone_args args = {
        .exit_signal = SIGCHLD,
        .set_tid = (uint64_t)(uintptr_t)&wanted,
        .set_tid_size = 1,
    };
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

    if (pid == 0) {
        for (;;) {
            (void)pause();
        }
    }
    return pid;
}

static void reuse_pid(struct fixture *f, bool is_accepted_before)
{
    struct caller caller = caller_start(f, NULL, NULL);
    pid_t victim;

    if (is_accepted_before) {
        caller_ask(f, &caller);
        assert_int_equal(f->peer.state, ENV_PEER_OK);
    }
    caller_end(&caller); /* we, the accomplice, keep the connection open */
    victim = fork_with_pid(caller.pid);
    assert_int_equal(victim, caller.pid);
    caller_ask(f, &caller);
    assert_int_not_equal(f->peer.state, ENV_PEER_OK);
    assert_int_equal(kill(victim, SIGKILL), 0);
    assert_int_equal(waitpid(victim, NULL, 0), victim);
    caller_fini(f, &caller);
}

static void test_a_reused_pid_is_not_the_caller(void **state)
{
    struct fixture *f = *state;
    int round;

    need_root();
    need_new_calls();
    for (round = 0; round < 50; round++) {
        reuse_pid(f, false);
        reuse_pid(f, true);
    }
}

static void test_a_reused_pid_is_not_the_caller_on_older_kernels_once_accepted(void **state)
{
    struct fixture *f = *state;
    int round;

    need_root();
    need_new_calls();
    is_old_kernel = true;
    for (round = 0; round < 50; round++) {
        reuse_pid(f, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_an_ordinary_caller_is_known),
        TEST(test_the_pidfd_of_older_kernels_does_too),
        TEST(test_another_user_is_known_with_its_groups),
        TEST(test_a_process_that_ends_after_accept_is_gone),
        TEST(test_a_process_that_ends_before_accept_is_gone),
        TEST(test_a_zombie_is_gone),
        TEST(test_who_drops_its_rights_after_connect_has_changed),
        TEST(test_who_drops_its_rights_between_requests_has_changed),
        TEST(test_the_overflow_uid_is_nobody_in_particular),
        TEST(test_groups_that_cannot_all_be_seen_deny),
        TEST(test_root_of_a_user_namespace_is_its_outer_user),
        TEST(test_a_caller_in_a_pid_namespace_below_is_told_apart),
        TEST(test_a_caller_outside_the_daemons_pid_namespace_is_unknown),
        TEST(test_a_reused_pid_is_not_the_caller),
        TEST(test_a_reused_pid_is_not_the_caller_on_older_kernels_once_accepted),
    };

    return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
