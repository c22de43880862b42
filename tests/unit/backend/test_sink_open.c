/* A sink's plugin that refuses its configuration, and what it has begun by then. */
#include "backend/sink.h"

#include "base/mem.h"
#include "leased/plugin.h"
#include "support/fake_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum leftover {
    LEFTOVER_NONE,
    LEFTOVER_TIMER,
    LEFTOVER_PUT,
    LEFTOVER_RUN,
    LEFTOVER_COUNT,
};

static enum leftover leftover;
static bool is_written;

static void no_timer(void *user)
{
    (void)user;
    fail();
}

static void no_put(void *user, int32_t status, struct leased_str detail)
{
    (void)user;
    (void)status;
    (void)detail;
    fail();
}

static void no_run(void *user, const struct leased_run_end *end)
{
    (void)user;
    (void)end;
    fail();
}

static int32_t on_open(const struct leased_host *host, leased_host_context *context,
                       struct leased_str config, leased_instance **ret_instance,
                       struct leased_str *ret_detail)
{
    const struct leased_run_request request = {.size = sizeof(request), .program = {"command", 7}};

    (void)config;
    (void)ret_instance;
    if (leftover == LEFTOVER_TIMER) {
        assert_non_null(host->timer_start(context, 1000, no_timer, NULL));
    } else if (leftover == LEFTOVER_PUT) {
        assert_int_equal(host->file_put(context, (struct leased_str){"/list", 5},
                                        (struct leased_str){"x", 1}, no_put, NULL),
                         0);
    } else if (leftover == LEFTOVER_RUN) {
        assert_non_null(host->run_start(context, &request, no_run, NULL));
    }
    *ret_detail = (struct leased_str){"endpoint: no", 12};
    return -LEASED_INVALID;
}

static int32_t on_close(leased_instance *instance, uint32_t flags, leased_op *op)
{
    (void)instance;
    (void)flags;
    (void)op;
    fail();
    return 0;
}

static int32_t on_write(leased_instance *instance, const struct leased_sink_write *request,
                        leased_op *op)
{
    (void)instance;
    (void)request;
    (void)op;
    is_written = true;
    return 0;
}

static const struct leased_sink_ops sink_ops = {
    .size = sizeof(sink_ops), .open = on_open, .close = on_close, .write = on_write};
static const struct leased_plugin sink_plugin = {.size = sizeof(sink_plugin),
                                                 .abi_major = LEASED_ABI_MAJOR,
                                                 .kind = LEASED_KIND_SINK,
                                                 .name = {"s", 1},
                                                 .ops = &sink_ops};

static void test_a_configuration_that_is_refused_leaves_nothing(void **state)
{
    (void)state;
    for (leftover = LEFTOVER_NONE; leftover < LEFTOVER_COUNT; leftover++) {
        struct fake_env fake;
        const struct sink_options options = {.env = &fake.env, .plugin = &sink_plugin, .name = "s"};
        struct env_file *file = NULL;
        struct err e = {0};

        fake_env_init(&fake, 1000, 1);
        assert_int_equal(sink_open(&options, &file, &e), ERR_INVALID);
        assert_string_equal(e.text, "endpoint: no");
        assert_null(file);
        fake_env_run(&fake);
        fake_env_fini(&fake);
        assert_int_equal(mem_in_use_bytes(), 0);
    }
    assert_false(is_written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_configuration_that_is_refused_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
