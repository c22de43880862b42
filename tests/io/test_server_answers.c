/* Answers that are sent more than once. */
#include "server_fixture.h"

#include <string.h>

#define GET "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"

static int setup(void **state)
{
    static struct fixture fixture;

    fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    return 0;
}

struct repeater {
    struct env_answer *answer;
    const struct env_request_ops *ops;
    size_t again_count;
};

static void repeat(void *user, struct env_request *request)
{
    struct repeater *repeater = user;
    const struct env_reply reply = {.status = 200,
                                    .content_type = "application/json",
                                    .headers = {{STR("ETag"), STR("\"1\"")}},
                                    .header_count = 1,
                                    .body = STR("{\"again\":true}")};

    repeater->ops = request->ops;
    if (repeater->answer == NULL) {
        repeater->answer = env_answer_new(request, &reply);
    }
    if (env_answer_send(request, repeater->answer)) {
        repeater->again_count++;
    } else {
        env_request_reply(request, &reply);
    }
}

/* A connection that ends with its answer gets one of its own. */
static void test_an_answer_is_sent_again_and_again(void **state)
{
    static char body[FIXTURE_REPLY_MAX_BYTES];
    struct fixture *f = *state;
    struct repeater repeater = {.answer = NULL};
    struct client *client;

    f->options.handler = repeat;
    f->options.handler_user = &repeater;
    fixture_listen(f);
    client = client_new(f);
    for (int i = 0; i < 3; i++) {
        client_send(f, client, GET);
        assert_int_equal(client_reply(f, client, body), 200);
        assert_string_equal(body, "{\"again\":true}");
    }
    assert_int_equal(repeater.again_count, 3);
    client_free(client);
    client = client_new(f);
    client_send(f, client, "GET /x HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert_int_equal(client_reply(f, client, body), 200);
    assert_string_equal(body, "{\"again\":true}");
    assert_int_equal(repeater.again_count, 3);
    client_free(client);
    repeater.ops->answer_free(repeater.answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_answer_is_sent_again_and_again, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
