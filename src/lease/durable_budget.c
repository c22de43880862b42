/* Budgets of issues in the ledger, so that a daemon that is started again and again mints no more
 * than one that runs through.
 *
 * Happy path: an issue is sent → what is left of its role's budget is put, in the commit that its
 * intent waits for → the next daemon begins with that and what has come back since.
 *
 * Budgets that are full again within a minute aren't worth a record. */
#include "base/log.h"
#include "lease/core_internal.h"
#include "wire/ledger_budget.h"

#include <stdio.h>
#include <string.h>

#define SLOW_MS 60000U
#define ID_MAX_BYTES (sizeof(LEDGER_BUDGET_PREFIX) + ROLE_NAME_MAX_BYTES)

static bool is_slow(const struct role *role)
{
    return role->rates.issues.rate.count > 0 && role->rates.issues.rate.per_ms > SLOW_MS;
}

void durable_note_budget(struct role *role)
{
    const struct queue_bucket *issues = &role->rates.issues;
    struct lease_core *core = role->core;
    struct ledger_budget record;
    char id[ID_MAX_BYTES];
    BUF_AUTO body;
    int r;

    buf_init(&body, ENV_LEDGER_BODY_MAX_BYTES);
    if (core->ledger == NULL || !is_slow(role)) {
        return;
    }
    record.thousandths = issues->level / (issues->rate.per_ms / 1000U);
    durable_fill_clock(core, &record.clock);
    (void)snprintf(id, sizeof(id), LEDGER_BUDGET_PREFIX "%s", role->name);
    r = ledger_budget_write(&record, &body);
    if (r == 0) {
        r = env_ledger_put(core->ledger, ENV_LEDGER_SETTING, str_of(id), buf_str(&body));
    }
    if (r != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.unrecorded", "role", role->name, "err", err_str(r), NULL);
    }
}

int lease_core_recover_budget(struct lease_core *core, struct str id, struct str body)
{
    const struct str prefix = STR(LEDGER_BUDGET_PREFIX);
    struct ledger_budget record;
    struct role *role = NULL;
    int r;

    if (!str_starts_with(id, LEDGER_BUDGET_PREFIX)) {
        return 0;
    }
    id.ptr += prefix.len;
    id.len -= prefix.len;
    role = role_find(core, id);
    r = ledger_budget_read(body, &record, NULL);
    if (r == 0 && role != NULL && is_slow(role)) {
        uint64_t when_ms = recover_past_ms(core, &record.clock, record.clock.written_wall_ms);
        uint64_t tokens = record.thousandths / 1000U;

        queue_bucket_restore(&role->rates.issues, tokens, when_ms, core_now_ms(core));
    }
    return r;
}
