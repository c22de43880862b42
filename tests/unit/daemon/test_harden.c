/* Hardening, each in a child of its own, since it can't be taken back. */
#include "daemon/harden.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs `body` in a child: 0 means that all held. */
static int in_child(int (*body)(void))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        _exit(body());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int process_body(void)
{
    char filter[16] = "";
    struct rlimit limit;
    FILE *file;

    if (harden_process(NULL) != 0) {
        return 1;
    }
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
        return 4;
    }
#ifdef LEASED_DUMPABLE
    return 0;
#endif
    if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_cur != 0 || limit.rlim_max != 0) {
        return 2;
    }
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return 3;
    }
    file = fopen("/proc/self/coredump_filter", "re");
    if (file == NULL) {
        return geteuid() == 0 ? 5 : 0; /* ours no more */
    }
    if (fgets(filter, sizeof(filter), file) == NULL || strtoul(filter, NULL, 16) != 0) {
        return 6;
    }
    return fclose(file) == 0 ? 0 : 7;
}

static void test_no_dumps_no_tracing_no_new_privileges(void **state)
{
    (void)state;
    assert_int_equal(in_child(process_body), 0);
}

static int files_body(void)
{
    int stray = open("/dev/null", O_RDONLY);

    (void)close(STDIN_FILENO);
    (void)unsetenv("LISTEN_FDS");
    if (harden_files(NULL) != 0) {
        return 1;
    }
    if (fcntl(stray, F_GETFD) != -1) {
        return 2;
    }
    if (fcntl(STDIN_FILENO, F_GETFD) == -1) {
        return 3;
    }
    return umask(0) == 0077 ? 0 : 4;
}

static void test_strays_are_closed_and_the_standard_ones_open(void **state)
{
    (void)state;
    assert_int_equal(in_child(files_body), 0);
}

static int passed_body(void)
{
    char pid[16];

    if (dup2(STDERR_FILENO, 3) != 3 || dup2(STDERR_FILENO, 4) != 4 || dup2(STDERR_FILENO, 5) != 5) {
        return 1;
    }
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    (void)setenv("LISTEN_PID", pid, 1);
    (void)setenv("LISTEN_FDS", "2", 1);
    if (harden_files(NULL) != 0) {
        return 2;
    }
    if (fcntl(3, F_GETFD) == -1 || fcntl(4, F_GETFD) == -1) {
        return 3;
    }
    return fcntl(5, F_GETFD) == -1 ? 0 : 4;
}

static void test_what_systemd_passed_stays_open(void **state)
{
    (void)state;
    assert_int_equal(in_child(passed_body), 0);
}

static int other_pid_body(void)
{
    if (dup2(STDERR_FILENO, 3) != 3) {
        return 1;
    }
    (void)setenv("LISTEN_PID", "1", 1);
    (void)setenv("LISTEN_FDS", "1", 1);
    if (harden_files(NULL) != 0) {
        return 2;
    }
    return fcntl(3, F_GETFD) == -1 ? 0 : 3;
}

static void test_what_was_passed_to_another_process_is_closed(void **state)
{
    (void)state;
    assert_int_equal(in_child(other_pid_body), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_dumps_no_tracing_no_new_privileges),
        cmocka_unit_test(test_strays_are_closed_and_the_standard_ones_open),
        cmocka_unit_test(test_what_systemd_passed_stays_open),
        cmocka_unit_test(test_what_was_passed_to_another_process_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
