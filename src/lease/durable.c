/* Leases into the ledger.
 *
 * Happy path: intended (intent.c) → issued: put with its credential, beside the audit record (where
 * it is to be tried out first: as one to be revoked, and with its credential once it works) → the
 * credential leaves → renewed: put again → ended: put without its credential, so that nobody is
 * given it again → its issuer confirms: removed.
 *
 * Failure paths: it can't be written: the credential doesn't leave and is revoked. A removal can't
 * be queued: the next start finds a lease that is over, and its issuer says so. */
#include "lease/durable.h"

#include "access/identity_record.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "lease/core_internal.h"
#include "wire/ledger_lease.h"

#include <string.h>

#define DURABLE_MAGIC 0x64757261U

struct durable_wait {
    uint32_t magic;
    struct env_ledger_sync sync;
    struct env_deferred deferred; /* where there is no ledger */
    durable_fn fn;                /* NULL: forgotten */
    void *owner;
    struct list node;
};

/* --- waiting --- */

static void durable_wait_end(struct durable_wait *wait, int status)
{
    durable_fn fn = wait->fn;
    void *owner = wait->owner;

    list_remove(&wait->node);
    mem_free(wait);
    if (fn != NULL) {
        fn(owner, status);
    }
}

static void written(struct env_ledger_sync *sync, int status)
{
    durable_wait_end(OBJ_CAST(sync->user, struct durable_wait, DURABLE_MAGIC), status);
}

static void not_written(struct env_deferred *deferred)
{
    durable_wait_end(OBJ_CAST(deferred->user, struct durable_wait, DURABLE_MAGIC), 0);
}

static struct durable_wait *wait_new(durable_fn fn, void *owner)
{
    struct durable_wait *wait = mem_calloc(1, sizeof(*wait));

    if (wait != NULL) {
        wait->magic = DURABLE_MAGIC;
        wait->sync = (struct env_ledger_sync){.fn = written, .user = wait};
        wait->deferred = (struct env_deferred){.fn = not_written, .user = wait};
        wait->fn = fn;
        wait->owner = owner;
    }
    return wait;
}

int durable_wait_none(struct env *env, durable_fn fn, void *owner, struct durable_wait **ret_wait)
{
    struct durable_wait *wait = wait_new(fn, owner);

    if (wait == NULL) {
        return ERR_NOMEM;
    }
    env_defer(env, &wait->deferred);
    *ret_wait = wait;
    return 0;
}

int durable_wait(struct env_ledger *ledger, struct list *group, durable_fn fn, void *owner,
                 struct durable_wait **ret_wait)
{
    struct durable_wait *wait = wait_new(fn, owner);

    if (wait == NULL) {
        return ERR_NOMEM;
    }
    if (group != NULL) {
        list_push_back(group, &wait->node);
    }
    env_ledger_sync(ledger, &wait->sync);
    *ret_wait = wait;
    return 0;
}

void durable_forget(struct durable_wait *wait)
{
    if (wait != NULL) {
        wait->fn = NULL;
        list_remove(&wait->node);
    }
}

void durable_forget_all(struct list *group)
{
    while (!list_is_empty(group)) {
        durable_forget(LIST_ENTRY(group->next, struct durable_wait, node));
    }
}

/* --- what stands in a record --- */

void durable_fill_holder(const struct holder *holder, struct ledger_holder *ret_holder)
{
    *ret_holder = (struct ledger_holder){
        .caller = access_identity_caller(holder->kind),
        .uid = holder->uid,
        .user = holder->user,
        .unit = holder->unit,
        .container = holder->container,
        .image = holder->image,
        .listener = holder->listener,
        .sans = holder->sans,
        .claims = holder->claims_text != NULL ? holder->claims_text : "",
        .is_foreign = holder->is_foreign,
    };
}

void durable_fill_clock(struct lease_core *core, struct ledger_clock *ret_clock)
{
    uint64_t now_ms = core_now_ms(core);

    *ret_clock = (struct ledger_clock){
        .written_wall_ms = core_wall_of(core, now_ms),
        .written_ms = (int64_t)now_ms,
        .boot = env_boot_id(core->env),
    };
}

static const char *state_of(const struct lease *lease)
{
    if (lease->state == LEASE_STATE_REQUESTED) {
        return LEDGER_LEASE_INTENDED;
    }
    /* A later daemon gives nobody what hasn't been tried out. */
    return fsm_lease_is_live(lease->state) && !lease->is_unverified ? LEDGER_LEASE_LIVE
                                                                    : LEDGER_LEASE_REVOKING;
}

static void fill(struct lease *lease, struct ledger_lease *record)
{
    struct lease_core *core = lease->role->core;

    *record = (struct ledger_lease){
        .state = state_of(lease),
        .role = lease->role->name,
        .backend = lease_backend(lease),
        .params_json = lease->source->params_json,
        .is_renewable = lease->is_renewable,
        .is_revocable = lease->is_revocable,
        .is_capped = lease->is_capped,
        .is_refused = lease->is_refused,
        .is_forced = lease->is_forced,
        .moves_wall_ms = lease->move_ms != 0 ? core_wall_of(core, lease->move_ms) : 0,
        .issued_wall_ms = core_wall_of(core, lease->issued_ms),
        .answered_wall_ms = core_wall_of(core, lease->answered_ms),
        .own_end_wall_ms = core_wall_of(core, lease->own_end_ms),
        .expires_wall_ms = core_wall_of(core, lease->expires_ms),
        .ends_wall_ms = core_wall_of(core, lease->ends_ms),
        .granted_ms = lease->granted_ms,
        .lifetime_ms = lease->lifetime_ms,
        .refresh_ms = lease->refresh_ms,
        .rule_ttl_ms = lease->rule_ttl_ms,
        .anchor = lease->anchor,
        .credential_version = lease->version,
        .renewal_count = lease->renewal_count,
        .predecessor = lease->predecessor != NULL ? lease->predecessor->id : "",
    };
    durable_fill_clock(core, &record->clock);
    durable_fill_holder(lease->holder, &record->holder);
}

/* --- into the ledger --- */

static int put_record(struct lease *lease, const struct ledger_lease *record)
{
    BUF_AUTO body;
    int r;

    buf_init(&body, ENV_LEDGER_BODY_MAX_BYTES);
    r = ledger_lease_write(record, &body);
    if (r == 0 && !MUTATED(5)) {
        r = env_ledger_put(lease->role->core->ledger, ENV_LEDGER_LEASE, str_of(lease->id),
                           buf_str(&body));
    }
    lease->is_durable = lease->is_durable || r == 0;
    return r;
}

int durable_put_intent(struct lease *lease, struct str ref)
{
    struct ledger_lease record;

    fill(lease, &record);
    record.is_revocable = true;
    record.issuer_ref = ref;
    record.issued_wall_ms = record.answered_wall_ms = record.clock.written_wall_ms;
    record.own_end_wall_ms = record.expires_wall_ms = record.clock.written_wall_ms;
    record.ends_wall_ms = record.clock.written_wall_ms + (int64_t)intent_life_ms(lease);
    return put_record(lease, &record);
}

/* The credential, sealed with the ledger's key; the caller frees it. Not kept for who has none of
 * it any more, and where it can't be sealed: then the next start revokes the lease. */
static char *seal(struct lease *lease, const struct secret *packed, struct str *ret_sealed)
{
    char owner[LEASE_OWNER_MAX_BYTES];
    struct str plain = secret_view(packed);
    size_t size = plain.len + ENV_LEDGER_SEAL_BYTES;
    char *sealed = NULL;
    int r;

    if (!fsm_lease_is_live(lease->state) || lease->is_unverified || plain.len == 0) {
        return NULL;
    }
    sealed = mem_alloc(size);
    r = sealed != NULL
            ? env_ledger_seal(lease->role->core->ledger, lease_owner(lease, owner), plain, sealed)
            : ERR_NOMEM;
    if (r != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.unsealed", "lease", lease->id, "err", err_str(r), NULL);
        mem_free(sealed);
        return NULL;
    }
    *ret_sealed = (struct str){.ptr = sealed, .len = size};
    return sealed;
}

int durable_put(struct lease *lease)
{
    struct ledger_lease record;
    struct secret packed;
    char *sealed = NULL;
    int r;

    fill(lease, &record);
    secret_init(&packed);
    r = lease_open(lease, &packed);
    if (r == 0) {
        record.issuer_ref = lease_ref_of(lease, &packed);
        sealed = seal(lease, &packed, &record.sealed);
        r = put_record(lease, &record);
    }
    mem_free(sealed);
    secret_fini(&packed);
    return r;
}

void durable_note(struct lease *lease)
{
    int r = lease->role->core->ledger != NULL ? durable_put(lease) : 0;

    if (r != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.unrecorded", "lease", lease->id, "err", err_str(r), NULL);
    }
}

void durable_end(struct lease *lease)
{
    int r;

    if (!lease->is_durable) {
        return;
    }
    lease->is_durable = false;
    r = env_ledger_remove(lease->role->core->ledger, ENV_LEDGER_LEASE, str_of(lease->id));
    if (r != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.unremoved", "lease", lease->id, "err", err_str(r), NULL);
    }
}
