/* Secret memory that is full: whoever asks is told to come again, nothing moves to the heap for
 * want of it, and what must be revoked is revoked once there is room. */
#include "base/mem.h"
#include "base/secret.h"
#include "unit/serve/fixture.h"

#include <string.h>

#define DB API "/credentials/db"

static bool is_full;
static uint64_t refused_total;

/* The heap stands in for the arena, so that the fixture sees what is left. */
static void *scarce_alloc(size_t size)
{
    refused_total += is_full ? 1 : 0;
    return is_full ? NULL : mem_alloc(size);
}

static bool scarce_owns(const void *block)
{
    (void)block;
    return false;
}

static void scarce_stats(struct secret_stats *ret_stats)
{
    *ret_stats = (struct secret_stats){
        .kind = "mlock", .total_bytes = 4096, .used_bytes = 64, .refused_total = refused_total};
}

static const struct secret_memory scarce = {
    .alloc = scarce_alloc, .free = mem_free, .owns = scarce_owns, .stats = scarce_stats};

static int setup(void **state)
{
    is_full = false;
    refused_total = 0;
    secret_set_memory(&scarce);
    return fixture_setup(state);
}

static int teardown(void **state)
{
    int rc;

    is_full = false;
    rc = fixture_teardown(state);
    secret_set_memory(NULL);
    return rc;
}

static void test_a_read_without_room_is_answered_503_and_works_again_later(void **state)
{
    struct call *first = fixture_get(ALICE, DB);

    (void)state;
    assert_int_equal(first->status, 200);
    is_full = true;
    fixture_expect(fixture_get(ALICE, DB), 503, "busy");
    assert_true(refused_total > 0);
    is_full = false;
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
}

static void test_what_was_issued_without_room_for_it_is_revoked(void **state)
{
    struct call *call;

    (void)state;
    fixture_open();
    is_full = true;
    call = fixture_get(ALICE, DB);
    fixture_advance(MINUTE_MS);
    assert_int_equal(call->status, 503);
    is_full = false;
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    assert_int_equal(fixture_get(ALICE, DB)->status, 200);
}

static void test_a_revocation_waits_for_room(void **state)
{
    struct call *call = fixture_get(ALICE, DB);
    const char *target = fixture_path(API "/leases/%s", call_text(call, "lease"));

    (void)state;
    is_full = true;
    (void)fixture_call(ALICE, "DELETE", target, NULL);
    fixture_advance(MINUTE_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 1);
    is_full = false;
    fixture_advance(10 * MINUTE_MS);
    assert_int_equal(scripted_live_count(&f.issuer), 0);
    assert_int_equal(fixture_records("lease.revoked"), 1);
}

static void test_how_it_is_protected_and_used_is_shown(void **state)
{
    struct call *call = fixture_get(RITA, API "/status");

    (void)state;
    assert_non_null(strstr(call->body, "\"secret_memory\":{\"kind\":\"mlock\",\"used_bytes\":64"));
    assert_null(strstr(fixture_get(BOB, API "/status")->body, "secret_memory"));
    call = fixture_get(BOB, "/metrics");
    assert_non_null(strstr(call->body, "\nleased_secret_memory_info{kind=\"mlock\"} 1\n"));
    assert_non_null(strstr(call->body, "\nleased_secret_memory_bytes 64\n"));
    assert_non_null(strstr(call->body, "\nleased_secret_memory_limit_bytes 4096\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_a_read_without_room_is_answered_503_and_works_again_later),
        TEST(test_what_was_issued_without_room_for_it_is_revoked),
        TEST(test_a_revocation_waits_for_room),
        TEST(test_how_it_is_protected_and_used_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
