/* Callers that end, change or have their pid taken by another, before accept and between requests.
 */
#include "caller.h"

#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* Reloads, log rotation and the ends of children are told by signals. */
static void test_a_signal_meanwhile_says_nothing_about_a_caller(void **state)
{
    struct fixture *f = *state;
    struct caller caller = caller_start(f, NULL, NULL);

    interrupted_polls = 1;
    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_OK);
    assert_int_equal(interrupted_polls, 0);
    interrupted_polls = 3;
    caller_ask(f, &caller);
    assert_int_equal(f->peer.state, ENV_PEER_OK);
    assert_int_equal(interrupted_polls, 0);
    caller_fini(f, &caller);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, caller_setup, caller_teardown)
        TEST(test_a_process_that_ends_after_accept_is_gone),
        TEST(test_a_process_that_ends_before_accept_is_gone),
        TEST(test_a_signal_meanwhile_says_nothing_about_a_caller),
        TEST(test_a_zombie_is_gone),
        TEST(test_who_drops_its_rights_after_connect_has_changed),
        TEST(test_who_drops_its_rights_between_requests_has_changed),
        TEST(test_a_reused_pid_is_not_the_caller),
        TEST(test_a_reused_pid_is_not_the_caller_on_older_kernels_once_accepted),
    };

    return cmocka_run_group_tests_name("peer races", tests, NULL, NULL);
}
