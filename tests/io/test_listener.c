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
    (void)close(fixture_foreign_socket(f, false));
    assert_int_equal(chown(f->path, 65533, 0), 0);
    fixture_listen(f);
}

static void test_names_are_looked_up_and_unknown_ones_refused(void **state)
{
    struct fixture *f = *state;

    f->options.user = "no-such-user";
    fixture_expect_refused(f, ERR_NOT_FOUND, "there is no user no-such-user");
    f->options.user = NULL;
    f->options.group = "no-such-group";
    fixture_expect_refused(f, ERR_NOT_FOUND, "there is no group no-such-group");
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
    fd = fixture_foreign_socket(f, true);
    fixture_close_listener(f);
    assert_int_equal(access(f->path, F_OK), 0);
    (void)close(fd);
}

static void test_a_dead_socket_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    fixture_make_dir(f, 0700);
    (void)close(fixture_foreign_socket(f, true));
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

    fixture_make_dir(f, 0700);
    fd = fixture_foreign_socket(f, true);
    fixture_expect_refused(f, ERR_EXISTS, "another daemon answers at");
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

    fixture_make_dir(f, 0700);
    fd = fixture_foreign_socket(f, true);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
    for (i = 0; i < ARRAY_LEN(clients); i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(clients[i], (struct sockaddr *)&address, sizeof(address));
    }
    fixture_expect_refused(f, ERR_EXISTS, "another daemon answers at");
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
    fixture_expect_refused(f, ERR_EXISTS, "another daemon answers at");
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
            fixture_make_dir(f, 0700);
        }
        (void)close(fixture_foreign_socket(f, true));
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
    int cycles = is_under_valgrind() ? 50 : 1000;
    int stop[2];
    pid_t pid;

    if (geteuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
    assert_int_equal(pipe(stop), 0);
    assert_int_equal(chmod(f->dir, 0755), 0);
    fixture_make_dir(f, 0755); /* passable: only the socket's own mode keeps them out */
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
        TEST(test_a_stranger_never_gets_in_while_the_socket_is_being_made),
        TEST(test_no_descriptor_of_a_listener_is_inherited),
    };

    return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
