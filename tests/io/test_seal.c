/* The sealed store's cipher: what was sealed comes back for its owner and nobody else, unchanged or
 * not at all. */
#include "base/err.h"
#include "base/mem.h"
#include "env/env.h"
#include "io/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OWNER STR("l-0123 orders-db")

static int setup(void **state)
{
    struct io_seal *seal;

    if (io_seal_new(1000, &seal) != 0) {
        return -1;
    }
    *state = seal;
    return 0;
}

static int teardown(void **state)
{
    io_seal_free(*state);
    return 0;
}

static void test_what_is_sealed_comes_back(void **state)
{
    char plain[4097];
    char sealed[sizeof(plain) + ENV_SEAL_BYTES];
    char opened[sizeof(plain)];
    size_t len;

    memset(plain, 's', sizeof(plain));
    for (len = 0; len <= sizeof(plain); len = len * 3 + 1) {
        struct str s = {.ptr = plain, .len = len};
        struct str out = {.ptr = sealed, .len = len + ENV_SEAL_BYTES};

        assert_int_equal(io_seal(*state, OWNER, s, sealed), 0);
        assert_true(len < 4 || memmem(sealed, out.len, "ssss", 4) == NULL);
        memset(opened, 0, sizeof(opened));
        assert_int_equal(io_unseal(*state, OWNER, out, opened), 0);
        assert_memory_equal(opened, plain, len);
    }
}

static void test_the_same_secret_never_looks_the_same(void **state)
{
    char first[6 + ENV_SEAL_BYTES];
    char second[6 + ENV_SEAL_BYTES];

    assert_int_equal(io_seal(*state, OWNER, STR("secret"), first), 0);
    assert_int_equal(io_seal(*state, OWNER, STR("secret"), second), 0);
    assert_memory_not_equal(first, second, 8);
    assert_memory_not_equal(first + 8, second + 8, 6);
}

static void test_any_changed_bit_is_refused_and_leaves_nothing(void **state)
{
    static const char zeros[6];
    char sealed[6 + ENV_SEAL_BYTES];
    char opened[6];
    size_t i;

    assert_int_equal(io_seal(*state, OWNER, STR("secret"), sealed), 0);
    for (i = 0; i < sizeof(sealed) * 8; i++) {
        struct str s = {.ptr = sealed, .len = sizeof(sealed)};

        sealed[i / 8] = (char)(sealed[i / 8] ^ (1 << i % 8));
        memset(opened, 'x', sizeof(opened));
        assert_int_equal(io_unseal(*state, OWNER, s, opened), ERR_INVALID);
        assert_memory_equal(opened, zeros, sizeof(zeros));
        sealed[i / 8] = (char)(sealed[i / 8] ^ (1 << i % 8));
    }
    assert_int_equal(
        io_unseal(*state, OWNER, (struct str){.ptr = sealed, .len = sizeof(sealed)}, opened), 0);
}

static void test_what_is_cut_is_refused(void **state)
{
    char sealed[6 + ENV_SEAL_BYTES];
    char opened[6];
    size_t len;

    assert_int_equal(io_seal(*state, OWNER, STR("secret"), sealed), 0);
    for (len = 0; len < sizeof(sealed); len++) {
        assert_int_equal(io_unseal(*state, OWNER, (struct str){.ptr = sealed, .len = len}, opened),
                         ERR_INVALID);
    }
}

static void test_another_owner_is_refused(void **state)
{
    char sealed[6 + ENV_SEAL_BYTES];
    struct str s = {.ptr = sealed, .len = sizeof(sealed)};
    char opened[6];

    assert_int_equal(io_seal(*state, OWNER, STR("secret"), sealed), 0);
    assert_int_equal(io_unseal(*state, STR("l-0124 orders-db"), s, opened), ERR_INVALID);
    assert_int_equal(io_unseal(*state, STR("l-0123 orders-db2"), s, opened), ERR_INVALID);
    assert_int_equal(io_unseal(*state, STR(""), s, opened), ERR_INVALID);
    assert_int_equal(io_unseal(*state, OWNER, s, opened), 0);
}

static void test_another_process_has_another_key(void **state)
{
    char sealed[6 + ENV_SEAL_BYTES];
    struct str s = {.ptr = sealed, .len = sizeof(sealed)};
    struct io_seal *other;
    char opened[6];

    assert_int_equal(io_seal_new(1, &other), 0);
    assert_int_equal(io_seal(*state, OWNER, STR("secret"), sealed), 0);
    assert_int_equal(io_unseal(other, OWNER, s, opened), ERR_INVALID);
    io_seal_free(other);
}

static void test_a_key_that_is_used_up_seals_no_more_but_opens(void **state)
{
    char sealed[6 + ENV_SEAL_BYTES];
    struct str s = {.ptr = sealed, .len = sizeof(sealed)};
    struct io_seal *seal;
    char opened[6];

    (void)state;
    assert_int_equal(io_seal_new(2, &seal), 0);
    assert_int_equal(io_seal(seal, OWNER, STR("first."), sealed), 0);
    assert_int_equal(io_seal(seal, OWNER, STR("second"), sealed), 0);
    assert_int_equal(io_seal(seal, OWNER, STR("third."), opened), ERR_LIMIT);
    assert_int_equal(io_unseal(seal, OWNER, s, opened), 0);
    assert_memory_equal(opened, "second", 6);
    io_seal_free(seal);
}

static void test_sealing_allocates_nothing(void **state)
{
    char sealed[6 + ENV_SEAL_BYTES];
    struct str s = {.ptr = sealed, .len = sizeof(sealed)};
    size_t before = mem_in_use_bytes();
    char opened[6];

    assert_int_equal(io_seal(*state, OWNER, STR("secret"), sealed), 0);
    assert_int_equal(io_unseal(*state, OWNER, s, opened), 0);
    assert_int_equal(mem_in_use_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_sealed_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_same_secret_never_looks_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_any_changed_bit_is_refused_and_leaves_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_is_cut_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_owner_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_process_has_another_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_key_that_is_used_up_seals_no_more_but_opens, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_sealing_allocates_nothing, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
