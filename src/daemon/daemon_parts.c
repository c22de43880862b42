/* The parts of the daemon, made in the order in which they need each other: ledger → audit → lease
 * core → backends → roles → what an earlier daemon left → serve → listeners → files. A backend only
 * begins to log in here: one that is down blocks nothing. */
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

    record.policy_digest = access_policy_digest(daemon->config->access.policy);
    audit_record_note(daemon->audit, &record);
}

/* ---- the core ---------------------------------------------------------------- */

static int core_start(struct daemon *daemon)
{
    const struct config_limits *limits = &daemon->config->settings.limits;
    struct lease_core_options options = {.env = daemon->env,
                                         .audit = daemon->audit,
                                         .ledger = daemon->ledger,
                                         .verifier = &daemon->verifier.verifier,
                                         .leases_max = (uint32_t)limits->leases,
                                         .grants_max = (uint32_t)limits->grants,
                                         .waiting_max = (uint32_t)limits->waiting,
                                         .skew_ms = limits->clock_skew_ms,
                                         .acquire_timeout_ms = limits->acquire_timeout_ms,
                                         .leases_per_uid = (uint32_t)limits->leases_per_uid,
                                         .grants_live_per_uid =
                                             (uint32_t)limits->grants_live_per_uid,
                                         .grants_per_uid = limits->grants_per_uid};
    struct err e = {0};

    backend_verifier_init(&daemon->verifier, daemon->env);
    if (lease_core_new(&options, &daemon->core, &e) != 0) {
        return start_failed("leases", &e, EX_OSERR);
    }
    return 0;
}

/* ---- backends and roles ------------------------------------------------------ */

static int backends_start(struct daemon *daemon)
{
    const struct schema_list *list = &daemon->config->settings.backends;
    const struct config_backend *configured = list->items;
    size_t i;

    daemon->served = mem_calloc(list->count + 1, sizeof(struct backend *));
    if (daemon->served == NULL) {
        return start_failed("backends", NULL, EX_OSERR);
    }
    for (i = 0; i < list->count; i++) {
        struct daemon_backend *entry;
        struct err e = {0};
        int r = daemon_backend_open(daemon, &configured[i], &entry, &e);

        if (r != 0) {
            return start_failed(configured[i].name, &e, r == ERR_INVALID ? EX_CONFIG : EX_OSERR);
        }
        entry->is_fresh = false;
        daemon->served[i] = entry->backend;
    }
    return 0;
}

static int roles_start(struct daemon *daemon)
{
    const struct schema_list *list = &daemon->config->settings.roles;
    const struct config_role *configured = list->items;
    size_t i;

    for (i = 0; i < list->count; i++) {
        struct daemon_backend *entry = daemon_backend_find(daemon, configured[i].backend);
        struct lease_role role;

        CHECK(entry != NULL);
        config_fill_role(&configured[i], backend_issuer(entry->backend), &role);
        if (lease_core_set_role(daemon->core, &role) != 0) {
            return start_failed(configured[i].name, NULL, EX_OSERR);
        }
    }
    return 0;
}

/* ---- serve and listeners ----------------------------------------------------- */

static int reload_asked(void *user, struct serve_reload *asked)
{
    return daemon_reload(OBJ_CAST(user, struct daemon, DAEMON_MAGIC), asked);
}

static int policy_asked(void *user, const struct policy_bundle *bundle,
                        struct access_policy **ret_policy, struct yaml_errors *mistakes)
{
    return daemon_policy_compile(OBJ_CAST(user, struct daemon, DAEMON_MAGIC), bundle, ret_policy,
                                 mistakes);
}

static int apply_asked(void *user, struct serve_apply *asked)
{
    return daemon_policy_apply(OBJ_CAST(user, struct daemon, DAEMON_MAGIC), asked);
}

static int serve_start(struct daemon *daemon)
{
    const struct config *config = daemon->config;
    struct serve_options options = {.env = daemon->env,
                                    .core = daemon->core,
                                    .audit = daemon->audit,
                                    .requests = daemon->requests,
                                    .hooks = daemon->hooks,
                                    .policy = config->access.policy,
                                    .observed = config->access.observed,
                                    .policies = &daemon->policies,
                                    .backends = daemon->served,
                                    .backend_count = config->settings.backends.count,
                                    .clients = {.git = &config->settings.clients.git,
                                                .docker = &config->settings.clients.docker},
                                    .issuers = config->issuers,
                                    .issuer_count = config->settings.issuers.count,
                                    .containers = config->containers,
                                    .container_count = config->settings.containers.count,
                                    .own_cgroup = daemon->own_cgroup,
                                    .node = daemon->node,
                                    .version = LEASED_VERSION,
                                    .ledger = daemon->ledger,
                                    .seal_key = daemon_ledger_key(daemon),
                                    .left = &daemon->left,
                                    .files_record = daemon->options.files_record,
                                    .exchanges_max = (uint32_t)config->settings.limits.requests,
                                    .reply_max_bytes = config->settings.limits.reply_bytes,
                                    .reload = reload_asked,
                                    .policy_compile = policy_asked,
                                    .policy_apply = apply_asked,
                                    .user = daemon};
    struct err e = {0};

    if (serve_new(&options, &daemon->serve, &e) != 0) {
        return start_failed("serve", &e, EX_OSERR);
    }
    return 0;
}

void daemon_serve_set(struct daemon *daemon, const struct config *config, struct backend **served,
                      const struct serve_file *files)
{
    const struct serve_settings settings = {
        .policy = config->access.policy,
        .observed = config->access.observed,
        .policies = &daemon->policies,
        .backends = served,
        .backend_count = config->settings.backends.count,
        .clients = {.git = &config->settings.clients.git,
                    .docker = &config->settings.clients.docker},
        .issuers = config->issuers,
        .issuer_count = config->settings.issuers.count,
        .containers = config->containers,
        .container_count = config->settings.containers.count,
        .exchanges_max = (uint32_t)config->settings.limits.requests,
        .reply_max_bytes = config->settings.limits.reply_bytes,
        .files = files,
        .file_count = config->settings.files.count,
    };

    serve_set(daemon->serve, &settings);
}

void daemon_serve(struct daemon *daemon, const struct config *config, struct backend **served,
                  const struct serve_file *files)
{
    daemon_serve_set(daemon, config, served, files);
    mem_free((void *)daemon->served);
    daemon->served = served;
}

static int listeners_start(struct daemon *daemon)
{
    const struct schema_list *list = &daemon->config->settings.listeners;
    const struct config_listener *configured = list->items;
    size_t i;
    struct err e = {0};

    daemon_clients_provide(daemon, daemon->config);
    for (i = 0; i < list->count; i++) {
        const char *path =
            configured[i].unix_path != NULL ? configured[i].unix_path : configured[i].tcp;
        const struct daemon_listener_options options = {.config = daemon->config,
                                                        .configured = &configured[i]};
        struct daemon_listener *entry;

        if (daemon_listener_open(daemon, &options, &entry, &e) != 0) {
            return start_failed(configured[i].name, &e, EX_CANTCREAT);
        }
        entry->is_fresh = false;
        log_event(LOG_LEVEL_INFO, "listener.opened", "listener", configured[i].name, "path", path,
                  NULL);
    }
    if (daemon_listeners_check_passed(daemon, daemon->config, &e) != 0) {
        return start_failed("listeners", &e, EX_CONFIG);
    }
    daemon_endpoints_tell(daemon, daemon->config);
    return 0;
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
        daemon_ledger_open, daemon_audit_start, daemon_policy_recover,
        daemon_hooks_start, core_start,         daemon_requests_start,
        backends_start,     roles_start,        daemon_ledger_recover,
        serve_start,        listeners_start,    daemon_files_start,
    };
    size_t i;
    int exit_code = 0;

    list_init(&daemon->backends);
    list_init(&daemon->listeners);
    if (gethostname(daemon->node, sizeof(daemon->node) - 1) != 0) {
        (void)snprintf(daemon->node, sizeof(daemon->node), "unknown");
    }
    own_cgroup_read(daemon);
    for (i = 0; exit_code == 0 && i < ARRAY_LEN(starts); i++) {
        exit_code = starts[i](daemon);
    }
    return exit_code;
}
