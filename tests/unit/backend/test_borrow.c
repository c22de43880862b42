/* leased_host.borrow_start: what another role gives, for the plugin's own use. */
#include "plugins/fake_lender.h"
#include "script_plugin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static struct fake_lender lender;

struct heard {
    size_t count;
    int32_t status;
    uint64_t expires_ms;
    uint64_t retry_after_ms;
    char field[64]; /* the first */
    uint32_t flags;
    char detail[512];
};

static void put(char *out, size_t size, struct leased_str text)
{
    assert_true(text.len < size);
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
}

static void hear(void *user, const struct leased_borrowed *borrowed)
{
    struct heard *heard = user;

    heard->count++;
    heard->status = borrowed->status;
    heard->expires_ms = borrowed->expires_ms;
    heard->retry_after_ms = borrowed->retry_after_ms;
    put(heard->detail, sizeof(heard->detail), borrowed->detail);
    if (borrowed->field_count > 0) {
        put(heard->field, sizeof(heard->field), borrowed->fields[0].value);
        heard->flags = borrowed->fields[0].flags;
    }
}

static int borrow_start(void *user, struct lease_loan *loan)
{
    (void)user;
    assert_string_equal(loan->backend, "test");
    return fake_lender_start(&lender, loan);
}

static void borrow_cancel(void *user, struct lease_loan *loan)
{
    (void)user;
    fake_lender_cancel(&lender, loan);
}

static void open_borrowing(struct script *script)
{
    script_open(script, &(struct backend_options){.borrows = FAKE_LENDER_ROLE,
                                                  .borrow_start = borrow_start,
                                                  .borrow_cancel = borrow_cancel});
    lender = (struct fake_lender){
        .fake = &script->fake,
        .fields = {{.name = STR("secret_key"), .value = STR("hunter2"), .is_secret = true}},
        .field_count = 1};
}

static leased_borrow *borrow(struct script *script, uint32_t flags, struct heard *heard)
{
    *heard = (struct heard){.count = 0};
    return script->host->borrow_start(script->context, flags, hear, heard);
}

static void test_fields_come_from_the_loop_and_once(void **state)
{
    struct heard heard;
    struct script script;

    (void)state;
    open_borrowing(&script);
    assert_non_null(borrow(&script, 0, &heard));
    assert_int_equal(heard.count, 0);
    fake_env_run(&script.fake);
    assert_int_equal(heard.count, 1);
    assert_int_equal(heard.status, LEASED_OK);
    assert_string_equal(heard.field, "hunter2");
    assert_int_equal(heard.flags, LEASED_KV_SECRET);
    assert_int_equal(heard.expires_ms, script.fake.now_ms + 3600000);
    assert_int_equal(lender.refused_count, 0);
    assert_non_null(borrow(&script, LEASED_BORROW_REFUSED, &heard));
    fake_env_run(&script.fake);
    assert_int_equal(lender.refused_count, 1);
    script_close(&script);
    script_fini(&script);
}

static void test_a_failure_names_the_role_and_says_when_to_come_again(void **state)
{
    struct heard heard;
    struct script script;

    (void)state;
    open_borrowing(&script);
    lender.status = ERR_UNAVAILABLE;
    lender.retry_after_ms = 7000;
    assert_non_null(borrow(&script, 0, &heard));
    fake_env_run(&script.fake);
    assert_int_equal(heard.status, LEASED_RETRY_AFTER);
    assert_int_equal(heard.retry_after_ms, 7000);
    assert_memory_equal(heard.detail, "role " FAKE_LENDER_ROLE ": ", 11);
    script_close(&script);
    script_fini(&script);
}

static void test_a_backend_that_borrows_nothing_gets_nothing(void **state)
{
    struct heard heard;
    struct script script;

    (void)state;
    script_open(&script, NULL);
    assert_null(borrow(&script, 0, &heard));
    script_close(&script);
    script_fini(&script);
    assert_int_equal(heard.count, 0);
}

static void test_a_handle_that_is_used_up_is_harmless(void **state)
{
    struct heard heard;
    struct script script;
    leased_borrow *handle;

    (void)state;
    open_borrowing(&script);
    lender.is_held = true;
    handle = borrow(&script, 0, &heard);
    script.host->borrow_cancel(script.context, handle);
    assert_int_equal(heard.count, 0);
    fake_env_run(&script.fake);
    assert_int_equal(heard.status, LEASED_CANCELED);
    script.host->borrow_cancel(script.context, handle);
    script.host->borrow_cancel(script.context, NULL);
    fake_env_run(&script.fake);
    assert_int_equal(heard.count, 1);
    script_close(&script);
    script_fini(&script);
}

static void test_what_a_plugin_leaves_behind_ends_and_is_told_to_nobody(void **state)
{
    struct heard heard;
    struct script script;

    (void)state;
    open_borrowing(&script);
    lender.is_held = true;
    assert_non_null(borrow(&script, 0, &heard));
    script_close(&script); /* demands that it is closed */
    assert_int_equal(heard.count, 0);
    assert_int_equal(lender.loan_count, 1);
    script_fini(&script); /* … and that nothing is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_come_from_the_loop_and_once),
        cmocka_unit_test(test_a_failure_names_the_role_and_says_when_to_come_again),
        cmocka_unit_test(test_a_backend_that_borrows_nothing_gets_nothing),
        cmocka_unit_test(test_a_handle_that_is_used_up_is_harmless),
        cmocka_unit_test(test_what_a_plugin_leaves_behind_ends_and_is_told_to_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
