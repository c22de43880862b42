/* Answers that are asked for again and again: when one is kept, and until when. */
#include "serve/answers.h"
#include "serve/api.h"

#include "support/fake_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/mem.h"

struct env_answer {
    char body[64];
};

static size_t live_count;
static char sent[64];

static struct env_answer *on_new(const struct env_reply *reply)
{
    struct env_answer *answer = mem_calloc(1, sizeof(*answer));

    assert_true(reply->body.len < sizeof(answer->body));
    memcpy(answer->body, reply->body.ptr, reply->body.len);
    live_count++;
    return answer;
}

static bool on_send(struct env_request *request, struct env_answer *answer)
{
    memcpy(sent, answer->body, sizeof(sent));
    return request->user == NULL; /* else: this connection is to end */
}

static void on_free(struct env_answer *answer)
{
    live_count--;
    mem_free(answer);
}

static const struct env_request_ops ops = {
    .answer_new = on_new,
    .answer_send = on_send,
    .answer_free = on_free,
};

static struct env_request request = {.ops = &ops};

static struct answer_key key_of(const char *grant, uint64_t expires_ms)
{
    struct lease_view lease = {.id = "l-00000000000000000000000000000001",
                               .version = 1,
                               .expires_ms = expires_ms};
    struct answer_key key;

    answer_key_fill(&key, SERVE_API_NATIVE, &lease, grant);
    return key;
}

static const char *const one = "g-00000000000000000000000000000001";

static void give(struct answers *answers, const struct answer_key *key, const char *body)
{
    const struct env_reply reply = {.status = 200, .body = str_of(body)};

    answers_note(answers, key, &request, &reply);
}

struct bench {
    struct fake_env fake;
    struct answers answers;
};

static int setup(void **state)
{
    struct bench *bench = mem_calloc(1, sizeof(*bench));

    fake_env_init(&bench->fake, 1000000, 1);
    answers_init(&bench->answers, &bench->fake.env);
    live_count = 0;
    request.user = NULL;
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    answers_clear(&bench->answers);
    assert_int_equal(live_count, 0);
    fake_env_fini(&bench->fake);
    mem_free(bench);
    return 0;
}

static void test_the_second_answer_within_a_second_is_kept(void **state)
{
    struct bench *bench = *state;
    struct answer_key key = key_of(one, 5);

    assert_false(answers_send(&bench->answers, &key, &request));
    give(&bench->answers, &key, "first");
    assert_int_equal(live_count, 0);
    assert_false(answers_send(&bench->answers, &key, &request));
    give(&bench->answers, &key, "second");
    assert_int_equal(live_count, 1);
    assert_true(answers_send(&bench->answers, &key, &request));
    assert_string_equal(sent, "second");
}

static void test_one_that_is_asked_for_now_and_then_is_not_kept(void **state)
{
    struct bench *bench = *state;
    struct answer_key key = key_of(one, 5);

    for (int i = 0; i < 5; i++) {
        give(&bench->answers, &key, "now and then");
        fake_env_advance(&bench->fake, ANSWERS_KEPT_MS);
    }
    assert_int_equal(live_count, 0);
}

static void test_nothing_is_kept_for_longer_than_a_second(void **state)
{
    struct bench *bench = *state;
    struct answer_key key = key_of(one, 5);

    give(&bench->answers, &key, "old");
    give(&bench->answers, &key, "old");
    for (int i = 0; i < 9; i++) {
        fake_env_advance(&bench->fake, ANSWERS_KEPT_MS / 10);
        assert_true(answers_send(&bench->answers, &key, &request));
    }
    fake_env_advance(&bench->fake, ANSWERS_KEPT_MS / 10);
    assert_false(answers_send(&bench->answers, &key, &request));
    fake_env_advance(&bench->fake, ANSWERS_KEPT_MS);
    assert_int_equal(live_count, 0); /* wiped, though nobody asked again */
}

static void test_another_version_or_life_is_another_answer(void **state)
{
    struct bench *bench = *state;
    struct answer_key key = key_of(one, 5);
    struct answer_key renewed = key_of(one, 6);

    give(&bench->answers, &key, "before");
    give(&bench->answers, &key, "before");
    assert_false(answers_send(&bench->answers, &renewed, &request));
    give(&bench->answers, &renewed, "after");
    assert_int_equal(live_count, 0);
    assert_false(answers_send(&bench->answers, &key, &request));
}

static void test_grants_do_not_share_answers(void **state)
{
    struct bench *bench = *state;
    char ids[200][LEASE_ID_BYTES + 1];

    for (unsigned i = 0; i < 200; i++) {
        struct answer_key key;

        (void)snprintf(ids[i], sizeof(ids[i]), "g-%032x", i * 7919U);
        key = key_of(ids[i], 5);
        assert_false(answers_send(&bench->answers, &key, &request));
        give(&bench->answers, &key, ids[i]);
        give(&bench->answers, &key, ids[i]);
        assert_true(answers_send(&bench->answers, &key, &request));
        assert_string_equal(sent, ids[i]);
        assert_true(live_count <= ANSWERS_MAX);
    }
}

static void test_large_answers_are_not_kept(void **state)
{
    struct bench *bench = *state;
    struct answer_key key = key_of(one, 5);
    static char body[ANSWERS_BODY_MAX_BYTES + 2];

    memset(body, 'x', sizeof(body) - 1);
    give(&bench->answers, &key, body);
    give(&bench->answers, &key, body);
    assert_int_equal(live_count, 0);
}

static void test_a_connection_that_is_to_end_gets_an_answer_of_its_own(void **state)
{
    struct bench *bench = *state;
    struct answer_key key = key_of(one, 5);

    give(&bench->answers, &key, "kept");
    give(&bench->answers, &key, "kept");
    request.user = bench;
    assert_false(answers_send(&bench->answers, &key, &request));
}

static void test_a_change_of_settings_forgets_all(void **state)
{
    struct bench *bench = *state;
    struct answer_key key = key_of(one, 5);

    give(&bench->answers, &key, "kept");
    give(&bench->answers, &key, "kept");
    answers_clear(&bench->answers);
    assert_int_equal(live_count, 0);
    assert_false(answers_send(&bench->answers, &key, &request));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_second_answer_within_a_second_is_kept),
        TEST(test_one_that_is_asked_for_now_and_then_is_not_kept),
        TEST(test_nothing_is_kept_for_longer_than_a_second),
        TEST(test_another_version_or_life_is_another_answer),
        TEST(test_grants_do_not_share_answers),
        TEST(test_large_answers_are_not_kept),
        TEST(test_a_connection_that_is_to_end_gets_an_answer_of_its_own),
        TEST(test_a_change_of_settings_forgets_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
