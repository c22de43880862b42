/* GET /clients/…: which role is meant for whom. */
#include "unit/serve/fixture.h"

#include <string.h>

static struct schema_pair git_pairs[] = {{"github.com/acme/*", "db-reason"},
                                         {"github.com/*", "db"},
                                         {"gitlab.com", "db-own"},
                                         {"gone.com", "no-such-role"}};
static struct schema_pair docker_pairs[] = {{"ghcr.io", "db"}, {"quay.io", "db-own"}};
static const struct schema_pairs git = {.items = git_pairs, .count = ARRAY_LEN(git_pairs)};
static const struct schema_pairs docker = {.items = docker_pairs, .count = ARRAY_LEN(docker_pairs)};

static struct call *ask(enum who who, const char *path)
{
    char target[256];

    f.options.clients = (struct serve_clients){.git = &git, .docker = &docker};
    (void)snprintf(target, sizeof(target), API "/clients/%s", path);
    return fixture_call(who, "GET", target, NULL);
}

static void test_the_first_pattern_whose_role_the_caller_may_have_counts(void **state)
{
    struct call *call;

    (void)state;
    call = ask(ALICE, "git?target=github.com%2Facme%2Fapp.git");
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "role"), "db-reason");
    assert_string_equal(call_text(call, "match"), "github.com/acme/*");
    call = ask(BOB, "git?target=github.com%2Facme%2Fapp.git");
    assert_string_equal(call_text(call, "role"), "db");
}

static void test_who_may_nothing_is_sent_to_the_first_which_tells_why(void **state)
{
    struct call *call;

    (void)state;
    call = ask(CAROL, "git?target=github.com%2Facme%2Fapp.git");
    assert_int_equal(call->status, 200);
    assert_string_equal(call_text(call, "role"), "db-reason");
}

static void test_what_no_pattern_fits_is_not_found(void **state)
{
    (void)state;
    assert_int_equal(ask(ALICE, "git?target=evil.com%2Fgithub.com")->status, 404);
    assert_int_equal(ask(ALICE, "docker?target=github.com")->status, 404);
    assert_int_equal(ask(ALICE, "svn?target=github.com")->status, 404);
    assert_int_equal(ask(ALICE, "git?url=github.com")->status, 400);
}

static void test_without_a_target_all_that_the_caller_may_have_are_listed(void **state)
{
    struct call *call;

    (void)state;
    call = ask(BOB, "docker");
    assert_int_equal(call->status, 200);
    assert_int_equal(json_array_size(call_member(call, "items")), 1);
    call = ask(CAROL, "docker");
    assert_int_equal(json_array_size(call_member(call, "items")), 0);
}

static void test_nothing_is_issued_by_asking(void **state)
{
    (void)state;
    (void)ask(ALICE, "git?target=github.com%2Fx");
    assert_int_equal(f.issuer.call_counts[LEASE_CALL_ISSUE], 0);
    assert_int_equal(fixture_records("grant.denied"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_the_first_pattern_whose_role_the_caller_may_have_counts),
        fixture_test(test_who_may_nothing_is_sent_to_the_first_which_tells_why),
        fixture_test(test_what_no_pattern_fits_is_not_found),
        fixture_test(test_without_a_target_all_that_the_caller_may_have_are_listed),
        fixture_test(test_nothing_is_issued_by_asking),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
