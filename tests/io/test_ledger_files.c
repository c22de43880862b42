/* The ledger's files on a real disk: what isn't whole, not ours or not ours to write is refused at
 * start and left as it was, and files that go away under a running ledger are noticed. */
#include "ledger_disk.h"

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#define NOBODY 65534
#define LOG_MAX_BYTES (1U << 16)

struct files_fixture {
    struct ledger_disk disk;
    char log_path[104];
    char index_path[104];
    struct env_ledger_sync sync;
    int status;
    bool is_synced;
};

static int setup(void **state)
{
    struct files_fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    ledger_disk_init(&f->disk);
    (void)snprintf(f->log_path, sizeof(f->log_path), "%s-wal", f->disk.path);
    (void)snprintf(f->index_path, sizeof(f->index_path), "%s-shm", f->disk.path);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct files_fixture *f = *state;

    ledger_disk_fini(&f->disk);
    free(f);
    return 0;
}

static void on_synced(struct env_ledger_sync *sync, int status)
{
    struct files_fixture *f = sync->user;

    f->status = status;
    f->is_synced = true;
}

/* Puts a record; how that went. */
static int put(struct files_fixture *f, const char *id)
{
    assert_int_equal(env_ledger_put(f->disk.ledger, ENV_LEDGER_LEASE, str_of(id), STR("body")), 0);
    f->is_synced = false;
    f->sync = (struct env_ledger_sync){.fn = on_synced, .user = f};
    env_ledger_sync(f->disk.ledger, &f->sync);
    while (!f->is_synced) {
        io_run_once(f->disk.io, true);
    }
    return f->status;
}

static int on_record(void *user, struct str id, struct str body)
{
    (void)id;
    (void)body;
    (*(size_t *)user)++;
    return 0;
}

static size_t count(struct files_fixture *f)
{
    size_t number = 0;

    assert_int_equal(
        env_ledger_each(f->disk.ledger, ENV_LEDGER_LEASE, on_record, &number, &f->disk.e), 0);
    return number;
}

/* A daemon that is killed with a record in the log. */
static void leave_log(struct files_fixture *f)
{
    pid_t child = fork();

    if (child == 0) {
        struct files_fixture own = {.is_synced = false};

        memcpy(own.disk.path, f->disk.path, sizeof(own.disk.path));
        if (io_new(&own.disk.io, NULL) != 0 || ledger_disk_open(&own.disk) != 0 ||
            put(&own, "l-a") != 0) {
            _exit(1);
        }
        (void)kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* SQL whose result stands only in the log, as a crash leaves it. */
static void run_into_log(struct files_fixture *f, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(f->disk.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA locking_mode = EXCLUSIVE", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(chmod(f->log_path, 0600), 0);
}

static ssize_t read_file(const char *path, char *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = -1;

    if (fd >= 0) {
        got = read(fd, bytes, LOG_MAX_BYTES);
        (void)close(fd);
    }
    return got;
}

/* Both files stay as they were, or away. */
static void refuses(struct files_fixture *f, int code, const char *word)
{
    static char before[2][LOG_MAX_BYTES];
    static char after[LOG_MAX_BYTES];
    const char *const paths[] = {f->disk.path, f->log_path};
    ssize_t sizes[2];
    size_t i;

    for (i = 0; i < 2; i++) {
        sizes[i] = read_file(paths[i], before[i]);
    }
    assert_int_equal(ledger_disk_open(&f->disk), code);
    assert_non_null(strstr(f->disk.e.text, word));
    assert_non_null(strstr(f->disk.e.text, f->disk.path));
    for (i = 0; i < 2; i++) {
        assert_int_equal(read_file(paths[i], after), sizes[i]);
        if (sizes[i] > 0) {
            assert_memory_equal(after, before[i], (size_t)sizes[i]);
        }
    }
    assert_int_equal(access(f->index_path, F_OK), -1);
}

static void test_a_log_without_its_ledger_is_refused(void **state)
{
    struct files_fixture *f = *state;
    char aside[128];

    leave_log(f);
    (void)snprintf(aside, sizeof(aside), "%s.aside", f->disk.path);
    assert_int_equal(rename(f->disk.path, aside), 0);
    refuses(f, ERR_CORRUPT, "missing or empty");
    assert_int_equal(access(f->disk.path, F_OK), -1);
    assert_int_equal(close(open(f->disk.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    refuses(f, ERR_CORRUPT, "missing or empty");
    assert_non_null(strstr(f->disk.e.text, f->log_path));
    assert_int_equal(rename(aside, f->disk.path), 0);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_int_equal(count(f), 1);
}

static void test_a_newer_version_that_only_the_log_has_is_left_alone(void **state)
{
    struct files_fixture *f = *state;

    leave_log(f);
    run_into_log(f, "PRAGMA user_version = 4");
    refuses(f, ERR_INVALID, "newer");
    run_into_log(f, "DELETE FROM record");
    refuses(f, ERR_INVALID, "newer");
}

static void test_no_shared_memory_is_made(void **state)
{
    struct files_fixture *f = *state;
    int i;

    for (i = 0; i < 3; i++) {
        assert_int_equal(ledger_disk_open(&f->disk), 0);
        assert_int_equal(put(f, "l-a"), 0);
        assert_int_equal(access(f->index_path, F_OK), -1);
        ledger_disk_close(&f->disk);
        assert_int_equal(access(f->index_path, F_OK), -1);
        assert_int_equal(access(f->log_path, F_OK), -1);
    }
}

/* --- rights --- */

static void test_a_log_that_is_not_ours_alone_is_refused(void **state)
{
    struct files_fixture *f = *state;
    char aside[128];

    leave_log(f);
    assert_int_equal(chmod(f->log_path, 0644), 0);
    refuses(f, ERR_DENIED, "open to others");
    assert_non_null(strstr(f->disk.e.text, f->log_path));
    assert_int_equal(chmod(f->log_path, 0600), 0);
    (void)snprintf(aside, sizeof(aside), "%s.aside", f->disk.path);
    assert_int_equal(rename(f->log_path, aside), 0);
    assert_int_equal(symlink(aside, f->log_path), 0);
    refuses(f, -ELOOP, "symbolic link");
    assert_non_null(strstr(f->disk.e.text, f->log_path));
    assert_int_equal(unlink(f->log_path), 0);
    assert_int_equal(rename(aside, f->log_path), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(f->log_path, NOBODY, NOBODY), 0);
        refuses(f, ERR_DENIED, "belongs to uid 65534");
        assert_int_equal(chown(f->log_path, 0, 0), 0);
    }
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_int_equal(count(f), 1);
}

static bool is_refused(struct files_fixture *f, const char *path)
{
    struct io *io;
    const struct env_ledger_options options = {.path = f->disk.path};
    struct env_ledger *ledger;
    struct err e = {.code = 0};

    return io_new(&io, NULL) == 0 &&
           env_ledger_open(io_env(io), &options, &ledger, &e) == ERR_DENIED &&
           strstr(e.text, "can't be written") != NULL && strstr(e.text, path) != NULL;
}

/* In a process of its own, because root may write anything. */
static void refuses_unwritable(struct files_fixture *f, const char *path)
{
    pid_t child;

    assert_int_equal(chmod(path, 0400), 0);
    child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0) {
            _exit(2);
        }
        child_end(is_refused(f, path) ? 0 : 1);
    }
    assert_int_equal(child_wait(child), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void test_files_that_cannot_be_written_are_refused(void **state)
{
    struct files_fixture *f = *state;

    leave_log(f);
    if (geteuid() == 0) {
        assert_int_equal(chown(f->disk.dir, NOBODY, NOBODY), 0);
        assert_int_equal(chown(f->disk.path, NOBODY, NOBODY), 0);
        assert_int_equal(chown(f->log_path, NOBODY, NOBODY), 0);
    }
    refuses_unwritable(f, f->disk.path);
    refuses_unwritable(f, f->log_path);
}

static void test_a_disk_that_takes_nothing_at_start_is_said(void **state)
{
    struct files_fixture *f = *state;
    struct rlimit limit;
    int r;

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 1;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    r = ledger_disk_open(&f->disk);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_not_equal(r, 0);
    assert_non_null(strstr(f->disk.e.text, "File too large"));
    assert_int_equal(ledger_disk_open(&f->disk), 0);
}

/* --- under a running ledger --- */

static void fails(struct files_fixture *f, const char *path, const char *word)
{
    struct err e = {.code = 0};

    assert_int_not_equal(put(f, "l-b"), 0);
    assert_false(env_ledger_is_ready(f->disk.ledger, &e));
    assert_non_null(strstr(e.text, path));
    assert_non_null(strstr(e.text, word));
    assert_non_null(strstr(e.text, "restart"));
}

static void test_files_that_go_away_under_it_are_noticed(void **state)
{
    struct files_fixture *f = *state;
    const char *const paths[] = {f->disk.path, f->log_path};
    char aside[128];
    size_t i;

    (void)snprintf(aside, sizeof(aside), "%s.aside", f->disk.path);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_int_equal(put(f, "l-a"), 0);
    for (i = 0; i < 2; i++) {
        assert_int_equal(rename(paths[i], aside), 0);
        fails(f, paths[i], "removed");
        assert_int_equal(close(open(paths[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
        fails(f, paths[i], "replaced");
        assert_int_equal(rename(aside, paths[i]), 0);
        assert_int_equal(put(f, "l-c"), 0);
        assert_true(env_ledger_is_ready(f->disk.ledger, NULL));
    }
    ledger_disk_close(&f->disk);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_int_equal(count(f), 3);
}

/* Only the log is gone: what it had is in the database after a stop. Only the database is: its log
 * waits for it. */
static void test_a_stop_keeps_what_is_left(void **state)
{
    struct files_fixture *f = *state;
    char aside[128];

    (void)snprintf(aside, sizeof(aside), "%s.aside", f->disk.path);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_int_equal(put(f, "l-a"), 0);
    assert_int_equal(unlink(f->log_path), 0);
    ledger_disk_close(&f->disk);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_int_equal(count(f), 1);
    assert_int_equal(put(f, "l-b"), 0);
    assert_int_equal(rename(f->disk.path, aside), 0);
    ledger_disk_close(&f->disk);
    refuses(f, ERR_CORRUPT, "missing or empty");
    assert_int_equal(rename(aside, f->disk.path), 0);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_int_equal(count(f), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_log_without_its_ledger_is_refused),
        TEST(test_a_newer_version_that_only_the_log_has_is_left_alone),
        TEST(test_no_shared_memory_is_made),
        TEST(test_a_log_that_is_not_ours_alone_is_refused),
        TEST(test_files_that_cannot_be_written_are_refused),
        TEST(test_a_disk_that_takes_nothing_at_start_is_said),
        TEST(test_files_that_go_away_under_it_are_noticed),
        TEST(test_a_stop_keeps_what_is_left),
    };

    return cmocka_run_group_tests_name("ledger files", tests, NULL, NULL);
}
