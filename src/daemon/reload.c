/* A new configuration for a daemon that runs, all or nothing.
 *
 * Happy path: read and check everything as at start → what can't be changed while leased runs is
 * the same → new backends and listeners are opened beside the old ones, and what listeners that
 * stay need is made ready (reload_listeners.c) → the roles get their new settings → from here on
 * nothing can fail: roles that are gone are removed, serve/ gets the new policy, the grants that
 * live are judged by it, what is replaced or gone is retired, and the old configuration is freed.
 *
 * Failure paths: up to there each step undoes what was done, so that the configuration before goes
 * on as if nothing had been asked. Every mistake is told in the log and to who asked. */
#include "daemon/reload_internal.h"

#include "access/identity_record.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STATUS_MAX_BYTES 160
#define LINE_MAX_BYTES 1024
#define CHANGES_MAX_BYTES (1024U * 1024U)

/* ---- looking ----------------------------------------------------------------- */

/* The issuer of a role of `after`. */
static struct lease_issuer *issuer_of(const struct reload *reload, const struct config_role *role)
{
    const struct config_backend *first = reload->after->settings.backends.items;
    const struct config_backend *backend = config_backend_find(reload->after, role->backend);

    CHECK(backend != NULL);
    return backend_issuer(reload->backends[backend - first]->backend);
}

/* ---- what can fail ----------------------------------------------------------- */

/* What was applied is changed by applying alone. */
static void copy_check(struct reload *reload)
{
    const char *id = reload->before->access.copy->id;

    if (strcmp(id, reload->after->access.copy->id) != 0) {
        yaml_error_at_key(reload->mistakes, yaml_get(reload->after->settings.node, "state"),
                          reload->daemon->is_copy_due
                              ? "the policy that was applied could not be written to its place, "
                                "beside the ledger, yet: see the log, and try again"
                              : "the copy of the applied policy, beside the ledger, isn't the one "
                                "that counts: put it back, or apply a policy");
    }
}

static int config_read(struct reload *reload)
{
    const struct daemon_options *daemon = &reload->daemon->options;
    const struct config_options options = {.path = daemon->config_path,
                                           .registry = daemon->registry,
                                           .is_reload = true};
    int r = config_load(&options, &reload->after, reload->mistakes);

    if (r != 0) {
        return r;
    }
    config_check_restart(reload->before, reload->after, daemon->environment, reload->mistakes);
    copy_check(reload);
    if (reload->mistakes->count > 0) {
        return ERR_INVALID;
    }
    return config_digest(reload->after, reload->digest);
}

static int tables_make(struct reload *reload)
{
    const struct config_settings *settings = &reload->after->settings;

    reload->backends = mem_calloc(settings->backends.count + 1, sizeof(struct daemon_backend *));
    reload->served = mem_calloc(settings->backends.count + 1, sizeof(struct backend *));
    reload->listeners = mem_calloc(settings->listeners.count + 1, sizeof(struct daemon_listener *));
    reload->predecessors =
        mem_calloc(settings->listeners.count + 1, sizeof(struct daemon_listener *));
    reload->has_new_tls = mem_calloc(settings->listeners.count + 1, sizeof(bool));
    return reload->backends != NULL && reload->served != NULL && reload->listeners != NULL &&
                   reload->predecessors != NULL && reload->has_new_tls != NULL
               ? 0
               : ERR_NOMEM;
}

static int backends_open(struct reload *reload)
{
    const struct config_backend *configured = reload->after->settings.backends.items;
    size_t i;

    for (i = 0; i < reload->after->settings.backends.count; i++) {
        const struct config_backend *before =
            config_backend_find(reload->before, configured[i].name);
        struct err e = {0};

        if (before != NULL && config_compare_backends(before, &configured[i]) != CONFIG_OTHER) {
            reload->backends[i] = daemon_backend_find(reload->daemon, configured[i].name);
            CHECK(reload->backends[i] != NULL);
        } else {
            int r = daemon_backend_open(reload->daemon, &configured[i], &reload->backends[i], &e);

            if (r != 0) {
                yaml_error_at_key(reload->mistakes, configured[i].node,
                                  "could not open backend %s: %s", configured[i].name, e.text);
                return r;
            }
        }
        reload->served[i] = reload->backends[i]->backend;
    }
    return 0;
}

/* As they were, as far as memory allows. */
static void roles_restore(struct reload *reload, size_t count)
{
    const struct config_role *roles = reload->after->settings.roles.items;
    size_t i;

    for (i = 0; i < count; i++) {
        const struct config_role *before = config_role_find(reload->before, roles[i].name);
        struct daemon_backend *backend =
            before != NULL ? daemon_backend_find(reload->daemon, before->backend) : NULL;
        struct lease_role role;

        if (backend == NULL) {
            lease_core_remove_role(reload->daemon->core, str_of(roles[i].name));
            continue;
        }
        config_fill_role(before, backend_issuer(backend->backend), &role);
        if (lease_core_set_role(reload->daemon->core, &role) != 0) {
            log_event(LOG_LEVEL_ERROR, "config.role.changed", "role", before->name, "detail",
                      "out of memory: its new settings stay", NULL);
        }
    }
}

static int roles_set(struct reload *reload)
{
    const struct config_role *roles = reload->after->settings.roles.items;
    size_t i;

    for (i = 0; i < reload->after->settings.roles.count; i++) {
        struct lease_role role;
        int r;

        config_fill_role(&roles[i], issuer_of(reload, &roles[i]), &role);
        r = lease_core_set_role(reload->daemon->core, &role);
        if (r != 0) {
            yaml_error_at_key(reload->mistakes, roles[i].node, "could not set role %s: %s",
                              roles[i].name, err_str(r));
            roles_restore(reload, i);
            return r;
        }
    }
    return 0;
}

static int files_make(struct reload *reload)
{
    struct err e = {0};
    int r = daemon_files_make(reload->after, &reload->files, &e);

    if (r != 0) {
        yaml_error_at_key(reload->mistakes, yaml_get(reload->after->settings.node, "files"), "%s",
                          e.text);
    }
    return r;
}

static int prepare(struct reload *reload)
{
    static int (*const steps[])(struct reload * reload) = {
        config_read, tables_make, files_make, backends_open, reload_listeners_prepare, roles_set,
    };
    size_t i;
    int r = 0;

    for (i = 0; r == 0 && i < ARRAY_LEN(steps); i++) {
        r = steps[i](reload);
    }
    return r;
}

/* What was opened for it goes again; clients that have found a listener already are served. */
static void give_up(struct reload *reload)
{
    /* Without a configuration nothing was opened for it. */
    static const struct config_settings none = {.node = NULL};
    const struct config_settings *settings =
        reload->after != NULL ? &reload->after->settings : &none;
    size_t i;

    for (i = 0; reload->backends != NULL && i < settings->backends.count; i++) {
        if (reload->backends[i] != NULL && reload->backends[i]->is_fresh) {
            daemon_backend_retire(reload->backends[i]);
        }
    }
    if (reload->listeners != NULL) {
        reload_listeners_give_up(reload);
    }
    mem_free((void *)reload->served);
    config_free(reload->after);
}

/* ---- what can't -------------------------------------------------------------- */

void daemon_judge(void *user, const struct access_identity *identity,
                  const struct access_request *request, struct access_decision *ret_decision)
{
    access_policy_decide(user, identity, request, ret_decision);
}

/* Is there anything by which a grant that lives would be judged differently? */
static bool rules_have_changed(const struct reload *reload)
{
    const struct config_role *roles = reload->after->settings.roles.items;
    size_t i;

    for (i = 0; i < reload->after->settings.roles.count; i++) {
        const struct config_role *before = config_role_find(reload->before, roles[i].name);

        if (before == NULL || !config_role_is_same(before, &roles[i])) {
            return true;
        }
    }
    return strcmp(access_policy_digest(reload->before->access.policy),
                  access_policy_digest(reload->after->access.policy)) != 0;
}

static void roles_remove(struct reload *reload)
{
    const struct config_role *roles = reload->before->settings.roles.items;
    size_t i;

    for (i = 0; i < reload->before->settings.roles.count; i++) {
        if (config_role_find(reload->after, roles[i].name) == NULL) {
            lease_core_remove_role(reload->daemon->core, str_of(roles[i].name));
        }
    }
}

static void backends_take_over(struct reload *reload)
{
    const struct config_backend *configured = reload->after->settings.backends.items;
    struct daemon *daemon = reload->daemon;
    struct list *node;
    struct list *following;
    size_t i;

    for (i = 0; i < reload->after->settings.backends.count; i++) {
        const struct config_backend *before =
            config_backend_find(reload->before, configured[i].name);
        struct daemon_backend *entry = reload->backends[i];
        bool stays = !entry->is_fresh;

        if (stays && config_compare_backends(before, &configured[i]) == CONFIG_LIMITS &&
            daemon_backend_set_limits(entry, &configured[i]) != 0) {
            log_event(LOG_LEVEL_ERROR, "backend.limits.kept", "backend", entry->name, "err",
                      err_str(ERR_NOMEM), NULL);
        }
    }
    LIST_EACH (&daemon->backends, node, following) {
        struct daemon_backend *entry = LIST_ENTRY(node, struct daemon_backend, node);
        bool stays = entry->is_retired;

        for (i = 0; !stays && i < reload->after->settings.backends.count; i++) {
            stays = reload->backends[i] == entry;
        }
        entry->is_fresh = false;
        if (!stays) {
            daemon_backend_retire(entry);
        }
    }
}

static void commit(struct reload *reload)
{
    struct daemon *daemon = reload->daemon;
    struct lease_core_stats stats;
    uint64_t grants_before;

    lease_core_stats(daemon->core, &stats);
    grants_before = stats.grants_held;
    roles_remove(reload);
    daemon_policy_tell(daemon, reload->after);
    daemon_serve(daemon, reload->after, reload->served, reload->files);
    daemon_hooks_set(daemon, reload->after);
    if (rules_have_changed(reload)) {
        struct access_policy *policy = reload->after->access.policy;

        (void)lease_core_recheck(
            daemon->core, &(struct lease_recheck){.policy_digest = access_policy_digest(policy),
                                                  .judge = daemon_judge,
                                                  .user = policy});
    }
    lease_core_stats(daemon->core, &stats);
    reload->report = (struct reload_report){
        .before = reload->before,
        .after = reload->after,
        .digest = reload->digest,
        .has_new_tls = reload->has_new_tls,
        .grants_ended = grants_before > stats.grants_held ? grants_before - stats.grants_held : 0,
    };
    backends_take_over(reload);
    reload_listeners_take_over(reload);
    daemon->config = reload->after;
}

/* ---- telling ----------------------------------------------------------------- */

static void note(const struct reload *reload, const char *event, const char *outcome,
                 const char *error)
{
    const struct access_identity *identity = reload->asked != NULL ? reload->asked->identity : NULL;
    char reason[CONFIG_DIGEST_BYTES + 32];
    struct audit_record record = {
        .event = event,
        .outcome = outcome,
        .policy_digest = access_policy_digest(reload->daemon->config->access.policy),
        .error = error,
    };

    if (reload->digest[0] != '\0') {
        (void)snprintf(reason, sizeof(reason), "config sha256:%s", reload->digest);
        record.reason = reason;
    }
    if (identity != NULL) {
        record.listener = identity->listener;
        record.api = "native";
        record.request = reload->asked->request_id;
        access_identity_tell(identity, &record);
    }
    audit_record_note(reload->daemon->audit, &record);
}

static void rejected_tell(const struct reload *reload)
{
    struct str lines = buf_str(&reload->mistakes->text);
    char first[LINE_MAX_BYTES] = "out of memory";
    char count[24];
    bool is_first = true;

    while (lines.len > 0) {
        struct str line = str_cut(&lines, '\n');
        char text[LINE_MAX_BYTES];

        (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(line));
        log_event(LOG_LEVEL_ERROR, "config.mistake", "detail", text, NULL);
        if (is_first) {
            memcpy(first, text, sizeof(first));
        }
        is_first = false;
    }
    (void)snprintf(count, sizeof(count), "%zu", reload->mistakes->count);
    log_event(LOG_LEVEL_ERROR, "config.rejected", "count", count, "hint",
              "the configuration before stays", NULL);
    note(reload, "config.rejected", "error", first);
}

static size_t total(const struct reload_counts *counts)
{
    return counts->added + counts->removed + counts->changed;
}

static void reloaded_tell(struct reload *reload, char status[STATUS_MAX_BYTES])
{
    struct reload_report *report = &reload->report;
    BUF_AUTO own;

    buf_init(&own, CHANGES_MAX_BYTES);
    reload_report_write(report, reload->asked != NULL ? reload->asked->changes : &own);
    (void)snprintf(status, STATUS_MAX_BYTES,
                   "%zu roles, %zu backends, %zu listeners changed; %" PRIu64 " grants ended",
                   total(&report->roles), total(&report->backends), total(&report->listeners),
                   report->grants_ended);
    log_event(LOG_LEVEL_INFO, "config.reloaded", "detail", status, NULL);
    note(reload, "config.reloaded", "ok", NULL);
}

int daemon_reload(struct daemon *daemon, struct serve_reload *asked)
{
    struct yaml_errors own = {.count = 0};
    struct reload reload = {.daemon = daemon,
                            .asked = asked,
                            .mistakes = asked != NULL ? asked->mistakes : &own,
                            .before = daemon->config};
    char status[STATUS_MAX_BYTES] = "ready; the last reload was refused";
    int r;

    if (!daemon->has_started || daemon->is_stopping) {
        return ERR_CLOSED;
    }
    if (daemon->apply != NULL) {
        daemon->is_reload_due = daemon->is_reload_due || asked == NULL;
        return ERR_BUSY;
    }
    yaml_errors_init(&own);
    notify_reloading(&daemon->notify);
    r = prepare(&reload);
    if (r == 0) {
        commit(&reload);
        reloaded_tell(&reload, status);
        daemon_ledger_reloaded(daemon);
        config_free(reload.before);
        daemon->options.configured(daemon->options.user, daemon->config);
    } else {
        rejected_tell(&reload);
        give_up(&reload);
    }
    notify_ready(&daemon->notify, status);
    mem_free((void *)reload.backends);
    mem_free((void *)reload.listeners);
    mem_free((void *)reload.predecessors);
    mem_free(reload.has_new_tls);
    mem_free(reload.files);
    yaml_errors_fini(&own);
    return r == ERR_NOT_FOUND ? ERR_INVALID : r;
}
