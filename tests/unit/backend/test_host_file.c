/* leased_host.file_put: files that plugins publish. */
#include "script_plugin.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define PATH "/var/lib/crl"

struct put {
    size_t count;
    int32_t status;
    char detail[128];
};

static void put_ended(void *user, int32_t status, struct leased_str detail)
{
    struct put *put = user;

    put->count++;
    put->status = status;
    (void)snprintf(put->detail, sizeof(put->detail), "%.*s", (int)detail.len, detail.ptr);
}

static int32_t start(struct script *script, const char *path, const char *bytes, struct put *put)
{
    return script->host->file_put(script->context, script_str(path), script_str(bytes), put_ended,
                                  put);
}

static void test_it_is_written_and_told_from_the_loop(void **state)
{
    struct script script = {0};
    struct put put = {0};
    char path[] = PATH;
    char bytes[] = "content";

    (void)state;
    script_open(&script, NULL);
    assert_int_equal(start(&script, path, bytes, &put), 0);
    path[1] = bytes[0] = 'X'; /* both were copied */
    assert_int_equal(put.count, 0);
    fake_env_run(&script.fake);
    assert_int_equal(put.count, 1);
    assert_int_equal(put.status, 0);
    assert_string_equal(put.detail, "");
    assert_true(str_eq_c(fake_env_put_bytes(&script.fake, PATH), "content"));
    script_close(&script);
    script_fini(&script);
}

static void test_a_failure_has_a_class_and_a_line(void **state)
{
    static const struct {
        int status;
        int32_t expected;
    } cases[] = {{-28, -LEASED_RETRY},
                 {ERR_DENIED, -LEASED_INVALID},
                 {ERR_INVALID, -LEASED_INVALID},
                 {ERR_NOT_FOUND, -LEASED_INVALID}};
    struct script script = {0};

    (void)state;
    script_open(&script, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct put put = {0};

        script.fake.put_status = cases[i].status;
        assert_int_equal(start(&script, PATH, "x", &put), 0);
        fake_env_run(&script.fake);
        assert_int_equal(put.status, cases[i].expected);
        assert_string_equal(put.detail, "the disk is full");
    }
    script_close(&script);
    script_fini(&script);
}

static void test_what_cannot_be_put_is_refused_at_once(void **state)
{
    static char large[1024 * 1024 + 2];
    struct script script = {0};
    struct put put = {0};

    (void)state;
    script_open(&script, NULL);
    memset(large, 'x', sizeof(large) - 1);
    assert_int_equal(start(&script, "relative", "x", &put), -LEASED_INVALID);
    assert_int_equal(start(&script, "", "x", &put), -LEASED_INVALID);
    assert_int_equal(start(&script, PATH, large, &put), -LEASED_INVALID);
    assert_int_equal(script.host->file_put(script.context, (struct leased_str){"/a\0b", 4},
                                           script_str("x"), put_ended, &put),
                     -LEASED_INVALID);
    script.fake.is_put_held = true;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(start(&script, PATH, "x", &put), 0);
    }
    assert_int_equal(start(&script, PATH, "x", &put), -LEASED_RETRY);
    script.fake.is_put_held = false;
    fake_env_run(&script.fake);
    assert_int_equal(put.count, 4);
    script_close(&script);
    script_fini(&script);
}

static void test_closing_waits_for_it_and_tells_nobody(void **state)
{
    struct script script = {0};
    struct put put = {0};

    (void)state;
    script_open(&script, NULL);
    script.fake.is_put_held = true;
    assert_int_equal(start(&script, PATH, "x", &put), 0);
    script_close(&script);
    assert_int_equal(script.closed_count, 0);
    script.fake.is_put_held = false;
    fake_env_run(&script.fake);
    assert_int_equal(put.count, 0);
    script_fini(&script);
}

static struct mem_fail {
    size_t at;
    size_t count;
} fail;

static int fails(size_t size)
{
    (void)size;
    return ++fail.count == fail.at ? 1 : 0;
}

static void test_without_memory_nothing_is_started(void **state)
{
    struct script script = {0};
    struct put put = {0};
    bool is_started = false;

    (void)state;
    script_open(&script, NULL);
    for (fail.at = 1; !is_started; fail.at++) {
        fail.count = 0;
        mem_set_fail_hook(fails);
        is_started = start(&script, PATH, "x", &put) == 0;
        mem_set_fail_hook(NULL);
    }
    fake_env_run(&script.fake);
    assert_int_equal(put.count, 1);
    script_close(&script);
    script_fini(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_written_and_told_from_the_loop),
        cmocka_unit_test(test_a_failure_has_a_class_and_a_line),
        cmocka_unit_test(test_what_cannot_be_put_is_refused_at_once),
        cmocka_unit_test(test_closing_waits_for_it_and_tells_nobody),
        cmocka_unit_test(test_without_memory_nothing_is_started),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
