/* Who still gets a connection when most are taken, and that refusals are counted and told. */
#include "server_fixture.h"

#include "base/log.h"
#include "env/usage.h"
#include "io/io_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define CLIENTS_MAX 64

struct lines {
    size_t count;
    char detail[128];
    char number[32];
};

static struct lines lines;

static void copy(char *out, size_t size, struct str text)
{
    assert_true(text.len < size);
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
}

static void keep_line(void *user, enum log_level level, const char *event,
                      const struct log_field *fields, size_t field_count)
{
    size_t i;

    (void)user;
    if (strcmp(event, "listener.clients.full") != 0) {
        return;
    }
    assert_int_equal(level, LOG_LEVEL_WARN);
    lines.count++;
    for (i = 0; i < field_count; i++) {
        if (strcmp(fields[i].key, "detail") == 0) {
            copy(lines.detail, sizeof(lines.detail), fields[i].value);
        } else if (strcmp(fields[i].key, "count") == 0) {
            copy(lines.number, sizeof(lines.number), fields[i].value);
        }
    }
}

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    fixture_init(f);
    lines = (struct lines){0};
    log_set_sink(keep_line, NULL, LOG_LEVEL_WARN);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    fixture_fini(*state);
    free(*state);
    return 0;
}

static uint64_t refused_count(struct fixture *f)
{
    struct env_usage usage;

    env_usage(io_env(f->io), &usage);
    return usage.connections_refused;
}

/* Opens connections and holds those that are served; how many that are. */
static size_t take(struct fixture *f, struct client **clients, size_t count)
{
    size_t served = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        struct client *client = client_new(f);

        client_send(f, client, GET);
        if (client_reply(f, client, NULL) == 200) {
            clients[served++] = client;
        } else {
            client_free(client);
        }
    }
    return served;
}

static void release(struct client **clients, size_t count)
{
    while (count > 0) {
        client_free(clients[--count]);
    }
}

static void expect_taken(struct fixture *f, uint32_t connections, size_t served)
{
    struct client *clients[CLIENTS_MAX];

    f->options.limits.connections = connections;
    f->options.limits.connections_per_uid = CLIENTS_MAX;
    fixture_listen(f);
    assert_int_equal(take(f, clients, connections + 2), served);
    assert_int_equal(refused_count(f), connections + 2 - served);
    release(clients, served);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
}

static void test_of_sixteen_connections_the_last_is_not_for_who_has_many(void **state)
{
    expect_taken(*state, 16, 15);
}

static void test_of_forty_eight_connections_the_last_three_are_not(void **state)
{
    expect_taken(*state, 48, 45);
}

static void test_of_fifteen_connections_one_caller_may_have_all(void **state)
{
    expect_taken(*state, 15, 15);
}

/* 0 when as many of five connections that are held are served as asked for. */
static int newcomer(struct fixture *f, void *user)
{
    struct fixture copy_of_it = *f;
    struct client *clients[5];
    size_t wanted = *(const size_t *)user;
    size_t served = 0;
    size_t i;

    child_drop_rights();
    for (i = 0; i < ARRAY_LEN(clients); i++) {
        char status[13] = "";

        clients[i] = client_new(&copy_of_it);
        (void)fcntl(clients[i]->fd, F_SETFL, 0); /* it waits */
        (void)send(clients[i]->fd, GET, strlen(GET), MSG_NOSIGNAL);
        (void)recv(clients[i]->fd, status, sizeof(status) - 1, MSG_WAITALL);
        served += strcmp(status, "HTTP/1.1 200") == 0;
    }
    return served == wanted ? 0 : 1;
}

static void test_a_newcomer_gets_in_when_others_have_all_that_they_may(void **state)
{
    struct fixture *f = *state;
    struct client *clients[CLIENTS_MAX];
    size_t none = 0;
    size_t few = 4;
    size_t three = 3;

    if (geteuid() != 0) {
        print_message("skipped: becoming another user takes root\n");
        skip();
    }
    f->options.mode = 0666;
    f->options.limits.connections = CLIENTS_MAX;
    f->options.limits.connections_per_uid = CLIENTS_MAX;
    assert_int_equal(chmod(f->dir, 0755), 0);
    fixture_listen(f);
    assert_int_equal(take(f, clients, CLIENTS_MAX), 60);
    assert_int_equal(fixture_fork(f, newcomer, &few), 0);
    /* Who has few gets the last ones, and nobody more than there are. */
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 60);
    f->io->connection_count++;
    assert_int_equal(fixture_fork(f, newcomer, &three), 0);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 60);
    f->io->connection_count += 3;
    assert_int_equal(fixture_fork(f, newcomer, &none), 0);
    f->io->connection_count -= 4;
    release(clients, 60);
}

static void test_refusals_are_counted_and_told_once_in_a_while(void **state)
{
    struct fixture *f = *state;
    struct client *clients[CLIENTS_MAX];

    f->options.limits.connections_per_uid = 2;
    fixture_listen(f);
    assert_int_equal(take(f, clients, 12), 2);
    assert_int_equal(refused_count(f), 10);
    assert_int_equal(lines.count, 1);
    assert_string_equal(lines.number, "1");
    assert_string_equal(lines.detail, "this user has all the connections that one user may have");
    f->io->refusals.quiet_until_ms = 1; /* the minute is over */
    assert_int_equal(take(f, clients + 2, 1), 0);
    assert_int_equal(lines.count, 2);
    assert_string_equal(lines.number, "10"); /* those since the last line */
    release(clients, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_of_sixteen_connections_the_last_is_not_for_who_has_many),
        TEST(test_of_forty_eight_connections_the_last_three_are_not),
        TEST(test_of_fifteen_connections_one_caller_may_have_all),
        TEST(test_a_newcomer_gets_in_when_others_have_all_that_they_may),
        TEST(test_refusals_are_counted_and_told_once_in_a_while),
    };

    return cmocka_run_group_tests_name("server refusals", tests, NULL, NULL);
}
