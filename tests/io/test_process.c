/* Processes: the facts, and their end, whatever becomes of the pid. */
#include "io/loop_fixture.h"

#include "env/process.h"
#include "io/child.h"
#include "io/io_internal.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that lives until it is killed, or the test has ended. */
static pid_t fork_sleeper(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            (void)pause();
        }
    }
    return pid;
}

static void kill_and_reap(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

struct observed {
    struct env_process_watch watch;
    bool is_ended;
    bool is_closed;
    unsigned ends;
};

static void on_end(struct env_process_watch *watch)
{
    struct observed *observed = watch->user;

    observed->is_ended = true;
    observed->ends++;
}

static void on_closed(struct env_process_watch *watch)
{
    struct observed *observed = watch->user;

    assert_false(observed->is_closed);
    observed->is_closed = true;
}

static int watch_start(struct loop *loop, struct observed *observed, pid_t pid,
                       uint64_t start_ticks)
{
    *observed = (struct observed){.watch = {.pid = pid,
                                            .start_ticks = start_ticks,
                                            .fn = on_end,
                                            .closed = on_closed,
                                            .user = observed}};
    return env_process_watch_start(loop->env, &observed->watch);
}

static void watch_close(struct loop *loop, struct observed *observed)
{
    env_process_watch_close(loop->env, &observed->watch);
    assert_false(observed->is_closed);
    loop_until(loop, &observed->is_closed);
}

static struct env_process look_up(struct loop *loop, pid_t pid)
{
    struct env_process process = {0};

    assert_int_equal(env_process_lookup(loop->env, pid, &process), 0);
    return process;
}

static void test_the_facts_of_a_process_are_found(void **state)
{
    struct loop *loop = *state;
    pid_t pid = fork_sleeper();
    struct env_process self = look_up(loop, getpid());
    struct env_process child = look_up(loop, pid);

    assert_int_equal(self.pid, getpid());
    assert_int_equal(self.parent_pid, getppid());
    assert_int_equal(self.uid, geteuid());
    assert_true(self.start_ticks > 0);
    assert_false(self.is_fork_no_exec);
    assert_int_equal(child.parent_pid, getpid());
    assert_true(child.is_fork_no_exec);
    assert_string_equal(child.name, self.name);
    assert_true(child.start_ticks >= self.start_ticks);
    kill_and_reap(pid);
}

static void test_a_process_that_has_gone_is_not_found(void **state)
{
    struct loop *loop = *state;
    struct env_process process;
    pid_t pid = fork_sleeper();

    kill_and_reap(pid);
    assert_int_equal(env_process_lookup(loop->env, pid, &process), ERR_NOT_FOUND);
    assert_int_equal(env_process_lookup(loop->env, 0, &process), ERR_NOT_FOUND);
    assert_int_equal(env_process_lookup(loop->env, -1, &process), ERR_NOT_FOUND);
}

static void test_the_end_of_a_process_is_noticed_once(void **state)
{
    struct loop *loop = *state;
    struct observed observed;
    pid_t pid = fork_sleeper();

    assert_int_equal(watch_start(loop, &observed, pid, look_up(loop, pid).start_ticks), 0);
    loop_turns(loop, 5);
    assert_false(observed.is_ended);
    kill_and_reap(pid);
    loop_until(loop, &observed.is_ended);
    loop_turns(loop, 5);
    assert_int_equal(observed.ends, 1);
    watch_close(loop, &observed);
}

static void wait_until_zombie(pid_t pid)
{
    siginfo_t info;

    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void test_a_zombie_has_ended(void **state)
{
    struct loop *loop = *state;
    struct observed observed;
    struct observed late;
    struct env_process process;
    pid_t pid = fork_sleeper();
    uint64_t start_ticks = look_up(loop, pid).start_ticks;

    assert_int_equal(watch_start(loop, &observed, pid, start_ticks), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    wait_until_zombie(pid);
    loop_until(loop, &observed.is_ended);
    /* Nobody has reaped it: it is there still, and yet gone. */
    assert_int_equal(env_process_lookup(loop->env, pid, &process), ERR_NOT_FOUND);
    assert_int_equal(watch_start(loop, &late, pid, start_ticks), ERR_GONE);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    watch_close(loop, &observed);
}

static void *stay(void *user)
{
    (void)user;
    for (;;) {
        (void)pause();
    }
    return NULL;
}

static void test_a_process_whose_first_thread_has_exited_lives_on(void **state)
{
    struct loop *loop = *state;
    struct observed observed;
    struct env_process process;
    char path[64];
    char text[512];
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, stay, NULL) != 0) {
            _exit(1);
        }
        (void)syscall(SYS_exit, 0); /* This thread only. */
    }
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    do {
        FILE *file = fopen(path, "re");

        assert_non_null(file);
        assert_non_null(fgets(text, sizeof(text), file));
        (void)fclose(file);
    } while (strstr(text, ") Z ") == NULL);
    assert_int_equal(env_process_lookup(loop->env, pid, &process), 0);
    assert_int_equal(watch_start(loop, &observed, pid, process.start_ticks), 0);
    loop_turns(loop, 5);
    assert_false(observed.is_ended);
    kill_and_reap(pid);
    loop_until(loop, &observed.is_ended);
    watch_close(loop, &observed);
}

static void test_another_start_time_is_another_process(void **state)
{
    struct loop *loop = *state;
    struct observed observed;
    uint64_t start_ticks = look_up(loop, getpid()).start_ticks;

    assert_int_equal(watch_start(loop, &observed, getpid(), start_ticks + 1), ERR_GONE);
    assert_int_equal(watch_start(loop, &observed, 0, start_ticks), ERR_GONE);
    assert_int_equal(watch_start(loop, &observed, -1, start_ticks), ERR_GONE);
    loop_turns(loop, 3);
    assert_int_equal(observed.ends, 0);
}

/* A child with this very pid; 0 when the kernel doesn't let us. */
static pid_t fork_with_pid(pid_t wanted)
{
    pid_t pids[1] = {wanted};
    struct clone_args arguments = {.exit_signal = SIGCHLD,
                                   .set_tid = (uint64_t)(uintptr_t)pids,
                                   .set_tid_size = 1};
    long pid = syscall(SYS_clone3, &arguments, sizeof(arguments));

    if (pid == 0) {
        for (;;) {
            (void)syscall(SYS_pause);
        }
    }
    return pid > 0 ? (pid_t)pid : 0;
}

static void test_a_reused_pid_is_another_process(void **state)
{
    struct loop *loop = *state;
    struct observed first;
    struct observed second;
    pid_t pid = fork_sleeper();
    uint64_t start_ticks = look_up(loop, pid).start_ticks;
    uint64_t probe_ticks;
    pid_t again;

    assert_int_equal(watch_start(loop, &first, pid, start_ticks), 0);
    kill_and_reap(pid);
    /* Start times count in ticks of 10 ms; the next process shall have another one. */
    do {
        pid_t probe = fork_sleeper();

        probe_ticks = look_up(loop, probe).start_ticks;
        kill_and_reap(probe);
    } while (probe_ticks <= start_ticks);
    again = fork_with_pid(pid);
    if (again == 0) {
        print_message("needs the right to choose a pid (root): %s\n", strerror(errno));
        watch_close(loop, &first);
        skip();
    }
    assert_int_equal(again, pid);
    /* The old watch ends although the pid lives. */
    loop_until(loop, &first.is_ended);
    assert_int_equal(watch_start(loop, &second, pid, start_ticks), ERR_GONE);
    assert_int_equal(watch_start(loop, &second, pid, look_up(loop, pid).start_ticks), 0);
    loop_turns(loop, 5);
    assert_false(second.is_ended);
    kill_and_reap(pid);
    loop_until(loop, &second.is_ended);
    watch_close(loop, &first);
    watch_close(loop, &second);
}

static void test_a_closed_watch_is_silent(void **state)
{
    struct loop *loop = *state;
    struct observed observed;
    pid_t pid = fork_sleeper();

    assert_int_equal(watch_start(loop, &observed, pid, look_up(loop, pid).start_ticks), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    wait_until_zombie(pid);
    watch_close(loop, &observed);
    loop_turns(loop, 5);
    assert_int_equal(observed.ends, 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

struct self_closing {
    struct env *env;
    struct observed observed;
};

static void close_at_end(struct env_process_watch *watch)
{
    struct self_closing *self = CONTAINER_OF(watch, struct self_closing, observed.watch);

    self->observed.ends++;
    env_process_watch_close(self->env, watch);
}

static void test_a_watch_may_be_closed_from_its_callback(void **state)
{
    struct loop *loop = *state;
    struct self_closing self = {.env = loop->env};
    pid_t pid = fork_sleeper();

    self.observed.watch = (struct env_process_watch){.pid = pid,
                                                     .start_ticks = look_up(loop, pid).start_ticks,
                                                     .fn = close_at_end,
                                                     .closed = on_closed,
                                                     .user = &self.observed};
    assert_int_equal(env_process_watch_start(loop->env, &self.observed.watch), 0);
    kill_and_reap(pid);
    loop_until(loop, &self.observed.is_closed);
    assert_int_equal(self.observed.ends, 1);
}

static void test_without_descriptors_left_a_watch_is_refused(void **state)
{
    struct loop *loop = *state;
    struct observed observed;
    struct rlimit limit;
    struct rlimit none;
    uint64_t start_ticks = look_up(loop, getpid()).start_ticks;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(watch_start(loop, &observed, getpid(), start_ticks), ERR_LIMIT);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(watch_start(loop, &observed, getpid(), start_ticks), 0);
    watch_close(loop, &observed);
}

static void test_a_watch_that_was_left_open_is_closed_with_the_loop(void **state)
{
    struct loop *loop = *state;
    struct observed observed;

    assert_int_equal(watch_start(loop, &observed, getpid(), look_up(loop, getpid()).start_ticks),
                     0);
    assert_int_equal(io_close(loop->io), 0);
    loop->io = NULL;
    assert_true(observed.is_closed);
    assert_int_equal(observed.ends, 0);
}

static void test_watches_are_limited_in_number(void **state)
{
    struct loop *loop = *state;
    struct observed observed;
    uint64_t start_ticks = look_up(loop, getpid()).start_ticks;

    loop->io->watch_count = IO_WATCHES_MAX;
    assert_int_equal(watch_start(loop, &observed, getpid(), start_ticks), ERR_LIMIT);
    loop->io->watch_count = 0;
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

/* As on a kernel before 5.3: pidfd_open isn't there. */
static bool forbid_pidfds(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int try_watch_without_pidfds(void)
{
    struct env_process process;
    struct observed observed;
    struct loop loop = {0};
    int code = 0;

    if (!forbid_pidfds() || io_new(&loop.io, NULL) != 0) {
        return 1;
    }
    loop.env = io_env(loop.io);
    if (env_process_lookup(loop.env, getpid(), &process) != 0) {
        code = 2;
    } else if (watch_start(&loop, &observed, getpid(), process.start_ticks) != ERR_UNSUPPORTED) {
        code = 3;
    } else if (env_process_lookup(loop.env, INT32_MAX, &process) != ERR_NOT_FOUND) {
        code = 4;
    }
    return io_close(loop.io) == 0 ? code : 5;
}

static void test_without_pidfds_a_watch_is_refused_and_a_lookup_works(void **state)
{
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        child_end(try_watch_without_pidfds());
    }
    assert_int_equal(child_wait(pid), 0);
}

static void test_what_needs_pidfd_open_is_left_out(void **state)
{
    (void)state;
    skip();
}

int main(void)
{
    const struct CMUnitTest lookups[] = {
        LOOP_TEST(test_the_facts_of_a_process_are_found),
        LOOP_TEST(test_a_process_that_has_gone_is_not_found),
        LOOP_TEST(test_watches_are_limited_in_number),
        cmocka_unit_test(test_what_needs_pidfd_open_is_left_out),
    };
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_the_facts_of_a_process_are_found),
        LOOP_TEST(test_a_process_that_has_gone_is_not_found),
        LOOP_TEST(test_watches_are_limited_in_number),
        LOOP_TEST(test_the_end_of_a_process_is_noticed_once),
        LOOP_TEST(test_a_zombie_has_ended),
        LOOP_TEST(test_a_process_whose_first_thread_has_exited_lives_on),
        LOOP_TEST(test_another_start_time_is_another_process),
        LOOP_TEST(test_a_reused_pid_is_another_process),
        LOOP_TEST(test_a_closed_watch_is_silent),
        LOOP_TEST(test_a_watch_may_be_closed_from_its_callback),
        LOOP_TEST(test_a_watch_that_was_left_open_is_closed_with_the_loop),
        LOOP_TEST(test_without_descriptors_left_a_watch_is_refused),
        cmocka_unit_test(test_without_pidfds_a_watch_is_refused_and_a_lookup_works),
    };

    if (is_under_valgrind()) {
        return cmocka_run_group_tests(lookups, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
