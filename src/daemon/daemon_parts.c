/* The parts of the daemon, made in the order in which they need each other: audit → lease core →
 * backends → roles → serve → listeners. A backend only begins to log in here: one that is down
 * blocks nothing. */
#include "daemon/daemon_internal.h"

#include "base/mem.h"
#include "wire/procfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static int start_failed(const char *what, const struct err *e, int exit_code)
{
    log_event(LOG_LEVEL_ERROR, "daemon.start.failed", "detail", what, "err",
              e != NULL ? e->text : err_str(ERR_NOMEM), NULL);
    return exit_code;
}

void daemon_note(struct daemon *daemon, const char *event, const char *outcome)
{
    struct audit_record record = {.event = event, .outcome = outcome};

    record.policy_digest = access_policy_digest(daemon->options.config->policy);
    audit_record_note(daemon->audit, &record);
}

/* ---- audit and core ---------------------------------------------------------- */

static int audit_start(struct daemon *daemon)
{
    const struct config_settings *settings = &daemon->options.config->settings;
    const struct config_sink *configured = settings->audit.items;
    struct audit_sink_options sinks[AUDIT_SINKS_MAX];
    struct audit_options options = {.env = daemon->env,
                                    .node = daemon->node,
                                    .sinks = sinks,
                                    .sink_count = settings->audit.count};
    struct err e = {0};
    size_t i;
    int r;

    CHECK(settings->audit.count <= AUDIT_SINKS_MAX);
    for (i = 0; i < settings->audit.count; i++) {
        sinks[i] = (struct audit_sink_options){
            .kind = configured[i].kind == CONFIG_SINK_FILE ? "file" : "stdout",
            .path = configured[i].path,
            .is_required = configured[i].is_required,
        };
    }
    r = audit_new(&options, &daemon->audit, &e);
    if (r != 0) {
        return start_failed("audit", &e, r == ERR_CORRUPT ? EX_IOERR : EX_CANTCREAT);
    }
    return 0;
}

static int core_start(struct daemon *daemon)
{
    const struct config_limits *limits = &daemon->options.config->settings.limits;
    struct lease_core_options options = {.env = daemon->env,
                                         .audit = daemon->audit,
                                         .leases_max = (uint32_t)limits->leases,
                                         .grants_max = (uint32_t)limits->grants,
                                         .waiting_max = (uint32_t)limits->waiting,
                                         .skew_ms = limits->clock_skew_ms};
    struct err e = {0};

    if (lease_core_new(&options, &daemon->core, &e) != 0) {
        return start_failed("leases", &e, EX_OSERR);
    }
    return 0;
}

/* ---- backends and roles ------------------------------------------------------ */

static void anchor_ends(void *user, struct backend *backend, uint64_t anchor, uint64_t when_ms,
                        const char *reason)
{
    struct daemon *daemon = OBJ_CAST(user, struct daemon, DAEMON_MAGIC);

    lease_core_anchor_ends(daemon->core, backend_issuer(backend), anchor, when_ms, reason);
}

static int backend_start(struct daemon *daemon, const struct config_backend *configured)
{
    const struct config_backend_limits *limits = &configured->limits;
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
        .limits = {.in_flight = (uint32_t)limits->in_flight,
                   .timeout_ms = limits->timeout_ms,
                   .issue_rate = limits->issue_rate,
                   .renew_rate = limits->renew_rate,
                   .revoke_rate = limits->revoke_rate,
                   .lifetime_max_ms = limits->lifetime_max_ms},
        .health_interval_ms = configured->health_interval_ms,
        .anchor_ends = anchor_ends,
        .user = daemon,
    };
    struct err e = {0};
    int r = backend_open(&options, &daemon->backends[daemon->backend_count], &e);

    if (r != 0) {
        return start_failed(configured->name, &e, r == ERR_INVALID ? EX_CONFIG : EX_OSERR);
    }
    daemon->backend_count++;
    return 0;
}

static int backends_start(struct daemon *daemon)
{
    const struct schema_list *list = &daemon->options.config->settings.backends;
    const struct config_backend *configured = list->items;
    size_t i;
    int exit_code = 0;

    daemon->backends = mem_calloc(list->count + 1, sizeof(struct backend *));
    if (daemon->backends == NULL) {
        return start_failed("backends", NULL, EX_OSERR);
    }
    for (i = 0; exit_code == 0 && i < list->count; i++) {
        exit_code = backend_start(daemon, &configured[i]);
    }
    return exit_code;
}

static struct lease_issuer *issuer_find(const struct daemon *daemon, const char *name)
{
    const struct config_backend *configured = daemon->options.config->settings.backends.items;
    size_t i;

    for (i = 0; strcmp(configured[i].name, name) != 0; i++) {
        CHECK(i + 1 < daemon->backend_count);
    }
    return backend_issuer(daemon->backends[i]);
}

static int roles_start(struct daemon *daemon)
{
    const struct schema_list *list = &daemon->options.config->settings.roles;
    const struct config_role *configured = list->items;
    size_t i;

    daemon->roles = mem_calloc(list->count + 1, sizeof(*daemon->roles));
    if (daemon->roles == NULL) {
        return start_failed("roles", NULL, EX_OSERR);
    }
    for (i = 0; i < list->count; i++) {
        config_fill_role(&configured[i], issuer_find(daemon, configured[i].backend),
                         &daemon->roles[i]);
        if (lease_core_set_role(daemon->core, &daemon->roles[i]) != 0) {
            return start_failed(configured[i].name, NULL, EX_OSERR);
        }
    }
    return 0;
}

/* ---- serve and listeners ----------------------------------------------------- */

static int serve_start(struct daemon *daemon)
{
    const struct config *config = daemon->options.config;
    struct serve_options options = {.env = daemon->env,
                                    .core = daemon->core,
                                    .audit = daemon->audit,
                                    .policy = config->policy,
                                    .backends = daemon->backends,
                                    .backend_count = daemon->backend_count,
                                    .own_cgroup = daemon->own_cgroup,
                                    .node = daemon->node,
                                    .version = LEASED_VERSION,
                                    .exchanges_max = (uint32_t)config->settings.limits.requests};
    struct err e = {0};

    if (serve_new(&options, &daemon->serve, &e) != 0) {
        return start_failed("serve", &e, EX_OSERR);
    }
    return 0;
}

static uint32_t apis_of(const struct schema_strings *words)
{
    uint32_t apis = 0;
    size_t i;

    for (i = 0; i < words->count; i++) {
        apis |= strcmp(words->items[i], "native") == 0 ? SERVE_API_NATIVE : SERVE_API_METRICS;
    }
    return apis;
}

static int listener_start(struct daemon *daemon, const struct config_listener *configured,
                          struct daemon_listener *listener)
{
    const struct config_limits *limits = &daemon->options.config->settings.limits;
    struct io_listener_options options = {
        .name = configured->name,
        .unix_path = configured->unix_path,
        .tcp = configured->tcp,
        .mode = (uint32_t)configured->mode,
        .user = configured->user,
        .group = configured->group,
        .handler = serve_request,
        .handler_user = &listener->api,
        .limits = {.connections = (uint32_t)limits->clients,
                   .connections_per_uid = (uint32_t)limits->clients_per_uid,
                   .connections_per_address = (uint32_t)limits->clients_per_address,
                   .head_max_bytes = limits->request_head_bytes,
                   .headers_max = (uint32_t)limits->request_headers,
                   .target_max_bytes = limits->request_target_bytes,
                   .body_max_bytes = limits->request_body_bytes,
                   .head_timeout_ms = limits->head_timeout_ms,
                   .body_timeout_ms = limits->body_timeout_ms,
                   .idle_timeout_ms = limits->idle_timeout_ms,
                   .write_timeout_ms = limits->write_timeout_ms},
    };
    const struct io_listener_tls tls = {.cert_file = configured->tls.cert_file,
                                        .key_file = configured->tls.key_file,
                                        .client_ca_file = configured->tls.client_ca_file};
    const char *path = configured->unix_path != NULL ? configured->unix_path : configured->tcp;
    struct err e = {0};

    listener->daemon = daemon;
    listener->api = (struct serve_listener){.serve = daemon->serve,
                                            .name = configured->name,
                                            .apis = apis_of(&configured->serve)};
    options.tls = configured->tls.node != NULL ? &tls : NULL;
    options.is_for_anyone = listener->api.apis == SERVE_API_METRICS;
    if (io_listener_open(daemon->options.io, &options, &listener->io, &e) != 0) {
        listener->io = NULL;
        return start_failed(configured->name, &e, EX_CANTCREAT);
    }
    log_event(LOG_LEVEL_INFO, "listener.opened", "listener", configured->name, "path", path, NULL);
    return 0;
}

static int listeners_start(struct daemon *daemon)
{
    const struct schema_list *list = &daemon->options.config->settings.listeners;
    const struct config_listener *configured = list->items;
    size_t i;
    int exit_code = 0;

    daemon->listeners = mem_calloc(list->count, sizeof(*daemon->listeners));
    if (daemon->listeners == NULL) {
        return start_failed("listeners", NULL, EX_OSERR);
    }
    for (i = 0; exit_code == 0 && i < list->count; i++) {
        exit_code = listener_start(daemon, &configured[i], &daemon->listeners[i]);
    }
    return exit_code;
}

/* ---- the order --------------------------------------------------------------- */

/* Peers whose cgroup lies in our own container are no strangers. Unknown: "/". */
static void own_cgroup_read(struct daemon *daemon)
{
    char text[PROCFS_FILE_MAX_BYTES];
    struct str path = STR("/");
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof(text)) : -1;

    if (fd >= 0) {
        (void)close(fd);
    }
    if (size > 0) {
        struct str found;

        if (procfs_parse_cgroup((struct str){.ptr = text, .len = (size_t)size}, &found) == 0 &&
            found.len < sizeof(daemon->own_cgroup)) {
            path = found;
        }
    }
    memcpy(daemon->own_cgroup, path.ptr, path.len);
    daemon->own_cgroup[path.len] = '\0';
}

int daemon_parts_start(struct daemon *daemon)
{
    static int (*const starts[])(struct daemon * daemon) = {
        audit_start, core_start, backends_start, roles_start, serve_start, listeners_start,
    };
    size_t i;
    int exit_code = 0;

    if (gethostname(daemon->node, sizeof(daemon->node) - 1) != 0) {
        (void)snprintf(daemon->node, sizeof(daemon->node), "unknown");
    }
    own_cgroup_read(daemon);
    for (i = 0; exit_code == 0 && i < ARRAY_LEN(starts); i++) {
        exit_code = starts[i](daemon);
    }
    return exit_code;
}

void daemon_parts_free(struct daemon *daemon)
{
    mem_free((void *)daemon->backends);
    mem_free(daemon->roles);
    mem_free(daemon->listeners);
}
