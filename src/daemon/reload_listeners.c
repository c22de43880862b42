/* A reload's listeners.
 *
 * One that is at the same place under the same name stays open, and gets its new settings in place:
 * so no connection ends, nor what is bound to it. Where that can't be, because it was opened for
 * less or gets another name, a fresh one takes over its socket. */
#include "daemon/reload_internal.h"

#include <string.h>

static const struct config_listener *listener_at(const struct config *config,
                                                 const struct config_listener *place)
{
    const struct config_listener *listeners = config->settings.listeners.items;
    size_t i;

    for (i = 0; i < config->settings.listeners.count; i++) {
        if (config_listener_is_at_same_place(&listeners[i], place)) {
            return &listeners[i];
        }
    }
    return NULL;
}

static bool may_stay(const struct config_listener *before, const struct config_listener *after)
{
    return strcmp(before->name, after->name) == 0 && before->peers == after->peers &&
           (before->tls.node != NULL) == (after->tls.node != NULL);
}

/* ERR_LIMIT: it can't stay. */
static int stay(struct reload *reload, size_t i, const struct config_listener *before,
                struct daemon_listener *entry, struct err *e)
{
    const struct config_listener *configured = reload->after->settings.listeners.items;
    int r = ERR_LIMIT;

    if (may_stay(before, &configured[i])) {
        r = daemon_listener_prepare(entry, reload->after, &configured[i], e);
    }
    if (r == 0) {
        reload->listeners[i] = entry;
        reload->has_new_tls[i] = io_listener_has_new_tls(entry->io);
    }
    return r;
}

static int replace(struct reload *reload, size_t i, struct daemon_listener *old, struct err *e)
{
    const struct config_listener *configured = reload->after->settings.listeners.items;
    const struct daemon_listener_options options = {.config = reload->after,
                                                    .configured = &configured[i],
                                                    .predecessor = old};

    reload->predecessors[i] = old;
    reload->has_new_tls[i] = configured[i].tls.node != NULL;
    return daemon_listener_open(reload->daemon, &options, &reload->listeners[i], e);
}

int reload_listeners_prepare(struct reload *reload)
{
    const struct config_listener *configured = reload->after->settings.listeners.items;
    struct err mistake = {0};
    size_t i;
    int check = daemon_listeners_check_passed(reload->daemon, reload->after, &mistake);

    if (check != 0) {
        yaml_error_at_key(reload->mistakes, yaml_get(reload->after->settings.node, "listeners"),
                          "%s", mistake.text);
        return check;
    }
    daemon_clients_provide(reload->daemon, reload->after);
    for (i = 0; i < reload->after->settings.listeners.count; i++) {
        const struct config_listener *before = listener_at(reload->before, &configured[i]);
        struct daemon_listener *old =
            before != NULL ? daemon_listener_find(reload->daemon, before->name) : NULL;
        struct err e = {0};
        int r = old != NULL ? stay(reload, i, before, old, &e) : ERR_LIMIT;

        if (r == ERR_LIMIT) {
            r = replace(reload, i, old, &e);
        }
        if (r != 0) {
            yaml_error_at(reload->mistakes, configured[i].node, "could not open listener %s: %s",
                          configured[i].name, e.text);
            return r;
        }
    }
    return 0;
}

void reload_listeners_give_up(struct reload *reload)
{
    size_t i;

    for (i = 0; i < reload->after->settings.listeners.count; i++) {
        struct daemon_listener *entry = reload->listeners[i];

        if (entry != NULL && entry->is_fresh) {
            daemon_listener_retire(entry, NULL);
        } else if (entry != NULL) {
            io_listener_discard(entry->io);
        }
    }
}

void reload_listeners_take_over(struct reload *reload)
{
    const struct config_listener *configured = reload->after->settings.listeners.items;
    struct daemon *daemon = reload->daemon;
    size_t count = reload->after->settings.listeners.count;
    struct list *node;
    struct list *following;
    size_t i;

    for (i = 0; i < count; i++) {
        if (!reload->listeners[i]->is_fresh) {
            daemon_listener_apply(reload->listeners[i], reload->after, &configured[i]);
        }
    }
    LIST_EACH (&daemon->listeners, node, following) {
        struct daemon_listener *entry = LIST_ENTRY(node, struct daemon_listener, node);
        struct daemon_listener *successor = NULL;
        bool stays = entry->is_retired;

        for (i = 0; !stays && i < count; i++) {
            stays = reload->listeners[i] == entry;
            successor = reload->predecessors[i] == entry ? reload->listeners[i] : successor;
        }
        entry->is_fresh = false;
        if (!stays) {
            daemon_listener_retire(entry, successor);
        }
    }
    daemon_endpoints_tell(daemon, reload->after);
}
