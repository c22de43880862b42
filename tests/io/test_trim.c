/* When memory is given back after a flood of connections. */
#include "io/trim.h"

#include "io/io_internal.h"
#include "server_fixture.h"

#include <stdlib.h>

static void test_it_is_due_once_when_few_are_left_of_many(void **state)
{
    uint32_t peak = 0;
    uint32_t count;

    (void)state;
    for (count = 0; count <= 1000; count++) {
        assert_false(trim_is_due(&peak, count));
    }
    for (count = 1000; count > 125; count--) {
        assert_false(trim_is_due(&peak, count));
    }
    assert_true(trim_is_due(&peak, 125));
    for (count = 125; count > 0; count--) {
        assert_false(trim_is_due(&peak, count));
    }
    assert_false(trim_is_due(&peak, 0));
}

static void test_it_is_never_due_for_an_ordinary_number(void **state)
{
    uint32_t peak = 0;
    int i;

    (void)state;
    for (i = 0; i < 10; i++) {
        assert_false(trim_is_due(&peak, TRIM_PEAK_LEAST - 1));
        assert_false(trim_is_due(&peak, 0));
    }
    assert_false(trim_is_due(&peak, TRIM_PEAK_LEAST));
    assert_true(trim_is_due(&peak, 0)); /* all at once */
}

static void test_each_flood_is_followed_by_one(void **state)
{
    uint32_t peak = 0;
    int i;

    (void)state;
    for (i = 0; i < 10; i++) {
        assert_false(trim_is_due(&peak, 800));
        assert_true(trim_is_due(&peak, 100));
        assert_false(trim_is_due(&peak, 90));
    }
}

static void test_a_listener_s_connections_count(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    struct client *clients[TRIM_PEAK_LEAST];
    size_t i;

    (void)state;
    assert_non_null(f);
    fixture_init(f);
    fixture_listen(f);
    for (i = 0; i < TRIM_PEAK_LEAST; i++) {
        clients[i] = client_new(f);
        fixture_turn(f, -1);
    }
    FIXTURE_UNTIL(f, f->io->connection_peak == TRIM_PEAK_LEAST);
    for (i = 0; i < TRIM_PEAK_LEAST; i++) {
        client_free(clients[i]);
    }
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    assert_true(f->io->connection_peak <= TRIM_PEAK_LEAST / TRIM_PART);
    fixture_fini(f);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_due_once_when_few_are_left_of_many),
        cmocka_unit_test(test_it_is_never_due_for_an_ordinary_number),
        cmocka_unit_test(test_each_flood_is_followed_by_one),
        cmocka_unit_test(test_a_listener_s_connections_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
