/* Memory and the HTTP client: no allocation that fails brings it down, and no secret stays behind.
 * curl, jansson and OpenSSL use our allocator here, as in the daemon. */
#include "io/http_call.h"

#include "base/mem.h"
#include "io/alloc.h"
#include "io/child.h"
#include "io/http_ca.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

static size_t allocation_count;
static size_t failing_allocation; /* counted from 1 */
static bool is_failing_on;        /* and all that follow */
static bool has_failed;

static int fail_one(size_t size)
{
    bool is_hit;

    (void)size;
    allocation_count++;
    is_hit = allocation_count == failing_allocation ||
             (is_failing_on && allocation_count > failing_allocation);
    has_failed |= is_hit;
    return is_hit ? 1 : 0;
}

/* One exchange with the n-th allocation failing. */
static void run_failing(struct loop *loop, struct peer *peer, size_t n, bool and_all_later)
{
    const struct env_http_header header = {STR("X-Vault-Token"), STR("s.secret")};
    uint64_t start_ms = env_now_ms(loop->env);
    struct err e;
    struct call call;
    int rc;

    call_init(&call, peer, "/v1/x");
    call.http.method = "POST";
    call.http.body = STR("{\"a\":1}");
    call.http.headers = &header;
    call.http.header_count = 1;
    call.http.flags = ENV_HTTP_CREATES;
    allocation_count = 0;
    failing_allocation = n;
    is_failing_on = and_all_later;
    has_failed = false;
    mem_set_fail_hook(fail_one);
    rc = env_http_start(loop->env, &call.http, &e);
    if (rc == 0) {
        loop_until(loop, &call.is_done);
        rc = call.status;
    }
    mem_set_fail_hook(NULL);
    loop_turns(loop, 2);
    assert_true(call.runs <= 1);
    assert_true(rc == 0 || rc == ERR_NOMEM || rc == ERR_LOST || rc == ERR_CONNECT);
    if (rc != 0) {
        assert_true(has_failed);
    }
    /* It is told when it happens, not when the time is up. */
    assert_true(env_now_ms(loop->env) - start_ms < call.http.timeout_ms / 2);
}

static void test_an_exchange_survives_any_allocation_that_fails(void **state)
{
    struct loop *loop = *state;
    const struct peer_options options = {.script = peer_script_ok};

    for (int and_all_later = 0; and_all_later < 2; and_all_later++) {
        size_t n = 1;
        /* Peers take a limited number of connections, so each batch has its own. */
        struct peer *peer = peer_new(&options);

        do {
            struct call call;

            if (n % 40 == 0) {
                peer_free(peer);
                peer = peer_new(&options);
            }
            run_failing(loop, peer, n, and_all_later != 0);
            n++;
            call_init(&call, peer, "/");
            call.http.flags = ENV_HTTP_CREATES;
            assert_int_equal(call_run(loop, &call), 0);
            has_failed = has_failed && n < 5000;
        } while (has_failed);
        assert_true(n > 20 && n < 5000);
        peer_free(peer);
    }
}

static void test_a_loop_survives_any_allocation_that_fails_while_it_is_made(void **state)
{
    size_t n = 1;

    (void)state;
    do {
        struct io *io = NULL;
        struct err e;
        int rc;

        allocation_count = 0;
        failing_allocation = n++;
        is_failing_on = false;
        has_failed = false;
        mem_set_fail_hook(fail_one);
        rc = io_new(&io, &e);
        mem_set_fail_hook(NULL);
        assert_true(rc == 0 || (rc == ERR_NOMEM && has_failed));
        if (rc == 0) {
            assert_int_equal(io_close(io), 0);
        }
    } while (has_failed);
    assert_true(n > 2);
}

#define MARKER_LEN 24U

/* How often the marker stands in the writable memory of this process, its stack aside. */
static unsigned count_in_memory(const char marker[MARKER_LEN])
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned count = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        char *end;
        unsigned long from = strtoul(line, &end, 16);
        unsigned long to = *end == '-' ? strtoul(end + 1, &end, 16) : 0;
        const char *at = (const char *)(uintptr_t)from;

        if (strncmp(end, " rw", 3) != 0 || strstr(line, "[stack]") != NULL) {
            continue;
        }
        while ((at = memmem(at, to - (uintptr_t)at, marker, MARKER_LEN)) != NULL) {
            count++;
            at++;
        }
    }
    (void)fclose(maps);
    return count;
}

/* Answers with the password "p" + the token's characters, so that both can be looked for. */
static void script_creds(struct peer_conn *conn)
{
    char request[PEER_REQUEST_MAX_BYTES];
    char body[128];

    while (peer_read_request(conn)) {
        const char *token;

        peer_last_request(conn->peer, request);
        token = strstr(request, "X-Vault-Token: ");
        (void)snprintf(body, sizeof(body), "{\"data\":{\"password\":\"p%.*s\"}}", (int)MARKER_LEN,
                       token != NULL ? token + 15 : "");
        (void)peer_reply(conn, 200, body);
    }
}

/* The peer in a process of its own, so that its copies aren't ours. */
static pid_t fork_peer(SSL_CTX *tls, uint16_t *ret_port)
{
    const struct peer_options options = {.script = script_creds, .tls = tls};
    int ends[2];
    uint16_t port = 0;
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct peer *peer = peer_new(&options);

        port = peer_port(peer);
        if (write(ends[1], &port, sizeof(port)) != (ssize_t)sizeof(port)) {
            _exit(1);
        }
        (void)pause();
        _exit(0);
    }
    assert_int_equal(read(ends[0], &port, sizeof(port)), sizeof(port));
    (void)close(ends[0]);
    (void)close(ends[1]);
    *ret_port = port;
    return pid;
}

static void get_credential(struct loop *loop, const struct env_http_tls *tls, uint16_t port,
                           const char token[MARKER_LEN + 1])
{
    struct env_http_header header = {STR("X-Vault-Token"), str_of(token)};
    struct call call;
    json_t *root;

    call_init(&call, NULL, NULL);
    (void)snprintf(call.url, sizeof(call.url), "http%s://127.0.0.1:%u/v1/creds",
                   tls != NULL ? "s" : "", (unsigned)port);
    call.http.url = call.url;
    call.http.tls = tls;
    call.http.flags = ENV_HTTP_CREATES | ENV_HTTP_REPEATABLE; /* its connection stays open */
    call.http.headers = &header;
    call.http.header_count = 1;
    assert_int_equal(call_run(loop, &call), 0);
    root = json_loads(call.body, 0, NULL);
    assert_non_null(root);
    assert_memory_equal(
        json_string_value(json_object_get(json_object_get(root, "data"), "password")) + 1, token,
        MARKER_LEN);
    json_decref(root);
    mem_wipe(&call, sizeof(call));
}

static void assert_nothing_stays(struct loop *loop, struct http_ca *ca)
{
    static const char hex[] = "0123456789abcdef";
    const struct env_http_tls *tls = ca != NULL ? http_ca_client(ca) : NULL;
    unsigned char random[MARKER_LEN];
    char token[MARKER_LEN + 1] = {0};
    uint16_t port;
    pid_t pid;
    void *copy;

    pid = fork_peer(ca != NULL ? http_ca_server(ca, "localhost", 0) : NULL, &port);
    env_random(loop->env, random, sizeof(random));
    for (size_t i = 0; i < MARKER_LEN; i++) {
        token[i] = hex[random[i] & 15U];
    }
    copy = mem_strdup(token);
    assert_non_null(copy);
    assert_int_equal(count_in_memory(token), 1); /* It would be found. */
    mem_free(copy);
    for (int i = 0; i < 5; i++) {
        get_credential(loop, tls, port, token);
    }
    assert_int_equal(count_in_memory(token), 0);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static void skip_where_memory_is_strange(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* The sanitizer's shadow is too large to be searched. */
#endif
    if (is_under_valgrind()) {
        skip(); /* valgrind keeps its own notes in our memory. */
    }
}

static void test_neither_token_nor_password_stays_in_the_heap(void **state)
{
    skip_where_memory_is_strange();
    assert_nothing_stays(*state, NULL);
}

/* OpenSSL keeps for good what its first connection makes it allocate: the loop is its own. */
static void test_neither_stays_with_a_kept_tls_connection(void **state)
{
    struct loop loop = {.io = NULL};
    struct http_ca *ca;

    (void)state;
    skip_where_memory_is_strange();
    ca = http_ca_new();
    assert_int_equal(io_new(&loop.io, NULL), 0);
    loop.env = io_env(loop.io);
    assert_nothing_stays(&loop, ca);
    assert_int_equal(io_close(loop.io), 0);
    http_ca_free(ca);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_neither_token_nor_password_stays_in_the_heap),
        cmocka_unit_test(test_neither_stays_with_a_kept_tls_connection),
        LOOP_TEST(test_an_exchange_survives_any_allocation_that_fails),
        cmocka_unit_test(test_a_loop_survives_any_allocation_that_fails_while_it_is_made),
    };

    struct io *io;

    /* OpenSSL keeps for good what the first loop makes it allocate. */
    if (io_use_allocator() != 0 || io_new(&io, NULL) != 0 || io_close(io) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
