/* A listener that changes while clients are connected: in place, or by a successor that a
 * connection with something hanging on it doesn't notice. */
#include "http_ca.h"
#include "tls_client.h"

#include <stdlib.h>
#include <string.h>

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
#define NAMES "URI:spiffe://acme/ci/1"

struct world {
    struct fixture f; /* first */
    struct http_ca *ca;
    struct http_ca *other;
    struct io_listener_tls tls;
    struct env_connection_watch watch;
    bool has_ended;
    bool is_old_closed;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    fixture_init(&w->f);
    *state = w;
    return 0;
}

static int setup_tls(void **state)
{
    struct world *w;

    (void)setup(state);
    w = *state;
    w->ca = http_ca_new();
    w->other = http_ca_new();
    w->tls.cert_file = http_ca_issue(w->ca, "DNS:localhost", HTTP_CA_FOR_SERVERS);
    w->tls.key_file = w->tls.cert_file;
    w->tls.client_ca_file = http_ca_path(w->ca);
    w->f.options.unix_path = NULL;
    w->f.options.tcp = "127.0.0.1:0";
    w->f.options.tls = &w->tls;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    fixture_fini(&w->f);
    if (w->ca != NULL) {
        http_ca_free(w->ca);
        http_ca_free(w->other);
    }
    free(w);
    return 0;
}

static void ended(struct env_connection_watch *watch)
{
    struct world *w = watch->user;

    w->has_ended = true;
}

/* A client whose connection is watched, with one answer. */
static struct client *watched_client(struct world *w)
{
    struct client *client = client_new(&w->f);

    w->f.holds = true;
    client_send(&w->f, client, GET);
    FIXTURE_UNTIL(&w->f, w->f.held_count == 1);
    w->watch = (struct env_connection_watch){.fn = ended, .user = w};
    env_connection_watch(w->f.held[0], &w->watch);
    w->f.holds = false;
    fixture_answer(&w->f, 0);
    assert_int_equal(client_reply(&w->f, client, NULL), 200);
    return client;
}

static void change(struct world *w)
{
    const struct io_listener_options *options = &w->f.options;
    struct err e = {.text = ""};

    if (io_listener_prepare(w->f.listener, options->tls, &options->limits, &e) != 0) {
        fail_msg("%s", e.text);
    }
    io_listener_apply(w->f.listener);
}

static void on_old_closed(void *user)
{
    struct world *w = user;

    w->is_old_closed = true;
}

static struct io_listener *replace(struct world *w)
{
    struct io_listener *old = w->f.listener;

    w->f.options.predecessor = old;
    fixture_listen(&w->f);
    w->f.options.predecessor = NULL;
    io_listener_retire(old, w->f.listener);
    return old;
}

static void expect_answer(struct world *w, struct client *client, const char *request, int status)
{
    client_send(&w->f, client, request);
    assert_int_equal(client_reply(&w->f, client, NULL), status);
}

static void test_new_limits_are_for_open_connections_too(void **state)
{
    struct world *w = *state;
    struct client *client;
    struct client *idle;

    w->f.options.limits.body_max_bytes = 4;
    fixture_listen(&w->f);
    client = client_new(&w->f);
    idle = client_new(&w->f);
    expect_answer(w, client, GET, 200);
    expect_answer(w, idle, GET, 200);
    w->f.options.limits.body_max_bytes = 1024;
    change(w);
    expect_answer(w, client, POST, 200);
    w->f.options.limits.idle_timeout_ms = 100;
    change(w);
    client_wait_eof(&w->f, idle);
    client_free(idle);
    client_free(client);
}

static void test_nothing_changes_before_it_is_applied(void **state)
{
    struct world *w = *state;
    struct client *client;
    struct io_listener_limits limits = {.body_max_bytes = 4};

    fixture_listen(&w->f);
    assert_int_equal(io_listener_prepare(w->f.listener, NULL, &limits, NULL), 0);
    client = client_new(&w->f);
    expect_answer(w, client, POST, 200);
    io_listener_discard(w->f.listener);
    io_listener_apply(w->f.listener);
    expect_answer(w, client, POST, 200);
    client_free(client);
}

static void test_what_a_listener_was_not_opened_for_takes_another(void **state)
{
    struct world *w = *state;
    const struct io_listener_limits more_head = {.head_max_bytes = 16384};
    const struct io_listener_limits more_clients = {.connections = 2000};
    const struct io_listener_limits none = {0};
    const struct io_listener_tls tls = {.cert_file = "/c"};

    fixture_listen(&w->f);
    assert_int_equal(io_listener_prepare(w->f.listener, NULL, &more_head, NULL), ERR_LIMIT);
    assert_int_equal(io_listener_prepare(w->f.listener, NULL, &more_clients, NULL), ERR_LIMIT);
    assert_int_equal(io_listener_prepare(w->f.listener, &tls, &none, NULL), ERR_LIMIT);
}

static void test_a_watched_connection_is_served_on_by_a_retired_listener(void **state)
{
    struct world *w = *state;
    struct io_listener *old;
    struct client *watched;
    struct client *other;
    int i;

    fixture_listen(&w->f);
    watched = watched_client(w);
    other = client_new(&w->f);
    expect_answer(w, other, GET, 200);
    old = replace(w);
    for (i = 0; i < 3; i++) {
        expect_answer(w, watched, GET, 200);
    }
    assert_int_equal(io_listener_shed(old), 1);
    client_wait_eof(&w->f, other);
    expect_answer(w, watched, GET, 200);
    assert_false(w->has_ended);
    client_free(watched);
    client_free(other);
    FIXTURE_UNTIL(&w->f, w->has_ended && io_listener_connection_count(old) == 0);
    io_listener_close(old, on_old_closed, w);
    FIXTURE_UNTIL(&w->f, w->is_old_closed);
}

static void test_what_no_longer_hangs_on_a_connection_keeps_it_no_longer(void **state)
{
    struct world *w = *state;
    struct io_listener *old;
    struct client *client;

    fixture_listen(&w->f);
    client = watched_client(w);
    old = replace(w);
    env_connection_unwatch(&w->watch);
    expect_answer(w, client, GET, 200);
    client_wait_eof(&w->f, client);
    client_free(client);
    io_listener_close(old, on_old_closed, w);
    FIXTURE_UNTIL(&w->f, w->is_old_closed);
}

/* --- TLS --- */

static struct tls_client *tls_connect(struct world *w, struct http_ca *ca, int status)
{
    struct tls_client *client = tls_client_new(&w->f, http_ca_issue(ca, NAMES, 0));

    assert_int_equal(tls_client_ask(&w->f, client, GET, NULL), status);
    return client;
}

static void test_the_same_bytes_are_no_change(void **state)
{
    struct world *w = *state;

    fixture_listen(&w->f);
    assert_int_equal(io_listener_prepare(w->f.listener, &w->tls, &w->f.options.limits, NULL), 0);
    assert_false(io_listener_has_new_tls(w->f.listener));
    w->tls.cert_file = http_ca_issue(w->ca, "DNS:localhost", HTTP_CA_FOR_SERVERS);
    w->tls.key_file = w->tls.cert_file;
    assert_int_equal(io_listener_prepare(w->f.listener, &w->tls, &w->f.options.limits, NULL), 0);
    assert_true(io_listener_has_new_tls(w->f.listener));
}

static void test_a_renewed_certificate_ends_no_connection(void **state)
{
    struct world *w = *state;
    struct tls_client *before;
    struct tls_client *after;

    fixture_listen(&w->f);
    before = tls_connect(w, w->ca, 200);
    w->tls.cert_file = http_ca_issue(w->ca, "DNS:localhost,DNS:new.test", HTTP_CA_FOR_SERVERS);
    w->tls.key_file = w->tls.cert_file;
    change(w);
    assert_int_equal(tls_client_ask(&w->f, before, GET, NULL), 200);
    assert_int_equal(w->f.peer.state, ENV_PEER_OK);
    after = tls_connect(w, w->ca, 200);
    assert_int_equal(tls_client_ask(&w->f, after, "GET / HTTP/1.1\r\nHost: new.test\r\n\r\n", NULL),
                     200);
    assert_int_equal(tls_client_ask(&w->f, before, GET, NULL), 200);
    tls_client_free(before);
    tls_client_free(after);
}

static void test_a_client_of_a_ca_that_is_gone_is_known_no_longer(void **state)
{
    struct world *w = *state;
    struct tls_client *client;

    fixture_listen(&w->f);
    client = tls_connect(w, w->ca, 200);
    w->tls.client_ca_file = http_ca_path(w->other);
    change(w);
    assert_int_equal(tls_client_ask(&w->f, client, GET, NULL), 200);
    assert_int_equal(w->f.peer.state, ENV_PEER_CHANGED);
    assert_int_equal(tls_client_ask(&w->f, client, GET, NULL), 0);
    tls_client_free(client);
    tls_client_free(tls_connect(w, w->ca, 0));
    tls_client_free(tls_connect(w, w->other, 200));
    assert_int_equal(w->f.peer.state, ENV_PEER_OK);
}

static void test_the_ca_of_a_successor_counts_for_the_connections_before(void **state)
{
    struct world *w = *state;
    struct io_listener *old;
    struct tls_client *client;

    fixture_listen(&w->f);
    client = tls_connect(w, w->ca, 200);
    w->tls.client_ca_file = http_ca_path(w->other);
    old = replace(w);
    io_listener_follow(old, w->f.listener);
    assert_int_equal(tls_client_ask(&w->f, client, GET, NULL), 200);
    assert_int_equal(w->f.peer.state, ENV_PEER_CHANGED);
    tls_client_free(client);
    io_listener_close(old, on_old_closed, w);
    FIXTURE_UNTIL(&w->f, w->is_old_closed);
}

static void test_files_that_cannot_be_used_change_nothing(void **state)
{
    struct world *w = *state;
    struct io_listener_tls bad = w->tls;
    struct err e = {.text = ""};

    fixture_listen(&w->f);
    bad.client_ca_file = "/nonexistent/ca.pem";
    assert_int_not_equal(io_listener_prepare(w->f.listener, &bad, &w->f.options.limits, &e), 0);
    assert_non_null(strstr(e.text, "/nonexistent/ca.pem"));
    io_listener_apply(w->f.listener);
    tls_client_free(tls_connect(w, w->ca, 200));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TLS_TEST(name) cmocka_unit_test_setup_teardown(name, setup_tls, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_new_limits_are_for_open_connections_too),
        TEST(test_nothing_changes_before_it_is_applied),
        TEST(test_what_a_listener_was_not_opened_for_takes_another),
        TEST(test_a_watched_connection_is_served_on_by_a_retired_listener),
        TEST(test_what_no_longer_hangs_on_a_connection_keeps_it_no_longer),
        TLS_TEST(test_the_same_bytes_are_no_change),
        TLS_TEST(test_a_renewed_certificate_ends_no_connection),
        TLS_TEST(test_a_client_of_a_ca_that_is_gone_is_known_no_longer),
        TLS_TEST(test_the_ca_of_a_successor_counts_for_the_connections_before),
        TLS_TEST(test_files_that_cannot_be_used_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
