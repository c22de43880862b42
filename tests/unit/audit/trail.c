/* A trail on the fake disk, for the tests of audit. */
#include "trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

void trail_init(struct trail *trail)
{
    memset(trail, 0, sizeof(*trail));
    fake_env_init(&trail->fake, 1000000, 1);
    trail->file = fake_env_file(&trail->fake, "/audit");
    fake_ledger_init(&trail->ledger, &trail->fake.env);
}

void trail_open(struct trail *trail, const struct audit_sink_options *sinks, size_t sink_count)
{
    const struct audit_options options = {
        .env = &trail->fake.env,
        .node = "test",
        .ledger = trail->has_ledger ? &trail->ledger.ledger : NULL,
        .sinks = sinks,
        .sink_count = sink_count,
    };
    struct err e = {0};

    assert_int_equal(audit_new(&options, &trail->audit, &e), 0);
    trail->is_closed = false;
}

void trail_open_required(struct trail *trail)
{
    const struct audit_sink_options sink = {.kind = "file", .path = "/audit", .is_required = true};

    trail_open(trail, &sink, 1);
}

void trail_begin(struct trail *trail)
{
    trail_init(trail);
    trail->has_ledger = true;
    trail_open_required(trail);
    fake_env_run(&trail->fake);
}

static void trail_closed(void *user)
{
    struct trail *trail = user;

    trail->is_closed = true;
    trail->audit = NULL;
}

void trail_close(struct trail *trail)
{
    if (trail->audit != NULL) {
        audit_close(trail->audit, trail_closed, trail);
        fake_env_run(&trail->fake);
        assert_true(trail->is_closed);
    }
}

void trail_crash(struct trail *trail)
{
    struct list *files = &trail->fake.files;
    struct list *node;

    fake_ledger_crash(&trail->ledger);
    for (node = files->next; node != files; node = node->next) {
        struct fake_file *file = LIST_ENTRY(node, struct fake_file, node);

        file->fail_status = -EIO;
        file->is_held = false;
    }
    fake_ledger_run(&trail->ledger); /* who waits is told */
    trail_close(trail);
    fake_ledger_restart(&trail->ledger);
    trail->ledger.is_held = false;
    for (node = files->next; node != files; node = node->next) {
        LIST_ENTRY(node, struct fake_file, node)->fail_status = 0;
    }
}

size_t trail_outbox(const struct trail *trail)
{
    return fake_ledger_count(&trail->ledger, ENV_LEDGER_AUDIT);
}

void trail_fini(struct trail *trail)
{
    trail_close(trail);
    fake_env_run(&trail->fake);
    fake_ledger_fini(&trail->ledger);
    fake_env_fini(&trail->fake);
}

static void write_done(struct audit_write *write, int status)
{
    struct trail_write *entry = CONTAINER_OF(write, struct trail_write, write);
    struct trail *trail = write->user;

    entry->status = status;
    entry->call_count++;
    entry->order = ++trail->call_count;
}

struct trail_write *trail_write(struct trail *trail, const char *event)
{
    struct trail_write *entry = &trail->writes[trail->write_count++];
    struct audit_record record = {.event = event, .outcome = "ok"};

    assert_true(trail->write_count <= TRAIL_WRITES_MAX);
    entry->write.fn = write_done;
    entry->write.user = trail;
    assert_int_equal(audit_record_write(trail->audit, &record, &entry->write), 0);
    assert_int_equal(entry->call_count, 0);
    return entry;
}

int trail_try(struct trail *trail, const char *event)
{
    struct audit_record record = {.event = event, .outcome = "ok"};

    return audit_record_write(trail->audit, &record, NULL);
}

void trail_note(struct trail *trail, const char *event)
{
    struct audit_record record = {.event = event, .outcome = "ok"};

    audit_record_note(trail->audit, &record);
}

static void verify(const struct fake_file *file, struct audit_verifier *verifier)
{
    struct str rest = {.ptr = file->bytes, .len = file->size};

    audit_verifier_init(verifier);
    while (rest.len > 0 && memchr(rest.ptr, '\n', rest.len) != NULL) {
        struct err e = {0};

        if (audit_verifier_line(verifier, str_cut(&rest, '\n'), &e) != 0) {
            print_message("%s\n", e.text);
        }
    }
    (void)!audit_verifier_rest(verifier, rest, NULL);
}

uint64_t trail_verify(const struct fake_file *file)
{
    struct audit_verifier verifier;

    verify(file, &verifier);
    assert_int_equal(verifier.problem_count, 0);
    return verifier.record_count;
}

uint64_t trail_problems(const struct fake_file *file, enum audit_problem *ret_last)
{
    struct audit_verifier verifier;

    verify(file, &verifier);
    *ret_last = verifier.problem;
    return verifier.problem_count;
}

size_t trail_count(const struct fake_file *file, const char *text)
{
    const char *end = file->bytes + file->size;
    const char *at = file->bytes;
    size_t count = 0;

    while ((at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
        count++;
        at += strlen(text);
    }
    return count;
}

void trail_commit(struct trail *trail)
{
    fake_ledger_run(&trail->ledger);
    fake_env_run(&trail->fake);
}

void trail_note_some(struct trail *trail, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        trail_note(trail, "lease.issued");
        fake_env_run(&trail->fake);
    }
}

int trail_teardown(void **state)
{
    (void)state;
    return mem_in_use_bytes() == 0 ? 0 : -1;
}
