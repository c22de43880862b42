/* Grants into the ledger: put beside the record that creates them, put again when they move to
 * another lease, removed when they end. What is read of them isn't counted there. */
#include "access/identity_record.h"
#include "base/log.h"
#include "lease/core_internal.h"
#include "lease/watched.h"
#include "wire/ledger_grant.h"

#include <inttypes.h>
#include <stdio.h>

#define PROCESS_TEXT_MAX_BYTES 40U
#define CGROUP_TEXT_MAX_BYTES (ENV_CGROUP_PATH_MAX_BYTES + 24U)

struct grant_texts {
    char processes[ACCESS_BINDINGS_MAX * PROCESS_TEXT_MAX_BYTES];
    char cgroups[ACCESS_BINDINGS_MAX * CGROUP_TEXT_MAX_BYTES];
    char groups[ACCESS_GROUPS_TEXT_MAX_BYTES];
};

static bool hangs_on_peer(const struct grant *grant)
{
    size_t i;

    for (i = 0; i < grant->watched_count; i++) {
        if (watched_target(grant->bindings[i].watched)->pid == BINDING_PEER) {
            return true;
        }
    }
    return false;
}

/* Both in the order of a set. */
static void put_watched(const struct grant *grant, struct grant_texts *texts)
{
    size_t process_used = 0;
    size_t cgroup_used = 0;
    size_t i;

    texts->processes[0] = texts->cgroups[0] = '\0';
    for (i = 0; i < grant->watched_count; i++) {
        const struct binding_target *target = watched_target(grant->bindings[i].watched);
        const struct env_cgroup *cgroup = watched_cgroup(grant->bindings[i].watched);

        if (target->pid == BINDING_PEER) {
            continue; /* nothing leads the next daemon to it */
        }
        if (cgroup != NULL) {
            cgroup_used +=
                (size_t)snprintf(texts->cgroups + cgroup_used, sizeof(texts->cgroups) - cgroup_used,
                                 "%s%" PRIu64 ":%s", cgroup_used > 0 ? "\n" : "", cgroup->id,
                                 cgroup->path);
        } else {
            process_used +=
                (size_t)snprintf(texts->processes + process_used,
                                 sizeof(texts->processes) - process_used, "%s%" PRId64 ":%" PRIu64,
                                 process_used > 0 ? "," : "", target->pid, target->value);
        }
        CHECK(cgroup_used < sizeof(texts->cgroups));
        CHECK(process_used < sizeof(texts->processes));
    }
}

static void fill(struct grant *grant, struct grant_texts *texts, struct ledger_grant *record)
{
    struct lease_core *core = grant->lease->role->core;
    struct access_identity identity;

    grant_identity(grant, &identity);
    put_watched(grant, texts);
    *record = (struct ledger_grant){
        .lease = grant->lease->id,
        .gid = identity.gid,
        .groups = access_identity_groups(&identity, texts->groups),
        .pid = grant->pid > 0 ? (uint32_t)grant->pid : 0,
        .bindings = grant_bindings_text(grant),
        .processes = texts->processes,
        .cgroups = texts->cgroups,
        .has_connection = grant->has_connection || hangs_on_peer(grant),
        .created_wall_ms = grant->created_wall_ms,
        .until_wall_ms = grant_until_wall_ms(grant),
        .duration_ms = grant->duration_ms,
        .reason = grant_reason(grant),
        .ticket = grant_ticket(grant),
        .approval = grant_approval(grant),
        .policy = grant_policy(grant),
        .rule = grant_rule(grant),
        .window_wall_ms = grant->window_wall_ms,
        .own_until_wall_ms =
            grant->window_wall_ms != 0 ? core_wall_of(core, grant->own_until_ms) : 0,
        .read_count = grant->read_count,
        .is_read = grant->is_read || handout_is_of_own_lease(grant), /* its record is on its way */
        .is_delivered = grant->is_delivered,
    };
    durable_fill_clock(core, &record->clock);
    durable_fill_holder(grant->holder, &record->holder);
}

int durable_put_grant(struct grant *grant)
{
    struct grant_texts texts;
    struct ledger_grant record;
    BUF_AUTO body;
    int r;

    fill(grant, &texts, &record);
    buf_init(&body, ENV_LEDGER_BODY_MAX_BYTES);
    r = ledger_grant_write(&record, &body);
    if (r == 0) {
        r = env_ledger_put(grant->lease->role->core->ledger, ENV_LEDGER_GRANT, str_of(grant->id),
                           buf_str(&body));
    }
    grant->is_durable = grant->is_durable || r == 0;
    return r;
}

void durable_note_grant(struct grant *grant)
{
    int r = grant->is_durable ? durable_put_grant(grant) : 0;

    if (r != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.unrecorded", "grant", grant->id, "err", err_str(r), NULL);
    }
}

void durable_end_grant(struct grant *grant)
{
    int r;

    if (!grant->is_durable) {
        return;
    }
    grant->is_durable = false;
    r = env_ledger_remove(grant->lease->role->core->ledger, ENV_LEDGER_GRANT, str_of(grant->id));
    if (r != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.unremoved", "grant", grant->id, "err", err_str(r), NULL);
    }
}
