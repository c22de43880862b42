/* The room that an append-only file keeps for itself beyond its end. */
#include "file_fixture.h"

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVE_BYTES (256U * 1024U)
#define LINE "0123456789012345678901234567890" /* 31 bytes: no divisor of a page */

static void open_with_reserve(struct file_fixture *f)
{
    open_file(f);
    env_file_reserve(f->file, RESERVE_BYTES);
}

/* What the disk holds for the file, beyond its length. */
static off_t allocated_beyond(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (off_t)st.st_blocks * 512 - st.st_size;
}

/* One group of as many lines as there is room for in the fixture. */
static void append_lines(struct file_fixture *f, int count)
{
    wait_for_all(f);
    f->started = 0;
    f->finished = 0;
    for (int i = 0; i < count; i++) {
        append(f, LINE);
    }
    wait_for_all(f);
}

static bool can_allocate(struct file_fixture *f)
{
    int fd = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1);

    (void)close(fd);
    disk.allocate_count = 0;
    if (rc != 0) {
        print_message("skipped: this file system doesn't allocate beyond the end\n");
    }
    return rc == 0;
}

static void test_room_is_kept_beyond_the_end_and_the_length_stays(void **state)
{
    struct file_fixture *f = *state;
    struct stat st;

    if (!can_allocate(f)) {
        skip();
    }
    open_with_reserve(f);
    append(f, "a\n");
    wait_for_all(f);
    assert_false(f->records[0].is_short);
    assert_true(allocated_beyond(f->path) >= (off_t)RESERVE_BYTES - 2);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_size, 2);
    expect_content(f->path, "a\n");
}

/* A quarter is used up before it is renewed: not an allocation for each group. */
static void test_it_is_renewed_in_steps(void **state)
{
    struct file_fixture *f = *state;
    const int lines_a_quarter = (int)(RESERVE_BYTES / 4 / strlen(LINE));

    open_with_reserve(f);
    append_lines(f, 1);
    assert_int_equal(disk.allocate_count, 1);
    append_lines(f, lines_a_quarter / 2);
    append_lines(f, lines_a_quarter / 2 - 1);
    assert_int_equal(disk.allocate_count, 1);
    for (int i = 0; i < 2; i++) {
        append_lines(f, 2);
    }
    assert_int_equal(disk.allocate_count, 2);
}

static void test_what_cannot_be_renewed_is_said_until_it_can(void **state)
{
    struct file_fixture *f = *state;

    if (!can_allocate(f)) {
        skip();
    }
    open_with_reserve(f);
    disk.fail_allocate = ENOSPC;
    append(f, "a\n");
    wait_for_all(f);
    append(f, "b\n");
    wait_for_all(f);
    assert_int_equal(f->records[0].status, 0);
    assert_true(f->records[0].is_short);
    assert_true(f->records[1].is_short);
    disk.fail_allocate = EDQUOT;
    append(f, "");
    wait_for_all(f);
    assert_int_equal(f->records[2].status, 0);
    assert_true(f->records[2].is_short);
    /* Nothing is written to find out that it can be. */
    disk.fail_allocate = 0;
    append(f, "");
    wait_for_all(f);
    assert_false(f->records[3].is_short);
    expect_content(f->path, "a\nb\n");
}

static void test_a_file_system_that_cannot_do_it_is_gone_without(void **state)
{
    struct file_fixture *f = *state;

    open_with_reserve(f);
    disk.fail_allocate = EOPNOTSUPP;
    append(f, "a\n");
    wait_for_all(f);
    append(f, "b\n");
    wait_for_all(f);
    assert_false(f->records[0].is_short);
    assert_false(f->records[1].is_short);
    assert_int_equal(disk.allocate_count, 1);
}

/* What is cut off, here or by others, takes the room with it. */
static void test_a_shortened_file_gets_its_room_again(void **state)
{
    struct file_fixture *f = *state;

    if (!can_allocate(f)) {
        skip();
    }
    open_with_reserve(f);
    append_lines(f, 100);
    assert_int_equal(truncate(f->path, 31), 0);
    append_lines(f, 1);
    assert_true(allocated_beyond(f->path) >= (off_t)RESERVE_BYTES - 62);
    disk.short_write_bytes = 1;
    disk.fail_write = EIO;
    append_lines(f, 1);
    assert_int_equal(f->records[0].status, -EIO);
    assert_true(allocated_beyond(f->path) >= (off_t)RESERVE_BYTES - 62);
    expect_content(f->path, LINE LINE);
}

static void test_a_file_that_is_rotated_away_gives_its_room_back(void **state)
{
    struct file_fixture *f = *state;
    char aside[128];

    if (!can_allocate(f)) {
        skip();
    }
    open_with_reserve(f);
    append(f, "old\n");
    wait_for_all(f);
    (void)snprintf(aside, sizeof(aside), "%s.1", f->path);
    assert_int_equal(rename(f->path, aside), 0);
    assert_int_equal(env_file_reopen(f->file, NULL), 0);
    append(f, "new\n");
    wait_for_all(f);
    assert_true(allocated_beyond(aside) < (off_t)RESERVE_BYTES / 2);
    assert_true(allocated_beyond(f->path) >= (off_t)RESERVE_BYTES - 4);
    expect_content(aside, "old\n");
    expect_content(f->path, "new\n");
    close_file(f);
    assert_true(allocated_beyond(f->path) < (off_t)RESERVE_BYTES / 2);
    expect_content(f->path, "new\n");
}

/* --- a disk that somebody else fills -----------------------------------------------------------
 */

static int enter_small_disk(const char *dir)
{
    return unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
                   mount("tmpfs", dir, "tmpfs", 0, "size=1m") != 0
               ? -1
               : 0;
}

/* Takes all that is left. */
static void fill(const char *path)
{
    static const char page[4096] = {1};
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    while (write(fd, page, sizeof(page)) > 0) {
    }
    (void)close(fd);
}

/* Returns how many of so many lines, each a group, were written, and with which last status. */
static int lines_until(struct file_fixture *f, int count, int *ret_short)
{
    int written = 0;

    *ret_short = 0;
    for (int i = 0; i < count; i++) {
        append_lines(f, 1);
        written += f->records[0].status == 0;
        *ret_short += f->records[0].is_short;
    }
    return written;
}

static int write_out_of_the_reserve(struct file_fixture *f)
{
    const int all = (int)(RESERVE_BYTES / strlen(LINE));
    char other[128];
    int is_short;

    (void)snprintf(other, sizeof(other), "%s/other", f->dir);
    if (enter_small_disk(f->dir) != 0) {
        return 1;
    }
    open_with_reserve(f);
    append_lines(f, 1);
    fill(other);
    /* Three quarters are there for certain, of them all but the first quarter said to be short. */
    if (lines_until(f, all * 3 / 4, &is_short) != all * 3 / 4 || is_short == 0) {
        return 2;
    }
    /* It is not without end. */
    if (lines_until(f, all, &is_short) == all) {
        return 3;
    }
    (void)unlink(other);
    append_lines(f, 1);
    if (f->records[0].status != 0 || f->records[0].is_short) {
        return 4;
    }
    close_file(f);
    return 0;
}

static void test_records_are_written_though_somebody_else_fills_the_disk(void **state)
{
    pid_t pid;

    if (geteuid() != 0 || system("unshare --mount true 2>/dev/null") != 0) {
        print_message("skipped: no private mounts here\n");
        skip();
    }
    pid = fork();
    if (pid == 0) {
        child_end(write_out_of_the_reserve(*state));
    }
    assert_int_equal(child_wait(pid), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)
        TEST(test_room_is_kept_beyond_the_end_and_the_length_stays),
        TEST(test_it_is_renewed_in_steps),
        TEST(test_what_cannot_be_renewed_is_said_until_it_can),
        TEST(test_a_file_system_that_cannot_do_it_is_gone_without),
        TEST(test_a_shortened_file_gets_its_room_again),
        TEST(test_a_file_that_is_rotated_away_gives_its_room_back),
        TEST(test_records_are_written_though_somebody_else_fills_the_disk),
    };

    return cmocka_run_group_tests_name("file reserve", tests, NULL, NULL);
}
