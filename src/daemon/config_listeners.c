/* Listeners: what no single entry of the table can tell. */
#include "base/host.h"
#include "base/mem.h"
#include "daemon/config_internal.h"

#include <arpa/inet.h>
#include <string.h>

static bool serves(const struct config_listener *listener, const char *word)
{
    size_t i;

    for (i = 0; i < listener->serve.count; i++) {
        if (strcmp(listener->serve.items[i], word) == 0) {
            return true;
        }
    }
    return false;
}

/* Metrics are for anyone; everything else asks who it is. */
static bool is_for_metrics(const struct config_listener *listener)
{
    return listener->serve.count == 1 && serves(listener, "metrics");
}

/* "host:port" or "[::1]:port"; the port may be 0. */
static void tcp_check(const struct config_listener *listener, struct yaml_errors *errors)
{
    const struct yaml_node *node = yaml_get(listener->node, "tcp");
    const char *colon = strrchr(listener->tcp, ':');
    struct str host = str_of(listener->tcp);
    uint64_t port;

    if (colon != NULL) {
        host.len = (size_t)(colon - host.ptr);
    }
    if (colon == NULL || host.len == 0 || str_parse_u64(str_of(colon + 1), &port) != 0 ||
        port > UINT16_MAX) {
        yaml_error_at(errors, node,
                      "expected an address and a port such as 127.0.0.1:9911, found `%s`",
                      listener->tcp);
    } else if (host.ptr[0] != '[' && memchr(host.ptr, ':', host.len) != NULL) {
        yaml_error_at(errors, node, "an IPv6 address stands in brackets: write `[%.*s]%s`",
                      STR_ARG(host), colon);
    } else if (!host_is_loopback(host) && listener->tls.node == NULL && !is_for_metrics(listener)) {
        yaml_error_at(errors, node,
                      "`%s` is no loopback address: callers from elsewhere need `tls`, unless "
                      "only metrics are served",
                      listener->tcp);
    }
}

static void unix_check(const struct config_listener *listener, struct yaml_errors *errors)
{
    const struct yaml_node *node = yaml_get(listener->node, "unix");
    size_t length = strlen(listener->unix_path);

    if (listener->unix_path[0] != '/') {
        yaml_error_at(errors, node, "expected an absolute path, found `%s`", listener->unix_path);
    } else if (length > CONFIG_UNIX_PATH_MAX_BYTES) {
        yaml_error_at(errors, node, "the path has %zu bytes; a socket's can have %d", length,
                      CONFIG_UNIX_PATH_MAX_BYTES);
    }
}

/* Only a unix socket says who a service manager's peer is. */
static void systemd_check(const struct config_listener *listener, struct yaml_errors *errors)
{
    if (listener->tcp != NULL && serves(listener, "systemd")) {
        yaml_error_at(errors, config_place_of(listener->node, "serve"),
                      "`systemd` is served on a unix socket only");
    }
}

static void listener_check(const struct config_listener *listener, struct yaml_errors *errors)
{
    static const char *const unix_only[] = {"mode", "user", "group", "peers"};
    bool has_unix = config_is_given(listener->node, "unix");
    bool has_tcp = config_is_given(listener->node, "tcp");
    size_t i;

    if (listener->node->type != YAML_MAPPING) {
        return;
    }
    if (has_unix == has_tcp) {
        yaml_error_at(errors, listener->node,
                      has_unix ? "give `unix` or `tcp`, not both"
                               : "`unix` or `tcp` is missing in a listener");
    }
    for (i = 0; has_tcp && !has_unix && i < ARRAY_LEN(unix_only); i++) {
        if (config_is_given(listener->node, unix_only[i])) {
            yaml_error_at_key(errors, yaml_get(listener->node, unix_only[i]),
                              "`%s` is for unix sockets only", unix_only[i]);
        }
    }
    if (has_unix && config_is_given(listener->node, "tls")) {
        yaml_error_at_key(errors, yaml_get(listener->node, "tls"), "`tls` is for tcp only");
    }
    if (listener->unix_path != NULL) {
        unix_check(listener, errors);
    }
    systemd_check(listener, errors);
    if (listener->tcp != NULL) {
        tcp_check(listener, errors);
    }
}

/* The one backend of the plugin vault; NULL: there is none, or several. */
static const struct config_backend *only_vault(const struct config_settings *settings)
{
    const struct config_backend *backends = settings->backends.items;
    const struct config_backend *found = NULL;
    size_t i;

    for (i = 0; i < settings->backends.count; i++) {
        if (backends[i].plugin != NULL && strcmp(backends[i].plugin, "vault") == 0) {
            if (found != NULL) {
                return NULL;
            }
            found = &backends[i];
        }
    }
    return found;
}

static bool is_vault(const struct config_settings *settings, const char *name)
{
    const struct config_backend *backends = settings->backends.items;
    size_t i;

    for (i = 0; i < settings->backends.count; i++) {
        if (strcmp(backends[i].name, name) == 0) {
            return backends[i].plugin != NULL && strcmp(backends[i].plugin, "vault") == 0;
        }
    }
    return false;
}

static void vault_check(const struct config_settings *settings,
                        const struct config_listener *listener, struct yaml_errors *errors)
{
    if (!serves(listener, "vault")) {
        if (config_is_given(listener->node, "vault")) {
            yaml_error_at_key(errors, yaml_get(listener->node, "vault"),
                              "`vault` has no effect without `serve: [vault]`");
        }
    } else if (listener->vault.backend != NULL) {
        if (!is_vault(settings, listener->vault.backend)) {
            yaml_error_at(errors, yaml_get(listener->vault.node, "backend"),
                          "there is no backend `%s` of the plugin vault", listener->vault.backend);
        }
    } else if (only_vault(settings) == NULL) {
        yaml_error_at(errors, config_place_of(listener->node, "serve"),
                      "which backend does /v1/ speak for? Name one of the plugin vault: "
                      "`vault: {backend: NAME}`");
    }
}

const char *config_listener_backend(const struct config *config,
                                    const struct config_listener *listener)
{
    const struct config_backend *only = only_vault(&config->settings);

    if (listener->vault.backend != NULL) {
        return listener->vault.backend;
    }
    return only != NULL ? only->name : "";
}

bool config_listener_needs_header(const struct config_listener *listener)
{
    return listener->vault.node != NULL &&
                   config_is_given(listener->vault.node, "require_request_header")
               ? listener->vault.needs_header
               : listener->tcp != NULL;
}

static bool text_is_same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* `key` is the API's name, too. */
static void cloud_check(const struct config_settings *settings,
                        const struct config_listener *listener, const char *key,
                        struct yaml_errors *errors)
{
    const struct config_cloud *cloud = strcmp(key, "gcp") == 0 ? &listener->gcp : &listener->azure;
    const char **names = config_names(&settings->roles, sizeof(struct config_role));

    if (names != NULL && cloud->role != NULL) {
        config_check_reference(yaml_get(cloud->node, "role"), "role", names, errors);
    }
    mem_free((void *)names);
    if (config_is_given(listener->node, key) && !serves(listener, key)) {
        yaml_error_at_key(errors, yaml_get(listener->node, key),
                          "`%s` is for listeners that serve it: add it to `serve`", key);
    }
}

void config_check_listeners(const struct config_settings *settings, struct yaml_errors *errors)
{
    const struct config_listener *listeners = settings->listeners.items;
    size_t i;
    size_t j;

    for (i = 0; i < settings->listeners.count; i++) {
        listener_check(&listeners[i], errors);
        cloud_check(settings, &listeners[i], "gcp", errors);
        cloud_check(settings, &listeners[i], "azure", errors);
        vault_check(settings, &listeners[i], errors);
        for (j = 0; j < i; j++) {
            const struct yaml_node *second = listeners[i].node;

            if (text_is_same(listeners[i].name, listeners[j].name)) {
                yaml_error_at(errors, config_place_of(second, "name"),
                              "another listener is called `%s`%s", listeners[i].name,
                              config_is_given(second, "name") ? "" : ": give this one a `name`");
            }
            if (text_is_same(listeners[i].unix_path, listeners[j].unix_path) ||
                text_is_same(listeners[i].tcp, listeners[j].tcp)) {
                yaml_error_at(errors,
                              config_place_of(second, listeners[i].tcp != NULL ? "tcp" : "unix"),
                              "another listener is there already");
            }
        }
    }
}
