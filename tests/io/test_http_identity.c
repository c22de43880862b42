/* Who the issuer is and who we are to it: weak proofs are refused, and no exchange goes out under
 * another backend's certificate, however many there are at once. */
#include "io/http2_peer.h"
#include "io/http_call.h"
#include "support/slowdown.h"

#include <stdio.h>
#include <string.h>

#define ROUNDS 1000U
#define AT_ONCE 8U

static struct http_ca *ca;

static void test_weak_proofs_are_not_believed(void **state)
{
    static const unsigned flags[] = {HTTP_CA_WEAK_KEY, HTTP_CA_WEAK_HASH, HTTP_CA_SELF_SIGNED,
                                     HTTP_CA_EXPIRED, HTTP_CA_OLD_TLS};
    const struct env_http_header token = {STR("X-Vault-Token"), STR("s.secret")};
    struct loop *loop = *state;

    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const struct peer_options options = {.script = peer_script_ok,
                                             .tls = http_ca_server(ca, "localhost", flags[i])};
        struct peer *peer = peer_new(&options);
        struct call call;

        call_init(&call, peer, "/v1/x");
        call.http.tls = http_ca_client(ca);
        call.http.headers = &token;
        call.http.header_count = 1;
        assert_int_equal(call_run(loop, &call), ERR_TLS);
        assert_int_equal(peer_request_count(peer), 0);
        assert_null(strstr(call.detail, "s.secret"));
        peer_free(peer);
    }
}

/* --- two backends at one server --- */

struct visitor {
    const char *name;
    struct env_http_tls tls;
    uint32_t flags;
    struct call call;
    unsigned count;
};

/* Answers with the name in the certificate. */
static void script_name(struct peer_conn *conn)
{
    char name[64];

    while (peer_read_request(conn) && peer_reply(conn, 200, http_ca_shown_name(conn->tls, name))) {
    }
}

static void visit(struct loop *loop, const struct peer *peer, struct visitor *visitor)
{
    call_init(&visitor->call, peer, "/v1/x");
    visitor->call.http.tls = &visitor->tls;
    visitor->call.http.flags = visitor->flags;
    call_start(loop, &visitor->call);
}

static void visit_all(struct loop *loop, const struct peer *peer, struct visitor *visitors,
                      unsigned rounds)
{
    unsigned round;
    size_t i;

    for (round = 0; round < rounds; round++) {
        for (i = 0; i < AT_ONCE; i++) {
            /* Each round in another order, and now and then on a connection of its own. */
            struct visitor *visitor = &visitors[(i * 3 + round) % AT_ONCE];

            visitor->flags = (round + i) % 61 == 0 ? ENV_HTTP_CREATES : 0;
            visit(loop, peer, visitor);
        }
        for (i = 0; i < AT_ONCE; i++) {
            loop_until(loop, &visitors[i].call.is_done);
            assert_int_equal(visitors[i].call.status, 0);
            assert_string_equal(visitors[i].call.body, visitors[i].name);
        }
    }
}

static void name_visitors(struct visitor visitors[AT_ONCE])
{
    static const char *const names[] = {"one.test", "other.test"};
    const char *const files[] = {http_ca_issue(ca, "DNS:one.test", 0),
                                 http_ca_issue(ca, "DNS:other.test", 0)};

    for (size_t i = 0; i < AT_ONCE; i++) {
        visitors[i] = (struct visitor){.name = names[i % 2],
                                       .tls = {.ca_file = http_ca_path(ca),
                                               .cert_file = files[i % 2],
                                               .key_file = files[i % 2]}};
    }
}

static void test_each_backend_shows_its_own_certificate(void **state)
{
    const struct peer_options options = {
        .script = script_name, .tls = http_ca_server(ca, "localhost", HTTP_CA_WANTS_CLIENT)};
    struct loop *loop = *state;
    struct peer *peer = peer_new(&options);
    struct visitor visitors[AT_ONCE];

    name_visitors(visitors);
    /* A hundred connections of their own at most: the peer has threads for 128. */
    visit_all(loop, peer, visitors, slowed(ROUNDS / 2));
    peer_free(peer);
}

/* The same with streams that share connections, but never across certificates. */
static void test_each_backend_shows_its_own_certificate_with_http_2(void **state)
{
    struct loop *loop = *state;
    struct visitor visitors[AT_ONCE];
    struct http2_peer h2;

    http2_peer_start(&h2, ca, "", HTTP_CA_WANTS_CLIENT);
    name_visitors(visitors);
    for (unsigned round = 0; round < slowed(ROUNDS); round++) {
        for (size_t i = 0; i < AT_ONCE; i++) {
            visit(loop, h2.peer, &visitors[(i * 5 + round) % AT_ONCE]);
        }
        for (size_t i = 0; i < AT_ONCE; i++) {
            loop_until(loop, &visitors[i].call.is_done);
            assert_int_equal(visitors[i].call.status, 0);
            assert_string_equal(visitors[i].call.body, visitors[i].name);
        }
    }
    assert_true(h2.connections_2 >= 2);
    assert_int_equal(h2.connections_1, 0);
    http2_peer_stop(&h2);
}

/* --- the group --- */

static int setup_ca(void **state)
{
    (void)state;
    ca = http_ca_new();
    return 0;
}

static int teardown_ca(void **state)
{
    (void)state;
    http_ca_free(ca);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_weak_proofs_are_not_believed),
        TEST(test_each_backend_shows_its_own_certificate),
        TEST(test_each_backend_shows_its_own_certificate_with_http_2),
    };

    return cmocka_run_group_tests(tests, setup_ca, teardown_ca);
}
