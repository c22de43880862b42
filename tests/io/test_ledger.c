/* The ledger on a real disk: what was synced is there after any end, what isn't a ledger is left
 * alone, and a fault of the disk ends by itself. */
#include "ledger_disk.h"

#include "child.h"

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

#define SYNCS_MAX 8

struct ledger_fixture {
    struct ledger_disk disk;
    struct env_ledger_sync syncs[SYNCS_MAX];
    int statuses[SYNCS_MAX];
    int sync_count;
    int synced_count;
    char seen[2048]; /* "id=body " for each record */
};

static int setup(void **state)
{
    struct ledger_fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    ledger_disk_init(&f->disk);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct ledger_fixture *f = *state;

    ledger_disk_fini(&f->disk);
    free(f);
    return 0;
}

static void put(struct ledger_fixture *f, const char *id, const char *body)
{
    assert_int_equal(env_ledger_put(f->disk.ledger, ENV_LEDGER_LEASE, str_of(id), str_of(body)), 0);
}

static void on_synced(struct env_ledger_sync *sync, int status)
{
    struct ledger_fixture *f = sync->user;

    f->statuses[sync - f->syncs] = status;
    f->synced_count++;
}

static int sync_all(struct ledger_fixture *f)
{
    struct env_ledger_sync *sync = &f->syncs[f->sync_count++];

    assert_true(f->sync_count <= SYNCS_MAX);
    *sync = (struct env_ledger_sync){.fn = on_synced, .user = f};
    env_ledger_sync(f->disk.ledger, sync);
    while (f->synced_count < f->sync_count) {
        io_run_once(f->disk.io, true);
    }
    return f->statuses[f->sync_count - 1];
}

static int on_record(void *user, struct str id, struct str body)
{
    struct ledger_fixture *f = user;
    size_t len = strlen(f->seen);

    (void)snprintf(f->seen + len, sizeof(f->seen) - len, "%.*s=%.*s ", STR_ARG(id), STR_ARG(body));
    return 0;
}

static const char *records(struct ledger_fixture *f)
{
    f->seen[0] = '\0';
    assert_int_equal(env_ledger_each(f->disk.ledger, ENV_LEDGER_LEASE, on_record, f, &f->disk.e),
                     0);
    return f->seen;
}

static void reopen(struct ledger_fixture *f)
{
    ledger_disk_close(&f->disk);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
}

static void test_what_was_put_is_there_after_a_restart(void **state)
{
    struct ledger_fixture *f = *state;

    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_string_equal(records(f), "");
    put(f, "l-b", "two");
    put(f, "l-a", "one");
    put(f, "l-b", "new");
    put(f, "l-c", "");
    assert_int_equal(env_ledger_remove(f->disk.ledger, ENV_LEDGER_LEASE, str_of("l-none")), 0);
    assert_int_equal(sync_all(f), 0);
    reopen(f);
    assert_string_equal(records(f), "l-a=one l-b=new l-c= ");
    assert_int_equal(env_ledger_remove(f->disk.ledger, ENV_LEDGER_LEASE, str_of("l-b")), 0);
    reopen(f);
    assert_string_equal(records(f), "l-a=one l-c= ");
}

static void test_a_range_is_removed_in_its_place_in_the_order(void **state)
{
    struct ledger_fixture *f = *state;

    assert_int_equal(ledger_disk_open(&f->disk), 0);
    put(f, "0009", "");
    put(f, "0010", "");
    put(f, "0011", "");
    assert_int_equal(
        env_ledger_put(f->disk.ledger, ENV_LEDGER_SETTING, str_of("0001"), str_of("other")), 0);
    assert_int_equal(env_ledger_remove_up_to(f->disk.ledger, ENV_LEDGER_LEASE, str_of("0010")), 0);
    put(f, "0008", "late");
    /* Nothing of it is on its way yet, so the ledger can be read as it was. */
    assert_string_equal(records(f), "");
    reopen(f);
    assert_string_equal(records(f), "0008=late 0011= ");
    assert_int_equal(env_ledger_remove_up_to(f->disk.ledger, ENV_LEDGER_LEASE, str_of("1")), 0);
    reopen(f);
    assert_string_equal(records(f), "");
    assert_int_equal(env_ledger_each(f->disk.ledger, ENV_LEDGER_SETTING, on_record, f, &f->disk.e),
                     0);
    assert_string_equal(f->seen, "0001=other ");
}

static void test_the_file_is_ours_alone(void **state)
{
    struct ledger_fixture *f = *state;
    struct stat st;

    assert_int_equal(ledger_disk_open(&f->disk), 0);
    put(f, "l-a", "one");
    assert_int_equal(sync_all(f), 0);
    assert_int_equal(stat(f->disk.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* In a process of its own, which ends without closing anything. */
static void write_and_die(struct ledger_fixture *f)
{
    pid_t child = fork();

    if (child == 0) {
        struct ledger_fixture own = {.sync_count = 0};

        memcpy(own.disk.path, f->disk.path, sizeof(own.disk.path));
        if (io_new(&own.disk.io, NULL) != 0 || ledger_disk_open(&own.disk) != 0) {
            _exit(1);
        }
        put(&own, "l-a", "one");
        (void)sync_all(&own);
        put(&own, "l-b", "two"); /* not waited for */
        (void)kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_what_was_synced_survives_a_kill(void **state)
{
    struct ledger_fixture *f = *state;

    write_and_die(f);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_non_null(strstr(records(f), "l-a=one "));
    put(f, "l-c", "three");
    reopen(f);
    assert_non_null(strstr(records(f), "l-c=three "));
}

static void test_a_second_daemon_is_refused(void **state)
{
    struct ledger_fixture *f = *state;
    struct env_ledger *second = NULL;
    pid_t child;

    assert_int_equal(ledger_disk_open(&f->disk), 0);
    child = fork();
    if (child == 0) {
        const struct env_ledger_options options = {.path = f->disk.path};
        struct io *io;
        struct err e;
        int r = io_new(&io, NULL);

        child_end(r == 0 && env_ledger_open(io_env(io), &options, &second, &e) == ERR_BUSY &&
                          strstr(e.text, "in use") != NULL
                      ? 0
                      : 1);
    }
    assert_int_equal(child_wait(child), 0);
    put(f, "l-a", "one");
    assert_int_equal(sync_all(f), 0);
}

/* --- what is no ledger of ours is left alone --- */

static void write_file(const char *path, const char *bytes, size_t size)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    (void)close(fd);
}

static size_t read_file(const char *path, char *bytes, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    assert_true(fd >= 0);
    got = read(fd, bytes, size);
    (void)close(fd);
    assert_true(got >= 0);
    return (size_t)got;
}

/* The file stays as it was, and nothing appears beside it. */
static void refuses(struct ledger_fixture *f, int code, const char *word)
{
    static char before[1U << 16];
    static char after[1U << 16];
    size_t size = read_file(f->disk.path, before, sizeof(before));
    char beside[128];

    assert_int_equal(ledger_disk_open(&f->disk), code);
    assert_non_null(strstr(f->disk.e.text, word));
    assert_non_null(strstr(f->disk.e.text, f->disk.path));
    assert_int_equal(read_file(f->disk.path, after, sizeof(after)), size);
    assert_memory_equal(after, before, size);
    (void)snprintf(beside, sizeof(beside), "%s-wal", f->disk.path);
    assert_int_equal(access(beside, F_OK), -1);
}

static void make_database(struct ledger_fixture *f, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(f->disk.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(chmod(f->disk.path, 0600), 0);
}

static void test_another_file_is_left_alone(void **state)
{
    struct ledger_fixture *f = *state;

    write_file(f->disk.path, "hello", 5);
    refuses(f, ERR_INVALID, "no ledger");
    assert_int_equal(unlink(f->disk.path), 0);
    make_database(f, "CREATE TABLE t (x)");
    refuses(f, ERR_INVALID, "no ledger");
}

static void test_a_newer_ledger_is_left_alone(void **state)
{
    struct ledger_fixture *f = *state;

    make_database(
        f, "PRAGMA application_id = 0x6c656173; PRAGMA user_version = 99; CREATE TABLE t (x)");
    refuses(f, ERR_INVALID, "newer");
}

#define OLDER                                                                                      \
    "PRAGMA application_id = 0x6c656173; PRAGMA user_version = 2; PRAGMA journal_mode = WAL;"      \
    "CREATE TABLE record (kind INTEGER NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, "           \
    "PRIMARY KEY (kind, id)) STRICT, WITHOUT ROWID;"                                               \
    "INSERT INTO record VALUES (5, 'audit-key', x'00');"

static void test_an_older_ledger_is_brought_up_to_date(void **state)
{
    struct ledger_fixture *f = *state;

    make_database(f, OLDER);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_int_equal(env_ledger_each(f->disk.ledger, ENV_LEDGER_SETTING, on_record, f, &f->disk.e),
                     0);
    assert_string_equal(f->seen, "audit-key= ");
    put(f, "l-a", "one");
    assert_int_equal(sync_all(f), 0);
    reopen(f);
    assert_string_equal(records(f), "l-a=one ");
}

/* Its leases have a form that isn't read any more. */
static void test_an_older_ledger_with_leases_is_left_alone(void **state)
{
    struct ledger_fixture *f = *state;

    make_database(f, OLDER "INSERT INTO record VALUES (1, 'l-a', CAST('{}' AS BLOB))");
    refuses(f, ERR_INVALID, "lease ledger dump");
}

static void test_a_ledger_that_others_could_read_is_refused(void **state)
{
    struct ledger_fixture *f = *state;

    assert_int_equal(ledger_disk_open(&f->disk), 0);
    ledger_disk_close(&f->disk);
    assert_int_equal(chmod(f->disk.path, 0640), 0);
    refuses(f, ERR_DENIED, "open to others");
    assert_int_equal(chmod(f->disk.path, 0600), 0);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
}

static void test_a_link_is_not_followed(void **state)
{
    struct ledger_fixture *f = *state;
    char real[128];

    (void)snprintf(real, sizeof(real), "%s/real.db", f->disk.dir);
    assert_int_equal(symlink(real, f->disk.path), 0);
    assert_true(ledger_disk_open(&f->disk) < 0);
    assert_non_null(strstr(f->disk.e.text, "symbolic link"));
    assert_int_equal(access(real, F_OK), -1);
}

static void test_a_damaged_ledger_is_refused(void **state)
{
    struct ledger_fixture *f = *state;
    char id[16];
    int fd;
    int i;

    assert_int_equal(ledger_disk_open(&f->disk), 0);
    for (i = 0; i < 400; i++) {
        (void)snprintf(id, sizeof(id), "l-%03d", i);
        put(f, id, "a body that is long enough to fill several pages of the database");
    }
    ledger_disk_close(&f->disk);
    fd = open(f->disk.path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (i = 0; i < 4; i++) {
        assert_int_equal(pwrite(fd, "damage damage damage damage", 27, 8192 + 4096 * i), 27);
    }
    (void)close(fd);
    refuses(f, ERR_CORRUPT, "damaged");
}

static void test_a_directory_of_strangers_is_refused(void **state)
{
    struct ledger_fixture *f = *state;

    assert_int_equal(chmod(f->disk.dir, 0777), 0);
    assert_true(ledger_disk_open(&f->disk) < 0);
    assert_int_equal(access(f->disk.path, F_OK), -1);
    assert_int_equal(chmod(f->disk.dir, 0700), 0);
}

/* --- faults --- */

static void set_file_size_max(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == 0 ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_a_full_disk_fails_who_waits_and_heals_by_itself(void **state)
{
    struct ledger_fixture *f = *state;
    struct err e = {.code = 0};

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    put(f, "l-a", "one");
    put(f, "l-b", "two");
    assert_int_equal(sync_all(f), 0);
    set_file_size_max(1);
    put(f, "l-c", "three");
    assert_int_not_equal(sync_all(f), 0);
    assert_false(env_ledger_is_ready(f->disk.ledger, &e));
    assert_non_null(strstr(e.text, "could not write the ledger"));
    /* Whoever was told so takes its record back; and a removal isn't lost. */
    assert_int_equal(env_ledger_remove(f->disk.ledger, ENV_LEDGER_LEASE, str_of("l-c")), 0);
    assert_int_equal(env_ledger_remove(f->disk.ledger, ENV_LEDGER_LEASE, str_of("l-a")), 0);
    assert_int_not_equal(sync_all(f), 0);
    set_file_size_max(0);
    while (!env_ledger_is_ready(f->disk.ledger, NULL)) {
        io_run_once(f->disk.io, true);
    }
    reopen(f);
    assert_string_equal(records(f), "l-b=two ");
}

static void test_no_more_waits_for_the_disk_than_it_may(void **state)
{
    struct ledger_fixture *f = *state;
    static char body[ENV_LEDGER_BODY_MAX_BYTES];
    const struct str big = {.ptr = body, .len = sizeof(body)};
    char id[16];
    int r = 0;
    int i;

    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_int_equal(env_ledger_put(f->disk.ledger, ENV_LEDGER_LEASE, str_of("l-x"),
                                    (struct str){.ptr = body, .len = sizeof(body) + 1}),
                     ERR_TOO_LARGE);
    for (i = 0; r == 0; i++) {
        (void)snprintf(id, sizeof(id), "l-%d", i);
        r = env_ledger_put(f->disk.ledger, ENV_LEDGER_LEASE, str_of(id), big);
    }
    assert_int_equal(r, ERR_LIMIT);
    assert_int_equal(i, ENV_LEDGER_QUEUE_MAX_BYTES / ENV_LEDGER_BODY_MAX_BYTES);
    assert_int_equal(env_ledger_remove(f->disk.ledger, ENV_LEDGER_LEASE, str_of("l-0")), 0);
    assert_int_equal(sync_all(f), 0);
    put(f, "l-y", "fits again");
}

static void test_closing_writes_what_is_queued(void **state)
{
    struct ledger_fixture *f = *state;

    assert_int_equal(ledger_disk_open(&f->disk), 0);
    put(f, "l-a", "one");
    f->syncs[0] = (struct env_ledger_sync){.fn = on_synced, .user = f};
    env_ledger_sync(f->disk.ledger, &f->syncs[0]);
    ledger_disk_close(&f->disk);
    assert_int_equal(f->synced_count, 1);
    assert_int_equal(f->statuses[0], 0);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_string_equal(records(f), "l-a=one ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_what_was_put_is_there_after_a_restart),
        TEST(test_a_range_is_removed_in_its_place_in_the_order),
        TEST(test_the_file_is_ours_alone),
        TEST(test_what_was_synced_survives_a_kill),
        TEST(test_a_second_daemon_is_refused),
        TEST(test_another_file_is_left_alone),
        TEST(test_a_newer_ledger_is_left_alone),
        TEST(test_an_older_ledger_is_brought_up_to_date),
        TEST(test_an_older_ledger_with_leases_is_left_alone),
        TEST(test_a_ledger_that_others_could_read_is_refused),
        TEST(test_a_link_is_not_followed),
        TEST(test_a_damaged_ledger_is_refused),
        TEST(test_a_directory_of_strangers_is_refused),
        TEST(test_a_full_disk_fails_who_waits_and_heals_by_itself),
        TEST(test_no_more_waits_for_the_disk_than_it_may),
        TEST(test_closing_writes_what_is_queued),
    };

    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
