/* The audit trail, with the sinks of plugins opened for it. */
#include "daemon/daemon_internal.h"

#include "backend/sink.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define SINK_NAME_MAX_BYTES (BACKEND_PLUGIN_NAME_MAX_BYTES + 8)

struct sinks {
    struct audit_sink_options options[AUDIT_SINKS_MAX];
    char names[AUDIT_SINKS_MAX][SINK_NAME_MAX_BYTES];
    size_t count;
};

/* The second of a plugin is called NAME-2. */
static void sink_name(const struct config_sink *configured, size_t index,
                      char out[SINK_NAME_MAX_BYTES])
{
    size_t number = 1;
    size_t i;

    for (i = 0; i < index; i++) {
        number += strcmp(configured[i].name, configured[index].name) == 0 ? 1 : 0;
    }
    (void)snprintf(out, SINK_NAME_MAX_BYTES, "%s", configured[index].name);
    if (number > 1) {
        (void)snprintf(out + strlen(out), SINK_NAME_MAX_BYTES - strlen(out), "-%zu", number);
    }
}

static int sink_prepare(const struct daemon *daemon, const struct config_sink *configured,
                        struct sinks *sinks, struct err *e)
{
    static const char *const kinds[] = {[CONFIG_SINK_FILE] = "file",
                                        [CONFIG_SINK_STDOUT] = "stdout",
                                        [CONFIG_SINK_PLUGIN] = "open"};
    size_t index = sinks->count;
    const struct config_sink *sink = &configured[index];
    struct audit_sink_options *options = &sinks->options[index];
    struct sink_options opened = {.env = daemon->env, .config_json = sink->config_json};
    int r = 0;

    *options = (struct audit_sink_options){.kind = kinds[sink->kind],
                                           .path = sink->path,
                                           .is_required = sink->is_required};
    if (sink->kind == CONFIG_SINK_PLUGIN) {
        sink_name(configured, index, sinks->names[index]);
        options->path = sinks->names[index];
        opened.name = sinks->names[index];
        opened.plugin = backend_registry_find_sink(daemon->options.registry, str_of(sink->name));
        r = sink_open(&opened, &options->file, e);
    }
    sinks->count += r == 0 ? 1 : 0;
    return r;
}

static void sink_closed(void *user)
{
    (void)user;
}

static void sinks_close(const struct sinks *sinks)
{
    size_t i;

    for (i = 0; i < sinks->count; i++) {
        if (sinks->options[i].file != NULL) {
            env_file_close(sinks->options[i].file, sink_closed, NULL);
        }
    }
}

int daemon_audit_start(struct daemon *daemon)
{
    const struct config_settings *settings = &daemon->config->settings;
    const struct config_sink *configured = settings->audit.items;
    struct sinks sinks = {.count = 0};
    struct audit_options options = {.env = daemon->env,
                                    .node = daemon->node,
                                    .ledger = daemon->ledger,
                                    .sinks = sinks.options,
                                    .sink_count = settings->audit.count,
                                    .confirm_max_ms = settings->limits.audit_confirm_ms,
                                    .reserve_bytes = settings->limits.audit_reserve_bytes};
    struct err e = {0};
    int r = 0;

    CHECK(settings->audit.count <= AUDIT_SINKS_MAX);
    while (r == 0 && sinks.count < settings->audit.count) {
        r = sink_prepare(daemon, configured, &sinks, &e);
    }
    if (r == 0) {
        r = audit_new(&options, &daemon->audit, &e);
    } else {
        sinks_close(&sinks);
    }
    if (r != 0) {
        log_event(LOG_LEVEL_ERROR, "daemon.start.failed", "detail", "audit", "err", e.text, NULL);
        return r == ERR_CORRUPT ? EX_IOERR : r == ERR_INVALID ? EX_CONFIG : EX_CANTCREAT;
    }
    return 0;
}
