/* How large the bodies of requests may be, and that only few large ones are taken at once. */
#include "caller.h"
#include "child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static int ask_body_at(struct fixture *f, const char *path, size_t size)
{
    char *request = calloc(1, size + 128);
    int len =
        snprintf(request, 128, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
                 path, size);
    int status;

    memset(request + len, 'b', size);
    status = client_ask(f, request, (size_t)len + size);
    free(request);
    return status;
}

static int ask_body(struct fixture *f, size_t size)
{
    return ask_body_at(f, "/", size);
}

static void test_a_body_has_a_largest_size(void **state)
{
    struct fixture *f = *state;

    fixture_listen(f);
    assert_int_equal(ask_body(f, 65536), 200);
    assert_int_equal(f->request_body_len, 65536);
    assert_int_equal(ask_body(f, 65537), 413);
    assert_int_equal(ask_body(f, 655360), 413);
    assert_int_equal(f->request_count, 1);
}

static void test_only_some_paths_take_large_bodies_and_few_at_once(void **state)
{
    static const char begin[] =
        "POST /large/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n";
    struct fixture *f = *state;
    struct client *clients[IO_LARGE_BODIES_MAX];
    size_t i;

    f->options.limits.large_path = "/large/";
    f->options.limits.large_body_max_bytes = 655360;
    fixture_listen(f);
    assert_int_equal(ask_body_at(f, "/large/x", 655360), 200);
    assert_int_equal(f->request_body_len, 655360);
    assert_int_equal(ask_body_at(f, "/large/x", 655361), 413);
    assert_int_equal(ask_body_at(f, "/large", 65537), 413);
    for (i = 0; i < IO_LARGE_BODIES_MAX; i++) {
        clients[i] = client_new(f);
        client_send(f, clients[i], begin);
    }
    assert_int_equal(ask_body_at(f, "/large/x", 65537), 503);
    assert_int_equal(ask_body_at(f, "/large/x", 65536), 200);
    for (i = 0; i < IO_LARGE_BODIES_MAX; i++) {
        client_free(clients[i]);
    }
    assert_int_equal(ask_body_at(f, "/large/x", 65537), 200);
}

/* The status of a request with a large body by a user of its own. */
static int ask_as_another_user(struct fixture *f)
{
    static const char head[] =
        "POST /large/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n";
    struct client *client = calloc(1, sizeof(*client));
    struct caller caller = caller_start(f, child_drop_rights, NULL);
    char *body = malloc(65537);
    int status;

    client->fd = dup(caller.fd);
    memset(body, 'b', 65537);
    client_send(f, client, head);
    client_send_bytes(f, client, body, 65537);
    status = client_reply(f, client, NULL);
    free(body);
    client_free(client);
    caller_end(&caller);
    (void)close(caller.reports);
    (void)close(caller.fd);
    return status;
}

static void test_who_sends_large_bodies_slowly_keeps_nobody_else_from_it(void **state)
{
    static const char begin[] =
        "POST /large/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n";
    struct fixture *f = *state;
    struct client *clients[IO_LARGE_BODIES_MAX];
    size_t i;

    need_root();
    assert_int_equal(chmod(f->dir, 0755), 0);
    f->options.mode = 0666;
    f->options.limits.large_path = "/large/";
    fixture_listen(f);
    for (i = 0; i < IO_LARGE_BODIES_MAX; i++) {
        clients[i] = client_new(f);
        client_send(f, clients[i], begin);
    }
    assert_int_equal(ask_body_at(f, "/large/x", 65537), 503);
    assert_int_equal(ask_as_another_user(f), 200);
    for (i = 0; i < IO_LARGE_BODIES_MAX; i++) {
        client_free(clients[i]);
    }
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    assert_int_equal(ask_body_at(f, "/large/x", 65537), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_body_has_a_largest_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_some_paths_take_large_bodies_and_few_at_once,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_who_sends_large_bodies_slowly_keeps_nobody_else_from_it, setup, teardown),
    };

    return cmocka_run_group_tests_name("server bodies", tests, NULL, NULL);
}
