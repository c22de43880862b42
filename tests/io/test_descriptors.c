/* How many descriptors the process may have, and who gets how many connections of them. */
#include "server_fixture.h"

#include "io/descriptors.h"
#include "io/io_internal.h"

#include <stdlib.h>
#include <sys/resource.h>

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

static struct rlimit limit_before;

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit_before), 0);
    fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit_before), 0);
    return 0;
}

static void set_soft_limit(rlim_t count)
{
    struct rlimit limit = {.rlim_cur = count, .rlim_max = limit_before.rlim_max};

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static rlim_t soft_limit(void)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur;
}

static void test_the_soft_limit_is_raised_to_what_is_needed(void **state)
{
    struct fixture *f = *state;
    struct io_descriptors had;

    set_soft_limit(64);
    io_descriptors_provide(f->io, 100, &had);
    assert_int_equal(had.limit, soft_limit());
    if (had.needed <= limit_before.rlim_max) {
        assert_int_equal(had.limit, had.needed);
        assert_int_equal(had.clients, 100);
    } else {
        assert_int_equal(had.limit, limit_before.rlim_max);
    }
    /* It is never lowered. */
    io_descriptors_provide(f->io, 1, &had);
    assert_int_equal(had.clients, 1);
    assert_true(had.limit >= had.needed || had.limit == limit_before.rlim_max);
    assert_int_equal(had.limit, soft_limit());
}

/* 0 when it can. In a process of its own, since the hard limit can't be raised again. */
static int provide_with_few(struct fixture *f, void *user)
{
    const struct rlimit few = {.rlim_cur = 100, .rlim_max = 256};
    struct io_descriptors had;

    (void)user;
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) {
        return 1;
    }
    io_descriptors_provide(f->io, 1024, &had);
    return had.limit == 256 && had.needed > 2048 && had.clients >= 64 && had.clients <= 112 ? 0 : 2;
}

static void test_what_the_hard_limit_has_no_room_for_is_told(void **state)
{
    if (is_under_valgrind()) {
        skip(); /* it counts descriptors its own way */
    }
    assert_int_equal(fixture_fork(*state, provide_with_few, NULL), 0);
}

static void test_where_connections_are_few_one_user_gets_a_quarter(void **state)
{
    struct fixture *f = *state;
    struct client *clients[4];
    size_t i;

    f->io->connections_max = 12;
    fixture_listen(f);
    for (i = 0; i < 4; i++) {
        clients[i] = client_new(f);
        client_send(f, clients[i], GET);
        assert_int_equal(client_reply(f, clients[i], NULL), i < 3 ? 200 : 503);
    }
    for (i = 0; i < 4; i++) {
        client_free(clients[i]);
    }
}

static void test_where_there_are_enough_the_configured_share_holds(void **state)
{
    struct fixture *f = *state;
    struct client *clients[4];
    size_t i;

    f->io->connections_max = 12;
    f->options.limits.connections = 12;
    f->options.limits.connections_per_uid = 12;
    fixture_listen(f);
    for (i = 0; i < 4; i++) {
        clients[i] = client_new(f);
        client_send(f, clients[i], GET);
        assert_int_equal(client_reply(f, clients[i], NULL), 200);
    }
    for (i = 0; i < 4; i++) {
        client_free(clients[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_the_soft_limit_is_raised_to_what_is_needed),
        TEST(test_what_the_hard_limit_has_no_room_for_is_told),
        TEST(test_where_connections_are_few_one_user_gets_a_quarter),
        TEST(test_where_there_are_enough_the_configured_share_holds),
    };

    return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
