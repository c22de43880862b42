/* The operational log: one line an event in each format, nothing forged, no floods. */
#include "daemon/log_sink.h"

#include "base/mem.h"
#include "daemon/config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct log_sink sink;
    int read_fd;
    char text[65536];
};

static uint64_t clock_ms;

static uint64_t test_now_ms(void)
{
    return clock_ms;
}

static int64_t test_wall_ms(void)
{
    return 1700000000123;
}

static int setup(void **state)
{
    static struct fixture fixture;
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    clock_ms = 1000;
    fixture.read_fd = fds[0];
    log_sink_init(&fixture.sink, fds[1]);
    fixture.sink.now_ms = test_now_ms;
    fixture.sink.wall_ms = test_wall_ms;
    log_set_sink(log_sink_event, &fixture.sink, LOG_LEVEL_DEBUG);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    (void)close(f->read_fd);
    (void)close(f->sink.fd);
    return mem_in_use_bytes() == 0 ? 0 : -1;
}

static const char *written(struct fixture *f)
{
    ssize_t size = read(f->read_fd, f->text, sizeof(f->text) - 1);

    f->text[size > 0 ? size : 0] = '\0';
    return f->text;
}

static void test_what_is_no_terminal_gets_json_lines(void **state)
{
    struct fixture *f = *state;

    log_event(LOG_LEVEL_INFO, "daemon.started", "path", "/etc/x", NULL);
    assert_string_equal(written(f), "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\","
                                    "\"event\":\"daemon.started\",\"path\":\"/etc/x\"}\n");
}

static void test_text_is_for_people(void **state)
{
    struct fixture *f = *state;

    log_sink_choose(&f->sink, CONFIG_LOG_TEXT);
    log_event(LOG_LEVEL_WARN, "backend.down", "backend", "vault-prod", "err", "no route", NULL);
    assert_string_equal(written(f), "2023-11-14T22:13:20.123Z warn  backend.down "
                                    "backend=vault-prod err=\"no route\"\n");
}

static void test_no_value_can_forge_a_line_or_a_key(void **state)
{
    struct fixture *f = *state;

    log_sink_choose(&f->sink, CONFIG_LOG_TEXT);
    log_event(LOG_LEVEL_INFO, "e", "a", "x\ny", "b", "c=d", "c", "\"q\"", "d", "", "e", "\x1b[2J",
              NULL);
    assert_string_equal(written(f), "2023-11-14T22:13:20.123Z info  e a=\"x\\ny\" b=\"c=d\" "
                                    "c=\"\\\"q\\\"\" d=\"\" e=\"\\u001b[2J\"\n");
}

static void test_the_journal_gets_priorities_and_no_time(void **state)
{
    struct fixture *f = *state;

    f->sink.is_journal = true;
    log_sink_choose(&f->sink, CONFIG_LOG_AUTO);
    log_event(LOG_LEVEL_ERROR, "e", "k", "v", NULL);
    assert_string_equal(written(f), "<3>e k=v\n");
}

static void test_the_journal_is_recognised_by_its_stream(void **state)
{
    struct fixture *f = *state;
    struct stat facts;
    char stream[64];

    assert_int_equal(fstat(f->sink.fd, &facts), 0);
    (void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)facts.st_dev,
                   (unsigned long long)facts.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    log_sink_init(&f->sink, f->sink.fd);
    assert_int_equal(f->sink.format, LOG_SINK_JOURNAL);
    assert_int_equal(setenv("JOURNAL_STREAM", "1:2", 1), 0);
    log_sink_init(&f->sink, f->sink.fd);
    assert_int_equal(f->sink.format, LOG_SINK_JSON);
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
}

/* A journal at `path` below /tmp, and an entry sent to it. */
static const char *journal_got(struct fixture *f, const char *detail)
{
    static char entry[4096];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ssize_t size;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/leased-journal-%d",
                   (int)getpid());
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    f->sink.format = LOG_SINK_JOURNAL;
    journal_init(&f->sink.journal, address.sun_path);
    log_event(LOG_LEVEL_WARN, "lease.renew.failed", "lease", "l-1", "retry_ms", "500", "detail",
              detail, NULL);
    size = recv(fd, entry, sizeof(entry) - 1, 0);
    entry[size > 0 ? size : 0] = '\0';
    (void)close(fd);
    (void)unlink(address.sun_path);
    return entry;
}

static void test_the_journal_gets_an_entry_with_fields(void **state)
{
    struct fixture *f = *state;

    assert_string_equal(journal_got(f, "gone away"),
                        "MESSAGE=lease.renew.failed lease=l-1 retry_ms=500 detail=\"gone away\"\n"
                        "PRIORITY=4\nSYSLOG_IDENTIFIER=leased\n"
                        "LEASED_EVENT=lease.renew.failed\nLEASED_LEASE=l-1\n"
                        "LEASED_RETRY_MS=500\nLEASED_DETAIL=gone away\n");
    assert_string_equal(written(f), "");
    log_sink_fini(&f->sink);
}

static void test_a_line_break_in_a_field_forges_no_other_field(void **state)
{
    struct fixture *f = *state;
    const char *entry = journal_got(f, "a\nPRIORITY=0");

    assert_null(strstr(entry, "LEASED_DETAIL="));
    assert_memory_equal(strstr(entry, "LEASED_DETAIL\n"),
                        "LEASED_DETAIL\n\x0c\0\0\0\0\0\0\0a\nPRIO", 27);
    log_sink_fini(&f->sink);
}

static void test_what_the_journal_does_not_take_is_a_line_with_its_priority(void **state)
{
    struct fixture *f = *state;

    f->sink.format = LOG_SINK_JOURNAL;
    journal_init(&f->sink.journal, "/nonexistent/journal");
    log_event(LOG_LEVEL_ERROR, "ev", "lease", "l-1", NULL);
    assert_string_equal(written(f), "<3>ev lease=l-1\n");
    log_sink_fini(&f->sink);
}

static size_t lines_of(const char *text)
{
    size_t lines = 0;

    for (; *text != '\0'; text++) {
        lines += *text == '\n' ? 1 : 0;
    }
    return lines;
}

static void test_no_mistake_of_a_configuration_is_cut(void **state)
{
    struct fixture *f = *state;
    int i;

    for (i = 0; i < 5 * LOG_SINK_BURST_MAX; i++) {
        log_event(LOG_LEVEL_ERROR, "config.mistake", "detail", "c.yaml:1:1: no", NULL);
    }
    assert_int_equal(lines_of(written(f)), 5 * LOG_SINK_BURST_MAX);
}

static void test_a_flood_of_one_event_is_cut_and_counted(void **state)
{
    struct fixture *f = *state;
    int i;

    log_sink_choose(&f->sink, CONFIG_LOG_TEXT);
    for (i = 0; i < LOG_SINK_BURST_MAX + 7; i++) {
        log_event(LOG_LEVEL_WARN, "flood", NULL);
    }
    log_event(LOG_LEVEL_WARN, "other", NULL);
    assert_int_equal(lines_of(written(f)), LOG_SINK_BURST_MAX + 1);
    clock_ms += LOG_SINK_WINDOW_MS;
    log_event(LOG_LEVEL_WARN, "flood", NULL);
    assert_non_null(strstr(written(f), "flood suppressed=7\n"));
    log_event(LOG_LEVEL_WARN, "flood", NULL);
    assert_null(strstr(written(f), "suppressed"));
}

static void test_debug_is_not_cut(void **state)
{
    struct fixture *f = *state;
    int i;

    for (i = 0; i < 2 * LOG_SINK_BURST_MAX; i++) {
        log_event(LOG_LEVEL_DEBUG, "flood", NULL);
    }
    assert_int_equal(lines_of(written(f)), 2 * LOG_SINK_BURST_MAX);
}

static void test_a_line_that_is_too_long_is_dropped(void **state)
{
    struct fixture *f = *state;
    char value[LOG_SINK_LINE_MAX_BYTES + 1];

    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    log_event(LOG_LEVEL_INFO, "long", "k", value, NULL);
    assert_string_equal(written(f), "");
}

static void test_a_log_that_nobody_reads_blocks_nothing(void **state)
{
    struct fixture *f = *state;
    int i;

    for (i = 0; i < 5000; i++) {
        log_event(LOG_LEVEL_DEBUG, "full", "k", "0123456789012345678901234567890123456789", NULL);
    }
    assert_true(lines_of(written(f)) > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_no_terminal_gets_json_lines),
        TEST(test_text_is_for_people),
        TEST(test_no_value_can_forge_a_line_or_a_key),
        TEST(test_the_journal_gets_priorities_and_no_time),
        TEST(test_the_journal_is_recognised_by_its_stream),
        TEST(test_the_journal_gets_an_entry_with_fields),
        TEST(test_a_line_break_in_a_field_forges_no_other_field),
        TEST(test_what_the_journal_does_not_take_is_a_line_with_its_priority),
        TEST(test_no_mistake_of_a_configuration_is_cut),
        TEST(test_a_flood_of_one_event_is_cut_and_counted),
        TEST(test_debug_is_not_cut),
        TEST(test_a_line_that_is_too_long_is_dropped),
        TEST(test_a_log_that_nobody_reads_blocks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
