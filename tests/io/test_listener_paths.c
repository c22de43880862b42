/* Where a socket may be made: what stands at its path, and who could change the directories on the
 * way. */
#include "server_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return 0;
}

static void test_what_is_no_socket_stays_and_is_named(void **state)
{
    struct fixture *f = *state;
    char target[96];
    struct stat st;

    fixture_make_dir(f, 0700);
    (void)snprintf(target, sizeof(target), "%s/target", f->dir);
    (void)close(open(target, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(symlink(target, f->path), 0);
    fixture_expect_refused(f, ERR_INVALID, "is a symbolic link, not a socket");
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    fixture_expect_refused(f, ERR_INVALID, "is a FIFO, not a socket");
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(rename(target, f->path), 0);
    fixture_expect_refused(f, ERR_INVALID, "is a regular file, not a socket");
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    fixture_expect_refused(f, ERR_INVALID, "is a directory, not a socket");
}

static void test_a_strangers_socket_is_not_removed(void **state)
{
    struct fixture *f = *state;

    if (geteuid() != 0) {
        print_message("skipped: making another user's socket takes root\n");
        skip();
    }
    fixture_make_dir(f, 0700);
    (void)close(fixture_foreign_socket(f, false));
    assert_int_equal(chown(f->path, 65533, 65533), 0);
    fixture_expect_refused(f, ERR_DENIED, "is a socket of uid 65533");
    assert_int_equal(access(f->path, F_OK), 0);
}

static void test_a_directory_that_others_can_write_is_refused(void **state)
{
    static const mode_t modes[] = {0777, 0770, 0702, 01777, 02775};
    struct fixture *f = *state;
    char dir[96];
    size_t i;

    fixture_make_dir(f, 0700);
    (void)snprintf(dir, sizeof(dir), "%s/s", f->dir);
    for (i = 0; i < ARRAY_LEN(modes); i++) {
        assert_int_equal(chmod(dir, modes[i]), 0);
        fixture_expect_refused(f, ERR_DENIED, dir);
    }
    assert_int_equal(access(f->path, F_OK), -1);
}

static void test_a_parent_that_others_can_write_is_refused_unless_sticky(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(chmod(f->dir, 0777), 0);
    fixture_expect_refused(f, ERR_DENIED, "can be written by group or others");
    assert_int_equal(chmod(f->dir, 01777), 0);
    fixture_listen(f);
}

static void test_a_strangers_directory_or_link_is_refused(void **state)
{
    struct fixture *f = *state;
    char dir[96];
    char real[96];

    if (geteuid() != 0) {
        print_message("skipped: making another user's directory takes root\n");
        skip();
    }
    fixture_make_dir(f, 0700);
    (void)snprintf(dir, sizeof(dir), "%s/s", f->dir);
    (void)snprintf(real, sizeof(real), "%s/real", f->dir);
    assert_int_equal(chown(dir, 65533, 65533), 0);
    fixture_expect_refused(f, ERR_DENIED, "belongs to uid 65533");
    assert_int_equal(rename(dir, real), 0);
    assert_int_equal(chown(real, 0, 0), 0);
    assert_int_equal(symlink("real", dir), 0);
    assert_int_equal(lchown(dir, 65533, 65533), 0);
    fixture_expect_refused(f, ERR_DENIED, "is a symbolic link made by uid 65533");
}

static void test_our_own_links_are_followed(void **state)
{
    struct fixture *f = *state;
    char real[96];
    char link[96];

    (void)snprintf(real, sizeof(real), "%s/real", f->dir);
    (void)snprintf(link, sizeof(link), "%s/s", f->dir);
    assert_int_equal(mkdir(real, 0700), 0);
    assert_int_equal(symlink("./real/../real/", link), 0);
    fixture_listen(f);
    (void)snprintf(real, sizeof(real), "%s/real/l.sock", f->dir);
    assert_int_equal(access(real, F_OK), 0);
    fixture_close_listener(f);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("s", link), 0);
    fixture_expect_refused(f, -ELOOP, "too many symbolic links");
}

static void test_only_the_last_directory_is_made(void **state)
{
    struct fixture *f = *state;
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/a/b/l.sock", f->dir);
    f->options.unix_path = path;
    fixture_expect_refused(f, ERR_NOT_FOUND, "/a does not exist");
}

static void test_a_path_has_at_most_107_bytes(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct client *client;

    (void)snprintf(path, sizeof(path), "%s/", f->dir);
    memset(path + strlen(path), 'p', sizeof(path) - 1 - strlen(path));
    path[108] = '\0';
    f->options.unix_path = path;
    fixture_expect_refused(f, ERR_INVALID, "at most 107 bytes");
    path[107] = '\0';
    fixture_listen(f);
    assert_int_equal(access(path, F_OK), 0);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_free(client);
}

static void test_a_path_must_be_absolute_and_name_a_file(void **state)
{
    struct fixture *f = *state;
    char path[96];

    f->options.unix_path = "l.sock";
    fixture_expect_refused(f, ERR_INVALID, "not an absolute path");
    (void)snprintf(path, sizeof(path), "%s/", f->dir);
    f->options.unix_path = path;
    fixture_expect_refused(f, ERR_INVALID, "names a directory");
    f->options.unix_path = f->path;
    f->options.mode = 04755;
    fixture_expect_refused(f, ERR_INVALID, "not a socket's mode");
}

static void test_tcp_addresses_are_loopback_only(void **state)
{
    struct fixture *f = *state;

    f->options.unix_path = NULL;
    f->options.tcp = "0.0.0.0:0";
    fixture_expect_refused(f, ERR_INVALID, "not a loopback address");
    f->options.tcp = "[::]:0";
    fixture_expect_refused(f, ERR_INVALID, "not a loopback address");
    f->options.tcp = "10.0.0.1:99";
    fixture_expect_refused(f, ERR_INVALID, "not a loopback address");
    f->options.tcp = "127.0.0.1";
    fixture_expect_refused(f, ERR_INVALID, "not an address and a port");
    f->options.tcp = "127.0.0.1:65536";
    fixture_expect_refused(f, ERR_INVALID, "not an address and a port");
    f->options.tcp = "example.com:80";
    fixture_expect_refused(f, ERR_INVALID, "not an address and a port");
    f->options.tcp = "localhost:0";
    fixture_listen(f);
    assert_true(io_listener_port(f->listener) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_what_is_no_socket_stays_and_is_named),
        TEST(test_a_strangers_socket_is_not_removed),
        TEST(test_a_directory_that_others_can_write_is_refused),
        TEST(test_a_parent_that_others_can_write_is_refused_unless_sticky),
        TEST(test_a_strangers_directory_or_link_is_refused),
        TEST(test_our_own_links_are_followed),
        TEST(test_only_the_last_directory_is_made),
        TEST(test_a_path_has_at_most_107_bytes),
        TEST(test_a_path_must_be_absolute_and_name_a_file),
        TEST(test_tcp_addresses_are_loopback_only),
    };

    return cmocka_run_group_tests_name("listener paths", tests, NULL, NULL);
}
