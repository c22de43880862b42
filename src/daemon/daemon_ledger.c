/* The ledger, opened before what writes to it (the trail is the first) and closed after it; and
 * what an earlier daemon has left in it.
 *
 * First its leases, then the grants on them: what can go on does, the rest is ended. A lease whose
 * backend isn't configured any more, or whose record can't be read, stays where it is with its
 * grants and is told at each start, and by the status: nobody else could revoke it. */
#include "daemon/daemon_internal.h"

#include "base/mem.h"
#include "env/ledger.h"
#include "wire/ledger_grant.h"
#include "wire/ledger_lease.h"

#include <stdio.h>
#include <sysexits.h>

/* A path and what it is. */
#define KEY_SOURCE_MAX_BYTES 4200U

/* Where the key is, for env_ledger_open; NULL: beside the ledger, or out of memory. */
static char *key_source(const struct config_state *state, bool *ret_is_out_of_memory)
{
    const char *kind = state->seal_key_file != NULL ? "file:" : "credential:";
    const char *name =
        state->seal_key_file != NULL ? state->seal_key_file : state->seal_key_credential;
    BUF_AUTO text;
    char *source = NULL;

    *ret_is_out_of_memory = false;
    buf_init(&text, KEY_SOURCE_MAX_BYTES);
    if (name == NULL) {
        return NULL;
    }
    buf_printf(&text, "%s%s", kind, name);
    if (buf_status(&text) == 0) {
        source = mem_strdup(text.bytes);
    }
    *ret_is_out_of_memory = source == NULL;
    return source;
}

int daemon_ledger_open(struct daemon *daemon)
{
    const struct config_state *state = &daemon->config->settings.state;
    struct env_ledger_options options = {.path = state->ledger.sqlite};
    bool is_out_of_memory;
    struct err e = {0};
    char *source;
    int r;

    if (options.path == NULL) {
        return 0;
    }
    source = key_source(state, &is_out_of_memory);
    options.key_source = source;
    r = is_out_of_memory ? err_set(&e, ERR_NOMEM, "%s", err_str(ERR_NOMEM))
                         : env_ledger_open(daemon->env, &options, &daemon->ledger, &e);
    mem_free(source);
    if (r != 0) {
        log_event(LOG_LEVEL_ERROR, "daemon.start.failed", "detail", "ledger", "err", e.text, NULL);
        return r == ERR_CORRUPT ? EX_IOERR : EX_CANTCREAT;
    }
    return 0;
}

const char *daemon_ledger_key(const struct daemon *daemon)
{
    const struct config_state *state = &daemon->config->settings.state;

    if (state->ledger.sqlite == NULL) {
        return NULL;
    }
    if (state->seal_key_file != NULL) {
        return "state.seal_key_file";
    }
    return state->seal_key_credential != NULL
               ? "state.seal_key_credential"
               : "beside the ledger, where whoever can read one can read both";
}

/* --- what was left --- */

static void left(const char *key, struct str id, const char *why)
{
    char text[ENV_LEDGER_ID_MAX_BYTES + 1];

    (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(id));
    log_event(LOG_LEVEL_ERROR, "ledger.left", key, text, "err", why, NULL);
}

/* Its grants stay with it. */
static void left_lease(struct daemon *daemon, struct str id, enum left_why why, const char *backend,
                       const char *text)
{
    lease_core_recover_left(daemon->core, id);
    left_add(&daemon->left, why, backend);
    left("lease", id, text);
}

static int recover_lease(void *user, struct str id, struct str body)
{
    struct daemon *daemon = user;
    const struct daemon_backend *entry;
    struct ledger_lease lease;
    struct err e = {0};
    char why[ERR_TEXT_MAX_BYTES];
    int r = ledger_lease_read(body, &lease, &e);

    if (r != 0) {
        left_lease(daemon, id, LEFT_UNREADABLE, "", e.text);
        return 0;
    }
    entry = daemon_backend_find(daemon, lease.backend);
    if (entry == NULL) {
        (void)snprintf(why, sizeof(why),
                       "its backend %s isn't configured any more; only with it can it be revoked: "
                       "configure it again and restart leased, or use `lease ledger sweep`",
                       lease.backend);
        left_lease(daemon, id, LEFT_UNCONFIGURED, lease.backend, why);
    } else {
        r = lease_core_recover(daemon->core, id, &lease, backend_issuer(entry->backend));
        if (r != 0) {
            left_lease(daemon, id, LEFT_REFUSED, lease.backend, err_str(r));
        }
    }
    return 0;
}

static int recover_read(void *user, struct str id, struct str body)
{
    struct daemon *daemon = user;
    int r = lease_core_recover_read(daemon->core, id, body);

    if (r != 0) {
        left("record", id, err_str(r));
    }
    return 0;
}

static int recover_grant(void *user, struct str id, struct str body)
{
    struct daemon *daemon = user;
    struct ledger_grant grant;
    struct err e = {0};
    int r = ledger_grant_read(body, &grant, &e);

    if (r != 0) {
        left("grant", id, e.text);
        return 0;
    }
    r = lease_core_recover_grant(daemon->core, id, &grant);
    if (r == ERR_UNAVAILABLE) {
        left("grant", id, "its lease was left");
    } else if (r != 0 && r != ERR_NOT_FOUND) {
        left("grant", id, err_str(r));
    }
    return 0;
}

static int recover_setting(void *user, struct str id, struct str body)
{
    struct daemon *daemon = user;

    if (lease_core_recover_budget(daemon->core, id, body) != 0) {
        left("record", id, "it can't be read; the budget is taken for unused");
    }
    return 0;
}

static int recover_rate(void *user, struct str id, struct str body)
{
    struct daemon *daemon = user;
    int r = lease_core_recover_rate(daemon->core, id, body);

    if (r == ERR_INVALID) {
        left("record", id,
             "it can't be read; what its caller has used up of a rule's limits.issue is taken for "
             "unused");
    } else if (r != 0) {
        left("record", id, err_str(r));
    }
    return 0;
}

/* One record for all that simply goes on; what doesn't has records of its own. */
static void note(struct daemon *daemon, const struct lease_recovery *recovery)
{
    char reason[256];
    struct audit_record record = {.event = "daemon.recovered",
                                  .outcome = "ok",
                                  .reason = reason,
                                  .count = recovery->adopted_count,
                                  .policy_digest =
                                      access_policy_digest(daemon->config->access.policy)};

    (void)snprintf(reason, sizeof(reason),
                   "leases: %llu go on, %llu are revoked, %llu are left in the ledger; "
                   "grants: %llu go on, %llu have ended",
                   (unsigned long long)recovery->adopted_count,
                   (unsigned long long)recovery->revoked_count,
                   (unsigned long long)daemon->left.total,
                   (unsigned long long)recovery->grant_count,
                   (unsigned long long)recovery->ended_count);
    audit_record_note(daemon->audit, &record);
}

static void tell(const struct daemon *daemon, const struct lease_recovery *recovery)
{
    const uint64_t counts[] = {recovery->adopted_count, recovery->grant_count,
                               recovery->revoked_count, recovery->ended_count, daemon->left.total};
    char texts[ARRAY_LEN(counts)][STR_U64_MAX_BYTES + 1];
    size_t i;

    for (i = 0; i < ARRAY_LEN(counts); i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%llu", (unsigned long long)counts[i]);
    }
    log_event(LOG_LEVEL_INFO, "ledger.recovered", "leases", texts[0], "grants", texts[1],
              "leases_revoked", texts[2], "grants_ended", texts[3], "leases_left", texts[4], NULL);
}

void daemon_ledger_reloaded(const struct daemon *daemon)
{
    char text[LEFT_TEXT_MAX_BYTES];
    size_t i;

    for (i = 0; i < daemon->left.entry_count; i++) {
        const struct left_entry *entry = &daemon->left.entries[i];

        if (entry->why == LEFT_UNCONFIGURED &&
            daemon_backend_find(daemon, entry->backend) != NULL) {
            left_text(entry, true, text);
            log_event(LOG_LEVEL_ERROR, "ledger.left", "backend", entry->backend, "err", text, NULL);
        }
    }
}

static int unreadable(const struct err *e)
{
    log_event(LOG_LEVEL_ERROR, "daemon.start.failed", "detail", "ledger", "err", e->text, NULL);
    return EX_IOERR;
}

int daemon_ledger_recover(struct daemon *daemon)
{
    struct access_policy *policy = daemon->config->access.policy;
    struct lease_recovery recovery;
    struct err e = {0};
    int r;

    if (daemon->ledger == NULL) {
        log_event(LOG_LEVEL_WARN, "ledger.none", "detail",
                  "without a ledger a crash leaves leases to the end of their life at the issuer",
                  "hint", "state: {ledger: {sqlite: /var/lib/leased/ledger.db}}", NULL);
        return 0;
    }
    r = env_ledger_each(daemon->ledger, ENV_LEDGER_LEASE, recover_lease, daemon, &e);
    if (r == 0) {
        r = env_ledger_each(daemon->ledger, ENV_LEDGER_READ, recover_read, daemon, &e);
    }
    if (r == 0) {
        r = env_ledger_each(daemon->ledger, ENV_LEDGER_GRANT, recover_grant, daemon, &e);
    }
    if (r == 0) {
        r = env_ledger_each(daemon->ledger, ENV_LEDGER_SETTING, recover_setting, daemon, &e);
    }
    if (r == 0) {
        r = env_ledger_each(daemon->ledger, ENV_LEDGER_RATE, recover_rate, daemon, &e);
    }
    if (r != 0) {
        return unreadable(&e);
    }
    /* The policy of now decides on what an earlier one has allowed. */
    (void)lease_core_recheck(daemon->core,
                             &(struct lease_recheck){.policy_digest = access_policy_digest(policy),
                                                     .judge = daemon_judge,
                                                     .user = policy});
    lease_core_recovered(daemon->core, &recovery);
    if (daemon_requests_recover(daemon, policy, &e) != 0) {
        return unreadable(&e);
    }
    if (recovery.adopted_count + recovery.revoked_count + daemon->left.total > 0) {
        tell(daemon, &recovery);
        note(daemon, &recovery);
    }
    return 0;
}

/* --- the end --- */

static void ledger_closed(void *user)
{
    struct daemon *daemon = OBJ_CAST(user, struct daemon, DAEMON_MAGIC);

    daemon->ledger = NULL;
    daemon_ledger_closed(daemon);
}

void daemon_ledger_close(struct daemon *daemon)
{
    if (daemon->ledger == NULL) {
        daemon_ledger_closed(daemon);
        return;
    }
    env_ledger_close(daemon->ledger, ledger_closed, daemon);
}
