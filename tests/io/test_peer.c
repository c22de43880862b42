/* Who a caller is: facts at accept, and what must never pass for somebody. */
#include "caller.h"

#include "wire/procfs.h"

#include <dirent.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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
    client_send(f, client, CALLER_GET);
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

static size_t open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

/* Its socket and a pidfd; the third here is the client's own. */
static void test_a_connection_keeps_two_descriptors(void **state)
{
    struct fixture *f = *state;
    size_t before = open_descriptors();
    struct client *client = client_new(f);
    int i;

    for (i = 0; i < 3; i++) {
        client_send(f, client, CALLER_GET);
        assert_int_equal(client_reply(f, client, NULL), 200);
        assert_int_equal(f->peer.state, ENV_PEER_OK);
        assert_int_equal(open_descriptors(), before + 3);
    }
    client_free(client);
    FIXTURE_UNTIL(f, open_descriptors() == before);
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

/* Not in a chroot, nor where the kernel forbids it. */
static void need_user_namespaces(void)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        enter_user_namespace();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        print_message("skipped: user namespaces can't be made here\n");
        skip();
    }
}

static void test_root_of_a_user_namespace_is_its_outer_user(void **state)
{
    struct fixture *f = *state;
    struct caller caller;

    need_root();
    need_user_namespaces();
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
        _exit(child_request(f->path, CALLER_GET) == 200 ? 40 : 1); /* pid 1 can't kill itself */
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
    assert_int_equal(child_request(path, CALLER_GET), 200);
    assert_int_equal(child_wait(pid), 0);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, caller_setup, caller_teardown)
        TEST(test_an_ordinary_caller_is_known),
        TEST(test_the_pidfd_of_older_kernels_does_too),
        TEST(test_a_connection_keeps_two_descriptors),
        TEST(test_another_user_is_known_with_its_groups),
        TEST(test_the_overflow_uid_is_nobody_in_particular),
        TEST(test_groups_that_cannot_all_be_seen_deny),
        TEST(test_root_of_a_user_namespace_is_its_outer_user),
        TEST(test_a_caller_in_a_pid_namespace_below_is_told_apart),
        TEST(test_a_caller_outside_the_daemons_pid_namespace_is_unknown),
    };

    return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
