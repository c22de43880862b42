/* The socket file: its directory, mode and owner, what may stand in its place, and who may serve
 * it. */
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

static void expect_refused(struct fixture *f, int code, const char *text)
{
    struct io_listener *listener = NULL;
    struct err e = {.text = ""};
    int rc = io_listener_open(f->io, &f->options, &listener, &e);

    assert_null(listener);
    if (rc != code || strstr(e.text, text) == NULL) {
        fail_msg("%d (%s) instead of %d (%s)", rc, e.text, code, text);
    }
}

/* A socket at f->path that is bound and, if asked, listens. */
static int foreign_socket(struct fixture *f, bool listens)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (listens) {
        assert_int_equal(listen(fd, 1), 0);
    }
    return fd;
}

static void make_socket_dir(struct fixture *f, mode_t mode)
{
    char dir[96];

    (void)snprintf(dir, sizeof(dir), "%s/s", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(dir, mode), 0);
}

static struct stat look_at(const char *format, const struct fixture *f)
{
    char path[128];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s%s", f->dir, format);
    assert_int_equal(lstat(path, &st), 0);
    return st;
}

static void expect_modes(struct fixture *f, mode_t dir_mode, mode_t socket_mode)
{
    mode_t old = umask(0);

    (void)umask(old == 0 ? 0777 : 0); /* whatever the umask is, the modes are ours */
    fixture_listen(f);
    (void)umask(old);
    assert_int_equal(look_at("/s", f).st_mode & 07777, dir_mode);
    assert_int_equal(look_at("/s/l.sock", f).st_mode & 07777, socket_mode);
}

static void test_by_default_the_socket_is_the_daemons_alone(void **state)
{
    struct fixture *f = *state;

    expect_modes(f, 0750, 0600);
}

static void test_a_mode_works_alone(void **state)
{
    struct fixture *f = *state;

    f->options.mode = 0660;
    expect_modes(f, 0750, 0660);
}

static void test_a_mode_for_others_opens_the_directory_to_them(void **state)
{
    struct fixture *f = *state;

    f->options.mode = 0666;
    expect_modes(f, 0755, 0666);
}

static void test_a_group_works_alone(void **state)
{
    struct fixture *f = *state;
    char group[16];

    /* A number works too, so that the test needs no group in the system's files. */
    (void)snprintf(group, sizeof(group), "%u", geteuid() == 0 ? 65533U : (unsigned int)getegid());
    f->options.group = group;
    expect_modes(f, 0750, 0660);
    assert_int_equal(look_at("/s/l.sock", f).st_gid, strtoul(group, NULL, 10));
    assert_int_equal(look_at("/s", f).st_gid, strtoul(group, NULL, 10));
}

static void test_a_user_works_alone(void **state)
{
    struct fixture *f = *state;

    if (geteuid() != 0) {
        print_message("skipped: giving a file away takes root\n");
        skip();
    }
    f->options.user = "65533";
    expect_modes(f, 0755, 0600);
    assert_int_equal(look_at("/s/l.sock", f).st_uid, 65533);
    assert_int_equal(look_at("/s", f).st_uid, 0);
    /* After a crash the socket is still that user's, and may be replaced. */
    fixture_close_listener(f);
    (void)close(foreign_socket(f, false));
    assert_int_equal(chown(f->path, 65533, 0), 0);
    fixture_listen(f);
}

static void test_names_are_looked_up_and_unknown_ones_refused(void **state)
{
    struct fixture *f = *state;

    f->options.user = "no-such-user";
    expect_refused(f, ERR_NOT_FOUND, "there is no user no-such-user");
    f->options.user = NULL;
    f->options.group = "no-such-group";
    expect_refused(f, ERR_NOT_FOUND, "there is no group no-such-group");
    f->options.group = geteuid() == 0 ? "root" : NULL;
    fixture_listen(f);
    assert_int_equal(access(f->path, F_OK), 0);
}

static void test_the_socket_file_goes_with_the_listener(void **state)
{
    struct fixture *f = *state;
    int i;

    for (i = 0; i < 3; i++) {
        fixture_listen(f);
        assert_int_equal(access(f->path, F_OK), 0);
        fixture_close_listener(f);
        assert_int_equal(access(f->path, F_OK), -1);
    }
}

static void test_a_socket_that_replaced_ours_is_left_alone(void **state)
{
    struct fixture *f = *state;
    int fd;

    fixture_listen(f);
    assert_int_equal(unlink(f->path), 0);
    fd = foreign_socket(f, true);
    fixture_close_listener(f);
    assert_int_equal(access(f->path, F_OK), 0);
    (void)close(fd);
}

static void test_a_dead_socket_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    make_socket_dir(f, 0700);
    (void)close(foreign_socket(f, true));
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_free(client);
}

static void test_a_live_socket_is_never_taken(void **state)
{
    struct fixture *f = *state;
    int fd;

    make_socket_dir(f, 0700);
    fd = foreign_socket(f, true);
    expect_refused(f, ERR_EXISTS, "another daemon answers at");
    assert_int_equal(access(f->path, F_OK), 0);
    (void)close(fd);
}

static void test_a_live_socket_with_a_full_queue_is_never_taken(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int clients[8];
    size_t i;
    int fd;

    make_socket_dir(f, 0700);
    fd = foreign_socket(f, true);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
    for (i = 0; i < ARRAY_LEN(clients); i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(clients[i], (struct sockaddr *)&address, sizeof(address));
    }
    expect_refused(f, ERR_EXISTS, "another daemon answers at");
    for (i = 0; i < ARRAY_LEN(clients); i++) {
        (void)close(clients[i]);
    }
    (void)close(fd);
}

static void test_a_second_listener_at_the_same_path_is_refused(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    fixture_listen(f);
    expect_refused(f, ERR_EXISTS, "another daemon answers at");
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    client_free(client);
}

static void test_two_daemons_that_start_at_once_do_not_take_each_others_socket(void **state)
{
    struct fixture *f = *state;
    int round;

    for (round = 0; round < 20; round++) {
        int winners = 0;
        int ready[2];
        int done[2];
        pid_t pids[4];
        char byte;
        size_t i;

        /* A dead socket is there: each of them would like to remove it. */
        (void)unlink(f->path);
        if (round == 0) {
            make_socket_dir(f, 0700);
        }
        (void)close(foreign_socket(f, true));
        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(done), 0);
        for (i = 0; i < ARRAY_LEN(pids); i++) {
            pids[i] = fork();
            if (pids[i] == 0) {
                struct err e;
                int rc = io_listener_open(f->io, &f->options, &f->listener, &e);

                (void)!write(ready[1], rc == 0 ? "y" : "n", 1);
                (void)close(done[1]);
                (void)!read(done[0], &byte, 1); /* serves until all have tried */
                _exit(0);
            }
        }
        for (i = 0; i < ARRAY_LEN(pids); i++) {
            assert_int_equal(read(ready[0], &byte, 1), 1);
            winners += byte == 'y' ? 1 : 0;
        }
        assert_int_equal(winners, 1);
        (void)close(done[0]);
        (void)close(done[1]);
        (void)close(ready[0]);
        (void)close(ready[1]);
        for (i = 0; i < ARRAY_LEN(pids); i++) {
            assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
        }
    }
}

static void test_what_is_no_socket_stays_and_is_named(void **state)
{
    struct fixture *f = *state;
    char target[96];
    struct stat st;

    make_socket_dir(f, 0700);
    (void)snprintf(target, sizeof(target), "%s/target", f->dir);
    (void)close(open(target, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(symlink(target, f->path), 0);
    expect_refused(f, ERR_INVALID, "is a symbolic link, not a socket");
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    expect_refused(f, ERR_INVALID, "is a FIFO, not a socket");
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(rename(target, f->path), 0);
    expect_refused(f, ERR_INVALID, "is a regular file, not a socket");
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    expect_refused(f, ERR_INVALID, "is a directory, not a socket");
}

static void test_a_strangers_socket_is_not_removed(void **state)
{
    struct fixture *f = *state;

    if (geteuid() != 0) {
        print_message("skipped: making another user's socket takes root\n");
        skip();
    }
    make_socket_dir(f, 0700);
    (void)close(foreign_socket(f, false));
    assert_int_equal(chown(f->path, 65533, 65533), 0);
    expect_refused(f, ERR_DENIED, "is a socket of uid 65533");
    assert_int_equal(access(f->path, F_OK), 0);
}

static void test_a_directory_that_others_can_write_is_refused(void **state)
{
    static const mode_t modes[] = {0777, 0770, 0702, 01777, 02775};
    struct fixture *f = *state;
    char dir[96];
    size_t i;

    make_socket_dir(f, 0700);
    (void)snprintf(dir, sizeof(dir), "%s/s", f->dir);
    for (i = 0; i < ARRAY_LEN(modes); i++) {
        assert_int_equal(chmod(dir, modes[i]), 0);
        expect_refused(f, ERR_DENIED, dir);
    }
    assert_int_equal(access(f->path, F_OK), -1);
}

static void test_a_parent_that_others_can_write_is_refused_unless_sticky(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(chmod(f->dir, 0777), 0);
    expect_refused(f, ERR_DENIED, "can be written by group or others");
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
    make_socket_dir(f, 0700);
    (void)snprintf(dir, sizeof(dir), "%s/s", f->dir);
    (void)snprintf(real, sizeof(real), "%s/real", f->dir);
    assert_int_equal(chown(dir, 65533, 65533), 0);
    expect_refused(f, ERR_DENIED, "belongs to uid 65533");
    assert_int_equal(rename(dir, real), 0);
    assert_int_equal(chown(real, 0, 0), 0);
    assert_int_equal(symlink("real", dir), 0);
    assert_int_equal(lchown(dir, 65533, 65533), 0);
    expect_refused(f, ERR_DENIED, "is a symbolic link made by uid 65533");
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
    expect_refused(f, -ELOOP, "too many symbolic links");
}

static void test_only_the_last_directory_is_made(void **state)
{
    struct fixture *f = *state;
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/a/b/l.sock", f->dir);
    f->options.unix_path = path;
    expect_refused(f, ERR_NOT_FOUND, "/a does not exist");
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
    expect_refused(f, ERR_INVALID, "at most 107 bytes");
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
    expect_refused(f, ERR_INVALID, "not an absolute path");
    (void)snprintf(path, sizeof(path), "%s/", f->dir);
    f->options.unix_path = path;
    expect_refused(f, ERR_INVALID, "names a directory");
    f->options.unix_path = f->path;
    f->options.mode = 04755;
    expect_refused(f, ERR_INVALID, "not a socket's mode");
}

static void test_tcp_addresses_are_loopback_only(void **state)
{
    struct fixture *f = *state;

    f->options.unix_path = NULL;
    f->options.tcp = "0.0.0.0:0";
    expect_refused(f, ERR_INVALID, "not a loopback address");
    f->options.tcp = "[::]:0";
    expect_refused(f, ERR_INVALID, "not a loopback address");
    f->options.tcp = "10.0.0.1:99";
    expect_refused(f, ERR_INVALID, "not a loopback address");
    f->options.tcp = "127.0.0.1";
    expect_refused(f, ERR_INVALID, "not an address and a port");
    f->options.tcp = "127.0.0.1:65536";
    expect_refused(f, ERR_INVALID, "not an address and a port");
    f->options.tcp = "example.com:80";
    expect_refused(f, ERR_INVALID, "not an address and a port");
    f->options.tcp = "localhost:0";
    fixture_listen(f);
    assert_true(io_listener_port(f->listener) > 0);
}

/* Connects as a stranger, over and over, while the listener is opened and closed. */
static int spin_connect(struct fixture *f, int stop_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char byte;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
    child_drop_rights();
    (void)fcntl(stop_fd, F_SETFL, O_NONBLOCK);
    while (read(stop_fd, &byte, 1) < 0 && errno == EAGAIN) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
            return 1;
        }
        (void)close(fd);
    }
    return 0;
}

static void test_a_stranger_never_gets_in_while_the_socket_is_being_made(void **state)
{
    struct fixture *f = *state;
    int cycles = getenv("TEST_SLOWDOWN") != NULL && atoi(getenv("TEST_SLOWDOWN")) > 2 ? 50 : 1000;
    int stop[2];
    pid_t pid;

    if (geteuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
    assert_int_equal(pipe(stop), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
    make_socket_dir(f, 0755); /* passable: only the socket's own mode keeps them out */
    f->options.mode = 0660;
    pid = fork();
    if (pid == 0) {
        (void)close(stop[1]);
        child_end(spin_connect(f, stop[0]));
    }
    while (cycles-- > 0) {
        fixture_listen(f);
        fixture_close_listener(f);
    }
    (void)close(stop[1]);
    assert_int_equal(child_wait(pid), 0);
    (void)close(stop[0]);
}

static void test_no_descriptor_of_a_listener_is_inherited(void **state)
{
    struct fixture *f = *state;
    struct client *client;
    bool was_open[200];
    int fd;

    for (fd = 0; fd < 200; fd++) {
        was_open[fd] = fcntl(fd, F_GETFD) >= 0;
    }
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    for (fd = 0; fd < 200; fd++) {
        int flags = fcntl(fd, F_GETFD);

        assert_true(flags < 0 || was_open[fd] || (flags & FD_CLOEXEC) != 0);
    }
    client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_by_default_the_socket_is_the_daemons_alone),
        TEST(test_a_mode_works_alone),
        TEST(test_a_mode_for_others_opens_the_directory_to_them),
        TEST(test_a_group_works_alone),
        TEST(test_a_user_works_alone),
        TEST(test_names_are_looked_up_and_unknown_ones_refused),
        TEST(test_the_socket_file_goes_with_the_listener),
        TEST(test_a_socket_that_replaced_ours_is_left_alone),
        TEST(test_a_dead_socket_is_replaced),
        TEST(test_a_live_socket_is_never_taken),
        TEST(test_a_live_socket_with_a_full_queue_is_never_taken),
        TEST(test_a_second_listener_at_the_same_path_is_refused),
        TEST(test_two_daemons_that_start_at_once_do_not_take_each_others_socket),
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
        TEST(test_a_stranger_never_gets_in_while_the_socket_is_being_made),
        TEST(test_no_descriptor_of_a_listener_is_inherited),
    };

    return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
