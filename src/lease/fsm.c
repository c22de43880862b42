/* The state tables of leases and grants.
 *
 * requested → active ⇄ renewing → (superseded) → revoking → revoked. A lease that is issued is
 * active first, even if nobody wants it any more: only then has it something to revoke. Each live
 * state may end in revoking, or in expired when its issuer doesn't know it any more or can do
 * nothing about it. Revoking ends by the issuer's confirmation, or long after the credential must
 * have ended by itself, as unconfirmed. Requested ends as failed. */
#include "lease/fsm.h"

#define BIT(state) (1U << (state))

static const uint32_t lease_moves[] = {
    [LEASE_STATE_REQUESTED] = BIT(LEASE_STATE_ACTIVE) | BIT(LEASE_STATE_FAILED),
    [LEASE_STATE_ACTIVE] = BIT(LEASE_STATE_RENEWING) | BIT(LEASE_STATE_SUPERSEDED) |
                           BIT(LEASE_STATE_REVOKING) | BIT(LEASE_STATE_EXPIRED),
    [LEASE_STATE_RENEWING] = BIT(LEASE_STATE_ACTIVE) | BIT(LEASE_STATE_SUPERSEDED) |
                             BIT(LEASE_STATE_REVOKING) | BIT(LEASE_STATE_EXPIRED),
    [LEASE_STATE_SUPERSEDED] = BIT(LEASE_STATE_REVOKING) | BIT(LEASE_STATE_EXPIRED),
    [LEASE_STATE_REVOKING] = BIT(LEASE_STATE_REVOKED) | BIT(LEASE_STATE_UNCONFIRMED),
    [LEASE_STATE_REVOKED] = 0,
    [LEASE_STATE_EXPIRED] = 0,
    [LEASE_STATE_UNCONFIRMED] = 0,
    [LEASE_STATE_FAILED] = 0,
};

static const uint32_t grant_moves[] = {
    [GRANT_STATE_PENDING] = BIT(GRANT_STATE_HELD) | BIT(GRANT_STATE_ENDED),
    [GRANT_STATE_HELD] = BIT(GRANT_STATE_ENDED),
    [GRANT_STATE_ENDED] = 0,
};

static const char *const lease_state_names[] = {
    [LEASE_STATE_REQUESTED] = "requested", [LEASE_STATE_ACTIVE] = "active",
    [LEASE_STATE_RENEWING] = "renewing",   [LEASE_STATE_SUPERSEDED] = "superseded",
    [LEASE_STATE_REVOKING] = "revoking",   [LEASE_STATE_REVOKED] = "revoked",
    [LEASE_STATE_EXPIRED] = "expired",     [LEASE_STATE_UNCONFIRMED] = "unconfirmed",
    [LEASE_STATE_FAILED] = "failed",
};

static const char *const grant_state_names[] = {
    [GRANT_STATE_PENDING] = "pending",
    [GRANT_STATE_HELD] = "held",
    [GRANT_STATE_ENDED] = "ended",
};

static const char *const grant_end_names[] = {
    [GRANT_END_NONE] = "none",       [GRANT_END_RELEASED] = "released",
    [GRANT_END_REVOKED] = "revoked", [GRANT_END_DURATION] = "duration",
    [GRANT_END_BINDING] = "binding", [GRANT_END_UNDELIVERED] = "undelivered",
    [GRANT_END_POLICY] = "policy",   [GRANT_END_STOPPING] = "stopping",
    [GRANT_END_FAILED] = "failed",
};

static_assert(LEASE_STATE_REVOKING == LEASE_STATE_SUPERSEDED + 1 &&
                  LEASE_STATE_FAILED == LEASE_STATE_COUNT - 1,
              "lease_is_ending: no live state comes later");
static_assert(ARRAY_LEN(lease_moves) == LEASE_STATE_COUNT, "one row a state");
static_assert(ARRAY_LEN(grant_moves) == GRANT_STATE_COUNT, "one row a state");
static_assert(ARRAY_LEN(lease_state_names) == LEASE_STATE_COUNT, "one name a state");
static_assert(ARRAY_LEN(grant_state_names) == GRANT_STATE_COUNT, "one name a state");
static_assert(ARRAY_LEN(grant_end_names) == GRANT_END_FAILED + 1, "one name an end");

bool fsm_lease_may(enum lease_state from, enum lease_state to)
{
    CHECK((size_t)from < ARRAY_LEN(lease_moves));
    return (lease_moves[from] & BIT(to)) != 0;
}

bool fsm_grant_may(enum grant_state from, enum grant_state to)
{
    CHECK((size_t)from < ARRAY_LEN(grant_moves));
    return (grant_moves[from] & BIT(to)) != 0;
}

bool fsm_lease_is_live(enum lease_state state)
{
    return state == LEASE_STATE_ACTIVE || state == LEASE_STATE_RENEWING ||
           state == LEASE_STATE_SUPERSEDED;
}

bool fsm_lease_is_over(enum lease_state state)
{
    return lease_moves[state] == 0;
}

const char *lease_state_str(enum lease_state state)
{
    CHECK((size_t)state < ARRAY_LEN(lease_state_names));
    return lease_state_names[state];
}

const char *grant_state_str(enum grant_state state)
{
    CHECK((size_t)state < ARRAY_LEN(grant_state_names));
    return grant_state_names[state];
}

const char *grant_end_str(enum grant_end end)
{
    CHECK((size_t)end < ARRAY_LEN(grant_end_names));
    return grant_end_names[end];
}
