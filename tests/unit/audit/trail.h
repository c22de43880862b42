/* A trail on the fake disk, for the tests of audit. */
#ifndef LEASED_TESTS_UNIT_AUDIT_TRAIL_H
#define LEASED_TESTS_UNIT_AUDIT_TRAIL_H

#include "audit/audit.h"
#include "support/fake_env.h"
#include "support/fake_ledger.h"

#define TRAIL_WRITES_MAX 64

/* One write and what became of it. */
struct trail_write {
    struct audit_write write;
    int status;
    uint32_t call_count;
    uint64_t order; /* position among all calls */
};

struct trail {
    struct fake_env fake;
    struct audit *audit;
    struct fake_file *file; /* "/audit", the first sink */
    struct fake_ledger ledger;
    bool has_ledger; /* for the test to set before it opens */
    struct trail_write writes[TRAIL_WRITES_MAX];
    size_t write_count;
    uint64_t call_count;
    bool is_closed;
};

/* The fake world without a trail in it. */
void trail_init(struct trail *trail);

/* Starts with these sinks; fails the test if it can't. */
void trail_open(struct trail *trail, const struct audit_sink_options *sinks, size_t sink_count);

/* One required file sink. */
void trail_open_required(struct trail *trail);

/* All of it: a fake world with a ledger, and one required file sink. */
void trail_begin(struct trail *trail);

/* Closes the trail if it is open, and lets it finish. */
void trail_close(struct trail *trail);
void trail_fini(struct trail *trail);

/* The process is killed: what neither disk has is lost. Then both work again. */
void trail_crash(struct trail *trail);

/* The ledger commits what is queued, and who waits for that is told. */
void trail_commit(struct trail *trail);

/* Records in the outbox. */
size_t trail_outbox(const struct trail *trail);

/* Writes a record of this event and waits for it. Returns the entry; the test fails if it is
 * refused. */
struct trail_write *trail_write(struct trail *trail, const char *event);

/* The same, but its result is returned; nobody waits. */
int trail_try(struct trail *trail, const char *event);
void trail_note(struct trail *trail, const char *event);

/* So many of lease.issued, one after the other. */
void trail_note_some(struct trail *trail, size_t count);

/* Verifies the whole file and returns how many records it has; the test fails on any problem. */
uint64_t trail_verify(const struct fake_file *file);

/* Problems that the verifier finds in the file, and the kind of the last. */
uint64_t trail_problems(const struct fake_file *file, enum audit_problem *ret_last);

/* How often `text` stands in the file. */
size_t trail_count(const struct fake_file *file, const char *text);

/* A test that leaves no memory behind. */
int trail_teardown(void **state);
#define TRAIL_TEST(name) cmocka_unit_test_teardown(name, trail_teardown)

#endif
