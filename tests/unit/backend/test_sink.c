/* A plugin as an audit sink: what the trail appends reaches it whole, in order and once it is
 * there; and the trail behaves as it does with a file. */
#include "backend/sink.h"

#include "audit/audit.h"
#include "base/mem.h"
#include "leased/plugin.h"
#include "support/fake_env.h"
#include "support/fake_ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define TAKEN_MAX_BYTES (1024U * 1024U)

/* What it was given and what it does; one instance at a time. */
static struct {
    const struct leased_host *host;
    leased_host_context *context;
    leased_op *op;
    char taken[TAKEN_MAX_BYTES]; /* what was ended with LEASED_OK */
    size_t taken_bytes;
    size_t line_bytes;
    size_t write_count;
    uint64_t record_count;
    size_t cancel_count;
    size_t piece_max_bytes;
    int32_t start_status;
    bool ends_early;
    bool forgets_close;
} plugin;

static int32_t on_open(const struct leased_host *host, leased_host_context *context,
                       struct leased_str config, leased_instance **ret_instance,
                       struct leased_str *ret_detail)
{
    (void)config;
    (void)ret_instance;
    (void)ret_detail;
    plugin.host = host;
    plugin.context = context;
    return 0;
}

static void close_now(void *user)
{
    (void)user;
    plugin.host->op_done(plugin.context, plugin.op, LEASED_OK, NULL);
}

static int32_t on_close(leased_instance *instance, uint32_t flags, leased_op *op)
{
    (void)instance;
    (void)flags;
    plugin.op = op;
    if (!plugin.forgets_close) {
        assert_non_null(plugin.host->timer_start(plugin.context, 0, close_now, NULL));
    }
    return 0;
}

static int32_t on_write(leased_instance *instance, const struct leased_sink_write *request,
                        leased_op *op)
{
    (void)instance;
    assert_null(plugin.op);
    plugin.write_count++;
    assert_true(request->lines.len > 0 && request->lines.ptr[request->lines.len - 1] == '\n');
    assert_true(plugin.taken_bytes + request->lines.len <= TAKEN_MAX_BYTES);
    if (request->lines.len > plugin.piece_max_bytes) {
        plugin.piece_max_bytes = request->lines.len;
    }
    memcpy(plugin.taken + plugin.taken_bytes, request->lines.ptr, request->lines.len);
    plugin.line_bytes = request->lines.len;
    plugin.record_count = request->count;
    if (plugin.ends_early) {
        plugin.host->op_done(plugin.context, op, LEASED_OK, NULL);
        return 0;
    }
    if (plugin.start_status == 0) {
        plugin.op = op;
    }
    return plugin.start_status;
}

static void on_cancel(leased_instance *instance, leased_op *op)
{
    (void)instance;
    assert_ptr_equal(op, plugin.op);
    plugin.cancel_count++;
}

static const struct leased_sink_ops sink_ops = {.size = sizeof(sink_ops),
                                                .open = on_open,
                                                .close = on_close,
                                                .write = on_write,
                                                .cancel = on_cancel};
static const struct leased_plugin sink_plugin = {.size = sizeof(sink_plugin),
                                                 .abi_major = LEASED_ABI_MAJOR,
                                                 .kind = LEASED_KIND_SINK,
                                                 .name = {"s", 1},
                                                 .ops = &sink_ops};

static struct {
    struct fake_env fake;
    struct fake_ledger ledger;
    struct env_file *file;
    struct audit *audit;
    size_t closed_count;
} world;

static const struct sink_options options = {.env = &world.fake.env,
                                            .plugin = &sink_plugin,
                                            .name = "s"};

struct appended {
    struct env_append append;
    size_t end_count;
    int status;
};

static void append_done(struct env_append *append, int status)
{
    struct appended *appended = append->user;

    appended->end_count++;
    appended->status = status;
}

static void append(struct appended *appended, const char *bytes, size_t len)
{
    *appended =
        (struct appended){.append = {.bytes = {bytes, len}, .fn = append_done, .user = appended}};
    assert_int_equal(env_append_start(world.file, &appended->append), 0);
}

static void run(void)
{
    fake_env_advance(&world.fake, 0);
}

/* Ends the write that is under way. */
static void end_write(int32_t status, const struct leased_result *result)
{
    leased_op *op = plugin.op;

    assert_non_null(op);
    plugin.op = NULL;
    plugin.taken_bytes += status == LEASED_OK ? plugin.line_bytes : 0;
    plugin.host->op_done(plugin.context, op, status, result);
    run();
}

static void closed(void *user)
{
    (void)user;
    world.closed_count++;
}

static void sink_begin(void)
{
    struct err e = {0};

    assert_int_equal(sink_open(&options, &world.file, &e), 0);
}

static int set_up(void **state)
{
    (void)state;
    memset(&plugin, 0, sizeof(plugin));
    memset(&world, 0, sizeof(world));
    fake_env_init(&world.fake, 1000, 1);
    fake_ledger_init(&world.ledger, &world.fake.env);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (world.file != NULL) {
        env_file_close(world.file, closed, NULL);
        run();
        assert_int_equal(world.closed_count, 1);
    }
    fake_ledger_fini(&world.ledger);
    assert_int_equal(fake_env_timer_count(&world.fake), 0);
    fake_env_fini(&world.fake);
    assert_int_equal(mem_in_use_bytes(), 0);
    return 0;
}

static void test_an_append_ends_when_the_plugin_has_it(void **state)
{
    struct appended one;
    struct appended two;

    (void)state;
    sink_begin();
    append(&one, "{1}\n{2}\n", 8);
    append(&two, "{3}\n", 4);
    assert_int_equal(plugin.write_count, 0); /* from the loop only */
    run();
    assert_int_equal(plugin.record_count, 2);
    assert_int_equal(one.end_count, 0);
    end_write(LEASED_OK, NULL);
    assert_int_equal(one.end_count, 1);
    assert_int_equal(one.status, 0);
    assert_int_equal(two.end_count, 0);
    end_write(LEASED_OK, NULL);
    assert_int_equal(two.end_count, 1);
    assert_string_equal(plugin.taken, "{1}\n{2}\n{3}\n");
}

static void test_much_is_written_in_whole_lines_that_fit(void **state)
{
    static char bytes[300000];
    struct appended one;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = i % 1000 == 999 ? '\n' : 'x';
    }
    sink_begin();
    append(&one, bytes, sizeof(bytes));
    run();
    while (one.end_count == 0) {
        end_write(LEASED_OK, NULL);
    }
    assert_int_equal(plugin.write_count, 3);
    assert_true(plugin.piece_max_bytes <= SINK_WRITE_MAX_BYTES);
    assert_int_equal(plugin.taken_bytes, sizeof(bytes));
    assert_memory_equal(plugin.taken, bytes, sizeof(bytes));
}

static void test_what_fails_takes_along_what_is_behind_it(void **state)
{
    static const int32_t statuses[] = {LEASED_RETRY, LEASED_DENIED, LEASED_INVALID, LEASED_LOST,
                                       99};
    struct appended one;
    struct appended two;
    size_t i;

    (void)state;
    sink_begin();
    for (i = 0; i < ARRAY_LEN(statuses); i++) {
        append(&one, "{1}\n", 4);
        append(&two, "{2}\n", 4);
        run();
        end_write(statuses[i], NULL);
        assert_int_equal(one.end_count, 1);
        assert_true(one.status < 0);
        assert_int_equal(two.end_count, 1);
        assert_true(two.status < 0);
    }
    plugin.start_status = -LEASED_RETRY;
    append(&one, "{1}\n", 4);
    run();
    assert_int_equal(one.status, ERR_UNAVAILABLE);
}

static void test_the_plugin_is_left_alone_for_as_long_as_it_asks(void **state)
{
    const struct leased_result result = {.size = sizeof(result), .retry_after_ms = 7000};
    struct appended one;

    (void)state;
    sink_begin();
    append(&one, "{1}\n", 4);
    run();
    end_write(LEASED_RETRY_AFTER, &result);
    assert_int_equal(one.status, ERR_UNAVAILABLE);
    /* Nothing is kept for it, so that a stop has nothing to wait for. */
    fake_env_advance(&world.fake, 6999);
    assert_int_equal(env_append_start(world.file, &one.append), ERR_UNAVAILABLE);
    fake_env_advance(&world.fake, 1);
    append(&one, "{1}\n", 4);
    run();
    assert_int_equal(plugin.write_count, 2);
    end_write(LEASED_OK, NULL);
    assert_int_equal(one.status, 0);
}

/* Another write could overtake it. */
static void test_a_late_write_is_cancelled_and_waited_for(void **state)
{
    struct appended one;
    leased_op *op;

    (void)state;
    sink_begin();
    append(&one, "{1}\n", 4);
    run();
    fake_env_advance(&world.fake, SINK_WRITE_TIMEOUT_MS);
    assert_int_equal(plugin.cancel_count, 1);
    fake_env_advance(&world.fake, 10 * SINK_WRITE_TIMEOUT_MS);
    assert_int_equal(one.end_count, 0);
    op = plugin.op;
    end_write(LEASED_OK, NULL);
    assert_int_equal(one.status, 0);
    plugin.host->op_done(plugin.context, op, LEASED_OK, NULL); /* a used handle does no harm */
    assert_int_equal(one.end_count, 1);
}

static void test_a_write_that_ends_inside_its_start_is_a_failure(void **state)
{
    struct appended one;

    (void)state;
    sink_begin();
    plugin.ends_early = true;
    append(&one, "{1}\n", 4);
    run();
    assert_int_equal(one.end_count, 1);
    assert_int_equal(one.status, ERR_INVALID);
}

static void test_closing_waits_for_what_was_appended_and_not_for_a_plugin_that_forgets(void **state)
{
    struct appended one;

    (void)state;
    sink_begin();
    plugin.forgets_close = true;
    append(&one, "{1}\n", 4);
    run();
    env_file_close(world.file, closed, NULL);
    assert_int_equal(env_append_start(world.file, &one.append), ERR_CLOSED);
    run();
    end_write(LEASED_OK, NULL);
    assert_int_equal(one.status, 0);
    assert_int_equal(world.closed_count, 0);
    fake_env_advance(&world.fake, 60000);
    assert_int_equal(world.closed_count, 1);
    world.file = NULL;
}

static void test_what_is_a_backends_is_refused_to_a_sink(void **state)
{
    const struct leased_call_reply reply = {.size = sizeof(reply), .status = 200};
    const struct leased_str ref = {"x", 1};
    char *bytes;

    (void)state;
    sink_begin();
    assert_true(plugin.host->intent(plugin.context, NULL, ref, NULL, NULL) < 0);
    assert_true(plugin.host->state_put(plugin.context, ref) < 0);
    assert_int_equal(plugin.host->state_get(plugin.context, &bytes), 0);
    plugin.host->call_done(plugin.context, NULL, &reply);
    plugin.host->anchor_ends(plugin.context, 1, 0, ref);
}

/* --- as a sink of the trail ------------------------------------------------------------------- */

static void trail_begin(bool is_required)
{
    const struct audit_sink_options sinks[] = {
        {.kind = "file", .path = "/audit", .is_required = true},
        {.kind = "open", .path = "s", .file = world.file, .is_required = is_required}};
    const struct audit_options trail = {.env = &world.fake.env,
                                        .node = "test",
                                        .ledger = &world.ledger.ledger,
                                        .sinks = sinks,
                                        .sink_count = ARRAY_LEN(sinks)};
    struct err e = {0};

    world.file = NULL; /* it is the trail's now */
    assert_int_equal(audit_new(&trail, &world.audit, &e), 0);
    run();
}

static void trail_note(const char *event)
{
    struct audit_record record = {.event = event, .outcome = "ok"};

    audit_record_note(world.audit, &record);
    run();
}

static void trail_end(void)
{
    world.closed_count = 0;
    audit_close(world.audit, closed, NULL);
    run();
    while (plugin.op != NULL && world.closed_count == 0) {
        end_write(LEASED_RETRY, NULL); /* one more attempt is all that it gets */
    }
    assert_int_equal(world.closed_count, 1);
}

static void test_a_sink_that_fails_is_on_record_and_gets_all_when_it_is_back(void **state)
{
    const char *file;

    (void)state;
    sink_begin();
    trail_begin(true);
    trail_note("lease.issued");
    assert_true(audit_is_ready(world.audit));
    end_write(LEASED_RETRY, NULL);
    assert_false(audit_is_ready(world.audit));
    file = fake_env_file(&world.fake, "/audit")->bytes;
    assert_non_null(strstr(file, "sink.degraded"));
    trail_note("lease.revoked");
    fake_env_advance(&world.fake, 60000);
    while (plugin.op != NULL) {
        end_write(LEASED_OK, NULL);
    }
    assert_true(audit_is_ready(world.audit));
    assert_string_equal(fake_env_file(&world.fake, "/audit")->bytes, plugin.taken);
    assert_non_null(strstr(plugin.taken, "sink.restored"));
    trail_end();
}

static void test_a_sink_that_is_slow_counts_as_failing_only_where_it_is_required(void **state)
{
    (void)state;
    sink_begin();
    trail_begin(false);
    trail_note("lease.issued");
    fake_env_advance(&world.fake, AUDIT_CONFIRM_DEFAULT_MS);
    assert_true(audit_is_ready(world.audit));
    assert_non_null(strstr(fake_env_file(&world.fake, "/audit")->bytes, "sink.degraded"));
    end_write(LEASED_OK, NULL);
    while (plugin.op != NULL) {
        end_write(LEASED_OK, NULL);
    }
    trail_end();
}

static void test_what_a_sink_lacks_it_gets_after_a_restart(void **state)
{
    (void)state;
    sink_begin();
    trail_begin(false);
    trail_note("lease.issued");
    trail_note("lease.revoked");
    trail_end(); /* it never took any */
    assert_true(fake_ledger_count(&world.ledger, ENV_LEDGER_AUDIT) > 0);
    fake_ledger_restart(&world.ledger);
    memset(&plugin, 0, sizeof(plugin));
    sink_begin();
    trail_begin(false);
    while (plugin.op != NULL) {
        end_write(LEASED_OK, NULL);
    }
    assert_string_equal(fake_env_file(&world.fake, "/audit")->bytes, plugin.taken);
    trail_end();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_append_ends_when_the_plugin_has_it),
        TEST(test_much_is_written_in_whole_lines_that_fit),
        TEST(test_what_fails_takes_along_what_is_behind_it),
        TEST(test_the_plugin_is_left_alone_for_as_long_as_it_asks),
        TEST(test_a_late_write_is_cancelled_and_waited_for),
        TEST(test_a_write_that_ends_inside_its_start_is_a_failure),
        TEST(test_closing_waits_for_what_was_appended_and_not_for_a_plugin_that_forgets),
        TEST(test_what_is_a_backends_is_refused_to_a_sink),
        TEST(test_a_sink_that_fails_is_on_record_and_gets_all_when_it_is_back),
        TEST(test_a_sink_that_is_slow_counts_as_failing_only_where_it_is_required),
        TEST(test_what_a_sink_lacks_it_gets_after_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
