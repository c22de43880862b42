/* The listeners: opened at start and by reloads. One that a reload replaces or removes is retired:
 * it serves the connections that it has to their end. Retired backends are looked after here, too.
 */
#include "daemon/daemon_internal.h"

#include "base/mem.h"
#include "io/descriptors.h"
#include "io/passed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RETIRING_INTERVAL_MS 250U
/* On top of the time that an idle connection has. */
#define RETIRED_EXTRA_MS 60000U
/* Before a restart: how long those who have connected may take for what they came for. New ones
 * wait in the socket's queue meanwhile. */
#define SETTLED_MAX_MS 1000U
#define SETTLING_INTERVAL_MS 5U

static uint32_t apis_of(const struct schema_strings *words)
{
    static const struct {
        const char *word;
        enum serve_api api;
    } table[] = {
        {"native", SERVE_API_NATIVE},   {"metrics", SERVE_API_METRICS}, {"aws", SERVE_API_AWS},
        {"gcp", SERVE_API_GCP},         {"azure", SERVE_API_AZURE},     {"vault", SERVE_API_VAULT},
        {"systemd", SERVE_API_SYSTEMD},
    };
    uint32_t apis = 0;
    size_t i;
    size_t j;

    for (i = 0; i < words->count; i++) {
        for (j = 0; j < ARRAY_LEN(table); j++) {
            apis |= strcmp(words->items[i], table[j].word) == 0 ? table[j].api : 0U;
        }
    }
    return apis;
}

static void role_copy(const char *role, char out[PARAMS_ROLE_MAX_BYTES + 1])
{
    (void)snprintf(out, PARAMS_ROLE_MAX_BYTES + 1, "%s", role != NULL ? role : "");
}

/* A copy: connections may live on when the configuration is gone. */
static struct serve_vault vault_of(const struct config *config,
                                   const struct config_listener *configured)
{
    struct serve_vault vault = {.needs_header = config_listener_needs_header(configured)};
    const struct config_backend *backend;
    const struct yaml_node *space;

    (void)snprintf(vault.backend, sizeof(vault.backend), "%s",
                   config_listener_backend(config, configured));
    backend = config_backend_find(config, vault.backend);
    space = backend != NULL ? yaml_get(backend->node, "namespace") : NULL;
    if (space != NULL && space->type == YAML_SCALAR) {
        (void)snprintf(vault.namespace_path, sizeof(vault.namespace_path), "%.*s",
                       STR_ARG(space->text));
    }
    return vault;
}

/* What it serves; a reload may exchange it. */
static void api_fill(struct serve_listener *api, const struct config *config,
                     const struct config_listener *configured)
{
    api->apis = apis_of(&configured->serve);
    api->vault = vault_of(config, configured);
    role_copy(configured->gcp.role, api->gcp_role);
    role_copy(configured->azure.role, api->azure_role);
}

static struct io_listener_limits limits_of(const struct config_limits *limits)
{
    return (struct io_listener_limits){
        .connections = (uint32_t)limits->clients,
        .connections_per_uid = (uint32_t)limits->clients_per_uid,
        .connections_per_address = (uint32_t)limits->clients_per_address,
        .streams = (uint32_t)limits->streams,
        .streams_per_caller = (uint32_t)limits->streams_per_caller,
        .head_max_bytes = limits->request_head_bytes,
        .headers_max = (uint32_t)limits->request_headers,
        .target_max_bytes = limits->request_target_bytes,
        .body_max_bytes = limits->request_body_bytes,
        .large_path = SERVE_LARGE_PATH,
        .head_timeout_ms = limits->head_timeout_ms,
        .body_timeout_ms = limits->body_timeout_ms,
        .idle_timeout_ms = limits->idle_timeout_ms,
        .write_timeout_ms = limits->write_timeout_ms,
    };
}

void daemon_clients_provide(struct daemon *daemon, const struct config *config)
{
    uint64_t clients = config->settings.limits.clients + config->settings.limits.streams;
    struct io_descriptors descriptors;
    char detail[160];
    char hint[160];
    char count[STR_U64_MAX_BYTES + 1];

    io_descriptors_provide(daemon->options.io, (uint32_t)clients, &descriptors);
    if (descriptors.clients >= clients) {
        daemon->clients_told = 0;
        return;
    }
    if (daemon->clients_told == clients) {
        return;
    }
    daemon->clients_told = clients;
    (void)snprintf(detail, sizeof(detail),
                   "%" PRIu64 " open files allow %" PRIu32 " connections instead of the %" PRIu64
                   " of limits.clients and limits.streams, a quarter of them to each caller",
                   descriptors.limit, descriptors.clients, clients);
    (void)snprintf(hint, sizeof(hint),
                   "raise the hard limit of open files (LimitNOFILE, ulimit -Hn) to %" PRIu64
                   ", or lower them",
                   descriptors.needed);
    (void)snprintf(count, sizeof(count), "%" PRIu32, descriptors.clients);
    log_event(LOG_LEVEL_WARN, "listener.clients.reduced", "count", count, "detail", detail, "hint",
              hint, NULL);
}

static struct io_listener_tls tls_of(const struct config_listener *configured)
{
    return (struct io_listener_tls){.cert_file = configured->tls.cert_file,
                                    .key_file = configured->tls.key_file,
                                    .client_ca_file = configured->tls.client_ca_file};
}

static void entry_free(struct daemon_listener *entry)
{
    mem_free(entry->name);
    mem_free(entry);
}

int daemon_listener_open(struct daemon *daemon, const struct daemon_listener_options *wanted,
                         struct daemon_listener **ret_entry, struct err *e)
{
    const struct config_listener *configured = wanted->configured;
    const struct io_listener_tls tls = tls_of(configured);
    struct daemon_listener *entry = mem_calloc(1, sizeof(*entry));
    struct io_listener_options options = {
        .name = configured->name,
        .unix_path = configured->unix_path,
        .tcp = configured->tcp,
        .mode = (uint32_t)configured->mode,
        .user = configured->user,
        .group = configured->group,
        .takes_foreign = configured->peers == CONFIG_PEERS_FOREIGN,
        .predecessor = wanted->predecessor != NULL ? wanted->predecessor->io : NULL,
        .handler = serve_request,
        .limits = limits_of(&wanted->config->settings.limits),
    };
    int r = ERR_NOMEM;

    if (entry != NULL) {
        entry->daemon = daemon;
        entry->is_fresh = true;
        entry->name = mem_strdup(configured->name);
    }
    if (entry == NULL || entry->name == NULL) {
        (void)err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
        goto out;
    }
    entry->api = (struct serve_listener){.serve = daemon->serve, .name = entry->name};
    api_fill(&entry->api, wanted->config, configured);
    options.handler_user = &entry->api;
    options.tls = configured->tls.node != NULL ? &tls : NULL;
    options.is_for_anyone = entry->api.apis == SERVE_API_METRICS;
    r = io_listener_open(daemon->options.io, &options, &entry->io, e);

out:
    if (r != 0) {
        if (entry != NULL) {
            entry_free(entry);
        }
        return r;
    }
    list_push_back(&daemon->listeners, &entry->node);
    *ret_entry = entry;
    return 0;
}

struct daemon_listener *daemon_listener_find(const struct daemon *daemon, const char *name)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&daemon->listeners, node, following) {
        struct daemon_listener *entry = LIST_ENTRY(node, struct daemon_listener, node);

        if (!entry->is_retired && !entry->is_fresh && strcmp(entry->name, name) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void api_follow(struct serve_listener *api, const struct serve_listener *other)
{
    api->apis = other->apis;
    api->vault = other->vault;
    memcpy(api->gcp_role, other->gcp_role, sizeof(api->gcp_role));
    memcpy(api->azure_role, other->azure_role, sizeof(api->azure_role));
}

/* Connections that are served on by retired listeners have no rights that new ones wouldn't get. */
static void predecessors_follow(const struct daemon_listener *entry)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&entry->daemon->listeners, node, following) {
        struct daemon_listener *other = LIST_ENTRY(node, struct daemon_listener, node);

        if (other->successor == entry) {
            api_follow(&other->api, &entry->api);
            io_listener_follow(other->io, entry->io);
        }
    }
}

int daemon_listeners_check_passed(const struct daemon *daemon, const struct config *config,
                                  struct err *e)
{
    const struct config_listener *configured = config->settings.listeners.items;
    size_t count = config->settings.listeners.count;
    struct io_listener_options *options = mem_calloc(count + 1, sizeof(*options));
    size_t i;
    int r;

    if (options == NULL) {
        return err_set(e, ERR_NOMEM, "%s", err_str(ERR_NOMEM));
    }
    for (i = 0; i < count; i++) {
        options[i].name = configured[i].name;
        options[i].unix_path = configured[i].unix_path;
        options[i].tcp = configured[i].tcp;
    }
    r = io_passed_check(daemon->options.io, options, count, e);
    mem_free(options);
    return r;
}

int daemon_listener_prepare(struct daemon_listener *entry, const struct config *config,
                            const struct config_listener *configured, struct err *e)
{
    const struct io_listener_limits limits = limits_of(&config->settings.limits);
    const struct io_listener_tls tls = tls_of(configured);

    return io_listener_prepare(entry->io, configured->tls.node != NULL ? &tls : NULL, &limits, e);
}

void daemon_listener_apply(struct daemon_listener *entry, const struct config *config,
                           const struct config_listener *configured)
{
    io_listener_apply(entry->io);
    api_fill(&entry->api, config, configured);
    predecessors_follow(entry);
}

/* ---- what is retired --------------------------------------------------------- */

static void listener_closed(void *user)
{
    struct daemon_listener *entry = user;
    struct daemon *daemon = entry->daemon;

    list_remove(&entry->node);
    entry_free(entry);
    if (daemon->is_closing_listeners && list_is_empty(&daemon->listeners)) {
        daemon_listeners_closed(daemon);
    }
}

static void listener_close(struct daemon_listener *entry)
{
    entry->is_closing = true;
    io_listener_close(entry->io, listener_closed, entry);
}

void daemon_listener_retire(struct daemon_listener *entry, struct daemon_listener *successor)
{
    struct daemon *daemon = entry->daemon;
    uint64_t idle_ms = daemon->config->settings.limits.idle_timeout_ms;
    struct list *node;
    struct list *following;

    io_listener_retire(entry->io, successor != NULL ? successor->io : NULL);
    LIST_EACH (&daemon->listeners, node, following) {
        struct daemon_listener *other = LIST_ENTRY(node, struct daemon_listener, node);

        if (other == entry || other->successor == entry) {
            other->successor = successor;
        }
    }
    if (successor != NULL) {
        predecessors_follow(successor);
    }
    entry->is_retired = true;
    entry->close_at_ms = env_now_ms(daemon->env) + idle_ms + RETIRED_EXTRA_MS;
    daemon_retiring_start(daemon);
}

/* Returns whether there are any that have to be looked after. */
static bool listeners_look_after(struct daemon *daemon)
{
    uint64_t now_ms = env_now_ms(daemon->env);
    bool has_any = false;
    struct list *node;
    struct list *following;

    LIST_EACH (&daemon->listeners, node, following) {
        struct daemon_listener *entry = LIST_ENTRY(node, struct daemon_listener, node);

        if (!entry->is_retired || entry->is_closing) {
            continue;
        }
        if (io_listener_connection_count(entry->io) == 0 ||
            (now_ms >= entry->close_at_ms && io_listener_shed(entry->io) == 0)) {
            listener_close(entry);
        } else {
            has_any = true;
        }
    }
    return has_any;
}

static bool backends_look_after(struct daemon *daemon)
{
    bool has_any = false;
    struct list *node;
    struct list *following;

    LIST_EACH (&daemon->backends, node, following) {
        struct daemon_backend *entry = LIST_ENTRY(node, struct daemon_backend, node);
        struct lease_issuer *issuer = backend_issuer(entry->backend);

        if (!entry->is_retired || entry->is_closing) {
            continue;
        }
        if (lease_core_issuer_leases(daemon->core, issuer) == 0) {
            lease_core_forget_issuer(daemon->core, issuer);
            log_event(LOG_LEVEL_INFO, "backend.retired", "backend", entry->name, NULL);
            daemon_backend_close(entry, true);
        } else {
            has_any = true;
        }
    }
    return has_any;
}

static void retiring_due(struct env_timer *timer)
{
    struct daemon *daemon = OBJ_CAST(timer->user, struct daemon, DAEMON_MAGIC);
    bool has_listeners = listeners_look_after(daemon);
    bool has_backends = backends_look_after(daemon);

    if (has_listeners || has_backends) {
        daemon_retiring_start(daemon);
    }
}

void daemon_retiring_start(struct daemon *daemon)
{
    daemon->retiring.fn = retiring_due;
    daemon->retiring.user = daemon;
    /* One reload after the other must not put it off for ever. */
    if (daemon->retiring.heap_index != 0) {
        return;
    }
    env_timer_arm(daemon->env, &daemon->retiring, env_now_ms(daemon->env) + RETIRING_INTERVAL_MS);
}

/* ---- the way down ------------------------------------------------------------ */

void daemon_listeners_quiesce(struct daemon *daemon, bool is_restart)
{
    struct list *node;
    struct list *following;

    LIST_EACH (&daemon->listeners, node, following) {
        struct daemon_listener *entry = LIST_ENTRY(node, struct daemon_listener, node);

        if (entry->is_closing) {
            continue;
        }
        if (is_restart) {
            io_listener_wind_down(entry->io);
        } else {
            io_listener_quiesce(entry->io);
        }
    }
}

static uint32_t connection_count(const struct daemon *daemon)
{
    struct list *node;
    struct list *following;
    uint32_t count = 0;

    LIST_EACH (&daemon->listeners, node, following) {
        count += io_listener_connection_count(LIST_ENTRY(node, struct daemon_listener, node)->io);
    }
    return count;
}

static void settling_due(struct env_timer *timer)
{
    struct daemon *daemon = OBJ_CAST(timer->user, struct daemon, DAEMON_MAGIC);
    uint64_t now_ms = env_now_ms(daemon->env);

    if (connection_count(daemon) > 0 && now_ms < daemon->settled_by_ms) {
        env_timer_arm(daemon->env, timer, now_ms + SETTLING_INTERVAL_MS);
    } else {
        daemon_listeners_close(daemon);
    }
}

void daemon_listeners_settle(struct daemon *daemon)
{
    daemon->settling.fn = settling_due;
    daemon->settling.user = daemon;
    daemon->settled_by_ms = env_now_ms(daemon->env) + SETTLED_MAX_MS;
    settling_due(&daemon->settling);
}

void daemon_listeners_close(struct daemon *daemon)
{
    struct list *node;
    struct list *following;

    daemon->is_closing_listeners = true;
    env_timer_disarm(daemon->env, &daemon->retiring);
    if (list_is_empty(&daemon->listeners)) {
        daemon_listeners_closed(daemon);
        return;
    }
    LIST_EACH (&daemon->listeners, node, following) {
        struct daemon_listener *entry = LIST_ENTRY(node, struct daemon_listener, node);

        if (!entry->is_closing) {
            listener_close(entry);
        }
    }
}
