/* Requests for approvals, and the grants that are made of them. */
#include "daemon/daemon_internal.h"

#include "base/log.h"

#include <stdio.h>
#include <sysexits.h>

static bool grant_lives(void *user, const char *id)
{
    struct daemon *daemon = OBJ_CAST(user, struct daemon, DAEMON_MAGIC);
    struct grant *grant = lease_core_find_grant(daemon->core, str_of(id));
    struct grant_view view;

    if (grant == NULL) {
        return false;
    }
    grant_view(grant, &view);
    return view.state != GRANT_STATE_ENDED;
}

static void grant_end(void *user, const char *id)
{
    struct daemon *daemon = OBJ_CAST(user, struct daemon, DAEMON_MAGIC);
    struct grant *grant = lease_core_find_grant(daemon->core, str_of(id));

    if (grant != NULL) {
        lease_end_grant(daemon->core, grant, GRANT_END_REVOKED, NULL);
    }
}

int daemon_requests_start(struct daemon *daemon)
{
    const struct requests_options options = {.env = daemon->env,
                                             .audit = daemon->audit,
                                             .ledger = daemon->ledger,
                                             .policy = daemon->config->access.policy,
                                             .grant_lives = grant_lives,
                                             .grant_end = grant_end,
                                             .user = daemon};
    struct err e = {0};

    if (requests_new(&options, &daemon->requests, &e) != 0) {
        log_event(LOG_LEVEL_ERROR, "daemon.start.failed", "detail", "requests", "err", e.text,
                  NULL);
        return EX_OSERR;
    }
    return 0;
}

static int recover(void *user, struct str id, struct str body)
{
    struct daemon *daemon = user;
    char text[ENV_LEDGER_ID_MAX_BYTES + 1];
    struct err e = {0};

    if (requests_recover(daemon->requests, id, body, &e) != 0) {
        (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(id));
        log_event(LOG_LEVEL_ERROR, "ledger.left", "request", text, "err", e.text, NULL);
    }
    return 0;
}

int daemon_requests_recover(struct daemon *daemon, const struct access_policy *policy,
                            struct err *e)
{
    int r = env_ledger_each(daemon->ledger, ENV_LEDGER_REQUEST, recover, daemon, e);

    if (r == 0) {
        requests_recovered(daemon->requests, policy);
    }
    return r;
}
