/* Append-only files: order, groups, failures that leave no torn record, rotation.
 *
 * The program's own fdatasync and writev stand before libc's: they count, fail when told to, and
 * hold the writer's thread at a gate, so that a test decides what gathers into one group. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "child.h"

#include "base/mem.h"
#include "env/file.h"
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define APPENDS_MAX 2000

/* What the writer's thread meets; under `lock`. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool is_gate_shut;
    bool is_waiting; /* the writer stands at the gate */
    int sync_count;
    int write_count;
    int fail_sync;            /* errno of the next sync; 0: none */
    int fail_write;           /* errno of the next write */
    size_t short_write_bytes; /* the next write takes only so many; 0: all */
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

int fdatasync(int fd)
{
    int status;

    (void)pthread_mutex_lock(&disk.lock);
    disk.sync_count++;
    while (disk.is_gate_shut) {
        disk.is_waiting = true;
        (void)pthread_cond_broadcast(&disk.moved);
        (void)pthread_cond_wait(&disk.moved, &disk.lock);
    }
    disk.is_waiting = false;
    status = disk.fail_sync;
    disk.fail_sync = 0;
    (void)pthread_mutex_unlock(&disk.lock);
    if (status != 0) {
        errno = status;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    struct iovec cut[16];
    size_t left;
    int status;

    (void)pthread_mutex_lock(&disk.lock);
    disk.write_count++;
    left = disk.short_write_bytes;
    disk.short_write_bytes = 0;
    status = left == 0 ? disk.fail_write : 0;
    if (left == 0) {
        disk.fail_write = 0;
    }
    (void)pthread_mutex_unlock(&disk.lock);
    if (status != 0) {
        errno = status;
        return -1;
    }
    if (left > 0) {
        int i;

        for (i = 0; i < count && i < 16 && left > 0; i++) {
            cut[i] = pieces[i];
            cut[i].iov_len = cut[i].iov_len < left ? cut[i].iov_len : left;
            left -= cut[i].iov_len;
        }
        return (ssize_t)syscall(SYS_writev, fd, cut, i);
    }
    return (ssize_t)syscall(SYS_writev, fd, pieces, count);
}

static void shut_gate(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    disk.is_gate_shut = true;
    (void)pthread_mutex_unlock(&disk.lock);
}

static void open_gate(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    disk.is_gate_shut = false;
    (void)pthread_cond_broadcast(&disk.moved);
    (void)pthread_mutex_unlock(&disk.lock);
}

static void wait_for_writer_at_gate(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    while (!disk.is_waiting) {
        (void)pthread_cond_wait(&disk.moved, &disk.lock);
    }
    (void)pthread_mutex_unlock(&disk.lock);
}

struct record {
    struct env_append append;
    struct fixture *f;
    char text[32];
    int status;
    int order; /* 0: not called back yet */
};

struct fixture {
    struct io *io;
    struct env_file *file;
    char dir[64];
    char path[96];
    struct record records[APPENDS_MAX];
    int started;
    int finished;
    bool is_closed;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err e;

    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/leased-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/audit.jsonl", f->dir);
    assert_int_equal(io_new(&f->io, &e), 0);
    disk.sync_count = 0;
    disk.write_count = 0;
    disk.fail_sync = 0;
    disk.fail_write = 0;
    disk.short_write_bytes = 0;
    *state = f;
    return 0;
}

static void on_closed(void *user)
{
    struct fixture *f = user;

    f->is_closed = true;
    f->file = NULL;
}

static void close_file(struct fixture *f)
{
    f->is_closed = false;
    env_file_close(f->file, on_closed, f);
    while (!f->is_closed) {
        io_run_once(f->io, true);
    }
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    open_gate();
    if (f->file != NULL) {
        close_file(f);
    }
    assert_int_equal(io_close(f->io), 0);
    assert_int_equal(mem_in_use_bytes(), 0);
    (void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void open_file(struct fixture *f)
{
    struct err e = {.text = ""};
    int rc = env_file_open(io_env(f->io), f->path, &f->file, &e);

    if (rc != 0) {
        fail_msg("could not open: %s", e.text);
    }
}

static void on_appended(struct env_append *append, int status)
{
    struct record *record = append->user;

    record->status = status;
    record->order = ++record->f->finished;
}

static int try_append(struct fixture *f, const char *text)
{
    struct record *record = &f->records[f->started];
    int rc;

    record->f = f;
    (void)snprintf(record->text, sizeof(record->text), "%s", text);
    record->append =
        (struct env_append){.bytes = str_of(record->text), .fn = on_appended, .user = record};
    rc = env_append_start(f->file, &record->append);
    f->started += rc == 0 ? 1 : 0;
    return rc;
}

static void append(struct fixture *f, const char *text)
{
    assert_int_equal(try_append(f, text), 0);
}

static void wait_for_all(struct fixture *f)
{
    while (f->finished < f->started) {
        io_run_once(f->io, true);
    }
}

static void expect_content(const char *path, const char *text)
{
    char *bytes = calloc(1, 1 << 20);
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    (void)!fread(bytes, 1, (1 << 20) - 1, file);
    (void)fclose(file);
    assert_string_equal(bytes, text);
    free(bytes);
}

static void test_records_land_in_the_order_of_their_starts(void **state)
{
    struct fixture *f = *state;
    char *expected = calloc(1, 32 * 1000);
    int i;

    open_file(f);
    for (i = 0; i < 1000; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "record %d\n", i);
        (void)strcat(expected, text);
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
    struct fixture *f = *state;

    open_file(f);
    append(f, "a\n");
    assert_int_equal(f->finished, 0);
    wait_for_all(f);
}

static void test_what_gathers_during_a_sync_is_one_group(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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

static void fail_second_group(struct fixture *f)
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
    struct fixture *f = *state;

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
    struct fixture *f = *state;

    fail_second_group(f);
    disk.short_write_bytes = 9;
    open_gate();
    wait_for_all(f);
    assert_int_equal(f->records[3].status, 0);
    expect_content(f->path, "whole\nalso whole\nlost 1\nlost 2\n");
}

static void test_after_a_failed_sync_the_file_is_opened_anew(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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

static void test_a_reopen_sends_later_records_to_the_new_file(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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

static void test_records_never_go_into_a_deleted_file(void **state)
{
    struct fixture *f = *state;

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
    struct fixture *f = *state;

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

static void test_the_tail_is_what_stands_at_the_end(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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

static void expect_refused(struct fixture *f, int code, const char *text)
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
    int i;

    open_file(f);
    shut_gate();
    append(f, "first\n");
    wait_for_writer_at_gate();
    for (i = 0; i < 5; i++) {
        append(f, "queued\n");
    }
    f->is_closed = false;
    env_file_close(f->file, on_closed, f);
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
    struct fixture *f = *state;

    open_file(f);
    append(f, "first\n");
    f->records[0].append.fn = append_again;
    wait_for_all(f);
    assert_int_equal(f->finished, 20);
}

/* In a child: stdout is a pipe that nobody reads any more. */
static int write_to_stuck_stdout(struct fixture *f)
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

static int write_to_stdout(struct fixture *f, int fd)
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

/* In a child with a mount namespace of its own: a disk of 64 KiB. 77: can't be tried here. */
static int fill_a_small_disk(struct fixture *f)
{
    struct stat st;
    int failed = 0;
    int i;

    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", f->dir, "tmpfs", 0, "size=64k") != 0) {
        return 77;
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
    int code;

    if (geteuid() != 0) {
        print_message("skipped: mounting takes root\n");
        skip();
    }
    pid = fork();
    if (pid == 0) {
        child_end(fill_a_small_disk(*state));
    }
    code = child_wait(pid);
    if (code == 77) {
        print_message("skipped: no private mounts here\n");
        skip();
    }
    assert_int_equal(code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_records_land_in_the_order_of_their_starts),
        TEST(test_callbacks_never_run_inside_start),
        TEST(test_what_gathers_during_a_sync_is_one_group),
        TEST(test_nothing_is_confirmed_before_it_is_synced),
        TEST(test_the_queue_has_a_limit_in_bytes),
        TEST(test_a_failed_write_fails_its_whole_group_and_is_cut_off),
        TEST(test_a_short_write_is_continued),
        TEST(test_after_a_failed_sync_the_file_is_opened_anew),
        TEST(test_while_it_cannot_be_opened_anew_every_group_fails),
        TEST(test_a_reopen_sends_later_records_to_the_new_file),
        TEST(test_a_failed_reopen_keeps_the_old_file),
        TEST(test_records_never_go_into_a_deleted_file),
        TEST(test_a_file_shortened_behind_our_back_goes_on_at_its_new_end),
        TEST(test_the_tail_is_what_stands_at_the_end),
        TEST(test_a_new_file_is_ours_alone_and_an_old_one_is_appended_to),
        TEST(test_what_is_not_a_regular_file_of_ours_is_refused),
        TEST(test_closing_writes_what_is_queued_and_takes_no_more),
        TEST(test_a_callback_may_append),
        TEST(test_a_reader_of_stdout_that_has_stopped_does_not_hold_up_the_end),
        TEST(test_stdout_is_written_without_a_sync),
        TEST(test_a_full_disk_leaves_whole_records_only),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
