/* Cgroups: which one a process is in, and when its last process has ended. They are made and
 * removed here, which takes root; where that isn't had, nothing is tested. */
#include "io/caller.h"
#include "io/loop_fixture.h"

#include "env/cgroup.h"
#include "env/process.h"
#include "io/io_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const unified_mounts[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
static const char *const systemd_mounts[] = {"/sys/fs/cgroup/systemd"};

struct group {
    char path[ENV_CGROUP_PATH_MAX_BYTES];
    struct env_cgroup cgroup;
    struct env_cgroup_watch watch;
    bool is_ended;
    bool is_closed;
    unsigned ends;
};

static bool write_file(const char *folder, const char *name, const char *text)
{
    char path[ENV_CGROUP_PATH_MAX_BYTES + 32];
    ssize_t size = -1;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        size = write(fd, text, strlen(text));
        (void)close(fd);
    }
    return size == (ssize_t)strlen(text);
}

static void group_make(struct group *group, const char *mount, const char *name)
{
    char file[ENV_CGROUP_PATH_MAX_BYTES + 32];

    memset(group, 0, sizeof(*group));
    (void)snprintf(group->path, sizeof(group->path), "%s/leased-test-%d%s", mount, (int)getpid(),
                   name);
    (void)snprintf(file, sizeof(file), "%s/cgroup.procs", group->path);
    if (mkdir(group->path, 0755) != 0 || access(file, W_OK) != 0) {
        (void)rmdir(group->path);
        skip();
    }
}

/* In cgroup v2. */
static void group_make_unified(struct group *group, const char *name)
{
    size_t at = access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0 ? 0 : 1;

    if (at == 1 && access("/sys/fs/cgroup/cgroup.controllers", F_OK) != 0) {
        skip();
    }
    group_make(group, unified_mounts[at], name);
}

static void group_make_systemd(struct group *group, const char *name)
{
    if (access("/sys/fs/cgroup/systemd/cgroup.procs", F_OK) != 0) {
        skip();
    }
    group_make(group, systemd_mounts[0], name);
}

static pid_t fork_into(const struct group *group)
{
    pid_t pid = fork();
    char text[16];

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            (void)pause();
        }
    }
    (void)snprintf(text, sizeof(text), "%d", (int)pid);
    assert_true(write_file(group->path, "cgroup.procs", text));
    return pid;
}

static void kill_and_reap(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int find(struct loop *loop, pid_t pid, enum env_cgroup_level level,
                struct env_cgroup *cgroup, struct err *e)
{
    struct env_process process = {.pid = 0};

    assert_int_equal(env_process_lookup(loop->env, pid, &process), 0);
    return env_cgroup_find(
        loop->env,
        &(struct env_cgroup_query){.pid = pid, .start_ticks = process.start_ticks, .level = level},
        cgroup, e);
}

static void on_end(struct env_cgroup_watch *watch)
{
    struct group *group = watch->user;

    group->is_ended = true;
    group->ends++;
}

static void on_closed(struct env_cgroup_watch *watch)
{
    struct group *group = watch->user;

    assert_false(group->is_closed);
    group->is_closed = true;
}

static int watch_start(struct loop *loop, struct group *group, const struct env_cgroup *cgroup)
{
    group->is_ended = group->is_closed = false;
    group->ends = 0;
    group->cgroup = *cgroup;
    group->watch = (struct env_cgroup_watch){
        .cgroup = &group->cgroup, .fn = on_end, .closed = on_closed, .user = group};
    return env_cgroup_watch_start(loop->env, &group->watch);
}

static void watch_unit_of(struct loop *loop, struct group *group, pid_t pid)
{
    struct env_cgroup cgroup;
    struct err e;

    assert_int_equal(find(loop, pid, ENV_CGROUP_UNIT, &cgroup, &e), 0);
    assert_string_equal(cgroup.path, group->path);
    assert_int_equal(watch_start(loop, group, &cgroup), 0);
}

static void watch_close(struct loop *loop, struct group *group)
{
    env_cgroup_watch_close(loop->env, &group->watch);
    assert_false(group->is_closed);
    loop_until(loop, &group->is_closed);
}

/* Two processes, one below: the end comes with the last. */
static void check_the_last_end(struct loop *loop, struct group *group, struct group *below)
{
    pid_t first = fork_into(group);
    pid_t second = fork_into(below);

    watch_unit_of(loop, group, first);
    kill_and_reap(first);
    loop_turns(loop, 20);
    assert_false(group->is_ended);
    assert_false(env_cgroup_watch_has_ended(loop->env, &group->watch));
    kill_and_reap(second);
    assert_true(env_cgroup_watch_has_ended(loop->env, &group->watch));
    loop_until(loop, &group->is_ended);
    loop_turns(loop, 5);
    assert_int_equal(group->ends, 1);
    assert_int_equal(rmdir(below->path), 0);
    assert_int_equal(rmdir(group->path), 0);
    watch_close(loop, group);
    assert_int_equal(loop->io->watch_count, 0);
}

static void test_a_cgroup_ends_with_its_last_process(void **state)
{
    struct group group;
    struct group below;

    group_make_unified(&group, "");
    group_make_unified(&below, "/below");
    check_the_last_end(*state, &group, &below);
}

static void test_a_v1_cgroup_ends_with_its_last_process_too(void **state)
{
    struct group group;
    struct group below;

    need_new_calls(); /* its processes are watched one by one */
    group_make_systemd(&group, "");
    group_make_systemd(&below, "/below");
    check_the_last_end(*state, &group, &below);
}

static void test_a_scope_is_found_from_below_it(void **state)
{
    struct loop *loop = *state;
    struct env_cgroup cgroup;
    struct group scope;
    struct group below;
    struct err e;
    pid_t pid;

    group_make_unified(&scope, ".scope");
    group_make_unified(&below, ".scope/main");
    pid = fork_into(&below);
    assert_int_equal(find(loop, pid, ENV_CGROUP_SCOPE, &cgroup, &e), 0);
    assert_string_equal(cgroup.path, scope.path);
    assert_int_equal(find(loop, pid, ENV_CGROUP_UNIT, &cgroup, &e), 0);
    assert_string_equal(cgroup.path, scope.path);
    kill_and_reap(pid);
    assert_int_equal(rmdir(below.path), 0);
    assert_int_equal(rmdir(scope.path), 0);
}

static void test_the_root_is_no_cgroup_and_no_scope(void **state)
{
    struct loop *loop = *state;
    struct env_cgroup cgroup;
    struct group group;
    struct err e;
    pid_t pid;

    group_make_unified(&group, "");
    pid = fork_into(&group);
    assert_int_equal(find(loop, pid, ENV_CGROUP_SCOPE, &cgroup, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "is in no scope"));
    kill_and_reap(pid);
    assert_int_equal(rmdir(group.path), 0);
}

static void test_a_process_that_has_ended_is_in_none(void **state)
{
    struct loop *loop = *state;
    struct env_cgroup cgroup;
    struct err e;

    assert_int_equal(env_cgroup_find(loop->env,
                                     &(struct env_cgroup_query){.pid = getpid(), .start_ticks = 1},
                                     &cgroup, &e),
                     ERR_GONE);
    assert_non_null(strstr(e.text, "has ended"));
    assert_int_equal(env_cgroup_find(loop->env, &(struct env_cgroup_query){.pid = 0x7fffffff},
                                     &cgroup, NULL),
                     ERR_GONE);
}

static void test_an_empty_cgroup_or_another_of_its_name_is_not_watched(void **state)
{
    struct loop *loop = *state;
    struct env_cgroup cgroup;
    struct group group;
    struct err e;
    pid_t pid;

    group_make_unified(&group, "");
    pid = fork_into(&group);
    assert_int_equal(find(loop, pid, ENV_CGROUP_UNIT, &cgroup, &e), 0);
    kill_and_reap(pid);
    assert_int_equal(watch_start(loop, &group, &cgroup), ERR_GONE);
    assert_int_equal(rmdir(group.path), 0);
    assert_int_equal(watch_start(loop, &group, &cgroup), ERR_GONE);
    assert_int_equal(mkdir(group.path, 0755), 0);
    pid = fork_into(&group);
    assert_int_equal(watch_start(loop, &group, &cgroup), ERR_GONE);
    kill_and_reap(pid);
    assert_int_equal(rmdir(group.path), 0);
}

/* Killed and removed at once, again and again: no end is missed, also where the kernel holds its
 * notice back. */
static void test_no_end_is_missed_when_the_cgroup_goes_at_once(void **state)
{
    struct loop *loop = *state;
    unsigned i;

    for (i = 0; i < 20; i++) {
        struct group group;
        pid_t pid;

        group_make_unified(&group, "");
        pid = fork_into(&group);
        watch_unit_of(loop, &group, pid);
        kill_and_reap(pid);
        while (rmdir(group.path) != 0) {
            /* Its zombie is being counted out. */
        }
        loop_until(loop, &group.is_ended);
        watch_close(loop, &group);
    }
}

static void test_a_whole_cgroup_that_is_killed_ends(void **state)
{
    struct loop *loop = *state;
    struct group group;
    pid_t pids[8];
    size_t i;

    group_make_unified(&group, "");
    for (i = 0; i < ARRAY_LEN(pids); i++) {
        pids[i] = fork_into(&group);
    }
    watch_unit_of(loop, &group, pids[0]);
    assert_true(write_file(group.path, "cgroup.kill", "1"));
    loop_until(loop, &group.is_ended);
    for (i = 0; i < ARRAY_LEN(pids); i++) {
        assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
    }
    watch_close(loop, &group);
    assert_int_equal(rmdir(group.path), 0);
}

static void test_a_watch_can_be_closed_before_the_end_and_left_open(void **state)
{
    struct loop *loop = *state;
    static struct group group;
    pid_t pid;

    group_make_unified(&group, "");
    pid = fork_into(&group);
    watch_unit_of(loop, &group, pid);
    watch_close(loop, &group);
    assert_int_equal(group.ends, 0);
    watch_unit_of(loop, &group, pid); /* io_close closes it */
    kill_and_reap(pid);
    assert_int_equal(rmdir(group.path), 0);
}

static void test_there_are_only_so_many_watches(void **state)
{
    struct loop *loop = *state;
    struct env_cgroup cgroup = {.path = "/sys/fs/cgroup"};
    struct group group;

    loop->io->watch_count = IO_WATCHES_MAX;
    assert_int_equal(watch_start(loop, &group, &cgroup), ERR_LIMIT);
    loop->io->watch_count = 0;
    assert_int_equal(watch_start(loop, &group, &cgroup), ERR_GONE);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_cgroup_ends_with_its_last_process),
        TEST(test_a_v1_cgroup_ends_with_its_last_process_too),
        TEST(test_a_scope_is_found_from_below_it),
        TEST(test_the_root_is_no_cgroup_and_no_scope),
        TEST(test_a_process_that_has_ended_is_in_none),
        TEST(test_an_empty_cgroup_or_another_of_its_name_is_not_watched),
        TEST(test_no_end_is_missed_when_the_cgroup_goes_at_once),
        TEST(test_a_whole_cgroup_that_is_killed_ends),
        TEST(test_a_watch_can_be_closed_before_the_end_and_left_open),
        TEST(test_there_are_only_so_many_watches),
    };

    return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
