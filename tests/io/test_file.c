/* Append-only files: order, groups, rotation, and which files are taken. */
#include "file_fixture.h"

#include "child.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_records_land_in_the_order_of_their_starts(void **state)
{
    struct file_fixture *f = *state;
    char *expected = calloc(1, 32 * 1000);
    int i;

    open_file(f);
    for (i = 0; i < 1000; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "record %d\n", i);
        (void)snprintf(expected + strlen(expected), 32, "%s", text);
        append(f, text);
        if (i % 100 == 0) {
            io_run_once(f->io, false);
        }
    }
    wait_for_all(f);
    for (i = 0; i < 1000; i++) {
        assert_int_equal(f->records[i].status, 0);
        assert_int_equal(f->records[i].order, i + 1);
    }
    expect_content(f->path, expected);
    free(expected);
}

static void test_callbacks_never_run_inside_start(void **state)
{
    struct file_fixture *f = *state;

    open_file(f);
    append(f, "a\n");
    assert_int_equal(f->finished, 0);
    wait_for_all(f);
}

static void test_what_gathers_during_a_sync_is_one_group(void **state)
{
    struct file_fixture *f = *state;
    int i;

    open_file(f);
    shut_gate();
    append(f, "first\n");
    wait_for_writer_at_gate();
    for (i = 0; i < 200; i++) {
        append(f, "x\n");
    }
    assert_int_equal(disk.sync_count, 1);
    open_gate();
    wait_for_all(f);
    assert_int_equal(disk.sync_count, 2);
    assert_int_equal(disk.write_count, 2);
}

static void test_nothing_is_confirmed_before_it_is_synced(void **state)
{
    struct file_fixture *f = *state;
    int i;

    open_file(f);
    shut_gate();
    append(f, "first\n");
    wait_for_writer_at_gate();
    for (i = 0; i < 10; i++) {
        io_run_once(f->io, false);
    }
    assert_int_equal(f->finished, 0);
    open_gate();
    wait_for_all(f);
}

static void test_the_queue_has_a_limit_in_bytes(void **state)
{
    struct file_fixture *f = *state;
    struct record big = {.f = f};
    char *bytes = malloc(ENV_FILE_QUEUE_MAX_BYTES);

    memset(bytes, 'b', ENV_FILE_QUEUE_MAX_BYTES);
    open_file(f);
    shut_gate();
    append(f, "12345");
    big.append = (struct env_append){.bytes = {.ptr = bytes, .len = ENV_FILE_QUEUE_MAX_BYTES - 4},
                                     .fn = on_appended,
                                     .user = &big};
    assert_int_equal(env_append_start(f->file, &big.append), ERR_LIMIT);
    big.append.bytes.len--;
    assert_int_equal(env_append_start(f->file, &big.append), 0);
    f->started++;
    assert_int_equal(try_append(f, "1"), ERR_LIMIT);
    open_gate();
    wait_for_all(f);
    append(f, "again");
    wait_for_all(f);
    free(bytes);
}

static void test_a_reopen_sends_later_records_to_the_new_file(void **state)
{
    struct file_fixture *f = *state;
    char rotated[128];
    struct err e;
    int round;

    (void)snprintf(rotated, sizeof(rotated), "%s.1", f->path);
    open_file(f);
    shut_gate();
    append(f, "a1\n");
    wait_for_writer_at_gate();
    append(f, "a2\n");
    for (round = 0; round < 2; round++) { /* the second before the writer has seen the first */
        assert_int_equal(rename(f->path, rotated), 0);
        assert_int_equal(env_file_reopen(f->file, &e), 0);
        append(f, round == 0 ? "b1\n" : "c1\n");
        if (round == 0) {
            (void)snprintf(rotated, sizeof(rotated), "%s.2", f->path);
        }
    }
    open_gate();
    wait_for_all(f);
    expect_content(f->path, "c1\n");
    expect_content(rotated, "b1\n");
    (void)snprintf(rotated, sizeof(rotated), "%s.1", f->path);
    expect_content(rotated, "a1\na2\n");
}

static void test_a_failed_reopen_keeps_the_old_file(void **state)
{
    struct file_fixture *f = *state;
    char rotated[128];
    struct err e;

    (void)snprintf(rotated, sizeof(rotated), "%s.1", f->path);
    open_file(f);
    assert_int_equal(rename(f->path, rotated), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_int_equal(env_file_reopen(f->file, &e), ERR_INVALID);
    append(f, "a\n");
    wait_for_all(f);
    assert_int_equal(f->records[0].status, 0);
    expect_content(rotated, "a\n");
}

static void test_the_tail_is_what_stands_at_the_end(void **state)
{
    struct file_fixture *f = *state;
    char *bytes;
    size_t size;

    open_file(f);
    assert_int_equal(env_file_tail(f->file, 100, &bytes, &size), 0);
    assert_int_equal(size, 0);
    mem_free(bytes);
    append(f, "first\n");
    append(f, "second\n");
    wait_for_all(f);
    assert_int_equal(env_file_tail(f->file, 9, &bytes, &size), 0);
    assert_int_equal(size, 9);
    assert_memory_equal(bytes, "t\nsecond\n", 9);
    mem_free(bytes);
    assert_int_equal(env_file_tail(f->file, 100, &bytes, &size), 0);
    assert_int_equal(size, 13);
    assert_memory_equal(bytes, "first\nsecond\n", 13);
    mem_free(bytes);
}

static void test_a_new_file_is_ours_alone_and_an_old_one_is_appended_to(void **state)
{
    struct file_fixture *f = *state;
    struct stat st;
    mode_t old = umask(0);

    open_file(f);
    (void)umask(old);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    append(f, "a\n");
    close_file(f);
    open_file(f);
    append(f, "b\n");
    wait_for_all(f);
    expect_content(f->path, "a\nb\n");
}

static void expect_refused(struct file_fixture *f, int code, const char *text)
{
    struct env_file *file = NULL;
    struct err e = {.text = ""};
    int rc = env_file_open(io_env(f->io), f->path, &file, &e);

    assert_null(file);
    if (rc != code || strstr(e.text, text) == NULL) {
        fail_msg("%d (%s) instead of %d (%s)", rc, e.text, code, text);
    }
}

static void test_what_is_not_a_regular_file_of_ours_is_refused(void **state)
{
    struct file_fixture *f = *state;
    char target[96];

    (void)snprintf(target, sizeof(target), "%s/target", f->dir);
    assert_int_equal(symlink(target, f->path), 0);
    expect_refused(f, -ELOOP, "symbolic link");
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    expect_refused(f, ERR_INVALID, "not a regular file");
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    expect_refused(f, -EISDIR, "could not open");
    assert_int_equal(rmdir(f->path), 0);
    (void)close(open(f->path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(chmod(f->path, 0620), 0);
    expect_refused(f, ERR_DENIED, "can be written by others");
    assert_int_equal(chmod(f->path, 0602), 0);
    expect_refused(f, ERR_DENIED, "can be written by others");
    assert_int_equal(chmod(f->path, 0640), 0);
    open_file(f);
    close_file(f);
    if (geteuid() == 0) {
        assert_int_equal(chown(f->path, 65533, 65533), 0);
        expect_refused(f, ERR_DENIED, "belongs to uid 65533");
    }
    (void)snprintf(f->path, sizeof(f->path), "%s/none/audit", f->dir);
    expect_refused(f, -ENOENT, "could not open");
}

static void test_closing_writes_what_is_queued_and_takes_no_more(void **state)
{
    struct file_fixture *f = *state;
    int i;

    open_file(f);
    shut_gate();
    append(f, "first\n");
    wait_for_writer_at_gate();
    for (i = 0; i < 5; i++) {
        append(f, "queued\n");
    }
    f->is_closed = false;
    env_file_close(f->file, on_file_closed, f);
    assert_int_equal(try_append(f, "late\n"), ERR_CLOSED);
    open_gate();
    while (!f->is_closed) {
        io_run_once(f->io, true);
    }
    assert_int_equal(f->finished, 6);
    expect_content(f->path, "first\nqueued\nqueued\nqueued\nqueued\nqueued\n");
}

static void append_again(struct env_append *append_done, int status)
{
    struct record *record = append_done->user;

    assert_int_equal(status, 0);
    record->f->finished++;
    if (record->f->started < 20) {
        append(record->f, "more\n");
        record->f->records[record->f->started - 1].append.fn = append_again;
    }
}

static void test_a_callback_may_append(void **state)
{
    struct file_fixture *f = *state;

    open_file(f);
    append(f, "first\n");
    f->records[0].append.fn = append_again;
    wait_for_all(f);
    assert_int_equal(f->finished, 20);
}

static int open_the_same(struct file_fixture *f)
{
    struct env_file *file = NULL;
    struct err e = {0};
    int rc = env_file_open(io_env(f->io), f->path, &file, &e);

    if (rc == 0) {
        env_file_close(file, NULL, NULL);
    }
    return rc;
}

static void test_a_file_has_one_writer(void **state)
{
    struct file_fixture *f = *state;
    char rotated[128];
    char *bytes = NULL;
    size_t size = 0;

    open_file(f);
    assert_int_equal(open_the_same(f), ERR_BUSY);
    assert_int_equal(env_file_tail(f->file, 10, &bytes, &size), 0);
    mem_free(bytes);
    assert_int_equal(env_file_reopen(f->file, NULL), 0); /* the same file again */
    append(f, "a\n");
    wait_for_all(f);
    assert_int_equal(open_the_same(f), ERR_BUSY);
    (void)snprintf(rotated, sizeof(rotated), "%s.1", f->path);
    assert_int_equal(rename(f->path, rotated), 0);
    assert_int_equal(env_file_reopen(f->file, NULL), 0);
    append(f, "b\n");
    wait_for_all(f);
    assert_int_equal(open_the_same(f), ERR_BUSY);
    assert_int_equal(unlink(rotated), 0);
    close_file(f);
    assert_int_equal(open_the_same(f), 0);
}

/* As a start that fails does: nobody runs the loop any more. */
static void test_a_file_that_was_closed_right_before_the_loop_is_not_forgotten(void **state)
{
    struct file_fixture *f = *state;

    open_file(f);
    shut_gate();
    append(f, "a\n");
    wait_for_writer_at_gate();
    env_file_close(f->file, on_file_closed, f);
    open_gate();
    assert_int_equal(io_close(f->io), 0);
    assert_true(f->is_closed);
    expect_content(f->path, "a\n");
    assert_int_equal(io_new(&f->io, NULL), 0); /* for the teardown */
}

static int write_to_stdout(struct file_fixture *f, int fd)
{
    if (dup2(fd, STDOUT_FILENO) < 0) {
        return 1;
    }
    (void)snprintf(f->path, sizeof(f->path), "-");
    open_file(f);
    append(f, "to stdout\n");
    wait_for_all(f);
    close_file(f);
    return f->records[0].status == 0 && disk.sync_count == 0 ? 0 : 2;
}

static void test_stdout_is_written_without_a_sync(void **state)
{
    char bytes[32] = "";
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        child_end(write_to_stdout(*state, ends[1]));
    }
    assert_int_equal(read(ends[0], bytes, sizeof(bytes) - 1), 10);
    assert_string_equal(bytes, "to stdout\n");
    assert_int_equal(child_wait(pid), 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)
        TEST(test_records_land_in_the_order_of_their_starts),
        TEST(test_callbacks_never_run_inside_start),
        TEST(test_what_gathers_during_a_sync_is_one_group),
        TEST(test_nothing_is_confirmed_before_it_is_synced),
        TEST(test_the_queue_has_a_limit_in_bytes),
        TEST(test_a_reopen_sends_later_records_to_the_new_file),
        TEST(test_a_failed_reopen_keeps_the_old_file),
        TEST(test_the_tail_is_what_stands_at_the_end),
        TEST(test_a_new_file_is_ours_alone_and_an_old_one_is_appended_to),
        TEST(test_what_is_not_a_regular_file_of_ours_is_refused),
        TEST(test_closing_writes_what_is_queued_and_takes_no_more),
        TEST(test_a_callback_may_append),
        TEST(test_a_file_has_one_writer),
        TEST(test_a_file_that_was_closed_right_before_the_loop_is_not_forgotten),
        TEST(test_stdout_is_written_without_a_sync),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
