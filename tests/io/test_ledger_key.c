/* The ledger's key: what it has sealed opens after a restart, for the same owner alone, and with an
 * older key for as long as that is there. */
#include "ledger_disk.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLAIN "hunter2"
#define SEALED_BYTES (sizeof(PLAIN) - 1 + ENV_LEDGER_SEAL_BYTES)
#define KEY_1 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KEY_2 "ABCDEF6789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF"

struct key_fixture {
    struct ledger_disk disk;
    char key_path[112];
    char key_source[128];
    char sealed[SEALED_BYTES];
};

static int setup(void **state)
{
    struct key_fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    ledger_disk_init(&f->disk);
    (void)snprintf(f->key_path, sizeof(f->key_path), "%s.key", f->disk.path);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct key_fixture *f = *state;

    ledger_disk_fini(&f->disk);
    free(f);
    return 0;
}

static void reopen(struct key_fixture *f)
{
    ledger_disk_close(&f->disk);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
}

static void write_key(struct key_fixture *f, const char *text)
{
    FILE *file = fopen(f->key_path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(f->key_path, 0600), 0);
}

static void seal(struct key_fixture *f)
{
    assert_int_equal(env_ledger_seal(f->disk.ledger, STR("l-1"), STR(PLAIN), f->sealed), 0);
    assert_null(memmem(f->sealed, SEALED_BYTES, PLAIN, sizeof(PLAIN) - 1));
}

static int unseal(struct key_fixture *f, struct str owner, size_t len)
{
    char plain[sizeof(PLAIN)] = "";
    int r =
        env_ledger_unseal(f->disk.ledger, owner, (struct str){.ptr = f->sealed, .len = len}, plain);

    if (r == 0) {
        assert_string_equal(plain, PLAIN);
    }
    return r;
}

static void test_what_was_sealed_opens_after_a_restart(void **state)
{
    struct key_fixture *f = *state;
    char before[SEALED_BYTES];

    assert_int_equal(ledger_disk_open(&f->disk), 0);
    seal(f);
    assert_int_equal(unseal(f, STR("l-1"), SEALED_BYTES), 0);
    reopen(f);
    assert_int_equal(unseal(f, STR("l-1"), SEALED_BYTES), 0);
    memcpy(before, f->sealed, sizeof(before));
    seal(f); /* this run's seals are others: no nonce is used twice under one key */
    assert_memory_not_equal(before, f->sealed, 20);
    assert_int_equal(unseal(f, STR("l-1"), SEALED_BYTES), 0);
}

static void test_more_runs_than_are_kept_at_once_open_too(void **state)
{
    struct key_fixture *f = *state;
    char sealed[40][SEALED_BYTES];
    size_t i;

    assert_int_equal(ledger_disk_open(&f->disk), 0);
    for (i = 0; i < 40; i++) {
        seal(f);
        memcpy(sealed[i], f->sealed, SEALED_BYTES);
        reopen(f);
    }
    for (i = 0; i < 80; i++) {
        memcpy(f->sealed, sealed[i % 40], SEALED_BYTES);
        assert_int_equal(unseal(f, STR("l-1"), SEALED_BYTES), 0);
    }
}

static void test_it_opens_for_its_owner_alone_and_unchanged(void **state)
{
    struct key_fixture *f = *state;
    size_t i;

    assert_int_equal(ledger_disk_open(&f->disk), 0);
    seal(f);
    assert_int_equal(unseal(f, STR("l-2"), SEALED_BYTES), ERR_INVALID);
    for (i = 0; i < SEALED_BYTES; i++) {
        int r;

        f->sealed[i] ^= 1;
        r = unseal(f, STR("l-1"), SEALED_BYTES);
        assert_int_equal(r, i < 4 ? ERR_NOT_FOUND : ERR_INVALID);
        f->sealed[i] ^= 1;
        assert_int_equal(unseal(f, STR("l-1"), i), ERR_INVALID);
    }
}

static void test_the_key_is_made_once_and_is_ours_alone(void **state)
{
    struct key_fixture *f = *state;
    struct stat first;
    struct stat second;

    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_int_equal(stat(f->key_path, &first), 0);
    assert_int_equal(first.st_mode & 07777, 0600);
    assert_int_equal(first.st_size, 65);
    reopen(f);
    assert_int_equal(stat(f->key_path, &second), 0);
    assert_true(first.st_ino == second.st_ino);
}

static void test_a_new_key_before_the_old_one_takes_over(void **state)
{
    struct key_fixture *f = *state;
    char old[SEALED_BYTES];

    write_key(f, KEY_1 "\n");
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    seal(f);
    memcpy(old, f->sealed, sizeof(old));
    write_key(f, KEY_2 "\n" KEY_1 "\n");
    reopen(f);
    assert_int_equal(unseal(f, STR("l-1"), SEALED_BYTES), 0);
    seal(f);
    write_key(f, KEY_2);
    reopen(f);
    assert_int_equal(unseal(f, STR("l-1"), SEALED_BYTES), 0);
    memcpy(f->sealed, old, sizeof(old));
    assert_int_equal(unseal(f, STR("l-1"), SEALED_BYTES), ERR_NOT_FOUND);
}

static void refuses(struct key_fixture *f, const char *word)
{
    assert_int_not_equal(ledger_disk_open(&f->disk), 0);
    assert_non_null(strstr(f->disk.e.text, word));
    assert_null(strstr(f->disk.e.text, "0123456789abcdef"));
}

static void test_what_is_no_key_is_refused(void **state)
{
    static const char *const wrong[] = {KEY_1 "0\n", "0123456789abcdef\n", KEY_1 "\n\n" KEY_2,
                                        "g123456789abcdef0123456789abcdef0123456789abcdef0123456789"
                                        "abcdef\n"};
    struct key_fixture *f = *state;
    size_t i;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        write_key(f, wrong[i]);
        refuses(f, "64 hexadecimal digits");
    }
    write_key(f, KEY_1 "\n");
    assert_int_equal(chmod(f->key_path, 0644), 0);
    refuses(f, "accessible to others");
}

static void test_a_key_that_its_group_can_read_is_refused(void **state)
{
    struct key_fixture *f = *state;

    write_key(f, KEY_1 "\n");
    assert_int_equal(chmod(f->key_path, 0640), 0);
    refuses(f, "0640");
    (void)snprintf(f->key_source, sizeof(f->key_source), "file:%s", f->key_path);
    f->disk.key_source = f->key_source;
    refuses(f, "0640");
    assert_int_equal(chmod(f->key_path, 0400), 0);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
}

static size_t told;

static void count_missing(void *user, enum log_level level, const char *event,
                          const struct log_field *fields, size_t field_count)
{
    (void)user;
    (void)level;
    (void)fields;
    (void)field_count;
    told += strcmp(event, "ledger.key.missing") == 0 ? 1 : 0;
}

static void put_sealed(struct key_fixture *f)
{
    const struct str body = {.ptr = f->sealed, .len = SEALED_BYTES};

    seal(f);
    assert_int_equal(env_ledger_put(f->disk.ledger, ENV_LEDGER_LEASE, STR("l-1"), body), 0);
}

static void test_a_key_that_is_gone_is_told_and_made_only_when_the_start_is_through(void **state)
{
    struct key_fixture *f = *state;

    told = 0;
    log_set_sink(count_missing, NULL, LOG_LEVEL_WARN);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_int_equal(access(f->key_path, F_OK), 0);
    put_sealed(f);
    ledger_disk_close(&f->disk);
    assert_int_equal(told, 0);
    assert_int_equal(unlink(f->key_path), 0);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    assert_int_equal(told, 1);
    put_sealed(f); /* as the trail does, before its files are looked at */
    ledger_disk_close(&f->disk);
    assert_int_equal(access(f->key_path, F_OK), -1);
    assert_int_equal(ledger_disk_open(&f->disk), 0);
    put_sealed(f);
    io_run_once(f->disk.io, true);
    assert_int_equal(access(f->key_path, F_OK), 0);
    reopen(f);
    assert_int_equal(unseal(f, STR("l-1"), SEALED_BYTES), 0);
    assert_int_equal(told, 2);
    log_set_sink(NULL, NULL, LOG_LEVEL_WARN);
}

static void test_a_key_that_is_named_and_is_not_there_is_not_made(void **state)
{
    struct key_fixture *f = *state;

    (void)snprintf(f->key_source, sizeof(f->key_source), "file:%s/none", f->disk.dir);
    f->disk.key_source = f->key_source;
    refuses(f, "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_what_was_sealed_opens_after_a_restart),
        TEST(test_more_runs_than_are_kept_at_once_open_too),
        TEST(test_it_opens_for_its_owner_alone_and_unchanged),
        TEST(test_the_key_is_made_once_and_is_ours_alone),
        TEST(test_a_new_key_before_the_old_one_takes_over),
        TEST(test_what_is_no_key_is_refused),
        TEST(test_a_key_that_its_group_can_read_is_refused),
        TEST(test_a_key_that_is_gone_is_told_and_made_only_when_the_start_is_through),
        TEST(test_a_key_that_is_named_and_is_not_there_is_not_made),
    };

    return cmocka_run_group_tests_name("ledger key", tests, NULL, NULL);
}
