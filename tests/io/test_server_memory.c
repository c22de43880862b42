/* The server when memory is short, and what it leaves in memory. */
#include "server_fixture.h"

#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POST                                                                                         \
    "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Vault-Token: CANARY-IN-HEADER\r\n" \
    "Content-Length: 14\r\n\r\nCANARY-IN-BODY"

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    assert_non_null(f);
    fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    mem_set_fail_hook(NULL);
    fixture_fini(*state);
    free(*state);
    return 0;
}

/* The allocation with this number fails, or it and all later ones. */
static int countdown;
static bool fails_for_ever;
static bool has_failed;

static int fail_at_countdown(size_t size)
{
    (void)size;
    countdown--;
    if (countdown == 0 || (countdown < 0 && fails_for_ever)) {
        has_failed = true;
        return 1;
    }
    return 0;
}

/* One whole life: open, connect, ask, answer late, close. Whether the answer came. */
static bool live(struct fixture *f)
{
    struct client *client;
    struct err e;
    int status;

    if (io_listener_open(f->io, &f->options, &f->listener, &e) != 0) {
        assert_int_equal(e.code, ERR_NOMEM);
        f->listener = NULL;
        return false;
    }
    client = client_new(f);
    client_send(f, client, POST);
    FIXTURE_UNTIL(f, (client_pump(client), f->held_count > 0 || client->is_eof));
    if (f->held_count > 0) {
        fixture_answer(f, 0);
    }
    status = client_reply(f, client, NULL);
    assert_true(status == 200 || status == 503 || status == 0);
    client_free(client);
    FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    f->held_count = 0;
    return status == 200;
}

static void fail_each_allocation(struct fixture *f)
{
    int n = 0;

    f->holds = true;
    do {
        countdown = ++n;
        has_failed = false;
        mem_set_fail_hook(fail_at_countdown);
        (void)live(f);
        mem_set_fail_hook(NULL);
        if (f->listener != NULL) {
            fixture_close_listener(f);
        }
        assert_int_equal(f->delivered_count + f->undelivered_count, f->request_count);
        /* Nothing is left broken. */
        assert_true(live(f));
        fixture_close_listener(f);
    } while (has_failed);
    assert_true(n > 5);
}

static void test_each_single_failed_allocation_is_survived(void **state)
{
    fails_for_ever = false;
    fail_each_allocation(*state);
}

static void test_lasting_shortage_of_memory_is_survived(void **state)
{
    fails_for_ever = true;
    fail_each_allocation(*state);
}

static bool has_plain_heap(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return false;
#else
    return !is_under_valgrind();
#endif
}

/* Where the heap is; without stdio, whose buffers would overwrite what is looked for. */
static void find_heap(unsigned long *ret_from, unsigned long *ret_to)
{
    static char text[65536];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t got;
    char *line;
    char *end;

    while ((got = read(fd, text + len, sizeof(text) - 1 - len)) > 0) {
        len += (size_t)got;
    }
    (void)close(fd);
    text[len] = '\0';
    line = strstr(text, "[heap]");
    assert_non_null(line);
    while (line > text && line[-1] != '\n') {
        line--;
    }
    *ret_from = strtoul(line, &end, 16);
    *ret_to = strtoul(end + 1, NULL, 16);
}

/* Whether a canary is in the heap; its text is put together here so that it isn't one itself. */
static bool is_in_heap(const char *first, const char *second)
{
    static char window[65536];
    static char needle[32];
    unsigned long from;
    unsigned long to;
    int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    size_t len = (size_t)snprintf(needle, sizeof(needle), "%s-IN-%s", first, second);
    bool is_found = false;

    assert_true(fd >= 0);
    find_heap(&from, &to);
    while (from < to && !is_found) {
        size_t size = to - from < sizeof(window) ? to - from : sizeof(window);

        assert_int_equal(pread(fd, window, size, (off_t)from), size);
        is_found = memmem(window, size, needle, len) != NULL;
        from += size > 64 ? size - 64 : size; /* windows overlap */
    }
    (void)close(fd);
    return is_found;
}

static void test_what_a_client_sent_does_not_outlive_its_request(void **state)
{
    struct fixture *f = *state;
    struct client *client;
    int i;

    if (!has_plain_heap()) {
        print_message("skipped: this heap isn't libc's\n");
        skip();
    }
    f->holds = true;
    fixture_listen(f);
    for (i = 0; i < 5; i++) {
        client = client_new(f);
        client_send(f, client, POST);
        FIXTURE_UNTIL(f, f->held_count == (size_t)i + 1);
        assert_true(is_in_heap("CANARY", "HEADER"));
        fixture_answer(f, (size_t)i);
        assert_int_equal(client_reply(f, client, NULL), 200);
        client_free(client);
        FIXTURE_UNTIL(f, io_listener_connection_count(f->listener) == 0);
    }
    memset(f->request_body, 0, sizeof(f->request_body)); /* the fixture's own copy */
    assert_false(is_in_heap("CANARY", "HEADER"));
    assert_false(is_in_heap("CANARY", "BODY"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_each_single_failed_allocation_is_survived),
        TEST(test_lasting_shortage_of_memory_is_survived),
        TEST(test_what_a_client_sent_does_not_outlive_its_request),
    };

    return cmocka_run_group_tests_name("server memory", tests, NULL, NULL);
}
