/* TLS listeners: who gets through the handshake, and whom the daemon then sees. */
#include "http_ca.h"
#include "tls_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define GET "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define NAMES "DNS:CI.example,URI:spiffe://acme/ci/1,email:ci@example.org"

struct world {
    struct fixture f; /* first */
    struct http_ca *ca;
    struct io_listener_tls tls;
};

/* The wall clock: the program's own stands before libc's. */
static long clock_offset_s;

int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    int rc = (int)syscall(SYS_clock_gettime, id, ret_time);

    if (id == CLOCK_REALTIME) {
        ret_time->tv_sec += clock_offset_s;
    }
    return rc;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    fixture_init(&w->f);
    w->ca = http_ca_new();
    w->tls.cert_file = http_ca_issue(w->ca, "DNS:localhost,DNS:*.leased.test,IP:127.0.0.1,IP:::1",
                                     HTTP_CA_FOR_SERVERS);
    w->tls.key_file = w->tls.cert_file;
    w->tls.client_ca_file = http_ca_path(w->ca);
    w->f.options.unix_path = NULL;
    w->f.options.tcp = "127.0.0.1:0";
    w->f.options.tls = &w->tls;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    clock_offset_s = 0;
    fixture_fini(&w->f);
    http_ca_free(w->ca);
    free(w);
    return 0;
}

static void expect_no_connections(struct fixture *f)
{
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
}

/* A client with this certificate gets nowhere. */
static void expect_refused_cert(struct world *w, const char *cert_path)
{
    struct tls_client *client = tls_client_new(&w->f, cert_path);

    assert_int_equal(tls_client_ask(&w->f, client, GET, NULL), 0);
    assert_int_equal(w->f.request_count, 0);
    tls_client_free(client);
    expect_no_connections(&w->f);
}

/* --- who gets in --- */

static void test_a_client_is_known_by_the_names_in_its_certificate(void **state)
{
    struct world *w = *state;
    struct tls_client *client;
    int i;

    fixture_listen(&w->f);
    client = tls_client_new(&w->f, http_ca_issue(w->ca, NAMES, 0));
    w->f.holds = true;
    assert_true(tls_client_send(&w->f, client, GET));
    FIXTURE_UNTIL(&w->f, w->f.held_count == 1);
    assert_int_equal(w->f.peer.kind, ENV_PEER_TLS);
    assert_int_equal(w->f.peer.state, ENV_PEER_OK);
    assert_string_equal(w->f.peer.sans, "spiffe://acme/ci/1 ci.example");
    assert_int_equal(w->f.peer.uid, ENV_NO_ID);
    assert_int_equal(w->f.peer.pid, 0);
    w->f.holds = false;
    fixture_answer(&w->f, 0);
    assert_int_equal(tls_client_reply(&w->f, client, NULL), 200);
    for (i = 0; i < 3; i++) {
        assert_int_equal(tls_client_ask(&w->f, client, GET, NULL), 200);
    }
    assert_string_equal(tls_client_version(client), "TLSv1.3");
    tls_client_free(client);
}

static void test_tls_1_2_is_spoken_too(void **state)
{
    struct world *w = *state;
    struct tls_client *client;

    fixture_listen(&w->f);
    client = tls_client_new(&w->f, http_ca_issue(w->ca, NAMES, 0));
    tls_client_speak_1_2(client);
    assert_int_equal(tls_client_ask(&w->f, client, GET, NULL), 200);
    assert_string_equal(tls_client_version(client), "TLSv1.2");
    tls_client_free(client);
}

static void test_a_malformed_length_gets_one_answer(void **state)
{
    struct world *w = *state;
    struct tls_client *client;
    char *reply = malloc(FIXTURE_REPLY_MAX_BYTES);

    assert_non_null(reply);
    fixture_listen(&w->f);
    client = tls_client_new(&w->f, http_ca_issue(w->ca, NAMES, 0));
    assert_int_equal(
        tls_client_ask(&w->f, client,
                       "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", reply),
        400);
    assert_string_equal(reply + strlen(reply) - 3, "\"}\n");
    assert_null(strstr(reply + 1, "HTTP/1.1"));
    assert_int_equal(tls_client_reply(&w->f, client, NULL), 0);
    assert_int_equal(w->f.request_count, 0);
    tls_client_free(client);
    free(reply);
}

static void test_tls_1_1_is_refused(void **state)
{
    struct world *w = *state;
    struct tls_client *client;

    fixture_listen(&w->f);
    client = tls_client_new(&w->f, http_ca_issue(w->ca, NAMES, 0));
    tls_client_speak_1_1(client);
    assert_int_equal(tls_client_ask(&w->f, client, GET, NULL), 0);
    assert_int_equal(w->f.request_count, 0);
    tls_client_free(client);
}

static void test_without_a_certificate_nobody_gets_in(void **state)
{
    struct world *w = *state;

    fixture_listen(&w->f);
    expect_refused_cert(w, NULL);
}

static void test_certificates_that_are_not_good_are_refused(void **state)
{
    static const struct {
        const char *names;
        unsigned flags;
    } bad[] = {
        {NAMES, HTTP_CA_EXPIRED},
        {NAMES, HTTP_CA_NOT_YET},
        {NAMES, HTTP_CA_FOR_SERVERS},
        {NULL, 0},
        {"email:ci@example.org", 0},
        {"URI:no-scheme", 0},
        {"DNS:two words", 0},
        {"URI:spiffe://acme/a b", 0},
        {"DNS:1.a,DNS:2.a,DNS:3.a,DNS:4.a,DNS:5.a,DNS:6.a,DNS:7.a,DNS:8.a,DNS:9.a", 0},
    };
    struct world *w = *state;
    size_t i;

    fixture_listen(&w->f);
    for (i = 0; i < ARRAY_LEN(bad); i++) {
        expect_refused_cert(w, http_ca_issue(w->ca, bad[i].names, bad[i].flags));
    }
}

static void test_a_name_that_is_too_long_is_refused(void **state)
{
    struct world *w = *state;
    char names[1024];

    fixture_listen(&w->f);
    (void)snprintf(names, sizeof(names), "URI:spiffe://acme/%0300d", 1);
    expect_refused_cert(w, http_ca_issue(w->ca, names, 0));
    (void)snprintf(names, sizeof(names),
                   "URI:spiffe://acme/%0200d,URI:spiffe://acme/%0200d,URI:spiffe://acme/%0200d", 1,
                   2, 3);
    expect_refused_cert(w, http_ca_issue(w->ca, names, 0));
}

static void test_a_certificate_of_another_ca_is_refused(void **state)
{
    struct world *w = *state;
    struct http_ca *other = http_ca_new();

    fixture_listen(&w->f);
    expect_refused_cert(w, http_ca_issue(other, NAMES, 0));
    http_ca_free(other);
}

static void test_plain_http_gets_no_answer(void **state)
{
    struct world *w = *state;
    struct client *client;

    fixture_listen(&w->f);
    client = client_new(&w->f);
    client_send(&w->f, client, GET);
    client_wait_eof(&w->f, client);
    assert_null(memmem(client->bytes, client->len, "HTTP/", 5));
    assert_int_equal(w->f.request_count, 0);
    client_free(client);
}

static void test_a_handshake_has_its_time(void **state)
{
    struct world *w = *state;
    struct client *silent;
    struct client *begun;

    w->f.options.limits.head_timeout_ms = 100;
    fixture_listen(&w->f);
    silent = client_new(&w->f);
    begun = client_new(&w->f);
    client_send_bytes(&w->f, begun, "\x16\x03\x01", 3);
    client_wait_eof(&w->f, silent);
    client_wait_eof(&w->f, begun);
    client_free(silent);
    client_free(begun);
    expect_no_connections(&w->f);
}

static void test_a_certificate_that_expires_ends_its_connection(void **state)
{
    struct world *w = *state;
    struct tls_client *client;

    fixture_listen(&w->f);
    client = tls_client_new(&w->f, http_ca_issue(w->ca, NAMES, 0));
    assert_int_equal(tls_client_ask(&w->f, client, GET, NULL), 200);
    assert_int_equal(w->f.peer.state, ENV_PEER_OK);
    clock_offset_s = 2L * 86400L;
    assert_int_equal(tls_client_ask(&w->f, client, GET, NULL), 200);
    assert_int_equal(w->f.peer.state, ENV_PEER_CHANGED);
    assert_non_null(strstr(w->f.peer.problem, "expired"));
    assert_int_equal(tls_client_ask(&w->f, client, GET, NULL), 0);
    tls_client_free(client);
}

/* --- limits and requests --- */

static void test_an_address_has_a_number_of_connections(void **state)
{
    struct world *w = *state;
    const char *cert = http_ca_issue(w->ca, NAMES, 0);
    struct tls_client *first;
    struct tls_client *second;

    w->f.options.limits.connections_per_address = 1;
    fixture_listen(&w->f);
    first = tls_client_new(&w->f, cert);
    assert_int_equal(tls_client_ask(&w->f, first, GET, NULL), 200);
    second = tls_client_new(&w->f, cert);
    assert_int_equal(tls_client_ask(&w->f, second, GET, NULL), 0);
    tls_client_free(second);
    tls_client_free(first);
    expect_no_connections(&w->f);
}

static void test_clients_name_us_as_our_certificate_does(void **state)
{
    static const struct {
        const char *host;
        int status;
    } cases[] = {
        {"localhost", 200},       {"localhost:9912", 200}, {"a.leased.test:1", 200},
        {"127.0.0.1:9912", 200},  {"[::1]:9912", 200},     {"leased.test", 403},
        {"a.b.leased.test", 403}, {"10.0.0.1", 403},       {"localhost:x", 403},
    };
    struct world *w = *state;
    const char *cert = http_ca_issue(w->ca, NAMES, 0);
    char request[256];
    size_t i;

    fixture_listen(&w->f);
    for (i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_client *client = tls_client_new(&w->f, cert);
        int status;

        (void)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n",
                       cases[i].host);
        status = tls_client_ask(&w->f, client, request, NULL);
        if (status != cases[i].status) {
            fail_msg("%s: %d", cases[i].host, status);
        }
        tls_client_free(client);
    }
}

static void test_a_client_that_goes_while_its_answer_is_pending_is_noticed(void **state)
{
    struct world *w = *state;
    struct tls_client *client;

    w->f.holds = true;
    fixture_listen(&w->f);
    client = tls_client_new(&w->f, http_ca_issue(w->ca, NAMES, 0));
    assert_true(tls_client_send(&w->f, client, GET));
    FIXTURE_UNTIL(&w->f, w->f.held_count == 1);
    fixture_turn(&w->f, -1);
    tls_client_free(client);
    FIXTURE_UNTIL(&w->f, w->f.undelivered_count == 1);
    expect_no_connections(&w->f);
}

static void test_large_answers_and_bodies_get_through(void **state)
{
    struct world *w = *state;
    size_t size = 512U * 1024U;
    char *body = calloc(1, size + 1);
    char *reply = malloc(FIXTURE_REPLY_MAX_BYTES);
    char *request = calloc(1, 64U * 1024U);
    struct tls_client *client;
    int head;

    assert_non_null(body);
    assert_non_null(reply);
    assert_non_null(request);
    memset(body, 'x', size);
    w->f.body = body;
    w->f.body_len = size;
    fixture_listen(&w->f);
    client = tls_client_new(&w->f, http_ca_issue(w->ca, NAMES, 0));
    head = snprintf(request, 1024,
                    "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", 60000);
    memset(request + head, 'y', 60000);
    assert_int_equal(tls_client_ask(&w->f, client, request, reply), 200);
    assert_int_equal(w->f.request_body_len, 60000);
    assert_memory_equal(strstr(reply, "\r\n\r\n") + 4, body, size);
    tls_client_free(client);
    free(request);
    free(reply);
    free(body);
}

static void test_closing_the_listener_ends_handshakes_and_requests(void **state)
{
    struct world *w = *state;
    struct tls_client *client;
    struct client *begun;

    w->f.holds = true;
    fixture_listen(&w->f);
    begun = client_new(&w->f);
    client_send_bytes(&w->f, begun, "\x16\x03\x01", 3);
    client = tls_client_new(&w->f, http_ca_issue(w->ca, NAMES, 0));
    assert_true(tls_client_send(&w->f, client, GET));
    FIXTURE_UNTIL(&w->f, w->f.held_count == 1);
    fixture_close_listener(&w->f);
    assert_int_equal(w->f.undelivered_count, 1);
    tls_client_free(client);
    client_free(begun);
}

/* --- files --- */

static void test_files_that_do_not_serve_are_refused_by_name(void **state)
{
    struct world *w = *state;
    const char *good = w->tls.cert_file;
    const char *other = http_ca_issue(w->ca, "DNS:other", HTTP_CA_FOR_SERVERS);

    w->tls.key_file = other;
    fixture_expect_refused(&w->f, ERR_TLS, "could not use the certificate");
    w->tls.key_file = http_ca_path(w->ca);
    assert_int_equal(chmod(w->tls.key_file, 0600), 0);
    fixture_expect_refused(&w->f, ERR_TLS, "could not use the certificate");
    assert_int_equal(chmod(good, 0644), 0);
    w->tls.key_file = good;
    fixture_expect_refused(&w->f, ERR_DENIED, "accessible to others");
    assert_int_equal(chmod(good, 0600), 0);
    assert_int_equal(chmod(w->tls.client_ca_file, 0666), 0);
    fixture_expect_refused(&w->f, ERR_DENIED, "may be written by others");
    assert_int_equal(chmod(w->tls.client_ca_file, 0644), 0);
    w->tls.client_ca_file = "/dev/null";
    fixture_expect_refused(&w->f, ERR_INVALID, "/dev/null is not a regular file");
    w->tls.client_ca_file = "/nonexistent/ca.pem";
    fixture_expect_refused(&w->f, -ENOENT, "/nonexistent/ca.pem");
    w->tls.client_ca_file = http_ca_path(w->ca);
    w->tls.cert_file = "/nonexistent/cert.pem";
    fixture_expect_refused(&w->f, -ENOENT, "/nonexistent/cert.pem");
}

static void test_a_ca_file_without_a_certificate_is_refused(void **state)
{
    struct world *w = *state;
    char path[96];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/empty.pem", w->f.dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "nothing\n", 8), 8);
    (void)close(fd);
    w->tls.client_ca_file = path;
    fixture_expect_refused(&w->f, ERR_TLS, "could not find a certificate in");
}

static int check_status(struct world *w, const char *part)
{
    struct err e = {0};
    int rc = io_listener_check_tls(&w->tls, &e);

    if (rc != 0 && strstr(e.text, part) == NULL) {
        fail_msg("%s isn't in: %s", part, e.text);
    }
    return rc;
}

static void test_a_check_finds_what_a_start_would_whoever_owns_the_files(void **state)
{
    struct world *w = *state;
    const char *good = w->tls.cert_file;

    assert_int_equal(check_status(w, ""), 0);
    w->tls.key_file = http_ca_issue(w->ca, NAMES, HTTP_CA_FOR_SERVERS);
    assert_int_equal(check_status(w, "could not use the certificate"), ERR_TLS);
    w->tls.cert_file = w->tls.key_file;
    if (geteuid() == 0) {
        assert_int_equal(chown(w->tls.key_file, 65533, 65533), 0);
        assert_int_equal(check_status(w, ""), 0);
    }
    assert_int_equal(chmod(w->tls.key_file, 0644), 0);
    assert_int_equal(check_status(w, "is accessible to others (mode 0644)"), ERR_DENIED);
    w->tls.key_file = good;
    w->tls.cert_file = good;
    w->tls.client_ca_file = "/nonexistent/ca.pem";
    assert_int_equal(check_status(w, "/nonexistent/ca.pem"), -ENOENT);
}

static void test_a_check_finds_a_certificate_that_is_not_in_its_time(void **state)
{
    struct world *w = *state;

    w->tls.cert_file = http_ca_issue(w->ca, NAMES, HTTP_CA_FOR_SERVERS | HTTP_CA_EXPIRED);
    w->tls.key_file = w->tls.cert_file;
    assert_int_equal(check_status(w, "has expired"), ERR_TLS);
    w->tls.cert_file = http_ca_issue(w->ca, NAMES, HTTP_CA_FOR_SERVERS | HTTP_CA_NOT_YET);
    w->tls.key_file = w->tls.cert_file;
    assert_int_equal(check_status(w, "is not valid yet"), ERR_TLS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_client_is_known_by_the_names_in_its_certificate),
        TEST(test_tls_1_2_is_spoken_too),
        TEST(test_a_malformed_length_gets_one_answer),
        TEST(test_tls_1_1_is_refused),
        TEST(test_without_a_certificate_nobody_gets_in),
        TEST(test_certificates_that_are_not_good_are_refused),
        TEST(test_a_name_that_is_too_long_is_refused),
        TEST(test_a_certificate_of_another_ca_is_refused),
        TEST(test_plain_http_gets_no_answer),
        TEST(test_a_handshake_has_its_time),
        TEST(test_a_certificate_that_expires_ends_its_connection),
        TEST(test_an_address_has_a_number_of_connections),
        TEST(test_clients_name_us_as_our_certificate_does),
        TEST(test_a_client_that_goes_while_its_answer_is_pending_is_noticed),
        TEST(test_large_answers_and_bodies_get_through),
        TEST(test_closing_the_listener_ends_handshakes_and_requests),
        TEST(test_files_that_do_not_serve_are_refused_by_name),
        TEST(test_a_ca_file_without_a_certificate_is_refused),
        TEST(test_a_check_finds_what_a_start_would_whoever_owns_the_files),
        TEST(test_a_check_finds_a_certificate_that_is_not_in_its_time),
    };

    return cmocka_run_group_tests_name("listener tls", tests, NULL, NULL);
}
