/* Secrets: what they hold, and the memory that they live in. */
#include "base/err.h"
#include "base/mem.h"
#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A secret memory of one block. */
static struct {
    char bytes[64] __attribute__((aligned(16)));
    bool is_used;
    unsigned int alloc_count;
} one;

static void *one_alloc(size_t size)
{
    one.alloc_count++;
    if (one.is_used || size > sizeof(one.bytes)) {
        return NULL;
    }
    one.is_used = true;
    return one.bytes;
}

static void one_free(void *block)
{
    assert_ptr_equal(block, one.bytes);
    assert_true(one.is_used);
    mem_wipe(one.bytes, sizeof(one.bytes));
    one.is_used = false;
}

static bool one_owns(const void *block)
{
    return block == one.bytes;
}

static void one_stats(struct secret_stats *ret_stats)
{
    *ret_stats = (struct secret_stats){.kind = "one", .total_bytes = sizeof(one.bytes)};
}

static const struct secret_memory one_memory = {
    .alloc = one_alloc, .free = one_free, .owns = one_owns, .stats = one_stats};

static int teardown(void **state)
{
    (void)state;
    secret_set_memory(NULL);
    memset(&one, 0, sizeof(one));
    return 0;
}

static void test_a_secret_holds_a_copy_with_a_nul_behind_it(void **state)
{
    char bytes[] = "a\0b";
    struct secret secret;

    (void)state;
    secret_init(&secret);
    assert_true(secret_is_empty(&secret));
    assert_int_equal(secret_set(&secret, (struct str){.ptr = bytes, .len = 3}), 0);
    bytes[0] = 'x';
    assert_memory_equal(secret_view(&secret).ptr, "a\0b", 4);
    assert_true(secret_eq(&secret, (struct str){.ptr = "a\0b", .len = 3}));
    assert_false(secret_eq(&secret, STR("a")));
    secret_fini(&secret);
    assert_string_equal(secret_view(&secret).ptr, "");
}

static void test_a_secret_may_be_set_to_a_part_of_itself(void **state)
{
    struct secret secret;
    struct str view;

    (void)state;
    secret_init(&secret);
    assert_int_equal(secret_set(&secret, STR("token\n")), 0);
    view = secret_view(&secret);
    view.len--;
    assert_int_equal(secret_set(&secret, view), 0);
    assert_string_equal(secret_view(&secret).ptr, "token");
    secret_fini(&secret);
}

static void test_a_cut_wipes_the_rest(void **state)
{
    struct secret secret;

    (void)state;
    secret_init(&secret);
    assert_int_equal(secret_set(&secret, STR("token and more")), 0);
    secret_cut(&secret, 5);
    assert_int_equal(secret_view(&secret).len, 5);
    assert_memory_equal(secret_view(&secret).ptr, "token\0\0\0\0\0\0\0\0\0", 15);
    secret_fini(&secret);
}

static void test_secrets_live_in_secret_memory_and_never_move_to_the_heap(void **state)
{
    size_t before = mem_in_use_bytes();
    struct secret first;
    struct secret second;

    (void)state;
    secret_set_memory(&one_memory);
    secret_init(&first);
    secret_init(&second);
    assert_int_equal(secret_set(&first, STR("first")), 0);
    assert_ptr_equal(secret_view(&first).ptr, one.bytes);
    assert_int_equal(secret_set(&second, STR("second")), ERR_NOMEM);
    assert_int_equal(secret_set(&first, STR("third")), ERR_NOMEM);
    assert_string_equal(secret_view(&first).ptr, "first");
    assert_int_equal(mem_in_use_bytes(), before);
    secret_fini(&first);
    assert_int_equal(secret_set(&second, STR("second")), 0);
    secret_fini(&second);
}

static void test_what_is_large_can_be_kept_on_the_wiping_heap(void **state)
{
    size_t before = mem_in_use_bytes();
    struct secret secret;

    (void)state;
    secret_set_memory(&one_memory);
    secret_init(&secret);
    assert_int_equal(secret_set_on_heap(&secret, STR("large")), 0);
    assert_int_equal(one.alloc_count, 0);
    assert_true(mem_in_use_bytes() > before);
    assert_int_equal(secret_set(&secret, STR("small")), 0);
    assert_ptr_equal(secret_view(&secret).ptr, one.bytes);
    assert_int_equal(mem_in_use_bytes(), before);
    secret_fini(&secret);
}

static void test_what_was_allocated_before_secret_memory_was_set_is_freed_rightly(void **state)
{
    size_t before = mem_in_use_bytes();
    void *block = secret_alloc(10);
    struct secret_stats stats;

    (void)state;
    assert_non_null(block);
    secret_memory_stats(&stats);
    assert_string_equal(stats.kind, "heap");
    secret_set_memory(&one_memory);
    secret_memory_stats(&stats);
    assert_string_equal(stats.kind, "one");
    secret_free(block);
    secret_free(NULL);
    assert_int_equal(mem_in_use_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_secret_holds_a_copy_with_a_nul_behind_it),
        cmocka_unit_test(test_a_secret_may_be_set_to_a_part_of_itself),
        cmocka_unit_test(test_a_cut_wipes_the_rest),
        cmocka_unit_test_teardown(test_secrets_live_in_secret_memory_and_never_move_to_the_heap,
                                  teardown),
        cmocka_unit_test_teardown(test_what_is_large_can_be_kept_on_the_wiping_heap, teardown),
        cmocka_unit_test_teardown(
            test_what_was_allocated_before_secret_memory_was_set_is_freed_rightly, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
