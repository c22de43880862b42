/* A sink while memory runs out: each allocation of the host's side fails once. Nothing crashes,
 * what was appended ends once, and nothing is left behind. */
#include "backend/sink.h"
#include "base/mem.h"
#include "leased/plugin.h"
#include "support/fake_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t countdown; /* the allocation that fails; 0: none any more */

static int fail_one(size_t size)
{
    (void)size;
    return countdown > 0 && --countdown == 0;
}

/* One instance, whose memory is the host's. */
struct leased_instance {
    const struct leased_host *host;
    leased_host_context *context;
    leased_op *op;
};

static int32_t on_open(const struct leased_host *host, leased_host_context *context,
                       struct leased_str config, leased_instance **ret_instance,
                       struct leased_str *ret_detail)
{
    leased_instance *instance = host->alloc(sizeof(*instance));

    (void)config;
    (void)ret_detail;
    if (instance == NULL) {
        return -LEASED_RETRY;
    }
    *instance = (leased_instance){.host = host, .context = context};
    *ret_instance = instance;
    return 0;
}

static void end_write(void *user)
{
    leased_instance *instance = user;

    instance->host->op_done(instance->context, instance->op, LEASED_OK, NULL);
}

static int32_t on_write(leased_instance *instance, const struct leased_sink_write *request,
                        leased_op *op)
{
    (void)request;
    instance->op = op;
    return instance->host->timer_start(instance->context, 5, end_write, instance) != NULL
               ? 0
               : -LEASED_RETRY;
}

static int32_t on_close(leased_instance *instance, uint32_t flags, leased_op *op)
{
    (void)flags;
    (void)op;
    instance->host->secret_free(instance);
    return -LEASED_RETRY; /* that is an end, too */
}

static const struct leased_sink_ops ops = {
    .size = sizeof(ops), .open = on_open, .close = on_close, .write = on_write};
static const struct leased_plugin plugin = {.size = sizeof(plugin),
                                            .abi_major = LEASED_ABI_MAJOR,
                                            .kind = LEASED_KIND_SINK,
                                            .name = {"s", 1},
                                            .ops = &ops};

static size_t end_count;
static size_t closed_count;

static void append_done(struct env_append *append, int status)
{
    (void)append;
    (void)status;
    end_count++;
}

static void closed(void *user)
{
    (void)user;
    closed_count++;
}

static void live(struct fake_env *fake, struct env_file *file)
{
    struct env_append append = {.bytes = STR("{1}\n"), .fn = append_done};

    end_count = 0;
    closed_count = 0;
    assert_int_equal(env_append_start(file, &append), 0);
    fake_env_advance(fake, 100);
    assert_int_equal(end_count, 1);
    env_file_close(file, closed, NULL);
    fake_env_advance(fake, 100);
    assert_int_equal(closed_count, 1);
}

static void test_each_allocation_may_fail(void **state)
{
    struct sink_options options = {.plugin = &plugin, .name = "s"};
    bool has_failed = true;
    uint64_t failing;

    (void)state;
    mem_set_fail_hook(fail_one);
    for (failing = 1; has_failed; failing++) {
        struct fake_env fake;
        struct env_file *file;
        struct err e = {0};
        int r;

        fake_env_init(&fake, 1000, 1);
        options.env = &fake.env;
        countdown = failing;
        r = sink_open(&options, &file, &e);
        if (r == 0) {
            live(&fake, file);
        } else {
            assert_int_equal(r, ERR_NOMEM);
        }
        has_failed = countdown == 0;
        countdown = 0;
        fake_env_run(&fake);
        fake_env_fini(&fake);
        assert_int_equal(mem_in_use_bytes(), 0);
    }
    mem_set_fail_hook(NULL);
    assert_true(failing > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
