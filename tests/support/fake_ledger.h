/* A ledger in memory, whose commits complete, fail or wait as the test says, and which can lose
 * what wasn't committed. */
#ifndef LEASED_TESTS_SUPPORT_FAKE_LEDGER_H
#define LEASED_TESTS_SUPPORT_FAKE_LEDGER_H

#include "env/ledger.h"

struct fake_ledger {
    struct env_ledger ledger; /* give out &fake.ledger */
    struct list records;      /* what is durable, by kind and id */
    struct list changes;      /* in the order of their calls */
    struct list syncs;
    struct env_deferred deferred;
    void (*closed)(void *user);
    void *closed_user;
    int failure; /* of the last commit */
    /* For the test to set. */
    bool is_held; /* commits wait until fake_ledger_run */
    /* Called when something begins to wait; NULL: nobody is told. */
    void (*waits)(struct fake_ledger *fake);
    int fail_status; /* not 0: commits fail with it */
    int put_status;  /* not 0: put and remove refuse with it */
    char key;        /* what is sealed under another can't be opened */
    bool is_crashed;
    /* For the test to look at. */
    size_t record_count;
    uint64_t pending_since_ms; /* while changes wait: when the first of them came */
    uint32_t commit_count;
};

void fake_ledger_init(struct fake_ledger *fake, struct env *env);
void fake_ledger_fini(struct fake_ledger *fake);

/* Commits what is there now, held or not. */
void fake_ledger_run(struct fake_ledger *fake);

/* What wasn't committed is lost, and nothing is taken any more until fake_ledger_restart. Those who
 * wait are told of a failure with the next commit, or when the ledger is closed. */
void fake_ledger_crash(struct fake_ledger *fake);

/* The disk of a machine that is up again; the ledger may be given out once more. */
void fake_ledger_restart(struct fake_ledger *fake);

/* Records of a kind. */
size_t fake_ledger_count(const struct fake_ledger *fake, enum env_ledger_kind kind);

/* The body of a record, with a NUL behind it; `ptr` is NULL if there is none. */
struct str fake_ledger_body(const struct fake_ledger *fake, enum env_ledger_kind kind,
                            const char *id);
/* The same as a text. */
const char *fake_ledger_find(const struct fake_ledger *fake, enum env_ledger_kind kind,
                             const char *id);

#endif
