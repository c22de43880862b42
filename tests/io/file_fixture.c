#include "file_fixture.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct file_faults disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

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

int fallocate(int fd, int mode, off_t from, off_t size)
{
    int status;

    (void)pthread_mutex_lock(&disk.lock);
    disk.allocate_count++;
    status = disk.fail_allocate;
    (void)pthread_mutex_unlock(&disk.lock);
    if (status != 0) {
        errno = status;
        return -1;
    }
    return (int)syscall(SYS_fallocate, fd, mode, from, size);
}

void shut_gate(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    disk.is_gate_shut = true;
    (void)pthread_mutex_unlock(&disk.lock);
}

void open_gate(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    disk.is_gate_shut = false;
    (void)pthread_cond_broadcast(&disk.moved);
    (void)pthread_mutex_unlock(&disk.lock);
}

void wait_for_writer_at_gate(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    while (!disk.is_waiting) {
        (void)pthread_cond_wait(&disk.moved, &disk.lock);
    }
    (void)pthread_mutex_unlock(&disk.lock);
}

int file_setup(void **state)
{
    struct file_fixture *f = calloc(1, sizeof(*f));
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
    disk.allocate_count = 0;
    disk.fail_allocate = 0;
    *state = f;
    return 0;
}

void on_file_closed(void *user)
{
    struct file_fixture *f = user;

    f->is_closed = true;
    f->file = NULL;
}

void close_file(struct file_fixture *f)
{
    f->is_closed = false;
    env_file_close(f->file, on_file_closed, f);
    while (!f->is_closed) {
        io_run_once(f->io, true);
    }
}

int file_teardown(void **state)
{
    struct file_fixture *f = *state;
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

void open_file(struct file_fixture *f)
{
    struct err e = {.text = ""};
    int rc = env_file_open(io_env(f->io), f->path, &f->file, &e);

    if (rc != 0) {
        fail_msg("could not open: %s", e.text);
    }
}

void on_appended(struct env_append *append, int status)
{
    struct record *record = append->user;

    record->status = status;
    record->is_short = append->is_short;
    record->order = ++record->f->finished;
}

int try_append(struct file_fixture *f, const char *text)
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

void append(struct file_fixture *f, const char *text)
{
    assert_int_equal(try_append(f, text), 0);
}

void wait_for_all(struct file_fixture *f)
{
    while (f->finished < f->started) {
        io_run_once(f->io, true);
    }
}

void expect_content(const char *path, const char *text)
{
    char *bytes = calloc(1, 1 << 20);
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    (void)!fread(bytes, 1, (1 << 20) - 1, file);
    (void)fclose(file);
    assert_string_equal(bytes, text);
    free(bytes);
}
