/* Leases in the ledger, and back from it.
 *
 * Happy path: issued → put and synced, beside the audit record → the credential leaves → … → its
 * issuer confirms the end → removed.
 *
 * The daemon dies: the next one finds the record (lease_core_recover) → the lease is there again,
 * without a credential and without holders → revoked as ever.
 *
 * Failure paths: it can't be written: the credential doesn't leave and is revoked. The removal
 * can't be queued: the next start finds a lease that is over, and its issuer says so. Dead before
 * the record is written: what the issuer made lives to its own end. */
#include "lease/durable.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/mutant.h"
#include "env/ledger.h"
#include "lease/core_internal.h"
#include "wire/ledger_lease.h"

#include <string.h>

struct durable_wait {
    struct env_ledger_sync sync;
    struct lease_issuing *issuing; /* NULL: forgotten */
};

static const char *const callers[] = {
    [ENV_PEER_UNIX] = "unix",
    [ENV_PEER_LOOPBACK] = "loopback",
    [ENV_PEER_TLS] = "tls",
};

/* --- into the ledger --- */

static int put(struct lease *lease)
{
    struct lease_core *core = lease->role->core;
    const struct holder *holder = lease->holder;
    struct ledger_lease record = {
        .role = lease->role->name,
        .backend = lease_backend(lease),
        .params_json = lease->source->params_json,
        .is_renewable = lease->is_renewable,
        .issued_wall_ms = core_wall_of(core, lease->answered_ms),
        .expires_wall_ms = core_wall_of(core, lease->expires_ms),
        .ends_wall_ms = core_wall_of(core, lease->ends_ms),
        .caller = callers[holder->kind],
        .uid = holder->uid,
        .user = holder->user,
        .unit = holder->unit,
        .container = holder->container,
        .listener = holder->listener,
        .sans = holder->sans,
        .is_foreign = holder->is_foreign,
    };
    struct secret ref;
    BUF_AUTO body;
    int r;

    buf_init(&body, ENV_LEDGER_BODY_MAX_BYTES);
    secret_init(&ref);
    r = lease_ref(lease, &ref);
    if (r == 0) {
        record.issuer_ref = secret_view(&ref);
        r = ledger_lease_write(&record, &body);
    }
    secret_fini(&ref);
    if (r == 0) {
        r = env_ledger_put(core->ledger, ENV_LEDGER_LEASE, str_of(lease->id), buf_str(&body));
    }
    lease->is_durable = r == 0;
    return r;
}

static bool is_kept(const struct lease *lease)
{
    return lease->role->core->ledger != NULL && lease->is_revocable && !MUTATED(5);
}

static void durable_written(struct env_ledger_sync *sync, int status)
{
    struct durable_wait *wait = sync->user;
    struct lease_issuing *issuing = wait->issuing;

    mem_free(wait);
    if (issuing != NULL) {
        issuing->durable = NULL;
        issue_arrived(issuing, status);
    }
}

int durable_start(struct lease *lease, bool *ret_is_awaited)
{
    struct durable_wait *wait;
    int r;

    *ret_is_awaited = false;
    if (!is_kept(lease)) {
        return 0;
    }
    wait = mem_calloc(1, sizeof(*wait));
    r = wait != NULL ? put(lease) : ERR_NOMEM;
    if (r != 0) {
        mem_free(wait);
        return r;
    }
    wait->sync = (struct env_ledger_sync){.fn = durable_written, .user = wait};
    wait->issuing = lease->issuing;
    lease->issuing->durable = wait;
    env_ledger_sync(lease->role->core->ledger, &wait->sync);
    *ret_is_awaited = true;
    return 0;
}

void durable_note(struct lease *lease)
{
    int r = is_kept(lease) ? put(lease) : 0;

    if (r != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.unrecorded", "lease", lease->id, "err", err_str(r), NULL);
    }
}

void durable_forget(struct durable_wait *wait)
{
    if (wait != NULL) {
        wait->issuing = NULL;
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

/* --- back from it --- */

static int identity_of(const struct ledger_lease *record, struct access_identity *ret_identity)
{
    size_t kind = 0;

    while (kind < ARRAY_LEN(callers) && strcmp(callers[kind], record->caller) != 0) {
        kind++;
    }
    if (kind == ARRAY_LEN(callers) || strlen(record->user) >= sizeof(ret_identity->user) ||
        strlen(record->unit) >= sizeof(ret_identity->unit) ||
        strlen(record->container) >= sizeof(ret_identity->container) ||
        strlen(record->sans) >= sizeof(ret_identity->sans)) {
        return ERR_INVALID;
    }
    *ret_identity = (struct access_identity){
        .kind = (enum env_peer_kind)kind,
        .listener = record->listener,
        .uid = record->uid,
        .gid = ENV_NO_ID,
        .is_foreign = record->is_foreign,
    };
    memcpy(ret_identity->user, record->user, strlen(record->user) + 1);
    memcpy(ret_identity->unit, record->unit, strlen(record->unit) + 1);
    memcpy(ret_identity->container, record->container, strlen(record->container) + 1);
    memcpy(ret_identity->sans, record->sans, strlen(record->sans) + 1);
    return 0;
}

/* In our clock; what should have ended by now gets the time to ask its issuer all the same: a clock
 * alone ends no lease. */
static uint64_t when_of(const struct lease_core *core, int64_t wall_ms)
{
    int64_t wall_now_ms = env_wall_ms(core->env);
    uint64_t now_ms = core_now_ms(core);

    if (wall_ms == 0) {
        return UINT64_MAX;
    }
    return wall_ms > wall_now_ms ? schedule_add_ms(now_ms, (uint64_t)(wall_ms - wall_now_ms))
                                 : now_ms;
}

/* As if it had just been issued, but for its credential: only what names it is left. */
static int revive(struct lease *lease, const struct ledger_lease *record)
{
    const struct lease_core *core = lease->role->core;
    const struct lease_result result = {.outcome = LEASE_OUTCOME_OK,
                                        .issuer_ref = record->issuer_ref};
    int r = lease_seal(lease, &result);

    if (r != 0) {
        return r;
    }
    lease->is_renewable = record->is_renewable;
    lease->is_revocable = lease->is_recorded = lease->is_durable = true;
    lease->issued_ms = lease->answered_ms = core_now_ms(core);
    lease->expires_ms = lease->own_end_ms = when_of(core, record->expires_wall_ms);
    lease->ends_ms = when_of(core, record->ends_wall_ms);
    lease_set_state(lease, LEASE_STATE_ACTIVE);
    issue_forget(lease);
    record_lease_adopted(lease);
    revoke_start(lease, "an earlier leased has left it");
    return 0;
}

static bool is_id(struct str id)
{
    size_t i;

    for (i = 2; i < id.len; i++) {
        if (strchr("0123456789abcdef", id.ptr[i]) == NULL || id.ptr[i] == '\0') {
            return false;
        }
    }
    return id.len == LEASE_ID_BYTES && id.ptr[0] == 'l' && id.ptr[1] == '-';
}

int lease_core_recover(struct lease_core *core, struct str id, const struct ledger_lease *record,
                       struct lease_issuer *issuer)
{
    struct access_identity identity;
    struct holder *holder = NULL;
    struct source *source = NULL;
    struct lease *lease = NULL;
    struct role *role = NULL;
    int r = is_id(id) && lease_core_find_lease(core, id) == NULL ? identity_of(record, &identity)
                                                                 : ERR_INVALID;

    if (r == 0) {
        r = role_recover(core, record->role, issuer, record->params_json, &source);
    }
    if (r == 0) {
        role = source->role;
        holder = holder_get(core, role, &identity);
        lease = holder != NULL ? lease_new_from(source, holder, id.ptr, NULL) : NULL;
        r = lease != NULL ? 0 : ERR_NOMEM;
    }
    if (r == 0) {
        r = revive(lease, record);
        if (r != 0) {
            lease_free(lease);
        }
    }
    holder_put(core, holder);
    if (role != NULL) {
        source_put(source);
        role_put(role);
    }
    core_touch(core);
    return r;
}
