/* Who a caller on loopback TCP is: the owner of the socket at the other end, as long as it is open,
 * and never root by mistake. */
#include "server_fixture.h"

#include "base/mem.h"
#include "io/diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

/* A kernel without sock_diag: the program's own socket stands before libc's. */
static bool has_no_netlink;

int socket(int domain, int type, int protocol)
{
    if (domain == AF_NETLINK && has_no_netlink) {
        errno = EPROTONOSUPPORT;
        return -1;
    }
    return (int)syscall(SYS_socket, domain, type, protocol);
}

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    fixture_init(f);
    f->options.unix_path = NULL;
    f->options.tcp = "127.0.0.1:0";
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    has_no_netlink = false;
    fixture_fini(*state);
    free(*state);
    return 0;
}

static void need_root(void)
{
    if (geteuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
}

static void expect_known(const struct fixture *f, uint32_t uid)
{
    if (f->peer.state != ENV_PEER_OK) {
        fail_msg("the peer is not known: %s", f->peer.problem);
    }
    assert_null(f->peer.problem);
    assert_int_equal(f->peer.kind, ENV_PEER_LOOPBACK);
    assert_int_equal(f->peer.uid, uid);
    assert_int_equal(f->peer.pid, 0);
    assert_int_equal(f->peer.group_count, 0);
}

/* --- who --- */

static void test_an_ordinary_caller_is_known_by_its_uid_alone(void **state)
{
    struct fixture *f = *state;
    struct client *client;
    int i;

    fixture_listen(f);
    client = client_new(f);
    for (i = 0; i < 3; i++) {
        client_send(f, client, GET);
        assert_int_equal(client_reply(f, client, NULL), 200);
        expect_known(f, geteuid());
    }
    client_free(client);
}

/* A client of another program: connects, sends, waits for the answer. */
static int ask(struct fixture *f, int family)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const struct sockaddr *to = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    int fd = socket(family, SOCK_STREAM, 0);
    char bytes[1024];

    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v4.sin_port = htons(io_listener_port(f->listener));
    v6.sin6_port = v4.sin_port;
    (void)inet_pton(AF_INET6, strchr(f->options.tcp, '[') != NULL ? "::1" : "::ffff:127.0.0.1",
                    &v6.sin6_addr);
    if (connect(fd, to, family == AF_INET ? sizeof(v4) : sizeof(v6)) != 0) {
        return 97;
    }
    (void)send(fd, GET, strlen(GET), MSG_NOSIGNAL);
    return read(fd, bytes, sizeof(bytes)) > 12 && memcmp(bytes, "HTTP/1.1 200", 12) == 0 ? 0 : 96;
}

/* The other way round, because valgrind changes the codes of children that fail. */
static int ask_in_vain(struct fixture *f, void *user)
{
    return ask(f, *(const int *)user) == 96 ? 0 : 95;
}

static int ask_as_another_user(struct fixture *f, void *user)
{
    child_drop_rights();
    return ask(f, *(const int *)user);
}

static int ask_as_overflow_user(struct fixture *f, void *user)
{
    if (setgroups(0, NULL) != 0 || setresgid(65534, 65534, 65534) != 0 ||
        setresuid(65534, 65534, 65534) != 0) {
        return 99;
    }
    return ask(f, *(const int *)user);
}

static int ask_as_myself(struct fixture *f, void *user)
{
    return ask(f, *(const int *)user);
}

static void test_another_user_is_known(void **state)
{
    struct fixture *f = *state;
    int family = AF_INET;

    need_root();
    fixture_listen(f);
    assert_int_equal(fixture_fork(f, ask_as_another_user, &family), 0);
    expect_known(f, 65533);
}

static void test_ipv6_callers_are_known(void **state)
{
    struct fixture *f = *state;
    int family = AF_INET6;

    f->options.tcp = "[::1]:0";
    fixture_listen(f);
    assert_int_equal(fixture_fork(f, ask_as_myself, &family), 0);
    expect_known(f, geteuid());
    if (geteuid() == 0) {
        assert_int_equal(fixture_fork(f, ask_as_another_user, &family), 0);
        expect_known(f, 65533);
    }
}

static void test_ipv4_callers_in_ipv6_clothes_are_known(void **state)
{
    struct fixture *f = *state;
    int family = AF_INET6;

    fixture_listen(f);
    assert_int_equal(fixture_fork(f, ask_as_myself, &family), 0);
    expect_known(f, geteuid());
}

static void test_the_overflow_uid_is_nobody_in_particular(void **state)
{
    struct fixture *f = *state;
    int family = AF_INET;

    need_root();
    fixture_listen(f);
    assert_int_equal(fixture_fork(f, ask_as_overflow_user, &family), 0);
    assert_int_equal(f->peer.state, ENV_PEER_UNKNOWN);
    assert_int_equal(f->peer.uid, ENV_NO_ID);
    assert_non_null(strstr(f->peer.problem, "no name"));
}

static void test_a_kernel_that_tells_nothing_leaves_callers_unknown(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    has_no_netlink = true;
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    assert_int_equal(f->peer.state, ENV_PEER_UNKNOWN);
    assert_int_equal(f->peer.uid, ENV_NO_ID);
    assert_non_null(strstr(f->peer.problem, "tcp_diag"));
    client_free(client);
}

static void test_the_user_database_says_a_users_groups(void **state)
{
    struct fixture *f = *state;
    struct env *env = io_env(f->io);
    const struct env_user_groups *groups = NULL;
    const struct env_user_groups *again = NULL;

    assert_int_equal(env_user_groups(env, 0, &groups), 0);
    assert_int_equal(groups->gid, 0);
    assert_true(groups->group_count <= ENV_GROUPS_MAX);
    assert_int_equal(env_user_groups(env, 0, &again), 0);
    assert_ptr_equal(groups, again);
    assert_int_equal(env_user_groups(env, 4000000000U, &groups), ERR_NOT_FOUND);
    assert_int_equal(env_user_groups(env, 4000000000U, &groups), ERR_NOT_FOUND);
}

/* --- who has gone --- */

static int connect_here(const struct fixture *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(io_listener_port(f->listener));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void expect_gone(const struct fixture *f)
{
    assert_int_equal(f->peer.state, ENV_PEER_GONE);
    assert_non_null(strstr(f->peer.problem, "closed"));
}

static void test_who_sends_and_goes_before_it_is_accepted_is_not_root(void **state)
{
    struct fixture *f = *state;
    int fd;

    fixture_listen(f);
    fd = connect_here(f);
    assert_int_equal(send(fd, GET, strlen(GET), MSG_NOSIGNAL), strlen(GET));
    (void)close(fd);
    FIXTURE_UNTIL(f, f->request_count == 1);
    expect_gone(f);
    assert_int_equal(f->peer.uid, ENV_NO_ID);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
}

static void test_who_sends_and_goes_before_its_request_is_judged_is_denied(void **state)
{
    struct fixture *f = *state;
    int fd;

    fixture_listen(f);
    fd = connect_here(f);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 1);
    assert_int_equal(send(fd, GET, strlen(GET), MSG_NOSIGNAL), strlen(GET));
    (void)close(fd);
    FIXTURE_UNTIL(f, f->request_count == 1);
    expect_gone(f);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
}

static void test_a_socket_that_is_given_away_is_another_caller(void **state)
{
    struct fixture *f = *state;
    struct client *client;

    need_root();
    fixture_listen(f);
    client = client_new(f);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    expect_known(f, 0);
    assert_int_equal(fchown(client->fd, 65533, (gid_t)-1), 0);
    client_send(f, client, GET);
    assert_int_equal(client_reply(f, client, NULL), 200);
    assert_int_equal(f->peer.state, ENV_PEER_CHANGED);
    client_wait_eof(f, client);
    client_free(client);
}

static void test_another_user_has_connections_of_its_own(void **state)
{
    struct fixture *f = *state;
    int family = AF_INET;
    struct client *client;

    need_root();
    f->options.limits.connections_per_uid = 1;
    fixture_listen(f);
    client = client_new(f);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 1);
    assert_int_equal(fixture_fork(f, ask_in_vain, &family), 0);
    assert_int_equal(fixture_fork(f, ask_as_another_user, &family), 0);
    client_free(client);
}

/* --- the question itself --- */

struct pair {
    int listening;
    int client;
    int accepted;
    struct diag diag;
    struct diag_query query;
};

static uint16_t port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof(address);

    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

static int bind_at(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void pair_connect(struct pair *pair)
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_of(pair->listening));
    assert_int_equal(connect(pair->client, (struct sockaddr *)&address, sizeof(address)), 0);
    pair->accepted = accept(pair->listening, NULL, NULL);
    assert_true(pair->accepted >= 0);
}

static void pair_init(struct pair *pair)
{
    diag_init(&pair->diag);
    pair->listening = bind_at(0);
    assert_int_equal(listen(pair->listening, 8), 0);
    assert_int_equal(diag_open(&pair->diag, pair->listening), 0);
    pair->client = bind_at(0);
    pair_connect(pair);
    assert_int_equal(diag_query_init(&pair->query, pair->accepted), 0);
}

static void pair_fini(struct pair *pair)
{
    (void)close(pair->listening);
    (void)close(pair->accepted);
    if (pair->client >= 0) {
        (void)close(pair->client);
    }
    diag_fini(&pair->diag);
}

/* The client's socket is gone at once, without a trace. */
static uint16_t pair_reset(struct pair *pair)
{
    struct linger now = {.l_onoff = 1};
    uint16_t port = port_of(pair->client);

    assert_int_equal(setsockopt(pair->client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    (void)close(pair->client);
    pair->client = -1;
    return port;
}

static int pair_ask(struct pair *pair, struct diag_owner *ret_owner)
{
    *ret_owner = (struct diag_owner){.uid = ENV_NO_ID};
    return diag_look_up(&pair->diag, &pair->query, ret_owner);
}

static void test_a_later_socket_with_the_same_addresses_is_not_the_client(void **state)
{
    struct diag_owner owner;
    struct pair pair;
    uint16_t port;

    (void)state;
    pair_init(&pair);
    assert_int_equal(pair_ask(&pair, &owner), 0);
    assert_int_equal(owner.uid, geteuid());
    assert_int_not_equal(owner.inode, 0);
    port = pair_reset(&pair);
    assert_int_equal(pair_ask(&pair, &owner), ERR_GONE);
    pair.client = bind_at(port);
    (void)close(pair.accepted);
    pair_connect(&pair);
    assert_int_equal(pair_ask(&pair, &owner), ERR_GONE);
    assert_int_equal(owner.uid, ENV_NO_ID);
    pair_fini(&pair);
}

static void test_who_listens_at_the_clients_address_is_not_the_client(void **state)
{
    struct diag_owner owner;
    struct pair pair;
    int fd;

    (void)state;
    pair_init(&pair);
    fd = bind_at(pair_reset(&pair));
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(pair_ask(&pair, &owner), ERR_GONE);
    assert_int_equal(owner.uid, ENV_NO_ID);
    (void)close(fd);
    pair_fini(&pair);
}

static void test_a_closed_socket_is_owned_by_nobody(void **state)
{
    struct diag_owner owner;
    struct pair pair;

    (void)state;
    pair_init(&pair);
    (void)close(pair.client);
    pair.client = -1;
    assert_int_equal(pair_ask(&pair, &owner), 0);
    assert_int_equal(owner.inode, 0);
    pair_fini(&pair);
}

static void test_a_broken_connection_has_no_other_end(void **state)
{
    struct pair pair;

    (void)state;
    pair_init(&pair);
    (void)pair_reset(&pair);
    assert_int_equal(diag_query_init(&pair.query, pair.accepted), ERR_GONE);
    pair_fini(&pair);
}

static void test_looking_up_allocates_nothing(void **state)
{
    struct diag_owner owner;
    struct pair pair;
    size_t before = mem_in_use_bytes();
    int i;

    (void)state;
    pair_init(&pair);
    for (i = 0; i < 1000; i++) {
        assert_int_equal(pair_ask(&pair, &owner), 0);
    }
    assert_int_equal(mem_in_use_bytes(), before);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_an_ordinary_caller_is_known_by_its_uid_alone),
        TEST(test_another_user_is_known),
        TEST(test_ipv6_callers_are_known),
        TEST(test_ipv4_callers_in_ipv6_clothes_are_known),
        TEST(test_the_overflow_uid_is_nobody_in_particular),
        TEST(test_a_kernel_that_tells_nothing_leaves_callers_unknown),
        TEST(test_the_user_database_says_a_users_groups),
        TEST(test_who_sends_and_goes_before_it_is_accepted_is_not_root),
        TEST(test_who_sends_and_goes_before_its_request_is_judged_is_denied),
        TEST(test_a_socket_that_is_given_away_is_another_caller),
        TEST(test_another_user_has_connections_of_its_own),
        cmocka_unit_test(test_a_later_socket_with_the_same_addresses_is_not_the_client),
        cmocka_unit_test(test_who_listens_at_the_clients_address_is_not_the_client),
        cmocka_unit_test(test_a_closed_socket_is_owned_by_nobody),
        cmocka_unit_test(test_a_broken_connection_has_no_other_end),
        cmocka_unit_test(test_looking_up_allocates_nothing),
    };

    return cmocka_run_group_tests_name("peer loopback", tests, NULL, NULL);
}
