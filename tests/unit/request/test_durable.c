/* What of requests survives: a daemon that is killed, a disk that fails, memory that is short. */
#include "unit/request/fixture.h"

#include "base/mem.h"
#include "wire/ledger_request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char id[REQUEST_ID_BYTES + 1];

static struct request *remembered(void)
{
    return requests_get(f.requests, str_of(id));
}

static struct request *remember(struct request *request)
{
    (void)snprintf(id, sizeof(id), "%s", fixture_view(request).id);
    return request;
}

static void told(struct request_wait *wait, int status)
{
    (void)wait;
    f.told = status;
}

static void disk_is_back(void)
{
    fake_ledger_run(&f.ledger);
    fake_env_advance(&f.fake, 5 * SECOND_MS);
}

/* --- kill -9 --- */

static void test_nobody_is_told_before_it_is_on_disk(void **state)
{
    const struct request_ask ask = fixture_ask(ALICE, "db", "x");
    struct request_wait wait = {.fn = told};
    struct request *request;

    (void)state;
    f.ledger.is_held = true;
    f.told = 1;
    assert_int_equal(fixture_make(&ask, &request), 0);
    assert_true(request_wait_start(request, &wait));
    fake_env_run(&f.fake);
    assert_int_equal(f.told, 1);
    fixture_kill();
    assert_null(requests_next(f.requests, NULL));
    assert_int_equal(f.told, 1);
}

static void test_the_next_daemon_goes_on(void **state)
{
    struct request *request = remember(fixture_request(ALICE, "db2"));

    (void)state;
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    fixture_kill();
    request = remembered();
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
    assert_int_equal(fixture_say(request, BOB2, REQUEST_APPROVE), 0); /* the same person */
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
    assert_int_equal(fixture_say(request, ALICE, REQUEST_APPROVE), ERR_DENIED);
    assert_int_equal(fixture_say(request, DANA, REQUEST_APPROVE), 0);
    fixture_kill();
    request = remembered();
    assert_int_equal(fixture_state(request), REQUEST_APPROVED);
    assert_int_equal(fixture_view(request).approval_count, 2);
    assert_int_equal(request_use(request, "g-1"), 0);
    fake_env_run(&f.fake);
    fixture_kill();
    assert_int_equal(fixture_state(remembered()), REQUEST_USED);
    assert_string_equal(fixture_view(remembered()).grant, "g-1");
}

static void test_an_approval_that_isnt_on_disk_isnt_one(void **state)
{
    struct request *request = remember(fixture_request(ALICE, "db"));
    const struct request_voice voice = {.verb = REQUEST_APPROVE, .identity = &f.who[BOB]};

    (void)state;
    f.ledger.is_held = true;
    assert_int_equal(request_say(request, &voice, NULL), 0);
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
    assert_int_equal(request_say(request, &voice, NULL), ERR_BUSY);
    fixture_kill();
    assert_int_equal(fixture_state(remembered()), REQUEST_PENDING);
}

static void test_a_use_is_there_with_what_comes_with_it(void **state)
{
    struct request *request = remember(fixture_request(ALICE, "db"));

    (void)state;
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    f.ledger.is_held = true;
    assert_int_equal(request_use(request, "g-1"), 0);
    fixture_kill(); /* neither the grant nor its use */
    assert_int_equal(fixture_state(remembered()), REQUEST_APPROVED);
}

static void test_times_go_on_in_the_same_boot(void **state)
{
    (void)state;
    (void)remember(fixture_request(ALICE, "db"));
    fake_env_advance(&f.fake, 20 * MINUTE_MS);
    fixture_die();
    f.fake.wall_ms -= (int64_t)(5 * HOUR_MS);
    fixture_start();
    fake_env_advance(&f.fake, 9 * MINUTE_MS);
    assert_int_equal(fixture_state(remembered()), REQUEST_PENDING);
    fake_env_advance(&f.fake, 2 * MINUTE_MS);
    assert_int_equal(fixture_state(remembered()), REQUEST_EXPIRED);
}

static void test_a_clock_that_is_set_back_gives_nothing_more_time(void **state)
{
    struct request *request = remember(fixture_request(ALICE, "db2"));

    (void)state;
    f.fake.wall_ms -= (int64_t)(5 * HOUR_MS);
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0); /* and is written again */
    fixture_kill();
    fake_env_advance(&f.fake, 31 * MINUTE_MS);
    assert_int_equal(fixture_state(remembered()), REQUEST_EXPIRED);
}

static void test_nor_does_an_approval_that_is_given_back(void **state)
{
    struct request *request = remember(fixture_request(ALICE, "db"));

    (void)state;
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    f.fake.wall_ms -= (int64_t)(5 * HOUR_MS);
    assert_int_equal(request_use(request, "g-1"), 0);
    fake_env_run(&f.fake);
    fixture_kill();
    request_give_back(remembered(), "g-1");
    assert_int_equal(fixture_state(remembered()), REQUEST_APPROVED);
    fake_env_advance(&f.fake, 16 * MINUTE_MS);
    assert_int_equal(fixture_state(remembered()), REQUEST_EXPIRED);
}

static void test_behind_a_boot_nothing_lives_for_longer(void **state)
{
    (void)state;
    (void)remember(fixture_request(ALICE, "db"));
    fixture_die();
    (void)snprintf(f.fake.boot_id, sizeof(f.fake.boot_id), "another");
    f.fake.wall_ms -= (int64_t)(5 * HOUR_MS); /* its clock is behind */
    fixture_start();
    fake_env_advance(&f.fake, 31 * MINUTE_MS);
    assert_int_equal(fixture_state(remembered()), REQUEST_EXPIRED);
}

static void test_what_ran_out_meanwhile_has_ended(void **state)
{
    (void)state;
    (void)remember(fixture_request(ALICE, "db"));
    fixture_die();
    (void)snprintf(f.fake.boot_id, sizeof(f.fake.boot_id), "another");
    f.fake.wall_ms += (int64_t)HOUR_MS;
    fixture_start();
    fake_env_advance(&f.fake, 0);
    assert_int_equal(fixture_state(remembered()), REQUEST_EXPIRED);
}

/* --- breaking the glass --- */

static void test_broken_glass_is_reviewed(void **state)
{
    struct request *request = remember(fixture_request(ALICE, "glass"));

    (void)state;
    assert_int_equal(fixture_state(request), REQUEST_APPROVED);
    assert_int_equal(requests_review_count(f.requests), 1);
    assert_int_equal(fixture_trail("\"event\":\"request.created\",\"outcome\":\"break-glass\""), 1);
    assert_int_equal(request_use(request, "g-1"), 0);
    fake_env_advance(&f.fake, 50 * HOUR_MS); /* it isn't forgotten */
    fixture_kill();
    request = remembered();
    assert_int_equal(requests_review_count(f.requests), 1);
    assert_int_equal(fixture_say(request, ALICE_ADM, REQUEST_APPROVE), ERR_DENIED);
    assert_int_equal(fixture_say(request, DANA, REQUEST_APPROVE), ERR_DENIED);
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_int_equal(requests_review_count(f.requests), 0);
    assert_int_equal(fixture_view(request).review, REQUEST_REVIEW_APPROVED);
    assert_string_equal(f.ended_grant, "");
}

static void test_a_review_that_denies_ends_the_grant(void **state)
{
    struct request *request = remember(fixture_request(ALICE, "glass"));
    const struct request_voice voice = {.verb = REQUEST_DENY, .identity = &f.who[BOB]};
    struct request_ask ask = fixture_ask(ALICE, "glass", NULL);

    (void)state;
    assert_int_equal(request_use(request, "g-1"), 0);
    f.live_grant = "g-1";
    assert_ptr_equal(requests_find(f.requests, &ask), request);
    assert_int_equal(request_say(request, &voice, NULL), 0);
    assert_string_equal(f.ended_grant, "g-1"); /* at once */
    fake_env_run(&f.fake);
    assert_null(requests_find(f.requests, &ask));
    f.ended_grant[0] = '\0';
    fixture_kill(); /* the word was on disk, what followed of it wasn't */
    assert_string_equal(f.ended_grant, "g-1");
    assert_int_equal(fixture_view(remembered()).review, REQUEST_REVIEW_DENIED);
}

/* --- what fails --- */

static void test_what_the_ledger_doesnt_take_hasnt_happened(void **state)
{
    const struct request_ask ask = fixture_ask(ALICE, "db", "x");
    struct request *request = NULL;

    (void)state;
    f.ledger.put_status = ERR_LIMIT;
    assert_int_equal(fixture_make(&ask, &request), ERR_IO);
    assert_null(requests_next(f.requests, NULL));
    f.ledger.put_status = 0;
    request = fixture_request(ALICE, "db");
    f.ledger.put_status = ERR_NOMEM;
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), ERR_NOMEM);
    assert_int_equal(fixture_say(request, ALICE, REQUEST_WITHDRAW), ERR_NOMEM);
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
    f.ledger.put_status = 0;
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    f.ledger.put_status = ERR_NOMEM;
    assert_int_equal(request_use(request, "g-1"), ERR_NOMEM);
    assert_int_equal(fixture_state(request), REQUEST_APPROVED);
    f.ledger.put_status = 0;
    assert_int_equal(request_use(request, "g-1"), 0);
}

static void test_what_isnt_committed_hasnt_happened(void **state)
{
    const struct request_ask ask = fixture_ask(ALICE, "db", "x");
    struct request_wait wait = {.fn = told};
    struct request *request = NULL;

    (void)state;
    f.told = 1;
    f.ledger.fail_status = -ENOSPC;
    assert_int_equal(fixture_make(&ask, &request), 0);
    assert_true(request_wait_start(request, &wait));
    fake_env_advance(&f.fake, 5 * SECOND_MS);
    assert_true(f.told < 0);
    assert_null(requests_next(f.requests, NULL));
    f.ledger.fail_status = 0;
    disk_is_back();
    assert_int_equal(fake_ledger_count(&f.ledger, ENV_LEDGER_REQUEST), 0);

    request = remember(fixture_request(ALICE, "db"));
    f.ledger.fail_status = -ENOSPC;
    assert_true(fixture_say(request, BOB, REQUEST_APPROVE) < 0);
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
    assert_int_equal(fixture_view(request).approval_count, 0);
    f.ledger.fail_status = 0;
    disk_is_back();
    fixture_kill(); /* what was put behind it counts */
    request = remembered();
    assert_int_equal(fixture_state(request), REQUEST_PENDING);
    assert_int_equal(fixture_say(request, BOB, REQUEST_APPROVE), 0);
    assert_int_equal(fixture_state(request), REQUEST_APPROVED);
}

static void test_time_passes_while_the_disk_is_full(void **state)
{
    struct request *request = fixture_request(ALICE, "db");

    (void)state;
    f.ledger.fail_status = -ENOSPC;
    fake_env_advance(&f.fake, 31 * MINUTE_MS);
    assert_int_equal(fixture_state(request), REQUEST_EXPIRED);
    f.ledger.fail_status = 0;
    disk_is_back();
}

static int countdown;

static int fail_one(size_t size)
{
    (void)size;
    return countdown-- == 0;
}

static void test_short_memory_leaves_nothing_behind(void **state)
{
    const struct request_ask ask = fixture_ask(ALICE, "db", "x");
    struct request *request = NULL;
    int r = ERR_NOMEM;
    int i;

    (void)state;
    for (i = 0; r != 0 && i < 100; i++) {
        countdown = i;
        mem_set_fail_hook(fail_one);
        r = fixture_make(&ask, &request);
        mem_set_fail_hook(NULL);
        fake_env_advance(&f.fake, 5 * SECOND_MS);
    }
    assert_int_equal(r, 0);
    r = ERR_NOMEM;
    for (i = 0; r != 0 && i < 100; i++) {
        const struct request_voice voice = {.verb = REQUEST_APPROVE, .identity = &f.who[BOB]};

        countdown = i;
        mem_set_fail_hook(fail_one);
        r = request_say(request, &voice, NULL);
        mem_set_fail_hook(NULL);
        fake_env_advance(&f.fake, 5 * SECOND_MS);
    }
    assert_int_equal(r, 0);
    assert_int_equal(fixture_state(request), REQUEST_APPROVED);
}

static void test_a_record_of_something_else_is_refused(void **state)
{
    struct err e = {.code = 0};

    (void)state;
    assert_int_equal(requests_recover(f.requests, STR("q-1"), STR("nonsense"), &e), ERR_INVALID);
    assert_true(e.text[0] != '\0');
    assert_null(requests_next(f.requests, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_nobody_is_told_before_it_is_on_disk),
        fixture_test(test_the_next_daemon_goes_on),
        fixture_test(test_an_approval_that_isnt_on_disk_isnt_one),
        fixture_test(test_a_use_is_there_with_what_comes_with_it),
        fixture_test(test_times_go_on_in_the_same_boot),
        fixture_test(test_a_clock_that_is_set_back_gives_nothing_more_time),
        fixture_test(test_nor_does_an_approval_that_is_given_back),
        fixture_test(test_behind_a_boot_nothing_lives_for_longer),
        fixture_test(test_what_ran_out_meanwhile_has_ended),
        fixture_test(test_broken_glass_is_reviewed),
        fixture_test(test_a_review_that_denies_ends_the_grant),
        fixture_test(test_what_the_ledger_doesnt_take_hasnt_happened),
        fixture_test(test_what_isnt_committed_hasnt_happened),
        fixture_test(test_time_passes_while_the_disk_is_full),
        fixture_test(test_short_memory_leaves_nothing_behind),
        fixture_test(test_a_record_of_something_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
