/* Names: looked up outside of curl, in a thread, so that a dead name server blocks nobody. The
 * program's own getaddrinfo stands in for libc's: it knows a few names, and hangs for "dead.test"
 * like a resolver whose name server doesn't answer, until the test lets it go. */
#include "io/http_call.h"

#include "io/http_internal.h"
#include "io/http_ca.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* What libuv and libcurl would call. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **ret_list);

struct resolver {
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool is_answering; /* for dead.test */
    unsigned hanging;
    unsigned queries; /* for .test names */
    pthread_t loop_thread;
    bool was_on_loop_thread;
};

static struct resolver resolver = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                   .change = PTHREAD_COND_INITIALIZER};

typedef int (*getaddrinfo_fn)(const char *node, const char *service, const struct addrinfo *hints,
                              struct addrinfo **ret_list);

static void hang(void)
{
    resolver.hanging++;
    (void)pthread_cond_broadcast(&resolver.change);
    while (!resolver.is_answering) {
        (void)pthread_cond_wait(&resolver.change, &resolver.lock);
    }
    resolver.hanging--;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_list)
{
    /* ISO C has no cast from an object's address to a function's. */
    union {
        void *object;
        getaddrinfo_fn function;
    } real = {.object = dlsym(RTLD_NEXT, "getaddrinfo")};
    bool is_ours = node != NULL && strstr(node, ".test") != NULL;
    bool is_known = true;

    if (is_ours) {
        (void)pthread_mutex_lock(&resolver.lock);
        resolver.queries++;
        resolver.was_on_loop_thread |= pthread_equal(pthread_self(), resolver.loop_thread) != 0;
        if (strcmp(node, "dead.test") == 0) {
            hang();
        }
        is_known = strcmp(node, "unknown.test") != 0;
        (void)pthread_mutex_unlock(&resolver.lock);
    }
    if (!is_known) {
        return EAI_NONAME;
    }
    return real.function(is_ours ? "127.0.0.1" : node, service, hints, ret_list);
}

static void set_answering(bool is_answering)
{
    (void)pthread_mutex_lock(&resolver.lock);
    resolver.is_answering = is_answering;
    (void)pthread_cond_broadcast(&resolver.change);
    (void)pthread_mutex_unlock(&resolver.lock);
}

static unsigned query_count(void)
{
    unsigned count;

    (void)pthread_mutex_lock(&resolver.lock);
    count = resolver.queries;
    (void)pthread_mutex_unlock(&resolver.lock);
    return count;
}

static void wait_for_hanging(unsigned count)
{
    (void)pthread_mutex_lock(&resolver.lock);
    while (resolver.hanging < count) {
        (void)pthread_cond_wait(&resolver.change, &resolver.lock);
    }
    (void)pthread_mutex_unlock(&resolver.lock);
}

static struct http_ca *ca;

static int names_setup(void **state)
{
    resolver.queries = 0;
    resolver.is_answering = false;
    resolver.was_on_loop_thread = false;
    resolver.loop_thread = pthread_self();
    return loop_setup(state);
}

static int names_teardown(void **state)
{
    set_answering(true);
    return loop_teardown(state);
}

static struct peer *tls_peer(const char *name)
{
    const struct peer_options options = {.script = peer_script_ok,
                                         .tls = http_ca_server(ca, name, 0)};

    return peer_new(&options);
}

/* An https call of this host at the peer's port. */
static void named_call(struct call *call, const struct peer *peer, const char *host)
{
    call_init(call, NULL, NULL);
    (void)snprintf(call->url, sizeof(call->url), "https://%s:%u/x", host,
                   peer != NULL ? (unsigned)peer_port(peer) : 1U);
    call->http.url = call->url;
    call->http.tls = http_ca_client(ca);
}

static void test_a_name_is_looked_up_off_the_loop_once_for_all(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("alive.test");
    struct call calls[10];

    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        named_call(&calls[i], peer, "alive.test");
        calls[i].http.flags = ENV_HTTP_CREATES; /* A connection each. */
        call_start(loop, &calls[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        loop_until(loop, &calls[i].is_done);
        if (calls[i].status != 0) {
            print_error("%s\n", calls[i].detail);
        }
        assert_int_equal(calls[i].status, 0);
    }
    /* Known now; neither we nor curl ask again. */
    named_call(&calls[0], peer, "ALIVE.test");
    calls[0].http.flags = ENV_HTTP_CREATES;
    assert_int_equal(call_run(loop, &calls[0]), 0);
    assert_int_equal(query_count(), 1);
    assert_false(resolver.was_on_loop_thread);
    peer_free(peer);
}

static void test_a_name_with_a_final_dot_is_looked_up_too(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("alive.test");
    struct call call;

    named_call(&call, peer, "alive.test.");
    assert_int_equal(call_run(loop, &call), 0);
    assert_int_equal(query_count(), 1);
    peer_free(peer);
}

static void test_addresses_and_localhost_need_no_look_up(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("localhost");
    struct call call;

    named_call(&call, peer, "localhost");
    assert_int_equal(call_run(loop, &call), 0);
    assert_true(list_is_empty(&loop->io->http->names.entries));
    peer_free(peer);
}

static void test_an_unknown_name_is_no_connection(void **state)
{
    struct loop *loop = *state;
    struct call call;

    named_call(&call, NULL, "unknown.test");
    assert_int_equal(call_run(loop, &call), ERR_CONNECT);
    named_call(&call, NULL, "unknown.test");
    assert_int_equal(call_run(loop, &call), ERR_CONNECT);
    assert_int_equal(query_count(), 2); /* Not remembered: it may come up. */
}

static void test_a_failed_connection_forgets_the_addresses(void **state)
{
    struct loop *loop = *state;
    struct call call;

    named_call(&call, NULL, "alive.test"); /* Nobody listens at port 1. */
    assert_int_equal(call_run(loop, &call), ERR_CONNECT);
    named_call(&call, NULL, "alive.test");
    assert_int_equal(call_run(loop, &call), ERR_CONNECT);
    assert_int_equal(query_count(), 2);
}

static void test_a_dead_name_server_blocks_neither_loop_nor_cancel(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("alive.test");
    struct call dead;
    struct call other;
    uint64_t start_ms;

    named_call(&dead, peer, "dead.test");
    call_start(loop, &dead);
    wait_for_hanging(1);
    named_call(&other, peer, "127.0.0.1");
    assert_int_equal(call_run(loop, &other), 0);
    named_call(&other, peer, "alive.test");
    assert_int_equal(call_run(loop, &other), 0);
    assert_false(dead.is_done);

    start_ms = env_now_ms(loop->env);
    env_http_cancel(loop->env, &dead.http);
    loop_until(loop, &dead.is_done);
    assert_int_equal(dead.status, ERR_CANCELED);
    assert_true(env_now_ms(loop->env) - start_ms < 1000);
    /* The thread hangs still; its late answer must find nobody. */
    set_answering(true);
    peer_free(peer);
}

static void test_a_look_up_that_takes_too_long_is_no_connection(void **state)
{
    struct loop *loop = *state;
    struct call call;

    named_call(&call, NULL, "dead.test");
    call.http.connect_timeout_ms = 100;
    call_start(loop, &call);
    wait_for_hanging(1);
    loop_until(loop, &call.is_done);
    assert_int_equal(call.status, ERR_CONNECT);
    named_call(&call, NULL, "dead.test");
    call.http.timeout_ms = 100;
    assert_int_equal(call_run(loop, &call), ERR_TIMEOUT);
    assert_int_equal(query_count(), 1); /* The second joined the look-up that hangs. */
}

static void test_a_late_answer_serves_who_still_waits(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = tls_peer("dead.test");
    struct call first;
    struct call second;

    named_call(&first, peer, "dead.test");
    named_call(&second, peer, "dead.test");
    call_start(loop, &first);
    call_start(loop, &second);
    wait_for_hanging(1);
    env_http_cancel(loop->env, &first.http);
    loop_until(loop, &first.is_done);
    set_answering(true);
    loop_until(loop, &second.is_done);
    assert_int_equal(first.status, ERR_CANCELED);
    assert_int_equal(second.status, 0);
    assert_int_equal(query_count(), 1);
    peer_free(peer);
}

struct closing_call {
    struct call call;
    bool is_canceled;
};

static void on_closing(struct env_http *http, int status, const struct env_http_reply *reply,
                       const char *detail)
{
    struct closing_call *closing = http->user;

    (void)reply;
    (void)detail;
    closing->is_canceled = status == ERR_CANCELED;
    set_answering(true); /* Until here it hung. */
}

static void test_shutdown_waits_for_a_look_up_in_its_thread_and_is_orderly(void **state)
{
    struct loop *loop = *state;
    struct closing_call closing = {0};

    named_call(&closing.call, NULL, "dead.test");
    closing.call.http.fn = on_closing;
    closing.call.http.user = &closing;
    call_start(loop, &closing.call);
    wait_for_hanging(1);
    assert_int_equal(io_close(loop->io), 0);
    loop->io = NULL;
    assert_true(closing.is_canceled);
}

static void test_remembered_names_are_limited(void **state)
{
    struct loop *loop = *state;

    for (unsigned i = 0; i < HTTP_NAMES_MAX + 10; i++) {
        struct call call;
        char host[64];

        (void)snprintf(host, sizeof(host), "host-%u.test", i);
        named_call(&call, NULL, host);
        assert_int_equal(call_run(loop, &call), ERR_CONNECT);
        assert_true(loop->io->http->names.count <= HTTP_NAMES_MAX);
    }
}

static int group_setup(void **state)
{
    (void)state;
    ca = http_ca_new();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    http_ca_free(ca);
    return 0;
}

#define NAMES_TEST(test) cmocka_unit_test_setup_teardown(test, names_setup, names_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NAMES_TEST(test_a_name_is_looked_up_off_the_loop_once_for_all),
        NAMES_TEST(test_a_name_with_a_final_dot_is_looked_up_too),
        NAMES_TEST(test_addresses_and_localhost_need_no_look_up),
        NAMES_TEST(test_an_unknown_name_is_no_connection),
        NAMES_TEST(test_a_failed_connection_forgets_the_addresses),
        NAMES_TEST(test_a_dead_name_server_blocks_neither_loop_nor_cancel),
        NAMES_TEST(test_a_look_up_that_takes_too_long_is_no_connection),
        NAMES_TEST(test_a_late_answer_serves_who_still_waits),
        NAMES_TEST(test_shutdown_waits_for_a_look_up_in_its_thread_and_is_orderly),
        NAMES_TEST(test_remembered_names_are_limited),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
