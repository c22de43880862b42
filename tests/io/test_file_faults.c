/* Append-only files when the disk fails: no torn record stays, nothing is confirmed that isn't
 * there. */
#include "file_fixture.h"

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <stdlib.h>
#include <unistd.h>

static void fail_second_group(struct file_fixture *f)
{
    open_file(f);
    append(f, "whole\n");
    wait_for_all(f);
    shut_gate();
    append(f, "also whole\n");
    wait_for_writer_at_gate();
    append(f, "lost 1\n");
    append(f, "lost 2\n");
}

static void test_a_failed_write_fails_its_whole_group_and_is_cut_off(void **state)
{
    struct file_fixture *f = *state;

    fail_second_group(f);
    disk.short_write_bytes = 9; /* "lost 1\nlo", then no more room */
    disk.fail_write = ENOSPC;
    open_gate();
    wait_for_all(f);
    assert_int_equal(f->records[1].status, 0);
    assert_int_equal(f->records[2].status, -ENOSPC);
    assert_int_equal(f->records[3].status, -ENOSPC);
    expect_content(f->path, "whole\nalso whole\n");
    append(f, "next\n");
    wait_for_all(f);
    assert_int_equal(f->records[4].status, 0);
    expect_content(f->path, "whole\nalso whole\nnext\n");
}

static void test_a_short_write_is_continued(void **state)
{
    struct file_fixture *f = *state;

    fail_second_group(f);
    disk.short_write_bytes = 9;
    open_gate();
    wait_for_all(f);
    assert_int_equal(f->records[3].status, 0);
    expect_content(f->path, "whole\nalso whole\nlost 1\nlost 2\n");
}

static void test_after_a_failed_sync_the_file_is_opened_anew(void **state)
{
    struct file_fixture *f = *state;
    struct stat before;
    struct stat after;

    fail_second_group(f);
    disk.fail_sync = EIO; /* of the sync at the gate */
    open_gate();
    wait_for_all(f);
    assert_int_equal(f->records[1].status, -EIO);
    /* What came after it was written by a new descriptor, after what had failed was cut off and
     * that was synced. */
    assert_int_equal(f->records[2].status, 0);
    assert_int_equal(f->records[3].status, 0);
    expect_content(f->path, "whole\nlost 1\nlost 2\n");
    assert_int_equal(stat(f->path, &before), 0);
    append(f, "next\n");
    wait_for_all(f);
    assert_int_equal(stat(f->path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    expect_content(f->path, "whole\nlost 1\nlost 2\nnext\n");
}

static void test_while_it_cannot_be_opened_anew_every_group_fails(void **state)
{
    struct file_fixture *f = *state;
    char aside[128];

    open_file(f);
    append(f, "whole\n");
    wait_for_all(f);
    disk.fail_sync = EIO;
    append(f, "lost\n");
    wait_for_all(f);
    (void)snprintf(aside, sizeof(aside), "%s.aside", f->path);
    assert_int_equal(rename(f->path, aside), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    append(f, "lost too\n");
    wait_for_all(f);
    assert_int_not_equal(f->records[2].status, 0);
    assert_int_equal(rmdir(f->path), 0);
    assert_int_equal(rename(aside, f->path), 0);
    append(f, "next\n");
    wait_for_all(f);
    assert_int_equal(f->records[3].status, 0);
    expect_content(f->path, "whole\nnext\n");
}

static void test_records_never_go_into_a_deleted_file(void **state)
{
    struct file_fixture *f = *state;

    open_file(f);
    append(f, "a\n");
    wait_for_all(f);
    assert_int_equal(unlink(f->path), 0);
    append(f, "b\n");
    wait_for_all(f);
    assert_int_equal(f->records[1].status, 0);
    expect_content(f->path, "b\n");
}

static void test_a_file_shortened_behind_our_back_goes_on_at_its_new_end(void **state)
{
    struct file_fixture *f = *state;

    open_file(f);
    append(f, "a\n");
    wait_for_all(f);
    assert_int_equal(truncate(f->path, 0), 0); /* copytruncate */
    append(f, "b\n");
    wait_for_all(f);
    disk.short_write_bytes = 1;
    disk.fail_write = ENOSPC;
    append(f, "c\n");
    wait_for_all(f);
    expect_content(f->path, "b\n");
}

/* In a child: stdout is a pipe that nobody reads any more. */
static int write_to_stuck_stdout(struct file_fixture *f)
{
    int ends[2];
    int i;

    if (pipe(ends) != 0 || dup2(ends[1], STDOUT_FILENO) < 0) {
        return 1;
    }
    (void)fcntl(ends[1], F_SETPIPE_SZ, 4096);
    (void)snprintf(f->path, sizeof(f->path), "-");
    open_file(f);
    for (i = 0; i < 1000; i++) {
        append(f, "0123456789012345678901234567\n");
    }
    close_file(f);
    return f->finished == 1000 && f->records[999].status != 0 ? 0 : 2;
}

static void test_a_reader_of_stdout_that_has_stopped_does_not_hold_up_the_end(void **state)
{
    pid_t pid = fork();

    if (pid == 0) {
        child_end(write_to_stuck_stdout(*state));
    }
    assert_int_equal(child_wait(pid), 0);
}

static int enter_small_disk(const char *dir)
{
    return unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
                   mount("tmpfs", dir, "tmpfs", 0, "size=64k") != 0
               ? -1
               : 0;
}

/* Not in a chroot, nor in a container that may not mount. The child is a program of its own: a copy
 * of the test that ends would be taken for a leak. */
static void need_private_mounts(void)
{
    if (system("unshare --mount true 2>/dev/null") != 0) {
        print_message("skipped: no private mounts here\n");
        skip();
    }
}

/* In a child with a mount namespace of its own: a disk of 64 KiB. */
static int fill_a_small_disk(struct file_fixture *f)
{
    struct stat st;
    int failed = 0;
    int i;

    if (enter_small_disk(f->dir) != 0) {
        return 1;
    }
    open_file(f);
    for (i = 0; i < APPENDS_MAX; i++) {
        append(f, "0123456789012345678901234567890"); /* 31 bytes: no divisor of a page */
        if (i % 500 == 499) {
            wait_for_all(f);
        }
    }
    /* All 62 000 bytes fit; what comes now doesn't. */
    wait_for_all(f);
    f->started = 0;
    f->finished = 0;
    for (i = 0; i < 200; i++) {
        append(f, "0123456789012345678901234567890");
    }
    wait_for_all(f);
    for (i = 0; i < 200; i++) {
        failed += f->records[i].status == -ENOSPC ? 1 : 0;
    }
    (void)stat(f->path, &st);
    close_file(f);
    return failed > 0 && st.st_size % 31 == 0 && st.st_size >= 62000 ? 0 : 1;
}

static void test_a_full_disk_leaves_whole_records_only(void **state)
{
    pid_t pid;

    if (geteuid() != 0) {
        print_message("skipped: mounting takes root\n");
        skip();
    }
    need_private_mounts();
    pid = fork();
    if (pid == 0) {
        child_end(fill_a_small_disk(*state));
    }
    assert_int_equal(child_wait(pid), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)
        TEST(test_a_failed_write_fails_its_whole_group_and_is_cut_off),
        TEST(test_a_short_write_is_continued),
        TEST(test_after_a_failed_sync_the_file_is_opened_anew),
        TEST(test_while_it_cannot_be_opened_anew_every_group_fails),
        TEST(test_records_never_go_into_a_deleted_file),
        TEST(test_a_file_shortened_behind_our_back_goes_on_at_its_new_end),
        TEST(test_a_reader_of_stdout_that_has_stopped_does_not_hold_up_the_end),
        TEST(test_a_full_disk_leaves_whole_records_only),
    };

    return cmocka_run_group_tests_name("file faults", tests, NULL, NULL);
}
