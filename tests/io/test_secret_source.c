/* Secrets from files and credentials: what is read, and what is refused because others could know
 * or change it. */
#include "io/loop_fixture.h"

#include "base/secret.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int folder_setup(void **state)
{
    (void)snprintf(folder, sizeof(folder), "/tmp/leased-secret-XXXXXX");
    if (mkdtemp(folder) == NULL || setenv("CREDENTIALS_DIRECTORY", folder, 1) != 0) {
        return -1;
    }
    return loop_setup(state);
}

static int folder_teardown(void **state)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/secret", folder);
    (void)unlink(path);
    (void)rmdir(folder);
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    return loop_teardown(state);
}

static void write_secret(const void *bytes, size_t size, mode_t mode)
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/secret", folder);
    (void)unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

/* The status for "KIND:…/secret"; a success must give `expected`. */
static int read_status_of(struct loop *loop, const char *kind, const char *expected)
{
    char source[128];
    struct secret secret;
    struct err e = {0};
    int rc;

    (void)snprintf(source, sizeof(source), "%s:%s/secret", kind, folder);
    secret_init(&secret);
    rc = env_secret_read(loop->env, str_of(source), &secret, &e);
    if (rc == 0) {
        assert_true(secret_eq(&secret, str_of(expected)));
    } else {
        assert_true(secret_is_empty(&secret));
        assert_non_null(strstr(e.text, folder));
    }
    secret_fini(&secret);
    return rc;
}

static int read_status(struct loop *loop, const char *expected)
{
    return read_status_of(loop, "file", expected);
}

static void test_a_file_gives_its_text_without_the_last_newline(void **state)
{
    struct loop *loop = *state;

    write_secret("s3cret\n", 7, 0600);
    assert_int_equal(read_status(loop, "s3cret"), 0);
    write_secret("s3cret\r\n", 8, 0400);
    assert_int_equal(read_status(loop, "s3cret"), 0);
    write_secret("two\nlines\n\n", 11, 0640);
    assert_int_equal(read_status(loop, "two\nlines\n"), 0);
    write_secret("bare", 4, 0440);
    assert_int_equal(read_status(loop, "bare"), 0);
}

static void test_an_empty_file_is_refused(void **state)
{
    struct loop *loop = *state;

    write_secret("", 0, 0600);
    assert_int_equal(read_status(loop, NULL), ERR_INVALID);
    write_secret("\n", 1, 0600);
    assert_int_equal(read_status(loop, NULL), ERR_INVALID);
}

static void test_a_file_that_others_can_read_or_change_is_refused(void **state)
{
    static const mode_t modes[] = {0604, 0602, 0644, 0620, 0660, 0606};
    struct loop *loop = *state;

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        write_secret("s3cret", 6, modes[i]);
        assert_int_equal(read_status(loop, NULL), ERR_DENIED);
    }
}

static void test_a_shared_file_may_be_read_but_not_changed_by_others(void **state)
{
    static const mode_t refused[] = {0602, 0620, 0666};
    struct loop *loop = *state;

    write_secret("s3cret\n", 7, 0644);
    assert_int_equal(read_status_of(loop, "shared-file", "s3cret"), 0);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        write_secret("s3cret", 6, refused[i]);
        assert_int_equal(read_status_of(loop, "shared-file", NULL), ERR_DENIED);
    }
}

static void test_a_file_of_somebody_else_is_refused(void **state)
{
    struct loop *loop = *state;
    char path[128];

    write_secret("s3cret", 6, 0600);
    (void)snprintf(path, sizeof(path), "%s/secret", folder);
    if (chown(path, 12345, 12345) != 0) {
        print_message("needs the right to give files away (root)\n");
        skip();
    }
    assert_int_equal(read_status(loop, NULL), ERR_DENIED);
}

static void test_size_is_limited(void **state)
{
    static char bytes[ENV_SECRET_MAX_BYTES + 2];
    struct loop *loop = *state;

    memset(bytes, 'x', sizeof(bytes));
    write_secret(bytes, ENV_SECRET_MAX_BYTES + 1, 0600);
    assert_int_equal(read_status(loop, NULL), ERR_TOO_LARGE);
    bytes[ENV_SECRET_MAX_BYTES] = '\0';
    write_secret(bytes, ENV_SECRET_MAX_BYTES, 0600);
    assert_int_equal(read_status(loop, bytes), 0);
}

static void test_only_a_regular_file_is_read(void **state)
{
    struct loop *loop = *state;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/secret", folder);
    assert_int_equal(mkfifo(path, 0600), 0); /* Must not hold the loop either. */
    assert_int_equal(read_status(loop, NULL), ERR_INVALID);
    (void)unlink(path);
    assert_int_equal(read_status(loop, NULL), -2); /* ENOENT */
}

static void test_a_credential_is_read_from_the_managers_folder_only(void **state)
{
    struct loop *loop = *state;
    struct secret secret;
    struct err e;

    secret_init(&secret);
    write_secret("s3cret", 6, 0400);
    assert_int_equal(env_secret_read(loop->env, STR("credential:secret"), &secret, &e), 0);
    assert_true(secret_eq(&secret, STR("s3cret")));
    assert_int_equal(env_secret_read(loop->env, STR("credential:../secret"), &secret, &e),
                     ERR_INVALID);
    assert_int_equal(env_secret_read(loop->env, STR("credential:a/b"), &secret, &e), ERR_INVALID);
    assert_int_equal(env_secret_read(loop->env, STR("credential:.."), &secret, &e), ERR_INVALID);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_int_equal(env_secret_read(loop->env, STR("credential:secret"), &secret, &e),
                     ERR_NOT_FOUND);
    secret_fini(&secret);
}

static void test_an_unknown_source_is_refused(void **state)
{
    static const char *const sources[] = {"", "file", "file:", "vault:x", "plain text", ":x"};
    struct loop *loop = *state;
    struct secret secret;
    struct err e;

    secret_init(&secret);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        assert_int_equal(env_secret_read(loop->env, str_of(sources[i]), &secret, &e), ERR_INVALID);
    }
    assert_int_equal(env_secret_read(loop->env, (struct str){.ptr = "file:/a\0b", .len = 9},
                                     &secret, &e),
                     ERR_INVALID);
    assert_int_equal(env_secret_read(loop->env, STR("env:PATH"), &secret, &e), ERR_NOT_FOUND);
    secret_fini(&secret);
}

#define FOLDER_TEST(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(test_a_file_gives_its_text_without_the_last_newline),
        FOLDER_TEST(test_an_empty_file_is_refused),
        FOLDER_TEST(test_a_file_that_others_can_read_or_change_is_refused),
        FOLDER_TEST(test_a_shared_file_may_be_read_but_not_changed_by_others),
        FOLDER_TEST(test_a_file_of_somebody_else_is_refused),
        FOLDER_TEST(test_size_is_limited),
        FOLDER_TEST(test_only_a_regular_file_is_read),
        FOLDER_TEST(test_a_credential_is_read_from_the_managers_folder_only),
        FOLDER_TEST(test_an_unknown_source_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
