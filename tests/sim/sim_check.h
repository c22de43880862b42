/* What must always hold, looked at after every step (safety), and what must hold once the faults
 * are gone (liveness). Each check bears the number of the design's list:
 *
 *   I1, I2 what is handed out, and what is asked for, is in the ledger
 *   S1 a credential handed out is valid for at least the effective min_remaining
 *   S2 what nobody holds is revoked once, and a lost issue isn't repeated
 *   S3 each request of a client finishes exactly once (sim_request.c)
 *   S4 calls in flight, leases and grants stay within their limits (sim_limits.c)
 *   S5 the chain verifies; what is handed out is on record before; one end for each beginning
 *   S6 nothing secret in the trail, the log, the metrics or an error's body
 *   S7 no renewal is sent after a revocation was
 *   S8 the core's own invariants
 *   S9 never two identical issues in flight for one shared credential, also an identity's own
 *   S10 a new grant gets what its role asks for now, whatever it asked for before
 *   S12 who asks for a credential is answered within acquire_timeout
 *   S13 what is tried out before its hand-out works by then
 *   S14 what is on record as revoked could be revoked, and is dead at its issuer (sim_trail.c)
 *   S15 what somebody had read when a drill about him began is dead, and who is blocked gets
 *       nothing (sim_drill.h)
 *   S16, S17 approvals and windows (sim_guard.h)
 *   I10 nobody holds what the policy forbids (sim_limits.c, sim_guard.h)
 *   I3 what is being revoked is in the ledger (sim_limits.c)
 *   I3, I9 what nobody holds is dead at the issuer, but for what the network lost */
#ifndef LEASED_TESTS_SIM_CHECK_H
#define LEASED_TESTS_SIM_CHECK_H

#include "sim_drill.h"
#include "sim_guard.h"
#include "sim_trail.h"
#include "sim_world.h"

#define SIM_NEWS 64

/* What an exchange may tell the daemon. */
struct sim_news {
    uint64_t exchange;
    struct sim_credential *revoked; /* that this credential is */
    struct sim_vault_token *capped; /* that this token won't live longer */
};

struct sim_check {
    struct sim_world *world;
    struct sim_trail trail;
    struct sim_news news[SIM_NEWS]; /* the last ones */
    size_t news_count;
    uint64_t handed_out_count; /* credentials that left the daemon */
    uint64_t refused_count;    /* problem documents */
    uint64_t looked_at_step;
    struct sim_drills *drills; /* NULL: there are none */
    struct sim_guard *guard;   /* NULL: the world isn't guarded */
    /* The policy's limit of a credential's ttl for this user; NULL: there is none. */
    uint64_t (*ttl_of_user_ms)(uint32_t uid);
};

void sim_check_init(struct sim_check *check, struct sim_world *world);
void sim_check_fini(struct sim_check *check);

/* After a step of the simulation: cheap checks always, the others now and then. */
void sim_check_step(struct sim_check *check);

/* Puts the daemon's leases into the trace, for the report of a failure. */
void sim_check_trace_leases(struct sim_check *check);

/* The part of it that counts things. */
void sim_limits_check(struct sim_check *check);

/* A request has been handed to the network. */
void sim_check_sent(struct sim_check *check, const struct sim_call *call);

/* The issuer answers that request; the daemon doesn't wait for it any more; the exchange is over.
 */
void sim_check_executed(struct sim_check *check, const struct sim_call *call,
                        const struct sim_answer *answer);
void sim_check_canceled(struct sim_check *check, uint64_t exchange);
void sim_check_exchange_ended(struct sim_check *check, uint64_t exchange, bool is_delivered);

/* The daemon has logged that the answer to this lease's issue was lost. */
void sim_check_issue_lost(struct sim_check *check, struct str lease);

/* An answer leaves the daemon. */
void sim_check_replied(struct sim_check *check, const struct sim_request *request);

/* The answer has reached its consumer, or never will. */
void sim_check_answered(struct sim_check *check, const struct sim_request *request,
                        bool is_delivered);

/* The daemon is dead, killed or stopped. What an issuer gave it and it never gave to anybody counts
 * as lost by the network: the ledger needn't know of it. */
void sim_check_crashed(struct sim_check *check);

/* With faults gone and time to heal: nothing waits, and each valid credential that could be revoked
 * and whose answer arrived belongs to a lease that somebody holds (or that lingers). Returns how
 * many there are whose answer was lost, and which nobody could have found. */
size_t sim_check_healed(struct sim_check *check);

/* When nobody holds anything any more: nothing is valid but what the network lost. */
void sim_check_nothing_held(struct sim_check *check);

/* After the end: the trail is whole. */
void sim_check_ended(struct sim_check *check);

#endif
