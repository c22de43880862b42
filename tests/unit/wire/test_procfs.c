/* /proc texts: what the kernel writes, and what processes can make it write. */
#include "wire/procfs.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_ID "ff23456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TAIL(state, flags, threads)                                                                \
    " " state " 17 20 21 0 -1 " flags " 1 2 3 4 5 6 7 8 20 0 " threads " 0 987654321 3133440 395\n"

static void assert_str(struct str s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_true(str_eq_c(s, text));
}

static struct procfs_stat stat_of(const char *text)
{
    struct procfs_stat stat = {0};

    assert_int_equal(procfs_parse_stat(str_of(text), &stat), 0);
    return stat;
}

static void test_stat_gives_the_fields(void **state)
{
    struct procfs_stat stat = stat_of("4242 (psql)" TAIL("S", "4194304", "3"));

    (void)state;
    assert_int_equal(stat.pid, 4242);
    assert_string_equal(stat.name, "psql");
    assert_int_equal(stat.state, 'S');
    assert_int_equal(stat.parent_pid, 17);
    assert_int_equal(stat.session, 21);
    assert_int_equal(stat.flags, 4194304);
    assert_int_equal(stat.thread_count, 3);
    assert_int_equal(stat.start_ticks, 987654321);
    assert_false(stat.is_fork_no_exec);
    assert_false(stat.is_ended);
}

static void test_a_name_with_parentheses_and_fields_is_only_a_name(void **state)
{
    struct procfs_stat stat = stat_of("4242 (a) R 1 1 (b)" TAIL("S", "4194304", "1"));

    (void)state;
    assert_string_equal(stat.name, "a) R 1 1 (b");
    assert_int_equal(stat.parent_pid, 17);
    stat = stat_of("4242 ())" TAIL("S", "0", "1"));
    assert_string_equal(stat.name, ")");
    stat = stat_of("4242 ()" TAIL("S", "0", "1"));
    assert_string_equal(stat.name, "");
}

static void test_control_bytes_and_long_names_are_tamed(void **state)
{
    struct procfs_stat stat = stat_of("7 (a\nb\x1b)" TAIL("S", "0", "1"));

    (void)state;
    assert_string_equal(stat.name, "a?b?");
    stat = stat_of("7 (kworker/u8:2-events_unbound)" TAIL("I", "0", "1"));
    assert_string_equal(stat.name, "kworker/u8:2-ev");
}

static void test_a_fork_without_exec_is_seen(void **state)
{
    (void)state;
    assert_true(stat_of("7 (bash)" TAIL("S", "4194368", "1")).is_fork_no_exec);
}

static void test_a_zombie_has_ended_but_a_dead_leader_with_threads_has_not(void **state)
{
    (void)state;
    assert_true(stat_of("7 (x)" TAIL("Z", "0", "1")).is_ended);
    assert_true(stat_of("7 (x)" TAIL("X", "0", "0")).is_ended);
    assert_false(stat_of("7 (x)" TAIL("Z", "0", "2")).is_ended);
}

static void test_a_broken_stat_is_refused(void **state)
{
    static const char *const broken[] = {
        "",
        "7",
        "7 (x",
        "(x) S 1",
        "7 x) S 1",
        "7 )x( S 1",
        "7 (x)S 17 20 21",
        "7 (x) S 17 20 21 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0", /* ends before the start time */
        "7 (x) SS 17 20 21 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9",
        "7 (x) S -1 20 21 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9",
        "7 (x) S 99999999999 20 21 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9",
        "7 (x) S 17 20 21 0 -1 4294967296 1 2 3 4 5 6 7 8 20 0 1 0 9",
        "7 (x) S 17 20 21 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 99999999999999999999",
        "x7 (x) S 17 20 21 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 9",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        struct procfs_stat stat = {.pid = 99};

        assert_int_equal(procfs_parse_stat(str_of(broken[i]), &stat), ERR_INVALID);
        assert_int_equal(stat.pid, 99);
    }
}

static void test_stat_of_this_process_parses(void **state)
{
    char text[4096];
    FILE *file = fopen("/proc/self/stat", "re");
    size_t size;
    struct procfs_stat stat;

    (void)state;
    assert_non_null(file);
    size = fread(text, 1, sizeof(text), file);
    (void)fclose(file);
    assert_int_equal(procfs_parse_stat((struct str){.ptr = text, .len = size}, &stat), 0);
    assert_true(stat.start_ticks > 0);
}

static void test_cgroup_path_is_taken_from_the_unified_or_systemd_hierarchy(void **state)
{
    struct str path = {0};

    (void)state;
    assert_int_equal(procfs_parse_cgroup(STR("0::/system.slice/a.service\n"), &path), 0);
    assert_str(path, "/system.slice/a.service");
    assert_int_equal(procfs_parse_cgroup(STR("9:memory:/other/longer/path/than/it\n"
                                             "1:name=systemd:/system.slice/b.service\n0::/\n"),
                                         &path),
                     0);
    assert_str(path, "/system.slice/b.service");
    assert_int_equal(
        procfs_parse_cgroup(STR("1:name=systemd:/\n0::/system.slice/c.service\n"), &path), 0);
    assert_str(path, "/system.slice/c.service");
    assert_int_equal(procfs_parse_cgroup(STR("0::/\n"), &path), 0);
    assert_str(path, "/");
    assert_int_equal(procfs_parse_cgroup(STR("0::/a:b/0::/c\n"), &path), 0);
    assert_str(path, "/a:b/0::/c");
}

static void test_cgroup_without_these_hierarchies_is_refused(void **state)
{
    struct str path = {0};

    (void)state;
    assert_int_equal(procfs_parse_cgroup(STR(""), &path), ERR_INVALID);
    assert_int_equal(procfs_parse_cgroup(STR("4:memory:/x\n"), &path), ERR_INVALID);
    assert_int_equal(procfs_parse_cgroup(STR("0::relative\n"), &path), ERR_INVALID);
    assert_null(path.ptr);
}

static void test_pid_namespaces_are_counted(void **state)
{
    size_t count = 0;

    (void)state;
    assert_int_equal(procfs_parse_nspid(STR("Name:\tx\nNSpid:\t42\nNSpgid:\t1\n"), &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(procfs_parse_nspid(STR("Name:\tx\nNSpid:\t42\t7\t1\n"), &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(procfs_parse_nspid(STR("Name:\tNSpid:\n"), &count), ERR_INVALID);
    assert_int_equal(procfs_parse_nspid(STR("NSpid:\t\n"), &count), ERR_INVALID);
    assert_int_equal(procfs_parse_nspid(STR("NSpid:\tx\n"), &count), ERR_INVALID);
}

static void test_a_unit_is_the_first_service_or_scope_below_system_slice(void **state)
{
    (void)state;
    assert_str(procfs_unit(STR("/system.slice/orders.service")), "orders.service");
    assert_str(procfs_unit(STR("/system.slice/system-getty.slice/getty@tty1.service")),
               "getty@tty1.service");
    assert_str(procfs_unit(STR("/system.slice/run-u1.scope")), "run-u1.scope");
    assert_str(procfs_unit(STR("/system.slice/_memory.service")), "memory.service");
}

static void test_a_subtree_cannot_claim_another_unit(void **state)
{
    (void)state;
    /* A unit with Delegate= names what lies below it as it likes. */
    assert_str(procfs_unit(STR("/system.slice/mine.service/orders.service")), "mine.service");
    assert_str(procfs_unit(STR("/system.slice/mine.service/system.slice/orders.service")),
               "mine.service");
    assert_str(procfs_unit(STR("/user.slice/user-1000.slice/user@1000.service/orders.service")),
               "");
    assert_str(procfs_unit(STR("/user.slice/user-1000.slice/user@1000.service/system.slice/"
                               "orders.service")),
               "");
    assert_str(procfs_unit(STR("/x/system.slice/orders.service")), "");
    assert_str(procfs_unit(STR("/orders.service")), "");
    assert_str(procfs_unit(STR("/../system.slice/orders.service")), "");
    assert_str(procfs_unit(STR("/system.slice/../orders.service")), "");
}

static void test_paths_without_a_unit_have_none(void **state)
{
    (void)state;
    assert_str(procfs_unit(STR("/")), "");
    assert_str(procfs_unit(STR("")), "");
    assert_str(procfs_unit(STR("/system.slice")), "");
    assert_str(procfs_unit(STR("/system.slice/deep.slice")), "");
    assert_str(procfs_unit(STR("/system.slice/orders.service (deleted)")), "");
}

static void test_container_ids_are_found_where_runtimes_put_them(void **state)
{
    static const char *const paths[] = {
        "/docker/" ID,
        "/system.slice/docker-" ID ".scope",
        "/machine.slice/libpod-" ID ".scope/container",
        "/kubepods/burstable/pod0b7a/" ID,
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0b7a.slice/"
        "cri-containerd-" ID ".scope",
        "/kubepods.slice/kubepods-pod1.slice/crio-" ID ".scope",
        "/ecs/task/" ID,
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_str(procfs_container(str_of(paths[i])), ID);
    }
}

static void test_the_outermost_container_is_named(void **state)
{
    (void)state;
    assert_str(procfs_container(STR("/docker/" ID "/docker/" OTHER_ID)), ID);
}

static void test_what_only_looks_like_a_container_is_none(void **state)
{
    (void)state;
    assert_str(procfs_container(STR("/")), "");
    assert_str(procfs_container(STR("/docker/0123")), "");
    assert_str(procfs_container(STR("/docker/" ID "0")), "");
    assert_str(procfs_container(STR("/docker/X123456789abcdef0123456789abcdef0123456789abcdef"
                                    "0123456789abcdef")),
               "");
    /* The monitor runs on the host, beside the container. */
    assert_str(procfs_container(STR("/machine.slice/libpod-conmon-" ID ".scope")), "");
}

static void test_both_hierarchies_are_told(void **state)
{
    struct procfs_cgroups all;

    (void)state;
    assert_int_equal(
        procfs_parse_cgroups(STR("9:name=systemd:/a.slice\n4:memory:/m\n0::/b\n"), &all), 0);
    assert_true(str_eq_c(all.systemd, "/a.slice"));
    assert_true(str_eq_c(all.unified, "/b"));
    assert_int_equal(procfs_parse_cgroups(STR("0::/b\n"), &all), 0);
    assert_int_equal(all.systemd.len, 0);
    assert_int_equal(procfs_parse_cgroups(STR("4:memory:/m\n"), &all), ERR_INVALID);
}

static void test_the_innermost_scope_or_service_is_cut_out(void **state)
{
    (void)state;
    assert_true(str_eq_c(procfs_scope_path(STR("/user.slice/session-3.scope/x/y")),
                         "/user.slice/session-3.scope"));
    assert_true(str_eq_c(procfs_scope_path(STR("/d.scope/user.slice/s.scope")),
                         "/d.scope/user.slice/s.scope"));
    assert_int_equal(procfs_scope_path(STR("/system.slice/a.service")).len, 0);
    assert_int_equal(procfs_scope_path(STR("/")).len, 0);
    assert_int_equal(procfs_scope_path(STR("")).len, 0);
    assert_true(
        str_eq_c(procfs_unit_path(STR("/system.slice/a.service/sub")), "/system.slice/a.service"));
    assert_true(str_eq_c(procfs_unit_path(STR("/user.slice/u.service/app.slice/r.scope")),
                         "/user.slice/u.service/app.slice/r.scope"));
    assert_int_equal(procfs_unit_path(STR("/ci/job1")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_hierarchies_are_told),
        cmocka_unit_test(test_the_innermost_scope_or_service_is_cut_out),
        cmocka_unit_test(test_stat_gives_the_fields),
        cmocka_unit_test(test_a_name_with_parentheses_and_fields_is_only_a_name),
        cmocka_unit_test(test_control_bytes_and_long_names_are_tamed),
        cmocka_unit_test(test_a_fork_without_exec_is_seen),
        cmocka_unit_test(test_a_zombie_has_ended_but_a_dead_leader_with_threads_has_not),
        cmocka_unit_test(test_a_broken_stat_is_refused),
        cmocka_unit_test(test_stat_of_this_process_parses),
        cmocka_unit_test(test_cgroup_path_is_taken_from_the_unified_or_systemd_hierarchy),
        cmocka_unit_test(test_cgroup_without_these_hierarchies_is_refused),
        cmocka_unit_test(test_pid_namespaces_are_counted),
        cmocka_unit_test(test_a_unit_is_the_first_service_or_scope_below_system_slice),
        cmocka_unit_test(test_a_subtree_cannot_claim_another_unit),
        cmocka_unit_test(test_paths_without_a_unit_have_none),
        cmocka_unit_test(test_container_ids_are_found_where_runtimes_put_them),
        cmocka_unit_test(test_the_outermost_container_is_named),
        cmocka_unit_test(test_what_only_looks_like_a_container_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
