/* An append-only file on a real loop, and a disk that tests steer: the program's own fdatasync,
 * writev and fallocate stand before libc's. They count, fail when told to, and hold the writer's
 * thread at a gate, so that a test decides what gathers into one group. */
#ifndef LEASED_TESTS_IO_FILE_FIXTURE_H
#define LEASED_TESTS_IO_FILE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "env/file.h"
#include "io/io.h"

#include <pthread.h>

#define APPENDS_MAX 2000

/* What the writer's thread meets; under `lock`. */
struct file_faults {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool is_gate_shut;
    bool is_waiting; /* the writer stands at the gate */
    int sync_count;
    int write_count;
    int fail_sync;            /* errno of the next sync; 0: none */
    int fail_write;           /* errno of the next write */
    size_t short_write_bytes; /* the next write takes only so many; 0: all */
    int allocate_count;
    int fail_allocate; /* errno of each allocation, until it is 0 again */
};
extern struct file_faults disk;

struct record {
    struct env_append append;
    struct file_fixture *f;
    char text[32];
    int status;
    bool is_short;
    int order; /* 0: not called back yet */
};

struct file_fixture {
    struct io *io;
    struct env_file *file;
    char dir[64];
    char path[96];
    struct record records[APPENDS_MAX];
    int started;
    int finished;
    bool is_closed;
};

/* cmocka's setup and teardown; *state is a struct file_fixture. */
int file_setup(void **state);
int file_teardown(void **state);

/* At the gate the writer waits before it syncs. */
void shut_gate(void);
void open_gate(void);
void wait_for_writer_at_gate(void);

void open_file(struct file_fixture *f);
void close_file(struct file_fixture *f);
/* Starts an append of `text` (at most 31 bytes) as the next of f->records. */
int try_append(struct file_fixture *f, const char *text);
void append(struct file_fixture *f, const char *text);
void wait_for_all(struct file_fixture *f);
void on_appended(struct env_append *append, int status);
void on_file_closed(void *user);

void expect_content(const char *path, const char *text);

#endif
