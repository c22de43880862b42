/* What may exist at an issuer without anybody's knowing it.
 *
 * Happy path: before an issuer is asked to create something its plugin says how that could be found
 * again → the ledger has it, as a lease that is intended → the plugin goes on → the answer comes,
 * and the lease itself takes that place in the ledger.
 *
 * The answer is lost, or is refused though something was created: what there may be becomes a lease
 * of its own, in the same commit that forgets the intent, and is revoked as ever. The daemon dies
 * in between: the next one finds the intent and does the same (recover.c). Out of memory for that:
 * the intent stays where it is, for the next start. Without a ledger all of this holds as long as
 * the daemon lives. */
#include "base/log.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "lease/core_internal.h"

#include <string.h>

#define UNSEEN_LIFE_MAX_MS (768ULL * 3600U * 1000U)

static void intent_written(void *owner, int status)
{
    struct lease_intent *intent = owner;

    intent->impl = NULL;
    intent->fn(intent, status);
}

int intent_room(struct lease_issuing *issuing, size_t bytes)
{
    char *ref;

    if (bytes <= issuing->ref_room) {
        return 0;
    }
    ref = secret_alloc(bytes);
    if (ref == NULL) {
        return ERR_NOMEM;
    }
    if (issuing->ref_room > 0) {
        memcpy(ref, issuing->ref, issuing->ref_room);
    }
    secret_free(issuing->ref);
    issuing->ref = ref;
    issuing->ref_room = bytes;
    return 0;
}

int intent_start(struct lease_call *call, struct str ref, struct lease_intent *intent)
{
    struct lease *lease = call_lease(call);
    struct lease_core *core = lease->role->core;
    struct lease_issuing *issuing = lease->issuing;
    struct durable_wait *wait = NULL;
    int r;

    CHECK(lease->state == LEASE_STATE_REQUESTED && intent->impl == NULL);
    if (ref.len == 0 || ref.len > LEASE_ISSUER_REF_MAX_BYTES) {
        return ERR_INVALID;
    }
    r = intent_room(issuing, ref.len);
    if (r == 0 && core->ledger != NULL && !MUTATED(19)) {
        r = durable_put_intent(lease, ref);
    }
    if (r == 0) {
        memcpy(issuing->ref, ref.ptr, ref.len);
        issuing->intent_len = ref.len;
        r = core->ledger != NULL ? durable_wait(core->ledger, NULL, intent_written, intent, &wait)
                                 : durable_wait_none(core->env, intent_written, intent, &wait);
    }
    intent->impl = wait;
    return r;
}

void lease_intent_forget(struct lease_intent *intent)
{
    durable_forget(intent->impl);
    intent->impl = NULL;
}

/* --- what was left --- */

/* Nobody has seen what it got: what its role gets usually, or at the most Vault's default maximum
 * (https://developer.hashicorp.com/vault/docs/configuration, max_lease_ttl). */
uint64_t intent_life_ms(const struct lease *lease)
{
    uint64_t usual_ms = lease->role->granted_ms;

    return usual_ms > 0 ? usual_ms : UNSEEN_LIFE_MAX_MS;
}

/* A lease that nobody holds and nobody is given, with nothing but its reference. */
static struct lease *orphan_new(struct lease *lease, struct str ref)
{
    struct lease *orphan = lease_new_from(lease->source, lease->holder, NULL, NULL);
    struct lease_issuing *issuing = orphan != NULL ? orphan->issuing : NULL;
    uint64_t now_ms = core_now_ms(lease->role->core);

    if (orphan == NULL) {
        return NULL;
    }
    if (intent_room(issuing, ref.len) != 0) {
        lease_free(orphan);
        return NULL;
    }
    memcpy(issuing->ref, ref.ptr, ref.len);
    issuing->ref_len = ref.len;
    orphan->is_revocable = true;
    orphan->issued_ms = orphan->answered_ms = now_ms;
    orphan->expires_ms = orphan->own_end_ms = now_ms;
    orphan->ends_ms = schedule_add_ms(now_ms, intent_life_ms(lease));
    return orphan;
}

void intent_left(struct lease *lease, const struct lease_result *result)
{
    struct lease_issuing *issuing = lease->issuing;
    struct str ref = result->orphan_ref;
    struct lease *orphan;

    if (ref.len == 0 && result->outcome == LEASE_OUTCOME_LOST) {
        ref = (struct str){.ptr = issuing->ref, .len = issuing->intent_len};
    }
    issuing->intent_len = 0;
    if (ref.len == 0) {
        return;
    }
    if (ref.len > LEASE_ISSUER_REF_MAX_BYTES) {
        ref.len = LEASE_ISSUER_REF_MAX_BYTES; /* its issuer won't know this */
    }
    orphan = orphan_new(lease, ref);
    if (orphan == NULL) {
        log_event(LOG_LEVEL_ERROR, "lease.issue.left", "backend", lease_backend(lease), "lease",
                  lease->id, "err", err_str(ERR_NOMEM), NULL);
        lease->is_durable = false; /* for the next start */
        return;
    }
    lease_set_state(orphan, LEASE_STATE_ACTIVE);
    record_lease_suspected(orphan, lease);
    revoke_start(orphan, "an issue may have left it behind");
}
