/* Handles: a used-up one is recognised. */
#include "backend/handles.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_a_used_up_handle_finds_nothing_even_when_its_slot_is_taken_again(void **state)
{
    struct handles handles;
    int first = 1;
    int second = 2;
    void *a;
    void *b;

    (void)state;
    handles_init(&handles, 4);
    assert_int_equal(handles_add(&handles, &first, &a), 0);
    assert_ptr_equal(handles_get(&handles, a), &first);
    handles_remove(&handles, a);
    assert_null(handles_get(&handles, a));
    handles_remove(&handles, a);
    assert_int_equal(handles_add(&handles, &second, &b), 0);
    assert_ptr_not_equal(a, b);
    assert_null(handles_get(&handles, a));
    assert_ptr_equal(handles_get(&handles, b), &second);
    handles_remove(&handles, a);
    assert_int_equal(handles_count(&handles), 1);
    handles_remove(&handles, b);
    handles_fini(&handles);
}

static void test_anything_else_is_no_handle(void **state)
{
    struct handles handles;
    int object = 1;
    void *handle;

    (void)state;
    handles_init(&handles, 4);
    assert_null(handles_get(&handles, NULL));
    assert_null(handles_get(&handles, &object));
    assert_int_equal(handles_add(&handles, &object, &handle), 0);
    assert_null(handles_get(&handles, NULL));
    assert_null(handles_get(&handles, &object));
    assert_non_null(handle);
    handles_remove(&handles, handle);
    handles_fini(&handles);
}

static void test_the_limit_holds_and_the_walk_sees_each_once(void **state)
{
    struct handles handles;
    int objects[40];
    void *kept[40];
    void *extra;
    size_t index = 0;
    size_t count = 0;

    (void)state;
    handles_init(&handles, 40);
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(handles_add(&handles, &objects[i], &kept[i]), 0);
    }
    assert_int_equal(handles_add(&handles, &objects[0], &extra), ERR_LIMIT);
    for (size_t i = 0; i < 40; i += 2) {
        handles_remove(&handles, kept[i]);
    }
    while (handles_next(&handles, &index) != NULL) {
        count++;
    }
    assert_int_equal(count, 20);
    for (size_t i = 1; i < 40; i += 2) {
        handles_remove(&handles, kept[i]);
    }
    handles_fini(&handles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_used_up_handle_finds_nothing_even_when_its_slot_is_taken_again),
        cmocka_unit_test(test_anything_else_is_no_handle),
        cmocka_unit_test(test_the_limit_holds_and_the_walk_sees_each_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
