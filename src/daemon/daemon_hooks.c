/* Who is told of what goes on record, by `notify`. */
#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon_internal.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define SOURCE_MAX_BYTES 4200U

static void told(void *user, const struct audit_record *record, struct str line)
{
    const struct daemon *daemon = OBJ_CAST(user, struct daemon, DAEMON_MAGIC);

    hooks_tell(daemon->hooks, record, line);
}

/* Borrows from the configuration and from `sources`. */
static void fill(const struct config_notify *notify, char source[SOURCE_MAX_BYTES],
                 struct hook_config *ret_hook)
{
    *ret_hook = (struct hook_config){.name = notify->name,
                                     .is_program = notify->exec.count > 0,
                                     .ca_file = notify->ca_file,
                                     .events = (const char *const *)notify->events.items,
                                     .event_count = notify->events.count};
    if (notify->hmac_key_file != NULL) {
        (void)snprintf(source, SOURCE_MAX_BYTES, "file:%s", notify->hmac_key_file);
    } else if (notify->hmac_key_env != NULL) {
        (void)snprintf(source, SOURCE_MAX_BYTES, "env:%s", notify->hmac_key_env);
    } else if (notify->hmac_key_credential != NULL) {
        (void)snprintf(source, SOURCE_MAX_BYTES, "credential:%s", notify->hmac_key_credential);
    }
    ret_hook->key_source = source[0] != '\0' ? source : NULL;
}

void daemon_hooks_set(struct daemon *daemon, const struct config *config)
{
    const struct schema_list *list = &config->settings.notify;
    const struct config_notify *items = list->items;
    struct hook_config *hooks = mem_calloc(list->count + 1, sizeof(*hooks));
    char *sources = mem_calloc(list->count + 1, SOURCE_MAX_BYTES);
    size_t i;
    int r = hooks != NULL && sources != NULL ? 0 : ERR_NOMEM;

    for (i = 0; r == 0 && i < list->count; i++) {
        fill(&items[i], sources + i * SOURCE_MAX_BYTES, &hooks[i]);
    }
    if (r == 0) {
        r = hooks_set(daemon->hooks, hooks, list->count);
    }
    if (r != 0) {
        log_event(LOG_LEVEL_ERROR, "notify.unusable", "err", err_str(r), "hint",
                  "nobody may be told of events until leased is reloaded", NULL);
    }
    mem_free(hooks);
    mem_free(sources);
}

int daemon_hooks_start(struct daemon *daemon)
{
    const struct audit_listener listener = {.fn = told, .user = daemon};

    if (hooks_new(daemon->env, &daemon->hooks) != 0) {
        log_event(LOG_LEVEL_ERROR, "daemon.start.failed", "detail", "notify", "err",
                  err_str(ERR_NOMEM), NULL);
        return EX_OSERR;
    }
    daemon_hooks_set(daemon, daemon->config);
    audit_listen(daemon->audit, &listener);
    return 0;
}

static void hooks_closed(void *user)
{
    daemon_hooks_closed(OBJ_CAST(user, struct daemon, DAEMON_MAGIC));
}

void daemon_hooks_close(struct daemon *daemon)
{
    const struct audit_listener nobody = {.fn = NULL};
    struct hooks *hooks = daemon->hooks;

    if (hooks == NULL) {
        daemon_hooks_closed(daemon);
        return;
    }
    audit_listen(daemon->audit, &nobody);
    daemon->hooks = NULL;
    hooks_close(hooks, hooks_closed, daemon);
}
