/* The ledger, opened before what writes to it (the trail is the first) and closed after it; and
 * what an earlier daemon has left in it.
 *
 * A lease whose backend isn't configured any more, or whose record can't be read, stays where it is
 * and is told at each start: nobody else could revoke it. */
#include "daemon/daemon_internal.h"

#include "base/mem.h"
#include "env/ledger.h"
#include "wire/ledger_lease.h"

#include <stdio.h>
#include <sysexits.h>

struct recovery {
    struct daemon *daemon;
    uint64_t recovered_count;
};

int daemon_ledger_open(struct daemon *daemon)
{
    const char *path = daemon->config->settings.state.ledger.sqlite;
    struct err e = {0};
    int r;

    if (path == NULL) {
        return 0;
    }
    r = env_ledger_open(daemon->env, path, &daemon->ledger, &e);
    if (r != 0) {
        log_event(LOG_LEVEL_ERROR, "daemon.start.failed", "detail", "ledger", "err", e.text, NULL);
        return r == ERR_CORRUPT ? EX_IOERR : EX_CANTCREAT;
    }
    return 0;
}

/* --- what was left --- */

static void left(struct str id, const char *why)
{
    char lease[ENV_LEDGER_ID_MAX_BYTES + 1];

    (void)snprintf(lease, sizeof(lease), "%.*s", STR_ARG(id));
    log_event(LOG_LEVEL_ERROR, "ledger.left", "lease", lease, "err", why, NULL);
}

static int recover_one(void *user, struct str id, struct str body)
{
    struct recovery *recovery = user;
    const struct daemon_backend *entry;
    struct ledger_lease lease;
    json_t *owner = NULL;
    struct err e = {0};
    char why[ERR_TEXT_MAX_BYTES];
    int r = ledger_lease_read(body, &lease, &owner, &e);

    if (r != 0) {
        left(id, e.text);
        return 0;
    }
    entry = daemon_backend_find(recovery->daemon, lease.backend);
    if (entry == NULL) {
        (void)snprintf(why, sizeof(why),
                       "its backend %s isn't configured any more; only with it can it be revoked",
                       lease.backend);
        left(id, why);
    } else {
        r = lease_core_recover(recovery->daemon->core, id, &lease, backend_issuer(entry->backend));
        if (r != 0) {
            left(id, err_str(r));
        } else {
            recovery->recovered_count++;
        }
    }
    json_decref(owner);
    return 0;
}

int daemon_ledger_recover(struct daemon *daemon)
{
    struct recovery recovery = {.daemon = daemon};
    char count[STR_U64_MAX_BYTES + 1];
    struct err e = {0};

    if (daemon->ledger == NULL) {
        log_event(LOG_LEVEL_WARN, "ledger.none", "detail",
                  "without a ledger a crash leaves leases to the end of their life at the issuer",
                  "hint", "state: {ledger: {sqlite: /var/lib/leased/ledger.db}}", NULL);
        return 0;
    }
    if (env_ledger_each(daemon->ledger, ENV_LEDGER_LEASE, recover_one, &recovery, &e) != 0) {
        log_event(LOG_LEVEL_ERROR, "daemon.start.failed", "detail", "ledger", "err", e.text, NULL);
        return EX_IOERR;
    }
    if (recovery.recovered_count > 0) {
        (void)snprintf(count, sizeof(count), "%llu", (unsigned long long)recovery.recovered_count);
        log_event(LOG_LEVEL_INFO, "ledger.recovered", "count", count, "detail",
                  "leases that an earlier leased left are being revoked", NULL);
        daemon_note(daemon, "daemon.recovered", "ok");
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
