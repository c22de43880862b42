/* `lease ledger check` and `dump` over files: as a killed daemon leaves them, in use, damaged. */
#include "fake_daemon.h"

#include "base/buf.h"
#include "base/str.h"
#include "wire/ledger_header.h"
#include "wire/ledger_lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

static char folder[64];
static char path[96];
static sqlite3 *db;

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/lease-ledger-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/ledger.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    char command[128];

    (void)state;
    (void)sqlite3_close(db);
    db = NULL;
    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    return 0;
}

static void run_sql(const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void open_ledger(void)
{
    char sql[256];

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    (void)snprintf(
        sql, sizeof(sql),
        "PRAGMA journal_mode = WAL; PRAGMA application_id = %d; PRAGMA user_version = %d;"
        "CREATE TABLE record (kind INTEGER NOT NULL, id TEXT NOT NULL, body BLOB NOT "
        "NULL, PRIMARY KEY (kind, id)) STRICT, WITHOUT ROWID;"
        "PRAGMA wal_checkpoint(TRUNCATE)",
        LEDGER_APPLICATION_ID, LEDGER_VERSION);
    run_sql(sql);
}

static void add(const char *id, const char *ref)
{
    const struct ledger_lease lease = {.state = LEDGER_LEASE_LIVE,
                                       .role = "orders-db",
                                       .backend = "vault-prod",
                                       .params_json = "{}",
                                       .issuer_ref = str_of(ref),
                                       .clock = {.boot = ""},
                                       .predecessor = "",
                                       .issued_wall_ms = 1767225600000,
                                       .ends_wall_ms = 1767229200000,
                                       .holder.caller = "unix",
                                       .holder.uid = 1000,
                                       .holder.user = "ci",
                                       .holder.unit = "",
                                       .holder.container = "",
                                       .holder.listener = "local",
                                       .holder.sans = "",
                                       .holder.claims = "",
                                       .holder.image = ""};
    sqlite3_stmt *statement = NULL;
    BUF_AUTO body;

    buf_init(&body, 4096);
    assert_int_equal(ledger_lease_write(&lease, &body), 0);
    assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO record VALUES (1, ?1, ?2)", -1, &statement,
                                        NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(sqlite3_bind_blob(statement, 2, body.bytes, (int)body.len, SQLITE_STATIC),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
}

/* As a daemon that was killed leaves it: the log isn't worked in. */
static void leave(void)
{
    assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    db = NULL;
}

static void test_what_a_killed_daemon_left_is_listed(void **state)
{
    const struct lease_result *result;

    (void)state;
    open_ledger();
    add("l-1", "database/creds/orders/abc");
    add("l-2", "database/creds/orders/def");
    leave();
    result = RUN_LEASE(NULL, "ledger", "dump", path);
    assert_int_equal(result->exit_code, 0);
    assert_non_null(strstr(result->out, "REFERENCE"));
    assert_non_null(strstr(result->out, "l-1"));
    assert_non_null(strstr(result->out, "database/creds/orders/def"));
    assert_non_null(strstr(result->out, "2026-01-01T01:00:00"));
    result = RUN_LEASE(NULL, "ledger", "dump", path, "-o", "json");
    assert_int_equal(result->exit_code, 0);
    assert_non_null(strstr(result->out, "\"issuer_ref\":\"database/creds/orders/abc\""));
    result = RUN_LEASE(NULL, "ledger", "check", path);
    assert_int_equal(result->exit_code, 0);
    assert_string_equal(result->out, "ok: 2 leases, 0 grants\n");
}

static void test_one_that_is_in_use_is_left_alone(void **state)
{
    const struct lease_result *result;

    (void)state;
    open_ledger();
    run_sql("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT");
    result = RUN_LEASE(NULL, "ledger", "dump", path);
    assert_int_equal(result->exit_code, 1);
    assert_non_null(strstr(result->err, "a leased has"));
}

static void test_what_is_no_ledger_is_said(void **state)
{
    const struct lease_result *result = RUN_LEASE(NULL, "ledger", "check", path);

    (void)state;
    assert_int_equal(result->exit_code, 1);
    assert_non_null(strstr(result->err, "could not open"));
    result = RUN_LEASE(NULL, "ledger", "check", "/etc/passwd");
    assert_int_equal(result->exit_code, 1);
    assert_non_null(strstr(result->err, "no ledger"));
    result = RUN_LEASE(NULL, "ledger", "check");
    assert_int_equal(result->exit_code, 64);
}

static void test_a_record_that_cannot_be_read_is_told_and_hides_no_other(void **state)
{
    const struct lease_result *result;

    (void)state;
    open_ledger();
    run_sql("INSERT INTO record VALUES (1, 'l-0', x'7b7d')");
    add("l-1", "database/creds/orders/abc");
    leave();
    result = RUN_LEASE(NULL, "ledger", "dump", path);
    assert_int_equal(result->exit_code, 1);
    assert_non_null(strstr(result->out, "database/creds/orders/abc"));
    assert_non_null(strstr(result->err, "l-0"));
    result = RUN_LEASE(NULL, "ledger", "check", path, "-o", "json");
    assert_int_equal(result->exit_code, 1);
    assert_string_equal(result->out, "{\"ok\":false,\"leases\":1,\"grants\":0}\n");
}

static bool is_beside(const char *suffix)
{
    char name[128];

    (void)snprintf(name, sizeof(name), "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

static void test_a_look_leaves_no_file_behind(void **state)
{
    (void)state;
    open_ledger();
    add("l-1", "database/creds/orders/abc");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    db = NULL;
    assert_false(is_beside("-wal"));
    assert_int_equal(RUN_LEASE(NULL, "ledger", "check", path)->exit_code, 0);
    assert_int_equal(RUN_LEASE(NULL, "ledger", "dump", path)->exit_code, 0);
    assert_false(is_beside("-wal") || is_beside("-shm"));
}

static void test_a_newer_version_that_only_the_log_has_is_said(void **state)
{
    const struct lease_result *result;

    (void)state;
    open_ledger();
    run_sql("PRAGMA user_version = 4");
    leave();
    result = RUN_LEASE(NULL, "ledger", "check", path);
    assert_int_equal(result->exit_code, 1);
    assert_non_null(strstr(result->err, "newer"));
    assert_true(is_beside("-wal"));
}

static void test_a_link_is_said(void **state)
{
    const struct lease_result *result;
    char link[128];

    (void)state;
    open_ledger();
    leave();
    (void)snprintf(link, sizeof(link), "%s/link", folder);
    assert_int_equal(symlink(path, link), 0);
    result = RUN_LEASE(NULL, "ledger", "check", link);
    assert_int_equal(result->exit_code, 1);
    assert_non_null(strstr(result->err, "symbolic link"));
}

static void test_one_that_cannot_be_written_is_said(void **state)
{
    const struct lease_result *result;
    uid_t before = geteuid();

    (void)state;
    open_ledger();
    leave();
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    if (before == 0) {
        assert_int_equal(seteuid(65534), 0);
    }
    result = RUN_LEASE(NULL, "ledger", "check", path);
    assert_int_equal(seteuid(before), 0);
    assert_int_equal(result->exit_code, 1);
    assert_non_null(strstr(result->err, "can't be written"));
}

static void test_what_cannot_be_read_at_all_is_no_empty_list(void **state)
{
    const struct lease_result *result = RUN_LEASE(NULL, "ledger", "dump", path);

    (void)state;
    assert_int_equal(result->exit_code, 1);
    assert_string_equal(result->out, "");
    result = RUN_LEASE(NULL, "ledger", "dump", path, "-o", "json");
    assert_int_equal(result->exit_code, 1);
    assert_string_equal(result->out, "");
}

static void test_a_record_without_an_id_is_told(void **state)
{
    const struct lease_result *result;

    (void)state;
    open_ledger();
    run_sql("DROP TABLE record; CREATE TABLE record (kind INTEGER, id TEXT, body BLOB);"
            "INSERT INTO record VALUES (1, NULL, x'7b7d')");
    leave();
    result = RUN_LEASE(NULL, "ledger", "check", path);
    assert_int_equal(result->exit_code, 1);
    assert_null(strstr(result->err, "(null)"));
    assert_non_null(strstr(result->err, "it has no id"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
        TEST(test_what_a_killed_daemon_left_is_listed),
        TEST(test_one_that_is_in_use_is_left_alone),
        TEST(test_what_is_no_ledger_is_said),
        TEST(test_a_look_leaves_no_file_behind),
        TEST(test_a_newer_version_that_only_the_log_has_is_said),
        TEST(test_a_link_is_said),
        TEST(test_one_that_cannot_be_written_is_said),
        TEST(test_what_cannot_be_read_at_all_is_no_empty_list),
        TEST(test_a_record_without_an_id_is_told),
        TEST(test_a_record_that_cannot_be_read_is_told_and_hides_no_other),
    };

    return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
