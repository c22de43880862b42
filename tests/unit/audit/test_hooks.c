/* Who is told of events: by a webhook or a program, again and again, and what becomes of it. */
#include "audit/hooks.h"
#include "base/mem.h"
#include "env/http.h"
#include "support/fake_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LINE "{\"v\":1,\"event\":\"request.created\"}"
#define SECOND_MS 1000ULL

static struct fake_env fake;
static struct hooks *hooks;
static bool is_closed;
static size_t mem_before;
static char body[256];
static char signature[256];

static const char *const request_events[] = {"request.*"};
static const struct hook_config webhook = {.name = "https://user:pw@chat.example/hook",
                                           .key_source = "file:/key",
                                           .events = request_events,
                                           .event_count = 1};
static const struct hook_config program = {
    .name = "/bin/page#0", .is_program = true, .events = request_events, .event_count = 1};

static int http_start(struct fake_env *env, struct env_http *http)
{
    size_t i;

    (void)env;
    (void)snprintf(body, sizeof(body), "%.*s", STR_ARG(http->body));
    signature[0] = '\0';
    for (i = 0; i < http->header_count; i++) {
        if (str_eq_c(http->headers[i].name, "X-Leased-Signature")) {
            (void)snprintf(signature, sizeof(signature), "%.*s", STR_ARG(http->headers[i].value));
        }
    }
    return 0;
}

static int setup(void **state)
{
    (void)state;
    mem_before = mem_in_use_bytes();
    fake_env_init(&fake, 1000000, 3);
    fake.http_fn = http_start;
    fake_env_add_secret(&fake, "file:/key", "of-the-hook");
    is_closed = false;
    assert_int_equal(hooks_new(&fake.env, &hooks), 0);
    return 0;
}

static void closed(void *user)
{
    (void)user;
    is_closed = true;
}

static void close_hooks(void)
{
    hooks_close(hooks, closed, NULL);
    fake_env_run(&fake);
    assert_true(is_closed);
}

static int teardown(void **state)
{
    (void)state;
    if (!is_closed) {
        close_hooks();
    }
    fake_env_fini(&fake);
    assert_int_equal(mem_in_use_bytes(), mem_before);
    return 0;
}

static void set(const struct hook_config *config)
{
    assert_int_equal(hooks_set(hooks, config, config != NULL ? 1 : 0), 0);
}

static void tell(const char *event)
{
    const struct audit_record record = {.event = event};

    hooks_tell(hooks, &record, STR(LINE "\n"));
    fake_env_run(&fake);
}

static void answer(uint32_t status)
{
    const struct env_http_reply reply = {.status = status};
    struct env_http *http = fake_env_http_first(&fake);

    assert_non_null(http);
    fake_env_http_finish(&fake, http, 0, &reply, "");
    fake_env_run(&fake);
}

static struct hooks_stats stats(void)
{
    struct hooks_stats now;

    hooks_stats(hooks, &now);
    return now;
}

static void test_the_record_is_posted_and_signed(void **state)
{
    char warning[HOOK_TEXT_MAX_BYTES];

    (void)state;
    set(&webhook);
    tell("request.created");
    assert_string_equal(body, LINE);
    /* HMAC-SHA256 of "1767225600." LINE under "of-the-hook" */
    assert_string_equal(signature,
                        "t=1767225600,"
                        "v1=17d6f725a915fb807a9a7c8b68635b827c815037589d4a2a62b0daf6756ef5b6");
    answer(204);
    assert_int_equal(stats().sent_count, 1);
    assert_int_equal(stats().waiting_count, 0);
    assert_true(hooks_warning(hooks, 0, warning));
    assert_string_equal(warning, "");
    assert_false(hooks_warning(hooks, 1, warning));
}

static void test_other_events_are_none_of_its_business(void **state)
{
    (void)state;
    set(&webhook);
    tell("grant.created");
    assert_null(fake_env_http_first(&fake));
}

static void test_they_are_told_one_after_the_other(void **state)
{
    (void)state;
    set(&webhook);
    tell("request.created");
    tell("request.approved");
    assert_int_equal(fake.http_start_count, 1);
    answer(200);
    assert_int_equal(fake.http_start_count, 2);
    answer(200);
    assert_int_equal(stats().sent_count, 2);
}

static void test_what_fails_is_tried_again_and_said(void **state)
{
    char warning[HOOK_TEXT_MAX_BYTES];

    (void)state;
    set(&webhook);
    tell("request.created");
    answer(503);
    assert_null(fake_env_http_first(&fake));
    assert_true(hooks_warning(hooks, 0, warning));
    assert_string_equal(warning, "notify https://chat.example/…: it answered with HTTP status "
                                 "503; 1 events wait, 0 were given up");
    fake_env_advance(&fake, SECOND_MS);
    answer(200);
    assert_true(hooks_warning(hooks, 0, warning));
    assert_string_equal(warning, "");
    assert_int_equal(stats().failed_count, 1);
}

static void test_what_fails_for_ever_is_given_up(void **state)
{
    uint32_t tries = 0;

    (void)state;
    set(&webhook);
    tell("request.created");
    tell("request.denied");
    while (stats().lost_count == 0 && tries++ < 100) {
        answer(500);
        fake_env_advance(&fake, 200 * SECOND_MS);
    }
    assert_int_equal(tries, HOOK_TRIES_MAX);
    answer(200); /* the next one */
    assert_int_equal(stats().sent_count, 1);
}

static void test_too_many_are_lost_and_counted(void **state)
{
    size_t i;

    (void)state;
    set(&webhook);
    for (i = 0; i < HOOK_QUEUE_MAX + 3U; i++) {
        tell("request.created");
    }
    assert_int_equal(stats().waiting_count, HOOK_QUEUE_MAX);
    assert_int_equal(stats().lost_count, 3);
}

static void test_a_key_that_cant_be_read_is_a_failure(void **state)
{
    struct hook_config unkeyed = webhook;

    (void)state;
    unkeyed.key_source = "file:/gone";
    set(&unkeyed);
    tell("request.created");
    assert_null(fake_env_http_first(&fake));
    assert_int_equal(stats().failed_count, 1);
}

static void test_a_program_gets_it_on_its_stdin(void **state)
{
    char input[256] = "";
    struct env_run_end end = {.outcome = ENV_RUN_EXITED, .exit_code = 1};

    (void)state;
    fake.run_input = input;
    set(&program);
    tell("request.created");
    assert_string_equal(fake_env_program_first(&fake)->backend, "notify:/bin/page#0");
    assert_string_equal(fake_env_program_first(&fake)->program, "exec");
    assert_memory_equal(input, LINE, strlen(LINE));
    fake_env_program_finish(&fake, fake_env_program_first(&fake), &end);
    fake_env_run(&fake);
    assert_int_equal(stats().failed_count, 1);
    fake_env_advance(&fake, SECOND_MS);
    end.exit_code = 0;
    fake_env_program_finish(&fake, fake_env_program_first(&fake), &end);
    fake_env_run(&fake);
    assert_int_equal(stats().sent_count, 1);
}

static void test_a_reload_keeps_what_waits_for_those_that_stay(void **state)
{
    (void)state;
    set(&webhook);
    tell("request.created");
    answer(503);
    set(&webhook);
    assert_int_equal(stats().waiting_count, 1);
    fake_env_advance(&fake, SECOND_MS);
    assert_non_null(fake_env_http_first(&fake));
    set(NULL); /* while it is under way */
    fake_env_run(&fake);
    assert_null(fake_env_http_first(&fake));
    tell("request.created");
    assert_int_equal(stats().waiting_count, 0);
}

static void test_the_end_waits_for_what_is_under_way(void **state)
{
    (void)state;
    set(&webhook);
    tell("request.created");
    close_hooks();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_record_is_posted_and_signed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_events_are_none_of_its_business, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_they_are_told_one_after_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_fails_is_tried_again_and_said, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_fails_for_ever_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_are_lost_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_key_that_cant_be_read_is_a_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_program_gets_it_on_its_stdin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reload_keeps_what_waits_for_those_that_stay, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_the_end_waits_for_what_is_under_way, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
