/* When a request goes out, and on which connection. */
#include "io/http_call.h"

#include <unistd.h>

static struct peer *plain_peer(peer_script_fn script)
{
    const struct peer_options options = {.script = script};

    return peer_new(&options);
}

/* curl asks to be called after 0 ms for each new transfer. */
static void test_a_request_waits_for_no_timer(void **state)
{
    struct loop *loop = *state;
    struct peer *peer = plain_peer(peer_script_ok);
    struct call call;

    call_init(&call, peer, "/");
    call_start(loop, &call);
    loop_turns(loop, 2); /* which take microseconds */
    /* The loop stands still; the peer's thread may need its time. */
    for (unsigned ms = 0; peer_connection_count(peer) == 0 && ms < LOOP_GUARD_MS; ms++) {
        (void)usleep(1000);
    }
    assert_int_equal(peer_connection_count(peer), 1);
    loop_until(loop, &call.is_done);
    assert_int_equal(call.status, 0);
    peer_free(peer);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_a_request_waits_for_no_timer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
