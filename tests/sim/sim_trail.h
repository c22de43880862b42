/* The audit trail as a reader sees it who follows the file, and the ledger's outbox for what isn't
 * there yet: the chain is verified, and of each lease and grant it is kept what was said about it.
 * Only what is durable counts. */
#ifndef LEASED_TESTS_SIM_TRAIL_H
#define LEASED_TESTS_SIM_TRAIL_H

#include "sim_issuer.h"

#include "base/map.h"
#include "env/ledger.h"
#include "wire/audit_record.h"

/* What the trail says of one lease, one grant, or one grant's reading of one lease. */
struct sim_trail_item {
    struct map_entry entry; /* by id; "GRANT LEASE" for a reading */
    char id[96];
    bool is_grant;
    uint64_t begun_ms;    /* the first of these was seen then */
    uint64_t begin_count; /* lease.issued, grant.created, credential.read */
    uint64_t end_count;   /* lease.revoked, .expired, .failed; grant.ended */
    uint64_t renewed_count;
    bool is_revoking;
    bool is_lost;        /* its issue's answer was */
    bool is_orphaned;    /* the daemon that began it is dead */
    bool is_doubtful;    /* … and its ledger didn't work: what the trail says may be said again */
    bool is_delivered;   /* an answer with it reached its holder */
    bool is_undelivered; /* one didn't */
    /* Of a lease that was handed out; else NULL. */
    const struct sim_credential *credential;
};

/* What is needed of a record; "" and 0 where it has none. */
struct sim_trail_record {
    char event[40];
    char request[48];
    char role[40];
    char lease[48];
    char grant[48];
    char outcome[16];
    char reason[160];
    char approval[48];
    char rule[40];
    char count[24];
    uint32_t uid;
};

struct sim_guard;

struct sim_trail {
    struct sim *sim;
    const char *path;
    struct env_ledger *ledger; /* NULL: there is none */
    size_t position;           /* bytes that were read */
    uint64_t seen_seq;
    struct audit_verifier verifier;
    struct map items;
    struct map readings;
    uint64_t record_count;
    uint64_t denied_count;   /* grant.denied */
    uint64_t lost_count;     /* records that the trail itself says are missing */
    struct sim_guard *guard; /* is told of each record; may be NULL */
};

void sim_trail_init(struct sim_trail *trail, struct sim *sim, const char *path,
                    struct env_ledger *ledger);
void sim_trail_fini(struct sim_trail *trail);

/* Reads what has become durable since the last call. Fails the run on a broken chain, on a secret,
 * and on records that contradict those before. */
void sim_trail_read(struct sim_trail *trail);

/* NULL when the trail doesn't know it (yet). */
const struct sim_trail_item *sim_trail_find(const struct sim_trail *trail, const char *id);
bool sim_trail_was_read(const struct sim_trail *trail, const char *grant, const char *lease);

/* This lease was handed out, and this is what it is at its issuer. */
void sim_trail_holds(struct sim_trail *trail, const char *lease,
                     const struct sim_credential *credential);

/* The daemon says that it lost the answer to this lease's issue. */
void sim_trail_lost(struct sim_trail *trail, struct str lease);

/* An answer that showed this grant has reached its holder, or never will. */
void sim_trail_answered(struct sim_trail *trail, const char *grant, bool is_delivered);

/* The id of a grant that goes on although no answer with it was ever delivered; NULL: there is
 * none. */
const char *sim_trail_undelivered(const struct sim_trail *trail);

/* The daemon is dead: what it hadn't put on record never will be. `was_failing`: its ledger didn't
 * work, so that what ended by the trail may end once more. */
void sim_trail_crashed(struct sim_trail *trail, bool was_failing);

/* At the very end: each grant and each lease has ended exactly once; those of a daemon that was
 * killed at most once. */
void sim_trail_check_ended(struct sim_trail *trail);

#endif
