/* `lease ledger sweep` over files that a killed daemon has left, against a scripted issuer. */
#include "fake_daemon.h"

#include "base/buf.h"
#include "base/str.h"
#include "wire/ledger_grant.h"
#include "wire/ledger_header.h"
#include "wire/ledger_lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#define LATER (FAKE_CLOCK_WALL_MS + 3600000)

static char folder[64];
static char path[96];
static sqlite3 *db;

static void run_sql(const char *sql)
{
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static int make_ledger(void **state)
{
    char sql[512];

    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/lease-sweep-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/ledger.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    (void)snprintf(sql, sizeof(sql),
                   "PRAGMA journal_mode = WAL; PRAGMA application_id = %d; PRAGMA user_version = 2;"
                   "CREATE TABLE record (kind INTEGER NOT NULL, id TEXT NOT NULL, body BLOB NOT "
                   "NULL, PRIMARY KEY (kind, id)) STRICT, WITHOUT ROWID;"
                   "PRAGMA wal_checkpoint(TRUNCATE)",
                   LEDGER_APPLICATION_ID);
    run_sql(sql);
    (void)setenv("VAULT_TOKEN", "t0ken", 1);
    (void)unsetenv("VAULT_ADDR");
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

static void put(int kind, const char *id, const struct buf *body)
{
    sqlite3_stmt *statement;

    assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO record VALUES (?1, ?2, ?3)", -1,
                                        &statement, NULL),
                     SQLITE_OK);
    (void)sqlite3_bind_int(statement, 1, kind);
    (void)sqlite3_bind_text(statement, 2, id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob(statement, 3, body->bytes, (int)body->len, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    (void)sqlite3_finalize(statement);
}

static const struct ledger_holder holder = {.caller = "unix",
                                            .uid = 1000,
                                            .user = "ci",
                                            .unit = "",
                                            .container = "",
                                            .listener = "local",
                                            .sans = "",
                                            .claims = "",
                                            .image = ""};

static void add_of(const char *backend, const char *id, const char *ref, int64_t ends_wall_ms)
{
    const struct ledger_lease lease = {.state = LEDGER_LEASE_LIVE,
                                       .role = "orders-db",
                                       .backend = backend,
                                       .params_json = "{}",
                                       .issuer_ref = str_of(ref),
                                       .clock = {.boot = ""},
                                       .predecessor = "",
                                       .issued_wall_ms = 1767225600000,
                                       .ends_wall_ms = ends_wall_ms,
                                       .holder = holder};
    BUF_AUTO body;

    buf_init(&body, 4096);
    assert_int_equal(ledger_lease_write(&lease, &body), 0);
    put(1, id, &body);
}

static void add(const char *id, const char *ref)
{
    add_of("vault-prod", id, ref, LATER);
}

static void add_grant(const char *id, const char *lease)
{
    const struct ledger_grant grant = {.lease = lease,
                                       .holder = holder,
                                       .groups = "",
                                       .bindings = "none",
                                       .processes = "",
                                       .cgroups = "",
                                       .clock = {.boot = ""},
                                       .reason = "",
                                       .ticket = "",
                                       .approval = "",
                                       .policy = "",
                                       .rule = "ci"};
    BUF_AUTO body;

    buf_init(&body, 4096);
    assert_int_equal(ledger_grant_write(&grant, &body), 0);
    put(2, id, &body);
}

/* As a daemon that was killed leaves it: the log isn't worked in. */
static void leave(void)
{
    assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    db = NULL;
}

/* How many records are left, of both kinds. */
static int left(void)
{
    sqlite3_stmt *statement;
    int count;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM record", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    count = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    db = NULL;
    return count;
}

#define LOOK_LEASE "POST /v1/sys/leases/lookup "
#define REVOKE_LEASE "POST /v1/sys/leases/revoke "
#define LOOK_TOKEN "POST /v1/auth/token/lookup-accessor "
#define REVOKE_TOKEN "POST /v1/auth/token/revoke-accessor "
#define KNOWN 200, NULL, "{\"data\":{\"id\":\"x\"}}"
#define NO_LEASE 400, NULL, "{\"errors\":[\"invalid lease\"]}"
#define NO_TOKEN 403, NULL, "{\"errors\":[\"1 error occurred: invalid accessor\"]}"
#define DONE 204, NULL, NULL

static const struct fake_route all_works[] = {
    {LOOK_LEASE, KNOWN, 0},
    {REVOKE_LEASE, DONE, 0},
    {LOOK_TOKEN, KNOWN, 1},
    {LOOK_TOKEN, NO_TOKEN, 0},
    {REVOKE_TOKEN, DONE, 0},
    {"POST /v1/pki/revoke ", 200, NULL, "{\"data\":{\"revocation_time\":1795379700}}", 0},
};

#define SWEEP(issuer, ...)                                                                         \
    RUN_LEASE(NULL, "ledger", "sweep", path, "--address", (issuer)->address, __VA_ARGS__)

static void test_without_yes_it_only_tells_and_asks_nobody(void **state)
{
    const struct lease_result *result;

    (void)state;
    (void)unsetenv("VAULT_TOKEN");
    add("l-1", "database/creds/orders/abc");
    add("l-2", "#login acc-2");
    leave();
    result = RUN_LEASE(NULL, "ledger", "sweep", path);
    assert_int_equal(result->exit_code, 0);
    assert_non_null(strstr(result->out, "revoke database/creds/orders/abc"));
    assert_non_null(strstr(result->out, "leave the login acc-2 alone"));
    assert_non_null(strstr(result->err, "--yes does it"));
    result = RUN_LEASE(NULL, "ledger", "sweep", path, "-o", "json");
    assert_int_equal(result->exit_code, 0);
    assert_non_null(strstr(result->out, "\"dry_run\":true,\"ended\":0,\"left\":2"));
    assert_non_null(strstr(result->out, "\"result\":\"planned\""));
    assert_int_equal(left(), 2);
}

static void test_what_the_issuer_confirms_leaves_the_ledger_with_its_grants(void **state)
{
    struct fake_daemon issuer;
    const struct lease_result *result;

    (void)state;
    add("l-1", "database/creds/orders/abc\nacc-1");
    add("l-2", "#cert pki 12:34");
    add_grant("g-1", "l-1");
    add_grant("g-2", "l-2");
    leave();
    fake_issuer_start(&issuer, all_works, ARRAY_LEN(all_works));
    result = SWEEP(&issuer, "--yes");
    assert_int_equal(result->exit_code, 0);
    assert_string_equal(result->out, "l-1 revoked\nl-2 revoked\n2 of 2 leases are over\n");
    assert_string_equal(result->err, "");
    assert_int_equal(left(), 0);
    assert_non_null(strstr(issuer.log, "X-Vault-Token: t0ken"));
    assert_non_null(
        strstr(issuer.log, "{\"lease_id\":\"database/creds/orders/abc\",\"sync\":true}"));
    assert_non_null(strstr(issuer.log, "{\"serial_number\":\"12:34\"}"));
    assert_int_equal(fake_daemon_count(&issuer, REVOKE_TOKEN), 1);
    fake_daemon_stop(&issuer);
}

static void test_an_intent_is_ended_by_its_accessor_and_looked_up_afterwards(void **state)
{
    struct fake_daemon issuer;
    const struct lease_result *result;

    (void)state;
    add("l-1", "#child acc-1");
    leave();
    fake_issuer_start(&issuer, all_works, ARRAY_LEN(all_works));
    result = SWEEP(&issuer, "--yes", "-o", "json");
    assert_int_equal(result->exit_code, 0);
    assert_non_null(strstr(result->out, "\"result\":\"revoked\""));
    assert_int_equal(fake_daemon_count(&issuer, LOOK_TOKEN), 2);
    fake_daemon_stop(&issuer);
    assert_int_equal(left(), 0);
}

static void test_a_token_that_lives_on_stays_in_the_ledger(void **state)
{
    static const struct fake_route routes[] = {{LOOK_TOKEN, KNOWN, 0}, {REVOKE_TOKEN, DONE, 0}};
    struct fake_daemon issuer;
    const struct lease_result *result;

    (void)state;
    add("l-1", "#child acc-1");
    leave();
    fake_issuer_start(&issuer, routes, ARRAY_LEN(routes));
    result = SWEEP(&issuer, "--yes");
    assert_int_equal(result->exit_code, 1);
    assert_non_null(strstr(result->err, "l-1 stays: "));
    fake_daemon_stop(&issuer);
    assert_int_equal(left(), 1);
}

static void test_an_issuer_that_knows_nothing_of_the_ledger_confirms_nothing(void **state)
{
    static const struct fake_route routes[] = {{LOOK_LEASE, NO_LEASE, 0},
                                               {LOOK_TOKEN, NO_TOKEN, 0},
                                               {REVOKE_LEASE, DONE, 0}};
    struct fake_daemon issuer;
    const struct lease_result *result;

    (void)state;
    add("l-1", "database/creds/orders/abc\nacc-1");
    add_of("vault-prod", "l-2", "database/creds/orders/old", FAKE_CLOCK_WALL_MS - 120000);
    leave();
    fake_issuer_start(&issuer, routes, ARRAY_LEN(routes));
    result = SWEEP(&issuer, "--yes");
    assert_int_equal(result->exit_code, 8);
    assert_non_null(strstr(result->err, "l-1 stays: the issuer doesn't know it"));
    assert_non_null(strstr(result->out, "l-2 gone"));
    assert_int_equal(fake_daemon_count(&issuer, REVOKE_LEASE), 0);
    fake_daemon_stop(&issuer);
    assert_int_equal(left(), 1);
}

static void test_what_is_unknown_is_gone_once_another_was_known(void **state)
{
    static const struct fake_route routes[] = {{LOOK_LEASE "{\"lease_id\":\"a/1\"", NO_LEASE, 0},
                                               {LOOK_LEASE, KNOWN, 0},
                                               {REVOKE_LEASE, DONE, 0}};
    struct fake_daemon issuer;
    const struct lease_result *result;

    (void)state;
    add("l-1", "a/1");
    add("l-2", "a/2");
    leave();
    fake_issuer_start(&issuer, routes, ARRAY_LEN(routes));
    result = SWEEP(&issuer, "--yes");
    assert_int_equal(result->exit_code, 0);
    assert_string_equal(result->out, "l-2 revoked\nl-1 gone\n2 of 2 leases are over\n");
    fake_daemon_stop(&issuer);
    assert_int_equal(left(), 0);
}

static void test_what_cannot_be_revoked_stays_and_the_others_go(void **state)
{
    static const struct fake_route routes[] = {
        {LOOK_LEASE, KNOWN, 0},
        {REVOKE_LEASE "{\"lease_id\":\"a/1\"", 400, NULL,
         "{\"errors\":[\"failed to revoke entry: database is away\"]}", 0},
        {REVOKE_LEASE, DONE, 0}};
    struct fake_daemon issuer;
    const struct lease_result *result;

    (void)state;
    add("l-1", "a/1");
    add("l-2", "a/2");
    add("l-3", "");
    add("l-4", "#login acc-4");
    add_grant("g-1", "l-1");
    leave();
    fake_issuer_start(&issuer, routes, ARRAY_LEN(routes));
    result = SWEEP(&issuer, "--yes");
    assert_int_equal(result->exit_code, 8);
    assert_non_null(strstr(result->err, "database is away"));
    assert_non_null(strstr(result->err, "l-3 stays: its issuer can't revoke it"));
    assert_non_null(strstr(result->err, "l-4 stays: it hangs on a login"));
    assert_non_null(strstr(result->out, "1 of 4 leases are over"));
    fake_daemon_stop(&issuer);
    assert_int_equal(left(), 4);
}

static void test_a_login_is_ended_after_all_others_when_asked_for(void **state)
{
    struct fake_daemon issuer;
    const struct lease_result *result;

    (void)state;
    add("l-1", "#login acc-1");
    add("l-2", "a/2");
    leave();
    fake_issuer_start(&issuer, all_works, ARRAY_LEN(all_works));
    result = SWEEP(&issuer, "--yes", "--logins");
    assert_int_equal(result->exit_code, 0);
    assert_string_equal(result->out, "l-2 revoked\nl-1 revoked\n2 of 2 leases are over\n");
    fake_daemon_stop(&issuer);
    assert_int_equal(left(), 0);
}

static void test_only_the_leases_of_one_backend_are_swept(void **state)
{
    struct fake_daemon issuer;
    const struct lease_result *result;

    (void)state;
    add("l-1", "a/1");
    add_of("other", "l-2", "a/2", LATER);
    leave();
    fake_issuer_start(&issuer, all_works, ARRAY_LEN(all_works));
    result = SWEEP(&issuer, "--yes");
    assert_int_equal(result->exit_code, 64);
    assert_non_null(strstr(result->err, "vault-prod, other"));
    result = SWEEP(&issuer, "--yes", "--backend", "third");
    assert_int_equal(result->exit_code, 1);
    assert_int_equal(fake_daemon_count(&issuer, "POST"), 0);
    result = SWEEP(&issuer, "--yes", "--backend", "other");
    assert_int_equal(result->exit_code, 0);
    assert_null(strstr(issuer.log, "a/1"));
    fake_daemon_stop(&issuer);
    assert_int_equal(left(), 1);
}

static void test_an_issuer_that_is_away_or_redirects_ends_the_run(void **state)
{
    static const struct fake_route routes[] = {
        {"POST /v1/", 307, "Location: http://127.0.0.1:1/\r\n", "", 0}};
    struct fake_daemon issuer;
    const struct lease_result *result;

    (void)state;
    add("l-1", "a/1");
    add("l-2", "a/2");
    leave();
    result = RUN_LEASE(NULL, "ledger", "sweep", path, "--address", "http://127.0.0.1:1", "--yes");
    assert_int_equal(result->exit_code, 1);
    assert_non_null(strstr(result->err, "l-2 stays: not tried"));
    fake_issuer_start(&issuer, routes, ARRAY_LEN(routes));
    result = SWEEP(&issuer, "--yes");
    assert_int_equal(result->exit_code, 1);
    assert_non_null(strstr(result->err, "active node"));
    assert_int_equal(fake_daemon_count(&issuer, "POST"), 1);
    fake_daemon_stop(&issuer);
    assert_int_equal(left(), 2);
}

static void test_it_waits_while_the_issuer_has_too_many_requests(void **state)
{
    static const struct fake_route routes[] = {{LOOK_LEASE, 429, NULL,
                                                "{\"errors\":[\"rate limit quota exceeded\"]}", 2},
                                               {LOOK_LEASE, KNOWN, 0},
                                               {REVOKE_LEASE, DONE, 0}};
    struct fake_daemon issuer;

    (void)state;
    add("l-1", "a/1");
    leave();
    fake_issuer_start(&issuer, routes, ARRAY_LEN(routes));
    assert_int_equal(SWEEP(&issuer, "--yes")->exit_code, 0);
    fake_daemon_stop(&issuer);
}

static void test_a_token_goes_nowhere_in_clear_and_comes_from_a_file_or_the_environment(
    void **state)
{
    const struct lease_result *result;
    struct fake_daemon issuer;
    char file[128];
    FILE *stream;

    (void)state;
    add("l-1", "a/1");
    leave();
    result = RUN_LEASE(NULL, "ledger", "sweep", path, "--address", "http://192.0.2.1", "--yes");
    assert_int_equal(result->exit_code, 64);
    assert_non_null(strstr(result->err, "https only"));
    result = RUN_LEASE(NULL, "ledger", "sweep", path, "--address", "https://u:p@h", "--yes");
    assert_int_equal(result->exit_code, 64);
    (void)unsetenv("VAULT_TOKEN");
    result = RUN_LEASE(NULL, "ledger", "sweep", path, "--address", "https://h", "--yes");
    assert_int_equal(result->exit_code, 64);
    assert_non_null(strstr(result->err, "--token-file"));
    (void)snprintf(file, sizeof(file), "%s/token", folder);
    stream = fopen(file, "we");
    assert_non_null(stream);
    assert_true(fputs("from-file\n", stream) >= 0);
    (void)fclose(stream);
    fake_issuer_start(&issuer, all_works, ARRAY_LEN(all_works));
    result = SWEEP(&issuer, "--yes", "--token-file", file);
    assert_int_equal(result->exit_code, 0);
    assert_non_null(strstr(issuer.log, "X-Vault-Token: from-file\r\n"));
    fake_daemon_stop(&issuer);
}

static void test_one_that_is_in_use_is_left_alone(void **state)
{
    const struct lease_result *result;

    (void)state;
    add("l-1", "a/1");
    run_sql("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT");
    result = RUN_LEASE(NULL, "ledger", "sweep", path, "--address", "http://127.0.0.1:1", "--yes");
    assert_int_equal(result->exit_code, 1);
    assert_non_null(strstr(result->err, "a leased has"));
}

static void test_a_record_that_cannot_be_read_stays_and_is_told(void **state)
{
    struct fake_daemon issuer;
    const struct lease_result *result;

    (void)state;
    run_sql("INSERT INTO record VALUES (1, 'l-0', x'7b7d'), (2, 'g-0', x'7b7d')");
    add("l-1", "a/1");
    leave();
    fake_issuer_start(&issuer, all_works, ARRAY_LEN(all_works));
    result = SWEEP(&issuer, "--yes");
    assert_int_equal(result->exit_code, 8);
    assert_non_null(strstr(result->err, "l-0"));
    assert_non_null(strstr(result->out, "1 of 2 leases are over"));
    fake_daemon_stop(&issuer);
    assert_int_equal(left(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_ledger, remove_folder)
        TEST(test_without_yes_it_only_tells_and_asks_nobody),
        TEST(test_what_the_issuer_confirms_leaves_the_ledger_with_its_grants),
        TEST(test_an_intent_is_ended_by_its_accessor_and_looked_up_afterwards),
        TEST(test_a_token_that_lives_on_stays_in_the_ledger),
        TEST(test_an_issuer_that_knows_nothing_of_the_ledger_confirms_nothing),
        TEST(test_what_is_unknown_is_gone_once_another_was_known),
        TEST(test_what_cannot_be_revoked_stays_and_the_others_go),
        TEST(test_a_login_is_ended_after_all_others_when_asked_for),
        TEST(test_only_the_leases_of_one_backend_are_swept),
        TEST(test_an_issuer_that_is_away_or_redirects_ends_the_run),
        TEST(test_it_waits_while_the_issuer_has_too_many_requests),
        TEST(test_a_token_goes_nowhere_in_clear_and_comes_from_a_file_or_the_environment),
        TEST(test_one_that_is_in_use_is_left_alone),
        TEST(test_a_record_that_cannot_be_read_stays_and_is_told),
    };

    return cmocka_run_group_tests_name("ledger_sweep", tests, NULL, NULL);
}
