/* Lists, maps and the allocator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

/* More than was asked for, as malloc gives it. */
#define ROUNDED_MAX_BYTES 32

struct item {
    struct map_entry entry;
    struct list node;
    char key[16];
};

static void test_list_keeps_order_and_survives_removal_while_walking(void **state)
{
    struct item items[5] = {0};
    struct list list;
    struct list *node;
    struct list *following;
    int seen = 0;
    int i;

    (void)state;
    list_init(&list);
    for (i = 0; i < 5; i++) {
        assert_false(list_is_linked(&items[i].node));
        list_push_back(&list, &items[i].node);
    }
    LIST_EACH (&list, node, following) {
        assert_ptr_equal(LIST_ENTRY(node, struct item, node), &items[seen]);
        if (seen++ % 2 == 0) {
            list_remove(node);
        }
    }
    assert_int_equal(seen, 5);
    assert_ptr_equal(list_pop_front(&list), &items[1].node);
    assert_ptr_equal(list_pop_front(&list), &items[3].node);
    assert_null(list_pop_front(&list));
    list_remove(&items[0].node);
}

static void test_splice_moves_everything_to_the_end(void **state)
{
    struct item items[3] = {0};
    struct list to;
    struct list from;

    (void)state;
    list_init(&to);
    list_init(&from);
    list_splice(&to, &from);
    assert_true(list_is_empty(&to));
    list_push_back(&to, &items[0].node);
    list_push_back(&from, &items[1].node);
    list_push_back(&from, &items[2].node);
    list_splice(&to, &from);
    assert_true(list_is_empty(&from));
    assert_ptr_equal(list_pop_front(&to), &items[0].node);
    assert_ptr_equal(list_pop_front(&to), &items[1].node);
    assert_ptr_equal(list_pop_front(&to), &items[2].node);
}

static void test_map_finds_what_was_added_and_iterates_in_insertion_order(void **state)
{
    static struct item items[1000];
    struct map map;
    struct map_entry *entry;
    int i;

    (void)state;
    map_init(&map, 42);
    assert_null(map_find(&map, STR("x")));
    for (i = 0; i < 1000; i++) {
        (void)snprintf(items[i].key, sizeof(items[i].key), "key-%d", i);
        assert_int_equal(map_add(&map, &items[i].entry, str_of(items[i].key)), 0);
    }
    assert_int_equal(map_count(&map), 1000);
    for (i = 0; i < 1000; i += 2) {
        map_remove(&map, &items[i].entry);
    }
    assert_null(map_find(&map, STR("key-0")));
    assert_ptr_equal(map_find(&map, STR("key-999")), &items[999].entry);
    entry = map_first(&map);
    for (i = 1; i < 1000; i += 2) {
        assert_ptr_equal(entry, &items[i].entry);
        entry = map_next(&map, entry);
    }
    assert_null(entry);
    map_fini(&map);
}

static void test_map_refuses_a_key_twice(void **state)
{
    struct item a = {0};
    struct item b = {0};
    struct map map;

    (void)state;
    map_init(&map, 1);
    assert_int_equal(map_add(&map, &a.entry, STR("k")), 0);
    assert_int_equal(map_add(&map, &b.entry, STR("k")), ERR_EXISTS);
    assert_int_equal(map_count(&map), 1);
    map_remove(&map, &a.entry);
    map_fini(&map);
}

static int fail_all(size_t size)
{
    (void)size;
    return 1;
}

static void test_map_survives_failed_growth(void **state)
{
    struct item a = {0};
    struct map map;

    (void)state;
    map_init(&map, 1);
    mem_set_fail_hook(fail_all);
    assert_int_equal(map_add(&map, &a.entry, STR("k")), ERR_NOMEM);
    mem_set_fail_hook(NULL);
    assert_int_equal(map_add(&map, &a.entry, STR("k")), 0);
    map_remove(&map, &a.entry);
    map_fini(&map);
}

static void test_memory_is_counted_and_overflow_refused(void **state)
{
    size_t before = mem_in_use_bytes();
    char *block = mem_alloc(100);

    (void)state;
    assert_non_null(block);
    assert_in_range(mem_in_use_bytes(), before + 100, before + 100 + ROUNDED_MAX_BYTES);
    memset(block, 'x', 100);
    block = mem_realloc(block, 200);
    assert_non_null(block);
    assert_int_equal(block[99], 'x');
    assert_in_range(mem_in_use_bytes(), before + 200, before + 200 + ROUNDED_MAX_BYTES);
    mem_free(block);
    mem_free(NULL);
    assert_int_equal(mem_in_use_bytes(), before);
    assert_null(mem_calloc(SIZE_MAX / 2, 3));
    assert_null(mem_alloc(SIZE_MAX));
}

static void test_failed_realloc_leaves_the_block(void **state)
{
    char *block = mem_strdup("kept");
    char *moved;

    (void)state;
    assert_non_null(block);
    mem_set_fail_hook(fail_all);
    moved = mem_realloc(block, 1000);
    mem_set_fail_hook(NULL);
    assert_null(moved);
    assert_string_equal(block, "kept");
    mem_free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_keeps_order_and_survives_removal_while_walking),
        cmocka_unit_test(test_splice_moves_everything_to_the_end),
        cmocka_unit_test(test_map_finds_what_was_added_and_iterates_in_insertion_order),
        cmocka_unit_test(test_map_refuses_a_key_twice),
        cmocka_unit_test(test_map_survives_failed_growth),
        cmocka_unit_test(test_memory_is_counted_and_overflow_refused),
        cmocka_unit_test(test_failed_realloc_leaves_the_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
