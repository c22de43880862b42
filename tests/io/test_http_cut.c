/* A reply that is cut after each of its bytes, by an orderly end and by a reset: it is lost, or
 * whole, and never something in between. And however much an issuer sends, memory stays flat. */
#include "io/http_call.h"

#include "base/mem.h"
#include "support/slowdown.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS_PER_PEER 100U /* each has a thread */
#define FLOODS 24U
#define GROWTH_MAX_BYTES (2U * 1024U * 1024U)

#define JSON                                                                                       \
    "{\"request_id\":\"2a4f\",\"lease_id\":\"database/creds/orders/x1\",\"renewable\":true,"       \
    "\"lease_duration\":3600,\"data\":{\"password\":\"A1a-secret\",\"username\":\"v-orders\"}}"
#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"

struct cut {
    const char *reply;
    size_t len;
    size_t first; /* how many bytes the peer's first connection lacks; each next `step` more */
    size_t step;
    bool is_reset;
};

static void script_cut(struct peer_conn *conn)
{
    const struct cut *cut = conn->user;

    if (peer_read_request(conn)) {
        (void)peer_write_bytes(conn, cut->reply,
                               cut->len - cut->first - (conn->number - 1) * cut->step);
    }
    if (cut->is_reset) {
        peer_reset(conn);
    }
}

static void check_cut(struct call *call, size_t sent, size_t whole)
{
    assert_int_equal(call->runs, 1);
    if (call->status == 0) {
        /* curl needs no more than the CR of the empty line behind the last chunk. */
        assert_true(sent + 1 >= whole);
        assert_string_equal(call->body, JSON);
        return;
    }
    if (call->status != ERR_LOST) {
        fail_msg("%zu of %zu bytes: %d, %s", sent, whole, call->status, call->detail);
    }
    assert_int_equal(call->body_len, 0);
    assert_null(strstr(call->detail, "secret"));
}

static void run_cuts(struct loop *loop, const char *reply, bool is_reset)
{
    size_t whole = strlen(reply);
    size_t step = slowdown();
    size_t lacking = 0;

    while (lacking <= whole) {
        struct cut cut = {
            .reply = reply, .len = whole, .first = lacking, .step = step, .is_reset = is_reset};
        const struct peer_options options = {.script = script_cut, .user = &cut};
        struct peer *peer = peer_new(&options);

        for (unsigned i = 0; i < CONNECTIONS_PER_PEER && lacking <= whole; i++) {
            struct call call;

            call_init(&call, peer, "/v1/database/creds/orders");
            call.http.flags = ENV_HTTP_CREATES;
            (void)call_run(loop, &call);
            check_cut(&call, whole - lacking, whole);
            lacking += step;
        }
        peer_free(peer);
    }
}

static void test_a_reply_with_a_length_is_whole_or_lost(void **state)
{
    char reply[1024];

    (void)snprintf(reply, sizeof(reply), HEAD "Content-Length: %zu\r\n\r\n" JSON, strlen(JSON));
    run_cuts(*state, reply, false);
    run_cuts(*state, reply, true);
}

static void test_a_reply_in_chunks_is_whole_or_lost(void **state)
{
    char reply[1024];

    (void)snprintf(reply, sizeof(reply),
                   HEAD "Transfer-Encoding: chunked\r\n\r\n10\r\n%.16s\r\n%zx\r\n%s\r\n0\r\n\r\n",
                   JSON, strlen(JSON) - 16, JSON + 16);
    run_cuts(*state, reply, false);
    run_cuts(*state, reply, true);
}

/* --- floods ----------------------------------------------------------------------------------- */

static void script_flood(struct peer_conn *conn)
{
    static const char bytes[65536];
    size_t i;

    if (!peer_read_request(conn)) {
        return;
    }
    /* An announced length, chunks without end, a body that says that it is packed, a body that
     * ends with the connection; more than the loop can take. */
    switch (conn->number % 4) {
    case 0:
        (void)peer_write(conn, HEAD "Content-Length: 4194304\r\n\r\n");
        break;
    case 1:
        (void)peer_write(conn, HEAD "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n");
        break;
    case 2:
        (void)peer_write(conn, HEAD "Content-Encoding: gzip\r\nContent-Length: 209715200\r\n\r\n");
        break;
    default:
        (void)peer_write(conn, HEAD "\r\n");
        break;
    }
    for (i = 0; i < 3200 && peer_write_bytes(conn, bytes, sizeof(bytes)); i++) {
    }
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long all = 0;
    unsigned long resident = 0;
    char line[128] = "";
    char *end;

    assert_non_null(file);
    assert_non_null(fgets(line, sizeof(line), file));
    (void)fclose(file);
    all = strtoul(line, &end, 10);
    resident = strtoul(end, NULL, 10);
    assert_true(all >= resident);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void run_floods(struct loop *loop, unsigned count)
{
    const struct peer_options options = {.script = script_flood};
    struct peer *peer = peer_new(&options);
    unsigned i;

    for (i = 0; i < count; i++) {
        struct call call;

        call_init(&call, peer, "/v1/x");
        call.http.flags = i % 2 == 0 ? ENV_HTTP_CREATES : 0;
        (void)call_run(loop, &call);
        assert_true(call.status == ERR_TOO_LARGE || call.status == ERR_PROTOCOL);
        assert_int_equal(call.body_len, 0);
    }
    peer_free(peer);
}

static void test_memory_stays_flat_however_much_comes(void **state)
{
    struct loop *loop = *state;
    size_t before;
    size_t in_use;

    run_floods(loop, 8); /* what is made once */
    before = resident_bytes();
    in_use = mem_in_use_bytes();
    run_floods(loop, FLOODS);
    if (slowdown() == 1) { /* others measure the sanitizer's memory */
        assert_true(resident_bytes() < before + GROWTH_MAX_BYTES);
    }
    assert_true(mem_in_use_bytes() < in_use + GROWTH_MAX_BYTES / 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_reply_with_a_length_is_whole_or_lost),
        TEST(test_a_reply_in_chunks_is_whole_or_lost),
        TEST(test_memory_stays_flat_however_much_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
