/* The backends: opened at start and by reloads, kept while leases need them, then logged out and
 * closed. */
#include "daemon/daemon_internal.h"

#include "backend/kept.h"
#include "base/mem.h"

#include <string.h>

static void anchor_ends(void *user, struct backend *backend, uint64_t anchor, uint64_t when_ms,
                        const char *reason)
{
    struct daemon_backend *entry = user;

    lease_core_anchor_ends(entry->daemon->core, backend_issuer(backend), anchor, when_ms, reason);
}

/* One that was replaced keeps nothing: the new one of its name does. */
static int keep_state(void *user, struct backend *backend, struct str state)
{
    struct daemon_backend *entry = user;

    (void)backend;
    return entry->daemon->ledger != NULL && !entry->is_retired
               ? kept_put(entry->daemon->ledger, entry->name, state)
               : ERR_CLOSED;
}

/* What the last run's backend of this name kept. One that a reload makes begins anew. */
static void read_state(struct daemon *daemon, const char *name, struct secret *ret_state)
{
    struct err e = {0};

    if (daemon->ledger != NULL && !daemon->has_started &&
        kept_read(daemon->ledger, name, ret_state, &e) != 0) {
        log_event(LOG_LEVEL_WARN, "ledger.login.lost", "backend", name, "err", e.text, "detail",
                  "it logs in anew, and leases that hang on the old login are revoked", NULL);
    }
}

static int borrow_start(void *user, struct lease_loan *loan)
{
    struct lease_core *core = ((struct daemon_backend *)user)->daemon->core;

    return core != NULL ? lease_lend_start(core, loan) : ERR_CLOSED;
}

static void borrow_cancel(void *user, struct lease_loan *loan)
{
    (void)user;
    lease_lend_cancel(loan);
}

static struct backend_limits limits_of(const struct config_backend_limits *limits)
{
    return (struct backend_limits){
        .in_flight = (uint32_t)limits->in_flight,
        .timeout_ms = limits->timeout_ms,
        .issue_rate = limits->issue_rate,
        .renew_rate = limits->renew_rate,
        .revoke_rate = limits->revoke_rate,
        .lifetime_max_ms = limits->lifetime_max_ms,
        .connect_timeout_ms = limits->connect_timeout_ms,
        .answer_max_bytes = limits->answer_bytes,
        .answer_depth_max = (uint32_t)limits->answer_depth,
        .answer_memory_bytes = limits->answer_memory_bytes,
    };
}

static void entry_free(struct daemon_backend *entry)
{
    mem_free(entry->name);
    mem_free(entry);
}

int daemon_backend_open(struct daemon *daemon, const struct config_backend *configured,
                        struct daemon_backend **ret_entry, struct err *e)
{
    struct backend_options options = {
        .env = daemon->env,
        .plugin = backend_registry_find(daemon->options.registry, str_of(configured->plugin)),
        .name = configured->name,
        .addresses = (const char *const *)configured->addresses.items,
        .address_count = configured->addresses.count,
        .ca_file = configured->ca_file,
        .cert_file = configured->cert_file,
        .key_file = configured->key_file,
        .server_name = configured->server_name,
        .proxy = configured->proxy,
        .config_json = configured->config_json,
        .limits = limits_of(&configured->limits),
        .health_interval_ms = configured->health_interval_ms,
        .keep_state = keep_state,
        .anchor_ends = anchor_ends,
        .borrows = configured->borrows,
        .borrow_start = borrow_start,
        .borrow_cancel = borrow_cancel,
    };
    struct daemon_backend *entry = mem_calloc(1, sizeof(*entry));
    struct secret state;
    int r = ERR_NOMEM;

    secret_init(&state);
    if (entry != NULL) {
        entry->daemon = daemon;
        entry->is_fresh = true;
        entry->name = mem_strdup(configured->name);
    }
    if (entry == NULL || entry->name == NULL) {
        (void)err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
        goto out;
    }
    read_state(daemon, configured->name, &state);
    options.state = secret_view(&state);
    options.user = entry;
    r = backend_open(&options, &entry->backend, e);

out:
    secret_fini(&state);
    if (r != 0) {
        if (entry != NULL) {
            entry_free(entry);
        }
        return r;
    }
    list_push_back(&daemon->backends, &entry->node);
    *ret_entry = entry;
    return 0;
}

struct daemon_backend *daemon_backend_find(const struct daemon *daemon, const char *name)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&daemon->backends, node, following) {
        struct daemon_backend *entry = LIST_ENTRY(node, struct daemon_backend, node);

        if (!entry->is_retired && !entry->is_fresh && strcmp(entry->name, name) == 0) {
            return entry;
        }
    }
    return NULL;
}

int daemon_backend_set_limits(struct daemon_backend *entry, const struct config_backend *configured)
{
    const struct backend_limits limits = limits_of(&configured->limits);
    int r = backend_set_limits(entry->backend, &limits, configured->health_interval_ms);

    return r != 0 ? r : lease_core_set_limits(entry->daemon->core, backend_issuer(entry->backend));
}

void daemon_backend_retire(struct daemon_backend *entry)
{
    entry->is_retired = true;
    daemon_retiring_start(entry->daemon);
}

/* ---- closing ----------------------------------------------------------------- */

static void backend_closed(void *user)
{
    struct daemon_backend *entry = user;
    struct daemon *daemon = entry->daemon;

    list_remove(&entry->node);
    entry_free(entry);
    if (daemon->is_closing_backends && list_is_empty(&daemon->backends)) {
        daemon_backends_closed(daemon);
    }
}

void daemon_backend_close(struct daemon_backend *entry, bool with_logout)
{
    entry->is_closing = true;
    backend_close(entry->backend, with_logout, backend_closed, entry);
}

void daemon_backends_close(struct daemon *daemon)
{
    struct list *node;
    struct list *following;

    daemon->is_closing_backends = true;
    if (list_is_empty(&daemon->backends)) {
        daemon_backends_closed(daemon);
        return;
    }
    LIST_EACH (&daemon->backends, node, following) {
        struct daemon_backend *entry = LIST_ENTRY(node, struct daemon_backend, node);

        if (!entry->is_closing) {
            daemon_backend_close(entry, !daemon->is_hurried && !entry->has_left);
        }
    }
}
