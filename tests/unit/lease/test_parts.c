/* The small parts: packed and sealed credentials, texts kept once, the hash index. */
#include "base/err.h"
#include "base/mem.h"
#include "lease/credential.h"
#include "lease/index.h"
#include "lease/text.h"
#include "support/fake_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_a_packed_credential_comes_out_as_it_went_in(void **state)
{
    const struct lease_field fields[] = {
        {.name = STR("username"), .value = STR("v-orders-1")},
        {.name = STR("password"), .value = {.ptr = "a\0b", .len = 3}, .is_secret = true},
        {.name = STR(""), .value = STR("")},
    };
    const struct lease_result result = {.issuer_ref = STR("database/creds/x"),
                                        .fields = fields,
                                        .field_count = 3};
    struct lease_field out[LEASE_FIELDS_MAX];
    struct secret packed;
    size_t i;

    (void)state;
    secret_init(&packed);
    assert_int_equal(credential_pack(&result, &packed), 0);
    assert_true(str_eq_c(credential_ref(&packed), "database/creds/x"));
    assert_int_equal(credential_fields(&packed, out), 3);
    for (i = 0; i < 3; i++) {
        assert_true(str_eq(out[i].name, fields[i].name));
        assert_true(str_eq(out[i].value, fields[i].value));
        assert_int_equal(out[i].is_secret, fields[i].is_secret);
    }
    assert_true(str_eq_c(credential_identifier(out, 3), "v-orders-1"));
    secret_fini(&packed);
}

static void test_nothing_packed_is_nothing(void **state)
{
    struct lease_field out[LEASE_FIELDS_MAX];
    struct secret packed;

    (void)state;
    secret_init(&packed);
    assert_int_equal(credential_ref(&packed).len, 0);
    assert_int_equal(credential_fields(&packed, out), 0);
    assert_int_equal(credential_identifier(out, 0).len, 0);
}

static void test_a_sealed_credential_opens_for_its_owner_alone(void **state)
{
    const struct lease_field field = {.name = STR("password"), .value = STR("secret-secret")};
    const struct lease_result result = {.issuer_ref = STR("database/creds/x"),
                                        .fields = &field,
                                        .field_count = 1};
    struct credential credential = {.block = NULL};
    struct lease_field out[LEASE_FIELDS_MAX];
    struct fake_env fake;
    struct secret packed;
    struct secret opened;
    struct str sealed;

    (void)state;
    fake_env_init(&fake, 1000, 1);
    secret_init(&packed);
    secret_init(&opened);
    assert_int_equal(credential_pack(&result, &packed), 0);
    assert_int_equal(credential_seal(&fake.env, STR("l-1 db"), &packed, &credential), 0);
    sealed = credential_sealed(&credential);
    assert_int_equal(sealed.len, secret_view(&packed).len + ENV_SEAL_BYTES);
    assert_null(memmem(sealed.ptr, sealed.len, "secret", 6));
    assert_null(memmem(sealed.ptr, sealed.len, "database", 8));
    assert_int_equal(credential_open(&fake.env, STR("l-2 db"), &credential, &opened), ERR_INVALID);
    assert_true(secret_is_empty(&opened));
    assert_int_equal(credential_open(&fake.env, STR("l-1 db"), &credential, &opened), 0);
    assert_true(secret_eq(&opened, secret_view(&packed)));
    assert_int_equal(credential_fields(&opened, out), 1);
    credential_fini(&credential);
    assert_int_equal(credential_open(&fake.env, STR("l-1 db"), &credential, &opened), 0);
    assert_true(secret_is_empty(&opened));
    secret_fini(&packed);
    secret_fini(&opened);
    fake_env_fini(&fake);
}

static int pack_one(size_t name_len, size_t value_len, size_t ref_len)
{
    char *bytes = calloc(1, 100000);
    const struct lease_field field = {.name = {.ptr = bytes, .len = name_len},
                                      .value = {.ptr = bytes, .len = value_len}};
    const struct lease_result result = {.issuer_ref = {.ptr = bytes, .len = ref_len},
                                        .fields = &field,
                                        .field_count = 1};
    struct secret packed;
    int r;

    assert_non_null(bytes);
    secret_init(&packed);
    r = credential_pack(&result, &packed);
    secret_fini(&packed);
    free(bytes);
    return r;
}

static void test_what_is_too_large_is_not_packed(void **state)
{
    (void)state;
    assert_int_equal(pack_one(255, 60000, 1024), 0);
    assert_int_equal(pack_one(256, 1, 1), ERR_TOO_LARGE);
    assert_int_equal(pack_one(1, 65536, 1), ERR_TOO_LARGE);
    assert_int_equal(pack_one(1, 65500, 1024), ERR_TOO_LARGE);
    assert_int_equal(pack_one(1, 1, 1025), ERR_TOO_LARGE);
}

static void test_a_text_is_kept_once_and_freed_by_its_last_user(void **state)
{
    size_t before = mem_in_use_bytes();
    struct map texts;
    struct text *a;
    struct text *b;

    (void)state;
    map_init(&texts, 1);
    a = text_get(&texts, "rule");
    b = text_get(&texts, "rule");
    assert_ptr_equal(a, b);
    assert_string_equal(a->chars, "rule");
    assert_string_equal(text_get(&texts, NULL)->chars, "");
    text_put(&texts, a);
    assert_int_equal(map_count(&texts), 2);
    text_put(&texts, b);
    text_put(&texts, text_get(&texts, ""));
    text_put(&texts, text_get(&texts, NULL));
    text_put(&texts, NULL);
    text_put(&texts, MAP_ENTRY(map_first(&texts), struct text, entry));
    assert_int_equal(map_count(&texts), 0);
    map_fini(&texts);
    assert_int_equal(mem_in_use_bytes(), before);
}

struct number {
    struct index_entry entry;
    uint64_t value;
};

static bool is_number(struct index_entry *entry, const void *key)
{
    return CONTAINER_OF(entry, struct number, entry)->value == *(const uint64_t *)key;
}

/* Few hashes, so that chains are long. */
static uint64_t number_hash(const struct index *index, struct index_entry *entry)
{
    return index_hash(index->seed, CONTAINER_OF(entry, struct number, entry)->value % 500);
}

static void test_the_index_finds_what_is_in_it_and_nothing_else(void **state)
{
    enum { COUNT = 5000 };
    static struct number numbers[COUNT];
    struct index index;
    uint64_t i;

    (void)state;
    index_init(&index, 7, number_hash);
    i = 3;
    assert_null(index_find(&index, 3, is_number, &i));
    for (i = 0; i < COUNT; i++) {
        numbers[i].value = i;
        assert_int_equal(index_add(&index, &numbers[i].entry), 0);
    }
    for (i = 0; i < COUNT; i += 2) {
        index_remove(&index, &numbers[i].entry);
    }
    for (i = 0; i < COUNT; i++) {
        struct index_entry *found = index_find(&index, index_hash(7, i % 500), is_number, &i);

        assert_ptr_equal(found, i % 2 == 0 ? NULL : &numbers[i].entry);
    }
    assert_int_equal(index.count, COUNT / 2);
    index_fini(&index);
}

static size_t allocations_left;

static int fail_when_none_is_left(size_t size)
{
    (void)size;
    return allocations_left-- == 0;
}

static void test_the_index_goes_on_when_it_cannot_grow(void **state)
{
    static struct number numbers[200];
    struct index index;
    uint64_t i;

    (void)state;
    index_init(&index, 7, number_hash);
    mem_set_fail_hook(fail_when_none_is_left);
    allocations_left = 0;
    assert_int_equal(index_add(&index, &numbers[0].entry), ERR_NOMEM);
    allocations_left = 1;
    for (i = 0; i < 200; i++) {
        numbers[i].value = i;
        assert_int_equal(index_add(&index, &numbers[i].entry), 0);
        if (allocations_left == SIZE_MAX) {
            allocations_left = 0;
        }
    }
    mem_set_fail_hook(NULL);
    for (i = 0; i < 200; i++) {
        assert_non_null(index_find(&index, index_hash(7, i), is_number, &i));
    }
    index_fini(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_packed_credential_comes_out_as_it_went_in),
        cmocka_unit_test(test_nothing_packed_is_nothing),
        cmocka_unit_test(test_a_sealed_credential_opens_for_its_owner_alone),
        cmocka_unit_test(test_what_is_too_large_is_not_packed),
        cmocka_unit_test(test_a_text_is_kept_once_and_freed_by_its_last_user),
        cmocka_unit_test(test_the_index_finds_what_is_in_it_and_nothing_else),
        cmocka_unit_test(test_the_index_goes_on_when_it_cannot_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
